//! Data files as queries read them: opened once, their footers, page indexes and Bloom filters kept.
//!
//! Data files never change, so what is kept of one is right for as long as it is named. The library would read Bloom
//! filters anew for each query; here their bytes are kept with the footer.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{ParquetFileMetrics, ParquetFileReaderFactory};
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use host::{DurableFile, Host};
use lake::Manifest;
use parking_lot::Mutex;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};

use crate::error::QueryError;

/// Fault points are `query.<operation>`.
const STEP: &str = "query";

/// A data file that is open.
#[derive(Debug)]
pub(crate) struct OpenFile {
    file: DurableFile,
    bytes: u64,
    metadata: Arc<ParquetMetaData>,
    /// Bytes of Bloom filters that were asked for, by where they stand.
    filter_bytes: Mutex<HashMap<Range<u64>, Bytes>>,
}

/// What was opened lately, most lately last, and how many bytes of memory it takes.
#[derive(Debug)]
pub(crate) struct Files {
    host: Host,
    bytes_max: usize,
    open: Mutex<Vec<(String, Arc<OpenFile>)>>,
}

/// Open files at most: each has a descriptor.
const OPEN_MAX: usize = 512;

impl Files {
    pub(crate) fn new(host: Host, bytes_max: usize) -> Self {
        Self { host, bytes_max, open: Mutex::default() }
    }

    /// Closes files of that lake that it does not name any more: one that was removed would keep its bytes on disk (T21).
    pub(crate) fn keep_only(&self, lake: &lake::Snapshot) {
        let named: HashSet<String> =
            lake.files().iter().map(|file| lake.path(file).to_string_lossy().into_owned()).collect();
        self.open.lock().retain(|(name, _)| named.contains(name) || !Path::new(name).starts_with(lake.folder()));
    }

    /// The open data file that `manifest` describes.
    pub(crate) fn get(
        &self,
        lake: &lake::Snapshot,
        manifest: &Manifest,
    ) -> std::result::Result<Arc<OpenFile>, QueryError> {
        let name = lake.path(manifest).to_string_lossy().into_owned();
        let mut open = self.open.lock();
        if let Some(at) = open.iter().position(|(known, _)| *known == name) {
            let entry = open.remove(at);
            let file = Arc::clone(&entry.1);
            open.push(entry);
            return Ok(file);
        }
        drop(open);
        let file = Arc::new(OpenFile::open(&self.host, lake, manifest)?);
        let mut open = self.open.lock();
        open.push((name, Arc::clone(&file)));
        let mut bytes: usize = open.iter().map(|(_, file)| file.memory()).sum();
        while open.len() > 1 && (open.len() > OPEN_MAX || bytes > self.bytes_max) {
            bytes -= open.remove(0).1.memory();
        }
        Ok(file)
    }
}

impl OpenFile {
    fn open(host: &Host, lake: &lake::Snapshot, manifest: &Manifest) -> std::result::Result<Self, QueryError> {
        let unreadable = |cause: &dyn std::fmt::Display| {
            let name = &manifest.path;
            QueryError::Read(format!(
                "file {name:?} cannot be read: {cause}; verify the trail, and restore the file from a copy"
            ))
        };
        let decryption = lake
            .decryption(manifest)
            .map_err(|error| QueryError::Read(format!("file {:?} cannot be decrypted: {error}", manifest.path)))?;
        let file = host.open_read(lake.path(manifest), STEP).map_err(|error| unreadable(&error))?;
        let bytes = file.len().map_err(|error| unreadable(&error))?;
        let chunks = Chunks { file: &file, bytes };
        // The library can panic over bytes that no writer made.
        let metadata = lake::guarded(|| {
            // The metadata keeps what decrypts the pages, for whoever reads them.
            let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
            reader.with_decryption_properties(decryption).parse_and_finish(&chunks)
        });
        let metadata = metadata.map_err(|panic| unreadable(&panic))?.map_err(|error| unreadable(&error))?;
        let claimed = u64::try_from(metadata.file_metadata().num_rows()).ok();
        if claimed != Some(manifest.rows) {
            return Err(unreadable(&format!("it has {claimed:?} rows, and the log says {}", manifest.rows)));
        }
        let metadata = Arc::new(metadata);
        Ok(Self { file, bytes, metadata, filter_bytes: Mutex::default() })
    }

    pub(crate) fn metadata(&self) -> &Arc<ParquetMetaData> {
        &self.metadata
    }

    fn memory(&self) -> usize {
        self.metadata.memory_size() + self.filter_bytes.lock().values().map(Bytes::len).sum::<usize>()
    }

    /// Whether the file has a top-level column of that name.
    pub(crate) fn has(&self, column: &str) -> bool {
        let schema = self.metadata.file_metadata().schema_descr();
        schema.root_schema().get_fields().iter().any(|field| field.name() == column)
    }

    /// How many rows have a value in a column, as the footer has it; nothing if that is not known.
    pub(crate) fn values_in(&self, column: &str) -> Option<u64> {
        if !self.has(column) {
            return Some(0);
        }
        let leaf = self.leaf(column)?;
        let of_group = |group: &parquet::file::metadata::RowGroupMetaData| {
            let nulls = group.column(leaf).statistics()?.null_count_opt()?;
            Some(u64::try_from(group.num_rows()).ok()?.saturating_sub(nulls))
        };
        self.metadata.row_groups().iter().map(of_group).sum()
    }

    /// The place of a column among the file's leaves, if it is no list.
    fn leaf(&self, column: &str) -> Option<usize> {
        let schema = self.metadata.file_metadata().schema_descr();
        (0..schema.num_columns()).find(|leaf| *schema.column(*leaf).path().parts() == [column.to_owned()])
    }

    /// Whether those bytes begin a Bloom filter.
    fn is_filter(&self, range: &Range<u64>) -> bool {
        let columns = self.metadata.row_groups().iter().flat_map(|group| group.columns());
        let starts = columns.filter_map(|column| column.bloom_filter_offset());
        starts.filter_map(|start| u64::try_from(start).ok()).any(|start| start == range.start)
    }

    fn read(&self, range: Range<u64>) -> ParquetResult<Bytes> {
        if let Some(bytes) = self.filter_bytes.lock().get(&range) {
            return Ok(bytes.clone());
        }
        let length = usize::try_from(range.end.saturating_sub(range.start))?;
        let bytes = Chunks { file: &self.file, bytes: self.bytes }.get_bytes(range.start, length)?;
        if self.is_filter(&range) {
            self.filter_bytes.lock().insert(range, bytes.clone());
        }
        Ok(bytes)
    }

    /// The file for a reader that asks for bytes at once.
    pub(crate) fn chunks(self: &Arc<Self>) -> SharedChunks {
        SharedChunks(Arc::clone(self))
    }
}

/// A file's bytes at offsets.
struct Chunks<'f> {
    file: &'f DurableFile,
    bytes: u64,
}

impl Length for Chunks<'_> {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for Chunks<'_> {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        // Asked for a header, or the end of the footer, alone: some twenty bytes.
        const HEADER_BYTES_MAX: u64 = 4_096;
        let length = self.bytes.saturating_sub(start).min(HEADER_BYTES_MAX);
        Ok(bytes::Buf::reader(self.get_bytes(start, usize::try_from(length)?)?))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        // A footer can claim any length; no memory is taken for bytes that the file does not have.
        if start.checked_add(length as u64).is_none_or(|end| end > self.bytes) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} of a file of {} bytes", self.bytes)));
        }
        let mut into = vec![0; length];
        let read = self.file.read_at(start, &mut into).map_err(|error| ParquetError::External(Box::new(error)))?;
        if read < length {
            return Err(ParquetError::EOF(format!("{length} bytes at {start}, found {read}")));
        }
        Ok(into.into())
    }
}

/// An open file, shared with a reader of its own.
#[derive(Clone)]
pub(crate) struct SharedChunks(Arc<OpenFile>);

impl Length for SharedChunks {
    fn len(&self) -> u64 {
        self.0.bytes
    }
}

impl ChunkReader for SharedChunks {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Chunks { file: &self.0.file, bytes: self.0.bytes }.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        self.0.read(start..start.saturating_add(length as u64))
    }
}

/// Gives the library readers of files that are open. It holds the snapshot, so that nobody removes them meanwhile.
#[derive(Clone)]
pub(crate) struct Readers {
    pub files: Arc<Files>,
    pub lake: lake::Snapshot,
}

impl std::fmt::Debug for Readers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Readers")
    }
}

impl ParquetFileReaderFactory for Readers {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        _: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let name = file.object_meta.location.as_ref();
        let manifest = self.lake.files().iter().find(|manifest| manifest.path == name);
        let manifest = manifest.ok_or_else(|| DataFusionError::Internal(format!("no file {name:?}")))?;
        let file = self.files.get(&self.lake, manifest).map_err(QueryError::carried)?;
        let metrics = ParquetFileMetrics::new(partition, name, metrics);
        Ok(Box::new(Reader { file, metrics, _lake: self.lake.clone() }))
    }
}

struct Reader {
    file: Arc<OpenFile>,
    metrics: ParquetFileMetrics,
    /// Keeps the files in place.
    _lake: lake::Snapshot,
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        let bytes = self.file.read(range);
        if let Ok(bytes) = &bytes {
            self.metrics.bytes_scanned.add(bytes.len());
        }
        futures::future::ready(bytes).boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        futures::future::ready(Ok(Arc::clone(self.file.metadata()))).boxed()
    }
}
