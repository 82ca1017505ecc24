//! The full check of a trail: payload → digest → entry → tile → root → signature (I1-I7, T1-T4, T16, T26).
//!
//! Everything is recomputed from the bytes on disk. What a trail says of itself makes it CONSISTENT at best; VALID takes
//! a checkpoint or a policy that the verifier brings (I13, T15).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::Host;
use record::{Body, Digest, Stored};
use serde::Serialize;
use tlog::checkpoint::OpenError;
use tlog::{Hash, SignedCheckpoint, Tile, TileEdge, VerifierKey, WitnessPolicy, leaf_hash};

use crate::coverage::Coverage;
use crate::entries::{Entries, EntriesError, FILE_ENTRIES};
use crate::folder::Folder;
use crate::settings::{Settings, SettingsError, absolute};

/// Findings that are listed at most; the rest are counted.
const FINDINGS_MAX: usize = 100;
/// Entries hashed at a time: 2 MiB.
const CHUNK: u64 = FILE_ENTRIES;
/// Records whose place is remembered when they are not the ones that were sealed; the rest are counted.
const WRONG_MAX: usize = 65_536;
/// Of records that differ from their entries, at most this many are tried one by one for which of the two was changed.
const SUSPECTS_MAX: usize = 10;
/// Leaves hashed at most to find that out.
const SUSPECT_HASHES_MAX: u64 = 1 << 26;
/// How often the journal is looked at again when the writer released what was being read.
const TRIES: usize = 20;

/// What the verifier knows from elsewhere.
#[derive(Debug, Default)]
pub struct Against {
    /// Checkpoints that were kept outside of the trail: signed notes, each with a name for messages.
    pub pins: Vec<(String, Vec<u8>)>,
    /// The verifier's own policy: keys of the log and its witnesses.
    pub policy: Option<WitnessPolicy>,
}

/// What a check came to (I13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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

/// Checks a trail. Reads everything, changes nothing, takes no lock; memory does not grow with the trail but for a bit
/// a record. `progress` is called now and then.
pub fn verify(
    host: &Host,
    folder: &Folder,
    against: &Against,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, VerifyError> {
    let started = host.monotonic();
    let settings = Settings::read(host, folder)?;
    let mut check = Check {
        host,
        folder,
        entries: Entries::new(host, folder),
        report: Report {
            verdict: Verdict::Invalid,
            origin: settings.origin.clone(),
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
        progress,
        done: 0,
    };
    let pins = check.signatures(&settings, against)?;
    let roots_agree = check.tree(&pins);
    check.records();
    if let Some(entries) = check.unsigned {
        check.entries_unsigned(entries);
    }
    check.wrong_records(roots_agree);
    check.keep_worst();
    let mut report = check.report;
    report.not_checked.extend(not_checked(against, &report));
    report.verdict = verdict(&report);
    report.elapsed = host.monotonic().saturating_sub(started);
    Ok(report)
}

fn verdict(report: &Report) -> Verdict {
    match report.findings.iter().map(|finding| finding.severity).max() {
        Some(Severity::Invalid) => Verdict::Invalid,
        Some(Severity::Incomplete) => Verdict::Incomplete,
        _ if report.anchors.is_empty() => Verdict::Consistent,
        _ => Verdict::Valid,
    }
}

fn not_checked(against: &Against, report: &Report) -> Vec<String> {
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

/// A pinned checkpoint whose signature held.
struct Pin {
    name: String,
    size: u64,
    root: Hash,
}

/// A record whose digest is not the entry at its index. One of the two was changed; which, the root decides.
struct Wrong {
    /// What the record's content hashes to.
    found: Digest,
    file: PathBuf,
    row: Option<u64>,
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
    progress: &'a mut dyn FnMut(Progress),
    done: u64,
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

    fn advance(&mut self, by: u64) {
        self.done = self.done.saturating_add(by);
        // Entries and records are each gone through once.
        let total = self.report.size.saturating_mul(2).max(self.done);
        (self.progress)(Progress { done: self.done, total });
    }

    // ---- signatures ------------------------------------------------------------------------------------------------

    /// Checks the checkpoint's signature, and the pins'. Returns the pins whose signatures hold.
    fn signatures(&mut self, settings: &Settings, against: &Against) -> Result<Vec<Pin>, VerifyError> {
        self.keys = self.keys(settings, against);
        let keys = self.keys.clone();
        let bytes = self.host.read_if_there(self.folder.checkpoint(), "checkpoint")?;
        match bytes {
            Some(bytes) => self.checkpoint(&bytes, &keys, against),
            // Counted now: whatever a writer adds meanwhile is in the journal, which is read later.
            None => self.no_checkpoint(against),
        }
        let mut pins = Vec::new();
        for (name, bytes) in &against.pins {
            pins.extend(self.pin(name, bytes, &keys)?);
        }
        Ok(pins)
    }

    /// The keys that may sign: the verifier's own, if there is a policy; else the one that the trail names.
    fn keys(&self, settings: &Settings, against: &Against) -> Vec<VerifierKey> {
        match &against.policy {
            Some(policy) => policy.logs().iter().map(|log| log.key.clone()).collect(),
            None => settings.verifier_key().into_iter().collect(),
        }
    }

    fn no_checkpoint(&mut self, against: &Against) {
        self.unsigned = Some(self.entries.len().unwrap_or(u64::MAX));
        if against.policy.is_some() {
            let file = self.folder.checkpoint();
            self.invalid("T16", "there is no checkpoint that the policy's log could have signed").file = Some(file);
        }
    }

    /// Nothing is signed, and nothing may be settled. Entries may be there: a first seal that was interrupted leaves
    /// them. Those of records that are not here were signed once, and the checkpoint is gone.
    fn entries_unsigned(&mut self, entries: u64) {
        let records = self.report.journal_records.saturating_add(self.report.lake_records);
        if entries > records {
            let file = self.folder.checkpoint();
            let what = format!("there are entries of {entries} records, {records} records, and no signed checkpoint");
            self.invalid("T16", what).file = Some(file);
        }
    }

    fn checkpoint(&mut self, bytes: &[u8], keys: &[VerifierKey], against: &Against) {
        let file = self.folder.checkpoint();
        let signed = match SignedCheckpoint::open(bytes, keys) {
            Ok(signed) => signed,
            Err(error) => {
                self.invalid("T16", format!("the checkpoint is not signed by the log's key: {error}")).file =
                    Some(file);
                return;
            }
        };
        let checkpoint = signed.checkpoint();
        if against.policy.is_none() && checkpoint.origin() != self.report.origin {
            let what = format!("the checkpoint is of {}, not of {}", checkpoint.origin(), self.report.origin);
            self.invalid("T15", what).file = Some(file.clone());
        }
        self.report.origin = checkpoint.origin().to_owned();
        self.report.size = checkpoint.size();
        self.report.root = checkpoint.root().to_string();
        if let Some(policy) = &against.policy {
            match policy.require(bytes) {
                Ok(evaluation) => {
                    let cosigned = evaluation.cosigned.len();
                    let anchor = format!("the policy's log key signed it, and {cosigned} of its witnesses");
                    self.report.anchors.push(anchor);
                    self.report.cosigned = cosigned > 0;
                }
                Err(refusal) => self.invalid("T15", refusal.to_string()).file = Some(file),
            }
        }
    }

    fn pin(&mut self, name: &str, bytes: &[u8], keys: &[VerifierKey]) -> Result<Option<Pin>, VerifyError> {
        let signed = match SignedCheckpoint::open(bytes, keys) {
            Ok(signed) => signed,
            Err(error @ (OpenError::Note(_) | OpenError::Checkpoint(_))) => {
                return Err(VerifyError::Pin { name: name.to_owned(), cause: error.to_string() });
            }
            Err(error) => {
                self.invalid(
                    "T15",
                    format!("the pinned checkpoint {name} was not signed by this trail's key: {error}"),
                );
                return Ok(None);
            }
        };
        let pinned = signed.checkpoint();
        if pinned.origin() != self.report.origin {
            let what = format!("the pinned checkpoint {name} is of another log, {}", pinned.origin());
            self.invalid("T15", what);
            return Ok(None);
        }
        if pinned.size() > self.report.size {
            let (was, is) = (pinned.size(), self.report.size);
            let what = format!(
                "the tail was cut: the pinned checkpoint {name} covers {was} records, and this trail {is}; \
                 records {is} to {} are gone",
                was - 1
            );
            self.invalid("T3", what).index = Some(is);
            return Ok(None);
        }
        Ok(Some(Pin { name: name.to_owned(), size: pinned.size(), root: pinned.root() }))
    }

    // ---- the tree --------------------------------------------------------------------------------------------------

    /// Hashes all entries up to the root; compares tiles, pins and the checkpoint. Whether the entries make the
    /// checkpoint's root.
    fn tree(&mut self, pins: &[Pin]) -> bool {
        let size = self.report.size;
        let mut edge = TileEdge::new();
        let mut stops: Vec<u64> = pins.iter().map(|pin| pin.size).filter(|stop| *stop > 0).collect();
        stops.sort_unstable();
        self.compare_pins(pins, &edge);
        while edge.size() < size {
            let next = (edge.size() + CHUNK).min(size);
            let next = stops.iter().copied().find(|stop| *stop > edge.size()).map_or(next, |stop| next.min(stop));
            let digests = match self.entries.read(edge.size(), next) {
                Ok(digests) => digests,
                Err(error) => {
                    self.entries_fault(error);
                    return false;
                }
            };
            self.push(&mut edge, &digests);
            self.compare_pins(pins, &edge);
            self.advance(digests.len() as u64);
        }
        let root = edge.root().to_string();
        if size > 0 && root != self.report.root {
            let signed = &self.report.root;
            let what = format!("the entries hash to root {root}, and the checkpoint signed {signed}");
            self.invalid("I3", what);
            return false;
        }
        true
    }

    fn push(&mut self, edge: &mut TileEdge, digests: &[Digest]) {
        let mut full = Vec::new();
        for digest in digests {
            edge.push(leaf_hash(&digest.0), |tile, hashes| {
                if tile.level() > 0 {
                    full.push((tile, Tile::encode(hashes)));
                }
            });
        }
        for (tile, bytes) in full {
            self.compare_tile(tile, &bytes);
        }
    }

    fn compare_tile(&mut self, tile: Tile, bytes: &[u8]) {
        let path = self.entries.tile_path(tile);
        match self.entries.full_tile(tile) {
            Ok(Some(there)) if there == bytes => self.report.tiles += 1,
            Ok(Some(_)) => {
                let what = "the tile is not the one that its entries make";
                self.invalid("T1", what).file = Some(path);
            }
            Ok(None) => {
                let what = "the tile is missing; it can be made again from the entries";
                self.find(Severity::Incomplete, "I3", what).file = Some(path);
            }
            Err(error) => self.entries_fault(error),
        }
    }

    fn compare_pins(&mut self, pins: &[Pin], edge: &TileEdge) {
        for pin in pins.iter().filter(|pin| pin.size == edge.size()) {
            let (name, size) = (&pin.name, pin.size);
            if edge.root() == pin.root && size == 0 {
                // Every log begins with nothing, so this pins nothing.
            } else if edge.root() == pin.root {
                self.report.anchors.push(format!("the pinned checkpoint {name} of {size} records"));
                self.agreed = size;
            } else {
                let what = format!(
                    "the first {size} records are not those of the pinned checkpoint {name}: history was rewritten{}",
                    if self.agreed > 0 { format!(", behind record {}", self.agreed - 1) } else { String::new() }
                );
                self.invalid("T2", what);
            }
        }
    }

    fn entries_fault(&mut self, error: EntriesError) {
        let what = error.to_string();
        let file = match &error {
            EntriesError::Short { path, .. } | EntriesError::Tile { path } => path.as_path(),
            EntriesError::File(error) => error.path(),
        };
        // Every record that asks for an entry of this file would say it again.
        let is_same = |finding: &Finding| finding.file.as_deref() == Some(file) && finding.what == what;
        let is_short =
            |finding: &Finding| finding.file.as_deref() == Some(file) && finding.severity == Severity::Incomplete;
        let short = matches!(error, EntriesError::Short { .. });
        if self.report.findings.iter().any(|finding| is_same(finding) || (short && is_short(finding))) {
            return;
        }
        match error {
            EntriesError::Short { path, index } => {
                let finding = self.find(Severity::Incomplete, "I2", what);
                (finding.file, finding.index) = (Some(path), Some(index));
            }
            EntriesError::Tile { path } => self.invalid("T1", what).file = Some(path),
            EntriesError::File(error) => {
                let file = error.path().to_owned();
                self.find(Severity::Incomplete, "T1", what).file = Some(file);
            }
        }
    }

    // ---- the records -----------------------------------------------------------------------------------------------

    /// Hashes every record in lake and journal, and checks that each index is there once.
    ///
    /// The journal is read first, and all of it: a running writer only moves records from there to the lake, so what
    /// was in the journal and is not in the lake that is looked at after it, is missing.
    fn records(&mut self) {
        let journal = self.read_journal();
        let lake = match self.open_lake() {
            Ok(lake) => lake,
            Err(error) => {
                let file = self.folder.lake();
                self.invalid("T26", format!("the lake's table cannot be read: {error}")).file = Some(file);
                return;
            }
        };
        let mut coverage = Coverage::new(self.report.size);
        self.journal(journal, lake.watermark(), &mut coverage);
        self.lake(&lake, &mut coverage);
        self.watermark(&lake);
        self.coverage(&coverage, &lake);
    }

    /// What is settled was sealed before. The checkpoint that this check began with may be older than the lake it then
    /// saw; the one that is there by now may not (I4).
    fn watermark(&mut self, lake: &lake::Snapshot) {
        let settled = lake.watermark();
        let sealed = self.report.size;
        if settled <= sealed || self.sealed_by_now() >= settled {
            return;
        }
        let what =
            format!("{settled} records are settled, and the checkpoint covers only {sealed}: it is an older one");
        let file = self.folder.checkpoint();
        let finding = self.invalid("I4", what);
        (finding.index, finding.file) = (Some(sealed), Some(file));
    }

    /// The size of the checkpoint that is there now, if one of the keys that were used before signed it.
    fn sealed_by_now(&self) -> u64 {
        let bytes = self.host.read_if_there(self.folder.checkpoint(), "checkpoint").ok().flatten();
        let signed = bytes.and_then(|bytes| SignedCheckpoint::open(&bytes, &self.keys).ok());
        signed.map_or(0, |signed| signed.checkpoint().size())
    }

    fn open_lake(&self) -> Result<lake::Snapshot, String> {
        let folder = absolute(&self.folder.lake()).map_err(|error| error.to_string())?;
        lake::Snapshot::open(self.host.clone(), folder).map_err(|error| error.to_string())
    }

    /// Everything in the journal. Judged only when the lake is known; of each record no more is kept than that takes.
    fn read_journal(&self) -> Result<JournalRead, String> {
        let folder = self.folder.journal();
        let mut tries = 0;
        loop {
            tries += 1;
            let oldest = journal::oldest(self.host, &folder).map_err(|error| error.to_string())?;
            let Some(first) = oldest else { return Ok(JournalRead::default()) };
            let mut records = Vec::new();
            let reading = journal::read(self.host, &folder, first, |index, payload| {
                let stored = Stored::read(payload).map_err(|error| error.to_string());
                records.push((index, stored.map(|stored| InJournal::of(&stored))));
                Ok(())
            });
            match reading {
                Ok(reading) => return Ok(JournalRead { first: Some(first), records, reading }),
                // The oldest segment was released meanwhile.
                Err(journal::ReadError::Vanished { .. }) if tries < TRIES => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Judges what the journal holds of the records that are not settled; damage to the others is no concern (I5).
    fn journal(&mut self, journal: Result<JournalRead, String>, settled: u64, coverage: &mut Coverage) {
        let folder = self.folder.journal();
        let JournalRead { first, records, reading } = match journal {
            Ok(journal) => journal,
            Err(error) => {
                self.find(Severity::Incomplete, "I1", error).file = Some(folder);
                return;
            }
        };
        if self.report.size > settled && first.is_some_and(|first| first > settled) {
            let what = format!("the journal does not begin at record {settled}, where the lake ends");
            let finding = self.find(Severity::Incomplete, "I1", what);
            (finding.index, finding.file) = (Some(settled), Some(folder));
        }
        for problem in reading.problems_from(settled) {
            let index = problem.index.max(settled);
            let finding = self.invalid("T1", problem.to_string());
            (finding.file, finding.index) = (Some(problem.segment.clone()), Some(index));
            if let journal::ProblemKind::Hole { until } = problem.kind {
                // The finding has said which.
                coverage.unreadable(index, until.saturating_sub(1));
            }
        }
        let mut entries = EntryCache::default();
        for (index, record) in records.into_iter().filter(|(index, _)| *index >= settled) {
            self.journal_record(index, record, coverage, &mut entries);
        }
    }

    fn journal_record(
        &mut self,
        index: u64,
        record: Result<InJournal, String>,
        coverage: &mut Coverage,
        entries: &mut EntryCache,
    ) {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let file = self.segment_of(index);
                let finding = self.invalid("T1", format!("the journal's record {index} cannot be read: {error}"));
                (finding.index, finding.file) = (Some(index), Some(file));
                coverage.unreadable(index, index);
                return;
            }
        };
        self.report.journal_records += 1;
        if let Some((index, what)) = coverage.add(index, record.received) {
            let file = self.segment_of(index);
            let finding = self.invalid("I2", what);
            (finding.index, finding.file) = (Some(index), Some(file));
        }
        self.report.erased += u64::from(record.erased);
        self.report.unsealed += u64::from(index >= self.report.size);
        if index < self.report.size {
            match entries.get(&self.entries, index, self.report.size) {
                Ok(entry) if entry == record.digest => {}
                Ok(_) => {
                    let file = self.segment_of(index);
                    self.wrong(index, Wrong { found: record.digest, file, row: None });
                }
                Err(error) => self.entries_fault(error),
            }
        }
        self.advance(1);
    }

    /// The journal's segment that holds a record: each is named by its first index, in 20 digits.
    fn segment_of(&self, index: u64) -> PathBuf {
        let folder = self.folder.journal();
        let last = folder.join(format!("{index:020}.journal"));
        let segments = self.host.list(&folder, "journal").unwrap_or_default();
        let is_segment = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "journal");
        segments.into_iter().filter(is_segment).take_while(|path| *path <= last).last().unwrap_or(folder)
    }

    /// Remembers that a record is not the one its entry stands for.
    fn wrong(&mut self, index: u64, wrong: Wrong) {
        if self.wrong.len() < WRONG_MAX {
            self.wrong.insert(index, wrong);
        } else {
            self.report.findings_left_off += 1;
        }
    }

    fn lake(&mut self, lake: &lake::Snapshot, coverage: &mut Coverage) {
        for file in lake.files() {
            self.lake_file(lake, file, coverage);
            self.report.lake_files += 1;
            self.advance(file.rows);
        }
    }

    fn lake_file(&mut self, lake: &lake::Snapshot, file: &lake::Manifest, coverage: &mut Coverage) {
        let (size, settled) = (self.report.size, lake.watermark());
        let (first, end) = (file.first_index, file.last_index.saturating_add(1).min(size));
        let entries = if first < end { self.entries.read(first, end) } else { Ok(Vec::new()) };
        let cut = entries.is_err();
        let entries = entries.unwrap_or_else(|error| {
            let there = if let EntriesError::Short { index, .. } = &error { (*index).max(first) } else { first };
            self.entries_fault(error);
            self.entries.read(first, there).unwrap_or_default()
        });
        let entry = |index: u64| index.checked_sub(first).and_then(|offset| entries.get(offset as usize)).copied();
        let mut misplaced = Vec::new();
        let (mut records, mut erased, mut unsealed) = (0, 0, 0);
        let checked = lake.check(file, &mut |index, stored: &Stored| {
            records += 1;
            erased += u64::from(!matches!(stored.body, Body::Whole { .. }));
            if index >= settled {
                misplaced.push((index, format!("record {index} is in the lake, which ends at record {settled}")));
            }
            if index >= size {
                // Settled after the checkpoint that this check holds the trail against.
                unsealed += 1;
                return Some(stored.digest());
            }
            misplaced.extend(coverage.add(index, stored.stamp.received));
            // Where the entries are cut off, which has been said, there is nothing to hold a record against.
            entry(index).or_else(|| cut.then(|| stored.digest()))
        });
        self.report.lake_records += records;
        self.report.erased += erased;
        self.report.unsealed += unsealed;
        let path = lake.path(file);
        for (index, what) in misplaced {
            let finding = self.invalid("I2", what);
            (finding.index, finding.file) = (Some(index), Some(path.clone()));
        }
        if let Err(found) = checked {
            self.lake_finding(&found, file, &path);
            self.rest_of_file(lake, file, &entry, found.row, coverage);
        }
    }

    fn lake_finding(&mut self, found: &lake::Finding, file: &lake::Manifest, path: &Path) {
        let (severity, check) = match &found.why {
            lake::Why::Digest { found: digest, .. } => {
                let Some(index) = found.index else { return };
                return self.wrong(index, Wrong { found: *digest, file: path.to_owned(), row: found.row });
            }
            lake::Why::Unreadable(error) if error.is_not_found() => (Severity::Incomplete, "I2"),
            lake::Why::Bytes { .. } | lake::Why::Unreadable(_) => (Severity::Invalid, "T1"),
            lake::Why::Unexpected => (Severity::Invalid, "I2"),
            _ => (Severity::Invalid, "T26"),
        };
        let finding = self.find(severity, check, found.why.to_string());
        // What is wrong with the whole file touches its first record.
        let index = found.index.or(found.row.is_none().then_some(file.first_index));
        (finding.file, finding.row, finding.index) = (Some(path.to_owned()), found.row, index);
    }

    /// A file's check ends at the first fault. The other rows still count as here, and are held against the log. What
    /// cannot be read is told apart from what is gone.
    fn rest_of_file(
        &mut self,
        lake: &lake::Snapshot,
        file: &lake::Manifest,
        entry: &dyn Fn(u64) -> Option<Digest>,
        first_fault: Option<u64>,
        coverage: &mut Coverage,
    ) {
        let path = lake.path(file);
        let rows = match lake.rows(file) {
            Ok(rows) => rows,
            Err(error) if error.is_not_found() => return,
            Err(_) => return coverage.unreadable(file.first_index, file.last_index),
        };
        for placed in rows {
            let Ok(lake::Placed { index, row, stored }) = placed else {
                return coverage.unreadable(file.first_index, file.last_index);
            };
            // Those that the check has come past are in the coverage already, and so is the one it stopped at.
            if coverage.has(index) && Some(row) != first_fault {
                continue;
            }
            if !coverage.has(index) {
                self.report.lake_records += 1;
                self.report.erased += u64::from(!matches!(stored.body, Body::Whole { .. }));
                let misplaced = coverage.add(index, stored.stamp.received);
                if let Some((index, what)) = misplaced {
                    let finding = self.invalid("I2", what);
                    (finding.index, finding.file) = (Some(index), Some(path.clone()));
                }
            }
            let found = stored.digest();
            if entry(index).is_some_and(|entry| entry != found) {
                self.wrong(index, Wrong { found, file: path.clone(), row: Some(row) });
            }
        }
    }

    fn coverage(&mut self, coverage: &Coverage, lake: &lake::Snapshot) {
        for (first, end) in coverage.missing() {
            let where_ = if first < lake.watermark() { "the lake" } else { "the journal" };
            let what = if end - first == 1 {
                format!("record {first} is gone from {where_}")
            } else {
                format!("records {first} to {} are gone from {where_}", end - 1)
            };
            // The file whose range it falls into, if there is one such file and no other.
            let mut files = lake.files().iter().filter(|file| (file.first_index..=file.last_index).contains(&first));
            let file = files.next().filter(|_| files.next().is_none()).map(|file| lake.path(file));
            let finding = self.find(Severity::Incomplete, "I2", what);
            (finding.index, finding.file) = (Some(first), file);
        }
    }

    // ---- which of the two was changed ------------------------------------------------------------------------------

    /// Tells of every record that differs from its entry, and which of the two was changed.
    fn wrong_records(&mut self, roots_agree: bool) {
        let wrong = std::mem::take(&mut self.wrong);
        let entries = if roots_agree { Some(BTreeSet::new()) } else { self.changed_entries(&wrong) };
        for (index, Wrong { found, file, row }) in wrong {
            let entry = self.entries.read(index, index + 1).ok().and_then(|entries| entries.first().copied());
            let entry = entry.map_or_else(|| "none".to_owned(), |entry| entry.to_string());
            let what = match &entries {
                Some(entries) if entries.contains(&index) => {
                    let what = format!("entry {index} was changed; the record itself is the one that was sealed");
                    let file = self.entries.path(index);
                    let finding = self.invalid("T1", what);
                    (finding.index, finding.file) = (Some(index), Some(file));
                    continue;
                }
                Some(_) => {
                    format!("this record is not the one that was sealed: it hashes to {found}, the log has {entry}")
                }
                None => format!(
                    "this record or its entry is not the one that was sealed: it hashes to {found}, the log has {entry}"
                ),
            };
            let finding = self.invalid("T1", what);
            (finding.index, finding.file, finding.row) = (Some(index), Some(file), row);
        }
    }

    /// The entries do not make the signed root. Those that, replaced by the digests of the records as they are, do make
    /// it, are what was changed; nothing if none do, or they are too many to try.
    fn changed_entries(&self, wrong: &BTreeMap<u64, Wrong>) -> Option<BTreeSet<u64>> {
        let all: BTreeSet<u64> = wrong.keys().copied().collect();
        if all.is_empty() || wrong.len() >= WRONG_MAX {
            return None;
        }
        if self.makes_root(wrong, &all) {
            return Some(all);
        }
        if all.len() > SUSPECTS_MAX || self.report.size.saturating_mul(1 << all.len()) > SUSPECT_HASHES_MAX {
            return None;
        }
        let subset =
            |mask: u32| all.iter().enumerate().filter(move |(bit, _)| mask >> bit & 1 == 1).map(|(_, index)| *index);
        (1..1 << all.len()).map(|mask| subset(mask).collect()).find(|some| self.makes_root(wrong, some))
    }

    /// Whether the log makes the signed root when these entries are taken from the records.
    fn makes_root(&self, wrong: &BTreeMap<u64, Wrong>, from_records: &BTreeSet<u64>) -> bool {
        let size = self.report.size;
        let mut edge = TileEdge::new();
        while edge.size() < size {
            let first = edge.size();
            let Ok(mut digests) = self.entries.read(first, first.saturating_add(CHUNK).min(size)) else { return false };
            for index in from_records.range(first..first + digests.len() as u64) {
                digests[(index - first) as usize] = wrong[index].found;
            }
            digests.iter().for_each(|digest| edge.push(leaf_hash(&digest.0), |_, _| {}));
        }
        edge.root().to_string() == self.report.root
    }
}

/// What was found in the journal.
#[derive(Default)]
struct JournalRead {
    /// The first record of the oldest segment, where there is one.
    first: Option<u64>,
    records: Vec<(u64, Result<InJournal, String>)>,
    reading: journal::Reading,
}

/// What a check needs of a record in the journal.
struct InJournal {
    digest: Digest,
    received: i64,
    erased: bool,
}

impl InJournal {
    fn of(stored: &Stored) -> Self {
        let erased = !matches!(stored.body, Body::Whole { .. });
        InJournal { digest: stored.digest(), received: stored.stamp.received, erased }
    }
}

/// The entries around the one asked for last.
#[derive(Default)]
struct EntryCache {
    first: u64,
    digests: Vec<Digest>,
}

impl EntryCache {
    fn get(&mut self, entries: &Entries, index: u64, size: u64) -> Result<Digest, EntriesError> {
        let held = self.first..self.first + self.digests.len() as u64;
        if !held.contains(&index) {
            self.digests = entries.read(index, (index + CHUNK).min(size))?;
            self.first = index;
        }
        Ok(self.digests[(index - self.first) as usize])
    }
}
