//! Any records within the limits, for property tests: the keys come from a small pool, so that paths are shared
//! between records and types change under them.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use record::cbor::Number;
use record::{
    Blob, Body, Clock, Content, Envelope, Kind, Model, Outcome, Part, Parts, Producer, Salt, Sampling, SpanId, Stamp,
    Stored, Trace, TraceId, Value,
};
use uuid::Uuid;

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(vec!["income", "age", "a", "values", "x-1", "rest", "id", "case"]).prop_map(str::to_owned),
        1 => prop::sample::select(vec![
            "Age", "AGE", "a.b", "odd key", "\"q\"", "$x", "$f64", "größe", "", ":", "income:str", "ä", "a\0b", "😀", "=",
        ])
        .prop_map(str::to_owned),
        1 => Just("k".repeat(256)),
    ]
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        prop::sample::select(vec![
            0.0,
            -0.0,
            1.0,
            0.5,
            0.1,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MIN_POSITIVE,
            1e300,
            9_007_199_254_740_992.0,
            1_152_921_504_606_846_976.0,
            18_446_744_073_709_551_616.0,
            6.5e4,
            5.9e-8,
        ]),
        any::<f32>().prop_map(f64::from),
        (-1000i32..1000).prop_map(f64::from),
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number().prop_map(Value::float),
        number().prop_map(Value::float),
        any::<i64>().prop_map(|n| Value::Number(Number::Int(n))),
        any::<u64>().prop_map(|n| Value::Number(Number::from_u64(n))),
        prop::sample::select(vec![i64::MIN, i64::MAX, (1 << 53) + 1, -1]).prop_map(|n| Value::Number(Number::Int(n))),
        Just(Value::Number(Number::UInt(u64::MAX))),
        ".{0,12}".prop_map(Value::Text),
        Just(Value::Text(String::new())),
        vec(any::<u8>(), 0..8).prop_map(Value::Bytes),
        (any::<[u8; 32]>(), any::<u64>()).prop_map(|(digest, size)| Value::Blob(Blob {
            digest,
            size,
            media_type: "image/png".into()
        })),
        vec(number().prop_map(Value::float), 0..5).prop_map(Value::Array),
    ]
}

fn map(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    vec((key(), values), 0..8).prop_map(Value::map)
}

pub(crate) fn section() -> impl Strategy<Value = Value> {
    let nested = scalar().prop_recursive(
        3,
        24,
        6,
        |inner| prop_oneof![2 => map(inner.clone()), 1 => vec(inner, 0..4).prop_map(Value::Array)],
    );
    prop_oneof![6 => map(nested), 1 => Just(Value::Map(vec![])), 1 => scalar()]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![3 => Just(Kind::Decision), 1 => prop::sample::select(Kind::all().collect::<Vec<_>>())]
}

fn uuid() -> impl Strategy<Value = Uuid> {
    (any::<u64>(), any::<[u8; 10]>())
        .prop_map(|(ms, random)| uuid::Builder::from_unix_timestamp_millis(ms >> 16, &random).into_uuid())
}

type Groups = (
    Option<(Option<i64>, bool, Option<bool>)>,
    Option<(bool, Option<i64>)>,
    Option<([u8; 16], Option<[u8; 8]>)>,
    Option<(bool, Option<[u8; 32]>)>,
    Option<(bool, Option<bool>)>,
    Option<(f64, bool)>,
);

fn groups() -> impl Strategy<Value = Groups> {
    (
        option::of((option::of(0..i64::MAX), any::<bool>(), option::of(any::<bool>()))),
        option::of((any::<bool>(), option::of(0..i64::MAX))),
        option::of((any::<[u8; 16]>(), option::of(any::<[u8; 8]>()))),
        option::weighted(0.8, (any::<bool>(), option::of(any::<[u8; 32]>()))),
        option::of((any::<bool>(), option::of(any::<bool>()))),
        option::of((1e-9..=1.0, any::<bool>())),
    )
}

fn envelope(stamp: &Stamp, time_ns: i64, about: Option<Uuid>, groups: &Groups, profiles: usize) -> Vec<u8> {
    let mut e = Envelope::of_kind(stamp.kind);
    e.id = (!stamp.id_by_server).then_some(stamp.id);
    e.time_ns = (!stamp.time_by_server).then_some(time_ns);
    e.about = about;
    e.clock = groups.0.map(|(max_error_ns, source, synced)| Clock {
        max_error_ns,
        source: source.then_some("kernel"),
        synced,
    });
    e.clock = e.clock.filter(|c| *c != Clock::default());
    e.producer = groups.1.map(|(instance, seq)| Producer { name: "api", instance: instance.then_some("i-1"), seq });
    e.trace = groups.2.map(|(t, s)| Trace { trace_id: TraceId(t), span_id: s.map(SpanId) });
    e.model = groups.3.map(|(b, digest)| Model { name: if b { "risk" } else { "fraud" }, version: "1.0", digest });
    e.result = groups.4.map(|(class, adverse)| Outcome { class: class.then_some("deny"), adverse });
    e.result = e.result.filter(|r| *r != Outcome::default());
    e.sampling = groups.5.map(|(probability, r)| Sampling { probability, reason: r.then_some("all"), rules: None });
    e.profile = ["reg-b", "ai-act", "mifid"][..profiles].to_vec();
    e.error = (profiles == 2).then_some("timeout");
    e.inputs_withheld = (profiles == 3).then_some("too large");
    let mut out = Vec::new();
    e.write(&mut out);
    out
}

/// What is done to a record after it was made.
#[derive(Clone, Debug)]
enum Fate {
    Kept,
    Erased(Vec<Part>),
    Tombstone,
    /// The envelope says another id than the stamp: no server makes this, and it must come back all the same.
    Disagrees,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        8 => Just(Fate::Kept),
        1 => vec(prop::sample::select(Part::ALL.to_vec()), 1..4).prop_map(Fate::Erased),
        1 => Just(Fate::Tombstone),
        1 => Just(Fate::Disagrees),
    ]
}

/// Any record.
pub(crate) fn stored() -> impl Strategy<Value = Stored> {
    let stamp = (kind(), any::<i64>(), uuid(), any::<[bool; 3]>(), option::of(any::<[u8; 32]>()));
    let sections = prop::array::uniform6(option::of(section()));
    let envelope_bits = (any::<i64>(), option::of(uuid()), groups(), 0usize..4);
    (stamp, sections, envelope_bits, any::<[u8; 16]>(), fate()).prop_map(|(stamp, sections, bits, salt, fate)| {
        let (kind, received, id, [id_by_server, time_by_server, salt_by_server], about_digest) = stamp;
        let stamp = Stamp { kind, received, id, id_by_server, time_by_server, salt_by_server, about_digest };
        let mut said = stamp.clone();
        if matches!(fate, Fate::Disagrees) {
            said.id_by_server = !said.id_by_server;
        }
        let mut parts = Parts::default();
        parts.set(Part::Envelope, &envelope(&said, bits.0, bits.1, &bits.2, bits.3));
        for (part, value) in Part::SECTIONS.into_iter().zip(sections) {
            value.into_iter().for_each(|value| parts.set(part, &value.to_canonical()));
        }
        let whole = Stored { stamp, body: Body::Whole { salt: Salt(salt), parts } };
        match fate {
            Fate::Kept | Fate::Disagrees => whole,
            Fate::Erased(gone) => whole.without(&gone),
            Fate::Tombstone => {
                let Content(content) = whole.content();
                Stored { body: Body::Erased { content: Content(content) }, ..whole }
            }
        }
    })
}

/// A run of records with the indices from `first` on.
pub(crate) fn run(first: u64, len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<(u64, Stored)>> {
    vec(stored(), len).prop_map(move |records| (first..).zip(records).collect())
}

/// One fixed run of records, for tests that need some and not any.
pub(crate) fn sample(seed: u8, first: u64, len: usize) -> Vec<(u64, Stored)> {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    run(first, len..len + 1).new_tree(&mut runner).unwrap().current()
}
