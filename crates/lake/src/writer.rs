//! Writes one data file: rows sorted by time, only the columns that are used, hashed on the way to the disk.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use arrow_schema::{ArrowError, Schema};
use host::{Appender, FileError, Host};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use record::Stored;
use sha2::{Digest as _, Sha256};

use crate::encoding;
use crate::facts::Facts;
use crate::layout::Layout;
use crate::manifest::{FORMAT, Manifest, NO_KEY};
use crate::shred::{ShredError, Shredder};
use crate::stats::Stats;

/// Fault points of data files are `parquet.<operation>`.
pub(crate) const STEP: &str = "parquet";

/// Rows and bytes of records that are put into columns at a time.
const BATCH_ROWS: usize = 8_192;
const BATCH_BYTES: usize = 16 << 20;

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

/// One record of a file.
pub(crate) struct Row<'r> {
    pub index: u64,
    pub stored: &'r Stored,
    pub facts: &'r Facts,
}

/// Writes the file `name` in `folder` and fsyncs it. The folder is fsynced by the caller, once for all files.
pub(crate) fn write(
    host: &Host,
    folder: &Path,
    name: &str,
    layout: &Layout,
    rows: &[Row<'_>],
) -> Result<Manifest, WriteError> {
    let mut stats = Stats::default();
    rows.iter().for_each(|row| stats.add_record(row.index, row.stored, row.facts));
    let (first_index, last_index) = stats.indices();
    let batches = batches(layout, rows)?;
    let (batches, used) = drop_unused(layout, batches).map_err(ShredError::Arrow)?;
    let footer = footer(first_index, last_index, rows.len());
    let columns: Vec<_> = used.iter().map(|&slot| &layout.columns[slot]).collect();
    let parquet = |cause| WriteError::Parquet { file: name.to_owned(), cause };
    let properties = encoding::properties(&columns, &batches, rows.len(), footer).map_err(parquet)?;
    let file = host.create_new(folder.join(name), STEP)?.into_appender(0);
    let sink = BufWriter::with_capacity(BUFFER_BYTES, Hashing { inner: file, hash: Sha256::new(), bytes: 0 });
    // The Arrow schema is what the Parquet schema says already; kilobytes of it in each file would say it again.
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let schema = Arc::new(Schema::new(columns.iter().map(|c| c.field()).collect::<Vec<_>>()));
    let mut writer = ArrowWriter::try_new_with_options(sink, schema, options).map_err(parquet)?;
    for batch in &batches {
        writer.write(batch).map_err(parquet)?;
    }
    let sink = writer.into_inner().map_err(parquet)?;
    let sink = sink.into_inner().map_err(|e| WriteError::Io { file: name.to_owned(), cause: e.into_error() })?;
    sink.inner.finish()?;
    let (min_id, max_id) = stats.ids();
    Ok(Manifest {
        path: name.to_owned(),
        bytes: sink.bytes,
        format: FORMAT,
        key_id: NO_KEY.to_owned(),
        first_index,
        last_index,
        rows: stats.rows(),
        sha256: sink.hash.finalize().into(),
        min_id,
        max_id,
        stats: stats.to_json().to_string(),
    })
}

fn batches(layout: &Layout, rows: &[Row<'_>]) -> Result<Vec<RecordBatch>, ShredError> {
    let mut batches = Vec::new();
    let mut shredder = Shredder::new(layout);
    let mut bytes = 0;
    for Row { index, stored, facts } in rows {
        shredder.push(*index, stored, facts)?;
        bytes += stored.parts().map_or(0, record::Parts::total_bytes);
        if shredder.rows() == BATCH_ROWS || bytes >= BATCH_BYTES {
            batches.push(shredder.finish()?);
            bytes = 0;
        }
    }
    if shredder.rows() > 0 {
        batches.push(shredder.finish()?);
    }
    Ok(batches)
}

/// Leaves out the columns that hold nothing, and says which slots are left.
fn drop_unused(layout: &Layout, batches: Vec<RecordBatch>) -> Result<(Vec<RecordBatch>, Vec<usize>), ArrowError> {
    let is_used = |slot: usize| batches.iter().any(|b| b.column(slot).null_count() < b.num_rows());
    let used: Vec<usize> = (0..layout.columns.len()).filter(|&slot| is_used(slot)).collect();
    let batches = batches.iter().map(|batch| batch.project(&used)).collect::<Result<_, _>>()?;
    Ok((batches, used))
}

/// What the footer says, so that a file found alone still says what it is.
fn footer(first_index: u64, last_index: u64, rows: usize) -> Vec<KeyValue> {
    [
        ("onrecord.format", FORMAT.to_string()),
        ("onrecord.key_id", NO_KEY.to_owned()),
        ("onrecord.first_index", first_index.to_string()),
        ("onrecord.last_index", last_index.to_string()),
        ("onrecord.rows", rows.to_string()),
    ]
    .into_iter()
    .map(|(key, value)| KeyValue::new(key.to_owned(), value))
    .collect()
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
