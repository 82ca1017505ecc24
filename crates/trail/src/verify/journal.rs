//! The journal: every record that is not settled, held against its entry.

use std::path::PathBuf;

use record::{Body, Digest, Stored};

use super::blame::Wrong;
use super::{Check, Severity};
use crate::coverage::Coverage;
use crate::entries::Digests;

/// How often the journal is looked at again when the writer released what was being read.
const TRIES: usize = 20;

impl Check<'_> {
    /// Everything in the journal. Judged only when the lake is known; of each record no more is kept than that takes.
    pub(super) fn read_journal(&self) -> Result<JournalRead, String> {
        let folder = self.folder.journal();
        let mut tries = 0;
        loop {
            tries += 1;
            let oldest = journal::oldest(self.host, &folder).map_err(|error| error.to_string())?;
            let Some(first) = oldest else { return Ok(JournalRead::default()) };
            let mut records = Vec::new();
            let reading = journal::read(self.host, &folder, first, self.encryption.as_ref(), |index, payload| {
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
    pub(super) fn journal(&mut self, journal: Result<JournalRead, String>, settled: u64, coverage: &mut Coverage) {
        let folder = self.folder.journal();
        let JournalRead { first, records, reading } = match journal {
            Ok(journal) => journal,
            Err(error) => {
                self.find(Severity::Incomplete, "I1", error).file = Some(folder);
                return;
            }
        };
        // Even if nothing behind the hole is under the checkpoint: what was durable there is gone.
        if first.is_some_and(|first| first > settled) {
            let what = format!("the journal does not begin at record {settled}, where the lake ends");
            let finding = self.find(Severity::Incomplete, "I1", what);
            (finding.index, finding.file) = (Some(settled), Some(folder));
        }
        for problem in reading.problems_from(settled) {
            let index = problem.index.max(settled);
            let finding = self.invalid("T1", problem.to_string());
            (finding.file, finding.index) = (Some(problem.segment.clone()), Some(index));
            // The finding has said which.
            match problem.kind {
                journal::ProblemKind::Hole { until } => coverage.unreadable(index, until.saturating_sub(1)),
                journal::ProblemKind::NotAuthentic => coverage.unreadable(index, index),
                _ => {}
            }
        }
        let entries = Digests::new(self.entries.clone(), self.report.size);
        for (index, record) in records.into_iter().filter(|(index, _)| *index >= settled) {
            self.journal_record(index, record, coverage, &entries);
        }
    }

    fn journal_record(
        &mut self,
        index: u64,
        record: Result<InJournal, String>,
        coverage: &mut Coverage,
        entries: &Digests,
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
        if let Some(stored) = &record.tombstone {
            self.tombstones.see(index, stored);
        }
        self.report.unsealed += u64::from(index >= self.report.size);
        if index < self.report.size {
            match entries.read(index) {
                Ok(entry) if entry == record.digest => {}
                Ok(_) => {
                    let file = self.segment_of(index);
                    self.wrong(index, Wrong { found: record.digest, file, row: None });
                }
                Err(error) => self.entries_fault(error),
            }
        }
        self.pace.advance(1);
    }

    /// The journal's segment that holds a record: each is named by its first index, in 20 digits.
    fn segment_of(&self, index: u64) -> PathBuf {
        let folder = self.folder.journal();
        let last = folder.join(format!("{index:020}.journal"));
        let segments = self.host.list(&folder, "journal").unwrap_or_default();
        let is_segment = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "journal");
        segments.into_iter().filter(is_segment).take_while(|path| *path <= last).last().unwrap_or(folder)
    }
}

/// What was found in the journal.
#[derive(Default)]
pub(super) struct JournalRead {
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
    /// Kept whole where it declares what others have lost, or is a tombstone itself.
    tombstone: Option<Box<Stored>>,
}

impl InJournal {
    fn of(stored: &Stored) -> Self {
        let erased = !matches!(stored.body, Body::Whole { .. });
        let matters = erased || stored.stamp.kind == record::Kind::Erasure;
        let tombstone = matters.then(|| Box::new(stored.clone()));
        InJournal { digest: stored.digest(), received: stored.stamp.received, erased, tombstone }
    }
}
