//! Why something was not granted.

use std::time::Duration;

use crate::permission::Permission;

/// A refusal. It never holds a secret or a value of a record, and so may be written to logs and access records.
/// To who asked goes [`Refused::public`], which does not tell whether a token or trail exists.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// What was missing.
    pub reason: Reason,
    /// What was asked for, if it came to that.
    pub permission: Option<Permission>,
    /// Who asked, if that is known: a principal's id.
    pub principal: Option<String>,
}

/// What was missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The credential is no token, session or certificate at all.
    #[error("the credential is malformed")]
    Malformed,
    /// Nobody has that credential.
    #[error("the credential is unknown")]
    Unknown,
    /// The credential was good once.
    #[error("the credential has expired")]
    Expired,
    /// The credential is good later.
    #[error("the credential is not in force yet")]
    NotYet,
    /// The credential was taken back.
    #[error("the credential is revoked")]
    Revoked,
    /// Too many failures came from there.
    #[error("too many failed attempts; try again in {} s", retry_after.as_secs().max(1))]
    TooMany {
        /// When it may be tried again.
        retry_after: Duration,
    },
    /// No role of the principal reaches that trail, or none the server as a whole.
    #[error("no role reaches it")]
    OutOfReach,
    /// Roles reach the trail, but not that model.
    #[error("no role reaches that model")]
    Model,
    /// A role reaches it, at another time.
    #[error("the role is not in force at this time")]
    Time,
    /// The access policy does not permit it.
    #[error("the access policy does not permit it")]
    Policy,
    /// It would be permitted to who states a purpose.
    #[error("a purpose must be stated")]
    Purpose,
    /// The purpose is too long, or has control characters in it.
    #[error("the purpose is longer than {PURPOSE_BYTES_MAX} bytes, or has control characters in it")]
    PurposeMalformed,
    /// Records of that kind may not be appended.
    #[error("records of kind {} may not be appended", kind.name())]
    Kind {
        /// The kind.
        kind: record::Kind,
    },
    /// The role is limited to models, and the record names none.
    #[error("the record names no model, and the role is limited to models")]
    NoModel,
    /// It takes a second principal: it can be proposed.
    #[error("it takes a second principal; propose it")]
    TakesTwo,
    /// It takes a second principal, and this is the same one, or one of the same name.
    #[error("the same principal cannot agree to its own act")]
    SamePrincipal,
}

/// Bytes of a stated purpose.
pub const PURPOSE_BYTES_MAX: usize = 1024;

impl Refused {
    pub(crate) fn of(reason: Reason) -> Refused {
        Refused { reason, permission: None, principal: None }
    }

    /// Whether it is not known who asks: 401 in HTTP, else 403.
    pub fn is_unauthenticated(&self) -> bool {
        use Reason::{Expired, Malformed, NotYet, Revoked, Unknown};
        matches!(self.reason, Malformed | Unknown | Expired | NotYet | Revoked)
    }

    /// Whether the answer must be that of a trail that does not exist: 404 in HTTP.
    pub fn hides(&self) -> bool {
        self.reason == Reason::OutOfReach
    }

    /// When it may be tried again, if that helps: 429 in HTTP.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.reason {
            Reason::TooMany { retry_after } => Some(retry_after),
            _ => None,
        }
    }

    /// What who asked may be told: what happened and what to do, nothing of what exists.
    pub fn public(&self) -> String {
        let what = self.permission.map_or_else(|| "this".to_owned(), |permission| format!("\"{permission}\""));
        match &self.reason {
            Reason::Malformed | Reason::Unknown | Reason::Expired | Reason::NotYet | Reason::Revoked => {
                "the credential is not accepted; ask who runs the server for one that is".to_owned()
            }
            Reason::OutOfReach => "there is no such trail, or it is not yours to see".to_owned(),
            Reason::Purpose => format!("{what} takes a stated purpose; say why you ask, it goes on record"),
            Reason::Policy | Reason::Model | Reason::Time => {
                format!("you may not do {what} here; ask who runs the server for a role that may")
            }
            reason => reason.to_string(),
        }
    }
}
