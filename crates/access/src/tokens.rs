//! All tokens of a server.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use host::Host;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::folder::AccessFolder;
use crate::refused::Reason;
use crate::store::{Store, StoreError, Stored};
use crate::token::{self, Token, TokenSpec, TokenSpecError, TokenText};
use crate::when;

/// Tokens of one server, revoked ones included (I12).
pub const TOKENS_MAX: usize = 10_000;
/// How long an old secret may count beside a new one.
pub const OVERLAP_MAX: Duration = Duration::from_secs(30 * 86_400);
/// How much a token's last use must have moved before it is worth a write.
const LAST_USED_EVERY_NS: i64 = 60_000_000_000;
/// How often last uses are written at most.
const LAST_USED_WRITE_EVERY: Duration = Duration::from_secs(60);
const FORMAT: u32 = 1;

/// Why tokens could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// What was asked for makes no sense.
    #[error(transparent)]
    Spec(#[from] TokenSpecError),
    /// There is no such token.
    #[error("there is no token {0:?}; list them to see their ids")]
    None(String),
    /// It was revoked, for good.
    #[error("token {0} is revoked; make a new one")]
    Revoked(String),
    /// The overlap is too long.
    #[error("an overlap of {} days is more than the limit of {}; take a shorter one", .0.as_secs() / 86_400, OVERLAP_MAX.as_secs() / 86_400)]
    Overlap(Duration),
    /// There are [`TOKENS_MAX`].
    #[error("there are {TOKENS_MAX} tokens, the limit; revoked ones go 90 days after they were revoked")]
    TooMany,
    /// The file could not be read or changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Revoked tokens stay listed for this long.
const REVOKED_KEPT_NS: i64 = 90 * 86_400 * 1_000_000_000;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenFile {
    onrecord_tokens: u32,
    tokens: Vec<Token>,
}

impl Stored for TokenFile {
    const STEP: &'static str = "tokens";

    fn fault(&self) -> Option<String> {
        if self.onrecord_tokens != FORMAT {
            return Some(format!("it has version {}, and this program knows {FORMAT}", self.onrecord_tokens));
        }
        let many = self.tokens.iter().find(|token| token.secrets.len() > token::SECRETS_MAX);
        many.map(|token| format!("token {} has {} secrets", token.id, token.secrets.len()))
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LastUsedFile {
    onrecord_last_used: u32,
    tokens: BTreeMap<String, LastUsed>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
struct LastUsed(#[serde(with = "when")] i64);

impl Stored for LastUsedFile {
    const STEP: &'static str = "last-used";

    fn fault(&self) -> Option<String> {
        (self.onrecord_last_used != FORMAT).then(|| format!("it has version {}", self.onrecord_last_used))
    }
}

/// The tokens of a server's folder. Several processes may hold them: a change by one is seen by the others within a second.
pub struct Tokens {
    host: Host,
    file: Store<TokenFile>,
    last_used_file: Store<LastUsedFile>,
    known: ArcSwap<HashMap<String, Arc<Token>>>,
    used: Mutex<Used>,
    trouble: Mutex<Option<String>>,
}

/// Uses since they were written last. Bounded by the tokens that there are.
#[derive(Default)]
struct Used {
    at: HashMap<String, i64>,
    written: HashMap<String, i64>,
    wrote: Option<Duration>,
}

impl Tokens {
    /// The tokens of the server whose folder that is; none where there is no file.
    ///
    /// # Errors
    /// [`StoreError`] where the file cannot be read or is damaged.
    pub fn open(host: &Host, server_folder: &Path) -> Result<Tokens, StoreError> {
        let folder = AccessFolder::of(server_folder);
        let file: Store<TokenFile> = Store::new(&folder, folder.tokens());
        let known = index(file.open(host)?);
        Ok(Tokens {
            host: host.clone(),
            file,
            last_used_file: Store::new(&folder, folder.last_used()),
            known: ArcSwap::from_pointee(known),
            used: Mutex::default(),
            trouble: Mutex::default(),
        })
    }

    /// The token that a text is of.
    pub(crate) fn find(&self, text: &str, now_ns: i64) -> Result<Arc<Token>, Reason> {
        let parsed = token::parse(text).ok_or(Reason::Malformed)?;
        self.refresh();
        let known = self.known.load();
        let token = known.get(&parsed.id).ok_or(Reason::Unknown)?;
        token.check(&parsed, now_ns)?;
        let mut used = self.used.lock();
        let last = used.written.get(&token.id).copied().unwrap_or(i64::MIN);
        if now_ns.saturating_sub(last) >= LAST_USED_EVERY_NS {
            used.at.insert(token.id.clone(), now_ns);
        }
        Ok(Arc::clone(token))
    }

    /// Takes over what another process has changed. What cannot be read changes nothing, and is [told](Tokens::trouble).
    fn refresh(&self) {
        match self.file.read_if_changed(&self.host) {
            Ok(None) => {}
            Ok(Some(file)) => {
                self.known.store(Arc::new(index(file)));
                *self.trouble.lock() = None;
            }
            Err(error) => *self.trouble.lock() = Some(error.to_string()),
        }
    }

    /// Why the file as it is now is not in force, if it is not: it was changed and cannot be read.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Makes a token, and says its text, which nobody can read again. Durable when it returns.
    ///
    /// This is for who owns the server's folder. Through a server, ask [`Access::change_token`](crate::Access::change_token).
    ///
    /// # Errors
    /// [`TokenError`]; nothing was made.
    pub fn create(&self, spec: TokenSpec, by: &str, now_ns: i64) -> Result<(Token, TokenText), TokenError> {
        spec.check(now_ns)?;
        let (token, text) = Token::new(&self.host, spec, by, now_ns);
        let kept = token.clone();
        self.change(|tokens| {
            tokens.retain(|token| token.revoked.is_none_or(|at| now_ns.saturating_sub(at) < REVOKED_KEPT_NS));
            if tokens.len() >= TOKENS_MAX {
                return Err(TokenError::TooMany);
            }
            tokens.push(kept);
            Ok(())
        })?;
        Ok((token, text))
    }

    /// Gives a token a new secret; the old one counts for `overlap` more. Durable when it returns.
    ///
    /// # Errors
    /// [`TokenError`]; nothing was changed.
    pub fn rotate(&self, id: &str, overlap: Duration, now_ns: i64) -> Result<(Token, TokenText), TokenError> {
        check_overlap(overlap)?;
        let overlap = i64::try_from(overlap.as_nanos()).unwrap_or(i64::MAX);
        self.change(|tokens| {
            let token = find(tokens, id)?;
            if token.revoked.is_some() {
                return Err(TokenError::Revoked(id.to_owned()));
            }
            let text = token.rotate(&self.host, now_ns.saturating_add(overlap));
            Ok((token.clone(), text))
        })
    }

    /// Takes a token back, for good. Durable when it returns; other processes know within a second.
    ///
    /// # Errors
    /// [`TokenError`]; nothing was changed.
    pub fn revoke(&self, id: &str, now_ns: i64) -> Result<Token, TokenError> {
        self.change(|tokens| {
            let token = find(tokens, id)?;
            token.revoke(now_ns);
            Ok(token.clone())
        })
    }

    /// Every token with when it was used last, to the minute, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] where a file cannot be read.
    pub fn list(&self) -> Result<Vec<(Token, Option<i64>)>, StoreError> {
        let mut used: HashMap<String, i64> =
            self.read_last_used()?.tokens.into_iter().map(|(id, at)| (id, at.0)).collect();
        used.extend(self.used.lock().at.clone());
        let mut tokens = self.file.read(&self.host)?.tokens;
        tokens.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        Ok(tokens
            .into_iter()
            .map(|token| (used.get(&token.id).copied(), token))
            .map(|(at, token)| (token, at))
            .collect())
    }

    /// The token of that id.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Token>> {
        self.refresh();
        self.known.load().get(id).cloned()
    }

    /// Writes when tokens were used, if that is worth a write by now. To be called now and then, and at the end with
    /// `at_once`. What is lost in a crash is at most a few minutes of it.
    ///
    /// # Errors
    /// [`StoreError`]; it is tried again at the next call.
    pub fn write_last_used(&self, at_once: bool) -> Result<(), StoreError> {
        let now = self.host.monotonic();
        let at = {
            let mut used = self.used.lock();
            let soon = used.wrote.is_some_and(|wrote| now < wrote + LAST_USED_WRITE_EVERY);
            if used.at.is_empty() || (soon && !at_once) {
                return Ok(());
            }
            used.wrote = Some(now);
            used.at.clone()
        };
        let known = self.known.load();
        self.last_used_file.change::<_, StoreError>(&self.host, |file| {
            file.onrecord_last_used = FORMAT;
            file.tokens.retain(|id, _| known.contains_key(id));
            for (id, at) in &at {
                let last = file.tokens.entry(id.clone()).or_insert(LastUsed(*at));
                last.0 = last.0.max(*at);
            }
            Ok(())
        })?;
        let mut used = self.used.lock();
        used.at.retain(|id, now| at.get(id) != Some(now));
        used.written.retain(|id, _| known.contains_key(id));
        used.written.extend(at);
        Ok(())
    }

    fn read_last_used(&self) -> Result<LastUsedFile, StoreError> {
        self.last_used_file.read(&self.host)
    }

    fn change<R>(&self, change: impl FnOnce(&mut Vec<Token>) -> Result<R, TokenError>) -> Result<R, TokenError> {
        let (file, result) = self.file.change(&self.host, |file| {
            file.onrecord_tokens = FORMAT;
            change(&mut file.tokens)
        })?;
        self.known.store(Arc::new(index(file)));
        *self.trouble.lock() = None;
        Ok(result)
    }
}

/// Whether an old secret may count for that long.
pub(crate) fn check_overlap(overlap: Duration) -> Result<(), TokenError> {
    if overlap > OVERLAP_MAX { Err(TokenError::Overlap(overlap)) } else { Ok(()) }
}

fn index(file: TokenFile) -> HashMap<String, Arc<Token>> {
    file.tokens.into_iter().map(|token| (token.id.clone(), Arc::new(token))).collect()
}

fn find<'t>(tokens: &'t mut [Token], id: &str) -> Result<&'t mut Token, TokenError> {
    tokens.iter_mut().find(|token| token.id == id).ok_or_else(|| TokenError::None(id.chars().take(64).collect()))
}
