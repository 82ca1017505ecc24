//! What the key has signed, remembered beside the key, so that a restored backup is not continued (I4, T3).

use host::{FileError, Host};
use tlog::{Prover, SignedCheckpoint, VerifierKey};

use super::OpenError;
use crate::entries::Entries;
use crate::folder::Folder;
use crate::signing_key::KeyFolder;

/// What the key has signed, as it is remembered beside the key. A lower bound: it is brought up to date when a trail is
/// opened, settled and closed, not at each seal.
pub(super) struct Signer {
    pub(super) keys: KeyFolder,
    pub(super) key: VerifierKey,
}

impl Signer {
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

    pub(super) fn remember(&self, host: &Host, checkpoint: Option<&SignedCheckpoint>) -> Result<(), FileError> {
        match checkpoint {
            Some(checkpoint) => self.keys.remember(host, &self.key, &checkpoint.to_string()),
            None => Ok(()),
        }
    }
}
