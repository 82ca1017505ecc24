//! What a trail is: its format, its origin and its key. Written once, when the trail is made.

use host::{FileError, Host};
use keys::{KeyringError, Source};
use serde::{Deserialize, Serialize};
use tlog::{KeyError, KeyName, SigningKey, Verifier as _, VerifierKey};

use crate::folder::Folder;
use crate::signing_key::{KeyFolder, SigningKeyError};

/// The format of the folder that this software reads and writes.
pub const FORMAT: u32 = 1;

/// What `encryption` says of a trail whose files are encrypted.
pub const ENCRYPTED: &str = "aes-256-gcm";

/// What `encryption` says of a trail that anyone can read who has its files.
pub const OPEN: &str = "none";

/// The file `trail.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The version of the folder's format.
    pub format: u32,
    /// The name of the log, in every checkpoint.
    pub origin: String,
    /// The verifier key of the log, as a signed note's vkey. A convenience: a verifier's own policy decides (T15).
    pub log_key: String,
    /// When the trail was made, RFC 3339.
    pub created: String,
    /// How the trail is encrypted at rest: [`ENCRYPTED`] or [`OPEN`].
    pub encryption: String,
}

/// Why `trail.json` could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// There is no trail.
    #[error("{} is no trail: it has no trail.json; make one with: onrecord init {}", .0.display(), .0.display())]
    NotATrail(std::path::PathBuf),
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not what it should be.
    #[error("{} is malformed: {cause}", path.display())]
    Malformed {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        cause: String,
    },
    /// A backup or a restore of it has begun and has not ended.
    #[error("{} is not whole: a {what} of it has begun and has not ended; run the same onrecord {what} again; {given_up}", folder.display())]
    Unfinished {
        /// The trail.
        folder: std::path::PathBuf,
        /// `backup` or `restore`.
        what: &'static str,
        /// What to do if it is given up.
        given_up: String,
    },
    /// A newer format, or none.
    #[error("{} has format {found}; this software reads format {FORMAT}: use a newer onrecord", path.display())]
    Format {
        /// The file.
        path: std::path::PathBuf,
        /// The format it names.
        found: u32,
    },
}

impl Settings {
    /// Reads the settings of a trail.
    pub fn read(host: &Host, folder: &Folder) -> Result<Settings, SettingsError> {
        if !folder.unfinished_too
            && let Some(what) = crate::unfinished::Unfinished::of(host, folder)?
        {
            let (folder, given_up) = (folder.root().to_owned(), what.given_up());
            return Err(SettingsError::Unfinished { folder, what: what.verb(), given_up });
        }
        Self::read_whole(host, folder)
    }

    /// As they stand there, whether the folder is whole or not.
    pub(crate) fn read_whole(host: &Host, folder: &Folder) -> Result<Settings, SettingsError> {
        let path = folder.settings();
        let Some(bytes) = host.read_if_there(&path, "settings")? else {
            return Err(SettingsError::NotATrail(folder.root().to_owned()));
        };
        let malformed = |cause: String| SettingsError::Malformed { path: path.clone(), cause };
        let settings: Settings = serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
        if settings.format != FORMAT {
            return Err(SettingsError::Format { path, found: settings.format });
        }
        if settings.encryption != OPEN && settings.encryption != ENCRYPTED {
            return Err(malformed(format!("encryption {:?} is not one this software knows", settings.encryption)));
        }
        let key = settings.verifier_key().map_err(|error| malformed(error.to_string()))?;
        if key.name().as_str() != settings.origin {
            return Err(malformed(format!(
                "its log key is named {}, and its origin is {}",
                key.name(),
                settings.origin
            )));
        }
        Ok(settings)
    }

    /// The file's text.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).unwrap_or_default();
        json.push(b'\n');
        json
    }

    /// The log's verifier key, as the trail itself says.
    pub fn verifier_key(&self) -> Result<VerifierKey, KeyError> {
        self.log_key.parse()
    }
}

/// Why a trail could not be made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is one already.
    #[error("{} is a trail already; nothing was changed", .0.display())]
    Exists(std::path::PathBuf),
    /// The folder holds something else.
    #[error("{} is not empty; give a new or an empty folder", .0.display())]
    NotEmpty(std::path::PathBuf),
    /// The origin cannot name a key.
    #[error(
        "{origin:?} cannot be the name of a log: {cause}; use a name without spaces or plus signs, such as example.com/credit"
    )]
    Origin {
        /// The name.
        origin: String,
        /// Why.
        cause: KeyError,
    },
    /// The key could not be kept.
    #[error(transparent)]
    Key(#[from] SigningKeyError),
    /// The trail's keys could not be made.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// The lake could not be made.
    #[error(transparent)]
    Lake(#[from] lake::SettleError),
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Makes an open trail in `folder`, which is new or empty, and its signing key in `keys`: whoever has its files can read
/// them. The trail is there, whole, when `trail.json` is, which is written last.
pub fn init(host: &Host, folder: &Folder, origin: Option<&str>, keys: &KeyFolder) -> Result<Settings, InitError> {
    init_protected(host, folder, origin, keys, Protection::Open { master: None })
}

/// What of a new trail is encrypted at rest.
#[derive(Debug, Clone, Copy)]
pub enum Protection<'a> {
    /// Nothing, but the signing key if there is a master key to wrap it by.
    Open {
        /// Where the master key is.
        master: Option<&'a Source>,
    },
    /// Every record. Without the trail's keys nothing of it can be read but how many records there are, their digests, and
    /// what `docs/encryption.md` lists.
    Encrypted {
        /// Where the master key is. The default one is made if it is not there.
        master: &'a Source,
    },
}

/// As [`init`], with the trail's keys made in `keys` too.
pub fn init_protected(
    host: &Host,
    folder: &Folder,
    origin: Option<&str>,
    keys: &KeyFolder,
    protection: Protection<'_>,
) -> Result<Settings, InitError> {
    let root = folder.root();
    if host.read_if_there(folder.settings(), "settings")?.is_some() {
        return Err(InitError::Exists(root.to_owned()));
    }
    host.create_dir_all(root, "trail")?;
    let leftover = host.list(root, "trail")?;
    if leftover.iter().any(|path| !is_ours(path)) {
        return Err(InitError::NotEmpty(root.to_owned()));
    }
    let origin = origin.map_or_else(|| default_origin(host, folder), str::to_owned);
    let name = KeyName::new(&origin).map_err(|cause| InitError::Origin { origin: origin.clone(), cause })?;
    let seed: [u8; 32] = host.random();
    let key =
        SigningKey::from_seed(name, &seed).map_err(|cause| InitError::Origin { origin: origin.clone(), cause })?;
    let verifier = key.verifier_key();
    let (encrypted, master) = match protection {
        Protection::Open { master } => (false, master),
        Protection::Encrypted { master } => (true, Some(master)),
    };
    let keyring = master.map(|master| keys.make(host, &verifier, encrypted, master)).transpose()?;
    keys.store(host, &key, keyring.as_ref())?;
    for path in [folder.entries(), folder.tiles(), folder.journal()] {
        host.create_dir_all(path, "trail")?;
    }
    lake::Lake::create(host.clone(), absolute(&folder.lake())?)?;
    let settings = Settings {
        format: FORMAT,
        origin,
        log_key: key.verifier_key().to_string(),
        created: chrono::DateTime::from_timestamp_nanos(host.now_ns())
            .to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        encryption: if encrypted { ENCRYPTED } else { OPEN }.to_owned(),
    };
    host.put_new(folder.settings(), &settings.to_json(), "settings")?;
    Ok(settings)
}

/// A Delta table is named by a URL, so its path must be absolute.
pub(crate) fn absolute(path: &std::path::Path) -> Result<std::path::PathBuf, FileError> {
    std::path::absolute(path).map_err(|cause| FileError::Io {
        operation: host::Operation::Open,
        path: path.to_owned(),
        cause,
    })
}

/// What an interrupted `init` may have left.
fn is_ours(path: &std::path::Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    matches!(name, "entries" | "tile" | "journal" | "lake") || host::is_temporary(path)
}

/// A name that no other trail has: `onrecord.local/<random>/<folder's name>`.
fn default_origin(host: &Host, folder: &Folder) -> String {
    let random: [u8; 5] = host.random();
    let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let name = folder.root().file_name().and_then(|name| name.to_str()).unwrap_or("trail");
    let keep = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let name: String = name.chars().take(64).map(keep).collect();
    format!("onrecord.local/{random}/{name}")
}
