//! A site's test of its access policies: who, with what permission, on which trail, gets it or not.
//!
//! What an expectation does not name as permitted must be refused: a policy that grants too much fails as one that grants
//! too little does.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::access::Access;
use crate::kinds::Kinds;
use crate::permission::Permission;
use crate::principal::{Assignment, Principal, PrincipalKind, Resource};
use crate::when;

/// Bytes of a file of expectations, and expectations in it (I12).
pub const EXPECTATIONS_BYTES_MAX: usize = 1 << 20;
const EXPECTATIONS_MAX: usize = 10_000;

/// A file of expectations.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    principals: BTreeMap<String, PrincipalText>,
    expect: Vec<toml::Spanned<Expectation>>,
    #[serde(skip)]
    text: String,
}

/// Who asks: made up, or as the server knows it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PrincipalText {
    kind: Option<PrincipalKind>,
    name: Option<String>,
    /// Made up, with these roles.
    roles: Option<Vec<Assignment>>,
    /// A person in these groups.
    groups: Option<Vec<String>>,
    /// The token of that id.
    token: Option<String>,
    /// The service that `access.toml` names so.
    service: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectation {
    principal: String,
    /// Absent: the server as a whole.
    trail: Option<String>,
    model: Option<String>,
    purpose: Option<String>,
    /// Absent: now.
    #[serde(default, with = "when::maybe")]
    at: Option<i64>,
    /// These, and no other.
    permitted: Vec<String>,
    /// Kinds that may be appended: these, and no other. Absent: not looked at.
    appends: Option<Kinds>,
    /// Fields that are masked in whatever is permitted to be read: these, and no other. Absent: not looked at.
    masked: Option<BTreeSet<String>>,
}

/// A file that is no table of expectations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ExpectationsError(String);

/// Something that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The line of the expectation, from 1.
    pub line: usize,
    /// Whose it is, as the file calls it.
    pub principal: String,
    /// The trail; none for the server as a whole.
    pub trail: Option<String>,
    /// What is different.
    pub what: String,
}

/// What a test came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tested {
    /// How many answers were looked at: permissions of expectations.
    pub checked: usize,
    /// What is not as expected.
    pub differences: Vec<Difference>,
}

impl Expectations {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ExpectationsError`], with the line where there is one.
    pub fn read(text: &str) -> Result<Expectations, ExpectationsError> {
        let wrong = |what: String| ExpectationsError(what);
        if text.len() > EXPECTATIONS_BYTES_MAX {
            return Err(wrong(format!("{} bytes are more than the limit of {EXPECTATIONS_BYTES_MAX}", text.len())));
        }
        let mut read: Expectations =
            toml::from_str(text).map_err(|error| wrong(error.to_string().trim_end().to_owned()))?;
        if read.expect.len() > EXPECTATIONS_MAX {
            return Err(wrong(format!("more than {EXPECTATIONS_MAX} expectations are over the limit")));
        }
        read.text = text.to_owned();
        for expectation in &read.expect {
            let at = |what: String| wrong(format!("line {}: {what}", read.line(expectation)));
            let Expectation { principal, permitted, trail, .. } = expectation.get_ref();
            if !read.principals.contains_key(principal) {
                return Err(at(format!("no principal {principal:?} is described under [principals]")));
            }
            for name in permitted {
                let permission = Permission::from_name(name).ok_or_else(|| {
                    let known = Permission::ALL.map(Permission::name).join(", ");
                    at(format!("{name:?} is no permission; permissions are {known}"))
                })?;
                if permission.of_server() == trail.is_some() {
                    let should = if trail.is_some() { "leave the trail out" } else { "name a trail" };
                    return Err(at(format!("{name:?} is not asked for there; {should}")));
                }
            }
        }
        Ok(read)
    }

    fn line(&self, expectation: &toml::Spanned<Expectation>) -> usize {
        let at = expectation.span().start;
        self.text.get(..at).map_or(1, |before| before.matches('\n').count() + 1)
    }

    /// Asks for everything that is expected, at `now_ns` where no other time is said.
    ///
    /// # Errors
    /// [`ExpectationsError`] where a principal is not what it says.
    pub fn test(&self, access: &Access, now_ns: i64) -> Result<Tested, ExpectationsError> {
        let mut tested = Tested { checked: 0, differences: Vec::new() };
        let mut principals = BTreeMap::new();
        for (name, text) in &self.principals {
            let principal = text.principal(name, access);
            principals.insert(
                name.as_str(),
                principal.map_err(|what| ExpectationsError(format!("principal {name:?}: {what}")))?,
            );
        }
        for expectation in &self.expect {
            let Some(principal) = principals.get(expectation.get_ref().principal.as_str()) else { continue };
            self.check(expectation, principal, access, now_ns, &mut tested);
        }
        Ok(tested)
    }

    fn check(
        &self,
        expectation: &toml::Spanned<Expectation>,
        principal: &Principal,
        access: &Access,
        now_ns: i64,
        tested: &mut Tested,
    ) {
        let line = self.line(expectation);
        let Expectation { principal: name, trail, model, purpose, at, permitted, appends, masked } =
            expectation.get_ref();
        let resource = Resource { trail: trail.as_deref(), model: model.as_deref() };
        let mut differs = |what: String| {
            tested.differences.push(Difference { line, principal: name.clone(), trail: trail.clone(), what });
        };
        for permission in Permission::ALL.into_iter().filter(|permission| permission.of_server() == trail.is_none()) {
            tested.checked += 1;
            let expected = permitted.iter().any(|name| name == permission.name());
            match access.authorize(principal, permission, &resource, purpose.as_deref(), at.unwrap_or(now_ns)) {
                Err(refused) if expected => differs(format!("{permission} is refused ({refused}), and was expected")),
                Ok(grant) if !expected => {
                    differs(format!("{permission} is granted by role {}, and was not expected", grant.role));
                }
                Ok(grant) => {
                    let got: BTreeSet<String> = grant.policy.masks.iter().map(|(field, _)| field.to_string()).collect();
                    if let Some(masked) = masked.as_ref().filter(|masked| permission.reads_payload() && **masked != got)
                    {
                        differs(format!("{permission} masks {}, and {} was expected", list(&got), list(masked)));
                    }
                    let appends = appends.as_ref().filter(|_| permission == Permission::Append);
                    if let Some(appends) = appends.filter(|kinds| **kinds != grant.kinds) {
                        differs(format!("{permission} takes {}, and {appends} was expected", grant.kinds));
                    }
                }
                Err(_) => {}
            }
        }
    }
}

fn list(fields: &BTreeSet<String>) -> String {
    if fields.is_empty() { "nothing".to_owned() } else { fields.iter().cloned().collect::<Vec<_>>().join(", ") }
}

impl PrincipalText {
    fn principal(&self, name: &str, access: &Access) -> Result<Principal, String> {
        let PrincipalText { kind, name: called, roles, groups, token, service } = self;
        let called = called.as_deref().unwrap_or(name);
        match (roles, groups, token, service) {
            (Some(roles), None, None, None) => {
                let kind = kind.unwrap_or(PrincipalKind::Person);
                let id = format!("{}:{called}", kind.name());
                Ok(Principal { id, kind, name: called.to_owned(), assignments: roles.clone() })
            }
            (None, Some(groups), None, None) => Ok(access.person(called, called, groups)),
            (None, None, Some(token), None) => {
                let token = access.tokens().get(token).ok_or_else(|| format!("there is no token {token:?}"))?;
                Ok(token.principal())
            }
            (None, None, None, Some(service)) => {
                access.service(service).ok_or_else(|| format!("access.toml has no certificate named {service:?}"))
            }
            _ => Err("say exactly one of roles, groups, token and service".to_owned()),
        }
    }
}
