//! Changes of tokens and of access policies, asked for through a server: who may make them alone, and which take two.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::access::{Access, AccessError};
use crate::acts::{Act, ActError, Approved, Proposal};
use crate::cedar::{On, PolicyError, Question, Source};
use crate::folder::{AccessFolder, SETTINGS_FILE};
use crate::grant::Grant;
use crate::names::is_same_name;
use crate::permission::Permission;
use crate::principal::{Principal, Resource};
use crate::refused::{Reason, Refused};
use crate::settings::Settings;
use crate::token::{Token, TokenSpec, TokenText};
use crate::tokens::{TokenError, check_overlap};

/// Something done to a token that shows a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenChange {
    /// A new token.
    Give(TokenSpec),
    /// A new secret for one.
    Rotate {
        /// Its id.
        token: String,
        /// Seconds that the old secret counts for.
        overlap_s: u64,
    },
}

/// A change of a site's policies: a file of them, or `access.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyChange {
    /// `access.toml`, or a name such as `fraud-desk.cedar`.
    pub file: String,
    /// What it is to hold; nothing to take it away.
    pub text: Option<String>,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// Not permitted, or not agreed to.
    #[error(transparent)]
    Act(#[from] ActError),
    /// The token could not be changed.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// With the change, policies would be wrong; they stay as they are.
    #[error(transparent)]
    Wrong(#[from] AccessError),
    /// The name is no policy's.
    #[error("{0:?} is no file of policies; take access.toml, or lower-case letters, digits and hyphens and .cedar")]
    Name(String),
}

impl From<Refused> for ChangeError {
    fn from(refused: Refused) -> ChangeError {
        ChangeError::Act(refused.into())
    }
}

impl Access {
    /// Makes a token, or a new secret for one, by a principal who may do that alone: an admin, for tokens of writers.
    ///
    /// # Errors
    /// [`ChangeError`]; [`Reason::TakesTwo`] where it can be [proposed](Access::propose_token).
    pub fn change_token(
        &self,
        by: &Principal,
        change: &TokenChange,
        now_ns: i64,
    ) -> Result<(Token, TokenText), ChangeError> {
        let grant = self.may_change_token(by, change, false, now_ns)?;
        self.make_change(change, &grant.principal, now_ns)
    }

    /// Whether [`Access::change_token`] would be permitted, and makes sense: for who must say so before it is done.
    ///
    /// # Errors
    /// As [`Access::change_token`].
    pub fn check_token_change(&self, by: &Principal, change: &TokenChange, now_ns: i64) -> Result<(), ChangeError> {
        self.may_change_token(by, change, false, now_ns)?;
        match change {
            TokenChange::Give(spec) => Ok(spec.check(now_ns).map_err(TokenError::from)?),
            TokenChange::Rotate { overlap_s, .. } => Ok(check_overlap(Duration::from_secs(*overlap_s))?),
        }
    }

    /// Takes a token back, for good. Whoever may make tokens may do that alone, whatever the token gives: what is in the
    /// wrong hands must not wait for a second principal.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub fn revoke_token(&self, by: &Principal, token: &str, now_ns: i64) -> Result<Token, ChangeError> {
        self.check_revocation(by, token, now_ns)?;
        Ok(self.tokens().revoke(token, now_ns)?)
    }

    /// Whether [`Access::revoke_token`] would be permitted, and has something to revoke.
    ///
    /// # Errors
    /// As [`Access::revoke_token`].
    pub fn check_revocation(&self, by: &Principal, token: &str, now_ns: i64) -> Result<(), ChangeError> {
        self.authorize(by, Permission::ManageTokens, &Resource::server(), None, now_ns)?;
        self.known_token(token).map(drop)
    }

    fn known_token(&self, token: &str) -> Result<std::sync::Arc<Token>, ChangeError> {
        Ok(self.tokens().get(token).ok_or_else(|| TokenError::None(token.chars().take(64).collect()))?)
    }

    /// Proposes what [`Access::change_token`] would do, for a second principal to agree to.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub fn propose_token(
        &self,
        by: &Principal,
        change: &TokenChange,
        reason: &str,
        now_ns: i64,
    ) -> Result<Act, ChangeError> {
        let grant = self.may_change_token(by, change, true, now_ns)?;
        if let TokenChange::Give(spec) = change {
            spec.check(now_ns).map_err(TokenError::from)?;
        }
        let proposal = Proposal { permission: Permission::ManageTokens, trail: None, what: json(change), reason };
        Ok(self.acts.propose(&grant, proposal, now_ns)?)
    }

    /// Whether a principal may agree to, or decline, what was proposed with a token: as if it had proposed it itself.
    pub(crate) fn may_answer_token(&self, by: &Principal, act: &Act, now_ns: i64) -> Result<Grant, ActError> {
        let change: TokenChange = serde_json::from_value(act.what.clone())
            .map_err(|error| ActError::What { id: act.id.clone(), cause: error.to_string() })?;
        self.may_change_token(by, &change, true, now_ns).map_err(|error| match error {
            ChangeError::Act(error) => error,
            other => ActError::What { id: act.id.clone(), cause: other.to_string() },
        })
    }

    /// Carries out what two agreed to. The secret is for who the token is for.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub fn carry_out_token(&self, approved: &Approved, now_ns: i64) -> Result<(Token, TokenText), ChangeError> {
        let change: TokenChange = said(approved, Permission::ManageTokens)?;
        // First: of two servers that carry it out at once, one makes a token.
        self.acts.done(approved, now_ns)?;
        let by = format!("act:{}", approved.act().id);
        self.make_change(&change, &by, now_ns)
    }

    fn make_change(&self, change: &TokenChange, by: &str, now_ns: i64) -> Result<(Token, TokenText), ChangeError> {
        Ok(match change {
            TokenChange::Give(spec) => self.tokens().create(spec.clone(), by, now_ns)?,
            TokenChange::Rotate { token, overlap_s } => {
                self.tokens().rotate(token, Duration::from_secs(*overlap_s), now_ns)?
            }
        })
    }

    /// Whoever shows a secret could use it: it takes the right to give the role that it has.
    pub(crate) fn may_change_token(
        &self,
        by: &Principal,
        change: &TokenChange,
        approved: bool,
        now_ns: i64,
    ) -> Result<Grant, ChangeError> {
        let grant = self.authorize(by, Permission::ManageTokens, &Resource::server(), None, now_ns)?;
        let spec = match change {
            TokenChange::Give(spec) => spec.clone(),
            TokenChange::Rotate { token, .. } => self.known_token(token)?.spec.clone(),
        };
        let may = |approved| self.may_give(by, &spec, approved, now_ns);
        match may(approved) {
            true => Ok(grant),
            false => {
                let reason = if may(true) { Reason::TakesTwo } else { Reason::Policy };
                let (permission, principal) = (Some(Permission::ManageTokens), Some(by.id.clone()));
                Err(Refused { reason, permission, principal }.into())
            }
        }
    }

    fn may_give(&self, by: &Principal, spec: &TokenSpec, approved: bool, now_ns: i64) -> bool {
        if is_same_name(by.rule_name(), &spec.name) {
            return false;
        }
        let rules = self.rules.load();
        let on = On::Role { role: spec.assignment.role.name(), holder: &spec.name, approved };
        by.assignments.iter().filter(|assignment| assignment.is_in_time(now_ns)).any(|assignment| {
            let question = Question { principal: by, assignment, action: "give-role", on, now_ns, purpose: None };
            rules.policies.permit(&question)
        })
    }

    /// Proposes to change a site's policies. What would be wrong with them is said at once.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub fn propose_policy(
        &self,
        by: &Principal,
        change: &PolicyChange,
        reason: &str,
        now_ns: i64,
    ) -> Result<Act, ChangeError> {
        let grant = self.authorize(by, Permission::ManagePolicy, &Resource::server(), Some(reason), now_ns)?;
        self.rules_with(change)?;
        let proposal = Proposal { permission: Permission::ManagePolicy, trail: None, what: json(change), reason };
        Ok(self.acts.propose(&grant, proposal, now_ns)?)
    }

    /// Carries out what two agreed to: from here on it is in force, and so it is after a restart.
    ///
    /// # Errors
    /// [`ChangeError`]; where the change would leave policies wrong by now, they stay as they are.
    pub fn carry_out_policy(&self, approved: &Approved, now_ns: i64) -> Result<(), ChangeError> {
        let change: PolicyChange = said(approved, Permission::ManagePolicy)?;
        let folder = AccessFolder::of(&self.server_folder);
        // Of two changes at once the second is made of what the first has left.
        let _one_at_a_time = self.changing.lock();
        let rules = self.rules_with(&change)?;
        self.acts.done(approved, now_ns)?;
        put(self, &folder, &change).map_err(AccessError::from)?;
        self.rules.store(std::sync::Arc::new(rules));
        Ok(())
    }

    /// The rules as they would be with a change.
    fn rules_with(&self, change: &PolicyChange) -> Result<crate::grant::Rules, ChangeError> {
        check_name(&change.file)?;
        let folder = AccessFolder::of(&self.server_folder);
        let mut site =
            crate::cedar::Policies::read_folder(&self.host, &folder.policies()).map_err(AccessError::from)?;
        let mut settings = Settings::text(&self.host, &folder.settings()).map_err(AccessError::from)?;
        if change.file == SETTINGS_FILE {
            settings = change.text.clone().unwrap_or_default();
        } else {
            let file = folder.policies().join(&change.file);
            site.retain(|source| source.file != file);
            site.extend(change.text.clone().map(|text| Source { file, text }));
            site.sort_by(|a, b| a.file.cmp(&b.file));
        }
        Ok(crate::access::rules(&folder, site, settings, self.rules.load().mask_key)?)
    }
}

fn put(access: &Access, folder: &AccessFolder, change: &PolicyChange) -> Result<(), PolicyError> {
    let host = &access.host;
    let path = match &*change.file {
        SETTINGS_FILE => folder.settings(),
        file => folder.policies().join(file),
    };
    let parent: &Path = path.parent().unwrap_or(&path);
    host.create_dir_all(parent, "policies")?;
    match &change.text {
        Some(text) => host.replace(&path, text.as_bytes(), "policies", Some(0o644))?,
        None => {
            match host.remove(&path, "policies") {
                Err(error) if !error.is_not_found() => return Err(error.into()),
                _ => {}
            }
            host.sync_dir(parent, "policies")?;
        }
    }
    Ok(())
}

fn check_name(file: &str) -> Result<(), ChangeError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let stem = file.strip_suffix(".cedar").filter(|stem| !stem.is_empty() && stem.len() <= 64);
    if file == SETTINGS_FILE || stem.is_some_and(|stem| stem.bytes().all(plain)) {
        return Ok(());
    }
    Err(ChangeError::Name(file.chars().take(80).collect()))
}

fn json(change: &impl Serialize) -> Value {
    // Texts, lists and numbers alone: nothing that JSON does not have.
    serde_json::to_value(change).unwrap_or_default()
}

/// What an act of that permission says to do.
fn said<T: serde::de::DeserializeOwned>(approved: &Approved, permission: Permission) -> Result<T, ActError> {
    let act = approved.act();
    let wrong = |cause: String| ActError::What { id: act.id.clone(), cause };
    if act.permission != permission {
        return Err(wrong(format!("it is to {}, and not to {permission}", act.permission)));
    }
    serde_json::from_value(act.what.clone()).map_err(|error| wrong(error.to_string()))
}
