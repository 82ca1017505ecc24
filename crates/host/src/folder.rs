//! Folders, and the entries in them.

use std::fs::File;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::effect_log::Doing;
use crate::{FileError, Host, Operation};

impl Host {
    /// Makes `path` and every missing folder above it; durable when it returns. A folder that is there is no error.
    ///
    /// The entry of the lowest folder that was there already is fsynced too where that is allowed: a run that was
    /// killed may have made it and got no further.
    ///
    /// # Errors
    /// [`FileError::Io`]; some of the folders may then have been made. May be tried again, unless it was an fsync.
    pub fn create_dir_all(&self, path: impl AsRef<Path>, step: &'static str) -> Result<(), FileError> {
        self.create_dir_all_with_mode(path, step, 0o777)
    }

    /// As [`Host::create_dir_all`]; `mode`, less what the process masks, holds for each folder made, from its first moment on.
    ///
    /// # Errors
    /// As [`Host::create_dir_all`].
    pub fn create_dir_all_with_mode(
        &self,
        path: impl AsRef<Path>,
        step: &'static str,
        mode: u32,
    ) -> Result<(), FileError> {
        let path = path.as_ref();
        let missing: Vec<&Path> = path.ancestors().take_while(|at| !is_here(at) && !at.is_dir()).collect();
        let lowest_there = path.ancestors().nth(missing.len()).unwrap_or(path);
        if !is_here(lowest_there) {
            match self.sync_dir(parent(lowest_there), step) {
                // The folder above is not ours, or not one that is kept on a disk, and so neither is the entry in it.
                Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput) => {
                }
                result => result?,
            }
        }
        for folder in missing.into_iter().rev() {
            self.make_dir(folder, step, mode)?;
            self.sync_dir(parent(folder), step)?;
        }
        Ok(())
    }

    #[allow(clippy::disallowed_methods, reason = "this is the one place where folders of record are made")]
    fn make_dir(&self, folder: &Path, step: &'static str, mode: u32) -> Result<(), FileError> {
        let make = || self.logged(Doing::Create(folder), || std::fs::DirBuilder::new().mode(mode).create(folder));
        self.call(step, Operation::MakeFolder, folder, || match make() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
            result => result,
        })
    }

    /// Makes every entry created, renamed or removed in folder `path` so far durable.
    ///
    /// # Errors
    /// [`FileError::Io`]: **fatal**, as any failed fsync.
    pub fn sync_dir(&self, path: impl AsRef<Path>, step: &'static str) -> Result<(), FileError> {
        let path = path.as_ref();
        let sync = || File::open(path)?.sync_all();
        self.call(step, Operation::SyncFolder, path, || self.logged(Doing::SyncFolder(path), sync))
    }

    /// Renames `from` to `to`, over whatever file has that name. Durable after [`Host::sync_dir`] of both folders.
    ///
    /// # Errors
    /// [`FileError::Io`] naming `to`. May be tried again.
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>, step: &'static str) -> Result<(), FileError> {
        let (from, to) = (from.as_ref(), to.as_ref());
        #[allow(clippy::disallowed_methods, reason = "this is the one place where files of record are renamed")]
        let rename = || std::fs::rename(from, to);
        self.call(step, Operation::Rename, to, || self.logged(Doing::Rename(from, to), rename))
    }

    /// Removes the file `path`. Durable after [`Host::sync_dir`] of its folder.
    ///
    /// # Errors
    /// [`FileError::Io`]; [`FileError::is_not_found`] when it is not there, which a caller that removes again after a
    /// crash takes for done.
    pub fn remove(&self, path: impl AsRef<Path>, step: &'static str) -> Result<(), FileError> {
        let path = path.as_ref();
        #[allow(clippy::disallowed_methods, reason = "this is the one place where files of record are removed")]
        let remove = || std::fs::remove_file(path);
        self.call(step, Operation::Remove, path, || self.logged(Doing::Remove(path), remove))
    }

    /// Removes the folder `path`, which must be empty. Durable after [`Host::sync_dir`] of the folder above.
    ///
    /// # Errors
    /// As [`Host::remove`]; `ENOTEMPTY` when something is in it.
    pub fn remove_dir(&self, path: impl AsRef<Path>, step: &'static str) -> Result<(), FileError> {
        let path = path.as_ref();
        let remove = || std::fs::remove_dir(path);
        self.call(step, Operation::Remove, path, || self.logged(Doing::Remove(path), remove))
    }

    /// The paths in folder `path`, sorted by name.
    ///
    /// # Errors
    /// [`FileError::Io`]; [`FileError::is_not_found`] when the folder is not there.
    pub fn list(&self, path: impl AsRef<Path>, step: &'static str) -> Result<Vec<PathBuf>, FileError> {
        let path = path.as_ref();
        self.call(step, Operation::List, path, || {
            let mut paths: Vec<PathBuf> =
                std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
            paths.sort_unstable();
            Ok(paths)
        })
    }
}

/// The folder that holds the entry of `path`.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if is_here(parent) => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

/// Whether `path` is the empty path, which `Path::parent` gives for the working folder.
fn is_here(path: &Path) -> bool {
    path.as_os_str().is_empty()
}
