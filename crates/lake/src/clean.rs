//! Removes data files that no version needs any more: those that a rewrite replaced, and those that one did not finish.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use host::FileError;

use crate::manifest::NameOf;
use crate::readers::ReadersLock;
use crate::settle::{Lake, is_sync, name_of};
use crate::table::{Dead, TableError};
use crate::writer::STEP;

/// Why files were not removed, or not all of them.
#[derive(Debug, thiserror::Error)]
pub enum CleanError {
    /// A live file is missing, so one that no version names may be all that is left of its records.
    #[error(
        "file {file:?} of the table is not here, so nothing was removed; verify the trail, and restore the file from a copy"
    )]
    Missing {
        /// The live file.
        file: String,
    },
    /// The folder could not be listed, or a file not removed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The log could not be read.
    #[error(transparent)]
    Table(#[from] TableError),
}

impl CleanError {
    /// Whether the writer must stop and recover from what is on disk.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::File(error) => is_sync(error),
            Self::Table(error) => error.is_fatal(),
            Self::Missing { .. } => false,
        }
    }
}

/// What was cleaned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Files that were removed.
    pub removed: u64,
    /// Files that no version needs and that stay for now: someone reads them, or may.
    pub left: u64,
}

impl Lake {
    /// Removes the data files that no version needs: every record in them is below the watermark, and so in live files.
    /// A file stays as long as a snapshot of this lake names it, or someone in another process reads any (I14). One that a compaction replaced also stays for
    /// `grace` after that, for engines that tell nobody what they read; one that holds what was erased does not.
    ///
    /// Keys that an earlier call could not destroy are destroyed first, whether there is a file to remove or not.
    pub fn clean(&mut self, grace: Duration) -> Result<Cleaned, CleanError> {
        if let Some(keys) = self.snapshot().keys() {
            keys.destroy_owed()?;
        }
        let (dead, mut cleaned) = self.removable(grace)?;
        if dead.is_empty() {
            return Ok(cleaned);
        }
        let Some(_alone) = ReadersLock::take(self.table.host(), self.table.folder())? else {
            cleaned.left += dead.len() as u64;
            return Ok(cleaned);
        };
        let removed = self.remove(&dead, &mut cleaned);
        // Of what is gone no copy can be read from here on, wherever it is (T21); and of what could not be removed either.
        let destroyed = self.snapshot().keys().map(|keys| keys.destroy(dead.iter().map(|path| name_of(path))));
        removed?;
        destroyed.transpose()?;
        Ok(cleaned)
    }

    fn remove(&self, files: &[PathBuf], cleaned: &mut Cleaned) -> Result<(), FileError> {
        for path in files {
            match self.table.host().remove(path, STEP) {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => cleaned.removed += 1,
            }
        }
        self.table.host().sync_dir(self.table.folder(), STEP)
    }

    /// The files that may go, and how many may not yet.
    fn removable(&self, grace: Duration) -> Result<(Vec<PathBuf>, Cleaned), CleanError> {
        let snapshot = self.snapshot();
        let here = self.table.host().list(self.table.folder(), STEP)?;
        let live: HashSet<&str> = snapshot.files().iter().map(|file| file.path.as_str()).collect();
        let is_dead = |path: &&PathBuf| {
            let name = name_of(path);
            NameOf::read(name).is_some_and(|of| of.is_below(snapshot.watermark())) && !live.contains(name)
        };
        let dead: Vec<&PathBuf> = here.iter().filter(is_dead).collect();
        if dead.is_empty() {
            return Ok(Default::default());
        }
        let names: HashSet<&str> = here.iter().map(|path| name_of(path)).collect();
        if let Some(missing) = live.iter().find(|file| !names.contains(**file)) {
            return Err(CleanError::Missing { file: (*missing).to_owned() });
        }
        let versions: Vec<_> = self.versions().collect();
        let read: HashSet<&str> = versions.iter().flat_map(|v| &v.files).map(|file| file.path.as_str()).collect();
        let written = snapshot.in_progress().lock().clone();
        let removed: HashMap<String, Dead> =
            self.table.dead(snapshot.base())?.into_iter().map(|dead| (dead.path.clone(), dead)).collect();
        let since_ms = self.table.now_ms().saturating_sub(i64::try_from(grace.as_millis()).unwrap_or(i64::MAX));
        // What no commit removed was never live.
        let in_grace = |name: &str| removed.get(name).is_some_and(|dead| !dead.is_erased && dead.removed_ms > since_ms);
        let stays = |path: &&&PathBuf| {
            let name = name_of(path);
            read.contains(name) || written.contains(name) || in_grace(name)
        };
        let left = dead.iter().filter(stays).count() as u64;
        let may_go = dead.into_iter().filter(|path| !stays(&path)).cloned().collect();
        Ok((may_go, Cleaned { removed: 0, left }))
    }
}
