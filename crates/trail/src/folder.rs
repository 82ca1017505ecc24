//! Where in a trail's folder everything is.

use std::path::{Path, PathBuf};

/// The folder of a trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The trail in the folder `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Folder { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the trail is: format, origin, key.
    pub fn settings(&self) -> PathBuf {
        self.root.join("trail.json")
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
