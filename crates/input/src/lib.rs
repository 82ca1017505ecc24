//! Records as they are sent: a stream of bytes in one of five forms, taken apart into records one after the other, in
//! memory that does not grow with the stream. What is no record is told with its place, and the rest goes on.
//!
//! ```text
//! bytes ──► unpacked, if they are gzip ──► a piece for each record ──► Record, or why it is none
//!                                     │    lines, json, cbor           record::{JsonParser, CborParser}
//!                                     └──► batches ──► a row as CBOR ──► the same
//!                                          arrow, rows  row, moment
//! ```
//!
//! # What holds
//!
//! * **I12**, **T24** Bytes from outside end in a record or a fault: no length is believed beyond the bytes that there are,
//!   and a library's panic is a fault.
//!
//! What it deliberately is not: it opens no file and no connection, and knows no trail.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod arrow;
mod cbor;
mod json;
mod lines;
mod moment;
mod row;
mod rows;

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use record::{CborParser, JsonParser, Limits, Record, RecordError};

/// The form of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Format {
    /// One JSON object a line
    Ndjson,
    /// One JSON object, an array of them, or several one after the other
    Json,
    /// A CBOR sequence
    Cbor,
    /// An Arrow IPC stream or file (Feather), a record a row
    Arrow,
    /// Parquet, a record a row
    Parquet,
}

/// Where in a stream something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A line of text, from 1.
    Line(u64),
    /// A record of a sequence, from 1.
    Record(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(line) => write!(f, "{line}"),
            Place::Record(number) => write!(f, " record {number}"),
        }
    }
}

/// What is wrong with what stands where a record should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The path of the field at fault, if it is one field's.
    pub field: Option<String>,
    /// What is wrong, with the path, in words.
    pub reason: String,
}

impl Fault {
    fn of(reason: impl Into<String>) -> Self {
        Fault { field: None, reason: reason.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl From<Box<RecordError>> for Fault {
    fn from(error: Box<RecordError>) -> Self {
        let field = (!error.path.0.is_empty()).then(|| error.path.to_string());
        Fault { field, reason: error.to_string() }
    }
}

/// What a row of Arrow may take as CBOR, in records of the largest size: nulls and short numbers take none in a record.
const ROW_GROWTH: usize = 2;

/// One record, or what is wrong with what stands there.
#[derive(Debug)]
pub struct Item {
    /// Where it stands.
    pub place: Place,
    /// What it is.
    pub record: Result<Box<Record>, Fault>,
}

/// The records of one stream, one after the other.
pub struct Records {
    reader: Reader,
}

enum Reader {
    Lines(lines::Lines, JsonParser),
    Json(json::Elements, JsonParser),
    Cbor(cbor::Items, CborParser),
    Rows(Box<rows::Rows>, CborParser),
}

/// A stretch of the stream that should be one record: its number, and its bytes or why there are none.
type Piece<'a> = Option<(u64, Result<&'a [u8], String>)>;

/// The bytes, unpacked if they are gzip: no JSON and no CBOR begins like it.
pub fn unpacked(mut raw: Box<dyn Read>) -> io::Result<Box<dyn BufRead>> {
    // Read to two bytes or the end: a pipe may give the first one alone.
    let mut head = Vec::with_capacity(2);
    raw.by_ref().take(2).read_to_end(&mut head)?;
    let packed = head == [0x1f, 0x8b];
    let bytes = BufReader::with_capacity(256 << 10, io::Cursor::new(head).chain(raw));
    if packed {
        return Ok(Box::new(BufReader::with_capacity(256 << 10, MultiGzDecoder::new(bytes))));
    }
    Ok(Box::new(bytes))
}

impl Records {
    /// The records in some bytes.
    ///
    /// # Errors
    /// Of the bytes, where all of them are needed before the first record: Parquet that is in no file.
    pub fn read(bytes: Box<dyn BufRead>, format: Format, limits: Limits) -> io::Result<Records> {
        let max = limits.text_bytes();
        let row_max = ROW_GROWTH * limits.record_bytes;
        let reader = match format {
            Format::Ndjson => Reader::Lines(lines::Lines::new(bytes, max), JsonParser::new(limits)),
            Format::Json => Reader::Json(json::Elements::new(bytes, max), JsonParser::new(limits)),
            Format::Cbor => Reader::Cbor(cbor::Items::new(bytes, max), CborParser::new(limits)),
            Format::Arrow => Reader::Rows(Box::new(rows::Rows::arrow(bytes, row_max)), CborParser::new(limits)),
            Format::Parquet => Reader::Rows(Box::new(rows::Rows::parquet(bytes, row_max)?), CborParser::new(limits)),
        };
        Ok(Records { reader })
    }

    /// The records in a file of Parquet.
    pub fn parquet_file(file: File, limits: Limits) -> Records {
        let rows = rows::Rows::parquet_file(file, ROW_GROWTH * limits.record_bytes);
        Records { reader: Reader::Rows(Box::new(rows), CborParser::new(limits)) }
    }

    /// All rows of Arrow together may take so many bytes as records: a few bytes can say the same row many times. Beyond
    /// that [`Records::read_next`] ends in an error of kind [`io::ErrorKind::FileTooLarge`].
    #[must_use]
    pub fn within(mut self, bytes_max: u64) -> Records {
        if let Reader::Rows(rows, _) = &mut self.reader {
            rows.within(bytes_max);
        }
        self
    }

    /// The next record; nothing at the end. An error is one of the stream: nothing comes after it.
    pub fn read_next(&mut self) -> io::Result<Option<Item>> {
        Ok(match &mut self.reader {
            Reader::Lines(lines, parser) => lines.next()?.map(|(line, bytes)| {
                // The line is the file's; of the parser's own only the column says anything.
                let record = parsed(parser, bytes).map_err(|fault| Fault {
                    reason: fault.reason.replace(" at line 1 column ", " at column "),
                    ..fault
                });
                Item { place: Place::Line(line), record }
            }),
            Reader::Json(elements, parser) => {
                elements.next()?.map(|(line, bytes)| Item { place: Place::Line(line), record: parsed(parser, bytes) })
            }
            Reader::Cbor(items, parser) => items.next()?.map(|(number, bytes)| {
                let record = bytes.map_err(Fault::of).and_then(|bytes| parser.parse(bytes).map_err(Fault::from));
                Item { place: Place::Record(number), record: record.map(Box::new) }
            }),
            Reader::Rows(rows, parser) => rows.next()?.map(|(number, bytes)| {
                let record = bytes.and_then(|bytes| parser.parse(bytes).map_err(Fault::from));
                Item { place: Place::Record(number), record: record.map(Box::new) }
            }),
        })
    }
}

fn parsed(parser: &mut JsonParser, bytes: Result<&[u8], String>) -> Result<Box<Record>, Fault> {
    let bytes = bytes.map_err(Fault::of)?;
    parser.parse(bytes).map(Box::new).map_err(|error| {
        let fault = Fault::from(error);
        let object = bytes.trim_ascii_start().starts_with(b"{");
        match fault.reason.strip_prefix("record: not valid JSON: ") {
            Some(why) if !object => Fault::of(format!("not a JSON object ({why})")),
            _ => fault,
        }
    })
}

fn too_long(what: &str, max: usize) -> String {
    format!("{what} is longer than the limit of {max} bytes")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Gives one byte at a time.
    struct Trickle(io::Cursor<Vec<u8>>);

    impl Read for Trickle {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let most = into.len().min(1);
            self.0.read(&mut into[..most])
        }
    }

    #[test]
    fn what_is_packed_is_seen_however_its_bytes_come() {
        let line = br#"{"kind":"config","context":{"a":1}}"#;
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(line).unwrap();
        for bytes in [line.to_vec(), packer.finish().unwrap()] {
            let raw = unpacked(Box::new(Trickle(io::Cursor::new(bytes)))).unwrap();
            let mut records = Records::read(raw, Format::Ndjson, Limits::DEFAULT).unwrap();
            assert!(records.read_next().unwrap().unwrap().record.is_ok());
            assert!(records.read_next().unwrap().is_none());
        }
    }

    #[test]
    fn a_fault_names_its_field() {
        let text = br#"{"kind":"config","context":{"a":{"$f64":"x"}}}"#;
        let bytes = Box::new(io::Cursor::new(text.to_vec()));
        let mut records = Records::read(bytes, Format::Json, Limits::DEFAULT).unwrap();
        let fault = records.read_next().unwrap().unwrap().record.unwrap_err();
        assert_eq!(fault.field.as_deref(), Some("context.a"));
        assert!(fault.reason.starts_with("context.a: "), "{fault}");
    }
}
