//! Compacting: small files of the lake become larger ones, and what nobody needs any more is removed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::writer::Stopped;

/// Why the lake was not compacted, or not all of it. Nothing is lost: files are replaced whole, or not at all.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// Files were not rewritten.
    #[error(transparent)]
    Rewrite(#[from] lake::RewriteError),
    /// Files that are not needed were not removed.
    #[error(transparent)]
    Clean(#[from] lake::CleanError),
    /// The table's log was not kept short.
    #[error(transparent)]
    Checkpoint(#[from] lake::CheckpointError),
    /// The writer has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl CompactError {
    /// Whether it ended because the writer closes.
    pub(crate) fn is_interrupted(&self) -> bool {
        matches!(self, Self::Rewrite(lake::RewriteError::Interrupted))
    }
}

/// What compacting came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compacted {
    /// Data files of the lake before, and after.
    pub files_before: u64,
    /// Data files after.
    pub files_after: u64,
    /// Bytes of the lake's files before.
    pub bytes_before: u64,
    /// Bytes of the lake's files after.
    pub bytes_after: u64,
    /// Records that were written again; one that was written twice counts twice.
    pub rewritten: u64,
    /// Files that nobody needed any more and that were removed.
    pub removed: u64,
    /// Files that are not needed and stay for now: someone reads them, or may.
    pub left: u64,
    /// The version of the table that a checkpoint was written of, if one was: see [`lake::Lake::checkpoint`].
    #[serde(default)]
    pub checkpoint: Option<u64>,
    /// Files of the table's log that nothing is read from any more and that were removed.
    #[serde(default)]
    pub log_removed: u64,
    /// Files of the table's log that are not needed and stay for now: someone reads the lake.
    #[serde(default)]
    pub log_left: u64,
    /// How long it took.
    pub elapsed: Duration,
}
