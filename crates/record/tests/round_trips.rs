//! What goes in comes out: through JSON, CBOR, canonical bytes and the stored form.
#![allow(clippy::unwrap_used, reason = "a test")]

use proptest::prelude::*;
use record::arbitrary::{arb_record, arb_stored, arb_value};
use record::{CborParser, JsonParser, Limits, Part, Salt, Stored, Value, content, to_cbor};

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
