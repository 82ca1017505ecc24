//! An identity provider: what it says of itself, its keys as they change, and codes for id tokens.

use std::sync::Arc;
use std::time::Duration;

use access::Person;
use host::Host;
use openidconnect::core::{CoreAuthenticationFlow, CoreClientAuthMethod, CoreJsonWebKeySet, CoreProviderMetadata};
use openidconnect::{
    AuthType, AuthorizationCode, ClientId, ClientSecret, CsrfToken, DiscoveryError, IssuerUrl, Nonce,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, TokenResponse as _,
};
use url::Url;

use super::attempts::{Attempt, Begun};
use super::fetch::{Fetch, FetchError};
use super::id_token::{Expected, IdTokenError, ProviderClient, Unchecked, person};
use super::settings::{LoginSettings, Wrong, address};

/// How long what a provider says of itself is believed; its keys as well.
const BELIEVED: Duration = Duration::from_secs(3600);
/// How often keys are asked for again because an id token names one that is not known.
const KEYS_EVERY: Duration = Duration::from_secs(60);
/// How long a provider that could not be asked is left alone.
const PAUSE: Duration = Duration::from_secs(5);

/// Why a provider vouched for nobody.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It could not be asked, or what it says of itself is not usable.
    #[error("the identity provider cannot be asked: {0}")]
    Unreachable(String),
    /// It does not take the code, or the client.
    #[error("the identity provider does not take the code")]
    Code,
    /// What it says is not believed.
    #[error("the id token is not believed: {0}")]
    IdToken(#[from] IdTokenError),
}

/// A provider, and who we are to it.
pub struct Provider {
    host: Host,
    fetch: Fetch,
    issuer: IssuerUrl,
    client_id: ClientId,
    client_secret: Option<ClientSecret>,
    redirect: RedirectUrl,
    scopes: Vec<Scope>,
    groups_claim: String,
    known: parking_lot::Mutex<Known>,
    /// Held while it is asked: however many log in, it is asked once. What is known already does not wait for it.
    asking: tokio::sync::Mutex<()>,
}

/// What is known of it. Times are monotonic, and of when an answer came: a request that broke off leaves nothing behind.
#[derive(Default)]
struct Known {
    metadata: Option<(Arc<CoreProviderMetadata>, Duration)>,
    keys_asked: Option<Duration>,
    failed: Option<(String, Duration)>,
}

impl Known {
    /// What it says of itself, as long as that is believed.
    fn metadata(&self, now: Duration) -> Option<Arc<CoreProviderMetadata>> {
        let believed = self.metadata.as_ref().filter(|(_, asked)| now < *asked + BELIEVED);
        believed.map(|(metadata, _)| Arc::clone(metadata))
    }

    /// An error as long as it is left alone.
    fn may_be_asked(&self, now: Duration) -> Result<(), ProviderError> {
        match &self.failed {
            Some((why, at)) if now < *at + PAUSE => Err(ProviderError::Unreachable(why.clone())),
            _ => Ok(()),
        }
    }
}

impl Provider {
    /// The provider of these settings. It is not asked before somebody logs in.
    pub fn new(host: &Host, settings: &LoginSettings) -> Result<Provider, Wrong> {
        let wrong = |field, error: &dyn std::fmt::Display| (field, error.to_string());
        let issuer = IssuerUrl::new(settings.issuer.clone()).map_err(|error| wrong("login.issuer", &error))?;
        Ok(Provider {
            host: host.clone(),
            fetch: Fetch::new().map_err(|error| wrong("login", &error))?,
            issuer,
            client_id: ClientId::new(settings.client_id.clone()),
            client_secret: settings.secret(host)?.map(ClientSecret::new),
            redirect: RedirectUrl::from_url(settings.redirect()?),
            scopes: settings.scopes.iter().cloned().map(Scope::new).collect(),
            groups_claim: settings.groups_claim.clone(),
            known: parking_lot::Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        })
    }

    /// The provider's own name.
    pub fn issuer(&self) -> &str {
        self.issuer.as_str()
    }

    /// Where a browser is sent to log in.
    pub async fn address_of(&self, begun: &Begun) -> Result<Url, ProviderError> {
        let metadata = self.metadata().await?;
        let (state, nonce) = (CsrfToken::new(begun.state.to_string()), Nonce::new(begun.nonce.to_string()));
        let verifier = PkceCodeVerifier::new(begun.verifier.to_string());
        let client = self.client(&metadata);
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let request = client
            .authorize_url(flow, move || state, move || nonce)
            .add_scopes(self.scopes.iter().cloned())
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        let (url, ..) = request.url();
        address(url.as_str()).map_err(ProviderError::Unreachable)
    }

    /// Who logged in: the code that came back is given for an id token, and that is checked.
    pub async fn person(&self, code: &str, attempt: &Attempt) -> Result<Person, ProviderError> {
        let metadata = self.metadata().await?;
        let token = self.exchange(&metadata, code, attempt).await?;
        let nonce = Nonce::new(attempt.nonce.to_string());
        let expected = |provider| Expected {
            provider,
            client_id: &self.client_id,
            nonce: &nonce,
            groups_claim: &self.groups_claim,
            now_ns: self.host.now_ns(),
        };
        match person(&token, &expected(&metadata)) {
            // Keys are changed now and then; the new one is listed by then.
            Err(IdTokenError::UnknownKey) => {
                let metadata = self.newer_keys().await?;
                Ok(person(&token, &expected(&metadata))?)
            }
            told => Ok(told?),
        }
    }

    async fn exchange(
        &self,
        metadata: &CoreProviderMetadata,
        code: &str,
        attempt: &Attempt,
    ) -> Result<Unchecked, ProviderError> {
        let unreachable = |error: &dyn std::fmt::Display| ProviderError::Unreachable(error.to_string());
        let client = self.client(metadata);
        let request = client.exchange_code(AuthorizationCode::new(code.to_owned())).map_err(|e| unreachable(&e))?;
        let request = request.set_pkce_verifier(PkceCodeVerifier::new(attempt.verifier.to_string()));
        let ask = self.fetch.as_fn();
        let tokens = request.request_async(&ask).await.map_err(|error| match error {
            RequestTokenError::Request(error) => unreachable(&error),
            // What it answered holds no secret of ours, and is for the log: a page says less.
            RequestTokenError::ServerResponse(said) => {
                tracing::warn!(error = said.error().as_ref(), "the identity provider does not take a code");
                ProviderError::Code
            }
            error => {
                tracing::warn!(%error, "the identity provider's answer to a code cannot be read");
                ProviderError::IdToken(IdTokenError::Form)
            }
        })?;
        tokens.id_token().cloned().ok_or(ProviderError::IdToken(IdTokenError::Form))
    }

    fn client(&self, metadata: &CoreProviderMetadata) -> ProviderClient {
        let (id, secret) = (self.client_id.clone(), self.client_secret.clone());
        let client = ProviderClient::from_provider_metadata(metadata.clone(), id, secret);
        let ways = metadata.token_endpoint_auth_methods_supported();
        let in_body = ways.is_some_and(|ways| {
            !ways.contains(&CoreClientAuthMethod::ClientSecretBasic)
                && ways.contains(&CoreClientAuthMethod::ClientSecretPost)
        });
        let way = if in_body { AuthType::RequestBody } else { AuthType::BasicAuth };
        client.set_redirect_uri(self.redirect.clone()).set_auth_type(way)
    }

    /// What the provider says of itself, asked for where that is long ago.
    async fn metadata(&self) -> Result<Arc<CoreProviderMetadata>, ProviderError> {
        if let Some(metadata) = self.known.lock().metadata(self.host.monotonic()) {
            return Ok(metadata);
        }
        let _asking = self.asking.lock().await;
        {
            // Whoever asked before may have been told meanwhile.
            let (known, now) = (self.known.lock(), self.host.monotonic());
            if let Some(metadata) = known.metadata(now) {
                return Ok(metadata);
            }
            known.may_be_asked(now)?;
        }
        let ask = self.fetch.as_fn();
        let metadata = CoreProviderMetadata::discover_async(self.issuer.clone(), &ask).await;
        let metadata = Arc::new(metadata.map_err(|error| self.failed(&error))?);
        let asked = self.host.monotonic();
        *self.known.lock() = Known { metadata: Some((Arc::clone(&metadata), asked)), keys_asked: None, failed: None };
        Ok(metadata)
    }

    /// The same with its keys of now, or with those that are known if they were asked for a moment ago: who makes up ids
    /// of keys cannot have the provider asked over and over.
    async fn newer_keys(&self) -> Result<Arc<CoreProviderMetadata>, ProviderError> {
        let before = self.metadata().await?;
        let _asking = self.asking.lock().await;
        {
            let (known, now) = (self.known.lock(), self.host.monotonic());
            if known.keys_asked.is_some_and(|asked| now < asked + KEYS_EVERY) {
                return Ok(known.metadata(now).unwrap_or(before));
            }
            known.may_be_asked(now)?;
        }
        let ask = self.fetch.as_fn();
        let keys = CoreJsonWebKeySet::fetch_async(before.jwks_uri(), &ask).await;
        let keys = keys.map_err(|error| self.failed(&error))?;
        let metadata = Arc::new(CoreProviderMetadata::clone(&before).set_jwks(keys));
        let mut known = self.known.lock();
        known.keys_asked = Some(self.host.monotonic());
        if let Some((known, _)) = &mut known.metadata {
            *known = Arc::clone(&metadata);
        }
        Ok(metadata)
    }

    /// It could not be asked, and is left alone for a while.
    fn failed(&self, error: &DiscoveryError<FetchError>) -> ProviderError {
        let why = told(error);
        tracing::warn!(issuer = self.issuer(), why, "the identity provider cannot be asked");
        self.known.lock().failed = Some((why.clone(), self.host.monotonic()));
        ProviderError::Unreachable(why)
    }
}

/// What went wrong, without the answer's bytes.
fn told(error: &DiscoveryError<FetchError>) -> String {
    match error {
        DiscoveryError::Request(error) => error.to_string(),
        DiscoveryError::Response(status, _, what) => format!("it answered {status}: {what}"),
        DiscoveryError::Parse(error) => format!("its answer cannot be read: {error}"),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
