//! The signing key of a log, kept apart from the trail: a copy of the folder can be verified, never continued.

use std::path::{Path, PathBuf};

use host::{FileError, Host};
use tlog::{KeyError, SigningKey, Verifier as _, VerifierKey};

/// A folder of signing keys, one file a key, mode 0600, in Go's private note form (`PRIVATE+KEY+…`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFolder(pub PathBuf);

/// Why a signing key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// It is not there.
    #[error(
        "the signing key of {origin} is not at {}: the trail can be read and verified here, and continued only where \
         its key is (ONRECORD_KEYS names the folder)", path.display()
    )]
    Missing {
        /// The log.
        origin: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file holds no key, or another one.
    #[error("{} does not hold the key of {origin}: {cause}", path.display())]
    Wrong {
        /// The log.
        origin: String,
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
}

impl KeyFolder {
    /// The file of a key.
    pub fn path(&self, key: &VerifierKey) -> PathBuf {
        self.0.join(format!("{}.key", name_of(key)))
    }

    /// The file that remembers what a key signed last.
    pub fn last_signed_path(&self, key: &VerifierKey) -> PathBuf {
        self.0.join(format!("{}.last", name_of(key)))
    }

    /// The last checkpoint that the key is known to have signed, a signed note. It stands beside the key and not in the
    /// trail, so that a trail put back from a backup is noticed before the key signs a second history (I4, T3, T5).
    pub(crate) fn last_signed(&self, host: &Host, key: &VerifierKey) -> Result<Option<Vec<u8>>, FileError> {
        host.read_if_there(self.last_signed_path(key), "last-signed")
    }

    /// Remembers a checkpoint as the last one signed. Durable when it returns.
    pub(crate) fn remember(&self, host: &Host, key: &VerifierKey, checkpoint: &str) -> Result<(), FileError> {
        host.replace(self.last_signed_path(key), checkpoint.as_bytes(), "last-signed", Some(0o600))
    }

    /// Keeps a new key. Durable when it returns.
    pub fn store(&self, host: &Host, key: &SigningKey) -> Result<PathBuf, SigningKeyError> {
        host.create_dir_all(&self.0, "key")?;
        let path = self.path(&key.verifier_key());
        let mut text = key.to_private();
        text.push('\n');
        host.put_new_with_mode(&path, text.as_bytes(), "key", 0o600)?;
        Ok(path)
    }

    /// The signing key that belongs to a verifier key.
    pub fn load(&self, host: &Host, key: &VerifierKey) -> Result<SigningKey, SigningKeyError> {
        let path = self.path(key);
        let origin = key.name().to_string();
        let Some(bytes) = host.read_if_there(&path, "key")? else {
            return Err(SigningKeyError::Missing { origin, path });
        };
        parse(&bytes, key).map_err(|cause| SigningKeyError::Wrong { origin, path, cause })
    }

    /// The folder.
    pub fn path_of_folder(&self) -> &Path {
        &self.0
    }
}

/// The name of a key's files: its hash, since an origin may hold characters that a file name may not.
fn name_of(key: &VerifierKey) -> String {
    use sha2::Digest as _;
    let hash: [u8; 32] = sha2::Sha256::digest(key.to_string()).into();
    hash[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parse(bytes: &[u8], expected: &VerifierKey) -> Result<SigningKey, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?;
    let key = SigningKey::parse(text.trim_end()).map_err(|error: KeyError| error.to_string())?;
    if key.verifier_key().to_string() == expected.to_string() { Ok(key) } else { Err("it is another key".to_owned()) }
}
