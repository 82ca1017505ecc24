//! `onrecord search`: decisions by what is known of them, newest first.

use std::fmt;
use std::path::PathBuf;

use query::{Search, Span};
use record::Kind;

use crate::evidence;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::number;
use crate::rows::{self, Format};
use crate::session::Session;
use crate::sql::{Bounds, view};

/// Find decisions, newest first
#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// The trail's folder
    pub trail: String,
    #[command(flatten)]
    pub filters: Filters,
    /// Records at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
    /// Fields to show, with commas between [default: what fits the format]
    #[arg(long, value_name = "FIELD,...", value_delimiter = ',')]
    pub columns: Vec<String>,
    /// How to write the records [default: table, or ndjson with --json]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Also write an evidence header to FILE: query, records covered, checkpoint, counts, digest of the result
    #[arg(long, value_name = "FILE")]
    pub evidence: Option<PathBuf>,
    #[command(flatten)]
    pub bounds: Bounds,
}

/// Which records. All of it must hold.
#[derive(clap::Args)]
pub struct Filters {
    /// The model's name
    #[arg(long, value_name = "M")]
    pub model: Option<String>,
    /// The model's version
    #[arg(long, value_name = "V")]
    pub version: Option<String>,
    /// From then on: a time, a day, a span before now (2h, 7d), or FROM..UNTIL
    #[arg(long, value_name = "T")]
    pub since: Option<String>,
    /// Until then; a day is meant whole
    #[arg(long, value_name = "T")]
    pub until: Option<String>,
    /// Whom it is about: subject.id
    #[arg(long, value_name = "S")]
    pub subject: Option<String>,
    /// The case: subject.case
    #[arg(long, value_name = "C")]
    pub case: Option<String>,
    /// The trace: trace.trace_id
    #[arg(long, value_name = "ID")]
    pub trace: Option<String>,
    /// The kind of record, or all
    #[arg(long, value_name = "KIND", default_value = "decision")]
    pub kind: String,
    /// A predicate in SQL, over fields by their names
    #[arg(long = "where", value_name = "EXPR")]
    pub matches: Option<String>,
}

const AFTER: &str = "\
  onrecord search ./trail --model credit-risk --since 7d --where 'inputs.income < 30000'
  onrecord search ./trail --where 'explanation.values.income < -0.4' --columns id,output.score
  onrecord search ./trail --since 2026-11-01..2026-11-08 --where 'inputs[\"odd key\"] IS NOT NULL'

docs/sql.md says what EXPR can be, and how a field is named.";

/// What a person sees of a record in a line.
const IN_A_LINE: [&str; 7] = ["index", "time", "id", "model.name", "model.version", "subject.id", "output:json"];

/// What a program gets: all of it.
const IN_FULL: [&str; 16] = [
    "index",
    "id",
    "kind",
    "time",
    "about",
    "model:json",
    "result:json",
    "producer:json",
    "trace:json",
    "error",
    "subject:json",
    "inputs:json",
    "parameters:json",
    "output:json",
    "explanation:json",
    "context:json",
];

pub fn run(session: &Session, args: &Args) -> Outcome {
    let format = Format::of(session, args.format);
    let view = view(session, &args.trail, args.bounds.limits())?;
    let search = search(session, args, format)?;
    let run = search.to_sql()?;
    let asking = evidence::Asking::new(session, args.filters.to_string() + &format!(" --limit {}", args.limit), run);
    let told = rows::write(session, format, view.clone().at(asking.started_ns).search(&search)?, "record", "records")?;
    if let Some(file) = &args.evidence {
        evidence::write(session, &view, asking, Some(&search), &told, file)?;
    }
    if search.is_narrowed() {
        let erased = view.erased()?;
        if erased > 0 {
            let of = number::of(erased, "record", "records");
            session.note(&format!("of {of} something was erased, and nothing finds what is gone"));
        }
    }
    Ok(told.exit)
}

fn search(session: &Session, args: &Args, format: Format) -> Result<Search, Failure> {
    let columns: Vec<String> = match (args.columns.is_empty(), format) {
        (false, _) => args.columns.iter().map(|column| column.trim().to_owned()).collect(),
        (true, Format::Table) => IN_A_LINE.map(str::to_owned).to_vec(),
        (true, _) => IN_FULL.map(str::to_owned).to_vec(),
    };
    args.filters.search(session, columns, args.limit)
}

impl Filters {
    /// The search that they are.
    pub fn search(&self, session: &Session, columns: Vec<String>, limit: usize) -> Result<Search, Failure> {
        let now = session.host.now_ns();
        let span = |text: &Option<String>| text.as_deref().map(|text| Span::read(text, now)).transpose();
        let (since, until) = (span(&self.since)?, span(&self.until)?);
        // A range says both by itself.
        let range = since.filter(|_| self.since.as_deref().is_some_and(|text| text.contains("..")));
        if range.is_some() && until.is_some() {
            let failure =
                Failure { exit: Exit::WrongUse, ..Failure::wrong_use("--since is a range, and --until is given too") };
            return Err(failure.hint("give one of the two"));
        }
        Ok(Search {
            kind: self.kind()?,
            model: self.model.clone(),
            version: self.version.clone(),
            subject: self.subject.clone(),
            case: self.case.clone(),
            trace: self.trace.clone(),
            since,
            until: until.or(range),
            matches: self.matches.clone(),
            ..Search::new(columns, limit)
        })
    }

    fn kind(&self) -> Result<Option<Kind>, Failure> {
        if self.kind == "all" {
            return Ok(None);
        }
        let unknown = || {
            let kinds: Vec<&str> = Kind::all().map(Kind::name).collect();
            Failure::wrong_use(format!("there is no kind of record {:?}", self.kind))
                .hint(format!("one of {}, or all", kinds.join(", ")))
        };
        Kind::from_name(&self.kind).map(Some).ok_or_else(unknown)
    }
}

/// As they are typed.
impl fmt::Display for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--kind {}", self.kind)?;
        let given = [
            ("model", &self.model),
            ("version", &self.version),
            ("since", &self.since),
            ("until", &self.until),
            ("subject", &self.subject),
            ("case", &self.case),
            ("trace", &self.trace),
            ("where", &self.matches),
        ];
        for (flag, value) in given.into_iter().filter_map(|(flag, value)| Some((flag, value.as_ref()?))) {
            write!(f, " --{flag} '{}'", value.replace('\'', "'\\''"))?;
        }
        Ok(())
    }
}
