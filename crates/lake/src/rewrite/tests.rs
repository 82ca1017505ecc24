use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::{Fault, FaultLog, FaultTable, Host, ManualClock};
use proptest::prelude::*;
use record::{Digest, Part, Stored};

use super::*;
use crate::arbitrary::{self, sample};
use crate::manifest::NameOf;
use crate::plan::plan_settle;
use crate::settle::{Lake, SettleError, name_of};
use crate::{CleanError, Cleaned};

type Records = Vec<(u64, Stored)>;

const NO_GRACE: Duration = Duration::ZERO;

fn settle(lake: &mut Lake, records: &[(u64, Stored)]) -> Result<(), SettleError> {
    let plan = plan_settle(lake.snapshot(), records).unwrap();
    lake.settle(&plan, &expected(records)).map(drop)
}

/// The digests of records that begin with the first of them.
fn expected(records: &[(u64, Stored)]) -> impl Fn(u64) -> Option<Digest> {
    let first = records[0].0;
    let digests: Vec<Digest> = records.iter().map(|(_, stored)| stored.digest()).collect();
    move |index| digests.get(usize::try_from(index.checked_sub(first)?).ok()?).copied()
}

fn as_it_is(_: u64, _: &Stored) -> Option<Stored> {
    None
}

/// A plan to merge every file of a snapshot into one.
fn merge_all(snapshot: &Snapshot, reason: Reason) -> Rewrite {
    let outputs = vec![Output { group: Group::All, columns: Vec::new() }];
    let merges = vec![Merging { inputs: snapshot.files().to_vec(), outputs }];
    Rewrite { base: snapshot.clone(), reason, new_columns: Vec::new(), merges, interrupt: Interrupt::default() }
}

fn all(snapshot: &Snapshot) -> BTreeMap<u64, Stored> {
    let mut all = BTreeMap::new();
    for file in snapshot.files() {
        for placed in snapshot.rows(file).unwrap() {
            let placed = placed.unwrap();
            assert!(all.insert(placed.index, placed.stored).is_none(), "index {} twice", placed.index);
        }
    }
    all
}

fn check(snapshot: &Snapshot, records: &[(u64, Stored)]) {
    let digest = expected(records);
    for file in snapshot.files() {
        snapshot.check(file, &mut |index, _| digest(index)).unwrap();
    }
}

fn data_files(folder: &Path) -> Vec<PathBuf> {
    let files = Host::system().list(folder, "test").unwrap();
    files.into_iter().filter(|path| NameOf::read(name_of(path)).is_some()).collect()
}

/// A lake with a settle for every `each` records.
fn settled(host: Host, folder: &Path, records: &[(u64, Stored)], each: usize) -> Lake {
    let mut lake = Lake::create(host, folder).unwrap();
    records.chunks(each).for_each(|part| settle(&mut lake, part).unwrap());
    lake
}

/// What is erased of a record: nothing, its inputs and envelope, its envelope, or all of it.
fn erase(index: u64, stored: &Stored) -> Option<Stored> {
    match index % 4 {
        1 => Some(stored.without(&[Part::Envelope, Part::Inputs])),
        2 => Some(stored.without(&[Part::Envelope])),
        3 => Some(stored.without(&Part::ALL)),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// I3, I5, I7: merged or not, the same records; the held snapshot reads what it read.
    #[test]
    fn what_was_merged_is_there_byte_for_byte(records in arbitrary::run(0, 1..60), each in 1usize..20) {
        let folder = tempfile::tempdir().unwrap();
        let mut lake = settled(Host::system(), folder.path(), &records, each);
        let held = lake.snapshot().clone();
        let plan = merge_all(lake.snapshot(), Reason::Compaction);
        let rewritten = plan.carry_out(&as_it_is, &expected(&records)).unwrap();
        lake.replace(rewritten).unwrap();
        drop(plan);
        let wanted: BTreeMap<u64, Stored> = records.iter().cloned().collect();
        for snapshot in [lake.snapshot(), &Snapshot::open(Host::system(), folder.path()).unwrap()] {
            prop_assert_eq!(snapshot.files().len(), 1);
            prop_assert_eq!(snapshot.watermark(), records.len() as u64);
            prop_assert_eq!(&all(snapshot), &wanted);
            check(snapshot, &records);
        }
        lake.clean(NO_GRACE).unwrap();
        prop_assert_eq!(&all(&held), &wanted, "I14: what a snapshot names stays");
        drop(held);
        lake.clean(NO_GRACE).unwrap();
        prop_assert_eq!(data_files(folder.path()).len(), 1);
        prop_assert_eq!(&all(lake.snapshot()), &wanted);
    }

    /// I3: the erased form has the digest of the whole, and stands where its new time says.
    #[test]
    fn what_was_erased_is_there_in_its_erased_form(records in arbitrary::run(0, 1..60), each in 1usize..20) {
        let folder = tempfile::tempdir().unwrap();
        let mut lake = settled(Host::system(), folder.path(), &records, each);
        let files: Vec<Manifest> = lake.snapshot().files().to_vec();
        let plan = Rewrite::for_erasure(lake.snapshot(), &files.iter().collect::<Vec<_>>());
        let rewritten = plan.carry_out(&erase, &expected(&records)).unwrap();
        lake.replace(rewritten).unwrap();
        drop(plan);
        let wanted: BTreeMap<u64, Stored> = records
            .iter()
            .map(|(index, stored)| (*index, erase(*index, stored).unwrap_or_else(|| stored.clone())))
            .collect();
        prop_assert_eq!(&all(lake.snapshot()), &wanted);
        check(lake.snapshot(), &records);
        // However long others may read: what holds the erased goes at once.
        lake.clean(Duration::MAX).unwrap();
        prop_assert_eq!(data_files(folder.path()).len(), lake.snapshot().files().len());
    }
}

/// I14: the long part holds up no settle, and the commit goes on top of it.
#[test]
fn a_settle_comes_between() {
    let folder = tempfile::tempdir().unwrap();
    let records = sample(21, 0, 40);
    let mut lake = settled(Host::system(), folder.path(), &records[..20], 5);
    let plan = merge_all(lake.snapshot(), Reason::Compaction);
    let rewritten = plan.carry_out(&as_it_is, &expected(&records)).unwrap();
    settle(&mut lake, &records[20..]).unwrap();
    assert_eq!(lake.clean(NO_GRACE).unwrap().removed, 0, "what is being written is no orphan");
    lake.replace(rewritten).unwrap();
    assert_eq!(all(lake.snapshot()), records.iter().cloned().collect());
    assert_eq!(lake.snapshot().watermark(), 40);
    let again = Lake::open(Host::system(), folder.path()).unwrap();
    assert_eq!(again.snapshot().files(), lake.snapshot().files());
    assert_eq!(again.snapshot().columns().list(), lake.snapshot().columns().list());
}

#[test]
fn of_two_rewrites_of_a_file_one_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let records = sample(22, 0, 20);
    let mut lake = settled(Host::system(), folder.path(), &records, 10);
    let plan = merge_all(lake.snapshot(), Reason::Compaction);
    let [one, two] = [(); 2].map(|()| plan.carry_out(&as_it_is, &expected(&records)).unwrap());
    lake.replace(one).unwrap();
    assert!(matches!(lake.replace(two), Err(RewriteError::Replaced { .. })));
    assert_eq!(data_files(folder.path()).len(), 3, "two that were replaced, one that replaces them");
    settle(&mut lake, &sample(23, 20, 5)).unwrap();
}

#[test]
fn a_column_that_a_settle_took_meanwhile_is_not_taken_again() {
    let folder = tempfile::tempdir().unwrap();
    let records = sample(24, 0, 20);
    let mut lake = settled(Host::system(), folder.path(), &records[..10], 10);
    let mut plan = merge_all(lake.snapshot(), Reason::Compaction);
    let mut columns = (**lake.snapshot().columns()).clone();
    let kind = crate::ColumnType::Bool;
    let column = columns.add_path("inputs.both", kind).unwrap();
    plan.new_columns = vec![column.clone()];
    let rewritten = plan.carry_out(&as_it_is, &expected(&records)).unwrap();
    let mut settle = plan_settle(lake.snapshot(), &records[10..]).unwrap();
    let mut others = (*settle.columns).clone();
    others.add_path("inputs.both", crate::ColumnType::Num).unwrap();
    (settle.columns, settle.new_columns) = (Arc::new(others), vec!["inputs.both".to_owned()]);
    lake.settle(&settle, &expected(&records)).unwrap();
    let error = lake.replace(rewritten).map(drop).unwrap_err();
    assert!(matches!(&error, RewriteError::Column { column } if column == "inputs.both"), "{error}");
    assert_eq!(all(lake.snapshot()), records.iter().cloned().collect());
}

#[test]
fn a_record_that_comes_back_otherwise_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let records = sample(25, 0, 12);
    let lake = settled(Host::system(), folder.path(), &records, 6);
    let before = data_files(folder.path());
    let plan = merge_all(lake.snapshot(), Reason::Erasure);
    let digest = expected(&records);
    let wrong = |index: u64| digest((index + 1) % 12);
    assert!(matches!(plan.carry_out(&as_it_is, &wrong), Err(RewriteError::Mismatch { .. })));
    assert!(matches!(plan.carry_out(&as_it_is, &|_| None), Err(RewriteError::Unknown { .. })));
    let other = |index: u64, _: &Stored| (index == 3).then(|| records[4].1.clone());
    assert!(plan.carry_out(&other, &digest).is_err());
    assert_eq!(data_files(folder.path()), before, "what was given up is gone");
}

#[test]
fn files_that_hold_a_record_twice_are_not_merged() {
    let folder = tempfile::tempdir().unwrap();
    let records = sample(26, 0, 12);
    let lake = settled(Host::system(), folder.path(), &records, 12);
    let mut plan = merge_all(lake.snapshot(), Reason::Compaction);
    let again = plan.merges[0].inputs[0].clone();
    plan.merges[0].inputs.push(again);
    assert!(matches!(plan.carry_out(&as_it_is, &expected(&records)), Err(RewriteError::Order { .. })));
    let mut plan = merge_all(lake.snapshot(), Reason::Compaction);
    plan.merges[0].inputs[0].rows = 13;
    let error = plan.carry_out(&as_it_is, &expected(&records)).err().unwrap();
    assert!(matches!(error, RewriteError::Rows { expected: 13, found: 12 }), "{error}");
}

/// T25: every system call of settles, a rewrite and a clean-up fails in every way; then all is done again.
#[test]
fn each_record_is_there_once_and_nothing_else_whatever_fails() {
    let records: Records = sample(27, 0, 12);
    let run = |host: Host, folder: &Path| -> Result<(), Box<dyn std::error::Error>> {
        let mut lake = Lake::create(host, folder)?;
        lake.sweep(lake.snapshot().watermark()..12)?;
        for end in [6, 12] {
            if lake.snapshot().watermark() < end {
                let from = usize::try_from(lake.snapshot().watermark())?;
                settle(&mut lake, &records[from..usize::try_from(end)?])?;
            }
        }
        if lake.snapshot().files().len() > 1 {
            let rewritten = merge_all(lake.snapshot(), Reason::Erasure).carry_out(&erase, &expected(&records))?;
            lake.replace(rewritten)?;
        }
        lake.clean(NO_GRACE)?;
        Ok(())
    };
    let log = Arc::new(FaultLog::new());
    let folder = tempfile::tempdir().unwrap();
    run(Host::builder().faults(log.clone()).build(), folder.path()).unwrap();
    let points = log.points();
    assert!(points.keys().any(|point| point == "parquet.remove"), "{points:?}");
    let wanted: BTreeMap<u64, Stored> = records
        .iter()
        .map(|(index, stored)| (*index, erase(*index, stored).unwrap_or_else(|| stored.clone())))
        .collect();
    for (point, visits) in points.into_iter().filter(|(point, _)| !point.ends_with(".read")) {
        for nth in 1..=visits {
            for fault in [Fault::FailBefore(5), Fault::FailAfter(5), Fault::ShortWrite(28)] {
                let folder = tempfile::tempdir().unwrap();
                let faulty = Host::builder().faults(FaultTable::one(&point, nth, fault)).build();
                let failed = run(faulty, folder.path());
                let whole = |snapshot: &Snapshot| all(snapshot).len() as u64 == snapshot.watermark();
                if let Ok(between) = Snapshot::open(Host::system(), folder.path()) {
                    assert!(whole(&between), "{point} {nth} {fault:?} {failed:?}");
                }
                run(Host::system(), folder.path()).unwrap();
                let snapshot = Snapshot::open(Host::system(), folder.path()).unwrap();
                assert_eq!(all(&snapshot), wanted, "{point} {nth} {fault:?} {failed:?}");
                assert_eq!(data_files(folder.path()).len(), snapshot.files().len(), "{point} {nth} {fault:?}");
            }
        }
    }
}

/// The log's end is lost: what the rewrite wrote may be all there is of its records.
#[test]
fn a_rewrite_whose_log_entry_is_lost_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let records = sample(28, 0, 16);
    let mut lake = settled(Host::system(), folder.path(), &records, 8);
    let rewritten = merge_all(lake.snapshot(), Reason::Compaction).carry_out(&as_it_is, &expected(&records)).unwrap();
    lake.replace(rewritten).unwrap();
    lake.clean(NO_GRACE).unwrap();
    drop(lake);
    let lose = |version: u64| {
        let entry = folder.path().join("_delta_log").join(format!("{version:020}.json"));
        Host::system().remove(entry, "test").unwrap();
    };
    // The commit of the rewrite is lost: its inputs, which the log names, are gone.
    lose(3);
    let mut lake = Lake::open(Host::system(), folder.path()).unwrap();
    lake.sweep(16..20).unwrap();
    assert!(matches!(lake.clean(NO_GRACE), Err(CleanError::Missing { .. })));
    assert_eq!(data_files(folder.path()).len(), 1);
    // And a settle before it.
    lose(2);
    let lake = Lake::open(Host::system(), folder.path()).unwrap();
    assert!(matches!(lake.sweep(0..20), Err(SettleError::Unnamed { watermark: 16, .. })));
    assert_eq!(data_files(folder.path()).len(), 1);
}

#[test]
fn a_compacted_file_stays_for_the_grace_and_an_orphan_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(1_717_243_200_000_000_000);
    let host = Host::builder().clock(clock.clone()).build();
    let records = sample(29, 0, 16);
    let mut lake = settled(host, folder.path(), &records, 8);
    let rewritten = merge_all(lake.snapshot(), Reason::Compaction).carry_out(&as_it_is, &expected(&records)).unwrap();
    lake.replace(rewritten).unwrap();
    Host::system().put_new(folder.path().join(crate::manifest::rewrite_name(16, 7)), b"x", "test").unwrap();
    let hour = Duration::from_secs(3600);
    assert_eq!(lake.clean(hour).unwrap(), Cleaned { removed: 1, left: 2 });
    clock.advance(hour - Duration::from_secs(1));
    assert_eq!(lake.clean(hour).unwrap(), Cleaned { removed: 0, left: 2 });
    clock.advance(Duration::from_secs(2));
    assert_eq!(lake.clean(hour).unwrap(), Cleaned { removed: 2, left: 0 });
    assert_eq!(all(lake.snapshot()), records.iter().cloned().collect());
}
