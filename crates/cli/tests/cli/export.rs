//! Results that stand as evidence: headers, exports, and what is said of them.

use crate::place::Place;
use crate::told;

fn policy(place: &Place) {
    let settings: serde_json::Value = serde_json::from_str(&place.read("trail/trail.json")).unwrap();
    place.write("policy", format!("log {}\nquorum none\n", settings["log_key"].as_str().unwrap()));
}

#[test]
fn an_export_checks_without_its_trail() {
    let place = Place::with_credit();
    policy(&place);
    told!(place.run(&["export", "trail", "-o", "old", "--where", "inputs.age > 60", "--columns", "index,inputs.age"]));
    told!(place.run(&["verify", "old", "--trail", "trail"]));
    std::fs::rename(place.path("trail"), place.path("away")).unwrap();
    told!(place.run(&["verify", "old", "--policy", "policy", "--pin", "away/checkpoint"]));
    let other = place.run(&["verify", "old", "--policy", "policy", "--digest", &"0".repeat(64)]);
    assert_eq!((other.code, other.out.starts_with("INVALID")), (1, true), "{}", other.out);
}

#[test]
fn all_decisions_are_all_of_them_and_what_was_changed_is_named() {
    let place = Place::with_credit();
    let made =
        place.run(&["--json", "export", "trail", "-o", "all", "--format", "csv", "--columns", "index,inputs.age"]);
    assert_eq!((made.code, &made.json()["rows"], &made.json()["complete"]), (0, &600.into(), &true.into()));
    let good = place.run(&["--json", "verify", "all", "--digest", made.json()["manifest_sha256"].as_str().unwrap()]);
    assert_eq!((good.code, &good.json()["verdict"], &good.json()["complete"]), (0, &"CONSISTENT".into(), &true.into()));
    let changed = place.read("all/rows-0001.csv").replacen("\r\n7,", "\r\n8,", 1);
    place.write("all/rows-0001.csv", changed);
    told!(place.run(&["verify", "all"]));
}

#[test]
fn nothing_is_exported_over_anything_or_of_nothing() {
    let place = Place::with_trail();
    told!(place.run(&["export", "trail", "-o", "out"]));
    assert!(!place.path("out").exists());
    let place = Place::with_credit();
    told!(place.run(&["export", "trail", "-o", "trail"]));
    told!(place.run(&["export", "trail", "-o", "out", "--columns", "inputs.agee"]));
    told!(place.run(&["verify", "trail", "--trail", "trail"]));
}

#[test]
fn a_result_has_a_header_that_names_it() {
    let place = Place::with_credit();
    let args =
        ["search", "trail", "--format", "csv", "--limit", "3", "--where", "inputs.age > 60", "--evidence", "e.json"];
    let run = place.run(&args);
    let header: serde_json::Value = serde_json::from_str(&place.read("e.json")).unwrap();
    assert_eq!(header["asked"], "--kind decision --where 'inputs.age > 60' --limit 3");
    assert_eq!(header["result"]["bytes"], run.out.len());
    let counts = serde_json::json!({
        "records": 950, "hidden": 0, "matched": 29, "returned": 3, "left_off": 26, "cut": false,
        "erased_matched": 0, "erased_unjudged": 0,
    });
    assert_eq!(header["counts"], counts);
    assert_eq!(header["checkpoint"]["note"], place.read("trail/checkpoint"));
    let run = place.run(&["sql", "trail", "SELECT count(*) FROM events", "--evidence", "s.json"]);
    let header: serde_json::Value = serde_json::from_str(&place.read("s.json")).unwrap();
    assert_eq!((run.code, &header["counts"]["returned"], &header["result"]), (0, &1.into(), &serde_json::Value::Null));
    let every = place.run(&["search", "trail", "--kind", "all", "--limit", "1000", "--json", "--columns", "kind"]);
    assert_eq!((every.out.lines().count(), every.out.contains("outcome")), (950, true));
}
