//! Nothing that a record says can act: not in a terminal, not in a page, not in a document (T24).

use host::Host;
use proptest::prelude::*;
use record::{JsonParser, Limits};
use serde_json::{Value, json};
use trail::{Folder, Intake, KeyFolder, Options, Reader, Snapshot, Writer, init};

use super::*;
use crate::find::{self, TakenFor};
use crate::session::Session;
use crate::sheet::page::{self, markup};
use crate::sheet::terminal;

/// Pieces that mean something to a browser, a terminal, a spreadsheet or an eye.
fn piece() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "'",
        "</td></table>",
        "</style>",
        "<!--",
        "]]>",
        "&lt;b&gt;",
        "javascript:alert(1)",
        "{{ 7*7 }}",
        "{% raw %}",
        "=HYPERLINK(\"http://x\")",
        "+1",
        "-1",
        "@SUM(1)",
        "\u{1b}[31m",
        "\u{1b}]0;owned\u{7}",
        "\u{9b}2J",
        "\u{202e}",
        "\u{2066}",
        "\u{200b}",
        "\u{feff}",
        "\u{e0041}",
        "\r\n",
        "\t",
        "\\",
        "\0",
        "\u{7f}",
        "東京",
        "é",
        " ",
    ]);
    prop_oneof![3 => known.prop_map(str::to_owned), 1 => any::<String>()]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..5).prop_map(|pieces| pieces.concat().chars().take(200).collect())
}

/// A name of the envelope, which refuses control characters.
fn name() -> impl Strategy<Value = String> {
    text().prop_map(|text| text.chars().filter(|c| !c.is_control()).take(40).collect::<String>() + "n")
}

/// A key: any but one that would be read as an escape.
fn key() -> impl Strategy<Value = String> {
    text().prop_map(|text| format!("k{}", text.chars().take(60).collect::<String>()))
}

fn records() -> impl Strategy<Value = Vec<Value>> {
    let texts = prop::collection::vec(text(), 12);
    (texts, prop::collection::vec(name(), 8), prop::collection::vec(key(), 4)).prop_map(|(t, n, k)| {
        let id = |last: u32| format!("0190a5c2-7b1e-7c3a-9d55-{last:012x}");
        let model = json!({"name": n[0], "version": n[1]});
        let producer = json!({"name": n[2], "instance": n[3], "seq": 2});
        vec![
            json!({"id": id(1), "model": model, "producer": producer, "clock": {"source": n[4], "max_error_ns": 5},
                "time": "2024-06-01T12:00:00Z", "profile": [n[5]], "result": {"class": n[6]},
                "sampling": {"probability": 0.5, "reason": n[7]},
                "trace": {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"},
                "subject": {"id": t[0], "case": t[1], "more": {&k[0]: t[2]}},
                "inputs": {&k[1]: t[3], "list": [t[4], {&k[2]: t[5]}], "q": {"value": 1, "unit": t[6]}},
                "parameters": {&k[2]: 1}, "output": {&k[3]: t[7]},
                "explanation": {"method": t[8], "space": t[9], "base": 0.5, "values": {&k[1]: 1.5, "x": -2}},
                "context": {&k[0]: t[10]}}),
            json!({"id": id(2), "kind": "oversight", "about": id(1), "output": {"before": t[1], "after": {&k[0]: t[2]}},
                "subject": {"id": t[3]}, "context": {"reason": t[4], "meaning": t[5], "action": t[6]}}),
            json!({"id": id(3), "kind": "outcome", "about": id(1), "output": {&k[0]: t[7]}, "context": {"by": t[8]}}),
            json!({"id": id(4), "kind": "model", "model": model, "context": {"event": t[9], "by": t[10], &k[1]: t[11]}}),
            json!({"id": id(5), "kind": "access", "about": id(1), "subject": {"id": t[0]}, "context": {"reason": t[1]}}),
            json!({"id": id(6), "kind": "hold", "about": id(1), "context": {"event": t[2], &k[3]: t[3]}}),
            json!({"id": id(7), "model": model, "inputs": {"a": t[4]}, "output": t[5],
                "subject": {"id": t[0], "case": t[1]}, "trace": {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}}),
        ]
    })
}

/// A trail of these records.
fn on_record(temp: &tempfile::TempDir, records: &[Value]) -> Snapshot {
    let (host, folder) = (Host::system(), Folder::new(temp.path().join("trail")));
    let keys = KeyFolder(temp.path().join("keys"));
    init(&host, &folder, Some("example.com/hostile"), &keys).unwrap();
    let writer = Writer::open(&host, &folder, &keys, Options::default()).unwrap();
    let mut parser = JsonParser::new(Limits::DEFAULT);
    let parsed = records.iter().map(|record| parser.parse(record.to_string().as_bytes()).unwrap()).collect();
    writer.append(parsed, Intake::Import).unwrap();
    writer.wait_sealed().unwrap();
    writer.close().unwrap();
    Reader::new(&host, &folder).snapshot().unwrap()
}

/// Marks that the terminal itself would act upon, or that turn or hide what is read.
fn treacherous(text: &str) -> Option<char> {
    let acts = |c: &char| c.is_control() && *c != '\n';
    let turns = |c: &char| matches!(*c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}' | '\u{feff}');
    let tags = |c: &char| matches!(*c, '\u{e0000}'..='\u{e007f}');
    text.chars().find(|c| acts(c) || turns(c) || tags(c))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn nothing_that_a_record_says_can_act(records in records(), columns in prop::option::of(40usize..160)) {
        let temp = tempfile::tempdir().unwrap();
        let snapshot = on_record(&temp, &records);
        let session = Session { width: columns, ..Session::plain() };
        let show = |sheet: &Sheet| {
            let drawn = anstream::adapter::strip_str(&terminal::render(&session, sheet)).to_string();
            let page = page::render(sheet).unwrap();
            (drawn, page)
        };
        for (index, record) in records.iter().enumerate() {
            let found = snapshot.get(index as u64).unwrap().unwrap();
            let case = CaseFile::gather(&snapshot, found, true).unwrap();
            let (drawn, page) = show(&case.sheet().unwrap());
            prop_assert_eq!(treacherous(&drawn), None, "{}", drawn);
            prop_assert_eq!(treacherous(&page), None);
            prop_assert_eq!(markup::faults(&page), Vec::<String>::new());
            let document = json::document(&case, TakenFor::Index).unwrap();
            prop_assert_eq!(treacherous(&document), None);
            // And nothing is lost by that.
            let read: Value = serde_json::from_str(&document).unwrap();
            for section in ["subject", "inputs", "output", "context"] {
                prop_assert_eq!(&read["record"][section], &record[section]);
            }
        }
        let subject = records[0]["subject"]["id"].as_str().unwrap();
        let listing = find::of(&snapshot, TakenFor::Subject, subject).unwrap();
        let (drawn, page) = show(&listing.sheet(&snapshot).unwrap());
        prop_assert_eq!(treacherous(&drawn), None);
        prop_assert_eq!(markup::faults(&page), Vec::<String>::new());
        prop_assert_eq!(treacherous(&listing.document(&snapshot).unwrap()), None);
    }
}
