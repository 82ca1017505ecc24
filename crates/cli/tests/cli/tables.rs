//! Tables of Arrow and Parquet as records: a record a row, nested columns as maps.

use std::sync::Arc;

use arrow::ipc::CompressionType;
use arrow::ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow_array::{ArrayRef, BooleanArray, Float32Array, Int64Array, RecordBatch, StringArray, StructArray};
use arrow_schema::{Field, Fields};

use crate::place::Place;

fn nested(fields: Vec<(&str, ArrayRef)>) -> ArrayRef {
    let names: Fields = fields.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    Arc::new(StructArray::new(names, fields.into_iter().map(|(_, array)| array).collect(), None))
}

/// Five decisions, the third without the name of its model.
fn decisions() -> RecordBatch {
    let names = vec![Some("credit-risk"), Some("credit-risk"), None, Some("pricing"), Some("pricing")];
    let ids: Vec<String> = (0..5).map(|number| format!("0190a5c2-7b1e-7c3a-9d55-{number:012x}")).collect();
    let model = nested(vec![
        ("name", Arc::new(StringArray::from(names))),
        ("version", Arc::new(StringArray::from(vec!["1"; 5]))),
    ]);
    let inputs = nested(vec![
        ("income", Arc::new(Int64Array::from(vec![Some(1), Some(2), Some(3), None, Some(9_007_199_254_740_993)]))),
        ("owner", Arc::new(BooleanArray::from(vec![true, false, true, false, true]))),
    ]);
    let output = nested(vec![("score", Arc::new(Float32Array::from(vec![0.5; 5])))]);
    let id: ArrayRef = Arc::new(StringArray::from(ids));
    let time: ArrayRef = Arc::new(StringArray::from(vec!["2026-11-01T12:00:00Z"; 5]));
    let columns = [("id", id), ("time", time), ("model", model), ("inputs", inputs), ("output", output)];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn arrow_file(compression: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let rows = decisions();
    let mut writer = FileWriter::try_new_with_options(Vec::new(), &rows.schema(), options).unwrap();
    writer.write(&rows).unwrap();
    writer.into_inner().unwrap()
}

fn parquet_file() -> Vec<u8> {
    let (rows, mut bytes) = (decisions(), Vec::new());
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    bytes
}

fn stream() -> Vec<u8> {
    let rows = decisions();
    let mut writer = StreamWriter::try_new(Vec::new(), &rows.schema()).unwrap();
    writer.write(&rows).unwrap();
    writer.into_inner().unwrap()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packer, bytes).unwrap();
    packer.finish().unwrap()
}

#[test]
fn a_table_is_taken_row_by_row_whatever_it_is_kept_in() {
    for (name, bytes) in [
        ("d.parquet", parquet_file()),
        ("d.parquet.gz", packed(&parquet_file())),
        ("d.arrow", arrow_file(None)),
        ("d.feather", arrow_file(Some(CompressionType::LZ4_FRAME))),
        ("d.arrows", stream()),
        ("d.arrows.gz", packed(&stream())),
    ] {
        let place = Place::with_trail();
        place.write(name, bytes);
        let run = place.run(&["append", "trail", name]);
        assert_eq!(run.code, 4, "{}", run.told());
        assert!(run.err.contains(&format!("{name}: record 3: model")), "{}", run.err);
        let sql = "SELECT model.name AS name, inputs.income AS income, \"inputs:json\" AS inputs, output.score AS score \
                   FROM decisions ORDER BY index";
        let rows = place.run(&["-q", "sql", "trail", sql, "--json"]).out;
        let last = rows.lines().last().unwrap();
        assert_eq!(rows.lines().count(), 4, "{rows}");
        assert!(last.contains("\"income\":9007199254740993") && last.contains("\"score\":0.5"), "{last}");
        assert!(rows.lines().nth(2).unwrap().contains("\"inputs\":{\"owner\":false}"), "{rows}");
        assert_eq!(place.run(&["append", "trail", name, "--json"]).json_of_last()["summary"]["again"], 4);
        assert_eq!(place.run(&["verify", "trail"]).code, 0);
    }
}

#[test]
fn a_table_comes_from_a_pipe_too_and_strict_reads_it_twice() {
    for (format, bytes) in [("arrow", stream()), ("arrow", arrow_file(None)), ("parquet", parquet_file())] {
        let place = Place::with_trail();
        let strict = place.run_on(&["append", "trail", "--format", format, "--strict"], &bytes);
        assert!(strict.code == 2 && strict.err.contains("stdin: record 3: model"), "{}", strict.told());
        let run = place.run_on(&["append", "trail", "--format", format], &bytes);
        assert!(run.code == 4 && run.out.contains("4 records, 1 refused"), "{}", run.told());
    }
}

/// T24: whatever stands in a file, there is an end to reading it, and what was read before it is kept.
#[test]
fn what_is_no_table_is_told_and_what_came_before_is_kept() {
    let place = Place::with_trail();
    let whole = stream();
    for (name, bytes) in [
        ("a.parquet", b"PAR1".to_vec()),
        ("b.parquet", parquet_file()[..200].to_vec()),
        ("c.arrow", b"ARROW1\0\0".to_vec()),
        ("d.arrow", b"ARROW2\0\0".to_vec()),
        ("e.arrows", [&[0xff; 8][..], &whole].concat()),
        ("f.arrows", vec![0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1]),
    ] {
        place.write(name, bytes);
        let run = place.run(&["append", "trail", name]);
        let whats = ["not a valid Arrow stream", "not valid Parquet"];
        let is_told = whats.iter().any(|what| run.err.contains(&format!("{name}: record 1: {what}")));
        assert!(run.code == 2 && is_told, "{}", run.told());
        assert!(!run.err.contains("panicked"), "{}", run.err);
    }
    // The end is missing: the batch before it is there.
    place.write("cut.arrows", [&whole[..whole.len() - 8], &[0xff, 0xff, 0xff, 0xff, 9, 0, 0, 0]].concat());
    let run = place.run(&["append", "trail", "cut.arrows"]);
    assert!(run.code == 4 && run.out.contains("4 records, 2 refused"), "{}", run.told());
    assert!(run.err.contains("record 6: not a valid Arrow stream"), "{}", run.err);
}
