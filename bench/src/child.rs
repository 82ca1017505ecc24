//! Parts of rows that need a process of their own: to be killed, to run on one core, or to have their memory measured.
//! Each prints one JSON object.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::args::Data;
use crate::rows;

/// The parts.
#[derive(clap::Subcommand)]
pub enum Part {
    /// Makes a trail, or adds to it
    Grow { place: PathBuf, data: Data, from: u64, to: u64 },
    /// Verifies a trail
    Verify { place: PathBuf },
    /// Hashes the canonical bytes of a trail's first records
    Hash { place: PathBuf, records: usize },
    /// Fills a journal, and goes on until it is killed
    Fill { place: PathBuf, journal_mib: u64 },
    /// Reads all files of a folder
    Read { folder: PathBuf },
    /// Opens a trail that was left in the middle
    Recover { place: PathBuf, last: uuid::Uuid },
    /// Takes records at a steady rate
    Take { place: PathBuf, records: u64, rate: f64 },
    /// Makes a trail of the fleet's decisions, or adds to it
    Fleet { place: PathBuf, from: u64, to: u64 },
    /// Asks a file's questions
    Ask { place: PathBuf, questions: PathBuf, times: usize },
    /// Looks single decisions up
    LookUp { place: PathBuf, records: u64, round: u64 },
    /// Asks many questions at once
    Crowd { place: PathBuf, records: u64 },
}

pub fn run(part: Part) {
    let said = match part {
        Part::Grow { place, data, from, to } => rows::verify::grow(&place, data, from, to),
        Part::Verify { place } => rows::verify::verify(&place),
        Part::Hash { place, records } => rows::verify::hash(&place, records),
        Part::Fill { place, journal_mib } => rows::recover::fill(&place, journal_mib),
        Part::Read { folder } => rows::recover::read(&folder),
        Part::Recover { place, last } => rows::recover::recover(&place, last),
        Part::Fleet { place, from, to } => rows::query::grow(&place, from, to),
        Part::Ask { place, questions, times } => rows::query::ask(&place, &questions, times),
        Part::LookUp { place, records, round } => rows::query::look_up(&place, records, round),
        Part::Crowd { place, records } => rows::query::crowd(&place, records),
        Part::Take { place, records, rate } => rows::memory::take(&place, records, rate),
    };
    say(&said);
}

/// Says something to the parent.
pub fn say(what: &Value) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what}").unwrap();
    out.flush().unwrap();
}

/// A part that was started.
pub struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

/// Starts a part, on one core if it is to.
pub fn start(one_core: bool, part: &[&str]) -> Running {
    // This very program, also if another has been built in its place meanwhile.
    let exe = format!("/proc/{}/exe", std::process::id());
    let mut command = if one_core {
        let mut command = Command::new("taskset");
        command.args(["-c", "1"]).arg(exe);
        command
    } else {
        Command::new(exe)
    };
    let mut child = command.arg("child").args(part).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    Running { child, lines }
}

impl Running {
    /// The next thing it says; panics if it ends before.
    pub fn next(&mut self) -> Value {
        let line = self.lines.next().expect("the part of the row ended early").unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Ends it with SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn wait(mut self) {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "a part of the row failed: {status}");
    }
}

/// Runs a part to its end; what it said.
pub fn call(one_core: bool, part: &[&str]) -> Value {
    let mut running = start(one_core, part);
    let said = running.next();
    running.wait();
    said
}

/// A path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().unwrap()
}
