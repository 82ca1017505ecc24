//! Records that nobody sent, from a seed.

use serde_json::Value;

use crate::data::Random;

const ID: &str = "00000000-0000-7000-8000-000000000000";

/// The records of a credit model, so many, in which each feature with its attribution comes from a real applicant, but
/// each from another one: values are as likely as they are among the real ones, and no record repeats one.
pub fn applicants(real: &str, count: usize, seed: u64) -> Vec<String> {
    let records: Vec<Value> = real.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let decisions: Vec<&Value> = records.iter().filter(|record| record["kind"] == "decision").collect();
    let mut random = Random(seed);
    (0..count).map(|n| mixed(&records[n % records.len()], &decisions, &mut random).to_string()).collect()
}

fn mixed(record: &Value, decisions: &[&Value], random: &mut Random) -> Value {
    let mut record = record.clone();
    if record["kind"] != "decision" {
        return record;
    }
    let mut another = || decisions[(random.unit() * decisions.len() as f64) as usize];
    let features: Vec<String> = record["inputs"].as_object().unwrap().keys().cloned().collect();
    for feature in features {
        let of = another();
        record["inputs"][&feature] = of["inputs"][&feature].clone();
        record["explanation"]["values"][&feature] = of["explanation"]["values"][&feature].clone();
    }
    let of = another();
    (record["output"], record["result"]) = (of["output"].clone(), of["result"].clone());
    record["subject"]["demographics"] = another()["subject"]["demographics"].clone();
    record
}

/// JSON lines of 20 features and 20 attributions, whose id, time, trace and sequence number are to be replaced.
pub fn lines(count: usize, seed: u64) -> Vec<String> {
    let mut random = Random(seed);
    (0..count).map(|n| line(n, &mut random)).collect()
}

fn line(n: usize, random: &mut Random) -> String {
    let (mut inputs, mut values) = (String::new(), String::new());
    for feature in 0..20 {
        let value = match feature % 4 {
            0 => format!("{}", (random.unit() * 1000.0) as i64),
            1 => format!("{:.2}", random.unit() * 50_000.0),
            2 => format!("\"category {}\"", (random.unit() * 12.0) as i64),
            _ => format!("{}", random.unit() > 0.5),
        };
        let comma = if feature > 0 { "," } else { "" };
        inputs.push_str(&format!("{comma}\"feature_{feature:02}\":{value}"));
        // As a library that computes in f32 hands them over.
        values.push_str(&format!("{comma}\"feature_{feature:02}\":{}", f64::from((random.unit() - 0.5) as f32)));
    }
    let score = random.unit();
    let (class, adverse) = if score > 0.6 { ("deny", true) } else { ("approve", false) };
    format!(
        "{{\"id\":\"{ID}\",\"kind\":\"decision\",\"time\":\"\",\"producer\":{{\"name\":\"credit-api\",\
         \"instance\":\"018e0000-0000-7000-8000-000000000001\",\"seq\":0}},\"trace\":{{\"trace_id\":\"\"}},\
         \"model\":{{\"name\":\"credit-risk\",\"version\":\"1.2.0\"}},\
         \"result\":{{\"class\":\"{class}\",\"adverse\":{adverse}}},\
         \"subject\":{{\"id\":\"customer-{}\",\"case\":\"application-{n}\"}},\"inputs\":{{{inputs}}},\
         \"parameters\":{{\"threshold\":0.6}},\"output\":{{\"score\":{score},\"decision\":\"{class}\"}},\
         \"explanation\":{{\"method\":\"shap.tree\",\"base\":-0.31,\"values\":{{{values}}}}},\
         \"context\":{{\"environment\":\"production\",\"git_commit\":\"9f1c2ab\"}}}}",
        (random.unit() * 100_000.0) as u32,
    )
}
