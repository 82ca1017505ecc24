//! docs/formats.md works one example out by hand. Here the code works it out, and the page must show the same bytes.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use record::{Body, JsonParser, Limits, Part, Salt, Stamp, Stored, commit, to_json};
use sha2::{Digest as _, Sha256};

const PAGE: &str = include_str!("../../../docs/formats.md");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The JSON examples of the page, in its order.
fn examples() -> Vec<&'static str> {
    PAGE.split("```json\n").skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect()
}

/// The record of an example as a server stores it.
fn stored(json: &str, received: i64, about_digest: Option<[u8; 32]>) -> Stored {
    let record = JsonParser::new(Limits::DEFAULT).parse(json.as_bytes()).unwrap();
    let stamp = Stamp {
        kind: record.kind,
        received,
        id: record.id.unwrap(),
        id_by_server: false,
        time_by_server: record.time_ns.is_none(),
        salt_by_server: false,
        about_digest,
    };
    Stored { stamp, body: Body::Whole { salt: record.salt.unwrap(), parts: record.parts } }
}

fn salt(stored: &Stored) -> Salt {
    match stored.body {
        Body::Whole { salt, .. } => salt,
        _ => unreachable!("made whole"),
    }
}

fn leaf(digest: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update([0]).chain_update(digest).finalize().into()
}

#[track_caller]
fn assert_shown(what: &str, bytes: &[u8]) {
    assert!(PAGE.contains(&hex(bytes)), "docs/formats.md does not show the {what}, {}", hex(bytes));
}

#[test]
fn the_page_shows_what_the_code_makes() {
    let examples = examples();
    let decision = stored(examples[0], 1_717_243_200_250_000_000, None);
    let outcome = stored(examples[1], 1_717_243_201_000_000_000, Some(decision.digest().0));
    for stored in [&decision, &outcome] {
        let parts = stored.parts().unwrap();
        for part in Part::ALL.into_iter().filter(|part| parts.get(*part).is_some()) {
            let (canonical, salt) = (parts.get(part).unwrap(), salt(stored).for_part(part));
            assert!(PAGE.contains(&format!("| `{}` | `{}` |", part.name(), hex(canonical))));
            assert_shown("part salt", &salt.0);
            assert_shown("commitment", &commit(part, &salt, canonical));
        }
        assert_shown("content", &stored.content().0);
        assert_shown("stamp", &stored.stamp.to_canonical());
        assert_shown("digest", &stored.digest().0);
        assert_shown("leaf hash", &leaf(&stored.digest().0));
    }
    let node = [&[1][..], &leaf(&decision.digest().0), &leaf(&outcome.digest().0)].concat();
    assert_shown("root", &Sha256::digest(node));
}

#[test]
fn the_page_exports_the_decision() {
    let examples = examples();
    let decision = stored(examples[0], 1_717_243_200_250_000_000, None);
    let parts = decision.parts().unwrap();
    let parts: serde_json::Map<_, _> =
        Part::ALL.into_iter().filter_map(|part| Some((part.name().to_owned(), hex(parts.get(part)?).into()))).collect();
    let exported = serde_json::json!({
        "stamp": hex(&decision.stamp.to_canonical()),
        "salt": hex(&salt(&decision).0),
        "parts": parts,
    });
    assert_eq!(serde_json::from_str::<serde_json::Value>(examples[2]).unwrap(), exported);
    assert_eq!(to_json(&decision).unwrap().matches("salt").count(), 0, "a reader is shown no salt");
}
