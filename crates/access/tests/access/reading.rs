//! What a grant lets through, of a real trail: rows of other models and tenants, and masked values, are in no answer.

use access::{Assignment, Grant, Names, Permission, Resource};
use host::Host;
use query::{Engine, Limits, QueryError, View};
use record::JsonParser;
use serde_json::{Value, json};
use trail::{Folder, Intake, KeyFolder, Options, Outcome, Reader, Writer};

use crate::place::{NOW, Place, on_credit, person};

const SETTINGS: &str = r#"
[tenants]
field = "context.tenant"
[[mask]]
field = "subject"
as = "hash"
[[mask]]
field = "inputs.ssn"
as = "drop"
[[mask]]
field = "inputs.iban"
as = "last-4"
[[mask]]
field = "inputs.income"
as = "bucket"
width = 1000000000000
"#;

struct Trail {
    _temp: tempfile::TempDir,
    host: Host,
    folder: Folder,
    engine: Engine,
}

impl Trail {
    /// Of these records the first half is settled, and the rest is in the journal.
    fn of(records: &[Value]) -> Trail {
        let temp = tempfile::tempdir().unwrap();
        let (folder, host) = (Folder::new(temp.path().join("trail")), Host::system());
        let keys = KeyFolder(temp.path().join("keys"));
        trail::init(&host, &folder, Some("example.com/access"), &keys).unwrap();
        let options = Options { compact: false, scrub: None, settle_bytes: u64::MAX, ..Options::default() };
        let writer = Writer::open(&host, &folder, &keys, options).unwrap();
        let (settled, hot) = records.split_at(records.len() / 2);
        append(&writer, settled);
        if !settled.is_empty() {
            writer.wait_sealed().unwrap();
            writer.settle().unwrap();
        }
        append(&writer, hot);
        writer.wait_sealed().unwrap();
        // Closing would settle what is hot.
        std::mem::forget(writer);
        let engine = Engine::new(&host, Limits { threads: 2, ..Limits::default() }).unwrap();
        Trail { _temp: temp, host, folder, engine }
    }

    fn view(&self, grant: &Grant) -> View {
        let snapshot = Reader::new(&self.host, &self.folder).snapshot().unwrap();
        self.engine.view(snapshot, grant.policy.clone()).unwrap()
    }
}

fn append(writer: &Writer, records: &[Value]) {
    if records.is_empty() {
        return;
    }
    let mut parser = JsonParser::new(record::Limits::DEFAULT);
    let records = records.iter().map(|json| parser.parse(json.to_string().as_bytes()).unwrap()).collect::<Vec<_>>();
    let outcomes = writer.append(records, Intake::Import).unwrap();
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Kept(_))));
}

fn records() -> Vec<Value> {
    let id = |n: u64| format!("0190a5c2-7b1e-7c3a-9d55-{n:012x}");
    let decision = |n: u64| {
        let model = ["risk", "fraud", "it's"][n as usize % 3];
        let tenant = ["north", "south", "o'neil", ""][n as usize % 4];
        let context = if tenant.is_empty() { json!({}) } else { json!({"tenant": tenant}) };
        json!({
            "id": id(n), "kind": "decision", "time": format!("2026-02-01T12:00:{:02}Z", n % 60),
            "model": {"name": model, "version": "1"}, "output": {"score": 0.5}, "context": context,
            "inputs": {"ssn": format!("canary-{n}"), "iban": format!("DE00canary{n:04}"), "income": 4_123_456_789_000_u64 + n},
            "subject": {"id": format!("canary-{n}"), "case": format!("canary-case-{n}")},
        })
    };
    let mut records: Vec<Value> = (0..24).map(decision).collect();
    records.insert(
        3,
        json!({
            "id": id(900), "kind": "access", "time": "2026-02-01T12:00:00Z", "context": {"query": "canary"},
            "subject": {"id": "canary-reader"},
        }),
    );
    records.push(json!({
        "id": id(901), "kind": "access", "time": "2026-02-01T12:00:00Z", "context": {"query": "canary", "tenant": "north"},
    }));
    records
}

fn grant(assignment: Assignment, model: Option<&str>) -> Grant {
    let access = Place::with(SETTINGS).open();
    let someone = person("someone", vec![assignment]);
    let resource = Resource { trail: Some("credit"), model };
    access.authorize(&someone, Permission::Sql, &resource, Some("case 7"), NOW).unwrap()
}

fn rows(view: &View, sql: &str) -> Result<String, QueryError> {
    let mut out = String::new();
    for batch in view.sql(sql)? {
        let batch = batch?;
        let options = arrow::util::display::FormatOptions::default();
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| arrow::util::display::ArrayFormatter::try_new(column, &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
            out += &format!("{}\n", cells.join("|"));
        }
    }
    Ok(out)
}

/// How many decisions, and access records, are seen.
fn counts(trail: &Trail, grant: &Grant) -> (String, String) {
    let view = trail.view(grant);
    let count =
        |table: &str, of: &str| rows(&view, &format!("SELECT count(*) FROM {table} {of}")).unwrap().trim().to_owned();
    (count("decisions", ""), count("events", "WHERE kind = 'access'"))
}

#[test]
fn rows_of_other_models_and_tenants_are_not_there() {
    let trail = Trail::of(&records());
    let some = |names: &[&str]| Names::of(names.iter().copied()).unwrap();
    let of = |models: Names, tenants: Names, model: Option<&str>| {
        let (decisions, access) = counts(&trail, &grant(Assignment { models, tenants, ..on_credit("analyst") }, model));
        assert_eq!(access, "0", "an analyst sees no access records");
        decisions
    };
    let all = || Names::All;
    assert_eq!(of(all(), all(), None), "24");
    assert_eq!(of(some(&["risk"]), all(), None), "8");
    assert_eq!(of(some(&["risk", "it's"]), all(), None), "16");
    assert_eq!(of(all(), all(), Some("it's")), "8");
    assert_eq!(of(all(), all(), Some("x' OR 'a' = 'a")), "0");
    assert_eq!(of(all(), some(&["north"]), None), "6");
    assert_eq!(of(all(), some(&["north", "o'neil"]), None), "12");
    assert_eq!(of(some(&["risk"]), some(&["north"]), None), "2");
    assert_eq!(of(Names::none(), all(), None), "0");
    assert_eq!(of(all(), Names::none(), None), "0");
    assert_eq!(counts(&trail, &grant(on_credit("auditor"), None)), ("24".to_owned(), "2".to_owned()));
}

#[test]
fn a_trail_that_has_no_such_field_has_no_such_rows() {
    let tenants = Names::of(["north"]).unwrap();
    let limited = grant(Assignment { tenants, models: Names::of(["risk"]).unwrap(), ..on_credit("analyst") }, None);
    assert_eq!(counts(&Trail::of(&[]), &limited), ("0".to_owned(), "0".to_owned()));
    let mut bare: Vec<Value> = records().into_iter().filter(|record| record["kind"] == "decision").collect();
    bare.iter_mut().for_each(|record| {
        record.as_object_mut().unwrap().remove("context");
    });
    assert_eq!(counts(&Trail::of(&bare), &limited), ("0".to_owned(), "0".to_owned()));
}

#[test]
fn no_masked_value_is_in_an_answer_or_an_error() {
    let trail = Trail::of(&records());
    let ways = [
        "SELECT * FROM events",
        "SELECT inputs, subject, context, rest FROM events",
        "SELECT inputs.ssn, subject.id, subject.case, inputs.income FROM decisions",
        "SELECT count(*) FROM decisions WHERE inputs.ssn LIKE 'canary%' OR subject.id LIKE 'canary%'",
        "SELECT CAST(subject.id AS INT) FROM decisions",
        "SELECT array_agg(inputs.iban), min(inputs.income), max(subject.id) FROM decisions",
        "EXPLAIN ANALYZE SELECT subject.id FROM decisions WHERE inputs.ssn = 'x'",
    ];
    for role in ["reader", "analyst", "model-owner"] {
        let access = Place::with(SETTINGS).open();
        let someone = person("someone", vec![on_credit(role)]);
        let resource = Resource::trail("credit");
        let grant = access.authorize(&someone, Permission::Search, &resource, None, NOW).unwrap();
        let view = trail.view(&grant);
        for sql in ways {
            let said = rows(&view, sql).unwrap_or_else(|error| error.to_string());
            for secret in ["canary", "4123456789"] {
                assert!(!said.contains(secret), "{role}: {sql} shows {secret}: {said}");
            }
        }
        let income = rows(&view, "SELECT DISTINCT inputs.income, json_text(inputs, 'income') FROM decisions").unwrap();
        assert_eq!(income, "4000000000000..5000000000000|4000000000000..5000000000000\n");
    }
    for role in ["auditor", "investigator", "regulator"] {
        let said = rows(&trail.view(&grant(on_credit(role), None)), "SELECT * FROM decisions").unwrap();
        assert!(said.contains("canary-7") && said.contains("4123456789007"), "{role}");
    }
}
