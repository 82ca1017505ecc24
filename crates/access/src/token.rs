//! A token: `onr_<id>_<secret>`, what is kept of it, and what it gives.

use host::Host;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};
use zeroize::Zeroizing;

use crate::names::is_name;
use crate::principal::{Assignment, Principal, PrincipalKind};
use crate::refused::Reason;
use crate::when;

const PREFIX: &str = "onr_";
const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;
/// Bytes of a token's text.
pub const TOKEN_TEXT_BYTES: usize = PREFIX.len() + 2 * ID_BYTES + 1 + 2 * SECRET_BYTES;

/// A token's text, seen once by who it was made for. Wiped when dropped, and in no log.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenText(Zeroizing<String>);

impl TokenText {
    /// The text, to be handed over.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for TokenText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenText")
    }
}

/// What a token is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSpec {
    /// Who or what it is for.
    pub name: String,
    /// What it gives, and until when.
    #[serde(flatten)]
    pub assignment: Assignment,
}

/// What is kept of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The part of its text that is no secret.
    pub id: String,
    /// Who or what it is for, and what it gives.
    pub spec: TokenSpec,
    /// When it was made.
    #[serde(with = "when")]
    pub created: i64,
    /// By whom: a principal's id, or `command line`.
    pub created_by: String,
    /// When it was taken back.
    #[serde(default, with = "when::maybe", skip_serializing_if = "Option::is_none")]
    pub revoked: Option<i64>,
    /// Hashes of its secrets, the newest first: more than one while an old one still counts.
    pub(crate) secrets: Vec<Secret>,
}

/// A secret of a token, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Secret {
    /// SHA-256 of the secret's bytes. The secret is 256 random bits, so there is nothing to guess that a slow hash would
    /// slow down, and a fast one keeps requests fast.
    sha256: String,
    /// Until when it counts, once another has taken its place.
    #[serde(default, with = "when::maybe", skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
}

/// Secrets that count at once: the newest, and the one before it for a while.
pub(crate) const SECRETS_MAX: usize = 2;

/// A token that cannot be made as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenSpecError {
    /// Who it is for is not said well.
    #[error("{0:?} does not say who the token is for; give a name of 1 to 256 bytes without control characters")]
    Name(String),
    /// It would reach nothing.
    #[error("the token would reach no trail; name trails, or \"*\" for all")]
    NoTrail,
    /// It would be over before it begins.
    #[error("the token would end before it begins; give a later end")]
    Over,
    /// A regulator's access must end.
    #[error("a regulator's token takes the time from which and until which it counts")]
    NoTimeBox,
}

impl TokenSpec {
    /// Whether it makes sense at all. What is *permitted* is the access policy's to say.
    pub(crate) fn check(&self, now_ns: i64) -> Result<(), TokenSpecError> {
        let Assignment { role, trails, from, until, .. } = &self.assignment;
        if !is_name(&self.name) {
            return Err(TokenSpecError::Name(self.name.chars().take(64).collect()));
        }
        if trails.some().is_some_and(std::collections::BTreeSet::is_empty) {
            return Err(TokenSpecError::NoTrail);
        }
        if until.is_some_and(|until| until <= from.unwrap_or(now_ns).max(now_ns)) {
            return Err(TokenSpecError::Over);
        }
        if role.name() == "regulator" && (from.is_none() || until.is_none()) {
            return Err(TokenSpecError::NoTimeBox);
        }
        Ok(())
    }
}

/// A token's text, taken apart.
pub(crate) struct Parsed {
    pub id: String,
    hash: [u8; 32],
}

/// Takes a text apart; nothing if it is no token's.
pub(crate) fn parse(text: &str) -> Option<Parsed> {
    if text.len() != TOKEN_TEXT_BYTES {
        return None;
    }
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let secret: Zeroizing<[u8; SECRET_BYTES]> = Zeroizing::new(from_hex(secret)?);
    from_hex::<ID_BYTES>(id)?;
    Some(Parsed { id: id.to_owned(), hash: Sha256::digest(*secret).into() })
}

impl Token {
    pub(crate) fn new(host: &Host, spec: TokenSpec, by: &str, now_ns: i64) -> (Token, TokenText) {
        let id = hex(&host.random::<ID_BYTES>());
        let (secret, text) = secret(host, &id);
        let token =
            Token { id, spec, created: now_ns, created_by: by.to_owned(), revoked: None, secrets: vec![secret] };
        (token, text)
    }

    /// A new secret; the one before it counts until `old_until`, any older one no more.
    pub(crate) fn rotate(&mut self, host: &Host, old_until: i64) -> TokenText {
        let (secret, text) = secret(host, &self.id);
        self.secrets.insert(0, secret);
        self.secrets.truncate(SECRETS_MAX);
        if let Some(old) = self.secrets.get_mut(1) {
            old.until = Some(old.until.map_or(old_until, |until| until.min(old_until)));
        }
        text
    }

    pub(crate) fn revoke(&mut self, now_ns: i64) {
        self.revoked.get_or_insert(now_ns);
        self.secrets.clear();
    }

    /// Whether it is what `parsed` is the text of, and counts now.
    pub(crate) fn check(&self, parsed: &Parsed, now_ns: i64) -> Result<(), Reason> {
        if self.revoked.is_some() {
            return Err(Reason::Revoked);
        }
        // Every secret is compared, and each in the same time whatever it is.
        let mut current = Choice::from(0);
        let mut old = Choice::from(0);
        for secret in &self.secrets {
            let same = from_hex::<32>(&secret.sha256).map_or(Choice::from(0), |hash| hash.ct_eq(&parsed.hash));
            match secret.until.is_none_or(|until| now_ns < until) {
                true => current |= same,
                false => old |= same,
            }
        }
        let Assignment { from, until, .. } = &self.spec.assignment;
        match () {
            () if bool::from(old) => Err(Reason::Expired),
            () if !bool::from(current) => Err(Reason::Unknown),
            () if from.is_some_and(|from| now_ns < from) => Err(Reason::NotYet),
            () if until.is_some_and(|until| until <= now_ns) => Err(Reason::Expired),
            () => Ok(()),
        }
    }

    /// Until when the secret before the newest counts, if it still does.
    pub fn old_secret_until(&self, now_ns: i64) -> Option<i64> {
        self.secrets.iter().filter_map(|secret| secret.until).find(|until| now_ns < *until)
    }

    /// Who asks with it.
    pub fn principal(&self) -> Principal {
        Principal {
            id: format!("token:{}", self.id),
            kind: PrincipalKind::Token,
            name: self.spec.name.clone(),
            assignments: vec![self.spec.assignment.clone()],
        }
    }
}

fn secret(host: &Host, id: &str) -> (Secret, TokenText) {
    let bytes = Zeroizing::new(host.random::<SECRET_BYTES>());
    let text = Zeroizing::new(format!("{PREFIX}{id}_{}", *Zeroizing::new(hex(&*bytes))));
    let hash: [u8; 32] = Sha256::digest(*bytes).into();
    (Secret { sha256: hex(&hash), until: None }, TokenText(text))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Lower-case hexadecimal of exactly `N` bytes.
pub(crate) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}
