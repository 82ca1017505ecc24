//! The Delta log of a trail's table: create, open, commit, checkpoint. Nothing else of Delta is used.
//!
//! There is one committer (I6), so a conflict is never resolved here: it is an error that says who was there first.
//! After any error the log is read again and asked whether the commit landed, since a commit can land and its answer
//! be lost.

mod checkpoint;
mod commit;
mod contents;
mod error;
mod listing;
mod read;
mod view;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use deltalake_core::DeltaTableError;
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use host::Host;
use object_store::ObjectStore;
use object_store::prefix::PrefixStore;
use serde_json::Value;
use url::Url;

pub(crate) use self::commit::Change;
pub use self::error::TableError;
#[cfg(test)]
use self::listing::Named;
pub(crate) use self::read::{Dead, Version};
use crate::guard::{guarded, panic_message};
use crate::store::{DurableStore, STEP};

/// The application transaction whose version is the settled watermark.
const APPLICATION: &str = "onrecord/journal";

/// A table's log, open for reading, and for the one writer's commits.
pub(crate) struct Table {
    host: Host,
    folder: PathBuf,
    store: Arc<DurableStore>,
    log: LogStoreRef,
}

impl Table {
    /// Names the table in `folder`; touches nothing.
    pub(crate) fn at(host: Host, folder: &Path) -> Result<Self, TableError> {
        let folder = std::path::absolute(folder).map_err(|_| TableError::Path(folder.to_owned()))?;
        let store = Arc::new(DurableStore::new(host.clone()));
        let log = Self::log_store(&folder, store.clone())?;
        Ok(Self { host, folder, store, log })
    }

    fn log_store(folder: &Path, store: Arc<dyn ObjectStore>) -> Result<LogStoreRef, TableError> {
        let bad = || TableError::Path(folder.to_owned());
        let url = Url::from_directory_path(folder).map_err(|()| bad())?;
        let prefix = object_store::path::Path::from_absolute_path(folder).map_err(|_| bad())?;
        let prefixed = Arc::new(PrefixStore::new(store.clone(), prefix));
        Ok(default_logstore(prefixed, store, &url, &StorageConfig::default()))
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    fn log_folder(&self) -> PathBuf {
        self.folder.join("_delta_log")
    }

    /// Whether a table is there: its first entry, or a checkpoint, without which that entry is never removed.
    pub(crate) fn exists(&self) -> Result<bool, TableError> {
        Ok(self.listing()?.is_a_table())
    }

    /// Makes the table, empty, if it is not there; for a lake that is being made.
    pub(crate) fn create_or_recover(&self) -> Result<Version, TableError> {
        if self.exists()? {
            return self.recover();
        }
        self.host.create_dir_all(self.log_folder(), STEP).map_err(|e| TableError::File(Arc::new(e)))?;
        self.sweep_temporaries()?;
        self.sync_log_folder()?;
        self.create()
    }

    /// Makes what is there durable and reads it; for the writer alone. Removes nothing.
    pub(crate) fn recover(&self) -> Result<Version, TableError> {
        if !self.exists()? {
            return Err(self.missing());
        }
        // An entry that got its name just before a crash of the process may still be in memory alone.
        self.sync_log_folder()?;
        self.load()
    }

    /// Removes log entries that never got their names.
    pub(crate) fn sweep_temporaries(&self) -> Result<(), TableError> {
        self.host.sweep_temporaries(self.log_folder(), STEP).map_err(|e| TableError::File(Arc::new(e)))?;
        Ok(())
    }

    fn missing(&self) -> TableError {
        TableError::Missing { folder: self.folder.clone() }
    }

    fn sync_log_folder(&self) -> Result<(), TableError> {
        self.host.sync_dir(self.log_folder(), STEP).map_err(|e| TableError::Unsynced(Arc::new(e)))
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.host.now_ns().div_euclid(1_000_000)
    }

    fn json(&self, error: serde_json::Error) -> TableError {
        self.log_error(DeltaTableError::SerializeLogJson { json_err: error })
    }

    fn log_error(&self, cause: DeltaTableError) -> TableError {
        TableError::Log { folder: self.folder.clone(), cause: Box::new(cause) }
    }

    /// Runs `work` on a thread and a runtime of its own, so that callers may be synchronous or inside any runtime,
    /// and so that a panic in the library over malformed bytes ends that thread and not the process.
    fn block<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, DeltaTableError>> + Send + 'static,
    ) -> Result<T, TableError> {
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(|source| DeltaTableError::Io { source })?.block_on(work)
        };
        match std::thread::spawn(|| guarded(run)).join().unwrap_or_else(|panic| Err(panic_message(&*panic))) {
            Ok(done) => done.map_err(|e| self.log_error(e)),
            Err(what) => Err(TableError::Panicked { folder: self.folder.clone(), what }),
        }
    }
}

/// What a reader and a writer must know: no features, so no deletion vectors and no column mapping.
fn protocol() -> Value {
    serde_json::json!({"minReaderVersion": 1, "minWriterVersion": 2})
}

#[cfg(test)]
mod tests;
