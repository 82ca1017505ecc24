//! `onrecord append`: records from files or stdin onto the trail.

use std::path::PathBuf;
use std::time::Duration;

use input::Format;
use record::{Limits, Record};
use trail::{Folder, Settings, Status};

use crate::exit::Exit;
use crate::failure::{Failure, Outcome, reason};
use crate::intake::{Intake, Next};
use crate::object::Object;
use crate::remote::Remote;
use crate::session::Session;
use crate::source::{self, Item, Source};
use crate::stop::Stop;
use crate::style::{BAD, GOOD, WARN, paint};
use crate::text::plain_line;
use crate::writer::{Answer, Way};
use crate::{number, progress, time};

/// Records in a batch at most, and the bytes after which one is full.
const BATCH_RECORDS: usize = 1_000;
const BATCH_BYTES: usize = 8 << 20;
/// How long the first record of a batch waits for others.
const BATCH_AGE: Duration = Duration::from_millis(100);

/// Put records on a trail, from files or stdin
///
/// A record that is not valid is reported with its place and reason, and the rest goes on. A record whose id is on
/// record already is acknowledged again and not written twice, so an append that was interrupted can be run again.
#[derive(clap::Args)]
pub struct Args {
    /// The trail: a folder or a server's
    pub trail: String,
    /// Files of records, .ndjson, .jsonl, .json, .cbor, .cborseq, .arrow, .feather or .parquet, also with .gz; stdin if there is none
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// What form the records have, whatever the files are called; stdin is taken for NDJSON
    #[arg(long)]
    pub format: Option<Format>,
    /// Print a receipt for each record, one JSON object a line
    #[arg(long)]
    pub receipts: bool,
    /// Check every record first, and write none if one of them is not valid
    #[arg(long)]
    pub strict: bool,
    /// Move everything from the journal to the lake at the end, however little it is
    #[arg(long)]
    pub settle: bool,
}

/// Where records go.
enum Place {
    Folder(Folder),
    Server(Remote),
}

impl Place {
    /// Looked at before the input is.
    fn of(session: &Session, args: &Args) -> Result<Place, Failure> {
        if let Some(remote) = Remote::of(&args.trail) {
            if args.settle {
                return Err(Failure::wrong_use("a server settles by itself").hint("leave --settle out"));
            }
            return Ok(Place::Server(remote?));
        }
        let folder = session.folder(&args.trail)?;
        Settings::read(&session.host, &folder)?;
        Ok(Place::Folder(folder))
    }
}

/// How an append went.
#[derive(Default)]
struct Tally {
    taken: u64,
    again: u64,
    refused: u64,
    /// Someone asked to stop before everything was read.
    stopped: bool,
    /// Something that was to be written to stdout could not be.
    unwritten: bool,
}

impl Tally {
    fn exit(&self) -> Exit {
        match (self.refused, self.taken + self.again) {
            _ if self.stopped || self.unwritten => Exit::Partly,
            (0, _) => Exit::Done,
            (_, 0) => Exit::WrongUse,
            _ => Exit::Partly,
        }
    }
}

pub fn run(session: &Session, args: &Args) -> Outcome {
    let place = Place::of(session, args)?;
    let mut sources = source::sources(&args.files, args.format)?;
    if args.strict {
        check_all(session, &mut sources)?;
    }
    let started = session.host.monotonic();
    let way = match place {
        Place::Server(remote) => Way::Server(remote),
        Place::Folder(folder) => Way::find(session, &folder)?,
    };
    let stop = Stop::on_signals()?;
    let (tally, batch) = (Tally::default(), Batch::default());
    let mut append = Append { session, way, receipts: args.receipts, tally, batch };
    let broken = append.all(sources, &stop);
    let Append { way, mut tally, .. } = append;
    let status = match (way.finish(session, args.settle, &stop), broken) {
        (Ok(status), Ok(())) => status,
        (finished, broken) => return Err(interrupted(broken.err().or(finished.err()), &tally)),
    };
    let took = session.host.monotonic().saturating_sub(started);
    if tally.stopped {
        session.error("the append was interrupted: what had been read is on record, the rest of the input is not");
    }
    if let Err(failure) = summary(session, args, &tally, status.as_ref(), took) {
        session.error(&format!("{} (the records are kept)", failure.what));
        tally.unwritten = true;
    }
    Ok(tally.exit())
}

/// What ended an append in its middle; what was taken by then stays.
fn interrupted(failure: Option<Failure>, tally: &Tally) -> Failure {
    let mut failure = failure.unwrap_or_else(|| Failure::could_not("the append was interrupted"));
    if tally.taken > 0 {
        failure.exit = Exit::Partly;
        let taken = number::of(tally.taken, "record was", "records were");
        failure.what = format!("{} (after {taken} taken)", failure.what);
        failure.hint.get_or_insert_with(|| "run it again: records that have an id are taken once".to_owned());
    }
    failure
}

/// Reads everything once and writes nothing (`--strict`).
fn check_all(session: &Session, sources: &mut [Source]) -> Result<(), Failure> {
    let (mut all, mut bad) = (0, 0);
    for source in sources {
        source.keep(&session.host)?;
        let mut records = source.open(Limits::DEFAULT)?;
        while let Some(item) = records.read_next()? {
            all += 1;
            if let Err(fault) = &item.record {
                bad += 1;
                report(session, &item.at, &fault.reason)?;
            }
        }
    }
    if bad == 0 {
        return Ok(());
    }
    let what = format!("{bad} of {} not valid, and nothing was written", number::of(all, "record is", "records are"));
    Err(Failure::wrong_use(what).hint("leave --strict out to take the others"))
}

fn report(session: &Session, at: &str, reason: &str) -> Result<(), Failure> {
    if session.json {
        return session.print(&fault(at, reason));
    }
    session.error(&format!("{}: {}", plain_line(at), plain_line(reason)));
    Ok(())
}

fn fault(at: &str, reason: &str) -> String {
    Object::default().raw("error", &Object::default().field("at", at).field("reason", reason).end()).line()
}

/// Records on their way, and where each stood.
#[derive(Default)]
struct Batch {
    records: Vec<Record>,
    places: Vec<String>,
    bytes: usize,
    /// When the first of them came.
    since: Duration,
}

struct Append<'a> {
    session: &'a Session,
    way: Way,
    receipts: bool,
    tally: Tally,
    batch: Batch,
}

impl Append<'_> {
    fn all(&mut self, sources: Vec<Source>, stop: &Stop) -> Result<(), Failure> {
        let mut bar = progress::counter(self.session, "appending");
        let intake = Intake::begin(sources, stop.clone())?;
        loop {
            match intake.next(self.patience()) {
                Ok(Next::Item(item)) => {
                    bar.aside(|| self.take(*item))?;
                    bar.at(self.tally.taken + self.tally.again + self.tally.refused);
                }
                Ok(Next::Nothing) => bar.aside(|| self.flush())?,
                Ok(Next::End) => return bar.aside(|| self.flush()),
                Ok(Next::Stopped) => {
                    self.tally.stopped = true;
                    return bar.aside(|| self.flush());
                }
                // What was read before a disk error is appended all the same.
                Err(failure) => {
                    bar.aside(|| self.flush())?;
                    return Err(failure);
                }
            }
        }
    }

    /// How long what was read may wait for more.
    fn patience(&self) -> Duration {
        if self.batch.records.is_empty() {
            return BATCH_AGE;
        }
        BATCH_AGE.saturating_sub(self.session.host.monotonic().saturating_sub(self.batch.since))
    }

    fn take(&mut self, item: Item) -> Result<(), Failure> {
        match item.record {
            Ok(record) => {
                if self.batch.records.is_empty() {
                    self.batch.since = self.session.host.monotonic();
                }
                self.batch.bytes += record.parts.total_bytes();
                self.batch.records.push(*record);
                self.batch.places.push(item.at);
            }
            Err(fault) => self.refuse(&item.at, &fault.reason)?,
        }
        if self.batch.records.len() >= BATCH_RECORDS || self.batch.bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn refuse(&mut self, at: &str, reason: &str) -> Result<(), Failure> {
        self.tally.refused += 1;
        if self.session.json {
            self.write(&fault(at, reason));
            return Ok(());
        }
        report(self.session, at, reason)
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let Batch { records, places, .. } = std::mem::take(&mut self.batch);
        if records.is_empty() {
            return Ok(());
        }
        let answers = self.way.append(self.session, records, self.receipts)?;
        let mut lines = String::new();
        for (at, answer) in places.iter().zip(answers) {
            match answer {
                Answer::Kept { again, receipt } => {
                    *(if again { &mut self.tally.again } else { &mut self.tally.taken }) += 1;
                    receipt.into_iter().for_each(|receipt| lines += &format!("{receipt}\n"));
                }
                Answer::Refused(reason) => self.refuse(at, &reason)?,
            }
        }
        self.write(&lines);
        Ok(())
    }

    /// Writes to stdout while that works. The records matter more: they go on being taken when it does not.
    fn write(&mut self, lines: &str) {
        if lines.is_empty() || self.tally.unwritten {
            return;
        }
        if let Err(error) = self.session.write(lines) {
            self.tally.unwritten = true;
            let what = if self.receipts { "receipts" } else { "what is wrong with records" };
            let why = reason(&error);
            self.session.error(&format!("{what} cannot be written to stdout any more ({why}); recording goes on"));
        }
    }
}

fn summary(
    session: &Session,
    args: &Args,
    tally: &Tally,
    status: Option<&Status>,
    took: Duration,
) -> Result<(), Failure> {
    if session.json {
        if tally.unwritten {
            return Ok(());
        }
        let mut summary = Object::default()
            .field("taken", tally.taken)
            .field("again", tally.again)
            .field("refused", tally.refused)
            .field("interrupted", tally.stopped);
        if let Some(status) = status {
            summary = summary.field("sealed", status.sealed).field("settled", status.settled);
        }
        let summary = summary.field("seconds", (took.as_secs_f64() * 1e3).round() / 1e3);
        return session.print(&Object::default().raw("summary", &summary.end()).line());
    }
    let (style, word) = match tally.exit() {
        Exit::Done => (GOOD, "appended"),
        Exit::Partly => (WARN, "partly appended:"),
        _ => (BAD, "nothing appended:"),
    };
    let mut line = format!("{} {}", paint(style, word), number::of(tally.taken, "record", "records"));
    if tally.taken + tally.again + tally.refused == 0 && !tally.stopped {
        line = format!("{} the input held no records", paint(WARN, "nothing appended:"));
    }
    if tally.again > 0 {
        line += &format!(", {} on record already", number::count(tally.again));
    }
    if tally.refused > 0 {
        line += &format!(", {} refused", number::count(tally.refused));
    }
    if let Some(status) = status {
        let sealed = match status.records - status.sealed.min(status.records) {
            0 => "all sealed".to_owned(),
            waiting => format!("{} not sealed yet", number::count(waiting)),
        };
        line += &format!("; {} on the trail, {sealed}, {}\n", number::count(status.records), time::span(took));
    } else {
        line += &format!("; {}\n", time::span(took));
    }
    if args.receipts {
        if !session.quiet {
            session.say(line.trim_end());
        }
        return Ok(());
    }
    if session.quiet { Ok(()) } else { session.print(&line) }
}
