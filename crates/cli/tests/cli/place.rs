//! A folder to work in, and the command run in it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};

pub const GERMAN_CREDIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../demo/german_credit/records.ndjson.gz");

/// A folder of its own, with its own keys.
pub struct Place {
    folder: tempfile::TempDir,
}

/// What a run came to.
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Place {
    pub fn new() -> Place {
        Place { folder: tempfile::tempdir().unwrap() }
    }

    /// A place with a trail called `trail`.
    pub fn with_trail() -> Place {
        let place = Place::new();
        assert_eq!(place.run(&["init", "trail", "--origin", "example.com/credit"]).code, 0);
        place
    }

    /// A place with a trail that holds the German Credit records, settled.
    pub fn with_credit() -> Place {
        let place = Place::with_trail();
        assert_eq!(place.run(&["append", "trail", GERMAN_CREDIT, "--settle"]).code, 0);
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onrecord"));
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env_clear().env("ONRECORD_KEYS", self.path("keys")).env("COLUMNS", "100");
        command
    }

    pub fn run(&self, args: &[&str]) -> Run {
        self.of(self.command(args).output().unwrap())
    }

    /// As [`Place::run`], with something on stdin.
    pub fn run_on(&self, args: &[&str], stdin: &[u8]) -> Run {
        let mut child = self.command(args);
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin).unwrap();
        self.of(child.wait_with_output().unwrap())
    }

    /// A run whose stdin stays open for as long as it is held.
    pub fn held_open(&self, args: &[&str]) -> (Child, ChildStdin) {
        let mut command = self.command(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        (child, stdin)
    }

    pub fn of(&self, output: Output) -> Run {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Run {
    /// Everything that was said, with what differs from run to run left out.
    pub fn told(&self) -> String {
        let out = format!("exit {}\n-- out\n{}-- err\n{}", self.code, self.out, self.err);
        plain(&out)
    }

    /// The last line of what was printed, where others are of bad records.
    pub fn json_of_last(&self) -> serde_json::Value {
        let line = self.out.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

/// Sends a signal, such as `TERM`.
pub fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap().success());
}

/// Puts names in the place of hashes, spans, sizes and temporary folders.
pub fn plain(text: &str) -> String {
    let mut settings = Vec::new();
    let temporary = std::env::temp_dir().display().to_string();
    for word in text.split_inclusive(|c: char| c.is_whitespace() || matches!(c, '"' | ',' | ')' | ';')) {
        settings.push(plain_word(word, &temporary));
    }
    settings.concat()
}

fn plain_word(word: &str, temporary: &str) -> String {
    let core = word.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '"' | ',' | ')' | ';'));
    let tail = &word[core.len()..];
    let named = if core.starts_with(temporary) {
        let inside = Path::new(core).components().skip(Path::new(temporary).components().count() + 1);
        format!("[PLACE]/{}", inside.collect::<PathBuf>().display())
    } else if core.len() == 64 && core.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        "[HASH]".to_owned()
    } else if core.starts_with("example.com/credit+") {
        "[VERIFIER KEY]".to_owned()
    } else if let Some(rest) = core.strip_prefix("lake/settle-") {
        format!("lake/settle-[NAME]{}", if rest.ends_with(".parquet") { ".parquet" } else { "" })
    } else {
        core.to_owned()
    };
    named + tail
}

/// The filters for what stands in more than one word.
#[macro_export]
macro_rules! told {
    ($run:expr) => {
        insta::with_settings!({
            filters => vec![
                (r"\d+(\.\d+)? (ms|s|µs)\b", "[SPAN]"),
                (r"2\d{3}-[01]\d-[0-3]\dT[0-9:.]+Z", "[TIME]"),
                (r"\d+(\.\d+)? (B|KiB|MiB)\b", "[SIZE]"),
                (r"(settle|rewrite)-\d{20}-[0-9a-f]{16}", "[FILE]"),
                (r"\d+ bytes a decision", "[N] bytes a decision"),
            ],
            omit_expression => true,
            prepend_module_to_snapshot => false,
        }, { insta::assert_snapshot!($run.told()) })
    };
}

/// A decision in one line of JSON.
pub fn decision(number: u32) -> String {
    format!(
        "{{\"id\":\"0190a5c2-7b1e-7c3a-9d55-{number:012x}\",\"time\":\"2024-06-01T12:00:00Z\",\
         \"model\":{{\"name\":\"credit-risk\",\"version\":\"1\"}},\
         \"inputs\":{{\"income\":{}}},\"output\":0.85}}\n",
        42_000 + number
    )
}
