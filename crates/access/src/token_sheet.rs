//! A token as it may be shown: nothing of it lets anybody in.

use serde::{Deserialize, Serialize};

use crate::principal::Assignment;
use crate::token::Token;
use crate::when;

/// What may be known of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSheet {
    /// The part of its text that is no secret.
    pub id: String,
    /// Who or what it is for.
    pub name: String,
    /// What it gives, and until when.
    #[serde(flatten)]
    pub assignment: Assignment,
    /// When it was made.
    #[serde(with = "when")]
    pub created: i64,
    /// By whom: a principal's id, or `command line`.
    pub created_by: String,
    /// When it was taken back.
    #[serde(default, with = "when::maybe", skip_serializing_if = "Option::is_none")]
    pub revoked: Option<i64>,
    /// Until when the secret before the newest counts, if it still does.
    #[serde(default, with = "when::maybe", skip_serializing_if = "Option::is_none")]
    pub old_secret_until: Option<i64>,
    /// When it was used last, to the minute.
    #[serde(default, with = "when::maybe", skip_serializing_if = "Option::is_none")]
    pub last_used: Option<i64>,
    /// Whether it lets anybody in.
    pub state: TokenState,
}

/// Whether a token lets anybody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenState {
    /// It does.
    Good,
    /// It does, and so does the secret before its newest.
    Rotating,
    /// It will.
    #[serde(rename = "not yet")]
    NotYet,
    /// It did.
    Expired,
    /// It does not any more, and will not.
    Revoked,
}

impl TokenState {
    /// Its name, as in the sheet.
    pub fn name(self) -> &'static str {
        match self {
            TokenState::Good => "good",
            TokenState::Rotating => "rotating",
            TokenState::NotYet => "not yet",
            TokenState::Expired => "expired",
            TokenState::Revoked => "revoked",
        }
    }
}

impl Token {
    /// What may be known of it.
    pub fn sheet(&self, last_used: Option<i64>, now_ns: i64) -> TokenSheet {
        TokenSheet {
            id: self.id.clone(),
            name: self.spec.name.clone(),
            assignment: self.spec.assignment.clone(),
            created: self.created,
            created_by: self.created_by.clone(),
            revoked: self.revoked,
            old_secret_until: self.old_secret_until(now_ns),
            last_used,
            state: self.state(now_ns),
        }
    }

    fn state(&self, now_ns: i64) -> TokenState {
        let of = &self.spec.assignment;
        match () {
            () if self.revoked.is_some() => TokenState::Revoked,
            () if of.until.is_some_and(|until| until <= now_ns) => TokenState::Expired,
            () if of.from.is_some_and(|from| now_ns < from) => TokenState::NotYet,
            () if self.old_secret_until(now_ns).is_some() => TokenState::Rotating,
            () => TokenState::Good,
        }
    }
}
