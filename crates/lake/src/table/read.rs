//! One version of the table, as the log has it: nothing is believed that a log of this crate does not say (T26).

use std::sync::Arc;

use deltalake_core::kernel::{Metadata, TombstoneView};
use deltalake_core::table::state::DeltaTableState;
use futures::TryStreamExt as _;
use serde_json::Value;

use super::{APPLICATION, Table, TableError, protocol};
use crate::columns::Columns;
use crate::manifest::Manifest;

/// What the table is told, on purpose. Append-only is our layer's promise and not Delta's: `delta.appendOnly` would
/// forbid the removals that retention and erasure need.
const PROPERTIES: &[(&str, &str)] = &[
    // Only these have Delta statistics: they name no person, and they stay in clear when files are encrypted.
    ("delta.dataSkippingStatsColumns", "index,id,time,`model.name`,`model.version`"),
    // The log is cleaned when we say so, never as the side effect of a commit.
    ("delta.enableExpiredLogCleanup", "false"),
    ("onrecord.format", "1"),
];

/// One version of the table.
#[derive(Clone)]
pub(crate) struct Version {
    pub version: u64,
    /// Records below it are settled.
    pub watermark: u64,
    pub columns: Arc<Columns>,
    pub files: Vec<Manifest>,
    /// The checkpoint that it was read from, or that the version was which it was committed on top of.
    pub checkpoint: Option<u64>,
    pub(super) state: Arc<DeltaTableState>,
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

impl Table {
    /// Reads the newest version of the table.
    pub(crate) fn load(&self) -> Result<Version, TableError> {
        let listing = self.listing()?;
        self.is_whole(&listing)?;
        if let Some(base) = listing.base() {
            // Before the library reads it, which panics over some bytes.
            self.look_at(base, &listing)?;
        }
        let log = self.log.clone();
        let state = self.block(async move { DeltaTableState::try_new(&log, None).await })?;
        Ok(Version { checkpoint: listing.base(), ..self.read(state)? })
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

    pub(super) fn read(&self, state: DeltaTableState) -> Result<Version, TableError> {
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
        let columns = Arc::new(columns);
        Ok(Version { version: state.version(), watermark, columns, files, checkpoint: None, state })
    }

    /// The columns of a table whose metadata is exactly what [`Table::metadata`] writes for them. Anything else, such as
    /// a column mapping or partition columns, would make another engine read other values than stand in the files.
    pub(super) fn columns(&self, metadata: &Metadata) -> Result<Columns, TableError> {
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

    pub(super) fn value(&self, of: &impl serde::Serialize) -> Result<Value, TableError> {
        serde_json::to_value(of).map_err(|e| self.json(e))
    }

    pub(super) fn metadata(&self, id: &str, columns: &Columns, created_ms: i64) -> Result<Metadata, TableError> {
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
}
