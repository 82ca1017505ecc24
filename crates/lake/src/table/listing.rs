//! What stands in the log's folder, by name: entries, checkpoints, and the file that names the newest checkpoint.
//!
//! A table is read from its newest checkpoint, or from entry 0 if there is none, and from every entry after it. What
//! is older than the two newest checkpoints is what a clean-up has not come to: nothing is read from it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use parquet::file::reader::{ChunkReader as _, Length as _};
use serde::{Deserialize, Serialize};

use super::contents::Contents;
use super::{Table, TableError};
use crate::settle::name_of;
use crate::source::Source;
use crate::store::STEP;

/// What Delta calls the file that says which checkpoint is the newest.
const LAST_CHECKPOINT: &str = "_last_checkpoint";

/// Bytes that it may have. Ours has some 80.
const LAST_CHECKPOINT_BYTES_MAX: u64 = 4096;

/// A file of the log that this crate writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Entry(u64),
    Checkpoint(u64),
    LastCheckpoint,
}

impl Named {
    /// What `name` is, if it is exactly as [`Named::name`] makes it.
    pub(super) fn read(name: &str) -> Option<Self> {
        if name == LAST_CHECKPOINT {
            return Some(Self::LastCheckpoint);
        }
        let (digits, rest) = name.split_at_checked(20)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // Delta has it that versions are what a signed 64-bit integer holds.
        let version = u64::try_from(digits.parse::<i64>().ok()?).ok()?;
        match rest {
            ".json" => Some(Self::Entry(version)),
            ".checkpoint.parquet" => Some(Self::Checkpoint(version)),
            _ => None,
        }
    }

    pub(super) fn name(self) -> String {
        match self {
            Self::Entry(version) => format!("{version:020}.json"),
            Self::Checkpoint(version) => format!("{version:020}.checkpoint.parquet"),
            Self::LastCheckpoint => LAST_CHECKPOINT.to_owned(),
        }
    }
}

/// What `_last_checkpoint` says. Any other field would be one that another engine goes by and this crate does not check
/// (T26), such as the schema of the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LastCheckpoint {
    pub version: u64,
    /// Actions in it.
    pub size: u64,
    pub size_in_bytes: u64,
    pub num_of_add_files: u64,
}

impl LastCheckpoint {
    pub(super) fn of(version: u64, contents: &Contents, size_in_bytes: u64) -> Self {
        Self { version, size: contents.actions(), size_in_bytes, num_of_add_files: contents.adds.len() as u64 }
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }
}

/// The names in a log's folder, at one moment.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub entries: BTreeSet<u64>,
    pub checkpoints: BTreeSet<u64>,
    pub last: Option<LastCheckpoint>,
}

impl Listing {
    /// Whether there is anything to read a table from.
    pub(super) fn is_a_table(&self) -> bool {
        self.base().is_some() || self.entries.contains(&0)
    }

    /// The checkpoint to read the table from.
    pub(super) fn base(&self) -> Option<u64> {
        self.checkpoints.last().copied()
    }

    /// The oldest checkpoint that is kept: the older of the two newest.
    pub(super) fn kept(&self) -> Option<u64> {
        self.checkpoints.iter().rev().nth(1).copied()
    }

    /// The first version between `base` and `end` that has no entry, or nothing if each has one.
    fn gap(&self, base: u64, end: u64) -> Option<u64> {
        let mut there = self.entries.range(base..=end).copied();
        (base..=end).find(|version| there.next() != Some(*version))
    }

    /// Whether the table of `version` can be made without a checkpoint of that version: from an older one, or from the
    /// very first entry.
    pub(super) fn leads_to(&self, version: u64) -> bool {
        let older = self.checkpoints.range(..version).next_back().copied();
        self.gap(older.unwrap_or(0), version).is_none()
    }

    /// What nothing is read from, in the order in which it may be removed: the newest first. What is left at any moment
    /// is then a log from its beginning up to some version, in which a reader of an old version finds that version or
    /// none, and never one that is made of a part of its entries.
    pub(super) fn surplus(&self) -> Vec<Named> {
        let Some(kept) = self.kept() else { return Vec::new() };
        let entries = self.entries.range(..kept).map(|version| (*version, Named::Entry(*version)));
        let checkpoints = self.checkpoints.range(..kept).map(|version| (*version, Named::Checkpoint(*version)));
        let mut surplus: Vec<(u64, Named)> = checkpoints.chain(entries).collect();
        // A version's entry goes before its checkpoint, from which alone the version can still be read.
        surplus.sort_by_key(|(version, named)| (std::cmp::Reverse(*version), matches!(named, Named::Checkpoint(_))));
        surplus.into_iter().map(|(_, named)| named).collect()
    }
}

impl Table {
    /// Lists the log. Anything in it that this crate does not write could show another engine another table (T26).
    pub(super) fn listing(&self) -> Result<Listing, TableError> {
        // Before the names, since a writer that is running names no checkpoint that is not there.
        let last = self.last_checkpoint()?;
        let mut listing = Listing { last, ..Listing::default() };
        let paths = match self.host.list(self.log_folder(), STEP) {
            Err(error) if error.is_not_found() => Vec::new(),
            paths => paths.map_err(|error| TableError::File(Arc::new(error)))?,
        };
        for path in paths.iter().filter(|path| !host::is_temporary(path)) {
            match Named::read(name_of(path)) {
                Some(Named::Entry(version)) => drop(listing.entries.insert(version)),
                Some(Named::Checkpoint(version)) => drop(listing.checkpoints.insert(version)),
                Some(Named::LastCheckpoint) => {}
                None => {
                    let found = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    let ours = "<20 digits>.json, <20 digits>.checkpoint.parquet and _last_checkpoint alone";
                    return Err(self.foreign("a file", found, ours));
                }
            }
        }
        Ok(listing)
    }

    /// Every entry stands there that the newest version is read from.
    pub(super) fn is_whole(&self, listing: &Listing) -> Result<(), TableError> {
        if !listing.is_a_table() {
            return Err(self.missing());
        }
        let base = listing.base().unwrap_or(0);
        let newest = listing.entries.last().copied().unwrap_or(0).max(base);
        if let Some(version) = listing.gap(base, newest) {
            return Err(TableError::Gap { folder: self.folder.clone(), version });
        }
        if let Some(last) = listing.last.filter(|last| !listing.checkpoints.contains(&last.version)) {
            return Err(self.wrong(last.version, "is named by _last_checkpoint and is not there"));
        }
        Ok(())
    }

    /// The files of the log that the table of `version` is read and proven from. The one that names the newest checkpoint
    /// is not among them: it may name a later one by now, and a table is read without it too.
    pub(crate) fn log_up_to(&self, version: u64) -> Result<Vec<PathBuf>, TableError> {
        let listing = self.listing()?;
        let entries = listing.entries.range(..=version).map(|version| Named::Entry(*version));
        let checkpoints = listing.checkpoints.range(..=version).map(|version| Named::Checkpoint(*version));
        Ok(entries.chain(checkpoints).map(|named| self.file(named)).collect())
    }

    fn last_checkpoint(&self) -> Result<Option<LastCheckpoint>, TableError> {
        let bytes = match Source::open_as(&self.host, &self.file(Named::LastCheckpoint), STEP) {
            Err(error) if error.is_not_found() => return Ok(None),
            source => {
                let source = source.map_err(|error| TableError::File(Arc::new(error)))?;
                let length = source.len().min(LAST_CHECKPOINT_BYTES_MAX + 1) as usize;
                source.get_bytes(0, length).map_err(|error| self.foreign(LAST_CHECKPOINT, error, "a file"))?
            }
        };
        let ours = r#"{"version":…,"size":…,"sizeInBytes":…,"numOfAddFiles":…}"#;
        let bad = |error: String| self.foreign(LAST_CHECKPOINT, error, ours);
        if bytes.len() as u64 > LAST_CHECKPOINT_BYTES_MAX {
            return Err(bad(format!("more than {LAST_CHECKPOINT_BYTES_MAX} bytes")));
        }
        LastCheckpoint::read(&bytes).map(Some).map_err(bad)
    }

    /// Where a file of the log is.
    pub(super) fn file(&self, named: Named) -> PathBuf {
        self.log_folder().join(named.name())
    }

    pub(super) fn foreign(&self, field: &str, found: impl ToString, expected: &str) -> TableError {
        TableError::Foreign {
            folder: self.folder.clone(),
            field: field.to_owned(),
            found: found.to_string(),
            expected: expected.to_owned(),
        }
    }

    /// A checkpoint is not what it should be.
    pub(super) fn wrong(&self, version: u64, what: impl ToString) -> TableError {
        TableError::Checkpoint { folder: self.folder.clone(), version, what: what.to_string() }
    }
}
