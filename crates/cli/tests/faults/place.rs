//! A folder with a trail in it, copied for each fault.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::receipts;
use crate::strace::Fault;

pub type Receipts = BTreeMap<String, (u64, String)>;

/// Records that are settled, that are in the journal, and that the struck run sends.
const SETTLED: u32 = 120;
const IN_JOURNAL: u32 = 150;
pub const SENT: u32 = 210;

pub struct Place {
    folder: tempfile::TempDir,
}

fn empty() -> Place {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    Place { folder }
}

impl Place {
    /// A trail without a record.
    pub fn fresh() -> Place {
        let place = empty();
        assert!(place.run(&["init", "trail", "--origin", "example.com/faults"], "").status.success());
        place
    }

    /// A trail with records in the lake and in the journal.
    pub fn prepared() -> Place {
        let place = Place::fresh();
        let settled = place.run(&["append", "trail", "--settle"], &decisions(0..SETTLED));
        let hot = place.run(&["append", "trail"], &decisions(SETTLED..IN_JOURNAL));
        assert!(settled.status.success() && hot.status.success());
        place
    }

    pub fn copy(&self) -> Place {
        let other = empty();
        copy(self.path(), other.path());
        other
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// `command`, in this place and with nothing else around it.
    pub fn here<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let keys = self.file("keys");
        command.current_dir(self.path()).env_clear().env("ONRECORD_KEYS", keys).env("PATH", "/usr/bin:/bin")
    }

    fn run(&self, args: &[&str], stdin: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onrecord"));
        let command = self.here(&mut command).args(args).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        // A verb that reads nothing may have ended.
        let _ = input.write_all(stdin.as_bytes());
        drop(input);
        child.wait_with_output().unwrap()
    }

    /// The full check agrees.
    pub fn is_consistent(&self, after: &str) {
        let output = self.run(&["verify", "trail", "--json"], "");
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("CONSISTENT"), "after {after}: {said}");
    }

    /// Recovers, sends every record once more, and settles; the receipt of each.
    pub fn send_everything(&self, after: &Fault) -> Receipts {
        let output = self.run(&["append", "trail", "--receipts", "--settle"], &decisions(0..SENT));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "after {after}: {error}");
        let all = receipts(&String::from_utf8_lossy(&output.stdout));
        assert_eq!(all.len(), SENT as usize, "after {after}: each has its receipt");
        all
    }

    /// How many records are on the trail.
    pub fn records(&self) -> usize {
        let output = self.run(&["stats", "trail", "--json"], "");
        let stats: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        stats["records"].as_u64().unwrap() as usize
    }
}

/// The records that a struck run sends, in batches that it has to acknowledge one after the other.
pub fn batches() -> Vec<String> {
    (IN_JOURNAL..SENT).step_by(20).map(|first| decisions(first..first + 20)).collect()
}

fn decisions(numbers: std::ops::Range<u32>) -> String {
    let one = |number: u32| {
        format!(
            "{{\"id\":\"0190a5c2-7b1e-7c3a-9d55-{number:012x}\",\"time\":\"2024-06-01T12:00:00Z\",\
             \"model\":{{\"name\":\"credit-risk\",\"version\":\"1\"}},\"inputs\":{{\"income\":{}}},\"output\":0.85}}\n",
            42_000 + number
        )
    };
    numbers.map(one).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
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
