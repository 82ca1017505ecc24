//! A trail to break, records to fill it with, and what must hold of it whatever happens.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::RwLock;
use std::time::Duration;

use host::Host;
use record::{Digest, JsonParser, Limits, Record};
use trail::{
    Against, Folder, InitError, Intake, KeyFolder, OpenError, Options, Outcome, Protection, Reader, Receipt, Report,
    Source, Verdict, Writer, init_protected, verify,
};
use uuid::Uuid;

/// Whether the long hunts were asked for.
pub fn long() -> bool {
    std::env::var_os("ONRECORD_TEST_LONG").is_some()
}

/// Where files of a test are kept: in memory where there is such a place, for what does not depend on the disk.
pub fn fast_temp() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Sizes that make a few records go through everything: small segments, and nothing by itself but seals.
pub fn by_hand() -> Options {
    let journal = journal::Options { segment_bytes: 8 << 10, allocate_bytes: 4 << 10, ..Default::default() };
    let never = Duration::from_secs(3600);
    Options {
        seal_every: Duration::ZERO,
        settle_every: never,
        scrub: None,
        compact: false,
        journal,
        ..Options::default()
    }
}

pub fn id(n: u64) -> Uuid {
    format!("0190a5c2-7b1e-7c3a-9d55-{n:012x}").parse().unwrap()
}

/// Record `n`: the model, the columns and the kind depend on it. Every seventh is a late fact about the one before.
pub fn json(n: u64) -> String {
    let id = id(n);
    let time = format!("2024-06-01T12:{:02}:{:02}.{:09}Z", n / 60 % 60, n * 7 % 60, n);
    if n % 7 == 6 {
        return format!(
            r#"{{"id":"{id}","kind":"outcome","time":"{time}","about":"{}","output":{{"defaulted":{}}}}}"#,
            self::id(n - 1),
            n.is_multiple_of(2)
        );
    }
    let inputs = match n % 3 {
        0 => format!(r#"{{"income":{},"state":"CA","months_since_delinquency":null}}"#, 42_000 + n),
        1 => format!(r#"{{"tenure":{}.5,"plan":"p{}","odd key":[1,"two",null]}}"#, n % 90, n % 5),
        _ => format!(r#"{{"pixels":[{n},0.25,3],"device":"d-{n}"}}"#),
    };
    format!(
        r#"{{"id":"{id}","kind":"decision","time":"{time}","model":{{"name":"model-{}","version":"1.{}.0"}},
            "subject":{{"id":"customer-{n}"}},"inputs":{inputs},"output":{{"score":0.{n},"decision":"deny"}}}}"#,
        n % 3,
        n % 2
    )
}

/// As [`json`], with a column that only this stretch of records has.
pub fn json_with(n: u64, column: &str) -> String {
    json(n).replacen(r#""output":{"#, &format!(r#""context":{{"{column}":"v{n}"}},"output":{{"#), 1)
}

pub fn parse(json: &str) -> Record {
    JsonParser::new(Limits::DEFAULT).parse(json.as_bytes()).unwrap()
}

pub fn record(n: u64) -> Record {
    parse(&json(n))
}

pub fn records(range: std::ops::Range<u64>) -> Vec<Record> {
    range.map(record).collect()
}

/// The folder above a trail and its keys.
pub enum Place {
    Own(tempfile::TempDir),
    Lent(PathBuf),
}

impl Place {
    pub fn path(&self) -> &Path {
        match self {
            Place::Own(temp) => temp.path(),
            Place::Lent(path) => path,
        }
    }
}

/// A trail in a folder of its own.
pub struct Fixture {
    pub temp: Place,
    pub folder: Folder,
    pub keys: KeyFolder,
}

impl Fixture {
    pub fn new() -> Fixture {
        Fixture::named("example.com/breaking", fast_temp())
    }

    pub fn named(origin: &str, temp: tempfile::TempDir) -> Fixture {
        let fixture = Fixture::empty(temp);
        fixture.init(&Host::system(), origin).unwrap();
        fixture
    }

    /// One whose files are encrypted, whatever the others are.
    pub fn encrypted() -> Fixture {
        let fixture = Fixture::empty(fast_temp());
        let source = Source::default();
        let protection = Protection::Encrypted { master: &source };
        let origin = Some("example.com/breaking");
        init_protected(&Host::system(), &fixture.folder, origin, &fixture.keys, protection).unwrap();
        fixture
    }

    /// Makes the trail: an open one, or, if all tests are to be of such, an encrypted one.
    pub fn init(&self, host: &Host, origin: &str) -> Result<(), InitError> {
        let source = Source::default();
        let protection = match std::env::var_os("ONRECORD_TEST_ENCRYPTED") {
            None => Protection::Open { master: None },
            Some(_) => Protection::Encrypted { master: &source },
        };
        init_protected(host, &self.folder, Some(origin), &self.keys, protection).map(drop)
    }

    /// The folder alone, before `init`.
    pub fn empty(temp: tempfile::TempDir) -> Fixture {
        Fixture::in_place(Place::Own(temp))
    }

    /// A trail that another process made, and will remove.
    pub fn at(path: &Path) -> Fixture {
        Fixture::in_place(Place::Lent(path.to_owned()))
    }

    fn in_place(temp: Place) -> Fixture {
        let keys = KeyFolder(temp.path().join("keys"));
        let folder = Folder::new(temp.path().join("trail")).with_keys(&keys);
        Fixture { temp, folder, keys }
    }

    /// The same, in a folder of its own.
    pub fn copy(&self) -> Fixture {
        let other = Fixture::empty(fast_temp());
        copy(self.folder.root(), other.folder.root());
        copy(&self.keys.0, &other.keys.0);
        other
    }

    pub fn open(&self) -> Writer {
        self.open_as(&Host::system(), by_hand()).unwrap()
    }

    pub fn open_as(&self, host: &Host, options: Options) -> Result<Writer, OpenError> {
        let _no_child_is_being_made = MAKING_CHILDREN.read().unwrap();
        Writer::open(host, &self.folder, &self.keys, options)
    }

    pub fn pin(&self) -> Vec<u8> {
        std::fs::read(self.folder.checkpoint()).unwrap()
    }

    pub fn check(&self, pins: &[Vec<u8>]) -> Report {
        check(&self.folder, pins)
    }

    /// All files under the trail's folder, by their path from it.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(self.folder.root(), &mut found);
        let mut found: Vec<PathBuf> =
            found.iter().map(|path| path.strip_prefix(self.folder.root()).unwrap().to_owned()).collect();
        found.sort();
        found
    }

    pub fn path(&self, file: impl AsRef<Path>) -> PathBuf {
        self.folder.root().join(file)
    }

    pub fn read(&self, file: impl AsRef<Path>) -> Vec<u8> {
        std::fs::read(self.path(file)).unwrap()
    }

    pub fn write(&self, file: impl AsRef<Path>, bytes: &[u8]) {
        put(&self.path(file), bytes);
    }
}

pub fn check(folder: &Folder, pins: &[Vec<u8>]) -> Report {
    let pins = pins.iter().enumerate().map(|(n, pin)| (format!("pin {n}"), pin.clone())).collect();
    verify(&Host::system(), folder, &Against { pins, policy: None }, &mut |_| {}).unwrap()
}

pub fn put(path: &Path, bytes: &[u8]) {
    #[allow(clippy::disallowed_methods, reason = "a tamperer does not go through the host")]
    std::fs::write(path, bytes).unwrap();
}

pub fn remove(path: &Path) {
    #[allow(clippy::disallowed_methods, reason = "a tamperer does not go through the host")]
    std::fs::remove_file(path).unwrap();
}

pub fn copy(from: &Path, to: &Path) {
    Host::system().create_dir_all(to, "test").unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy(&entry.path(), &target),
            kind if kind.is_file() => drop(std::fs::copy(entry.path(), target).unwrap()),
            _ => {}
        }
    }
}

pub fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), found);
        } else {
            found.push(entry.path());
        }
    }
}

/// What the world was told: receipts by index, and checkpoints.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub receipts: BTreeMap<u64, (Uuid, Digest)>,
    pub checkpoints: Vec<Vec<u8>>,
}

impl Told {
    /// Takes note of a receipt. An index is given once, and an id has one index (I1, T8).
    pub fn receipt(&mut self, index: u64, id: Uuid, digest: Digest) {
        let first = *self.receipts.entry(index).or_insert((id, digest));
        assert_eq!(first, (id, digest), "index {index} was given twice");
    }

    pub fn outcomes(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            if let Outcome::Kept(receipt) = outcome {
                let Receipt { index, id, digest, .. } = **receipt;
                self.receipt(index, id, digest);
            }
        }
    }

    pub fn checkpoint(&mut self, note: &[u8]) {
        if self.checkpoints.last().is_none_or(|last| last != note) {
            self.checkpoints.push(note.to_vec());
        }
    }
}

/// Every record that a reader of the folder sees: index to id and digest. Dense, each once (I2, I14).
pub fn all(folder: &Folder) -> BTreeMap<u64, (Uuid, Digest)> {
    all_of(&Reader::new(&Host::system(), folder).snapshot().unwrap())
}

pub fn all_of(snapshot: &trail::Snapshot) -> BTreeMap<u64, (Uuid, Digest)> {
    let mut all = BTreeMap::new();
    for file in snapshot.lake().files() {
        for placed in snapshot.lake().rows(file).unwrap() {
            let placed = placed.unwrap();
            let twice = all.insert(placed.index, (placed.stored.stamp.id, placed.stored.digest()));
            assert!(twice.is_none(), "record {} is in the lake twice", placed.index);
        }
    }
    assert_eq!(all.len() as u64, snapshot.settled(), "the lake holds what is below its watermark");
    for hot in snapshot.hot() {
        let twice = all.insert(hot.index, (hot.stored.stamp.id, hot.digest));
        assert!(twice.is_none(), "record {} is in journal and lake", hot.index);
    }
    assert!(all.keys().copied().eq(0..snapshot.end()), "indices are dense");
    all
}

/// I1, I2, I4, I7, I13: what was acknowledged is there, once, at its index; the checkpoint covers no less than any that
/// was published; the full check agrees, with each of them.
pub fn holds(folder: &Folder, told: &Told, after: &str) -> BTreeMap<u64, (Uuid, Digest)> {
    let report = check(folder, &told.checkpoints);
    let good = if told.checkpoints.is_empty() { Verdict::Consistent } else { Verdict::Valid };
    assert_eq!(report.verdict, good, "after {after}: {report:#?}");
    assert_eq!(report.anchors.len(), told.checkpoints.len(), "after {after}");
    let all = all(folder);
    for (index, receipt) in &told.receipts {
        assert_eq!(all.get(index), Some(receipt), "after {after}: acknowledged record {index}");
    }
    let mut ids: Vec<Uuid> = all.values().map(|(id, _)| *id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all.len(), "after {after}: each id once (T8)");
    all
}

/// Opens the trail without faults, sends everything again, and closes: each record is there once.
pub fn recovers(fixture: &Fixture, told: &mut Told, sent: &[Record], after: &str) {
    let writer = fixture.open_as(&Host::system(), by_hand()).unwrap_or_else(|error| panic!("after {after}: {error}"));
    let acknowledged = told.receipts.last_key_value().map_or(0, |(index, _)| index + 1);
    assert!(writer.recovered().records >= acknowledged, "after {after}: {:?}", writer.recovered());
    told.outcomes(&writer.append(sent.to_vec(), Intake::Import).unwrap());
    writer.settle().unwrap_or_else(|error| panic!("after {after}: {error}"));
    told.checkpoint(&fixture.pin());
    writer.close().unwrap();
    let all = holds(&fixture.folder, told, after);
    assert_eq!(all.len(), sent.len(), "after {after}: each record once, and no other");
}

/// How many faults a test has struck, and how many records had been acknowledged by then. A test fails when one of them
/// is lost or there twice, so who comes to print has lost none.
#[derive(Default)]
pub struct Count {
    struck: usize,
    acknowledged: usize,
}

impl Count {
    pub fn faults(&mut self, struck: usize, acknowledged: usize) {
        self.struck += struck;
        self.acknowledged += acknowledged;
    }

    /// Says so, and adds it to the file that `make test-long` sums up.
    pub fn print(&self, what: &str) {
        let line = format!("{} faults, {} acknowledged, 0 lost, 0 doubled: {what}\n", self.struck, self.acknowledged);
        print!("{line}");
        if let Some(path) = std::env::var_os("ONRECORD_TEST_FAULTS") {
            use std::io::Write as _;
            #[allow(clippy::disallowed_methods, reason = "this is no file of record")]
            let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
            file.write_all(line.as_bytes()).unwrap();
        }
    }
}

/// Parts of a test that run as a process of their own: this very test again, with `role` in its environment.
pub fn child(test: &str, role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env("ONRECORD_TEST_CHILD", role);
    command.stderr(Stdio::inherit());
    command
}

/// A process that is being made holds whatever files this one has open, a trail's lock among them, until it has become
/// the other program; so no trail is opened meanwhile.
static MAKING_CHILDREN: RwLock<()> = RwLock::new(());

/// Starts a child, its output to be read.
pub fn spawn(command: &mut Command) -> Child {
    let _no_trail_is_being_opened = MAKING_CHILDREN.write().unwrap();
    command.stdout(Stdio::piped()).stdin(Stdio::piped()).spawn().unwrap()
}

/// The role, where this process is such a part.
pub fn role() -> Option<String> {
    std::env::var("ONRECORD_TEST_CHILD").ok()
}

/// Says a line to the parent, past the test harness.
pub fn say(line: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n@{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

pub fn say_outcome(outcome: &Outcome) {
    match outcome {
        Outcome::Kept(receipt) => say(&format!("kept {} {} {}", receipt.index, receipt.id, hex(&receipt.digest.0))),
        Outcome::Refused(refusal) => say(&format!("refused {refusal}")),
    }
}

/// What a child said in one line, if it is its and not the harness's.
pub fn said(line: &str) -> Option<&str> {
    line.strip_prefix('@')
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// A small generator of numbers for choices that only have to differ: SplitMix64.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (word ^ (word >> 31)) % below
    }
}

/// Runs something at the first visit of a point.
pub struct Between {
    pub point: &'static str,
    pub act: parking_lot::Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl host::Faults for Between {
    fn at(&self, point: &str) -> Option<host::Fault> {
        if point == self.point
            && let Some(act) = self.act.lock().take()
        {
            act();
        }
        None
    }
}
