//! From a sender's values, in whatever order they come, to canonical bytes in one pass.
//!
//! [`Builder`] appends canonical bytes of a value as a parser walks it: a map's entries are written as they come and
//! put in key order when the map ends. [`RecordBuilder`] is the same for the top level, where every field has its
//! place.

use std::cmp::Ordering;

use crate::cbor::{self, Item, Number, Reader};
use crate::commitment::Salt;
use crate::envelope::{self, Envelope, From, type_name, unhex};
use crate::error::{Fault, Path, RecordError, Segment, nearest};
use crate::kind::Need;
use crate::limits::Limits;
use crate::part::{Part, Parts, Record};

/// Where an entry of a map begins, its key ends, and it ends, in [`Builder::out`].
#[derive(Clone, Copy)]
struct Entry {
    start: usize,
    key_end: usize,
    end: usize,
    /// The first bytes of the encoded key, in the order of which most keys differ already.
    first: u128,
}

impl Entry {
    /// The end of an entry whose value is still being written.
    const OPEN: usize = usize::MAX;

    fn begun(start: usize, out: &[u8]) -> Self {
        let mut first = [0; 16];
        first.iter_mut().zip(&out[start..]).for_each(|(to, from)| *to = *from);
        Self { start, key_end: out.len(), end: Self::OPEN, first: u128::from_be_bytes(first) }
    }

    fn key<'o>(&self, out: &'o [u8]) -> &'o [u8] {
        &out[self.start..self.key_end]
    }

    /// The order of the keys, which is that of their encoding.
    #[inline]
    fn order(&self, other: &Self, out: &[u8]) -> Ordering {
        self.first.cmp(&other.first).then_with(|| self.key(out).cmp(other.key(out)))
    }
}

/// A map that is being written: where its head will stand, and its first entry in [`Builder::entries`].
#[derive(Clone, Copy)]
pub(crate) struct OpenMap {
    start: usize,
    entries: usize,
}

/// More than an envelope within its limits takes beyond its canonical bytes: times as text, nulls.
const ENVELOPE_SLACK: usize = 16 << 10;

fn too_large(got: usize, max: usize) -> Fault {
    Fault::Limit { what: "the record's size in bytes", got, max }
}

/// Appends canonical bytes of values, within limits.
pub(crate) struct Builder {
    pub(crate) out: Vec<u8>,
    entries: Vec<Entry>,
    scratch: Vec<u8>,
    limits: Limits,
    /// Keys so far; those of the envelope are taken off again when it ends.
    fields: usize,
    /// 1 while the inputs are read: what is no map gets one around it.
    wrap: usize,
    /// Whether maps may stay in the order they came in, as in the envelope, which is read and written once more.
    any_order: bool,
    /// Floats too large for 64 bits that were seen: candidates for integers that lost their digits on the way.
    pub(crate) huge: usize,
    /// The path of the fault, from the inside out, collected while the parser unwinds.
    pub(crate) unwound: Vec<Segment>,
}

impl Builder {
    pub(crate) fn new(limits: Limits) -> Self {
        let (out, entries, scratch, unwound) = Default::default();
        Builder { out, entries, scratch, limits, fields: 0, wrap: 0, any_order: false, huge: 0, unwound }
    }

    pub(crate) fn clear(&mut self) {
        self.out.clear();
        self.entries.clear();
        self.unwound.clear();
        (self.fields, self.wrap, self.huge) = (0, 0, 0);
    }

    /// Stops a record that cannot come within the limit any more. The exact measure is taken of its canonical parts,
    /// in [`RecordBuilder::finish`]: until then the envelope stands here as it was sent.
    #[inline]
    fn check_size(&self) -> Result<(), Fault> {
        let (got, max) = (self.out.len(), self.limits.record_bytes);
        if got > max + ENVELOPE_SLACK { Err(too_large(got, max)) } else { Ok(()) }
    }

    #[inline]
    fn check_string(&self, len: usize) -> Result<(), Fault> {
        let max = self.limits.string_bytes;
        if len > max { Err(Fault::Limit { what: "a string's length in bytes", got: len, max }) } else { Ok(()) }
    }

    #[inline]
    pub(crate) fn check_depth(&self, depth: usize) -> Result<(), Fault> {
        let max = self.limits.depth;
        if depth > max { Err(Fault::Limit { what: "the depth of nesting", got: depth, max }) } else { Ok(()) }
    }

    /// The depth of an array that stands at `depth`: bare inputs get a map around them.
    #[inline]
    pub(crate) fn array_depth(&self, depth: usize) -> usize {
        if depth == 1 { depth + self.wrap } else { depth }
    }

    pub(crate) fn null(&mut self) {
        cbor::write_null(&mut self.out);
    }

    pub(crate) fn bool(&mut self, value: bool) {
        cbor::write_bool(&mut self.out, value);
    }

    #[inline]
    pub(crate) fn number(&mut self, number: Number) -> Result<(), Fault> {
        cbor::write_number(&mut self.out, number);
        self.check_size()
    }

    #[inline]
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Fault> {
        self.check_string(text.len())?;
        cbor::write_text(&mut self.out, text);
        self.check_size()
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.check_string(bytes.len())?;
        cbor::write_bytes(&mut self.out, bytes);
        self.check_size()
    }

    pub(crate) fn blob(&mut self, digest: &[u8; 32], size: u64, media_type: &str) -> Result<(), Fault> {
        self.check_string(media_type.len())?;
        crate::value::write_blob(&mut self.out, digest, size, media_type);
        self.check_size()
    }

    /// Begins an array; returns where, for [`Builder::end_array`].
    #[inline]
    pub(crate) fn begin_array(&mut self) -> usize {
        // One byte is enough for the heads of nearly all arrays; the rest is moved up at the end.
        self.out.push(0);
        self.out.len() - 1
    }

    pub(crate) fn end_array(&mut self, start: usize, len: usize) -> Result<(), Fault> {
        self.scratch.clear();
        cbor::write_array_head(&mut self.scratch, len);
        self.out.splice(start..=start, self.scratch.iter().copied());
        self.check_size()
    }

    #[inline]
    pub(crate) fn begin_map(&mut self) -> OpenMap {
        // As with arrays: one byte is enough for the head of most maps.
        self.out.push(0);
        OpenMap { start: self.out.len() - 1, entries: self.entries.len() }
    }

    /// Takes back a map that turned out to be one of the forms of a scalar.
    pub(crate) fn cancel_map(&mut self, map: OpenMap) {
        self.out.truncate(map.start);
    }

    /// Begins an entry of the map that was begun last; its value is what is appended next.
    #[inline]
    pub(crate) fn begin_entry(&mut self, key: &str) -> Result<(), Fault> {
        let start = self.out.len();
        if key.len() > self.limits.key_bytes {
            let max = self.limits.key_bytes;
            return Err(self.refuse_key(key, Fault::Limit { what: "a key's length in bytes", got: key.len(), max }));
        }
        self.fields += 1;
        if self.fields > self.limits.fields {
            let (got, max) = (self.fields, self.limits.fields);
            return Err(self.refuse_key(key, Fault::Limit { what: "the number of fields", got, max }));
        }
        cbor::write_text(&mut self.out, key);
        self.entries.push(Entry::begun(start, &self.out));
        Ok(())
    }

    /// The fault, with the key as the innermost step of its path.
    #[cold]
    fn refuse_key(&mut self, key: &str, fault: Fault) -> Fault {
        self.unwound.push(Segment::Key(shorten(key)));
        fault
    }

    #[inline]
    pub(crate) fn end_entry(&mut self) {
        let end = self.out.len();
        if let Some(entry) = self.entries.last_mut() {
            entry.end = end;
        }
    }

    /// Gives up a map after a fault: if that was in the value of an entry, its key is a step of the path.
    #[cold]
    pub(crate) fn unwind_map(&mut self, map: OpenMap) {
        if let Some(entry) = self.entries[map.entries..].last()
            && entry.end == Entry::OPEN
            && let Ok(Item::Text(key)) = Reader::new(entry.key(&self.out)).next_item()
        {
            self.unwound.push(Segment::Key(shorten(key)));
        }
        self.entries.truncate(map.entries);
    }

    /// Puts the entries in key order and the head before them.
    pub(crate) fn end_map(&mut self, map: OpenMap) -> Result<(), Fault> {
        let Builder { out, entries, scratch, .. } = self;
        let own = &mut entries[map.entries..];
        let in_order = own.is_sorted_by(|a, b| a.order(b, out).is_lt());
        if !in_order {
            own.sort_unstable_by(|a, b| a.order(b, out));
            if let Some(twice) = own.windows(2).find(|pair| pair[0].order(&pair[1], out).is_eq()) {
                if let Ok(Item::Text(key)) = Reader::new(twice[0].key(out)).next_item() {
                    self.unwound.push(Segment::Key(shorten(key)));
                }
                return Err(Fault::DuplicateKey);
            }
        }
        let len = own.len();
        scratch.clear();
        if in_order || self.any_order {
            if len < 24 {
                out[map.start] = cbor::short_map_head(len);
            } else {
                cbor::write_map_head(scratch, len);
                out.splice(map.start..=map.start, scratch.iter().copied());
            }
        } else {
            cbor::write_map_head(scratch, len);
            for entry in own.iter() {
                scratch.extend_from_slice(&out[entry.start..entry.end]);
            }
            out.truncate(map.start);
            out.extend_from_slice(scratch);
        }
        entries.truncate(map.entries);
        self.check_size()
    }

    /// The path collected while unwinding, outermost first.
    pub(crate) fn take_path(&mut self) -> Path {
        self.unwound.reverse();
        Path(std::mem::take(&mut self.unwound))
    }
}

/// A key or a text as a message shows it.
pub(crate) fn shorten(key: &str) -> String {
    if key.chars().nth(80).is_none() { key.to_owned() } else { key.chars().take(79).chain(['…']).collect() }
}

/// Where a top-level field goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Salt,
    Envelope(usize),
    Section(Part),
}

impl Slot {
    fn of(name: &str) -> Option<Slot> {
        // One comparison with constants after another is several times faster than a search of the lists; a test
        // holds this against them.
        Some(match name {
            "salt" => Slot::Salt,
            "subject" => Slot::Section(Part::Subject),
            "inputs" => Slot::Section(Part::Inputs),
            "parameters" => Slot::Section(Part::Parameters),
            "output" => Slot::Section(Part::Output),
            "explanation" => Slot::Section(Part::Explanation),
            "context" => Slot::Section(Part::Context),
            "id" => Slot::Envelope(0),
            "kind" => Slot::Envelope(1),
            "time" => Slot::Envelope(2),
            "about" => Slot::Envelope(3),
            "clock" => Slot::Envelope(4),
            "producer" => Slot::Envelope(5),
            "trace" => Slot::Envelope(6),
            "model" => Slot::Envelope(7),
            "result" => Slot::Envelope(8),
            "sampling" => Slot::Envelope(9),
            "profile" => Slot::Envelope(10),
            "error" => Slot::Envelope(11),
            "inputs_withheld" => Slot::Envelope(12),
            _ => return None,
        })
    }

    fn number(self) -> usize {
        match self {
            Slot::Salt => 0,
            Slot::Section(part) => part as usize,
            Slot::Envelope(field) => Part::COUNT + field,
        }
    }
}

const SLOTS: usize = Part::COUNT + envelope::FIELDS.len();
const _: () = assert!(SLOTS <= 32, "each has a bit in RecordBuilder::seen");

/// Collects the top-level fields of one record.
pub(crate) struct RecordBuilder<'b> {
    pub(crate) values: &'b mut Builder,
    spans: [(usize, usize); SLOTS],
    seen: u32,
    open: Option<Open>,
}

/// The field that is being read.
#[derive(Clone, Copy)]
struct Open {
    slot: Slot,
    /// Where its value begins.
    start: usize,
    /// How many fields there were before it.
    fields: usize,
}

impl<'b> RecordBuilder<'b> {
    pub(crate) fn new(values: &'b mut Builder) -> Self {
        values.clear();
        RecordBuilder { values, spans: [(0, 0); SLOTS], seen: 0, open: None }
    }

    /// Begins a field; its value is what is appended next.
    pub(crate) fn begin_field(&mut self, name: &str) -> Result<(), Fault> {
        let Some(slot) = Slot::of(name) else {
            let known = Part::SECTIONS.iter().map(|part| part.name()).chain(envelope::FIELDS);
            let fault = Fault::UnknownField { nearest: nearest(name, known) };
            return Err(self.values.refuse_key(name, fault));
        };
        if self.seen & 1 << slot.number() != 0 {
            return Err(self.values.refuse_key(name, Fault::DuplicateKey));
        }
        self.seen |= 1 << slot.number();
        self.values.any_order = !matches!(slot, Slot::Section(_));
        self.values.wrap = usize::from(slot == Slot::Section(Part::Inputs));
        self.open = Some(Open { slot, start: self.values.out.len(), fields: self.values.fields });
        Ok(())
    }

    /// Ends the field: what was appended since is its value.
    pub(crate) fn end_field(&mut self) -> Result<(), Fault> {
        let Some(Open { slot, start, fields }) = self.open else { return Ok(()) };
        match slot {
            Slot::Section(part) => normalise_section(self.values, part, start)?,
            Slot::Envelope(_) | Slot::Salt => self.values.fields = fields,
        }
        self.spans[slot.number()] = (start, self.values.out.len());
        self.open = None;
        Ok(())
    }

    /// The name of the field that is being read, for the path of a fault.
    pub(crate) fn open_name(&self) -> Option<&'static str> {
        self.open.map(|open| match open.slot {
            Slot::Salt => "salt",
            Slot::Section(part) => part.name(),
            Slot::Envelope(field) => envelope::FIELDS[field],
        })
    }

    fn value(&self, slot: Slot) -> Option<&[u8]> {
        let (start, end) = self.spans[slot.number()];
        (start != end).then(|| &self.values.out[start..end])
    }

    /// The record, if its fields make one.
    pub(crate) fn finish(self) -> Result<Record, Box<RecordError>> {
        let mut envelope = Envelope::of_kind(crate::Kind::Decision);
        for (position, field) in envelope::FIELDS.iter().enumerate() {
            if let Some(value) = self.value(Slot::Envelope(position)) {
                envelope.set(field, value, From::Sender)?;
            }
        }
        let salt = self.value(Slot::Salt).map(salt).transpose()?.flatten();
        let mut parts = Parts::with_capacity(self.values.out.len() + 32);
        parts.set_with(Part::Envelope, |out| envelope.write(out));
        for part in Part::SECTIONS {
            if let Some(canonical) = self.value(Slot::Section(part)) {
                parts.set(part, canonical);
            }
        }
        let (got, max) = (parts.total_bytes(), self.values.limits.record_bytes);
        if got > max {
            return Err(RecordError::new(Path::default(), too_large(got, max)));
        }
        check_kind(&envelope, &parts)?;
        Ok(Record::new(salt, parts, &envelope))
    }
}

/// A section that is null is absent; bare inputs stand under `value`; other sections but the output are maps.
fn normalise_section(values: &mut Builder, part: Part, start: usize) -> Result<(), Fault> {
    let got = Reader::new(&values.out[start..]).next_item().map_err(|error| Fault::Syntax(error.to_string()))?;
    match (part, got) {
        (_, Item::Map(_)) => {}
        (_, Item::Null) => values.out.truncate(start),
        (Part::Output, _) => {}
        (Part::Inputs, _) => {
            values.out.splice(start..start, *b"\xa1\x65value");
            values.fields += 1;
            let (got, max) = (values.fields, values.limits.fields);
            if got > max {
                return Err(Fault::Limit { what: "the number of fields", got, max });
            }
        }
        _ => return Err(Fault::Type { expected: "an object", got: type_name(&got) }),
    }
    Ok(())
}

fn salt(canonical: &[u8]) -> Result<Option<Salt>, Box<RecordError>> {
    const EXPECTED: &str = "a salt: 32 hexadecimal digits (16 random bytes)";
    match Reader::new(canonical).next_item() {
        Ok(Item::Null) => Ok(None),
        Ok(Item::Text(text)) => unhex(text.as_bytes())
            .map(|salt| Some(Salt(salt)))
            .ok_or_else(|| RecordError::at("salt", Fault::Type { expected: EXPECTED, got: "other text" })),
        Ok(Item::Bytes(bytes)) if bytes.len() == 16 => Ok(bytes.try_into().ok().map(Salt)),
        _ => Err(RecordError::at("salt", Fault::Type { expected: EXPECTED, got: "another type" })),
    }
}

/// Holds a record against the table of kinds.
fn check_kind(envelope: &Envelope<'_>, parts: &Parts) -> Result<(), Box<RecordError>> {
    let kind = envelope.kind;
    let has = |part| parts.get(part).is_some();
    if let Some(part) = Part::SECTIONS.into_iter().find(|part| has(*part) && !kind.may_hold(*part)) {
        return Err(RecordError::at(part.name(), Fault::SectionNotAllowed { kind: kind.name() }));
    }
    let missing = kind.must_hold().iter().find(|need| !match need {
        Need::Model => envelope.model.is_some(),
        Need::InputsOrWithheld => has(Part::Inputs) || envelope.inputs_withheld.is_some(),
        Need::OutputOrError => has(Part::Output) || envelope.error.is_some(),
        Need::About => envelope.about.is_some(),
        Need::AboutOrModel => envelope.about.is_some() || envelope.model.is_some(),
        Need::Producer => envelope.producer.is_some(),
    });
    match missing {
        Some(need) => {
            Err(RecordError::new(Path::default(), Fault::Missing { kind: kind.name(), need: need.describe() }))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_its_slot() {
        for (position, name) in envelope::FIELDS.into_iter().enumerate() {
            assert_eq!(Slot::of(name), Some(Slot::Envelope(position)), "{name}");
        }
        for part in Part::SECTIONS {
            assert_eq!(Slot::of(part.name()), Some(Slot::Section(part)));
        }
        assert_eq!(Slot::of("salt"), Some(Slot::Salt));
        assert_eq!(Slot::of("envelope"), None);
    }
}
