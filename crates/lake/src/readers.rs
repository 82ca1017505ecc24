//! Who reads the lake: a file that readers of other processes hold locked, and that clean-up asks (I14).
//!
//! Each reader shares the lock (`flock`) for as long as its snapshot lives, and the operating system gives it up when the
//! process ends. Clean-up takes it alone, without waiting, for the moment of removing. Other engines know nothing of
//! it: for them there is the grace.

use std::path::Path;

use host::{DurableFile, FileError, Host};

/// The file's name in the table's folder. Delta has it that names with a leading underscore are no data.
pub(crate) const READERS: &str = "_readers";

/// Fault points are `readers.<operation>`.
const STEP: &str = "readers";

/// Held while someone reads, or while files are removed.
#[derive(Debug)]
pub(crate) struct ReadersLock {
    file: DurableFile,
}

impl ReadersLock {
    /// Makes the file, for a lake that someone may write.
    pub(crate) fn make(host: &Host, folder: &Path) -> Result<(), FileError> {
        match host.create_new(folder.join(READERS), STEP) {
            // Nobody minds if a power cut takes it away again.
            Ok(_) | Err(FileError::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Shares the lock. There is none where no writer has made it: a copy, whose files nobody removes.
    pub(crate) fn share(host: &Host, folder: &Path) -> Result<Option<Self>, FileError> {
        let file = match host.open_read(folder.join(READERS), STEP) {
            Err(error) if error.is_not_found() => return Ok(None),
            file => file?,
        };
        file.lock_shared()?;
        Ok(Some(Self { file }))
    }

    /// Takes the lock alone, or nothing if someone reads.
    pub(crate) fn take(host: &Host, folder: &Path) -> Result<Option<Self>, FileError> {
        Self::make(host, folder)?;
        let file = host.open_rw(folder.join(READERS), STEP)?;
        match file.try_lock_exclusive() {
            Err(FileError::Locked { .. }) => Ok(None),
            taken => taken.map(|()| Some(Self { file })),
        }
    }
}

impl Drop for ReadersLock {
    fn drop(&mut self) {
        self.file.unlock();
    }
}
