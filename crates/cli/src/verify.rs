//! `onrecord verify`: whether a trail is what was sealed, and what that was held against.

use std::path::{Path, PathBuf};

use tlog::WitnessPolicy;
use trail::{Against, Finding, Folder, Report, Verdict, VerifyError};

use crate::exit::Exit;
use crate::export_folder;
use crate::failure::{Failure, Outcome};
use crate::number;
use crate::progress;
use crate::proof_file;
use crate::sample_file;
use crate::session::Session;
use crate::style::{BAD, DIM, GOOD, HEAD, WARN, paint};
use crate::table::{heading, pairs};
use crate::text::{fit, plain_line, wrap};
use crate::time;

/// Findings shown at most, unless -v asks for all.
const FINDINGS_SHOWN: usize = 10;

/// Check a trail, a proof, an export or a sample, and say what was and was not checked
///
/// Every record is hashed again, and the hashes up to the signed checkpoint. VALID takes something from outside of the
/// trail to hold it against: a checkpoint that you kept (--pin), or your own list of keys (--policy).
#[derive(clap::Args)]
pub struct Args {
    /// The trail's folder, a .tlog-proof file, the folder of an export, or a sample's certificate
    #[arg(value_name = "TRAIL|PROOF|EXPORT|CERTIFICATE")]
    pub trail: PathBuf,
    /// Your own policy: which log keys you know, and which witnesses are enough (C2SP tlog-policy)
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// A checkpoint of this log that you kept; may be given more than once
    #[arg(long = "pin", value_name = "CHECKPOINT")]
    pub pins: Vec<PathBuf>,
    /// For a proof: the digest of the record that it is about. For an export: the digest of its manifest
    #[arg(long, value_name = "HEX")]
    pub digest: Option<String>,
    /// For an export or a sample's certificate: the trail that it is of, to be asked again
    #[arg(long = "trail", value_name = "TRAIL")]
    pub of: Option<String>,
}

impl Args {
    /// A check of that, with nothing to hold it against.
    pub fn of(trail: impl Into<PathBuf>) -> Args {
        Args { trail: trail.into(), policy: None, pins: Vec::new(), digest: None, of: None }
    }
}

pub fn run(session: &Session, args: &Args) -> Outcome {
    let policy = args.policy.as_deref().map(read_policy).transpose()?;
    if args.trail.is_file() && sample_file::is_one(&args.trail)? {
        return sample_file::check(session, args, policy.as_ref());
    }
    let of_trail = || Failure::wrong_use("--trail is for exports and certificates of samples, and this is neither");
    if args.trail.is_file() {
        if args.of.is_some() {
            return Err(of_trail());
        }
        if !args.pins.is_empty() {
            return Err(Failure::wrong_use("--pin is for trails: a proof brings its own checkpoint"));
        }
        return proof_file::check(session, &args.trail, policy.as_ref(), args.digest.as_deref());
    }
    if export::is_export(&args.trail) && !Folder::new(&args.trail).settings().exists() {
        let (pins, of) = (read_pins(&args.pins)?, args.of.as_ref().map(PathBuf::from));
        return export_folder::check(session, &args.trail, policy, pins, args.digest.as_deref(), of.as_ref());
    }
    if args.of.is_some() {
        return Err(of_trail());
    }
    if args.digest.is_some() {
        return Err(Failure::wrong_use("--digest is for proofs, and this is a trail").hint("look at it with show"));
    }
    let folder = session.folder(&args.trail.to_string_lossy())?;
    let report = check(session, &folder, policy, &args.pins)?;
    let text = if session.json { json(&report)? } else { text(session, folder.root(), &report) };
    session.print(&text)?;
    Ok(if report.verdict.is_good() { Exit::Done } else { Exit::Negative })
}

/// Checks a trail against what the verifier brings.
pub fn check(
    session: &Session,
    folder: &Folder,
    policy: Option<WitnessPolicy>,
    pins: &[PathBuf],
) -> Result<Report, Failure> {
    let against = Against { pins: read_pins(pins)?, policy };
    let mut bar = progress::bar(session, "hashing");
    let report = trail::verify(&session.host, folder, &against, &mut |progress| {
        bar.of(progress.done, progress.total);
    });
    drop(bar);
    report.map_err(|error| match error {
        VerifyError::Settings(error) => error.into(),
        VerifyError::Pin { .. } => Failure::of(Exit::WrongUse, &error),
        VerifyError::File(_) | VerifyError::Keys(_) => Failure::of(Exit::CouldNot, &error),
    })
}

pub fn read_pins(pins: &[PathBuf]) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let read = |path: &PathBuf| {
        let bytes = std::fs::read(path).map_err(|error| Failure::io("read the checkpoint", path, &error))?;
        Ok((path.display().to_string(), bytes))
    };
    pins.iter().map(read).collect()
}

fn read_policy(path: &Path) -> Result<WitnessPolicy, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::io("read the policy", path, &error))?;
    let malformed = |error| Failure::of(Exit::WrongUse, &error);
    WitnessPolicy::parse(&bytes).map_err(malformed)
}

fn json(report: &Report) -> Result<String, Failure> {
    let json = serde_json::to_string(report);
    json.map(|json| json + "\n").map_err(|error| Failure::could_not(format!("cannot write the report: {error}")))
}

/// The verdict, as large as a terminal has it.
pub fn verdict(verdict: Verdict) -> String {
    let style = match verdict {
        Verdict::Valid => GOOD,
        Verdict::Consistent => WARN,
        Verdict::Invalid | Verdict::Incomplete => BAD,
    };
    paint(style, verdict)
}

fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "everything agrees, and with what you brought",
        Verdict::Consistent => "all that is here agrees; nothing was brought to hold it against",
        Verdict::Invalid => "something is not what was sealed",
        Verdict::Incomplete => "something that was sealed is not here",
    }
}

/// The report, for a person.
pub fn text(session: &Session, root: &Path, report: &Report) -> String {
    let mut out = format!("{}  {}\n\n", verdict(report.verdict), meaning(report.verdict));
    out += &pairs(session, &checked(report));
    if !report.findings.is_empty() {
        out += &heading("found");
        out += &findings(session, root, report);
    }
    out += &heading("not checked");
    for what in &report.not_checked {
        let room = session.columns().saturating_sub(2).min(100);
        out += &wrap(&plain_line(what), room).iter().map(|line| format!("  {line}\n")).collect::<String>();
    }
    out
}

/// What a trail's files tell whoever has them.
pub fn encryption(setting: &str) -> &'static str {
    match setting {
        trail::OPEN => "none: whoever has the trail's files can read every record",
        _ => "AES-256-GCM, a key for each file",
    }
}

fn checked(report: &Report) -> Vec<(String, String)> {
    let pair = |name: &str, value: String| (name.to_owned(), value);
    let mut out = vec![
        pair("log", plain_line(&report.origin)),
        pair("encryption", encryption(&report.encryption).to_owned()),
        pair("checkpoint", number::of(report.size, "record", "records")),
        pair("root", report.root.clone()),
        pair(
            "hashed",
            format!(
                "{} in {} of the lake, {} in the journal",
                number::of(report.lake_records, "record", "records"),
                number::of(report.lake_files, "file", "files"),
                number::count(report.journal_records)
            ),
        ),
        pair("tree", format!("{} compared", number::of(report.tiles, "stored tile", "stored tiles"))),
    ];
    if report.unsealed > 0 {
        out.push(pair("unsealed", number::count(report.unsealed)));
    }
    if report.erased > 0 {
        out.push(pair("erased", format!("{}, declared", number::count(report.erased))));
    }
    out.extend(report.anchors.iter().map(|anchor| pair("agrees with", plain_line(anchor))));
    out.push(pair("took", time::span(report.elapsed)));
    out
}

/// Findings in words, the worst first.
pub fn findings(session: &Session, root: &Path, report: &Report) -> String {
    let shown = if session.verbose { usize::MAX } else { FINDINGS_SHOWN };
    let mut out: String = report.findings.iter().take(shown).map(|found| finding(session, root, found)).collect();
    let left = (report.findings.len().saturating_sub(shown)) as u64 + report.findings_left_off;
    if left > 0 {
        out += &format!("  {}\n", paint(DIM, format!("and {} more", number::count(left))));
    }
    out
}

/// A finding: where, and under it what.
pub fn finding(session: &Session, root: &Path, finding: &Finding) -> String {
    let mut place = Vec::new();
    place.extend(finding.index.map(|index| format!("record {}", number::count(index))));
    place.extend(finding.row.map(|row| format!("row {}", number::count(row))));
    place.extend(finding.file.as_deref().map(|file| inside(root, file)));
    let place = if place.is_empty() { "the trail".to_owned() } else { place.join(", ") };
    let room = session.width.map_or(usize::MAX, |columns| columns.saturating_sub(2 + finding.check.len() + 2));
    let place = fit(&plain_line(&place), room, session.glyphs.ellipsis);
    let indent = " ".repeat(finding.check.len() + 2);
    let room = session.columns().saturating_sub(2 + indent.len()).min(100);
    let what = wrap(&plain_line(&finding.what), room);
    let what: String = what.iter().map(|line| format!("  {indent}{line}\n")).collect();
    format!("  {}  {}\n{what}", paint(BAD, finding.check), paint(HEAD, place))
}

/// A file as it stands in the trail's folder.
fn inside(root: &Path, file: &Path) -> String {
    let absolute = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    let inner = file.strip_prefix(&absolute).or_else(|_| file.strip_prefix(root)).unwrap_or(file);
    inner.display().to_string()
}
