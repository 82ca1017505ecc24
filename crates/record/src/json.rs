//! The JSON face of a record, in and out.
//!
//! In: duplicate keys, lone surrogates and integers that neither `i64` nor `u64` holds are errors that name the path;
//! other numbers are the nearest `f64`. Bare `NaN`, `Infinity` and `-Infinity`, as Python writes them, are accepted.
//! In and out: `{"$f64": "NaN"}` (also `"Infinity"`, `"-Infinity"`), `{"$bytes": "<base64>"}`,
//! `{"$blob": {"digest": "sha256:…", "bytes": n, "media_type": "…"}}`; a key of the sender that begins with `$` is
//! written `$$…`. So JSON → record → JSON loses nothing.

mod lost;
mod write;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};

use crate::build::{Builder, OpenMap, RecordBuilder};
use crate::cbor::Number;
use crate::envelope::unhex;
use crate::error::{Fault, Path, RecordError, Segment};
use crate::limits::Limits;
use crate::part::Record;
use lost::{LostInteger, Spelled, is_huge, lost_integer};
pub use write::{part_to_json, to_json, write_json_value};

/// Reads records from JSON. Keep one and use it again: it reuses its memory.
pub struct JsonParser {
    limits: Limits,
    values: Builder,
}

impl JsonParser {
    /// A parser that holds records to these limits.
    pub fn new(limits: Limits) -> Self {
        JsonParser { limits, values: Builder::new(limits) }
    }

    /// Reads one record from one JSON text.
    pub fn parse(&mut self, text: &[u8]) -> Result<Record, Box<RecordError>> {
        let max = self.limits.text_bytes();
        if text.len() > max {
            let limit = Fault::Limit { what: "the JSON text's length in bytes", got: text.len(), max };
            return Err(RecordError::new(Path::default(), limit));
        }
        let text = std::str::from_utf8(text).map_err(|error| {
            let at = error.valid_up_to();
            RecordError::new(Path::default(), Fault::Syntax(format!("not valid JSON: byte {at} is not UTF-8")))
        })?;
        match self.parse_once(text, None) {
            Err(Stopped::Syntax(path, error)) => match Spelled::new(text) {
                Some(spelled) => self.parse_checked(&spelled.text).map_err(|stopped| stopped.report(Some(&spelled))),
                None => Err(Stopped::Syntax(path, error).report(None)),
            },
            Ok(record) if self.values.huge == 0 => Ok(record),
            Ok(record) => self.refuse_lost_integer(text, record).map_err(|stopped| stopped.report(None)),
            Err(stopped) => Err(stopped.report(None)),
        }
    }

    fn parse_checked(&mut self, text: &str) -> Result<Record, Stopped> {
        let record = self.parse_once(text, None)?;
        if self.values.huge == 0 { Ok(record) } else { self.refuse_lost_integer(text, record) }
    }

    /// The record, unless one of its huge numbers was an integer; then the text is read again to find its path.
    #[cold]
    fn refuse_lost_integer(&mut self, text: &str, record: Record) -> Result<Record, Stopped> {
        match lost_integer(text) {
            Some(lost) => self.parse_once(text, Some(lost)),
            None => Ok(record),
        }
    }

    fn parse_once(&mut self, text: &str, refuse: Option<LostInteger>) -> Result<Record, Stopped> {
        let mut state = State { fault: None, refuse };
        let mut record = RecordBuilder::new(&mut self.values);
        // From text and not from bytes: the parser then need not check each string for UTF-8 again.
        let mut json = serde_json::Deserializer::from_str(text);
        let seed = RecordSeed { record: &mut record, state: &mut state };
        let result = seed.deserialize(&mut json).and_then(|()| json.end());
        let Err(error) = result else { return record.finish().map_err(Stopped::Refused) };
        let path = self.values.take_path();
        match state.fault {
            Some(fault) if error.is_data() => Err(Stopped::Refused(RecordError::new(path, fault))),
            None if error.is_data() => Err(Stopped::Refused(RecordError::new(path, Fault::NotAnObject))),
            _ => Err(Stopped::Syntax(path, error)),
        }
    }
}

/// Why a text made no record.
enum Stopped {
    /// It is not JSON.
    Syntax(Path, serde_json::Error),
    /// It is JSON and not a record.
    Refused(Box<RecordError>),
}

impl Stopped {
    /// What the sender reads; places are those of the text as it was sent.
    #[cold]
    fn report(self, spelled: Option<&Spelled>) -> Box<RecordError> {
        match self {
            Stopped::Refused(error) => error,
            Stopped::Syntax(path, error) => {
                let (line, column) = (error.line(), error.column());
                let place = format!(" at line {line} column {column}");
                let message = error.to_string();
                let what = message.strip_suffix(&place).unwrap_or(&message);
                // The two that a sender meets and cannot make sense of.
                let what = match what {
                    "number out of range" => "a number beyond the range of f64; send it as text",
                    "unexpected end of hex escape" | "lone leading surrogate in hex escape" => {
                        "a \\u escape that is half a character (a lone surrogate); send bytes as {\"$bytes\": …}"
                    }
                    other => other,
                };
                let column = spelled.map_or(column, |spelled| spelled.column_as_sent(line, column));
                RecordError::new(path, Fault::Syntax(format!("not valid JSON: {what} at line {line} column {column}")))
            }
        }
    }
}

/// What the visitors share beside the builder.
struct State {
    /// The fault that stopped the parse, when it is ours and not the JSON parser's.
    fault: Option<Fault>,
    refuse: Option<LostInteger>,
}

impl State {
    /// Notes a fault and gives the parser an error to unwind with.
    #[cold]
    fn fail<E: de::Error>(&mut self, fault: Fault) -> E {
        self.fault = Some(fault);
        E::custom("")
    }

    #[inline]
    fn check<T, E: de::Error>(&mut self, result: Result<T, Fault>) -> Result<T, E> {
        result.map_err(|fault| self.fail(fault))
    }
}

struct RecordSeed<'r, 'b> {
    record: &'r mut RecordBuilder<'b>,
    state: &'r mut State,
}

impl<'de> DeserializeSeed<'de> for RecordSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RecordSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record: an object of named fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let RecordSeed { record, state } = self;
        while map.next_key_seed(FieldSeed { record, state })?.is_some() {
            let value = ValueSeed { values: record.values, state, depth: 1 };
            let ended = map.next_value_seed(value).and_then(|()| {
                let ended = record.end_field();
                state.check(ended)
            });
            if ended.is_err() {
                record.values.unwound.extend(record.open_name().map(|name| Segment::Key(name.to_owned())));
            }
            ended?;
        }
        Ok(())
    }
}

/// Reads a top-level key.
struct FieldSeed<'r, 'b> {
    record: &'r mut RecordBuilder<'b>,
    state: &'r mut State,
}

impl<'de> DeserializeSeed<'de> for FieldSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<(), E> {
        let begun = self.record.begin_field(name);
        self.state.check(begun)
    }
}

/// Reads a value into canonical bytes.
struct ValueSeed<'r> {
    values: &'r mut Builder,
    state: &'r mut State,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = ();

    #[inline]
    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.values.null();
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.values.bool(value);
        Ok(())
    }

    #[inline]
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        let written = self.values.number(Number::Int(value));
        self.state.check(written)
    }

    #[inline]
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        let written = self.values.number(Number::from_u64(value));
        self.state.check(written)
    }

    #[inline]
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        if is_huge(value) {
            if let Some(lost) = self.state.refuse.take_if(|lost| lost.ordinal == self.values.huge) {
                return Err(self.state.fail(Fault::IntegerRange(lost.digits)));
            }
            self.values.huge += 1;
        }
        let written = self.values.number(Number::from_f64(value));
        self.state.check(written)
    }

    #[inline]
    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        let written = self.values.text(text);
        self.state.check(written)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let ValueSeed { values, state, depth } = self;
        let depth = values.array_depth(depth);
        state.check(values.check_depth(depth))?;
        let start = values.begin_array();
        let mut len = 0;
        loop {
            match seq.next_element_seed(ValueSeed { values, state, depth: depth + 1 }) {
                Ok(Some(())) => len += 1,
                Ok(None) => break,
                Err(error) => {
                    values.unwound.push(Segment::Index(len));
                    return Err(error);
                }
            }
        }
        let ended = values.end_array(start, len);
        state.check(ended)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let ValueSeed { values, state, depth } = self;
        let open = values.begin_map();
        let result = read_map(map, values, state, depth, open);
        if result.is_err() {
            values.unwind_map(open);
        }
        result
    }
}

/// Reads the entries of a map, or one of the special forms.
#[inline]
fn read_map<'de, A: MapAccess<'de>>(
    mut map: A,
    values: &mut Builder,
    state: &mut State,
    depth: usize,
    open: OpenMap,
) -> Result<(), A::Error> {
    let mut first = true;
    loop {
        match map.next_key_seed(KeySeed { values, state })? {
            Some(Key::Plain) => {
                // A form is a scalar, so the depth counts only now that this is none.
                if first {
                    state.check(values.check_depth(depth))?;
                    first = false;
                }
                map.next_value_seed(ValueSeed { values, state, depth: depth + 1 })?;
                values.end_entry();
            }
            Some(Key::Form(form)) if first => {
                values.cancel_map(open);
                // Whatever does not fit the form stops the parser with an error of its own; this is what it means.
                state.fault = Some(form.bad());
                map.next_value_seed(FormSeed { values, state, form })?;
                return match map.next_key::<de::IgnoredAny>()? {
                    None => Ok(()),
                    Some(_) => Err(state.fail(form.bad())),
                };
            }
            Some(Key::Form(form)) => return Err(state.fail(Fault::ReservedKey(form.key().to_owned()))),
            None => {
                if first {
                    state.check(values.check_depth(depth))?;
                }
                let ended = values.end_map(open);
                return state.check(ended);
            }
        }
    }
}

/// What a key of a map turned out to be.
enum Key {
    /// A key of the sender; the builder has begun its entry.
    Plain,
    /// The key of one of the special forms.
    Form(Form),
}

/// The forms that JSON has no syntax for.
#[derive(Debug, Clone, Copy)]
enum Form {
    F64,
    Bytes,
    Blob,
}

impl Form {
    fn key(self) -> &'static str {
        match self {
            Form::F64 => "$f64",
            Form::Bytes => "$bytes",
            Form::Blob => "$blob",
        }
    }

    fn bad(self) -> Fault {
        let expected = match self {
            Form::F64 => "{\"$f64\": \"NaN\"}, with \"NaN\", \"Infinity\" or \"-Infinity\", alone in its object",
            Form::Bytes => "{\"$bytes\": \"<base64, padded>\"}, alone in its object",
            Form::Blob => {
                "{\"$blob\": {\"digest\": \"sha256:<64 hex digits>\", \"bytes\": <size>, \"media_type\": \"<type>\"}}, \
                 alone in its object"
            }
        };
        Fault::BadForm { form: self.key(), expected }
    }
}

struct KeySeed<'r> {
    values: &'r mut Builder,
    state: &'r mut State,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Key;

    #[inline]
    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    #[inline]
    fn visit_str<E: de::Error>(self, key: &str) -> Result<Key, E> {
        let plain = match key.strip_prefix('$') {
            None => key,
            Some(escaped) if escaped.starts_with('$') => escaped,
            Some("f64") => return Ok(Key::Form(Form::F64)),
            Some("bytes") => return Ok(Key::Form(Form::Bytes)),
            Some("blob") => return Ok(Key::Form(Form::Blob)),
            Some(_) => return Err(self.state.fail(Fault::ReservedKey(key.to_owned()))),
        };
        let begun = self.values.begin_entry(plain);
        self.state.check(begun).map(|()| Key::Plain)
    }
}

/// Reads what stands under the key of a form. The fault for what does not fit is set beforehand, in [`read_map`].
struct FormSeed<'r> {
    values: &'r mut Builder,
    state: &'r mut State,
    form: Form,
}

impl<'de> DeserializeSeed<'de> for FormSeed<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.form {
            Form::F64 | Form::Bytes => deserializer.deserialize_str(self),
            Form::Blob => deserializer.deserialize_map(self),
        }
    }
}

impl FormSeed<'_> {
    /// Ends the form: the value was written, or does not fit, or passes a limit.
    fn end<E: de::Error>(self, written: Option<Result<(), Fault>>) -> Result<(), E> {
        match written {
            Some(Ok(())) => {
                self.state.fault = None;
                Ok(())
            }
            Some(Err(fault)) => Err(self.state.fail(fault)),
            None => Err(self.state.fail(self.form.bad())),
        }
    }
}

impl<'de> Visitor<'de> for FormSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value of a $ form")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        let written = match (self.form, text) {
            (Form::F64, "NaN") => Some(self.values.number(Number::Float(f64::NAN))),
            (Form::F64, "Infinity") => Some(self.values.number(Number::Float(f64::INFINITY))),
            (Form::F64, "-Infinity") => Some(self.values.number(Number::Float(f64::NEG_INFINITY))),
            (Form::Bytes, base64) => BASE64.decode(base64).ok().map(|bytes| self.values.bytes(&bytes)),
            _ => None,
        };
        self.end(written)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut digest, mut size, mut media_type) = (None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            let twice = match key.as_str() {
                "digest" => digest.replace(map.next_value::<String>()?).is_some(),
                "bytes" => size.replace(map.next_value::<u64>()?).is_some(),
                "media_type" => media_type.replace(map.next_value::<String>()?).is_some(),
                _ => return self.end(None),
            };
            if twice {
                return self.end(None);
            }
        }
        let digest =
            digest.as_deref().and_then(|text| text.strip_prefix("sha256:")).and_then(|text| unhex(text.as_bytes()));
        let (Some(digest), Some(size), Some(media_type)) = (digest, size, media_type) else { return self.end(None) };
        let written = self.values.blob(&digest, size, &media_type);
        self.end(Some(written))
    }
}
