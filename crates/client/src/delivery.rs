//! One batch to the server, once.

use std::time::Duration;

use host::Host;
use reqwest::blocking::{Client, Response};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url};

use crate::config::{Config, Token};
use crate::receipt::{Receipt, Told};

/// How long a server may take to accept a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// The longest wait that a server may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// Bytes of an answer that is read.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// The type of the problem that a server tells when a batch is over its limits.
const TOO_LARGE: &str = "urn:onrecord:problem:too-large";
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
    /// The batch is too large: for the server, or for whatever stands before it.
    TooLarge {
        /// Whether the server itself says so. Of a single record this is then the last word.
        own: bool,
        /// Why.
        why: String,
    },
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
        // Whoever is named in a redirect was not chosen to see what is recorded.
        let client = client.redirect(Policy::none());
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
    if status.is_success() || status == StatusCode::UNPROCESSABLE_ENTITY {
        let told = serde_json::from_slice::<Told>(&text).ok().and_then(|told| told.of_each(count));
        return match told {
            Some(each) => Answer::Told(each),
            None => {
                Answer::Later { after, why: format!("its answer ({status}) is not one of a server of this version") }
            }
        };
    }
    let problem: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    let detail = problem["detail"].as_str().map(str::to_owned);
    let why = detail.unwrap_or_else(|| format!("it answered {status}"));
    // A 400 says nothing of the records: a body that broke off on its way gets one, and proxies have reasons of their own.
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return Answer::TooLarge { own: problem["type"] == TOO_LARGE, why };
    }
    Answer::Later { after, why }
}

fn read(response: Response) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(response, ANSWER_BYTES_MAX), &mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// What a client makes of an answer, from whoever listens there, and what was asked for.
    fn told(answer: &'static str, count: usize) -> (Answer, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers = std::thread::spawn(move || {
            let mut asked = 0;
            loop {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = Vec::new();
                let mut piece = [0; 1024];
                while !head.ends_with(b"body") {
                    match stream.read(&mut piece).unwrap() {
                        0 => return asked,
                        read => head.extend_from_slice(&piece[..read]),
                    }
                }
                asked += 1;
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let config = Config::new(format!("http://{address}"), "p", "s");
        let delivery = Delivery::new(&config, &config.base().unwrap()).unwrap();
        let answer = delivery.send(&Host::system(), b"body", count, false);
        // One that asks for nothing ends it.
        drop(std::net::TcpStream::connect(address).unwrap());
        (answer, answers.join().unwrap())
    }

    /// T29: what a proxy says, or what becomes of a body that broke off, is no judgement of a record.
    #[test]
    fn only_the_server_itself_refuses_a_record_for_good() {
        let later = |answer| matches!(told(answer, 1).0, Answer::Later { .. });
        assert!(later("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
        assert!(later("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"));
        let of_proxy = "HTTP/1.1 413 Too Large\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>";
        assert!(matches!(told(of_proxy, 1).0, Answer::TooLarge { own: false, .. }));
        let of_server = "HTTP/1.1 413 Too Large\r\nContent-Length: 62\r\nConnection: close\r\n\r\n\
                         {\"type\":\"urn:onrecord:problem:too-large\",\"detail\":\"split it\"}\n";
        let Answer::TooLarge { own: true, why } = told(of_server, 1).0 else { panic!("not the server's") };
        assert_eq!(why, "split it");
    }

    /// Records go to the server that was chosen, and to no other that an answer names.
    #[test]
    fn a_redirect_is_not_followed() {
        for status in ["301 Moved", "307 Temporary Redirect", "308 Permanent Redirect"] {
            let text =
                format!("HTTP/1.1 {status}\r\nLocation: /other\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let (answer, asked) = told(text.leak(), 1);
            assert!(matches!(answer, Answer::Later { .. }), "{status}");
            assert_eq!(asked, 1, "{status}");
        }
    }
}
