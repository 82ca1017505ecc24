//! The journal of a backup: copied while it is written and released, and read back.

use std::collections::BTreeSet;
use std::path::PathBuf;

use ::journal::ReadError;

use super::{BackedUp, Backup, BackupError, STEP};
use crate::snapshot::Snapshot;

impl Backup<'_> {
    /// Copies the journal; gives the segments, or nothing if the writer did what makes the copy none of this snapshot's.
    pub(super) fn copy_journal(
        &self,
        snapshot: &Snapshot,
        done: &mut BackedUp,
    ) -> Result<Option<Vec<PathBuf>>, BackupError> {
        let (host, to) = (self.host, self.to.journal());
        let is_segment = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "journal");
        let segments: Vec<PathBuf> = host.list(self.folder.journal(), STEP)?.into_iter().filter(is_segment).collect();
        let mut named = BTreeSet::new();
        for segment in &segments {
            let copy = to.join(segment.file_name().unwrap_or_default());
            match host.copy_over(segment, &copy, STEP) {
                Err(error) if error.is_not_found() => return Ok(None),
                copied => done.bytes += copied?,
            }
            done.copied += 1;
            named.insert(copy);
        }
        self.remove_others(&to, &named)?;
        Ok(self.journal_goes_on_from(snapshot)?.then_some(segments))
    }

    /// Whether the copy has all records of the snapshot that its lake has not. The writer may have settled and released more
    /// before it was listed; and a segment is written while it is copied, so that its end may be newer than its middle.
    fn journal_goes_on_from(&self, snapshot: &Snapshot) -> Result<bool, BackupError> {
        let (host, to, settled) = (self.host, self.to.journal(), snapshot.settled());
        let Some(first) = ::journal::oldest(host, &to)? else { return Ok(snapshot.end() == settled) };
        if first > settled {
            return Ok(false);
        }
        let keys = self.folder.keyring(host, self.settings)?;
        match ::journal::read(host, &to, first, keys.as_ref(), |_, _| Ok(())) {
            Ok(read) => Ok(read.next_index >= snapshot.end() && read.problems_from(settled).next().is_none()),
            Err(ReadError::Vanished { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
