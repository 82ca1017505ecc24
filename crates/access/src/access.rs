//! Everything at hand to say who asks and what they may.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use host::{FileError, Host};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::acts::{Act, ActError, Acts, Approved, Proposal};
use crate::cedar::{DEFAULT_POLICY, Policies, PolicyError, Source};
use crate::certificate;
use crate::failures::{Attempt, Failures};
use crate::folder::{AccessFolder, SETTINGS_FILE};
use crate::grant::{Asked, Grant, Rules};
use crate::names::is_name;
use crate::permission::Permission;
use crate::person::Person;
use crate::principal::{PERSON, Principal, PrincipalKind, Resource};
use crate::refused::{Reason, Refused};
use crate::remembered::Remembered;
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
    MaskKey(PathBuf),
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Who may do what on one server.
pub struct Access {
    pub(crate) host: Host,
    pub(crate) server_folder: PathBuf,
    pub(crate) rules: ArcSwap<Rules>,
    tokens: Tokens,
    pub(crate) acts: Acts,
    /// Held while policies change.
    pub(crate) changing: Mutex<()>,
    remembered: Remembered,
    sessions: Sessions,
    failures: Failures,
}

impl Access {
    /// Reads what the server's folder says, and checks all of it. Where nothing is there, nobody gets anything.
    ///
    /// # Errors
    /// [`AccessError`], which names the file, and the line where there is one.
    pub fn open(host: &Host, server_folder: impl AsRef<Path>) -> Result<Access, AccessError> {
        let folder = server_folder.as_ref();
        // Checked before anything is made.
        let access = Access::check(host, folder)?;
        let mask_key = mask_key(host, &AccessFolder::of(folder))?;
        access.rules.rcu(|rules| Rules { mask_key, ..Rules::clone(rules) });
        Ok(access)
    }

    /// As [`Access::open`], and writes nothing: for a test of policies, whose masks hash by no key that lasts.
    ///
    /// # Errors
    /// As [`Access::open`].
    pub fn check(host: &Host, server_folder: impl AsRef<Path>) -> Result<Access, AccessError> {
        let server_folder = server_folder.as_ref();
        let folder = AccessFolder::of(server_folder);
        let settings = Settings::text(host, &folder.settings())?;
        let site = Policies::read_folder(host, &folder.policies())?;
        Ok(Access {
            host: host.clone(),
            server_folder: server_folder.to_owned(),
            rules: ArcSwap::from_pointee(rules(&folder, site, settings, host.random())?),
            tokens: Tokens::open(host, server_folder)?,
            acts: Acts::open(host, server_folder)?,
            changing: Mutex::default(),
            remembered: Remembered::default(),
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
            Credential::Certificate { der } => {
                certificate::service(&self.rules.load().settings.certificates, der, now_ns)
            }
            // By the rules as they are now: a session outlives a change of them.
            Credential::Session(id) => {
                self.sessions.find(id).map(|person| self.person(&person.subject, &person.name, &person.groups))
            }
        };
        principal.map_err(Refused::of)
    }

    /// As [`Access::authenticate`], and where too many attempts of that source failed lately, one that fails is told to
    /// wait. One that does not fail is let in: many share a source, and nobody guesses 256 bits however often. Sessions
    /// that are over are not counted: after a restart every browser shows one, on each of its requests.
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
        self.authenticate(credential, now_ns).or_else(|refused| {
            let Some(attempt) = counted(credential) else { return Err(refused) };
            let may_try = self.failures.may_try(source, attempt, now);
            may_try.map_err(|retry_after| Refused::of(Reason::TooMany { retry_after }))?;
            self.failures.failed(source, attempt, now);
            Err(refused)
        })
    }

    /// Whether a principal may, and what it may see or append then. Where it [takes two](Permission::takes_two), what is
    /// granted is to propose or to agree, and not to do it.
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
        self.remembered
            .decide(&self.rules.load(), &Asked { principal, permission, resource: *resource, purpose, now_ns })
    }

    /// The tokens.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Proposes an act that takes two, for a second principal to agree to. Durable when it returns.
    ///
    /// `what` says all that whoever carries it out must know. For tokens and access policies there are
    /// [`Access::propose_token`] and [`Access::propose_policy`].
    ///
    /// # Errors
    /// [`ActError`].
    pub fn propose(
        &self,
        by: &Principal,
        permission: Permission,
        resource: &Resource<'_>,
        what: serde_json::Value,
        reason: &str,
        now_ns: i64,
    ) -> Result<Act, ActError> {
        if !permission.takes_two() || permission == Permission::ManagePolicy {
            return Err(ActError::Permission(permission));
        }
        let grant = self.authorize(by, permission, resource, Some(reason), now_ns)?;
        self.acts.propose(&grant, Proposal { permission, trail: resource.trail, what, reason }, now_ns)
    }

    /// Agrees to an act: by another principal than who proposed it, to whom the same is permitted. Durable when it
    /// returns, and then to be carried out; whoever did so says so with [`Access::carried_out`].
    ///
    /// # Errors
    /// [`ActError`].
    pub fn approve(&self, by: &Principal, id: &str, now_ns: i64) -> Result<Approved, ActError> {
        let grant = self.may_answer(by, id, now_ns)?;
        self.acts.approve(&grant, id, now_ns)
    }

    /// Declines an act. Who proposed it takes it back so.
    ///
    /// # Errors
    /// [`ActError`].
    pub fn decline(&self, by: &Principal, id: &str, now_ns: i64) -> Result<Act, ActError> {
        let grant = self.may_answer(by, id, now_ns)?;
        self.acts.decline(&grant, id, now_ns)
    }

    fn may_answer(&self, by: &Principal, id: &str, now_ns: i64) -> Result<Grant, ActError> {
        let act = self.acts.pending(id, now_ns)?;
        if act.permission == Permission::ManageTokens {
            return self.may_answer_token(by, &act, now_ns);
        }
        let resource = Resource { trail: act.trail.as_deref(), model: None };
        Ok(self.authorize(by, act.permission, &resource, Some(&act.reason), now_ns)?)
    }

    /// Says that an act was carried out, once. [`Access::carry_out_token`] and [`Access::carry_out_policy`] do so.
    ///
    /// # Errors
    /// [`ActError`].
    pub fn carried_out(&self, approved: &Approved, now_ns: i64) -> Result<(), ActError> {
        self.acts.done(approved, now_ns)
    }

    /// What was agreed to and is not carried out, as after a crash.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn approved(&self, now_ns: i64) -> Result<Vec<Approved>, StoreError> {
        self.acts.approved(now_ns)
    }

    /// All acts that are remembered, oldest first. To see them takes the permission to propose or agree to them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn acts(&self) -> Result<Vec<Act>, StoreError> {
        self.acts.list()
    }

    /// What the policies in force are, in a digest of all their texts: another one means that they were changed, by
    /// whatever way.
    pub fn policy_digest(&self) -> String {
        crate::token::hex(&self.rules.load().digest)
    }

    /// A person whom an identity provider has vouched for, with what its groups are given here. A person in no group
    /// that is given something is somebody, and gets nothing.
    pub fn person(&self, subject: &str, name: &str, groups: &[String]) -> Principal {
        let rules = self.rules.load();
        let given = rules.settings.groups.iter().filter(|rule| groups.contains(&rule.group));
        // What people call themselves is theirs to choose, and may be nothing.
        let name = if is_name(name) { name } else { subject };
        Principal {
            id: format!("{PERSON}{subject}"),
            kind: PrincipalKind::Person,
            name: name.to_owned(),
            assignments: given.map(|rule| rule.assignment.clone()).collect(),
        }
    }

    /// The service that `access.toml` names so.
    pub(crate) fn service(&self, name: &str) -> Option<Principal> {
        let rules = self.rules.load();
        rules.settings.certificates.iter().find(|rule| rule.name == name).map(certificate::CertificateRule::principal)
    }

    /// Whether a source may try to log in: too many logins may have failed from there lately.
    ///
    /// # Errors
    /// [`Reason::TooMany`].
    pub fn may_log_in(&self, source: IpAddr) -> Result<(), Refused> {
        let may_try = self.failures.may_try(source, Attempt::Login, self.host.monotonic());
        may_try.map_err(|retry_after| Refused::of(Reason::TooMany { retry_after }))
    }

    /// A login of that source failed.
    pub fn login_failed(&self, source: IpAddr) {
        self.failures.failed(source, Attempt::Login, self.host.monotonic());
    }

    /// Begins a session of a person whom an identity provider has vouched for.
    pub fn begin_session(&self, person: Person) -> NewSession {
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

    /// How long that session lasts from here if nobody uses it, and in any case.
    pub fn session_lasts(&self, session: &str) -> Option<(std::time::Duration, std::time::Duration)> {
        self.sessions.lasts(session)
    }

    /// Ends a session.
    pub fn end_session(&self, session: &str) {
        self.sessions.end(session);
    }
}

/// The rules that texts come to.
pub(crate) fn rules(
    folder: &AccessFolder,
    site: Vec<Source>,
    settings: String,
    mask_key: [u8; 32],
) -> Result<Rules, AccessError> {
    let mut digest = Sha256::new();
    let site_texts =
        site.iter().map(|source| (source.file.file_name().unwrap_or_default().as_encoded_bytes(), &*source.text));
    let default = DEFAULT_POLICY.map(|(file, text)| (file.as_bytes(), text));
    for (file, text) in default.into_iter().chain([(SETTINGS_FILE.as_bytes(), &*settings)]).chain(site_texts) {
        for part in [file, text.as_bytes()] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
    }
    let digest = digest.finalize().into();
    let settings = Arc::new(Settings::parse(&folder.settings(), &settings)?);
    Ok(Rules { policies: Arc::new(Policies::new(&site)?), settings, mask_key, digest })
}

/// As what it is counted if it fails, if it is: at the principal whom it claims to be of, where it says so in clear.
fn counted<'a>(credential: &Credential<'a>) -> Option<Attempt<'a>> {
    match credential {
        Credential::Bearer(text) => Some(Attempt::Credential(text.split('_').nth(1))),
        Credential::Certificate { .. } => Some(Attempt::Credential(None)),
        Credential::Session(_) => None,
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
