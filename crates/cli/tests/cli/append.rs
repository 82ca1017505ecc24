//! Appending: what is taken, what is refused and how that is told.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Write as _};

use crate::place::{GERMAN_CREDIT, Place, decision, signal};
use crate::told;

const BAD: &str = "{\"model\":{\"name\":\"m\",\"version\":\"1\"},\"inputs\":{\"a\":1,\"a\":2},\"output\":1}\n\
                   not json\n\
                   {\"modle\":{},\"output\":1}\n";

#[test]
fn bad_lines_are_told_and_the_rest_goes_on() {
    let place = Place::with_trail();
    place.write("mixed.ndjson", format!("{}{BAD}\n{}", decision(1), decision(2)));
    told!(place.run(&["append", "trail", "mixed.ndjson"]));
    assert_eq!(place.run(&["stats", "trail", "--json"]).json()["records"], 2);
}

#[test]
fn nothing_taken_is_bad_input() {
    let place = Place::with_trail();
    told!(place.run_on(&["append", "trail"], BAD.as_bytes()));
}

#[test]
fn strict_writes_nothing_when_one_is_bad() {
    let place = Place::with_trail();
    let mixed = format!("{}{BAD}", decision(1));
    told!(place.run_on(&["append", "trail", "--strict"], mixed.as_bytes()));
    assert_eq!(place.run(&["stats", "trail", "--json"]).json()["records"], 0);
    let good = place.run_on(&["append", "trail", "--strict"], decision(1).as_bytes());
    assert_eq!((good.code, place.run(&["stats", "trail", "--json"]).json()["records"].as_u64()), (0, Some(1)));
}

#[test]
fn receipts_name_index_digest_and_salt() {
    let place = Place::with_trail();
    let run = place.run_on(&["append", "trail", "--receipts"], (decision(1) + &decision(2)).as_bytes());
    let receipts: Vec<serde_json::Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(receipts.len(), 2);
    assert_eq!((&receipts[1]["index"], &receipts[1]["trail"]), (&1.into(), &"example.com/credit".into()));
    assert_eq!(receipts[1]["id"], "0190a5c2-7b1e-7c3a-9d55-000000000002");
    assert_eq!(receipts[1]["digest"].as_str().unwrap().len(), 64);
    assert_eq!(receipts[1]["salt"].as_str().unwrap().len(), 32);
    let shown = place.run(&["show", "trail", "1", "--json"]).json();
    assert_eq!((&shown["digest"], &shown["stamp"]), (&receipts[1]["digest"], &receipts[1]["stamp"]));
}

#[test]
fn the_same_file_twice_changes_nothing() {
    let place = Place::with_credit();
    let run = place.run(&["append", "trail", GERMAN_CREDIT, "--json"]);
    let summary = &run.json()["summary"];
    assert_eq!((run.code, &summary["taken"], &summary["again"]), (0, &0.into(), &950.into()));
    assert_eq!(place.run(&["stats", "trail", "--json"]).json()["records"], 950);
}

#[test]
fn another_content_under_a_known_id_is_refused() {
    let place = Place::with_trail();
    assert_eq!(place.run_on(&["append", "trail"], decision(1).as_bytes()).code, 0);
    told!(place.run_on(&["append", "trail"], decision(1).replace("0.85", "0.86").as_bytes()));
}

#[test]
fn json_documents_arrays_and_cbor_are_read_too() {
    let place = Place::with_trail();
    place.write("array.json", format!("[{},\n{}]", decision(1), decision(2)));
    place.write("pretty.json", decision(3).replace(',', ",\n  "));
    let mut parser = record::JsonParser::new(record::Limits::DEFAULT);
    let cbor = |number| record::to_cbor(&parser.parse(decision(number).as_bytes()).unwrap().parts).unwrap();
    place.write("sequence.cbor", [4, 5].map(cbor).concat());
    let run = place.run(&["append", "trail", "array.json", "pretty.json", "sequence.cbor", "--json"]);
    assert_eq!((run.code, run.json()["summary"]["taken"].as_u64()), (0, Some(5)), "{}", run.told());
}

#[test]
fn what_cannot_be_read_is_told_before_anything_is_written() {
    let place = Place::with_trail();
    place.write("good.ndjson", decision(1));
    place.write("notes.txt", "");
    let mut told = String::new();
    for file in ["notes.txt", "missing.ndjson", "trail"] {
        let run = place.run(&["append", "trail", "good.ndjson", file]);
        assert_eq!(run.code, 2, "{file}");
        told += &run.err;
    }
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(told);
    });
    assert_eq!(place.run(&["stats", "trail", "--json"]).json()["records"], 0);
}

#[test]
fn a_line_over_the_limit_is_skipped_and_the_limit_named() {
    let place = Place::with_trail();
    let long = format!("{{\"inputs\":\"{}\"}}\n", "x".repeat(17 << 20));
    let run = place.run_on(&["append", "trail"], (long + &decision(1)).as_bytes());
    assert_eq!(run.code, 4);
    assert!(run.err.contains("stdin:1: the line is longer than the limit of 16777216 bytes"), "{}", run.err);
}

#[test]
fn a_trail_is_not_continued_without_its_key() {
    let place = Place::new();
    assert_eq!(place.run(&["init", "trail", "--origin", "example.com/credit", "--no-encryption"]).code, 0);
    let mut command = place.command(&["append", "trail", "decisions.ndjson"]);
    place.write("decisions.ndjson", decision(1));
    let run = place.of(command.env("ONRECORD_KEYS", place.path("none")).output().unwrap());
    assert_eq!(run.code, 3);
    assert!(run.err.contains("the signing key of example.com/credit is not at"), "{}", run.err);
}

#[test]
fn records_are_kept_when_nobody_reads_the_receipts() {
    let place = Place::with_trail();
    place.write("many.ndjson", (0..3_000).map(decision).collect::<String>());
    let (mut child, _) = place.held_open(&["append", "trail", "many.ndjson", "--receipts"]);
    let mut first = String::new();
    BufReader::with_capacity(16, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let run = place.of(child.wait_with_output().unwrap());
    assert_eq!(run.code, 4, "{}", run.told());
    assert!(run.err.contains("receipts cannot be written to stdout any more"), "{}", run.err);
    assert_eq!(place.run(&["stats", "trail", "--json"]).json()["sealed"], 3_000);
}

#[test]
fn records_are_kept_when_the_output_is_full() {
    let place = Place::with_trail();
    for (number, args) in [&["--receipts"][..], &["--json"], &[]].into_iter().enumerate() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        place.write("one.ndjson", decision(number as u32));
        let mut command = place.command(&[&["append", "trail", "one.ndjson"], args].concat());
        let run = place.of(command.stdout(full).output().unwrap());
        assert_eq!(run.code, 4, "{}", run.told());
        assert!(run.err.contains("no space left on device"), "{}", run.err);
        assert_eq!(place.run(&["stats", "trail", "--json"]).json()["records"], number + 1);
    }
}

#[test]
fn a_record_is_on_record_while_the_next_is_waited_for() {
    let place = Place::with_trail();
    let mut parser = record::JsonParser::new(record::Limits::DEFAULT);
    let cbor = record::to_cbor(&parser.parse(decision(3).as_bytes()).unwrap().parts).unwrap();
    for (format, record) in [("ndjson", decision(1).into_bytes()), ("json", decision(2).into_bytes()), ("cbor", cbor)] {
        let (mut child, mut stdin) = place.held_open(&["append", "trail", "--receipts", "--format", format]);
        stdin.write_all(&record).unwrap();
        let mut receipt = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut receipt).unwrap();
        assert!(receipt.contains("\"digest\""), "{format}: {receipt}");
        drop(stdin);
        assert_eq!(place.of(child.wait_with_output().unwrap()).code, 0);
    }
}

#[test]
fn an_interrupted_append_keeps_what_it_has_read_and_says_so() {
    let place = Place::with_trail();
    for (name, records) in [("INT", 2), ("TERM", 4)] {
        let (mut child, mut stdin) = place.held_open(&["append", "trail", "--receipts"]);
        stdin.write_all(decision(records).as_bytes()).unwrap();
        let mut receipts = BufReader::new(child.stdout.take().unwrap()).lines();
        receipts.next().unwrap().unwrap();
        stdin.write_all(decision(records + 1).as_bytes()).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        signal(&child, name);
        let left = receipts.count();
        let run = place.of(child.wait_with_output().unwrap());
        assert_eq!((run.code, left), (4, 1), "{}", run.told());
        assert!(run.err.contains("interrupted") && run.err.contains("2 records"), "{}", run.err);
        assert_eq!(place.run(&["stats", "trail", "--json"]).json()["sealed"], records);
    }
    assert!(!place.path("trail/writer.sock").exists());
}

#[test]
fn an_input_without_records_is_told() {
    let run = Place::with_trail().run(&["append", "trail"]);
    assert!(run.code == 0 && run.out.starts_with("nothing appended: the input held no records"), "{}", run.told());
}
