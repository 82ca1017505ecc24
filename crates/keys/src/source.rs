//! Where the master key is: said as text, so that it can stand in a variable, a flag, or beside what it opens.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The variable that says where the master key is.
pub const SOURCE_VARIABLE: &str = "ONRECORD_MASTER_KEY";

/// The file of the master key in the folder of keys, unless it is said to be elsewhere.
pub const MASTER_FILE: &str = "master.key";

/// Where systemd puts what `LoadCredential=` names.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Where the master key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `file:PATH`: a file of 32 bytes, or of 64 hexadecimal digits. A path that is not absolute is one in the folder
    /// of keys.
    File(PathBuf),
    /// `passphrase:PATH`: a file whose first line is a passphrase; the key is made of it with Argon2id.
    Passphrase(PathBuf),
    /// `env:NAME`: 64 hexadecimal digits in a variable.
    Variable(String),
    /// `credential:NAME`: as `file`, among the credentials that systemd hands to a service.
    Credential(String),
}

/// The text says no place for a master key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} says no place for a master key; write file:PATH, passphrase:PATH, env:NAME or credential:NAME")]
pub struct NoSource(pub String);

impl Default for Source {
    fn default() -> Self {
        Source::File(MASTER_FILE.into())
    }
}

impl Source {
    /// What [`SOURCE_VARIABLE`] says, if it is set.
    ///
    /// # Errors
    /// [`NoSource`].
    pub fn from_environment() -> Result<Option<Source>, NoSource> {
        match std::env::var_os(SOURCE_VARIABLE).filter(|value| !value.is_empty()) {
            None => Ok(None),
            Some(value) => {
                value.into_string().map_err(|value| NoSource(value.to_string_lossy().into_owned()))?.parse().map(Some)
            }
        }
    }

    /// The file that it means, for a folder of keys.
    pub(crate) fn path(&self, folder: &Path) -> Option<PathBuf> {
        match self {
            Source::File(path) | Source::Passphrase(path) => Some(folder.join(path)),
            Source::Credential(name) => Some(PathBuf::from(std::env::var_os(CREDENTIALS)?).join(name)),
            Source::Variable(_) => None,
        }
    }
}

impl FromStr for Source {
    type Err = NoSource;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || NoSource(text.to_owned());
        let (kind, place) = text.split_once(':').filter(|(_, place)| !place.is_empty()).ok_or_else(bad)?;
        let is_name = !place.contains(['/', '\0']) && place != "." && place != "..";
        match kind {
            "file" => Ok(Source::File(place.into())),
            "passphrase" => Ok(Source::Passphrase(place.into())),
            "env" if is_name => Ok(Source::Variable(place.to_owned())),
            "credential" if is_name => Ok(Source::Credential(place.to_owned())),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => write!(f, "file:{}", path.display()),
            Source::Passphrase(path) => write!(f, "passphrase:{}", path.display()),
            Source::Variable(name) => write!(f, "env:{name}"),
            Source::Credential(name) => write!(f, "credential:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_read_as_it_is_written() {
        for text in ["file:master.key", "file:/a/b c", "passphrase:/etc/p", "env:KEY", "credential:onrecord"] {
            assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
        }
        for text in ["", "file:", "file", "/etc/key", "credential:../x", "credential:..", "vault:x"] {
            assert_eq!(text.parse::<Source>(), Err(NoSource(text.to_owned())));
        }
    }
}
