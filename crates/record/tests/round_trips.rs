//! What goes in comes out: through JSON, CBOR, canonical bytes and the stored form.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use proptest::prelude::*;
use record::arbitrary::{arb_map, arb_record, arb_stored, arb_value};
use record::cbor::Number;
use record::{Blob, CborParser, JsonParser, Limits, Part, Salt, Stored, Value, content, to_cbor};

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn json_and_back_is_the_same_record(stored in arb_stored()) {
        let json = record::to_json(&stored).unwrap();
        let mut parser = JsonParser::new(Limits::DEFAULT);
        let again = parser.parse(json.as_bytes()).unwrap();
        prop_assert_eq!(Some(&again.parts), stored.parts(), "{}", json);
        prop_assert_eq!(again.kind, stored.stamp.kind);
    }

    #[test]
    fn cbor_and_back_is_the_same_record(record in arb_record()) {
        let bytes = to_cbor(&record.parts).unwrap();
        let again = CborParser::new(Limits::DEFAULT).parse(&bytes).unwrap();
        prop_assert_eq!(&again.parts, &record.parts);
        prop_assert_eq!(again.id, record.id);
        let whole = record::record_to_cbor(&record).unwrap();
        prop_assert_eq!(CborParser::new(Limits::DEFAULT).parse(&whole).unwrap(), record);
    }

    #[test]
    fn canonical_bytes_and_back_is_the_same_value(value in arb_value()) {
        let canonical = value.to_canonical();
        prop_assert_eq!(Value::from_canonical(&canonical).unwrap().to_canonical(), canonical);
    }

    #[test]
    fn stored_bytes_and_back_is_the_same_record(stored in arb_stored()) {
        let mut bytes = Vec::new();
        stored.write(&mut bytes);
        let again = Stored::read(&bytes).unwrap();
        prop_assert_eq!(&again, &stored);
        let mut twice = Vec::new();
        again.write(&mut twice);
        prop_assert_eq!(twice, bytes);
    }

    #[test]
    fn json_and_cbor_of_a_record_have_one_content(stored in arb_stored()) {
        let parts = stored.parts().unwrap();
        let json = JsonParser::new(Limits::DEFAULT).parse(record::to_json(&stored).unwrap().as_bytes()).unwrap();
        let cbor = CborParser::new(Limits::DEFAULT).parse(&to_cbor(parts).unwrap()).unwrap();
        let salt = Salt([9; 16]);
        prop_assert_eq!(content(&salt, &json.parts), content(&salt, &cbor.parts));
        for part in Part::ALL {
            prop_assert_eq!(json.parts.get(part), cbor.parts.get(part));
        }
    }
}

/// What another CBOR library makes of canonical bytes.
fn from_ciborium(value: &ciborium::Value) -> Value {
    match value {
        ciborium::Value::Null => Value::Null,
        ciborium::Value::Bool(value) => Value::Bool(*value),
        ciborium::Value::Integer(value) => match i64::try_from(*value) {
            Ok(int) => Value::Number(Number::Int(int)),
            Err(_) => Value::Number(Number::UInt(u64::try_from(*value).unwrap())),
        },
        ciborium::Value::Float(value) => Value::Number(Number::Float(*value)),
        ciborium::Value::Text(text) => Value::Text(text.clone()),
        ciborium::Value::Bytes(bytes) => Value::Bytes(bytes.clone()),
        ciborium::Value::Tag(tag, content) => {
            assert_eq!(*tag, record::cbor::BLOB_TAG);
            let content = content.as_array().unwrap();
            Value::Blob(Blob {
                digest: content[0].as_bytes().unwrap().clone().try_into().unwrap(),
                size: content[1].as_integer().unwrap().try_into().unwrap(),
                media_type: content[2].as_text().unwrap().to_owned(),
            })
        }
        ciborium::Value::Array(items) => Value::Array(items.iter().map(from_ciborium).collect()),
        // Left in the order in which they stand.
        ciborium::Value::Map(entries) => Value::Map(
            entries.iter().map(|(key, value)| (key.as_text().unwrap().to_owned(), from_ciborium(value))).collect(),
        ),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn another_cbor_library_reads_the_same(value in prop_oneof![arb_value(), arb_map()]) {
        let canonical = value.to_canonical();
        let read: ciborium::Value = ciborium::from_reader(canonical.as_slice()).unwrap();
        prop_assert_eq!(from_ciborium(&read).to_canonical(), canonical.clone());
        let mut written = Vec::new();
        ciborium::into_writer(&read, &mut written).unwrap();
        // It writes shortest forms too, and keeps the order; so in any order the lenient face reads it back.
        let face = [b"\xa2\x64kind\x66config\x67context\xa1\x61x".as_slice(), &written].concat();
        let record = CborParser::new(Limits::CAP).parse(&face).unwrap();
        let context = [b"\xa1\x61x".as_slice(), &canonical].concat();
        prop_assert_eq!(record.parts.get(Part::Context).unwrap(), context.as_slice());
    }
}
