//! A server's trail: asked over HTTP, in the words of `/v1`.

use std::io::Read as _;
use std::time::Duration;

use export::Summary;
use query::Answer;
use record::Record;
use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;
use server::EXPORT_SUMMARY;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::text::plain;

/// The environment variable that holds the token.
const TOKEN: &str = "ONRECORD_TOKEN";
/// The one that says why, for readers who must.
const PURPOSE: &str = "ONRECORD_PURPOSE";
/// The trail that is meant where none is named.
const DEFAULT: &str = "-";
/// Bytes of an answer that is read whole.
const ANSWER_BYTES_MAX: u64 = 1 << 30;
/// How often what a busy server refused, or what got no answer, is sent again.
const TRIES: u32 = 6;
/// How long to wait before that, unless the server says.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a server may take to accept a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// A trail of a server.
pub struct Remote {
    client: Client,
    /// Ends in the trail's name and a slash.
    base: Url,
    token: Option<String>,
    purpose: Option<String>,
    server: String,
}

/// What became of a record that was sent.
pub enum Sent {
    Kept(Value),
    Refused(String),
}

/// Whether an argument names a server, and not a folder.
pub fn is_server(trail: &str) -> bool {
    trail.starts_with("http://") || trail.starts_with("https://")
}

impl Remote {
    /// The trail that an argument names; nothing if it names a folder.
    pub fn of(trail: &str) -> Option<Result<Remote, Failure>> {
        is_server(trail).then(|| Remote::new(trail))
    }

    fn new(trail: &str) -> Result<Remote, Failure> {
        let wrong = |why: &str| {
            let what = format!("{} is no server's trail: {why}", plain(trail));
            Failure::wrong_use(what).hint("write http(s)://HOST:7411, or http(s)://HOST:7411/v1/trails/NAME")
        };
        let mut base = Url::parse(trail).map_err(|error| wrong(&error.to_string()))?;
        if base.query().is_some()
            || base.fragment().is_some()
            || base.password().is_some()
            || !base.username().is_empty()
        {
            return Err(wrong("it has more than host and path"));
        }
        let path = base.path().trim_matches('/').to_owned();
        let name = match path.strip_prefix("v1/trails/") {
            None if path.is_empty() => DEFAULT,
            Some(name) if !name.is_empty() && !name.contains('/') => name,
            _ => return Err(wrong("its path is neither empty nor /v1/trails/NAME")),
        };
        base.set_path(&format!("/v1/trails/{name}/"));
        let client = Client::builder().user_agent(concat!("onrecord/", env!("CARGO_PKG_VERSION")));
        // A query has its own limit on the server, and an answer goes on for as long as it does.
        let client = client.connect_timeout(CONNECT_MAX).timeout(None).build();
        let client = client.map_err(|error| Failure::could_not(format!("cannot prepare to ask a server: {error}")))?;
        let of = |name| std::env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let server = base.origin().ascii_serialization();
        Ok(Remote { client, base, token: of(TOKEN), purpose: of(PURPOSE), server })
    }

    /// What went wrong is told of this.
    pub fn server(&self) -> &str {
        &self.server
    }

    fn url(&self, path: &str) -> Result<Url, Failure> {
        self.base
            .join(path)
            .map_err(|error| Failure::wrong_use(format!("{} cannot be asked for: {error}", plain(path))))
    }

    /// A path below the trail, with steps that may hold anything.
    fn url_of(&self, steps: &[&str]) -> Result<Url, Failure> {
        let mut url = self.base.clone();
        let cannot = || Failure::wrong_use(format!("{} cannot be asked", self.server));
        url.path_segments_mut().map_err(|()| cannot())?.pop_if_empty().extend(steps);
        Ok(url)
    }

    fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let request = match &self.purpose {
            Some(purpose) => request.header("onrecord-purpose", purpose.as_bytes()),
            None => request,
        };
        let response = request.send().map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() { Ok(response) } else { Err(self.problem(response)) }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let mut why = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            why = cause.to_string();
            source = cause.source();
        }
        let what = format!("{} cannot be asked: {}", self.server, plain(&why));
        Failure::could_not(what).hint("is the server running, and the address right?")
    }

    /// What a server says that did not do it.
    fn problem(&self, response: Response) -> Failure {
        let status = response.status();
        let text = read(response).unwrap_or_default();
        let problem: Value = serde_json::from_slice(&text).unwrap_or(Value::Null);
        let said = |name: &str| problem[name].as_str().map(plain);
        let exit = match status {
            StatusCode::NOT_FOUND | StatusCode::CONFLICT => Exit::Negative,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => Exit::CouldNot,
            status if status.is_client_error() => Exit::WrongUse,
            _ => Exit::CouldNot,
        };
        let what = said("detail").unwrap_or_else(|| format!("{} answered {status}", self.server));
        let hint = match (status, &self.token) {
            (StatusCode::UNAUTHORIZED, None) => Some(format!("set {TOKEN} to a token of that server")),
            (StatusCode::FORBIDDEN, _) if problem["field"] == "onrecord-purpose" => Some(format!("set {PURPOSE}")),
            _ => said("hint"),
        };
        Failure { exit, what, hint }
    }

    /// A document.
    pub fn document<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, Failure> {
        let mut url = self.url(path)?;
        url.query_pairs_mut().extend_pairs(query);
        let text = read(self.send(self.client.get(url))?).map_err(|error| self.broken(&error))?;
        serde_json::from_slice(&text).map_err(|error| self.unknown(&error))
    }

    /// A document that a body is sent for. It goes as it is: whatever it is, the server says what is wrong with it.
    pub fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
        media_type: &'static str,
        body: Vec<u8>,
    ) -> Result<T, Failure> {
        let mut url = self.url(path)?;
        url.query_pairs_mut().extend_pairs(query);
        let request = self.client.post(url).header(CONTENT_TYPE, media_type).body(body);
        let text = read(self.send(request)?).map_err(|error| self.broken(&error))?;
        serde_json::from_slice(&text).map_err(|error| self.unknown(&error))
    }

    /// Takes something away; what it was is told.
    pub fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let text = read(self.send(self.client.delete(self.url(path)?))?).map_err(|error| self.broken(&error))?;
        serde_json::from_slice(&text).map_err(|error| self.unknown(&error))
    }

    /// An export: what it comes to, and its files as a tar, which come as they are read.
    pub fn export(&self, query: &[(&str, String)]) -> Result<(Summary, Response), Failure> {
        let mut url = self.url("export")?;
        url.query_pairs_mut().extend_pairs(query);
        let response = self.send(self.client.post(url))?;
        let summary = response.headers().get(EXPORT_SUMMARY).map(|value| serde_json::from_slice(value.as_bytes()));
        match summary {
            Some(Ok(summary)) => Ok((summary, response)),
            Some(Err(error)) => Err(self.unknown(&error)),
            None => Err(self.unknown(&"an export that does not say what it comes to")),
        }
    }

    /// One record with everything about it, as the server writes it.
    pub fn record(&self, id: &str) -> Result<String, Failure> {
        let mut url = self.url_of(&["records", id])?;
        url.set_query(Some("about=true"));
        let text = read(self.send(self.client.get(url))?).map_err(|error| self.broken(&error))?;
        String::from_utf8(text).map_err(|error| self.unknown(&error))
    }

    /// The proof of a record, its digest, and the log's key as the server says it.
    pub fn proof(&self, id: &str) -> Result<(String, String, String), Failure> {
        let response = self.send(self.client.get(self.url_of(&["records", id, "proof"])?))?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (digest, key) = (header("onrecord-digest"), header("onrecord-log-key"));
        let (Some(digest), Some(key)) = (digest, key) else { return Err(self.unknown(&"a proof without its digest")) };
        let text = read(response).map_err(|error| self.broken(&error))?;
        Ok((String::from_utf8(text).map_err(|error| self.unknown(&error))?, digest, key))
    }

    /// The rows of a search.
    pub fn search(&self, query: &[(&str, String)]) -> Result<Answer, Failure> {
        let mut url = self.url("records")?;
        url.query_pairs_mut().extend_pairs(query);
        self.rows(self.client.get(url))
    }

    /// The rows of a query.
    pub fn sql(&self, query: &str) -> Result<Answer, Failure> {
        let body = serde_json::json!({ "query": query }).to_string();
        self.rows(self.client.post(self.url("sql")?).header(CONTENT_TYPE, "application/json").body(body))
    }

    /// Rows with their types, all of them; an answer that broke off is an error.
    fn rows(&self, request: RequestBuilder) -> Result<Answer, Failure> {
        let response = self.send(request.header(ACCEPT, "application/vnd.apache.arrow.stream"))?;
        let bytes = read(response).map_err(|error| self.broken(&error))?;
        let rows = lake::guarded(|| {
            let reader = arrow::ipc::reader::StreamReader::try_new(&*bytes, None)?;
            let schema = reader.schema();
            let batches = reader.collect::<Result<Vec<_>, _>>()?;
            arrow::compute::concat_batches(&schema, &batches)
        });
        let rows = rows.map_err(|panic| self.unknown(&panic))?;
        Ok(Answer::of_rows(rows.map_err(|error| self.unknown(&error))?))
    }

    /// Sends records; what became of each, in order. What a busy server refused is sent again, and so is what got no
    /// answer: each record must have an id.
    pub fn append(&self, records: &[Record]) -> Result<Vec<Sent>, Failure> {
        let mut body = Vec::new();
        for record in records {
            body.extend(record::record_to_cbor(record)?);
        }
        let mut url = self.url("records")?;
        url.set_query(Some("import=true"));
        let mut tries = 1;
        loop {
            let request = self.client.post(url.clone()).header(CONTENT_TYPE, "application/cbor-seq").body(body.clone());
            let request = match &self.token {
                Some(token) => request.bearer_auth(token),
                None => request,
            };
            let pause = match request.send() {
                Ok(response)
                    if response.status().is_success() || response.status() == StatusCode::UNPROCESSABLE_ENTITY =>
                {
                    let text = read(response).map_err(|error| self.broken(&error))?;
                    let told = serde_json::from_slice(&text).map_err(|error| self.unknown(&error))?;
                    return outcomes(records.len(), told).ok_or_else(|| self.unknown(&"receipts that do not add up"));
                }
                Ok(response) if is_busy(response.status()) && tries < TRIES => wait_said(&response),
                Ok(response) => return Err(self.problem(response)),
                Err(_) if tries < TRIES => PAUSE,
                Err(error) => return Err(self.unreachable(&error)),
            };
            tries += 1;
            std::thread::sleep(pause);
        }
    }

    fn broken(&self, error: &dyn std::fmt::Display) -> Failure {
        let what = format!("the answer of {} broke off: {}", self.server, plain(&error.to_string()));
        Failure::could_not(what).hint("ask for less, or again; the server's log says why")
    }

    fn unknown(&self, error: &dyn std::fmt::Display) -> Failure {
        let why = plain(&error.to_string());
        let what = format!("the answer of {} is not one that this command knows: {why}", self.server);
        Failure::could_not(what).hint("are both of the same version?")
    }
}

fn is_busy(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

fn wait_said(response: &Response) -> Duration {
    let said = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    said.map_or(PAUSE, Duration::from_secs).min(Duration::from_secs(30))
}

fn read(response: Response) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    response.take(ANSWER_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > ANSWER_BYTES_MAX {
        return Err(std::io::Error::other(format!("it is longer than {ANSWER_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

/// What became of each of so many records: errors by position, receipts of the others in order.
fn outcomes(count: usize, mut told: Value) -> Option<Vec<Sent>> {
    let mut refused = std::collections::BTreeMap::new();
    for error in told["errors"].as_array()? {
        let position = usize::try_from(error["position"].as_u64()?).ok()?;
        refused.insert(position, error["error"]["detail"].as_str()?.to_owned());
    }
    let receipts = match told.get_mut("receipts").map(Value::take) {
        Some(Value::Array(receipts)) => receipts,
        _ => Vec::new(),
    };
    let mut receipts = receipts.into_iter();
    let of = |position| match refused.remove(&position) {
        Some(reason) => Some(Sent::Refused(reason)),
        None => receipts.next().map(Sent::Kept),
    };
    let outcomes: Vec<Sent> = (0..count).map(of).collect::<Option<_>>()?;
    (receipts.next().is_none() && refused.is_empty()).then_some(outcomes)
}

/// What a verb that works on folders alone says.
pub fn not_yet(trail: &str) -> Failure {
    let what = format!("{} is a server, and this verb works on a trail's folder alone", plain(trail));
    Failure::wrong_use(what)
        .hint("append, search, sql, show, prove, export, stats, gaps, groups, sample and reconcile work on servers too")
}
