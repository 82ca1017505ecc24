//! A role: a name that access policies speak of.

use serde::{Deserialize, Serialize};

/// Bytes of a role's name.
const ROLE_BYTES_MAX: usize = 64;

/// A role's name. Those of [`Role::BUILT_IN`] have rights by the default policy; any other has what a site's own
/// policies permit it, and nothing where there are none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Role(String);

/// A text that is no role's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no role: a role is 1 to {ROLE_BYTES_MAX} lower-case letters, digits and hyphens")]
pub struct RoleError(String);

impl Role {
    /// The roles that the default policy knows.
    pub const BUILT_IN: [&'static str; 8] =
        ["writer", "reader", "analyst", "auditor", "investigator", "model-owner", "regulator", "admin"];

    /// The role of that name.
    ///
    /// # Errors
    /// [`RoleError`] for what could not stand in a policy plainly.
    pub fn new(name: &str) -> Result<Role, RoleError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > ROLE_BYTES_MAX || !name.bytes().all(plain) {
            return Err(RoleError(name.chars().take(ROLE_BYTES_MAX).collect()));
        }
        Ok(Role(name.to_owned()))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Whether the default policy knows it.
    pub fn is_built_in(&self) -> bool {
        Role::BUILT_IN.contains(&self.name())
    }
}

impl TryFrom<String> for Role {
    type Error = RoleError;

    fn try_from(name: String) -> Result<Role, RoleError> {
        Role::new(&name)
    }
}

impl From<Role> for String {
    fn from(role: Role) -> String {
        role.0
    }
}

impl std::str::FromStr for Role {
    type Err = RoleError;

    fn from_str(name: &str) -> Result<Role, RoleError> {
        Role::new(name)
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
