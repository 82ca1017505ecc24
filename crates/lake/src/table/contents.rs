//! What one checkpoint says, read here and not by the Delta library: row by row, as other engines will.
//!
//! A checkpoint is an index over the log that engines believe in its place, so one that drops a file hides its rows
//! (T26). Reading it here shows that nothing stands in it that a checkpoint of this crate does not say; that it says
//! what the entries say is shown by holding it against [`Contents`] that were made from them.

use std::collections::{BTreeMap, HashSet};

use arrow_schema::Fields;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::ChunkReader;
use serde_json::{Map, Value};

use super::{APPLICATION, protocol};
use crate::guard::guarded;
use crate::manifest::{Manifest, NameOf};
use crate::reader::check_row_counts;

/// Actions of a checkpoint: live files, and those that were removed in the last week.
const ACTIONS_MAX: u64 = 1_000_000;

/// Rows decoded at a time.
const BATCH_ROWS: usize = 256;

/// The columns of a checkpoint. All but the first five are empty.
const COLUMNS: &[&str] = &["add", "remove", "metaData", "protocol", "txn", "domainMetadata", "sidecar"];

/// The fields of each action that we write. Of `add` and `remove` those that make other engines read other values or
/// rows are not among them.
const FIELDS: &[(&str, &[&str])] = &[
    ("add", &["path", "partitionValues", "size", "modificationTime", "dataChange", "stats", "tags"]),
    ("remove", &["path", "deletionTimestamp", "dataChange", "extendedFileMetadata", "partitionValues", "size"]),
    ("txn", &["appId", "version", "lastUpdated"]),
];

/// The table of one version.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Contents {
    pub protocol: Value,
    pub metadata: Value,
    /// Records below it are settled. There is none before the first is.
    pub watermark: Option<u64>,
    /// Live files, by path.
    pub adds: BTreeMap<String, Value>,
    /// Files that were removed, by path.
    pub removes: BTreeMap<String, Value>,
}

impl Contents {
    /// Reads the checkpoint in `source`. What is wrong with it is said in words that follow "the checkpoint".
    pub(super) fn read<R: ChunkReader + Clone + 'static>(source: R) -> Result<Self, String> {
        guarded(|| Self::read_unguarded(source)).unwrap_or_else(|what| Err(format!("is malformed: {what}")))
    }

    fn read_unguarded<R: ChunkReader + Clone + 'static>(source: R) -> Result<Self, String> {
        let metadata = ArrowReaderMetadata::load(&source, options()).map_err(|e| unreadable(&e))?;
        check_row_counts(metadata.metadata()).map_err(|e| unreadable(&e))?;
        claims_nothing(metadata.metadata())?;
        let rows = u64::try_from(metadata.metadata().file_metadata().num_rows()).unwrap_or(u64::MAX);
        if rows > ACTIONS_MAX {
            return Err(format!("has {rows} actions, and {ACTIONS_MAX} are the most"));
        }
        let fields = metadata.schema().fields();
        if let Some(other) = fields.iter().find(|field| !COLUMNS.contains(&field.name().as_str())) {
            return Err(format!("has a column {:?}, which none of ours has", other.name()));
        }
        are_told_apart(fields)?;
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(source, metadata)
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(|e| unreadable(&e))?;
        let mut contents = Self::default();
        for batch in reader {
            let batch = batch.map_err(|e| unreadable(&e))?;
            let mut lines = arrow_json::LineDelimitedWriter::new(Vec::new());
            lines.write(&batch).and_then(|()| lines.finish()).map_err(|e| unreadable(&e))?;
            let lines = lines.into_inner();
            for line in serde_json::Deserializer::from_slice(&lines).into_iter::<Map<String, Value>>() {
                contents.take(line.map_err(|e| unreadable(&e))?)?;
            }
        }
        if contents.protocol != protocol() {
            return Err(format!("has protocol {}, and ours is {}", contents.protocol, protocol()));
        }
        if contents.metadata.is_null() {
            return Err("has no metadata".to_owned());
        }
        Ok(contents)
    }

    /// Takes one row, which is one action.
    fn take(&mut self, row: Map<String, Value>) -> Result<(), String> {
        let mut actions = row.into_iter();
        let (Some((name, mut action)), None) = (actions.next(), actions.next()) else {
            return Err("has a row that is not one action".to_owned());
        };
        drop_nulls(&mut action);
        let allowed = FIELDS.iter().find(|(of, _)| *of == name).map(|(_, fields)| *fields);
        if let (Some(allowed), Some(fields)) = (allowed, action.as_object())
            && let Some(other) = fields.keys().find(|field| !allowed.contains(&field.as_str()))
        {
            return Err(format!("has a field {name}.{other}, which none of ours has"));
        }
        match name.as_str() {
            "protocol" if self.protocol.is_null() => self.protocol = action,
            "metaData" if self.metadata.is_null() => self.metadata = action,
            "txn" if self.watermark.is_none() && action["appId"] == APPLICATION => {
                let watermark = action["version"].as_u64();
                self.watermark = Some(watermark.ok_or_else(|| format!("has the watermark {}", action["version"]))?);
            }
            "add" => self.take_add(action)?,
            "remove" => self.take_remove(action)?,
            _ => return Err(format!("has an action {name} that is not ours, or is there twice: {action}")),
        }
        Ok(())
    }

    fn take_add(&mut self, action: Value) -> Result<(), String> {
        let read = serde_json::from_value(action.clone()).map_err(|error| error.to_string());
        let manifest = read.and_then(|add| Manifest::read(add).map_err(|error| error.to_string()));
        let path = manifest.map_err(|error| format!("has an entry of a file that is not ours: {error}"))?.path;
        self.add(path, action)
    }

    fn take_remove(&mut self, action: Value) -> Result<(), String> {
        let path = action["path"].as_str().filter(|path| NameOf::read(path).is_some());
        let whole = action["deletionTimestamp"].is_i64() && action["dataChange"].is_boolean();
        let path = path.filter(|_| whole).ok_or_else(|| format!("has a removed file that is not ours: {action}"))?;
        self.remove(path.to_owned(), &action)
    }

    /// Adds a live file. Engines read over whether an entry of a checkpoint is a change of data.
    pub(super) fn add(&mut self, path: String, mut action: Value) -> Result<(), String> {
        drop_nulls(&mut action);
        action.as_object_mut().map(|fields| fields.remove("dataChange"));
        self.names_once(&path)?;
        self.adds.insert(path, action);
        Ok(())
    }

    /// Adds a removed file: when that was, and whether it holds what was erased.
    pub(super) fn remove(&mut self, path: String, action: &Value) -> Result<(), String> {
        self.names_once(&path)?;
        let (when, change) = (&action["deletionTimestamp"], &action["dataChange"]);
        self.removes.insert(path, serde_json::json!({"deletionTimestamp": when, "dataChange": change}));
        Ok(())
    }

    fn names_once(&self, path: &str) -> Result<(), String> {
        if self.adds.contains_key(path) || self.removes.contains_key(path) {
            return Err(format!("names file {path:?} twice"));
        }
        Ok(())
    }

    /// Actions in it.
    pub(super) fn actions(&self) -> u64 {
        2 + u64::from(self.watermark.is_some()) + (self.adds.len() + self.removes.len()) as u64
    }

    /// How this checkpoint differs from what the entries make, if it does.
    ///
    /// Of the files that were removed it may name fewer: those of more than a week ago are left out, and none is
    /// needed to read the table.
    pub(super) fn differs_from(&self, entries: &Self) -> Option<String> {
        let say = |what: &str, found: &dyn std::fmt::Display, wanted: &dyn std::fmt::Display| {
            let brief = |text: String| text.chars().take(300).collect::<String>();
            Some(format!("says {what} {}, and the entries say {}", brief(found.to_string()), brief(wanted.to_string())))
        };
        if self.protocol != entries.protocol {
            return say("protocol", &self.protocol, &entries.protocol);
        }
        if self.metadata != entries.metadata {
            return say("metadata", &self.metadata, &entries.metadata);
        }
        if self.watermark != entries.watermark {
            let shown =
                |watermark: Option<u64>| watermark.map_or_else(|| "none".to_owned(), |records| records.to_string());
            return say("watermark", &shown(self.watermark), &shown(entries.watermark));
        }
        if let Some(path) = entries.adds.keys().find(|path| !self.adds.contains_key(*path)) {
            return Some(format!("does not name file {path:?}, which the entries have"));
        }
        for (path, found) in &self.adds {
            match entries.adds.get(path) {
                None => return Some(format!("names file {path:?}, which the entries do not have")),
                Some(wanted) if wanted != found => return say("of a file", found, wanted),
                Some(_) => {}
            }
        }
        let wrong = self.removes.iter().find(|(path, found)| entries.removes.get(*path) != Some(*found));
        wrong.map(|(path, _)| format!("says otherwise than the entries when or why file {path:?} was removed"))
    }
}

fn options() -> ArrowReaderOptions {
    ArrowReaderOptions::new().with_skip_arrow_metadata(true)
}

fn unreadable(cause: &dyn std::fmt::Display) -> String {
    format!("cannot be read: {cause}")
}

/// The checkpoint in `bytes` with the same rows and nothing by which an engine could skip some of them: statistics that
/// no one wrote are statistics that no one can change.
pub(super) fn without_claims(bytes: Bytes) -> Result<Bytes, String> {
    let builder =
        ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options()).map_err(|e| unreadable(&e))?;
    let (schema, reader) = (builder.schema().clone(), builder.build().map_err(|e| unreadable(&e))?);
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut written = Vec::new();
    let mut writer = ArrowWriter::try_new_with_options(&mut written, schema, options).map_err(|e| unreadable(&e))?;
    for batch in reader {
        writer.write(&batch.map_err(|e| unreadable(&e))?).map_err(|e| unreadable(&e))?;
    }
    writer.close().map_err(|e| unreadable(&e))?;
    Ok(written.into())
}

/// Nothing stands in the footer by which an engine skips rows, or reads them otherwise than they are (T26).
fn claims_nothing(parquet: &ParquetMetaData) -> Result<(), String> {
    let footer = parquet.file_metadata().key_value_metadata().is_some_and(|pairs| !pairs.is_empty());
    let sorted = parquet.row_groups().iter().any(|group| group.sorting_columns().is_some());
    let claims = |column: &ColumnChunkMetaData| {
        column.statistics().is_some()
            || column.bloom_filter_offset().is_some()
            || column.column_index_offset().is_some()
            || column.offset_index_offset().is_some()
    };
    if footer || sorted || parquet.row_groups().iter().flat_map(|group| group.columns()).any(claims) {
        return Err("has statistics, an index or other metadata, which none of ours has".to_owned());
    }
    Ok(())
}

/// Two columns of one name are one to some engines, and which of the two is for each to choose.
fn are_told_apart(fields: &Fields) -> Result<(), String> {
    let mut names = HashSet::new();
    for field in fields {
        if !names.insert(field.name().to_ascii_lowercase()) {
            return Err(format!("has a column {:?} twice", field.name()));
        }
        if let arrow_schema::DataType::Struct(inner) = field.data_type() {
            are_told_apart(inner)?;
        }
    }
    Ok(())
}

/// Takes out what is null, which is written in one place and left out in another.
pub(super) fn drop_nulls(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, value| !value.is_null());
        fields.values_mut().for_each(drop_nulls);
    }
}
