//! Known answers, computed by `vectors/make.py` from the specification alone.
#![allow(clippy::unwrap_used, reason = "a test")]

use record::{Body, JsonParser, Limits, Part, Salt, Stamp, Stored, commit, content};
use serde_json::Value;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn records_have_their_known_digests() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("vectors/records.json")).unwrap();
    assert!(vectors.len() > 15);
    for vector in &vectors {
        let name = vector["name"].as_str().unwrap();
        let text = |key: &str| vector[key].as_str().unwrap();
        let record = JsonParser::new(Limits::DEFAULT).parse(text("json").as_bytes()).unwrap();
        let salt = Salt(unhex(text("salt")).try_into().unwrap());
        for part in Part::ALL {
            let canonical = record.parts.get(part);
            assert_eq!(canonical.map(hex).as_deref(), vector["parts"][part.name()].as_str(), "{name}: {part:?}");
            let made = canonical.map_or([0; 32], |canonical| commit(part, &salt.for_part(part), canonical));
            assert_eq!(hex(&made), vector["commitments"][part.name()].as_str().unwrap(), "{name}: {part:?}");
            if canonical.is_some() {
                let part_salt = vector["part_salts"][part.name()].as_str().unwrap();
                assert_eq!(hex(&salt.for_part(part).0), part_salt, "{name}: {part:?}");
            }
        }
        assert_eq!(content(&salt, &record.parts).to_string(), text("content"), "{name}");
        let stamp = Stamp::read(&unhex(text("stamp_canonical"))).unwrap();
        assert_eq!(hex(&stamp.to_canonical()), text("stamp_canonical"), "{name}");
        assert_eq!(stamp.received, vector["stamp"]["received"].as_i64().unwrap());
        let stored = Stored { stamp, body: Body::Whole { salt, parts: record.parts } };
        assert_eq!(stored.digest().to_string(), text("digest"), "{name}");
    }
}
