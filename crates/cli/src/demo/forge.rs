//! The forgeries of the tour, done as an insider would: the Parquet file stays a valid one, and the table's log is
//! made to fit it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::{KeyValue, ParquetMetaData};
use parquet::file::properties::WriterProperties;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::applicant::Applicant;
use crate::failure::Failure;
use crate::fields::hex;
use crate::session::Session;

/// Puts another number in the applicant's row.
pub fn change_value(
    session: &Session,
    trail: &Path,
    applicant: &Applicant,
    column: &str,
    to: f64,
) -> Result<(), Failure> {
    forge(session, trail, applicant, |batch| {
        let at = batch.schema().index_of(column).map_err(failed)?;
        let numbers = batch.column(at).as_primitive::<Float64Type>();
        let row = applicant.row as usize;
        let changed: Float64Array =
            numbers.iter().enumerate().map(|(at, number)| if at == row { Some(to) } else { number }).collect();
        let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
        columns[at] = Arc::new(changed);
        Ok(vec![RecordBatch::try_new(batch.schema(), columns).map_err(failed)?])
    })
}

/// Drops the applicant's row.
pub fn remove_row(session: &Session, trail: &Path, applicant: &Applicant) -> Result<(), Failure> {
    forge(session, trail, applicant, |batch| {
        let row = applicant.row as usize;
        Ok(vec![batch.slice(0, row), batch.slice(row + 1, batch.num_rows() - row - 1)])
    })
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::could_not(format!("cannot forge the Parquet file: {error}"))
}

/// Rewrites the file that the applicant's record is in, and its entry in the log.
fn forge(
    session: &Session,
    trail: &Path,
    applicant: &Applicant,
    change: impl FnOnce(RecordBatch) -> Result<Vec<RecordBatch>, Failure>,
) -> Result<(), Failure> {
    let name = applicant.file.file_name().unwrap_or_default();
    let file = trail.join("lake").join(name);
    let (batch, metadata) = read(&file)?;
    let batches = change(batch)?;
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let bytes = written(&batches, &metadata, rows)?;
    session.host.replace(&file, &bytes, "demo", None)?;
    fit_log(session, &trail.join("lake/_delta_log"), &name.to_string_lossy(), &bytes, rows)
}

/// The whole file as one batch; the demo's files are small.
fn read(file: &PathBuf) -> Result<(RecordBatch, Arc<ParquetMetaData>), Failure> {
    let open = File::open(file).map_err(|error| Failure::io("read", file, &error))?;
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(open, options).map_err(failed)?;
    let metadata = Arc::clone(builder.metadata());
    let rows = usize::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
    let mut batches = builder.with_batch_size(rows.max(1)).build().map_err(failed)?;
    let batch = batches.next().ok_or_else(|| failed("it has no rows"))?.map_err(failed)?;
    Ok((batch, metadata))
}

/// The batches as a file that says of itself what the real one said.
fn written(batches: &[RecordBatch], was: &ParquetMetaData, rows: usize) -> Result<Vec<u8>, Failure> {
    let mut notes = was.file_metadata().key_value_metadata().cloned().unwrap_or_default();
    for note in notes.iter_mut().filter(|note| note.key == "onrecord.rows") {
        *note = KeyValue::new(note.key.clone(), rows.to_string());
    }
    let level = ZstdLevel::try_new(3).map_err(failed)?;
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_created_by(was.file_metadata().created_by().unwrap_or_default().to_owned())
        .set_key_value_metadata(Some(notes));
    for column in was.row_groups().iter().flat_map(|group| group.columns()) {
        properties = properties
            .set_column_bloom_filter_enabled(column.column_path().clone(), column.bloom_filter_offset().is_some());
    }
    let options = ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true);
    let schema = batches.first().map(RecordBatch::schema).ok_or_else(|| failed("nothing is left"))?;
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), schema, options).map_err(failed)?;
    batches.iter().try_for_each(|batch| writer.write(batch)).map_err(failed)?;
    writer.into_inner().map_err(failed)
}

/// Makes size, hash and count in the table's log those of the forged file.
fn fit_log(session: &Session, log: &Path, name: &str, bytes: &[u8], rows: usize) -> Result<(), Failure> {
    for entry in session.host.list(log, "demo")? {
        if entry.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&entry).map_err(|error| Failure::io("read", &entry, &error))?;
        let lines: Result<Vec<String>, Failure> = text.lines().map(|line| fitted(line, name, bytes, rows)).collect();
        let forged = lines?.join("\n") + "\n";
        if forged != text {
            session.host.replace(&entry, forged.as_bytes(), "demo", None)?;
        }
    }
    Ok(())
}

fn fitted(line: &str, name: &str, bytes: &[u8], rows: usize) -> Result<String, Failure> {
    let mut action: Value = serde_json::from_str(line).map_err(failed)?;
    if action["add"]["path"] != name {
        return Ok(line.to_owned());
    }
    let add = &mut action["add"];
    add["size"] = bytes.len().into();
    let hash: [u8; 32] = Sha256::digest(bytes).into();
    add["tags"]["onrecord.sha256"] = hex(&hash).into();
    add["tags"]["onrecord.rows"] = rows.to_string().into();
    let stats: Option<Value> = add["stats"].as_str().and_then(|stats| serde_json::from_str(stats).ok());
    if let Some(mut stats) = stats {
        stats["numRecords"] = rows.into();
        add["stats"] = stats.to_string().into();
    }
    Ok(action.to_string())
}
