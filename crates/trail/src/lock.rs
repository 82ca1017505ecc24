//! One writer at a time (I6).

use std::path::PathBuf;

use host::{DurableFile, FileError, Host};

use crate::folder::Folder;

/// Held for as long as a process may write to the trail. The system drops it when the process ends, however it ends.
#[derive(Debug)]
pub struct WriterLock {
    file: DurableFile,
}

/// Why the lock was not had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{} is being written by another process{}; use it through that one, or stop it first", folder.display(), of_holder(.holder))]
    Held {
        /// The trail.
        folder: PathBuf,
        /// What the lock file says of the holder.
        holder: String,
    },
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
}

fn of_holder(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}

impl WriterLock {
    /// Takes the lock, or says who has it.
    pub fn take(host: &Host, folder: &Folder) -> Result<WriterLock, LockError> {
        let path = folder.lock();
        match host.create_new(&path, "lock") {
            Ok(_) | Err(FileError::AlreadyExists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let file = host.open_rw(&path, "lock")?;
        match file.try_lock_exclusive() {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                let holder = host.read_if_there(&path, "lock")?.unwrap_or_default();
                let holder = String::from_utf8_lossy(&holder).trim().to_owned();
                return Err(LockError::Held { folder: folder.root().to_owned(), holder });
            }
            Err(error) => return Err(error.into()),
        }
        let mine = format!("process {}\n", std::process::id());
        file.set_len(0)?;
        file.write_at(0, mine.as_bytes())?;
        Ok(WriterLock { file })
    }
}

impl Drop for WriterLock {
    fn drop(&mut self) {
        self.file.unlock();
    }
}
