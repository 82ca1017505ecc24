//! `onrecord stats`: what a trail holds, what that costs, and how far it is behind.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use query::{Engine, Limits, ModelStats, Policy, ScrubStats, Sizes, Stats, WriterStats};
use trail::{Folder, RemoteWriter, ScrubState};

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::find;
use crate::number;
use crate::remote::Remote;
use crate::session::Session;
use crate::style::{HEAD, paint};
use crate::table::{heading, pairs, table};
use crate::text::{plain, plain_line, wrap};
use crate::time;
use crate::verify::{encryption, verdict};

/// Show what a trail holds: records, models, bytes, seals
#[derive(clap::Args)]
pub struct Args {
    /// The trail: a folder or a server's
    pub trail: String,
}

/// How long a writer may take to say how it is.
const ANSWER_MAX: Duration = Duration::from_secs(2);

pub fn run(session: &Session, args: &Args) -> Outcome {
    let stats = match Remote::of(&args.trail) {
        Some(remote) => remote?.document("stats", &[])?,
        None => of_folder(session, args)?,
    };
    let text = if session.json { json(&stats)? } else { text(session, &stats) };
    session.print(&text)?;
    Ok(Exit::Done)
}

fn of_folder(session: &Session, args: &Args) -> Result<Stats, Failure> {
    let folder = session.folder(&args.trail)?;
    let snapshot = find::snapshot(session, &args.trail)?;
    let sizes = Sizes::of(&folder).map_err(|error| Failure::io("list", folder.root(), &error))?;
    let scrub = ScrubState::read(&session.host, &folder).map_err(|error| Failure::of(Exit::CouldNot, &error))?;
    let view = Engine::new(&session.host, Limits::default())?.view(snapshot, Policy::default())?;
    view.stats(sizes, &scrub, ask_writer(folder)).map_err(|error| Failure::from(error).of_trail(&args.trail))
}

/// The trail's writer, if it answers soon.
fn ask_writer(folder: Folder) -> Option<WriterStats> {
    let silent = Some(WriterStats::Silent { answers: false });
    let (sender, answer) = sync_channel(1);
    let ask = move || {
        let status = RemoteWriter::connect(&folder).ok().flatten().and_then(|mut remote| remote.status().ok());
        // Whoever asked may have given up.
        let _ = sender.send(status);
    };
    // A thread that waits for an answer for ever ends with the process.
    if std::thread::Builder::new().name("status".into()).spawn(ask).is_err() {
        return silent;
    }
    match answer.recv_timeout(ANSWER_MAX) {
        Ok(status) => status.map(|status| WriterStats::Running(Box::new(status))),
        Err(_) => silent,
    }
}

fn json(stats: &Stats) -> Result<String, Failure> {
    let json = serde_json::to_string(stats);
    json.map(|json| json + "\n").map_err(|error| Failure::could_not(format!("cannot write the figures: {error}")))
}

type Pairs = Vec<(String, String)>;

fn pair(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

fn text(session: &Session, stats: &Stats) -> String {
    let mut out = format!("{} {}\n", paint(HEAD, "trail"), plain(&stats.origin));
    let mut lines = vec![pair("encryption", encryption(&stats.encryption))];
    lines.extend(holds(stats));
    lines.extend(seal(stats));
    lines.push(writer(stats));
    lines.push(checked(&stats.scrub));
    out += &pairs(session, &lines);
    if let Some(last) = stats.scrub.last.as_ref().filter(|last| !last.findings.is_empty()) {
        out += &heading("found by the writer's check");
        for finding in &last.findings {
            let room = session.columns().saturating_sub(2);
            out += &wrap(&plain_line(finding), room).iter().map(|line| format!("  {line}\n")).collect::<String>();
        }
    }
    if !stats.models.is_empty() {
        let row = |ModelStats { name, version, decisions }: &ModelStats| {
            vec![plain(name), plain(version), number::count(*decisions)]
        };
        let rows: Vec<Vec<String>> = stats.models.iter().map(row).collect();
        out += "\n";
        out += &table(session, &["model", "version", ">decisions"], &rows);
    }
    out + &heading("size") + &pairs(session, &costs(stats))
}

fn holds(stats: &Stats) -> Pairs {
    let kind = |(kind, count): (&String, &u64)| format!("{} {}", plain(kind), number::count(*count));
    let kinds: Vec<String> = stats.kinds.iter().map(kind).collect();
    let kinds = if kinds.is_empty() { String::new() } else { format!(": {}", kinds.join(", ")) };
    let files = number::of(stats.files as u64, "file", "files");
    vec![
        pair("records", format!("{}{kinds}", number::count(stats.records))),
        pair("settled", format!("{} in {files} of the lake", number::count(stats.settled))),
        pair("table", table_version(stats)),
        pair("journal", format!("{} not settled yet", number::count(stats.journal_records))),
    ]
}

/// The version of the Delta table, and where reading it began.
fn table_version(stats: &Stats) -> String {
    let from = stats
        .table_checkpoint
        .map(|version| format!(", read from its checkpoint of version {}", number::count(version)));
    format!("version {}{}", number::count(stats.table_version), from.unwrap_or_default())
}

fn seal(stats: &Stats) -> Pairs {
    let Some(checkpoint) = &stats.checkpoint else { return vec![pair("checkpoint", "none yet")] };
    let behind = match stats.unsealed {
        0 => String::new(),
        unsealed => format!(", {} not sealed yet", number::count(unsealed)),
    };
    let covers = number::of(checkpoint.size, "record", "records");
    vec![pair("checkpoint", covers + &behind), pair("root", plain(&checkpoint.root))]
}

fn writer(stats: &Stats) -> (String, String) {
    let status = match &stats.writer {
        Some(WriterStats::Running(status)) => status,
        Some(WriterStats::Silent { .. }) => return pair("writer", "does not answer"),
        None => return pair("writer", "none running"),
    };
    let failing =
        [("settling", &status.settle_error), ("erasing", &status.erase_error), ("compacting", &status.compact_error)];
    let failing =
        failing.into_iter().find_map(|(what, error)| Some(format!(", {what} fails: {}", plain(error.as_ref()?))));
    let journal = number::bytes(status.journal_bytes);
    let owed = match status.keys_owed {
        0 => String::new(),
        keys => {
            format!(", {} still to be destroyed", number::of(keys, "key of removed files", "keys of removed files"))
        }
    };
    pair("writer", format!("running, {journal} in its journal{owed}{}", failing.unwrap_or_default()))
}

/// What the running writer's own check came to, and how long ago. It is the writer's word, and no evidence.
fn checked(scrub: &ScrubStats) -> (String, String) {
    let span = |seconds: i64| time::span(Duration::from_secs(seconds.unsigned_abs()));
    let files = |n| number::of(n, "file", "files");
    let under_way = scrub.under_way.as_ref();
    let under_way =
        under_way.map(|cycle| format!("under way for {}, {} done", span(cycle.age_seconds), files(cycle.files)));
    let last = scrub.last.as_ref().map(|last| {
        let (records, files) = (number::of(last.records, "record", "records"), files(last.files));
        format!("{} {} ago, {records} in {files}", verdict(last.verdict), span(last.age_seconds))
    });
    let said: Vec<String> = last.into_iter().chain(under_way).collect();
    pair("checked", if said.is_empty() { "not by a running writer yet".to_owned() } else { said.join("; ") })
}

fn costs(stats: &Stats) -> Pairs {
    let bytes = &stats.bytes;
    let parts = [
        ("lake", bytes.lake),
        ("delta log", bytes.delta_log),
        ("entries", bytes.entries),
        ("tiles", bytes.tiles),
        ("journal", bytes.journal),
        ("other", bytes.other),
    ];
    let mut lines: Pairs =
        parts.iter().filter(|(_, bytes)| *bytes > 0).map(|(name, bytes)| pair(name, number::bytes(*bytes))).collect();
    let journal = if stats.journal_records > 0 { "the journal too" } else { "all but the empty journal" };
    let each = stats.bytes_a_decision.map(|each| {
        let what = if stats.kinds.contains_key("decision") { "decision" } else { "record" };
        format!("; {each:.0} bytes a {what}, {journal} counted")
    });
    lines.push(pair("in all", number::bytes(bytes.total) + &each.unwrap_or_default()));
    lines
}
