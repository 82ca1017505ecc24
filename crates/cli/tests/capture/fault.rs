//! What fails beneath a recorder, and what must not come of it.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::{Config, Durability, Fail, Overflow, RecordFailed, Recorder, Trouble};
use host::{Fault, FaultTable, Faults, Host};
use record::{Part, Value};

use crate::place::{LONG, Place, decision, until};
use crate::trail_of::instances;

fn large() -> client::Event {
    decision(7).with(Part::Parameters, Value::map([("x".to_owned(), Value::Text("y".repeat(200_000)))]))
}

/// I9: what makes room may be a declaration itself, and what it declared is declared all the same.
#[test]
fn a_declaration_that_was_dropped_is_made_again() {
    let place = Place::new();
    let config = Config { overflow: Overflow::DropOldest, bytes_max: 16 << 20, ..place.config() };
    let (recorder, _) = place.recorder(config);
    for _ in 0..100 {
        recorder.record(&large()).unwrap();
    }
    assert!(recorder.stats().dropped > 0);
    // The declaration and a few heartbeats are in the queue when as much again comes after them.
    until("heartbeats", || recorder.stats().queued > 110);
    let before = recorder.stats().dropped;
    for _ in 0..200 {
        recorder.record(&large()).unwrap();
    }
    assert!(recorder.stats().dropped > before);
    let up = place.up();
    assert!(recorder.close(LONG), "{:?}", recorder.stats());
    let (code, gaps) = place.gaps();
    assert_eq!((code, &gaps["verdict"]), (0, &"DECLARED".into()), "{gaps}");
    assert_eq!(gaps["instances"][0]["end"]["state"], "stopped", "{gaps}");
    up.down();
    let name = recorder.instance_name().unwrap();
    instances(&place).remove(&name).unwrap().check_tips(&name);
}

/// While the queue is full no numbers are used up for what the recorder itself would say.
#[test]
fn no_number_is_lost_that_was_never_a_decision() {
    let place = Place::new();
    let config = Config { bytes_max: 16 << 20, ..place.config() };
    let (recorder, _) = place.recorder(config);
    until("a queue that is full", || {
        recorder.record(&large()).unwrap();
        recorder.stats().dropped > 50
    });
    // Beats are due ten times a second, and find no room once the recorder's own segment is full of them.
    let small = (0..40_000).filter(|n| recorder.record(&decision(*n)).is_err()).count();
    assert_eq!(small, 0);
    let up = place.up();
    assert!(recorder.close(LONG));
    let (code, gaps) = place.gaps();
    assert_eq!((code, &gaps["declared"]), (0, &recorder.stats().dropped.into()), "{gaps}");
    up.down();
}

/// A watch is the caller's code: its panic ends neither the caller nor the sender.
#[test]
fn a_watch_that_panics_stops_nothing() {
    let place = Place::new();
    let told = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&told);
    let watch = Arc::new(move |_: &Trouble| {
        count.fetch_add(1, Ordering::SeqCst);
        panic!("a watch that panics");
    });
    let recorder = Recorder::open_with(&Host::system(), place.config(), watch).unwrap();
    recorder.record(&decision(1)).unwrap();
    until("troubles", || told.load(Ordering::SeqCst) > 1);
    let up = place.up();
    assert!(recorder.close(LONG));
    up.down();
}

/// T25: an fsync that failed is told, and what comes after it goes to another file.
#[test]
fn what_could_not_be_made_durable_is_said_and_the_next_is_durable() {
    let place = Place::new();
    let host = Host::builder().faults(FaultTable::one("spool.fdatasync", 2, Fault::FailBefore(libc::EIO))).build();
    let config = Config { durability: Durability::Disk, fail: Fail::Closed, ..place.config() };
    let recorder = Recorder::open_with(&host, config, Arc::new(|_: &Trouble| {})).unwrap();
    recorder.record(&decision(1)).unwrap();
    let error = recorder.record(&decision(2)).unwrap_err();
    assert!(matches!(error, RecordFailed::NotDurable(_)), "{error}");
    until("a disk that is asked again", || recorder.record(&decision(3)).is_ok());
    let up = place.up();
    assert!(recorder.close(LONG));
    let (code, gaps) = place.gaps();
    assert_eq!(code, 0, "{gaps}");
    up.down();
}

/// The points that are passed, in order.
#[derive(Default)]
struct Passed(Mutex<Vec<String>>);

impl Faults for Passed {
    fn at(&self, point: &str) -> Option<Fault> {
        self.0.lock().unwrap().push(point.to_owned());
        None
    }
}

/// T31: a segment goes only after the disk knows that what was in it is settled.
#[test]
fn a_segment_goes_after_the_state_is_durable() {
    let place = Place::new();
    let up = place.up();
    let passed = Arc::new(Passed::default());
    let host = Host::builder().faults(Arc::clone(&passed)).build();
    let recorder = Recorder::open_with(&host, place.config(), Arc::new(|_: &Trouble| {})).unwrap();
    for _ in 0..60 {
        recorder.record(&large()).unwrap();
    }
    assert!(recorder.flush(LONG));
    let points = passed.0.lock().unwrap().clone();
    let first = |name: &str| points.iter().position(|point| point == name).unwrap_or_else(|| panic!("no {name}"));
    assert!(first("state.fdatasync") < first("spool.remove"), "{points:?}");
    assert!(recorder.close(LONG));
    up.down();
}

/// A recorder that cannot begin leaves no folder, and one that can lets nobody else in.
#[test]
fn a_folder_is_the_services_own_or_is_not_there() {
    let place = Place::new();
    let host = Host::builder().faults(FaultTable::one("spool.allocate", 1, Fault::FailBefore(libc::ENOSPC))).build();
    assert!(Recorder::open_with(&host, place.config(), Arc::new(|_: &Trouble| {})).is_err());
    assert_eq!(place.instances(), Vec::<std::path::PathBuf>::new());
    let (recorder, _) = place.recorder(place.config());
    recorder.record(&decision(1)).unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folders = place.instances();
    assert_eq!(folders.len(), 1);
    assert_eq!((mode(&place.path("spool")), mode(&folders[0])), (0o700, 0o700));
    for entry in std::fs::read_dir(&folders[0]).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

/// I8: what a recorder has left the next one of the same process goes on with.
#[test]
fn the_next_recorder_of_a_process_goes_on() {
    for closed in [true, false] {
        let place = Place::new();
        let (first, _) = place.recorder(place.config());
        for n in 0..10 {
            first.record(&decision(n)).unwrap();
        }
        let name = first.instance_name().unwrap();
        let kept = if closed {
            assert!(!first.close(Duration::from_millis(1)));
            Some(first)
        } else {
            drop(first);
            None
        };
        let up = place.up();
        let (next, troubles) = place.recorder(place.config());
        until("what was left to be taken up", || place.instances().len() == 1);
        assert!(next.close(LONG), "{:?}", troubles.lock().unwrap());
        drop(kept);
        let (code, gaps) = place.gaps();
        assert_eq!((code, &gaps["verdict"]), (0, &"NO HOLES".into()), "{gaps}");
        up.down();
        assert_eq!(instances(&place).remove(&name).unwrap().incomes.len(), 10);
    }
}
