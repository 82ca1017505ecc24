//! T24: what someone would try who may ask, and should do no more than read.

use std::time::Duration;

use query::Limits;
use serde_json::{Value, json};

use crate::trail_of::{Trail, append, decision, rows};

fn small() -> Trail {
    Trail::holding(&(0..50).map(|n| decision(n, json!({"income": n}))).collect::<Vec<_>>(), &[])
}

#[test]
fn nothing_but_reading_is_done() {
    let trail = small();
    let canary = trail.temp.path().join("canary.csv");
    std::fs::write(&canary, "secret\n1\n").unwrap();
    let path = canary.display();
    let before = tree(trail.temp.path());
    for sql in [
        "CREATE TABLE t AS SELECT * FROM decisions".to_owned(),
        format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{path}'"),
        format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{path}'"),
        "CREATE VIEW v AS SELECT 1".to_owned(),
        "CREATE SCHEMA s".to_owned(),
        "CREATE DATABASE d".to_owned(),
        "CREATE FUNCTION f() RETURNS INT RETURN 1".to_owned(),
        "DROP TABLE events".to_owned(),
        "DROP VIEW decisions".to_owned(),
        "ALTER TABLE events ADD COLUMN x INT".to_owned(),
        "TRUNCATE TABLE events".to_owned(),
        "INSERT INTO events SELECT * FROM events".to_owned(),
        "UPDATE events SET kind = 'x'".to_owned(),
        "DELETE FROM events".to_owned(),
        "MERGE INTO events USING decisions ON true WHEN MATCHED THEN DELETE".to_owned(),
        format!("COPY events TO '{path}'"),
        format!("COPY (SELECT 1) TO '{path}' STORED AS CSV"),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "SET datafusion.catalog.information_schema = true".to_owned(),
        "RESET datafusion.execution.batch_size".to_owned(),
        "SHOW ALL".to_owned(),
        "BEGIN".to_owned(),
        "COMMIT".to_owned(),
        "PREPARE p AS SELECT 1".to_owned(),
        "EXECUTE p".to_owned(),
        "DEALLOCATE p".to_owned(),
        "GRANT SELECT ON events TO x".to_owned(),
        "CALL f()".to_owned(),
        "EXPLAIN DELETE FROM events".to_owned(),
        format!("EXPLAIN ANALYZE COPY events TO '{path}'"),
        "EXPLAIN ANALYZE INSERT INTO events SELECT * FROM events".to_owned(),
        "SELECT 1; DROP TABLE events".to_owned(),
        "SELECT 1; SELECT 2".to_owned(),
        "WITH x AS (DELETE FROM events RETURNING *) SELECT * FROM x".to_owned(),
        "WITH x AS (INSERT INTO events VALUES (1)) SELECT 1".to_owned(),
        "SELECT * INTO t FROM events".to_owned(),
        "SELECT * FROM events FOR UPDATE".to_owned(),
        format!("SELECT * FROM '{path}'"),
        format!("SELECT * FROM \"{path}\""),
        "SELECT * FROM '/etc/passwd'".to_owned(),
        "SELECT * FROM \"file:///etc/passwd\"".to_owned(),
        "SELECT * FROM \"http://localhost:7411/x.csv\"".to_owned(),
        format!("SELECT * FROM read_csv('{path}')"),
        format!("SELECT * FROM read_parquet('{path}')"),
        format!("SELECT * FROM parquet_metadata('{path}')"),
        "SELECT * FROM generate_series(1, 10)".to_owned(),
        "SELECT * FROM range(1000000000000)".to_owned(),
        "SELECT * FROM TABLE(range(10))".to_owned(),
        "SELECT * FROM information_schema.tables".to_owned(),
        "SELECT * FROM information_schema.df_settings".to_owned(),
        "SELECT * FROM onrecord.trail.nothing".to_owned(),
        "SELECT * FROM datafusion.public.events".to_owned(),
        "DESCRIBE events; DROP TABLE events".to_owned(),
        "DESCRIBE '/etc/passwd'".to_owned(),
        "SELECT salt FROM events".to_owned(),
        "SELECT \"inputs:rest\" FROM events".to_owned(),
        "SELECT content FROM events".to_owned(),
        "SELECT \"policy\u{1}inputs.income\" FROM events".to_owned(),
        "SELECT value_of(inputs.income) FROM events".to_owned(),
        "SELECT masked(inputs.income) FROM events".to_owned(),
        "SELECT read_file('/etc/passwd')".to_owned(),
        "SELECT pg_read_file('/etc/passwd')".to_owned(),
        "LOAD 'x'".to_owned(),
        "ATTACH 'x' AS y".to_owned(),
        "INSTALL httpfs".to_owned(),
        "USE other".to_owned(),
        "KILL 1".to_owned(),
        "ANALYZE TABLE events COMPUTE STATISTICS".to_owned(),
        "VACUUM events".to_owned(),
        String::new(),
        ";".to_owned(),
        "--".to_owned(),
    ] {
        let said = trail.error(&sql);
        assert!(!said.contains("secret") && !said.contains("root:"), "{sql}: {said}");
    }
    assert_eq!(tree(trail.temp.path()), before, "something was written");
    assert_eq!(trail.rows("SELECT count(*) FROM events"), [json!([50])]);
}

/// Every file with its length.
fn tree(root: &std::path::Path) -> Vec<(std::path::PathBuf, u64)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let data = entry.metadata().unwrap();
            if data.is_dir() { folders.push(entry.path()) } else { found.push((entry.path(), data.len())) }
        }
    }
    found.sort();
    found
}

#[test]
fn no_text_ends_the_process() {
    let trail = small();
    let deep = |open: &str, close: &str, n: usize| format!("SELECT {}1{} FROM events", open.repeat(n), close.repeat(n));
    for sql in [
        deep("(", ")", 10_000),
        deep("NOT ", "", 10_000),
        deep("- ", "", 10_000),
        deep("abs(", ")", 5_000),
        deep("CASE WHEN true THEN ", " END", 2_000),
        format!("SELECT {}", vec!["1"; 10_000].join(" + ")),
        format!("SELECT index FROM events WHERE {}", vec!["index = 1"; 4_000].join(" OR ")),
        format!("SELECT {}", "(SELECT ".repeat(3_000)),
        format!("SELECT inputs{} FROM events", ".a".repeat(10_000)),
        format!("SELECT inputs{} FROM events", "[\"a\"]".repeat(5_000)),
        format!("SELECT {} FROM events", vec!["*"; 2_000].join(",")),
        "x".repeat(65_537),
        "SELECT inputs[".to_owned(),
        "SELECT inputs[\"\u{0}\"] FROM events".to_owned(),
        "SELECT 'a' FROM events WHERE inputs.income = 1/0".to_owned(),
        "SELECT regexp_like('a', '((((a*)*)*)*)*b') FROM events".to_owned(),
        "SELECT repeat('x', 9223372036854775807)".to_owned(),
    ] {
        // An answer or an error; not the end.
        let _ = rows(&trail.view(), &sql);
    }
    assert_eq!(trail.rows("SELECT count(*) FROM events"), [json!([50])]);
}

#[test]
fn each_limit_is_an_error_that_names_it() {
    let trail = |limits: Limits| {
        let trail = Trail::with(Limits { threads: 2, ..limits });
        let writer = trail.open();
        append(&writer, &(0..400).map(|n| decision(n, json!({"income": n}))).collect::<Vec<_>>());
        writer.close().unwrap();
        trail
    };
    let heavy =
        "SELECT count(*) FROM events a, events b, events c, events d WHERE a.index + b.index + c.index < d.index";
    let slow = trail(Limits { time: Duration::from_millis(300), ..Limits::default() });
    let started = std::time::Instant::now();
    assert!(slow.error(heavy).starts_with("the query needs more than the time of 0.3 s"));
    assert!(started.elapsed() < Duration::from_secs(60));
    let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
    assert!(slow.error(endless).starts_with("the query needs more than the"));
    let tight = trail(Limits { memory_bytes: 1 << 20, spill_bytes: 1 << 20, ..Limits::default() });
    let wide = "SELECT count(*) FROM (SELECT DISTINCT a.index, b.index, a.id, b.id FROM events a, events b)";
    assert!(tight.error(wide).starts_with("the query needs more than the"), "{}", tight.error(wide));
    let short = trail(Limits { rows: 7, ..Limits::default() });
    let view = short.view();
    let mut answer = view.sql("SELECT index FROM events").unwrap();
    assert_eq!(answer.by_ref().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 7);
    assert!(answer.is_cut());
    // Planning them has no end that a limit on time would bring.
    for sql in [
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(200)),
        format!("SELECT 1 FROM events{}", ", events".repeat(200)),
    ] {
        let error = short.error(&sql);
        assert!(error.starts_with("the query needs more than the number of SELECTs and tables of 200"), "{error}");
    }
    let exact = view.sql("SELECT index FROM events LIMIT 7").unwrap();
    let mut exact = exact;
    assert_eq!(exact.by_ref().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 7);
    assert!(!exact.is_cut());
}

/// T24: a WITH is planned wherever it is named, so a few that name each the one before twice would be a plan without end.
#[test]
fn no_text_is_a_plan_without_end() {
    let trail = small();
    let doubled = |first: &str, each: fn(usize) -> String, levels: usize| {
        let ctes: Vec<String> = (1..=levels).map(|level| format!("a{level} AS ({})", each(level - 1))).collect();
        format!("WITH a0 AS ({first}), {} SELECT count(*) AS n FROM a{levels}", ctes.join(", "))
    };
    let union = |of: usize| format!("SELECT * FROM a{of} UNION ALL SELECT * FROM a{of}");
    let shapes: [fn(usize) -> String; 6] = [
        union,
        |of| format!("SELECT x.index FROM a{of} x, a{of} y"),
        |of| format!("SELECT * FROM A{of} WHERE index IN (SELECT index FROM a{of})"),
        |of| format!("SELECT * FROM (SELECT * FROM a{of}) UNION ALL (SELECT * FROM a{of})"),
        |of| format!("SELECT (SELECT max(index) FROM a{of}) AS index FROM a{of}"),
        |of| format!("WITH b AS (SELECT * FROM a{of}) SELECT * FROM b UNION ALL SELECT * FROM b"),
    ];
    let limit = "the query needs more than the number of SELECTs and tables, with those of a WITH each time";
    for each in shapes {
        let sql = doubled("SELECT index FROM events", each, 40);
        let error = trail.error(&sql);
        assert!(error.starts_with(limit), "{sql}: {error}");
        let explained = trail.error(&format!("EXPLAIN {sql}"));
        assert!(explained.starts_with(limit), "{explained}");
        let condition = format!("index IN ({sql})");
        let search = query::Search { matches: Some(condition), ..query::Search::new(["index"], 1) };
        let error = trail.view().search(&search).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with(limit), "{error}");
    }
    let quoted =
        doubled("SELECT 1 AS n", |of| format!("SELECT * FROM \"a{of}\" UNION ALL SELECT * FROM \"a{of}\""), 40);
    assert!(trail.error(&quoted).starts_with(limit));
    let values = format!("VALUES (1){}", " UNION ALL VALUES (1)".repeat(200));
    let error = trail.error(&values);
    assert!(error.starts_with("the query needs more than the number of SELECTs and tables of 200"), "{error}");
    // What anyone would write is answered: a long chain, and one that is named often.
    assert_eq!(trail.rows(&doubled("SELECT index FROM events", union, 4)), [json!([800])]);
    assert_eq!(
        trail.rows(&doubled("SELECT index FROM events", |of| format!("SELECT * FROM a{of}"), 40)),
        [json!([50])]
    );
    assert_eq!(
        trail.rows("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 9) SELECT max(x) FROM n"),
        [json!([9])]
    );
}

/// T21: what memory does not hold would stand on disk in clear. The same query over an open trail spills, and ends.
#[test]
fn a_query_of_an_encrypted_trail_puts_nothing_on_disk() {
    let sorted = "SELECT max(n) FROM (SELECT row_number() OVER (ORDER BY a.id, b.id, c.id) AS n
                  FROM events a, events b, events c)";
    for encrypted in [false, true] {
        let trail = Trail::made(Limits { threads: 1, memory_bytes: 16 << 20, ..Limits::default() }, encrypted);
        let writer = trail.open();
        let records: Vec<Value> =
            (0..50).map(|n| json!({"model": {"name": "m", "version": "1"}, "inputs": {"n": n}, "output": n})).collect();
        append(&writer, &records);
        writer.wait_sealed().unwrap();
        writer.settle().unwrap();
        writer.close().unwrap();
        let answer = rows(&trail.view(), sorted);
        if encrypted {
            let error = answer.unwrap_err().to_string();
            assert!(error.contains("queries of an encrypted trail"), "{error}");
        } else {
            assert_eq!(answer.unwrap(), [json!(["125000"])]);
        }
    }
}

#[test]
fn now_is_the_hosts_now() {
    let trail = small();
    let clock = host::ManualClock::at(1_793_534_400_000_000_000);
    let host = host::Host::builder().clock(clock).build();
    let engine = query::Engine::new(&host, Limits::default()).unwrap();
    let snapshot = trail::Reader::new(&trail.host, &trail.folder).snapshot().unwrap();
    let view = engine.view(snapshot, query::Policy::default()).unwrap();
    let row: Vec<Value> = rows(&view, "SELECT CAST(now() AS TEXT), CAST(current_date() AS TEXT)").unwrap();
    assert!(row[0][0].as_str().unwrap().starts_with("2026-11-01T12:00:00"), "{row:?}");
    assert_eq!(row[0][1], "2026-11-01");
    assert_eq!(rows(&view, "SELECT count(*) FROM decisions WHERE time >= 'today'").unwrap(), [json!([50])]);
    assert_eq!(rows(&view, "SELECT count(*) FROM decisions WHERE time < 'yesterday'").unwrap(), [json!([0])]);
}

/// Bytes that no writer made end in an answer or an error, whatever they are.
#[test]
fn no_file_ends_the_process() {
    let trail = small();
    let lake = trail.folder.root().join("lake");
    let is_data = |path: &std::path::PathBuf| path.extension().is_some_and(|extension| extension == "parquet");
    let file = std::fs::read_dir(lake).unwrap().map(|entry| entry.unwrap().path()).find(is_data).unwrap();
    let whole = std::fs::read(&file).unwrap();
    let flips = if std::env::var_os("ONRECORD_TEST_LONG").is_some() { 2_000 } else { 60 };
    let mut refused = 0;
    for flip in 0..flips {
        let mut bytes = whole.clone();
        // Half of them in the footer and what stands before it.
        let place = flip * 7_919;
        let at = if flip % 2 == 0 { bytes.len() - 1 - place % 4_000.min(bytes.len()) } else { place % bytes.len() };
        bytes[at] ^= 1 << (flip % 8);
        std::fs::write(&file, &bytes).unwrap();
        let engine = query::Engine::new(&trail.host, Limits { threads: 1, ..Limits::default() }).unwrap();
        let snapshot = trail::Reader::new(&trail.host, &trail.folder).snapshot().unwrap();
        let view = engine.view(snapshot, query::Policy::default()).unwrap();
        for sql in ["SELECT * FROM events", "SELECT inputs, output FROM decisions WHERE subject.id = 'customer-7'"] {
            refused += usize::from(rows(&view, sql).is_err());
        }
        let _ = view.look_up(lake::Lookup::Subject, &["customer-7"]);
    }
    assert!(refused > 0);
    std::fs::write(&file, &whole).unwrap();
    assert_eq!(trail.rows("SELECT count(*) FROM events"), [json!([50])]);
}
