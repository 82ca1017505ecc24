//! The files that a rewrite has begun, until a commit names them.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::manifest::rewrite_name;
use crate::snapshot::Snapshot;
use crate::writer::STEP;

/// Names of files that are being written: clean-up leaves them alone. Shared by all versions of a lake.
pub(crate) type InProgress = Arc<Mutex<BTreeSet<String>>>;

/// The files that a rewrite has begun. Unless they are kept, they are removed when it is given up: a rewrite that failed
/// because the disk is full should not leave it full. What cannot be removed is an orphan, for the next clean-up.
pub(crate) struct Outputs {
    base: Snapshot,
    names: Vec<String>,
    kept: bool,
}

impl Outputs {
    pub(crate) fn of(base: &Snapshot) -> Self {
        Self { base: base.clone(), names: Vec::new(), kept: false }
    }

    /// The name of the next file.
    pub(crate) fn next_name(&mut self) -> String {
        // The random part keeps a name from ever standing for two different contents, in any cache.
        let name = rewrite_name(self.base.watermark(), u64::from_be_bytes(self.base.host().random()));
        self.base.in_progress().lock().insert(name.clone());
        self.names.push(name.clone());
        name
    }

    /// From here on the files stay, whatever comes: a version may name them.
    pub(crate) fn keep(&mut self) {
        self.kept = true;
    }

    /// No version names them, for certain.
    pub(crate) fn give_up(&mut self) {
        self.kept = false;
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        if !self.kept {
            for name in &self.names {
                let _ = self.base.host().remove(self.base.folder().join(name), STEP);
            }
            if let Some(keys) = self.base.keys() {
                let _ = keys.destroy(self.names.iter().map(String::as_str));
            }
        }
        let mut in_progress = self.base.in_progress().lock();
        in_progress.retain(|name| !self.names.contains(name));
    }
}
