//! Why the Delta log could not be read or written.

use std::path::PathBuf;
use std::sync::Arc;

use deltalake_core::DeltaTableError;
use host::FileError;

use crate::columns::ColumnsError;
use crate::manifest::ManifestError;

/// Why the Delta log could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The folder cannot be named as a table.
    #[error("{} cannot be a table's folder: its path must be absolute and plain", .0.display())]
    Path(PathBuf),
    /// There is no log, or its first entry is missing.
    #[error("{} has no table log; restore _delta_log from a copy, do not append", folder.display())]
    Missing {
        /// The table's folder.
        folder: PathBuf,
    },
    /// A file of the log could not be written or listed.
    #[error("the Delta log was not written: {0}")]
    File(#[from] Arc<FileError>),
    /// The Delta library refused.
    #[error("the Delta log in {} cannot be used: {cause}", folder.display())]
    Log {
        /// The table's folder.
        folder: PathBuf,
        /// What the library said.
        cause: Box<DeltaTableError>,
    },
    /// The Delta library panicked, which bytes that no writer made can bring about.
    #[error("the Delta log in {} is malformed: reading it ended in a panic ({what}); restore _delta_log from a copy", folder.display())]
    Panicked {
        /// The table's folder.
        folder: PathBuf,
        /// The panic's message.
        what: String,
    },
    /// The log says something of the table that no log of this crate says. Other engines go by it, and would read other
    /// values than those that were checked (T26).
    #[error(
        "the Delta log in {} has {field} {found} instead of {expected}; another tool wrote it, or _delta_log was changed: restore it from a copy", folder.display()
    )]
    Foreign {
        /// The table's folder.
        folder: PathBuf,
        /// The action's field.
        field: String,
        /// What stands there, its beginning if it is long.
        found: String,
        /// What should.
        expected: String,
    },
    /// An entry is missing that the table is made of.
    #[error("the Delta log in {} lacks the entry of version {version}, which the table is made of; restore _delta_log from a copy", folder.display())]
    Gap {
        /// The table's folder.
        folder: PathBuf,
        /// The first version that has no entry.
        version: u64,
    },
    /// A checkpoint says what the entries do not say, or what no checkpoint of this crate says, or cannot be read (T26).
    #[error("the Delta checkpoint of version {version} in {} {what}; restore _delta_log from a copy", folder.display())]
    Checkpoint {
        /// The table's folder.
        folder: PathBuf,
        /// The checkpoint's version.
        version: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The schema is not one of ours.
    #[error(transparent)]
    Columns(#[from] ColumnsError),
    /// A file's entry is not one of ours.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The watermark is negative.
    #[error("the table's watermark is {found}, which no writer sets; restore _delta_log from a copy")]
    Watermark {
        /// What stands there.
        found: i64,
    },
    /// The commit did not land.
    #[error("version {version} was not committed: {cause}")]
    NotCommitted {
        /// The version that was to be.
        version: u64,
        /// Why.
        cause: String,
    },
    /// Someone else committed: the table has two writers (I6).
    #[error(
        "version {found} of the table was written by someone else while this writer held version {expected}; stop the other writer"
    )]
    Overtaken {
        /// The version this writer knew.
        expected: u64,
        /// The version that is there.
        found: u64,
    },
    /// Nobody knows whether the commit landed: the log could not be read again (I5). If it did, the table names files
    /// that this writer would take for orphans.
    #[error("whether version {version} was committed is not known, so stop the writer and start again: {cause}")]
    Unknown {
        /// The version that was to be.
        version: u64,
        /// Why.
        cause: String,
    },
    /// An fsync failed: what is in memory may not be on disk, and only a restart can tell (T25).
    #[error("an fsync of the Delta log failed, so what is durable is not known; stop the writer and start again: {0}")]
    Unsynced(Arc<FileError>),
}

impl TableError {
    /// Whether the writer must stop and recover from what is on disk, rather than try again.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Unsynced(_) | Self::Overtaken { .. } | Self::Unknown { .. })
    }
}
