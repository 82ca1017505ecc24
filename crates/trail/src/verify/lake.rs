//! The lake: every file held against its manifest, every row against its entry.

use std::path::Path;

use keys::KeyError;
use record::{Body, Stored};

use super::blame::Wrong;
use super::{Check, Severity};
use crate::coverage::Coverage;
use crate::entries::Digests;

impl Check<'_> {
    pub(super) fn lake(&mut self, lake: &lake::Snapshot, coverage: &mut Coverage) {
        for file in lake.files() {
            self.lake_file(lake, file, coverage);
        }
    }

    /// Holds the checkpoints of the table's log against its entries: engines believe them in place of those, and so
    /// does whoever opens a trail (T26).
    pub(super) fn lake_log(&mut self, lake: &lake::Snapshot) {
        if let Err(error) = lake.check_log() {
            let file = self.folder.lake().join("_delta_log");
            self.invalid("T26", error.to_string()).file = Some(file);
        }
    }

    /// Checks one file, and the places of its records.
    pub(super) fn lake_file(&mut self, lake: &lake::Snapshot, file: &lake::Manifest, coverage: &mut Coverage) {
        let (size, settled) = (self.report.size, lake.watermark());
        // A file that was merged can hold a range of any length: entries are read as its records ask for them.
        let entries = Digests::new(self.entries.clone(), size);
        let mut fault = None;
        let mut misplaced = Vec::new();
        let (mut records, mut erased, mut unsealed) = (0, 0, 0);
        let (pace, tombstones) = (&mut self.pace, &mut self.tombstones);
        let checked = lake.check(file, &mut |index, stored: &Stored| {
            if !pace.advance(1) {
                return None;
            }
            records += 1;
            erased += u64::from(!matches!(stored.body, Body::Whole { .. }));
            tombstones.see(index, stored);
            if index >= settled {
                misplaced.push((index, format!("record {index} is in the lake, which ends at record {settled}")));
            }
            if index >= size {
                // Settled after the checkpoint that this check holds the trail against.
                unsealed += 1;
                return Some(stored.digest());
            }
            misplaced.extend(coverage.add(index, stored.stamp.received));
            entries.read(index).map_or_else(
                |error| {
                    fault.get_or_insert(error);
                    // Where the entries are cut off, which is said, there is nothing to hold a record against.
                    Some(stored.digest())
                },
                Some,
            )
        });
        if let Some(error) = fault {
            self.entries_fault(error);
        }
        if self.pace.stopped() {
            return;
        }
        self.report.lake_files += 1;
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
            self.rest_of_file(lake, file, &entries, found.row, coverage);
        }
    }

    fn lake_finding(&mut self, found: &lake::Finding, file: &lake::Manifest, path: &Path) {
        let (severity, check) = match &found.why {
            lake::Why::Digest { found: digest, .. } => {
                let Some(index) = found.index else { return };
                return self.wrong(index, Wrong { found: *digest, file: path.to_owned(), row: found.row });
            }
            lake::Why::Unreadable(error) if error.is_not_found() => (Severity::Incomplete, "I2"),
            lake::Why::Unreadable(lake::ReadError::Key { cause, .. })
                if !matches!(**cause, KeyError::Unusable { .. }) =>
            {
                (Severity::Incomplete, "T21")
            }
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
        entries: &Digests,
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
                self.tombstones.see(index, &stored);
                let misplaced = coverage.add(index, stored.stamp.received);
                if let Some((index, what)) = misplaced {
                    let finding = self.invalid("I2", what);
                    (finding.index, finding.file) = (Some(index), Some(path.clone()));
                }
            }
            let found = stored.digest();
            if entries.get(index).is_some_and(|entry| entry != found) {
                self.wrong(index, Wrong { found, file: path.clone(), row: Some(row) });
            }
        }
    }
}
