//! A trail's keys, opened: what makes, finds and destroys the keys of single files.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::{FileError, Host};
use parking_lot::{Mutex, RwLock};
use zeroize::Zeroizing;

use crate::cipher::bound_to;
use crate::encoded::Hex;
use crate::master::{MasterError, Recipe, make_if_default};
use crate::owed::Owed;
use crate::store::{Entry, Store};
use crate::trail_file::TrailFile;
use crate::unwrapped::Unwrapped;
use crate::{DataKey, KeyId, Secret, Source};

/// Magic of a small file that is encrypted whole.
const SEALED_MAGIC: &[u8; 8] = b"onrecenc";

/// The keys of one trail. Cloning shares them.
#[derive(Clone)]
pub struct Keyring(Arc<Opened>);

struct Opened {
    host: Host,
    folder: PathBuf,
    name: String,
    store: Store,
    encrypts: bool,
    /// As they were read last: a rotation in another process replaces them.
    unwrapped: RwLock<Arc<Unwrapped>>,
    /// What is to be destroyed and could not be yet.
    owed: Mutex<Owed>,
}

/// Why a trail's keys could not be opened, made or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The folder of keys has none for this trail.
    #[error(
        "the keys of {origin} are not at {}: it is encrypted, and read only where its keys are (ONRECORD_KEYS names the folder)",
        path.display()
    )]
    Missing {
        /// The log.
        origin: String,
        /// Where they were looked for.
        path: PathBuf,
    },
    /// There are keys of this trail already.
    #[error("{} is there already; nothing was changed", .0.display())]
    Exists(PathBuf),
    /// The file is not what it should be.
    #[error("{} is malformed: {why}; restore it from a backup of the folder of keys", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// It is another master key.
    #[error("the master key at {source_text} does not open {}: it is another one, or the file was changed", path.display())]
    WrongMaster {
        /// Where the master key was found.
        source_text: String,
        /// What it should open.
        path: PathBuf,
    },
    /// The master key that was to take over is the one that is in use.
    #[error("the keys in {} are wrapped by the master key at {source_text} already, and nothing was changed; name another one", path.display())]
    SameMaster {
        /// Where it is.
        source_text: String,
        /// What it wraps.
        path: PathBuf,
    },
    /// The key of a file that needs one is not there, so what has it elsewhere is left alone.
    #[error(
        "no key of {file} is in {}: it was destroyed or lost; put it back from a backup of the folder of keys", store.display()
    )]
    NoKeyOf {
        /// The file.
        file: String,
        /// The store.
        store: PathBuf,
    },
    /// A copy of the keys would need another master key where there is one.
    #[error(
        "{} is another master key than the one of the keys that would be copied there, and was left as it is; name another \
         folder of keys, or first give the trail a master key under another name: onrecord keys rotate TRAIL --master-key \
         file:OTHER.key", .0.display()
    )]
    OtherMaster(PathBuf),
    /// The master key could not be had.
    #[error(transparent)]
    Master(#[from] MasterError),
    /// A key in the store cannot be wrapped anew.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Why the key of a file could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The store has none.
    #[error(
        "its key {key_id} is not in {}: it was destroyed, as an erasure does, or the store is an older copy; what was destroyed stays unreadable",
        store.display()
    )]
    Destroyed {
        /// The key's id.
        key_id: KeyId,
        /// The store.
        store: PathBuf,
    },
    /// The key's own file is damaged, or wrapped by another key.
    #[error("its key cannot be used: {} was changed or belongs to another trail ({why}); restore it from a backup of the folder of keys", path.display())]
    Unusable {
        /// The key's file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// No keys were opened.
    #[error("it is encrypted under key {key_id}, and no keys are known here (ONRECORD_KEYS names their folder)")]
    NoKeys {
        /// The key's id, as the file or its log has it.
        key_id: String,
    },
    /// What the key should open was changed.
    #[error("it was changed, or is not the file that its name says")]
    Changed,
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Keyring {
    /// Makes the keys of a new trail, `name` being what its files in the folder of keys are called by. `encrypts` says
    /// whether they are for the trail's files too. Durable when it returns.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn create(
        host: &Host,
        folder: &Path,
        name: &str,
        origin: &str,
        encrypts: bool,
        source: &Source,
    ) -> Result<Keyring, KeyringError> {
        host.create_dir_all(folder, "trail-key")?;
        if TrailFile::read(host, folder, name)?.is_some() {
            return Err(KeyringError::Exists(TrailFile::path(folder, name)));
        }
        make_if_default(host, folder, source)?;
        let recipe = Recipe::new(host, source);
        let master = recipe.cipher(host, folder, None)?;
        let mut file = TrailFile::new(origin, encrypts, recipe);
        file.add(host, &master, Hex(host.random()), &Secret::random(host));
        Store::at(host, folder, name).make()?;
        file.put(host, folder, name)?;
        Self::open(host, folder, name, origin)
    }

    /// Whether the folder of keys says that this trail's files are encrypted; nothing if it knows no keys of it.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn encrypts_at(host: &Host, folder: &Path, name: &str) -> Result<Option<bool>, KeyringError> {
        Ok(TrailFile::read(host, folder, name)?.map(|file| file.encrypts))
    }

    /// Opens the keys of a trail. The master key is looked for where it was when they were wrapped, and if it is not
    /// there, where `ONRECORD_MASTER_KEY` says.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn open(host: &Host, folder: &Path, name: &str, origin: &str) -> Result<Keyring, KeyringError> {
        let unwrapped = Unwrapped::read(host, folder, name, origin)?;
        let encrypts = unwrapped.file.encrypts;
        let store = Store::at(host, folder, name);
        let (host, folder, name) = (host.clone(), folder.to_owned(), name.to_owned());
        let unwrapped = RwLock::new(Arc::new(unwrapped));
        Ok(Keyring(Arc::new(Opened { host, folder, name, store, encrypts, unwrapped, owed: Mutex::default() })))
    }

    /// Whether the trail's files are encrypted, and not its signing key alone.
    #[must_use]
    pub fn encrypts(&self) -> bool {
        self.0.encrypts
    }

    /// Makes a key for the file of that name. It is in the store, durable, before anything is encrypted under it. Keys for
    /// files of that name that are to be destroyed are destroyed first, so that it does not go with them.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn make(&self, file: &str) -> Result<DataKey, FileError> {
        let Opened { host, store, owed, .. } = &*self.0;
        let mut owed = owed.lock();
        if owed.has_file(file) {
            owed.pay(store)?;
        }
        drop(owed);
        let unwrapped = self.unwrapped();
        let (id, secret) = (Hex(host.random()), Secret::random(host));
        store.put(file, &id, &unwrapped.wrap(host, file, &id, &secret))?;
        Ok(DataKey::new(id, secret, &unwrapped.file.origin, file))
    }

    /// The key of the file of that name with that id. One that is wrapped by a key of the trail that is not known is looked
    /// for once more, with the trail's keys as they are by now: another process may have rotated them.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn find(&self, file: &str, id: &KeyId) -> Result<DataKey, KeyError> {
        let store = &self.0.store;
        let unusable = |why: String| KeyError::Unusable { path: store.path(file, id), why };
        let look = || {
            let Some(bytes) = store.get(file, id)? else {
                return Err(KeyError::Destroyed { key_id: *id, store: store.folder().to_owned() });
            };
            let entry = Entry::decode(&bytes).map_err(unusable)?;
            let unwrapped = self.unwrapped();
            let secret =
                unwrapped.open(file, id, &entry).map(|secret| secret.map_err(|error| unusable(error.to_string())));
            secret
                .transpose()
                .map(|secret| secret.map(|secret| DataKey::new(*id, secret, &unwrapped.file.origin, file)))
        };
        if let Some(key) = look()? {
            return Ok(key);
        }
        self.read_again().map_err(|error| unusable(format!("the trail has other keys by now: {error}")))?;
        look()?.ok_or_else(|| unusable("wrapped by a key that is not the trail's".to_owned()))
    }

    fn unwrapped(&self) -> Arc<Unwrapped> {
        self.0.unwrapped.read().clone()
    }

    /// Takes up the trail's keys as they are by now. Nothing is unwrapped where the file is the same.
    fn read_again(&self) -> Result<(), KeyringError> {
        let Opened { host, folder, name, unwrapped, .. } = &*self.0;
        let known = self.unwrapped();
        if TrailFile::read(host, folder, name)?.as_ref() != Some(&known.file) {
            *unwrapped.write() = Arc::new(Unwrapped::read(host, folder, name, known.file.log())?);
        }
        Ok(())
    }

    /// Destroys all keys of these files, and whatever is owed from before; says how many there were. Durable when it
    /// returns. What fails is owed: each later call tries it again, and so does [`Keyring::destroy_owed`].
    ///
    /// # Errors
    /// [`FileError`].
    pub fn destroy<'f>(&self, files: impl IntoIterator<Item = &'f str>) -> Result<usize, FileError> {
        let mut owed = self.0.owed.lock();
        owed.add_files(files);
        owed.pay(&self.0.store)
    }

    /// Destroys what earlier calls could not.
    ///
    /// # Errors
    /// [`FileError`]; it stays owed.
    pub fn destroy_owed(&self) -> Result<usize, FileError> {
        self.destroy([])
    }

    /// How many keys, or files whose keys nobody has counted, are to be destroyed and could not be yet.
    #[must_use]
    pub fn owed(&self) -> usize {
        self.0.owed.lock().len()
    }

    /// Destroys the keys of all files that `is_needed` does not want: what a crash left between a file and its key. For
    /// the trail's one writer alone.
    ///
    /// # Errors
    /// [`FileError`]; may be tried again.
    pub fn sweep(&self, is_needed: impl Fn(&str) -> bool) -> Result<usize, FileError> {
        let store = &self.0.store;
        store.sweep_temporaries()?;
        let gone = store.list()?.into_iter().filter(|(file, _)| !is_needed(file));
        let mut owed = self.0.owed.lock();
        owed.add_keys(gone);
        owed.pay(store)
    }

    /// How many keys there are.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn count(&self) -> Result<usize, FileError> {
        Ok(self.0.store.list()?.len())
    }

    /// A small file's bytes, encrypted under a key of its own: magic ‖ key id ‖ nonce ‖ message ‖ tag.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn seal_file(&self, file: &str, bytes: &[u8]) -> Result<Vec<u8>, FileError> {
        let key = self.make(file)?;
        let mut sealed = SEALED_MAGIC.to_vec();
        sealed.extend_from_slice(&key.id().0);
        sealed.extend(key.cipher().seal(&self.0.host, &self.bound_file(file), bytes));
        Ok(sealed)
    }

    /// What [`Keyring::seal_file`] encrypted.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn open_file(&self, file: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let rest = sealed.strip_prefix(SEALED_MAGIC).ok_or(KeyError::Changed)?;
        let (id, rest) = rest.split_first_chunk().ok_or(KeyError::Changed)?;
        let key = self.find(file, &Hex(*id))?;
        key.cipher().open(&self.bound_file(file), rest).map_err(|_| KeyError::Changed)
    }

    /// Whether the bytes are those of a file that [`Keyring::seal_file`] made.
    #[must_use]
    pub fn is_sealed(bytes: &[u8]) -> bool {
        bytes.starts_with(SEALED_MAGIC)
    }

    fn bound_file(&self, file: &str) -> Vec<u8> {
        bound_to("onrecord/file/v1", &[self.unwrapped().file.origin.as_bytes(), file.as_bytes()])
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("folder", &self.0.folder).finish_non_exhaustive()
    }
}
