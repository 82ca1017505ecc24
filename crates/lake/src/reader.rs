//! Reads one data file: its rows as records, or single rows by number.
//!
//! A file's bytes are believed nowhere. A length is checked before memory is taken for it, a column whose type is
//! not the table's is an error, and a row that is no record is an error that names file and row. The Parquet library
//! can still panic over bytes that no writer made; as a last resort such a panic is caught and becomes an error too.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::Array as _;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use arrow_schema::ArrowError;
use host::{FileError, Host};
use keys::{KeyError, Keyring};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::bloom_filter::Sbbf;
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::reader::ChunkReader as _;
use record::{Parts, Stored};

use crate::assemble::{RowError, Rows};
use crate::columns::{Column, Columns};
use crate::filters::Filters;
use crate::layout::Layout;
use crate::manifest::Manifest;
use crate::source::Source;
use crate::veil::{self, FILTERS_ENTRY};

/// Rows decoded at a time: what a scan holds in memory, times the columns.
pub(crate) const BATCH_ROWS: usize = 4_096;

/// Why a data file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be opened or read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is encrypted, and its key cannot be had.
    #[error("file {file:?} cannot be decrypted: {cause}")]
    Key {
        /// The file.
        file: String,
        /// Why.
        cause: Box<KeyError>,
    },
    /// The file is no Parquet, or is damaged.
    #[error("file {file:?} cannot be read: {cause}; verify the trail, and restore the file from a copy")]
    Parquet {
        /// The file.
        file: String,
        /// What is wrong.
        cause: ParquetError,
    },
    /// The file's columns could not be decoded.
    #[error("file {file:?} cannot be decoded: {cause}; verify the trail, and restore the file from a copy")]
    Arrow {
        /// The file.
        file: String,
        /// What is wrong.
        cause: ArrowError,
    },
    /// A panic of the library over the file's bytes.
    #[error("file {file:?} is malformed: reading it ended in a panic ({what}); restore the file from a copy")]
    Panicked {
        /// The file.
        file: String,
        /// The panic's message.
        what: String,
    },
    /// A column that the table does not have, or has with another type, or that is there twice, or that no record has.
    #[error(
        "file {file:?} has a column {column:?} of type {found} that is not one of the table's, or is there twice; verify the trail"
    )]
    Column {
        /// The file.
        file: String,
        /// The column.
        column: String,
        /// Its type in the file.
        found: String,
    },
    /// A row is no record.
    #[error("file {file:?}, row {row}: {cause}; verify the trail, and restore the file from a copy")]
    Row {
        /// The file.
        file: String,
        /// The row, from 0.
        row: u64,
        /// What is wrong.
        cause: RowError,
    },
}

impl ReadError {
    /// Whether the file is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, ReadError::File(error) if error.is_not_found())
    }
}

/// The row groups count as many rows as the footer says: row numbers are made from both, and must not run out of either.
pub(crate) fn check_row_counts(parquet: &ParquetMetaData) -> Result<(), String> {
    let claimed = parquet.file_metadata().num_rows();
    let of_groups = parquet.row_groups().iter().try_fold(0i64, |sum, group| {
        let rows = Some(group.num_rows()).filter(|rows| *rows >= 0);
        sum.checked_add(rows?)
    });
    match of_groups {
        Some(rows) if rows == claimed => Ok(()),
        rows => Err(format!("the footer counts {claimed} rows, and its row groups {rows:?}")),
    }
}

/// A text that stands in a footer beside the schema.
pub(crate) fn footer_entry<'m>(parquet: &'m ParquetMetaData, key: &str) -> Option<&'m str> {
    let entries = parquet.file_metadata().key_value_metadata()?;
    entries.iter().find(|entry| entry.key == key)?.value.as_deref()
}

/// One record of a file and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The record's index in the trail.
    pub index: u64,
    /// Its row in the file, from 0.
    pub row: u64,
    /// The record.
    pub stored: Stored,
}

/// An open data file.
pub(crate) struct FileReader {
    name: String,
    source: Source,
    metadata: ArrowReaderMetadata,
    layout: Arc<Layout>,
    /// Where an encrypted file has its Bloom filters.
    filters: Option<veil::Filters>,
}

impl FileReader {
    /// Opens the file `file` in `folder` and reads its footer and page index. `keys` are for one that is encrypted.
    pub(crate) fn open(
        host: &Host,
        folder: &Path,
        file: &Manifest,
        columns: &Columns,
        keys: Option<&Keyring>,
    ) -> Result<Self, ReadError> {
        let name = file.path.as_str();
        let source = Source::open(host, &folder.join(name))?;
        let key =
            veil::key_of(file, keys).map_err(|cause| ReadError::Key { file: name.to_owned(), cause: cause.into() })?;
        let mut options =
            ArrowReaderOptions::new().with_skip_arrow_metadata(true).with_page_index_policy(PageIndexPolicy::Optional);
        if let Some(key) = &key {
            let decryption = veil::decryption(key);
            let decryption = decryption.map_err(|cause| ReadError::Parquet { file: name.to_owned(), cause })?;
            options = options.with_file_decryption_properties(decryption);
        }
        let metadata = guarded(name, || ArrowReaderMetadata::load(&source, options))?
            .map_err(|cause| ReadError::Parquet { file: name.to_owned(), cause })?;
        check_row_counts(metadata.metadata())
            .map_err(|cause| ReadError::Parquet { file: name.to_owned(), cause: ParquetError::General(cause) })?;
        let names = metadata.schema().fields().iter().map(|f| f.name().as_str());
        let layout = Arc::new(Layout::new(columns, names));
        // Each column has a place in a record, once, with the very type of the table: nothing in the file is shown by
        // other engines and not read here (T26).
        let mut places: HashMap<&str, &Column> = layout.columns.iter().map(|c| (&*c.name, c)).collect();
        for field in metadata.schema().fields() {
            let column = places.remove(field.name().as_str());
            if column.is_none_or(|column| column.kind.data_type() != *field.data_type()) {
                let (column, found) = (field.name().clone(), field.data_type().to_string());
                return Err(ReadError::Column { file: name.to_owned(), column, found });
            }
        }
        drop(places);
        let filters = key.zip(footer_entry(metadata.metadata(), FILTERS_ENTRY));
        let filters = filters.map(|(key, entry)| veil::Filters::read(&key, entry)).transpose();
        let filters = filters
            .map_err(|cause| ReadError::Parquet { file: name.to_owned(), cause: ParquetError::General(cause) })?;
        Ok(Self { name: name.to_owned(), source, metadata, layout, filters })
    }

    /// The file's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn metadata(&self) -> &ArrowReaderMetadata {
        &self.metadata
    }

    pub(crate) fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// Rows that the footer claims.
    pub(crate) fn row_count(&self) -> u64 {
        u64::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    fn builder(&self) -> ParquetRecordBatchReaderBuilder<Source> {
        ParquetRecordBatchReaderBuilder::new_with_metadata(self.source.clone(), self.metadata.clone())
            .with_batch_size(BATCH_ROWS)
    }

    fn parquet(&self, cause: ParquetError) -> ReadError {
        ReadError::Parquet { file: self.name.clone(), cause }
    }

    /// Every row of the file, `rows` at a time.
    pub(crate) fn batches(&self, rows: usize) -> Result<Batches, ReadError> {
        self.built(self.builder().with_batch_size(rows), 0)
    }

    /// The rows of one row group.
    pub(crate) fn group(&self, group: usize) -> Result<Batches, ReadError> {
        self.built(self.builder().with_row_groups(vec![group]), self.group_start(group))
    }

    fn built(&self, builder: ParquetRecordBatchReaderBuilder<Source>, row: u64) -> Result<Batches, ReadError> {
        let reader = guarded(&self.name, || builder.build())?.map_err(|e| self.parquet(e))?;
        Ok(Batches { file: self.name.clone(), reader, row })
    }

    /// The file's first row in that row group.
    pub(crate) fn group_start(&self, group: usize) -> u64 {
        let groups = &self.metadata.metadata().row_groups()[..group];
        groups.iter().map(|g| u64::try_from(g.num_rows()).unwrap_or(0)).sum()
    }

    pub(crate) fn groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// The place of a column among the file's leaves, if the file has it and it is no list.
    pub(crate) fn leaf(&self, column: &str) -> Option<usize> {
        let schema = self.metadata.parquet_schema();
        // A leaf's path is compared step by step: names hold dots, so the joined path would be ambiguous.
        (0..schema.num_columns()).find(|&leaf| *schema.column(leaf).path().parts() == [column.to_owned()])
    }

    /// The values of one leaf in one row group, of the pages alone that the page index leaves: `may_hold` is asked
    /// for each with its number. Runs of rows that stand together, as (first row in the file, values).
    pub(crate) fn column(
        &self,
        group: usize,
        leaf: usize,
        may_hold: impl Fn(&ColumnIndexMetaData, usize) -> bool,
    ) -> Result<Vec<(u64, RecordBatch)>, ReadError> {
        let mask = ProjectionMask::leaves(self.metadata.parquet_schema(), [leaf]);
        let start = self.group_start(group);
        let ranges = self.pages(group, leaf, may_hold);
        let mut found = Vec::new();
        for rows in ranges {
            let total = usize::try_from(self.metadata.metadata().row_group(group).num_rows()).unwrap_or(0);
            let first = start + rows.start as u64;
            let selection = RowSelection::from_consecutive_ranges(std::iter::once(rows), total);
            let builder = self.builder().with_row_groups(vec![group]).with_projection(mask.clone());
            let batches = self.built(builder.with_row_selection(selection), first)?;
            found.extend(batches.collect::<Result<Vec<_>, _>>()?);
        }
        Ok(found)
    }

    /// The runs of rows of a group, counted from its first, in whose pages a leaf may hold what is looked for.
    fn pages(
        &self,
        group: usize,
        leaf: usize,
        may_hold: impl Fn(&ColumnIndexMetaData, usize) -> bool,
    ) -> Vec<Range<usize>> {
        let parquet = self.metadata.metadata();
        let rows = usize::try_from(parquet.row_group(group).num_rows()).unwrap_or(0);
        let index = parquet.column_index().and_then(|i| i.get(group)?.get(leaf));
        let pages = parquet.offset_index().and_then(|i| i.get(group)?.get(leaf)).map(|o| o.page_locations());
        let (Some(index), Some(pages)) = (index, pages) else { return std::iter::once(0..rows).collect() };
        // Pages that are not one behind the other tell nothing: the rows found must come in order.
        let in_order = pages.is_sorted_by(|a, b| a.first_row_index < b.first_row_index);
        if matches!(index, ColumnIndexMetaData::NONE) || index.num_pages() as usize != pages.len() || !in_order {
            return std::iter::once(0..rows).collect();
        }
        let start = |page: usize| pages.get(page).and_then(|p| usize::try_from(p.first_row_index).ok()).unwrap_or(rows);
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for page in (0..pages.len()).filter(|&page| may_hold(index, page)) {
            let (from, to) = (start(page).min(rows), start(page + 1).min(rows));
            match ranges.last_mut() {
                Some(last) if last.end == from => last.end = to.max(from),
                _ if from < to => ranges.push(from..to),
                _ => {}
            }
        }
        ranges
    }

    /// The index of the record in that row.
    pub(crate) fn index_of_row(&self, row: u64) -> Result<Option<u64>, ReadError> {
        let (Ok(at), Some(leaf)) = (usize::try_from(row), self.leaf("index")) else { return Ok(None) };
        let mask = ProjectionMask::leaves(self.metadata.parquet_schema(), [leaf]);
        let total = usize::try_from(self.row_count()).unwrap_or(0);
        let selection = RowSelection::from_consecutive_ranges(std::iter::once(at..at + 1), total);
        let mut batches = self.built(self.builder().with_projection(mask).with_row_selection(selection), row)?;
        let Some(batch) = batches.next() else { return Ok(None) };
        let (_, batch) = batch?;
        let indices = batch.column(0).as_primitive_opt::<Int64Type>();
        let index = indices.filter(|indices| indices.len() == 1 && indices.is_valid(0)).map(|indices| indices.value(0));
        Ok(index.and_then(|index| u64::try_from(index).ok()))
    }

    /// The row of the record with that index.
    pub(crate) fn row_of_index(&self, index: u64) -> Result<Option<u64>, ReadError> {
        let (Ok(wanted), Some(leaf)) = (i64::try_from(index), self.leaf("index")) else { return Ok(None) };
        let may_hold = |index: &ColumnIndexMetaData, page: usize| match index {
            ColumnIndexMetaData::INT64(i) => {
                i.min_value(page).is_none_or(|min| *min <= wanted) && i.max_value(page).is_none_or(|max| wanted <= *max)
            }
            _ => true,
        };
        for group in 0..self.groups() {
            for (first, batch) in self.column(group, leaf, may_hold)? {
                let Some(values) = batch.column(0).as_primitive_opt::<Int64Type>() else { continue };
                if let Some(at) = values.values().iter().position(|v| *v == wanted) {
                    return Ok(Some(first + at as u64));
                }
            }
        }
        Ok(None)
    }

    /// The index and `received` of every row.
    pub(crate) fn stamps(&self) -> Result<Vec<(u64, i64)>, ReadError> {
        let leaves = ["index", "received"].into_iter().filter_map(|column| self.leaf(column));
        let mask = ProjectionMask::leaves(self.metadata.parquet_schema(), leaves);
        let mut stamps = Vec::new();
        for batch in self.built(self.builder().with_projection(mask), 0)? {
            let (first, batch) = batch?;
            let numbers = |column| batch.column_by_name(column).and_then(|array| array.as_primitive_opt::<Int64Type>());
            let missing = |column| self.row(first, RowError::Column(column));
            let indices = numbers("index").ok_or_else(|| missing("index"))?;
            let received = numbers("received").ok_or_else(|| missing("received"))?;
            for (index, received) in indices.iter().zip(received) {
                let index = index.and_then(|index| u64::try_from(index).ok()).ok_or_else(|| missing("index"))?;
                stamps.push((index, received.ok_or_else(|| missing("received"))?));
            }
        }
        Ok(stamps)
    }

    /// The Bloom filter of a column, if it has one.
    pub(crate) fn filter(&self, group: usize, leaf: usize) -> Result<Option<Sbbf>, ReadError> {
        if let Some(filters) = &self.filters {
            let schema = self.metadata.parquet_schema();
            let column = schema.column(leaf).path().parts().join(".");
            let get = |at, length| self.source.get_bytes(at, length);
            return filters.get(group, &column, get).map_err(|error| self.parquet(error));
        }
        let filter = guarded(&self.name, || self.builder().get_row_group_column_bloom_filter(group, leaf))?
            .map_err(|e| self.parquet(e))?;
        // The library looks into a block of it without asking whether there is one.
        if filter.as_ref().is_some_and(|filter| filter.num_blocks() == 0) {
            return Err(self.parquet(ParquetError::General("a Bloom filter of no blocks".to_owned())));
        }
        Ok(filter)
    }

    /// The file's bytes.
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// The rows in which text column `column` has one of `wanted`: (place in `wanted`, row).
    pub(crate) fn rows_of_text(
        &self,
        column: &str,
        wanted: &[&str],
        filters: &Filters,
    ) -> Result<Vec<(usize, u64)>, ReadError> {
        let mut found = Vec::new();
        let Some(leaf) = self.leaf(column) else { return Ok(found) };
        for group in 0..self.groups() {
            let filter = filters.get(self, group, leaf)?;
            let likely: HashMap<&str, usize> = wanted
                .iter()
                .enumerate()
                .filter(|(_, value)| filter.as_ref().is_none_or(|f| f.check(**value)))
                .map(|(place, value)| (*value, place))
                .collect();
            if likely.is_empty() {
                continue;
            }
            found.extend(match column {
                "subject.id" | "subject.case" | "trace.trace_id" => {
                    self.rows_by_prints(group, leaf, &likely, filters)?
                }
                // Ids grow with time, by which rows are sorted, and kinds and models come in few values.
                _ => self.rows_by_pages(group, leaf, &likely)?,
            });
        }
        Ok(found)
    }

    /// As [`FileReader::rows_of_text`] in one group, of the pages that may hold a value by their bounds.
    fn rows_by_pages(
        &self,
        group: usize,
        leaf: usize,
        wanted: &HashMap<&str, usize>,
    ) -> Result<Vec<(usize, u64)>, ReadError> {
        let may_hold = |index: &ColumnIndexMetaData, page: usize| match index {
            ColumnIndexMetaData::BYTE_ARRAY(i) => wanted.keys().any(|value| {
                i.min_value(page).is_none_or(|min| min <= value.as_bytes())
                    && i.max_value(page).is_none_or(|max| value.as_bytes() <= max)
            }),
            _ => true,
        };
        let mut found = Vec::new();
        for (first, batch) in self.column(group, leaf, may_hold)? {
            let Some(values) = batch.column(0).as_string_opt::<i32>() else { continue };
            let hits = values.iter().enumerate().filter_map(|(at, value)| Some((*wanted.get(value?)?, at)));
            found.extend(hits.map(|(place, at)| (place, first + at as u64)));
        }
        Ok(found)
    }

    /// The same, of the rows that may hold a value by their prints.
    fn rows_by_prints(
        &self,
        group: usize,
        leaf: usize,
        wanted: &HashMap<&str, usize>,
        filters: &Filters,
    ) -> Result<Vec<(usize, u64)>, ReadError> {
        let values: Vec<&str> = wanted.keys().copied().collect();
        let start = self.group_start(group);
        let rows: Vec<u64> =
            filters.rows(self, (group, leaf), &values)?.into_iter().map(|row| start + row as u64).collect();
        let ranges = rows.iter().filter_map(|row| usize::try_from(*row).ok()).map(|row| row..row + 1);
        let mut at = rows.iter();
        let mut found = Vec::new();
        for batch in self.leaves([leaf], ranges)? {
            let Some(values) = batch.column(0).as_string_opt::<i32>() else { return Ok(found) };
            let hits = values.iter().zip(&mut at).filter_map(|(value, row)| Some((*wanted.get(value?)?, *row)));
            found.extend(hits);
        }
        Ok(found)
    }

    /// The records in the given rows, which are sorted and without repeats. Only the pages that hold them are read.
    pub(crate) fn rows(&self, rows: &[u64]) -> Result<Vec<Placed>, ReadError> {
        let total = usize::try_from(self.row_count()).unwrap_or(0);
        let ranges = rows.iter().filter_map(|&row| usize::try_from(row).ok()).map(|row| row..row + 1);
        let selection = RowSelection::from_consecutive_ranges(ranges, total);
        let mut numbers = rows.iter().copied();
        let mut found = Vec::with_capacity(rows.len());
        for batch in self.built(self.builder().with_row_selection(selection), 0)? {
            let (_, batch) = batch?;
            let batch = self.records(&batch, rows.first().copied().unwrap_or(0))?;
            for (at, row) in (0..batch.len()).zip(&mut numbers) {
                found.push(self.placed(&batch, at, row)?);
            }
        }
        Ok(found)
    }

    /// `batch`, which begins at row `first`, as records.
    pub(crate) fn records(&self, batch: &RecordBatch, first: u64) -> Result<Rows, ReadError> {
        Rows::new(&self.layout, batch).map_err(|cause| self.row(first, cause))
    }

    /// The record at place `at` of a batch, which is row `row` of the file.
    pub(crate) fn placed(&self, batch: &Rows, at: usize, row: u64) -> Result<Placed, ReadError> {
        let (index, stored) = self.placed_in(batch, at, row, Parts::with_capacity(1024))?;
        Ok(Placed { index, row, stored })
    }

    /// The same, index and record, its parts in the memory of `memory`.
    pub(crate) fn placed_in(
        &self,
        batch: &Rows,
        at: usize,
        row: u64,
        memory: Parts,
    ) -> Result<(u64, Stored), ReadError> {
        let read = || Ok((batch.index(at)?, batch.stored_in(at, memory)?));
        read().map_err(|cause| self.row(row, cause))
    }

    fn row(&self, row: u64, cause: RowError) -> ReadError {
        ReadError::Row { file: self.name.clone(), row, cause }
    }
}

/// Runs of rows of a file, each with the number of its first row.
pub(crate) struct Batches {
    file: String,
    reader: ParquetRecordBatchReader,
    row: u64,
}

impl Iterator for Batches {
    type Item = Result<(u64, RecordBatch), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = match guarded(&self.file, || self.reader.next()) {
            Err(panicked) => return Some(Err(panicked)),
            Ok(None) => return None,
            Ok(Some(Err(cause))) => return Some(Err(ReadError::Arrow { file: self.file.clone(), cause })),
            Ok(Some(Ok(batch))) => batch,
        };
        let first = self.row;
        self.row += batch.num_rows() as u64;
        Some(Ok((first, batch)))
    }
}

/// Every record of a file in the order of its rows, with the memory of one batch.
pub struct FileRows {
    reader: Arc<FileReader>,
    batches: Batches,
    batch: Option<(u64, Rows)>,
    at: usize,
    failed: bool,
}

impl FileRows {
    pub(crate) fn new(reader: Arc<FileReader>) -> Result<Self, ReadError> {
        Self::in_batches(reader, BATCH_ROWS)
    }

    /// As [`FileRows::new`], with that many rows of the file in memory.
    pub(crate) fn in_batches(reader: Arc<FileReader>, rows: usize) -> Result<Self, ReadError> {
        let batches = reader.batches(rows.min(BATCH_ROWS))?;
        Ok(Self { reader, batches, batch: None, at: 0, failed: false })
    }

    fn step(&mut self) -> Result<Option<Placed>, ReadError> {
        loop {
            if let Some((first, rows)) = &self.batch
                && self.at < rows.len()
            {
                let placed = self.reader.placed(rows, self.at, first + self.at as u64)?;
                self.at += 1;
                return Ok(Some(placed));
            }
            let Some(batch) = self.batches.next() else { return Ok(None) };
            let (first, batch) = batch?;
            self.batch = Some((first, self.reader.records(&batch, first)?));
            self.at = 0;
        }
    }
}

impl Iterator for FileRows {
    type Item = Result<Placed, ReadError>;

    /// The next record; nothing more comes after an error.
    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let step = self.step();
        self.failed = step.is_err();
        step.transpose()
    }
}

/// Does `work`, and makes an error of a panic in it.
pub(crate) fn guarded<T>(file: &str, work: impl FnOnce() -> T) -> Result<T, ReadError> {
    crate::guard::guarded(work).map_err(|what| ReadError::Panicked { file: file.to_owned(), what })
}
