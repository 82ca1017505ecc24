//! A site's own test of its policies.

use access::{Expectations, TokenSpec};

use crate::place::{NOW, Place, on_credit};

const SETTINGS: &str = r#"
[[group]]
group = "desk"
role = "reader"
trails = ["credit"]
[[mask]]
field = "subject.id"
as = "hash"
"#;

fn differences(place: &Place, text: &str) -> Vec<String> {
    let expectations = Expectations::read(text).unwrap();
    let tested = expectations.test(&place.open(), NOW).unwrap();
    assert!(tested.checked > 0);
    tested
        .differences
        .into_iter()
        .map(|it| format!("{}: {} {:?}: {}", it.line, it.principal, it.trail, it.what))
        .collect()
}

#[test]
fn what_is_as_expected_has_no_differences() {
    let place = Place::with(SETTINGS);
    let (token, _) = place
        .open()
        .tokens()
        .create(TokenSpec { name: "scorer".to_owned(), assignment: on_credit("writer") }, "test", NOW)
        .unwrap();
    let text = format!(
        r#"
        [principals]
        clerk = {{ groups = ["desk"] }}
        scorer = {{ token = "{}" }}
        ivy = {{ roles = [{{ role = "investigator", trails = ["credit"] }}] }}
        [[expect]]
        principal = "clerk"
        trail = "credit"
        permitted = ["read-record", "search", "prove", "log", "stats", "verify"]
        masked = ["subject.id"]
        [[expect]]
        principal = "clerk"
        trail = "fraud"
        permitted = []
        [[expect]]
        principal = "clerk"
        permitted = []
        [[expect]]
        principal = "scorer"
        trail = "credit"
        permitted = ["append"]
        appends = ["decision", "explanation", "outcome", "oversight", "summary", "gap", "producer"]
        [[expect]]
        principal = "ivy"
        trail = "credit"
        permitted = []
        "#,
        token.id
    );
    assert_eq!(differences(&place, &text), Vec::<String>::new());
}

#[test]
fn every_difference_is_told_with_its_line() {
    let place = Place::with(SETTINGS);
    let text = r#"
[principals]
clerk = { groups = ["desk"] }
[[expect]]
principal = "clerk"
trail = "credit"
permitted = ["read-record", "search", "sql", "log", "stats", "verify"]
masked = ["inputs.ssn"]
"#;
    assert_eq!(
        differences(&place, text),
        [
            "4: clerk Some(\"credit\"): read-record masks subject.id, and inputs.ssn was expected",
            "4: clerk Some(\"credit\"): search masks subject.id, and inputs.ssn was expected",
            "4: clerk Some(\"credit\"): sql is refused (the access policy does not permit it), and was expected",
            "4: clerk Some(\"credit\"): prove is granted by role reader, and was not expected",
        ]
    );
}

#[test]
fn what_is_no_table_of_expectations_says_why() {
    let wrong = |text: &str| Expectations::read(text).unwrap_err().to_string();
    let with = |expect: &str| format!("[principals]\na = {{ groups = [] }}\n[[expect]]\n{expect}");
    assert!(wrong("expect = []").contains("missing field `principals`"));
    assert!(wrong(&with("principal = \"b\"\npermitted = []")).starts_with("line 3: no principal \"b\""));
    let told = wrong(&with("principal = \"a\"\ntrail = \"x\"\npermitted = [\"serch\"]"));
    assert!(told.starts_with("line 3: \"serch\" is no permission; permissions are append, "), "{told}");
    assert!(wrong(&with("principal = \"a\"\npermitted = [\"search\"]")).contains("name a trail"));
    assert!(wrong(&with("principal = \"a\"\ntrail = \"x\"\npermitted = [\"backup\"]")).contains("leave the trail out"));
    assert!(wrong(&with("principal = \"a\"\npermited = []")).contains("permited"));
    let vague = "principals = { a = { groups = [], token = \"x\" } }\nexpect = []";
    let error = Expectations::read(vague).unwrap().test(&Place::new().open(), NOW).unwrap_err();
    assert!(error.to_string().contains("say exactly one of"), "{error}");
}
