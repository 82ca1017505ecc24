//! Which trails, models or tenants: all of them, or some.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Names that are meant at most in one list (I12).
pub const NAMES_MAX: usize = 256;
/// Bytes of a name.
pub const NAME_BYTES_MAX: usize = 256;

/// Some names, or all there are. Written as a list, `["*"]` for all.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub enum Names {
    /// All, those to come included.
    All,
    /// These alone.
    These(BTreeSet<String>),
}

/// A list that names nothing well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamesError {
    /// `"*"` beside names.
    #[error("\"*\" means all and stands alone; leave the other names out, or leave \"*\" out")]
    AllAndSome,
    /// More than [`NAMES_MAX`].
    #[error("{0} names are more than the limit of {NAMES_MAX}; use \"*\", or several tokens or roles")]
    TooMany(usize),
    /// Empty, longer than [`NAME_BYTES_MAX`], or with control characters.
    #[error("{0:?} is no name: it is empty, longer than {NAME_BYTES_MAX} bytes, or has control characters in it")]
    NotAName(String),
}

impl Names {
    /// No name at all.
    pub fn none() -> Names {
        Names::These(BTreeSet::new())
    }

    /// These names.
    ///
    /// # Errors
    /// [`NamesError`] where one is no name, or there are too many.
    pub fn of<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Result<Names, NamesError> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        if names.iter().any(|name| name == "*") {
            return if names.len() == 1 { Ok(Names::All) } else { Err(NamesError::AllAndSome) };
        }
        if names.len() > NAMES_MAX {
            return Err(NamesError::TooMany(names.len()));
        }
        match names.iter().find(|name| !is_name(name)) {
            Some(name) => Err(NamesError::NotAName(name.chars().take(NAME_BYTES_MAX).collect())),
            None => Ok(Names::These(names.into_iter().collect())),
        }
    }

    /// Whether `name` is one of them.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Names::All => true,
            Names::These(names) => names.contains(name),
        }
    }

    /// Whether every name of `other` is one of these too.
    pub fn cover(&self, other: &Names) -> bool {
        match (self, other) {
            (Names::All, _) => true,
            (_, Names::All) => false,
            (Names::These(mine), Names::These(theirs)) => theirs.is_subset(mine),
        }
    }

    /// The names, where they are not all.
    pub fn some(&self) -> Option<&BTreeSet<String>> {
        match self {
            Names::All => None,
            Names::These(names) => Some(names),
        }
    }
}

/// Whether a text may stand for a trail, model, tenant or principal.
pub(crate) fn is_name(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control)
}

/// Whether two names are one to who reads them.
pub(crate) fn is_same_name(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

impl TryFrom<Vec<String>> for Names {
    type Error = NamesError;

    fn try_from(names: Vec<String>) -> Result<Names, NamesError> {
        Names::of(names)
    }
}

impl From<Names> for Vec<String> {
    fn from(names: Names) -> Vec<String> {
        match names {
            Names::All => vec!["*".to_owned()],
            Names::These(names) => names.into_iter().collect(),
        }
    }
}

impl std::fmt::Display for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Names::All => f.write_str("*"),
            Names::These(names) => f.write_str(&names.iter().map(String::as_str).collect::<Vec<_>>().join(",")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_said_alone_and_nothing_is_none() {
        assert_eq!(Names::of(["*"]), Ok(Names::All));
        assert_eq!(Names::of(["*", "a"]), Err(NamesError::AllAndSome));
        assert!(Names::of(["a\nb"]).is_err() && Names::of([" "]).is_err());
        assert!(!Names::none().has("a") && Names::All.has("a"));
        let some = Names::of(["a", "b"]).unwrap();
        assert!(Names::All.cover(&some) && !some.cover(&Names::All) && some.cover(&Names::of(["a"]).unwrap()));
        assert!(some.has("a") && !some.has("*") && !some.has("c"));
    }
}
