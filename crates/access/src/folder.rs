//! Where a server's folder keeps what `access` knows.
//!
//! ```text
//! DIR/access/access.toml     masks, tenants, certificates, groups: written by people
//! DIR/access/policies/       a site's own policies, *.cedar: written by people
//! DIR/access/tokens.json     what is kept of tokens
//! DIR/access/last-used.json  when each was used last
//! DIR/access/acts.json       acts that wait for a second principal, and what became of others
//! DIR/access/mask.key        the key of masks that hash
//! DIR/access/lock            held while one of the files is changed
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use host::{DurableFile, FileError, Host};

/// How long a change waits for another process that is changing something.
const LOCK_WAIT: Duration = Duration::from_secs(5);
const LOCK_POLL: Duration = Duration::from_millis(20);
/// Bytes of a file that is read whole (I12).
pub(crate) const FILE_BYTES_MAX: usize = 32 << 20;

/// The name of a site's settings.
pub(crate) const SETTINGS_FILE: &str = "access.toml";

/// The folder.
#[derive(Debug, Clone)]
pub(crate) struct AccessFolder(PathBuf);

impl AccessFolder {
    pub fn of(server_folder: &Path) -> AccessFolder {
        AccessFolder(server_folder.join("access"))
    }

    pub fn settings(&self) -> PathBuf {
        self.0.join(SETTINGS_FILE)
    }

    pub fn policies(&self) -> PathBuf {
        self.0.join("policies")
    }

    pub fn tokens(&self) -> PathBuf {
        self.0.join("tokens.json")
    }

    pub fn last_used(&self) -> PathBuf {
        self.0.join("last-used.json")
    }

    pub fn acts(&self) -> PathBuf {
        self.0.join("acts.json")
    }

    pub fn mask_key(&self) -> PathBuf {
        self.0.join("mask.key")
    }

    /// Makes the folder where it is missing.
    pub fn make(&self, host: &Host) -> Result<(), FileError> {
        host.create_dir_all(&self.0, "access")
    }

    /// Holds everyone else off from changing a file, until dropped.
    pub fn lock(&self, host: &Host) -> Result<DurableFile, FileError> {
        self.make(host)?;
        let path = self.0.join("lock");
        match host.create_new(&path, "access-lock") {
            Ok(_) | Err(FileError::AlreadyExists { .. }) => {}
            Err(error) => return Err(error),
        }
        let file = host.open_rw(&path, "access-lock")?;
        let until = host.monotonic() + LOCK_WAIT;
        loop {
            match file.try_lock_exclusive() {
                Err(FileError::Locked { .. }) if host.monotonic() < until => std::thread::sleep(LOCK_POLL),
                result => return result.map(|()| file),
            }
        }
    }
}
