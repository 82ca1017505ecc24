//! What a check of an export comes to.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use trail::{Finding, Severity, Verdict};

use crate::manifest::Manifest;

/// Findings that are listed at most; a check that finds so many looks no further.
const FINDINGS_MAX: usize = 100;

/// What was checked, what it came to, and what was not checked.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What it came to (I13).
    pub verdict: Verdict,
    /// The log.
    pub origin: String,
    /// Records under the export's checkpoint.
    pub size: u64,
    /// The root that it signs, hexadecimal.
    pub root: String,
    /// The query.
    pub asked: String,
    /// Whether no record can be missing.
    pub complete: bool,
    /// Files that were digested.
    pub files: u64,
    /// Records that were hashed up to the root.
    pub records: u64,
    /// Rows that were held against their records.
    pub rows: u64,
    /// Of the rows, those whose records lost something.
    pub erased: u64,
    /// SHA-256 of the manifest, hexadecimal.
    pub manifest_sha256: String,
    /// Whether that is the digest that the verifier was told.
    pub told: bool,
    /// What the verifier brought, and that it agrees.
    pub anchors: Vec<String>,
    /// That the trail was asked again, and what came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub again: Option<String>,
    /// What was found, in the order of finding.
    pub findings: Vec<Finding>,
    /// What was not checked.
    pub not_checked: Vec<String>,
    /// How long it took.
    #[serde(serialize_with = "seconds")]
    pub elapsed: Duration,
    /// The manifest, if it could be read.
    #[serde(skip)]
    pub manifest: Option<Manifest>,
}

fn seconds<S: serde::Serializer>(elapsed: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((elapsed.as_secs_f64() * 1000.0).round() / 1000.0)
}

/// Where something was found.
#[derive(Default)]
pub(crate) struct Place {
    pub file: Option<PathBuf>,
    pub index: Option<u64>,
    pub row: Option<u64>,
}

impl Place {
    pub(crate) fn file(path: PathBuf) -> Place {
        Place { file: Some(path), ..Place::default() }
    }
}

impl Report {
    pub(crate) fn new() -> Report {
        Report {
            verdict: Verdict::Invalid,
            origin: String::new(),
            size: 0,
            root: String::new(),
            asked: String::new(),
            complete: false,
            files: 0,
            records: 0,
            rows: 0,
            erased: 0,
            manifest_sha256: String::new(),
            told: false,
            anchors: Vec::new(),
            again: None,
            findings: Vec::new(),
            not_checked: Vec::new(),
            elapsed: Duration::ZERO,
            manifest: None,
        }
    }

    pub(crate) fn find(&mut self, severity: Severity, check: &'static str, place: Place, what: impl Into<String>) {
        if self.findings.len() < FINDINGS_MAX {
            let Place { file, index, row } = place;
            self.findings.push(Finding { severity, check, index, file, row, what: what.into() });
        }
    }

    pub(crate) fn invalid(&mut self, check: &'static str, place: Place, what: impl Into<String>) {
        self.find(Severity::Invalid, check, place, what);
    }

    /// The verdict, from what was found and what was brought.
    pub(crate) fn decide(&mut self) {
        self.verdict = match self.findings.iter().map(|finding| finding.severity).max() {
            Some(Severity::Invalid) => Verdict::Invalid,
            Some(Severity::Incomplete) => Verdict::Incomplete,
            _ if self.anchors.is_empty() => Verdict::Consistent,
            _ => Verdict::Valid,
        };
        self.not_checked = not_checked(self);
    }
}

fn not_checked(report: &Report) -> Vec<String> {
    let mut list = Vec::new();
    let mut add = |what: &str| list.push(what.to_owned());
    if report.anchors.is_empty() {
        add(
            "the log's key: it is the one that the export names, and whoever makes up an export can make up a key; bring \
             your own (--policy), or a checkpoint that you kept (--pin)",
        );
    }
    if report.again.is_none() {
        if !report.complete {
            add(
                "whether every record that matches is here, and each that is here matches: that takes the trail (--trail)",
            );
        }
        if !report.told {
            add(
                "what the header says beside checkpoint, query and rows: when, how long, by which version, what was erased \
             elsewhere; hold the manifest's digest against the one you were told (--digest)",
            );
        }
    }
    if report.erased > 0 {
        add("whether what is gone was erased rightly: verify on the trail looks for the records that declare it");
    }
    add("whether a producer recorded what really happened, and everything that did");
    list
}
