//! A trail's folder: its settings, and all of it with a few bytes changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use host::{Host, ManualClock};
use record::{Digest, JsonParser, Limits};
use trail::{Against, Folder, Intake, KeyFolder, Options, Reader, Settings, Verdict, Writer, init, verify};
use uuid::Uuid;

use crate::lake::heed_our_own_panics;
use crate::scratch::{self, Kept};

/// `trail.json` of any bytes: what is taken is a trail of this format whose key is named for its origin.
pub fn settings(bytes: &[u8]) {
    static FOLDER: Kept = Kept::new();
    let folder = Folder::new(FOLDER.path(|_| ()));
    scratch::put(folder.settings(), bytes);
    let Ok(settings) = Settings::read(&Host::system(), &folder) else { return };
    assert_eq!(settings.encryption, "none");
    let key = settings.verifier_key().expect("it was read");
    assert_eq!(tlog::Verifier::name(&key).as_str(), settings.origin);
    scratch::put(folder.settings(), &serde_json::to_vec(&settings).expect("settings are JSON"));
    assert_eq!(Settings::read(&Host::system(), &folder).expect("the same"), settings);
}

/// A trail with records in the lake and in the journal, all sealed.
struct Template {
    folder: Folder,
    /// Its files, by their path from the folder.
    files: Vec<PathBuf>,
    records: BTreeMap<u64, (Uuid, Digest)>,
    pin: Vec<u8>,
}

fn template() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    static FOLDER: Kept = Kept::new();
    TEMPLATE.get_or_init(|| {
        heed_our_own_panics();
        let folder = Folder::new(FOLDER.path(make).join("trail"));
        let mut files = Vec::new();
        walk(folder.root(), folder.root(), &mut files);
        files.sort();
        let pin = std::fs::read(folder.checkpoint()).expect("it is sealed");
        Template { records: all(&folder).expect("a sound trail"), files, pin, folder }
    })
}

fn make(root: &Path) {
    let host = Host::builder().random_seed(3).clock(ManualClock::at(1_717_243_200_123_456_789)).build();
    let (folder, keys) = (Folder::new(root.join("trail")), KeyFolder(root.join("keys")));
    init(&host, &folder, Some("log.example/fuzz"), &keys).expect("a new trail");
    let journal = journal::Options { segment_bytes: 4 << 10, allocate_bytes: 4 << 10, ..Default::default() };
    let never = Duration::from_secs(3600);
    let options = Options { seal_every: Duration::ZERO, settle_every: never, journal, ..Options::default() };
    let writer = Writer::open(&host, &folder, &keys, options).expect("a writer");
    let record = |n: u64| {
        let json = format!(
            r#"{{"id":"0190a5c2-7b1e-7c3a-9d55-{n:012x}","kind":"decision","time":"2024-06-01T12:00:00.{n:09}Z",
                "model":{{"name":"credit","version":"1"}},"inputs":{{"income":{n}.5}},"output":{{"score":0.{n}}}}}"#
        );
        JsonParser::new(Limits::DEFAULT).parse(json.as_bytes()).expect("a record")
    };
    let append = |range: std::ops::Range<u64>| {
        writer.append(range.map(record).collect(), Intake::Import).expect("they are appended");
    };
    append(0..5);
    writer.settle().expect("they are settled");
    append(5..9);
    writer.close().expect("it is sealed");
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => walk(root, &path, found),
            false => found.push(path.strip_prefix(root).expect("it is below").to_owned()),
        }
    }
}

/// The settings of the template, for the corpus.
pub fn good_settings() -> Vec<u8> {
    std::fs::read(template().folder.settings()).expect("its settings")
}

/// Every record that a reader sees.
fn all(folder: &Folder) -> Option<BTreeMap<u64, (Uuid, Digest)>> {
    let snapshot = Reader::new(&Host::system(), folder).snapshot().ok()?;
    let mut all = BTreeMap::new();
    for file in snapshot.lake().files() {
        for placed in snapshot.lake().rows(file).ok()? {
            let placed = placed.ok()?;
            all.insert(placed.index, (placed.stored.stamp.id, placed.stored.digest()));
        }
    }
    all.extend(snapshot.hot().map(|hot| (hot.index, (hot.stored.stamp.id, hot.digest))));
    for (index, record) in &all {
        let (by_index, by_id) = (snapshot.get(*index), snapshot.find(&record.0));
        for found in [by_index, by_id].into_iter().flatten().flatten() {
            let _ = snapshot.prove(&found);
        }
    }
    let _ = (snapshot.get(u64::MAX), snapshot.about(&Uuid::nil()));
    Some(all)
}

/// A trail in which an input changed some files. What is VALID against the pin holds what was sealed, to the record.
pub fn folder(input: &[u8]) {
    let Template { folder: good, files, records, pin } = template();
    let temp = scratch::folder();
    let host = Host::system();
    let mut contents: Vec<Option<Vec<u8>>> =
        files.iter().map(|file| std::fs::read(good.root().join(file)).ok()).collect();
    for change in input.chunks(6).take(64) {
        let mut padded = [0; 6];
        padded[..change.len()].copy_from_slice(change);
        apply(padded, &mut contents);
    }
    for (file, bytes) in files.iter().zip(&contents) {
        let path = temp.path().join(file);
        host.create_dir_all(path.parent().expect("a folder"), "fuzz").expect("a folder");
        bytes.iter().for_each(|bytes| scratch::put(&path, bytes));
    }
    let folder = Folder::new(temp.path());
    let against = Against { pins: vec![("pin".to_owned(), pin.clone())], policy: None };
    let report = verify(&host, &folder, &against, &mut |_| {});
    let seen = all(&folder);
    if report.is_ok_and(|report| report.verdict == Verdict::Valid) {
        let seen = seen.expect("a valid trail can be read");
        assert!(records.iter().all(|(index, record)| seen.get(index) == Some(record)));
        assert!(seen.keys().copied().eq(0..seen.len() as u64), "dense");
    }
}

/// One change: which file, what is done to it, where, and with which byte.
fn apply([file, what, low, high, with, length]: [u8; 6], contents: &mut [Option<Vec<u8>>]) {
    let count = contents.len();
    let source = contents[usize::from(with) % count].clone();
    let Some(slot) = contents.get_mut(usize::from(file) % count) else { return };
    if what % 8 == 0 {
        *slot = None;
        return;
    }
    let Some(bytes) = slot else { return };
    let at = usize::from(u16::from_le_bytes([low, high])) % (bytes.len() + 1);
    let end = (at + usize::from(length)).min(bytes.len());
    match what % 8 {
        1 => bytes.truncate(at),
        2 => bytes.extend(std::iter::repeat_n(with, usize::from(length))),
        3 => drop(bytes.drain(at..end)),
        4 => bytes[at..end].fill(with),
        5 => *bytes = source.unwrap_or_default(),
        6 => bytes.insert(at, with),
        _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= with),
    }
}
