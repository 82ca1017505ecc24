//! `onrecord reconcile`: the trail's counts held against counts from elsewhere.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use clap::ValueEnum as _;
use query::{Agreement, Answer, By, Labels, LeftOut, Reconciled, Row, Theirs, TheirsError};

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::number;
use crate::remote::Remote;
use crate::rows::{self, Format};
use crate::session::Session;
use crate::sql::{Bounds, view};
use crate::style::{BAD, DIM, GOOD, WARN, paint};
use crate::table::{heading, table};
use crate::text::{plain, wrap};
use crate::time::utc;

/// Hold the trail's counts against counts from elsewhere
///
/// What no sequence can show, a decision that was never recorded, is in a count that somebody else keeps.
#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// The trail: a folder or a server's
    pub trail: String,
    /// The counts: a CSV with the columns model, version (if told apart), time and count, or a result of Prometheus
    #[arg(long, value_name = "FILE")]
    pub against: PathBuf,
    /// How long an interval is
    #[arg(long, value_enum, default_value = "day")]
    pub by: Interval,
    /// For a result of Prometheus: the labels that say the model and the version
    #[arg(long = "label", value_name = "model=LABEL|version=LABEL")]
    pub labels: Vec<String>,
    /// How to write the intervals [default: table, or one document with --json]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    #[command(flatten)]
    pub bounds: Bounds,
}

const AFTER: &str = "\
  onrecord reconcile ./trail --against counts.csv --by hour
  curl -G http://prometheus:9090/api/v1/query_range -d start=... -d end=... -d step=1h \\
    --data-urlencode 'query=sum by (model, version) (increase(predictions_total[1h]))' > counts.json
  onrecord reconcile ./trail --against counts.json --by hour

Exit status 1 if one side has more than the other and that was not declared, 4 if rows were bad.
docs/completeness.md says what is counted.";

/// How long an interval is.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Interval {
    Minute,
    Hour,
    Day,
    Week,
}

/// Rows that are shown where all is well, and bad rows, unless -v asks for all.
const SHOWN: usize = 40;

pub fn run(session: &Session, args: &Args) -> Outcome {
    let by = match args.by {
        Interval::Minute => By::Minute,
        Interval::Hour => By::Hour,
        Interval::Day => By::Day,
        Interval::Week => By::Week,
    };
    let report = match Remote::of(&args.trail) {
        Some(remote) => of_server(args, &remote?)?,
        None => {
            let theirs = theirs(args, by)?;
            view(session, &args.trail, args.bounds.limits())?.reconcile(&theirs)?
        }
    };
    match args.format {
        Some(format) if format != Format::Table => {
            rows::write(session, format, Answer::of_rows(batch(&report)?), "interval", "intervals")?;
        }
        None if session.json => session.print(&json(&report)?)?,
        _ => session.print(&text(session, &report))?,
    }
    for bad in report.bad_rows.iter().take(if session.verbose { usize::MAX } else { SHOWN }) {
        session.error(&format!(
            "line {} of {}: {}",
            bad.line,
            plain(&args.against.display().to_string()),
            plain(&bad.reason)
        ));
    }
    if report.bad_rows_count > 0 {
        let bad = number::of(report.bad_rows_count, "row was", "rows were");
        session.note(&format!("{bad} bad; the verdict is on the others"));
        return Ok(Exit::Partly);
    }
    Ok(if report.verdict.is_good() { Exit::Done } else { Exit::Negative })
}

/// Counts that are sent to a server, bytes at most: more than it takes.
const SENT_BYTES_MAX: u64 = 64 << 20;

fn of_server(args: &Args, remote: &Remote) -> Result<Reconciled, Failure> {
    let labels = labels(args)?;
    let by = args.by.to_possible_value().map(|by| by.get_name().to_owned());
    let given = [("by", by), ("model_label", labels.model), ("version_label", labels.version)];
    let query: Vec<_> = given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let unreadable = |error: std::io::Error| Failure::io("read the counts", &args.against, &error);
    let mut counts = Vec::new();
    File::open(&args.against).map_err(unreadable)?.take(SENT_BYTES_MAX).read_to_end(&mut counts).map_err(unreadable)?;
    remote.post("reconcile", &query, "text/csv", counts)
}

fn labels(args: &Args) -> Result<Labels, Failure> {
    let mut labels = Labels::default();
    for label in &args.labels {
        match label.split_once('=') {
            Some(("model", label)) if !label.is_empty() => labels.model = Some(label.to_owned()),
            Some(("version", label)) if !label.is_empty() => labels.version = Some(label.to_owned()),
            _ => {
                let what = format!("--label {label:?} says neither model=LABEL nor version=LABEL");
                return Err(Failure::wrong_use(what));
            }
        }
    }
    Ok(labels)
}

fn theirs(args: &Args, by: By) -> Result<Theirs, Failure> {
    let labels = labels(args)?;
    let file = File::open(&args.against).map_err(|error| Failure::io("read the counts", &args.against, &error))?;
    let theirs = Theirs::read(BufReader::new(file), by, &labels).map_err(|error| {
        let exit = if matches!(error, TheirsError::Io(_)) { Exit::CouldNot } else { Exit::WrongUse };
        let failure = Failure::of(exit, &error);
        Failure { what: format!("{}: {}", args.against.display(), failure.what), ..failure }
    })?;
    if theirs.is_empty() {
        let what = match theirs.bad_rows().first() {
            Some(bad) => format!("{}: line {}: {}; no row is better", args.against.display(), bad.line, bad.reason),
            None => format!("{} holds no counts", args.against.display()),
        };
        return Err(Failure::wrong_use(what));
    }
    Ok(theirs)
}

fn json(report: &Reconciled) -> Result<String, Failure> {
    let json = serde_json::to_string(report);
    json.map(|json| json + "\n").map_err(|error| Failure::could_not(format!("cannot write the report: {error}")))
}

fn word(verdict: Agreement) -> &'static str {
    match verdict {
        Agreement::Agree => "agree",
        Agreement::Declared => "declared",
        Agreement::OursFewer => "ours fewer",
        Agreement::OursMore => "ours more",
        Agreement::Differ => "differ",
    }
}

fn meaning(verdict: Agreement) -> &'static str {
    match verdict {
        Agreement::Agree => "both counts are the same",
        Agreement::Declared => "what the trail lacks was declared as lost",
        Agreement::OursFewer => "decisions were made that are not on record, nor declared as lost",
        Agreement::OursMore => "more decisions are on record than were counted",
        Agreement::Differ => "the trail has fewer in some intervals, and more in others",
    }
}

fn painted(verdict: Agreement) -> anstyle::Style {
    match verdict {
        Agreement::Agree => GOOD,
        Agreement::Declared => WARN,
        _ => BAD,
    }
}

fn text(session: &Session, report: &Reconciled) -> String {
    let verdict = report.verdict;
    let mut out = format!("{}  {}\n\n", paint(painted(verdict), word(verdict).to_uppercase()), meaning(verdict));
    // What is amiss is always shown.
    let amiss = |row: &&Row| row.verdict != Agreement::Agree;
    let all = session.verbose || report.rows.len() <= SHOWN;
    let shown: Vec<Vec<String>> =
        report.rows.iter().filter(|row| all || amiss(row)).map(|each| row(report.by, each)).collect();
    if !shown.is_empty() {
        let heads =
            ["from", "model", "version", ">theirs", ">recorded", ">left out", ">declared", ">difference", "verdict"];
        out += &table(session, &heads, &shown);
    }
    let left = report.rows.len() - shown.len();
    if left > 0 {
        out += &format!(
            "  {}\n",
            paint(DIM, format!("{} agree; -v shows them", number::of(left as u64, "interval", "intervals")))
        );
    }
    let mut notes = Vec::new();
    if report.unnamed > 0 {
        notes.push(format!(
            "{} of models that the file does not name",
            number::of(report.unnamed, "decision", "decisions")
        ));
    }
    if report.erased > 0 {
        notes.push(format!(
            "{} erased whole: nobody can tell of which model",
            number::of(report.erased, "decision was", "decisions were")
        ));
    }
    if !notes.is_empty() {
        let room = session.columns().saturating_sub(2).min(100);
        let lines = notes.iter().flat_map(|note| wrap(note, room)).map(|line| format!("  {line}\n"));
        out += &(heading("not compared") + &lines.collect::<String>());
    }
    out
}

fn row(by: By, row: &Row) -> Vec<String> {
    let from = utc(row.from_ns);
    let from = match by {
        By::Day | By::Week => from.split('T').next().unwrap_or_default().to_owned(),
        By::Hour | By::Minute => from.replace(":00Z", "Z"),
    };
    let left_out = match row.left_out_by {
        LeftOut::None => String::new(),
        LeftOut::Counted => figure(row.left_out),
        LeftOut::Estimated => format!("~{:.0} ± {:.0}", row.left_out, row.margin),
    };
    let declared = match (row.declared, row.declared_of_any) {
        (0, 0) => String::new(),
        (own, 0) => number::count(own),
        (0, any) => format!("{} of any", number::count(any)),
        (own, any) => format!("{} + {} of any", number::count(own), number::count(any)),
    };
    let sign = if row.difference > 0.0 { "+" } else { "" };
    vec![
        from,
        plain(&row.model),
        row.version.as_deref().map(plain).unwrap_or_default(),
        figure(row.theirs),
        number::count(row.recorded),
        left_out,
        declared,
        format!("{sign}{}", figure(row.difference)),
        word(row.verdict).to_owned(),
    ]
}

/// A count, which may come out of a rate and be no whole number.
fn figure(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 9e15 {
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}{}", number::count(value.abs() as u64));
    }
    format!("{value:.1}")
}

/// The intervals as rows for other programs.
fn batch(report: &Reconciled) -> Result<RecordBatch, Failure> {
    let each = || report.rows.iter();
    let texts = |of: &dyn Fn(&Row) -> Option<String>| -> ArrayRef { Arc::new(each().map(of).collect::<StringArray>()) };
    let numbers =
        |of: &dyn Fn(&Row) -> f64| -> ArrayRef { Arc::new(each().map(|row| Some(of(row))).collect::<Float64Array>()) };
    let counts = |of: &dyn Fn(&Row) -> u64| -> ArrayRef {
        Arc::new(each().map(|row| i64::try_from(of(row)).ok()).collect::<Int64Array>())
    };
    let columns: [(&str, ArrayRef); 11] = [
        ("from", texts(&|row| Some(utc(row.from_ns)))),
        ("model", texts(&|row| Some(row.model.clone()))),
        ("version", texts(&|row| row.version.clone())),
        ("theirs", numbers(&|row| row.theirs)),
        ("recorded", counts(&|row| row.recorded)),
        ("left_out", numbers(&|row| row.left_out)),
        ("margin", numbers(&|row| row.margin)),
        ("declared", counts(&|row| row.declared)),
        ("declared_of_any", counts(&|row| row.declared_of_any)),
        ("difference", numbers(&|row| row.difference)),
        ("verdict", texts(&|row| Some(word(row.verdict).replace(' ', "_")))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .map_err(|error| Failure::could_not(format!("cannot write the intervals: {error}")))
}
