//! `onrecord export`: rows of a trail in a folder that checks offline.

use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum as _;
use export::{AGE, Expected, ExportError, Order, Recipient, RowFormat, Summary, UnpackError};
use query::Search;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::filters::{self, Filters};
use crate::number;
use crate::object::Object;
use crate::progress;
use crate::remote::Remote;
use crate::session::Session;
use crate::sql::{Bounds, view};
use crate::style::{GOOD, paint};
use crate::table::pairs;
use crate::text::{plain, plain_line};

/// Export records to a folder that proves itself
///
/// The folder holds the rows, a manifest, and of each record what leads from its row up to the signed checkpoint. Whoever
/// gets it checks it without the trail: onrecord verify DIR.
#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// The trail: a folder or a server's
    pub trail: String,
    /// The folder to write; it must not be there, or be empty
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    #[command(flatten)]
    pub filters: Filters,
    /// The kind of record, or all
    #[arg(long, value_name = "KIND", default_value = "decision")]
    pub kind: String,
    /// Records at most, the newest [default: all]
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Fields to export, with commas between [default: all of a record]
    #[arg(long, value_name = "FIELD,...", value_delimiter = ',')]
    pub columns: Vec<String>,
    /// How to write the rows
    #[arg(long, value_enum, default_value_t = Format::Parquet)]
    pub format: Format,
    /// Encrypt every file to whom it is for, with age (age1...; may be repeated)
    #[arg(long = "recipient", value_name = "AGE")]
    pub recipients: Vec<Named>,
    #[command(flatten)]
    pub bounds: Bounds,
}

const AFTER: &str = "\
  onrecord export ./trail -o march --since 2026-03-01..2026-03-31 --format csv
  onrecord export ./trail -o scores --columns index,time,subject.id,output.score
  onrecord verify march --policy my-policy
  onrecord export ./trail -o for-audit --recipient age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p

An export of all decisions (no filter but --kind, no --limit) also proves that none is left out.
docs/evidence.md says what an export proves, and what it shows of a record.";

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Parquet files
    Parquet,
    /// RFC 4180, with a line of names; texts that a spreadsheet would take for formulas begin with '
    Csv,
    /// One JSON object a line
    Ndjson,
}

impl From<Format> for RowFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Parquet => RowFormat::Parquet,
            Format::Csv => RowFormat::Csv,
            Format::Ndjson => RowFormat::Ndjson,
        }
    }
}

/// A recipient, and how it was written.
#[derive(Clone, Debug)]
pub struct Named(Recipient, String);

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Named, String> {
        Ok(Named(text.parse()?, text.to_owned()))
    }
}

impl From<UnpackError> for Failure {
    fn from(error: UnpackError) -> Self {
        let exit = if matches!(error, UnpackError::Taken(_)) { Exit::WrongUse } else { Exit::CouldNot };
        Failure::of(exit, &error)
    }
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Query(error) => error.into(),
            ExportError::Taken(_) | ExportError::NotSealed => Failure::of(Exit::WrongUse, &error),
            error => Failure::of(Exit::CouldNot, &error),
        }
    }
}

pub fn run(session: &Session, args: &Args) -> Outcome {
    let limited = args.limit.map(|limit| format!(" --limit {limit}")).unwrap_or_default();
    let asked = format!("--kind {}{}{limited}", args.kind, args.filters);
    let summary = match Remote::of(&args.trail) {
        Some(remote) => of_server(session, args, &remote?)?,
        None => of_folder(session, args, &asked)?,
    };
    tell(session, args, &asked, &summary)?;
    Ok(Exit::Done)
}

fn of_folder(session: &Session, args: &Args, asked: &str) -> Result<Summary, Failure> {
    let view = view(session, &args.trail, args.bounds.limits())?;
    let limit = args.limit.unwrap_or(Search::EVERY);
    let order = Order {
        search: Search { limit, ..args.filters.search(session, filters::kind(&args.kind)?)? },
        asked: asked.to_owned(),
        columns: columns(args).unwrap_or_else(|| Order::EVERYTHING.map(str::to_owned).to_vec()),
        format: args.format.into(),
        file_rows: Order::FILE_ROWS,
        recipients: args.recipients.iter().map(|recipient| recipient.0.clone()).collect(),
        bytes_max: u64::MAX,
    };
    let mut bar = progress::bar(session, "exporting");
    let exported = export::write(&session.host, &view, order, &args.output, &mut |done, total| bar.of(done, total));
    drop(bar);
    Ok(exported?.summary())
}

/// The server makes it and puts on record that it did; what comes is checked here before it has its name.
fn of_server(session: &Session, args: &Args, remote: &Remote) -> Result<Summary, Failure> {
    filters::kind(&args.kind)?;
    // Before the server makes it.
    export::can_be_written(&args.output)?;
    let mut query = args.filters.query(Some(&args.kind));
    query.extend(args.limit.map(|limit| ("limit", limit.to_string())));
    query.extend(columns(args).map(|columns| ("columns", columns.join(","))));
    query.extend(args.format.to_possible_value().map(|format| ("format", format.get_name().to_owned())));
    if !args.recipients.is_empty() {
        let recipients: Vec<&str> = args.recipients.iter().map(|recipient| recipient.1.as_str()).collect();
        query.push(("recipients", recipients.join(",")));
    }
    let (summary, tar) = remote.export(&query)?;
    let expected = Expected {
        manifest_sha256: &summary.manifest_sha256,
        files: summary.files,
        encrypted: !args.recipients.is_empty(),
    };
    export::unpack(&session.host, tar, &args.output, expected)?;
    Ok(summary)
}

fn columns(args: &Args) -> Option<Vec<String>> {
    let columns = args.columns.iter().map(|column| column.trim().to_owned());
    (!args.columns.is_empty()).then(|| columns.collect())
}

fn tell(session: &Session, args: &Args, asked: &str, summary: &Summary) -> Result<(), Failure> {
    let Summary { counts, size, .. } = summary;
    if session.json {
        let object = Object::default().field("folder", &args.output).field("manifest_sha256", &summary.manifest_sha256);
        let object = object.field("rows", summary.rows).field("complete", summary.complete).field("size", size);
        let object = object.field("encrypted", !args.recipients.is_empty());
        return session.print(&object.field("counts", counts).line());
    }
    let mut said = vec![
        ("query".to_owned(), plain_line(asked)),
        ("checkpoint".to_owned(), number::of(*size, "record", "records")),
        ("files".to_owned(), format!("{}, {}", summary.files, number::bytes(summary.bytes))),
        ("shows".to_owned(), format!("stamp, {}", plain_line(&summary.parts.join(", ")))),
    ];
    if let Some(left) = counts.left_off.filter(|left| *left > 0) {
        said.push(("left off".to_owned(), format!("{} by --limit", number::of(left, "record", "records"))));
    }
    if counts.hidden > 0 {
        let hidden = number::of(counts.hidden, "record", "records");
        said.push(("hidden".to_owned(), format!("{hidden} from your role; the manifest's query leaves them out")));
    }
    if counts.erased_unjudged > 0 {
        let erased = number::of(counts.erased_unjudged, "erased record", "erased records");
        said.push(("not judged".to_owned(), format!("{erased}: whether they would match cannot be said")));
    }
    said.push(("manifest".to_owned(), plain_line(&summary.manifest_sha256)));
    let output = plain(&args.output.display().to_string());
    let complete = if summary.complete { "; none is left out, which it proves" } else { "" };
    let check = match args.recipients.is_empty() {
        true => format!("  onrecord verify {output} --policy POLICY\n"),
        false => format!(
            "  for f in {output}/*{AGE}; do age -d -i KEY -o \"${{f%{AGE}}}\" \"$f\" && rm \"$f\"; done\n  \
             onrecord verify {output} --policy POLICY\n"
        ),
    };
    session.print(&format!(
        "{} {output}: {}{complete}\n\n{}\nTo check it anywhere, without the trail:\n{check}",
        paint(GOOD, "wrote"),
        number::of(summary.rows, "row", "rows"),
        pairs(session, &said),
    ))?;
    session.note("of each part that a column is of, the proofs show all: give the folder to who may see that");
    Ok(())
}
