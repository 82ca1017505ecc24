//! A value as a tree: for whoever needs to look inside canonical bytes and is in no hurry.

use std::cmp::Ordering;

use crate::cbor::{self, BLOB_TAG, CborError, Item, KeyOrder, Number, Reader, key_order};

/// A value of a section.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Explicit null.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number in reduced form.
    Number(Number),
    /// A text string, kept byte for byte.
    Text(String),
    /// A byte string.
    Bytes(Vec<u8>),
    /// A reference to an artefact kept by digest.
    Blob(Blob),
    /// An array.
    Array(Vec<Value>),
    /// A map in canonical key order.
    Map(Vec<(String, Value)>),
}

/// A reference to something too large for a record: an image, a tensor, a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// SHA-256 of its bytes.
    pub digest: [u8; 32],
    /// Its size in bytes.
    pub size: u64,
    /// Its media type, such as `image/png`.
    pub media_type: String,
}

impl Value {
    /// A number, reduced.
    pub fn float(value: f64) -> Value {
        Value::Number(Number::from_f64(value))
    }

    /// A map from entries in any order; of two equal keys the later one stays.
    pub fn map(entries: impl IntoIterator<Item = (String, Value)>) -> Value {
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.reverse();
        entries.sort_by(|a, b| key_order(&a.0, &b.0));
        entries.dedup_by(|b, a| a.0 == b.0);
        Value::Map(entries)
    }

    /// The value of a key, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let Value::Map(entries) = self else { return None };
        entries.binary_search_by(|entry| key_order(&entry.0, key)).ok().map(|at| &entries[at].1)
    }

    /// The text, if this is text.
    pub fn as_text(&self) -> Option<&str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }

    /// The number as the nearest `f64`, if this is a number.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Number(Number::Int(value)) => Some(*value as f64),
            Value::Number(Number::UInt(value)) => Some(*value as f64),
            Value::Number(Number::Float(value)) => Some(*value),
            _ => None,
        }
    }

    /// Reads one canonical item and nothing else.
    pub fn from_canonical(bytes: &[u8]) -> Result<Value, CborError> {
        let mut reader = Reader::new(bytes);
        let value = Value::read(&mut reader)?;
        reader.expect_end()?;
        Ok(value)
    }

    /// Reads the next item of a reader.
    pub fn read(reader: &mut Reader<'_>) -> Result<Value, CborError> {
        Value::read_nested(reader, 0)
    }

    fn read_nested(reader: &mut Reader<'_>, depth: usize) -> Result<Value, CborError> {
        let start = reader.position();
        if depth > 128 {
            return Err(CborError::Depth(start));
        }
        Ok(match reader.next_item()? {
            Item::Null => Value::Null,
            Item::Bool(value) => Value::Bool(value),
            Item::Number(number) => Value::Number(number),
            Item::Text(text) => Value::Text(text.to_owned()),
            Item::Bytes(bytes) => Value::Bytes(bytes.to_vec()),
            Item::Array(len) => {
                Value::Array((0..len).map(|_| Value::read_nested(reader, depth + 1)).collect::<Result<_, _>>()?)
            }
            Item::Map(len) => {
                let mut keys = KeyOrder::default();
                // The head may claim as many as there are bytes left, at every level; memory follows what is there.
                let mut entries = Vec::with_capacity(len.min(64));
                for _ in 0..len {
                    let key = reader.next_key(&mut keys)?.to_owned();
                    entries.push((key, Value::read_nested(reader, depth + 1)?));
                }
                Value::Map(entries)
            }
            Item::Tag(BLOB_TAG) => {
                let (digest, size, media_type) = reader.blob_body(start)?;
                Value::Blob(Blob { digest: *digest, size, media_type: media_type.to_owned() })
            }
            Item::Tag(tag) => return Err(CborError::Tag(start, tag)),
        })
    }

    /// Appends the canonical bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Value::Null => cbor::write_null(out),
            Value::Bool(value) => cbor::write_bool(out, *value),
            Value::Number(number) => cbor::write_number(out, *number),
            Value::Text(text) => cbor::write_text(out, text),
            Value::Bytes(bytes) => cbor::write_bytes(out, bytes),
            Value::Blob(blob) => write_blob(out, &blob.digest, blob.size, &blob.media_type),
            Value::Array(items) => {
                cbor::write_array_head(out, items.len());
                items.iter().for_each(|item| item.write(out));
            }
            Value::Map(entries) => {
                debug_assert!(entries.is_sorted_by(|a, b| key_order(&a.0, &b.0) == Ordering::Less));
                cbor::write_map_head(out, entries.len());
                for (key, value) in entries {
                    cbor::write_text(out, key);
                    value.write(out);
                }
            }
        }
    }

    /// The canonical bytes.
    pub fn to_canonical(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }
}

pub(crate) fn write_blob(out: &mut Vec<u8>, digest: &[u8; 32], size: u64, media_type: &str) {
    cbor::write_tag_head(out, BLOB_TAG);
    cbor::write_array_head(out, 3);
    cbor::write_bytes(out, digest);
    cbor::write_u64(out, size);
    cbor::write_text(out, media_type);
}
