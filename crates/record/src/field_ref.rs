//! What a person types to name a field, resolved.
//!
//! `inputs.income`, `inputs["odd key"]`, `explanation.values.income`, `output`, `model.version`. A dot separates keys;
//! a key with anything but letters, digits, `_` and `-` is written in brackets as a JSON string. This is the one
//! resolver: search, SQL, masks, export, groups and monitors all name fields through it.

use std::fmt;

use crate::cbor::{CborError, Item, KeyOrder, Reader};
use crate::envelope::FIELDS;
use crate::error::{is_plain, nearest};
use crate::part::{Part, Parts};

/// A field of a record: the part it is in and the keys that lead to it from there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FieldRef {
    /// The part.
    pub part: Part,
    /// The keys, outermost first. Empty for a whole section.
    pub keys: Vec<String>,
}

/// Why a text names no field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldRefError {
    /// The text is not a path.
    #[error("{text:?} is not a field: at byte {at}, {expected}")]
    Syntax {
        /// The text.
        text: String,
        /// Byte offset of the fault.
        at: usize,
        /// What would have been right there.
        expected: &'static str,
    },
    /// No record has a field of that name.
    #[error("no record has a field {name:?}{}", nearest.map(|n| format!("; did you mean {n:?}?")).unwrap_or_default())]
    Unknown {
        /// The first key.
        name: String,
        /// The known name it looks most like.
        nearest: Option<&'static str>,
    },
}

impl FieldRef {
    /// Reads a path.
    pub fn parse(text: &str) -> Result<FieldRef, FieldRefError> {
        let mut keys = split(text)?;
        let first = keys.remove(0);
        if let Some(part) = Part::section(&first) {
            return Ok(FieldRef { part, keys });
        }
        if FIELDS.contains(&first.as_str()) {
            keys.insert(0, first);
            return Ok(FieldRef { part: Part::Envelope, keys });
        }
        let known = Part::SECTIONS.iter().map(|part| part.name()).chain(FIELDS);
        Err(FieldRefError::Unknown { nearest: nearest(&first, known), name: first })
    }

    /// The canonical bytes of the field in a record, if the record has it.
    pub fn find<'a>(&self, parts: &'a Parts) -> Result<Option<&'a [u8]>, CborError> {
        parts.get(self.part).map_or(Ok(None), |canonical| self.find_in(canonical))
    }

    /// The canonical bytes of the field in its part's, or in a map that has some of its part's entries: a remainder.
    pub fn find_in<'a>(&self, mut part: &'a [u8]) -> Result<Option<&'a [u8]>, CborError> {
        for key in &self.keys {
            match entry(part, key)? {
                Some(value) => part = value,
                None => return Ok(None),
            }
        }
        Ok(Some(part))
    }

    /// Whether this is `other`, or is inside it.
    pub fn is_within(&self, other: &FieldRef) -> bool {
        self.part == other.part && self.keys.starts_with(&other.keys)
    }

    /// The field's path as a column is named by it: dotted, if a dot in it can only mean a step.
    pub fn dotted(&self) -> Option<String> {
        let plain = self.keys.iter().all(|key| is_plain(key));
        let section = (self.part != Part::Envelope).then(|| self.part.name());
        let steps: Vec<&str> = section.into_iter().chain(self.keys.iter().map(String::as_str)).collect();
        plain.then(|| steps.join("."))
    }
}

/// The canonical bytes under one key of a map.
fn entry<'a>(bytes: &'a [u8], wanted: &str) -> Result<Option<&'a [u8]>, CborError> {
    let mut reader = Reader::new(bytes);
    let Item::Map(len) = reader.next_item()? else { return Ok(None) };
    let mut keys = KeyOrder::default();
    for _ in 0..len {
        let key = reader.next_key(&mut keys)?;
        let value = reader.skip()?;
        if key == wanted {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// The keys of a path; at least one.
fn split(text: &str) -> Result<Vec<String>, FieldRefError> {
    let syntax = |at, expected| FieldRefError::Syntax { text: text.to_owned(), at, expected };
    let mut keys = Vec::new();
    let mut at = 0;
    loop {
        let rest = &text[at..];
        if rest.starts_with('[') && at > 0 {
            let mut strings = serde_json::Deserializer::from_str(&rest[1..]).into_iter::<String>();
            let Some(Ok(key)) = strings.next() else { return Err(syntax(at + 1, "a key in double quotes belongs")) };
            let end = 1 + strings.byte_offset();
            if !rest[end..].starts_with(']') {
                return Err(syntax(at + end, "a closing bracket belongs"));
            }
            keys.push(key);
            at += end + 1;
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            if !is_plain(&rest[..end]) {
                return Err(syntax(at, "a key of letters, digits, _ or - belongs (others in [\"…\"])"));
            }
            keys.push(rest[..end].to_owned());
            at += end;
        }
        match text[at..].chars().next() {
            None => return Ok(keys),
            Some('.') => at += 1,
            Some('[') => {}
            Some(_) => return Err(syntax(at, "a dot or a bracket belongs")),
        }
        if text[at..].starts_with('[') && text[..at].ends_with('.') {
            return Err(syntax(at, "a key belongs after a dot"));
        }
    }
}

impl fmt::Display for FieldRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut keys = self.keys.iter();
        match self.part {
            Part::Envelope => f.write_str(keys.next().map_or("envelope", String::as_str))?,
            section => f.write_str(section.name())?,
        }
        for key in keys {
            if is_plain(key) {
                write!(f, ".{key}")?;
            } else {
                write!(f, "[{}]", serde_json::Value::from(key.as_str()))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_and_shown_alike() {
        for text in [
            "inputs.income",
            "inputs[\"odd key\"]",
            "inputs[\"a.b\"].c[\"\\\"q\\\"\"]",
            "output",
            "explanation.values.age",
            "model.version",
            "time",
        ] {
            assert_eq!(FieldRef::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_path_says_why() {
        for (text, message) in [
            ("", "\"\" is not a field: at byte 0, a key of letters, digits, _ or - belongs (others in [\"…\"])"),
            (
                "inputs.",
                "\"inputs.\" is not a field: at byte 7, a key of letters, digits, _ or - belongs (others in [\"…\"])",
            ),
            ("inputs[\"x\"", "\"inputs[\\\"x\\\"\" is not a field: at byte 10, a closing bracket belongs"),
            ("inputs.[\"x\"]", "\"inputs.[\\\"x\\\"]\" is not a field: at byte 7, a key belongs after a dot"),
            ("input.age", "no record has a field \"input\"; did you mean \"inputs\"?"),
            ("zzz", "no record has a field \"zzz\""),
        ] {
            assert_eq!(FieldRef::parse(text).unwrap_err().to_string(), message);
        }
    }
}
