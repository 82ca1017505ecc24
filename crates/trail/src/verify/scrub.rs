//! Scrubbing: the full check of a trail, slowly, in steps that survive a restart, by the trail's own running writer.
//!
//! A cycle hashes the tree, then every file of the lake, then looks at journal and stamps for records that are missing
//! or there twice. What it has done stands in `scrub.json`, so a writer that starts again goes on with the next file. A
//! file never changes, so one that compaction put in the place of others is simply one more to check; what settles
//! while a cycle runs has just been read back, and is left to the next one.
//!
//! What it says is the writer's own word, for whoever runs the trail: a disk that loses bits is found while a copy
//! still has them. It is no evidence: whoever can change the trail can change `scrub.json`. [`super::verify`] is.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use host::{FileError, Host};
use serde::{Deserialize, Serialize};

use super::report::verdict;
use super::{Against, Check, Finding, Progress, Severity, Verdict, VerifyError};
use crate::coverage::Coverage;
use crate::folder::Folder;
use crate::settings::{Settings, absolute};

/// The version of `scrub.json`.
const FORMAT: u32 = 1;
/// Findings that are kept; the rest are counted.
const FINDINGS_MAX: usize = 20;

/// The file `scrub.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScrubState {
    format: u32,
    /// What the last whole cycle came to.
    pub last: Option<ScrubResult>,
    /// The cycle that is under way.
    cycle: Option<Cycle>,
}

/// What a cycle came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScrubResult {
    /// CONSISTENT, INVALID or INCOMPLETE; never VALID, since nothing from outside was held against it.
    pub verdict: Verdict,
    /// When the cycle began, nanoseconds since the Unix epoch.
    pub started_ns: i64,
    /// When it ended.
    pub finished_ns: i64,
    /// Records that were hashed again.
    pub records: u64,
    /// Files of the lake they were in.
    pub files: u64,
    /// The first things that were found, in words.
    pub findings: Vec<String>,
    /// How many more there are.
    pub findings_left_off: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cycle {
    started_ns: i64,
    /// Files that begin at or behind this record were settled since, and are left to the next cycle.
    watermark: u64,
    /// Whether the entries make the signed root, once they have been hashed.
    roots_agree: Option<bool>,
    /// Paths of files that were checked.
    checked: BTreeSet<String>,
    records: u64,
    files: u64,
    worst: Option<Verdict>,
    findings: Vec<String>,
    findings_left_off: u64,
}

/// Why a scrub could not go on. It is tried again later.
#[derive(Debug, thiserror::Error)]
pub enum ScrubError {
    /// The trail could not be checked at all.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The lake's table could not be read.
    #[error(transparent)]
    Lake(#[from] lake::TableError),
    /// `scrub.json` could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// `scrub.json` could not be put into words.
    #[error("cannot write scrub.json: {0}")]
    Json(String),
}

impl ScrubState {
    /// What stands in a trail's folder; nothing where no writer has scrubbed, or what stands there is not one of these.
    pub fn read(host: &Host, folder: &Folder) -> Result<ScrubState, FileError> {
        let bytes = host.read_if_there(folder.scrub(), "scrub")?;
        let state: Option<ScrubState> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(state.filter(|state| state.format == FORMAT).unwrap_or_default())
    }

    /// When the cycle that is under way began, and how many files it has checked.
    pub fn under_way(&self) -> Option<(i64, u64)> {
        self.cycle.as_ref().map(|cycle| (cycle.started_ns, cycle.files))
    }

    fn write(&self, host: &Host, folder: &Folder) -> Result<(), ScrubError> {
        let json = serde_json::to_vec(self).map_err(|error| ScrubError::Json(error.to_string()))?;
        Ok(host.replace(folder.scrub(), &json, "scrub", None)?)
    }
}

/// Scrubs one trail.
pub(crate) struct Scrub<'a> {
    pub(crate) host: &'a Host,
    pub(crate) folder: &'a Folder,
    /// Told of all that is hashed; waits as long as it likes, and says when to end.
    pub(crate) pace: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
}

/// What one step of a cycle did.
enum Step {
    Went(Progress),
    /// Someone asked to end. The step is done again another time.
    Stopped,
    Finished,
}

impl Scrub<'_> {
    /// Goes on with the cycle that is under way, or begins one, until it is done or `pace` says to end. `hold` gives
    /// something that keeps the lake's files in place for as long as it lives.
    pub(crate) fn cycle<T>(&mut self, hold: &dyn Fn() -> T) -> Result<Option<ScrubResult>, ScrubError> {
        let mut state = ScrubState::read(self.host, self.folder)?;
        state.format = FORMAT;
        let mut cycle = match &state.cycle {
            Some(cycle) => cycle.clone(),
            None => self.begin()?,
        };
        state.cycle = Some(cycle.clone());
        state.write(self.host, self.folder)?;
        loop {
            let held = hold();
            let step = self.step(&mut cycle)?;
            drop(held);
            match step {
                Step::Stopped => return Ok(None),
                Step::Went(progress) => {
                    state.cycle = Some(cycle.clone());
                    state.write(self.host, self.folder)?;
                    if (self.pace)(progress).is_break() {
                        return Ok(None);
                    }
                }
                Step::Finished => {
                    let done = cycle.result(self.host.now_ns());
                    state = ScrubState { format: FORMAT, last: Some(done.clone()), cycle: None };
                    state.write(self.host, self.folder)?;
                    return Ok(Some(done));
                }
            }
        }
    }

    fn begin(&self) -> Result<Cycle, ScrubError> {
        Ok(Cycle {
            started_ns: self.host.now_ns(),
            watermark: open_lake(self.host, self.folder)?.watermark(),
            roots_agree: None,
            checked: BTreeSet::new(),
            records: 0,
            files: 0,
            worst: None,
            findings: Vec::new(),
            findings_left_off: 0,
        })
    }

    /// The tree; or one file; or, when all are checked, what is left.
    fn step(&mut self, cycle: &mut Cycle) -> Result<Step, ScrubError> {
        let settings = Settings::read(self.host, self.folder).map_err(VerifyError::from)?;
        let mut check = Check::new(self.host, self.folder, &settings, self.pace).map_err(VerifyError::from)?;
        check.signatures(&settings, &Against::default())?;
        let Some(agrees) = cycle.roots_agree else {
            let agrees = check.tree(&[]);
            return Ok(cycle.take(check, agrees, |cycle| cycle.roots_agree = Some(agrees)));
        };
        // The journal is read before the lake: a record that is in neither is missing.
        let journal = check.read_journal();
        let lake = open_lake(self.host, self.folder)?.with_keys(check.encryption.clone());
        let due = |file: &&lake::Manifest| file.first_index < cycle.watermark && !cycle.checked.contains(&file.path);
        if let Some(file) = lake.files().iter().find(due) {
            check.lake_file(&lake, file, &mut Coverage::new(check.report.size));
            let path = file.path.clone();
            return Ok(cycle.take(check, agrees, |cycle| {
                let live: BTreeSet<&String> = lake.files().iter().map(|file| &file.path).collect();
                cycle.checked.retain(|path| live.contains(path));
                cycle.checked.insert(path);
            }));
        }
        let mut coverage = Coverage::new(check.report.size);
        check.journal(journal, lake.watermark(), &mut coverage);
        check.stamps(&lake, &mut coverage);
        check.watermark(&lake);
        check.lake_log(&lake);
        check.coverage(&coverage, &lake);
        Ok(match cycle.take(check, agrees, |_| ()) {
            Step::Went(_) => Step::Finished,
            step => step,
        })
    }
}

fn open_lake(host: &Host, folder: &Folder) -> Result<lake::Snapshot, ScrubError> {
    Ok(lake::Snapshot::open(host.clone(), absolute(&folder.lake())?)?)
}

impl Cycle {
    /// Takes over what a step found, unless it was ended before it knew.
    fn take(&mut self, mut check: Check<'_>, roots_agree: bool, done: impl FnOnce(&mut Cycle)) -> Step {
        if check.pace.stopped() {
            return Step::Stopped;
        }
        let progress = check.pace.done();
        check.wrong_records(roots_agree);
        check.keep_worst();
        let report = check.report;
        if report.findings.iter().any(|finding| finding.severity > Severity::Note) {
            let found = verdict(&report);
            // A change weighs more than a loss.
            self.worst = if self.worst == Some(Verdict::Invalid) { self.worst } else { Some(found) };
        }
        let room = FINDINGS_MAX.saturating_sub(self.findings.len());
        self.findings.extend(report.findings.iter().take(room).map(in_words));
        self.findings_left_off += report.findings.len().saturating_sub(room) as u64 + report.findings_left_off;
        self.records += report.lake_records + report.journal_records;
        self.files += report.lake_files;
        done(self);
        Step::Went(progress)
    }

    fn result(self, finished_ns: i64) -> ScrubResult {
        ScrubResult {
            verdict: self.worst.unwrap_or(Verdict::Consistent),
            started_ns: self.started_ns,
            finished_ns,
            records: self.records,
            files: self.files,
            findings: self.findings,
            findings_left_off: self.findings_left_off,
        }
    }
}

fn in_words(finding: &Finding) -> String {
    let index = finding.index.map(|index| format!("record {index}"));
    let row = finding.row.map(|row| format!("row {row}"));
    let file = finding.file.as_ref().map(|file| file.display().to_string());
    let place: Vec<String> = [index, row, file].into_iter().flatten().collect();
    format!("{} {}: {}", finding.check, place.join(", "), finding.what)
}

impl Check<'_> {
    /// The places of all records of a lake whose files have been checked before.
    fn stamps(&mut self, lake: &lake::Snapshot, coverage: &mut Coverage) {
        for file in lake.files() {
            let path = lake.path(file);
            let stamps = match lake.stamps(file) {
                Ok(stamps) => stamps,
                Err(error) => {
                    coverage.unreadable(file.first_index, file.last_index);
                    let severity = if error.is_not_found() { Severity::Incomplete } else { Severity::Invalid };
                    let finding = self.find(severity, "T1", error.to_string());
                    (finding.index, finding.file) = (Some(file.first_index), Some(path));
                    continue;
                }
            };
            for (index, received) in stamps {
                if let Some((index, what)) = coverage.add(index, received) {
                    let finding = self.invalid("I2", what);
                    (finding.index, finding.file) = (Some(index), Some(path.clone()));
                }
            }
        }
    }
}
