//! T1-T4, T26: whatever is changed in a trail's folder is found, and where, or it carries nothing.

mod attacks;
mod bytes;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use host::{Fault, FaultTable, Host};
use record::Part;
use trail::{Against, Finding, Intake, Report, Severity, Verdict, VerifyError, verify};

use self::attacks::*;
use self::bytes::*;
use crate::support::*;

/// A trail with two settles, late facts, tombstones, and a journal whose first records are sealed.
///
/// Records 0 to 39 and 40 to 79 are in the lake, 12 erased whole and 13 in part; 80 to 99 are in the journal, sealed.
fn trail() -> (Fixture, Vec<u8>) {
    let fixture = Fixture::new();
    let writer = fixture.open();
    let declared = [(38, 12, Part::ALL.as_slice()), (39, 15, &[Part::Subject, Part::Inputs])];
    let declared = declared.map(|(n, index, parts)| parse(&erasure_json(n, index, parts)));
    writer.append(records(0..38).into_iter().chain(declared).collect(), Intake::Import).unwrap();
    writer.wait_sealed().unwrap();
    writer.close().unwrap();
    settle_with_tombstones(&fixture);
    let writer = fixture.open();
    assert_eq!((writer.recovered().records, writer.recovered().from_journal), (40, 0));
    let wider: Vec<_> = (40..80).map(|n| parse(&json_with(n, "region"))).collect();
    writer.append(wider, Intake::Import).unwrap();
    writer.settle().unwrap();
    writer.append(records(80..100), Intake::Import).unwrap();
    writer.close().unwrap();
    let pin = fixture.pin();
    let report = fixture.check(std::slice::from_ref(&pin));
    assert_eq!((report.verdict, report.size, report.erased), (Verdict::Valid, 100, 2), "{report:#?}");
    assert_eq!((report.lake_records, report.journal_records), (80, 20));
    (fixture, pin)
}

/// The record that declares what [`settle_with_tombstones`] takes.
fn erasure_json(n: u64, index: u64, parts: &[Part]) -> String {
    let parts: Vec<&str> = parts.iter().map(|part| part.name()).collect();
    let context = format!(r#"{{"format":1,"indices":[{index}],"parts":{parts:?},"basis":"GDPR 17","by":"dpo"}}"#);
    format!(r#"{{"id":"{}","kind":"erasure","context":{context}}}"#, id(n))
}

/// What an erasure leaves behind: the lake holds tombstones whose digests are those that were sealed.
fn settle_with_tombstones(fixture: &Fixture) {
    let reader = trail::Reader::new(&Host::system(), &fixture.folder).snapshot().unwrap();
    let mut stored: Vec<(u64, record::Stored)> = reader.hot().map(|hot| (hot.index, hot.stored.clone())).collect();
    let digests: Vec<record::Digest> = reader.hot().map(|hot| hot.digest).collect();
    stored[12].1 = stored[12].1.without(&Part::ALL);
    stored[15].1 = stored[15].1.without(&[Part::Subject, Part::Inputs]);
    let mut lake = lake::Lake::open(Host::system(), fixture.folder.lake()).unwrap();
    let plan = lake::plan_settle(lake.snapshot(), &stored).unwrap();
    lake.settle(&plan, &|index| digests.get(index as usize).copied()).unwrap();
}

/// The full check of a trail under attack: a report, or a refusal to check at all, but never a panic.
fn attack(fixture: &Fixture, pins: &[Vec<u8>]) -> Result<Report, VerifyError> {
    let pins = pins.iter().enumerate().map(|(n, pin)| (format!("pin {n}"), pin.clone())).collect();
    let against = Against { pins, policy: None };
    let check = || verify(&Host::system(), &fixture.folder, &against, &mut |_| {});
    catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|_| panic!("the check panicked"))
}

/// T1: where entries and records were both changed, each finding blames the one that was.
#[test]
fn a_changed_entry_and_a_changed_record_are_told_apart() {
    let (fixture, pin) = trail();
    flip_entry(&fixture, 7);
    flip_entry(&fixture, 98);
    forge_frame(&fixture, 5, |payload| {
        let at = payload.windows(4).rposition(|four| four == b"deny").unwrap();
        payload[at] = b'D';
    });
    let report = attack(&fixture, &[pin]).unwrap();
    let of = |index: u64| {
        let mut found = report.findings.iter().filter(|finding| finding.index == Some(index));
        let one = found.next().unwrap_or_else(|| panic!("{index}: {report:#?}"));
        assert!(found.next().is_none(), "{report:#?}");
        one
    };
    for index in [7, 98] {
        assert!(of(index).what.starts_with(&format!("entry {index} was changed")), "{report:#?}");
    }
    assert!(of(85).what.starts_with("this record is not the one that was sealed"), "{report:#?}");
    assert_eq!(report.findings[0].index, Some(7), "the lowest first: {report:#?}");
}

/// The whole folder put back to an old copy: it agrees with itself, and not with a pin (T3).
#[test]
fn an_old_copy_is_caught_by_the_pin_alone() {
    let fixture = Fixture::new();
    let writer = fixture.open();
    writer.append(records(0..30), Intake::Import).unwrap();
    writer.settle().unwrap();
    writer.close().unwrap();
    let (old, early) = (fixture.copy(), fixture.pin());
    let writer = fixture.open();
    writer.append(records(30..35), Intake::Import).unwrap();
    writer.close().unwrap();
    let pins = [fixture.pin()];
    let report = attack(&old, &pins).unwrap();
    assert_eq!(
        (report.verdict, report.findings[0].check, report.findings[0].index),
        (Verdict::Invalid, "T3", Some(30))
    );
    assert_eq!(attack(&old, &[]).unwrap().verdict, Verdict::Consistent);
    // T4: cut, then continued. The old pin agrees, the one from before the cut does not.
    let writer = old.open();
    writer.append(records(100..120), Intake::Import).unwrap();
    writer.close().unwrap();
    assert_eq!(attack(&old, &[early]).unwrap().verdict, Verdict::Valid);
    let report = attack(&old, &pins).unwrap();
    assert_eq!((report.verdict, report.findings[0].check), (Verdict::Invalid, "T2"), "{report:#?}");
}

/// Before anything is settled a trail without its checkpoint looks like one whose first seal was interrupted: only a
/// pin tells (T16). Entries of records that are not here were signed once.
#[test]
fn a_checkpoint_removed_before_the_first_settle_is_caught_by_a_pin() {
    let fixture = Fixture::new();
    let writer = fixture.open();
    writer.append(records(0..30), Intake::Import).unwrap();
    writer.close().unwrap();
    let pins = [fixture.pin()];
    remove(&fixture.path("checkpoint"));
    assert_eq!(attack(&fixture, &[]).unwrap().verdict, Verdict::Consistent);
    let report = attack(&fixture, &pins).unwrap();
    assert_eq!((report.verdict, report.findings[0].check, report.findings[0].index), (Verdict::Invalid, "T3", Some(0)));
    remove(&fixture.path("journal/00000000000000000000.journal"));
    let report = attack(&fixture, &[]).unwrap();
    assert_eq!((report.verdict, report.findings[0].check), (Verdict::Invalid, "T16"), "{report:#?}");
}

/// A segment that was settled and not yet removed may be damaged, header and all: nobody needs it (I5).
#[test]
fn damage_to_a_settled_segment_is_no_concern() {
    let fixture = Fixture::new();
    let table = FaultTable::one("journal.remove", 1, Fault::FailBefore(5));
    let host = Host::builder().faults(table).build();
    let writer = fixture.open_as(&host, by_hand()).unwrap();
    for n in (0..60).step_by(10) {
        writer.append(records(n..n + 10), Intake::Import).unwrap();
    }
    writer.settle().unwrap_err();
    drop(writer);
    let pins = [fixture.pin()];
    let is_segment = |file: &PathBuf| file.extension().is_some_and(|kind| kind == "journal");
    let segments: Vec<PathBuf> = fixture.files().into_iter().filter(is_segment).collect();
    assert!(segments.len() > 1, "{segments:?}");
    for (segment, byte) in segments.iter().zip([0, 70, 2_000].into_iter().cycle()).take(segments.len() - 1) {
        let mut bytes = fixture.read(segment);
        bytes[byte] ^= 0x40;
        fixture.write(segment, &bytes);
    }
    assert_eq!(fixture.check(&pins).verdict, Verdict::Valid, "{:#?}", fixture.check(&pins));
    assert_eq!(all(&fixture.folder).len(), 60);
    let writer = fixture.open();
    assert_eq!((writer.recovered().records, writer.recovered().from_journal), (60, 0));
    writer.append(records(60..65), Intake::Import).unwrap();
    writer.settle().unwrap();
    writer.close().unwrap();
    assert_eq!(fixture.check(&pins).verdict, Verdict::Valid);
    assert_eq!(fixture.files().iter().filter(|file| is_segment(file)).count(), 1, "and they are removed in the end");
}

/// The end of the journal that no checkpoint covers: damage there is a torn tail, but never to a sealed record.
#[test]
fn damage_behind_the_checkpoint_is_a_torn_tail() {
    let fixture = Fixture::new();
    let writer = fixture.open();
    writer.append(records(0..10), Intake::Import).unwrap();
    writer.close().unwrap();
    let pins = [fixture.pin()];
    let never = trail::Options { seal_every: std::time::Duration::from_secs(3600), ..by_hand() };
    let writer = fixture.open_as(&Host::system(), never).unwrap();
    writer.append(records(10..13), Intake::Import).unwrap();
    let crashed = fixture.copy();
    writer.close().unwrap();
    let report = crashed.check(&pins);
    assert_eq!((report.verdict, report.unsealed), (Verdict::Valid, 3));
    let segment = "journal/00000000000000000010.journal";
    let good = crashed.read(segment);
    let last = frames(&good).last().unwrap().clone();
    for byte in last.clone().step_by(7) {
        let mut bad = good.clone();
        bad[byte] ^= 1;
        crashed.write(segment, &bad);
        let report = crashed.check(&pins);
        assert_eq!((report.verdict, report.unsealed), (Verdict::Valid, 2), "{report:#?}");
    }
    let writer = crashed.open();
    assert_eq!(writer.recovered().records, 12);
    assert_eq!(writer.recovered().torn_tail.as_ref().map(|tail| tail.first_index), Some(12));
    writer.close().unwrap();
}

/// Two models have two files whose indices interleave. What one of them cannot show any more is neither gone nor twice.
#[test]
fn an_unreadable_file_says_nothing_of_its_neighbour() {
    let fixture = Fixture::new();
    let writer = fixture.open();
    let of = |n: u64| {
        let (id, model) = (id(n), n % 2);
        format!(
            r#"{{"id":"{id}","kind":"decision","time":"2024-06-01T12:00:00.{n:09}Z","model":{{"name":"m{model}","version":"1"}},"inputs":{{"x":{n}}},"output":{n}}}"#
        )
    };
    writer.append((0..2100).map(|n| parse(&of(n))).collect(), Intake::Import).unwrap();
    writer.settle().unwrap();
    writer.close().unwrap();
    let pins = [fixture.pin()];
    let files: Vec<PathBuf> =
        fixture.files().into_iter().filter(|file| file.extension().is_some_and(|kind| kind == "parquet")).collect();
    assert_eq!(files.len(), 2);
    for file in &files {
        let good = fixture.read(file);
        let mut bad = good.clone();
        bad[1_000..1_400].iter_mut().for_each(|byte| *byte ^= 0x5a);
        fixture.write(file, &bad);
        let report = attack(&fixture, &pins).unwrap();
        assert_eq!(report.verdict, Verdict::Invalid);
        let path = fixture.path(file);
        assert!(report.findings.iter().all(|finding| finding.file.as_ref() == Some(&path)), "{report:#?}");
        fixture.write(file, &good);
    }
    let good = fixture.read(&files[0]);
    remove(&fixture.path(&files[0]));
    let report = attack(&fixture, &pins).unwrap();
    assert_eq!(report.verdict, Verdict::Incomplete);
    // Every second record is gone, each a run of its own: as many findings as are listed, and the rest are counted.
    assert_eq!((report.findings.len(), report.findings_left_off), (100, 951), "{report:#?}");
    // What is worse than all of these, a changed entry of a record that is here, is found last and listed first (I13).
    let here = if report.findings[0].index == Some(0) { 2_001 } else { 2_000 };
    flip_entry(&fixture, here as usize);
    let report = attack(&fixture, &pins).unwrap();
    assert_eq!((report.verdict, report.findings[0].index), (Verdict::Invalid, Some(here)), "{report:#?}");
    fixture.write(&files[0], &good);
}
