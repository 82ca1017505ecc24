//! Id tokens that a forger would send. Each is the good one but for one thing.

use openidconnect::PrivateSigningKey as _;
use openidconnect::core::{CoreHmacKey, CoreJwsSigningAlgorithm};
use serde_json::json;

use super::super::hostile::{Key, base64, unsigned};
use super::*;

const ISSUER: &str = "https://id.example";
const NOW_S: i64 = 1_800_000_000;

fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "248289761001", "aud": "onrecord", "exp": NOW_S + 300, "iat": NOW_S, "nonce": "n-1",
        "name": "Ada Example", "groups": ["credit-desk", "staff"],
    })
}

/// The good one with one claim changed, or taken away.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => claims.as_object_mut().unwrap().remove(name),
        value => claims.as_object_mut().unwrap().insert(name.to_owned(), value),
    };
    claims
}

fn check_at(keys: &[Value], token: &str, now_s: i64) -> Result<Person, IdTokenError> {
    let at = |path: &str| format!("{ISSUER}{path}");
    let provider: CoreProviderMetadata = serde_json::from_value(json!({
        "issuer": ISSUER, "authorization_endpoint": at("/a"), "token_endpoint": at("/t"), "jwks_uri": at("/k"),
        "response_types_supported": ["code"], "subject_types_supported": ["public"],
        // What a provider says that it does is not what is believed.
        "id_token_signing_alg_values_supported": ["EdDSA", "HS256", "none"],
    }))
    .unwrap();
    let provider = provider.set_jwks(serde_json::from_value(json!({ "keys": keys })).unwrap());
    let expected = Expected {
        provider: &provider,
        client_id: &ClientId::new("onrecord".to_owned()),
        nonce: &Nonce::new("n-1".to_owned()),
        groups_claim: "groups",
        now_ns: now_s * 1_000_000_000,
    };
    let token: Unchecked = serde_json::from_value(token.into()).map_err(|_| IdTokenError::Form)?;
    person(&token, &expected)
}

fn check(key: &Key, token: &str) -> Result<Person, IdTokenError> {
    check_at(&[key.jwk()], token, NOW_S)
}

#[test]
fn a_good_one_says_who_it_is() {
    let key = Key::new("k1");
    let person = check(&key, &key.token(&claims())).unwrap();
    assert_eq!((&*person.subject, &*person.name), ("248289761001", "Ada Example"));
    assert_eq!(person.groups, ["credit-desk", "staff"]);
    let one = check(&key, &key.token(&with("groups", "staff".into()))).unwrap();
    assert_eq!(one.groups, ["staff"]);
    for none in [Value::Null, 7.into(), json!({"a": 1}), json!([1, null, "x".repeat(300)])] {
        assert_eq!(check(&key, &key.token(&with("groups", none.clone()))).unwrap().groups, [""; 0], "{none}");
    }
    assert_eq!(check(&key, &key.token(&with("name", Value::Null))).unwrap().name, "248289761001");
}

#[test]
fn each_claim_is_checked() {
    let key = Key::new("k1");
    for (name, value, error) in [
        ("iss", "https://evil.example".into(), IdTokenError::Issuer),
        ("iss", "https://id.example/".into(), IdTokenError::Issuer),
        ("aud", "another".into(), IdTokenError::Audience),
        ("aud", json!(["onrecord", "another"]), IdTokenError::Audience),
        ("aud", json!([]), IdTokenError::Audience),
        ("azp", "another".into(), IdTokenError::Audience),
        ("nonce", "n-2".into(), IdTokenError::Nonce),
        ("nonce", Value::Null, IdTokenError::Nonce),
        ("sub", "".into(), IdTokenError::Subject),
        ("sub", "x".repeat(256).into(), IdTokenError::Subject),
        ("sub", "a\nb".into(), IdTokenError::Subject),
        ("sub", Value::Null, IdTokenError::Form),
        ("iat", Value::Null, IdTokenError::Form),
        ("exp", Value::Null, IdTokenError::Form),
        ("groups", vec!["x"; GROUPS_MAX + 1].into(), IdTokenError::Groups),
        ("groups", vec!["x".repeat(128); GROUPS_BYTES_MAX / 128 + 1].into(), IdTokenError::Groups),
    ] {
        assert_eq!(check(&key, &key.token(&with(name, value.clone()))), Err(error), "{name}: {value}");
    }
    assert!(check(&key, &key.token(&with("azp", "onrecord".into()))).is_ok());
}

#[test]
fn clocks_may_differ_by_a_minute_and_no_more() {
    let key = Key::new("k1");
    let at = |name, offset: i64| check(&key, &key.token(&with(name, (NOW_S + offset).into()))).map(|_| ());
    let leeway = LEEWAY.num_seconds();
    assert_eq!([at("exp", 1 - leeway), at("exp", -leeway)], [Ok(()), Err(IdTokenError::Time)]);
    assert_eq!([at("iat", leeway), at("iat", leeway + 1)], [Ok(()), Err(IdTokenError::Time)]);
    let old = AGE_MAX.num_seconds() + leeway;
    assert_eq!([at("iat", -old), at("iat", -old - 1)], [Ok(()), Err(IdTokenError::Time)]);
}

#[test]
fn what_anyone_can_sign_is_not_believed() {
    let (key, other) = (Key::new("k1"), Key::new("k1"));
    let token = key.token(&claims());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    // Another key under the same id; another's signature; the payload changed under a good one; no signature.
    assert_eq!(check(&key, &other.token(&claims())), Err(IdTokenError::Signature));
    let changed = unsigned(&json!({"alg": "EdDSA", "kid": "k1"}), &with("sub", "1".into()));
    assert_eq!(check(&key, &format!("{changed}.{signature}")), Err(IdTokenError::Signature));
    assert_eq!(check(&key, &format!("{signed}.")), Err(IdTokenError::Signature));
    assert_eq!(check(&key, signed), Err(IdTokenError::Form));
    // Of a key that is not listed: the keys may have changed.
    assert_eq!(check(&key, &Key::new("k2").token(&claims())), Err(IdTokenError::UnknownKey));
    assert_eq!(check_at(&[], &token, NOW_S), Err(IdTokenError::UnknownKey));
    // No signature at all, said aloud.
    for none in ["none", "None", "NONE", ""] {
        let token = unsigned(&json!({"alg": none, "kid": "k1"}), &claims()) + ".";
        assert!(matches!(check(&key, &token), Err(IdTokenError::Signature | IdTokenError::Form)), "{none}");
    }
    // The public key taken for a shared secret, as bytes and as text.
    for secret in [key.public().to_vec(), base64(key.public()).into_bytes(), b"the client's secret".to_vec()] {
        let signed = unsigned(&json!({"alg": "HS256", "kid": "k1"}), &claims());
        let mac = CoreHmacKey::new(secret).sign(&CoreJwsSigningAlgorithm::HmacSha256, signed.as_bytes()).unwrap();
        assert_eq!(check(&key, &format!("{signed}.{}", base64(&mac))), Err(IdTokenError::Signature));
    }
    // A key of its own brought along, and a header that must be understood.
    for header in [
        json!({"alg": "EdDSA", "jwk": other.jwk()}),
        json!({"alg": "EdDSA", "kid": "k1", "crit": ["b64"], "b64": false}),
        json!({"alg": "EdDSA", "kid": "k1", "typ": "at+jwt"}),
    ] {
        let token = format!("{}.{signature}", unsigned(&header, &claims()));
        assert!(check(&key, &token).is_err(), "{header}");
    }
    for nonsense in ["", ".", "..", "a.b.c", "....", &"x".repeat(1 << 16)] {
        assert_eq!(check(&key, nonsense), Err(IdTokenError::Form), "{nonsense:.9}");
    }
}
