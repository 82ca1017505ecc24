//! Rows with their types, for other programs.

use std::io::Write;

use arrow::ipc::writer::StreamWriter;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use query::Answer;

use super::Broken;
use crate::failure::Failure;

pub fn arrow(out: &mut impl Write, answer: &mut Answer) -> Result<(), Broken> {
    let mut writer = StreamWriter::try_new(out, answer.schema()).map_err(unwritable)?;
    for batch in answer.by_ref() {
        writer.write(&batch?).map_err(unwritable)?;
    }
    writer.finish().map_err(unwritable)
}

pub fn parquet(out: &mut (impl Write + Send), answer: &mut Answer) -> Result<(), Broken> {
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let properties = WriterProperties::builder().set_compression(zstd).build();
    let mut writer = ArrowWriter::try_new(out, answer.schema().clone(), Some(properties)).map_err(unwritable)?;
    for batch in answer.by_ref() {
        writer.write(&batch?).map_err(unwritable)?;
    }
    writer.close().map(|_| ()).map_err(unwritable)
}

fn unwritable(error: impl std::fmt::Display) -> Broken {
    let text = error.to_string();
    if text.contains("Broken pipe") {
        return Broken::Closed;
    }
    Broken::Failed(Failure::could_not(format!("the rows cannot be written: {text}")))
}
