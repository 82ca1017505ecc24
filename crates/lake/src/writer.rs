//! Writes one data file, row by row: sorted by time, only the columns that are used, hashed on the way to the disk.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use arrow_schema::Schema;
use host::{Appender, FileError, Host};
use keys::{DataKey, Keyring};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use record::Stored;
use sha2::{Digest as _, Sha256};

use crate::encoding::{self, GROUP_ROWS};
use crate::facts::Facts;
use crate::layout::Layout;
use crate::manifest::{FORMAT, Manifest, NO_KEY};
use crate::shred::{ShredError, Shredder};
use crate::stats::Stats;
use crate::veil::{FILTERS_ENTRY, FilterWriter};

/// Fault points of data files are `parquet.<operation>`.
pub(crate) const STEP: &str = "parquet";

/// Rows and bytes of records that are put into columns at a time.
const BATCH_ROWS: usize = if cfg!(test) { 7 } else { 8_192 };
const BATCH_BYTES: usize = 16 << 20;

/// Bytes of records that are gathered to decide encodings by, where a row group of them would be more.
const GATHERED_BYTES: usize = 64 << 20;

/// Bytes gathered before they are hashed and written.
const BUFFER_BYTES: usize = 256 << 10;

/// Why a data file was not written. What there is of it is an orphan, which the next settle removes.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file could not be written or fsynced.
    #[error(transparent)]
    File(#[from] FileError),
    /// The bytes did not reach the file.
    #[error("file {file:?} was not written: {cause}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        cause: io::Error,
    },
    /// The Parquet library refused.
    #[error("file {file:?} was not written: {cause}")]
    Parquet {
        /// The file.
        file: String,
        /// Why.
        cause: ParquetError,
    },
    /// A record could not be put into columns.
    #[error(transparent)]
    Shred(#[from] ShredError),
}

/// One data file as it is written: rows are pushed in the file's order, and are on disk once [`FileWriter::finish`]
/// returns. Whoever pushes keeps one row at a time; this keeps the first rows, by which the encodings are decided, and
/// after that one batch and the encoded pages of one row group.
pub(crate) struct FileWriter<'l> {
    name: String,
    host: Host,
    /// What it is encrypted under, if it is.
    key: Option<DataKey>,
    layout: &'l Layout,
    shredder: Shredder<'l>,
    /// Bytes of the records in the shredder.
    bytes: usize,
    stats: Stats,
    stage: Stage,
}

enum Stage {
    /// Rows are gathered until there are enough of them to decide by, or no more come.
    Gathering { sink: Box<Sink>, batches: Vec<RecordBatch>, rows: usize, bytes: usize },
    /// The slots whose columns the file has, and the library's writer.
    Writing { used: Vec<usize>, parquet: Box<ArrowWriter<Sink>>, filters: Option<Box<FilterWriter>> },
    /// A write failed; the file stays as it is.
    Failed,
}

type Sink = BufWriter<Hashing>;

impl<'l> FileWriter<'l> {
    /// Makes the file `name` in `folder`, for records that `layout` has the columns of. With keys it is encrypted, under one
    /// that is in the store before the file is there.
    pub(crate) fn create(
        host: &Host,
        folder: &Path,
        name: &str,
        layout: &'l Layout,
        keys: Option<&Keyring>,
    ) -> Result<Self, WriteError> {
        let key = keys.map(|keys| keys.make(name)).transpose()?;
        let file = host.create_new(folder.join(name), STEP)?.into_appender(0);
        let sink = BufWriter::with_capacity(BUFFER_BYTES, Hashing { inner: file, hash: Sha256::new(), bytes: 0 });
        Ok(Self {
            name: name.to_owned(),
            host: host.clone(),
            key,
            layout,
            shredder: Shredder::new(layout),
            bytes: 0,
            stats: Stats::default(),
            stage: Stage::Gathering { sink: Box::new(sink), batches: Vec::new(), rows: 0, bytes: 0 },
        })
    }

    /// Appends one record. Rows come sorted by time, nulls last, then by index. After an error the file is an orphan.
    pub(crate) fn push(&mut self, index: u64, stored: &Stored, facts: &Facts) -> Result<(), WriteError> {
        self.stats.add_record(index, stored, facts);
        self.shredder.push(index, stored, facts)?;
        self.bytes += stored.parts().map_or(0, record::Parts::total_bytes);
        if self.shredder.rows() == BATCH_ROWS || self.bytes >= BATCH_BYTES {
            self.batch()?;
        }
        Ok(())
    }

    /// Hands the rows in the shredder on.
    fn batch(&mut self) -> Result<(), WriteError> {
        let bytes = std::mem::take(&mut self.bytes);
        let batch = self.shredder.finish()?;
        match &mut self.stage {
            Stage::Gathering { batches, rows, bytes: gathered, .. } => {
                *rows += batch.num_rows();
                *gathered += bytes;
                batches.push(batch);
                if *rows >= GROUP_ROWS || *gathered >= GATHERED_BYTES { self.begin(true) } else { Ok(()) }
            }
            Stage::Writing { used, parquet, filters } => write(&self.name, used, parquet, filters, &batch),
            Stage::Failed => Err(failed_before(&self.name)),
        }
    }

    /// Decides which columns the file has and how they are encoded, and writes what was gathered. If rows may follow,
    /// a column without a value so far may still get one, and stays.
    fn begin(&mut self, rows_may_follow: bool) -> Result<(), WriteError> {
        let (sink, batches) = match std::mem::replace(&mut self.stage, Stage::Failed) {
            Stage::Gathering { sink, batches, .. } => (sink, batches),
            begun => {
                self.stage = begun;
                return Ok(());
            }
        };
        let is_used = |slot: usize| batches.iter().any(|b| b.column(slot).null_count() < b.num_rows());
        let used: Vec<usize> =
            (0..self.layout.columns.len()).filter(|&slot| rows_may_follow || is_used(slot)).collect();
        let columns: Vec<_> = used.iter().map(|&slot| &self.layout.columns[slot]).collect();
        let properties =
            encoding::properties(&columns, &batches, self.key.as_ref()).map_err(|cause| refused(&self.name, cause))?;
        // The Arrow schema is what the Parquet schema says already; kilobytes of it in each file would say it again.
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let schema = Arc::new(Schema::new(columns.iter().map(|c| c.field()).collect::<Vec<_>>()));
        let parquet = ArrowWriter::try_new_with_options(*sink, schema, options);
        let mut parquet = Box::new(parquet.map_err(|cause| refused(&self.name, cause))?);
        let slot = |name: &str| self.layout.columns.iter().position(|column| *column.name == *name);
        let used_slot = |name: &str| slot(name).filter(|slot| used.contains(slot));
        let filters = self.key.as_ref().map(|key| FilterWriter::new(key, used_slot).map(Box::new)).transpose();
        let mut filters = filters.map_err(|cause| refused(&self.name, cause))?;
        for batch in batches {
            write(&self.name, &used, &mut parquet, &mut filters, &batch)?;
        }
        self.stage = Stage::Writing { used, parquet, filters };
        Ok(())
    }

    /// Writes what is left and the footer, and fsyncs the file. The folder is fsynced by the caller, once for all
    /// files.
    pub(crate) fn finish(mut self) -> Result<Manifest, WriteError> {
        if self.shredder.rows() > 0 {
            self.batch()?;
        }
        self.begin(false)?;
        let (first_index, last_index) = self.stats.indices();
        let (min_id, max_id) = self.stats.ids();
        let key_id = self.key.as_ref().map_or_else(|| NO_KEY.to_owned(), |key| key.id().to_string());
        let sink = match self.stage {
            Stage::Writing { mut parquet, filters, .. } => {
                for entry in footer(&key_id, first_index, last_index, self.stats.rows()) {
                    parquet.append_key_value_metadata(entry);
                }
                parquet.append_key_value_metadata(self.shredder.split().entry(self.layout));
                if let Some(filters) = filters {
                    append(&self.host, &mut parquet, *filters).map_err(|cause| refused(&self.name, cause))?;
                }
                parquet.into_inner().map_err(|cause| refused(&self.name, cause))?
            }
            Stage::Gathering { .. } | Stage::Failed => return Err(failed_before(&self.name)),
        };
        let sink = sink.into_inner().map_err(|e| WriteError::Io { file: self.name.clone(), cause: e.into_error() })?;
        sink.inner.finish()?;
        Ok(Manifest {
            path: self.name,
            bytes: sink.bytes,
            format: FORMAT,
            key_id,
            first_index,
            last_index,
            rows: self.stats.rows(),
            sha256: sink.hash.finalize().into(),
            min_id,
            max_id,
            stats: self.stats.to_json().to_string(),
        })
    }
}

fn refused(file: &str, cause: ParquetError) -> WriteError {
    WriteError::Parquet { file: file.to_owned(), cause }
}

fn failed_before(file: &str) -> WriteError {
    refused(file, ParquetError::General("an earlier write to it failed".to_owned()))
}

fn write(
    file: &str,
    used: &[usize],
    parquet: &mut ArrowWriter<Sink>,
    filters: &mut Option<Box<FilterWriter>>,
    batch: &RecordBatch,
) -> Result<(), WriteError> {
    let projected = batch.project(used).map_err(ShredError::Arrow)?;
    parquet.write(&projected).map_err(|cause| refused(file, cause))?;
    let Some(filters) = filters else { return Ok(()) };
    let ends: Vec<u64> = parquet
        .flushed_row_groups()
        .iter()
        .scan(0, |end, group| {
            *end += u64::try_from(group.num_rows()).unwrap_or(0);
            Some(*end)
        })
        .collect();
    filters.take(batch, &ends).map_err(|cause| refused(file, cause))
}

/// Puts encrypted filters behind the last row group.
fn append(host: &Host, parquet: &mut ArrowWriter<Sink>, filters: FilterWriter) -> Result<(), ParquetError> {
    parquet.flush()?;
    let (bytes, places) = filters.finish(host, parquet.bytes_written() as u64)?;
    parquet.write_all(&bytes)?;
    parquet.append_key_value_metadata(KeyValue::new(FILTERS_ENTRY.to_owned(), places));
    Ok(())
}

/// What the footer says, so that a file found alone still says what it is.
fn footer(key_id: &str, first_index: u64, last_index: u64, rows: u64) -> [KeyValue; 5] {
    [
        ("onrecord.format", FORMAT.to_string()),
        ("onrecord.key_id", key_id.to_owned()),
        ("onrecord.first_index", first_index.to_string()),
        ("onrecord.last_index", last_index.to_string()),
        ("onrecord.rows", rows.to_string()),
    ]
    .map(|(key, value)| KeyValue::new(key.to_owned(), value))
}

/// Hashes what goes through.
struct Hashing {
    inner: Appender,
    hash: Sha256,
    bytes: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
