//! The master key: what wraps a trail's keys, and how it is had.

use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use host::{FileError, Host};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::encoded::Hex;
use crate::{Cipher, NoSource, Secret, Source};

/// Memory, passes and lanes of Argon2id: the second choice of RFC 9106 section 4.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
const LANES: u32 = 4;

/// More than this is not tried: a file that asks for it was not written here (I12).
const MEMORY_KIB_MAX: u32 = 4 << 20;
const PASSES_MAX: u32 = 64;

/// The shortest passphrase that is taken, in bytes.
pub const PASSPHRASE_BYTES_MIN: usize = 12;

/// Bytes of a file of key or passphrase at most.
const FILE_BYTES_MAX: u64 = 4_096;

/// Where the master key is, and how it is made of what is there. Stands in clear text beside what the key wraps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    /// As [`Source`] is written.
    pub source: String,
    /// If it is made of a passphrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argon2id: Option<Stretching>,
}

/// The parameters of Argon2id (RFC 9106), version 0x13.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stretching {
    pub salt: Hex<16>,
    pub memory_kib: u32,
    pub passes: u32,
    pub lanes: u32,
}

/// Why the master key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum MasterError {
    /// The text says no place.
    #[error(transparent)]
    Source(#[from] NoSource),
    /// It is not where it is said to be.
    #[error(
        "the master key is not at {source_text}{}; put it there, or say where it is with ONRECORD_MASTER_KEY",
        at(path)
    )]
    Missing {
        /// Where it was looked for.
        source_text: String,
        /// The file, if it is one.
        path: Option<PathBuf>,
    },
    /// What is there is none.
    #[error("{source_text} holds no master key: {why}")]
    Malformed {
        /// Where.
        source_text: String,
        /// Why.
        why: String,
    },
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
}

fn at(path: &Option<PathBuf>) -> String {
    path.as_ref().map(|path| format!(" ({})", path.display())).unwrap_or_default()
}

impl Recipe {
    /// For a key that begins to be used.
    pub(crate) fn new(host: &Host, source: &Source) -> Recipe {
        let stretched = matches!(source, Source::Passphrase(_));
        let stretching =
            || Stretching { salt: Hex(host.random()), memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES };
        Recipe { source: source.to_string(), argon2id: stretched.then(stretching) }
    }

    /// The key. `elsewhere` is where it is by now, if not where it was when this was written.
    pub(crate) fn cipher(&self, host: &Host, folder: &Path, elsewhere: Option<&Source>) -> Result<Cipher, MasterError> {
        let source = match elsewhere {
            Some(source) => source.clone(),
            None => self.source.parse()?,
        };
        let bytes = read(host, &source, folder)?;
        let malformed = |why: &str| MasterError::Malformed { source_text: source.to_string(), why: why.to_owned() };
        match &self.argon2id {
            None => Secret::read(&bytes)
                .map(|secret| Cipher::new(&secret))
                .ok_or_else(|| malformed("it takes 32 bytes or 64 hexadecimal digits")),
            Some(stretching) => {
                let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
                let passphrase = line.strip_suffix(b"\r").unwrap_or(line);
                if passphrase.len() < PASSPHRASE_BYTES_MIN {
                    return Err(malformed(&format!("a passphrase has {PASSPHRASE_BYTES_MIN} bytes at least")));
                }
                Ok(Cipher::new(&stretching.stretch(passphrase).map_err(|why| malformed(&why))?))
            }
        }
    }
}

impl Stretching {
    fn stretch(&self, passphrase: &[u8]) -> Result<Secret, String> {
        if self.memory_kib > MEMORY_KIB_MAX || self.passes > PASSES_MAX {
            return Err(format!("more than {MEMORY_KIB_MAX} KiB or {PASSES_MAX} passes are not tried"));
        }
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32));
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.map_err(|error| error.to_string())?);
        let mut key = [0; 32];
        argon2.hash_password_into(passphrase, &self.salt.0, &mut key).map_err(|error| error.to_string())?;
        Ok(Secret::take(&mut key))
    }
}

/// What is at the source.
fn read(host: &Host, source: &Source, folder: &Path) -> Result<Zeroizing<Vec<u8>>, MasterError> {
    let path = source.path(folder);
    let missing = || MasterError::Missing { source_text: source.to_string(), path: path.clone() };
    if let Source::Variable(name) = source {
        return std::env::var(name).map(|value| Zeroizing::new(value.into_bytes())).map_err(|_| missing());
    }
    let path = path.as_ref().ok_or_else(missing)?;
    let file = match host.open_read(path, "master-key") {
        Err(error) if error.is_not_found() => return Err(missing()),
        file => file?,
    };
    let length = file.len()?;
    if length > FILE_BYTES_MAX {
        let why = format!("it is {length} bytes long, and {FILE_BYTES_MAX} are the most");
        return Err(MasterError::Malformed { source_text: source.to_string(), why });
    }
    let mut bytes = Zeroizing::new(vec![0; length as usize]);
    let read = file.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Makes the master key in the folder of keys if there is none and it belongs there. Any other is made by whoever keeps it.
pub(crate) fn make_if_default(host: &Host, folder: &Path, source: &Source) -> Result<(), MasterError> {
    if *source != Source::default() {
        return Ok(());
    }
    let Some(path) = source.path(folder) else { return Ok(()) };
    let mut digits = Zeroizing::new(Hex(*Secret::random(host).bytes()).to_string());
    digits.push('\n');
    match host.put_new_with_mode(path, digits.as_bytes(), "master-key", 0o600) {
        Err(FileError::AlreadyExists { .. }) => Ok(()),
        made => Ok(made?),
    }
}
