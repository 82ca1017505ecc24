//! One batch to the server, once.

use std::time::Duration;

use host::Host;
use reqwest::blocking::{Client, Response};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{StatusCode, Url};

use crate::config::{Config, Token};
use crate::receipt::{Receipt, Told};

/// How long a server may take to accept a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// The longest wait that a server may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// Bytes of an answer that is read.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// Bodies below this are sent as they are.
const PACK_BYTES_MIN: usize = 1024;

/// The way to a trail of a server.
pub struct Delivery {
    client: Client,
    url: Url,
    token: Token,
}

/// What came of it.
pub enum Answer {
    /// What became of each record, in order.
    Told(Vec<Result<Receipt, String>>),
    /// The batch as such is not taken: its size, or something in it.
    Malformed(String),
    /// Not now.
    Later {
        /// When the server wants to be asked again, if it said so.
        after: Option<Duration>,
        /// Why.
        why: String,
    },
}

impl Delivery {
    /// Nothing is asked yet.
    pub fn new(config: &Config, base: &Url) -> Result<Delivery, reqwest::Error> {
        let client = Client::builder().user_agent(concat!("onrecord-client/", env!("CARGO_PKG_VERSION")));
        let client = client.connect_timeout(CONNECT_MAX).timeout(config.request_timeout).build()?;
        let mut url = base.clone();
        url.set_path(&format!("{}records", base.path()));
        Ok(Delivery { client, url, token: config.token.clone() })
    }

    /// The server, as it is named to people.
    pub fn server(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Sends a CBOR sequence of so many records. `import` says that some may be older than the idempotency window.
    pub fn send(&self, host: &Host, body: &[u8], count: usize, import: bool) -> Answer {
        let mut url = self.url.clone();
        url.set_query(import.then_some("import=true"));
        let request = self.client.post(url).header(CONTENT_TYPE, "application/cbor-seq");
        let packed = (body.len() >= PACK_BYTES_MIN).then(|| zstd::bulk::compress(body, 1).ok()).flatten();
        let request = match packed {
            Some(packed) => request.header(CONTENT_ENCODING, "zstd").body(packed),
            None => request.body(body.to_vec()),
        };
        let request = match self.token(host) {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        match request.send() {
            Ok(response) => answer(response, count),
            Err(error) => Answer::Later { after: None, why: innermost(&error) },
        }
    }

    fn token(&self, host: &Host) -> Option<String> {
        let text = match &self.token {
            Token::Env(name) => std::env::var(name).ok()?,
            Token::File(path) => String::from_utf8(host.read_if_there(path, "token").ok()??).ok()?,
        };
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }
}

fn innermost(error: &reqwest::Error) -> String {
    let mut why = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        why = cause.to_string();
        source = cause.source();
    }
    why
}

fn answer(response: Response, count: usize) -> Answer {
    let status = response.status();
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let after = after.map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
    let text = match read(response) {
        Ok(text) => text,
        // Whether it was taken is not known; ids make that no matter.
        Err(error) => return Answer::Later { after, why: format!("its answer broke off: {error}") },
    };
    let detail = || {
        let problem: Option<serde_json::Value> = serde_json::from_slice(&text).ok();
        let detail = problem.and_then(|problem| problem["detail"].as_str().map(str::to_owned));
        detail.unwrap_or_else(|| format!("it answered {status}"))
    };
    if status.is_success() || status == StatusCode::UNPROCESSABLE_ENTITY {
        let told = serde_json::from_slice::<Told>(&text).ok().and_then(|told| told.of_each(count));
        return match told {
            Some(each) => Answer::Told(each),
            None => {
                Answer::Later { after, why: format!("its answer ({status}) is not one of a server of this version") }
            }
        };
    }
    match status {
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => Answer::Malformed(detail()),
        _ => Answer::Later { after, why: detail() },
    }
}

fn read(response: Response) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(response, ANSWER_BYTES_MAX), &mut text)?;
    Ok(text)
}
