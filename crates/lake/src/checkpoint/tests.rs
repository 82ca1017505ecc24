use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use host::{Fault, FaultLog, FaultTable, Host};
use proptest::prelude::*;
use record::Stored;

use super::*;
use crate::arbitrary::{self, sample};
use crate::plan::plan_settle;
use crate::{Cleaned, Effort, Interrupt, choose_compaction, plan_compaction};

type Records = Vec<(u64, Stored)>;

fn digest(records: &Records) -> impl Fn(u64) -> Option<record::Digest> {
    |index| records.get(usize::try_from(index).ok()?).map(|(_, stored)| stored.digest())
}

fn settle(lake: &mut Lake, records: &Records, from: usize, to: usize) -> Result<(), crate::SettleError> {
    let plan = plan_settle(lake.snapshot(), &records[from..to]).unwrap();
    lake.settle(&plan, &digest(records)).map(drop)
}

/// Merges all files into one, if there are several.
fn compact(lake: &mut Lake, records: &Records) -> Result<(), crate::RewriteError> {
    let snapshot = lake.snapshot().clone();
    let Some(files) = choose_compaction(snapshot.files(), Effort::All) else { return Ok(()) };
    let plan = plan_compaction(&snapshot, &files, &Interrupt::default())?;
    let rewritten = plan.carry_out(&|_, _| None, &digest(records))?;
    lake.replace(rewritten).map(drop)
}

fn all(snapshot: &Snapshot) -> BTreeMap<u64, Stored> {
    let rows = snapshot.files().iter().flat_map(|file| snapshot.rows(file).unwrap());
    rows.map(|placed| placed.map(|placed| (placed.index, placed.stored)).unwrap()).collect()
}

fn in_log(folder: &Path) -> Vec<String> {
    let paths = Host::system().list(folder.join("_delta_log"), "test").unwrap();
    paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    /// I7, T26: whatever is settled and merged, with checkpoints and a short log it is what it is without.
    #[test]
    fn a_lake_with_a_short_log_is_the_one_with_a_long_log(
        records in arbitrary::run(0, 12..30),
        each in 2usize..5,
        every in 1u64..4,
    ) {
        let (short, long) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut lakes = [&short, &long].map(|folder| Lake::create(Host::system(), folder.path()).unwrap());
        for from in (0..records.len()).step_by(each) {
            let to = (from + each).min(records.len());
            for lake in &mut lakes {
                settle(lake, &records, from, to).unwrap();
                if from / each % 3 == 2 {
                    compact(lake, &records).unwrap();
                    lake.clean(Duration::ZERO).unwrap();
                }
            }
            prop_assert_eq!(lakes[0].checkpoint(every).unwrap().left, 0);
        }
        let [short, long] = [&short, &long].map(|folder| Snapshot::open(Host::system(), folder.path()).unwrap());
        prop_assert!(short.log_checkpoint().is_some() && long.log_checkpoint().is_none());
        prop_assert!(short.check_log().unwrap() >= 1);
        prop_assert_eq!(short.version(), long.version());
        prop_assert_eq!(short.watermark(), long.watermark());
        prop_assert_eq!(short.columns().list(), long.columns().list());
        prop_assert_eq!(short.files().len(), long.files().len());
        prop_assert_eq!(all(&short), all(&long));
        for file in short.files() {
            short.check(file, &mut |index, _| digest(&records)(index)).unwrap();
        }
    }
}

#[test]
fn a_checkpoint_comes_every_so_many_versions() {
    let folder = tempfile::tempdir().unwrap();
    let records = sample(1, 0, 12);
    let mut lake = Lake::create(Host::system(), folder.path()).unwrap();
    assert_eq!(lake.checkpoint(1).unwrap(), Checkpointed::default(), "of an empty table there is none");
    let mut done = Vec::new();
    for n in 0..12 {
        settle(&mut lake, &records, n, n + 1).unwrap();
        let checkpointed = lake.checkpoint(3).unwrap();
        done.push((checkpointed.written, checkpointed.removed));
    }
    let none = (None, 0);
    let third = |written, removed| [none, none, (Some(written), removed)];
    assert_eq!(done, [third(3, 0), third(6, 3), third(9, 4), third(12, 4)].concat());
    assert_eq!(lake.checkpoint(3).unwrap(), Checkpointed::default());
    let names: Vec<String> = (9..=12).map(|version| format!("{version:020}.json")).collect();
    assert_eq!(
        in_log(folder.path()).iter().filter(|name| name.ends_with(".json")).collect::<Vec<_>>(),
        names.iter().collect::<Vec<_>>()
    );
    assert_eq!(in_log(folder.path()).len(), 4 + 2 + 1);
    assert_eq!(all(lake.snapshot()), records.iter().cloned().collect());
}

/// T3: that log entries were lost shows as before, when older ones are gone for good.
#[test]
fn what_shows_that_entries_were_lost_still_does() {
    let folder = tempfile::tempdir().unwrap();
    let records = sample(2, 0, 8);
    let mut lake = Lake::create(Host::system(), folder.path()).unwrap();
    for n in 0..4 {
        settle(&mut lake, &records, 2 * n, 2 * n + 2).unwrap();
        lake.checkpoint(1).unwrap();
    }
    compact(&mut lake, &records).unwrap();
    drop(lake);
    let log = folder.path().join("_delta_log");
    for gone in ["00000000000000000005.json", "00000000000000000004.json", "00000000000000000004.checkpoint.parquet"] {
        Host::system().remove(log.join(gone), "test").unwrap();
    }
    Host::system().remove(log.join("_last_checkpoint"), "test").unwrap();
    let lake = Lake::open(Host::system(), folder.path()).unwrap();
    assert_eq!((lake.snapshot().version(), lake.snapshot().watermark()), (3, 6));
    let error = lake.sweep(6..20).unwrap_err();
    assert!(matches!(error, crate::SettleError::Unnamed { watermark: 8, .. }), "{error}");
}

/// A life with checkpoints and clean-up of the log, from wherever it stands.
fn live(host: Host, folder: &Path, records: &Records) -> Result<(), Box<dyn std::error::Error>> {
    let mut lake = Lake::create(host, folder)?;
    lake.sweep(lake.snapshot().watermark()..9)?;
    for end in [3, 6, 9] {
        let from = usize::try_from(lake.snapshot().watermark())?;
        if from < end {
            settle(&mut lake, records, from, end)?;
        }
        lake.checkpoint(1)?;
    }
    compact(&mut lake, records)?;
    lake.clean(Duration::ZERO)?;
    lake.checkpoint(1)?;
    Ok(())
}

/// T25: every system call fails in every way; then all is done again.
#[test]
fn the_table_is_there_and_proven_whatever_fails() {
    let records = sample(3, 0, 9);
    let log = Arc::new(FaultLog::new());
    let folder = fast_temp();
    live(Host::builder().faults(log.clone()).build(), folder.path(), &records).unwrap();
    let points = log.points();
    for point in ["write", "rename", "fsync", "fsync-folder", "remove", "open"] {
        assert!(points.contains_key(&format!("delta-checkpoint.{point}")), "{points:?}");
    }
    let wanted: BTreeMap<u64, Stored> = records.iter().cloned().collect();
    let strikes = |(point, visits): (String, u64)| {
        let faults = [Fault::FailBefore(5), Fault::FailAfter(5), Fault::ShortWrite(28)];
        let writes = point.ends_with(".write");
        let mut strikes = Vec::new();
        // A look fails as the next one does.
        let looks = point.ends_with(".list") || point.ends_with(".open") || point.ends_with(".read");
        for nth in (1..=visits).step_by(if looks { visits as usize / 3 + 1 } else { 1 }) {
            let faults = faults.iter().filter(|fault| writes || !matches!(fault, Fault::ShortWrite(_)));
            strikes.extend(faults.map(|fault| (point.clone(), nth, *fault)));
        }
        strikes
    };
    let of_checkpoints = |point: &str| point.starts_with("delta-checkpoint.") || point == "delta.list";
    let strikes: Vec<_> = points.into_iter().filter(|(point, _)| of_checkpoints(point)).flat_map(strikes).collect();
    let one_of = if std::env::var_os("ONRECORD_TEST_LONG").is_some() { 1 } else { 13 };
    println!("{} strikes, one of {one_of} struck", strikes.len());
    for (point, nth, fault) in strikes.into_iter().step_by(one_of) {
        let what = format!("{fault:?} at visit {nth} of {point}");
        let folder = fast_temp();
        let faulty = Host::builder().faults(FaultTable::one(&point, nth, fault)).build();
        let failed = live(faulty, folder.path(), &records);
        if let Ok(between) = Snapshot::open(Host::system(), folder.path()) {
            assert_eq!(all(&between).len() as u64, between.watermark(), "{what} {failed:?}");
            between.check_log().unwrap_or_else(|error| panic!("{what}: {error}"));
        }
        live(Host::system(), folder.path(), &records).unwrap_or_else(|error| panic!("{what}: {error}"));
        let snapshot = Snapshot::open(Host::system(), folder.path()).unwrap();
        assert_eq!(all(&snapshot), wanted, "{what} {failed:?}");
        assert!(snapshot.check_log().unwrap() >= 1, "{what}");
        assert_eq!(snapshot.log_checkpoint(), Some(snapshot.version()), "{what}");
        let checkpoints = in_log(folder.path()).into_iter().filter(|name| name.ends_with(".parquet")).count();
        assert!(checkpoints <= 2, "{what}: {checkpoints}");
    }
}

/// In memory where there is such a place: nothing here depends on the disk.
fn fast_temp() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

#[test]
fn a_failed_fsync_stops_the_writer_and_a_full_disk_does_not() {
    let records = sample(4, 0, 6);
    for (point, fault, is_fatal) in [
        ("delta-checkpoint.fsync", Fault::FailAfter(5), true),
        ("delta-checkpoint.fsync-folder", Fault::FailAfter(5), true),
        ("delta-checkpoint.write", Fault::ShortWrite(28), false),
        ("delta-checkpoint.rename", Fault::FailBefore(5), false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let faulty = Host::builder().faults(FaultTable::one(point, 1, fault)).build();
        let mut lake = Lake::create(faulty, folder.path()).unwrap();
        settle(&mut lake, &records, 0, 3).unwrap();
        let error = lake.checkpoint(1).unwrap_err();
        assert_eq!(error.is_fatal(), is_fatal, "{point}: {error}");
        assert_eq!(settle(&mut lake, &records, 3, 6).is_err(), is_fatal, "{point}");
        assert_eq!(lake.checkpoint(1).is_err(), is_fatal, "{point}");
    }
}

const READER: &str = "checkpoint::tests::a_reader_in_another_process_keeps_what_it_reads";

/// Another process that holds a snapshot: it says what it read, and again when it is told to.
struct Reader {
    child: Child,
    said: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Reader {
    fn of(folder: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", READER, "--nocapture"]).env("LAKE_TEST_READER", folder);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, said }
    }

    fn read(&mut self) -> String {
        self.said.by_ref().map(Result::unwrap).find(|line| line.contains("read ")).unwrap()
    }

    fn again(&mut self) -> String {
        self.child.stdin.as_mut().unwrap().write_all(b"again\n").unwrap();
        self.read()
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }

    /// What the process does.
    fn main(folder: &Path) {
        let snapshot = Snapshot::open(Host::system(), folder).unwrap();
        let tell = |snapshot: &Snapshot| {
            let records = all(snapshot);
            let digests: Vec<String> = records.values().map(|stored| stored.digest().to_string()).collect();
            println!("\nread {} of version {}: {}", records.len(), snapshot.version(), digests.join(" "));
        };
        tell(&snapshot);
        for line in std::io::stdin().lines() {
            assert_eq!(line.unwrap(), "again");
            // Nothing that is open already: what is read is what is on disk now.
            tell(&snapshot.anew());
        }
    }
}

/// I14: the lock is between processes, so the test is too. Neither a data file goes that the reader's version names, nor
/// a part of the log; once it has ended both do.
#[test]
fn a_reader_in_another_process_keeps_what_it_reads() {
    if let Some(folder) = std::env::var_os("LAKE_TEST_READER") {
        return Reader::main(folder.as_ref());
    }
    let folder = tempfile::tempdir().unwrap();
    let records = sample(5, 0, 12);
    let mut lake = Lake::create(Host::system(), folder.path()).unwrap();
    for n in 0..3 {
        settle(&mut lake, &records, 3 * n, 3 * n + 3).unwrap();
    }
    let mut reader = Reader::of(folder.path());
    let first = reader.read();
    assert!(first.contains("read 9 of version 3"), "{first}");
    compact(&mut lake, &records).unwrap();
    assert_eq!(lake.clean(Duration::ZERO).unwrap(), Cleaned { removed: 0, left: 3 });
    assert_eq!(lake.checkpoint(1).unwrap(), Checkpointed { written: Some(4), removed: 0, left: 0 });
    settle(&mut lake, &records, 9, 12).unwrap();
    assert_eq!(lake.checkpoint(1).unwrap(), Checkpointed { written: Some(5), removed: 0, left: 4 });
    let mut late = Reader::of(folder.path());
    assert!(late.read().contains("read 12 of version 5"));
    assert_eq!(reader.again(), first);
    reader.end();
    assert_eq!(lake.clean(Duration::ZERO).unwrap(), Cleaned { removed: 0, left: 3 }, "another one came meanwhile");
    late.end();
    assert_eq!(lake.clean(Duration::ZERO).unwrap(), Cleaned { removed: 3, left: 0 });
    assert_eq!(lake.checkpoint(1).unwrap(), Checkpointed { written: None, removed: 4, left: 0 });
    assert_eq!(all(lake.snapshot()), records.iter().cloned().collect());
    settle(&mut lake, &sample(5, 0, 13), 12, 13).unwrap();
}
