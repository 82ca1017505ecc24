//! Decisions of five models, of 8 to 60 features each, over thirty days, from a seed. Each record follows from its number
//! alone, so that who looks for one knows its id without having kept it.

use std::io::Write as _;

use uuid::Uuid;

use crate::data::{Random, START_NS, rfc3339};

/// Each model's name, its number of features, and the score from which it denies.
const MODELS: [(&str, usize, f64); 5] =
    [("credit-risk", 8, 0.6), ("fraud", 20, 0.9), ("pricing", 32, 0.5), ("triage", 44, 0.7), ("churn", 60, 0.8)];

/// Versions follow one another, each live for so many days.
const DAYS_OF_A_VERSION: i64 = 4;

/// Ten million of them take thirty days.
pub const STEP_NS: i64 = 259_200_000;

/// Decisions about one subject, on average, once there are ten million.
pub const SUBJECTS: u64 = 200_000;

/// The share of features that are null.
const NULLS: f64 = 0.01;

/// When a record happens.
pub fn time_ns(n: u64) -> i64 {
    START_NS + n as i64 * STEP_NS
}

/// The id of a record.
pub fn id(n: u64) -> Uuid {
    Random(n).uuid_v7(time_ns(n))
}

/// The subject of a record.
pub fn subject(n: u64) -> String {
    let mut random = Random(n);
    random.uuid_v7(0);
    format!("customer-{:06}", random.next() % SUBJECTS)
}

/// Writes a record as a line of JSON; returns its id.
pub fn write(out: &mut Vec<u8>, n: u64) -> Uuid {
    let (time_ns, mut random) = (time_ns(n), Random(n));
    let id = random.uuid_v7(time_ns);
    let subject = random.next() % SUBJECTS;
    let (model, features, threshold) = MODELS[(random.next() % MODELS.len() as u64) as usize];
    // A new version takes over little by little, within a day.
    let day = (n as i64 * STEP_NS) as f64 / 86_400e9 - random.unit();
    let minor = (day.max(0.0) as i64) / DAYS_OF_A_VERSION;
    let score = (random.unit() * 1e6).round() / 1e6;
    let class = if score > threshold { "deny" } else { "approve" };
    let _ = write!(
        out,
        "{{\"id\":\"{id}\",\"kind\":\"decision\",\"time\":\"{}\",\"producer\":{{\"name\":\"{model}-api\",\
         \"instance\":\"018e0000-0000-7000-8000-000000000001\",\"seq\":{n}}},\
         \"trace\":{{\"trace_id\":\"{:016x}{:016x}\"}},\"model\":{{\"name\":\"{model}\",\"version\":\"1.{minor}.0\"}},\
         \"result\":{{\"class\":\"{class}\",\"adverse\":{}}},\
         \"subject\":{{\"id\":\"customer-{subject:06}\",\"case\":\"case-{n}\"}},\"inputs\":{{",
        rfc3339(time_ns),
        random.next(),
        random.next(),
        score > threshold,
    );
    for feature in 0..features {
        let comma = if feature > 0 { "," } else { "" };
        let _ = write!(out, "{comma}\"{model}-{feature:02}\":");
        // As services send what they do not know.
        if random.unit() < NULLS {
            out.extend_from_slice(b"null");
            continue;
        }
        let _ = match feature % 4 {
            0 => write!(out, "{}", random.next() % 1_000),
            1 => write!(out, "{:.2}", random.unit() * 50_000.0),
            2 => write!(out, "\"category {}\"", random.next() % 12),
            _ => write!(out, "{}", random.next() % 2 == 0),
        };
    }
    let _ = write!(
        out,
        "}},\"parameters\":{{\"threshold\":{threshold}}},\"output\":{{\"score\":{score}}},\
         \"explanation\":{{\"method\":\"shap.tree\",\"values\":{{"
    );
    // The four features that weigh most.
    for feature in 0..4 {
        let comma = if feature > 0 { "," } else { "" };
        let _ = write!(out, "{comma}\"{model}-{feature:02}\":{}", f64::from((random.unit() - 0.5) as f32));
    }
    let _ = write!(out, "}}}},\"context\":{{\"environment\":\"production\"}}}}");
    id
}
