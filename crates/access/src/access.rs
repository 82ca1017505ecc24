//! Everything at hand to say who asks and what they may.

use std::net::IpAddr;
use std::path::Path;

use host::{FileError, Host};

use crate::cedar::{Policies, PolicyError};
use crate::certificate;
use crate::failures::Failures;
use crate::folder::AccessFolder;
use crate::grant::{Asked, Grant, Rules};
use crate::permission::Permission;
use crate::principal::{Principal, Resource};
use crate::refused::{Reason, Refused};
use crate::sessions::{NewSession, Sessions};
use crate::settings::{Settings, SettingsError};
use crate::store::StoreError;
use crate::tokens::Tokens;

/// What someone shows to say who they are.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// A token's text.
    Bearer(&'a str),
    /// The certificate of a TLS client, which TLS has checked: its DER.
    Certificate {
        /// The end entity's certificate.
        der: &'a [u8],
    },
    /// The id of a session.
    Session(&'a str),
}

impl std::fmt::Debug for Credential<'_> {
    /// Secrets have no business in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Credential::Bearer(_) => "Bearer",
            Credential::Certificate { .. } => "Certificate",
            Credential::Session(_) => "Session",
        })
    }
}

/// Why access control cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A site's policies.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// `access.toml`.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A file that is kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key of masks is not what was put there.
    #[error("{} does not hold the 32 bytes of a key; put the right file back, or take it away and hashes show anew", .0.display())]
    MaskKey(std::path::PathBuf),
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Who may do what on one server.
pub struct Access {
    host: Host,
    rules: Rules,
    tokens: Tokens,
    sessions: Sessions,
    failures: Failures,
}

impl Access {
    /// Reads what the server's folder says, and checks all of it. Where nothing is there, nobody gets anything.
    ///
    /// # Errors
    /// [`AccessError`], which names the file, and the line where there is one.
    pub fn open(host: &Host, server_folder: impl AsRef<Path>) -> Result<Access, AccessError> {
        let folder = AccessFolder::of(server_folder.as_ref());
        let settings = Settings::read(host, &folder.settings())?;
        let policies = Policies::new(&Policies::read_folder(host, &folder.policies())?)?;
        let mask_key = mask_key(host, &folder)?;
        Ok(Access {
            host: host.clone(),
            rules: Rules { policies, settings, mask_key },
            tokens: Tokens::open(host, server_folder.as_ref())?,
            sessions: Sessions::new(host),
            failures: Failures::default(),
        })
    }

    /// Who shows that credential.
    ///
    /// # Errors
    /// [`Refused`], whose [`public`](Refused::public) text is the same whatever was wrong.
    pub fn authenticate(&self, credential: &Credential<'_>, now_ns: i64) -> Result<Principal, Refused> {
        let principal = match credential {
            Credential::Bearer(text) => self.tokens.find(text, now_ns).map(|token| token.principal()),
            Credential::Certificate { der } => certificate::service(&self.rules.settings.certificates, der, now_ns),
            Credential::Session(id) => self.sessions.find(id),
        };
        principal.map_err(Refused::of)
    }

    /// As [`Access::authenticate`], and where too many attempts of that source failed lately, no attempt at all.
    ///
    /// # Errors
    /// As [`Access::authenticate`], and [`Reason::TooMany`].
    pub fn authenticate_from(
        &self,
        source: IpAddr,
        credential: &Credential<'_>,
        now_ns: i64,
    ) -> Result<Principal, Refused> {
        let now = self.host.monotonic();
        let at = claimed(credential);
        self.failures.may_try(source, at, now).map_err(|retry_after| Refused::of(Reason::TooMany { retry_after }))?;
        let done = self.authenticate(credential, now_ns);
        if done.is_err() {
            self.failures.failed(source, at, now);
        }
        done
    }

    /// Whether a principal may, and what it may see or append then.
    ///
    /// # Errors
    /// [`Refused`], which says what was missing.
    pub fn authorize(
        &self,
        principal: &Principal,
        permission: Permission,
        resource: &Resource<'_>,
        purpose: Option<&str>,
        now_ns: i64,
    ) -> Result<Grant, Refused> {
        self.rules.decide(&Asked { principal, permission, resource: *resource, purpose, now_ns })
    }

    /// The tokens.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Begins a session of a person whom an identity provider has vouched for.
    pub fn begin_session(&self, person: Principal) -> NewSession {
        self.sessions.begin(person)
    }

    /// Whether a form of that session was sent by the session's own page.
    pub fn is_csrf(&self, session: &str, csrf: &str) -> bool {
        self.sessions.is_csrf(session, csrf)
    }

    /// What that session's forms must send back.
    pub fn csrf(&self, session: &str) -> Option<zeroize::Zeroizing<String>> {
        self.sessions.csrf(session)
    }

    /// Ends a session.
    pub fn end_session(&self, session: &str) {
        self.sessions.end(session);
    }
}

/// Whom a credential claims to be of, where it says so in clear.
fn claimed<'a>(credential: &Credential<'a>) -> Option<&'a str> {
    match credential {
        Credential::Bearer(text) => text.split('_').nth(1),
        Credential::Certificate { .. } | Credential::Session(_) => None,
    }
}

/// The key of masks that hash; made where there is none.
fn mask_key(host: &Host, folder: &AccessFolder) -> Result<[u8; 32], AccessError> {
    let path = folder.mask_key();
    let read = || match host.read_if_there(&path, "mask-key")? {
        None => Ok(None),
        Some(bytes) => <[u8; 32]>::try_from(&*bytes).map(Some).map_err(|_| AccessError::MaskKey(path.clone())),
    };
    if let Some(key) = read()? {
        return Ok(key);
    }
    folder.make(host)?;
    let key = host.random::<32>();
    match host.put_new_with_mode(&path, &key, "mask-key", 0o600) {
        Ok(()) => Ok(key),
        // Another process was quicker.
        Err(FileError::AlreadyExists { .. }) => read()?.ok_or(AccessError::MaskKey(path.clone())),
        Err(error) => Err(error.into()),
    }
}
