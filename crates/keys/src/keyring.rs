//! A trail's keys, opened: what makes, finds and destroys the keys of single files.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::{DurableFile, FileError, Host};
use zeroize::Zeroizing;

use crate::cipher::bound_to;
use crate::encoded::Hex;
use crate::master::{MasterError, Recipe, make_if_default};
use crate::store::{Entry, Store, bound};
use crate::trail_file::TrailFile;
use crate::{Cipher, DataKey, KeyId, Secret, Source};

/// Magic of a small file that is encrypted whole.
const SEALED_MAGIC: &[u8; 8] = b"onrecenc";

/// The keys of one trail. Cloning shares them.
#[derive(Clone)]
pub struct Keyring(Arc<Opened>);

struct Opened {
    host: Host,
    origin: String,
    store: Store,
    /// The one that wraps what is made.
    newest: (KeyId, Cipher),
    /// Of a rotation that is not finished.
    older: Vec<(KeyId, Cipher)>,
    encrypts: bool,
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
        let path = TrailFile::path(folder, name);
        let Some(file) = TrailFile::read(host, folder, name)? else {
            return Err(KeyringError::Missing { origin: origin.to_owned(), path });
        };
        if file.origin != origin {
            return Err(KeyringError::Malformed { path, why: format!("it holds the keys of {}", file.origin) });
        }
        let (_, keys) = unwrap(host, folder, name, &file)?;
        let mut keys = keys.into_iter().map(|(id, secret)| (id, Cipher::new(&secret)));
        let newest = keys.next().ok_or_else(|| KeyringError::Missing { origin: origin.to_owned(), path })?;
        let older = keys.collect();
        let store = Store::at(host, folder, name);
        let (host, origin, encrypts) = (host.clone(), origin.to_owned(), file.encrypts);
        Ok(Keyring(Arc::new(Opened { host, origin, store, newest, older, encrypts })))
    }

    /// Whether the trail's files are encrypted, and not its signing key alone.
    #[must_use]
    pub fn encrypts(&self) -> bool {
        self.0.encrypts
    }

    /// The trail that they are of.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.0.origin
    }

    /// Makes a key for the file of that name. It is in the store, durable, before anything is encrypted under it.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn make(&self, file: &str) -> Result<DataKey, FileError> {
        let Opened { host, origin, store, newest: (wrapped_by, cipher), .. } = &*self.0;
        let (id, secret) = (Hex(host.random()), Secret::random(host));
        let sealed = cipher.seal(host, &bound(origin, file, &id), secret.bytes());
        store.put(file, &id, &Entry { wrapped_by: *wrapped_by, sealed })?;
        Ok(DataKey::new(id, secret, origin, file))
    }

    /// The key of the file of that name with that id.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn find(&self, file: &str, id: &KeyId) -> Result<DataKey, KeyError> {
        let Opened { origin, store, .. } = &*self.0;
        let Some(bytes) = store.get(file, id)? else {
            return Err(KeyError::Destroyed { key_id: *id, store: store.folder().to_owned() });
        };
        let secret = self.unwrap_entry(file, id, &bytes)?;
        Ok(DataKey::new(*id, secret, origin, file))
    }

    fn unwrap_entry(&self, file: &str, id: &KeyId, bytes: &[u8]) -> Result<Secret, KeyError> {
        let Opened { origin, store, newest, older, .. } = &*self.0;
        let unusable = |why: String| KeyError::Unusable { path: store.path(file, id), why };
        let entry = Entry::decode(bytes).map_err(unusable)?;
        let by = std::iter::once(newest).chain(older).find(|(known, _)| *known == entry.wrapped_by);
        let (_, cipher) = by.ok_or_else(|| unusable("wrapped by a key that is not the trail's".to_owned()))?;
        cipher.open_key(&bound(origin, file, id), &entry.sealed).map_err(|error| unusable(error.to_string()))
    }

    /// Destroys all keys of these files, and says how many there were. Durable when it returns.
    ///
    /// # Errors
    /// [`FileError`]; may be tried again.
    pub fn destroy<'f>(&self, files: impl IntoIterator<Item = &'f str>) -> Result<usize, FileError> {
        let files: HashSet<&str> = files.into_iter().collect();
        if files.is_empty() { Ok(0) } else { self.0.store.destroy(&files) }
    }

    /// Destroys the keys of all files that `is_needed` does not want: what a crash left between a file and its key. For
    /// the trail's one writer alone.
    ///
    /// # Errors
    /// [`FileError`]; may be tried again.
    pub fn sweep(&self, is_needed: impl Fn(&str) -> bool) -> Result<usize, FileError> {
        self.0.store.sweep_temporaries()?;
        let keys = self.0.store.list()?;
        self.destroy(keys.iter().map(|(file, _)| file.as_str()).filter(|file| !is_needed(file)))
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
        bound_to("onrecord/file/v1", &[self.0.origin.as_bytes(), file.as_bytes()])
    }

    /// Wraps the trail's keys by another master key. No key of a file changes: it is one replacement of one file.
    ///
    /// # Errors
    /// [`KeyringError`]; the old or the new master key opens what is there then.
    pub fn rotate_master(host: &Host, folder: &Path, name: &str, source: &Source) -> Result<(), KeyringError> {
        let (_lock, file) = alone(host, folder, name)?;
        let (_, keys) = unwrap(host, folder, name, &file)?;
        make_if_default(host, folder, source)?;
        let recipe = Recipe::new(host, source);
        let master = recipe.cipher(host, folder, None)?;
        let mut wrapped = TrailFile::new(&file.origin, file.encrypts, recipe);
        for (id, secret) in keys.iter().rev() {
            wrapped.add(host, &master, *id, secret);
        }
        wrapped.put(host, folder, name)
    }

    /// Gives the trail another key, and wraps every key of a file by it; says how many. Files stay as they are. What was
    /// interrupted is finished by the next call. For the trail's one writer alone.
    ///
    /// # Errors
    /// [`KeyringError`]; everything can be read as before then.
    pub fn rotate_trail_key(host: &Host, folder: &Path, name: &str) -> Result<usize, KeyringError> {
        let (_lock, mut file) = alone(host, folder, name)?;
        let (master, keys) = unwrap(host, folder, name, &file)?;
        if keys.len() == 1 {
            file.add(host, &master, Hex(host.random()), &Secret::random(host));
            file.put(host, folder, name)?;
        }
        let keyring = Keyring::open(host, folder, name, &file.origin)?;
        let Opened { origin, store, newest: (newest, cipher), .. } = &*keyring.0;
        let mut count = 0;
        for (of, id) in store.list()? {
            let Some(bytes) = store.get(&of, &id)? else { continue };
            let secret = keyring.unwrap_entry(&of, &id, &bytes)?;
            let sealed = cipher.seal(host, &bound(origin, &of, &id), secret.bytes());
            store.replace(&of, &id, &Entry { wrapped_by: *newest, sealed })?;
            count += 1;
        }
        file.keys.truncate(1);
        file.put(host, folder, name)?;
        Ok(count)
    }
}

/// The trail's keys for one rotation, and a lock until it is over: each reads them and puts them back, and of two at a time
/// one would be lost with what it wraps.
fn alone(host: &Host, folder: &Path, name: &str) -> Result<(DurableFile, TrailFile), KeyringError> {
    expect(host, folder, name)?;
    let path = folder.join(format!("{name}.trail.lock"));
    match host.create_new(&path, "trail-key") {
        Ok(_) | Err(FileError::AlreadyExists { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let file = host.open_rw(&path, "trail-key")?;
    file.try_lock_exclusive()?;
    Ok((file, expect(host, folder, name)?))
}

fn expect(host: &Host, folder: &Path, name: &str) -> Result<TrailFile, KeyringError> {
    let missing = || KeyringError::Missing { origin: name.to_owned(), path: TrailFile::path(folder, name) };
    TrailFile::read(host, folder, name)?.ok_or_else(missing)
}

/// The master key of a trail's keys, and them.
fn unwrap(
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

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("origin", &self.0.origin).finish_non_exhaustive()
    }
}
