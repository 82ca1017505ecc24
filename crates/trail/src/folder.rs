//! Where in a trail's folder everything is, and where the keys are that it is read with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::Host;
use keys::Keyring;
use parking_lot::Mutex;

use crate::keyring::{self, KeysError};
use crate::settings::Settings;
use crate::signing_key::KeyFolder;

/// The folder of a trail. Clones share its keys, which are opened once: a passphrase takes its time.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
    keys: Option<KeyFolder>,
    /// Whether it is read though it is not whole: by whoever makes it so.
    pub(crate) unfinished_too: bool,
    opened: Arc<Mutex<Option<Keyring>>>,
}

impl Folder {
    /// The trail in the folder `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Folder { root: root.into(), keys: None, unfinished_too: false, opened: Arc::default() }
    }

    /// The same trail, its keys being in that folder. Without it an encrypted trail cannot be read.
    #[must_use]
    pub fn with_keys(self, keys: &KeyFolder) -> Self {
        if self.keys.as_ref() == Some(keys) {
            return self;
        }
        Folder { keys: Some(keys.clone()), opened: Arc::default(), ..self }
    }

    /// The keys of the trail's files; nothing if it is open.
    pub(crate) fn keyring(&self, host: &Host, settings: &Settings) -> Result<Option<Keyring>, KeysError> {
        let mut opened = self.opened.lock();
        if opened.is_none() {
            *opened = keyring::open(host, self.keys.as_ref(), settings, self.settings())?;
        }
        Ok(opened.clone())
    }

    /// The same as they are now, and from now on: a rotation may have ended since they were opened.
    pub(crate) fn keyring_anew(&self, host: &Host, settings: &Settings) -> Result<Option<Keyring>, KeysError> {
        *self.opened.lock() = None;
        self.keyring(host, settings)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the trail is: format, origin, key.
    pub fn settings(&self) -> PathBuf {
        self.root.join("trail.json")
    }

    /// Says that the folder is not whole: a backup or a restore of it has begun and has not ended.
    pub(crate) fn unfinished(&self) -> PathBuf {
        self.root.join("unfinished.json")
    }

    /// The last signed checkpoint, a signed note.
    pub fn checkpoint(&self) -> PathBuf {
        self.root.join("checkpoint")
    }

    /// The digests of all records, 32 bytes each.
    pub fn entries(&self) -> PathBuf {
        self.root.join("entries")
    }

    /// The full hash tiles above level 0.
    pub fn tiles(&self) -> PathBuf {
        self.root.join("tile")
    }

    /// Records that are not settled yet.
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    /// Records that are: a Delta table.
    pub fn lake(&self) -> PathBuf {
        self.root.join("lake")
    }

    /// The erasure that has begun and is not finished, if there is one.
    pub fn erasure(&self) -> PathBuf {
        self.root.join("erasure.json")
    }

    /// How far the running writer's own check of the trail has come, and what it came to.
    pub fn scrub(&self) -> PathBuf {
        self.root.join("scrub.json")
    }

    /// What the one writer holds locked.
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Where the writer listens for the verbs of other processes.
    pub fn socket(&self) -> PathBuf {
        self.root.join("writer.sock")
    }
}
