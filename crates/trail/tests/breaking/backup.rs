//! Backups and what is restored from them: whole or opened by nobody, whatever interrupts them; never a second history.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::{Fault, FaultLog, FaultTable, Host};
use parking_lot::Mutex;
use record::{Kind, Part, Value};
use trail::{
    BackedUp, BackupError, Erasure, Folder, Intake, KeyFolder, LockError, ReadError, Reader, Restore, RestoreError,
    Restored, SettingsError, Verdict, Writer, backup,
};

use crate::support::*;

/// A trail, a backup of it, one of its keys, and where it is restored to.
struct Place {
    trail: Fixture,
    backup: PathBuf,
    backup_keys: KeyFolder,
    restored: PathBuf,
    keys: KeyFolder,
}

impl Place {
    /// Around a trail that is encrypted, with two files and a journal.
    fn new() -> Place {
        let place = Place::around(Fixture::encrypted());
        let writer = place.trail.open();
        for first in [0, 20] {
            writer.append(records(first..first + 20), Intake::Import).unwrap();
            writer.settle().unwrap();
        }
        writer.append(records(40..50), Intake::Import).unwrap();
        writer.wait_sealed().unwrap();
        writer.close().unwrap();
        place
    }

    fn around(trail: Fixture) -> Place {
        let at = |name: &str| trail.temp.path().join(name);
        let (backup, restored) = (at("backup"), at("restored"));
        let (backup_keys, keys) = (KeyFolder(at("backup-keys")), KeyFolder(at("other-keys")));
        Place { trail, backup, backup_keys, restored, keys }
    }

    fn back_up_as(&self, host: &Host) -> Result<BackedUp, BackupError> {
        let to = Folder::new(&self.backup);
        // As another process does it: with a folder of its own.
        let folder = Folder::new(self.trail.folder.root()).with_keys(&self.trail.keys);
        backup(host, &folder, Some(&self.trail.keys), &to, Some(&self.backup_keys))
    }

    fn back_up(&self) -> BackedUp {
        self.back_up_as(&Host::system()).unwrap()
    }

    /// The backup, with the keys that were backed up.
    fn backed_up(&self) -> Folder {
        Folder::new(&self.backup).with_keys(&self.backup_keys)
    }

    fn restore_as(&self, host: &Host, keys: &KeyFolder, pins: &[Vec<u8>]) -> Result<Restored, RestoreError> {
        let pins: Vec<_> = pins.iter().map(|pin| ("pin".to_owned(), pin.clone())).collect();
        let (backup, backup_keys) = (&*self.backup, Some(&self.backup_keys));
        Restore { host, backup, backup_keys, to: &self.restored, keys, pins: &pins, newest: false }.run(&mut |_| {})
    }

    /// With the folder of keys alone to say how far the log had come, or with somebody who vouches for the backup.
    fn restore_without_pins(&self, keys: &KeyFolder, newest: bool) -> Result<Restored, RestoreError> {
        let (host, backup, backup_keys) = (Host::system(), &*self.backup, Some(&self.backup_keys));
        Restore { host: &host, backup, backup_keys, to: &self.restored, keys, pins: &[], newest }.run(&mut |_| {})
    }

    fn restored(&self) -> Folder {
        Folder::new(&self.restored).with_keys(&self.keys)
    }
}

/// What a reader sees of a folder; nothing if it is opened by nobody.
fn seen(folder: &Folder) -> Option<BTreeMap<u64, uuid::Uuid>> {
    match Reader::new(&Host::system(), folder).snapshot() {
        Err(ReadError::Settings(SettingsError::Unfinished { .. } | SettingsError::NotATrail(_))) => None,
        snapshot => Some(all_of(&snapshot.unwrap()).into_iter().map(|(index, (id, _))| (index, id)).collect()),
    }
}

fn ids(range: std::ops::Range<u64>) -> BTreeMap<u64, uuid::Uuid> {
    range.map(|n| (n, id(n))).collect()
}

#[test]
fn a_trail_is_backed_up_while_it_runs_and_goes_on_from_its_backup() {
    let place = Place::new();
    let writer = place.trail.open();
    writer.append(records(50..60), Intake::Import).unwrap();
    writer.wait_sealed().unwrap();
    let done = place.back_up();
    assert_eq!((done.records, done.keys.as_ref().unwrap().master_is_here), (60, true));
    let pin = place.trail.pin();
    // Nothing of the trail, its keys or the place that it was at is left.
    drop(writer);
    let lost = place.trail.temp.path().join("lost");
    Host::system().rename(place.trail.folder.root(), &lost, "test").unwrap();
    Host::system().rename(&place.trail.keys.0, lost.join("keys"), "test").unwrap();
    assert_eq!(check(&place.backed_up(), std::slice::from_ref(&pin)).verdict, Verdict::Valid);
    assert_eq!(seen(&place.backed_up()).unwrap(), ids(0..60));
    let restored = place.restore_as(&Host::system(), &place.keys, std::slice::from_ref(&pin)).unwrap();
    assert_eq!((restored.report.verdict, restored.goes_on_from), (Verdict::Valid, None));
    assert_eq!(restored.origin, "example.com/breaking");
    let writer = Writer::open(&Host::system(), &place.restored(), &place.keys, by_hand()).unwrap();
    writer.append(records(60..70), Intake::Import).unwrap();
    writer.settle().unwrap();
    writer.close().unwrap();
    assert_eq!(check(&place.restored(), &[pin]).verdict, Verdict::Valid);
    assert_eq!(seen(&place.restored()).unwrap(), ids(0..70));
}

/// What never changes is copied once; what the trail has forgotten since is forgotten.
#[test]
fn a_backup_is_brought_up_to_date() {
    let place = Place::new();
    let first = place.back_up();
    let again = place.back_up();
    assert!(first.kept == 0 && again.kept > 0 && again.copied < first.copied, "{first:?} {again:?}");
    let writer = place.trail.open();
    writer.append(records(50..60), Intake::Import).unwrap();
    let erasure = Erasure {
        id: id(90_000),
        indices: vec![5],
        parts: vec![Part::Inputs.name().to_owned()],
        basis: "GDPR 17".to_owned(),
        by: "dpo".to_owned(),
    };
    writer.erase(&erasure).unwrap();
    writer.close().unwrap();
    let third = place.back_up();
    assert!(third.keys.as_ref().unwrap().destroyed > 0, "{third:?}");
    let report = check(&place.backed_up(), &[place.trail.pin()]);
    assert_eq!((report.verdict, report.erased), (Verdict::Valid, 1));
    let mut expected = place.trail.files();
    let ours = ["lock", "scrub.json", "lake/_readers", "lake/_delta_log/_last_checkpoint"].map(PathBuf::from);
    expected.retain(|file| !ours.contains(file));
    let mut found = Vec::new();
    walk(&place.backup, &mut found);
    let mut found: Vec<PathBuf> =
        found.iter().map(|file| file.strip_prefix(&place.backup).unwrap().to_owned()).collect();
    found.sort();
    assert_eq!(found, expected);
}

/// Between journal and keys the writer settles: the keys of the segments that were copied are gone.
#[test]
fn a_backup_holds_what_is_settled_while_it_is_made() {
    let place = Place::new();
    let writer = Arc::new(place.trail.open());
    let settling = Arc::clone(&writer);
    let act: Box<dyn FnOnce() + Send> = Box::new(move || {
        settling.append(records(50..60), Intake::Import).unwrap();
        settling.settle().unwrap();
    });
    let between = Arc::new(Between { point: "key-copy.fsync-folder", act: Mutex::new(Some(act)) });
    let host = Host::builder().faults(between.clone()).build();
    let done = place.back_up_as(&host).unwrap();
    assert!(between.act.lock().is_none());
    assert_eq!(done.records, 60);
    assert_eq!(check(&place.backed_up(), &[place.trail.pin()]).verdict, Verdict::Valid);
    assert_eq!(seen(&place.backed_up()).unwrap(), ids(0..60));
    drop(between);
    drop(host);
    Arc::into_inner(writer).unwrap().close().unwrap();
}

/// Has something done at the first visit of a point of a backup that is made, and gives that backup.
fn back_up_while(
    place: &Place,
    point: &'static str,
    act: impl FnOnce() + Send + 'static,
) -> Result<BackedUp, BackupError> {
    let act: Box<dyn FnOnce() + Send> = Box::new(act);
    let between = Arc::new(Between { point, act: Mutex::new(Some(act)) });
    let done = place.back_up_as(&Host::builder().faults(between.clone()).build());
    assert!(between.act.lock().is_none(), "{point} was passed");
    done
}

/// Between the lake and the journal the writer settles: the journal that is left begins behind the lake that was copied.
#[test]
fn a_backup_has_what_left_the_journal_before_that_was_copied() {
    let place = Place::new();
    let writer = Arc::new(place.trail.open());
    let settling = Arc::clone(&writer);
    let done = back_up_while(&place, "unfinished.rename", move || settling.settle().unwrap()).unwrap();
    assert_eq!(done.records, 50);
    assert_eq!(check(&place.backed_up(), &[place.trail.pin()]).verdict, Verdict::Valid);
    assert_eq!(seen(&place.backed_up()).unwrap(), ids(0..50));
    Arc::into_inner(writer).unwrap().close().unwrap();
}

/// After the last look at the journal the writer settles again: what the keys remember is newer than what was copied, and the
/// log could not go on.
#[test]
fn the_keys_of_a_backup_know_of_nothing_newer_than_it() {
    let place = Place::new();
    let writer = Arc::new(place.trail.open());
    let compacting = Arc::clone(&writer);
    let act = move || {
        compacting.compact().unwrap();
    };
    back_up_while(&place, "key-copy.fsync-folder", act).unwrap();
    Arc::into_inner(writer).unwrap().close().unwrap();
    let restored = place.restore_as(&Host::system(), &place.keys, &[place.trail.pin()]).unwrap();
    assert_eq!((restored.report.verdict, restored.goes_on_from), (Verdict::Valid, None));
}

/// Two at a time into one folder would mix what they copy.
#[test]
fn one_backup_at_a_time_is_made_into_a_folder() {
    let place = Place::new();
    let (root, keys) = (place.trail.folder.root().to_owned(), place.trail.keys.clone());
    let (to, keys_to) = (place.backup.clone(), place.backup_keys.clone());
    let act = move || {
        let folder = Folder::new(root).with_keys(&keys);
        let error = backup(&Host::system(), &folder, Some(&keys), &Folder::new(to), Some(&keys_to)).unwrap_err();
        assert!(matches!(error, BackupError::Lock(LockError::UnderWay { .. })), "{error}");
    };
    back_up_while(&place, "unfinished.rename", act).unwrap();
    place.back_up();
    assert_eq!(check(&place.backed_up(), &[place.trail.pin()]).verdict, Verdict::Valid);
}

/// A key that the trail has lost is not lost in its backup too.
#[test]
fn a_damaged_key_of_the_trail_replaces_none_of_the_backup() {
    let place = Place::new();
    place.back_up();
    let mut files = Vec::new();
    walk(&place.trail.keys.0, &mut files);
    let key = files.iter().find(|file| file.to_string_lossy().contains(".parquet.")).unwrap();
    let good = std::fs::read(key).unwrap();
    put(key, &vec![0; good.len()]);
    let error = place.back_up_as(&Host::system()).unwrap_err();
    assert!(matches!(error, BackupError::Keys(_)), "{error}");
    put(key, &good);
    place.back_up();
    put(key, b"damaged");
    place.back_up_as(&Host::system()).unwrap_err();
    let copy = place.backup_keys.0.join(key.strip_prefix(&place.trail.keys.0).unwrap());
    assert_eq!(std::fs::read(copy).unwrap(), good);
}

/// T3: a copy that was put back has lost keys that it needs, and its keys know it.
#[test]
fn an_older_copy_is_not_backed_up_with_the_keys_of_the_newer_one() {
    let place = Place::new();
    let older = place.trail.temp.path().join("older");
    copy(place.trail.folder.root(), &older);
    let writer = place.trail.open();
    writer.compact().unwrap();
    writer.close().unwrap();
    let (folder, to) = (Folder::new(older).with_keys(&place.trail.keys), Folder::new(&place.backup));
    let error = backup(&Host::system(), &folder, Some(&place.trail.keys), &to, Some(&place.backup_keys)).unwrap_err();
    assert!(matches!(error, BackupError::OlderCopy { .. }), "{error}");
    assert!(!place.backup_keys.0.exists());
}

/// A file of the table's log that has the same name and is another one is the trail's as it is.
#[test]
fn the_log_of_the_table_is_the_trails() {
    let place = Place::new();
    place.back_up();
    let log = Path::new("_delta_log").join(format!("{:020}.json", 1));
    put(&place.backup.join("lake").join(&log), b"{}");
    place.back_up();
    let read = |folder: &Path| std::fs::read(folder.join("lake").join(&log)).unwrap();
    assert_eq!(read(&place.backup), read(place.trail.folder.root()));
}

/// The journal begins behind the lake, and no record behind the hole is under the checkpoint.
#[test]
fn a_hole_between_lake_and_journal_is_found_behind_the_checkpoint_too() {
    let trail = Fixture::new();
    let writer = trail.open();
    writer.append(records(0..20), Intake::Import).unwrap();
    writer.settle().unwrap();
    let older = trail.copy();
    writer.append(records(20..30), Intake::Import).unwrap();
    writer.settle().unwrap();
    writer.close().unwrap();
    assert!(older.check(&[]).verdict.is_good());
    remove_all(&older.folder.journal());
    copy(&trail.folder.journal(), &older.folder.journal());
    let report = older.check(&[]);
    assert!(!report.verdict.is_good(), "{report:#?}");
}

/// Every point that a run passes, each struck at its first, middle and last visit.
fn strikes(log: &FaultLog, of: &[&str]) -> Vec<(String, u64, Fault)> {
    let points = log.points().into_iter().filter(|(point, _)| of.iter().any(|step| point.starts_with(step)));
    let mut strikes = Vec::new();
    for (point, visits) in points {
        let mut nths = vec![1, visits.div_ceil(2), visits];
        nths.dedup();
        for nth in nths {
            strikes.extend([Fault::FailBefore(5), Fault::FailAfter(5)].map(|fault| (point.clone(), nth, fault)));
        }
    }
    strikes
}

/// T25: a backup that is made over an older one fails at any step: the folder is then the older one, the newer one, or
/// opened by nobody; and the same call goes on with it.
#[test]
fn an_interrupted_backup_is_whole_or_opened_by_nobody() {
    let grown = |log: Option<&Arc<FaultLog>>| {
        let place = Place::new();
        place.back_up();
        let writer = place.trail.open();
        writer.append(records(50..60), Intake::Import).unwrap();
        writer.settle().unwrap();
        writer.append(records(60..65), Intake::Import).unwrap();
        writer.wait_sealed().unwrap();
        writer.close().unwrap();
        if let Some(log) = log {
            place.back_up_as(&Host::builder().faults(log.clone()).build()).unwrap();
        }
        place
    };
    let log = Arc::new(FaultLog::new());
    grown(Some(&log));
    let strikes = strikes(&log, &["backup.", "unfinished.", "key-copy.", "key-store.", "trail-key."]);
    assert!(strikes.len() > 60, "{strikes:?}");
    let (mut unopened, mut older) = (0, 0);
    for (point, nth, fault) in &strikes {
        let place = grown(None);
        let failed = place.back_up_as(&Host::builder().faults(FaultTable::one(point, *nth, *fault)).build());
        let after = format!("{point} {nth} {fault:?}: {failed:?}");
        match seen(&place.backed_up()) {
            None => unopened += 1,
            Some(seen) => {
                assert!(seen == ids(0..50) || seen == ids(0..65), "after {after}");
                older += usize::from(seen.len() == 50);
                assert!(check(&place.backed_up(), &[]).verdict.is_good(), "after {after}");
            }
        }
        place.back_up();
        assert_eq!(seen(&place.backed_up()).unwrap(), ids(0..65), "after {after}");
        assert_eq!(check(&place.backed_up(), &[place.trail.pin()]).verdict, Verdict::Valid, "after {after}");
    }
    assert!(unopened > 0 && older > 0, "{unopened} {older}");
}

/// T25: the same of a restore, to the same log and to a new one.
#[test]
fn an_interrupted_restore_is_whole_or_opened_by_nobody() {
    for anew in [false, true] {
        let backed_up = Place::new();
        backed_up.back_up();
        let mut pins = vec![backed_up.trail.pin()];
        if anew {
            let writer = backed_up.trail.open();
            writer.append(records(50..60), Intake::Import).unwrap();
            writer.wait_sealed().unwrap();
            writer.close().unwrap();
            pins = vec![backed_up.trail.pin()];
        }
        let end = if anew { 51 } else { 50 };
        // Each is restored beside the others, with keys of its own.
        let at = |n: usize| {
            let root = backed_up.trail.temp.path();
            let mut place = Place::around(Fixture::at(root));
            place.restored = root.join(format!("restored-{n}"));
            place.keys = KeyFolder(root.join(format!("keys-{n}")));
            place
        };
        let log = Arc::new(FaultLog::new());
        let place = at(0);
        place.restore_as(&Host::builder().faults(log.clone()).build(), &place.keys, &pins).unwrap();
        let steps = [
            "restore.",
            "unfinished.",
            "backup.",
            "key",
            "trail",
            "journal.",
            "delta.",
            "checkpoint.",
            "entries.",
            "last-signed.",
            "lake-reached.",
            "lock.",
        ];
        let strikes = strikes(&log, &steps);
        assert!(strikes.len() > 100, "{}", strikes.len());
        let mut unopened = 0;
        for (n, (point, nth, fault)) in strikes.iter().enumerate() {
            let place = at(n + 1);
            let host = Host::builder().faults(FaultTable::one(point, *nth, *fault)).build();
            let failed = place.restore_as(&host, &place.keys, &pins);
            let after = format!("{point} {nth} {fault:?}: {failed:?}");
            // Otherwise it failed after the last step, or not at all.
            if seen(&place.restored()).is_none() {
                unopened += 1;
                let refused = Writer::open(&Host::system(), &place.restored(), &place.keys, by_hand());
                assert!(refused.is_err(), "after {after}");
                // The same call goes on.
                let restored = place.restore_as(&Host::system(), &place.keys, &pins);
                let restored = restored.unwrap_or_else(|error| panic!("after {after}: {error}"));
                assert_eq!(restored.goes_on_from.is_some(), anew, "after {after}");
                assert!(restored.report.verdict.is_good(), "after {after}: {:#?}", restored.report);
            }
            let seen = seen(&place.restored()).unwrap();
            assert_eq!(seen.len(), end, "after {after}");
            assert_eq!(seen.range(..50).map(|(index, id)| (*index, *id)).collect::<BTreeMap<_, _>>(), ids(0..50));
            assert!(check(&place.restored(), &[]).verdict.is_good(), "after {after}");
            remove_all(&place.restored);
            remove_all(&place.keys.0);
        }
        assert!(unopened > 20, "{unopened}");
    }
}

fn remove_all(path: &Path) {
    #[allow(clippy::disallowed_methods, reason = "these are no files of record any more")]
    std::fs::remove_dir_all(path).unwrap();
}

/// T3: who knows of more than the backup holds gets a new log, which says what is lost, and never a second history.
#[test]
fn a_backup_that_is_older_than_what_was_signed_begins_a_new_log() {
    let place = Place::new();
    let old = place.trail.pin();
    place.back_up();
    let writer = place.trail.open();
    writer.append(records(50..60), Intake::Import).unwrap();
    writer.wait_sealed().unwrap();
    writer.close().unwrap();
    let newest = place.trail.pin();
    let restored = place.restore_as(&Host::system(), &place.keys, &[newest.clone(), old]).unwrap();
    let from = restored.goes_on_from.unwrap();
    assert_eq!((from.origin.as_str(), from.records, from.lost()), ("example.com/breaking", 50, Some(50..60)));
    assert!(restored.origin.starts_with("example.com/breaking/restored-"), "{}", restored.origin);
    // Nothing was brought that the new log signed.
    assert_eq!(restored.report.verdict, Verdict::Consistent);
    let snapshot = Reader::new(&Host::system(), &place.restored()).snapshot().unwrap();
    let first = snapshot.get(50).unwrap().unwrap().stored;
    assert_eq!((snapshot.end(), snapshot.sealed(), first.stamp.kind), (51, 51, Kind::Config));
    let context = Value::from_canonical(first.parts().unwrap().get(Part::Context).unwrap()).unwrap();
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_text).map(str::to_owned);
    assert_eq!(text(context.get("goes_on_from").unwrap(), "origin").unwrap(), "example.com/breaking");
    assert_eq!(
        text(context.get("newest_known").unwrap(), "checkpoint").unwrap().into_bytes(),
        newest,
        "the checkpoint itself"
    );
    assert_eq!(context.get("lost").unwrap().get("first").unwrap().as_f64(), Some(50.0));
    assert_eq!(context.get("lost").unwrap().get("end").unwrap().as_f64(), Some(60.0));
    // It is read, continued, compacted and backed up as any trail is.
    let writer = Writer::open(&Host::system(), &place.restored(), &place.keys, by_hand()).unwrap();
    writer.append(records(60..70), Intake::Import).unwrap();
    writer.settle().unwrap();
    writer.compact().unwrap();
    writer.close().unwrap();
    let pin = std::fs::read(place.restored().checkpoint()).unwrap();
    assert_eq!(check(&place.restored(), &[pin]).verdict, Verdict::Valid);
    // The old log's key signs nothing of it.
    let report = check(&place.restored(), &[newest]);
    assert_eq!(report.verdict, Verdict::Invalid, "{report:#?}");
}

/// The folder of keys remembers what was signed, though nobody has kept a checkpoint.
#[test]
fn beside_the_keys_of_the_lost_trail_nothing_newer_is_forgotten() {
    let place = Place::new();
    place.back_up();
    let writer = place.trail.open();
    writer.append(records(50..60), Intake::Import).unwrap();
    writer.close().unwrap();
    let restored = place.restore_as(&Host::system(), &place.trail.keys, &[]).unwrap();
    assert_eq!(restored.goes_on_from.unwrap().lost(), Some(50..60));
    // And the trail itself, if it is found again, is what it was.
    place.trail.open().close().unwrap();
    assert_eq!(place.trail.check(&[place.trail.pin()]).verdict, Verdict::Valid);
}

/// T3: the last checkpoint beside a key is remembered now and then. Where nothing else says how far the log had come, it is
/// not gone on with, but by whoever knows it.
#[test]
fn a_log_goes_on_only_if_something_says_that_it_may() {
    let place = Place::new();
    place.back_up();
    let anew = place.restore_without_pins(&place.keys, false).unwrap();
    let from = anew.goes_on_from.unwrap();
    assert!(from.unproven && from.lost().is_none(), "{from:?}");
    remove_all(&place.restored);
    let restored = place.restore_without_pins(&place.keys, true).unwrap();
    assert_eq!((restored.origin.as_str(), restored.goes_on_from), ("example.com/breaking", None));
    remove_all(&place.restored);
    // The keys that the trail was used with know it.
    let restored = place.restore_without_pins(&place.trail.keys, false).unwrap();
    assert_eq!((restored.origin.as_str(), restored.goes_on_from), ("example.com/breaking", None));
}

/// I6: keys that a running writer uses are not another copy's, and what they lack comes from the backup.
#[test]
fn keys_in_place_are_used_alone_and_completed() {
    let place = Place::new();
    place.back_up();
    let writer = place.trail.open();
    let error = place.restore_without_pins(&place.trail.keys, false).unwrap_err();
    assert!(matches!(error, RestoreError::Lock(LockError::KeysInUse { .. })), "{error}");
    assert!(!place.restored.exists());
    writer.close().unwrap();
    let mut files = Vec::new();
    walk(&place.trail.keys.0, &mut files);
    let of_lake = |file: &&PathBuf| file.to_string_lossy().contains(".parquet.");
    let (gone, other) = (files.iter().find(of_lake).unwrap(), place.trail.keys.0.join("other.keys"));
    remove(gone);
    Host::system().create_dir_all(&other, "test").unwrap();
    let restored = place.restore_without_pins(&place.trail.keys, false).unwrap();
    assert_eq!((restored.report.verdict.is_good(), restored.goes_on_from), (true, None));
    assert!(gone.exists() && other.exists());
}

/// A link in a backup is not followed: it may lead to what is nobody's business.
#[test]
fn a_link_in_a_backup_is_refused() {
    let place = Place::new();
    place.back_up();
    put(&place.trail.temp.path().join("secret"), b"mine");
    std::os::unix::fs::symlink(place.trail.temp.path().join("secret"), place.backup.join("lake/link")).unwrap();
    let error = place.restore_as(&Host::system(), &place.keys, &[place.trail.pin()]).unwrap_err();
    assert!(matches!(error, RestoreError::NoFile(_)), "{error}");
    assert_eq!(seen(&place.restored()), None);
}

/// T21: an erasure that had begun when the backup was made is finished before anybody reads what was restored.
#[test]
fn an_erasure_that_had_begun_is_finished_by_the_restore() {
    let place = Place::new();
    let reading = Reader::new(&Host::system(), &place.trail.folder).snapshot().unwrap();
    let writer = place.trail.open();
    let erasure = Erasure {
        id: id(90_000),
        indices: vec![5],
        parts: vec![Part::Inputs.name().to_owned()],
        basis: "GDPR 17".to_owned(),
        by: "dpo".to_owned(),
    };
    assert!(writer.erase(&erasure).unwrap().left > 0);
    place.back_up();
    assert!(place.backed_up().erasure().exists());
    let restored = place.restore_as(&Host::system(), &place.keys, &[place.trail.pin()]).unwrap();
    assert_eq!((restored.report.verdict, restored.report.erased), (Verdict::Valid, 1));
    assert!(!place.restored().erasure().exists());
    drop(reading);
    writer.close().unwrap();
}

#[test]
fn what_cannot_be_a_backup_is_refused_and_left_alone() {
    let place = Place::new();
    let (host, trail) = (Host::system(), &place.trail);
    let to = Folder::new(&place.backup);
    let error = backup(&host, &trail.folder, Some(&trail.keys), &to, None).unwrap_err();
    assert!(matches!(error, BackupError::NeedsKeys), "{error}");
    for keys in [place.backup.join("keys"), place.backup.clone(), trail.keys.0.clone(), trail.path("keys")] {
        let error = backup(&host, &trail.folder, Some(&trail.keys), &to, Some(&KeyFolder(keys))).unwrap_err();
        assert!(matches!(error, BackupError::NotApart { .. }), "{error}");
    }
    assert!(!place.backup.exists());
    host.create_dir_all(&place.backup, "test").unwrap();
    put(&place.backup.join("notes.txt"), b"mine");
    let error = place.back_up_as(&host).unwrap_err();
    assert!(matches!(error, BackupError::Another { .. }), "{error}");
    remove(&place.backup.join("notes.txt"));
    place.back_up();
    // Of another trail.
    let other = Place::new();
    let strange = backup(&host, &other.trail.folder, Some(&other.trail.keys), &to, Some(&other.backup_keys));
    assert!(matches!(strange.unwrap_err(), BackupError::Another { .. }));
    // A trail that was put back in time does not overwrite what it has forgotten (T3).
    let writer = trail.open();
    writer.append(records(50..60), Intake::Import).unwrap();
    writer.wait_sealed().unwrap();
    let older = trail.copy();
    writer.append(records(60..70), Intake::Import).unwrap();
    writer.close().unwrap();
    place.back_up();
    let error = backup(&host, &older.folder, Some(&older.keys), &to, Some(&place.backup_keys)).unwrap_err();
    assert!(matches!(error, BackupError::NotOurPast { .. }), "{error}");
    assert_eq!(check(&place.backed_up(), &[trail.pin()]).verdict, Verdict::Valid);
}

/// T1, T2: a backup that is damaged does not become a trail.
#[test]
fn what_a_damaged_backup_gives_is_opened_by_nobody() {
    let place = Place::new();
    place.back_up();
    let mut files = Vec::new();
    walk(&place.backup, &mut files);
    let data = files.iter().find(|file| file.extension().is_some_and(|kind| kind == "parquet")).unwrap();
    let mut bytes = std::fs::read(data).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    put(data, &bytes);
    let restored = place.restore_as(&Host::system(), &place.keys, &[place.trail.pin()]).unwrap();
    assert!(!restored.report.verdict.is_good(), "{:#?}", restored.report);
    assert_eq!(seen(&place.restored()), None);
    let error = place.restore_as(&Host::system(), &place.keys, &[b"no checkpoint".to_vec()]).unwrap_err();
    assert!(matches!(error, RestoreError::Pin { .. }), "{error}");
}

/// An open trail has no keys to lose, and its signing key is all that a backup of keys holds.
#[test]
fn an_open_trail_is_backed_up_with_or_without_keys() {
    let place = Place::around(Fixture::empty(fast_temp()));
    trail::init(&Host::system(), &place.trail.folder, None, &place.trail.keys).unwrap();
    let writer = place.trail.open();
    writer.append(records(0..20), Intake::Import).unwrap();
    writer.settle().unwrap();
    writer.close().unwrap();
    let to = Folder::new(&place.backup);
    let done = backup(&Host::system(), &place.trail.folder, Some(&place.trail.keys), &to, None).unwrap();
    assert!(done.keys.is_none());
    assert_eq!(check(&to, &[place.trail.pin()]).verdict, Verdict::Valid);
    let error = place.restore_as(&Host::system(), &place.keys, &[place.trail.pin()]).unwrap_err();
    assert!(matches!(error, RestoreError::Key(_) | RestoreError::Open(_)), "{error}");
    place.back_up();
    let restored = place.restore_as(&Host::system(), &place.keys, &[place.trail.pin()]).unwrap();
    assert_eq!(restored.report.verdict, Verdict::Valid);
    assert_eq!(seen(&place.restored()).unwrap(), ids(0..20));
}
