//! One open file of record.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::effect_log::Doing;
use crate::{Appender, Fault, FileError, Host, Operation};

impl Host {
    /// Creates a file that must not be there yet, for reading and writing. Its folder entry is durable only after
    /// [`Host::sync_dir`] of its folder.
    ///
    /// # Errors
    /// [`FileError::AlreadyExists`] when something has that name; else [`FileError::Io`].
    pub fn create_new(&self, path: impl AsRef<Path>, step: &'static str) -> Result<DurableFile, FileError> {
        self.open(path.as_ref(), step, Operation::Create, File::options().read(true).write(true).create_new(true))
            .map_err(already_exists)
    }

    /// Opens a file that is there, for reading and writing.
    ///
    /// # Errors
    /// [`FileError::Io`]; [`FileError::is_not_found`] when it is not there.
    pub fn open_rw(&self, path: impl AsRef<Path>, step: &'static str) -> Result<DurableFile, FileError> {
        self.open(path.as_ref(), step, Operation::Open, File::options().read(true).write(true))
    }

    /// Opens a file that is there, for reading alone.
    ///
    /// # Errors
    /// [`FileError::Io`]; [`FileError::is_not_found`] when it is not there.
    pub fn open_read(&self, path: impl AsRef<Path>, step: &'static str) -> Result<DurableFile, FileError> {
        self.open(path.as_ref(), step, Operation::Open, File::options().read(true))
    }

    /// As [`Host::create_new`]; `mode` holds for the file from its first moment on.
    ///
    /// # Errors
    /// As [`Host::create_new`].
    pub fn create_new_with_mode(
        &self,
        path: impl AsRef<Path>,
        step: &'static str,
        mode: u32,
    ) -> Result<DurableFile, FileError> {
        let mut options = File::options();
        options.read(true).write(true).create_new(true).mode(mode);
        self.open(path.as_ref(), step, Operation::Create, &options).map_err(already_exists)
    }

    #[allow(clippy::disallowed_methods, reason = "this is the one place where files of record are opened")]
    fn open(
        &self,
        path: &Path,
        step: &'static str,
        operation: Operation,
        options: &OpenOptions,
    ) -> Result<DurableFile, FileError> {
        let file = self.call(step, operation, path, || match operation {
            Operation::Create => self.logged(Doing::Create(path), || options.open(path)),
            _ => options.open(path),
        })?;
        Ok(DurableFile { file, path: path.to_owned(), step, host: self.clone() })
    }
}

pub(crate) fn already_exists(error: FileError) -> FileError {
    match error {
        FileError::Io { operation: Operation::Create | Operation::Rename, path, cause }
            if cause.kind() == io::ErrorKind::AlreadyExists =>
        {
            FileError::AlreadyExists { path }
        }
        other => other,
    }
}

/// An open file whose every system call is a fault point. Positions are the caller's: nothing here moves a cursor.
///
/// Bytes written are durable only when [`DurableFile::sync_data`] or [`DurableFile::sync_all`] has returned `Ok`.
/// Dropping the file closes it and gives up its lock, and makes nothing durable.
#[derive(Debug)]
pub struct DurableFile {
    file: File,
    path: PathBuf,
    step: &'static str,
    host: Host,
}

impl DurableFile {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes all of `bytes` at `offset`, going on after an interruption or a short write. Not durable by itself.
    ///
    /// # Errors
    /// [`FileError::Io`]; any part of `bytes` may then have been written.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), FileError> {
        let write = |bytes: &[u8]| {
            self.host.logged(Doing::Write(&self.file, offset, bytes), || self.file.write_all_at(bytes, offset))
        };
        let whole = || write(bytes);
        let half = || write(&bytes[..bytes.len() / 2]);
        let result = match &self.host.inner.faults {
            None => whole(),
            Some(faults) => match faults.at(&Operation::Write.point(self.step)) {
                None => whole(),
                Some(Fault::ShortWrite(errno)) => half().and(Err(io::Error::from_raw_os_error(errno))),
                Some(fault) => fault.around(whole),
            },
        };
        result.map_err(|cause| FileError::of(Operation::Write, &self.path, cause))
    }

    /// Fills as much of `into` as the file holds from `offset` on, and says how many bytes that is; fewer than
    /// `into.len()` only at the end of the file.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize, FileError> {
        self.host.call(self.step, Operation::Read, &self.path, || {
            let mut done = 0;
            while done < into.len() {
                match self.file.read_at(&mut into[done..], offset + done as u64) {
                    Ok(0) => break,
                    Ok(n) => done += n,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(done)
        })
    }

    /// Makes every byte written so far, and the length needed to read them, durable.
    ///
    /// # Errors
    /// [`FileError::Io`]: **fatal**. The bytes may or may not be on disk, and a second try that succeeds proves
    /// nothing. Acknowledge nothing written since the last `Ok`, and stop.
    pub fn sync_data(&self) -> Result<(), FileError> {
        self.host.call(self.step, Operation::SyncData, &self.path, || {
            self.host.logged(Doing::SyncFile(&self.file), || self.file.sync_data())
        })
    }

    /// As [`DurableFile::sync_data`], and the file's other metadata too.
    ///
    /// # Errors
    /// As [`DurableFile::sync_data`]: **fatal**.
    pub fn sync_all(&self) -> Result<(), FileError> {
        self.host.call(self.step, Operation::SyncAll, &self.path, || {
            self.host.logged(Doing::SyncFile(&self.file), || self.file.sync_all())
        })
    }

    /// Reserves disk space for `len` bytes from `offset`, extending the file with zeros where it was shorter, so that
    /// a later write there needs no new space. Where the file system cannot reserve, the file is only extended, and a
    /// later write may still find the disk full.
    ///
    /// # Errors
    /// [`FileError::Io`], `ENOSPC` among them; part of the range may then be reserved.
    pub fn allocate(&self, offset: u64, len: u64) -> Result<(), FileError> {
        let end = offset.saturating_add(len);
        let reserve = || rustix::fs::fallocate(&self.file, rustix::fs::FallocateFlags::empty(), offset, len);
        let allocate = || match rustix::io::retry_on_intr(reserve) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) if self.file.metadata()?.len() < end => self.file.set_len(end),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            result => Ok(result?),
        };
        self.host.call(self.step, Operation::Allocate, &self.path, || {
            self.host.logged(Doing::Reserve(&self.file, end), allocate)
        })
    }

    /// As [`DurableFile::allocate`], and an error where the file system cannot reserve: for a file that is mapped into
    /// memory, where a write that finds the disk full is a signal that ends the process.
    ///
    /// # Errors
    /// [`FileError::Io`]: `ENOSPC`, `EOPNOTSUPP` among them; part of the range may then be reserved.
    pub fn reserve(&self, offset: u64, len: u64) -> Result<(), FileError> {
        let end = offset.saturating_add(len);
        let reserve = || rustix::fs::fallocate(&self.file, rustix::fs::FallocateFlags::empty(), offset, len);
        self.host.call(self.step, Operation::Allocate, &self.path, || {
            self.host.logged(Doing::Reserve(&self.file, end), || Ok(rustix::io::retry_on_intr(reserve)?))
        })
    }

    /// Cuts the file to `len` bytes, or extends it with zeros. Durable after a sync.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn set_len(&self, len: u64) -> Result<(), FileError> {
        self.host.call(self.step, Operation::SetLength, &self.path, || {
            self.host.logged(Doing::SetLength(&self.file, len), || self.file.set_len(len))
        })
    }

    /// Sets the permission bits, whatever the umask is. Durable after [`DurableFile::sync_all`].
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn set_mode(&self, mode: u32) -> Result<(), FileError> {
        self.host.call(self.step, Operation::SetMode, &self.path, || {
            self.file.set_permissions(PermissionsExt::from_mode(mode))
        })
    }

    /// The length in bytes.
    ///
    /// # Errors
    /// [`FileError::Io`].
    #[allow(clippy::len_without_is_empty, reason = "asking the file system is no property of a collection")]
    pub fn len(&self) -> Result<u64, FileError> {
        self.host.call(self.step, Operation::Length, &self.path, || Ok(self.file.metadata()?.len()))
    }

    /// Takes the exclusive lock (`flock`) for as long as this handle is open (I6). The operating system gives it up
    /// when the process dies, however it dies.
    ///
    /// # Errors
    /// [`FileError::Locked`] when another handle holds it; else [`FileError::Io`].
    pub fn try_lock_exclusive(&self) -> Result<(), FileError> {
        let taken = self.host.call(self.step, Operation::Lock, &self.path, || match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        })?;
        if taken { Ok(()) } else { Err(FileError::Locked { path: self.path.clone() }) }
    }

    /// Takes the exclusive lock of this file for the process (`fcntl`), and not for the handle: a child that is forked
    /// does not share it, so it is free once the process is gone, whatever its children do. Within one process it
    /// excludes nobody, and it is lost as soon as the process closes any handle of the file.
    ///
    /// # Errors
    /// [`FileError::Locked`] when another process holds it; else [`FileError::Io`].
    pub fn try_lock_for_process(&self) -> Result<(), FileError> {
        let operation = rustix::fs::FlockOperation::NonBlockingLockExclusive;
        let lock = || rustix::fs::fcntl_lock(&self.file, operation);
        let taken =
            self.host.call(self.step, Operation::Lock, &self.path, || match rustix::io::retry_on_intr(lock) {
                Ok(()) => Ok(true),
                Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
                Err(error) => Err(error.into()),
            })?;
        if taken { Ok(()) } else { Err(FileError::Locked { path: self.path.clone() }) }
    }

    /// Takes the lock beside others who share it, for as long as this handle is open; waits while one holds it alone.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn lock_shared(&self) -> Result<(), FileError> {
        self.host.call(self.step, Operation::Lock, &self.path, || self.file.lock_shared())
    }

    /// Gives up the lock at once. Closing the handle alone would leave it to a process that was forked meanwhile and has
    /// not yet become another program: it shares the lock until then. A failure leaves the lock to the closing.
    pub fn unlock(&self) {
        let _ = self.file.unlock();
    }

    /// A writer that appends from `offset` on.
    #[must_use]
    pub fn into_appender(self, offset: u64) -> Appender {
        Appender::new(self, offset)
    }
}

impl AsRawFd for DurableFile {
    /// For mapping it into memory. What is written through a mapping passes by the fault points.
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}
