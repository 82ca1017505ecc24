//! Bytes from outside: no parser panics on them (T24), no two encodings stand for one value (T23).
#![allow(clippy::unwrap_used, reason = "a test")]

use proptest::prelude::*;
use record::arbitrary::{arb_canonical, arb_mutated, arb_parts, arb_record, arb_stored};
use record::cbor::{Reader, validate};
use record::{
    CborParser, Envelope, Erased, FieldRef, JsonParser, Limits, Part, Stamp, Stored, Value, part_to_json, to_cbor,
    to_json, write_json_value,
};

/// Feeds bytes to everything that reads bytes, and holds what is accepted to its one encoding.
fn read_everywhere(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(record) = JsonParser::new(Limits::DEFAULT).parse(bytes) {
        Part::ALL.into_iter().filter_map(|part| record.parts.get(part)).for_each(|part| validate(part).unwrap());
    }
    if let Ok(record) = CborParser::new(Limits::DEFAULT).parse(bytes) {
        Part::ALL.into_iter().filter_map(|part| record.parts.get(part)).for_each(|part| validate(part).unwrap());
    }
    if let Ok(stored) = Stored::read(bytes) {
        let mut again = Vec::new();
        stored.write(&mut again);
        prop_assert_eq!(&again, bytes);
        let _ = (stored.digest(), to_json(&stored), stored.without(&[Part::Inputs]));
    }
    if let Ok(stamp) = Stamp::read(bytes) {
        prop_assert_eq!(&stamp.to_canonical(), bytes);
    }
    if let Ok(envelope) = Envelope::read(bytes) {
        let mut again = Vec::new();
        envelope.write(&mut again);
        prop_assert_eq!(&again, bytes);
    }
    if let Ok(erased) = Erased::read(bytes) {
        prop_assert_eq!(&erased.to_canonical(), bytes);
    }
    let value = Value::from_canonical(bytes);
    prop_assert_eq!(value.is_ok(), validate(bytes).is_ok());
    if let Ok(value) = value {
        prop_assert_eq!(&value.to_canonical(), bytes);
    }
    let mut out = String::new();
    let _ = write_json_value(&mut out, &mut Reader::new(bytes));
    let _ = Part::ALL.map(|part| part_to_json(part, bytes));
    let _ = FieldRef::parse(&String::from_utf8_lossy(bytes));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_everywhere(&bytes)?;
    }

    /// Mostly well-formed heads of CBOR, so that more than the first byte is read.
    #[test]
    fn nearly_cbor(bytes in prop::collection::vec(
        prop::sample::select(b"\xa1\xa2\xa3\x81\x82\x84\x61a\x62zz\x40\x41\x00\x01\x18\x20\xf4\xf6\xf9\x7e\xfa\xfb\xda\x6f\x6e\x72\x62\x9f\xff\x58".to_vec()),
        0..60,
    )) {
        read_everywhere(&bytes)?;
    }

    #[test]
    fn nearly_json(text in "[\\[\\]{}\":,\\\\nulltrue0-9eE.+\\-NaInfity$ud8]{0,80}", section in any::<bool>()) {
        read_everywhere(text.as_bytes())?;
        if section {
            let record = format!(r#"{{"kind":"config","context":{{"a":{text}}}}}"#);
            read_everywhere(record.as_bytes())?;
        }
    }

    #[test]
    fn mutated_canonical_bytes(bytes in arb_mutated(arb_canonical())) {
        read_everywhere(&bytes)?;
    }

    #[test]
    fn mutated_stored_bytes(bytes in arb_mutated((arb_stored(), arb_parts()).prop_map(|(stored, gone)| {
        let mut bytes = Vec::new();
        stored.without(&gone).write(&mut bytes);
        bytes
    }).boxed())) {
        read_everywhere(&bytes)?;
    }

    #[test]
    fn mutated_stamps(bytes in arb_mutated(arb_stored().prop_map(|stored| stored.stamp.to_canonical()).boxed())) {
        read_everywhere(&bytes)?;
    }

    #[test]
    fn mutated_envelopes(bytes in arb_mutated(
        arb_record().prop_map(|record| record.parts.get(Part::Envelope).unwrap().to_vec()).boxed(),
    )) {
        read_everywhere(&bytes)?;
    }

    #[test]
    fn mutated_cbor_faces(bytes in arb_mutated(arb_record().prop_map(|record| to_cbor(&record.parts).unwrap()).boxed())) {
        read_everywhere(&bytes)?;
    }

    #[test]
    fn mutated_json(bytes in arb_mutated(arb_stored().prop_map(|stored| to_json(&stored).unwrap().into_bytes()).boxed())) {
        read_everywhere(&bytes)?;
    }

    #[test]
    fn field_refs(text in any::<String>(), keys in prop::collection::vec(record::arbitrary::arb_key(), 0..4)) {
        let _ = FieldRef::parse(&text);
        let _ = FieldRef::parse(&format!("inputs{text}"));
        let field = FieldRef { part: Part::Inputs, keys };
        prop_assert_eq!(FieldRef::parse(&field.to_string()), Ok(field));
    }

    /// What JSON itself says is no JSON is refused, and what is refused as syntax is no JSON.
    #[test]
    fn json_syntax_is_that_of_serde_json(bytes in arb_mutated(
        arb_stored().prop_map(|stored| to_json(&stored).unwrap().into_bytes()).boxed(),
    )) {
        let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok();
        match JsonParser::new(Limits::DEFAULT).parse(&bytes) {
            Ok(_) if !is_json => {
                let text = String::from_utf8(bytes).unwrap();
                prop_assert!(text.contains("NaN") || text.contains("Infinity"), "{}", text);
            }
            Ok(_) => {}
            Err(error) => {
                // A text that ends in rubbish behind a fault of ours is refused for the fault that comes first.
                if matches!(error.fault, record::Fault::Syntax(_)) {
                    // Lone surrogates and numbers beyond f64 pass where nothing is kept of them.
                    let kept = serde_json::from_slice::<serde_json::Value>(&bytes).is_ok();
                    prop_assert!(!kept, "{}", error);
                }
            }
        }
    }
}

#[test]
fn deep_nesting_is_an_error_in_every_reader() {
    for text in ["[".repeat(1_000_000), "{\"a\":".repeat(200_000), format!("{{\"output\":{}", "[".repeat(1_000_000))] {
        assert!(JsonParser::new(Limits::CAP).parse(text.as_bytes()).is_err());
    }
    let nested = [b"\xa1\x66output".as_slice(), &[0x81; 1_000_000]].concat();
    assert!(CborParser::new(Limits::CAP).parse(&nested).is_err());
    assert!(Value::from_canonical(&[0x81; 1_000_000]).is_err());
    assert!(write_json_value(&mut String::new(), &mut Reader::new(&[0x81; 1_000_000])).is_err());
    let form = format!("{{\"output\":{{\"$blob\":{}", "[".repeat(1_000_000));
    assert!(JsonParser::new(Limits::CAP).parse(form.as_bytes()).is_err());
}

/// A map whose head claims more entries than memory holds is refused before anything is reserved.
#[test]
fn heads_that_lie_about_their_length_are_cheap() {
    let mut bytes = Vec::new();
    for _ in 0..100 {
        bytes.extend_from_slice(b"\xba\x00\x10\x00\x00\x61a");
    }
    bytes.resize(4 << 20, 0x01);
    assert!(Value::from_canonical(&bytes).is_err());
    assert!(Stored::read(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
}
