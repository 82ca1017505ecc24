//! Acts that take two: one principal proposes, another agrees, and only then are they carried out.
//!
//! What is proposed is kept, so that it outlives the server and whoever agrees sees exactly what was proposed. What was
//! agreed to and not carried out before a crash is [there still](Acts::approved).

use std::path::Path;
use std::time::Duration;

use host::Host;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::folder::AccessFolder;
use crate::grant::Grant;
use crate::names::is_same_name;
use crate::permission::Permission;
use crate::principal::rule_name;
use crate::refused::{Reason, Refused};
use crate::store::{Store, StoreError, Stored};
use crate::token::hex;
use crate::when;

/// How long a proposal waits for a second principal.
pub const PROPOSAL_LIFE: Duration = Duration::from_secs(72 * 3600);
/// How long what was agreed to may still be carried out.
pub const APPROVAL_LIFE: Duration = Duration::from_secs(7 * 86_400);
/// Bytes of what an act is about, as JSON (I12).
pub const WHAT_BYTES_MAX: usize = 512 << 10;
/// Bytes of an act's reason.
pub const REASON_BYTES_MAX: usize = 4 << 10;
/// Acts that wait at once, and acts that are remembered.
const PENDING_MAX: usize = 100;
const KEPT_MAX: usize = 1_000;
const FORMAT: u32 = 1;

/// An act that takes two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// By which it is agreed to.
    pub id: String,
    /// What each of the two must be permitted.
    #[serde(with = "permission")]
    pub permission: Permission,
    /// Of which trail; none for the server as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trail: Option<String>,
    /// What exactly is to be done: whoever carries it out defines it.
    pub what: Value,
    /// Why.
    pub reason: String,
    /// Who proposed it.
    pub proposed_by: Party,
    /// When.
    #[serde(with = "when")]
    pub proposed: i64,
    /// Until when it may be agreed to.
    #[serde(with = "when")]
    pub expires: i64,
    /// Who agreed, or would not have it, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// When it was carried out.
    #[serde(default, with = "when::maybe", skip_serializing_if = "Option::is_none")]
    pub done: Option<i64>,
}

/// One of the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// The principal's id.
    pub id: String,
    /// As people call it.
    pub name: String,
    /// The role by which it was permitted.
    pub role: String,
}

/// What the second principal said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Whether it agreed.
    pub agreed: bool,
    /// Who it was.
    pub by: Party,
    /// When.
    #[serde(with = "when")]
    pub at: i64,
}

/// An act that two agreed to and that is not carried out yet. Nothing else makes one than their agreement, so a function
/// that asks for one cannot be called on the word of one principal.
#[derive(Debug, Clone, PartialEq)]
pub struct Approved(Act);

impl Approved {
    /// The act, both principals named.
    pub fn act(&self) -> &Act {
        &self.0
    }
}

/// Why an act was not proposed, agreed to or closed.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// Not permitted.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// One principal may do it alone, or no two may.
    #[error("{0} is no act that takes two; ask for it directly")]
    Permission(Permission),
    /// No reason, or a text too long.
    #[error("{what}; the limit is {max} bytes")]
    Text {
        /// What is wrong.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// No act has that id.
    #[error("there is no act {0:?}; list them to see their ids")]
    None(String),
    /// It was answered already.
    #[error("act {id} was {} by {by} already", if *agreed { "agreed to" } else { "declined" })]
    Answered {
        /// The act.
        id: String,
        /// What was answered.
        agreed: bool,
        /// By whom.
        by: String,
    },
    /// Nobody answered in time, or it was not carried out in time.
    #[error("act {0} has expired; propose it again")]
    Expired(String),
    /// It was carried out, or never agreed to.
    #[error("act {0} is not one that waits to be carried out")]
    NotApproved(String),
    /// What it says to do is not what was expected of it.
    #[error("act {id} says something else than it should: {cause}")]
    What {
        /// The act.
        id: String,
        /// What is wrong.
        cause: String,
    },
    /// As many wait as may.
    #[error("{PENDING_MAX} acts wait for an answer, the limit; answer some first")]
    TooMany,
    /// The file could not be read or changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

mod permission {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    use crate::permission::Permission;

    pub(super) fn serialize<S: Serializer>(permission: &Permission, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(permission.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Permission, D::Error> {
        let name = String::deserialize(deserializer)?;
        Permission::from_name(&name).ok_or_else(|| de::Error::custom(format!("{name:?} is no permission")))
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ActFile {
    onrecord_acts: u32,
    acts: Vec<Act>,
}

impl Stored for ActFile {
    const STEP: &'static str = "acts";

    fn fault(&self) -> Option<String> {
        (self.onrecord_acts != FORMAT).then(|| format!("it has version {}", self.onrecord_acts))
    }
}

/// What is proposed.
pub(crate) struct Proposal<'a> {
    pub permission: Permission,
    pub trail: Option<&'a str>,
    pub what: Value,
    pub reason: &'a str,
}

/// The acts of a server's folder.
pub(crate) struct Acts {
    host: Host,
    file: Store<ActFile>,
}

impl Acts {
    pub fn open(host: &Host, server_folder: &Path) -> Result<Acts, StoreError> {
        let folder = AccessFolder::of(server_folder);
        let acts = Acts { host: host.clone(), file: Store::new(&folder, folder.acts()) };
        acts.file.read(host)?;
        Ok(acts)
    }

    /// Keeps a proposal of who was granted to make it. Durable when it returns.
    pub fn propose(&self, grant: &Grant, proposal: Proposal<'_>, now_ns: i64) -> Result<Act, ActError> {
        let Proposal { permission, trail, what, reason } = proposal;
        let reason = reason.trim();
        if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
            return Err(ActError::Text { what: "an act takes a reason, in a few words", max: REASON_BYTES_MAX });
        }
        if what.to_string().len() > WHAT_BYTES_MAX {
            return Err(ActError::Text { what: "what is to be done is too long", max: WHAT_BYTES_MAX });
        }
        let act = Act {
            id: hex(&self.host.random::<8>()),
            permission,
            trail: trail.map(str::to_owned),
            what,
            reason: reason.to_owned(),
            proposed_by: Party::of(grant),
            proposed: now_ns,
            expires: after(now_ns, PROPOSAL_LIFE),
            answer: None,
            done: None,
        };
        self.change(|acts| {
            if acts.iter().filter(|act| act.is_pending(now_ns)).count() >= PENDING_MAX {
                return Err(ActError::TooMany);
            }
            acts.push(act.clone());
            forget(acts, now_ns);
            Ok(())
        })?;
        Ok(act)
    }

    /// The act of that id, as long as it waits for an answer.
    pub fn pending(&self, id: &str, now_ns: i64) -> Result<Act, ActError> {
        let acts = self.list()?;
        let act = acts.into_iter().find(|act| act.id == id).ok_or_else(|| none(id))?;
        act.check_pending(now_ns).map(|()| act)
    }

    /// Keeps an answer of who was granted to give one. Durable when it returns. Of two answers at once one counts.
    fn answer(&self, grant: &Grant, id: &str, agreed: bool, now_ns: i64) -> Result<Act, ActError> {
        let by = Party::of(grant);
        self.change(|acts| {
            let act = acts.iter_mut().find(|act| act.id == id).ok_or_else(|| none(id))?;
            act.check_pending(now_ns)?;
            if agreed && by.is_same(&act.proposed_by) {
                let principal = Some(by.id.clone());
                return Err(
                    Refused { reason: Reason::SamePrincipal, permission: Some(act.permission), principal }.into()
                );
            }
            act.answer = Some(Answer { agreed, by, at: now_ns });
            Ok(act.clone())
        })
    }

    /// As [`Acts::answer`], agreeing.
    pub fn approve(&self, grant: &Grant, id: &str, now_ns: i64) -> Result<Approved, ActError> {
        self.answer(grant, id, true, now_ns).map(Approved)
    }

    /// As [`Acts::answer`], not agreeing. Who proposed may do that too.
    pub fn decline(&self, grant: &Grant, id: &str, now_ns: i64) -> Result<Act, ActError> {
        self.answer(grant, id, false, now_ns)
    }

    /// What was agreed to, may be carried out still, and is not yet.
    pub fn approved(&self, now_ns: i64) -> Result<Vec<Approved>, StoreError> {
        Ok(self.list()?.into_iter().filter(|act| act.is_approved(now_ns)).map(Approved).collect())
    }

    /// Says that an act was carried out. Durable when it returns; of two that say so, one is told that it was not it.
    pub fn done(&self, approved: &Approved, now_ns: i64) -> Result<(), ActError> {
        let id = &approved.0.id;
        self.change(|acts| {
            let act = acts.iter_mut().find(|act| act.id == *id).ok_or_else(|| none(id))?;
            if !act.is_approved(now_ns) {
                return Err(ActError::NotApproved(id.clone()));
            }
            act.done = Some(now_ns);
            Ok(())
        })
    }

    /// All that is remembered, oldest first.
    pub fn list(&self) -> Result<Vec<Act>, StoreError> {
        Ok(self.file.read(&self.host)?.acts)
    }

    fn change<R>(&self, change: impl FnOnce(&mut Vec<Act>) -> Result<R, ActError>) -> Result<R, ActError> {
        let (_, result) = self.file.change(&self.host, |file| {
            file.onrecord_acts = FORMAT;
            change(&mut file.acts)
        })?;
        Ok(result)
    }
}

impl Act {
    fn is_pending(&self, now_ns: i64) -> bool {
        self.check_pending(now_ns).is_ok()
    }

    fn check_pending(&self, now_ns: i64) -> Result<(), ActError> {
        match &self.answer {
            Some(answer) => {
                Err(ActError::Answered { id: self.id.clone(), agreed: answer.agreed, by: answer.by.name.clone() })
            }
            None if self.expires <= now_ns => Err(ActError::Expired(self.id.clone())),
            None => Ok(()),
        }
    }

    fn is_approved(&self, now_ns: i64) -> bool {
        let agreed = self.answer.as_ref().filter(|answer| answer.agreed);
        self.done.is_none() && agreed.is_some_and(|answer| now_ns < after(answer.at, APPROVAL_LIFE))
    }
}

impl Party {
    fn of(grant: &Grant) -> Party {
        Party { id: grant.principal.clone(), name: grant.name.clone(), role: grant.role.clone() }
    }

    /// Whether both are one, or one person under two credentials, by names that nobody chooses for themselves.
    fn is_same(&self, other: &Party) -> bool {
        self.id == other.id || is_same_name(self.rule_name(), other.rule_name())
    }

    fn rule_name(&self) -> &str {
        rule_name(&self.id, &self.name)
    }
}

fn none(id: &str) -> ActError {
    ActError::None(id.chars().take(64).collect())
}

fn after(ns: i64, life: Duration) -> i64 {
    ns.saturating_add(i64::try_from(life.as_nanos()).unwrap_or(i64::MAX))
}

/// Forgets the oldest of what is over: what was done is on record in the trail.
fn forget(acts: &mut Vec<Act>, now_ns: i64) {
    let mut surplus = acts.len().saturating_sub(KEPT_MAX);
    acts.retain(|act| {
        let goes = surplus > 0 && !act.is_pending(now_ns) && !act.is_approved(now_ns);
        surplus -= usize::from(goes);
        !goes
    });
}
