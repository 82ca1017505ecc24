//! Asking the trail again: whether it is the one that the export is of, and whether the same query over the same records
//! gives the same rows. Only this shows that a filtered export leaves nothing out.

use std::io::BufReader;
use std::path::Path;

use chrono::DateTime;
use query::View;
use tlog::Prover;
use trail::Severity;

use crate::error::{ExportError, VerifyError};
use crate::folder;
use crate::framed;
use crate::manifest::{Manifest, RECORDS};
use crate::report::{Place, Report};
use crate::write::matched;

/// Records that are named, of those that differ.
const NAMED_MAX: usize = 10;

/// Asks a trail what the export in `folder` answers, and adds to its report what comes of it.
pub fn again(folder: &Path, view: &View, report: &mut Report) -> Result<(), VerifyError> {
    let Some(manifest) = report.manifest.clone() else { return Ok(()) };
    if is_its_trail(&manifest, view, report) {
        compare(folder, &manifest, view, report)?;
    }
    report.decide();
    Ok(())
}

/// The trail's first records are those of the export's checkpoint.
fn is_its_trail(manifest: &Manifest, view: &View, report: &mut Report) -> bool {
    let snapshot = view.snapshot();
    let Some(named) = &manifest.evidence.checkpoint else { return false };
    let (origin, sealed) = (&snapshot.settings().origin, snapshot.sealed());
    let what = if *origin != manifest.evidence.origin {
        format!("the trail is of another log, {origin}")
    } else if sealed < named.size {
        format!("the trail has {sealed} sealed records, and the export is under a checkpoint of {}", named.size)
    } else {
        match Prover::new(snapshot.entries(), named.size).root() {
            Ok(root) if root.to_string() == named.root => return true,
            Ok(_) => format!("the trail's first {} records are not those of the export's checkpoint", named.size),
            Err(error) => format!("the trail's entries cannot be read: {error}"),
        }
    };
    report.invalid("T2", Place::default(), what);
    false
}

fn compare(folder: &Path, manifest: &Manifest, view: &View, report: &mut Report) -> Result<(), VerifyError> {
    let size = manifest.evidence.covers.until;
    let Some(search) = manifest.filter.search(size) else { return Ok(()) };
    let started = DateTime::parse_from_rfc3339(&manifest.evidence.started).ok();
    let Some(started_ns) = started.and_then(|time| time.timestamp_nanos_opt()) else {
        report.invalid("T24", Place::default(), "its header does not say when it was asked");
        return Ok(());
    };
    let expected = match matched(&view.clone().at(started_ns), &search) {
        Ok(expected) => expected,
        Err(ExportError::Query(error)) => return Err(error.into()),
        Err(error) => {
            report.invalid("T24", Place::default(), error.to_string());
            return Ok(());
        }
    };
    let Some(exported) = exported(folder, manifest) else { return Ok(()) };
    let missing: Vec<u64> = expected.iter().copied().filter(|index| exported.binary_search(index).is_err()).collect();
    let beyond: Vec<u64> = exported.iter().copied().filter(|index| expected.binary_search(index).is_err()).collect();
    let place = |index: &u64| Place { index: Some(*index), ..Place::default() };
    for index in missing.iter().take(NAMED_MAX) {
        report.invalid("T26", place(index), "the record matches, and is not in the export");
    }
    for index in beyond.iter().take(NAMED_MAX) {
        // What was erased since then can match no more.
        let found = view.snapshot().get(*index).ok().flatten();
        if found.is_some_and(|found| found.stored.erased().next().is_some()) {
            let what = "the record has lost parts since, so whether it matched cannot be said";
            report.find(Severity::Note, "T20", place(index), what);
        } else {
            report.invalid("T26", place(index), "the record is in the export, and does not match");
        }
    }
    let same = if missing.is_empty() && beyond.is_empty() { "the same" } else { "other" };
    report.again = Some(format!("the trail, asked again as of its first {size} records, has {same} records"));
    Ok(())
}

/// The indices of the export's rows, in order; nothing if they cannot be read, which has been found.
fn exported(folder: &Path, manifest: &Manifest) -> Option<Vec<u64>> {
    let mut records = BufReader::new(folder::open(&folder.join(RECORDS)).ok()?);
    let kind = manifest.kind();
    let mut indices = Vec::new();
    while let Some(record) = framed::read(&mut records).ok()? {
        if kind.is_none_or(|kind| kind == record.stamp.kind) {
            indices.push(record.index);
        }
    }
    indices.is_sorted().then_some(indices)
}
