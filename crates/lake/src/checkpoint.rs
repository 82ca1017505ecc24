//! Keeps the table's log short: a checkpoint every so many versions, and no entries from before the last but one.
//!
//! Opening then reads a checkpoint, whose size is that of the table, and the entries after it, and not the history of
//! the table. The two newest checkpoints stay, with every entry from the older one on: what the newer one says can be
//! held against them (T26), and is by every full verification.

use host::FileError;

use crate::readers::ReadersLock;
use crate::settle::{Lake, is_sync};
use crate::snapshot::Snapshot;
use crate::table::{Table, TableError};

/// Versions from one checkpoint to the next: about an hour, at a settle a minute. Opening reads fewer entries than that,
/// some 2 kB each, and there are never more than three times as many files in the log for long.
pub const CHECKPOINT_EVERY: u64 = 64;

/// Why no checkpoint was written, or the log was not cleaned. The table is as it was; it may be tried again unless it
/// [`CheckpointError::is_fatal`].
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// An earlier error can only be cleared up by a restart.
    #[error("the lake's writer stopped after an error that only a restart clears up; start again")]
    Stopped,
    /// The readers could not be asked.
    #[error(transparent)]
    File(#[from] FileError),
    /// A checkpoint could not be written or proven, or a file of the log not removed.
    #[error(transparent)]
    Table(#[from] TableError),
}

impl CheckpointError {
    /// Whether the writer must stop and recover from what is on disk.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Stopped => true,
            Self::File(error) => is_sync(error),
            Self::Table(error) => error.is_fatal(),
        }
    }
}

/// What keeping the log short came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpointed {
    /// The version that a checkpoint was written of, if one was.
    pub written: Option<u64>,
    /// Entries and checkpoints that were removed.
    pub removed: u64,
    /// Entries and checkpoints that are not needed and stay for now: someone reads the lake.
    pub left: u64,
}

impl Lake {
    /// Writes a checkpoint if `every` versions have come since the last, [`CHECKPOINT_EVERY`] as a rule; then removes
    /// what is older than the two newest, unless someone in another process reads the lake (I14). Each is proven
    /// before any entry that leads to it is removed.
    pub fn checkpoint(&mut self, every: u64) -> Result<Checkpointed, CheckpointError> {
        if self.stopped {
            return Err(CheckpointError::Stopped);
        }
        let done = self.keep_log_short(every);
        self.stopped = done.as_ref().is_err_and(CheckpointError::is_fatal);
        done
    }

    fn keep_log_short(&mut self, every: u64) -> Result<Checkpointed, CheckpointError> {
        let mut done = Checkpointed::default();
        if self.table.is_checkpoint_due(self.snapshot().base(), every)? {
            let version = self.table.checkpoint(self.snapshot().base())?;
            done.written = Some(version.version);
            self.advance(version);
        }
        done.left = self.table.surplus()?;
        if done.left == 0 {
            return Ok(done);
        }
        let Some(_alone) = ReadersLock::take(self.table.host(), self.table.folder())? else { return Ok(done) };
        if done.written.is_none() {
            // What this writer holds may have been read from entries that go now.
            let version = self.table.reload(self.snapshot().base())?;
            self.advance(version);
        }
        (done.removed, done.left) = (self.table.remove_surplus()?, 0);
        Ok(done)
    }
}

impl Snapshot {
    /// The files of the table's log that this version is read from. As long as this snapshot lives, they stay.
    pub fn log_files(&self) -> Result<Vec<std::path::PathBuf>, TableError> {
        Table::at(self.host().clone(), self.folder())?.log_up_to(self.version())
    }

    /// Proves that the checkpoints of the table's log say what its entries say (T26), and says how many there are to
    /// prove. Snapshots are read from a checkpoint without that.
    pub fn check_log(&self) -> Result<u64, TableError> {
        Table::at(self.host().clone(), self.folder())?.prove_all()
    }
}

#[cfg(test)]
mod tests;
