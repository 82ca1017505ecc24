//! The files of a backup that hold no key and are not the journal's.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use host::FileError;
use tlog::{Prover, SignedCheckpoint, Tile, tiles_of};

use super::{BackedUp, Backup, BackupError, STEP};
use crate::entries::{Entries, FILE_ENTRIES, file_name};
use crate::settings::{Settings, SettingsError};
use crate::snapshot::Snapshot;
use crate::unfinished::Unfinished;

/// Bytes of an entry, and of a hash in a tile.
const DIGEST_BYTES: u64 = 32;

impl Backup<'_> {
    /// The folder is new or empty, or a backup of this trail, whole or not.
    pub(super) fn is_of_this_trail(&self) -> Result<(), BackupError> {
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
    pub(super) fn is_later(&self, snapshot: &Snapshot) -> Result<(), BackupError> {
        let Some(bytes) = self.host.read_if_there(self.to.checkpoint(), STEP)? else { return Ok(()) };
        let not_ours = |what: String| BackupError::NotOurPast { folder: self.to.root().to_owned(), what };
        let there = SignedCheckpoint::open(&bytes, std::slice::from_ref(&self.key))
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
    pub(super) fn copy_what_stays(&self, snapshot: &Snapshot, done: &mut BackedUp) -> Result<(), BackupError> {
        let Backup { host, folder, to, .. } = self;
        for path in [to.entries(), to.tiles(), to.journal(), to.lake().join("_delta_log")] {
            host.create_dir_all(path, STEP)?;
        }
        for file in snapshot.lake().files() {
            self.copy(&folder.lake().join(&file.path), &to.lake().join(&file.path), file.bytes, done)?;
        }
        self.copy_full(snapshot.sealed(), done)
    }

    /// Full files of entries and full tiles, in a log of so many records. The last file of entries has its name before it is
    /// full: an older backup may have it shorter.
    fn copy_full(&self, size: u64, done: &mut BackedUp) -> Result<(), BackupError> {
        let Backup { host, folder, to, .. } = self;
        for first in (0..size / FILE_ENTRIES).map(|file| file * FILE_ENTRIES) {
            let (name, length) = (file_name(first), FILE_ENTRIES * DIGEST_BYTES);
            self.copy(&folder.entries().join(&name), &to.entries().join(&name), length, done)?;
        }
        for tile in tiles_of(size).filter(|tile| tile.level() > 0 && tile.is_full()) {
            let (from, copy) = (folder.root().join(tile.to_string()), to.root().join(tile.to_string()));
            if let Some(above) = copy.parent() {
                host.create_dir_all(above, STEP)?;
            }
            match self.copy(&from, &copy, u64::from(Tile::FULL_WIDTH) * DIGEST_BYTES, done) {
                // It follows from the entries, and verify says that it is missing.
                Err(error) if error.is_not_found() => {}
                copied => copied?,
            }
        }
        Ok(())
    }

    /// Copies a file that never changes and has this length, unless it is there. What is there is replaced at once: until the
    /// folder is marked it may be a good backup's.
    fn copy(&self, from: &Path, to: &Path, length: u64, done: &mut BackedUp) -> Result<(), FileError> {
        let there = match self.host.open_read(to, STEP) {
            Err(error) if error.is_not_found() => None,
            opened => Some(opened?.len()?),
        };
        if there == Some(length) {
            done.kept += 1;
            return Ok(());
        }
        done.bytes += self.host.copy_over(from, to, STEP)?;
        done.copied += 1;
        Ok(())
    }

    /// What a later backup has otherwise: settings, the entries that fill no file, the table's log, the checkpoint. What this
    /// one does not name is removed.
    pub(super) fn put_what_changes(&self, snapshot: &Snapshot) -> Result<(), BackupError> {
        let Backup { host, settings, to, .. } = self;
        host.replace(to.settings(), &settings.to_json(), STEP, None)?;
        self.put_last_entries(&snapshot.entries(), snapshot.sealed())?;
        let mut log = BTreeSet::new();
        for from in snapshot.lake().log_files()? {
            let copy = to.lake().join("_delta_log").join(from.file_name().unwrap_or_default());
            // A trail that was put back and went on has other versions under the same names.
            if !self.is_same(&from, &copy)? {
                host.copy_over(&from, &copy, STEP)?;
            }
            log.insert(copy);
        }
        self.remove_others(&to.lake().join("_delta_log"), &log)?;
        let files: BTreeSet<PathBuf> = snapshot.lake().files().iter().map(|file| to.lake().join(&file.path)).collect();
        let log = to.lake().join("_delta_log");
        self.remove_others(&to.lake(), &files.into_iter().chain([log]).collect())?;
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

    /// Whether two files of the table's log are the same. They are small.
    fn is_same(&self, one: &Path, other: &Path) -> Result<bool, FileError> {
        let there = self.host.read_if_there(other, STEP)?;
        Ok(there.is_some() && there == self.host.read_if_there(one, STEP)?)
    }

    pub(super) fn put_or_remove(&self, path: &Path, bytes: Option<&[u8]>) -> Result<(), FileError> {
        match bytes {
            Some(bytes) => self.host.replace(path, bytes, STEP, None),
            None => match self.host.remove(path, STEP) {
                Err(error) if !error.is_not_found() => Err(error),
                _ => Ok(()),
            },
        }
    }

    /// Removes whatever of a folder is not named.
    pub(super) fn remove_others(&self, folder: &Path, named: &BTreeSet<PathBuf>) -> Result<(), BackupError> {
        for path in self.host.list(folder, STEP)?.iter().filter(|path| !named.contains(*path)) {
            self.host.remove(path, STEP)?;
        }
        Ok(self.host.sync_dir(folder, STEP)?)
    }
}

#[cfg(test)]
mod tests {
    use host::Host;

    use super::*;
    use crate::folder::Folder;

    /// The last file of entries fills up between two backups: it has the name that the shorter one had.
    #[test]
    fn a_file_of_entries_that_was_not_full_is_copied_again() {
        let (host, temp) = (Host::system(), tempfile::tempdir().unwrap());
        let (folder, to) = (Folder::new(temp.path().join("trail")), Folder::new(temp.path().join("backup")));
        let full = vec![7; (FILE_ENTRIES * DIGEST_BYTES) as usize];
        for (folder, bytes) in [(&folder, &full[..]), (&to, &full[..320])] {
            host.create_dir_all(folder.entries(), "test").unwrap();
            host.put_new(folder.entries().join(file_name(0)), bytes, "test").unwrap();
        }
        let key = tlog::SigningKey::from_seed(tlog::KeyName::new("example.com/t").unwrap(), &[1; 32]).unwrap();
        let key = key.verifier_key();
        let settings = Settings {
            format: crate::settings::FORMAT,
            origin: "example.com/t".to_owned(),
            log_key: key.to_string(),
            created: String::new(),
            encryption: crate::settings::OPEN.to_owned(),
        };
        let backup = Backup { host: &host, folder: &folder, settings: &settings, key, to: &to, keys: None };
        let mut done = BackedUp { origin: String::new(), records: 0, copied: 0, bytes: 0, kept: 0, keys: None };
        backup.copy_full(FILE_ENTRIES + 5, &mut done).unwrap();
        assert_eq!((done.copied, done.kept), (1, 0));
        assert_eq!(std::fs::read(to.entries().join(file_name(0))).unwrap(), full);
        backup.copy_full(FILE_ENTRIES + 5, &mut done).unwrap();
        assert_eq!((done.copied, done.kept), (1, 1));
    }
}
