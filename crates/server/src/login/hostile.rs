//! For tests alone: a provider that says whatever a test has it say, and keys that sign whatever it likes. A real one,
//! which tells no lies, is asked in tests/login.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::CONTENT_TYPE;
use http::{StatusCode, Uri};
use parking_lot::Mutex;
use rcgen::{KeyPair, PKCS_ED25519, SigningKey as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// A key that signs id tokens.
pub struct Key {
    pub id: &'static str,
    pair: KeyPair,
}

pub fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Key {
    pub fn new(id: &'static str) -> Key {
        Key { id, pair: KeyPair::generate_for(&PKCS_ED25519).unwrap() }
    }

    pub fn public(&self) -> &[u8] {
        self.pair.public_key_raw()
    }

    pub fn jwk(&self) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.id, "x": base64(self.public())})
    }

    pub fn token(&self, claims: &Value) -> String {
        let signed = unsigned(&json!({"alg": "EdDSA", "kid": self.id, "typ": "JWT"}), claims);
        let signature = base64(&self.pair.sign(signed.as_bytes()).unwrap());
        format!("{signed}.{signature}")
    }
}

/// Header and payload, without a signature.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", base64(header.to_string().as_bytes()), base64(claims.to_string().as_bytes()))
}

/// A provider on a port of its own.
pub struct Hostile {
    pub issuer: String,
    answers: Arc<Mutex<Answers>>,
    told: Arc<Notify>,
}

#[derive(Default)]
struct Answers {
    by_path: HashMap<String, (StatusCode, String)>,
    hanging: HashSet<String>,
    asked: HashMap<String, usize>,
}

pub const DISCOVERY: &str = "/.well-known/openid-configuration";

impl Hostile {
    /// One that behaves, with this key, until it is told something else.
    pub async fn start(key: &Key) -> Hostile {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let answers = Arc::new(Mutex::new(Answers::default()));
        let told = Arc::new(Notify::new());
        let shared = (Arc::clone(&answers), Arc::clone(&told));
        let answer = move |uri: Uri| async move {
            let (answers, told) = shared;
            let answered = answer(&answers, uri.path());
            told.notify_waiters();
            match answered {
                Some(response) => response,
                None => std::future::pending().await,
            }
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        let hostile = Hostile { issuer, answers, told };
        hostile.says(DISCOVERY, &hostile.discovery());
        hostile.says("/keys", &json!({"keys": [key.jwk()]}));
        hostile
    }

    pub fn discovery(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.issuer);
        json!({
            "issuer": self.issuer, "authorization_endpoint": at("/authorize"), "token_endpoint": at("/token"),
            "jwks_uri": at("/keys"), "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["EdDSA"],
        })
    }

    pub fn says(&self, path: &str, what: &Value) {
        self.answers_with(path, StatusCode::OK, what.to_string());
    }

    pub fn answers_with(&self, path: &str, status: StatusCode, text: String) {
        let mut answers = self.answers.lock();
        answers.hanging.remove(path);
        answers.by_path.insert(path.to_owned(), (status, text));
    }

    /// It takes what is asked, and answers nothing.
    pub fn hangs(&self, path: &str) {
        self.answers.lock().hanging.insert(path.to_owned());
    }

    /// Waits until it was asked so often.
    pub async fn is_asked(&self, path: &str, times: usize) {
        loop {
            let told = self.told.notified();
            if self.asked(path) >= times {
                return;
            }
            told.await;
        }
    }

    /// The token that a code is given for, whatever the code.
    pub fn vouches(&self, token: &str) {
        self.says("/token", &json!({"access_token": "x", "token_type": "Bearer", "id_token": token}));
    }

    pub fn asked(&self, path: &str) -> usize {
        self.answers.lock().asked.get(path).copied().unwrap_or_default()
    }
}

fn answer(answers: &Mutex<Answers>, path: &str) -> Option<Response> {
    let mut answers = answers.lock();
    *answers.asked.entry(path.to_owned()).or_default() += 1;
    if answers.hanging.contains(path) {
        return None;
    }
    Some(match answers.by_path.get(path).cloned() {
        Some((status, text)) if status.is_redirection() => (status, [(http::header::LOCATION, text)]).into_response(),
        Some((status, text)) => (status, [(CONTENT_TYPE, "application/json")], text).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    })
}
