//! `onrecord sample`: records for an auditor to look at, which nobody could choose.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use query::{Answer, Certificate, SampleAsked, SampleError};

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::filters::{self, Filters};
use crate::number;
use crate::remote::Remote;
use crate::rows::{self, Format};
use crate::session::Session;
use crate::sql::{Bounds, view};
use crate::style::{GOOD, paint};
use crate::table::{pairs, table};
use crate::text::plain;

/// Draw a sample that nobody could steer, with a certificate that re-checks
///
/// First the auditor takes a checkpoint of the trail into their own hands (cp TRAIL/checkpoint pin), and only then says
/// a nonce. The sample follows from both: those who hold the trail cannot choose it, and neither can the auditor.
#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// The trail: a folder or a server's
    pub trail: String,
    /// Records of the sample
    #[arg(short = 'n', long = "size", value_name = "N", default_value_t = 59)]
    pub size: usize,
    /// The checkpoint that the auditor holds; records behind it are not of the population
    #[arg(long, value_name = "CHECKPOINT")]
    pub pin: PathBuf,
    /// What the auditor said after they had it, such as a throw of dice
    #[arg(long, value_name = "TEXT")]
    pub nonce: String,
    /// The kind of record
    #[arg(long, value_name = "KIND", default_value = "decision")]
    pub kind: String,
    #[command(flatten)]
    pub filters: Filters,
    /// The file to write the certificate to; stdout if there is none
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// How to write the sample's records, beside the certificate
    #[arg(long, value_enum, requires = "output")]
    pub format: Option<Format>,
    #[command(flatten)]
    pub bounds: Bounds,
}

const AFTER: &str = "\
  cp ./trail/checkpoint pin
  onrecord sample ./trail -n 59 --pin pin --nonce 'dice 4 2 6 1 3 3 5 2' --since 2026-10 -o sample.json
  onrecord verify sample.json --trail ./trail --pin pin

59 records without a fault say with 95 % confidence that fewer than 5 % of the population have it.
docs/sample.md has the rest.";

/// Records that are shown.
const SHOWN: usize = 10;

pub fn run(session: &Session, args: &Args) -> Outcome {
    let kind = filters::kind(&args.kind)?;
    let checkpoint = std::fs::read(&args.pin).map_err(|error| Failure::io("read the checkpoint", &args.pin, &error))?;
    let certificate = match Remote::of(&args.trail) {
        Some(remote) => of_server(args, &remote?, checkpoint)?,
        None => {
            let view = view(session, &args.trail, args.bounds.limits())?;
            let filter = args.filters.search(session, kind)?.condition()?;
            view.sample(&SampleAsked { filter, n: args.size, nonce: args.nonce.clone(), checkpoint })?
        }
    };
    let Some(output) = &args.output else {
        return session.print(&certificate.to_json()).map(|()| Exit::Done);
    };
    let written = session.host.replace(output, certificate.to_json().as_bytes(), "certificate", None);
    written.map_err(|error| match &error {
        host::FileError::Io { cause, .. } => Failure::io("write the certificate to", output, cause),
        _ => error.into(),
    })?;
    match args.format {
        Some(format) if format != Format::Table => {
            return Ok(rows::write(session, format, Answer::of_rows(batch(&certificate)?), "record", "records")?.exit);
        }
        None if session.json => session.print(&certificate.to_json())?,
        _ => session.print(&text(session, args, &certificate))?,
    }
    Ok(Exit::Done)
}

/// Whatever the server says, the certificate must be of this checkpoint and this nonce. Whether the sample is what they
/// come to, whoever has the trail checks.
fn of_server(args: &Args, remote: &Remote, checkpoint: Vec<u8>) -> Result<Certificate, Failure> {
    let mut query = args.filters.query(Some(&args.kind));
    query.extend([("n", args.size.to_string()), ("nonce", args.nonce.clone())]);
    let certificate: Certificate = remote.post("sample", &query, "text/plain", checkpoint.clone())?;
    if certificate.nonce != args.nonce || certificate.checkpoint.as_bytes() != checkpoint {
        let what = format!("the certificate of {} is of another nonce or checkpoint", remote.server());
        return Err(Failure { exit: Exit::Negative, what, hint: None });
    }
    Ok(certificate)
}

impl From<SampleError> for Failure {
    fn from(error: SampleError) -> Self {
        match error {
            SampleError::Query(error) => error.into(),
            SampleError::Size(_) | SampleError::Nonce | SampleError::Checkpoint(_) => {
                Failure::of(Exit::WrongUse, &error)
            }
            SampleError::Cut { .. } | SampleError::Fork { .. } | SampleError::Changed { .. } => {
                Failure::of(Exit::Negative, &error).hint("run verify on the trail, with --pin")
            }
        }
    }
}

/// What a certificate says, for a person.
pub fn figures(certificate: &Certificate) -> Vec<(String, String)> {
    let pair = |name: &str, value: String| (name.to_owned(), value);
    let mut figures = vec![
        pair("filter", plain(&certificate.filter)),
        pair("population", number::of(certificate.population, "record", "records")),
        pair("excluded", format!("{} under the checkpoint", number::count(certificate.excluded))),
        pair("nonce", plain(&certificate.nonce)),
    ];
    if certificate.erased > 0 {
        let erased = number::count(certificate.erased);
        figures.insert(3, pair("erased", format!("{erased} of them, which the filter may not have seen as they were")));
    }
    figures.extend(certificate.threshold.as_ref().map(|threshold| pair("threshold", plain(threshold))));
    figures
}

fn text(session: &Session, args: &Args, certificate: &Certificate) -> String {
    let output = args.output.as_ref().map(|output| plain(&output.display().to_string())).unwrap_or_default();
    let chosen = number::of(certificate.chosen.len() as u64, "record", "records");
    let mut out = format!("{} {output}: a sample of {chosen}\n\n", paint(GOOD, "wrote"));
    out += &pairs(session, &figures(certificate));
    out += "\n";
    let shown = if session.verbose { usize::MAX } else { SHOWN };
    let rows = certificate.chosen.iter().take(shown);
    let rows: Vec<Vec<String>> = rows
        .map(|each| vec![number::count(each.index), each.id.clone(), each.hash.chars().take(16).collect()])
        .collect();
    out += &table(session, &[">index", "id", "hash"], &rows);
    let left = certificate.chosen.len().saturating_sub(shown);
    if left > 0 {
        out += &format!("  and {} more; -v shows them, and the certificate has them all\n", number::count(left as u64));
    }
    let (trail, pin) = (plain(&args.trail), plain(&args.pin.display().to_string()));
    out += &format!("\nTo check it:\n  onrecord verify {output} --trail {trail} --pin {pin}\n");
    out
}

/// The sample as rows for other programs.
fn batch(certificate: &Certificate) -> Result<RecordBatch, Failure> {
    let each = || certificate.chosen.iter();
    let texts = |of: &dyn Fn(&query::Chosen) -> String| -> ArrayRef {
        Arc::new(each().map(|chosen| Some(of(chosen))).collect::<StringArray>())
    };
    let indices: Int64Array = each().map(|chosen| i64::try_from(chosen.index).ok()).collect();
    let columns: [(&str, ArrayRef); 4] = [
        ("index", Arc::new(indices)),
        ("id", texts(&|chosen| chosen.id.clone())),
        ("hash", texts(&|chosen| chosen.hash.clone())),
        ("digest", texts(&|chosen| chosen.digest.clone())),
    ];
    RecordBatch::try_from_iter(columns).map_err(|error| Failure::could_not(format!("cannot write the sample: {error}")))
}
