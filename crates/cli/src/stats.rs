//! `onrecord stats`: what a trail holds, what that costs, and how far it is behind.

use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use trail::{Folder, RemoteWriter, ScrubState, Snapshot, Status};

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::fields::hex;
use crate::find;
use crate::number;
use crate::object::{self, Object};
use crate::scan::{self, Census};
use crate::session::Session;
use crate::style::{HEAD, paint};
use crate::table::{heading, pairs, table};
use crate::text::{plain, plain_line, wrap};
use crate::time;
use crate::verify::{encryption, verdict};

/// Show what a trail holds: records, models, bytes, seals
#[derive(clap::Args)]
pub struct Args {
    /// The trail's folder
    pub trail: String,
}

/// How long a writer may take to say how it is.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// What there is of a writer.
enum Live {
    Running(Box<Status>),
    /// It listens, and says nothing: it is stopped, or far too busy.
    Silent,
    None,
}

/// Bytes of a trail's folder, by what they are for.
struct Sizes {
    parts: Vec<(&'static str, u64)>,
}

impl Sizes {
    fn total(&self) -> u64 {
        self.parts.iter().map(|(_, bytes)| bytes).sum()
    }

    fn journal(&self) -> u64 {
        self.parts.iter().filter(|(name, _)| *name == "journal").map(|(_, bytes)| bytes).sum()
    }
}

/// Everything that is shown of a trail.
struct Figures {
    snapshot: Snapshot,
    census: Census,
    sizes: Sizes,
    live: Live,
    scrub: ScrubState,
}

pub fn run(session: &Session, args: &Args) -> Outcome {
    let folder = session.folder(&args.trail)?;
    let snapshot = find::snapshot(session, &args.trail)?;
    let census = scan::census(&snapshot).map_err(|failure| failure.of_trail(&args.trail))?;
    let sizes = sizes(folder.root())?;
    let scrub = ScrubState::read(&session.host, &folder).map_err(|error| Failure::of(Exit::CouldNot, &error))?;
    let live = ask_writer(folder);
    let figures = Figures { snapshot, census, sizes, live, scrub };
    let text = if session.json { json(session, &figures)? } else { text(session, &figures) };
    session.print(&text)?;
    Ok(Exit::Done)
}

/// The trail's writer, if it answers soon.
fn ask_writer(folder: Folder) -> Live {
    let (sender, answer) = sync_channel(1);
    let ask = move || {
        let status = RemoteWriter::connect(&folder).ok().flatten().and_then(|mut remote| remote.status().ok());
        // Whoever asked may have given up.
        let _ = sender.send(status);
    };
    // A thread that waits for an answer for ever ends with the process.
    if std::thread::Builder::new().name("status".into()).spawn(ask).is_err() {
        return Live::Silent;
    }
    match answer.recv_timeout(ANSWER_MAX) {
        Ok(Some(status)) => Live::Running(Box::new(status)),
        Ok(None) => Live::None,
        Err(_) => Live::Silent,
    }
}

/// Every file in the folder is counted, by its length.
fn sizes(root: &Path) -> Result<Sizes, Failure> {
    let parts = [
        ("lake", bytes_under(&root.join("lake"), &|path| !in_delta_log(path))?),
        ("delta log", bytes_under(&root.join("lake/_delta_log"), &|_| true)?),
        ("entries", bytes_under(&root.join("entries"), &|_| true)?),
        ("tiles", bytes_under(&root.join("tile"), &|_| true)?),
        ("journal", bytes_under(&root.join("journal"), &|_| true)?),
        ("other", bytes_under(root, &|path| path.parent() == Some(root))?),
    ];
    Ok(Sizes { parts: parts.to_vec() })
}

fn in_delta_log(path: &Path) -> bool {
    path.components().any(|step| step.as_os_str() == "_delta_log")
}

fn bytes_under(folder: &Path, counts: &dyn Fn(&Path) -> bool) -> Result<u64, Failure> {
    let mut total = 0;
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        let entries = match std::fs::read_dir(&next) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Failure::io("list", &next, &error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| Failure::io("list", &next, &error))?;
            // A file that a writer has removed in between is no longer part of the trail.
            let Ok(found) = entry.metadata() else { continue };
            if found.is_dir() {
                waiting.push(entry.path());
            } else if found.is_file() && counts(&entry.path()) {
                total += found.len();
            }
        }
    }
    Ok(total)
}

/// Bytes for each decision, or for each record where there are no decisions. The journal counts while records are in
/// it; an empty one is space that is kept for the next.
fn bytes_each(census: &Census, sizes: &Sizes, journal_records: u64) -> Option<f64> {
    let decisions = census.kinds.get("decision").copied().unwrap_or(0);
    let all: u64 = census.kinds.values().sum();
    let of = if decisions > 0 { decisions } else { all };
    let bytes = if journal_records > 0 { sizes.total() } else { sizes.total() - sizes.journal() };
    (of > 0).then(|| bytes as f64 / of as f64)
}

type Pairs = Vec<(String, String)>;

fn pair(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

fn text(session: &Session, figures: &Figures) -> String {
    let Figures { snapshot, census, sizes, live, scrub } = figures;
    let mut out = format!("{} {}\n", paint(HEAD, "trail"), plain(&snapshot.settings().origin));
    let mut lines = vec![pair("encryption", encryption(&snapshot.settings().encryption))];
    lines.extend(holds(snapshot, census));
    lines.extend(seal(snapshot));
    lines.push(writer(live));
    lines.push(checked(session, scrub));
    out += &pairs(session, &lines);
    if let Some(last) = scrub.last.as_ref().filter(|last| !last.findings.is_empty()) {
        out += &heading("found by the writer's check");
        for finding in &last.findings {
            let room = session.columns().saturating_sub(2);
            out += &wrap(&plain_line(finding), room).iter().map(|line| format!("  {line}\n")).collect::<String>();
        }
    }
    if !census.models.is_empty() {
        let row = |((name, version), count): (&(String, String), &u64)| {
            vec![plain(name), plain(version), number::count(*count)]
        };
        let rows: Vec<Vec<String>> = census.models.iter().map(row).collect();
        out += "\n";
        out += &table(session, &["model", "version", ">decisions"], &rows);
    }
    out + &heading("size") + &pairs(session, &costs(snapshot, census, sizes))
}

fn holds(snapshot: &Snapshot, census: &Census) -> Pairs {
    let kind = |(kind, count): (&String, &u64)| format!("{} {}", plain(kind), number::count(*count));
    let kinds: Vec<String> = census.kinds.iter().map(kind).collect();
    let kinds = if kinds.is_empty() { String::new() } else { format!(": {}", kinds.join(", ")) };
    let files = number::of(snapshot.lake().files().len() as u64, "file", "files");
    vec![
        pair("records", format!("{}{kinds}", number::count(snapshot.end()))),
        pair("settled", format!("{} in {files} of the lake", number::count(snapshot.settled()))),
        pair("table", table_version(snapshot)),
        pair("journal", format!("{} not settled yet", number::count(snapshot.end() - snapshot.settled()))),
    ]
}

/// The version of the Delta table, and where reading it began.
fn table_version(snapshot: &Snapshot) -> String {
    let lake = snapshot.lake();
    let from = lake
        .log_checkpoint()
        .map(|version| format!(", read from its checkpoint of version {}", number::count(version)));
    format!("version {}{}", number::count(lake.version()), from.unwrap_or_default())
}

fn seal(snapshot: &Snapshot) -> Pairs {
    let Some(signed) = snapshot.checkpoint() else { return vec![pair("checkpoint", "none yet")] };
    let checkpoint = signed.checkpoint();
    let behind = match snapshot.end().saturating_sub(checkpoint.size()) {
        0 => String::new(),
        unsealed => format!(", {} not sealed yet", number::count(unsealed)),
    };
    let covers = number::of(checkpoint.size(), "record", "records");
    vec![pair("checkpoint", covers + &behind), pair("root", hex(checkpoint.root().as_bytes()))]
}

fn writer(live: &Live) -> (String, String) {
    let status = match live {
        Live::Running(status) => status,
        Live::Silent => return pair("writer", "does not answer"),
        Live::None => return pair("writer", "none running"),
    };
    let failing = [("settling", &status.settle_error), ("compacting", &status.compact_error)];
    let failing =
        failing.into_iter().find_map(|(what, error)| Some(format!(", {what} fails: {}", plain(error.as_ref()?))));
    let journal = number::bytes(status.journal_bytes);
    pair("writer", format!("running, {journal} in its journal{}", failing.unwrap_or_default()))
}

/// What the running writer's own check came to, and how long ago. It is the writer's word, and no evidence.
fn checked(session: &Session, scrub: &ScrubState) -> (String, String) {
    let ago = |ns: i64| time::span_ns(session.host.now_ns().saturating_sub(ns).max(0));
    let under_way = scrub
        .under_way()
        .map(|(started, files)| format!("under way for {}, {} done", ago(started), number::of(files, "file", "files")));
    let last = scrub.last.as_ref().map(|last| {
        let (records, files) = (number::of(last.records, "record", "records"), number::of(last.files, "file", "files"));
        format!("{} {} ago, {records} in {files}", verdict(last.verdict), ago(last.finished_ns))
    });
    let said: Vec<String> = last.into_iter().chain(under_way).collect();
    pair("checked", if said.is_empty() { "not by a running writer yet".to_owned() } else { said.join("; ") })
}

fn costs(snapshot: &Snapshot, census: &Census, sizes: &Sizes) -> Pairs {
    let in_journal = snapshot.end() - snapshot.settled();
    let parts = sizes.parts.iter().filter(|(_, bytes)| *bytes > 0);
    let mut lines: Pairs = parts.map(|(name, bytes)| pair(name, number::bytes(*bytes))).collect();
    let journal = if in_journal > 0 { "the journal too" } else { "all but the empty journal" };
    let each = bytes_each(census, sizes, in_journal).map(|each| {
        let what = if census.kinds.contains_key("decision") { "decision" } else { "record" };
        format!("; {each:.0} bytes a {what}, {journal} counted")
    });
    lines.push(pair("in all", number::bytes(sizes.total()) + &each.unwrap_or_default()));
    lines
}

fn json(session: &Session, figures: &Figures) -> Result<String, Failure> {
    let Figures { snapshot, census, sizes, live, scrub } = figures;
    let models = census.models.iter().map(|((name, version), count)| {
        Object::default().field("name", name).field("version", version).field("decisions", count).end()
    });
    let bytes = sizes
        .parts
        .iter()
        .fold(Object::default(), |object, (name, bytes)| object.field(&name.replace(' ', "_"), bytes));
    let mut object = Object::default()
        .field("origin", &snapshot.settings().origin)
        .field("encryption", &snapshot.settings().encryption)
        .field("records", snapshot.end())
        .field("kinds", &census.kinds)
        .raw("models", &object::list(models))
        .field("files", snapshot.lake().files().len())
        .field("table_version", snapshot.lake().version())
        .field("table_checkpoint", snapshot.lake().log_checkpoint())
        .field("settled", snapshot.settled())
        .field("journal_records", snapshot.end() - snapshot.settled())
        .field("sealed", snapshot.sealed())
        .field("unsealed", snapshot.end().saturating_sub(snapshot.sealed()))
        .raw("bytes", &bytes.field("total", sizes.total()).end())
        .field(
            "bytes_a_decision",
            bytes_each(census, sizes, snapshot.end() - snapshot.settled()).map(|each| (each * 10.0).round() / 10.0),
        );
    if let Some(signed) = snapshot.checkpoint() {
        let checkpoint = signed.checkpoint();
        let checkpoint =
            Object::default().field("size", checkpoint.size()).field("root", hex(checkpoint.root().as_bytes()));
        object = object.raw("checkpoint", &checkpoint.end());
    }
    object = object.raw("scrub", &scrub_json(session, scrub));
    Ok(match live {
        Live::Running(status) => object.field("writer", status).line(),
        Live::Silent => object.raw("writer", &Object::default().field("answers", false).end()).line(),
        Live::None => object.raw("writer", "null").line(),
    })
}

fn scrub_json(session: &Session, scrub: &ScrubState) -> String {
    let mut object = Object::default();
    if let Some(last) = &scrub.last {
        let age_ns = session.host.now_ns().saturating_sub(last.finished_ns).max(0);
        object = object
            .field("verdict", last.verdict)
            .field("finished", time::utc(last.finished_ns))
            .field("age_seconds", age_ns / 1_000_000_000)
            .field("records", last.records)
            .field("files", last.files)
            .field("findings", &last.findings)
            .field("findings_left_off", last.findings_left_off);
    }
    if let Some((started, files)) = scrub.under_way() {
        let under_way = Object::default().field("started", time::utc(started)).field("files", files);
        object = object.raw("under_way", &under_way.end());
    }
    object.end()
}
