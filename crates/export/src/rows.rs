//! Files with rows: written from record batches, and compared with them.

use std::fs::File;
use std::io::{BufReader, Read, Write};

use arrow_array::{Array as _, RecordBatch};
use arrow_schema::{Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::folder::Digesting;
use crate::manifest::RowFormat;
use crate::{csv, json};

/// Rows that are made and compared at a time. Fewer are made where their records are large, which shows in no file.
pub(crate) const BATCH_ROWS: usize = 1_024;
/// Rows of a row group at most, and its bytes: what a writer holds in memory.
const GROUP_ROWS: usize = 32_768;
const GROUP_BYTES: usize = 64 << 20;

/// A file with rows that is being written.
pub(crate) enum Rows<W: Write + Send> {
    Parquet(Box<ArrowWriter<W>>),
    Csv(W),
    Ndjson(W, json::Objects),
}

impl<W: Write + Send> Rows<W> {
    pub(crate) fn new(mut out: W, format: RowFormat, schema: &SchemaRef) -> Result<Self, ParquetError> {
        Ok(match format {
            RowFormat::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .set_max_row_group_row_count(Some(GROUP_ROWS))
                    .set_max_row_group_bytes(Some(GROUP_BYTES))
                    .build();
                Rows::Parquet(Box::new(ArrowWriter::try_new(out, SchemaRef::clone(schema), Some(properties))?))
            }
            RowFormat::Csv => {
                out.write_all(csv::head(schema).as_bytes())?;
                Rows::Csv(out)
            }
            RowFormat::Ndjson => Rows::Ndjson(out, json::Objects::new(schema)),
        })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        match self {
            Rows::Parquet(writer) => writer.write(batch)?,
            Rows::Csv(out) => {
                (0..batch.num_rows()).try_for_each(|row| out.write_all(csv::line(batch, row).as_bytes()))?;
            }
            Rows::Ndjson(out, objects) => (0..batch.num_rows())
                .try_for_each(|row| out.write_all((objects.object(batch, row) + "\n").as_bytes()))?,
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<W, ParquetError> {
        match self {
            Rows::Parquet(writer) => writer.into_inner(),
            Rows::Csv(out) | Rows::Ndjson(out, _) => Ok(out),
        }
    }
}

impl<W: Write + Send> Rows<Digesting<W>> {
    /// Bytes so far, with those that are still in memory.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Rows::Parquet(writer) => writer.inner().bytes + writer.in_progress_size() as u64,
            Rows::Csv(out) | Rows::Ndjson(out, _) => out.bytes,
        }
    }
}

/// A file with rows that is being compared.
pub(crate) struct Compared {
    file: Open,
    /// Rows compared so far.
    at: u64,
}

enum Open {
    Parquet(Box<ParquetRecordBatchReader>),
    Csv(BufReader<File>),
    Ndjson(BufReader<File>, json::Objects),
}

/// Where a file with rows is not what its records make.
pub(crate) struct Differs {
    /// The row, from 0, if it is one row.
    pub row: Option<u64>,
    pub what: String,
}

fn whole(what: impl Into<String>) -> Differs {
    Differs { row: None, what: what.into() }
}

impl Compared {
    /// A file of `rows` rows of these columns.
    pub(crate) fn new(file: File, format: RowFormat, schema: &Schema, rows: u64) -> Result<Self, Differs> {
        let file = match format {
            RowFormat::Parquet => Open::Parquet(Box::new(parquet(file, schema, rows)?)),
            RowFormat::Csv => {
                let mut file = BufReader::new(file);
                if !follows(&mut file, csv::head(schema).as_bytes()) {
                    return Err(whole("its line of names is not that of its columns"));
                }
                Open::Csv(file)
            }
            RowFormat::Ndjson => Open::Ndjson(BufReader::new(file), json::Objects::new(schema)),
        };
        Ok(Compared { file, at: 0 })
    }

    /// Holds the next rows against `expected`, which is no larger than [`BATCH_ROWS`]; a Parquet file is read in just
    /// such steps.
    pub(crate) fn next(&mut self, expected: &RecordBatch) -> Result<(), Differs> {
        let first = self.at;
        self.at += expected.num_rows() as u64;
        let (file, line): (&mut BufReader<File>, &dyn Fn(usize) -> String) = match &mut self.file {
            Open::Parquet(reader) => return same(&next_batch(reader)?, expected, first),
            Open::Csv(file) => (file, &|row| csv::line(expected, row)),
            Open::Ndjson(file, objects) => (file, &|row| objects.object(expected, row) + "\n"),
        };
        for row in 0..expected.num_rows() {
            if !follows(file, line(row).as_bytes()) {
                let what = "it is not the row that its record makes".to_owned();
                return Err(Differs { row: Some(first + row as u64), what });
            }
        }
        Ok(())
    }

    /// That nothing follows.
    pub(crate) fn end(mut self) -> Result<(), Differs> {
        let more = match &mut self.file {
            Open::Parquet(reader) => lake::guarded(|| reader.next().is_some()).unwrap_or(true),
            Open::Csv(file) | Open::Ndjson(file, _) => file.read(&mut [0]).map_or(true, |read| read > 0),
        };
        if more {
            Err(Differs { row: Some(self.at), what: "it has more rows than records".to_owned() })
        } else {
            Ok(())
        }
    }
}

/// Whether `expected` is what comes next.
fn follows(file: &mut impl Read, mut expected: &[u8]) -> bool {
    let mut buffer = [0; 8_192];
    while !expected.is_empty() {
        let want = expected.len().min(buffer.len());
        if file.read_exact(&mut buffer[..want]).is_err() || buffer[..want] != expected[..want] {
            return false;
        }
        expected = &expected[want..];
    }
    true
}

fn parquet(file: File, schema: &Schema, rows: u64) -> Result<ParquetRecordBatchReader, Differs> {
    // The library can panic over bytes that no writer made.
    let opened = lake::guarded(|| {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| whole(error.to_string()))?;
        let shape = |schema: &Schema| -> Vec<_> {
            schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
        };
        if shape(builder.schema()) != shape(schema) {
            return Err(whole("its columns are not those of the manifest"));
        }
        if u64::try_from(builder.metadata().file_metadata().num_rows()) != Ok(rows) {
            return Err(whole("it has another number of rows than the manifest says"));
        }
        builder.with_batch_size(BATCH_ROWS).build().map_err(|error| whole(error.to_string()))
    });
    opened.unwrap_or_else(|panic| Err(whole(format!("it is malformed ({panic})"))))
}

fn next_batch(reader: &mut ParquetRecordBatchReader) -> Result<RecordBatch, Differs> {
    match lake::guarded(|| reader.next()) {
        Ok(Some(Ok(batch))) => Ok(batch),
        Ok(Some(Err(error))) => Err(whole(error.to_string())),
        Ok(None) => Err(whole("it has fewer rows than the manifest says")),
        Err(panic) => Err(whole(format!("it is malformed ({panic})"))),
    }
}

fn same(found: &RecordBatch, expected: &RecordBatch, first: u64) -> Result<(), Differs> {
    let rows = expected.num_rows();
    if found.num_rows() != rows {
        return Err(whole("it has another number of rows than the manifest says"));
    }
    let columns = || found.columns().iter().zip(expected.columns());
    if columns().all(|(found, expected)| found == expected) {
        return Ok(());
    }
    let differs = |row: usize| columns().position(|(found, expected)| found.slice(row, 1) != expected.slice(row, 1));
    let at = (0..rows).find_map(|row| differs(row).map(|column| (row, column)));
    let Some((row, column)) = at else { return Err(whole("its columns are not those of the manifest")) };
    let name = expected.schema_ref().field(column).name().clone();
    Err(Differs { row: Some(first + row as u64), what: format!("its value of {name} is not that of its record") })
}
