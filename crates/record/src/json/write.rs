//! Records as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::cbor::{BLOB_TAG, CborError, Item, KeyOrder, Number, Reader};
use crate::envelope::{Envelope, format_time};
use crate::error::{Fault, Path, RecordError};
use crate::part::{Part, Parts};
use crate::stored::Stored;

/// The JSON face of a stored record, as far as its parts are there: the fields as they were sent.
pub fn to_json(stored: &Stored) -> Result<String, Box<RecordError>> {
    match stored.parts() {
        Some(parts) => parts_to_json(parts),
        None => Ok("{}".to_owned()),
    }
}

fn parts_to_json(parts: &Parts) -> Result<String, Box<RecordError>> {
    let mut out = String::with_capacity(parts.total_bytes() * 2);
    out.push('{');
    if let Some(canonical) = parts.get(Part::Envelope) {
        envelope_to_json(&mut out, &Envelope::read(canonical)?, canonical)?;
    }
    for part in Part::SECTIONS {
        if let Some(canonical) = parts.get(part) {
            if out.len() > 1 {
                out.push(',');
            }
            write_string(&mut out, part.name());
            out.push(':');
            let written = write_json_value(&mut out, &mut Reader::new(canonical));
            written.map_err(|error| RecordError::at(part.name(), Fault::Syntax(error.to_string())))?;
        }
    }
    out.push('}');
    Ok(out)
}

/// One part as JSON.
pub fn part_to_json(part: Part, canonical: &[u8]) -> Result<String, Box<RecordError>> {
    let mut parts = Parts::default();
    parts.set(part, canonical);
    if part == Part::Envelope {
        return parts_to_json(&parts);
    }
    let mut out = String::new();
    let written = write_json_value(&mut out, &mut Reader::new(canonical));
    written.map_err(|error| RecordError::at(part.name(), Fault::Syntax(error.to_string())))?;
    Ok(out)
}

/// The fields of the envelope in the order a person reads them; time as RFC 3339.
fn envelope_to_json(out: &mut String, envelope: &Envelope<'_>, canonical: &[u8]) -> Result<(), Box<RecordError>> {
    let value = crate::value::Value::from_canonical(canonical);
    let value = value.map_err(|error| RecordError::new(Path::default(), Fault::Syntax(error.to_string())))?;
    for field in crate::envelope::FIELDS {
        let Some(field_value) = value.get(field) else { continue };
        if out.len() > 1 {
            out.push(',');
        }
        write_string(out, field);
        out.push(':');
        match (field, envelope.time_ns) {
            ("time", Some(ns)) => write_string(out, &format_time(ns)),
            _ => {
                let written = write_json_value(out, &mut Reader::new(&field_value.to_canonical()));
                written.map_err(|error| RecordError::at(field, Fault::Syntax(error.to_string())))?;
            }
        }
    }
    Ok(())
}

/// Appends the next value of a reader as JSON.
pub fn write_json_value(out: &mut String, reader: &mut Reader<'_>) -> Result<(), CborError> {
    write_nested(out, reader, 0)
}

fn write_nested(out: &mut String, reader: &mut Reader<'_>, depth: usize) -> Result<(), CborError> {
    let start = reader.position();
    if depth > 128 {
        return Err(CborError::Depth(start));
    }
    match reader.next_item()? {
        Item::Null => out.push_str("null"),
        Item::Bool(value) => out.push_str(if value { "true" } else { "false" }),
        Item::Number(Number::Int(value)) => out.push_str(&value.to_string()),
        Item::Number(Number::UInt(value)) => out.push_str(&value.to_string()),
        Item::Number(Number::Float(value)) => write_float(out, value),
        Item::Text(text) => write_string(out, text),
        Item::Bytes(bytes) => {
            out.push_str("{\"$bytes\":\"");
            BASE64.encode_string(bytes, out);
            out.push_str("\"}");
        }
        Item::Tag(BLOB_TAG) => {
            let (digest, size, media_type) = reader.blob_body(start)?;
            out.push_str("{\"$blob\":{\"digest\":\"sha256:");
            digest.iter().for_each(|byte| out.push_str(&format!("{byte:02x}")));
            out.push_str(&format!("\",\"bytes\":{size},\"media_type\":"));
            write_string(out, media_type);
            out.push_str("}}");
        }
        Item::Tag(tag) => return Err(CborError::Tag(start, tag)),
        Item::Array(len) => {
            out.push('[');
            for position in 0..len {
                if position > 0 {
                    out.push(',');
                }
                write_nested(out, reader, depth + 1)?;
            }
            out.push(']');
        }
        Item::Map(len) => {
            let mut keys = KeyOrder::default();
            out.push('{');
            for position in 0..len {
                if position > 0 {
                    out.push(',');
                }
                let key = reader.next_key(&mut keys)?;
                if key.starts_with('$') {
                    write_string(out, &format!("${key}"));
                } else {
                    write_string(out, key);
                }
                out.push(':');
                write_nested(out, reader, depth + 1)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn write_float(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("{\"$f64\":\"NaN\"}");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "{\"$f64\":\"Infinity\"}" } else { "{\"$f64\":\"-Infinity\"}" });
    } else {
        out.push_str(&serde_json::Value::from(value).to_string());
    }
}

fn write_string(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}
