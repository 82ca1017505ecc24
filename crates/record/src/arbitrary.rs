//! Generators of values and records within the default limits, for property tests.
//!
//! They lean towards what breaks things: the same key with another type in the next record, explicit nulls, `NaN`,
//! infinities, the extremes of `i64` and `u64`, numbers that no `f64` holds, empty strings, keys with dots, quotes,
//! dollars and colons, keys that differ in case only, keys of 256 bytes, nesting up to the limit, empty sections,
//! bare outputs, bytes and blobs.

use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use crate::cbor::Number;
use crate::commitment::Salt;
use crate::envelope::{Clock, Envelope, Model, Outcome, Producer, Sampling, SpanId, Trace, TraceId};
use crate::kind::{Kind, Need};
use crate::limits::{Limits, PROFILES_MAX};
use crate::part::{Part, Parts, Record};
use crate::stamp::Stamp;
use crate::stored::{Body, Stored};
use crate::value::{Blob, Value};

/// Any number in reduced form.
pub fn arb_number() -> BoxedStrategy<Number> {
    let odd_floats = prop::sample::select(vec![
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        -0.0,
        0.1,
        0.5,
        1.0 / 3.0,
        f64::MIN_POSITIVE,
        5e-324,
        f64::MAX,
        f64::MIN,
        65504.0,
        65505.5,
        6.0e-8,
        3.402_823_466_385_288_6e38,
        1.0e-45,
        9_007_199_254_740_993.0,
        9_223_372_036_854_775_808.0,
        -9_223_372_036_854_775_808.0,
        18_446_744_073_709_551_616.0,
        1e23,
    ]);
    let odd_integers = prop::sample::select(vec![
        0,
        1,
        -1,
        23,
        24,
        -24,
        -25,
        255,
        256,
        65_535,
        65_536,
        u32::MAX.into(),
        1 << 32,
        (1 << 53) + 1,
        -(1 << 53) - 1,
        i64::MAX,
        i64::MIN,
    ]);
    prop_oneof![
        3 => (-1_000_000i64..1_000_000).prop_map(Number::Int),
        3 => (-1.0e6..1.0e6).prop_map(Number::from_f64),
        3 => (-1_000_000i64..1_000_000).prop_map(|cents| Number::from_f64(cents as f64 / 100.0)),
        2 => odd_floats.prop_map(Number::from_f64),
        2 => odd_integers.prop_map(Number::Int),
        1 => any::<i64>().prop_map(Number::Int),
        1 => (i64::MAX as u64..=u64::MAX).prop_map(Number::from_u64),
        1 => Just(Number::UInt(u64::MAX)),
        1 => any::<u64>().prop_map(|bits| Number::from_f64(f64::from_bits(bits))),
        1 => any::<f32>().prop_map(|single| Number::from_f64(single.into())),
    ]
    .boxed()
}

/// Any text: empty, plain, odd, of any script, and what JSON has to escape.
pub fn arb_text() -> BoxedStrategy<String> {
    let odd = prop::sample::select(vec![
        "",
        "a",
        "NaN",
        "Infinity",
        "-Infinity",
        "null",
        "true",
        "0",
        "1.0",
        "$f64",
        "$$",
        "\0",
        "\"\\/\u{8}\u{c}\n\r\t",
        "\u{7f}\u{80}\u{2028}\u{2029}\u{feff}\u{fffd}",
        "e\u{301} é",
        "\u{10ffff}😀",
        "a\nb",
        "<script>",
        "NaN, Infinity: [-Infinity] {",
        "\\",
        "\\\"",
    ]);
    prop_oneof![
        5 => "[a-z]{1,12}",
        2 => "[ -~]{0,24}",
        2 => odd.prop_map(str::to_owned),
        1 => any::<String>(),
        1 => (20usize..300).prop_map(|len| "x".repeat(len)),
    ]
    .boxed()
}

/// Any key. Most come from a small pool, so that records share names, with other types under them.
pub fn arb_key() -> BoxedStrategy<String> {
    let common = vec!["income", "age", "score", "state", "a", "b", "values", "threshold", "feature_1", "feature-2"];
    let odd = vec![
        "",
        "a.b",
        "a.b.c",
        "values.income",
        ".",
        " ",
        "odd key",
        "Income",
        "INCOME",
        "Age",
        "\"",
        "\"q\"",
        "it's",
        "\\",
        "[0]",
        "$",
        "$$",
        "$$$",
        "$f64",
        "$$f64",
        "$bytes",
        "$blob",
        "$a",
        "a:str",
        "inputs:rest",
        ":",
        "a\nb",
        "\0",
        "größe",
        "grösse",
        "straße",
        "ſ",
        "K",
        "é",
        "e\u{301}",
        "年収",
        "😀",
        "value",
        "index",
        "time",
        "id",
        "__proto__",
        "a/b",
        "%41",
        "-",
        "_",
    ];
    let longest = prop_oneof![Just("k".repeat(256)), Just("ü".repeat(128)), Just(format!("$$.{}", "d".repeat(253)))];
    prop_oneof![
        10 => prop::sample::select(common).prop_map(str::to_owned),
        4 => prop::sample::select(odd).prop_map(str::to_owned),
        4 => "[A-Za-z][A-Za-z0-9_]{0,10}",
        1 => longest,
        1 => any::<String>().prop_map(|key| shortened(&key, 256)),
    ]
    .boxed()
}

/// The longest prefix of at most `max` bytes.
fn shortened(text: &str, max: usize) -> String {
    text.char_indices().take_while(|(at, c)| at + c.len_utf8() <= max).map(|(_, c)| c).collect()
}

/// A value that holds no other value.
pub fn arb_scalar() -> BoxedStrategy<Value> {
    let blob = (any::<[u8; 32]>(), prop_oneof![any::<u64>(), 0..5000u64], arb_text());
    prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
        5 => arb_number().prop_map(Value::Number),
        3 => arb_text().prop_map(Value::Text),
        1 => vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
        1 => blob.prop_map(|(digest, size, media_type)| Value::Blob(Blob { digest, size, media_type })),
    ]
    .boxed()
}

/// Any value, nested at most 8 deep.
pub fn arb_value() -> BoxedStrategy<Value> {
    let nested = arb_scalar().prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            2 => vec(inner.clone(), 0..6).prop_map(Value::Array),
            3 => vec((arb_key(), inner), 0..6).prop_map(Value::map),
        ]
    });
    prop_oneof![
        8 => arb_scalar(),
        3 => nested,
        2 => vec(arb_number().prop_map(Value::Number), 0..30).prop_map(Value::Array),
    ]
    .boxed()
}

/// A map such as a section is: usually flat with a few fields, sometimes empty, sometimes as deep as the limit.
pub fn arb_map() -> BoxedStrategy<Value> {
    let flat = vec((arb_key(), arb_scalar()), 0..12).prop_map(Value::map);
    let mixed = vec((arb_key(), arb_value()), 0..10).prop_map(Value::map);
    // The section itself is depth 1 and what is wrapped at most one level deep.
    let wraps = vec((any::<bool>(), arb_key()), 1..Limits::DEFAULT.depth - 1);
    let deep = (wraps, arb_key(), arb_scalar()).prop_map(|(wraps, key, leaf)| {
        let wrapped = wraps.into_iter().fold(Value::map([(key, leaf)]), |inner, (array, key)| {
            if array { Value::Array(vec![inner]) } else { Value::map([(key, inner)]) }
        });
        Value::map([("deep".to_owned(), wrapped)])
    });
    prop_oneof![1 => Just(Value::Map(Vec::new())), 4 => flat, 4 => mixed, 1 => deep].boxed()
}

/// What one section may be: maps, and for the output any value but null.
pub fn arb_section(part: Part) -> BoxedStrategy<Value> {
    if part != Part::Output {
        return arb_map();
    }
    let not_null = arb_value().prop_filter("a null section is an absent one", |value| *value != Value::Null);
    prop_oneof![2 => arb_map(), 1 => not_null].boxed()
}

/// Any kind.
pub fn arb_kind() -> BoxedStrategy<Kind> {
    prop_oneof![3 => Just(Kind::Decision), 2 => prop::sample::select(Kind::all().collect::<Vec<_>>())].boxed()
}

/// Any UUIDv7.
pub fn arb_id() -> BoxedStrategy<Uuid> {
    any::<[u8; 16]>()
        .prop_map(|mut bytes| {
            bytes[6] = bytes[6] & 0x0f | 0x70;
            bytes[8] = bytes[8] & 0x3f | 0x80;
            Uuid::from_bytes(bytes)
        })
        .boxed()
}

/// Any salt.
pub fn arb_salt() -> BoxedStrategy<Salt> {
    any::<[u8; 16]>().prop_map(Salt).boxed()
}

/// Any time, mostly of our days.
pub fn arb_time_ns() -> BoxedStrategy<i64> {
    prop_oneof![
        4 => 1_500_000_000_000_000_000..1_900_000_000_000_000_000i64,
        1 => any::<i64>(),
        1 => prop::sample::select(vec![0, -1, 1, i64::MIN, i64::MAX, 1_717_243_200_000_000_000, 99_999_999_999_999_999]),
    ]
    .boxed()
}

/// A name as the envelope takes it: one line, not empty, no control characters, at most 256 bytes.
pub fn arb_name() -> BoxedStrategy<String> {
    let odd =
        vec!["credit-risk", "Credit-Risk", "1.2.0", "unknown", "a.b/c d", "größe", "\"quoted\"", "$name", "😀", " "];
    prop_oneof![
        4 => "[a-z][a-z0-9-]{0,12}",
        2 => prop::sample::select(odd).prop_map(str::to_owned),
        1 => Just("n".repeat(256)),
        1 => any::<String>().prop_filter_map("a name is one line", |text| {
            let text: String = text.chars().filter(|c| !c.is_control()).collect();
            let name = shortened(&text, 256);
            (!name.is_empty()).then_some(name)
        }),
    ]
    .boxed()
}

/// The text and numbers of an envelope, owned.
#[derive(Debug, Clone)]
struct Fields {
    names: Vec<String>,
    profile: Vec<String>,
    ids: [Uuid; 2],
    time_ns: i64,
    count: i64,
    trace: ([u8; 16], [u8; 8]),
    digest: [u8; 32],
    probability: f64,
    flag: bool,
    /// Which optional fields are set, one bit each.
    set: u32,
}

fn arb_fields() -> BoxedStrategy<Fields> {
    let trace = (any::<[u8; 16]>(), any::<[u8; 8]>()).prop_filter("all-zero ids are invalid", |(trace, span)| {
        trace.iter().any(|byte| *byte != 0) && span.iter().any(|byte| *byte != 0)
    });
    let set = prop_oneof![1 => Just(0), 1 => Just(u32::MAX), 4 => any::<u32>()];
    let profile = prop_oneof![3 => Just(Vec::new()), 1 => vec(arb_name(), 0..4), 1 => vec(arb_name(), PROFILES_MAX)];
    let probability = prop_oneof![Just(1.0), Just(5e-324), f64::EPSILON..1.0, Just(0.5)];
    let count = prop_oneof![0..10_000i64, 0..=i64::MAX];
    (
        vec(arb_name(), 11),
        profile,
        [arb_id(), arb_id()],
        (arb_time_ns(), count, trace, any::<[u8; 32]>(), probability, any::<bool>(), set),
    )
        .prop_map(|(names, profile, ids, (time_ns, count, trace, digest, probability, flag, set))| Fields {
            names,
            profile,
            ids,
            time_ns,
            count,
            trace,
            digest,
            probability,
            flag,
            set,
        })
        .boxed()
}

impl Fields {
    fn when<T>(&self, bit: u32, value: T) -> Option<T> {
        (self.set >> bit & 1 == 1).then_some(value)
    }

    /// The envelope of a record of this kind, with all that the kind needs from an envelope.
    fn envelope(&self, kind: Kind) -> Envelope<'_> {
        let name = |position: usize| self.names[position].as_str();
        let needs = |need: Need| kind.must_hold().contains(&need);
        let clock = Clock {
            max_error_ns: self.when(0, self.count),
            source: self.when(1, name(0)),
            synced: self.when(2, self.flag),
        };
        let producer = Producer { name: name(1), instance: self.when(3, name(2)), seq: self.when(4, self.count) };
        let trace = Trace { trace_id: TraceId(self.trace.0), span_id: self.when(5, SpanId(self.trace.1)) };
        let model = Model { name: name(3), version: name(4), digest: self.when(6, self.digest) };
        let result = Outcome { class: self.when(7, name(5)), adverse: self.when(8, self.flag) };
        let sampling =
            Sampling { probability: self.probability, reason: self.when(9, name(6)), rules: self.when(10, name(7)) };
        let about = needs(Need::About) || (needs(Need::AboutOrModel) && self.flag) || self.set >> 11 & 1 == 1;
        let with_model = needs(Need::Model) || (needs(Need::AboutOrModel) && !self.flag) || self.set >> 12 & 1 == 1;
        let with_producer = needs(Need::Producer) || self.set >> 13 & 1 == 1;
        Envelope {
            id: self.when(14, self.ids[0]),
            kind,
            time_ns: self.when(15, self.time_ns),
            about: about.then_some(self.ids[1]),
            clock: (clock != Clock::default()).then_some(clock),
            producer: with_producer.then_some(producer),
            trace: self.when(16, trace),
            model: with_model.then_some(model),
            result: (result != Outcome::default()).then_some(result),
            sampling: self.when(17, sampling),
            profile: self.profile.iter().map(String::as_str).collect(),
            error: self.when(18, name(8)),
            inputs_withheld: self.when(19, name(9)),
        }
    }
}

/// Any record, of any kind.
pub fn arb_record() -> BoxedStrategy<Record> {
    arb_kind().prop_flat_map(arb_record_of).boxed()
}

/// Any record of one kind.
pub fn arb_record_of(kind: Kind) -> BoxedStrategy<Record> {
    let section = |part| {
        if kind.may_hold(part) {
            prop_oneof![2 => arb_section(part).prop_map(Some), 1 => Just(None)].boxed()
        } else {
            Just(None).boxed()
        }
    };
    let sections = Part::SECTIONS.map(section);
    (arb_fields(), sections, prop::option::of(arb_salt()))
        .prop_map(move |(fields, mut sections, salt)| {
            let mut envelope = fields.envelope(kind);
            let position = |part| Part::SECTIONS.iter().position(|section| *section == part).unwrap_or_default();
            let (inputs, output) = (position(Part::Inputs), position(Part::Output));
            if kind.must_hold().contains(&Need::InputsOrWithheld) && envelope.inputs_withheld.is_none() {
                sections[inputs].get_or_insert(Value::Map(Vec::new()));
            }
            if kind.must_hold().contains(&Need::OutputOrError) && envelope.error.is_none() {
                sections[output].get_or_insert(Value::Bool(true));
            }
            if sections[output].is_some() && fields.flag {
                envelope.error = None;
            }
            let mut parts = Parts::default();
            parts.set_with(Part::Envelope, |out| envelope.write(out));
            for (part, value) in Part::SECTIONS.into_iter().zip(&sections) {
                if let Some(value) = value {
                    parts.set_with(part, |out| value.write(out));
                }
            }
            Record::new(salt, parts, &envelope)
        })
        .boxed()
}

/// Any stamp of a record: its id and who made what agree with the record.
pub fn arb_stamp(record: &Record) -> BoxedStrategy<Stamp> {
    let (kind, id, timed, salted, about) =
        (record.kind, record.id, record.time_ns.is_some(), record.salt.is_some(), record.about.is_some());
    (arb_id(), arb_time_ns(), prop::option::of(any::<[u8; 32]>()))
        .prop_map(move |(made_id, received, digest)| Stamp {
            kind,
            received,
            id: id.unwrap_or(made_id),
            id_by_server: id.is_none(),
            time_by_server: !timed,
            salt_by_server: !salted,
            about_digest: digest.filter(|_| about),
        })
        .boxed()
}

/// Any record as it is kept when nothing was erased.
pub fn arb_stored() -> BoxedStrategy<Stored> {
    arb_record().prop_flat_map(arb_stored_of).boxed()
}

/// Any record of one kind as it is kept when nothing was erased.
pub fn arb_stored_of_kind(kind: Kind) -> BoxedStrategy<Stored> {
    arb_record_of(kind).prop_flat_map(arb_stored_of).boxed()
}

fn arb_stored_of(record: Record) -> BoxedStrategy<Stored> {
    (arb_stamp(&record), arb_salt())
        .prop_map(move |(stamp, made)| {
            let salt = record.salt.unwrap_or(made);
            Stored { stamp, body: Body::Whole { salt, parts: record.parts.clone() } }
        })
        .boxed()
}

/// Any set of parts, for erasures.
pub fn arb_parts() -> BoxedStrategy<Vec<Part>> {
    prop_oneof![
        1 => Just(Part::ALL.to_vec()),
        4 => prop::sample::subsequence(Part::ALL.to_vec(), 0..=Part::COUNT),
    ]
    .boxed()
}

/// Bytes that are nearly a canonical item: one with a few bytes changed, removed or added.
pub fn arb_mutated(canonical: BoxedStrategy<Vec<u8>>) -> BoxedStrategy<Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..4u8);
    (canonical, vec(change, 1..4))
        .prop_map(|(mut bytes, changes)| {
            for (index, byte, how) in changes {
                let at = index.index(bytes.len() + 1);
                match how {
                    0 => bytes.insert(at, byte),
                    1 if at < bytes.len() => drop(bytes.remove(at)),
                    2 if at < bytes.len() => bytes[at] ^= 1 << (byte & 7),
                    _ if at < bytes.len() => bytes[at] = byte,
                    _ => bytes.push(byte),
                }
            }
            bytes
        })
        .boxed()
}

/// The canonical bytes of any value.
pub fn arb_canonical() -> BoxedStrategy<Vec<u8>> {
    prop_oneof![arb_value(), arb_map()].prop_map(|value| value.to_canonical()).boxed()
}
