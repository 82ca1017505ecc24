//! Asking: `search` and `sql`, what they show, and what they refuse.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::place::{Place, decision};
use crate::told;

/// A record whose every text is out to deceive who reads it.
fn hostile() -> String {
    let texts = [
        "=cmd|' /C calc'!A0",
        "+1+1",
        "-1+1",
        "@SUM(A1)",
        "\\u001b[2J\\u001b]0;owned\\u0007",
        "abc\\u202edcba",
        "<script>alert(1)</script>",
        "a\\\"b,c\\r\\nd",
        "\\t=1",
        "'; DROP TABLE events; --",
    ];
    let records = texts.iter().enumerate().map(|(n, text)| {
        format!(
            "{{\"id\":\"0190a5c2-7b1e-7c3a-9d55-{n:012x}\",\"time\":\"2024-06-01T12:00:{n:02}Z\",\"model\":{{\"name\":\"m\",\"version\":\"1\"}},\
             \"inputs\":{{\"note\":\"{text}\",\"=evil key\":1}},\"output\":{{\"text\":\"{text}\"}}}}\n"
        )
    });
    records.collect()
}

#[test]
fn decisions_are_found_newest_first() {
    let place = Place::with_credit();
    told!(place.run(&["-q", "search", "trail", "--limit", "4", "--where", "inputs.age > 60"]));
    let args =
        ["-q", "search", "trail", "--model", "credit-risk", "--version", "1.1.0", "--since", "2026-03-10..2026-03-11"];
    let columns =
        ["--columns", "time,inputs.age,output.margin,explanation.values.age", "--where", "result.class = 'deny'"];
    told!(place.run(&[&args[..], &columns[..], &["--limit", "3"]].concat()));
    let found = place.run(&["search", "trail", "--subject", "applicant-0999", "--json"]);
    assert_eq!((found.code, &found.json()["inputs"]["age"], &found.json()["index"]), (0, &33.into(), &599.into()));
    assert!(found.err.contains("note: 1 record in "), "{}", found.err);
    let none = place.run(&["search", "trail", "--subject", "nobody", "--format", "json"]);
    assert_eq!((none.code, none.json(), none.err.contains("0 records")), (0, serde_json::json!([]), true));
}

#[test]
fn sql_is_answered() {
    let place = Place::with_credit();
    told!(place.run(&["-q", "sql", "trail", "SHOW TABLES"]));
    told!(place.run(&[
        "-q", "sql", "trail",
        "SELECT result.class, count(*) AS n, round(avg(output.margin), 3) AS margin FROM decisions GROUP BY 1 ORDER BY 1",
    ]));
    told!(place.run(&[
        "-q", "sql", "trail", "--format", "csv",
        "SELECT result.class, json_text(outcome, 'label') AS label, count(*) AS n FROM cases GROUP BY 1, 2 ORDER BY 1, 2",
    ]));
    let described = place.run(&["sql", "trail", "DESCRIBE models.\"credit-risk\"", "--format", "csv", "-q"]);
    assert!(
        described.out.contains("inputs.age,double,numbers; null where it is none of them\r\n"),
        "{}",
        described.out
    );
    let plan = place.run(&[
        "-q",
        "sql",
        "trail",
        "EXPLAIN ANALYZE SELECT id FROM decisions WHERE subject.id = 'applicant-0999'",
    ]);
    for told in [
        "files_by_log=",
        "rows_by_look_up=1",
        "row_groups_pruned_bloom_filter=",
        "page_index_rows_pruned=",
        "bytes_scanned=",
    ] {
        assert!(plan.out.contains(told), "{}", plan.out);
    }
    let from_stdin = place.run_on(&["-q", "sql", "trail", "-", "--json"], b"SELECT count(*) AS n FROM events");
    assert_eq!((from_stdin.code, from_stdin.out.as_str()), (0, "{\"n\":950}\n"));
}

#[test]
fn what_cannot_be_answered_says_why() {
    let place = Place::with_credit();
    told!(place.run(&["-q", "search", "trail", "--where", "inputs.agee > 3"]));
    told!(place.run(&["-q", "search", "trail", "--where", "inputs.age = 'old'"]));
    told!(place.run(&["-q", "search", "trail", "--where", "1=1) OR (1=1"]));
    told!(place.run(&["-q", "search", "trail", "--since", "soon"]));
    told!(place.run(&["-q", "search", "trail", "--kind", "decisions"]));
    told!(place.run(&["-q", "sql", "trail", "DELETE FROM events"]));
    told!(place.run(&["-q", "sql", "trail", "SELECT * FROM read_parquet('x')"]));
    told!(place.run(&["-q", "sql", "trail", "SELECT * FROM decisons"]));
    told!(place.run(&[
        "-q",
        "sql",
        "trail",
        "SELECT a.id FROM events a, events b, events c WHERE a.id > b.id AND b.id > c.id",
        "--max-time",
        "0"
    ]));
    told!(place.run(&["-q", "sql", "nowhere", "SELECT 1"]));
}

#[test]
fn hostile_values_are_harmless_in_every_format() {
    let place = Place::with_trail();
    assert_eq!(place.run_on(&["append", "trail", "--settle"], hostile().as_bytes()).code, 0);
    let sql = "SELECT inputs.note, inputs, \"inputs[\"\"=evil key\"\"]\" FROM decisions ORDER BY index";
    told!(place.run(&["-q", "sql", "trail", sql]));
    told!(place.run(&["-q", "sql", "trail", sql, "--format", "csv"]));
    let json = place.run(&["-q", "sql", "trail", sql, "--format", "json"]).json();
    assert_eq!(json[4]["inputs.note"], "\u{1b}[2J\u{1b}]0;owned\u{7}");
    assert_eq!(json[7]["inputs"]["note"], "a\"b,c\r\nd");
    assert_eq!(json[0]["inputs[\"=evil key\"]"], 1.0);
    let lines = place.run(&["-q", "search", "trail", "--json"]);
    assert_eq!(lines.out.lines().count(), 10);
    assert!(!lines.out.contains('\u{1b}'));
}

#[test]
fn rows_go_on_to_other_programs_with_their_types() {
    let place = Place::with_credit();
    let out = |format: &str| {
        let args = ["-q", "search", "trail", "--limit", "5", "--columns", "id,time,inputs.age", "--format", format];
        let output = place.command(&args).output().unwrap();
        assert!(output.status.success());
        output.stdout
    };
    let parquet = out("parquet");
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
    assert!(out("arrow").starts_with(&[0xff, 0xff, 0xff, 0xff]));
    // Whoever has seen enough may leave.
    let mut head = Command::new("head").args(["-c", "1"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut ask = place.command(&["-q", "sql", "trail", "SELECT * FROM events", "--format", "csv"]);
    let done = ask.stdout(head.stdin.take().unwrap()).stderr(Stdio::piped()).output().unwrap();
    head.wait().unwrap();
    assert_eq!((done.status.code(), String::from_utf8(done.stderr).unwrap().as_str()), (Some(0), ""));
}

/// The story: someone appends, and while that goes on someone else asks; then all is settled and merged, and the answers
/// are the same.
#[test]
fn a_trail_answers_alike_through_its_life() {
    let place = Place::with_trail();
    let (mut writer, mut stdin) = place.held_open(&["append", "trail", "--receipts"]);
    let mut receipts = std::io::BufReader::new(writer.stdout.take().unwrap());
    let mut receipt = || {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut receipts, &mut line).unwrap();
    };
    let count = || {
        place.run(&["-q", "sql", "trail", "SELECT count(*) AS n, sum(inputs.income) AS s FROM decisions", "--json"]).out
    };
    assert_eq!(place.run(&["-q", "sql", "trail", "SELECT count(*) AS n FROM decisions", "--json"]).out, "{\"n\":0}\n");
    for number in 0..20 {
        stdin.write_all(decision(number).as_bytes()).unwrap();
        receipt();
    }
    let before = count();
    assert_eq!(before, "{\"n\":20,\"s\":840190.0}\n");
    drop(stdin);
    assert!(writer.wait().unwrap().success());
    assert_eq!(count(), before);
    assert_eq!(place.run_on(&["append", "trail", "--settle"], decision(3).as_bytes()).code, 0);
    assert_eq!(count(), before);
    assert_eq!(place.run(&["compact", "trail"]).code, 0);
    assert_eq!(count(), before);
    // A read-only copy answers too.
    let copied = Command::new("cp").args(["-r", "trail", "copy"]).current_dir(place.path(".")).status().unwrap();
    assert!(copied.success());
    let copy = place.run(&[
        "-q",
        "search",
        "copy",
        "--where",
        "inputs.income = 42003",
        "--columns",
        "index,output",
        "--format",
        "csv",
    ]);
    assert_eq!((copy.code, copy.out.as_str()), (0, "index,output\r\n3,0.85\r\n"), "{}", copy.told());
    assert!(place.run(&["search", "trail"]).err.contains("note: 20 records in "));
}

/// What docs/sql.md shows is answered.
#[test]
fn the_page_on_sql_is_run() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sql.md")).unwrap();
    let place = Place::with_credit();
    let blocks = page.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut run = 0;
    for block in blocks {
        let asked = place.run(&["-q", "sql", "trail", block, "--format", "ndjson"]);
        assert!(asked.code == 0 && !asked.out.is_empty(), "{block}{}", asked.told());
        run += 1;
    }
    assert!(run >= 7, "{run} blocks");
}
