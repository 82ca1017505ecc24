//! Exports that are handed over as a stream, under the policy of whoever asks.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use export::{Expected, ExportError, Exported, Order, Outside, RowFormat, Staged, again, unpack, verify};
use host::Host;
use query::{Mask, Policy, QueryError, Search, View};
use record::FieldRef;

use crate::trail_of::*;

/// What every record's subject begins with.
const CANARY: &[u8] = b"s-2";

/// Columns whose rows are longer than the one part of records that they show.
const LONG: [&str; 18] = [
    "inputs:json",
    "inputs.number",
    "inputs.list",
    "inputs.text",
    "inputs.maybe:str",
    "inputs[\"odd key\"].deep",
    "index",
    "id",
    "kind",
    "time",
    "time_ns",
    "time_source",
    "received",
    "about",
    "clock:json",
    "producer:json",
    "model:json",
    "result:json",
];

fn order(search: Search, columns: &[&str], format: RowFormat) -> Order {
    let columns = columns.iter().map(|column| (*column).to_owned()).collect();
    Order {
        search,
        asked: "a test".to_owned(),
        columns,
        format,
        file_rows: 10,
        recipients: Vec::new(),
        bytes_max: 1 << 30,
    }
}

fn stage(host: &Host, view: &View, order: Order) -> Result<Staged, ExportError> {
    export::stage(host, view, order, &mut |_, _| ControlFlow::Continue(()))
}

/// What comes of an export that is not encrypted.
fn clear(exported: &Exported) -> Expected<'_> {
    let files = exported.summary().files;
    Expected { manifest_sha256: &exported.digest, files, encrypted: false }
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files_under(&path) } else { vec![path] }).collect()
}

/// Folders of exports that are being handed over, of this process and any other.
fn staged() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(std::env::temp_dir()).unwrap().filter_map(Result::ok);
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("onrecord-export-"));
    ours.map(|entry| entry.path()).collect()
}

#[test]
fn what_is_handed_over_is_what_is_written_to_a_folder() {
    let trail = Trail::made(40, 20, true);
    for format in [RowFormat::Parquet, RowFormat::Csv, RowFormat::Ndjson] {
        let folder = trail.export(&format!("{format:?}"), every(), &ALL, format, 10).folder;
        let before = staged();
        let staged_export = stage(&trail.host, &trail.view(), order(every(), &ALL, format)).unwrap();
        let made: Vec<PathBuf> = staged().into_iter().filter(|folder| !before.contains(folder)).collect();
        assert!(!made.is_empty(), "it stands somewhere");
        for file in made.iter().flat_map(|folder| files_under(folder)) {
            // Another test's may have gone meanwhile.
            let bytes = std::fs::read(&file).unwrap_or_default();
            assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY), "{}", file.display());
        }
        let (mut tar, mut begun) = (Vec::new(), Vec::new());
        staged_export.pack(&mut tar, &mut |rows| begun.push(rows)).unwrap();
        assert_eq!(begun.iter().sum::<u64>(), staged_export.exported().manifest.rows);
        let target = trail.temp.path().join(format!("unpacked-{format:?}"));
        unpack(&Host::system(), &*tar, &target, clear(staged_export.exported())).unwrap();
        assert!(check(&target).findings.is_empty());
        for name in files_under(&folder).iter().map(|file| file.file_name().unwrap()) {
            let (one, other) = (std::fs::read(folder.join(name)).unwrap(), std::fs::read(target.join(name)).unwrap());
            // The manifests say when each was made.
            let same = name.to_string_lossy().starts_with("manifest") || one == other;
            assert!(same, "{}", name.display());
        }
        drop(staged_export);
        let left: Vec<PathBuf> = made.iter().filter(|folder| folder.exists()).cloned().collect();
        assert!(left.len() < made.len(), "it goes with whoever held it");
    }
}

#[test]
fn what_is_hidden_is_in_no_part_of_it_and_is_told() {
    let trail = shared();
    let policy = Policy { masks: Vec::new(), rows: Some("model.name IN ('m1')".to_owned()) };
    let staged = stage(&trail.host, &trail.view_under(policy), order(every(), &ALL, RowFormat::Csv)).unwrap();
    let manifest = &staged.exported().manifest;
    assert!(!manifest.complete && manifest.rows > 0 && manifest.records == manifest.rows, "{manifest:?}");
    assert!(manifest.filter.matches.as_deref().is_some_and(|filter| filter.contains("model.name IN ('m1')")));
    assert!(manifest.evidence.counts.hidden > 0);
    let mut tar = Vec::new();
    staged.pack(&mut tar, &mut |_| {}).unwrap();
    assert!(!tar.windows(2).any(|window| window == b"m0"), "a model that is hidden is in it");
    let target = trail.temp.path().join("of-one-model");
    // Not where it was told of another one.
    let zeros = "0".repeat(64);
    let other = Expected { manifest_sha256: &zeros, ..clear(staged.exported()) };
    assert!(unpack(&Host::system(), &*tar, &target, other).is_err() && !target.exists());
    unpack(&Host::system(), &*tar, &target, clear(staged.exported())).unwrap();
    // Whoever sees all of the trail finds the same records by the query that the manifest tells.
    let mut report = verify(&trail.host, &target, &Outside::default(), &mut |_, _| {}).unwrap();
    again(&target, &trail.view(), &mut report).unwrap();
    assert!(report.findings.is_empty() && report.again.is_some(), "{:?}", report.findings);
}

#[test]
fn what_is_masked_is_in_no_part_of_it() {
    let trail = shared();
    let policy = || Policy { masks: vec![(FieldRef::parse("subject.id").unwrap(), Mask::Drop)], rows: None };
    let refused = |search: Search, columns: &[&str]| {
        let staged = stage(&trail.host, &trail.view_under(policy()), order(search, columns, RowFormat::Ndjson));
        match staged.map(|_| ()).unwrap_err() {
            ExportError::Query(QueryError::Hidden(why)) => assert!(why.contains("masked for your role"), "{why}"),
            other => panic!("{other}"),
        }
    };
    refused(every(), &ALL);
    refused(every(), &["index", "subject"]);
    refused(every(), &["index", "subject.case:json"]);
    refused(Search { subject: Some("s-2".to_owned()), ..every() }, &["index"]);
    refused(Search { matches: Some("subject.id LIKE 's%'".to_owned()), ..every() }, &["index"]);
    // Of other parts all is as it is.
    let staged =
        stage(&trail.host, &trail.view_under(policy()), order(every(), &["index", "inputs:json"], RowFormat::Csv));
    let staged = staged.unwrap();
    assert!(staged.exported().manifest.complete);
    let mut tar = Vec::new();
    staged.pack(&mut tar, &mut |_| {}).unwrap();
    assert!(!tar.windows(CANARY.len()).any(|window| window == CANARY));
}

#[test]
fn an_export_has_a_size() {
    let trail = shared();
    for (bytes_max, format) in [(100, RowFormat::Csv), (4_000, RowFormat::Parquet)] {
        let order = Order { bytes_max, ..order(every(), &ALL, format) };
        let refused = stage(&trail.host, &trail.view(), order).map(|_| ()).unwrap_err();
        assert!(matches!(refused, ExportError::TooLarge { max } if max == bytes_max), "{refused}");
    }
    // What is in a file that is still open counts too.
    let whole = |bytes_max| Order { bytes_max, file_rows: 1_000, ..order(every(), &LONG, RowFormat::Ndjson) };
    let made = stage(&trail.host, &trail.view(), whole(u64::MAX)).unwrap();
    let bytes = |name: &str| made.exported().manifest.files.iter().find(|file| file.name == name).unwrap().bytes;
    let (rows, records) = (bytes("rows-0001.ndjson"), bytes("records.cbor"));
    assert!(rows > records + 1_000, "{rows} {records}");
    let refused = stage(&trail.host, &trail.view(), whole(rows - 1)).map(|_| ());
    assert!(matches!(refused, Err(ExportError::TooLarge { .. })), "{refused:?}");
    assert!(stage(&trail.host, &trail.view(), whole(rows)).is_ok());
}

/// Rows of large records are made in smaller steps than they are compared in, and are the same.
#[test]
fn rows_of_large_records_are_the_same() {
    let trail = Trail::made(4, 0, false);
    trail.append_large(40, 600_000);
    for format in [RowFormat::Parquet, RowFormat::Csv] {
        let export = trail.export(&format!("large-{format:?}"), every(), &["index", "context:json"], format, 1_000);
        assert_eq!(export.exported.manifest.rows, 44);
        assert!(check(&export.folder).findings.is_empty());
    }
}

#[test]
fn an_export_that_nobody_waits_for_is_not_made() {
    let trail = shared();
    for until in [1, RECORDS + 10] {
        let mut wanted = |done, _| if done < until { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
        let made = export::stage(&trail.host, &trail.view(), order(every(), &ALL, RowFormat::Csv), &mut wanted);
        assert!(matches!(made.map(|_| ()), Err(ExportError::Unwanted)));
    }
}
