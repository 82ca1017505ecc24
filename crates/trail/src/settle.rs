//! Settling: sealed records move from the journal to the lake.
//!
//! What is settled is always sealed. The entries are made durable first, then the lake writes, reads back and commits
//! (I5), and only then are the journal's segments released.

use std::sync::Arc;

use lake::Lake;
use record::Stored;

use crate::entries::EntriesError;
use crate::hot::HotRecord;

/// Why records stayed in the journal. The next settle tries again, unless the writer has stopped.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The lake refused, or what it wrote does not read back.
    #[error(transparent)]
    Lake(#[from] lake::SettleError),
    /// The records cannot be planned.
    #[error(transparent)]
    Plan(#[from] lake::PlanError),
    /// Entries could not be made durable: the writer stops.
    #[error(transparent)]
    Entries(#[from] EntriesError),
    /// What was signed and settled last could not be remembered beside the keys, or a key not destroyed. The records are
    /// settled all the same, and stand in the journal too as long as that is so.
    #[error(transparent)]
    Remember(#[from] host::FileError),
    /// The journal has stopped.
    #[error(transparent)]
    Journal(#[from] journal::Stopped),
    /// The writer has stopped.
    #[error(transparent)]
    Stopped(#[from] crate::writer::Stopped),
}

impl SettleError {
    /// Whether the writer must stop and recover from what is on disk.
    pub(crate) fn is_fatal(&self) -> bool {
        matches!(self, Self::Lake(error) if error.is_fatal())
    }
}

/// At most this many records go into one settle, so that its memory is bounded.
pub(crate) const RECORDS_MAX: usize = 131_072;

/// Bytes of canonical parts in one settle at most.
pub(crate) const BYTES_MAX: usize = 192 << 20;

/// The records of the next settle: what is sealed and not settled, up to the bounds.
pub(crate) fn batch<'a>(sealed: impl Iterator<Item = &'a Arc<HotRecord>>) -> Vec<Arc<HotRecord>> {
    let mut bytes = 0;
    sealed
        .take(RECORDS_MAX)
        .take_while(|record| {
            let fits = bytes < BYTES_MAX;
            bytes += record.stored.parts().map_or(0, record::Parts::total_bytes);
            fits
        })
        .cloned()
        .collect()
}

/// Moves records that follow one another into the lake, and gives the version that has them.
pub(crate) fn into_lake(lake: &mut Lake, records: &[Arc<HotRecord>]) -> Result<lake::Snapshot, SettleError> {
    let pairs: Vec<(u64, &Stored)> = records.iter().map(|record| (record.index, &record.stored)).collect();
    let plan = lake::plan_settle(lake.snapshot(), &pairs)?;
    let first = records.first().map_or(0, |record| record.index);
    let digest = |index: u64| records.get(index.checked_sub(first)? as usize).map(|record| record.digest);
    Ok(lake.settle(&plan, &digest)?.clone())
}
