//! The CBOR face of a record: one map of the same fields as in JSON.
//!
//! Any well-formed CBOR with definite lengths is taken (longer forms and other key orders are reduced on the way in);
//! floats, bytes and 64-bit integers stand for themselves, so there are no `$` forms. A blob is tag
//! [`crate::cbor::BLOB_TAG`]. What goes out is canonical.

use crate::build::{Builder, RecordBuilder};
use crate::cbor::{self, BLOB_TAG, CborError, Item, KeyOrder, Number, Reader};
use crate::commitment::Salt;
use crate::envelope::{format_time, looks_like_another_unit};
use crate::error::{Fault, Path, RecordError, Segment};
use crate::limits::Limits;
use crate::part::{Part, Parts, Record};

/// Reads records from CBOR. Keep one and use it again: it reuses its memory.
pub struct CborParser {
    limits: Limits,
    values: Builder,
}

/// A fault while reading a value; its path is collected in the builder.
struct Stopped(Fault);

impl From<CborError> for Stopped {
    fn from(error: CborError) -> Self {
        Stopped(Fault::Syntax(format!("not valid CBOR: {error}")))
    }
}

impl From<Fault> for Stopped {
    fn from(fault: Fault) -> Self {
        Stopped(fault)
    }
}

impl CborParser {
    /// A parser that holds records to these limits.
    pub fn new(limits: Limits) -> Self {
        CborParser { limits, values: Builder::new(limits) }
    }

    /// Reads one record from one CBOR item.
    pub fn parse(&mut self, bytes: &[u8]) -> Result<Record, Box<RecordError>> {
        let max = self.limits.text_bytes();
        if bytes.len() > max {
            let limit = Fault::Limit { what: "the CBOR item's length in bytes", got: bytes.len(), max };
            return Err(RecordError::new(Path::default(), limit));
        }
        let mut reader = Reader::lenient(bytes);
        let record = self.parse_next(&mut reader)?;
        let at_end = reader.expect_end();
        at_end.map_err(|error| RecordError::new(Path::default(), Stopped::from(error).0))?;
        Ok(record)
    }

    /// Reads the next record of a CBOR sequence (RFC 8742). After an error within a record the reader stands
    /// somewhere inside it.
    pub fn parse_next(&mut self, reader: &mut Reader<'_>) -> Result<Record, Box<RecordError>> {
        let mut record = RecordBuilder::new(&mut self.values);
        match read_record(reader, &mut record) {
            Ok(()) => record.finish(),
            Err(Stopped(fault)) => Err(RecordError::new(self.values.take_path(), fault)),
        }
    }
}

fn read_record(reader: &mut Reader<'_>, record: &mut RecordBuilder<'_>) -> Result<(), Stopped> {
    let Item::Map(len) = reader.next_item()? else { return Err(Fault::NotAnObject.into()) };
    let mut keys = KeyOrder::default();
    for _ in 0..len {
        let key = reader.next_key(&mut keys)?;
        record.begin_field(key)?;
        let ended = read_value(reader, record.values, 1).and_then(|()| Ok(record.end_field()?));
        if ended.is_err() {
            record.values.unwound.push(Segment::Key(key.to_owned()));
        }
        ended?;
    }
    Ok(())
}

fn read_value(reader: &mut Reader<'_>, values: &mut Builder, depth: usize) -> Result<(), Stopped> {
    let start = reader.position();
    match reader.next_item()? {
        Item::Null => values.null(),
        Item::Bool(value) => values.bool(value),
        Item::Number(number) => values.number(number)?,
        Item::Text(text) => values.text(text)?,
        Item::Bytes(bytes) => values.bytes(bytes)?,
        Item::Tag(BLOB_TAG) => {
            let (digest, size, media_type) = reader.blob_body(start)?;
            values.blob(digest, size, media_type)?;
        }
        Item::Tag(tag) => return Err(CborError::Tag(start, tag).into()),
        Item::Array(len) => {
            let depth = values.array_depth(depth);
            values.check_depth(depth)?;
            let array = values.begin_array();
            for position in 0..len {
                let read = read_value(reader, values, depth + 1);
                if read.is_err() {
                    values.unwound.push(Segment::Index(position));
                }
                read?;
            }
            values.end_array(array, len)?;
        }
        Item::Map(len) => {
            values.check_depth(depth)?;
            let map = values.begin_map();
            let read = read_entries(reader, values, depth, len).and_then(|()| Ok(values.end_map(map)?));
            if read.is_err() {
                values.unwind_map(map);
            }
            read?;
        }
    }
    Ok(())
}

fn read_entries(reader: &mut Reader<'_>, values: &mut Builder, depth: usize, len: usize) -> Result<(), Stopped> {
    let mut keys = KeyOrder::default();
    for _ in 0..len {
        let key = reader.next_key(&mut keys)?;
        values.begin_entry(key)?;
        read_value(reader, values, depth + 1)?;
        values.end_entry();
    }
    Ok(())
}

/// The CBOR face of the parts of a record: the envelope's fields and the sections in one canonical map. The time is
/// integer nanoseconds; the few values of 1970 to 1973 that could pass for seconds are RFC 3339 text.
pub fn to_cbor(parts: &Parts) -> Result<Vec<u8>, CborError> {
    with_salt(parts, None)
}

/// The CBOR face of a record as its sender sends it, with the salt if he made one: what [`CborParser`] reads back as the
/// same record.
pub fn record_to_cbor(record: &Record) -> Result<Vec<u8>, CborError> {
    let mut salt = Vec::new();
    if let Some(Salt(bytes)) = &record.salt {
        cbor::write_bytes(&mut salt, bytes);
    }
    with_salt(&record.parts, record.salt.as_ref().map(|_| &*salt))
}

fn with_salt(parts: &Parts, salt: Option<&[u8]>) -> Result<Vec<u8>, CborError> {
    let mut fields: Vec<(&str, &[u8])> = Vec::new();
    let mut time_as_text = Vec::new();
    if let Some(envelope) = parts.get(Part::Envelope) {
        let mut reader = Reader::new(envelope);
        let Item::Map(len) = reader.next_item()? else { return Err(CborError::Expected(0, "a map")) };
        let mut keys = KeyOrder::default();
        for _ in 0..len {
            let key = reader.next_key(&mut keys)?;
            fields.push((key, reader.skip()?));
        }
    }
    if let Some(time) = fields.iter_mut().find(|(key, _)| *key == "time")
        && let Item::Number(Number::Int(ns)) = Reader::new(time.1).next_item()?
        && looks_like_another_unit(ns)
    {
        // As a number the parser would take it for seconds and refuse it.
        cbor::write_text(&mut time_as_text, &format_time(ns));
        time.1 = &time_as_text;
    }
    fields.extend(salt.map(|salt| ("salt", salt)));
    fields.extend(Part::SECTIONS.iter().filter_map(|part| Some((part.name(), parts.get(*part)?))));
    fields.sort_by(|a, b| cbor::key_order(a.0, b.0));
    let mut out = Vec::with_capacity(parts.total_bytes() + 64);
    cbor::write_map_head(&mut out, fields.len());
    for (key, value) in fields {
        cbor::write_text(&mut out, key);
        out.extend_from_slice(value);
    }
    Ok(out)
}
