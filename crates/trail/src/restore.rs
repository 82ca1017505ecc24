//! Restoring a trail from a backup: the same log goes on where the backup has all that its key is known to have signed, and
//! a new one where it has not.
//!
//! A log never goes back (I4, T3): if its key has signed more than the backup holds, or may have written files that the
//! backup knows nothing of, or if nothing at all says that it has not, the records of the backup become the first of a log
//! with another name and another key. Its own first record says which log it goes on from, the checkpoint that it had, and
//! which records are lost.

mod key_folder;

use std::path::{Path, PathBuf};

use host::{FileError, Host};
use keys::{Keyring, KeyringError};
use record::{JsonParser, Limits, Record};
use tlog::checkpoint::{CheckpointError, SignError};
use tlog::{Checkpoint, KeyError, Verifier as _, VerifierKey};

use crate::append::{AppendError, Intake, Outcome};
use crate::backup::{BackupError, apart, check_copy, resolved};
use crate::folder::Folder;
use crate::lock::{Lock, LockError};
use crate::reader::{ReadError, Reader};
use crate::settings::{Settings, SettingsError};
use crate::signing_key::{KeyFolder, SigningKeyError, name_of};
use crate::snapshot::Snapshot;
use crate::unfinished::{Restoring, Unfinished};
use crate::verify::{Against, Progress, Report, VerifyError, verify};
use crate::writer::{CloseError, EraseError, OpenError, Options, Stopped, Writer};

/// Fault points are `restore.<operation>`.
const STEP: &str = "restore";

/// The version of the form in the context of the record by which a log begins that goes on from a backup.
const FORMAT: u32 = 1;

/// What is to be restored, and to where.
#[derive(Debug)]
pub struct Restore<'a> {
    /// The machine.
    pub host: &'a Host,
    /// The backup.
    pub backup: &'a Path,
    /// A backup of its keys, if they are not all in `keys`.
    pub backup_keys: Option<&'a KeyFolder>,
    /// The folder of the trail: a new or an empty one.
    pub to: &'a Path,
    /// The folder of keys that the trail will be used with.
    pub keys: &'a KeyFolder,
    /// Checkpoints of the log that somebody kept, by name: the newest that is known decides whether the log goes on.
    pub pins: &'a [(String, Vec<u8>)],
    /// Somebody vouches for it that there is no newer copy, and that nothing was signed since: the log goes on though nothing
    /// else says so.
    pub newest: bool,
}

/// What a restore came to.
#[derive(Debug)]
pub struct Restored {
    /// The log that the trail has now.
    pub origin: String,
    /// Its verifier key.
    pub log_key: String,
    /// If it is a new one: what it goes on from.
    pub goes_on_from: Option<GoesOnFrom>,
    /// The check of the restored trail. If it is not good, the trail is not opened: see [`Restore::run`].
    pub report: Report,
}

/// A log that ended, and another one that goes on from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoesOnFrom {
    /// The log that the backup is of.
    pub origin: String,
    /// Records that were restored: those of the new log below this index are the old one's.
    pub records: u64,
    /// How many records the old log is known to have had.
    pub known: u64,
    /// What the old log's files in the folder of keys are called by, if there are any: they open older backups, and are not
    /// destroyed with those of the new one.
    pub old_keys: Option<String>,
    /// Whether there was nothing to say that the backup is the newest there is: no checkpoint, no keys that had been in use.
    pub unproven: bool,
}

impl GoesOnFrom {
    /// The records that are lost, for all that is known.
    pub fn lost(&self) -> Option<std::ops::Range<u64>> {
        (self.records < self.known).then_some(self.records..self.known)
    }
}

/// Why nothing was restored, or not all. A folder that was begun is opened by nobody.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup is none.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The backup cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The folders are in one another, or keys could not be copied.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// Keys could not be had.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// The signing key could not be had or made.
    #[error(transparent)]
    Key(#[from] SigningKeyError),
    /// The trail names no usable key, or the new log has a name that is none.
    #[error("the log's key is malformed: {0}")]
    LogKey(#[from] KeyError),
    /// Some keys are here, and not all that the backup is read with.
    #[error("{0}; the backup's own keys, with --keys, are added to those that are there")]
    KeyMissing(KeyringError),
    /// The keys are not here.
    #[error("the keys of {origin} are not in {}: name the backup of them with --keys", folder.display())]
    NeedsKeys {
        /// The log.
        origin: String,
        /// Where they were looked for.
        folder: PathBuf,
    },
    /// A pinned checkpoint is not one of this log.
    #[error("{name} is no checkpoint of the log that the backup is of: {cause}; nothing was changed")]
    Pin {
        /// Its name.
        name: String,
        /// Why.
        cause: String,
    },
    /// The backup is not what was signed (T2).
    #[error(
        "the backup does not hold the {size} records that {name} covers: it was changed, or is of another history; nothing was changed"
    )]
    NotThatPast {
        /// The checkpoint's name.
        name: String,
        /// Records under it.
        size: u64,
    },
    /// The folder holds something else.
    #[error("{} is neither empty nor a restore of this backup that was interrupted; nothing was changed; name a new folder", .0.display())]
    NotEmpty(PathBuf),
    /// The checkpoint could not be signed by the new key.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The checkpoint is none.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The restored trail was not opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The first record was not appended.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The first record was refused.
    #[error("the record by which the new log begins was refused: {0}")]
    Refused(String),
    /// An erasure that the backup has begun was not finished.
    #[error("an erasure that had begun when the backup was made cannot be finished: {0}")]
    Erase(#[from] EraseError),
    /// The trail was not sealed.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The trail was not closed.
    #[error(transparent)]
    Close(#[from] CloseError),
    /// The restored trail cannot be checked.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The folder, or the keys of the log that goes on, are in use.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A link is no part of a backup, and may lead anywhere.
    #[error("{} is neither a file nor a folder, and nothing was made of it; no backup holds such a thing: take it away", .0.display())]
    NoFile(PathBuf),
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
}

/// The newest checkpoint of the old log that anybody here knows.
struct Known {
    size: u64,
    note: String,
}

impl Restore<'_> {
    /// Restores the trail, finishes an erasure that had begun when the backup was made, and checks everything. Until that
    /// check is good the folder is marked as unfinished and opened by nobody. Whatever stops it, the same call goes on.
    pub fn run(&self, progress: &mut dyn FnMut(Progress)) -> Result<Restored, RestoreError> {
        let (host, to) = (self.host, &self.folder());
        let from = Folder::new(self.backup).with_keys(self.backup_keys.unwrap_or(self.keys));
        let settings = Settings::read(host, &from)?;
        let key = settings.verifier_key()?;
        let key_folders: Vec<&Path> =
            [Some(self.keys), self.backup_keys].into_iter().flatten().map(|keys| &*keys.0).collect();
        apart(&[self.backup, self.to], &key_folders)?;
        let _alone = Lock::beside(host, &resolved(self.to))?;
        let snapshot = Reader::new(host, &from).snapshot()?;
        let known = self.newest_known(&snapshot, &key)?;
        let restoring = self.begin(to, &snapshot, &key, known.as_ref())?;
        if host.read_if_there(to.settings(), STEP)?.is_none() {
            self.copy_records(to)?;
            let settled = match &restoring.successor {
                None => self.take_up(&snapshot, &settings, &key)?,
                Some(_) => self.begin_anew(to, &snapshot, &settings, &restoring)?,
            };
            host.replace(to.settings(), &settled.to_json(), STEP, None)?;
        }
        let old_keys = Keyring::encrypts_at(host, &self.keys.0, &name_of(&key))?.map(|_| name_of(&key));
        let unproven = restoring.successor.is_some() && self.is_unproven(&key)?;
        let goes_on_from = restoring.successor.as_ref().map(|_| GoesOnFrom {
            origin: settings.origin.clone(),
            records: snapshot.end(),
            known: known.as_ref().map_or(0, |known| known.size),
            old_keys: old_keys.clone(),
            unproven,
        });
        drop(snapshot);
        let first = goes_on_from.as_ref().map(|from| first_record(from, known.as_ref(), &restoring)).transpose()?;
        self.bring_up(to, first)?;
        // A new log has signed none of them. The backup was held against them before.
        let pins = if restoring.successor.is_none() { self.pins.to_vec() } else { Vec::new() };
        let report = verify(host, to, &Against { pins, policy: None }, progress)?;
        let settings = Settings::read_whole(host, to)?;
        if report.verdict.is_good() {
            Unfinished::done(host, to)?;
        }
        Ok(Restored { origin: settings.origin, log_key: settings.log_key, goes_on_from, report })
    }

    fn folder(&self) -> Folder {
        let mut folder = Folder::new(self.to).with_keys(self.keys);
        folder.unfinished_too = true;
        folder
    }

    /// Marks the folder as unfinished, or finds that this very restore has begun before: what was decided then stands, for
    /// what it has done since changes what is known.
    fn begin(
        &self,
        to: &Folder,
        snapshot: &Snapshot,
        key: &VerifierKey,
        known: Option<&Known>,
    ) -> Result<Restoring, RestoreError> {
        let host = self.host;
        let checkpoint = snapshot.checkpoint().map(|signed| signed.checkpoint());
        let (size, root) = (snapshot.sealed(), checkpoint.map(|it| it.root().to_string()).unwrap_or_default());
        let origin = snapshot.settings().origin.clone();
        match Unfinished::of(host, to)? {
            Some(Unfinished::Restore(begun)) if (&begun.origin, begun.size, &begun.root) == (&origin, size, &root) => {
                if self.has_its_key(&begun)? {
                    return Ok(begun);
                }
            }
            Some(_) => return Err(RestoreError::NotEmpty(self.to.to_owned())),
            None => {
                let is_empty = match host.list(self.to, STEP) {
                    Err(error) if error.is_not_found() => true,
                    paths => paths?.iter().all(|path| host::is_temporary(path)),
                };
                if !is_empty {
                    return Err(RestoreError::NotEmpty(self.to.to_owned()));
                }
            }
        }
        let new_key = if self.goes_on(snapshot, key, known)? { None } else { Some(self.new_key(&origin)?) };
        match &new_key {
            None => self.check_keys(key)?,
            Some(_) => check_copy(host, key, self.backup_keys.unwrap_or(self.keys), self.keys)?,
        }
        host.create_dir_all(self.to, STEP)?;
        let new = new_key.as_ref().map(|key| key.verifier_key());
        let (successor, successor_keys) = (new.as_ref().map(|key| key.to_string()), new.as_ref().map(name_of));
        let restoring = Restoring { origin, size, root, successor, successor_keys, record: host.uuid_v7() };
        // Before there are any keys of its name: what an interrupted run leaves of them is found by the next.
        Unfinished::Restore(restoring.clone()).put(host, to)?;
        if let Some(new_key) = new_key {
            self.keep_key(&new_key, key, snapshot)?;
        }
        Ok(restoring)
    }

    /// Copies everything but what says that there is a trail.
    fn copy_records(&self, to: &Folder) -> Result<(), RestoreError> {
        self.copy_folder(self.backup, to.root(), true)
    }

    fn copy_folder(&self, from: &Path, to: &Path, is_root: bool) -> Result<(), RestoreError> {
        let host = self.host;
        host.create_dir_all(to, STEP)?;
        host.sweep_temporaries(to, STEP)?;
        for path in host.list(from, STEP)? {
            let Some(name) = path.file_name() else { continue };
            let text = name.to_str().unwrap_or_default();
            let (copy, left_out) = (to.join(name), ["trail.json", "checkpoint", "lock", "writer.sock", "scrub.json"]);
            if (is_root && left_out.contains(&text)) || text == "_readers" || host::is_temporary(&path) {
                continue;
            }
            // Links are not followed.
            let kind = path.symlink_metadata().map_err(|error| read_error(&path, error))?.file_type();
            if kind.is_dir() {
                self.copy_folder(&path, &copy, false)?;
                continue;
            }
            if !kind.is_file() {
                return Err(RestoreError::NoFile(path));
            }
            match host.copy_new(&path, &copy, STEP) {
                // It has its name only when it is whole, and a backup does not change.
                Err(FileError::AlreadyExists { .. }) => {}
                copied => drop(copied?),
            }
        }
        Ok(())
    }

    /// Another log goes on from the backup: its key signs the tree that the backup has, as its own first one.
    fn begin_anew(
        &self,
        to: &Folder,
        snapshot: &Snapshot,
        settings: &Settings,
        restoring: &Restoring,
    ) -> Result<Settings, RestoreError> {
        let host = self.host;
        let verifier: VerifierKey = restoring.successor.as_deref().unwrap_or_default().parse()?;
        let key = self.keys.load(host, &verifier)?;
        let origin = verifier.name().to_string();
        if let Some(old) = snapshot.checkpoint() {
            let checkpoint = Checkpoint::new(&origin, old.checkpoint().size(), old.checkpoint().root())?;
            host.replace(to.checkpoint(), checkpoint.sign(&key)?.to_string().as_bytes(), STEP, None)?;
        }
        let created = chrono::DateTime::from_timestamp_nanos(host.now_ns());
        let created = created.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        Ok(Settings { origin, log_key: verifier.to_string(), created, ..settings.clone() })
    }

    /// Opens the trail once, as whoever writes it next will: finishes an erasure that had begun, before anything is served,
    /// and seals the record by which a new log begins.
    fn bring_up(&self, to: &Folder, first: Option<Record>) -> Result<(), RestoreError> {
        let options = Options { compact: false, scrub: None, ..Options::default() };
        let writer = Writer::open(self.host, to, self.keys, options)?;
        if let Some(first) = first {
            match writer.append(vec![first], Intake::Import)?.into_iter().next() {
                Some(Outcome::Refused(refusal)) => return Err(RestoreError::Refused(refusal.to_string())),
                Some(Outcome::Kept(_)) | None => {}
            }
        }
        writer.finish_erasure()?;
        writer.wait_sealed()?;
        Ok(writer.close()?)
    }
}

fn read_error(path: &Path, cause: std::io::Error) -> FileError {
    FileError::Io { operation: host::Operation::Read, path: path.to_owned(), cause }
}

/// The record by which a log begins that goes on from another one.
fn first_record(from: &GoesOnFrom, known: Option<&Known>, restoring: &Restoring) -> Result<Record, RestoreError> {
    let lost = from.lost().map(|lost| serde_json::json!({"first": lost.start, "end": lost.end}));
    let json = serde_json::json!({
        "id": restoring.record,
        "kind": "config",
        "context": {
            "format": FORMAT,
            "what": "restored",
            "goes_on_from": {
                "origin": from.origin, "size": restoring.size, "root": restoring.root, "records": from.records,
            },
            "newest_known": known.map(|known| serde_json::json!({"size": known.size, "checkpoint": known.note})),
            "lost": lost,
        },
    });
    let parsed = JsonParser::new(Limits::DEFAULT).parse(json.to_string().as_bytes());
    parsed.map_err(|error| RestoreError::Refused(error.to_string()))
}
