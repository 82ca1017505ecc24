//! Faults: every system call of the journal fails, fails but persists, writes short, or is the last one (T25). After
//! each, every acknowledged record is there, once, at its index (I1).

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use host::{Fault, FaultLog, FaultTable, Faults, Host};

use crate::trail::*;

/// What the world was told.
#[derive(Debug, Default)]
struct Told {
    /// Records below this were acknowledged.
    acknowledged: u64,
    /// Records below this were settled elsewhere, so the journal was asked to drop them.
    settled: u64,
}

/// A life: two openings, groups of many sizes, rotations of both kinds, a release. Ends at the first error.
fn live(host: &Host, folder: &Path, kind: Kind, mut tell: impl FnMut(&Told)) -> Result<(), String> {
    let mut told = Told::default();
    let options = kind(host, folder)?;
    let keys = options.keys.clone();
    let opened = open_with(host, folder, options, 0, 0).map_err(|error| error.to_string())?;
    let result = (|| {
        for count in [1, 3, 20, 10, 60] {
            told.acknowledged = append(&opened.journal, count)?.end;
            tell(&told);
        }
        told.settled = 50;
        tell(&told);
        opened.journal.rotate().map_err(|error| error.to_string())?;
        opened.journal.release(told.settled).map_err(|error| error.to_string())?;
        told.acknowledged = append(&opened.journal, 2)?.end;
        tell(&told);
        Ok::<_, String>(())
    })();
    if result.is_err() {
        let after = append(&opened.journal, 1).expect_err("a journal that has failed acknowledges nothing more");
        assert!(after.contains("has stopped"), "{after}");
        opened.journal.close().expect_err("and stays stopped");
        return result;
    }
    opened.journal.close().map_err(|error| error.to_string())?;

    let options = kind(host, folder)?;
    let again = open_with(host, folder, options, told.settled, told.acknowledged).map_err(|error| error.to_string())?;
    told.acknowledged = append(&again.journal, 25)?.end;
    tell(&told);
    again.journal.close().map_err(|error| error.to_string())?;
    // A key that could not be destroyed stops nothing, and is not forgotten.
    match keys.map_or(0, |keys| keys.owed()) {
        0 => Ok(()),
        owed => Err(format!("{owed} keys are owed")),
    }
}

/// Every acknowledged record is there, the journal goes on, and what it then acknowledges is there too.
fn holds_what_it_told(folder: &Path, kind: Kind, told: &Told, after: &str) {
    let (floor, host) = (told.settled, Host::system());
    let opened = open_with(&host, folder, kind(&host, folder).unwrap(), floor, told.acknowledged)
        .unwrap_or_else(|error| panic!("after {after}: {told:?}: {error}"));
    let next = opened.recovery.next_index;
    assert_records(&opened.records, floor..next);
    assert_eq!(append(&opened.journal, 5).unwrap(), next..next + 5, "after {after}");
    opened.journal.close().unwrap();
    let again = open_with(&host, folder, kind(&host, folder).unwrap(), floor, next + 5).unwrap();
    assert_records(&again.records, floor..next + 5);
}

/// Every point that a life passes, and how often.
fn points(kind: Kind) -> BTreeMap<String, u64> {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(FaultLog::new());
    live(&Host::builder().faults(Arc::clone(&log)).build(), &folder.path().join("journal"), kind, |_| ()).unwrap();
    let points = log.points();
    for point in
        ["mkdir", "list", "create", "open", "read", "length", "write", "allocate", "fdatasync", "fsync", "remove"]
    {
        assert!(points.contains_key(&format!("journal.{point}")), "{point} is not passed: {points:?}");
    }
    points
}

/// Follows the system calls of a life, and knows what the power could still take.
#[derive(Default)]
struct PowerWatch {
    bytes_unsynced: AtomicBool,
    entry_unsynced: AtomicBool,
}

impl Faults for PowerWatch {
    fn at(&self, point: &str) -> Option<Fault> {
        match point {
            "journal.write" | "journal.set-length" | "key-store.write" => {
                self.bytes_unsynced.store(true, Ordering::SeqCst)
            }
            "journal.fdatasync" | "journal.fsync" | "key-store.fdatasync" | "key-store.fsync" => {
                self.bytes_unsynced.store(false, Ordering::SeqCst)
            }
            "journal.create" | "key-store.rename" | "key-store.remove" => {
                self.entry_unsynced.store(true, Ordering::SeqCst)
            }
            "journal.fsync-folder" | "key-store.fsync-folder" => self.entry_unsynced.store(false, Ordering::SeqCst),
            _ => {}
        }
        None
    }
}

#[test]
fn nothing_is_told_while_the_power_could_still_take_it() {
    OPEN_OR_ENCRYPTED.into_iter().for_each(nothing_is_told_too_early);
}

fn nothing_is_told_too_early(kind: Kind) {
    let watch = Arc::new(PowerWatch::default());
    let folder = tempfile::tempdir().unwrap();
    let mut told_times = 0;
    live(&Host::builder().faults(Arc::clone(&watch)).build(), &folder.path().join("journal"), kind, |_| {
        told_times += 1;
        assert!(!watch.bytes_unsynced.load(Ordering::SeqCst), "bytes not yet fsynced");
        assert!(!watch.entry_unsynced.load(Ordering::SeqCst), "folder entry not yet fsynced");
    })
    .unwrap();
    assert_eq!(told_times, 8);
}

/// The kernel may hold the last frames in memory, marked as written though their fsync failed; so an opening that keeps
/// them writes them once more before it fsyncs them.
#[test]
fn an_opening_writes_the_unproven_tail_once_more() {
    let folder = tempfile::tempdir().unwrap();
    let failing = Host::builder().faults(FaultTable::one("journal.fdatasync", 2, Fault::FailBefore(5))).build();
    let Opened { journal, .. } = open_with(&failing, folder.path(), small(), 0, 0).unwrap();
    append(&journal, 3).unwrap();
    append(&journal, 2).unwrap_err();
    drop(journal);

    let log = Arc::new(FaultLog::over(FaultTable::one("journal.write", 1, Fault::FailBefore(5))));
    let host = Host::builder().faults(Arc::clone(&log)).build();
    let error = open_with(&host, folder.path(), small(), 0, 3).err().unwrap();
    assert!(error.to_string().contains("00000000000000000000.journal"), "the old segment is written first: {error}");
    assert_eq!(log.visits("journal.create"), 0);
    assert_records(&open_with(&host, folder.path(), small(), 0, 3).unwrap().records, 0..5);
}

fn strike(kind: Kind, point: &str, nth: u64, fault: Fault) {
    let after = format!("{point}@{nth} {fault:?}");
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let host = Host::builder().faults(FaultTable::one(point, nth, fault)).build();
    let mut told = Told::default();
    let result = live(&host, &journal, kind, |now| told = Told { ..*now });
    assert!(result.is_err(), "{after} went unnoticed");
    holds_what_it_told(&journal, kind, &told, &after);
}

#[test]
fn a_fault_at_any_step_loses_nothing_acknowledged() {
    for kind in OPEN_OR_ENCRYPTED {
        for (point, visits) in points(kind) {
            for nth in 1..=visits {
                for fault in [Fault::FailBefore(28), Fault::FailAfter(5), Fault::ShortWrite(28)] {
                    strike(kind, &point, nth, fault);
                }
            }
        }
    }
}

#[test]
fn a_fault_at_any_step_of_a_recovery_with_a_torn_tail_loses_nothing() {
    let torn = |folder: &Path| {
        let Opened { journal, .. } = open(folder).unwrap();
        append(&journal, 4).unwrap();
        append(&journal, 4).unwrap();
        journal.close().unwrap();
        let path = &segments(folder)[0];
        let mut bytes = std::fs::read(path).unwrap();
        let (place, _) = frames(&bytes)[6].clone();
        bytes[place.start + 34] ^= 1;
        put(path, &bytes);
    };
    let log = Arc::new(FaultLog::new());
    let folder = tempfile::tempdir().unwrap();
    torn(folder.path());
    let opened = open_with(&Host::builder().faults(Arc::clone(&log)).build(), folder.path(), small(), 0, 4).unwrap();
    let points = log.points();
    drop(opened);
    assert!(points.contains_key("journal.set-length"));
    for (point, visits) in points {
        for nth in 1..=visits {
            for fault in [Fault::FailBefore(5), Fault::FailAfter(5), Fault::ShortWrite(28)] {
                let folder = tempfile::tempdir().unwrap();
                torn(folder.path());
                let host = Host::builder().faults(FaultTable::one(&point, nth, fault)).build();
                open_with(&host, folder.path(), small(), 0, 4).err().unwrap();
                let told = Told { acknowledged: 6, settled: 0 };
                holds_what_it_told(folder.path(), OPEN_OR_ENCRYPTED[0], &told, &format!("{point}@{nth} {fault:?}"));
            }
        }
    }
}

#[test]
fn a_kill_at_any_step_loses_nothing_acknowledged() {
    if let (Ok(folder), Ok(faults)) = (std::env::var("JOURNAL_TEST_FOLDER"), std::env::var("JOURNAL_TEST_FAULTS")) {
        let host = Host::builder().faults(faults.parse::<FaultTable>().unwrap()).build();
        let mut out = std::io::stdout();
        let kind = OPEN_OR_ENCRYPTED[usize::from(std::env::var_os("JOURNAL_TEST_ENCRYPTED").is_some())];
        live(&host, Path::new(&folder), kind, |told| {
            writeln!(out, "\ntold {} {}", told.acknowledged, told.settled).unwrap();
            out.flush().unwrap();
        })
        .unwrap();
        return;
    }
    for kind in OPEN_OR_ENCRYPTED {
        kill_at_every_step(kind);
    }
}

fn kill_at_every_step(kind: Kind) {
    for (point, visits) in points(kind) {
        for nth in 1..=visits {
            for fault in ["kill-before", "kill-after"] {
                let row = format!("{point}={fault}@{nth}");
                let folder = tempfile::tempdir().unwrap();
                let journal = folder.path().join("journal");
                let mut child = Command::new(std::env::current_exe().unwrap());
                child.args(["--exact", "faults::a_kill_at_any_step_loses_nothing_acknowledged"]);
                child.env("JOURNAL_TEST_FOLDER", &journal).env("JOURNAL_TEST_FAULTS", &row);
                if kind(&Host::system(), &journal).unwrap().keys.is_some() {
                    child.env("JOURNAL_TEST_ENCRYPTED", "1");
                }
                let child = child.output().unwrap();
                let signal = std::os::unix::process::ExitStatusExt::signal(&child.status);
                assert_eq!(signal, Some(9), "{row}: {child:?}");
                holds_what_it_told(&journal, kind, &last_told(&child.stdout), &row);
            }
        }
    }
}

fn last_told(stdout: &[u8]) -> Told {
    let text = String::from_utf8_lossy(stdout);
    let last = text.lines().filter_map(|line| line.strip_prefix("told ")?.split_once(' ')).next_back();
    last.map_or_else(Told::default, |(acknowledged, settled)| Told {
        acknowledged: acknowledged.parse().unwrap(),
        settled: settled.parse().unwrap(),
    })
}
