//! Outcomes by groups.

use query::{FourFifths, Groups, GroupsAsked, QueryError, Search};
use serde_json::{Value, json};

use crate::trail_of::{Trail, decision, id};

fn person(n: u64, sex: Option<&str>, adverse: Option<bool>) -> Value {
    let mut record = decision(n, json!({"age": n}));
    if let Some(sex) = sex {
        record["subject"]["demographics"] =
            json!({"sex": sex, "region": if n.is_multiple_of(2) { "north" } else { "south" }});
    }
    if let Some(adverse) = adverse {
        record["result"] = json!({"adverse": adverse});
    }
    record
}

/// 40 men of whom 8 are denied, 30 women of whom 12 are, 5 of whom nobody knows the sex, and 3 women without an outcome.
fn people() -> Vec<Value> {
    let men = (0..40).map(|n| person(n, Some("m"), Some(n < 8)));
    let women = (40..70).map(|n| person(n, Some("f"), Some(n < 52)));
    let unknown = (70..75).map(|n| person(n, None, Some(false)));
    men.chain(women).chain(unknown).chain((75..78).map(|n| person(n, Some("f"), None))).collect()
}

fn asked(by: &str, outcome: &str) -> GroupsAsked {
    let filter = Search::new([""; 0], 0);
    GroupsAsked { filter, by: by.to_owned(), outcome: outcome.to_owned(), reference: None, favourable: false }
}

fn groups(trail: &Trail, asked: &GroupsAsked) -> Result<Groups, QueryError> {
    trail.view().groups(asked)
}

fn near(found: Option<f64>, wanted: f64) {
    assert!(found.is_some_and(|found| (found - wanted).abs() < 1e-9), "{found:?} is not {wanted}");
}

#[test]
fn nobody_is_dropped_and_each_group_has_its_figures() {
    let all = people();
    let trail = Trail::holding(&all[..50], &all[50..]);
    let groups = groups(&trail, &asked("subject.demographics.sex", "result.adverse")).unwrap();
    let counted: Vec<_> = groups.groups.iter().map(|g| (g.values[0].as_deref(), g.n, g.hits, g.unknown)).collect();
    assert_eq!(counted, [(Some("m"), 40, 8, 0), (Some("f"), 30, 12, 3), (None, 5, 0, 0)]);
    assert_eq!((groups.records, groups.unknown_group, groups.unknown_outcome, groups.weighted), (78, 5, 3, false));
    assert_eq!(groups.reference, Some(vec![Some("m".to_owned())]));
    // scipy 1.17.1: binomtest(12, 30).proportion_ci(method="wilson"), relative_risk(12, 30, 8, 40), fisher_exact.
    let women = &groups.groups[1];
    near(women.interval.map(|interval| interval.from), 0.2459062811680185);
    near(women.interval.and_then(|interval| interval.until), 0.5767963974667751);
    let compared = women.compared.as_ref().unwrap();
    near(compared.ratio, 2.0);
    near(compared.ratio_interval.map(|interval| interval.from), 0.9361836574114524);
    near(compared.ratio_interval.and_then(|interval| interval.until), 4.272665911579785);
    near(compared.p, 0.10765537907056097);
    // 18 of 30 are approved beside 32 of 40.
    near(compared.favourable_ratio, 0.75);
    assert_eq!(compared.four_fifths, FourFifths::Unclear);
    assert!(groups.groups[0].compared.is_none());
}

#[test]
fn a_reference_can_be_named_and_two_attributes_cross() {
    let trail = Trail::holding(&people(), &[]);
    let both = GroupsAsked {
        reference: Some("f,north".to_owned()),
        ..asked("subject.demographics.sex, subject.demographics.region", "result.adverse")
    };
    let found = groups(&trail, &both).unwrap();
    assert_eq!((found.by.len(), found.groups.len()), (2, 5));
    assert_eq!(found.reference, Some(vec![Some("f".to_owned()), Some("north".to_owned())]));
    let wrong = GroupsAsked { reference: Some("x".to_owned()), ..asked("subject.demographics.sex", "result.adverse") };
    assert_eq!(
        groups(&trail, &wrong).unwrap_err().to_string(),
        "no decision is of a group \"x\"; the groups are f · m"
    );
    let bands = groups(&trail, &asked("CASE WHEN inputs.age < 30 THEN 'a, b' ELSE 'c' END", "result.adverse")).unwrap();
    assert_eq!(bands.groups.iter().map(|g| g.n + g.unknown).collect::<Vec<_>>(), [48, 30]);
}

#[test]
fn what_came_later_can_be_the_outcome() {
    let mut records = people();
    records.extend((0..20u64).map(|n| {
        let label = if n < 5 { "bad" } else { "good" };
        json!({"id": id(1_000 + n), "kind": "outcome", "about": id(n), "output": {"label": label}})
    }));
    let trail = Trail::holding(&records, &[]);
    let found = groups(&trail, &asked("subject.demographics.sex", "json_text(outcome, 'label') = 'bad'")).unwrap();
    let men = &found.groups[0];
    assert_eq!((men.n, men.hits, men.unknown, found.unknown_outcome), (20, 5, 20, 58));
}

/// Adverse decisions are all kept, and one in ten of the others: the rate is the one of all, and not the one of the kept.
#[test]
fn records_count_for_those_that_sampling_left_out() {
    let kept = |n: u64, adverse: bool| {
        let mut record = person(n, Some("m"), Some(adverse));
        record["sampling"] = json!({"probability": if adverse { 1.0 } else { 0.1 }});
        record
    };
    let records: Vec<Value> = (0..20).map(|n| kept(n, true)).chain((20..38).map(|n| kept(n, false))).collect();
    let trail = Trail::holding(&records, &[]);
    let found = groups(&trail, &asked("subject.demographics.sex", "result.adverse")).unwrap();
    let men = &found.groups[0];
    assert_eq!((men.n, men.hits, found.weighted), (38, 20, true));
    near(Some(men.total), 200.0);
    near(men.rate, 0.1);
    // Σ w²(y - rate)² / (Σ w)²: 20 · 0.9² and 18 · 100 · 0.1² over 200².
    let variance = (20.0 * 0.81 + 18.0 * 100.0 * 0.01) / 40_000.0;
    near(Some(men.effective_n), 0.09 / variance);
}

#[test]
fn what_makes_no_groups_is_told() {
    let trail = Trail::holding(&people(), &[]);
    let error = |by: &str, outcome: &str| groups(&trail, &asked(by, outcome)).unwrap_err().to_string();
    assert!(error("subject.demographics.sexx", "result.adverse").contains("did you mean subject.demographics.sex"));
    assert!(error("inputs.age) FROM events --", "result.adverse").contains("is not one or two attributes"));
    assert!(error("inputs.age", "result.adverse; DROP").contains("is not one predicate"));
    let many: Vec<Value> = (0..1_001).map(|n| person(n, Some(&format!("s{n}")), Some(true))).collect();
    let trail = Trail::holding(&many, &[]);
    let many = groups(&trail, &asked("subject.demographics.sex", "result.adverse")).unwrap_err();
    assert!(many.to_string().contains("groups of 1000"), "{many}");
}
