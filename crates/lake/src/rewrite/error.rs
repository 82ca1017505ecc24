//! Why files were not rewritten.

use host::FileError;
use record::Digest;
use record::cbor::CborError;

use crate::reader::ReadError;
use crate::settle::is_sync;
use crate::table::TableError;
use crate::writer::WriteError;

/// Why files were not rewritten. The old ones are live as before.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// The lake's writer has stopped.
    #[error("the lake's writer stopped after an error that only a restart clears up; start again")]
    Stopped,
    /// It was told to end.
    #[error("the rewrite was interrupted; nothing was replaced")]
    Interrupted,
    /// A section is not CBOR; it was validated when it was appended, so the file is damaged.
    #[error(
        "record {index} has a section that is not canonical CBOR ({cause}); nothing was replaced; verify the trail"
    )]
    Cbor {
        /// The record's index.
        index: u64,
        /// What is wrong.
        cause: CborError,
    },
    /// An input is not live any more: two rewrites at a time.
    #[error("file {file:?} was replaced meanwhile; plan the rewrite again")]
    Replaced {
        /// The file.
        file: String,
    },
    /// A settle has given a column's name to another path or type meanwhile.
    #[error("column {column:?} was added with another type meanwhile; plan the rewrite again")]
    Column {
        /// The column.
        column: String,
    },
    /// The folder could not be fsynced or listed, or a file not removed.
    #[error(transparent)]
    File(#[from] FileError),
    /// A live file could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A live file's rows are not sorted by time and index, or two files hold the same record.
    #[error("file {file:?} holds record {index} out of order or a second time; nothing was replaced; verify the trail")]
    Order {
        /// The file.
        file: String,
        /// The record's index.
        index: u64,
    },
    /// Live files do not hold as many records as the log says.
    #[error(
        "the files to be rewritten hold {found} records, and the log says {expected}; nothing was replaced; verify the trail"
    )]
    Rows {
        /// What the manifests say.
        expected: u64,
        /// What was read, or written.
        found: u64,
    },
    /// Erasing a part moves the record to an earlier time, which its envelope and its stamp cannot both have said.
    #[error("record {index} has another time once it is erased; nothing was replaced; verify the trail")]
    Moved {
        /// The record's index.
        index: u64,
    },
    /// A data file was not written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A data file could not be read back.
    #[error("reading back what was rewritten failed, so nothing was replaced: {0}")]
    ReadBack(ReadError),
    /// A row came back as another record than the one appended (I5).
    #[error(
        "record {index} came back from file {file:?}, row {row}, with digest {found} instead of {expected}; nothing was replaced; verify the trail"
    )]
    Mismatch {
        /// The record's index.
        index: u64,
        /// The file.
        file: String,
        /// The row, from 0.
        row: u64,
        /// The digest it was appended with.
        expected: Digest,
        /// The digest of what came back.
        found: Digest,
    },
    /// Rows came back in another order, or in another erased form, than they were written.
    #[error("file {file:?} does not hold the rows that were written to it; nothing was replaced")]
    Displaced {
        /// The file.
        file: String,
    },
    /// The caller knows no digest of a record.
    #[error("record {index} has no digest to hold it against; nothing was replaced; verify the trail")]
    Unknown {
        /// The record's index.
        index: u64,
    },
    /// The commit did not land, or nobody knows.
    #[error(transparent)]
    Table(#[from] TableError),
}

impl RewriteError {
    /// Whether the writer must stop and recover from what is on disk.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Stopped => true,
            Self::Table(error) => error.is_fatal(),
            Self::File(error) | Self::Write(WriteError::File(error)) => is_sync(error),
            _ => false,
        }
    }
}
