//! Backups and what is restored from them: whole or opened by nobody, whatever interrupts them; never a second history.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::{Fault, FaultLog, FaultTable, Faults, Host};
use parking_lot::Mutex;
use record::{Kind, Part, Value};
use trail::{
    BackedUp, BackupError, Erasure, Folder, Intake, KeyFolder, ReadError, Reader, Restore, RestoreError, Restored,
    SettingsError, Verdict, Writer, backup,
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

/// Runs something at the first visit of a point.
struct Between {
    point: &'static str,
    act: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Faults for Between {
    fn at(&self, point: &str) -> Option<Fault> {
        if point == self.point
            && let Some(act) = self.act.lock().take()
        {
            act();
        }
        None
    }
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
            match seen(&place.restored()) {
                None => {
                    unopened += 1;
                    let refused = Writer::open(&Host::system(), &place.restored(), &place.keys, by_hand());
                    assert!(refused.is_err(), "after {after}");
                    // The same call goes on.
                    let restored = place.restore_as(&Host::system(), &place.keys, &pins);
                    let restored = restored.unwrap_or_else(|error| panic!("after {after}: {error}"));
                    assert_eq!(restored.goes_on_from.is_some(), anew, "after {after}");
                    assert!(restored.report.verdict.is_good(), "after {after}: {:#?}", restored.report);
                }
                // It failed after the last step, or not at all.
                Some(_) => {}
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
    let error = place.restore_as(&Host::system(), &place.keys, &[]).unwrap_err();
    assert!(matches!(error, RestoreError::Key(_) | RestoreError::Open(_)), "{error}");
    place.back_up();
    let restored = place.restore_as(&Host::system(), &place.keys, &[place.trail.pin()]).unwrap();
    assert_eq!(restored.report.verdict, Verdict::Valid);
    assert_eq!(seen(&place.restored()).unwrap(), ids(0..20));
}
