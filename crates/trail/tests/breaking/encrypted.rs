//! A trail whose files are encrypted: nothing of a record stands in any byte on disk, what is changed is found and named,
//! and what has lost its key is lost.

use std::path::{Path, PathBuf};

use host::Host;
use record::Part;
use trail::{
    Erasure, Intake, KeysError, OpenError, Options, Outcome, ReadError, Reader, Source, Verdict, VerifyError, Writer,
    verify,
};

use crate::support::*;

/// Stands in every field of every record below, and in keys that become no columns.
const CANARY: &str = "canary7f3a";

/// Record `n`, with the canary wherever a text may stand but in the names of models and versions, and of fields that many
/// records have: those are in the table's log.
fn marked(n: u64) -> String {
    let id = id(n);
    let odd = if n.is_multiple_of(5) { r#","odd canary7f3a key!":1"# } else { "" };
    let rare = if n == 3 { r#","canary7f3a_rare":"x""# } else { "" };
    let c = format!("{CANARY}-{n}");
    format!(
        r#"{{"id":"{id}","kind":"decision","time":"2024-06-01T12:00:00Z","model":{{"name":"m","version":"1"}},
        "producer":{{"name":"{c}","instance":"{c}","seq":{n}}},"result":{{"class":"{c}"}},"error":"{c}",
        "sampling":{{"probability":1,"reason":"{c}","rules":"{c}"}},"profile":["{c}"],"clock":{{"source":"{c}"}},
        "subject":{{"id":"{c}","case":"{c}","note":"{c}"{odd}}},"inputs":{{"income":{n},"state":"{c}"{odd}{rare}}},
        "parameters":{{"limit":"{c}"{odd}}},"output":{{"decision":"{c}"{odd}}},
        "explanation":{{"method":"{c}","values":{{"income":0.5}}{odd}}},"context":{{"request":"{c}"{odd}}}}}"#
    )
}

fn append(writer: &Writer, range: std::ops::Range<u64>) {
    let records = range.map(|n| parse(&marked(n))).collect();
    let outcomes = writer.append(records, Intake::Import).unwrap();
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Kept(_))), "{outcomes:?}");
}

/// Three files, of which one replaced others, and a journal.
fn written() -> Fixture {
    let fixture = Fixture::encrypted();
    let writer = fixture.open();
    for first in [0, 20, 40] {
        append(&writer, first..first + 20);
        writer.settle().unwrap();
    }
    append(&writer, 60..70);
    writer.wait_sealed().unwrap();
    writer.close().unwrap();
    fixture
}

/// The files under `folder` that hold the canary, in any case and as any engine would write text.
fn with_canary(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    walk(folder, &mut files);
    let wide: Vec<u8> = CANARY.encode_utf16().flat_map(u16::to_le_bytes).collect();
    files.retain(|file| {
        let bytes = std::fs::read(file).unwrap().to_ascii_lowercase();
        [CANARY.as_bytes(), &wide].iter().any(|what| bytes.windows(what.len()).any(|window| window == *what))
    });
    files
}

/// T21: everything that a trail does, and every byte that it leaves.
#[test]
fn no_byte_on_disk_says_what_a_record_says() {
    let fixture = written();
    assert_eq!(with_canary(fixture.temp.path()), Vec::<PathBuf>::new());
    let pin = fixture.pin();
    let writer = fixture.open();
    writer.compact().unwrap();
    assert_eq!(with_canary(fixture.temp.path()), Vec::<PathBuf>::new());
    let erasure = Erasure {
        id: id(90_000),
        indices: vec![5, 25, 65],
        parts: vec![Part::Subject.name().to_owned(), Part::Inputs.name().to_owned()],
        basis: format!("{CANARY} basis"),
        by: format!("{CANARY} by"),
    };
    writer.erase(&erasure).unwrap();
    append(&writer, 70..80);
    writer.wait_sealed().unwrap();
    writer.close().unwrap();
    assert_eq!(with_canary(fixture.temp.path()), Vec::<PathBuf>::new());
    let report = fixture.check(&[pin]);
    assert_eq!((report.verdict, report.erased, report.encryption.as_str()), (Verdict::Valid, 3, "aes-256-gcm"));
    // The sweep looks where records are: the same trail in the open is full of it.
    let open = Fixture::empty(fast_temp());
    trail::init(&Host::system(), &open.folder, None, &open.keys).unwrap();
    let writer = open.open();
    append(&writer, 0..20);
    assert!(with_canary(open.folder.root()).iter().any(|file| file.extension().is_some_and(|it| it == "journal")));
    writer.settle().unwrap();
    assert!(!with_canary(open.folder.root()).is_empty());
}

/// An erasure that waits for its readers is on disk meanwhile, and says nothing to whoever has no key.
#[test]
fn an_erasure_that_is_not_finished_is_encrypted_and_goes_on() {
    let fixture = written();
    let reading = Reader::new(&Host::system(), &fixture.folder).snapshot().unwrap();
    let writer = fixture.open();
    let erasure = Erasure {
        id: id(90_000),
        indices: vec![5],
        parts: vec!["inputs".to_owned()],
        basis: CANARY.to_owned(),
        by: CANARY.to_owned(),
    };
    assert!(writer.erase(&erasure).unwrap().left > 0);
    let pending = fixture.folder.root().join("erasure.json");
    assert!(pending.exists());
    assert_eq!(with_canary(fixture.temp.path()), Vec::<PathBuf>::new());
    writer.close().unwrap();
    drop(reading);
    let writer = fixture.open();
    assert_eq!(writer.erase(&erasure).unwrap().left, 0);
    assert!(!pending.exists());
}

/// Look-ups find what they found in the open, through filters that nobody else can try.
#[test]
fn records_are_found_by_every_look_up() {
    let fixture = written();
    let writer = fixture.open();
    writer.compact().unwrap();
    let snapshot = Reader::new(&Host::system(), &fixture.folder).snapshot().unwrap();
    for n in [0, 33, 59, 69] {
        assert_eq!(snapshot.find(&id(n)).unwrap().unwrap().index, n);
        for column in [lake::Lookup::Subject, lake::Lookup::Case] {
            let found = snapshot.look_up(column, &[&format!("{CANARY}-{n}")]).unwrap();
            assert_eq!(found.iter().map(|found| found.index).collect::<Vec<_>>(), [n]);
        }
    }
    assert!(snapshot.find(&id(7_000)).unwrap().is_none());
    assert!(snapshot.look_up(lake::Lookup::Subject, &["nobody"]).unwrap().is_empty());
}

/// T1: a byte that is flipped in any kind of file of the trail is an error or a verdict that names the file.
#[test]
fn a_flipped_byte_is_found_in_every_kind_of_encrypted_file() {
    let fixture = written();
    let pin = fixture.pin();
    let kinds: Vec<PathBuf> = fixture
        .files()
        .into_iter()
        .filter(|file| file.extension().is_some_and(|kind| kind == "parquet" || kind == "journal"))
        .filter(|file| !file.starts_with("lake/_delta_log"))
        .collect();
    assert!(kinds.len() >= 4, "{kinds:?}");
    for file in kinds {
        let good = fixture.read(&file);
        let length = good.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        for at in (0..length).step_by(length / 60 + 1) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            fixture.write(&file, &bad);
            let report = fixture.check(std::slice::from_ref(&pin));
            // Damage to what was written last looks like a torn write: then the records are named, and the journal.
            let named = report.findings.iter().any(|found| {
                let by_path = found.file.as_ref().is_some_and(|path| path.ends_with(&file));
                by_path || file.starts_with("journal") && found.what.contains("gone from the journal")
            });
            assert!(!report.verdict.is_good() && named, "byte {at} of {}: {report:#?}", file.display());
        }
        fixture.write(&file, &good);
    }
    assert_eq!(fixture.check(&[pin]).verdict, Verdict::Valid);
}

/// Whoever has only the trail's folder, or another master key, is told so, and nothing is changed.
#[test]
fn without_its_keys_a_trail_is_not_read_and_not_verified() {
    let fixture = written();
    let host = Host::system();
    let bare = trail::Folder::new(fixture.folder.root());
    let error = Reader::new(&host, &bare).snapshot().err().unwrap();
    assert!(matches!(error, ReadError::Keys(KeysError::NoFolder { .. })), "{error}");
    let error = verify(&host, &bare, &Default::default(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, VerifyError::Keys(_)) && error.to_string().contains("ONRECORD_KEYS"), "{error}");
    let other = Fixture::encrypted();
    let strange = trail::Folder::new(fixture.folder.root()).with_keys(&other.keys);
    let error = Reader::new(&host, &strange).snapshot().err().unwrap();
    assert!(error.to_string().contains("are not at"), "{error}");
    put(&fixture.keys.0.join("master.key"), &std::fs::read(other.keys.0.join("master.key")).unwrap());
    let anew = trail::Folder::new(fixture.folder.root()).with_keys(&fixture.keys);
    let error = Reader::new(&host, &anew).snapshot().err().unwrap();
    assert!(error.to_string().contains("does not open"), "{error}");
    let error = Writer::open(&host, &anew, &fixture.keys, Options::default()).err().unwrap();
    assert!(matches!(error, OpenError::Keys(_)), "{error}");
}

/// What has lost its key is unreadable, in the trail and in every copy of the file; the rest stays as it was.
#[test]
fn a_file_without_its_key_is_lost_and_named() {
    let fixture = written();
    let store = std::fs::read_dir(&fixture.keys.0).unwrap().map(|entry| entry.unwrap().path());
    let store = store.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "keys")).unwrap();
    let lost = fixture.files().into_iter().find(|file| file.to_string_lossy().contains("settle-")).unwrap();
    let name = lost.file_name().unwrap().to_string_lossy().into_owned();
    let key = std::fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().path());
    remove(&key.into_iter().find(|path| path.to_string_lossy().contains(&name)).unwrap());
    let report = fixture.check(&[fixture.pin()]);
    assert_eq!(report.verdict, Verdict::Incomplete);
    let found = &report.findings[0];
    assert!(
        found.file.as_ref().is_some_and(|file| file.ends_with(&lost)) && found.what.contains("destroyed"),
        "{found:?}"
    );
    let snapshot = Reader::new(&Host::system(), &fixture.folder).snapshot().unwrap();
    let error = snapshot.get(0).err().unwrap();
    assert!(error.to_string().contains(&name) && error.to_string().contains("destroyed"), "{error}");
    assert!(snapshot.get(25).unwrap().is_some() && snapshot.get(65).unwrap().is_some());
}

/// T21: an erasure takes the keys of the files that held what went, so that copies of them tell nothing.
#[test]
fn copies_of_files_from_before_an_erasure_cannot_be_read() {
    let fixture = written();
    let before = fixture.copy();
    let writer = fixture.open();
    let erasure = Erasure {
        id: id(90_000),
        indices: vec![5, 65],
        parts: vec!["inputs".to_owned()],
        basis: "GDPR 17".to_owned(),
        by: "dpo".to_owned(),
    };
    writer.erase(&erasure).unwrap();
    writer.close().unwrap();
    // The old copy of the folder, with the keys of today.
    let old = trail::Folder::new(before.folder.root()).with_keys(&fixture.keys);
    match Reader::new(&Host::system(), &old).snapshot() {
        Ok(snapshot) => {
            for index in [5, 65] {
                assert!(snapshot.get(index).is_err(), "record {index} can be read");
            }
        }
        // The journal that held record 65 is unreadable as a whole.
        Err(error) => assert!(error.to_string().contains("destroyed"), "{error}"),
    }
    let lake = lake::Snapshot::open(Host::system(), old.lake()).unwrap();
    assert!(lake.files().iter().any(|file| lake.find(file.first_index).is_err()));
    // A backup of the keys from before still opens it: how long one lives is how long an erasure takes.
    assert_eq!(before.check(&[before.pin()]).verdict, Verdict::Valid);
}

/// Nobody who writes to the trail's folder alone can make the writer write in the open.
#[test]
fn encryption_cannot_be_switched_off_in_the_trail() {
    let fixture = written();
    let settings = String::from_utf8(fixture.read("trail.json")).unwrap();
    fixture.write("trail.json", settings.replace("aes-256-gcm", "none").as_bytes());
    let folder = trail::Folder::new(fixture.folder.root()).with_keys(&fixture.keys);
    let error = Writer::open(&Host::system(), &folder, &fixture.keys, Options::default()).err().unwrap();
    assert!(matches!(error, OpenError::Keys(KeysError::SwitchedOff { .. })), "{error}");
    let error = verify(&Host::system(), &folder, &Default::default(), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("trail.json"), "{error}");
}

/// Another key of the trail and another master key: not a byte of the trail changes, and the old ones open nothing.
#[test]
fn keys_are_rotated_without_a_record_being_written_anew() {
    let fixture = written();
    let host = Host::system();
    let bytes = |fixture: &Fixture| {
        let files = fixture.files().into_iter().filter(|file| !file.ends_with("lock"));
        files.map(|file| (file.clone(), fixture.read(&file))).collect::<Vec<_>>()
    };
    let (before, pin) = (bytes(&fixture), fixture.pin());
    let writer = fixture.open();
    let error = trail::rotate_trail_key(&host, &fixture.folder, &fixture.keys).unwrap_err();
    assert!(matches!(error, trail::RotateError::Lock(_)), "a running writer knows the old key: {error}");
    drop(writer);
    let fixture = fixture.copy();
    assert!(trail::rotate_trail_key(&host, &fixture.folder, &fixture.keys).unwrap() >= 4);
    put(&fixture.keys.0.join("passphrase"), b"correct horse battery staple\n");
    let settings = trail::Settings::read(&host, &fixture.folder).unwrap();
    let source = Source::Passphrase("passphrase".into());
    fixture.keys.rotate_master(&host, &settings.verifier_key().unwrap(), &source).unwrap();
    remove(&fixture.keys.0.join("master.key"));
    let anew = Fixture::at(fixture.temp.path());
    assert_eq!(anew.check(std::slice::from_ref(&pin)).verdict, Verdict::Valid);
    let untouched = before.iter().filter(|(file, _)| file.starts_with("lake"));
    assert!(untouched.into_iter().all(|(file, bytes)| anew.read(file) == *bytes));
    let writer = anew.open();
    append(&writer, 70..75);
    writer.settle().unwrap();
    writer.close().unwrap();
    assert_eq!(anew.check(&[pin]).verdict, Verdict::Valid);
}

/// The signing key is wrapped too: the folder of keys without the master key signs nothing.
#[test]
fn the_signing_key_does_not_stand_in_clear() {
    let fixture = written();
    let settings = trail::Settings::read(&Host::system(), &fixture.folder).unwrap();
    let path = fixture.keys.path(&settings.verifier_key().unwrap());
    let bytes = std::fs::read(&path).unwrap();
    assert!(!bytes.windows(11).any(|window| window == b"PRIVATE+KEY"));
    let mut bad = bytes.clone();
    *bad.last_mut().unwrap() ^= 1;
    put(&path, &bad);
    let error = Writer::open(&Host::system(), &fixture.folder, &fixture.keys, Options::default()).err().unwrap();
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
}

/// A crash between a file and its key leaves a key that opens nothing; the next writer destroys it, and keeps the keys of
/// files that the table names even if they are not here.
#[test]
fn keys_of_files_that_are_gone_are_swept_and_no_others() {
    let fixture = written();
    let count = || {
        let mut files = Vec::new();
        walk(&fixture.keys.0, &mut files);
        files.len()
    };
    let store = std::fs::read_dir(&fixture.keys.0).unwrap().map(|entry| entry.unwrap().path());
    let store = store.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "keys")).unwrap();
    let some = std::fs::read_dir(&store).unwrap().next().unwrap().unwrap().path();
    let orphan = "settle-00000000000000000099-00000000000000ff.parquet.00000000000000000000000000000001";
    put(&store.join(orphan), &std::fs::read(some).unwrap());
    let live = fixture.files().into_iter().find(|file| file.to_string_lossy().contains("settle-")).unwrap();
    let copy = fixture.read(&live);
    remove(&fixture.path(&live));
    drop(fixture.open());
    assert!(!store.join(orphan).exists());
    fixture.write(&live, &copy);
    assert_eq!(fixture.check(&[fixture.pin()]).verdict, Verdict::Valid, "{}", count());
}

/// An open trail can have its signing key wrapped all the same: it is read without keys, and continued with them alone.
#[test]
fn an_open_trail_may_have_a_wrapped_signing_key() {
    let (host, fixture) = (Host::system(), Fixture::empty(fast_temp()));
    let source = Source::default();
    let protection = trail::Protection::Open { master: Some(&source) };
    let origin = Some("example.com/breaking");
    let settings = trail::init_protected(&host, &fixture.folder, origin, &fixture.keys, protection).unwrap();
    let key = std::fs::read(fixture.keys.path(&settings.verifier_key().unwrap())).unwrap();
    assert!(!key.windows(11).any(|window| window == b"PRIVATE+KEY"));
    let writer = fixture.open();
    append(&writer, 0..20);
    writer.settle().unwrap();
    writer.close().unwrap();
    let bare = trail::Folder::new(fixture.folder.root());
    assert_eq!(Reader::new(&host, &bare).snapshot().unwrap().end(), 20);
    assert_eq!(fixture.check(&[fixture.pin()]).verdict, Verdict::Valid);
    remove(&fixture.keys.0.join("master.key"));
    let error = Writer::open(&host, &bare, &fixture.keys, Options::default()).err().unwrap();
    assert!(error.to_string().contains("master key is not at"), "{error}");
}
