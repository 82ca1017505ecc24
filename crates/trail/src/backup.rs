//! Backing a trail up: a folder that holds what its newest checkpoint covers, and its keys in another one.
//!
//! A backup is a trail's folder, and is read and verified as one. Making it takes no lock and stops nobody: it is made from
//! a reader's snapshot, whose files stay as long as it lives. What never changes is copied first, beside the older backup
//! that may be there; then the folder is marked as unfinished, and the rest is put in place: the table's log, the checkpoint,
//! the journal, an erasure that is under way. The keys come last. Whatever the writer did meanwhile that makes these parts
//! not of one time is found after, and they are copied again.

mod files;
mod journal;
mod key_folder;

use std::path::{Path, PathBuf};

use ::journal::ReadError as JournalError;
use host::{FileError, Host};
use keys::{CopiedKeys, KeyringError};
use tlog::VerifierKey;

use crate::entries::EntriesError;
use crate::folder::Folder;
use crate::keyring::KeysError;
use crate::lock::{Lock, LockError};
use crate::reader::{ReadError, Reader};
use crate::settings::{ENCRYPTED, Settings, SettingsError};
use crate::signing_key::{KeyFolder, SigningKeyError};
use crate::unfinished::Unfinished;

pub(crate) use key_folder::{check_copy, copy_keys, needed, signing_key};

/// Fault points are `backup.<operation>`.
pub(crate) const STEP: &str = "backup";

/// How often it is begun anew when the writer released a segment of the journal meanwhile. It does so once a minute, or
/// after 64 MiB; what has to be done again is short.
const TRIES: usize = 20;

/// What a backup came to.
#[derive(Debug, Clone)]
pub struct BackedUp {
    /// The log.
    pub origin: String,
    /// Records under the backup's checkpoint.
    pub records: u64,
    /// Files that were copied, and their bytes.
    pub copied: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Files that were there already, from an older backup.
    pub kept: u64,
    /// The keys, if they were backed up too.
    pub keys: Option<CopiedKeys>,
}

/// Why there is no backup, or none that is whole.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It is no trail.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its digests cannot be read.
    #[error(transparent)]
    Entries(#[from] EntriesError),
    /// The lake's log cannot be read.
    #[error(transparent)]
    Lake(#[from] lake::TableError),
    /// Its journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Its keys cannot be had.
    #[error(transparent)]
    OpenKeys(#[from] KeysError),
    /// Its keys cannot be copied. What was copied of them before is as it was, if not the disk refused.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// Its signing key is not what it should be, and replaces no copy of it.
    #[error(transparent)]
    SigningKey(#[from] SigningKeyError),
    /// The folder is being made by another process.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The trail names no usable key of its log.
    #[error("its log key is malformed: {0}")]
    LogKey(String),
    /// Without its keys a backup of an encrypted trail is worth nothing as soon as the trail is compacted.
    #[error(
        "the trail is encrypted, and the keys of files are destroyed as they are replaced: a backup without keys of the same \
         time cannot be read; name a folder for them, in another place, with --keys"
    )]
    NeedsKeys,
    /// One of the folders is in another.
    #[error("{} and {} are not apart: a copy of the one would be a copy of both; name another folder", one.display(), other.display())]
    NotApart {
        /// A folder.
        one: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// The folder holds something else.
    #[error("{} holds something else than a backup of {origin}; nothing was changed; name a new folder", folder.display())]
    Another {
        /// The folder.
        folder: PathBuf,
        /// The log that should be backed up.
        origin: String,
    },
    /// The backup that is there is not of this trail's past (T2, T3).
    #[error(
        "the backup in {} {what}: trail and backup are not one history, and the backup was left as it is; verify both", folder.display()
    )]
    NotOurPast {
        /// The folder.
        folder: PathBuf,
        /// How they differ.
        what: String,
    },
    /// The keys know of a newer trail than this one (T3).
    #[error("{} is an older copy of the trail: {what}; nothing was changed; back up the newest one", folder.display())]
    OlderCopy {
        /// The trail.
        folder: PathBuf,
        /// What its keys know.
        what: String,
    },
    /// The writer was faster, again and again.
    #[error("the writer released what was being copied, {TRIES} times; try again, or when less is appended")]
    Outrun,
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Brings `to` to the trail as it stands, and `keys_to` to its keys. Whatever stops it, the same call goes on with it; until
/// then `to` is the older backup, or is opened by nobody.
pub fn backup(
    host: &Host,
    folder: &Folder,
    keys: Option<&KeyFolder>,
    to: &Folder,
    keys_to: Option<&KeyFolder>,
) -> Result<BackedUp, BackupError> {
    let settings = Settings::read(host, folder)?;
    if settings.encryption == ENCRYPTED && keys_to.is_none() {
        return Err(BackupError::NeedsKeys);
    }
    let key_folders = keys.into_iter().chain(keys_to).map(KeyFolder::path_of_folder);
    apart(&[folder.root(), to.root()], &key_folders.collect::<Vec<_>>())?;
    let key = settings.verifier_key().map_err(|error| BackupError::LogKey(error.to_string()))?;
    let _alone = Lock::beside(host, &resolved(to.root()))?;
    let backup = Backup { host, folder, settings: &settings, key, to, keys: keys.zip(keys_to) };
    backup.is_of_this_trail()?;
    backup.check_keys()?;
    host.create_dir_all(to.root(), STEP)?;
    let mut done = BackedUp { origin: settings.origin.clone(), records: 0, copied: 0, bytes: 0, kept: 0, keys: None };
    for _ in 0..TRIES {
        if backup.is_made(&mut done)? {
            Unfinished::done(host, to)?;
            return Ok(done);
        }
    }
    Err(BackupError::Outrun)
}

struct Backup<'a> {
    host: &'a Host,
    folder: &'a Folder,
    settings: &'a Settings,
    key: VerifierKey,
    to: &'a Folder,
    /// The trail's keys, and where they are copied to.
    keys: Option<(&'a KeyFolder, &'a KeyFolder)>,
}

impl Backup<'_> {
    /// Makes the backup, and says whether all of it is of one time.
    fn is_made(&self, done: &mut BackedUp) -> Result<bool, BackupError> {
        let known = self.known_to_keys()?;
        // Keeps the lake's files, their keys and the table's log in place.
        let snapshot = Reader::new(self.host, self.folder).snapshot()?;
        self.is_newest(&known, &snapshot)?;
        self.is_later(&snapshot)?;
        (done.records, done.kept) = (snapshot.sealed(), 0);
        self.copy_what_stays(&snapshot, done)?;
        Unfinished::Backup { origin: self.settings.origin.clone() }.put(self.host, self.to)?;
        self.put_what_changes(&snapshot)?;
        let Some(segments) = self.copy_journal(&snapshot, done)? else { return Ok(false) };
        // After the journal, which has the record that declares it.
        let erasure = self.host.read_if_there(self.folder.erasure(), STEP)?;
        self.put_or_remove(&self.to.erasure(), erasure.as_deref())?;
        let copied = self.copy_keys(&snapshot, &segments, erasure.is_some());
        // A key is destroyed after its file is removed: if all are here, all keys were copied.
        let stands = segments.iter().all(|segment| segment.exists())
            && self.host.read_if_there(self.folder.erasure(), STEP)? == erasure;
        if !stands {
            return Ok(false);
        }
        done.keys = copied?;
        self.keys_are_of(&snapshot)
    }
}

/// Refuses folders of records and of keys that are in one another.
pub(crate) fn apart(records: &[&Path], keys: &[&Path]) -> Result<(), BackupError> {
    let all: Vec<PathBuf> = records.iter().chain(keys).map(|path| resolved(path)).collect();
    for (at, one) in all.iter().enumerate() {
        if let Some(other) = all[at + 1..].iter().find(|other| one.starts_with(other) || other.starts_with(one)) {
            return Err(BackupError::NotApart { one: one.clone(), other: other.clone() });
        }
    }
    Ok(())
}

/// A path without links, as far as it is there.
pub(crate) fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    there.map_or(path.clone(), |(above, real)| match path.strip_prefix(above) {
        Ok(rest) if rest.as_os_str().is_empty() => real,
        Ok(rest) => real.join(rest),
        Err(_) => path.clone(),
    })
}
