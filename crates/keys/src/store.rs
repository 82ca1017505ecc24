//! The keys of single files, wrapped by the trail's key, one small file each. Destroying one is removing it: what was
//! encrypted under it is then unreadable in every copy, but to a backup of the store.
//!
//! A key's file is `<file it is for>.<key id, 32 hexadecimal>`, so what is for a file is found by the file's name.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | magic `onreckey` |
//! | 8 | 2 | format version, 1, little-endian |
//! | 10 | 6 | zero |
//! | 16 | 16 | id of the trail's key that wraps it |
//! | 32 | 12 | nonce, random |
//! | 44 | 32 | the key, encrypted |
//! | 76 | 16 | tag |

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use host::{FileError, Host};

use crate::{KeyId, cipher::bound_to};

/// Fault points are `key-store.<operation>`.
pub(crate) const STEP: &str = "key-store";

const MAGIC: &[u8; 8] = b"onreckey";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 32;
const FILE_BYTES: usize = HEADER_BYTES + 12 + 32 + 16;

/// A key's file, read.
pub(crate) struct Entry {
    /// The trail's key that wraps it.
    pub wrapped_by: KeyId,
    pub sealed: Vec<u8>,
}

impl Entry {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FILE_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.resize(16, 0);
        bytes.extend_from_slice(&self.wrapped_by.0);
        bytes.extend_from_slice(&self.sealed);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Entry, String> {
        if bytes.len() < HEADER_BYTES || bytes[..8] != *MAGIC {
            return Err("it is no key".to_owned());
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version != VERSION {
            return Err(format!("it has format {version}, and this version reads {VERSION}"));
        }
        if bytes.len() != FILE_BYTES || bytes[10..16] != [0; 6] {
            return Err("it is no key".to_owned());
        }
        let mut wrapped_by = [0; 16];
        wrapped_by.copy_from_slice(&bytes[16..32]);
        Ok(Entry { wrapped_by: crate::encoded::Hex(wrapped_by), sealed: bytes[HEADER_BYTES..].to_vec() })
    }
}

/// What a wrapped key is bound to: the trail, the file it is for, and its id.
pub(crate) fn bound(origin: &str, file: &str, id: &KeyId) -> Vec<u8> {
    bound_to("onrecord/file-key/v1", &[origin.as_bytes(), file.as_bytes(), &id.0])
}

/// The folder of a trail's store.
#[derive(Debug)]
pub(crate) struct Store {
    host: Host,
    folder: PathBuf,
}

impl Store {
    pub(crate) fn at(host: &Host, folder: &Path, name: &str) -> Store {
        Store { host: host.clone(), folder: folder.join(format!("{name}.keys")) }
    }

    pub(crate) fn make(&self) -> Result<(), FileError> {
        self.host.create_dir_all(&self.folder, STEP)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn path(&self, file: &str, id: &KeyId) -> PathBuf {
        self.folder.join(format!("{file}.{id}"))
    }

    pub(crate) fn put(&self, file: &str, id: &KeyId, entry: &Entry) -> Result<(), FileError> {
        self.host.put_new_with_mode(self.path(file, id), &entry.encode(), STEP, 0o600)
    }

    pub(crate) fn replace(&self, file: &str, id: &KeyId, entry: &Entry) -> Result<(), FileError> {
        self.host.replace(self.path(file, id), &entry.encode(), STEP, Some(0o600))
    }

    /// The key's file. One of zeros was destroyed, and the crash came before it was removed.
    pub(crate) fn get(&self, file: &str, id: &KeyId) -> Result<Option<Vec<u8>>, FileError> {
        let bytes = self.host.read_if_there(self.path(file, id), STEP)?;
        Ok(bytes.filter(|bytes| bytes.iter().any(|byte| *byte != 0)))
    }

    /// What keys there are: the file that each is for, and its id.
    pub(crate) fn list(&self) -> Result<Vec<(String, KeyId)>, FileError> {
        let paths = match self.host.list(&self.folder, STEP) {
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            paths => paths?,
        };
        let entry = |path: PathBuf| {
            let (file, id) = path.file_name()?.to_str()?.rsplit_once('.')?;
            Some((file.to_owned(), KeyId::read(id)?))
        };
        Ok(paths.into_iter().filter(|path| !host::is_temporary(path)).filter_map(entry).collect())
    }

    /// Destroys these keys, and says how many of them were there; durable when it returns. What stood in a key's file is
    /// written over first, as far as the disk lets that be true. One that fails keeps none of the others: those that failed
    /// are left in `keys`, and the first error is given.
    pub(crate) fn destroy(&self, keys: &mut BTreeSet<(String, KeyId)>) -> Result<usize, FileError> {
        let (mut count, mut failed, mut first) = (0, BTreeSet::new(), None);
        for key in &*keys {
            match self.destroy_one(&self.path(&key.0, &key.1)) {
                Ok(was_there) => count += usize::from(was_there),
                Err(error) => {
                    failed.insert(key.clone());
                    first.get_or_insert(error);
                }
            }
        }
        self.host.sync_dir(&self.folder, STEP)?;
        *keys = failed;
        first.map_or(Ok(count), Err)
    }

    /// Says whether it was there: an earlier try may have come this far.
    fn destroy_one(&self, path: &Path) -> Result<bool, FileError> {
        match self.wipe(path).and_then(|()| self.host.remove(path, STEP)) {
            Err(error) if error.is_not_found() => Ok(false),
            destroyed => destroyed.map(|()| true),
        }
    }

    fn wipe(&self, path: &Path) -> Result<(), FileError> {
        let file = self.host.open_rw(path, STEP)?;
        file.write_at(0, &[0; FILE_BYTES])?;
        file.sync_data()
    }

    /// Removes what a killed process left of a key that it was writing.
    pub(crate) fn sweep_temporaries(&self) -> Result<(), FileError> {
        self.host.sweep_temporaries(&self.folder, STEP).map(drop)
    }
}
