//! What is exported is what a search shows, and it checks.

use arrow_array::RecordBatch;
use export::{ExportError, Order, RowFormat, write};
use proptest::prelude::*;
use query::{RecordColumn, Search};
use record::Disclosed;
use trail::{Severity, Verdict};

use crate::trail_of::{ALL, RECORDS, Trail, check, decisions, every, shared};

fn names() -> Vec<String> {
    ALL.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn rows_made_of_records_are_those_that_a_search_shows() {
    let view = shared().view();
    let sql = Search { kind: None, ..Search::new(names(), Search::EVERY) }.to_sql().unwrap();
    let (select, _) = sql.split_once(" ORDER BY ").unwrap();
    let shown: Vec<RecordBatch> =
        view.sql(&format!("{select} ORDER BY \"index\"")).unwrap().map(Result::unwrap).collect();
    let shown = arrow::compute::concat_batches(shown[0].schema_ref(), &shown).unwrap();
    let columns = view.record_columns(&names()).unwrap();
    let records: Vec<Disclosed> = (0..RECORDS)
        .map(|index| Disclosed::of(index, &view.snapshot().get(index).unwrap().unwrap().stored, &|_| true))
        .collect();
    let made = RecordColumn::rows(&columns, &records).unwrap();
    for (name, (made, shown)) in names().iter().zip(made.columns().iter().zip(shown.columns())) {
        assert_eq!(made, shown, "{name}");
    }
}

#[test]
fn all_of_a_kind_is_complete_and_some_of_it_is_not() {
    let trail = shared();
    let all = trail.export("complete", decisions(), &["index", "output:json"], RowFormat::Ndjson, 7);
    let manifest = &all.exported.manifest;
    assert_eq!((manifest.complete, manifest.records, manifest.rows), (true, RECORDS, RECORDS * 4 / 5));
    assert_eq!((manifest.parts.as_slice(), manifest.row_files().len()), (&["output".to_owned()][..], 7));
    let report = check(&all.folder);
    assert_eq!((report.verdict, report.records, report.rows), (Verdict::Consistent, RECORDS, RECORDS * 4 / 5));
    let some = Search { model: Some("m1".to_owned()), ..decisions() };
    let some = trail.export("some", some, &["index"], RowFormat::Csv, 100);
    assert!(!some.exported.manifest.complete);
    assert!(check(&some.folder).not_checked.iter().any(|what| what.contains("whether every record")));
    let mut report = check(&some.folder);
    export::again(&some.folder, &trail.view(), &mut report).unwrap();
    assert_eq!((report.verdict, report.findings.len(), report.again.is_some()), (Verdict::Consistent, 0, true));
    let none = Search { subject: Some("nobody".to_owned()), ..decisions() };
    let none = trail.export("none", none, &ALL, RowFormat::Parquet, 100);
    assert_eq!((none.exported.manifest.rows, check(&none.folder).findings.len()), (0, 0));
}

#[test]
fn sections_that_no_column_is_of_are_held_back() {
    let export = shared().export("held-back", every(), &["index", "output:json"], RowFormat::Csv, 100);
    for entry in std::fs::read_dir(&export.folder).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        // What stands in inputs and envelope, and in them alone.
        for secret in [&b"odd key"[..], b"reg-b", b"quoted"] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret));
        }
    }
}

#[test]
fn nothing_is_written_over_and_nothing_partial_is_left() {
    let trail = shared();
    let taken = trail.temp.path().join("taken");
    std::fs::create_dir(&taken).unwrap();
    std::fs::write(taken.join("mine"), "mine").unwrap();
    let order = |columns: &[&str]| Order {
        search: every(),
        asked: String::new(),
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        format: RowFormat::Csv,
        file_rows: 10,
        recipients: Vec::new(),
        bytes_max: u64::MAX,
    };
    let refused = write(&trail.host, &trail.view(), order(&["index"]), &taken, &mut |_, _| {});
    assert!(matches!(refused, Err(ExportError::Taken(_))));
    assert_eq!(std::fs::read_dir(&taken).unwrap().count(), 1);
    let inside = trail.temp.path().join("inside");
    std::fs::create_dir(&inside).unwrap();
    for columns in [&["erased"][..], &["index", "index"], &["inputs.nothing"]] {
        let refused = write(&trail.host, &trail.view(), order(columns), &inside.join("never"), &mut |_, _| {});
        assert!(matches!(refused, Err(ExportError::Query(_))), "{columns:?}");
    }
    assert_eq!(std::fs::read_dir(&inside).unwrap().count(), 0);
    // An empty folder is as good as none.
    write(&trail.host, &trail.view(), order(&["index"]), &inside, &mut |_, _| {}).unwrap();
    assert_eq!(check(&inside).verdict, Verdict::Consistent);
}

#[test]
fn what_was_erased_is_counted_and_what_was_erased_since_is_told_apart() {
    let trail = Trail::holding(30, 0);
    let adverse = || Search { matches: Some("result.adverse".to_owned()), ..decisions() };
    let before = trail.export("before", adverse(), &["index", "inputs.number"], RowFormat::Csv, 100);
    trail.erase(&[6], &["envelope", "subject", "inputs", "parameters", "output", "explanation", "context"]);
    trail.erase(&[8], &["inputs"]);
    // The export that was made before is as good as it was, and the trail can no longer tell whether 6 belongs to it.
    let mut report = check(&before.folder);
    export::again(&before.folder, &trail.view(), &mut report).unwrap();
    let found: Vec<_> = report.findings.iter().map(|found| (found.severity, found.index)).collect();
    assert_eq!((report.verdict, found), (Verdict::Consistent, vec![(Severity::Note, Some(6))]));
    let after = trail.export("after", adverse(), &["index", "inputs.number"], RowFormat::Csv, 100);
    let counts = after.exported.manifest.evidence.counts;
    assert_eq!((counts.erased_matched, counts.erased_unjudged), (Some(1), 1));
    assert_eq!(check(&after.folder).erased, 1);
    let all = trail.export("all", decisions(), &["index", "inputs.number"], RowFormat::Csv, 100);
    let report = check(&all.folder);
    assert_eq!((report.verdict, report.erased, report.complete), (Verdict::Consistent, 2, true));
    let rows = std::fs::read_to_string(all.folder.join("rows-0001.csv")).unwrap();
    assert!(rows.contains("\r\n6,\r\n") && rows.contains("\r\n8,\r\n"), "{rows}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_rows_in_any_form_check(
        picked in proptest::collection::btree_set(0..RECORDS, 0..40),
        columns in proptest::sample::subsequence(ALL.to_vec(), 1..=ALL.len()),
        format in proptest::sample::select(vec![RowFormat::Parquet, RowFormat::Csv, RowFormat::Ndjson]),
        file_rows in 1u64..50, name in any::<u64>(),
    ) {
        let list: Vec<String> = picked.iter().map(ToString::to_string).collect();
        let matches = if list.is_empty() { "false".to_owned() } else { format!("\"index\" IN ({})", list.join(",")) };
        let search = Search { matches: Some(matches), ..every() };
        let export = shared().export(&format!("any-{name:x}"), search, &columns, format, file_rows);
        let report = check(&export.folder);
        prop_assert_eq!((report.findings, report.rows), (Vec::new(), picked.len() as u64));
        prop_assert_eq!(report.verdict, Verdict::Consistent);
    }
}
