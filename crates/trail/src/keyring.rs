//! The keys of a trail: which there are, and that nobody switches encryption off behind the writer's back.

use std::path::PathBuf;

use host::Host;
use keys::{DataKey, KeyId, Keyring, KeyringError, Rewrapped, Source};
use tlog::{Verifier as _, VerifierKey};

use crate::folder::Folder;
use crate::lock::{LockError, WriterLock};
use crate::settings::{ENCRYPTED, Settings, SettingsError, absolute};
use crate::signing_key::{KeyFolder, name_of};

/// Why a trail's keys could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The trail is encrypted, and nobody said where its keys are.
    #[error("{origin} is encrypted, and no folder of keys is known (ONRECORD_KEYS names it)")]
    NoFolder {
        /// The log.
        origin: String,
    },
    /// The trail says that it is open, and its keys say that it is encrypted.
    #[error(
        "{} says that the trail is not encrypted, and its keys say that it is: the file was changed; restore it from a copy",
        path.display()
    )]
    SwitchedOff {
        /// The trail's own file.
        path: PathBuf,
    },
    /// The keys could not be opened.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// It is no trail.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The lake cannot be read.
    #[error(transparent)]
    Lake(#[from] lake::TableError),
    /// The table has no such file.
    #[error("the lake has no file {0:?}; stats and DESCRIBE DETAIL of the table list them")]
    NoFile(String),
    /// The file is not encrypted, or its key cannot be had.
    #[error("file {file:?}: {why}")]
    OfFile {
        /// The file.
        file: String,
        /// Why.
        why: String,
    },
    /// The trail names no usable key of its log.
    #[error("its log key is malformed: {0}")]
    LogKey(String),
}

/// Opens the keys that an encrypted trail's files are read and written with; nothing for an open trail.
pub(crate) fn open(
    host: &Host,
    folder: Option<&KeyFolder>,
    settings: &Settings,
    path: PathBuf,
) -> Result<Option<Keyring>, KeysError> {
    let origin = &settings.origin;
    let key = settings.verifier_key().map_err(|error| KeysError::LogKey(error.to_string()))?;
    let name = name_of(&key);
    if settings.encryption != ENCRYPTED {
        let says = folder.map(|folder| Keyring::encrypts_at(host, &folder.0, &name)).transpose()?;
        return if says.flatten() == Some(true) { Err(KeysError::SwitchedOff { path }) } else { Ok(None) };
    }
    let folder = folder.ok_or_else(|| KeysError::NoFolder { origin: origin.clone() })?;
    Ok(Some(Keyring::open(host, &folder.0, &name, origin)?))
}

/// Why a trail did not get another key.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// It is no trail.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A writer runs: it wraps keys of files by the one that it knows.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The keys could not be had, or not be wrapped anew.
    #[error(transparent)]
    Keys(#[from] KeysError),
}

/// Gives a trail another key, and wraps the key of each of its files by that; says how many those are. No file of the trail
/// changes. What the old key wrapped, in a backup or in what a disk keeps of a removed file, opens nothing any more
/// without a backup of that key too.
pub fn rotate_trail_key(host: &Host, folder: &Folder, keys: &KeyFolder) -> Result<usize, RotateError> {
    let settings = Settings::read(host, folder)?;
    let key = settings.verifier_key().map_err(|error| KeysError::LogKey(error.to_string()))?;
    let _alone = WriterLock::take(host, folder, keys, &key)?;
    Ok(Keyring::rotate_trail_key(host, &keys.0, &name_of(&key)).map_err(KeysError::from)?)
}

impl Folder {
    /// The key of one data file that the lake's table names, for an engine that reads encrypted Parquet.
    pub fn key_of_file(&self, host: &Host, file: &str) -> Result<DataKey, KeysError> {
        let settings = Settings::read(host, self)?;
        let keys = self.keyring(host, &settings)?;
        let lake = lake::Snapshot::open(host.clone(), absolute(&self.lake()).map_err(KeyringError::from)?)?;
        let named = lake.files().iter().find(|named| named.path == file);
        let named = named.ok_or_else(|| KeysError::NoFile(file.to_owned()))?;
        let failed = |why: String| KeysError::OfFile { file: file.to_owned(), why };
        let (keys, id) =
            keys.zip(KeyId::read(&named.key_id)).ok_or_else(|| failed("it is not encrypted".to_owned()))?;
        keys.find(file, &id).map_err(|error| failed(error.to_string()))
    }
}

impl KeyFolder {
    /// Makes the keys of a new trail.
    pub(crate) fn make(
        &self,
        host: &Host,
        key: &VerifierKey,
        encrypts: bool,
        source: &Source,
    ) -> Result<Keyring, KeyringError> {
        Keyring::create(host, &self.0, &name_of(key), &key.name().to_string(), encrypts, source)
    }

    /// The keys of a trail, if this folder has any: of an open trail they are for the signing key alone.
    pub(crate) fn keyring(&self, host: &Host, key: &VerifierKey) -> Result<Option<Keyring>, KeyringError> {
        let name = name_of(key);
        match Keyring::encrypts_at(host, &self.0, &name)? {
            None => Ok(None),
            Some(_) => Keyring::open(host, &self.0, &name, &key.name().to_string()).map(Some),
        }
    }

    /// Wraps a trail's keys by the master key at `source`, and by it alone. Nothing else is written.
    pub fn rotate_master(&self, host: &Host, key: &VerifierKey, source: &Source) -> Result<Rewrapped, KeyringError> {
        Keyring::rotate_master(host, &self.0, &name_of(key), source)
    }
}
