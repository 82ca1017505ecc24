//! One commit, and what became of it.

use std::collections::HashMap;
use std::sync::Arc;

use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake_core::kernel::{Action, Add, CommitInfo, Protocol, Remove, Transaction};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::state::DeltaTableState;
use host::{FileError, Operation};

use super::{APPLICATION, Table, TableError, Version, protocol};
use crate::columns::Columns;
use crate::manifest::Manifest;
use crate::rewrite::{Reason, TARGET_BYTES};

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
    pub(super) fn create(&self) -> Result<Version, TableError> {
        let protocol: Protocol = serde_json::from_value(protocol()).map_err(|e| self.json(e))?;
        let id = self.host.uuid_v7().to_string();
        let metadata = self.metadata(&id, &Columns::fixed(), self.now_ms())?;
        let nothing = Change::default();
        let info = self.commit_info(&nothing, None);
        let actions = vec![info, Action::Protocol(protocol), Action::Metadata(metadata)];
        let done = self.run(actions, nothing.operation(), None);
        self.settle_outcome(done, None, &nothing)
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
            Ok(version) => return Ok(Version { checkpoint: base.and_then(|base| base.checkpoint), ..version }),
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
        if base.is_none() && !self.exists()? {
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
}
