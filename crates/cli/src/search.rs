//! `onrecord search`: decisions by what is known of them, newest first.

use std::path::PathBuf;

use query::Search;

use crate::evidence;
use crate::failure::{Failure, Outcome};
use crate::filters::{self, Filters};
use crate::number;
use crate::remote::Remote;
use crate::rows::{self, Format};
use crate::session::Session;
use crate::sql::{Bounds, view};

/// Find decisions, newest first
#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// The trail: a folder or a server's
    pub trail: String,
    #[command(flatten)]
    pub filters: Filters,
    /// The kind of record, or all
    #[arg(long, value_name = "KIND", default_value = "decision")]
    pub kind: String,
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

const AFTER: &str = "\
  onrecord search ./trail --model credit-risk --since 7d --where 'inputs.income < 30000'
  onrecord search ./trail --where 'explanation.values.income < -0.4' --columns id,output.score
  onrecord search ./trail --since 2026-11-01..2026-11-08 --where 'inputs[\"odd key\"] IS NOT NULL'

docs/sql.md says what EXPR can be, and how a field is named.";

/// What a person sees of a record in a line.
const IN_A_LINE: [&str; 7] = ["index", "time", "id", "model.name", "model.version", "subject.id", "output:json"];

pub fn run(session: &Session, args: &Args) -> Outcome {
    let format = Format::of(session, args.format);
    if let Some(remote) = Remote::of(&args.trail) {
        return on_server(session, args, format, &remote?);
    }
    let view = view(session, &args.trail, args.bounds.limits())?;
    let search = search(session, args, format)?;
    let run = search.to_sql()?;
    let asking =
        evidence::Asking::new(session, format!("--kind {}{} --limit {}", args.kind, args.filters, args.limit), run);
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

/// The same search, by a server, which puts it on record.
fn on_server(session: &Session, args: &Args, format: Format, remote: &Remote) -> Outcome {
    if args.evidence.is_some() {
        return Err(evidence::of_folders_alone());
    }
    filters::kind(&args.kind)?;
    let columns = columns(args, format).join(",");
    let mut query = args.filters.query(Some(&args.kind));
    query.extend([("limit", args.limit.to_string()), ("columns", columns)]);
    Ok(rows::write(session, format, remote.search(&query)?, "record", "records")?.exit)
}

fn search(session: &Session, args: &Args, format: Format) -> Result<Search, Failure> {
    let kind = filters::kind(&args.kind)?;
    Ok(Search { columns: columns(args, format), limit: args.limit, ..args.filters.search(session, kind)? })
}

fn columns(args: &Args, format: Format) -> Vec<String> {
    match (args.columns.is_empty(), format) {
        (false, _) => args.columns.iter().map(|column| column.trim().to_owned()).collect(),
        (true, Format::Table) => IN_A_LINE.map(str::to_owned).to_vec(),
        (true, _) => Search::IN_FULL.map(str::to_owned).to_vec(),
    }
}
