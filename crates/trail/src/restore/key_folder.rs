//! Which log a restored trail has, and the keys that it is used with.

use std::collections::BTreeSet;
use std::path::PathBuf;

use host::FileError;
use keys::{Copying, Keyring, KeyringError, Place};
use tlog::{KeyName, Prover, SignedCheckpoint, SigningKey, Verifier as _, VerifierKey};
use zeroize::Zeroizing;

use super::{Known, Restore, RestoreError, STEP};
use crate::backup::{check_copy, copy_keys, needed, signing_key};
use crate::folder::Folder;
use crate::lock::Lock;
use crate::settings::{ENCRYPTED, Settings};
use crate::signing_key::{KeyFolder, SIGNING_KEY, SigningKeyError, name_of};
use crate::snapshot::Snapshot;
use crate::unfinished::Restoring;

impl<'a> Restore<'a> {
    /// The newest checkpoint of the log that is known here: pinned, or remembered beside a key. The backup must hold all that
    /// an older one covers.
    pub(super) fn newest_known(&self, snapshot: &Snapshot, key: &VerifierKey) -> Result<Option<Known>, RestoreError> {
        let mut all = self.pins.to_vec();
        for keys in [Some(self.keys), self.backup_keys].into_iter().flatten() {
            let path = keys.last_signed_path(key);
            all.extend(keys.last_signed(self.host, key)?.map(|bytes| (path.display().to_string(), bytes)));
        }
        let mut newest: Option<Known> = None;
        for (name, bytes) in all {
            let signed = SignedCheckpoint::open(&bytes, std::slice::from_ref(key));
            let signed = signed.map_err(|error| RestoreError::Pin { name: name.clone(), cause: error.to_string() })?;
            let (size, root) = (signed.checkpoint().size(), signed.checkpoint().root());
            if size <= snapshot.sealed() {
                let held = Prover::new(snapshot.entries(), size).root();
                if !held.is_ok_and(|held| held == root) {
                    return Err(RestoreError::NotThatPast { name, size });
                }
            }
            if newest.as_ref().is_none_or(|newest| newest.size < size) {
                newest = Some(Known { size, note: signed.to_string() });
            }
        }
        Ok(newest)
    }

    /// Whether the log goes on: something says how far it had come, and its key is known to have signed nothing that the
    /// backup does not hold, and no folder of keys has seen a newer lake.
    pub(super) fn goes_on(
        &self,
        snapshot: &Snapshot,
        key: &VerifierKey,
        known: Option<&Known>,
    ) -> Result<bool, RestoreError> {
        for keys in [Some(self.keys), self.backup_keys].into_iter().flatten() {
            if keys.lake_reached(self.host, key)?.is_some_and(|reached| reached > snapshot.lake().version()) {
                return Ok(false);
            }
        }
        Ok(known.is_none_or(|known| known.size <= snapshot.sealed()) && !self.is_unproven(key)?)
    }

    /// Whether nothing says how far the log had come: the backup's own keys know what was so when it was made.
    pub(super) fn is_unproven(&self, key: &VerifierKey) -> Result<bool, FileError> {
        let (host, keys) = (self.host, self.keys);
        let asked = self.newest || !self.pins.is_empty();
        Ok(!asked && keys.last_signed(host, key)?.is_none() && keys.lake_reached(host, key)?.is_none())
    }

    /// Whether the key of the new log is there; what there is of one whose making was interrupted is removed.
    pub(super) fn has_its_key(&self, begun: &Restoring) -> Result<bool, RestoreError> {
        let Some(successor) = &begun.successor else { return Ok(true) };
        let key: VerifierKey = successor.parse()?;
        match self.keys.load(self.host, &key) {
            Ok(_) => Ok(true),
            Err(SigningKeyError::Missing { .. }) => {
                Keyring::discard(self.host, Place { folder: &self.keys.0, name: &name_of(&key) })?;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A key for a new log: it is called as the old one, and how it came to be.
    pub(super) fn new_key(&self, origin: &str) -> Result<SigningKey, RestoreError> {
        let first = origin.split_once("/restored-").map_or(origin, |(first, _)| first);
        let random: [u8; 5] = self.host.random();
        let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let seed: [u8; 32] = self.host.random();
        Ok(SigningKey::from_seed(KeyName::new(&format!("{first}/restored-{random}"))?, &seed)?)
    }

    /// Keeps the new log's key, and gives it the old trail's keys, which open what the backup holds. They stay bound to the
    /// name that they were made for.
    pub(super) fn keep_key(
        &self,
        key: &SigningKey,
        old: &VerifierKey,
        snapshot: &Snapshot,
    ) -> Result<(), RestoreError> {
        let (host, verifier) = (self.host, key.verifier_key());
        let (from, old_name, name) = (self.backup_keys.unwrap_or(self.keys), name_of(old), name_of(&verifier));
        if Keyring::encrypts_at(host, &from.0, &old_name)?.is_some() {
            let from = Place { folder: &from.0, name: &old_name };
            let to = Place { folder: &self.keys.0, name: &name };
            let needed = self.needed(snapshot)?;
            let copying = Copying { needed: Some(&needed), log: Some(verifier.name().as_str()), keep: false };
            Keyring::copy(host, from, to, copying)?;
        }
        let keyring = self.keys.keyring(host, &verifier)?;
        if let Some(keyring) = &keyring {
            // It opens the old log's signing key, which stays where it is.
            keyring.destroy([SIGNING_KEY])?;
        }
        self.keys.store(host, key, keyring.as_ref())?;
        Ok(())
    }

    /// The keys of the log that goes on can be had: nobody writes another copy of the trail with those that are here, and if
    /// others have to come, there is room for them.
    pub(super) fn check_keys(&self, key: &VerifierKey) -> Result<(), RestoreError> {
        drop(Lock::of_keys(self.host, self.to, self.keys, key)?);
        match self.backup_keys {
            Some(keys) if !self.has_store(key)? => Ok(check_copy(self.host, key, keys, self.keys)?),
            _ => Ok(()),
        }
    }

    fn has_store(&self, key: &VerifierKey) -> Result<bool, RestoreError> {
        Ok(Keyring::encrypts_at(self.host, &self.keys.0, &name_of(key))?.is_some())
    }

    /// The files of the backup that are read with its keys.
    fn needed(&self, snapshot: &Snapshot) -> Result<BTreeSet<String>, FileError> {
        let backup = Folder::new(self.backup);
        let is_segment = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "journal");
        let journal: Vec<PathBuf> = self.host.list(backup.journal(), STEP)?.into_iter().filter(is_segment).collect();
        Ok(needed(snapshot, &journal, backup.erasure().exists()))
    }

    /// The log goes on as it is: keys that are not here are brought, and its checkpoint. Of the keys that are here none is
    /// destroyed or replaced.
    pub(super) fn take_up(
        &self,
        snapshot: &Snapshot,
        settings: &Settings,
        key: &VerifierKey,
    ) -> Result<Settings, RestoreError> {
        let host = self.host;
        // Whoever writes a copy of the trail with these keys makes and destroys some.
        let _alone = Lock::of_keys(host, self.to, self.keys, key)?;
        let has_key = host.read_if_there(self.keys.path(key), STEP)?.is_some();
        let mut needed = self.needed(snapshot)?;
        if self.has_store(key)? {
            self.complete(key, has_key, needed)?;
        } else if !has_key || settings.encryption == ENCRYPTED {
            let needs = || RestoreError::NeedsKeys { origin: settings.origin.clone(), folder: self.keys.0.clone() };
            let from = self.backup_keys.ok_or_else(needs)?;
            needed.extend(signing_key(host, key, from)?);
            copy_keys(host, key, from, self.keys, Copying { needed: Some(&needed), log: None, keep: true })?;
        }
        // Before there is a trail that would have to be opened with it.
        self.keys.load(host, key)?;
        if let Some(checkpoint) = snapshot.checkpoint() {
            host.replace(self.folder().checkpoint(), checkpoint.to_string().as_bytes(), STEP, None)?;
        }
        Ok(settings.clone())
    }

    /// Adds to the keys that are here what they lack.
    fn complete(&self, key: &VerifierKey, has_key: bool, mut needed: BTreeSet<String>) -> Result<(), RestoreError> {
        let (host, name) = (self.host, name_of(key));
        let from = if has_key { self.keys } else { self.backup_keys.unwrap_or(self.keys) };
        needed.extend(signing_key(host, key, from)?);
        let place = |keys: &'a KeyFolder| Place { folder: &keys.0, name: &name };
        match Keyring::complete(host, self.backup_keys.map(place), place(self.keys), &needed) {
            Err(error @ KeyringError::NoKeyOf { .. }) => return Err(RestoreError::KeyMissing(error)),
            completed => completed?,
        }
        if !has_key && let Some(bytes) = host.read_if_there(from.path(key), STEP)? {
            let bytes = Zeroizing::new(bytes);
            host.put_new_with_mode(self.keys.path(key), &bytes, STEP, 0o600)?;
        }
        Ok(())
    }
}
