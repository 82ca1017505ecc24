//! Why an export could not be made or checked.

use std::path::PathBuf;

use host::FileError;
use query::QueryError;

/// Why an export could not be made. Nothing stands under its name then.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Something is there already.
    #[error("{} is there already, and is not an empty folder; name another one", .0.display())]
    Taken(PathBuf),
    /// No record is under a checkpoint.
    #[error("nothing is sealed yet, so nothing can be proved; append records, or run a writer for a second")]
    NotSealed,
    /// More rows than an answer may have.
    #[error("more than {rows} records match; export parts, with --since and --until")]
    TooMany {
        /// Rows that an export may have.
        rows: usize,
    },
    /// More bytes than an export may have.
    #[error("the export comes to more than {max} bytes; export parts, with --since and --until, or fewer columns")]
    TooLarge {
        /// Bytes that it may have.
        max: u64,
    },
    /// Whoever asked for it wants it no more.
    #[error("nobody waits for the export any more, so it was not made")]
    Unwanted,
    /// The stored record is not the one that was sealed (T1).
    #[error("record {index} is not the one that was sealed, or is not here; run verify on the trail")]
    Changed {
        /// The record.
        index: u64,
    },
    /// What was written did not check.
    #[error("what was written does not check: {0}; run verify on the trail")]
    Unsound(String),
    /// The query was refused or could not be answered.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The trail could not be read.
    #[error(transparent)]
    Trail(#[from] trail::SnapshotError),
    /// The trail's entries could not be read.
    #[error(transparent)]
    Entries(#[from] trail::EntriesError),
    /// A file of the lake could not be read.
    #[error(transparent)]
    Lake(#[from] lake::ReadError),
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// Rows could not be written.
    #[error("{} cannot be written: {cause}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
}

/// Why an export that came as a stream could not be unpacked. Nothing stands under its name then.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// Something is there already.
    #[error("{} is there already, and is not an empty folder; name another one", .0.display())]
    Taken(PathBuf),
    /// Something that no export holds (T24).
    #[error(
        "what came holds {0:?}, which is no file of an export, so nothing of it was kept; is it an OnRecord server?"
    )]
    Foreign(String),
    /// A file came twice.
    #[error("what came holds {0} twice, so nothing of it was kept; is it an OnRecord server?")]
    Twice(String),
    /// A file is in clear, where it was to be encrypted.
    #[error("what came holds {0} in clear, though it was to be encrypted to recipients, so nothing of it was kept")]
    Clear(String),
    /// A file is encrypted, where nobody was named whom it is for.
    #[error("what came holds {0}, encrypted, though to nobody who was named, so nothing of it was kept")]
    Encrypted(String),
    /// It is longer than any export.
    #[error("what came is longer than {max} bytes, so nothing of it was kept; export parts, with --since and --until")]
    TooLarge {
        /// Bytes that an export may have.
        max: u64,
    },
    /// The stream broke off, or is none.
    #[error("it broke off, or is no tar: {0}; export it again")]
    Stream(String),
    /// What came does not check.
    #[error("what came does not check: {0}; nothing of it was kept")]
    Unsound(String),
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file could not be written.
    #[error("{} cannot be written: {cause}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
}

/// Why an export could not be checked at all.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A pinned checkpoint is not one.
    #[error("{name} is not a checkpoint: {cause}")]
    Pin {
        /// Its name.
        name: String,
        /// Why.
        cause: String,
    },
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The trail could not be asked again.
    #[error(transparent)]
    Query(#[from] QueryError),
}
