//! A trail with records of all shapes in it, settled and hot, whole and erased; and exports of it.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use export::{Exported, Order, Outside, Recipient, Report, RowFormat, verify, write};
use host::Host;
use query::{Engine, Limits, Policy, Search, View};
use record::JsonParser;
use trail::{Erasure, Folder, Intake, KeyFolder, Options, Outcome, Protection, Reader, Source, Writer, init_protected};

pub struct Trail {
    pub temp: tempfile::TempDir,
    pub host: Host,
    pub folder: Folder,
    engine: Engine,
}

/// Records of the trail.
pub const RECORDS: u64 = 60;

static TRAIL: LazyLock<Trail> = LazyLock::new(|| Trail::holding(40, 20));

/// One trail for all tests that only read it.
pub fn shared() -> &'static Trail {
    &TRAIL
}

fn text(nth: u64) -> String {
    let id = |nth: u64| format!("0190a5c2-7b1e-7c3a-9d55-{nth:012x}");
    if nth % 5 == 4 {
        let (id, about) = (id(nth), id(nth - 1));
        return format!(r#"{{"id":"{id}","kind":"outcome","about":"{about}","output":{{"label":"good"}}}}"#);
    }
    let odd = ["=1+1", "'quoted", "a,\"b\"\r\nc", "\u{202e}left", "", " blank "][nth as usize % 6];
    let number = ["1", "0.1", "-2.5e300", "18446744073709551615", "NaN", "1e-7"][nth as usize % 6];
    let maybe = if nth.is_multiple_of(3) { "\"text\"" } else { "3" };
    let (id, model, adverse, odd) = (id(nth), nth % 2, nth.is_multiple_of(2), serde_json::Value::from(odd));
    format!(
        r#"{{"id":"{id}","time":"2024-06-01T12:00:00.123456789Z","model":{{"name":"m{model}","version":"1"}},
        "profile":["reg-b"],"producer":{{"name":"api","seq":{nth}}},"result":{{"class":"deny","adverse":{adverse}}},
        "subject":{{"id":"s-{nth}"}},"output":[1,{nth}.5],"inputs":{{"number":{number},"list":[1,2.5],"none":null,
        "odd key":{{"deep":{nth}}},"maybe":{maybe},"text":{odd}}}}}"#
    )
}

impl Trail {
    pub fn holding(settled: u64, hot: u64) -> Trail {
        Trail::made(settled, hot, std::env::var_os("ONRECORD_TEST_ENCRYPTED").is_some())
    }

    pub fn made(settled: u64, hot: u64, encrypted: bool) -> Trail {
        let source = Source::default();
        let protection = match encrypted {
            false => Protection::Open { master: None },
            true => Protection::Encrypted { master: &source },
        };
        let temp = tempfile::tempdir().unwrap();
        let keys = KeyFolder(temp.path().join("keys"));
        let folder = Folder::new(temp.path().join("trail")).with_keys(&keys);
        let host = Host::system();
        init_protected(&host, &folder, Some("example.com/export"), &keys, protection).unwrap();
        let writer = Writer::open(&host, &folder, &keys, options()).unwrap();
        append(&writer, 0..settled);
        writer.wait_sealed().unwrap();
        writer.settle().unwrap();
        append(&writer, settled..settled + hot);
        writer.wait_sealed().unwrap();
        match hot {
            0 => writer.close().unwrap(),
            // It would settle what is hot.
            _ => std::mem::forget(writer),
        }
        let engine = Engine::new(&host, Limits { threads: 2, ..Limits::default() }).unwrap();
        Trail { temp, host, folder, engine }
    }

    pub fn view(&self) -> View {
        self.view_under(Policy::default())
    }

    pub fn view_under(&self, policy: Policy) -> View {
        let snapshot = Reader::new(&self.host, &self.folder).snapshot().unwrap();
        self.engine.view(snapshot, policy).unwrap()
    }

    /// Appends records of about so many bytes each.
    pub fn append_large(&self, count: u64, bytes: usize) {
        let keys = KeyFolder(self.temp.path().join("keys"));
        let writer = Writer::open(&self.host, &self.folder, &keys, options()).unwrap();
        let texts = vec!["x".repeat(bytes / 4); 4];
        let text = serde_json::json!({"kind": "config", "context": {"texts": texts}}).to_string();
        for _ in 0..count {
            let record = JsonParser::new(record::Limits::DEFAULT).parse(text.as_bytes()).unwrap();
            assert!(matches!(writer.append(vec![record], Intake::Import).unwrap()[..], [Outcome::Kept(_)]));
        }
        writer.wait_sealed().unwrap();
        writer.close().unwrap();
    }

    /// Erases these parts of some records.
    pub fn erase(&self, indices: &[u64], parts: &[&str]) {
        let keys = KeyFolder(self.temp.path().join("keys"));
        let writer = Writer::open(&self.host, &self.folder, &keys, options()).unwrap();
        let parts = parts.iter().map(|part| (*part).to_owned()).collect();
        let (id, basis, by) = (self.host.uuid_v7(), "GDPR 17".to_owned(), "dpo".to_owned());
        writer.erase(&Erasure { id, indices: indices.to_vec(), parts, basis, by }).unwrap();
        writer.close().unwrap();
    }

    pub fn export(&self, name: &str, search: Search, columns: &[&str], format: RowFormat, file_rows: u64) -> Export {
        self.export_to(name, search, columns, format, (file_rows, Vec::new()))
    }

    /// As [`Trail::export`], encrypted to these.
    pub fn export_to(
        &self,
        name: &str,
        search: Search,
        columns: &[&str],
        format: RowFormat,
        (file_rows, recipients): (u64, Vec<Recipient>),
    ) -> Export {
        let folder = self.temp.path().join(name);
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        let order =
            Order { search, asked: "a test".to_owned(), columns, format, file_rows, recipients, bytes_max: u64::MAX };
        let exported = write(&self.host, &self.view(), order, &folder, &mut |_, _| {}).unwrap();
        Export { folder, exported }
    }
}

fn options() -> Options {
    // Nothing happens but what a test does.
    let settle_every = std::time::Duration::from_secs(1_000_000);
    Options { compact: false, scrub: None, settle_every, settle_bytes: u64::MAX, ..Options::default() }
}

fn append(writer: &Writer, nths: std::ops::Range<u64>) {
    for nth in nths {
        let text = text(nth);
        let record = JsonParser::new(record::Limits::DEFAULT).parse(text.as_bytes());
        let record = record.unwrap_or_else(|error| panic!("{error}: {text}"));
        let outcomes = writer.append(vec![record], Intake::Import).unwrap();
        assert!(matches!(outcomes[..], [Outcome::Kept(_)]));
    }
}

pub struct Export {
    pub folder: PathBuf,
    pub exported: Exported,
}

pub fn every() -> Search {
    Search { kind: None, ..Search::new(["index"], Search::EVERY) }
}

pub fn decisions() -> Search {
    Search::new(["index"], Search::EVERY)
}

pub fn check(folder: &Path) -> Report {
    verify(&Host::system(), folder, &Outside::default(), &mut |_, _| {}).unwrap()
}

pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// What is in all of a record.
pub const ALL: [&str; 22] = [
    "index",
    "id",
    "kind",
    "time",
    "time_ns",
    "received",
    "time_source",
    "about",
    "model.name",
    "model.version",
    "producer.seq",
    "result.adverse",
    "profile",
    "subject.id",
    "inputs.number",
    "inputs.list",
    "inputs.text",
    "inputs[\"odd key\"].deep",
    "inputs.maybe:str",
    "inputs:json",
    "output:json",
    "context:json",
];
