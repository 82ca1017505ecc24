//! The records: each index there once, in the lake below the watermark and in the journal from it on.

use tlog::SignedCheckpoint;

use super::{Check, Severity};
use crate::coverage::Coverage;
use crate::settings::absolute;

impl Check<'_> {
    /// Hashes every record in lake and journal, and checks that each index is there once.
    ///
    /// The journal is read first, and all of it: a running writer only moves records from there to the lake, so what
    /// was in the journal and is not in the lake that is looked at after it, is missing.
    pub(super) fn records(&mut self) {
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
        self.lake_log(&lake);
        self.lake(&lake, &mut coverage);
        self.watermark(&lake);
        self.coverage(&coverage, &lake);
        self.tombstones();
    }

    /// What is settled was sealed before. The checkpoint that this check began with may be older than the lake it then
    /// saw; the one that is there by now may not (I4).
    pub(super) fn watermark(&mut self, lake: &lake::Snapshot) {
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
        let lake = lake::Snapshot::open(self.host.clone(), folder).map_err(|error| error.to_string())?;
        Ok(lake.with_keys(self.encryption.clone()))
    }

    pub(super) fn coverage(&mut self, coverage: &Coverage, lake: &lake::Snapshot) {
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
}
