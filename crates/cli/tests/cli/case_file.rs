//! The case file of a decision about which everything is on record, told three ways; and how a person gets to it.

use crate::place::{Place, Run, decision};

/// A decision with its model's history, the steps around it, and all that became known later.
const EVERYTHING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/everything.ndjson");
/// The decision's index there.
const DENIED: &str = "4";

fn with_everything() -> Place {
    let place = Place::with_trail();
    assert_eq!(place.run(&["append", "trail", EVERYTHING, "--settle"]).code, 0);
    place
}

/// Erases parts of records, as far as a person could not.
fn erase(place: &Place, indices: &[u64], parts: &[&str]) {
    let (folder, keys) = (trail::Folder::new(place.path("trail")), trail::KeyFolder(place.path("keys")));
    let writer = trail::Writer::open(&host::Host::system(), &folder, &keys, trail::Options::default()).unwrap();
    let erasure = trail::Erasure {
        id: "0190a5c2-7b1e-7c3a-9d55-00000000ffff".parse().unwrap(),
        indices: indices.to_vec(),
        parts: parts.iter().map(|part| (*part).to_owned()).collect(),
        basis: "GDPR 17(1)(b)".to_owned(),
        by: "dpo@example.com".to_owned(),
    };
    writer.erase(&erasure).unwrap();
    writer.close().unwrap();
}

/// A snapshot of what was said, without what differs from run to run.
macro_rules! snapshot {
    ($name:literal, $text:expr) => {
        insta::with_settings!({
            filters => vec![
                (r"(?s)<style>.*</style>", "<style>[STYLE]</style>"),
                (r"'sha256-[A-Za-z0-9+/=]+'", "'sha256-[STYLE HASH]'"),
                (r"a{64}", "[MODEL DIGEST]"),
                (r"\b[0-9a-f]{64}\b", "[HASH]"),
                (r#""\$bytes": "[^"]*""#, "\"$$bytes\": [HASH]"),
                // The fixture is of 2024 and 2025; what was received was received now.
                (r"20(2[6-9]|[3-9]\d)-[0-9T:.-]*Z", "[RECEIVED]"),
                (r#"received(_ns)?("|&#34;): ?\d{19}"#, "received$1$2: [RECEIVED]"),
                (r"(settle|rewrite)-\d{20}-[0-9a-f]{16}", "[FILE]"),
                (r#"[^" ]*/trail/lake/"#, "[PLACE]/lake/"),
            ],
            omit_expression => true,
            prepend_module_to_snapshot => false,
        }, { insta::assert_snapshot!($name, $text) })
    };
}

fn said(run: &Run) -> String {
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    run.out.clone()
}

#[test]
fn everything_is_told_on_a_terminal() {
    snapshot!("everything_on_a_terminal", said(&with_everything().run(&["show", "trail", DENIED])));
}

#[test]
fn everything_is_told_in_a_document() {
    let run = with_everything().run(&["show", "trail", DENIED, "--json", "--proof"]);
    let mut json = run.json();
    let proof = json["proof"]["tlog_proof"].take();
    assert!(proof.as_str().unwrap().starts_with("c2sp.org/tlog-proof@v1\nindex 4\n"));
    snapshot!("everything_in_a_document", serde_json::to_string_pretty(&json).unwrap());
}

#[test]
fn everything_is_told_on_a_page() {
    let place = with_everything();
    let page = said(&place.run(&["show", "trail", DENIED, "--html"]));
    snapshot!("everything_on_a_page", page.clone());
    let run = place.run(&["show", "trail", DENIED, "--html", "case.html"]);
    assert_eq!((run.code, run.out.as_str()), (0, "wrote case.html\n"));
    assert_eq!(place.read("case.html"), page, "the same trail makes the same page");
    assert!(!page.contains("<script") && !page.contains("http:") && !page.contains("https:"), "it needs nothing else");
}

/// T20: what is gone is named in each place where it would stand, and the digest still leads to the root.
#[test]
fn what_was_erased_is_told_in_place() {
    let place = with_everything();
    erase(&place, &[4, 7], &["parameters", "explanation", "output"]);
    let shown = place.run(&["show", "trail", DENIED]);
    snapshot!("erased_on_a_terminal", said(&shown));
    snapshot!("erased_on_a_page", said(&place.run(&["show", "trail", DENIED, "--html"])));
    let json = place.run(&["show", "trail", DENIED, "--json"]).json();
    assert_eq!((&json["verdict"], &json["erased_by"][0]["basis"]), (&"ERASED".into(), &"GDPR 17(1)(b)".into()));
    assert_eq!(json["erased"], serde_json::json!(["parameters", "output", "explanation"]));
    assert!(json["record"]["output"].is_null() && json["proof"]["included"] == true);
}

/// What a compliance officer does with a letter that names nothing but a customer.
#[test]
fn from_a_customer_to_the_reasons_and_to_what_became_of_them() {
    let place = with_everything();
    let list = place.run(&["show", "trail", "customer-991"]);
    assert!(list.err.contains("\"customer-991\" was taken for a subject"), "{}", list.err);
    snapshot!("the_records_of_a_customer", said(&list));
    // The list says which one denied; its number opens it.
    let denied = list.out.lines().find(|line| line.contains("deny, adverse")).unwrap();
    let number = denied.split_whitespace().nth(1).unwrap();
    let case = said(&place.run(&["show", "trail", number]));
    assert!(case.contains("overridden by alice@example.com on 2024-06-04: deny → approve"), "{case}");
    // The override leads back to its decision, and that is the one from the list.
    let over = place.run(&["show", "trail", "7", "--json"]).json();
    assert_eq!((&over["decision"]["index"], &over["decision"]["digest_agrees"]), (&4.into(), &true.into()));
    assert!(said(&place.run(&["show", "trail", "7"])).contains("0190a5c2-7b1e-7c3a-9d55-000000000005"));
}

#[test]
fn a_late_fact_whose_decision_is_not_here_says_so() {
    let place = with_everything();
    let shown = said(&place.run(&["show", "trail", "12"]));
    assert!(shown.contains("not on record, or not yet"), "{shown}");
    let json = place.run(&["show", "trail", "12", "--json"]).json();
    assert_eq!(json["decision"]["on_record"], false);
}

#[test]
fn records_are_found_by_subject_case_and_trace() {
    let place = with_everything();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    for (args, taken_for, indices) in [
        (&["customer-991"][..], "subject", vec![5, 4, 3]),
        (&["--subject", "customer-991"], "subject", vec![5, 4, 3]),
        (&["application-88123"], "case", vec![10, 5, 4, 3]),
        (&["--case", "application-88123"], "case", vec![10, 5, 4, 3]),
        (&[trace], "trace", vec![5, 4, 3]),
        (&["--trace", &trace.to_uppercase()], "trace", vec![5, 4, 3]),
        (&["0190a5c2-7b1e-7c3a-9d55-00000000001"], "beginning of an id", vec![]),
        (&["--subject", "alice@example.com"], "subject", vec![7, 6]),
    ] {
        let run = place.run(&[&["show", "trail", "--json"], args].concat());
        if indices.is_empty() {
            assert_eq!(run.code, 1, "{args:?}");
            continue;
        }
        let json = run.json();
        let found: Vec<u64> =
            json["records"].as_array().unwrap().iter().map(|r| r["index"].as_u64().unwrap()).collect();
        assert_eq!((run.code, &json["taken_for"], found), (0, &taken_for.into(), indices), "{args:?}");
    }
    for absent in [&["--subject", "nobody"][..], &["--case", "x"], &["--trace", "00"], &["nobody"]] {
        assert_eq!(place.run(&[&["show", "trail"], absent].concat()).code, 1, "{absent:?}");
    }
    for wrong in [&[][..], &["4", "--subject", "x"], &["4", "--json", "--html"]] {
        assert_eq!(place.run(&[&["show", "trail"], wrong].concat()).code, 2, "{wrong:?}");
    }
}

#[test]
fn a_beginning_of_many_ids_lists_them() {
    let place = with_everything();
    let run = place.run(&["show", "trail", "0190a5c2"]);
    assert_eq!(run.code, 1, "no one record was named");
    assert!(run.out.contains("13 records whose id begins with 0190a5c2"), "{}", run.out);
    assert!(run.err.contains("say which"), "{}", run.err);
    assert_eq!(place.run(&["show", "trail", "0190a5c2", "--json"]).json()["total"], 13);
}

/// I12: lists have a limit, and say what they leave out.
#[test]
fn long_lists_are_cut_and_say_so() {
    let place = Place::with_trail();
    let step = |n: u32| decision(n).replace("\"inputs\"", "\"subject\":{\"id\":\"s\",\"case\":\"c\"},\"inputs\"");
    let late = |n: u32| {
        let about = "0190a5c2-7b1e-7c3a-9d55-000000000001";
        let kind = if n == 1000 { "oversight" } else { "access" };
        format!(
            "{{\"id\":\"0190a5c2-7b1e-7c3a-9d55-{n:012x}\",\"kind\":\"{kind}\",\"about\":\"{about}\",\
                 \"time\":\"2024-06-02T12:{:02}:00Z\",\"context\":{{\"n\":{n}}}}}\n",
            (n - 1000) / 10
        )
    };
    let records: String = (1..=120).map(step).chain((1000..1300).map(late)).collect();
    assert_eq!(place.run_on(&["append", "trail", "--settle"], records.as_bytes()).code, 0);
    let list = said(&place.run(&["show", "trail", "--subject", "s"]));
    assert!(list.starts_with("120 records of the subject s"), "{list}");
    assert!(list.contains("70 more, older; the limit of a list is 50"), "{list}");
    let many = place.run(&["show", "trail", "0190a5c2", "--json"]).json();
    assert_eq!((&many["total"], &many["total_is_at_least"]), (&100.into(), &true.into()));
    let case = place.run(&["show", "trail", "0", "--json"]).json();
    assert_eq!((case["case"]["records"].as_array().unwrap().len(), &case["case"]["more"]), (20, &99.into()));
    // Three hundred reads do not hide the one override.
    assert_eq!(case["about"][0]["record"]["kind"], "oversight");
    assert_eq!((case["accesses"]["records"].as_array().unwrap().len(), &case["accesses"]["more"]), (200, &99.into()));
    assert!(
        said(&place.run(&["show", "trail", "0"]))
            .contains("99 more, older; to list them: onrecord show TRAIL --case c")
    );
}

/// T22: another file under the same name and version is told, on every face.
#[test]
fn a_model_whose_bytes_are_not_those_on_record_is_told() {
    let place = with_everything();
    let swapped = std::fs::read_to_string(EVERYTHING).unwrap();
    let swapped = swapped.lines().nth(4).unwrap().replace(&"a".repeat(64), &"c".repeat(64));
    let swapped = swapped.replace("000000000005", "0000000000aa");
    assert_eq!(place.run_on(&["append", "trail"], swapped.as_bytes()).code, 0);
    let shown = said(&place.run(&["show", "trail", "13"]));
    assert!(shown.contains("digest DIFFERS from a record about this version"), "{shown}");
    assert_eq!(place.run(&["show", "trail", "13", "--json"]).json()["model"]["digest"], "differs");
    assert_eq!(place.run(&["show", "trail", DENIED, "--json"]).json()["model"]["digest"], "agrees");
    assert_eq!(place.run(&["show", "trail", "5", "--json"]).json()["model"]["digest"], "unknown");
}
