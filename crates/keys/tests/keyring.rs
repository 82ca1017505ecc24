//! A trail's keys over their life: made, found again, destroyed, wrapped anew, and refused where they do not belong.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::{Fault, FaultLog, FaultTable, Host};
use keys::{DataKey, KeyError, KeyId, Keyring, KeyringError, MasterError, Source};

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
