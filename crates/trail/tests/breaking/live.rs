//! I14: while a writer appends, seals and settles, whoever reads or checks the folder sees each record exactly once,
//! and never damage that is not there.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use host::Host;
use parking_lot::{Condvar, Mutex};
use trail::{Against, Intake, Options, Reader, Verdict, Writer, verify};

use crate::support::*;

const APPENDERS: u64 = 8;
const RECORDS_A_LOOK: u64 = 25;

fn busy() -> Options {
    let journal = journal::Options { segment_bytes: 8 << 10, allocate_bytes: 4 << 10, ..Default::default() };
    Options {
        seal_every: Duration::from_millis(5),
        settle_every: Duration::from_millis(40),
        settle_bytes: 16 << 10,
        journal,
        clean_grace: Duration::ZERO,
        ..Options::default()
    }
}

/// Appends from many threads while looks are taken on two others, until there were that many and it has settled.
fn under_load(looks: u64, look: impl Fn(&Fixture, &Writer) + Sync) {
    let fixture = Fixture::new();
    let writer = fixture.open_as(&Host::system(), busy()).unwrap();
    writer.append(records(9_000_000..9_000_001), Intake::Import).unwrap();
    writer.wait_sealed().unwrap();
    let taken = AtomicU64::new(0);
    // A look takes as long as the trail is, so the trail grows by so much a look and no more.
    let (allowed, granted) = (Mutex::new(0u64), Condvar::new());
    let more = || taken.load(Ordering::Relaxed) < looks || writer.status().settled == 0;
    /// Ends the load when a look has failed, so that the test ends too.
    struct Over<'a>(&'a AtomicU64);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                self.0.store(u64::MAX, Ordering::Relaxed);
            }
        }
    }
    std::thread::scope(|scope| {
        let (fixture, writer, taken, look, more) = (&fixture, &writer, &taken, &look, &more);
        let (allowed, granted) = (&allowed, &granted);
        for thread in 0..APPENDERS {
            scope.spawn(move || {
                let _over = Over(taken);
                let mut at = thread * 1_000_000;
                while more() {
                    let mut left = allowed.lock();
                    if *left == 0 {
                        granted.wait_for(&mut left, Duration::from_millis(50));
                        continue;
                    }
                    *left -= 1;
                    drop(left);
                    writer.append(records(at..at + 1), Intake::Import).unwrap();
                    at += 1;
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(move || {
                let _over = Over(taken);
                while more() {
                    *allowed.lock() += RECORDS_A_LOOK;
                    granted.notify_all();
                    look(fixture, writer);
                    taken.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(writer.stopped().map(|stopped| stopped.to_string()), None);
    let records = writer.status().records;
    writer.close().unwrap();
    assert_eq!(all(&fixture.folder).len() as u64, records);
    // Whatever was held by readers before, nobody reads now.
    let writer = fixture.open_as(&Host::system(), Options { clean_grace: Duration::ZERO, ..by_hand() }).unwrap();
    let files = writer.compact().unwrap();
    assert_eq!((files.left, all(&fixture.folder).len() as u64), (0, records));
    assert_eq!(data_files(&fixture), files.files_after);
    writer.close().unwrap();
    println!("{records} records, {} looks", taken.into_inner());
}

/// Data files that are in the lake's folder, live or not.
fn data_files(fixture: &Fixture) -> u64 {
    let lake = std::fs::read_dir(fixture.folder.lake()).unwrap();
    lake.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|kind| kind == "parquet")).count() as u64
}

fn looks(short: u64) -> u64 {
    if long() { 4 * short } else { short }
}

/// The check never cries wolf: a live trail is VALID against a checkpoint it published a moment ago.
#[test]
fn the_check_of_a_live_trail_is_never_falsely_bad() {
    under_load(looks(12), |fixture, writer| {
        writer.wait_sealed().unwrap();
        let pins = vec![("a moment ago".to_owned(), fixture.pin())];
        let report = verify(&Host::system(), &fixture.folder, &Against { pins, policy: None }, &mut |_| {}).unwrap();
        assert_eq!(report.verdict, Verdict::Valid, "{report:#?}");
        assert!(report.lake_records + report.journal_records >= report.size);
    });
}

/// A reader of the folder has everything that was acknowledged before it looked, each record once.
#[test]
fn a_reader_of_a_live_trail_has_each_record_once() {
    under_load(looks(25), |fixture, writer| {
        let acknowledged = writer.snapshot().end();
        let snapshot = Reader::new(&Host::system(), &fixture.folder).snapshot().unwrap();
        assert!(snapshot.end() >= acknowledged, "{} of {acknowledged}", snapshot.end());
        assert!(snapshot.sealed() <= snapshot.end());
        assert_eq!(all_of(&snapshot).len() as u64, snapshot.end());
    });
}

/// The writer's own snapshots are dense too, and one that is held goes on being what it was, whatever is settled.
#[test]
fn a_snapshot_that_is_held_does_not_change() {
    let held = Mutex::new(None);
    under_load(looks(25), |_, writer| {
        let snapshot = writer.snapshot();
        let seen = all_of(&snapshot);
        // Every second look lets go of what the one before took.
        let before = held.lock().take();
        let Some((before, was)) = before else { return *held.lock() = Some((snapshot, seen)) };
        let before: std::sync::Arc<trail::Snapshot> = before;
        while writer.snapshot().settled() == before.settled() {
            std::thread::yield_now();
        }
        assert_eq!(all_of(&before), was);
        for index in [0, before.sealed() - 1] {
            before.prove(&before.get(index).unwrap().unwrap()).unwrap();
        }
    });
}
