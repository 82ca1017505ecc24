//! The full check of a trail: payload → digest → entry → tile → root → signature (I1-I7, T1-T4, T16, T26).
//!
//! Everything is recomputed from the bytes on disk. What a trail says of itself makes it CONSISTENT at best; VALID takes
//! a checkpoint or a policy that the verifier brings (I13, T15).

mod blame;
mod journal;
mod lake;
mod pace;
mod records;
mod report;
mod scrub;
mod signatures;
mod tombstones;
mod tree;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use host::Host;
use keys::Keyring;
use tlog::{VerifierKey, WitnessPolicy};

use crate::entries::{Entries, FILE_ENTRIES};
use crate::folder::Folder;
use crate::keyring::KeysError;
use crate::settings::{Settings, SettingsError};

use blame::Wrong;
use pace::Pace;
pub use report::{Finding, Report, Severity, Verdict};
pub(crate) use scrub::Scrub;
pub use scrub::{ScrubError, ScrubResult, ScrubState};
use tombstones::Tombstones;

/// Findings that are listed at most; the rest are counted.
const FINDINGS_MAX: usize = 100;
/// Entries hashed at a time: 2 MiB.
const CHUNK: u64 = FILE_ENTRIES;
/// What the verifier knows from elsewhere.
#[derive(Debug, Default)]
pub struct Against {
    /// Checkpoints that were kept outside of the trail: signed notes, each with a name for messages.
    pub pins: Vec<(String, Vec<u8>)>,
    /// The verifier's own policy: keys of the log and its witnesses.
    pub policy: Option<WitnessPolicy>,
}

/// How far a check has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Entries and records hashed.
    pub done: u64,
    /// Of how many.
    pub total: u64,
}

/// Why a check could not be made at all.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is no trail that this software reads.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// It is encrypted, and its keys are not here.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A pinned checkpoint is not one.
    #[error("{name} is not a checkpoint: {cause}")]
    Pin {
        /// Its name.
        name: String,
        /// Why.
        cause: String,
    },
    /// The disk refused.
    #[error(transparent)]
    File(#[from] host::FileError),
}

/// Checks a trail. Reads everything, changes nothing, takes no lock; memory does not grow with the trail. `progress` is
/// called now and then.
pub fn verify(
    host: &Host,
    folder: &Folder,
    against: &Against,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, VerifyError> {
    let started = host.monotonic();
    let settings = Settings::read(host, folder)?;
    let mut pace = |now| {
        progress(now);
        ControlFlow::Continue(())
    };
    let mut check = Check::new(host, folder, &settings, &mut pace)?;
    let pins = check.signatures(&settings, against)?;
    let roots_agree = check.tree(&pins);
    check.records();
    if let Some(entries) = check.unsigned {
        check.entries_unsigned(entries);
    }
    check.wrong_records(roots_agree);
    check.keep_worst();
    let mut report = check.report;
    report.not_checked.extend(report::not_checked(against, &report));
    report.verdict = report::verdict(&report);
    report.elapsed = host.monotonic().saturating_sub(started);
    Ok(report)
}

struct Check<'a> {
    host: &'a Host,
    folder: &'a Folder,
    entries: Entries,
    report: Report,
    /// Records whose digest is not the entry at their index.
    wrong: BTreeMap<u64, Wrong>,
    /// How many entries there were, where there was no checkpoint.
    unsigned: Option<u64>,
    /// The keys that may sign.
    keys: Vec<VerifierKey>,
    /// The largest pinned size up to which the entries are those of the pin.
    agreed: u64,
    tombstones: Tombstones,
    /// For what of the trail is encrypted.
    encryption: Option<Keyring>,
    pace: Pace<'a>,
}

impl<'a> Check<'a> {
    fn new(
        host: &'a Host,
        folder: &'a Folder,
        settings: &Settings,
        progress: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Check<'a>, KeysError> {
        Ok(Check {
            host,
            folder,
            entries: Entries::new(host, folder),
            report: Report {
                verdict: Verdict::Invalid,
                origin: settings.origin.clone(),
                encryption: settings.encryption.clone(),
                size: 0,
                root: String::new(),
                lake_records: 0,
                lake_files: 0,
                journal_records: 0,
                unsealed: 0,
                erased: 0,
                tiles: 0,
                anchors: Vec::new(),
                cosigned: false,
                findings: Vec::new(),
                findings_left_off: 0,
                not_checked: Vec::new(),
                elapsed: Duration::ZERO,
            },
            wrong: BTreeMap::new(),
            unsigned: None,
            keys: Vec::new(),
            agreed: 0,
            tombstones: Tombstones::default(),
            encryption: folder.keyring(host, settings)?,
            pace: Pace::new(progress),
        })
    }
}

impl Check<'_> {
    fn find(&mut self, severity: Severity, check: &'static str, what: impl Into<String>) -> &mut Finding {
        if self.report.findings.len() >= 2 * FINDINGS_MAX {
            self.keep_worst();
        }
        let finding = Finding { severity, check, index: None, file: None, row: None, what: what.into() };
        self.report.findings.push(finding);
        let last = self.report.findings.len() - 1;
        &mut self.report.findings[last]
    }

    /// Sorts the findings, the worst and lowest first, and keeps as many as are listed: what decides the verdict is
    /// never left off. What names no record comes behind what does.
    fn keep_worst(&mut self) {
        let report = &mut self.report;
        report.findings.sort_by_key(|finding| (Reverse(finding.severity), finding.index.is_none(), finding.index));
        let over = report.findings.len().saturating_sub(FINDINGS_MAX);
        report.findings.truncate(FINDINGS_MAX);
        report.findings_left_off += over as u64;
    }

    fn invalid(&mut self, check: &'static str, what: impl Into<String>) -> &mut Finding {
        self.find(Severity::Invalid, check, what)
    }
}
