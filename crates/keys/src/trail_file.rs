//! `<name>.trail`: the trail's key, wrapped by the master key. Small, replaced whole: giving a trail another master key
//! is one replacement of it.

use std::path::{Path, PathBuf};

use host::Host;
use serde::{Deserialize, Serialize};

use crate::cipher::bound_to;
use crate::encoded::{Base64, Hex};
use crate::keyring::KeyringError;
use crate::master::Recipe;
use crate::{Cipher, KeyId, Secret};

/// The version of the file.
const FORMAT: u32 = 1;

/// What the file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrailFile {
    pub format: u32,
    /// The log that the keys were made for. All that they encrypt is bound to it.
    pub origin: String,
    /// The log whose trail they are of by now, if it is another one: it goes on from a backup of the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Whether the trail's own files are encrypted, and not its signing key alone. It stands here too, so that nobody who
    /// writes to the trail's folder alone can switch encryption off.
    pub encrypts: bool,
    pub master: Recipe,
    /// The one in use first; a second one as long as not every key is wrapped by the first.
    pub keys: Vec<Wrapped>,
}

/// A trail's key, wrapped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wrapped {
    pub id: Hex<16>,
    pub sealed: Base64,
}

impl TrailFile {
    pub(crate) fn new(origin: &str, encrypts: bool, master: Recipe) -> TrailFile {
        TrailFile { format: FORMAT, origin: origin.to_owned(), log: None, encrypts, master, keys: Vec::new() }
    }

    /// The log whose trail they are of.
    pub(crate) fn log(&self) -> &str {
        self.log.as_deref().unwrap_or(&self.origin)
    }

    pub(crate) fn path(folder: &Path, name: &str) -> PathBuf {
        folder.join(format!("{name}.trail"))
    }

    pub(crate) fn read(host: &Host, folder: &Path, name: &str) -> Result<Option<TrailFile>, KeyringError> {
        let path = Self::path(folder, name);
        let Some(bytes) = host.read_if_there(&path, "trail-key")? else { return Ok(None) };
        let malformed = |why: String| KeyringError::Malformed { path: path.clone(), why };
        let file: TrailFile = serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
        if file.format != FORMAT {
            let why = format!(
                "it has format {}, and this version reads {FORMAT}; use the version that wrote it",
                file.format
            );
            return Err(malformed(why));
        }
        if file.keys.is_empty() || file.keys.len() > 2 {
            return Err(malformed(format!("it has {} keys, and one or two are expected", file.keys.len())));
        }
        Ok(Some(file))
    }

    /// Durable when it returns, and whole whatever happens.
    pub(crate) fn put(&self, host: &Host, folder: &Path, name: &str) -> Result<(), KeyringError> {
        let mut json = serde_json::to_vec_pretty(self)
            .map_err(|error| KeyringError::Malformed { path: Self::path(folder, name), why: error.to_string() })?;
        json.push(b'\n');
        Ok(host.replace(Self::path(folder, name), &json, "trail-key", Some(0o600))?)
    }

    /// Wraps a key, and puts it in front.
    pub(crate) fn add(&mut self, host: &Host, master: &Cipher, id: KeyId, secret: &Secret) {
        let sealed = master.seal(host, &self.bound(&id), secret.bytes());
        self.keys.insert(0, Wrapped { id, sealed: Base64(sealed) });
    }

    pub(crate) fn bound(&self, id: &KeyId) -> Vec<u8> {
        bound_to("onrecord/trail-key/v1", &[self.origin.as_bytes(), &id.0])
    }

    /// The keys, unwrapped; nothing if it is not this master key that wrapped them.
    pub(crate) fn open(&self, master: &Cipher) -> Option<Vec<(KeyId, Secret)>> {
        let open = |wrapped: &Wrapped| {
            let secret = master.open_key(&self.bound(&wrapped.id), &wrapped.sealed.0).ok()?;
            Some((wrapped.id, secret))
        };
        self.keys.iter().map(open).collect()
    }
}
