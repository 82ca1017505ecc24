//! People log in by OpenID Connect: the authorization code flow with PKCE.
//!
//! ```text
//! GET /login ──► attempts: state, nonce, verifier, bound to a cookie ──► 303 to the provider
//! GET /login/callback ──► the browser's attempt, once ──► provider: code for id token ──► id_token: all of it checked
//!        └─► groups ─► roles (access) ─► none: refused, on record
//!                                    └─► `login` is durable ─► session, cookie ─► 303 to where they wanted to go
//! ```
//!
//! What a session's cookie authorises is in `guard`; that a page of ours sent it, in `cross_site`.

mod attempts;
mod fetch;
mod handlers;
#[cfg(test)]
mod hostile;
mod id_token;
mod next;
mod page;
mod provider;
pub mod settings;

use std::time::Duration;

use host::Host;
use tokio::sync::{Semaphore, SemaphorePermit};

pub use handlers::{begin, callback, logout, me};
pub use settings::LoginSettings;

use crate::config::ConfigError;
use crate::cookie::Cookie;
use attempts::Attempts;
use provider::Provider;

/// Logins at once of which the provider is asked (I12). It is also how many more than may fail of one source are tried:
/// whoever comes later finds those counted.
const ASKING_MAX: usize = 16;

/// How people log in here.
pub struct Login {
    provider: Provider,
    attempts: Attempts,
    asking: Semaphore,
    /// Of a login that has begun.
    attempt: Cookie,
    /// Of a session.
    pub session: Cookie,
    /// This server's own, as browsers name it.
    pub origin: String,
}

impl Login {
    /// As the settings say. Reads the client's secret; asks nobody.
    pub fn new(host: &Host, settings: &LoginSettings) -> Result<Login, ConfigError> {
        let of = |(field, what)| ConfigError::Field { field, what };
        settings.check().map_err(of)?;
        let redirect = settings.redirect().map_err(of)?;
        let tls = redirect.scheme() == "https";
        Ok(Login {
            provider: Provider::new(host, settings).map_err(of)?,
            attempts: Attempts::new(host),
            asking: Semaphore::new(ASKING_MAX),
            attempt: Cookie::new("onrecord-login", tls),
            session: Cookie::new("onrecord", tls),
            origin: redirect.origin().ascii_serialization(),
        })
    }

    /// One of the logins of which the provider may be asked, if it comes to that within the time.
    async fn turn(&self, wait: Duration) -> Option<SemaphorePermit<'_>> {
        tokio::time::timeout(wait, self.asking.acquire()).await.ok()?.ok()
    }
}
