//! Copies of one trail that share its keys: an older one is not written to, two are never written at once, and what one
//! process does with keys holds nobody up who reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use host::{Fault, Faults, Host};
use parking_lot::Mutex;
use trail::{Erasure, Folder, Intake, LockError, OpenError, Options, Reader, RotateError, Verdict, Writer};

use crate::support::*;

/// Three files, and no grace for those that are replaced.
fn written() -> (Fixture, Options) {
    let fixture = Fixture::encrypted();
    let options = Options { clean_grace: Duration::ZERO, ..by_hand() };
    let writer = fixture.open_as(&Host::system(), options.clone()).unwrap();
    for first in [0, 20, 40] {
        writer.append(records(first..first + 20), Intake::Import).unwrap();
        writer.settle().unwrap();
    }
    writer.close().unwrap();
    (fixture, options)
}

fn copy_of(fixture: &Fixture) -> Folder {
    let root = fixture.temp.path().join("copy");
    copy(fixture.folder.root(), &root);
    Folder::new(root).with_keys(&fixture.keys)
}

/// The names in the store of keys.
fn keys(fixture: &Fixture) -> Vec<String> {
    let mut found = Vec::new();
    walk(&fixture.keys.0, &mut found);
    let in_store = |path: &std::path::PathBuf| path.parent().unwrap().extension().is_some_and(|kind| kind == "keys");
    found.retain(in_store);
    found.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

/// Opening a copy from before a compaction would do away with the keys of the files that the compaction made.
#[test]
fn an_older_copy_is_not_written_to() {
    let (fixture, options) = written();
    let older = copy_of(&fixture);
    let writer = fixture.open_as(&Host::system(), options).unwrap();
    writer.compact().unwrap();
    writer.close().unwrap();
    let before = keys(&fixture);
    let error = Writer::open(&Host::system(), &older, &fixture.keys, by_hand()).err().unwrap();
    assert!(matches!(error, OpenError::OlderLake { found: 3, reached: 4.., .. }), "{error:?}");
    assert!(error.to_string().contains("onrecord restore"), "{error}");
    assert_eq!(keys(&fixture), before, "no key was touched");
    assert_eq!(fixture.check(&[fixture.pin()]).verdict, Verdict::Valid);
    fixture.open().close().unwrap();
}

/// I6: a lock in each folder alone would let two copies be written with the same keys.
#[test]
fn two_copies_are_never_written_at_once() {
    let (fixture, _) = written();
    let other = copy_of(&fixture);
    let writer = fixture.open();
    let error = Writer::open(&Host::system(), &other, &fixture.keys, by_hand()).err().unwrap();
    assert!(matches!(error, OpenError::Lock(LockError::KeysInUse { .. })), "{error:?}");
    let (text, root) = (error.to_string(), fixture.folder.root().display().to_string());
    assert!(text.contains(&root) && text.contains(&std::process::id().to_string()), "{text}");
    // A rotation through the copy would wrap keys by one that the writer does not know.
    let error = trail::rotate_trail_key(&Host::system(), &other, &fixture.keys).unwrap_err();
    assert!(matches!(error, RotateError::Lock(LockError::KeysInUse { .. })), "{error:?}");
    writer.close().unwrap();
    Writer::open(&Host::system(), &other, &fixture.keys, by_hand()).unwrap().close().unwrap();
}

/// A reader that runs for long opened the keys before another process rotated them.
#[test]
fn a_reader_outlives_rotations() {
    let (fixture, _) = written();
    let reader = Reader::new(&Host::system(), &fixture.folder);
    assert!(reader.snapshot().unwrap().get(5).unwrap().is_some());
    for first in [60, 70] {
        // Another process has a folder of its own.
        let folder = Folder::new(fixture.folder.root()).with_keys(&fixture.keys);
        trail::rotate_trail_key(&Host::system(), &folder, &fixture.keys).unwrap();
        let writer = Writer::open(&Host::system(), &folder, &fixture.keys, by_hand()).unwrap();
        writer.append(records(first..first + 10), Intake::Import).unwrap();
        if first == 60 {
            writer.settle().unwrap();
        }
        writer.close().unwrap();
        let snapshot = reader.snapshot().unwrap();
        assert_eq!(snapshot.end(), first + 10);
        assert!(snapshot.get(5).unwrap().is_some() && snapshot.get(first).unwrap().is_some());
    }
}

/// Lets no key be removed once a file of the lake was, for as long as it is on.
#[derive(Default)]
struct Refusing {
    on: AtomicBool,
    removed: AtomicBool,
}

impl Faults for Refusing {
    fn at(&self, point: &str) -> Option<Fault> {
        if point == "parquet.remove" {
            self.removed.store(true, Ordering::SeqCst);
        }
        let refuses = self.on.load(Ordering::SeqCst) && self.removed.load(Ordering::SeqCst);
        (refuses && point == "key-store.remove").then_some(Fault::FailBefore(5))
    }
}

/// T21: a key that could not be destroyed is not forgotten with the file that it opens.
#[test]
fn a_key_that_could_not_be_destroyed_goes_with_the_next_try() {
    let (fixture, options) = written();
    let refusing = Arc::new(Refusing::default());
    let host = Host::builder().faults(refusing.clone()).build();
    let writer = fixture.open_as(&host, options).unwrap();
    let replaced: Vec<String> = writer.snapshot().lake().files().iter().map(|file| file.path.clone()).collect();
    let left = || keys(&fixture).iter().filter(|key| replaced.iter().any(|file| key.starts_with(file))).count();
    refusing.on.store(true, Ordering::SeqCst);
    writer.compact().unwrap_err();
    assert!(writer.status().keys_owed > 0 && left() > 0, "{:?}", writer.status());
    refusing.on.store(false, Ordering::SeqCst);
    // There is no file left to remove: the keys are what it is for.
    writer.compact().unwrap();
    assert_eq!((writer.status().keys_owed, left()), (0, 0));
    writer.close().unwrap();
    assert_eq!(fixture.check(&[fixture.pin()]).verdict, Verdict::Valid);
}

/// T21: a segment's key that cannot be destroyed stops nobody, and goes with the next settle.
#[test]
fn a_segments_key_that_could_not_be_destroyed_stops_no_writer() {
    let (fixture, options) = written();
    let refusing = Arc::new(Refusing::default());
    let host = Host::builder().faults(refusing.clone()).build();
    let writer = fixture.open_as(&host, options).unwrap();
    writer.append(records(60..80), Intake::Import).unwrap();
    let segments = || keys(&fixture).iter().filter(|key| key.contains(".journal.")).count();
    refusing.removed.store(true, Ordering::SeqCst);
    refusing.on.store(true, Ordering::SeqCst);
    writer.settle().unwrap_err();
    let left = segments();
    assert!(writer.status().keys_owed > 0 && left > 1, "{left} {:?}", writer.status());
    writer.append(records(80..90), Intake::Import).unwrap();
    refusing.on.store(false, Ordering::SeqCst);
    writer.settle().unwrap();
    assert_eq!((writer.status().keys_owed, segments()), (0, 1), "{:?}", writer.status());
    writer.close().unwrap();
    assert_eq!(fixture.check(&[fixture.pin()]).verdict, Verdict::Valid);
}

/// T21: an erasure is not finished as long as a key is left that opens a copy of what it erased.
#[test]
fn an_erasure_goes_on_until_every_key_is_destroyed() {
    let (fixture, options) = written();
    let refusing = Arc::new(Refusing::default());
    let host = Host::builder().faults(refusing.clone()).build();
    let writer = fixture.open_as(&host, options).unwrap();
    let held = writer.snapshot().lake().files()[0].path.clone();
    refusing.on.store(true, Ordering::SeqCst);
    writer.erase(&erasure()).unwrap_err();
    assert!(fixture.path("erasure.json").exists());
    refusing.on.store(false, Ordering::SeqCst);
    writer.finish_erasure().unwrap();
    assert!(!fixture.path("erasure.json").exists());
    assert!(!keys(&fixture).iter().any(|key| key.starts_with(&held)), "{held}");
    assert_eq!(writer.status().keys_owed, 0);
    writer.close().unwrap();
}

fn erasure() -> Erasure {
    Erasure {
        id: id(90_000),
        indices: vec![5],
        parts: vec!["inputs".to_owned()],
        basis: "GDPR 17".to_owned(),
        by: "dpo".to_owned(),
    }
}

#[test]
fn tries_to_finish_an_erasure_make_no_keys() {
    let (fixture, options) = written();
    let writer = fixture.open_as(&Host::system(), options).unwrap();
    let reading = Reader::new(&Host::system(), &fixture.folder).snapshot().unwrap();
    assert!(writer.erase(&erasure()).unwrap().left > 0);
    let of_it = || keys(&fixture).iter().filter(|key| key.starts_with("erasure.json")).count();
    for _ in 0..3 {
        writer.finish_erasure().unwrap();
        assert!(writer.erase(&erasure()).unwrap().left > 0);
        assert_eq!(of_it(), 1);
    }
    drop(reading);
    writer.finish_erasure().unwrap();
    assert_eq!(of_it(), 0);
    writer.close().unwrap();
}

/// I14: between a segment that was read and its key that is looked for, the writer settles, and both are gone.
#[test]
fn a_segment_that_is_released_while_it_is_read_is_read_in_the_lake() {
    let (fixture, options) = written();
    let writer = Arc::new(fixture.open_as(&Host::system(), options).unwrap());
    writer.append(records(60..80), Intake::Import).unwrap();
    writer.wait_sealed().unwrap();
    let settling = Arc::clone(&writer);
    let act: Box<dyn FnOnce() + Send> = Box::new(move || settling.settle().unwrap());
    let between = Arc::new(Between { point: "key-store.read", act: Mutex::new(Some(act)) });
    let host = Host::builder().faults(between.clone()).build();
    let anew = Folder::new(fixture.folder.root()).with_keys(&fixture.keys);
    let snapshot = Reader::new(&host, &anew).snapshot().unwrap();
    assert!(between.act.lock().is_none(), "it was settled meanwhile");
    assert_eq!((snapshot.end(), snapshot.settled()), (80, 80));
    Arc::into_inner(writer).unwrap().close().unwrap();
}
