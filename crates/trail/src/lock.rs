//! One writer at a time (I6): a lock in the trail's folder, and one beside its keys, which copies of the folder share. And one
//! at a time who makes a copy of a trail.

use std::path::{Path, PathBuf};

use host::{DurableFile, FileError, Host};
use tlog::VerifierKey;

use crate::folder::Folder;
use crate::signing_key::KeyFolder;

/// Held for as long as a process may write to the trail. The system drops it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct WriterLock {
    _folder: Lock,
    _keys: Option<Lock>,
}

/// A file that this process holds locked, and that says so.
#[derive(Debug)]
pub(crate) struct Lock {
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
    /// Another process writes a copy of the trail with the same keys: each would do away with keys of the other's files.
    #[error(
        "the keys of this log are in use by another process{}; two copies of one trail are never written at once: stop that \
         one, or restore this copy as a trail of its own", of_holder(.holder)
    )]
    KeysInUse {
        /// What the lock file says of the holder.
        holder: String,
    },
    /// Two at a time would mix two states of a trail.
    #[error("another backup or restore into {} is under way{}; let it end", folder.display(), of_holder(.holder))]
    UnderWay {
        /// The folder.
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
    /// Takes both locks, or says who has them. Where there is no folder of keys there is no lock in it: whoever needs the
    /// keys will find out.
    pub(crate) fn take(
        host: &Host,
        folder: &Folder,
        keys: &KeyFolder,
        key: &VerifierKey,
    ) -> Result<WriterLock, LockError> {
        let root = folder.root();
        let mine = Lock::take(host, &folder.lock(), "lock", "")?;
        let mine = mine.map_err(|holder| LockError::Held { folder: root.to_owned(), holder })?;
        let beside = Lock::of_keys(host, root, keys, key)?;
        Ok(WriterLock { _folder: mine, _keys: beside })
    }
}

impl Lock {
    /// The lock beside the keys, for whoever writes the trail in `root`; nothing if there is no folder of keys.
    pub(crate) fn of_keys(
        host: &Host,
        root: &Path,
        keys: &KeyFolder,
        key: &VerifierKey,
    ) -> Result<Option<Lock>, LockError> {
        let place = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        match Lock::take(host, &keys.lock_path(key), "key-lock", &place.display().to_string()) {
            Err(error) if error.is_not_found() => Ok(None),
            taken => Ok(Some(taken?.map_err(|holder| LockError::KeysInUse { holder })?)),
        }
    }

    /// The lock of whoever makes `folder` a copy of a trail: a file beside it, for the folder is to hold a trail alone.
    /// `folder` is a path without links.
    pub(crate) fn beside(host: &Host, folder: &Path) -> Result<Lock, LockError> {
        let above = folder.parent().unwrap_or(folder);
        host.create_dir_all(above, "copy-lock")?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let taken = Lock::take(host, &above.join(format!(".{name}.onrecord-lock")), "copy-lock", "")?;
        taken.map_err(|holder| LockError::UnderWay { folder: folder.to_owned(), holder })
    }

    /// The lock, or what its file says of who has it.
    fn take(host: &Host, path: &Path, step: &'static str, what: &str) -> Result<Result<Lock, String>, FileError> {
        match host.create_new(path, step) {
            Ok(_) | Err(FileError::AlreadyExists { .. }) => {}
            Err(error) => return Err(error),
        }
        let file = host.open_rw(path, step)?;
        match file.try_lock_exclusive() {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                let holder = host.read_if_there(path, step)?.unwrap_or_default();
                return Ok(Err(String::from_utf8_lossy(&holder).trim().to_owned()));
            }
            Err(error) => return Err(error),
        }
        let mine = format!("process {} {what}", std::process::id());
        file.set_len(0)?;
        file.write_at(0, format!("{}\n", mine.trim_end()).as_bytes())?;
        Ok(Ok(Lock { file }))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.file.unlock();
    }
}
