//! Whether values are within the limits of records: what is not would be accepted, numbered, and no record then.

use record::{Limits, Value};

use crate::event::InvalidEvent;

/// What holds for the sections of one record.
const LIMITS: Limits = Limits::DEFAULT;

/// Fields of everything but what is in the sections, at most.
const OTHER_FIELDS: usize = 64;

/// Counts over the sections of one record.
#[derive(Debug)]
pub struct Within {
    fields: usize,
}

impl Default for Within {
    fn default() -> Self {
        Self { fields: OTHER_FIELDS }
    }
}

impl Within {
    /// So many fields more.
    pub fn add_fields(&mut self, count: usize) -> Result<(), InvalidEvent> {
        self.fields = self.fields.saturating_add(count);
        limit("the number of fields", self.fields, LIMITS.fields)
    }

    /// One value more; it stands at this depth.
    pub fn check(&mut self, value: &Value, depth: usize) -> Result<(), InvalidEvent> {
        let string = |len: usize| limit("the length of a string in bytes", len, LIMITS.string_bytes);
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
            Value::Text(text) => string(text.len()),
            Value::Bytes(bytes) => string(bytes.len()),
            Value::Blob(blob) => string(blob.media_type.len()),
            Value::Array(values) => {
                limit("the depth of nesting", depth, LIMITS.depth)?;
                values.iter().try_for_each(|value| self.check(value, depth + 1))
            }
            Value::Map(entries) => {
                limit("the depth of nesting", depth, LIMITS.depth)?;
                self.add_fields(entries.len())?;
                entries.iter().try_for_each(|(key, value)| {
                    limit("the length of a key in bytes", key.len(), LIMITS.key_bytes)?;
                    self.check(value, depth + 1)
                })
            }
        }
    }
}

fn limit(what: &'static str, got: usize, max: usize) -> Result<(), InvalidEvent> {
    if got > max { Err(InvalidEvent::Limit { what, got, max }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use record::{CborParser, Part};

    use super::*;
    use crate::event::{Added, Event};

    fn nested(depth: usize, list: bool) -> Value {
        (0..depth).fold(Value::Null, |inner, _| match list {
            true => Value::Array(vec![inner]),
            false => Value::map([("x".to_owned(), inner)]),
        })
    }

    fn fields(count: usize) -> Value {
        Value::map((0..count).map(|n| (n.to_string(), Value::Null)))
    }

    /// T29: what is accepted is a record, and what is not would have been none, at each limit; but of fields some are kept
    /// for the envelope, whether or not it has them all.
    #[test]
    fn an_event_is_accepted_if_its_record_can_be_read() {
        let text = |len: usize| Value::map([("x".to_owned(), Value::Text("y".repeat(len)))]);
        let key = |len: usize| Value::map([("k".repeat(len), Value::Null)]);
        let mut good = 0;
        let cases = [
            [nested(16, false), nested(17, false)],
            [nested(16, true), nested(17, true)],
            [nested(15, true), nested(18, true)],
            [text(256 << 10), text((256 << 10) + 1)],
            [key(256), key(257)],
            [fields(4_000), fields(4_097)],
            [fields(4_096), Value::Bytes(vec![0; (256 << 10) + 1])],
        ];
        for value in cases.into_iter().flatten() {
            for part in [Part::Inputs, Part::Output, Part::Context] {
                let mut event = Event::decision("m", "1");
                event.inputs_withheld = Some("not needed".to_owned());
                let event = event.with(Part::Output, Value::Bool(true)).with(part, value.clone());
                let added = Added {
                    id: host::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001),
                    salt: [1; 16],
                    time_ns: 1_800_000_000_000_000_000,
                    clock: None,
                    producer: record::Producer { name: "p", instance: Some("i"), seq: Some(1) },
                    sampling: None,
                };
                let read = CborParser::new(Limits::DEFAULT).parse(&event.encode(&added).unwrap());
                let checked = event.check();
                let many = matches!(checked, Err(InvalidEvent::Limit { what: "the number of fields", .. }));
                let agree = checked.is_ok() == read.is_ok() || (many && read.is_ok());
                assert!(agree, "{part:?}: {checked:?}, {:?}", read.err());
                good += usize::from(read.is_ok());
            }
        }
        assert!(good > 10, "{good}");
        let mut event = Event::decision("m", "a\nb").with(Part::Output, Value::Bool(true));
        event.inputs_withheld = Some("not needed".to_owned());
        assert!(matches!(event.check(), Err(InvalidEvent::Name { field: "model.version", .. })));
    }
}
