//! Whole files that appear, or change, at once.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use crate::effect_log::Doing;
use crate::file::already_exists;
use crate::folder::parent;
use crate::{DurableFile, FileError, Host, Operation};

/// Permission bits of a new file before the umask takes its share.
const MODE_DEFAULT: u32 = 0o666;
/// Bytes that are copied at a time.
const COPY_BYTES: usize = 1 << 20;
/// What a temporary file's name ends in.
const TEMPORARY_SUFFIX: &str = ".onrecord-tmp";

impl Host {
    /// Puts a new file `path` with `bytes` in place, whole or not at all; durable when it returns. Of several callers
    /// that put the same path, in one process or in many, exactly one succeeds.
    ///
    /// # Errors
    /// [`FileError::AlreadyExists`]: the name was taken, and its file was not touched. [`FileError::Io`]: the file is
    /// there whole or not at all, and whoever must know reads it; may be tried again unless an fsync failed.
    pub fn put_new(&self, path: impl AsRef<Path>, bytes: &[u8], step: &'static str) -> Result<(), FileError> {
        self.put_new_with(path.as_ref(), bytes, step, None)
    }

    /// As [`Host::put_new`], with exactly the permission bits `mode` from the first moment on: `0o600` for a key.
    ///
    /// # Errors
    /// As [`Host::put_new`].
    pub fn put_new_with_mode(
        &self,
        path: impl AsRef<Path>,
        bytes: &[u8],
        step: &'static str,
        mode: u32,
    ) -> Result<(), FileError> {
        self.put_new_with(path.as_ref(), bytes, step, Some(mode))
    }

    fn put_new_with(&self, path: &Path, bytes: &[u8], step: &'static str, mode: Option<u32>) -> Result<(), FileError> {
        let temporary = self.write_temporary(path, step, mode, |file| file.write_at(0, bytes))?;
        self.name_new(temporary, path, step)
    }

    /// Puts a copy of the file `from` in place as the new file `path`, whole or not at all, and says how many bytes it has;
    /// durable when it returns. Memory does not grow with the file.
    ///
    /// # Errors
    /// As [`Host::put_new`]; [`FileError::is_not_found`] when `from` is not there.
    pub fn copy_new(
        &self,
        from: impl AsRef<Path>,
        path: impl AsRef<Path>,
        step: &'static str,
    ) -> Result<u64, FileError> {
        let (temporary, length) = self.copy_temporary(from.as_ref(), path.as_ref(), step)?;
        self.name_new(temporary, path.as_ref(), step)?;
        Ok(length)
    }

    /// As [`Host::copy_new`], in place of whatever `path` holds, as [`Host::replace`] does it.
    ///
    /// # Errors
    /// As [`Host::replace`]; [`FileError::is_not_found`] when `from` is not there.
    pub fn copy_over(
        &self,
        from: impl AsRef<Path>,
        path: impl AsRef<Path>,
        step: &'static str,
    ) -> Result<u64, FileError> {
        let path = path.as_ref();
        let (temporary, length) = self.copy_temporary(from.as_ref(), path, step)?;
        let renamed = self.rename(&temporary.path, path, step);
        temporary.keep_or_sweep(renamed)?;
        self.sync_dir(parent(path), step)?;
        Ok(length)
    }

    fn copy_temporary(&self, from: &Path, path: &Path, step: &'static str) -> Result<(Temporary, u64), FileError> {
        let source = self.open_read(from, step)?;
        let mut length = 0;
        let copy = |file: &DurableFile| {
            let mut chunk = vec![0; COPY_BYTES];
            loop {
                let read = source.read_at(length, &mut chunk)?;
                if read == 0 {
                    return Ok(());
                }
                file.write_at(length, &chunk[..read])?;
                length += read as u64;
            }
        };
        let temporary = self.write_temporary(path, step, None, copy)?;
        Ok((temporary, length))
    }

    fn name_new(&self, temporary: Temporary, path: &Path, step: &'static str) -> Result<(), FileError> {
        let rename = || rename_to_free_name(&temporary.path, path);
        let renamed = self
            .call(step, Operation::Rename, path, || self.logged(Doing::Rename(&temporary.path, path), rename))
            .map_err(already_exists);
        temporary.keep_or_sweep(renamed)?;
        self.sync_dir(parent(path), step)
    }

    /// Puts `bytes` in place of whatever `path` holds, or where nothing is: a reader sees the old file or the new one,
    /// whole; durable when it returns. `mode` are the permission bits; `None` keeps those of the file that is there.
    ///
    /// # Errors
    /// [`FileError::Io`]: old or new file is in place, whole. May be tried again unless an fsync failed.
    pub fn replace(
        &self,
        path: impl AsRef<Path>,
        bytes: &[u8],
        step: &'static str,
        mode: Option<u32>,
    ) -> Result<(), FileError> {
        let path = path.as_ref();
        let mode = mode.or_else(|| std::fs::metadata(path).ok().map(mode_of));
        let temporary = self.write_temporary(path, step, mode, |file| file.write_at(0, bytes))?;
        let renamed = self.rename(&temporary.path, path, step);
        temporary.keep_or_sweep(renamed)?;
        self.sync_dir(parent(path), step)
    }

    /// As [`Host::replace`], and only if `path` holds `expected` now (`None`: only if it is absent).
    ///
    /// With `expected` of `None` this is atomic against everyone. Else the file could change between the look and the
    /// rename: the caller holds the writer's lock (I6), and this catches whoever wrote without it, a restored backup
    /// and its own stale memory (I4).
    ///
    /// # Errors
    /// [`FileError::Changed`] with what was found; the file was not touched. [`FileError::Io`] as [`Host::replace`].
    pub fn compare_and_replace(
        &self,
        path: impl AsRef<Path>,
        expected: Option<&[u8]>,
        new: &[u8],
        step: &'static str,
    ) -> Result<(), FileError> {
        let path = path.as_ref();
        let found = self.read_if_there(path, step)?;
        if found.as_deref() != expected {
            return Err(changed(path, expected, found));
        }
        if expected.is_some() {
            return self.replace(path, new, step, None);
        }
        match self.put_new(path, new, step) {
            Err(FileError::AlreadyExists { .. }) => Err(changed(path, None, self.read_if_there(path, step)?)),
            result => result,
        }
    }

    /// All that `path` holds, or `None` when it is not there. For small files: it is read whole.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn read_if_there(&self, path: impl AsRef<Path>, step: &'static str) -> Result<Option<Vec<u8>>, FileError> {
        let path = path.as_ref();
        match self.call(step, Operation::Read, path, || std::fs::read(path)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes the temporary files that a killed process left in folder `path`, and says how many. Only for the one
    /// writer of that folder: it would take a living writer's files too. Durability does not matter, so none is made.
    ///
    /// # Errors
    /// [`FileError::Io`]; may be tried again.
    pub fn sweep_temporaries(&self, path: impl AsRef<Path>, step: &'static str) -> Result<usize, FileError> {
        let left: Vec<PathBuf> = self.list(path, step)?.into_iter().filter(|path| is_temporary(path)).collect();
        for path in &left {
            self.remove(path, step)?;
        }
        Ok(left.len())
    }

    /// Has a file of a fresh name filled beside `path` and fsyncs it, so that the rename can only ever show it whole.
    fn write_temporary(
        &self,
        path: &Path,
        step: &'static str,
        mode: Option<u32>,
        fill: impl FnOnce(&DurableFile) -> Result<(), FileError>,
    ) -> Result<Temporary, FileError> {
        let temporary = Temporary { path: self.temporary_beside(path) };
        let write = || {
            let file = self.create_new_with_mode(&temporary.path, step, mode.unwrap_or(MODE_DEFAULT))?;
            if let Some(mode) = mode {
                file.set_mode(mode)?;
            }
            fill(&file)?;
            file.sync_all()
        };
        let written = write();
        if written.is_err() {
            temporary.sweep();
        }
        written.map(|()| temporary)
    }

    fn temporary_beside(&self, path: &Path) -> PathBuf {
        let unique = u128::from_be_bytes(self.random());
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{unique:032x}{TEMPORARY_SUFFIX}"));
        path.with_file_name(name)
    }
}

/// Whether `path` is named as the temporary files of [`Host::put_new`] and [`Host::replace`] are: never a file of
/// record, and left behind only by a process that was killed.
#[must_use]
pub fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.starts_with(b".") && name.ends_with(TEMPORARY_SUFFIX.as_bytes())
}

struct Temporary {
    path: PathBuf,
}

impl Temporary {
    fn keep_or_sweep(self, renamed: Result<(), FileError>) -> Result<(), FileError> {
        if renamed.is_err() {
            self.sweep();
        }
        renamed
    }

    /// A failed put leaves no litter where it can help it. No fault point, and no error of its own: the caller already
    /// has one, and litter is harmless.
    fn sweep(&self) {
        #[allow(clippy::disallowed_methods, reason = "the temporary file was never a file of record")]
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Renames only if nothing has the new name. A hard link does the same on file systems without such a rename (NFS,
/// some FUSE ones); it leaves the old name for a moment longer.
fn rename_to_free_name(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            std::fs::hard_link(from, to)?;
            #[allow(clippy::disallowed_methods, reason = "the temporary name was never a file of record")]
            std::fs::remove_file(from)
        }
        result => Ok(result?),
    }
}

fn mode_of(metadata: Metadata) -> u32 {
    metadata.permissions().mode() & 0o7777
}

fn changed(path: &Path, expected: Option<&[u8]>, found: Option<Vec<u8>>) -> FileError {
    FileError::Changed { path: path.to_owned(), expected: expected.map(<[u8]>::to_vec), found }
}
