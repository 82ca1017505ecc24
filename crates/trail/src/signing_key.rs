//! The signing key of a log, kept apart from the trail: a copy of the folder can be verified, never continued.

use std::path::{Path, PathBuf};

use host::{FileError, Host};
use keys::{Keyring, KeyringError};
use tlog::{KeyError, SigningKey, Verifier as _, VerifierKey};
use zeroize::Zeroizing;

/// A folder of keys. A signing key is a file of mode 0600: in Go's private note form (`PRIVATE+KEY+…`), or that encrypted
/// under a key of its own where the trail has keys.
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
    /// The keys that it is wrapped by could not be opened.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
}

/// The file that a wrapped signing key is, to its key in the store.
pub(crate) const SIGNING_KEY: &str = "signing-key";

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

    /// What the one writer of the log holds locked, in whichever copy of the trail's folder it writes (I6).
    pub(crate) fn lock_path(&self, key: &VerifierKey) -> PathBuf {
        self.0.join(format!("{}.lock", name_of(key)))
    }

    /// The file that remembers how far the trail's lake has come.
    pub(crate) fn lake_reached_path(&self, key: &VerifierKey) -> PathBuf {
        self.0.join(format!("{}.lake", name_of(key)))
    }

    /// The version of the lake's table that is known to have been reached. It stands beside the keys, of which that version
    /// may need fewer than an older one, and others.
    pub(crate) fn lake_reached(&self, host: &Host, key: &VerifierKey) -> Result<Option<u64>, FileError> {
        let path = self.lake_reached_path(key);
        let Some(bytes) = host.read_if_there(&path, "lake-reached")? else { return Ok(None) };
        let version = std::str::from_utf8(&bytes).ok().and_then(|text| text.trim_end().parse().ok());
        let why = "it is no version of a table; restore the file from a backup of the folder of keys";
        let malformed = || FileError::Io {
            operation: host::Operation::Read,
            path,
            cause: std::io::Error::new(std::io::ErrorKind::InvalidData, why),
        };
        version.ok_or_else(malformed).map(Some)
    }

    /// Remembers a version of the lake's table. Durable when it returns.
    pub(crate) fn remember_lake(&self, host: &Host, key: &VerifierKey, version: u64) -> Result<(), FileError> {
        let text = format!("{version}\n");
        host.replace(self.lake_reached_path(key), text.as_bytes(), "lake-reached", Some(0o600))
    }

    /// Keeps a new key, wrapped if the trail has keys. Durable when it returns.
    pub fn store(&self, host: &Host, key: &SigningKey, keys: Option<&Keyring>) -> Result<PathBuf, SigningKeyError> {
        host.create_dir_all(&self.0, "key")?;
        let path = self.path(&key.verifier_key());
        let mut text = Zeroizing::new(key.to_private());
        text.push('\n');
        match keys {
            None => host.put_new_with_mode(&path, text.as_bytes(), "key", 0o600)?,
            Some(keys) => {
                let sealed = keys.seal_file(SIGNING_KEY, text.as_bytes())?;
                host.put_new_with_mode(&path, &sealed, "key", 0o600)?;
            }
        }
        Ok(path)
    }

    /// The signing key that belongs to a verifier key. One that is wrapped takes the trail's keys, and so the master key.
    pub fn load(&self, host: &Host, key: &VerifierKey) -> Result<SigningKey, SigningKeyError> {
        let path = self.path(key);
        let origin = key.name().to_string();
        let Some(bytes) = host.read_if_there(&path, "key")? else {
            return Err(SigningKeyError::Missing { origin, path });
        };
        let bytes = Zeroizing::new(bytes);
        if !Keyring::is_sealed(&bytes) {
            return parse(&bytes, key).map_err(|cause| SigningKeyError::Wrong { origin, path, cause });
        }
        let wrong = |cause: String| SigningKeyError::Wrong { origin: origin.clone(), path: path.clone(), cause };
        let keys =
            self.keyring(host, key)?.ok_or_else(|| wrong("it is wrapped, and the trail has no keys".to_owned()))?;
        let opened = keys.open_file(SIGNING_KEY, &bytes).map_err(|error| wrong(error.to_string()))?;
        parse(&opened, key).map_err(wrong)
    }

    /// The folder.
    pub fn path_of_folder(&self) -> &Path {
        &self.0
    }
}

/// The name of a key's files: its hash, since an origin may hold characters that a file name may not.
pub(crate) fn name_of(key: &VerifierKey) -> String {
    use sha2::Digest as _;
    let hash: [u8; 32] = sha2::Sha256::digest(key.to_string()).into();
    hash[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parse(bytes: &[u8], expected: &VerifierKey) -> Result<SigningKey, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?;
    let key = SigningKey::parse(text.trim_end()).map_err(|error: KeyError| error.to_string())?;
    if key.verifier_key().to_string() == expected.to_string() { Ok(key) } else { Err("it is another key".to_owned()) }
}
