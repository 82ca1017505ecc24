//! Where targets put files: in memory, for nothing here depends on the disk.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::TempDir;

/// A folder that is removed with its value.
pub fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder for files")
}

/// A folder for the whole run of a target, made once; `fill` puts into it what stays the same.
pub struct Kept(OnceLock<TempDir>);

impl Kept {
    /// Not made yet.
    pub const fn new() -> Self {
        Kept(OnceLock::new())
    }

    /// The folder.
    pub fn path(&self, fill: impl FnOnce(&Path)) -> PathBuf {
        let made = self.0.get_or_init(|| {
            let made = folder();
            fill(made.path());
            made
        });
        made.path().to_owned()
    }
}

impl Default for Kept {
    fn default() -> Self {
        Kept::new()
    }
}

/// Writes a file as a tamperer does: not through the host.
#[allow(clippy::disallowed_methods, reason = "a tamperer does not go through the host")]
pub fn put(path: impl AsRef<Path>, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("a file that can be written");
}
