//! Backing a trail up: a folder that holds what its newest checkpoint covers, and its keys in another one.
//!
//! A backup is a trail's folder, and is read and verified as one. Making it takes no lock and stops nobody: it is made from
//! a reader's snapshot, whose files stay as long as it lives. What never changes is copied first, beside the older backup
//! that may be there; then the folder is marked as unfinished, and the rest is put in place: the table's log, the journal,
//! the checkpoint. The keys come last, and a segment that was released meanwhile may have lost its own, so that part is done
//! again then.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use host::{FileError, Host};
use keys::{CopiedKeys, Keyring, KeyringError, Place};
use tlog::{Prover, SignedCheckpoint, VerifierKey, tiles_of};

use crate::entries::{Entries, EntriesError, FILE_ENTRIES, file_name};
use crate::folder::Folder;
use crate::reader::{ReadError, Reader};
use crate::settings::{ENCRYPTED, Settings, SettingsError};
use crate::signing_key::{KeyFolder, name_of};
use crate::snapshot::Snapshot;
use crate::unfinished::Unfinished;

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
    /// Its keys cannot be copied.
    #[error(transparent)]
    Keys(#[from] KeyringError),
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
    let backup = Backup { host, folder, settings: &settings, to };
    backup.is_of_this_trail()?;
    host.create_dir_all(to.root(), STEP)?;
    let mut done = BackedUp { origin: settings.origin.clone(), records: 0, copied: 0, bytes: 0, kept: 0, keys: None };
    for _ in 0..TRIES {
        // Keeps the lake's files, their keys and the table's log in place.
        let snapshot = Reader::new(host, folder).snapshot()?;
        backup.is_later(&snapshot)?;
        (done.records, done.kept) = (snapshot.sealed(), 0);
        backup.copy_what_stays(&snapshot, &mut done)?;
        Unfinished::Backup { origin: settings.origin.clone() }.put(host, to)?;
        backup.put_what_changes(&snapshot)?;
        let Some(segments) = backup.copy_journal(&mut done)? else { continue };
        done.keys = match keys.zip(keys_to) {
            Some((keys, keys_to)) => {
                let key = settings.verifier_key().map_err(|error| BackupError::LogKey(error.to_string()))?;
                copy_keys(host, &key, keys, keys_to)?
            }
            None => None,
        };
        // A segment's key is destroyed after the segment is removed: if all are here, all keys were copied.
        if segments.iter().all(|segment| segment.exists()) {
            Unfinished::done(host, to)?;
            return Ok(done);
        }
    }
    Err(BackupError::Outrun)
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

/// Copies all that a folder of keys has of a trail.
pub(crate) fn copy_keys(
    host: &Host,
    key: &VerifierKey,
    from: &KeyFolder,
    to: &KeyFolder,
) -> Result<Option<CopiedKeys>, KeyringError> {
    let name = name_of(key);
    host.create_dir_all(&to.0, STEP)?;
    let copied = match Keyring::encrypts_at(host, &from.0, &name)? {
        Some(_) => {
            let (from, to) = (Place { folder: &from.0, name: &name }, Place { folder: &to.0, name: &name });
            Some(Keyring::copy(host, from, to, None)?)
        }
        None => None,
    };
    for of in [KeyFolder::path, KeyFolder::last_signed_path, KeyFolder::lake_reached_path] {
        if let Some(bytes) = host.read_if_there(of(from, key), STEP)? {
            let bytes = zeroize::Zeroizing::new(bytes);
            host.replace(of(to, key), &bytes, STEP, Some(0o600))?;
        }
    }
    Ok(copied)
}

/// A path without links, as far as it is there.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    there.map_or(path.clone(), |(above, real)| match path.strip_prefix(above) {
        Ok(rest) if rest.as_os_str().is_empty() => real,
        Ok(rest) => real.join(rest),
        Err(_) => path.clone(),
    })
}

struct Backup<'a> {
    host: &'a Host,
    folder: &'a Folder,
    settings: &'a Settings,
    to: &'a Folder,
}

impl Backup<'_> {
    /// The folder is new or empty, or a backup of this trail, whole or not.
    fn is_of_this_trail(&self) -> Result<(), BackupError> {
        let Backup { host, to, settings, .. } = self;
        let another = || BackupError::Another { folder: to.root().to_owned(), origin: settings.origin.clone() };
        match Unfinished::of(host, to)? {
            Some(Unfinished::Backup { origin }) if origin == settings.origin => return Ok(()),
            Some(_) => return Err(another()),
            None => {}
        }
        match Settings::read_whole(host, to) {
            Ok(there) if there == **settings => Ok(()),
            Ok(_) => Err(another()),
            Err(SettingsError::NotATrail(_)) => {
                let paths = match host.list(to.root(), STEP) {
                    Err(error) if error.is_not_found() => return Ok(()),
                    paths => paths?,
                };
                // What a first backup that was interrupted may have left.
                let ours = |path: &PathBuf| {
                    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                    matches!(name, "entries" | "tile" | "journal" | "lake") || host::is_temporary(path)
                };
                if paths.iter().all(ours) { Ok(()) } else { Err(another()) }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What is there already is this trail as it was (T3).
    fn is_later(&self, snapshot: &Snapshot) -> Result<(), BackupError> {
        let Some(bytes) = self.host.read_if_there(self.to.checkpoint(), STEP)? else { return Ok(()) };
        let not_ours = |what: String| BackupError::NotOurPast { folder: self.to.root().to_owned(), what };
        let key = self.settings.verifier_key().map_err(|error| BackupError::LogKey(error.to_string()))?;
        let there = SignedCheckpoint::open(&bytes, &[key])
            .map_err(|error| not_ours(format!("has no checkpoint of this log ({error})")))?;
        let (size, sealed) = (there.checkpoint().size(), snapshot.sealed());
        if size > sealed {
            return Err(not_ours(format!("covers {size} records, and the trail {sealed}")));
        }
        let root = Prover::new(snapshot.entries(), size).root();
        let root = root.map_err(|error| not_ours(format!("cannot be compared: {error}")))?;
        if root == there.checkpoint().root() { Ok(()) } else { Err(not_ours("holds other records".to_owned())) }
    }

    /// Data files, full files of entries and full tiles: whatever has such a name is that file for ever.
    fn copy_what_stays(&self, snapshot: &Snapshot, done: &mut BackedUp) -> Result<(), BackupError> {
        let Backup { host, folder, to, .. } = self;
        for path in [to.entries(), to.tiles(), to.journal(), to.lake().join("_delta_log")] {
            host.create_dir_all(path, STEP)?;
        }
        for file in snapshot.lake().files() {
            self.copy(&folder.lake().join(&file.path), &to.lake().join(&file.path), Some(file.bytes), done)?;
        }
        let size = snapshot.sealed();
        for first in (0..size / FILE_ENTRIES).map(|file| file * FILE_ENTRIES) {
            let name = file_name(first);
            self.copy(&folder.entries().join(&name), &to.entries().join(&name), None, done)?;
        }
        for tile in tiles_of(size).filter(|tile| tile.level() > 0 && tile.is_full()) {
            let (from, copy) = (folder.root().join(tile.to_string()), to.root().join(tile.to_string()));
            if let Some(above) = copy.parent() {
                host.create_dir_all(above, STEP)?;
            }
            match self.copy(&from, &copy, None, done) {
                // It follows from the entries, and verify says that it is missing.
                Err(error) if error.is_not_found() => {}
                copied => copied?,
            }
        }
        Ok(())
    }

    /// Copies a file that never changes, unless it is there.
    fn copy(&self, from: &Path, to: &Path, length: Option<u64>, done: &mut BackedUp) -> Result<(), FileError> {
        let there = match self.host.open_read(to, STEP) {
            Err(error) if error.is_not_found() => None,
            opened => Some(opened?.len()?),
        };
        match there {
            Some(there) if length.is_none_or(|length| length == there) => {
                done.kept += 1;
                return Ok(());
            }
            Some(_) => self.host.remove(to, STEP)?,
            None => {}
        }
        done.bytes += self.host.copy_new(from, to, STEP)?;
        done.copied += 1;
        Ok(())
    }

    /// What a later backup has otherwise: settings, the entries that fill no file, the table's log, the checkpoint, an
    /// erasure that is under way. What this one does not name is removed.
    fn put_what_changes(&self, snapshot: &Snapshot) -> Result<(), BackupError> {
        let Backup { host, folder, settings, to } = self;
        host.replace(to.settings(), &settings.to_json(), STEP, None)?;
        self.put_last_entries(&snapshot.entries(), snapshot.sealed())?;
        let mut log = BTreeSet::new();
        for from in snapshot.lake().log_files()? {
            let copy = to.lake().join("_delta_log").join(from.file_name().unwrap_or_default());
            match host.copy_new(&from, &copy, STEP) {
                Ok(_) | Err(FileError::AlreadyExists { .. }) => drop(log.insert(copy)),
                Err(error) => return Err(error.into()),
            }
        }
        self.remove_others(&to.lake().join("_delta_log"), &log)?;
        let files: BTreeSet<PathBuf> = snapshot.lake().files().iter().map(|file| to.lake().join(&file.path)).collect();
        let log = to.lake().join("_delta_log");
        self.remove_others(&to.lake(), &files.into_iter().chain([log]).collect())?;
        self.put_or_remove(&to.erasure(), host.read_if_there(folder.erasure(), STEP)?.as_deref())?;
        let checkpoint = snapshot.checkpoint().map(|signed| signed.to_string());
        self.put_or_remove(&to.checkpoint(), checkpoint.as_deref().map(str::as_bytes))?;
        Ok(())
    }

    fn put_last_entries(&self, entries: &Entries, size: u64) -> Result<(), BackupError> {
        let first = size - size % FILE_ENTRIES;
        let digests = entries.read(first, size)?;
        let bytes: Vec<u8> = digests.iter().flat_map(|digest| digest.0).collect();
        let mut named: BTreeSet<PathBuf> =
            (0..size / FILE_ENTRIES).map(|file| self.to.entries().join(file_name(file * FILE_ENTRIES))).collect();
        if !bytes.is_empty() {
            let path = self.to.entries().join(file_name(first));
            self.host.replace(&path, &bytes, STEP, None)?;
            named.insert(path);
        }
        self.remove_others(&self.to.entries(), &named)
    }

    /// Copies the journal; gives the segments, or nothing if one was released meanwhile.
    fn copy_journal(&self, done: &mut BackedUp) -> Result<Option<Vec<PathBuf>>, BackupError> {
        let (host, to) = (self.host, self.to.journal());
        let is_segment = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "journal");
        let segments: Vec<PathBuf> = host.list(self.folder.journal(), STEP)?.into_iter().filter(is_segment).collect();
        let mut named = BTreeSet::new();
        for segment in &segments {
            let copy = to.join(segment.file_name().unwrap_or_default());
            match host.remove(&copy, STEP) {
                Err(error) if !error.is_not_found() => return Err(error.into()),
                _ => {}
            }
            match host.copy_new(segment, &copy, STEP) {
                Err(error) if error.is_not_found() => return Ok(None),
                copied => done.bytes += copied?,
            }
            done.copied += 1;
            named.insert(copy);
        }
        self.remove_others(&to, &named)?;
        Ok(Some(segments))
    }

    fn put_or_remove(&self, path: &Path, bytes: Option<&[u8]>) -> Result<(), FileError> {
        match bytes {
            Some(bytes) => self.host.replace(path, bytes, STEP, None),
            None => match self.host.remove(path, STEP) {
                Err(error) if !error.is_not_found() => Err(error),
                _ => Ok(()),
            },
        }
    }

    /// Removes whatever of a folder is not named.
    fn remove_others(&self, folder: &Path, named: &BTreeSet<PathBuf>) -> Result<(), BackupError> {
        for path in self.host.list(folder, STEP)?.iter().filter(|path| !named.contains(*path)) {
            self.host.remove(path, STEP)?;
        }
        Ok(self.host.sync_dir(folder, STEP)?)
    }
}
