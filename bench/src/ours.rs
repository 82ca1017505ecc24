//! OnRecord as a library in this process: JSON bytes in, receipts out.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use host::Host;
use record::{JsonParser, Limits, Record};
use trail::{Folder, Intake, KeyFolder, Options, Outcome, Reader, Writer, init};

use crate::args::Data;
use crate::data::{Generator, Lines, START_NS, STEP_NS, Templates};

/// A trail and its key in a folder.
pub struct Place {
    pub folder: Folder,
    keys: KeyFolder,
}

impl Place {
    pub fn at(path: &Path) -> Place {
        Place { folder: Folder::new(path.join("trail")), keys: KeyFolder(path.join("keys")) }
    }

    /// The records of the trail that is there, if there is one.
    pub fn records(&self) -> Option<u64> {
        let snapshot = Reader::new(&Host::system(), &self.folder).snapshot();
        snapshot.ok().map(|snapshot| snapshot.end())
    }

    /// Makes the trail.
    pub fn make(path: &Path) -> Place {
        let place = Place::at(path);
        init(&Host::system(), &place.folder, Some("example.com/bench"), &place.keys).unwrap();
        place
    }

    pub fn open(&self, options: Options) -> Writer {
        Writer::open(&Host::system(), &self.folder, &self.keys, options).unwrap()
    }

    /// Bytes of each part of the trail's folder.
    pub fn sizes(&self) -> Vec<(&'static str, u64)> {
        let under = |path: PathBuf| crate::machine::bytes_under(&path);
        let log = self.folder.lake().join("_delta_log");
        let log_bytes = under(log);
        let single = |path: PathBuf| std::fs::metadata(path).map_or(0, |found| found.len());
        vec![
            ("data files", under(self.folder.lake()) - log_bytes),
            ("Delta log", log_bytes),
            ("entries", under(self.folder.entries())),
            ("tiles", under(self.folder.tiles())),
            ("trail.json and checkpoint", single(self.folder.settings()) + single(self.folder.checkpoint())),
        ]
    }
}

/// A writer that neither seals nor settles before it is closed.
pub fn only_journal() -> Options {
    let never = Duration::from_secs(1_000_000);
    Options { seal_every: never, settle_every: never, settle_bytes: u64::MAX, ..Options::default() }
}

/// Appends lines as one batch; returns when all are durable, and panics unless each was kept.
pub fn append(writer: &Writer, parser: &mut JsonParser, lines: &Lines, intake: Intake) {
    let outcomes = writer.append(parse(parser, lines), intake).unwrap();
    all_kept(&outcomes);
}

/// Validated records.
pub fn parse(parser: &mut JsonParser, lines: &Lines) -> Vec<Record> {
    lines.iter().map(|line| parser.parse(line).unwrap_or_else(|error| panic!("{error}"))).collect()
}

/// Fails unless each record was kept.
pub fn all_kept(outcomes: &[Outcome]) {
    for outcome in outcomes {
        assert!(matches!(outcome, Outcome::Kept(_)), "{outcome:?}");
    }
}

/// Appenders that send as fast as they are answered, until they are told to end. Returns what `measure` does meanwhile;
/// it is given the count of acknowledged records.
pub fn flood<T>(
    writer: &Writer,
    templates: &Templates,
    (appenders, batch): (usize, usize),
    measure: impl FnOnce(&AtomicU64) -> T,
) -> T {
    let (count, end) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for appender in 0..appenders {
            let (count, end) = (&count, &end);
            scope.spawn(move || {
                let host = Host::system();
                let mut generator = Generator::new(templates, appender as u64 + 1);
                let mut parser = JsonParser::new(Limits::DEFAULT);
                let mut lines = Lines::default();
                while end.load(Ordering::Relaxed) == 0 {
                    let now = host.now_ns();
                    lines.fill(&mut generator, batch, |_| now);
                    append(writer, &mut parser, &lines, Intake::Import);
                    count.fetch_add(batch as u64, Ordering::Relaxed);
                }
            });
        }
        let measured = measure(&count);
        end.store(1, Ordering::Relaxed);
        measured
    })
}

/// Appends records that happened one after the other, from `from` up to `to` in all, and settles them.
pub fn grow(writer: &Writer, data: Data, from: u64, to: u64) {
    let templates = Templates::of(data, 20_000);
    // Another sender each time, so that no id comes twice.
    let mut generator = Generator::new(&templates, from + 1);
    let mut parser = JsonParser::new(Limits::DEFAULT);
    let mut lines = Lines::default();
    let mut at = from;
    while at < to {
        let count = (to - at).min(1_000);
        lines.fill(&mut generator, count as usize, |n| START_NS + (at as i64 + n as i64) * STEP_NS);
        append(writer, &mut parser, &lines, Intake::Import);
        at += count;
    }
    writer.settle().unwrap();
}
