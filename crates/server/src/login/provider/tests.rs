//! Providers that say what they should not.

use http::StatusCode;
use serde_json::{Value, json};

use super::super::attempts::Attempts;
use super::super::hostile::{DISCOVERY, Hostile, Key};
use super::super::next::Next;
use super::*;

const NOW_S: i64 = 1_800_000_000;

/// A login that has begun at a provider, with a clock that stands still.
struct Place {
    hostile: Hostile,
    provider: Provider,
    attempt: Attempt,
    begun: Begun,
    clock: host::ManualClock,
}

impl Place {
    async fn with(key: &Key) -> Place {
        let hostile = Hostile::start(key).await;
        let clock = host::ManualClock::at(NOW_S * 1_000_000_000);
        let host = Host::builder().clock(clock.clone()).build();
        let settings = LoginSettings {
            issuer: hostile.issuer.clone(),
            client_id: "onrecord".to_owned(),
            client_secret: None,
            redirect_url: "http://localhost:7411/login/callback".to_owned(),
            groups_claim: "groups".to_owned(),
            scopes: vec!["groups".to_owned()],
        };
        let attempts = Attempts::new(&host);
        let begun = attempts.begin([127, 0, 0, 1].into(), Next::of(None));
        let attempt = attempts.take(&begun.cookie, &begun.state).unwrap();
        Place { provider: Provider::new(&host, &settings).unwrap(), hostile, attempt, begun, clock }
    }

    fn claims(&self) -> Value {
        json!({
            "iss": self.hostile.issuer, "sub": "ada", "aud": "onrecord", "exp": NOW_S + 300, "iat": NOW_S,
            "nonce": *self.attempt.nonce, "groups": ["staff"],
        })
    }

    async fn person(&self) -> Result<Person, String> {
        self.provider.person("a code", &self.attempt).await.map_err(|error| error.to_string())
    }

    async fn discovered(&self) -> Result<Url, String> {
        self.provider.address_of(&self.begun).await.map_err(|error| error.to_string())
    }
}

#[tokio::test]
async fn a_browser_is_sent_away_with_all_that_is_checked_later() {
    let place = Place::with(&Key::new("k1")).await;
    let url = place.discovered().await.unwrap();
    assert!(url.as_str().starts_with(&format!("{}/authorize?", place.hostile.issuer)), "{url}");
    let sent: std::collections::HashMap<String, String> = url.query_pairs().into_owned().collect();
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "onrecord"),
        ("redirect_uri", "http://localhost:7411/login/callback"),
        ("scope", "openid groups"),
        ("code_challenge_method", "S256"),
        ("state", &place.begun.state),
        ("nonce", &place.begun.nonce),
    ] {
        assert_eq!(sent[name], value, "{name}");
    }
    assert!(!url.as_str().contains(&**place.begun.verifier) && !url.as_str().contains(&**place.begun.cookie));
}

#[tokio::test]
async fn what_a_provider_says_of_itself_is_bounded_and_its_own() {
    let place = Place::with(&Key::new("k1")).await;
    let with = |name: &str, value: Value| {
        let mut document = place.hostile.discovery();
        document[name] = value;
        document.to_string()
    };
    let elsewhere = "http://192.0.2.1/x";
    for (status, text, told) in [
        (200, format!("{{\"issuer\":\"{}\"}}", "x".repeat(2 << 20)), "longer than the limit of 1048576 bytes"),
        (200, with("issuer", "http://localhost/other".into()), "unexpected issuer"),
        (200, with("jwks_uri", elsewhere.into()), "is not https://"),
        (200, with("jwks_uri", "file:///etc/passwd".into()), "cannot be asked"),
        (200, "{".to_owned(), "cannot be read"),
        (200, "[".repeat(100_000), "cannot be read"),
        (302, format!("{}/keys", place.hostile.issuer), "302"),
        (500, "{}".to_owned(), "500"),
    ] {
        place.clock.advance(PAUSE);
        place.hostile.answers_with(DISCOVERY, StatusCode::from_u16(status).unwrap(), text);
        let error = place.discovered().await.unwrap_err();
        assert!(error.contains(told), "{told}: {error}");
    }
    place.clock.advance(PAUSE);
    place.hostile.answers_with(DISCOVERY, StatusCode::OK, with("authorization_endpoint", "javascript:alert(1)".into()));
    assert!(place.discovered().await.is_err());
}

#[tokio::test]
async fn a_provider_that_is_down_is_left_alone_for_a_while() {
    let place = Place::with(&Key::new("k1")).await;
    place.hostile.answers_with(DISCOVERY, StatusCode::SERVICE_UNAVAILABLE, String::new());
    for _ in 0..3 {
        assert!(place.discovered().await.is_err());
    }
    assert_eq!(place.hostile.asked(DISCOVERY), 1);
    place.hostile.says(DISCOVERY, &place.hostile.discovery());
    place.clock.advance(PAUSE);
    assert!(place.discovered().await.is_ok() && place.discovered().await.is_ok());
    assert_eq!((place.hostile.asked(DISCOVERY), place.hostile.asked("/keys")), (2, 1));
    place.clock.advance(BELIEVED);
    assert!(place.discovered().await.is_ok());
    assert_eq!((place.hostile.asked(DISCOVERY), place.hostile.asked("/keys")), (3, 2), "what is old is asked again");
}

#[tokio::test]
async fn keys_change_and_nobody_has_them_asked_for_over_and_over() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let place = Place::with(&old).await;
    place.hostile.vouches(&old.token(&place.claims()));
    assert_eq!(place.person().await.unwrap().groups, ["staff"]);
    // Not listed yet: asked for once.
    place.hostile.vouches(&new.token(&place.claims()));
    for _ in 0..3 {
        assert!(place.person().await.unwrap_err().contains("its key is not one of the provider's"));
    }
    assert_eq!(place.hostile.asked("/keys"), 2);
    place.hostile.says("/keys", &json!({"keys": [new.jwk()]}));
    assert!(place.person().await.is_err(), "asked a moment ago");
    place.clock.advance(KEYS_EVERY);
    assert_eq!(place.person().await.unwrap().subject, "ada");
    assert_eq!((place.hostile.asked("/keys"), place.hostile.asked(DISCOVERY)), (3, 1));
    // The old key is no more.
    place.hostile.vouches(&old.token(&place.claims()));
    assert!(place.person().await.is_err());
}

/// Keys that could not be had, and a login that was given up meanwhile, keep nobody waiting for the new key.
#[tokio::test]
async fn keys_that_did_not_come_are_asked_for_again() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let place = Place::with(&old).await;
    assert!(place.discovered().await.is_ok());
    place.hostile.vouches(&new.token(&place.claims()));
    place.hostile.answers_with("/keys", StatusCode::SERVICE_UNAVAILABLE, String::new());
    for _ in 0..3 {
        assert!(place.person().await.unwrap_err().contains("cannot be asked"));
    }
    assert_eq!(place.hostile.asked("/keys"), 2, "a provider that is down is left alone");
    place.clock.advance(PAUSE);
    // Whoever asks goes away before the answer is there.
    place.hostile.hangs("/keys");
    tokio::select! {
        _ = place.person() => panic!("it has no keys"),
        () = place.hostile.is_asked("/keys", 3) => {}
    }
    place.hostile.says("/keys", &json!({"keys": [new.jwk()]}));
    assert_eq!(place.person().await.unwrap().subject, "ada");
}

/// Whoever makes up ids of keys has the provider asked, and nobody who begins to log in waits for that.
#[tokio::test]
async fn what_is_known_does_not_wait_for_what_is_asked() {
    let place = Place::with(&Key::new("k1")).await;
    assert!(place.discovered().await.is_ok());
    place.hostile.vouches(&Key::new("another").token(&place.claims()));
    place.hostile.hangs("/keys");
    tokio::select! {
        _ = place.person() => panic!("it has no keys"),
        known = async {
            place.hostile.is_asked("/keys", 2).await;
            place.discovered().await
        } => assert!(known.is_ok()),
    }
}

#[tokio::test]
async fn what_comes_for_a_code_is_an_id_token_or_nobody() {
    let key = Key::new("k1");
    let place = Place::with(&key).await;
    place.hostile.answers_with("/token", StatusCode::BAD_REQUEST, json!({"error": "invalid_grant"}).to_string());
    assert_eq!(place.person().await.unwrap_err(), "the identity provider does not take the code");
    for what in [
        json!({"access_token": "x", "token_type": "Bearer"}),
        json!({"access_token": "x", "token_type": "Bearer", "id_token": "a.b.c"}),
        json!({"id_token": key.token(&place.claims())}),
        json!([]),
    ] {
        place.hostile.says("/token", &what);
        let error = place.person().await.unwrap_err();
        assert!(error.starts_with("the id token is not believed"), "{what}: {error}");
    }
    place.hostile.answers_with("/token", StatusCode::OK, " ".repeat(2 << 20));
    assert!(place.person().await.unwrap_err().contains("longer than the limit"));
}
