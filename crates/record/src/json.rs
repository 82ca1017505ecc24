//! The JSON face of a record, in and out.
//!
//! In: duplicate keys, lone surrogates and integers that neither `i64` nor `u64` holds are errors that name the path;
//! other numbers are the nearest `f64`. Bare `NaN`, `Infinity` and `-Infinity`, as Python writes them, are accepted.
//! In and out: `{"$f64": "NaN"}` (also `"Infinity"`, `"-Infinity"`), `{"$bytes": "<base64>"}`,
//! `{"$blob": {"digest": "sha256:…", "bytes": n, "media_type": "…"}}`; a key of the sender that begins with `$` is
//! written `$$…`. So JSON → record → JSON loses nothing.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};

use crate::build::{Builder, OpenMap, RecordBuilder, shorten};
use crate::cbor::{BLOB_TAG, CborError, Item, KeyOrder, Number, Reader};
use crate::envelope::{Envelope, format_time, unhex};
use crate::error::{Fault, Path, RecordError, Segment};
use crate::limits::Limits;
use crate::part::{Part, Parts, Record};
use crate::stored::Stored;

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

// ---- what JSON readers lose ----------------------------------------------------------------------------------------

fn is_huge(value: f64) -> bool {
    value.abs() >= 9_223_372_036_854_775_808.0 && value.is_finite()
}

/// The tokens outside strings of a JSON text, roughly: runs of letters, digits, signs and dots.
fn bare_tokens(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            let start = at;
            match bytes[at] {
                b'"' => {
                    at += 1;
                    while at < bytes.len() && bytes[at] != b'"' {
                        at += if bytes[at] == b'\\' { 2 } else { 1 };
                    }
                    at += 1;
                }
                byte if is_bare(byte) => {
                    while at < bytes.len() && is_bare(bytes[at]) {
                        at += 1;
                    }
                    return Some((start, &text[start..at]));
                }
                _ => at += 1,
            }
        }
        None
    })
}

fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')
}

/// A text with its bare `NaN`, `Infinity` and `-Infinity` written as `$f64` forms.
struct Spelled {
    text: String,
    /// Where each form begins in `text`, and how long the bare word was.
    forms: Vec<(usize, usize)>,
}

impl Spelled {
    const BEFORE: &str = "{\"$f64\":\"";
    const AFTER: &str = "\"}";

    /// Nothing if the text has no such word.
    fn new(text: &str) -> Option<Spelled> {
        let mut spelled = Spelled { text: String::new(), forms: Vec::new() };
        let mut done = 0;
        for (start, token) in bare_tokens(text) {
            if matches!(token, "NaN" | "Infinity" | "-Infinity") {
                spelled.text.push_str(&text[done..start]);
                spelled.forms.push((spelled.text.len(), token.len()));
                [Self::BEFORE, token, Self::AFTER].into_iter().for_each(|piece| spelled.text.push_str(piece));
                done = start + token.len();
            }
        }
        spelled.text.push_str(&text[done..]);
        (!spelled.forms.is_empty()).then_some(spelled)
    }

    /// The column of the text as it was sent, from one of the spelled text; lines are the same in both.
    fn column_as_sent(&self, line: usize, column: usize) -> usize {
        let line_start: usize = self.text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        let place = line_start + column;
        let added = Self::BEFORE.len() + Self::AFTER.len();
        let before = self.forms.iter().filter(|(start, _)| (line_start..place).contains(start));
        let excess = before.map(|(start, len)| added.min(place - start).min(added + len)).sum();
        column.saturating_sub(excess)
    }
}

/// An integer that a JSON reader hands over as a float, its last digits lost.
struct LostInteger {
    /// As how many-th huge number the visitor meets it, from 0.
    ordinal: usize,
    digits: String,
}

/// The first integer that 64 bits do not hold.
fn lost_integer(text: &str) -> Option<LostInteger> {
    let handed_over_as_integer = |token: &str| token.parse::<u64>().is_ok() || token.parse::<i64>().is_ok();
    bare_tokens(text)
        .map(|(_, token)| token)
        .filter(|token| token.parse().is_ok_and(is_huge) && !handed_over_as_integer(token))
        .enumerate()
        .find(|(_, token)| !token.contains(['.', 'e', 'E']))
        .map(|(ordinal, token)| LostInteger { ordinal, digits: shorten(token) })
}

// ---- out -----------------------------------------------------------------------------------------------------------

/// The JSON face of a stored record, as far as its parts are there: the fields as they were sent.
pub fn to_json(stored: &Stored) -> Result<String, Box<RecordError>> {
    match stored.parts() {
        Some(parts) => parts_to_json(parts),
        None => Ok("{}".to_owned()),
    }
}

pub(crate) fn parts_to_json(parts: &Parts) -> Result<String, Box<RecordError>> {
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
