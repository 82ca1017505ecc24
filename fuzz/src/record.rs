//! The faces of a record, and the canonical bytes behind them.

use ::record::cbor::{CborError, Reader, validate};
use ::record::{
    Body, CborParser, Envelope, Erased, FieldRef, JsonParser, Limits, Part, Record, Salt, Stamp, Stored, Value,
    part_to_json, to_cbor, to_json, write_json_value,
};
use uuid::Uuid;

/// Small, so that inputs of a few kilobytes come up against each of them.
const LIMITS: Limits = Limits { record_bytes: 2048, depth: 16, fields: 64, key_bytes: 64, string_bytes: 512 };

/// A record from JSON: what is taken comes back from every form it is kept and shown in.
pub fn json(text: &[u8]) {
    if let Ok(record) = JsonParser::new(LIMITS).parse(text) {
        holds(&record);
    }
}

/// A record from CBOR, as one item and as the first of a sequence; and the bytes as canonical CBOR.
pub fn cbor(bytes: &[u8]) {
    if let Ok(record) = CborParser::new(LIMITS).parse(bytes) {
        holds(&record);
        let mut reader = Reader::lenient(bytes);
        assert_eq!(CborParser::new(LIMITS).parse_next(&mut reader), Ok(record));
        assert!(reader.is_at_end());
    }
    canonical(bytes);
}

/// What the strict reader takes is the one encoding of its value; what it refuses as a whole, every walk refuses.
fn canonical(bytes: &[u8]) {
    let (valid, value) = (validate(bytes), Value::from_canonical(bytes));
    assert_eq!(valid.is_ok(), value.is_ok(), "validate {valid:?}, value {value:?}");
    let (mut out, mut reader) = (String::new(), Reader::new(bytes));
    let written = write_json_value(&mut out, &mut reader);
    match value {
        Ok(value) => {
            assert_eq!(value.to_canonical(), bytes);
            assert_eq!(written, Ok(()));
            assert!(serde_json::from_str::<serde_json::Value>(&out).is_ok(), "{out}");
            assert_eq!(Reader::lenient(bytes).skip(), Ok(bytes), "canonical bytes are a sender's bytes too");
        }
        Err(CborError::Trailing(_)) => {}
        Err(_) => assert!(written.is_err() || !reader.is_at_end(), "{out}"),
    }
}

/// What must hold of every record that a parser took.
fn holds(record: &Record) {
    let parts = &record.parts;
    for part in Part::ALL {
        let Some(canonical) = parts.get(part) else { continue };
        assert_eq!(validate(canonical), Ok(()), "{part:?}");
        assert!(part_to_json(part, canonical).is_ok(), "{part:?}");
    }
    assert!(parts.total_bytes() <= LIMITS.record_bytes);
    let envelope = Envelope::read(parts.get(Part::Envelope).expect("every record has its envelope"));
    let envelope = envelope.expect("an envelope that was just written");
    assert_eq!((envelope.id, envelope.kind), (record.id, record.kind));
    assert_eq!((envelope.time_ns, envelope.about), (record.time_ns, record.about));

    let stored = stored_of(record);
    let shown = to_json(&stored).expect("a record that was taken can be shown");
    let again = JsonParser::new(LIMITS).parse(shown.as_bytes()).unwrap_or_else(|error| panic!("{error}: {shown}"));
    assert_eq!((&again.parts, again.kind), (parts, record.kind), "{shown}");
    let face = to_cbor(parts).expect("a record that was taken has a CBOR face");
    let again = CborParser::new(LIMITS).parse(&face).unwrap_or_else(|error| panic!("{error}: {face:02x?}"));
    assert_eq!((&again.parts, again.kind), (parts, record.kind));
    canonical(&face);
    let mut kept = Vec::new();
    stored.write(&mut kept);
    assert_eq!(Stored::read(&kept).as_ref(), Ok(&stored));
}

/// The record with a stamp, as a writer would make it.
fn stored_of(record: &Record) -> Stored {
    let stamp = Stamp {
        kind: record.kind,
        received: 1_717_243_200_000_000_000,
        id: record.id.unwrap_or(Uuid::from_u128(0x0190_a5c2_7b1e_7c3a_9d55_0000_0000_0001)),
        id_by_server: record.id.is_none(),
        time_by_server: record.time_ns.is_none(),
        salt_by_server: record.salt.is_none(),
        about_digest: None,
    };
    Stored { stamp, body: Body::Whole { salt: record.salt.unwrap_or(Salt([7; 16])), parts: record.parts.clone() } }
}

/// A record as the journal keeps it: one encoding, and a digest that no erasure changes.
pub fn stored(bytes: &[u8]) {
    let Ok(stored) = Stored::read(bytes) else { return };
    let mut again = Vec::new();
    stored.write(&mut again);
    assert_eq!(again, bytes);
    let (digest, content) = (stored.digest(), stored.content());
    let _ = to_json(&stored);
    for gone in [&[Part::Inputs][..], &[Part::Envelope], &Part::SECTIONS, &Part::ALL] {
        let left = stored.without(gone);
        assert_eq!((left.digest(), left.content()), (digest, content));
        assert!(gone.iter().all(|part| left.parts().is_none_or(|parts| parts.get(*part).is_none())));
        assert_eq!(left.without(gone), left);
        again.clear();
        left.write(&mut again);
        assert_eq!(Stored::read(&again), Ok(left));
    }
}

/// What is read from canonical bytes alone: envelope, stamp, erased form. Each has one encoding.
pub fn envelope(bytes: &[u8]) {
    if let Ok(envelope) = Envelope::read(bytes) {
        let mut again = Vec::new();
        envelope.write(&mut again);
        assert_eq!(again, bytes);
        assert!(part_to_json(Part::Envelope, bytes).is_ok());
    }
    if let Ok(stamp) = Stamp::read(bytes) {
        assert_eq!(stamp.to_canonical(), bytes);
    }
    if let Ok(erased) = Erased::read(bytes) {
        assert_eq!(erased.to_canonical(), bytes);
    }
    for part in Part::SECTIONS {
        assert_eq!(
            part_to_json(part, bytes).is_ok(),
            write_json_value(&mut String::new(), &mut Reader::new(bytes)).is_ok()
        );
    }
}

/// The name of a field: what is taken is shown as a name of the same field.
pub fn field_ref(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let Ok(field) = FieldRef::parse(&text) else { return };
    let shown = field.to_string();
    assert_eq!(FieldRef::parse(&shown).as_ref(), Ok(&field), "{shown}");
    let record = br#"{"kind":"config","context":{"a":{"b":[1]},"odd key":null,"":{"":2}}}"#;
    let record = JsonParser::new(LIMITS).parse(record).expect("a record");
    field.find(&record.parts).expect("canonical parts can be walked");
}
