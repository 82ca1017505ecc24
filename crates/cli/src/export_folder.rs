//! Checking an export without its trail, and asking the trail again where it is at hand.

use std::path::{Path, PathBuf};

use export::{Outside, Report, VerifyError};
use query::Limits;
use tlog::WitnessPolicy;
use trail::Verdict;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::number;
use crate::progress;
use crate::session::Session;
use crate::sql::view;
use crate::table::{heading, pairs};
use crate::text::{plain_line, wrap};
use crate::time;
use crate::verify::{finding, verdict};

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Query(error) => error.into(),
            VerifyError::Pin { .. } => Failure::of(Exit::WrongUse, &error),
            VerifyError::File(_) => Failure::of(Exit::CouldNot, &error),
        }
    }
}

/// Checks the export in a folder.
pub fn check(
    session: &Session,
    folder: &Path,
    policy: Option<WitnessPolicy>,
    pins: Vec<(String, Vec<u8>)>,
    digest: Option<&str>,
    trail: Option<&PathBuf>,
) -> Outcome {
    let outside = Outside { pins, policy, digest: digest.map(str::to_owned) };
    let mut bar = progress::bar(session, "hashing");
    let report = export::verify(&session.host, folder, &outside, &mut |done, total| bar.of(done, total));
    drop(bar);
    let mut report = report?;
    if let Some(trail) = trail {
        let view = view(session, &trail.to_string_lossy(), Limits::default())?;
        export::again(folder, &view, &mut report)?;
    }
    if session.json {
        let json = serde_json::to_string(&report);
        let json = json.map_err(|error| Failure::could_not(format!("cannot write the report: {error}")))?;
        session.print(&(json + "\n"))?;
    } else {
        session.print(&text(session, folder, &report))?;
    }
    Ok(if report.verdict.is_good() { Exit::Done } else { Exit::Negative })
}

fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "every row is what its record says, and the records are under a checkpoint that you trust",
        Verdict::Consistent => "every row is what its record says; nothing was brought to hold the checkpoint against",
        Verdict::Invalid => "something is not what was exported, or not what was sealed",
        Verdict::Incomplete => "a file of the export is not here",
    }
}

fn text(session: &Session, folder: &Path, report: &Report) -> String {
    let pair = |name: &str, value: String| (name.to_owned(), value);
    let mut checked = vec![
        pair("log", plain_line(&report.origin)),
        pair("query", plain_line(&report.asked)),
        pair("checkpoint", number::of(report.size, "record", "records")),
        pair("root", report.root.clone()),
        pair("rows", format!("{}, each held against its record", number::count(report.rows))),
        pair("records", format!("{} hashed up to the root", number::count(report.records))),
        pair("files", format!("{} digested", number::count(report.files))),
        pair("manifest", report.manifest_sha256.clone()),
    ];
    if report.complete && report.verdict.is_good() {
        checked.push(pair("complete", "no record of that kind below the checkpoint can be missing".to_owned()));
    }
    if report.erased > 0 {
        checked.push(pair("erased", format!("{} lost something", number::of(report.erased, "record", "records"))));
    }
    checked.extend(report.anchors.iter().map(|anchor| pair("agrees with", plain_line(anchor))));
    checked.extend(report.again.iter().map(|again| pair("trail", again.clone())));
    checked.push(pair("took", time::span(report.elapsed)));
    let mut out = format!("{}  {}\n\n", verdict(report.verdict), meaning(report.verdict));
    out += &pairs(session, &checked);
    if !report.findings.is_empty() {
        out += &heading("found");
        out += &report.findings.iter().map(|found| finding(session, folder, found)).collect::<String>();
    }
    out += &heading("not checked");
    for what in &report.not_checked {
        let room = session.columns().saturating_sub(2).min(100);
        out += &wrap(&plain_line(what), room).iter().map(|line| format!("  {line}\n")).collect::<String>();
    }
    out
}
