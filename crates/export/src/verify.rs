//! Checking an export offline: manifest → files' digests → each record's parts → its row, its digest → root → signature.
//!
//! Files are read from front to back, once for their digests and once for what is in them; one batch of rows and one path
//! of the tree are in memory.

mod walk;

use std::collections::BTreeSet;
use std::path::Path;

use host::Host;
use tlog::checkpoint::OpenError;
use tlog::{Hash, SignedCheckpoint, VerifierKey, WitnessPolicy};
use trail::Severity;

use crate::error::VerifyError;
use crate::folder::{self, sum_line};
use crate::manifest::{MANIFEST, MANIFEST_BYTES_MAX, Manifest, SUM};
use crate::report::{Place, Report};

/// What the verifier knows from elsewhere.
#[derive(Debug, Default)]
pub struct Outside {
    /// Checkpoints that were kept: signed notes, each with a name for messages.
    pub pins: Vec<(String, Vec<u8>)>,
    /// The verifier's own policy: keys of the log and its witnesses.
    pub policy: Option<WitnessPolicy>,
    /// SHA-256 of the manifest, hexadecimal, as whoever exported told it.
    pub digest: Option<String>,
}

/// Checks the export in a folder. Reads all of it, changes nothing. `progress` is called with records done and in all.
pub fn verify(
    host: &Host,
    folder: &Path,
    outside: &Outside,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, VerifyError> {
    let started = host.monotonic();
    let mut report = Report::new();
    if let Some(manifest) = manifest(folder, outside, &mut report) {
        files(folder, &manifest, &mut report);
        if let Some(root) = signature(folder, &manifest, outside, &mut report)? {
            walk::contents(folder, &manifest, &root, &mut report, progress);
        }
        report.manifest = Some(manifest);
    }
    report.decide();
    report.elapsed = host.monotonic().saturating_sub(started);
    Ok(report)
}

/// A file that cannot be read is missing, or is no file of an export.
fn unread(report: &mut Report, path: &Path, error: &std::io::Error) {
    let severity = match error.kind() {
        std::io::ErrorKind::NotFound => Severity::Incomplete,
        _ => Severity::Invalid,
    };
    report.find(severity, "T1", Place::file(path.to_owned()), format!("it cannot be read: {error}"));
}

fn manifest(folder: &Path, outside: &Outside, report: &mut Report) -> Option<Manifest> {
    let (path, sum) = (folder.join(MANIFEST), folder.join(SUM));
    let bytes = match folder::read(&path, MANIFEST_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) => {
            unread(report, &path, &error);
            return None;
        }
    };
    report.manifest_sha256 = folder::sha256(&bytes);
    match folder::read(&sum, 1_024) {
        Ok(line) if line == sum_line(&report.manifest_sha256).as_bytes() => {}
        Ok(_) => report.invalid("T1", Place::file(path.clone()), "its digest is not the one that stands beside it"),
        Err(error) => unread(report, &sum, &error),
    }
    if let Some(told) = &outside.digest {
        report.told = told.trim_start_matches("sha256:").eq_ignore_ascii_case(&report.manifest_sha256);
        if !report.told {
            report.invalid("T15", Place::file(path.clone()), "its digest is not the one that you were told");
        }
    }
    match Manifest::read(&bytes) {
        Ok(manifest) => Some(manifest),
        Err(error) => {
            report.invalid("T24", Place::file(path), format!("it is no manifest of an export: {error}"));
            None
        }
    }
}

/// Every file is the one that the manifest names, and no other is there.
fn files(folder: &Path, manifest: &Manifest, report: &mut Report) {
    for file in &manifest.files {
        let path = folder.join(&file.name);
        match folder::digest(&path) {
            Ok((bytes, digest)) if (bytes, &digest) == (file.bytes, &file.sha256) => report.files += 1,
            Ok((bytes, _)) if bytes != file.bytes => {
                let what = format!("it has {bytes} bytes, and the manifest says {}", file.bytes);
                report.invalid("T1", Place::file(path), what);
            }
            Ok(_) => report.invalid("T1", Place::file(path), "its digest is not the one in the manifest"),
            Err(error) => unread(report, &path, &error),
        }
    }
    let named: BTreeSet<&str> = manifest.files.iter().map(|file| file.name.as_str()).chain([MANIFEST, SUM]).collect();
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let others = entries.filter(|entry| entry.file_name().to_str().is_none_or(|name| !named.contains(name)));
    for other in others.take(10) {
        let what = "it is no part of the export, and nothing vouches for it";
        report.find(Severity::Note, "T24", Place::file(other.path()), what);
    }
}

/// The checkpoint is signed, and is the one that the manifest describes. Its root, if it is.
fn signature(
    folder: &Path,
    manifest: &Manifest,
    outside: &Outside,
    report: &mut Report,
) -> Result<Option<Hash>, VerifyError> {
    let place = || Place::file(folder.join(MANIFEST));
    let evidence = &manifest.evidence;
    report.asked = evidence.asked.clone();
    report.complete = manifest.complete;
    let Some(named) = &evidence.checkpoint else { return Ok(None) };
    let keys: Vec<VerifierKey> = match &outside.policy {
        Some(policy) => policy.logs().iter().map(|log| log.key.clone()).collect(),
        None => evidence.log_key.parse().into_iter().collect(),
    };
    let signed = match SignedCheckpoint::open(named.note.as_bytes(), &keys) {
        Ok(signed) => signed,
        Err(error) => {
            report.invalid("T16", place(), format!("its checkpoint is not signed by the log's key: {error}"));
            return Ok(None);
        }
    };
    let checkpoint = signed.checkpoint();
    (report.origin, report.size) = (checkpoint.origin().to_owned(), checkpoint.size());
    report.root = checkpoint.root().to_string();
    let is_named = checkpoint.origin() == evidence.origin
        && checkpoint.size() == named.size
        && checkpoint.root().to_string() == named.root;
    if !is_named {
        report.invalid("T15", place(), "its checkpoint is another than the one that it describes");
        return Ok(None);
    }
    if let Some(policy) = &outside.policy {
        match policy.require(named.note.as_bytes()) {
            Ok(evaluation) => {
                let cosigned = evaluation.cosigned.len();
                let anchor = format!("the policy's log key signed the checkpoint, and {cosigned} of its witnesses");
                report.anchors.push(anchor);
            }
            Err(refusal) => report.invalid("T15", place(), refusal.to_string()),
        }
    }
    for (name, bytes) in &outside.pins {
        pin(name, bytes, &keys, &signed, report)?;
    }
    Ok(Some(checkpoint.root()))
}

fn pin(
    name: &str,
    bytes: &[u8],
    keys: &[VerifierKey],
    signed: &SignedCheckpoint,
    report: &mut Report,
) -> Result<(), VerifyError> {
    let pinned = match SignedCheckpoint::open(bytes, keys) {
        Ok(pinned) => pinned,
        Err(error @ (OpenError::Note(_) | OpenError::Checkpoint(_))) => {
            return Err(VerifyError::Pin { name: name.to_owned(), cause: error.to_string() });
        }
        Err(error) => {
            let what = format!("the pinned checkpoint {name} was not signed by this log's key: {error}");
            report.invalid("T15", Place::default(), what);
            return Ok(());
        }
    };
    let (pinned, here) = (pinned.checkpoint(), signed.checkpoint());
    if pinned.origin() != here.origin() {
        let what = format!("the pinned checkpoint {name} is of another log, {}", pinned.origin());
        report.invalid("T15", Place::default(), what);
    } else if pinned.size() != here.size() {
        let cause = format!(
            "it is of {} records, and the export is under one of {}; pin one of that size, or bring the log's key \
             (--policy)",
            pinned.size(),
            here.size()
        );
        return Err(VerifyError::Pin { name: format!("{name}, for this export,"), cause });
    } else if pinned.root() != here.root() {
        let what = format!("the pinned checkpoint {name} has another root: this is not the history that you kept");
        report.invalid("T5", Place::default(), what);
    } else if here.size() > 0 {
        report.anchors.push(format!("the pinned checkpoint {name} is the export's"));
    }
    Ok(())
}
