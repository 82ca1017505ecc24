//! Finding single records, newest records, and what is read for it.

use lake::Lookup;
use query::{Search, Span};
use serde_json::{Value, json};

use crate::trail_of::{Trail, append, decision, id};

/// Ten files of 2,000 decisions each, one after the other in time, and a few in the journal.
fn long() -> Trail {
    let trail = Trail::new();
    let writer = trail.open();
    for file in 0..10u64 {
        let records: Vec<Value> = (0..2_000u64)
            .map(|n| {
                let mut record = decision(file * 2_000 + n, json!({"income": n}));
                record["time"] = json!(1_793_534_400_000_000_000i64 + (file * 2_000 + n) as i64 * 1_000_000_000);
                record
            })
            .collect();
        append(&writer, &records);
        writer.wait_sealed().unwrap();
        writer.settle().unwrap();
    }
    append(&writer, &[decision(20_000, json!({"income": 1}))]);
    writer.wait_sealed().unwrap();
    std::mem::forget(writer);
    trail
}

/// Figures of a plan: for each metric of the scan its text.
fn metric(trail: &Trail, sql: &str, name: &str) -> String {
    let plan = trail.rows(&format!("EXPLAIN ANALYZE {sql}"));
    let text = plan[0][1].as_str().unwrap().to_owned();
    let scan =
        text.lines().find(|line| line.contains("DataSourceExec: file_groups")).unwrap_or_else(|| panic!("{text}"));
    let metric = scan.split(&format!("{name}=")).nth(1).unwrap_or_else(|| panic!("{scan}"));
    metric.split([',', ']']).next().unwrap().to_owned()
}

#[test]
fn files_are_passed_over_by_what_the_log_says_of_them() {
    let trail = long();
    for (condition, files, count) in [
        ("index = 4100", "1", 1),
        ("index BETWEEN 3999 AND 4000", "2", 2),
        ("id = '0190a5c2-7b1e-7c3a-9d55-000000001004'", "1", 1),
        ("time >= '2026-11-01T13:40:00Z' AND time < '2026-11-01T13:41:00Z' AND index < 20000", "1", 60),
        ("model.name = 'nobody'", "0", 0),
        ("model.version > '2'", "0", 0),
    ] {
        let sql = format!("SELECT id FROM decisions WHERE {condition}");
        assert_eq!(trail.rows(&sql).len(), count, "{condition}");
        assert_eq!(metric(&trail, &sql, "files_by_log"), format!("{files} of 10"), "{condition}");
    }
}

/// A null stands in the remainder, and so does a value of another type. Neither takes the pruning from other columns.
#[test]
fn pages_are_passed_over_beside_remainders() {
    let trail = Trail::new();
    let writer = trail.open();
    let records: Vec<Value> = (0..20_000u64)
        .map(|n| {
            let mut inputs = json!({"income": n, "age": n % 90, "mixed": n});
            if n % 50 == 7 {
                inputs["age"] = Value::Null;
            }
            if n % 5_000 == 9 {
                inputs["mixed"] = json!("many");
            }
            decision(n, inputs)
        })
        .collect();
    for records in records.chunks(10_000) {
        append(&writer, records);
    }
    writer.wait_sealed().unwrap();
    writer.settle().unwrap();
    std::mem::forget(writer);
    let pruned = |condition: &str| {
        let sql = format!("SELECT id FROM decisions WHERE {condition}");
        let pages = metric(&trail, &sql, "page_index_pages_pruned");
        (trail.rows(&sql).len(), pages)
    };
    for (condition, rows, pages) in [
        ("inputs.income < 100", 100, "5 total → 1 matched"),
        ("inputs.income < 100 AND inputs.age >= 0", 98, "5 total → 1 matched"),
        ("inputs.age IS NULL AND inputs.income < 100", 2, "5 total → 1 matched"),
        ("inputs.mixed < 100", 99, "5 total → 5 matched"),
        ("\"inputs.mixed:str\" = 'many'", 4, "5 total → 5 matched"),
    ] {
        assert_eq!(pruned(condition), (rows, pages.to_owned()), "{condition}");
    }
}

#[test]
fn a_subject_a_case_and_a_trace_are_looked_up_to_the_row() {
    let trail = long();
    for condition in [
        "subject.id = 'customer-4100'",
        "subject.case = 'case-2050'",
        "'00000000000000000000000000001005' = trace.trace_id",
        "subject.id = 'customer-4100' AND inputs.income >= 0",
    ] {
        let sql = format!("SELECT id FROM decisions WHERE {condition}");
        let found = trail.rows(&sql);
        assert!(!found.is_empty(), "{condition}");
        assert_eq!(metric(&trail, &sql, "rows_by_look_up"), found.len().to_string(), "{condition}");
        // Said so that nothing is looked up, it finds the same.
        let scanned = sql.replace(" = ", " || '' = ");
        assert_eq!(trail.rows(&scanned), found, "{condition}");
    }
    assert!(trail.rows("SELECT id FROM decisions WHERE subject.id = 'nobody'").is_empty());
    assert!(trail.rows("SELECT id FROM decisions WHERE subject.id = 'customer-4100' AND subject.id = 'x'").is_empty());
}

#[test]
fn times_are_cut_as_the_library_cuts_them() {
    let odd =
        ["1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00Z", "2024-02-29T12:34:56.789012Z", "1700-03-01T23:00:01Z"];
    let records: Vec<Value> = odd
        .iter()
        .enumerate()
        .map(|(n, time)| {
            let mut record = decision(n as u64, json!({}));
            record["time"] = json!(time);
            record
        })
        .collect();
    let trail = Trail::holding(&records, &[]);
    for step in ["second", "MINUTE", "hour", "day", "week", "month", "year"] {
        let sql = format!(
            "SELECT time FROM decisions WHERE date_trunc('{step}', time) <> \
             arrow_cast(date_trunc('{step}', arrow_cast(time, 'Timestamp(Microsecond, None)')), \
             'Timestamp(Microsecond, Some(\"UTC\"))')"
        );
        assert!(trail.rows(&sql).is_empty(), "{step}");
        assert_eq!(trail.rows(&format!("SELECT date_trunc('{step}', time) FROM decisions")).len(), odd.len());
    }
}

#[test]
fn the_newest_are_found_without_reading_the_others() {
    let trail = long();
    let sql = "SELECT index, inputs FROM decisions WHERE index < 20000 ORDER BY time DESC, index DESC LIMIT 5";
    let found: Vec<u64> = trail.rows(sql).iter().map(|row| row[0].as_u64().unwrap()).collect();
    assert_eq!(found, [19_999, 19_998, 19_997, 19_996, 19_995]);
    // Each of two threads may have begun with a file before the first rows told that no other is needed.
    let opened: u32 = metric(&trail, sql, "files_ranges_pruned_statistics")
        .split(" → ")
        .nth(1)
        .unwrap()
        .replace(" matched", "")
        .parse()
        .unwrap();
    assert!(opened <= 3, "{opened} of 10 files");
    let mut search = Search::new(["index"], 3);
    search.since = Some(Span::read("2026-11-01T13:00:00Z", 0).unwrap());
    search.until = Some(Span::read("2026-11-01T14:00:00Z", 0).unwrap());
    let view = trail.view();
    let found: usize = view.search(&search).unwrap().map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(found, 3);
}

#[test]
fn single_records_are_looked_up_in_lake_and_journal() {
    let trail = long();
    let view = trail.view();
    for n in [0, 4_100, 19_999, 20_000] {
        let found = view.find(&id(n).parse().unwrap()).unwrap().unwrap();
        assert_eq!((found.index, found.digest), (n, view.snapshot().get(n).unwrap().unwrap().digest));
        let subject = format!("customer-{n}");
        let by_subject = view.look_up(Lookup::Subject, &[&subject]).unwrap();
        assert_eq!(by_subject.iter().map(|found| found.index).collect::<Vec<_>>(), [n]);
        let by_trace = view.look_up(Lookup::Trace, &[&format!("{:032x}", n + 1)]).unwrap();
        assert_eq!(by_trace[0].index, n);
    }
    let both = view.look_up(Lookup::Case, &["case-2050", "case-1"]).unwrap();
    assert_eq!(both.iter().map(|found| found.index).collect::<Vec<_>>(), [2, 3, 4_100, 4_101]);
    assert!(view.find(&id(77_777).parse().unwrap()).unwrap().is_none());
    assert!(view.look_up(Lookup::Subject, &["nobody"]).unwrap().is_empty());
}

#[test]
fn a_condition_may_come_to_nothing() {
    let trail = long();
    let sql = "SELECT count(*) FROM decisions WHERE (model.version = '1.1' OR index < 10) AND index < 10";
    assert_eq!(trail.rows(sql), [json!([10])]);
    assert_eq!(trail.rows("SELECT count(*) FROM decisions WHERE inputs.income = 1 OR true"), [json!([20_001])]);
    assert_eq!(trail.rows("SELECT count(*) FROM decisions WHERE inputs.income = 1 AND false"), [json!([0])]);
}

#[test]
fn what_was_erased_is_counted_and_not_found() {
    let trail = Trail::new();
    let writer = trail.open();
    append(&writer, &(0..40).map(|n| decision(n, json!({"income": n, "odd key": n}))).collect::<Vec<_>>());
    writer.wait_sealed().unwrap();
    let erase = |n: u64, indices: &[u64], parts: &[&str]| {
        let parts = parts.iter().map(|part| (*part).to_owned()).collect();
        let (basis, by) = ("Art. 17".to_owned(), "dpo".to_owned());
        let id = id(9_000 + n).parse().unwrap();
        writer.erase(&trail::Erasure { id, indices: indices.to_vec(), parts, basis, by }).unwrap();
    };
    erase(1, &[7], &["envelope", "subject", "inputs", "parameters", "output", "explanation", "context"]);
    erase(2, &[8, 9], &["inputs", "subject"]);
    append(&writer, &[decision(40, json!({"income": 40}))]);
    writer.wait_sealed().unwrap();
    std::mem::forget(writer);
    assert_eq!(trail.rows("SELECT count(*), count(erased) FROM decisions"), [json!([41, 3])]);
    let rows = trail.rows(
        "SELECT index, erased, inputs, model.name, output.score FROM decisions WHERE erased IS NOT NULL ORDER BY index",
    );
    let partial = |index| json!([index, ["subject", "inputs"], null, "credit", 0.5]);
    assert_eq!(rows, [json!([7, ["record"], null, null, null]), partial(8), partial(9)]);
    for gone in
        ["inputs.income IN (7, 8, 9)", "inputs[\"odd key\"] = 8", "subject.id = 'customer-8'", "inputs LIKE '%:7%'"]
    {
        assert_eq!(trail.rows(&format!("SELECT count(*) FROM events WHERE {gone}")), [json!([0])], "{gone}");
    }
    let view = trail.view();
    assert_eq!(view.erased().unwrap(), 3);
    assert!(view.look_up(Lookup::Subject, &["customer-8"]).unwrap().is_empty());
    assert_eq!(view.find(&id(7).parse().unwrap()).unwrap().unwrap().index, 7);
}
