//! Who is asking, once that is known.

use serde::{Deserialize, Serialize};

use crate::kinds::Kinds;
use crate::names::Names;
use crate::role::Role;
use crate::when;

/// How a principal was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrincipalKind {
    /// By a token.
    Token,
    /// A person, by an identity provider.
    Person,
    /// A service, by its certificate.
    Service,
}

impl PrincipalKind {
    /// Its name in ids, access records and policies.
    pub fn name(self) -> &'static str {
        match self {
            PrincipalKind::Token => "token",
            PrincipalKind::Person => "person",
            PrincipalKind::Service => "service",
        }
    }
}

/// Who is asking. Made by [`Access::authenticate`](crate::Access::authenticate), and by tests of policies.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    /// What tells it from all others, for ever: `token:3f9a…`, `person:<subject>`, `service:<name>`.
    pub id: String,
    /// How it was known.
    pub kind: PrincipalKind,
    /// Who or what it is, as people call it: for records and for people. Rules go by [`Principal::rule_name`].
    pub name: String,
    /// What it may be, and where.
    pub assignments: Vec<Assignment>,
}

impl Principal {
    /// The name that rules may go by, and never the one that people chose for themselves: of a token or service what
    /// whoever made it called it, of a person the provider's subject.
    pub fn rule_name(&self) -> &str {
        rule_name(&self.id, &self.name)
    }
}

/// As [`Principal::rule_name`], of an id and a name that are kept.
pub(crate) fn rule_name<'a>(id: &'a str, name: &'a str) -> &'a str {
    id.strip_prefix(PERSON).unwrap_or(name)
}

/// What ids of people begin with, before the provider's subject.
pub(crate) const PERSON: &str = "person:";

/// A role, and what it reaches.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// The role.
    pub role: Role,
    /// On which trails.
    pub trails: Names,
    /// Of which models. Of several, or none where only some are meant, records that name no model are not reached.
    #[serde(default = "all", skip_serializing_if = "is_all")]
    pub models: Names,
    /// Of which tenants, by the field that `access.toml` names. For reading alone.
    #[serde(default = "all", skip_serializing_if = "is_all")]
    pub tenants: Names,
    /// Which kinds of record may be appended, of those that the role may; absent: all of those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kinds: Option<Kinds>,
    /// From when on.
    #[serde(default, with = "when::maybe", skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// Until when, that moment left out.
    #[serde(default, with = "when::maybe", skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
}

fn all() -> Names {
    Names::All
}

fn is_all(names: &Names) -> bool {
    *names == Names::All
}

impl Assignment {
    /// A role on some trails, without more limits.
    pub fn new(role: Role, trails: Names) -> Assignment {
        Assignment { role, trails, models: Names::All, tenants: Names::All, kinds: None, from: None, until: None }
    }

    /// Whether it is in force at `now_ns`.
    pub fn is_in_time(&self, now_ns: i64) -> bool {
        self.from.is_none_or(|from| from <= now_ns) && self.until.is_none_or(|until| now_ns < until)
    }
}

/// What is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Resource<'a> {
    /// The trail; none for the server as a whole.
    pub trail: Option<&'a str>,
    /// The one model that it is about, if it is about one. What is granted then is about that model alone.
    pub model: Option<&'a str>,
}

impl<'a> Resource<'a> {
    /// The server as a whole.
    pub fn server() -> Resource<'static> {
        Resource { trail: None, model: None }
    }

    /// A trail.
    pub fn trail(trail: &'a str) -> Resource<'a> {
        Resource { trail: Some(trail), model: None }
    }

    /// One model of it.
    #[must_use]
    pub fn model(self, model: &'a str) -> Resource<'a> {
        Resource { model: Some(model), ..self }
    }
}
