//! T26: the log of the lake's table when it is short. Its checkpoints are an index that readers believe, so each lie in
//! one is found: by the entries it can be held against, or by counting the records.

use std::path::PathBuf;
use std::time::Duration;

use host::Host;
use trail::{Intake, Options, Reader, Verdict};

use crate::support::*;

/// A trail whose lake was settled and merged three times: its log has checkpoints of versions 4 and 6, and no entries
/// from before. Everything is settled.
fn trail() -> (Fixture, Vec<u8>) {
    let fixture = Fixture::new();
    let writer = fixture.open_as(&Host::system(), Options { clean_grace: Duration::ZERO, ..by_hand() }).unwrap();
    let mut done = Vec::new();
    for batch in [0..20, 20..40, 40..60, 60..80] {
        writer.append(records(batch.clone()), Intake::Import).unwrap();
        writer.settle().unwrap();
        if batch.start > 0 {
            let compacted = writer.compact().unwrap();
            done.push((compacted.checkpoint, compacted.log_removed, compacted.log_left));
        }
    }
    assert_eq!(done, [(Some(3), 0, 0), (Some(5), 3, 0), (Some(7), 3, 0)]);
    writer.append(records(80..90), Intake::Import).unwrap();
    writer.settle().unwrap();
    writer.close().unwrap();
    let pin = fixture.pin();
    let report = fixture.check(std::slice::from_ref(&pin));
    assert_eq!((report.verdict, report.size, report.lake_records), (Verdict::Valid, 90, 90), "{report:#?}");
    (fixture, pin)
}

fn entry(version: u64) -> PathBuf {
    format!("lake/_delta_log/{version:020}.json").into()
}

fn checkpoint(version: u64) -> PathBuf {
    format!("lake/_delta_log/{version:020}.checkpoint.parquet").into()
}

/// Takes one live file out of a checkpoint, which is then as good a checkpoint as any.
fn drop_a_file(fixture: &Fixture, version: u64, file: &str) {
    use arrow_array::Array as _;
    use arrow_array::cast::AsArray as _;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    let source = std::fs::File::open(fixture.path(checkpoint(version))).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(source).unwrap();
    let batches: Vec<arrow_array::RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    let mut out = Vec::new();
    let properties = parquet::file::properties::WriterProperties::builder()
        .set_statistics_enabled(parquet::file::properties::EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .build();
    let options = parquet::arrow::arrow_writer::ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true);
    let schema = batches[0].schema();
    let mut writer = parquet::arrow::ArrowWriter::try_new_with_options(&mut out, schema, options).unwrap();
    let (mut rows, mut adds, mut dropped) = (0, 0, 0);
    for batch in &batches {
        let add = batch.column_by_name("add").unwrap().as_struct();
        let paths = add.column_by_name("path").unwrap().as_string::<i32>();
        for row in 0..batch.num_rows() {
            let is_add = add.is_valid(row) && paths.is_valid(row);
            if is_add && paths.value(row) == file {
                dropped += 1;
                continue;
            }
            (rows, adds) = (rows + 1, adds + u64::from(is_add));
            writer.write(&batch.slice(row, 1)).unwrap();
        }
    }
    writer.close().unwrap();
    assert_eq!(dropped, 1);
    fixture.write(checkpoint(version), &out);
    let last: serde_json::Value = serde_json::from_slice(&fixture.read("lake/_delta_log/_last_checkpoint")).unwrap();
    if last["version"] == version {
        let last = serde_json::json!({
            "version": version, "size": rows, "sizeInBytes": out.len(), "numOfAddFiles": adds,
        });
        fixture.write("lake/_delta_log/_last_checkpoint", last.to_string().as_bytes());
    }
}

/// The file that the checkpoint names, when all was merged into one.
fn merged(fixture: &Fixture) -> String {
    let lake = lake::Snapshot::open(Host::system(), fixture.folder.lake()).unwrap();
    lake.files().iter().find(|file| file.first_index == 0).unwrap().path.clone()
}

/// One thing done to the log, and what must be said of it: the verdict, and the check that found it.
type Attack = (&'static str, fn(&Fixture), Verdict, &'static str);

const ATTACKS: &[Attack] = &[
    (
        "bytes of the newest checkpoint flipped",
        |f| {
            let mut bytes = f.read(checkpoint(7));
            let at = bytes.len() / 4;
            bytes[at..at + 64].iter_mut().for_each(|byte| *byte ^= 0x55);
            f.write(checkpoint(7), &bytes);
        },
        Verdict::Invalid,
        "T26",
    ),
    ("the newest checkpoint cut", |f| f.write(checkpoint(7), &f.read(checkpoint(7))[..1000]), Verdict::Invalid, "T26"),
    ("the newest checkpoint is empty", |f| f.write(checkpoint(7), b""), Verdict::Invalid, "T26"),
    ("the older checkpoint in its place", |f| f.write(checkpoint(7), &f.read(checkpoint(5))), Verdict::Invalid, "T26"),
    ("a file dropped from the newest checkpoint", |f| drop_a_file(f, 7, &merged(f)), Verdict::Invalid, "T26"),
    ("the older checkpoint removed", |f| remove(&f.path(checkpoint(5))), Verdict::Invalid, "T26"),
    ("the newest checkpoint removed, and still named", |f| remove(&f.path(checkpoint(7))), Verdict::Invalid, "T26"),
    ("an entry between the checkpoints removed", |f| remove(&f.path(entry(6))), Verdict::Invalid, "T26"),
    ("the entry of the newest checkpoint removed", |f| remove(&f.path(entry(7))), Verdict::Invalid, "T26"),
    ("the last entry removed", |f| remove(&f.path(entry(8))), Verdict::Incomplete, "I2"),
    (
        "_last_checkpoint names one that is not there",
        |f| f.write("lake/_delta_log/_last_checkpoint", br#"{"version":6,"size":4,"sizeInBytes":9,"numOfAddFiles":1}"#),
        Verdict::Invalid,
        "T26",
    ),
    ("_last_checkpoint is nonsense", |f| f.write("lake/_delta_log/_last_checkpoint", b"{"), Verdict::Invalid, "T26"),
    (
        "a sidecar beside them",
        |f| f.write("lake/_delta_log/00000000000000000008.checkpoint.0000000001.0000000001.parquet", b"x"),
        Verdict::Invalid,
        "T26",
    ),
];

#[test]
fn each_attack_on_a_short_log_is_caught() {
    let (good, pin) = trail();
    for (name, does, verdict, check) in ATTACKS {
        let fixture = good.copy();
        does(&fixture);
        let report = fixture.check(std::slice::from_ref(&pin));
        assert_eq!(report.verdict, *verdict, "{name}: {report:#?}");
        assert!(report.findings.iter().any(|finding| finding.check == *check), "{name}: {report:#?}");
        // A writer starts over it or refuses, and in either case takes nothing away that is a record's.
        let before: Vec<PathBuf> = fixture.files().into_iter().filter(|file| is_data(file)).collect();
        if let Ok(writer) = fixture.open_as(&Host::system(), by_hand()) {
            let _ = writer.close();
        }
        let after: Vec<PathBuf> = fixture.files().into_iter().filter(|file| is_data(file)).collect();
        assert_eq!(before, after, "{name}");
    }
}

fn is_data(file: &std::path::Path) -> bool {
    let name = file.to_str().unwrap();
    name.ends_with(".parquet") && !name.contains("_delta_log")
}

/// Both checkpoints and every entry between them tell the same lie: nothing of the log is against it, and the records
/// that it hides are missed.
#[test]
fn a_log_that_lies_all_over_hides_no_record() {
    let (fixture, pin) = trail();
    let newest = lake::Snapshot::open(Host::system(), fixture.folder.lake()).unwrap();
    let file = newest.files().iter().find(|file| file.first_index == 80).unwrap().path.clone();
    // The entry that adds the last file is the newest: without it the same table ends before.
    let text = String::from_utf8(fixture.read(entry(8))).unwrap();
    let without: String = text.lines().filter(|line| !line.contains(&file)).map(|line| format!("{line}\n")).collect();
    assert_ne!(text, without);
    fixture.write(entry(8), without.as_bytes());
    let report = fixture.check(&[pin]);
    assert_eq!(report.verdict, Verdict::Incomplete, "{report:#?}");
    let lost = |finding: &trail::Finding| finding.check == "I2" && finding.index == Some(80);
    assert!(report.findings.iter().any(lost), "{report:#?}");
    assert!(newest.check_log().is_ok(), "nothing is wrong with the log itself");
}

/// What a crash may leave is no attack.
#[test]
fn what_a_crash_leaves_of_a_checkpoint_is_well() {
    let (good, pin) = trail();
    let unnamed = good.copy();
    remove(&unnamed.path("lake/_delta_log/_last_checkpoint"));
    let report = unnamed.check(std::slice::from_ref(&pin));
    assert_eq!(report.verdict, Verdict::Valid, "not named yet: {report:#?}");
    let fixture = good.copy();
    fixture.write("lake/_delta_log/.00000000000000000009.checkpoint.parquet.0001.onrecord-tmp", b"half");
    let temporary = fixture.check(std::slice::from_ref(&pin));
    assert_eq!(temporary.verdict, Verdict::Valid, "{temporary:#?}");
    let writer = unnamed.open();
    assert_eq!(writer.compact().unwrap().checkpoint, Some(9), "one is written that is named");
    writer.close().unwrap();
    let reader = Reader::new(&Host::system(), &unnamed.folder).snapshot().unwrap();
    assert_eq!((reader.lake().log_checkpoint(), reader.end()), (Some(9), 90));
}

/// In the background a checkpoint comes by itself, every so many versions; and what hinders it is told.
#[test]
fn a_running_writer_keeps_the_log_short() {
    let fixture = Fixture::new();
    let options = Options { compact: true, checkpoint_every: 3, clean_grace: Duration::ZERO, ..by_hand() };
    let writer = fixture.open_as(&Host::system(), options).unwrap();
    let log = fixture.folder.lake().join("_delta_log");
    let has_its_beginning = || {
        let names = Host::system().list(&log, "test").unwrap();
        names.iter().any(|path| path.ends_with("00000000000000000000.json"))
    };
    let mut next = 0;
    while has_its_beginning() {
        writer.append(records(next..next + 5), Intake::Import).unwrap();
        writer.settle().unwrap();
        assert_eq!(writer.status().compact_error, None);
        next += 5;
    }
    assert!(next >= 20, "two checkpoints, of three versions each: {next}");
    writer.close().unwrap();
    assert_eq!(fixture.check(&[fixture.pin()]).verdict, Verdict::Valid);
}
