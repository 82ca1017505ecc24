//! Checking the certificate of a sample: the sample is drawn again, out of the trail.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use query::{CERTIFICATE_BYTES_MAX, Certificate, Limits, SampleReport};
use tlog::{Checkpoint, Note, WitnessPolicy};
use trail::Verdict;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::number;
use crate::object::Object;
use crate::sample::figures;
use crate::session::Session;
use crate::sql::view;
use crate::table::{heading, pairs};
use crate::text::{plain, plain_line, wrap};
use crate::verify::{Args, verdict};

const NOT_CHECKED: [&str; 3] = [
    "that the nonce was said after the checkpoint was in the auditor's hands, and who chose the filter",
    "records that are not of the sample: run verify on the trail, with --pin",
    "whether a producer recorded what really happened",
];

/// Whether a file is a certificate, by how it begins.
pub fn is_one(file: &Path) -> Result<bool, Failure> {
    let unreadable = |error| Failure::io("read", file, &error);
    let mut begins = Vec::new();
    File::open(file).map_err(unreadable)?.take(64).read_to_end(&mut begins).map_err(unreadable)?;
    Ok(Certificate::is_like(&begins))
}

/// Checks the certificate in a file.
pub fn check(session: &Session, args: &Args, policy: Option<&WitnessPolicy>) -> Outcome {
    let trail = args.of.as_deref().ok_or_else(|| {
        let what = "the certificate of a sample is checked against its trail, and none was given";
        Failure::wrong_use(what).hint("--trail TRAIL, and --pin with the checkpoint that you hold")
    })?;
    if args.digest.is_some() {
        return Err(Failure::wrong_use("--digest is for proofs, and this is the certificate of a sample"));
    }
    let certificate = read(&args.trail)?;
    let brought = brought(&certificate, args, policy)?;
    let view = view(session, trail, Limits::default())?;
    let (report, agrees) = match brought {
        Brought::Other(difference) => {
            let difference = Some(difference);
            (SampleReport { verdict: Verdict::Invalid, difference, erased_since: 0 }, Vec::new())
        }
        Brought::Nothing => (view.check_sample(&certificate)?, Vec::new()),
        Brought::Agrees(with) => {
            let report = view.check_sample(&certificate)?;
            let held = report.verdict == Verdict::Consistent;
            (SampleReport { verdict: if held { Verdict::Valid } else { report.verdict }, ..report }, with)
        }
    };
    let text =
        if session.json { json(&certificate, &report, &agrees) } else { text(session, &certificate, &report, &agrees) };
    session.print(&text)?;
    Ok(if report.verdict.is_good() { Exit::Done } else { Exit::Negative })
}

fn read(file: &Path) -> Result<Certificate, Failure> {
    let unreadable = |error| Failure::io("read", file, &error);
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(unreadable)?;
    opened.take(CERTIFICATE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let no_certificate = |why: String| Failure::wrong_use(format!("{} is no certificate: {why}", file.display()));
    if bytes.len() as u64 > CERTIFICATE_BYTES_MAX {
        return Err(no_certificate(format!("it is larger than {} MiB", CERTIFICATE_BYTES_MAX >> 20)));
    }
    Certificate::read(&bytes).map_err(no_certificate)
}

/// What the verifier brought says of the certificate's checkpoint (T15).
enum Brought {
    Nothing,
    Agrees(Vec<String>),
    Other(String),
}

fn brought(certificate: &Certificate, args: &Args, policy: Option<&WitnessPolicy>) -> Result<Brought, Failure> {
    let mut agrees = Vec::new();
    for pin in &args.pins {
        let bytes = std::fs::read(pin).map_err(|error| Failure::io("read the checkpoint", pin, &error))?;
        let none = |error: &dyn std::fmt::Display| {
            Failure::wrong_use(format!("{} is not a checkpoint: {error}", pin.display()))
        };
        let note = Note::parse(&bytes).map_err(|error| none(&error))?;
        let pinned: Checkpoint = note.text().parse().map_err(|error| none(&error))?;
        // Only signatures may differ: a witness may have added its own.
        let same = Note::parse(certificate.checkpoint.as_bytes()).is_ok_and(|of| of.text() == note.text());
        if !same {
            let size = number::of(pinned.size(), "record", "records");
            let what = format!("the sample was drawn under another checkpoint than {}, of {size}", pin.display());
            return Ok(Brought::Other(what));
        }
        agrees.push(format!("{}, your checkpoint", pin.display()));
    }
    if let Some(policy) = policy {
        match policy.require(certificate.checkpoint.as_bytes()) {
            Ok(evaluation) => agrees.push(format!(
                "your policy: its log key signed the checkpoint, and {} of its witnesses",
                evaluation.cosigned.len()
            )),
            Err(refusal) => return Ok(Brought::Other(refusal.to_string())),
        }
    }
    Ok(if agrees.is_empty() { Brought::Nothing } else { Brought::Agrees(agrees) })
}

fn json(certificate: &Certificate, report: &SampleReport, agrees: &[String]) -> String {
    Object::default()
        .field("verdict", report.verdict)
        .field("difference", &report.difference)
        .field("population", certificate.population)
        .field("chosen", certificate.chosen.len())
        .field("erased_since", report.erased_since)
        .field("anchors", agrees)
        .field("not_checked", NOT_CHECKED)
        .line()
}

fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "the sample is the one that your checkpoint and the nonce come to",
        Verdict::Consistent => {
            "the sample follows from its checkpoint and nonce; you brought no checkpoint of your own"
        }
        Verdict::Invalid => "the sample is not what the checkpoint and the nonce come to",
        Verdict::Incomplete => "something that the sample was drawn from is not here",
    }
}

fn text(session: &Session, certificate: &Certificate, report: &SampleReport, agrees: &[String]) -> String {
    let mut out = format!("{}  {}\n\n", verdict(report.verdict), meaning(report.verdict));
    let mut lines = vec![("sample".to_owned(), number::of(certificate.chosen.len() as u64, "record", "records"))];
    lines.extend(figures(certificate));
    lines.extend(agrees.iter().map(|with| ("agrees with".to_owned(), plain_line(with))));
    out += &pairs(session, &lines);
    let room = session.columns().saturating_sub(2).min(100);
    let wrapped = |text: &str| wrap(text, room).iter().map(|line| format!("  {line}\n")).collect::<String>();
    if let Some(difference) = &report.difference {
        out += &heading("found");
        out += &wrapped(&plain(difference));
    }
    out += &heading("not checked");
    out += &NOT_CHECKED.map(wrapped).concat();
    out
}
