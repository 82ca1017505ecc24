//! What a check says in the end.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Against;

/// What a check came to (I13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// Everything agrees, and with what the verifier brought.
    Valid,
    /// Everything here agrees; nothing from outside was brought to hold it against.
    Consistent,
    /// Something is not what was sealed.
    Invalid,
    /// Something that was sealed is not here; all that is here agrees.
    Incomplete,
}

impl Verdict {
    /// Whether the exit code is 0.
    pub fn is_good(self) -> bool {
        matches!(self, Verdict::Valid | Verdict::Consistent)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Valid => "VALID",
            Verdict::Consistent => "CONSISTENT",
            Verdict::Invalid => "INVALID",
            Verdict::Incomplete => "INCOMPLETE",
        })
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Something is missing.
    Incomplete,
    /// Something is not what was sealed.
    Invalid,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The invariant or threat whose check found it.
    pub check: &'static str,
    /// The first record that it touches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// The file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The row in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// What.
    pub what: String,
}

/// What was checked, what it came to, and what was not checked.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What it came to.
    pub verdict: Verdict,
    /// The log.
    pub origin: String,
    /// How the trail is encrypted at rest: `none`, or as [`crate::ENCRYPTED`].
    pub encryption: String,
    /// Records under the signed checkpoint.
    pub size: u64,
    /// Root of the signed checkpoint, hexadecimal.
    pub root: String,
    /// Records whose content was hashed again: in the lake.
    pub lake_records: u64,
    /// Files of the lake whose every byte was hashed.
    pub lake_files: u64,
    /// Records whose content was hashed again: in the journal.
    pub journal_records: u64,
    /// Of the records checked, those that are not under the checkpoint yet.
    pub unsealed: u64,
    /// Records erased in whole or in part, by declared tombstones.
    pub erased: u64,
    /// Hash tiles compared.
    pub tiles: u64,
    /// What the verifier brought, and that it agrees.
    pub anchors: Vec<String>,
    /// Whether a witness of the verifier's policy cosigned the checkpoint.
    pub cosigned: bool,
    /// What was found; the worst and lowest first.
    pub findings: Vec<Finding>,
    /// How many more findings there are.
    pub findings_left_off: u64,
    /// What was not checked.
    pub not_checked: Vec<String>,
    /// How long it took.
    #[serde(serialize_with = "seconds")]
    pub elapsed: Duration,
}

fn seconds<S: serde::Serializer>(elapsed: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((elapsed.as_secs_f64() * 1000.0).round() / 1000.0)
}

pub(super) fn verdict(report: &Report) -> Verdict {
    match report.findings.iter().map(|finding| finding.severity).max() {
        Some(Severity::Invalid) => Verdict::Invalid,
        Some(Severity::Incomplete) => Verdict::Incomplete,
        _ if report.anchors.is_empty() => Verdict::Consistent,
        _ => Verdict::Valid,
    }
}

pub(super) fn not_checked(against: &Against, report: &Report) -> Vec<String> {
    let mut list = Vec::new();
    if report.anchors.is_empty() {
        list.push(
            "anchoring: nothing from outside was held against it (--pin, --policy), so a rewritten trail with a new \
             signature would look the same"
                .to_owned(),
        );
    } else if against.policy.is_none() {
        list.push("the log's key: it is the one the trail names; --policy brings your own".to_owned());
    } else if against.pins.is_empty() && !report.cosigned {
        list.push(
            "whether the end was cut off: that takes a checkpoint that you kept (--pin), or witnesses in the policy"
                .to_owned(),
        );
    }
    if report.unsealed > 0 {
        list.push(format!(
            "{} records newer than the checkpoint: hashed, but not under a signature yet",
            report.unsealed
        ));
    }
    if report.erased > 0 {
        list.push("the approvals of erasures".to_owned());
    }
    list.push("whether a producer recorded what really happened, and everything that did".to_owned());
    list
}
