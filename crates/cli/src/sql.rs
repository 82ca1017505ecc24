//! `onrecord sql`: SQL over a trail.

use std::io::Read as _;
use std::path::PathBuf;

use query::{Engine, Limits, Policy, View};

use crate::evidence;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::find;
use crate::remote::Remote;
use crate::rows::{self, Format};
use crate::session::Session;
use crate::show::say_unrecorded;

/// Ask a trail with SQL, which can only read
#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// The trail: a folder or a server's
    pub trail: String,
    /// The query; - reads it from stdin
    pub query: String,
    /// How to write the rows [default: table, or ndjson with --json]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Also write an evidence header to FILE: query, records covered, checkpoint, counts, digest of the result
    #[arg(long, value_name = "FILE")]
    pub evidence: Option<PathBuf>,
    #[command(flatten)]
    pub bounds: Bounds,
}

const AFTER: &str = "\
Tables: events (all records), decisions, outcomes, oversights, explanations, latest_outcomes,
latest_oversights, cases (decisions with their latest outcome and oversight), models.\"<name>\".

  onrecord sql ./trail 'SHOW TABLES'
  onrecord sql ./trail 'DESCRIBE decisions'
  onrecord sql ./trail \"SELECT result.class, count(*) FROM decisions
                       WHERE time >= 'yesterday' AND inputs.income < 30000 GROUP BY 1\"
  onrecord sql ./trail \"EXPLAIN ANALYZE SELECT ...\"    what was read, and what was not

docs/sql.md has the rest.";

/// What a query may take.
#[derive(clap::Args)]
pub struct Bounds {
    /// Seconds that it may take
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().time.as_secs(), help_heading = "Limits")]
    pub max_time: u64,
    /// MiB of memory for sorting, grouping and joining; what does not fit goes to a temporary folder, or, of an encrypted trail, nowhere
    #[arg(long, value_name = "MIB", default_value_t = Limits::default().memory_bytes >> 20, help_heading = "Limits")]
    pub max_memory: usize,
}

impl Bounds {
    pub fn limits(&self) -> Limits {
        Limits {
            time: std::time::Duration::from_secs(self.max_time),
            memory_bytes: self.max_memory << 20,
            ..Limits::default()
        }
    }
}

pub fn run(session: &Session, args: &Args) -> Outcome {
    let (limits, format) = (args.bounds.limits(), Format::of(session, args.format));
    let query = || if args.query == "-" { stdin(limits.text_bytes) } else { Ok(args.query.clone()) };
    if let Some(remote) = Remote::of(&args.trail) {
        if args.evidence.is_some() {
            return Err(evidence::of_folders_alone());
        }
        return Ok(rows::write(session, format, remote?.sql(&query()?)?, "row", "rows")?.exit);
    }
    let view = view(session, &args.trail, limits)?;
    let query = query()?;
    let asking = evidence::Asking::new(session, query.clone(), query);
    let answer = view.clone().at(asking.started_ns).sql(&asking.run)?;
    let told = rows::write(session, format, answer, "row", "rows")?;
    if let Some(file) = &args.evidence {
        evidence::write(session, &view, asking, None, &told, file)?;
    }
    Ok(told.exit)
}

/// A trail as it stands, for queries. Whoever may read its folder may see all of it.
pub fn view(session: &Session, trail: &str, limits: Limits) -> Result<View, Failure> {
    let snapshot = find::snapshot(session, trail)?;
    say_unrecorded(session, &snapshot);
    let engine = Engine::new(&session.host, limits)?;
    Ok(engine.view(snapshot, Policy::default())?)
}

fn stdin(bytes_max: usize) -> Result<String, Failure> {
    let mut query = String::new();
    let read = std::io::stdin().lock().take(bytes_max as u64 + 1).read_to_string(&mut query);
    read.map_err(|error| Failure {
        exit: Exit::WrongUse,
        ..Failure::could_not(format!("cannot read the query: {error}"))
    })?;
    Ok(query)
}
