//! Keys that are to be destroyed: what fails is kept and tried again, for until then what they encrypted can be read (T21).
//!
//! It lives as long as the process. Whoever opens the trail for writing next destroys the keys of all files that are gone.

use std::collections::BTreeSet;

use host::FileError;

use crate::KeyId;
use crate::store::Store;

/// What is to be destroyed. Each is a file in the store, so there are never more than that holds (I12).
#[derive(Debug, Default)]
pub(crate) struct Owed {
    /// Keys by the file that they are for, and their id.
    keys: BTreeSet<(String, KeyId)>,
    /// Files all of whose keys are to go, as long as the store could not be listed. No key is made for one of them
    /// meanwhile: it would go too.
    files: BTreeSet<String>,
}

impl Owed {
    pub(crate) fn add_files<'f>(&mut self, files: impl IntoIterator<Item = &'f str>) {
        self.files.extend(files.into_iter().map(str::to_owned));
    }

    pub(crate) fn add_keys(&mut self, keys: impl IntoIterator<Item = (String, KeyId)>) {
        self.keys.extend(keys);
    }

    pub(crate) fn has_file(&self, file: &str) -> bool {
        self.files.contains(file)
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len() + self.files.len()
    }

    /// Destroys it all, and says how many keys those were. Durable when it returns; what fails stays owed, and keeps nothing
    /// else of it.
    pub(crate) fn pay(&mut self, store: &Store) -> Result<usize, FileError> {
        let listed = if self.files.is_empty() { Ok(Vec::new()) } else { store.list() };
        let unlisted = match listed {
            Ok(there) => {
                self.keys.extend(there.into_iter().filter(|(file, _)| self.files.contains(file)));
                self.files.clear();
                None
            }
            Err(error) => Some(error),
        };
        let count = if self.keys.is_empty() { 0 } else { store.destroy(&mut self.keys)? };
        unlisted.map_or(Ok(count), Err)
    }
}
