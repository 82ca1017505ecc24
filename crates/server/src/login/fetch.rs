//! What is asked of a provider: within a time, without redirects, by TLS, and no more of an answer than a bound.

use std::time::Duration;

use futures::future::BoxFuture;
use openidconnect::{HttpRequest, HttpResponse};

use super::settings::address;

/// Bytes of an answer: a discovery document, keys, tokens (I12).
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Time for a whole answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Why a provider gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The address may not be asked.
    #[error("an address that it names is not asked: {0}")]
    Address(String),
    /// It could not be asked, or the answer broke off.
    #[error("{}", innermost(.0))]
    Request(#[from] reqwest::Error),
    /// The answer is too long.
    #[error("the answer is longer than the limit of {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
}

/// The cause at the bottom; those above say that something failed.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Asks a provider.
#[derive(Clone)]
pub struct Fetch(reqwest::Client);

impl Fetch {
    /// Certificates are held against those that the system trusts.
    pub fn new() -> Result<Fetch, FetchError> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("onrecord/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER_MAX);
        Ok(Fetch(client.build()?))
    }

    /// As the library asks for it.
    pub fn as_fn(&self) -> impl Fn(HttpRequest) -> BoxFuture<'static, Result<HttpResponse, FetchError>> + use<> {
        let client = self.0.clone();
        move |request| Box::pin(ask(client.clone(), request))
    }
}

async fn ask(client: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, FetchError> {
    let (parts, body) = request.into_parts();
    // Also what the discovery document names.
    let url = address(&parts.uri.to_string()).map_err(FetchError::Address)?;
    let mut answer = client.request(parts.method, url).headers(parts.headers).body(body).send().await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(FetchError::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    let mut response = HttpResponse::new(bytes);
    *response.status_mut() = answer.status();
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(response)
}
