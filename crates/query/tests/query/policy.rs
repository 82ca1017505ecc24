//! Masks and row filters: nothing of a query sees through them.

use query::{Certificate, GroupsAsked, Mask, Policy, QueryError, SampleAsked, SampleError, Search};
use record::FieldRef;
use serde_json::{Value, json};

use crate::trail_of::{Trail, decision, id, rows};

fn field(path: &str) -> FieldRef {
    FieldRef::parse(path).unwrap()
}

/// Secrets in a column, in a remainder, below a masked field, and in the journal.
fn trail() -> Trail {
    let record = |n: u64| {
        let rare = if n.is_multiple_of(17) { json!({"note": format!("secret-note-{n}")}) } else { json!({}) };
        let mut record = decision(
            n,
            json!({
                "ssn": format!("secret-{n:04}"), "income": 1_000 + n, "account": {"iban": format!("DE00secret{n:04}")}, "rare": rare,
            }),
        );
        record["subject"]["id"] = format!("secret-subject-{n}").into();
        record
    };
    Trail::holding(&(0..60).map(record).collect::<Vec<_>>(), &(60..70).map(record).collect::<Vec<_>>())
}

fn masks() -> Policy {
    let masks = vec![
        (field("inputs.ssn"), Mask::Drop),
        (field("subject.id"), Mask::Hash { key: [7; 32] }),
        (field("inputs.account"), Mask::LastFour),
        (field("inputs.rare.note"), Mask::Drop),
        (field("inputs.income"), Mask::Drop),
    ];
    Policy { masks, rows: None }
}

#[test]
fn no_way_of_asking_shows_what_is_masked() {
    let trail = trail();
    let view = trail.view_under(masks());
    for sql in [
        "SELECT * FROM events",
        "SELECT * FROM decisions WHERE index > 55",
        "SELECT * FROM models.credit",
        "SELECT * FROM cases",
        "SELECT inputs, \"inputs:json\", subject, \"inputs.ssn:json\", \"inputs.ssn:str\", inputs.account, rest FROM events",
        "SELECT inputs.account.iban, \"inputs.account.iban:json\", inputs[\"rare\"], inputs.rare.note FROM events",
        "SELECT min(inputs.ssn), max(subject.id), array_agg(\"inputs.ssn:str\"), string_agg(inputs.ssn, ',') FROM events",
        "SELECT inputs.ssn FROM events WHERE inputs.ssn LIKE 'secret%'",
        "SELECT count(*) FROM events WHERE inputs.ssn = 'secret-0007'",
        "SELECT CASE WHEN inputs.ssn > 'a' THEN inputs.ssn ELSE subject.id END FROM events",
        "SELECT a.inputs.ssn FROM events a JOIN events b ON a.inputs.ssn = b.inputs.ssn",
        "SELECT json_get(inputs, 'ssn'), json_text(inputs, 'account', 'iban'), json_text(rest, 'inputs', 'rare', 'note') FROM events",
        "SELECT CAST(inputs.ssn AS INT) FROM events",
        "SELECT arrow_cast(subject.id, 'Int64') FROM events",
        "SELECT row_number() OVER (ORDER BY inputs.ssn), first_value(subject.id) OVER (ORDER BY index) FROM events",
        "EXPLAIN SELECT inputs.ssn FROM events WHERE subject.id = 'x'",
        "EXPLAIN ANALYZE SELECT inputs.ssn, subject.id FROM events WHERE index < 99",
        "EXPLAIN VERBOSE SELECT inputs.ssn, subject.id FROM events",
        "DESCRIBE events",
    ] {
        let said = match rows(&view, sql) {
            Ok(rows) => format!("{rows:?}"),
            Err(error) => error.to_string(),
        };
        // Of an account the last four characters show; no more.
        assert!(!said.contains("secret"), "{sql}\n{}", &said[..said.len().min(3_000)]);
    }
}

#[test]
fn predicates_meet_what_the_mask_left() {
    let trail = trail();
    let view = trail.view_under(masks());
    let count = |condition: &str| {
        let sql = format!("SELECT count(*) FROM decisions WHERE {condition}");
        rows(&view, &sql).unwrap_or_else(|error| panic!("{sql}: {error}"))[0][0].clone()
    };
    assert_eq!(count("inputs.ssn IS NOT NULL"), 0);
    assert_eq!(count("inputs.ssn = 'secret-0007' OR subject.id = 'secret-subject-7'"), 0);
    assert_eq!(count("inputs.income > 0 OR inputs.income < 0"), 0);
    assert_eq!(count("inputs.income IS NULL"), 70);
    // The hash stands for the value: it can be grouped and joined by, and is the same in lake and journal.
    let hash = rows(&view, "SELECT subject.id FROM decisions WHERE index = 65").unwrap()[0][0].clone();
    let hash = hash.as_str().unwrap();
    assert_eq!(hash.len(), 32);
    assert_eq!(count(&format!("subject.id = '{hash}'")), 1);
    assert_eq!(rows(&view, "SELECT count(DISTINCT subject.id) FROM decisions").unwrap(), [json!([70])]);
    assert!(view.look_up(lake::Lookup::Subject, &["secret-subject-7"]).is_err());
    // A type that was masked away is not compared by.
    assert!(rows(&view, "SELECT 1 FROM decisions WHERE subject.id = 7").is_err());
}

#[test]
fn rows_that_are_not_shown_are_not_there() {
    let trail = trail();
    let policy = Policy { rows: Some("inputs.income < 1010 OR inputs.ssn = 'secret-0065'".to_owned()), ..masks() };
    let view = trail.view_under(policy);
    let shown = json!([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 65]);
    let indices = |sql: &str| -> Value { rows(&view, sql).unwrap().into_iter().map(|row| row[0].clone()).collect() };
    assert_eq!(indices("SELECT index FROM events ORDER BY index"), shown);
    assert_eq!(indices("SELECT index FROM models.credit WHERE time > '2000-01-01' ORDER BY index"), shown);
    assert_eq!(indices("SELECT count(*) FROM events"), json!([11]));
    assert_eq!(indices("SELECT max(index) FROM decisions"), json!([65]));
    assert_eq!(indices("SELECT index FROM events ORDER BY time DESC LIMIT 1"), json!([65]));
    assert_eq!(
        indices("SELECT a.index FROM events a JOIN events b ON a.index = b.index WHERE b.index > 5 ORDER BY 1"),
        json!([6, 7, 8, 9, 65])
    );
    // Predicates that the files are asked by see no more, and no less.
    assert_eq!(indices("SELECT index FROM events WHERE index > 7 AND index <= 66 ORDER BY index"), json!([8, 9, 65]));
    assert_eq!(indices("SELECT count(*) FROM events WHERE index = 30 OR index = 64"), json!([0]));
    assert_eq!(
        indices("SELECT index FROM decisions WHERE inputs.income IS NULL AND index IN (5, 30, 65, 69) ORDER BY index"),
        json!([5, 65])
    );
    assert_eq!(
        indices("SELECT count(*) FROM events WHERE inputs.ssn = 'secret-0065' OR inputs.ssn = 'secret-0005'"),
        json!([0])
    );
    assert_eq!(
        indices("SELECT max(index) FROM events WHERE time BETWEEN '2026-11-01T12:00:30Z' AND '2026-11-01T12:01:05Z'"),
        json!([65])
    );
    // An error that only a hidden row could cause does not come, nor do figures of what was left out.
    assert_eq!(indices("SELECT count(*) FROM events WHERE 1 / (index - 30) IS NOT NULL"), json!([11]));
    assert_eq!(
        indices("SELECT count(*) FROM events WHERE CAST(CASE WHEN index = 30 THEN 'x' ELSE '1' END AS INT) = 1"),
        json!([11])
    );
    for sql in [
        "EXPLAIN SELECT * FROM events WHERE index = 30",
        "EXPLAIN ANALYZE SELECT index FROM events WHERE index < 40",
        "EXPLAIN VERBOSE SELECT index FROM events",
    ] {
        let plan = format!("{:?}", rows(&view, sql).unwrap());
        assert!(plan.contains("Policy"), "{plan}");
        for leak in ["1010", "secret", "settle-", "policy\\u", "DataSourceExec", "output_rows=70", "output_rows=60"] {
            assert!(!plan.contains(leak), "{sql} shows {leak}: {plan}");
        }
    }
}

#[test]
fn a_policy_that_cannot_be_applied_is_refused() {
    let trail = trail();
    let snapshot = || trail::Reader::new(&trail.host, &trail.folder).snapshot().unwrap();
    for path in ["id", "time", "kind"] {
        let policy = Policy { masks: vec![(field(path), Mask::Drop)], rows: None };
        assert!(trail.engine.view(snapshot(), policy).is_err(), "{path}");
    }
    for predicate in ["inputs.nothing = 1", "1 = 1) OR (1 = 1", "true; SELECT 1", "inputs.income = 'x'", "count(*) > 1"]
    {
        let view = trail.view_under(Policy { masks: Vec::new(), rows: Some(predicate.to_owned()) });
        assert!(rows(&view, "SELECT 1 FROM events").is_err(), "{predicate}");
    }
}

/// What is looked up directly ends where the filter ends, as a search does.
#[test]
fn a_look_up_finds_what_the_filter_lets_through_and_nothing_else() {
    let trail = trail();
    let view = trail.view_under(Policy { masks: Vec::new(), rows: Some("inputs.income < 1010".to_owned()) });
    let id = |n: u64| id(n).parse().unwrap();
    assert_eq!(view.find(&id(7)).unwrap().unwrap().index, 7);
    for hidden in [30, 65, 999] {
        assert!(view.find(&id(hidden)).unwrap().is_none(), "{hidden}");
        assert_eq!((view.index_of(&id(hidden)).unwrap(), view.sees(hidden).unwrap()), (None, false), "{hidden}");
    }
    let found = view.look_up(lake::Lookup::Case, &["case-4", "case-5"]).unwrap();
    assert_eq!(found.iter().map(|found| found.index).collect::<Vec<_>>(), [8, 9]);
    assert!(view.look_up(lake::Lookup::Subject, &["secret-subject-30"]).unwrap().is_empty());
    // Where a record is, is no secret of whoever sees it masked; the record as stored is.
    let masked = trail.view_under(masks());
    assert_eq!(
        (masked.index_of(&id(7)).unwrap(), masked.sees(7).unwrap(), masked.sees(70).unwrap()),
        (Some(7), true, false)
    );
    assert!(masked.find(&id(7)).is_err());
}

/// Groups of masks would pass for groups of people.
#[test]
fn nothing_is_grouped_or_counted_by_what_is_masked() {
    let trail = trail();
    let view = trail.view_under(masks());
    let groups = |by: &str, outcome: &str| {
        let filter = Search::new([""; 0], 0);
        let (by, outcome) = (by.to_owned(), outcome.to_owned());
        view.groups(&GroupsAsked { filter, by, outcome, reference: None, favourable: false })
    };
    assert_eq!(groups("model.version", "output.score > 0.4").unwrap().records, 70);
    for (by, outcome) in [
        ("inputs.ssn", "true"),
        ("length(subject.id)", "true"),
        ("inputs.account.iban", "true"),
        ("inputs", "true"),
        ("json_text(inputs, 'ssn')", "true"),
        ("rest", "true"),
        ("model.version, inputs.income", "true"),
        ("(SELECT max(inputs.ssn) FROM events)", "true"),
        ("model.version", "inputs.income > 1000"),
    ] {
        let refused = groups(by, outcome).unwrap_err();
        assert!(matches!(refused, QueryError::Hidden(_)) && !refused.to_string().contains("secret"), "{by}: {refused}");
    }
    // What came later stands under names of its own, and is masked as what it is.
    let policy = Policy { masks: vec![(field("output.label"), Mask::Drop)], rows: None };
    let view = trail.view_under(policy);
    let filter = Search::new([""; 0], 0);
    let (by, outcome) = ("json_text(outcome, 'label')".to_owned(), "true".to_owned());
    let refused = view.groups(&GroupsAsked { filter, by, outcome, reference: None, favourable: false }).unwrap_err();
    assert!(matches!(refused, QueryError::Hidden(_)), "{refused}");
}

/// Whoever sees a part of the trail draws from that part, says so, and whoever sees all of it draws the same.
#[test]
fn a_sample_of_a_part_says_which_and_checks_for_who_sees_all() {
    let trail = trail();
    let rows = "inputs.income < 1010 OR inputs.ssn = 'secret-0065'";
    let view = trail.view_under(Policy { masks: vec![(field("subject"), Mask::Drop)], rows: Some(rows.to_owned()) });
    let checkpoint = trail.view().snapshot().checkpoint().unwrap().note().to_string().into_bytes();
    let asked = |filter: &str| SampleAsked {
        filter: filter.to_owned(),
        n: 4,
        nonce: "4 2 6".to_owned(),
        checkpoint: checkpoint.clone(),
    };
    let drawn = view.sample(&asked("kind = 'decision' AND inputs.income > 1003")).unwrap();
    assert_eq!((drawn.population, drawn.excluded, drawn.erased), (7, 63, 0));
    assert!(drawn.filter.contains("inputs.income < 1010"), "{}", drawn.filter);
    let report = trail.view().check_sample(&drawn).unwrap();
    assert_eq!((report.verdict.is_good(), &report.difference), (true, &None));
    // A certificate that leaves the filter of the rows out is found.
    let claims_all = Certificate { filter: "kind = 'decision' AND inputs.income > 1003".to_owned(), ..drawn.clone() };
    assert!(!trail.view().check_sample(&claims_all).unwrap().verdict.is_good());
    for refused in ["subject.id = 'x'", "id IN (SELECT id FROM events)", "subject IS NOT NULL"] {
        let error = view.sample(&asked(refused)).unwrap_err();
        assert!(matches!(error, SampleError::Query(QueryError::Hidden(_))), "{refused}: {error}");
    }
    assert!(view.check_sample(&drawn).is_err());
}
