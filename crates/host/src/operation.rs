//! The system calls a host makes, by name.

use std::fmt;

/// What was asked of the machine: the second half of a fault point, and the verb of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Make one folder.
    MakeFolder,
    /// Fsync a folder, so that the entries made, renamed or removed in it are durable.
    SyncFolder,
    /// Create a file that must not be there yet.
    Create,
    /// Open a file that is there.
    Open,
    /// Read bytes at an offset.
    Read,
    /// Write bytes at an offset.
    Write,
    /// Fsync a file's bytes and its length, but not its times.
    SyncData,
    /// Fsync a file's bytes and all of its metadata.
    SyncAll,
    /// Reserve space for a range of a file.
    Allocate,
    /// Cut or extend a file.
    SetLength,
    /// Ask for a file's length.
    Length,
    /// Set who may read and write a file.
    SetMode,
    /// Give a file another name.
    Rename,
    /// Remove a file.
    Remove,
    /// Take the lock of a file.
    Lock,
    /// List a folder.
    List,
}

impl Operation {
    /// The name in a fault point: `journal.fdatasync`, `checkpoint.rename`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Operation::MakeFolder => "mkdir",
            Operation::SyncFolder => "fsync-folder",
            Operation::Create => "create",
            Operation::Open => "open",
            Operation::Read => "read",
            Operation::Write => "write",
            Operation::SyncData => "fdatasync",
            Operation::SyncAll => "fsync",
            Operation::Allocate => "allocate",
            Operation::SetLength => "set-length",
            Operation::Length => "length",
            Operation::SetMode => "set-mode",
            Operation::Rename => "rename",
            Operation::Remove => "remove",
            Operation::Lock => "lock",
            Operation::List => "list",
        }
    }

    /// The fault point of this operation within `step`.
    #[must_use]
    pub fn point(self, step: &str) -> String {
        format!("{step}.{}", self.name())
    }

    const fn verb(self) -> &'static str {
        match self {
            Operation::MakeFolder => "make folder",
            Operation::SyncFolder => "fsync folder",
            Operation::SyncData | Operation::SyncAll => "fsync",
            Operation::Allocate => "reserve space for",
            Operation::SetLength => "set the length of",
            Operation::Length => "read the length of",
            Operation::SetMode => "set the mode of",
            other => other.name(),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb())
    }
}
