//! The Delta log of a trail's table: create, open, commit. Nothing else of Delta is used.
//!
//! There is one committer (I6), so a conflict is never resolved here: it is an error that says who was there first.
//! After any error the log is read again and asked whether the commit landed, since a commit can land and its answer
//! be lost.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deltalake_core::DeltaTableError;
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake_core::kernel::{Action, Add, CommitInfo, Metadata, Protocol, Remove, TombstoneView, Transaction};
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::state::DeltaTableState;
use futures::TryStreamExt as _;
use host::{FileError, Host, Operation};
use object_store::prefix::PrefixStore;
use serde_json::Value;
use url::Url;

use crate::columns::{Columns, ColumnsError};
use crate::guard::{guarded, panic_message};
use crate::manifest::{Manifest, ManifestError};
use crate::rewrite::{Reason, TARGET_BYTES};
use crate::store::{DurableStore, STEP};

/// The application transaction whose version is the settled watermark.
const APPLICATION: &str = "onrecord/journal";

/// What the table is told, on purpose. Append-only is our layer's promise and not Delta's: `delta.appendOnly` would
/// forbid the removals that retention and erasure need.
const PROPERTIES: &[(&str, &str)] = &[
    // Only these have Delta statistics: they name no person, and they stay in clear when files are encrypted.
    ("delta.dataSkippingStatsColumns", "index,id,time,`model.name`,`model.version`"),
    // The log is cleaned when we say so, never as the side effect of a commit.
    ("delta.enableExpiredLogCleanup", "false"),
    ("onrecord.format", "1"),
];

/// Why the Delta log could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The folder cannot be named as a table.
    #[error("{} cannot be a table's folder: its path must be absolute and plain", .0.display())]
    Path(PathBuf),
    /// There is no log, or its first entry is missing.
    #[error("{} has no table log; restore _delta_log from a copy, do not append", folder.display())]
    Missing {
        /// The table's folder.
        folder: PathBuf,
    },
    /// A file of the log could not be written or listed.
    #[error("the Delta log was not written: {0}")]
    File(#[from] Arc<FileError>),
    /// The Delta library refused.
    #[error("the Delta log in {} cannot be used: {cause}", folder.display())]
    Log {
        /// The table's folder.
        folder: PathBuf,
        /// What the library said.
        cause: Box<DeltaTableError>,
    },
    /// The Delta library panicked, which bytes that no writer made can bring about.
    #[error("the Delta log in {} is malformed: reading it ended in a panic ({what}); restore _delta_log from a copy", folder.display())]
    Panicked {
        /// The table's folder.
        folder: PathBuf,
        /// The panic's message.
        what: String,
    },
    /// The log says something of the table that no log of this crate says. Other engines go by it, and would read other
    /// values than those that were checked (T26).
    #[error(
        "the Delta log in {} has {field} {found} instead of {expected}; another tool wrote it, or _delta_log was changed: restore it from a copy", folder.display()
    )]
    Foreign {
        /// The table's folder.
        folder: PathBuf,
        /// The action's field.
        field: String,
        /// What stands there, its beginning if it is long.
        found: String,
        /// What should.
        expected: String,
    },
    /// The schema is not one of ours.
    #[error(transparent)]
    Columns(#[from] ColumnsError),
    /// A file's entry is not one of ours.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The watermark is negative.
    #[error("the table's watermark is {found}, which no writer sets; restore _delta_log from a copy")]
    Watermark {
        /// What stands there.
        found: i64,
    },
    /// The commit did not land.
    #[error("version {version} was not committed: {cause}")]
    NotCommitted {
        /// The version that was to be.
        version: u64,
        /// Why.
        cause: String,
    },
    /// Someone else committed: the table has two writers (I6).
    #[error(
        "version {found} of the table was written by someone else while this writer held version {expected}; stop the other writer"
    )]
    Overtaken {
        /// The version this writer knew.
        expected: u64,
        /// The version that is there.
        found: u64,
    },
    /// Nobody knows whether the commit landed: the log could not be read again (I5). If it did, the table names files
    /// that this writer would take for orphans.
    #[error("whether version {version} was committed is not known, so stop the writer and start again: {cause}")]
    Unknown {
        /// The version that was to be.
        version: u64,
        /// Why.
        cause: String,
    },
    /// An fsync failed: what is in memory may not be on disk, and only a restart can tell (T25).
    #[error("an fsync of the Delta log failed, so what is durable is not known; stop the writer and start again: {0}")]
    Unsynced(Arc<FileError>),
}

impl TableError {
    /// Whether the writer must stop and recover from what is on disk, rather than try again.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Unsynced(_) | Self::Overtaken { .. } | Self::Unknown { .. })
    }
}

/// A table's log, open for reading, and for the one writer's commits.
pub(crate) struct Table {
    host: Host,
    folder: PathBuf,
    store: Arc<DurableStore>,
    log: LogStoreRef,
}

/// One version of the table.
#[derive(Clone)]
pub(crate) struct Version {
    pub version: u64,
    /// Records below it are settled.
    pub watermark: u64,
    pub columns: Arc<Columns>,
    pub files: Vec<Manifest>,
    state: Arc<DeltaTableState>,
}

/// A file that a commit removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dead {
    pub path: String,
    /// When, in milliseconds since the Unix epoch.
    pub removed_ms: i64,
    /// Whether it holds what was erased since.
    pub is_erased: bool,
}

/// What one commit changes.
#[derive(Default)]
pub(crate) struct Change {
    /// The columns after it, when it adds some.
    pub columns: Option<Columns>,
    pub files: Vec<Manifest>,
    /// Files that are live before it and not after.
    pub removed: Vec<Manifest>,
    /// Why files go away, if some do.
    pub reason: Option<Reason>,
    pub watermark: u64,
}

impl Change {
    /// Whether other records are to be read after it than before.
    fn is_data_change(&self) -> bool {
        self.reason != Some(Reason::Compaction)
    }

    /// The operation that the log names.
    fn operation(&self) -> DeltaOperation {
        match self.reason {
            None => DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None },
            Some(Reason::Compaction) => DeltaOperation::Optimize { predicate: None, target_size: TARGET_BYTES as i64 },
            Some(Reason::Erasure) => DeltaOperation::Delete { predicate: None },
        }
    }
}

impl Table {
    /// Names the table in `folder`; touches nothing.
    pub(crate) fn at(host: Host, folder: &Path) -> Result<Self, TableError> {
        let bad = || TableError::Path(folder.to_owned());
        let folder = std::path::absolute(folder).map_err(|_| bad())?;
        let url = Url::from_directory_path(&folder).map_err(|()| bad())?;
        let prefix = object_store::path::Path::from_absolute_path(&folder).map_err(|_| bad())?;
        let store = Arc::new(DurableStore::new(host.clone()));
        let prefixed = Arc::new(PrefixStore::new(store.clone(), prefix));
        let log = default_logstore(prefixed, store.clone(), &url, &StorageConfig::default());
        Ok(Self { host, folder, store, log })
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

    /// Whether a table is there.
    pub(crate) fn exists(&self) -> bool {
        self.log_folder().join(format!("{:020}.json", 0)).exists()
    }

    /// Makes the table, empty, if it is not there; for a lake that is being made.
    pub(crate) fn create_or_recover(&self) -> Result<Version, TableError> {
        if self.exists() {
            return self.recover();
        }
        self.host.create_dir_all(self.log_folder(), STEP).map_err(|e| TableError::File(Arc::new(e)))?;
        self.sweep_temporaries()?;
        self.sync_log_folder()?;
        self.create()
    }

    /// Makes what is there durable and reads it; for the writer alone. Removes nothing.
    pub(crate) fn recover(&self) -> Result<Version, TableError> {
        if !self.exists() {
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

    fn create(&self) -> Result<Version, TableError> {
        let protocol: Protocol = serde_json::from_value(protocol()).map_err(|e| self.json(e))?;
        let id = self.host.uuid_v7().to_string();
        let metadata = self.metadata(&id, &Columns::fixed(), self.now_ms())?;
        let nothing = Change::default();
        let info = self.commit_info(&nothing, None);
        let actions = vec![info, Action::Protocol(protocol), Action::Metadata(metadata)];
        let done = self.run(actions, nothing.operation(), None);
        self.settle_outcome(done, None, &nothing)
    }

    /// Reads the newest version of the table.
    pub(crate) fn load(&self) -> Result<Version, TableError> {
        if !self.exists() {
            return Err(self.missing());
        }
        self.only_entries()?;
        let log = self.log.clone();
        let state = self.block(async move { DeltaTableState::try_new(&log, None).await })?;
        self.read(state)
    }

    /// The files that commits removed, as far back as the log tells.
    pub(crate) fn dead(&self, version: &Version) -> Result<Vec<Dead>, TableError> {
        let (log, state) = (self.log.clone(), version.state.clone());
        let read = |tombstone: TombstoneView| Dead {
            path: tombstone.path().into_owned(),
            removed_ms: tombstone.deletion_timestamp().unwrap_or(0),
            is_erased: tombstone.data_change(),
        };
        self.block(async move { state.all_tombstones(&log).map_ok(read).try_collect().await })
    }

    /// Nothing but entries stands in the log's folder: a checkpoint or a compacted entry that we did not write could
    /// show another engine another table than the entries make (T26).
    fn only_entries(&self) -> Result<(), TableError> {
        let listed = self.host.list(self.log_folder(), STEP).map_err(|e| TableError::File(Arc::new(e)))?;
        let is_ours = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let version = name.strip_suffix(".json").unwrap_or_default();
            host::is_temporary(path) || version.len() == 20 && version.bytes().all(|byte| byte.is_ascii_digit())
        };
        match listed.into_iter().find(|path| !is_ours(path)) {
            None => Ok(()),
            Some(path) => Err(TableError::Foreign {
                folder: self.folder.clone(),
                field: "a file".to_owned(),
                found: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                expected: "entries alone, <20 digits>.json".to_owned(),
            }),
        }
    }

    /// Commits `change` on top of `base`; when it returns `Ok` the commit is durable.
    pub(crate) fn commit(&self, base: &Version, change: Change) -> Result<Version, TableError> {
        let mut actions = vec![self.commit_info(&change, Some(base.version))];
        if let Some(columns) = &change.columns {
            let old = base.state.metadata();
            let created = old.created_time().unwrap_or_else(|| self.now_ms());
            actions.push(Action::Metadata(self.metadata(old.id(), columns, created)?));
        }
        actions.extend(change.removed.iter().map(|file| Action::Remove(self.remove(file, &change))));
        actions.extend(change.files.iter().map(|file| Action::Add(self.add(file, &change))));
        let watermark = i64::try_from(change.watermark).map_err(|_| TableError::Watermark { found: i64::MAX })?;
        if change.watermark != base.watermark {
            actions.push(Action::Txn(Transaction::new_with_last_update(APPLICATION, watermark, Some(self.now_ms()))));
        }
        let done = self.run(actions, change.operation(), Some(base.state.clone()));
        self.settle_outcome(done, Some(base), &change)
    }

    /// Writes one log entry. The answer is not to be trusted when it is an error: see `settle_outcome`.
    fn run(
        &self,
        actions: Vec<Action>,
        operation: DeltaOperation,
        base: Option<Arc<DeltaTableState>>,
    ) -> Result<DeltaTableState, TableError> {
        self.store.take_failure();
        let log = self.log.clone();
        // No retry: one committer has nothing to retry against. No hooks: checkpoints and clean-up are ours to call.
        let properties = CommitProperties::default()
            .with_max_retries(0)
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false));
        self.block(async move {
            let reference =
                base.as_deref().map(|state| state as &dyn deltalake_core::kernel::transaction::TableReference);
            let builder = CommitBuilder::from(properties).with_actions(actions);
            Ok(builder.build(reference, log, operation).await?.snapshot())
        })
    }

    /// Finds out what became of a commit of `change` on `base`.
    fn settle_outcome(
        &self,
        done: Result<DeltaTableState, TableError>,
        base: Option<&Version>,
        change: &Change,
    ) -> Result<Version, TableError> {
        let cause = match done.and_then(|state| self.read(state)) {
            Ok(version) => return Ok(version),
            Err(cause) => cause,
        };
        if let Some(failure) = self.store.take_failure()
            && matches!(
                *failure,
                FileError::Io { operation: Operation::SyncAll | Operation::SyncData | Operation::SyncFolder, .. }
            )
        {
            return Err(TableError::Unsynced(failure));
        }
        // Landed or not, the names in the log's folder are what counts from here on, so they must be durable.
        self.sync_log_folder()?;
        let wanted = base.map_or(0, |b| b.version + 1);
        if base.is_none() && !self.exists() {
            return Err(TableError::NotCommitted { version: wanted, cause: cause.to_string() });
        }
        let unknown = |error: TableError| TableError::Unknown { version: wanted, cause: error.to_string() };
        let found = self.load().map_err(unknown)?;
        let is_ours = || change.files.iter().all(|file| found.files.contains(file));
        if found.version == wanted && found.watermark == change.watermark && is_ours() {
            return Ok(found);
        }
        match base {
            Some(base) if found.version == base.version => {
                Err(TableError::NotCommitted { version: wanted, cause: cause.to_string() })
            }
            base => Err(TableError::Overtaken { expected: base.map_or(0, |b| b.version), found: found.version }),
        }
    }

    fn read(&self, state: DeltaTableState) -> Result<Version, TableError> {
        let (log, state) = (self.log.clone(), Arc::new(state));
        let txn = {
            let state = state.clone();
            self.block(async move { state.transaction_version(&log, APPLICATION).await })?.unwrap_or(0)
        };
        let watermark = u64::try_from(txn).map_err(|_| TableError::Watermark { found: txn })?;
        self.require("protocol", &self.value(state.protocol())?, &protocol())?;
        let columns = self.columns(state.metadata())?;
        let mut files = Vec::new();
        for view in state.snapshot().try_log_data().map_err(|e| self.log_error(e))?.iter() {
            #[allow(deprecated, reason = "the tags are in no other public accessor")]
            files.push(Manifest::read(view.add_action())?);
        }
        // The library gives them newest first or oldest first as it likes; readers get one order.
        files.sort_by(|a, b| (a.first_index, &a.path).cmp(&(b.first_index, &b.path)));
        Ok(Version { version: state.version(), watermark, columns: Arc::new(columns), files, state })
    }

    /// The columns of a table whose metadata is exactly what [`Table::metadata`] writes for them. Anything else, such as
    /// a column mapping or partition columns, would make another engine read other values than stand in the files.
    fn columns(&self, metadata: &Metadata) -> Result<Columns, TableError> {
        let found = self.value(metadata)?;
        let schema = found["schemaString"].as_str().unwrap_or_default();
        let columns = Columns::from_delta(schema)?;
        let schema: Value = serde_json::from_str(schema).map_err(|e| self.json(e))?;
        let ours: Value = serde_json::from_str(&columns.to_delta()).map_err(|e| self.json(e))?;
        for at in 0..columns.list().len() {
            self.require("metaData.schemaString", &schema["fields"][at], &ours["fields"][at])?;
        }
        self.require("metaData.schemaString", &schema, &ours)?;
        let ours = self.value(&self.metadata("", &columns, 0)?)?;
        for field in ["format", "partitionColumns", "configuration"] {
            self.require(&format!("metaData.{field}"), &found[field], &ours[field])?;
        }
        Ok(columns)
    }

    fn require(&self, field: &str, found: &Value, expected: &Value) -> Result<(), TableError> {
        if found == expected {
            return Ok(());
        }
        let brief = |value: &Value| value.to_string().chars().take(300).collect();
        Err(TableError::Foreign {
            folder: self.folder.clone(),
            field: field.to_owned(),
            found: brief(found),
            expected: brief(expected),
        })
    }

    fn value(&self, of: &impl serde::Serialize) -> Result<Value, TableError> {
        serde_json::to_value(of).map_err(|e| self.json(e))
    }

    fn metadata(&self, id: &str, columns: &Columns, created_ms: i64) -> Result<Metadata, TableError> {
        let configuration: std::collections::BTreeMap<_, _> = PROPERTIES.iter().copied().collect();
        serde_json::from_value(serde_json::json!({
            "id": id,
            "name": null,
            "description": null,
            "format": {"provider": "parquet", "options": {}},
            "schemaString": columns.to_delta(),
            "partitionColumns": [],
            "configuration": configuration,
            "createdTime": created_ms,
        }))
        .map_err(|e| self.json(e))
    }

    fn add(&self, file: &Manifest, change: &Change) -> Add {
        Add {
            path: file.path.clone(),
            size: i64::try_from(file.bytes).unwrap_or(i64::MAX),
            modification_time: self.now_ms(),
            data_change: change.is_data_change(),
            stats: Some(file.stats.clone()),
            tags: Some(file.tags()),
            ..Add::default()
        }
    }

    fn remove(&self, file: &Manifest, change: &Change) -> Remove {
        Remove {
            path: file.path.clone(),
            data_change: change.is_data_change(),
            deletion_timestamp: Some(self.now_ms()),
            extended_file_metadata: Some(true),
            partition_values: Some(HashMap::new()),
            size: i64::try_from(file.bytes).ok(),
            ..Remove::default()
        }
    }

    fn commit_info(&self, change: &Change, read_version: Option<u64>) -> Action {
        let operation = match (read_version, change.reason) {
            (None, _) => "CREATE TABLE",
            (_, None) => "WRITE",
            (_, Some(Reason::Compaction)) => "OPTIMIZE",
            (_, Some(Reason::Erasure)) => "DELETE",
        };
        Action::CommitInfo(CommitInfo {
            timestamp: Some(self.now_ms()),
            operation: Some(operation.to_owned()),
            read_version,
            is_blind_append: Some(change.reason.is_none()),
            engine_info: Some(concat!("onrecord/", env!("CARGO_PKG_VERSION")).to_owned()),
            ..CommitInfo::default()
        })
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
mod tests {
    use super::*;
    use crate::columns::ColumnType;
    use crate::manifest::{FORMAT, NO_KEY};

    const A: &str = "settle-00000000000000000000-000000000000000a.parquet";
    const B: &str = "settle-00000000000000000002-000000000000000b.parquet";

    fn file(path: &str, first: u64, last: u64) -> Manifest {
        Manifest {
            path: path.to_owned(),
            bytes: 1234,
            format: FORMAT,
            key_id: NO_KEY.to_owned(),
            first_index: first,
            last_index: last,
            rows: last - first + 1,
            sha256: [7; 32],
            min_id: "0190a5c2-7b1e-7c3a-9d55-1f0f5a6b7c8d".to_owned(),
            max_id: "0190a5c2-7b1e-7c3a-9d55-1f0f5a6b7c8e".to_owned(),
            stats: r#"{"numRecords":2,"minValues":{"index":0,"id":"a","time":"2024-06-01T12:00:00.123456Z","model.name":"m"},"maxValues":{"index":1,"id":"b","time":"2024-06-01T12:00:00.999999Z","model.name":"n"},"nullCount":{"index":0,"model.name":0}}"#.to_owned(),
        }
    }

    #[test]
    fn a_commit_survives_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let table = Table::at(Host::system(), folder.path()).unwrap();
        let empty = table.create_or_recover().unwrap();
        assert_eq!((empty.version, empty.watermark, empty.files.len()), (0, 0, 0));
        let mut columns = (*empty.columns).clone();
        columns.add_path("inputs.income", ColumnType::Num).unwrap();
        let change =
            Change { columns: Some(columns.clone()), files: vec![file(A, 0, 1)], watermark: 2, ..Change::default() };
        let one = table.commit(&empty, change).unwrap();
        let change = Change { files: vec![file(B, 2, 3)], watermark: 4, ..Change::default() };
        let two = table.commit(&one, change).unwrap();
        let again = Table::at(Host::system(), folder.path()).unwrap().load().unwrap();
        assert_eq!((again.version, again.watermark), (2, 4));
        assert_eq!(again.files, [file(A, 0, 1), file(B, 2, 3)]);
        assert_eq!(again.files, two.files);
        assert_eq!(again.columns.list(), columns.list());
    }

    /// T26: a checkpoint that we did not write is what another engine would read instead of our entries.
    #[test]
    fn a_file_in_the_log_that_is_no_entry_is_refused() {
        for name in [
            "_last_checkpoint",
            "00000000000000000000.checkpoint.parquet",
            "00000000000000000000.00000000000000000001.compacted.json",
        ] {
            let folder = tempfile::tempdir().unwrap();
            let table = Table::at(Host::system(), folder.path()).unwrap();
            table.create_or_recover().unwrap();
            Host::system().put_new(table.log_folder().join(name), b"{}", "test").unwrap();
            let error = table.load().map(|v| v.version).unwrap_err();
            assert!(matches!(&error, TableError::Foreign { found, .. } if found == name), "{error}");
        }
    }

    #[test]
    fn a_second_writer_is_found_out() {
        let folder = tempfile::tempdir().unwrap();
        let table = Table::at(Host::system(), folder.path()).unwrap();
        let empty = table.create_or_recover().unwrap();
        let change = || Change { watermark: 5, ..Change::default() };
        table.commit(&empty, change()).unwrap();
        table.commit(&table.load().unwrap(), Change { watermark: 9, ..change() }).unwrap();
        let error = table.commit(&empty, change()).map(|v| v.version).unwrap_err();
        assert!(matches!(error, TableError::Overtaken { expected: 0, found: 2 }), "{error}");
    }

    /// The log's entries, as another engine or a later version will find them.
    #[test]
    fn the_log_says_this() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::builder().random_seed(1).clock(host::ManualClock::at(1_717_243_200_123_456_789)).build();
        let table = Table::at(host, folder.path()).unwrap();
        let empty = table.create_or_recover().unwrap();
        table.commit(&empty, Change { files: vec![file(A, 0, 1)], watermark: 2, ..Change::default() }).unwrap();
        for version in 0..2 {
            let entry = std::fs::read_to_string(table.log_folder().join(format!("{version:020}.json"))).unwrap();
            let mut actions: Vec<Value> = entry.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
            // Its own test shows the schema; here it would hide the rest.
            if let Some(schema) = actions.iter_mut().find_map(|a| a.pointer_mut("/metaData/schemaString")) {
                *schema = "…".into();
            }
            actions.iter_mut().for_each(Value::sort_all_objects);
            insta::assert_json_snapshot!(format!("log_entry_{version}"), actions);
        }
    }

    #[test]
    fn the_schema_of_an_empty_table_is_this() {
        let schema: Value = serde_json::from_str(&Columns::fixed().to_delta()).unwrap();
        let fields = schema["fields"].as_array().unwrap().iter();
        let lines: Vec<_> = fields.map(|f| format!("{} {}", f["name"].as_str().unwrap(), f["type"])).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    /// Whatever stands in the log, reading it ends in a version or in an error.
    #[test]
    fn a_damaged_log_is_an_error_and_no_panic() {
        let folder = tempfile::tempdir().unwrap();
        let table = Table::at(Host::builder().random_seed(1).build(), folder.path()).unwrap();
        let empty = table.create_or_recover().unwrap();
        table.commit(&empty, Change { files: vec![file(A, 0, 1)], watermark: 2, ..Change::default() }).unwrap();
        let mut errors = 0;
        for version in 0..2 {
            let path = table.log_folder().join(format!("{version:020}.json"));
            let good = std::fs::read(&path).unwrap();
            for at in (0..good.len()).step_by(good.len() / 40 + 1) {
                let mut bad = good.clone();
                bad[at] ^= 0x15;
                table.host.replace(&path, &bad, "test", None).unwrap();
                errors += usize::from(table.load().is_err());
            }
            for cut in [0, 1, good.len() / 2, good.len() - 1] {
                table.host.replace(&path, &good[..cut], "test", None).unwrap();
                errors += usize::from(table.load().is_err());
            }
            table.host.replace(&path, &good, "test", None).unwrap();
        }
        assert!(errors > 10, "{errors}");
        assert_eq!(table.load().unwrap().watermark, 2);
    }

    type Forgery<'a> = (&'a str, &'a str, &'a dyn Fn(&mut Value));

    /// Reads a table after `change` was made to the only action of that name: `protocol`, `metaData` or `add`.
    fn read_forged(action: &str, change: &dyn Fn(&mut Value)) -> Result<Version, TableError> {
        let folder = tempfile::tempdir().unwrap();
        let table = Table::at(Host::builder().random_seed(1).build(), folder.path()).unwrap();
        let empty = table.create_or_recover().unwrap();
        table.commit(&empty, Change { files: vec![file(A, 0, 1)], watermark: 2, ..Change::default() }).unwrap();
        let mut forged = 0;
        for version in 0..2 {
            let path = table.log_folder().join(format!("{version:020}.json"));
            let mut entry = String::new();
            for line in std::fs::read_to_string(&path).unwrap().lines() {
                let mut line: Value = serde_json::from_str(line).unwrap();
                if let Some(action) = line.get_mut(action) {
                    change(action);
                    forged += 1;
                }
                entry += &format!("{line}\n");
            }
            table.host.replace(&path, entry.as_bytes(), "test", None).unwrap();
        }
        assert_eq!(forged, 1);
        table.load()
    }

    fn change_schema(metadata: &mut Value, change: impl Fn(&mut Value)) {
        let mut schema: Value = serde_json::from_str(metadata["schemaString"].as_str().unwrap()).unwrap();
        change(&mut schema);
        metadata["schemaString"] = schema.to_string().into();
    }

    #[test]
    fn a_log_that_is_only_written_anew_reads_the_same() {
        for action in ["protocol", "metaData", "add"] {
            assert_eq!(read_forged(action, &|_| ()).unwrap().files, [file(A, 0, 1)]);
        }
    }

    /// T26: each of these leaves the data files as they are, and makes another engine read something else.
    #[test]
    fn what_other_engines_go_by_is_as_we_write_it() {
        let features = |protocol: &mut Value| {
            *protocol = serde_json::json!({
                "minReaderVersion": 3, "minWriterVersion": 7,
                "readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"],
            });
        };
        let vector = |add: &mut Value| {
            add["deletionVector"] = serde_json::json!({
                "storageType": "i", "pathOrInlineDv": "wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L",
                "sizeInBytes": 40, "cardinality": 1,
            });
        };
        let mapping = |metadata: &mut Value| {
            metadata["configuration"]["delta.columnMapping.mode"] = "name".into();
            change_schema(metadata, |schema| {
                for (id, field) in (1..).zip(schema["fields"].as_array_mut().unwrap()) {
                    let name = field["name"].clone();
                    field["metadata"] = serde_json::json!({
                        "delta.columnMapping.id": id, "delta.columnMapping.physicalName": name,
                    });
                }
            });
        };
        let field_metadata = |metadata: &mut Value| {
            change_schema(metadata, |schema| schema["fields"][3]["metadata"]["comment"] = "x".into());
        };
        let not_null =
            |metadata: &mut Value| change_schema(metadata, |schema| schema["fields"][0]["nullable"] = false.into());
        let forgeries: &[Forgery<'_>] = &[
            ("add", "partitionValues", &|add| add["partitionValues"] = serde_json::json!({"model.name": "other"})),
            ("add", "deletionVector", &vector),
            ("add", "baseRowId", &|add| add["baseRowId"] = 7.into()),
            ("add", "defaultRowCommitVersion", &|add| add["defaultRowCommitVersion"] = 7.into()),
            ("add", "clusteringProvider", &|add| add["clusteringProvider"] = "liquid".into()),
            ("add", "file:///", &|add| add["path"] = format!("file:///tmp/{A}").into()),
            ("add", "../", &|add| add["path"] = format!("../{A}").into()),
            ("add", "x.parquet", &|add| add["path"] = "x.parquet".into()),
            ("protocol", "protocol", &features),
            ("protocol", "protocol", &|protocol| protocol["minWriterVersion"] = 4.into()),
            ("metaData", "schemaString", &mapping),
            ("metaData", "schemaString", &field_metadata),
            ("metaData", "schemaString", &not_null),
            ("metaData", "configuration", &|m| m["configuration"]["delta.columnMapping.mode"] = "none".into()),
            ("metaData", "configuration", &|m| m["configuration"]["delta.enableExpiredLogCleanup"] = "true".into()),
            ("metaData", "configuration", &|m| m["configuration"] = serde_json::json!({})),
            ("metaData", "partitionColumns", &|m| m["partitionColumns"] = serde_json::json!(["model.name"])),
            ("metaData", "format", &|m| m["format"]["provider"] = "orc".into()),
        ];
        for (action, named, change) in forgeries {
            let error = read_forged(action, change).map(|version| version.files).unwrap_err().to_string();
            assert!(error.contains(named), "{action} {named}: {error}");
        }
    }
}
