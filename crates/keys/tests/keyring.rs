//! A trail's keys over their life: made, found again, destroyed, wrapped anew, and refused where they do not belong.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::{Fault, FaultLog, FaultTable, Host};
use keys::{Copying, DataKey, KeyError, KeyId, Keyring, KeyringError, MasterError, Place, Rewrapped, Source};

const ORIGIN: &str = "example.com/credit";

fn create(host: &Host, folder: &Path, source: &Source) -> Result<Keyring, KeyringError> {
    Keyring::create(host, folder, "t", ORIGIN, true, source)
}

fn open(folder: &Path) -> Result<Keyring, KeyringError> {
    Keyring::open(&Host::system(), folder, "t", ORIGIN)
}

fn put(path: PathBuf, bytes: &[u8]) {
    Host::system().replace(path, bytes, "test", None).unwrap();
}

fn same(one: &DataKey, other: &DataKey) -> bool {
    one.secret().bytes() == other.secret().bytes() && one.id() == other.id()
}

#[test]
fn a_key_is_found_by_its_file_and_id_alone() {
    let folder = tempfile::tempdir().unwrap();
    let made = create(&Host::system(), folder.path(), &Source::default()).unwrap();
    let (one, two) = (made.make("a.parquet").unwrap(), made.make("b.parquet").unwrap());
    let keyring = open(folder.path()).unwrap();
    assert!(same(&keyring.find("a.parquet", &one.id()).unwrap(), &one));
    assert!(matches!(keyring.find("a.parquet", &two.id()), Err(KeyError::Destroyed { .. })));
    // The same key under the name of another file is not that file's.
    let store = folder.path().join("t.keys");
    let bytes = std::fs::read(store.join(format!("b.parquet.{}", two.id()))).unwrap();
    put(store.join(format!("a.parquet.{}", two.id())), &bytes);
    assert!(matches!(keyring.find("a.parquet", &two.id()), Err(KeyError::Unusable { .. })));
}

#[test]
fn a_destroyed_key_is_gone_and_the_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = create(&Host::system(), folder.path(), &Source::default()).unwrap();
    let keys: Vec<DataKey> = ["a", "a", "b"].iter().map(|file| keyring.make(file).unwrap()).collect();
    assert_eq!(keyring.destroy(["a", "c"]).unwrap(), 2);
    assert!(matches!(keyring.find("a", &keys[0].id()), Err(KeyError::Destroyed { .. })));
    assert!(same(&keyring.find("b", &keys[2].id()).unwrap(), &keys[2]));
    assert_eq!(keyring.sweep(|file| file != "b").unwrap(), 1);
    assert_eq!(keyring.count().unwrap(), 0);
}

/// T1: whatever is changed in what the folder of keys holds, nothing is decrypted with a wrong key in silence.
#[test]
fn a_flipped_byte_in_any_file_of_keys_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = create(&Host::system(), folder.path(), &Source::default()).unwrap();
    let key = keyring.make("a").unwrap();
    let file = folder.path().join("t.keys").join(format!("a.{}", key.id()));
    let good = std::fs::read(&file).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        put(file.clone(), &bad);
        let error = keyring.find("a", &key.id()).unwrap_err();
        assert!(matches!(&error, KeyError::Unusable { path, .. } if *path == file), "byte {at}: {error}");
    }
    put(file, &good);
    for name in ["master.key", "t.trail"] {
        let file = folder.path().join(name);
        let good = std::fs::read(&file).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            put(file.clone(), &bad);
            // What is not authenticated is white space, and where the key is.
            match Keyring::open(&Host::system(), folder.path(), "t", ORIGIN) {
                Ok(opened) => assert!(same(&opened.find("a", &key.id()).unwrap(), &key), "{name}, byte {at}"),
                Err(error) => {
                    assert!(error.to_string().contains(name) || error.to_string().contains("master"), "{error}")
                }
            }
        }
        put(file, &good);
    }
}

#[test]
fn another_master_key_and_none_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    create(&Host::system(), folder.path(), &Source::default()).unwrap();
    let master = folder.path().join("master.key");
    put(master.clone(), &[7; 32]);
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, KeyringError::WrongMaster { .. }), "{error}");
    put(master.clone(), b"too short");
    assert!(matches!(open(folder.path()).unwrap_err(), KeyringError::Master(MasterError::Malformed { .. })));
    Host::system().remove(&master, "test").unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, KeyringError::Master(MasterError::Missing { .. })), "{error}");
    assert!(error.to_string().contains("ONRECORD_MASTER_KEY"), "{error}");
    let error = Keyring::open(&Host::system(), folder.path(), "other", ORIGIN).unwrap_err();
    assert!(matches!(error, KeyringError::Missing { .. }), "{error}");
}

#[test]
fn a_passphrase_makes_the_master_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passphrase");
    put(file.clone(), b"correct horse battery staple\nanything\n");
    let source = Source::Passphrase(file.clone());
    let key = create(&Host::system(), folder.path(), &source).unwrap().make("a").unwrap();
    assert!(same(&open(folder.path()).unwrap().find("a", &key.id()).unwrap(), &key));
    put(file.clone(), b"correct horse battery stable\n");
    assert!(matches!(open(folder.path()).unwrap_err(), KeyringError::WrongMaster { .. }));
    put(file, b"short\n");
    assert!(matches!(open(folder.path()).unwrap_err(), KeyringError::Master(MasterError::Malformed { .. })));
    assert!(!folder.path().join("master.key").exists());
}

#[test]
fn another_master_key_takes_over_and_the_old_one_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let key = create(&Host::system(), folder.path(), &Source::default()).unwrap().make("a").unwrap();
    let old = std::fs::read(folder.path().join("master.key")).unwrap();
    put(folder.path().join("new.key"), &[9; 32]);
    Keyring::rotate_master(&Host::system(), folder.path(), "t", &Source::File("new.key".into())).unwrap();
    assert!(same(&open(folder.path()).unwrap().find("a", &key.id()).unwrap(), &key));
    put(folder.path().join("new.key"), &old);
    assert!(matches!(open(folder.path()).unwrap_err(), KeyringError::WrongMaster { .. }));
}

/// A rotation to the key that is in use would tell its owner to destroy it.
#[test]
fn the_master_key_that_is_in_use_does_not_take_over_from_itself() {
    let (host, folder) = (Host::system(), tempfile::tempdir().unwrap());
    let key = create(&host, folder.path(), &Source::default()).unwrap().make("a").unwrap();
    let before = std::fs::read(folder.path().join("t.trail")).unwrap();
    let error = Keyring::rotate_master(&host, folder.path(), "t", &Source::default()).unwrap_err();
    assert!(matches!(error, KeyringError::SameMaster { .. }), "{error}");
    assert_eq!(std::fs::read(folder.path().join("t.trail")).unwrap(), before);
    // The same bytes at another place: the place is what changes.
    put(folder.path().join("moved.key"), &std::fs::read(folder.path().join("master.key")).unwrap());
    let moved = Source::File("moved.key".into());
    assert_eq!(Keyring::rotate_master(&host, folder.path(), "t", &moved).unwrap(), Rewrapped::Moved);
    host.remove(folder.path().join("master.key"), "test").unwrap();
    assert!(same(&open(folder.path()).unwrap().find("a", &key.id()).unwrap(), &key));
    put(folder.path().join("passphrase"), b"correct horse battery staple\n");
    let passphrase = Source::Passphrase("passphrase".into());
    assert_eq!(Keyring::rotate_master(&host, folder.path(), "t", &passphrase).unwrap(), Rewrapped::Anew);
    let error = Keyring::rotate_master(&host, folder.path(), "t", &passphrase).unwrap_err();
    assert!(matches!(error, KeyringError::SameMaster { .. }), "{error}");
}

/// T21: what could not be destroyed is known, and goes with the next call, whatever that is for.
#[test]
fn a_destruction_that_failed_is_owed_and_made_good() {
    for point in ["key-store.list", "key-store.open", "key-store.write", "key-store.fdatasync", "key-store.remove"] {
        let folder = tempfile::tempdir().unwrap();
        create(&Host::system(), folder.path(), &Source::default()).unwrap();
        let nth = if point == "key-store.write" { 2 } else { 1 };
        let faulty = Host::builder().faults(FaultTable::one(point, nth, Fault::FailBefore(28))).build();
        let keyring = Keyring::open(&faulty, folder.path(), "t", ORIGIN).unwrap();
        let key = keyring.make("a").unwrap();
        keyring.destroy(["a"]).unwrap_err();
        assert_eq!(keyring.owed(), 1, "{point}");
        assert_eq!(keyring.destroy(["something else"]).unwrap(), 1, "{point}");
        assert_eq!(keyring.owed(), 0);
        assert!(matches!(keyring.find("a", &key.id()), Err(KeyError::Destroyed { .. })));
    }
}

/// A name may be used again, and a key that is made then is not the one that was to go.
#[test]
fn what_is_owed_takes_no_key_that_was_made_later() {
    let folder = tempfile::tempdir().unwrap();
    create(&Host::system(), folder.path(), &Source::default()).unwrap();
    let faulty = Host::builder().faults(FaultTable::one("key-store.list", 1, Fault::FailBefore(5))).build();
    let keyring = Keyring::open(&faulty, folder.path(), "t", ORIGIN).unwrap();
    let old = keyring.make("erasure.json").unwrap();
    keyring.destroy(["erasure.json"]).unwrap_err();
    let new = keyring.make("erasure.json").unwrap();
    keyring.destroy_owed().unwrap();
    assert!(matches!(keyring.find("erasure.json", &old.id()), Err(KeyError::Destroyed { .. })));
    assert!(same(&keyring.find("erasure.json", &new.id()).unwrap(), &new));
}

/// Another process gives the trail another key: whoever opened the keys before finds every key all the same.
#[test]
fn keys_that_were_opened_before_a_rotation_go_on_finding_all() {
    let folder = tempfile::tempdir().unwrap();
    let reader = create(&Host::system(), folder.path(), &Source::default()).unwrap();
    let old = reader.make("a").unwrap();
    Keyring::rotate_trail_key(&Host::system(), folder.path(), "t").unwrap();
    assert!(same(&reader.find("a", &old.id()).unwrap(), &old));
    Keyring::rotate_trail_key(&Host::system(), folder.path(), "t").unwrap();
    let new = open(folder.path()).unwrap().make("b").unwrap();
    assert!(same(&reader.find("b", &new.id()).unwrap(), &new));
    assert!(same(&reader.find("a", &old.id()).unwrap(), &old));
}

/// A copy opens what the original does, for the same log or for one that goes on with it, and forgets what the original
/// forgets.
#[test]
fn a_copy_of_the_keys_is_brought_up_to_date() {
    let (host, folder, other) = (Host::system(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let keyring = create(&host, folder.path(), &Source::default()).unwrap();
    let (gone, stays) = (keyring.make("a").unwrap(), keyring.make("b").unwrap());
    let from = Place { folder: folder.path(), name: "t" };
    let to = Place { folder: other.path(), name: "t" };
    let copied = Keyring::copy(&host, from, to, Copying::default()).unwrap();
    assert_eq!((copied.keys, copied.destroyed, copied.master_is_here), (2, 0, true));
    assert!(same(&open(other.path()).unwrap().find("a", &gone.id()).unwrap(), &gone));
    keyring.destroy(["a"]).unwrap();
    let copied = Keyring::copy(&host, from, to, Copying::default()).unwrap();
    assert_eq!((copied.keys, copied.destroyed), (1, 1));
    let copy = open(other.path()).unwrap();
    assert!(matches!(copy.find("a", &gone.id()), Err(KeyError::Destroyed { .. })));
    assert!(same(&copy.find("b", &stays.id()).unwrap(), &stays));
    let later = Place { folder: other.path(), name: "later" };
    Keyring::copy(&host, from, later, Copying { log: Some("example.com/later"), ..Copying::default() }).unwrap();
    let later = Keyring::open(&host, other.path(), "later", "example.com/later").unwrap();
    assert!(same(&later.find("b", &stays.id()).unwrap(), &stays));
    let made = later.make("c").unwrap();
    let error = Keyring::open(&host, other.path(), "later", ORIGIN).unwrap_err();
    assert!(matches!(error, KeyringError::Malformed { .. }), "{error}");
    // It is another store: what is made or destroyed in one is not in the other.
    assert!(matches!(keyring.find("c", &made.id()), Err(KeyError::Destroyed { .. })));
}

/// What is damaged, written over or missing in the original takes nothing from the only copy that is good.
#[test]
fn a_copy_is_not_made_worse_by_its_original() {
    let (host, folder, other) = (Host::system(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let keyring = create(&host, folder.path(), &Source::default()).unwrap();
    let (needed, other_one) = (keyring.make("a").unwrap(), keyring.make("b").unwrap());
    let from = Place { folder: folder.path(), name: "t" };
    let to = Place { folder: other.path(), name: "t" };
    let names = std::collections::BTreeSet::from(["a".to_owned()]);
    let copying = Copying { needed: Some(&names), ..Copying::default() };
    Keyring::copy(&host, from, to, copying).unwrap();
    let file = folder.path().join("t.keys").join(format!("a.{}", needed.id()));
    let good = std::fs::read(&file).unwrap();
    let mut changed = good.clone();
    changed[50] ^= 1;
    for bad in [Some(changed), Some(vec![0; good.len()]), Some(Vec::new()), None] {
        match &bad {
            Some(bytes) => host.replace(&file, bytes, "test", None).unwrap(),
            None => host.remove(&file, "test").unwrap(),
        }
        let error = Keyring::copy(&host, from, to, copying).unwrap_err();
        assert!(matches!(error, KeyringError::NoKeyOf { .. } | KeyringError::Key(_)), "{bad:?}: {error}");
        assert!(same(&open(other.path()).unwrap().find("a", &needed.id()).unwrap(), &needed), "{bad:?}");
    }
    host.replace(&file, &good, "test", None).unwrap();
    // One that nothing needs is not copied, and takes nothing either.
    let unneeded = folder.path().join("t.keys").join(format!("b.{}", other_one.id()));
    host.replace(&unneeded, b"damaged", "test", None).unwrap();
    Keyring::copy(&host, from, to, copying).unwrap();
    assert!(same(&open(other.path()).unwrap().find("b", &other_one.id()).unwrap(), &other_one));
}

/// Keys that are in use get those that they lack, wrapped as they are by now, and lose none.
#[test]
fn keys_in_place_are_completed() {
    let (host, folder, other) = (Host::system(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let keyring = create(&host, folder.path(), &Source::default()).unwrap();
    let (lost, kept) = (keyring.make("a").unwrap(), keyring.make("b").unwrap());
    let here = Place { folder: folder.path(), name: "t" };
    let copy = Place { folder: other.path(), name: "t" };
    Keyring::copy(&host, here, copy, Copying::default()).unwrap();
    keyring.destroy(["a"]).unwrap();
    Keyring::rotate_trail_key(&host, folder.path(), "t").unwrap();
    let later = open(folder.path()).unwrap().make("c").unwrap();
    let names = ["a", "b"].map(str::to_owned).into();
    let error = Keyring::complete(&host, None, here, &names).unwrap_err();
    assert!(matches!(&error, KeyringError::NoKeyOf { file, .. } if file == "a"), "{error}");
    Keyring::complete(&host, Some(copy), here, &names).unwrap();
    let keyring = open(folder.path()).unwrap();
    for (name, key) in [("a", lost), ("b", kept), ("c", later)] {
        assert!(same(&keyring.find(name, &key.id()).unwrap(), &key), "{name}");
    }
}

/// A copy beside another trail's master key is refused before anything of it is there.
#[test]
fn another_master_key_is_left_as_it_is() {
    let (host, folder, other) = (Host::system(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    create(&host, folder.path(), &Source::default()).unwrap();
    put(other.path().join("master.key"), &[7; 32]);
    let from = Place { folder: folder.path(), name: "t" };
    let to = Place { folder: other.path(), name: "t" };
    let error = Keyring::copy(&host, from, to, Copying::default()).unwrap_err();
    assert!(matches!(error, KeyringError::OtherMaster(_)) && error.to_string().contains("keys rotate"), "{error}");
    assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 1);
}

/// T21: of several keys the one that cannot be destroyed keeps none of the others.
#[test]
fn one_key_that_stays_keeps_no_other() {
    let folder = tempfile::tempdir().unwrap();
    create(&Host::system(), folder.path(), &Source::default()).unwrap();
    let faulty = Host::builder().faults(FaultTable::one("key-store.remove", 1, Fault::FailBefore(5))).build();
    let keyring = Keyring::open(&faulty, folder.path(), "t", ORIGIN).unwrap();
    for name in ["a", "b", "c"] {
        keyring.make(name).unwrap();
    }
    keyring.destroy(["a", "b", "c"]).unwrap_err();
    assert_eq!((keyring.owed(), keyring.count().unwrap()), (1, 1));
    assert_eq!((keyring.destroy_owed().unwrap(), keyring.owed(), keyring.count().unwrap()), (1, 0, 0));
}

/// T25: whatever fails while a trail gets another key, every key is found after, and the rotation can be finished.
#[test]
fn a_rotation_that_is_interrupted_anywhere_loses_nothing() {
    let prepare = || {
        let folder = tempfile::tempdir().unwrap();
        let keyring = create(&Host::system(), folder.path(), &Source::default()).unwrap();
        let keys: BTreeMap<String, DataKey> =
            ["a", "b", "c"].iter().map(|file| ((*file).to_owned(), keyring.make(file).unwrap())).collect();
        (folder, keys)
    };
    let all_there = |folder: &Path, keys: &BTreeMap<String, DataKey>| {
        let keyring = open(folder).unwrap();
        for (file, key) in keys {
            assert!(same(&keyring.find(file, &key.id()).unwrap(), key));
        }
    };
    let log = Arc::new(FaultLog::new());
    let (folder, keys) = prepare();
    let old = std::fs::read_to_string(folder.path().join("t.trail")).unwrap();
    let logged = Host::builder().faults(log.clone()).build();
    assert_eq!(Keyring::rotate_trail_key(&logged, folder.path(), "t").unwrap(), 3);
    all_there(folder.path(), &keys);
    // What the old key wrapped is wrapped by it no more.
    put(folder.path().join("t.trail"), old.as_bytes());
    assert!(matches!(open(folder.path()).unwrap().find("a", &keys["a"].id()), Err(KeyError::Unusable { .. })));
    let mut tried = 0;
    for (point, visits) in log.points() {
        for nth in 1..=visits {
            for fault in [Fault::FailBefore(5), Fault::FailAfter(5)] {
                let (folder, keys) = prepare();
                let faulty = Host::builder().faults(FaultTable::one(&point, nth, fault)).build();
                let _ = Keyring::rotate_trail_key(&faulty, folder.path(), "t");
                all_there(folder.path(), &keys);
                Keyring::rotate_trail_key(&Host::system(), folder.path(), "t").unwrap();
                all_there(folder.path(), &keys);
                tried += 1;
            }
        }
    }
    assert!(tried > 20, "{tried}");
}

#[test]
fn a_small_file_is_sealed_under_a_key_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = create(&Host::system(), folder.path(), &Source::default()).unwrap();
    let sealed = keyring.seal_file("erasure.json", b"canary").unwrap();
    assert!(Keyring::is_sealed(&sealed) && !sealed.windows(6).any(|window| window == b"canary"));
    assert_eq!(&keyring.open_file("erasure.json", &sealed).unwrap()[..], b"canary");
    assert!(keyring.open_file("other.json", &sealed).is_err());
    for at in 0..sealed.len() {
        let mut bad = sealed.clone();
        bad[at] ^= 1;
        assert!(keyring.open_file("erasure.json", &bad).is_err(), "byte {at}");
    }
    keyring.destroy(["erasure.json"]).unwrap();
    assert!(matches!(keyring.open_file("erasure.json", &sealed), Err(KeyError::Destroyed { .. })));
}

#[test]
fn nobody_else_may_read_what_is_in_the_folder() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let keyring = create(&Host::system(), folder.path(), &Source::default()).unwrap();
    let key: KeyId = keyring.make("a").unwrap().id();
    for file in ["master.key".to_owned(), "t.trail".to_owned(), format!("t.keys/a.{key}")] {
        let mode = std::fs::metadata(folder.path().join(&file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}
