//! The lake: a data file, a log entry and a checkpoint of the log of any bytes.
//!
//! The Parquet and Delta libraries panic over some bytes, which the lake makes errors of; so a panic counts here only
//! where nobody caught it, or where it began in our own code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use host::{Host, ManualClock};
use lake::{Lake, Lookup, Manifest, Placed, Snapshot, plan_settle};
use record::{Body, JsonParser, Limits, Salt, Stamp, Stored};
use sha2::{Digest as _, Sha256};

use crate::scratch::{self, Kept};

/// Counts a panic that the lake caught as one that it did not, where it began in our code.
pub(crate) fn heed_our_own_panics() {
    #[cfg(feature = "libfuzzer")]
    {
        static HOOK: std::sync::Once = std::sync::Once::new();
        HOOK.call_once(|| {
            std::panic::set_hook(Box::new(|panic| {
                let ours = |file: &str| file.starts_with("crates/") || file.starts_with("fuzz/");
                if panic.location().is_none_or(|location| ours(location.file())) {
                    eprintln!("{panic}\n{}", std::backtrace::Backtrace::force_capture());
                    std::process::abort();
                }
            }));
        });
    }
}

/// A small lake of one file.
struct Template {
    snapshot: Snapshot,
    file: Manifest,
    path: PathBuf,
    records: Vec<(u64, Stored)>,
}

fn host() -> Host {
    Host::builder().random_seed(5).clock(ManualClock::at(1_717_243_200_123_456_789)).build()
}

fn template() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    static FOLDER: Kept = Kept::new();
    TEMPLATE.get_or_init(|| {
        heed_our_own_panics();
        let records = records();
        let folder = FOLDER.path(|folder| make(folder, &records));
        let snapshot = Snapshot::open(host(), folder).expect("a lake that was just made");
        let file = snapshot.files()[0].clone();
        Template { path: snapshot.path(&file), file, snapshot, records }
    })
}

fn make(folder: &Path, records: &[(u64, Stored)]) {
    let mut lake = Lake::create(host(), folder).expect("a new lake");
    let plan = plan_settle(lake.snapshot(), records).expect("a plan");
    let digest = |index| records.get(index as usize).map(|(_, stored)| stored.digest());
    lake.settle(&plan, &digest).expect("records that are settled");
}

/// Records with columns of every type, remainders, a part erased, and all erased.
pub fn records() -> Vec<(u64, Stored)> {
    let json = |n: u64| {
        let id = id(n);
        match n % 4 {
            3 => format!(r#"{{"id":"{id}","kind":"outcome","about":"{}","output":{{"paid":true}}}}"#, self::id(n - 1)),
            _ => format!(
                r#"{{"id":"{id}","kind":"decision","time":"2024-06-01T12:00:{:02}.{n:09}Z",
                    "model":{{"name":"credit","version":"1.{}"}},"profile":["reg-b"],"result":{{"adverse":true}},
                    "subject":{{"id":"customer-{n}"}},"context":{{"list":[{n},"two",null],"raw":{{"$bytes":"AAE="}}}},
                    "inputs":{{"income":{n}.5,"state":"s{}","v":[0.5,{n}],"tags":["a","b{n}"],"deep":{{"er":{n}}}}},
                    "output":{{"score":0.{n},"ok":{}}}}}"#,
                59 - n,
                n % 2,
                n % 3,
                n.is_multiple_of(2)
            ),
        }
    };
    (0..12).map(|n| (n, stored(n, &json(n)))).collect()
}

fn id(n: u64) -> String {
    format!("0190a5c2-7b1e-7c3a-9d55-{n:012x}")
}

fn stored(n: u64, json: &str) -> Stored {
    let record = JsonParser::new(Limits::DEFAULT).parse(json.as_bytes()).expect("a record");
    let stamp = Stamp {
        kind: record.kind,
        received: 1_717_243_200_000_000_000 + n as i64,
        id: record.id.expect("each has one"),
        id_by_server: false,
        time_by_server: record.time_ns.is_none(),
        salt_by_server: true,
        about_digest: record.about.map(|_| [9; 32]),
    };
    let whole = Stored { stamp, body: Body::Whole { salt: Salt([n as u8; 16]), parts: record.parts } };
    match n {
        5 => whole.without(&[record::Part::Subject]),
        6 => whole.without(&record::Part::ALL),
        _ => whole,
    }
}

/// The bytes of the template's file, for the corpus.
pub fn good_file() -> Vec<u8> {
    std::fs::read(&template().path).expect("its file")
}

/// The entries of the template's log, for the corpus.
pub fn good_log() -> [Vec<u8>; 2] {
    let log = template().snapshot.folder().join("_delta_log");
    [0, 1].map(|version| std::fs::read(log.join(format!("{version:020}.json"))).expect("an entry"))
}

/// A data file of any bytes. What passes the check is read whole, and found by whatever one looks for it by (T26).
pub fn file(bytes: &[u8]) {
    // Tests run side by side, and there is one file.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Template { snapshot, file, path, records } = template();
    scratch::put(path, bytes);
    let file = Manifest { sha256: Sha256::digest(bytes).into(), bytes: bytes.len() as u64, ..file.clone() };
    let snapshot = snapshot.anew();
    let passes = passes(&snapshot, &file, records);
    let rows: Result<Vec<Placed>, _> = snapshot.rows(&file).and_then(Iterator::collect);
    if passes {
        let mut rows: Vec<_> =
            rows.expect("a file that passes").into_iter().map(|row| (row.index, row.stored)).collect();
        rows.sort_by_key(|(index, _)| *index);
        assert_eq!(&rows, records);
    }
    for (index, stored) in records {
        let (by_index, by_id) = (snapshot.find(*index), snapshot.find_id(stored.stamp.id));
        for found in [&by_index, &by_id].into_iter().flatten().flatten() {
            assert!(!passes || found.placed.stored == *stored);
        }
        assert!(!passes || (by_index.as_ref().is_ok_and(Option::is_some) && by_id.as_ref().is_ok_and(Option::is_some)));
        assert!(by_index.ok().flatten().is_none_or(|found| found.placed.index == *index));
        assert!(by_id.ok().flatten().is_none_or(|found| found.placed.stored.stamp.id == stored.stamp.id));
    }
    let found = snapshot.look_up(Lookup::Subject, &["customer-1", "nobody", "customer-5"]);
    let found = found.map(|found| found.iter().map(|(place, found)| (*place, found.placed.index)).collect::<Vec<_>>());
    assert!(!passes || found.is_ok_and(|found| found == [(0, 1)]));
    let _ = (snapshot.look_up(Lookup::About, &[&id(2)]), snapshot.look_up(Lookup::Trace, &["0"]));
}

fn passes(snapshot: &Snapshot, file: &Manifest, records: &[(u64, Stored)]) -> bool {
    let mut asked = BTreeSet::new();
    let checked = snapshot.check(file, &mut |index, _| {
        let (_, stored) = records.get(usize::try_from(index).ok()?)?;
        asked.insert(index).then(|| stored.digest())
    });
    checked.is_ok() && asked.len() == records.len()
}

/// A log entry of any bytes, in the place that the first byte says: 0 the table, 1 its file, 2 one behind them.
pub fn log(input: &[u8]) {
    let Some((place, bytes)) = input.split_first() else { return };
    let Template { snapshot, records, .. } = template();
    let temp = scratch::folder();
    let log = temp.path().join("_delta_log");
    host().create_dir_all(&log, "fuzz").expect("a folder");
    for version in 0..2 {
        let name = format!("_delta_log/{version:020}.json");
        std::fs::copy(snapshot.folder().join(&name), temp.path().join(&name)).expect("an entry");
    }
    scratch::put(log.join(format!("{:020}.json", place % 3)), bytes);
    let Ok(found) = Snapshot::open(host(), temp.path()) else { return };
    assert!(found.version() <= 2);
    assert!(found.files().is_sorted_by_key(|file| file.first_index));
    for file in found.files() {
        assert!(!file.path.contains(['/', '\\']), "{}", file.path);
        let from = snapshot.folder().join(&file.path);
        let _ = std::fs::copy(from, found.path(file));
        if passes(&found, file, records) {
            let rows: Vec<Placed> = found.rows(file).and_then(Iterator::collect).expect("a file that passes");
            assert_eq!(rows.len(), records.len());
        }
    }
    let _ = (found.find(0), found.find(u64::MAX), found.find_id(records[0].1.stamp.id));
}

/// A lake whose log has two checkpoints and no entries from before the first.
fn short_log() -> &'static Snapshot {
    static SNAPSHOT: OnceLock<Snapshot> = OnceLock::new();
    static FOLDER: Kept = Kept::new();
    SNAPSHOT.get_or_init(|| {
        heed_our_own_panics();
        let folder = FOLDER.path(|folder| {
            let records = records();
            let digest = |index| records.get(index as usize).map(|(_, stored)| stored.digest());
            let mut lake = Lake::create(host(), folder).expect("a new lake");
            for part in records.chunks(4) {
                let plan = plan_settle(lake.snapshot(), part).expect("a plan");
                lake.settle(&plan, &digest).expect("records that are settled");
                lake.checkpoint(2).expect("a log that is kept short");
            }
            let plan = lake::Rewrite::for_erasure(lake.snapshot(), &[&lake.snapshot().files()[0]]);
            let rewritten = plan.carry_out(&|_, _| None, &digest).expect("a file that is written anew");
            lake.replace(rewritten).expect("and made live");
            lake.checkpoint(2).expect("a second checkpoint");
        });
        Snapshot::open(host(), folder).expect("a lake that was just made")
    })
}

/// The files of the log that [`checkpoint`] puts others in the place of: by the first byte, 0 the newest checkpoint, 1 the
/// one before, 2 what names the newest.
pub fn good_checkpoints() -> [(&'static str, Vec<u8>); 3] {
    let names =
        ["00000000000000000004.checkpoint.parquet", "00000000000000000002.checkpoint.parquet", "_last_checkpoint"];
    let log = short_log().folder().join("_delta_log");
    names.map(|name| (name, std::fs::read(log.join(name)).expect("a file of the log")))
}

/// A checkpoint of any bytes. Opening ends in a table or in an error; and what passes the proof is the table that was
/// committed (T26).
pub fn checkpoint(input: &[u8]) {
    let Some((place, bytes)) = input.split_first() else { return };
    let truth = short_log();
    let temp = scratch::folder();
    let log = temp.path().join("_delta_log");
    host().create_dir_all(&log, "fuzz").expect("a folder");
    for path in host().list(truth.folder().join("_delta_log"), "fuzz").expect("its log") {
        std::fs::copy(&path, log.join(path.file_name().expect("a name"))).expect("a file of the log");
    }
    scratch::put(log.join(good_checkpoints()[usize::from(place % 3)].0), bytes);
    let Ok(found) = Snapshot::open(host(), temp.path()) else { return };
    assert!(found.version() <= truth.version());
    if found.check_log().is_err() {
        return;
    }
    assert_eq!((found.version(), found.watermark()), (truth.version(), truth.watermark()));
    assert_eq!(found.columns().list(), truth.columns().list());
    assert_eq!(found.files(), truth.files());
}
