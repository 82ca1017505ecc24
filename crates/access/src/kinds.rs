//! Which kinds of record.

use std::collections::BTreeSet;

use record::Kind;
use serde::{Deserialize, Serialize};

/// Some kinds of record. Written as a list of their names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Kinds(BTreeSet<Kind>);

/// A name of no kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no kind of record; kinds are {kinds}", kinds = Kinds::from_iter(Kind::all()))]
pub struct KindError(String);

impl Kinds {
    /// Whether `kind` is one of them.
    pub fn has(&self, kind: Kind) -> bool {
        self.0.contains(&kind)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Kind> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<Kind> for Kinds {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Kinds {
        Kinds(kinds.into_iter().collect())
    }
}

impl TryFrom<Vec<String>> for Kinds {
    type Error = KindError;

    fn try_from(names: Vec<String>) -> Result<Kinds, KindError> {
        names.into_iter().map(|name| Kind::from_name(&name).ok_or(KindError(name))).collect()
    }
}

impl From<Kinds> for Vec<String> {
    fn from(kinds: Kinds) -> Vec<String> {
        kinds.iter().map(|kind| kind.name().to_owned()).collect()
    }
}

impl std::fmt::Display for Kinds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.iter().map(Kind::name).collect::<Vec<_>>().join(","))
    }
}
