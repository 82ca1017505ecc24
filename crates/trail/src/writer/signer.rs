//! What the key has signed and how far the lake has come, remembered beside the keys, so that an older copy is not
//! continued (I4, T3).

use host::{FileError, Host};
use parking_lot::Mutex;
use tlog::{Prover, SignedCheckpoint, VerifierKey};

use super::OpenError;
use crate::entries::Entries;
use crate::folder::Folder;
use crate::signing_key::KeyFolder;

/// What the key has signed, as it is remembered beside the key. A lower bound: it is brought up to date when a trail is
/// opened, settled and closed, not at each seal.
pub(super) struct Signer {
    keys: KeyFolder,
    key: VerifierKey,
    /// The version of the lake that is remembered.
    lake: Mutex<Option<u64>>,
    /// The size of the checkpoint that this process has remembered.
    signed: Mutex<Option<u64>>,
}

impl Signer {
    pub(super) fn new(host: &Host, keys: &KeyFolder, key: VerifierKey) -> Result<Signer, FileError> {
        let lake = keys.lake_reached(host, &key)?;
        Ok(Signer { keys: keys.clone(), key, lake: Mutex::new(lake), signed: Mutex::default() })
    }

    /// Refuses a lake that is older than one that had these keys. The newer one may have done with keys that this one
    /// needs, and opening this one would do away with keys of the newer one's files.
    pub(super) fn check_lake(&self, found: u64) -> Result<(), OpenError> {
        match *self.lake.lock() {
            Some(reached) if found < reached => {
                Err(OpenError::OlderLake { found, reached, path: self.keys.lake_reached_path(&self.key) })
            }
            _ => Ok(()),
        }
    }

    /// Remembers a version of the lake. Durable when it returns; no key that an older version needs goes before.
    pub(super) fn remember_lake(&self, host: &Host, version: u64) -> Result<(), FileError> {
        let mut remembered = self.lake.lock();
        if remembered.is_none_or(|remembered| remembered < version) {
            self.keys.remember_lake(host, &self.key, version)?;
            *remembered = Some(version);
        }
        Ok(())
    }

    /// Refuses a trail that does not go on from what the key signed last.
    pub(super) fn check(
        &self,
        host: &Host,
        folder: &Folder,
        checkpoint: Option<&SignedCheckpoint>,
    ) -> Result<(), OpenError> {
        let Some(bytes) = self.keys.last_signed(host, &self.key)? else { return Ok(()) };
        let path = self.keys.last_signed_path(&self.key);
        let last = SignedCheckpoint::open(&bytes, std::slice::from_ref(&self.key));
        let last = last.map_err(|error| OpenError::Checkpoint(format!("{}: {error}", path.display())))?;
        let signed = last.checkpoint().size();
        let size = checkpoint.map_or(0, |checkpoint| checkpoint.checkpoint().size());
        if signed > size {
            return Err(OpenError::RolledBack { signed, what: format!("ends at {size}"), path });
        }
        let root = Prover::new(Entries::new(host, folder), signed).root();
        let root = root.map_err(|error| OpenError::Tree(error.to_string()))?;
        if root != last.checkpoint().root() {
            return Err(OpenError::RolledBack { signed, what: "holds others".to_owned(), path });
        }
        Ok(())
    }

    /// Remembers a checkpoint. Durable when it returns.
    pub(super) fn remember(&self, host: &Host, checkpoint: Option<&SignedCheckpoint>) -> Result<(), FileError> {
        let Some(checkpoint) = checkpoint else { return Ok(()) };
        let (size, mut remembered) = (checkpoint.checkpoint().size(), self.signed.lock());
        if *remembered != Some(size) {
            self.keys.remember(host, &self.key, &checkpoint.to_string())?;
            *remembered = Some(size);
        }
        Ok(())
    }
}
