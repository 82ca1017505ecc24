//! What can go wrong with a file.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::Operation;

/// An operation on a file or folder did not succeed. The message names the operation, the path and the cause; the
/// cause is not repeated as a `source`, and is reached by [`FileError::kind`] and [`FileError::raw_os_error`].
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system refused. After [`Operation::SyncData`], [`Operation::SyncAll`] or
    /// [`Operation::SyncFolder`] this is fatal to the writer: do not try again on the same file.
    #[error("cannot {operation} {}: {cause}{}", path.display(), hint(cause))]
    Io {
        /// What was asked.
        operation: Operation,
        /// Of which file or folder.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// A file that had to be new is there already; it was not touched.
    #[error("{} is there already and was left as it is", path.display())]
    AlreadyExists {
        /// The file.
        path: PathBuf,
    },
    /// A file does not hold what the caller last knew it to hold; it was not touched.
    #[error(
        "{} was changed by someone else and was left as it is: {}; look for a second writer or a restored backup",
        path.display(), describe_change(expected.as_deref(), found.as_deref())
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// What it had to hold; `None`: it had to be absent.
        expected: Option<Vec<u8>>,
        /// What it holds; `None`: it is absent.
        found: Option<Vec<u8>>,
    },
    /// Another process, or another handle of this one, holds the lock.
    #[error("{} is locked by another process; stop that one, or ask it to do the work", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
}

impl FileError {
    pub(crate) fn of(operation: Operation, path: &Path, cause: io::Error) -> Self {
        FileError::Io { operation, path: path.to_owned(), cause }
    }

    /// The file or folder it is about.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            FileError::Io { path, .. }
            | FileError::AlreadyExists { path }
            | FileError::Changed { path, .. }
            | FileError::Locked { path } => path,
        }
    }

    /// The error number of the operating system, if it is one.
    #[must_use]
    pub fn raw_os_error(&self) -> Option<i32> {
        match self {
            FileError::Io { cause, .. } => cause.raw_os_error(),
            _ => None,
        }
    }

    /// The kind of failure, as the standard library sorts them.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            FileError::Io { cause, .. } => cause.kind(),
            FileError::AlreadyExists { .. } => io::ErrorKind::AlreadyExists,
            FileError::Changed { .. } => io::ErrorKind::InvalidData,
            FileError::Locked { .. } => io::ErrorKind::WouldBlock,
        }
    }

    /// Whether the file or folder was not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind() == io::ErrorKind::NotFound
    }
}

impl From<FileError> for io::Error {
    /// For code behind a standard trait. The kind stays, and the `FileError` is the inner error, so that
    /// `get_ref().downcast_ref::<FileError>()` reaches the number.
    fn from(error: FileError) -> Self {
        io::Error::new(error.kind(), error)
    }
}

fn hint(cause: &io::Error) -> &'static str {
    match Errno::from_io_error(cause) {
        Some(Errno::NOSPC) => "; free space on that disk, then start again",
        Some(Errno::DQUOT) => "; raise the quota or free space, then start again",
        Some(Errno::IO) => "; the disk failed: look in the kernel's log and at the disk before you start again",
        Some(Errno::ROFS) => "; the disk is mounted read-only, often after a fault: look in the kernel's log",
        Some(Errno::ACCESS | Errno::PERM) => "; give this user the right to it",
        Some(Errno::MFILE | Errno::NFILE) => "; raise the limit on open files",
        _ => "",
    }
}

fn describe_change(expected: Option<&[u8]>, found: Option<&[u8]>) -> String {
    match (expected, found) {
        (None, Some(found)) => format!("it had to be absent and holds {} bytes", found.len()),
        (Some(expected), None) => format!("it had to hold {} bytes and is gone", expected.len()),
        (Some(expected), Some(found)) if expected.len() == found.len() => {
            format!("it holds {} other bytes", found.len())
        }
        (Some(expected), Some(found)) => {
            format!("it had to hold {} bytes and holds {} others", expected.len(), found.len())
        }
        (None, None) => "it had to be absent, and came and went".to_owned(),
    }
}
