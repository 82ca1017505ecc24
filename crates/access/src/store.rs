//! A file of JSON that several processes may change: read whole, changed under the lock, put in place whole.

use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::Duration;

use host::{FileError, Host};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::folder::{AccessFolder, FILE_BYTES_MAX};

/// How often a file is looked at, to see whether another process has changed it.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why a file could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It holds something else than it should.
    #[error("{} is damaged: {cause}; put back a good copy, or take the file away and make its contents anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// It is or would be too large.
    #[error("{} would have {bytes} bytes, more than the limit of {FILE_BYTES_MAX}; remove what is no longer used", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: usize,
    },
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
}

/// A kind of file: its version stands in it, so that an older program does not misread a newer one's.
pub(crate) trait Stored: Serialize + DeserializeOwned + Default + Clone {
    /// The name of the fault points.
    const STEP: &'static str;
    /// What is wrong with what was read, if something is.
    fn fault(&self) -> Option<String>;
}

/// One such file, and what was last seen of it.
pub(crate) struct Store<T> {
    folder: AccessFolder,
    path: PathBuf,
    seen: Mutex<Seen>,
    of: PhantomData<T>,
}

#[derive(Default)]
struct Seen {
    /// What the file was when it was read last: changed, if that is another.
    mark: Option<Mark>,
    /// When it was looked at last.
    looked: Option<Duration>,
}

/// What tells a file from the one that took its place. Files are put in place whole, so each is a new one.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Mark {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl<T: Stored> Store<T> {
    pub fn new(folder: &AccessFolder, path: PathBuf) -> Store<T> {
        Store { folder: folder.clone(), path, seen: Mutex::new(Seen::default()), of: PhantomData }
    }

    /// What the file holds, for whoever knows it from now on: [`Store::read_if_changed`] tells what comes after.
    pub fn open(&self, host: &Host) -> Result<T, StoreError> {
        // Marked first: a change that comes in between is read twice, and never missed.
        let found = mark(&self.path);
        let value = self.read(host)?;
        let mut seen = self.seen.lock();
        (seen.mark, seen.looked) = (found, Some(host.monotonic()));
        Ok(value)
    }

    /// What the file holds; the default if there is none.
    pub fn read(&self, host: &Host) -> Result<T, StoreError> {
        let Some(bytes) = host.read_if_there(&self.path, T::STEP)? else { return Ok(T::default()) };
        if bytes.len() > FILE_BYTES_MAX {
            return Err(StoreError::TooLarge { path: self.path.clone(), bytes: bytes.len() });
        }
        let damaged = |cause: String| StoreError::Damaged { path: self.path.clone(), cause };
        let value: T = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        match value.fault() {
            Some(fault) => Err(damaged(fault)),
            None => Ok(value),
        }
    }

    /// What the file holds, if it was changed since it was read, and nobody has looked for a while.
    pub fn read_if_changed(&self, host: &Host) -> Result<Option<T>, StoreError> {
        {
            let mut seen = self.seen.lock();
            let now = host.monotonic();
            if seen.looked.is_some_and(|looked| now < looked + LOOK_EVERY) {
                return Ok(None);
            }
            seen.looked = Some(now);
            if seen.mark == mark(&self.path) {
                return Ok(None);
            }
        }
        // What cannot be read stays unknown, and is looked at again.
        self.open(host).map(Some)
    }

    /// Changes the file, alone among all processes: reads it, lets `change` change it, and puts it in place. Durable when
    /// it returns; nothing is written where `change` fails.
    pub fn change<R, E: From<StoreError>>(
        &self,
        host: &Host,
        change: impl FnOnce(&mut T) -> Result<R, E>,
    ) -> Result<(T, R), E> {
        let lock = self.folder.lock(host).map_err(|error| E::from(error.into()))?;
        let mut value = self.read(host)?;
        let before = serde_json::to_vec_pretty(&value).unwrap_or_default();
        let result = change(&mut value)?;
        let mut bytes = serde_json::to_vec_pretty(&value)
            .map_err(|error| StoreError::Damaged { path: self.path.clone(), cause: error.to_string() })?;
        if bytes != before {
            bytes.push(b'\n');
            if bytes.len() > FILE_BYTES_MAX {
                return Err(StoreError::TooLarge { path: self.path.clone(), bytes: bytes.len() }.into());
            }
            host.replace(&self.path, &bytes, T::STEP, Some(0o600)).map_err(|error| E::from(error.into()))?;
            self.seen.lock().mark = mark(&self.path);
        }
        drop(lock);
        Ok((value, result))
    }
}

fn mark(path: &std::path::Path) -> Option<Mark> {
    use std::os::unix::fs::MetadataExt as _;
    let file = std::fs::metadata(path).ok()?;
    Some(Mark { inode: file.ino(), bytes: file.len(), modified: (file.mtime(), file.mtime_nsec()) })
}
