//! Keys of a backup, and what stands beside them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use host::{FileError, Host};
use keys::{CopiedKeys, Copying, Keyring, Place};
use tlog::{SignedCheckpoint, VerifierKey};
use zeroize::Zeroizing;

use super::{Backup, BackupError, STEP};
use crate::erasure::pending;
use crate::settings::ENCRYPTED;
use crate::signing_key::{KeyFolder, SIGNING_KEY, SigningKeyError, name_of};
use crate::snapshot::Snapshot;

/// What a folder of keys knows of the log: the version of its lake, and the records under its last checkpoint. Each is
/// remembered after it is so.
#[derive(Default)]
pub(super) struct KnownToKeys {
    lake: Option<u64>,
    signed: Option<u64>,
}

impl KnownToKeys {
    fn of(host: &Host, folder: &KeyFolder, key: &VerifierKey) -> Result<KnownToKeys, BackupError> {
        let signed = folder.last_signed(host, key)?.map(|bytes| {
            let signed = SignedCheckpoint::open(&bytes, std::slice::from_ref(key));
            let path = folder.last_signed_path(key);
            let signed = signed.map_err(|error| BackupError::LogKey(format!("{}: {error}", path.display())))?;
            Ok::<_, BackupError>(signed.checkpoint().size())
        });
        Ok(KnownToKeys { lake: folder.lake_reached(host, key)?, signed: signed.transpose()? })
    }
}

impl Backup<'_> {
    /// Refuses what can be known not to be copied to the folder of keys, before anything is changed.
    pub(super) fn check_keys(&self) -> Result<(), BackupError> {
        let Some((from, to)) = self.keys else { return Ok(()) };
        check_copy(self.host, &self.key, from, to)
    }

    pub(super) fn known_to_keys(&self) -> Result<KnownToKeys, BackupError> {
        let known = self.keys.map(|(keys, _)| KnownToKeys::of(self.host, keys, &self.key));
        Ok(known.transpose()?.unwrap_or_default())
    }

    /// Refuses a trail that is older than its keys: `known` was looked at before the snapshot. They may have done with keys
    /// that it needs, and a copy of them would be the copy of another trail's.
    pub(super) fn is_newest(&self, known: &KnownToKeys, snapshot: &Snapshot) -> Result<(), BackupError> {
        let older = |what: String| Err(BackupError::OlderCopy { folder: self.folder.root().to_owned(), what });
        match known {
            KnownToKeys { lake: Some(lake), .. } if *lake > snapshot.lake().version() => {
                older(format!("its lake is at version {}, and its keys have seen {lake}", snapshot.lake().version()))
            }
            KnownToKeys { signed: Some(signed), .. } if *signed > snapshot.sealed() => {
                older(format!("it has {} sealed records, and its key has signed {signed}", snapshot.sealed()))
            }
            _ => Ok(()),
        }
    }

    /// Copies the keys, if they are copied.
    pub(super) fn copy_keys(
        &self,
        snapshot: &Snapshot,
        journal: &[PathBuf],
        erasing: bool,
    ) -> Result<Option<CopiedKeys>, BackupError> {
        let Some((from, to)) = self.keys else { return Ok(None) };
        let mut needed = needed(snapshot, journal, erasing);
        needed.extend(signing_key(self.host, &self.key, from)?);
        copy_keys(self.host, &self.key, from, to, Copying { needed: Some(&needed), ..Copying::default() })
    }

    /// Whether what was copied knows of nothing newer than the snapshot: it could not be gone on with.
    pub(super) fn keys_are_of(&self, snapshot: &Snapshot) -> Result<bool, BackupError> {
        let Some((_, to)) = self.keys else { return Ok(true) };
        let known = KnownToKeys::of(self.host, to, &self.key)?;
        Ok(known.lake.is_none_or(|lake| lake <= snapshot.lake().version())
            && known.signed.is_none_or(|signed| signed <= snapshot.sealed()))
    }
}

/// The files of a trail that are read with its keys.
pub(crate) fn needed(snapshot: &Snapshot, journal: &[PathBuf], erasing: bool) -> BTreeSet<String> {
    if snapshot.settings().encryption != ENCRYPTED {
        return BTreeSet::new();
    }
    let lake = snapshot.lake().files().iter().filter(|file| !file.key_id.is_empty()).map(|file| file.path.clone());
    let journal = journal.iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
    lake.chain(journal).chain(erasing.then(|| pending::FILE.to_owned())).collect()
}

/// What the signing key is to the keys, if it is wrapped.
pub(crate) fn signing_key(host: &Host, key: &VerifierKey, keys: &KeyFolder) -> Result<Option<String>, FileError> {
    let bytes = host.read_if_there(keys.path(key), STEP)?.map(Zeroizing::new);
    Ok(bytes.filter(|bytes| Keyring::is_sealed(bytes)).map(|_| SIGNING_KEY.to_owned()))
}

/// Refuses what can be known not to be copied.
pub(crate) fn check_copy(host: &Host, key: &VerifierKey, from: &KeyFolder, to: &KeyFolder) -> Result<(), BackupError> {
    let name = name_of(key);
    if Keyring::encrypts_at(host, &from.0, &name)?.is_some() {
        Keyring::check_copy(host, Place { folder: &from.0, name: &name }, Place { folder: &to.0, name: &name })?;
    }
    Ok(())
}

/// Copies all that a folder of keys has of a trail.
pub(crate) fn copy_keys(
    host: &Host,
    key: &VerifierKey,
    from: &KeyFolder,
    to: &KeyFolder,
    copying: Copying<'_>,
) -> Result<Option<CopiedKeys>, BackupError> {
    let name = name_of(key);
    // A damaged one replaces no good one.
    match from.load(host, key) {
        Ok(_) | Err(SigningKeyError::Missing { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    host.create_dir_all(&to.0, STEP)?;
    let copied = match Keyring::encrypts_at(host, &from.0, &name)? {
        Some(_) => {
            let (from, to) = (Place { folder: &from.0, name: &name }, Place { folder: &to.0, name: &name });
            Some(Keyring::copy(host, from, to, copying)?)
        }
        None => None,
    };
    for of in [KeyFolder::path, KeyFolder::last_signed_path, KeyFolder::lake_reached_path] {
        if let Some(bytes) = host.read_if_there(of(from, key), STEP)? {
            let bytes = Zeroizing::new(bytes);
            host.replace(of(to, key), &bytes, STEP, Some(0o600))?;
        }
    }
    Ok(copied)
}
