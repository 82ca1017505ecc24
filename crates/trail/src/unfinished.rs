//! `unfinished.json`: a folder that is being made a copy of a trail, and is none yet. As long as it is there, nobody opens
//! the folder as a trail.

use host::{FileError, Host};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::folder::Folder;

/// Fault points are `unfinished.<operation>`.
const STEP: &str = "unfinished";

/// What is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Unfinished {
    /// A backup is brought up to date.
    Backup {
        /// The log.
        origin: String,
    },
    /// A trail is restored.
    Restore(Restoring),
    /// What cannot be read: of a later version, or changed.
    #[serde(skip)]
    Other,
}

/// A restore that has begun: the same one goes on with it, and no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Restoring {
    /// The log that the backup is of.
    pub(crate) origin: String,
    /// Records under the backup's checkpoint, and its root.
    pub(crate) size: u64,
    pub(crate) root: String,
    /// The verifier key of the log that goes on from it, if it is a new one.
    pub(crate) successor: Option<String>,
    /// What that one's files in the folder of keys are called by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) successor_keys: Option<String>,
    /// The id of the record by which that one begins.
    pub(crate) record: Uuid,
}

impl Unfinished {
    pub(crate) fn of(host: &Host, folder: &Folder) -> Result<Option<Unfinished>, FileError> {
        let bytes = host.read_if_there(folder.unfinished(), STEP)?;
        Ok(bytes.map(|bytes| serde_json::from_slice(&bytes).unwrap_or(Unfinished::Other)))
    }

    /// The verb that goes on with it.
    pub(crate) fn verb(&self) -> &'static str {
        match self {
            Unfinished::Backup { .. } => "backup",
            Unfinished::Restore(_) | Unfinished::Other => "restore",
        }
    }

    /// What whoever gives it up has to know.
    pub(crate) fn given_up(&self) -> String {
        match self {
            Unfinished::Backup { .. } => {
                "if the trail itself is there, verified and good, the folder may be removed instead".to_owned()
            }
            Unfinished::Restore(Restoring { successor_keys: Some(name), .. }) => {
                format!("to give it up, remove the folder, and {name}.* in the folder of keys and nothing else there")
            }
            Unfinished::Restore(_) => "to give it up, remove the folder, and nothing in the folder of keys".to_owned(),
            Unfinished::Other => "unfinished.json in it is not one of this version's".to_owned(),
        }
    }

    /// From here on nobody opens the folder. Durable when it returns.
    pub(crate) fn put(&self, host: &Host, folder: &Folder) -> Result<(), FileError> {
        // Texts and numbers: there is nothing that could not be written.
        let json = serde_json::to_vec(self).unwrap_or_default();
        host.replace(folder.unfinished(), &json, STEP, None)
    }

    /// The folder is whole. Durable when it returns.
    pub(crate) fn done(host: &Host, folder: &Folder) -> Result<(), FileError> {
        match host.remove(folder.unfinished(), STEP) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => host.sync_dir(folder.root(), STEP),
        }
    }
}
