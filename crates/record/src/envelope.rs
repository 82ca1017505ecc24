//! The envelope: the closed part of a record. Names, numbers, times, enums and random ids; nothing free-form.

use std::fmt;

use chrono::{DateTime, SecondsFormat};
use uuid::Uuid;

use crate::build::shorten;
use crate::cbor::{self, CborError, Item, KeyOrder, Number, Reader};
use crate::error::{Fault, Path, RecordError, Segment, nearest};
use crate::kind::Kind;
use crate::limits::{NAME_BYTES_MAX, PROFILES_MAX};

type Result<T> = std::result::Result<T, Box<RecordError>>;

/// The fields of the envelope, in the order in which a person reads them.
pub const FIELDS: [&str; 13] = [
    "id",
    "kind",
    "time",
    "about",
    "clock",
    "producer",
    "trace",
    "model",
    "result",
    "sampling",
    "profile",
    "error",
    "inputs_withheld",
];

/// A W3C trace id: 16 bytes, 32 lower-case hexadecimal digits on the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub [u8; 16]);

/// A W3C span id: 8 bytes, 16 lower-case hexadecimal digits on the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub [u8; 8]);

impl fmt::Display for TraceId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

/// How good the time stamp is (MiFID RTS 25, FINRA 4590).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Clock<'a> {
    /// Bound on the divergence from UTC, nanoseconds.
    pub max_error_ns: Option<i64>,
    /// Who said so, such as `kernel`.
    pub source: Option<&'a str>,
    /// Whether the clock was synchronised.
    pub synced: Option<bool>,
}

/// Which process sent the record, and as its how-manieth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Producer<'a> {
    /// The service.
    pub name: &'a str,
    /// One run of one process of it.
    pub instance: Option<&'a str>,
    /// Dense sequence per instance, from 1; holes are how a missing record is found.
    pub seq: Option<i64>,
}

/// Where in a distributed trace the event happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: Option<SpanId>,
}

/// The exact model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version; `unknown` where the sender could not know.
    pub version: &'a str,
    /// SHA-256 of the artefact's bytes.
    pub digest: Option<[u8; 32]>,
}

/// What the decision came to, for whoever counts outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome<'a> {
    /// The class, such as `deny`.
    pub class: Option<&'a str>,
    /// Whether it is adverse to the subject.
    pub adverse: Option<bool>,
}

/// With what probability this record was kept, and why.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling<'a> {
    /// Above 0, at most 1.
    pub probability: f64,
    /// Why it was kept.
    pub reason: Option<&'a str>,
    /// The version of the sampling rules.
    pub rules: Option<&'a str>,
}

/// The envelope of a record, borrowed from its canonical bytes. A group without any field set is absent.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope<'a> {
    /// The sender's id, a UUIDv7.
    pub id: Option<Uuid>,
    /// What kind of event.
    pub kind: Kind,
    /// When it happened, nanoseconds since the Unix epoch, UTC.
    pub time_ns: Option<i64>,
    /// The decision that this is about.
    pub about: Option<Uuid>,
    /// How good the time is.
    pub clock: Option<Clock<'a>>,
    /// Who sent it.
    pub producer: Option<Producer<'a>>,
    /// Where in a trace.
    pub trace: Option<Trace>,
    /// The exact model.
    pub model: Option<Model<'a>>,
    /// What it came to.
    pub result: Option<Outcome<'a>>,
    /// Under which sampling it was kept.
    pub sampling: Option<Sampling<'a>>,
    /// The rule profiles it falls under, such as `reg-b`.
    pub profile: Vec<&'a str>,
    /// The name of the error that took the place of an output, such as `timeout`.
    pub error: Option<&'a str>,
    /// The reason why the inputs are not on the record.
    pub inputs_withheld: Option<&'a str>,
}

/// Where in the envelope something is; becomes a [`Path`] only when there is a fault to report.
#[derive(Debug, Clone, Copy)]
struct At<'p> {
    group: Option<&'p [u8]>,
    key: Option<&'p [u8]>,
    index: Option<usize>,
}

impl<'p> At<'p> {
    const ROOT: At<'static> = At { group: None, key: None, index: None };

    fn child(self, key: &'p [u8]) -> At<'p> {
        At { group: self.key, key: Some(key), index: None }
    }

    fn path(self) -> Path {
        let keys = self.group.into_iter().chain(self.key);
        let keys = keys.map(|key| Segment::Key(shorten(&String::from_utf8_lossy(key))));
        Path(keys.chain(self.index.map(Segment::Index)).collect())
    }
}

/// Whose bytes are read: a sender may write times as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Sender,
    Canonical,
}

impl<'a> Envelope<'a> {
    /// An envelope with nothing but its kind.
    pub fn of_kind(kind: Kind) -> Self {
        Envelope {
            id: None,
            kind,
            time_ns: None,
            about: None,
            clock: None,
            producer: None,
            trace: None,
            model: None,
            result: None,
            sampling: None,
            profile: Vec::new(),
            error: None,
            inputs_withheld: None,
        }
    }

    /// Reads the canonical bytes of an envelope: exactly what [`Envelope::write`] writes, so that there are no two
    /// encodings of one envelope (T23).
    pub fn read(canonical: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(canonical);
        let mut envelope = Envelope::of_kind(Kind::Decision);
        map(&mut reader, At::ROOT, |key, reader, path| envelope.field(key, reader, path, From::Canonical))?;
        let mut written = Vec::with_capacity(canonical.len());
        envelope.write(&mut written);
        if written == canonical {
            Ok(envelope)
        } else {
            let message = "an envelope that is not in the one form canonical bytes have (nulls, capitals, more bytes)";
            Err(RecordError::new(Path::default(), Fault::Syntax(message.into())))
        }
    }

    /// Sets one field from the bytes of its value: canonical, but for the order of keys in what a sender sent, where
    /// the builder has made sure that none is there twice. Null is the same as absent.
    pub(crate) fn set(&mut self, key: &str, value: &'a [u8], from: From) -> Result<()> {
        let reader = &mut match from {
            From::Sender => Reader::lenient(value),
            From::Canonical => Reader::new(value),
        };
        self.field(key.as_bytes(), reader, At::ROOT.child(key.as_bytes()), from)
    }

    fn field(&mut self, key: &[u8], reader: &mut Reader<'a>, path: At<'_>, from: From) -> Result<()> {
        if reader.skip_null() {
            return Ok(());
        }
        match key {
            b"id" => self.id = Some(id(reader, path)?),
            b"kind" => self.kind = kind(reader, path)?,
            b"time" => self.time_ns = Some(time(reader, path, from)?),
            b"about" => self.about = Some(id(reader, path)?),
            b"clock" => self.clock = Clock::read(reader, path)?,
            b"producer" => self.producer = Some(Producer::read(reader, path)?),
            b"trace" => self.trace = Some(Trace::read(reader, path)?),
            b"model" => self.model = Some(Model::read(reader, path)?),
            b"result" => self.result = Outcome::read(reader, path)?,
            b"sampling" => self.sampling = Some(Sampling::read(reader, path)?),
            b"profile" => self.profile = profile(reader, path)?,
            b"error" => self.error = Some(name(reader, path)?),
            b"inputs_withheld" => self.inputs_withheld = Some(name(reader, path)?),
            _ => return Err(unknown(path, key, &FIELDS)),
        }
        Ok(())
    }

    /// Appends the canonical bytes: exactly the fields that are set, in canonical key order.
    pub fn write(&self, out: &mut Vec<u8>) {
        let fields = [
            self.id.is_some(),
            self.time_ns.is_some(),
            self.about.is_some(),
            self.clock.is_some(),
            self.error.is_some(),
            self.model.is_some(),
            self.trace.is_some(),
            self.result.is_some(),
            !self.profile.is_empty(),
            self.producer.is_some(),
            self.sampling.is_some(),
            self.inputs_withheld.is_some(),
        ];
        cbor::write_map_head(out, 1 + fields.into_iter().filter(|set| *set).count());
        put(out, "id", self.id, |out, id| write_uuid(out, &id));
        put(out, "kind", Some(self.kind.name()), cbor::write_text);
        put(out, "time", self.time_ns, cbor::write_i64);
        put(out, "about", self.about, |out, id| write_uuid(out, &id));
        put(out, "clock", self.clock, |out, clock| clock.write(out));
        put(out, "error", self.error, cbor::write_text);
        put(out, "model", self.model, |out, model| model.write(out));
        put(out, "trace", self.trace, |out, trace| trace.write(out));
        put(out, "result", self.result, |out, result| result.write(out));
        put(out, "profile", (!self.profile.is_empty()).then_some(&self.profile), |out, profile| {
            cbor::write_array_head(out, profile.len());
            profile.iter().for_each(|name| cbor::write_text(out, name));
        });
        put(out, "producer", self.producer, |out, producer| producer.write(out));
        put(out, "sampling", self.sampling, |out, sampling| sampling.write(out));
        put(out, "inputs_withheld", self.inputs_withheld, cbor::write_text);
    }
}

impl<'a> Clock<'a> {
    fn read(reader: &mut Reader<'a>, path: At<'_>) -> Result<Option<Self>> {
        let mut clock = Clock::default();
        map(reader, path, |key, reader, path| {
            match key {
                b"max_error_ns" => clock.max_error_ns = optional(reader, path, natural)?,
                b"source" => clock.source = optional(reader, path, name)?,
                b"synced" => clock.synced = optional(reader, path, boolean)?,
                _ => return Err(unknown(path, key, &["max_error_ns", "source", "synced"])),
            }
            Ok(())
        })?;
        Ok((clock != Clock::default()).then_some(clock))
    }

    fn write(&self, out: &mut Vec<u8>) {
        let fields = [self.source.is_some(), self.synced.is_some(), self.max_error_ns.is_some()];
        cbor::write_map_head(out, fields.into_iter().filter(|set| *set).count());
        put(out, "source", self.source, cbor::write_text);
        put(out, "synced", self.synced, cbor::write_bool);
        put(out, "max_error_ns", self.max_error_ns, cbor::write_i64);
    }
}

impl<'a> Producer<'a> {
    fn read(reader: &mut Reader<'a>, path: At<'_>) -> Result<Self> {
        let (mut producer_name, mut instance, mut seq) = (None, None, None);
        map(reader, path, |key, reader, path| {
            match key {
                b"name" => producer_name = optional(reader, path, name)?,
                b"instance" => instance = optional(reader, path, name)?,
                b"seq" => seq = optional(reader, path, natural)?,
                _ => return Err(unknown(path, key, &["name", "instance", "seq"])),
            }
            Ok(())
        })?;
        Ok(Producer { name: required(producer_name, path, "name")?, instance, seq })
    }

    fn write(&self, out: &mut Vec<u8>) {
        let fields = [self.seq.is_some(), self.instance.is_some()];
        cbor::write_map_head(out, 1 + fields.into_iter().filter(|set| *set).count());
        put(out, "seq", self.seq, cbor::write_i64);
        put(out, "name", Some(self.name), cbor::write_text);
        put(out, "instance", self.instance, cbor::write_text);
    }
}

impl Trace {
    fn read(reader: &mut Reader<'_>, path: At<'_>) -> Result<Self> {
        let (mut trace_id, mut span_id) = (None, None);
        map(reader, path, |key, reader, path| {
            match key {
                b"trace_id" => trace_id = optional(reader, path, hex::<16>)?.map(TraceId),
                b"span_id" => span_id = optional(reader, path, hex::<8>)?.map(SpanId),
                _ => return Err(unknown(path, key, &["trace_id", "span_id"])),
            }
            Ok(())
        })?;
        Ok(Trace { trace_id: required(trace_id, path, "trace_id")?, span_id })
    }

    fn write(&self, out: &mut Vec<u8>) {
        cbor::write_map_head(out, 1 + usize::from(self.span_id.is_some()));
        put(out, "span_id", self.span_id, |out, id| write_hex(out, "", &id.0));
        put(out, "trace_id", Some(self.trace_id), |out, id| write_hex(out, "", &id.0));
    }
}

impl<'a> Model<'a> {
    fn read(reader: &mut Reader<'a>, path: At<'_>) -> Result<Self> {
        let (mut model_name, mut version, mut digest) = (None, None, None);
        map(reader, path, |key, reader, path| {
            match key {
                b"name" => model_name = optional(reader, path, name)?,
                b"version" => version = optional(reader, path, name)?,
                b"digest" => digest = optional(reader, path, sha256)?,
                _ => return Err(unknown(path, key, &["name", "version", "digest"])),
            }
            Ok(())
        })?;
        let name = required(model_name, path, "name")?;
        Ok(Model { name, version: required(version, path, "version")?, digest })
    }

    fn write(&self, out: &mut Vec<u8>) {
        cbor::write_map_head(out, 2 + usize::from(self.digest.is_some()));
        put(out, "name", Some(self.name), cbor::write_text);
        put(out, "digest", self.digest, |out, digest| write_hex(out, "sha256:", &digest));
        put(out, "version", Some(self.version), cbor::write_text);
    }
}

impl<'a> Outcome<'a> {
    fn read(reader: &mut Reader<'a>, path: At<'_>) -> Result<Option<Self>> {
        let mut outcome = Outcome::default();
        map(reader, path, |key, reader, path| {
            match key {
                b"class" => outcome.class = optional(reader, path, name)?,
                b"adverse" => outcome.adverse = optional(reader, path, boolean)?,
                _ => return Err(unknown(path, key, &["class", "adverse"])),
            }
            Ok(())
        })?;
        Ok((outcome != Outcome::default()).then_some(outcome))
    }

    fn write(&self, out: &mut Vec<u8>) {
        let fields = [self.class.is_some(), self.adverse.is_some()];
        cbor::write_map_head(out, fields.into_iter().filter(|set| *set).count());
        put(out, "class", self.class, cbor::write_text);
        put(out, "adverse", self.adverse, cbor::write_bool);
    }
}

impl<'a> Sampling<'a> {
    fn read(reader: &mut Reader<'a>, path: At<'_>) -> Result<Self> {
        let (mut kept, mut reason, mut rules) = (None, None, None);
        map(reader, path, |key, reader, path| {
            match key {
                b"probability" => kept = optional(reader, path, probability)?,
                b"reason" => reason = optional(reader, path, name)?,
                b"rules" => rules = optional(reader, path, name)?,
                _ => return Err(unknown(path, key, &["probability", "reason", "rules"])),
            }
            Ok(())
        })?;
        Ok(Sampling { probability: required(kept, path, "probability")?, reason, rules })
    }

    fn write(&self, out: &mut Vec<u8>) {
        let fields = [self.rules.is_some(), self.reason.is_some()];
        cbor::write_map_head(out, 1 + fields.into_iter().filter(|set| *set).count());
        put(out, "rules", self.rules, cbor::write_text);
        put(out, "reason", self.reason, cbor::write_text);
        put(out, "probability", Some(self.probability), cbor::write_f64);
    }
}

/// Appends a key and its value, if there is one.
fn put<T>(out: &mut Vec<u8>, key: &str, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
    if let Some(value) = value {
        cbor::write_text(out, key);
        write(out, value);
    }
}

pub(crate) fn write_uuid(out: &mut Vec<u8>, id: &Uuid) {
    cbor::write_text(out, id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
}

fn write_hex(out: &mut Vec<u8>, prefix: &str, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0u8; 71];
    let len = prefix.len() + 2 * bytes.len();
    text[..prefix.len()].copy_from_slice(prefix.as_bytes());
    for (pair, byte) in text[prefix.len()..len].chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    cbor::write_text(out, std::str::from_utf8(&text[..len]).unwrap_or_default());
}

// ---- reading ------------------------------------------------------------------------------------------------------

fn map<'a>(
    reader: &mut Reader<'a>,
    path: At<'_>,
    mut field: impl FnMut(&'a [u8], &mut Reader<'a>, At<'_>) -> Result<()>,
) -> Result<()> {
    let len = match item(reader, path)? {
        Item::Map(len) => len,
        other => return Err(expected(path, "an object", &other)),
    };
    let mut keys = KeyOrder::default();
    for _ in 0..len {
        let key = reader.next_key_bytes(&mut keys).map_err(|error| syntax(path, &error))?;
        field(key, reader, path.child(key))?;
    }
    Ok(())
}

fn optional<'a, T>(
    reader: &mut Reader<'a>,
    path: At<'_>,
    read: impl FnOnce(&mut Reader<'a>, At<'_>) -> Result<T>,
) -> Result<Option<T>> {
    if reader.skip_null() {
        return Ok(None);
    }
    read(reader, path).map(Some)
}

fn required<T>(value: Option<T>, path: At<'_>, key: &'static str) -> Result<T> {
    let expected = "a value (this field must be there)";
    value.ok_or_else(|| RecordError::new(path.child(key.as_bytes()).path(), Fault::Type { expected, got: "nothing" }))
}

fn item<'a>(reader: &mut Reader<'a>, path: At<'_>) -> Result<Item<'a>> {
    reader.next_item().map_err(|error| syntax(path, &error))
}

fn syntax(path: At<'_>, error: &CborError) -> Box<RecordError> {
    RecordError::new(path.path(), Fault::Syntax(error.to_string()))
}

fn unknown(path: At<'_>, key: &[u8], known: &'static [&'static str]) -> Box<RecordError> {
    let nearest = nearest(&String::from_utf8_lossy(key), known.iter().copied());
    RecordError::new(path.path(), Fault::UnknownField { nearest })
}

pub(crate) fn type_name(item: &Item<'_>) -> &'static str {
    match item {
        Item::Number(Number::Float(_)) => "a fraction",
        Item::Number(_) => "an integer",
        Item::Bytes(_) => "bytes",
        Item::Text(_) => "text",
        Item::Array(_) => "an array",
        Item::Map(_) => "an object",
        Item::Tag(_) => "a blob",
        Item::Bool(_) => "a boolean",
        Item::Null => "null",
    }
}

fn expected(path: At<'_>, expected: &'static str, got: &Item<'_>) -> Box<RecordError> {
    RecordError::new(path.path(), Fault::Type { expected, got: type_name(got) })
}

fn bad_value(path: At<'_>, expected: &'static str, got: impl AsRef<[u8]>) -> Box<RecordError> {
    let got = shorten(&String::from_utf8_lossy(got.as_ref()));
    RecordError::new(path.path(), Fault::Value { expected, got })
}

/// A text, as bytes that are UTF-8: what most are read for is made of ASCII, and looks at each byte anyway.
fn text<'a>(reader: &mut Reader<'a>, path: At<'_>, what: &'static str) -> Result<&'a [u8]> {
    match reader.next_text().map_err(|error| syntax(path, &error))? {
        Some(text) => Ok(text),
        None => Err(expected(path, what, &item(reader, path)?)),
    }
}

fn boolean(reader: &mut Reader<'_>, path: At<'_>) -> Result<bool> {
    match item(reader, path)? {
        Item::Bool(value) => Ok(value),
        other => Err(expected(path, "a boolean", &other)),
    }
}

fn natural(reader: &mut Reader<'_>, path: At<'_>) -> Result<i64> {
    const EXPECTED: &str = "an integer from 0 to 9223372036854775807";
    match item(reader, path)? {
        Item::Number(Number::Int(value)) if value >= 0 => Ok(value),
        Item::Number(Number::Int(value)) => Err(bad_value(path, EXPECTED, value.to_string())),
        Item::Number(Number::UInt(value)) => Err(bad_value(path, EXPECTED, value.to_string())),
        Item::Number(Number::Float(value)) => Err(bad_value(path, EXPECTED, value.to_string())),
        other => Err(expected(path, EXPECTED, &other)),
    }
}

fn probability(reader: &mut Reader<'_>, path: At<'_>) -> Result<f64> {
    let value = match item(reader, path)? {
        Item::Number(Number::Float(value)) => value,
        Item::Number(Number::Int(value)) => value as f64,
        other => return Err(expected(path, "a number above 0 and at most 1", &other)),
    };
    if value > 0.0 && value <= 1.0 {
        Ok(value)
    } else {
        Err(bad_value(path, "a number above 0 and at most 1", value.to_string()))
    }
}

/// A name: one line of text, no control characters.
fn name<'a>(reader: &mut Reader<'a>, path: At<'_>) -> Result<&'a str> {
    let start = reader.position();
    let text = text(reader, path, "a name (text)")?;
    let text = std::str::from_utf8(text).map_err(|_| syntax(path, &CborError::Utf8(start)))?;
    if text.len() > NAME_BYTES_MAX {
        let limit = Fault::Limit { what: "a name's length in bytes", got: text.len(), max: NAME_BYTES_MAX };
        return Err(RecordError::new(path.path(), limit));
    }
    let control = if text.is_ascii() {
        text.bytes().any(|byte| byte.is_ascii_control())
    } else {
        text.chars().any(char::is_control)
    };
    if text.is_empty() || control {
        return Err(bad_value(path, "a name: one line, not empty, no control characters", text));
    }
    Ok(text)
}

fn profile<'a>(reader: &mut Reader<'a>, path: At<'_>) -> Result<Vec<&'a str>> {
    let len = match item(reader, path)? {
        Item::Array(len) => len,
        other => return Err(expected(path, "an array of names", &other)),
    };
    if len > PROFILES_MAX {
        return Err(RecordError::new(
            path.path(),
            Fault::Limit { what: "the number of profiles", got: len, max: PROFILES_MAX },
        ));
    }
    (0..len).map(|position| name(reader, At { index: Some(position), ..path })).collect()
}

fn kind(reader: &mut Reader<'_>, path: At<'_>) -> Result<Kind> {
    let text = text(reader, path, "the name of a kind (text)")?;
    let text = String::from_utf8_lossy(text);
    Kind::from_name(&text).ok_or_else(|| {
        let nearest = nearest(&text, Kind::all().map(Kind::name));
        RecordError::new(path.path(), Fault::UnknownKind { got: shorten(&text), nearest })
    })
}

fn id(reader: &mut Reader<'_>, path: At<'_>) -> Result<Uuid> {
    const EXPECTED: &str = "a UUIDv7 such as 0190a5c2-7b1e-7c3a-9d55-1f0f5a6b7c8d; ids of other systems go to context";
    let text = text(reader, path, EXPECTED)?;
    match Uuid::try_parse_ascii(text) {
        Ok(id) if id.get_version_num() == 7 && id.get_variant() == uuid::Variant::RFC4122 => Ok(id),
        _ => Err(bad_value(path, EXPECTED, text)),
    }
}

/// The value of each hexadecimal digit, 255 for other bytes.
const HEX_VALUE: [u8; 256] = {
    let mut table = [255; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value] as usize] = value as u8;
        table[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    table
};

pub(crate) fn unhex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut out = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let (high, low) = (HEX_VALUE[usize::from(pair[0])], HEX_VALUE[usize::from(pair[1])]);
        if high | low > 15 {
            return None;
        }
        *byte = high << 4 | low;
    }
    Some(out)
}

fn hex<const N: usize>(reader: &mut Reader<'_>, path: At<'_>) -> Result<[u8; N]> {
    let expected = if N == 16 {
        "a trace id: 32 hexadecimal digits, not all zero"
    } else {
        "a span id: 16 hexadecimal digits, not all zero"
    };
    let text = text(reader, path, expected)?;
    unhex(text).filter(|id| *id != [0; N]).ok_or_else(|| bad_value(path, expected, text))
}

fn sha256(reader: &mut Reader<'_>, path: At<'_>) -> Result<[u8; 32]> {
    const EXPECTED: &str = "a digest: sha256: and 64 hexadecimal digits";
    let text = text(reader, path, EXPECTED)?;
    text.strip_prefix(b"sha256:").and_then(unhex).ok_or_else(|| bad_value(path, EXPECTED, text))
}

/// RFC 3339 with up to nine decimals, or integer nanoseconds since the Unix epoch.
fn time(reader: &mut Reader<'_>, path: At<'_>, from: From) -> Result<i64> {
    const EXPECTED: &str = "a time: RFC 3339 with up to nine decimals and no leap second, such as \
                            2024-06-01T12:00:00.123456789Z, in the years 1678 to 2261; or nanoseconds since 1970";
    match item(reader, path)? {
        Item::Number(Number::Int(ns)) if from == From::Canonical => Ok(ns),
        Item::Number(Number::Int(ns)) if looks_like_another_unit(ns) => Err(bad_value(
            path,
            "a time in nanoseconds since 1970; it looks like seconds, milli- or microseconds",
            ns.to_string(),
        )),
        Item::Number(Number::Int(ns)) => Ok(ns),
        Item::Text(text) if from == From::Sender => parse_rfc3339(text).ok_or_else(|| bad_value(path, EXPECTED, text)),
        other => Err(expected(path, EXPECTED, &other)),
    }
}

/// Seconds, milliseconds and microseconds of our days all fall below March 1973 when read as nanoseconds. A sender
/// writes the times that really fall there as text.
pub(crate) fn looks_like_another_unit(ns: i64) -> bool {
    (1..100_000_000_000_000_000).contains(&ns)
}

fn parse_rfc3339(text: &str) -> Option<i64> {
    let fraction = text.find('.').map_or(0, |dot| text[dot + 1..].bytes().take_while(u8::is_ascii_digit).count());
    let leap_second = text.get(17..19) == Some("60");
    if fraction > 9 || leap_second {
        return None;
    }
    DateTime::parse_from_rfc3339(text).ok()?.timestamp_nanos_opt()
}

/// A time as the record shows it: RFC 3339, UTC, as many decimals as it needs.
pub(crate) fn format_time(ns: i64) -> String {
    DateTime::from_timestamp_nanos(ns).to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
