//! Figures for auditors: `gaps`, `reconcile`, `groups`, `sample`, and the certificate that `verify` checks.

use std::process::Command;

use crate::place::{Place, decision};
use crate::told;

/// A decision of an instance with a number.
fn numbered(n: u32, instance: &str, seq: u64) -> String {
    let producer =
        format!("\"producer\":{{\"name\":\"credit-api\",\"instance\":\"{instance}\",\"seq\":{seq}}},\"inputs\"");
    decision(n).replacen("\"inputs\"", &producer, 1)
}

fn lost(instance: &str, seq: u64, context: &str) -> String {
    format!(
        "{{\"kind\":\"gap\",\"time\":\"2024-06-01T13:00:00Z\",\"producer\":{{\"name\":\"credit-api\",\
         \"instance\":\"{instance}\",\"seq\":{seq}}},\"context\":{context}}}\n"
    )
}

#[test]
fn a_whole_sequence_has_no_holes() {
    told!(Place::with_credit().run(&["gaps", "trail"]));
}

#[test]
fn holes_are_shown_and_exit_1_unless_all_are_declared() {
    let place = Place::with_trail();
    let records = numbered(1, "blue", 1) + &numbered(2, "blue", 2) + &numbered(3, "blue", 7) + &decision(4);
    let records = records + &numbered(5, "green", 1) + &numbered(6, "green", 1);
    assert_eq!(place.run_on(&["append", "trail"], records.as_bytes()).code, 0);
    told!(place.run(&["gaps", "trail"]));
    let declared = lost("blue", 8, "{\"first\":3,\"count\":4,\"reason\":\"spool full \\u001b[2J\"}");
    assert_eq!(place.run_on(&["append", "trail"], declared.as_bytes()).code, 0);
    told!(place.run(&["gaps", "trail"]));
    let json = place.run(&["gaps", "trail", "--json"]);
    assert_eq!((json.code, &json.json()["verdict"]), (0, &"DECLARED".into()));
    let blue = &json.json()["instances"][0];
    assert_eq!(
        (&blue["declared"], &blue["holes"][0]["first"], &blue["end"]["state"]),
        (&4.into(), &3.into(), &"unknown".into())
    );
    let before = place.run(&["gaps", "trail", "--until", "2024-01-01", "--json"]);
    assert_eq!(before.json()["instances"], serde_json::json!([]));
}

#[test]
fn counts_from_elsewhere_are_held_against_the_trail() {
    let place = Place::with_credit();
    let counted = |shift: i64| {
        let days = place.run(&[
            "-q",
            "sql",
            "trail",
            "--format",
            "ndjson",
            "SELECT CAST(date_trunc('day', time) AS VARCHAR) AS day, model.version AS version, count(*) AS n \
             FROM decisions GROUP BY 1, 2 ORDER BY 1, 2",
        ]);
        let mut csv = "day,model,version,count\n".to_owned();
        for (row, line) in days.out.lines().enumerate() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let day = &line["day"].as_str().unwrap()[..10];
            let n = line["n"].as_i64().unwrap() + if row == 1 { shift } else { 0 };
            csv += &format!("{day},credit-risk,{},{n}\n", line["version"].as_str().unwrap());
        }
        csv
    };
    place.write("same.csv", counted(0));
    told!(place.run(&["reconcile", "trail", "--against", "same.csv"]));
    place.write("more.csv", counted(3));
    told!(place.run(&["reconcile", "trail", "--against", "more.csv"]));
    assert_eq!(place.run(&["reconcile", "trail", "--against", "more.csv", "--json"]).json()["verdict"], "ours_fewer");
    place.write("bad.csv", counted(0) + "soon,credit-risk,1.0.0,3\n2026-03-02,credit-risk,1.0.0,many\n");
    let bad = place.run(&["reconcile", "trail", "--against", "bad.csv"]);
    assert_eq!(bad.code, 4);
    told!(bad);
    let csv = place.run(&["-q", "reconcile", "trail", "--against", "same.csv", "--format", "csv"]);
    assert!(csv.out.starts_with("from,model,version,theirs,recorded,left_out,margin,declared,"), "{}", csv.out);
    place.write("none.csv", "when,what\n");
    told!(place.run(&["reconcile", "trail", "--against", "none.csv"]));
    let prometheus = r#"{"status":"success","data":{"resultType":"matrix","result":[
        {"metric":{"m":"credit-risk"},"values":[[1772496000,"1"]]}]}}"#;
    place.write("counts.json", prometheus);
    let args = ["reconcile", "trail", "--against", "counts.json", "--label", "model=m", "--json"];
    let asked = place.run(&args).json();
    assert_eq!((&asked["rows"][0]["from"], &asked["rows"][0]["theirs"]), (&"2026-03-02T00:00:00Z".into(), &1.0.into()));
}

#[test]
fn groups_are_compared() {
    let place = Place::with_credit();
    told!(place.run(&[
        "groups",
        "trail",
        "--by",
        "subject.demographics.personal_status_sex",
        "--outcome",
        "result.adverse"
    ]));
    told!(place.run(&[
        "groups",
        "trail",
        "--by",
        "inputs.age < 25, subject.demographics.foreign_worker",
        "--outcome",
        "json_text(outcome, 'label') = 'bad'",
        "--reference",
        "false,yes",
        "--model",
        "credit-risk",
    ]));
    let csv = ["-q", "groups", "trail", "--by", "inputs.age < 25", "--outcome", "result.adverse", "--format", "csv"];
    told!(place.run(&csv));
    let json =
        place.run(&["groups", "trail", "--by", "inputs.age < 25", "--outcome", "result.adverse", "--json"]).json();
    assert_eq!((&json["records"], &json["groups"][0]["values"][0]), (&600.into(), &"false".into()));
    told!(place.run(&["groups", "trail", "--by", "inputs.sex", "--outcome", "result.adverse"]));
}

/// The story: an auditor takes a checkpoint, the trail goes on, the auditor says a nonce, and gets a sample that they
/// check at home on a copy; one who was handed another sample notices.
#[test]
fn an_auditor_draws_a_sample_that_nobody_could_steer() {
    let place = Place::with_credit();
    std::fs::copy(place.path("trail/checkpoint"), place.path("pin")).unwrap();
    assert_eq!(place.run_on(&["append", "trail"], decision(7).as_bytes()).code, 0);
    let draw = ["sample", "trail", "-n", "12", "--pin", "pin", "--nonce", "dice 4 2 6 1", "--where", "result.adverse"];
    let drawn = place.run(&[&draw[..], &["-o", "sample.json"]].concat());
    assert_eq!(drawn.code, 0, "{}", drawn.told());
    assert!(drawn.out.contains("wrote sample.json: a sample of 12 records"), "{}", drawn.out);
    let certificate: serde_json::Value = serde_json::from_str(&place.read("sample.json")).unwrap();
    assert_eq!((&certificate["format"], &certificate["n"]), (&"onrecord/sample/v1".into(), &12.into()));
    // Without a file, the certificate is what is said.
    let said = place.run(&draw).json();
    assert_eq!((&said["chosen"], &said["nonce"]), (&certificate["chosen"], &certificate["nonce"]));
    let rows = place.run(&[&draw[..], &["-q", "-o", "again.json", "--format", "csv"]].concat());
    assert_eq!(rows.out.lines().count(), 13, "{}", rows.out);

    assert!(Command::new("cp").args(["-r", "trail", "copy"]).current_dir(place.path(".")).status().unwrap().success());
    assert_eq!(place.run(&["compact", "trail"]).code, 0);
    for trail in ["trail", "copy"] {
        let checked = place.run(&["verify", "sample.json", "--trail", trail, "--pin", "pin", "--json"]).json();
        assert_eq!((&checked["verdict"], &checked["chosen"]), (&"VALID".into(), &12.into()), "{checked}");
    }
    let alone = place.run(&["verify", "sample.json", "--trail", "copy"]);
    assert!(alone.code == 0 && alone.out.starts_with("CONSISTENT"), "{}", alone.told());
    place.write("now", place.read("trail/checkpoint"));
    let other = place.run(&["verify", "sample.json", "--trail", "trail", "--pin", "now"]);
    assert!(other.code == 1 && other.out.contains("another checkpoint than now"), "{}", other.told());

    // Somebody takes one out that they would rather not show.
    let mut steered = certificate.clone();
    steered["chosen"].as_array_mut().unwrap().remove(3);
    steered["n"] = 11.into();
    steered["excluded"] = certificate["excluded"].clone();
    place.write("steered.json", steered.to_string());
    let caught = place.run(&["verify", "steered.json", "--trail", "copy", "--pin", "pin"]);
    assert!(caught.code == 1 && caught.out.starts_with("INVALID"), "{}", caught.told());
    assert!(caught.out.contains("belongs into the sample and is not in it"), "{}", caught.told());
}

#[test]
fn a_sample_that_cannot_be_drawn_or_checked_says_why() {
    let place = Place::with_credit();
    std::fs::copy(place.path("trail/checkpoint"), place.path("pin")).unwrap();
    place.write("not", "a checkpoint");
    place.write("no.json", "{\"format\":\"onrecord/sample/v1\"}");
    let mut told = String::new();
    let wrong: [&[&str]; 7] = [
        &["sample", "trail", "--pin", "not", "--nonce", "x"],
        &["sample", "trail", "--pin", "pin", "--nonce", ""],
        &["sample", "trail", "--pin", "pin", "--nonce", "x", "-n", "0"],
        &["sample", "trail", "--pin", "pin", "--nonce", "x", "--kind", "decisions"],
        &["verify", "no.json"],
        &["verify", "no.json", "--trail", "trail"],
        &["verify", "trail", "--trail", "trail"],
    ];
    for args in wrong {
        let run = place.run(args);
        assert_eq!(run.code, 2, "{args:?} {}", run.told());
        told += &run.err;
    }
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(told);
    });
}
