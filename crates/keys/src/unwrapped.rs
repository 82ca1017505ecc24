//! The trail's own keys, unwrapped by the master key: what wraps the keys of its files.

use std::path::Path;

use host::Host;

use crate::keyring::{KeyError, KeyringError};
use crate::master::MasterError;
use crate::store::{Entry, Store, bound};
use crate::trail_file::TrailFile;
use crate::{Cipher, KeyId, NotAuthentic, Place, Secret, Source};

/// The trail's own keys, and the file that they were unwrapped from.
pub(crate) struct Unwrapped {
    pub(crate) file: TrailFile,
    /// The one that wraps what is made.
    pub(crate) newest: (KeyId, Cipher),
    /// Of a rotation that is not finished.
    pub(crate) older: Vec<(KeyId, Cipher)>,
}

impl Unwrapped {
    /// Reads and unwraps the keys of the trail of that log.
    pub(crate) fn read(host: &Host, folder: &Path, name: &str, log: &str) -> Result<Unwrapped, KeyringError> {
        let path = TrailFile::path(folder, name);
        let Some(file) = TrailFile::read(host, folder, name)? else {
            return Err(KeyringError::Missing { origin: log.to_owned(), path });
        };
        if file.log() != log {
            return Err(KeyringError::Malformed { path, why: format!("it holds the keys of {}", file.log()) });
        }
        Self::of(host, Place { folder, name }, file)
    }

    /// Unwraps the keys of a file that was read.
    pub(crate) fn of(host: &Host, place: Place<'_>, file: TrailFile) -> Result<Unwrapped, KeyringError> {
        let (_, keys) = unwrap(host, place.folder, place.name, &file)?;
        let mut keys = keys.into_iter().map(|(id, secret)| (id, Cipher::new(&secret)));
        let newest = keys.next().ok_or_else(|| KeyringError::Missing {
            origin: file.log().to_owned(),
            path: TrailFile::path(place.folder, place.name),
        })?;
        Ok(Unwrapped { file, newest, older: keys.collect() })
    }

    /// The key in an entry of the store; nothing if none of these wraps it.
    pub(crate) fn open(&self, file: &str, id: &KeyId, entry: &Entry) -> Option<Result<Secret, NotAuthentic>> {
        let (_, cipher) = std::iter::once(&self.newest).chain(&self.older).find(|(by, _)| *by == entry.wrapped_by)?;
        Some(cipher.open_key(&bound(&self.file.origin, file, id), &entry.sealed))
    }

    /// The key in a store; nothing if it is not there, or was written over.
    pub(crate) fn secret_in(&self, store: &Store, file: &str, id: &KeyId) -> Result<Option<Secret>, KeyError> {
        store.get(file, id)?.map(|bytes| self.secret_of(store, file, id, &bytes)).transpose()
    }

    /// The key in the bytes of its file in a store.
    pub(crate) fn secret_of(&self, store: &Store, file: &str, id: &KeyId, bytes: &[u8]) -> Result<Secret, KeyError> {
        let unusable = |why: String| KeyError::Unusable { path: store.path(file, id), why };
        let entry = Entry::decode(bytes).map_err(unusable)?;
        let secret = self.open(file, id, &entry);
        let secret = secret.ok_or_else(|| unusable("wrapped by a key that is not the trail's".to_owned()))?;
        secret.map_err(|error| unusable(error.to_string()))
    }

    /// A key as the file in a store that the newest of these wraps.
    pub(crate) fn wrap(&self, host: &Host, file: &str, id: &KeyId, secret: &Secret) -> Entry {
        let (wrapped_by, cipher) = &self.newest;
        let sealed = cipher.seal(host, &bound(&self.file.origin, file, id), secret.bytes());
        Entry { wrapped_by: *wrapped_by, sealed }
    }
}

/// The master key of a trail's keys, and them. It is looked for where it was when they were wrapped, and if it is not there,
/// where `ONRECORD_MASTER_KEY` says.
pub(crate) fn unwrap(
    host: &Host,
    folder: &Path,
    name: &str,
    file: &TrailFile,
) -> Result<(Cipher, Vec<(KeyId, Secret)>), KeyringError> {
    let (master, source_text) = match file.master.cipher(host, folder, None) {
        Err(MasterError::Missing { source_text, path }) => {
            let Some(elsewhere) = Source::from_environment().map_err(MasterError::from)? else {
                return Err(MasterError::Missing { source_text, path }.into());
            };
            (file.master.cipher(host, folder, Some(&elsewhere))?, elsewhere.to_string())
        }
        master => (master?, file.master.source.clone()),
    };
    let wrong = || KeyringError::WrongMaster { source_text, path: TrailFile::path(folder, name) };
    let keys = file.open(&master).ok_or_else(wrong)?;
    Ok((master, keys))
}
