//! Opening a trail for writing: whatever the last writer left is taken up on the path of the happy case (I8).

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use host::{FileError, Host};
use journal::Journal;
use keys::Keyring;
use parking_lot::{Condvar, Mutex};
use record::{Digest, Stored};
use tlog::{SignedCheckpoint, SigningKey, TileEdge};

use super::options::Options;
use super::sequencer::Sequencer;
use super::shared::{Shared, StopOnPanic};
use super::signer::Signer;
use super::work::SealState;
use super::{Inner, Recovered, Writer};
use crate::entries::{Entries, EntriesError, EntriesWriter};
use crate::erasure::pending;
use crate::folder::Folder;
use crate::hot::{Hot, HotRecord, hash_all};
use crate::keyring::KeysError;
use crate::lock::{LockError, WriterLock};
use crate::seal::Sealed;
use crate::settings::{Settings, SettingsError, absolute};
use crate::signing_key::{KeyFolder, SigningKeyError};
use crate::snapshot::Snapshot;

/// Why a trail was not opened for writing.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is no trail, or one of a format this software does not know.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Another process writes it (I6).
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Its signing key is not here.
    #[error(transparent)]
    Key(#[from] SigningKeyError),
    /// Its files are encrypted, and the keys are not here.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The checkpoint is missing, malformed, or not signed by the trail's key.
    #[error("the trail's checkpoint cannot be continued: {0}; run verify, and restore the folder from a newer copy")]
    Checkpoint(String),
    /// The trail ends before, or is not, what its key has signed: an older copy was put in its place (I4, T3).
    #[error(
        "the trail's key has signed {signed} records, and this copy {what}: it was restored from a backup, and \
         continuing it would sign a second history; put the newest copy in its place, or, where there is none, make a log of its \
         own of this one with: onrecord restore"
    )]
    RolledBack {
        /// Records under the last checkpoint that the key signed.
        signed: u64,
        /// How this copy differs.
        what: String,
        /// The file that remembers it.
        path: PathBuf,
    },
    /// The lake is older than one that was written with the same keys: this is an older copy of the trail.
    #[error(
        "this is an older copy of the trail: its lake is at version {found}, and its keys have seen version {reached}; \
         restore the newest copy, or make a trail of its own of this one with: onrecord restore"
    )]
    OlderLake {
        /// The version that is here.
        found: u64,
        /// The version that was reached.
        reached: u64,
        /// The file that remembers it.
        path: PathBuf,
    },
    /// The entries and tiles do not make the tree that was signed.
    #[error("the trail's log does not hash to the root that was signed: {0}; run verify")]
    Tree(String),
    /// A record in the journal is not one.
    #[error(transparent)]
    Journal(#[from] journal::OpenError),
    /// The lake cannot be read.
    #[error(transparent)]
    Lake(#[from] lake::SettleError),
    /// The last settled record cannot be read.
    #[error(transparent)]
    LastRecord(#[from] lake::ReadError),
    /// Entries could not be written.
    #[error(transparent)]
    Entries(#[from] EntriesError),
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

impl Writer {
    /// Opens a trail for writing, recovering what the last writer left.
    pub fn open(host: &Host, folder: &Folder, keys: &KeyFolder, options: Options) -> Result<Writer, OpenError> {
        let settings = Arc::new(Settings::read(host, folder)?);
        let folder = &folder.clone().with_keys(keys);
        let verifier_key = settings.verifier_key().map_err(|error| OpenError::Checkpoint(error.to_string()))?;
        let lock = WriterLock::take(host, folder, keys, &verifier_key)?;
        // Under the lock, under which no rotation runs.
        let keyring = folder.keyring_anew(host, &settings)?;
        host.sweep_temporaries(folder.root(), "trail")?;
        let key = keys.load(host, &verifier_key)?;
        let checkpoint = read_checkpoint(host, folder, &settings).map_err(OpenError::Checkpoint)?;
        let lake = lake::Lake::open(host.clone(), absolute(&folder.lake())?)?.with_keys(keyring.clone());
        let lake_snapshot = lake.snapshot().clone();
        let signer = Signer::new(host, keys, verifier_key)?;
        signer.check_lake(lake_snapshot.version())?;
        let settled = lake_snapshot.watermark();
        let size = checkpoint.as_ref().map_or(0, |signed| signed.checkpoint().size());
        if settled > size {
            let cause = format!("it covers {size} records, and {settled} are settled");
            return Err(OpenError::Checkpoint(cause));
        }
        let snapshot = Snapshot {
            host: host.clone(),
            folder: folder.clone(),
            settings,
            lake: lake_snapshot,
            hot: Hot::starting_at(settled),
            checkpoint: checkpoint.clone(),
        };
        let shared = Arc::new(Shared {
            snapshot: ArcSwap::from_pointee(snapshot),
            publish: Mutex::new(()),
            progress: Mutex::default(),
            changed: Condvar::new(),
        });
        let journal_options = journal::Options { keys: keyring.clone(), ..options.journal.clone() };
        let opened = open_journal(host, folder, journal_options, settled, size, &shared)?;
        let (journal, recovery, recovered) = opened;
        let hot = Hot::starting_at(settled).with(recovered);
        let received = match hot.iter().last() {
            Some(last) => last.stored.stamp.received,
            None if settled > 0 => last_received(&shared.snapshot.load(), settled)?,
            None => i64::MIN,
        };
        let ids = hot.iter().map(|record| (record.stored.stamp.id, Arc::clone(record))).collect();
        let seal = take_up_log(host, folder, &hot, settled, checkpoint, key)?;
        signer.check(host, folder, seal.sealed.checkpoint.as_deref())?;
        // Only now: lake, journal and checkpoint agree, so the journal has whatever an orphan of the lake holds.
        lake.sweep(hot.iter().next().map_or(hot.end(), |first| first.index)..hot.end())?;
        signer.remember(host, seal.sealed.checkpoint.as_deref())?;
        signer.remember_lake(host, lake.snapshot().version())?;
        if let Some(keys) = &keyring {
            sweep_keys(host, folder, keys, lake.snapshot())?;
        }
        let found = Recovered { records: hot.end(), from_journal: hot.end() - settled, torn_tail: recovery.torn_tail };
        shared.publish(|snapshot| snapshot.hot = hot);
        shared.progress(|progress| {
            (progress.durable, progress.sealed, progress.settled) = (found.records, size, settled);
        });
        let erasure_pending = pending::read(host, folder, keyring.as_ref())?.is_some();
        let inner = Arc::new(Inner {
            host: host.clone(),
            folder: folder.clone(),
            options,
            shared,
            recent: Mutex::default(),
            sequencer: Mutex::new(Sequencer { received, ids, settled }),
            seal: Mutex::new(seal),
            lake: Mutex::new(lake),
            rewriting: Mutex::new(()),
            interrupt: lake::Interrupt::default(),
            journal,
            signer,
            keys: keyring,
            erasing: Mutex::default(),
            erasure_pending: erasure_pending.into(),
            _lock: lock,
        });
        // Made first: if the second thread cannot be started, dropping it ends the first and gives up the lock.
        let mut writer = Writer { inner, threads: Vec::new(), recovered: found };
        writer.threads.push(spawn("seal", &writer.inner, Inner::seal_until_closed)?);
        writer.threads.push(spawn("compact", &writer.inner, Inner::compact_until_closed)?);
        writer.threads.push(spawn("settle", &writer.inner, Inner::settle_until_closed)?);
        if writer.inner.options.scrub.is_some() {
            writer.threads.push(spawn("scrub", &writer.inner, Inner::scrub_until_closed)?);
        }
        Ok(writer)
    }
}

/// Reads the checkpoint and checks that the trail's own key signed it.
pub(crate) fn read_checkpoint(
    host: &Host,
    folder: &Folder,
    settings: &Settings,
) -> Result<Option<Arc<SignedCheckpoint>>, String> {
    let Some(bytes) = host.read_if_there(folder.checkpoint(), "checkpoint").map_err(|error| error.to_string())? else {
        return Ok(None);
    };
    let key = settings.verifier_key().map_err(|error| error.to_string())?;
    let signed = SignedCheckpoint::open(&bytes, &[key]).map_err(|error| error.to_string())?;
    Ok(Some(Arc::new(signed)))
}

type OpenedJournal = (Journal<Vec<Arc<HotRecord>>>, journal::Recovery, Vec<Arc<HotRecord>>);

fn open_journal(
    host: &Host,
    folder: &Folder,
    options: journal::Options,
    settled: u64,
    sealed: u64,
    shared: &Arc<Shared>,
) -> Result<OpenedJournal, OpenError> {
    let mut records = Vec::new();
    let visit = |index: u64, payload: &[u8]| {
        records.push((index, Stored::read(payload)?));
        Ok(())
    };
    // Dropped with the committer, however that ends.
    let delivered = StopOnPanic(Arc::clone(shared));
    let deliver = move |delivery| {
        let StopOnPanic(shared) = &delivered;
        shared.deliver(delivery);
    };
    let (journal, recovery) = Journal::open(host, folder.journal(), options, settled, sealed, visit, deliver)?;
    Ok((journal, recovery, hash_all(records)))
}

/// Destroys the keys of files that are gone: a crash may come between the two. One that the table names keeps its key
/// though it is not here, since a copy of it may be put back.
fn sweep_keys(host: &Host, folder: &Folder, keys: &Keyring, lake: &lake::Snapshot) -> Result<(), FileError> {
    let listed =
        |folder: PathBuf| Ok::<_, FileError>(host.list(folder, "key-store")?.into_iter().collect::<HashSet<_>>());
    let (in_lake, in_journal) = (listed(lake.folder().to_owned())?, listed(folder.journal())?);
    let named: HashSet<&str> = lake.files().iter().map(|file| file.path.as_str()).collect();
    let erasing = host.read_if_there(folder.erasure(), "erasure")?.is_some();
    keys.sweep(|file| match file.rsplit_once('.').map(|(_, kind)| kind) {
        Some("parquet") => named.contains(file) || in_lake.contains(&lake.folder().join(file)),
        Some("journal") => in_journal.contains(&folder.journal().join(file)),
        Some("json") => erasing,
        _ => true,
    })?;
    Ok(())
}

/// `received` of the last settled record, which the next one may not be before.
fn last_received(snapshot: &Snapshot, settled: u64) -> Result<i64, OpenError> {
    let last = snapshot.lake.find(settled - 1)?;
    let missing = || OpenError::Checkpoint(format!("the lake has no record {}", settled - 1));
    Ok(last.ok_or_else(missing)?.placed.stored.stamp.received)
}

/// Brings the entries on disk to what was signed, from the journal, and the tree into memory.
fn take_up_log(
    host: &Host,
    folder: &Folder,
    hot: &Hot,
    settled: u64,
    checkpoint: Option<Arc<SignedCheckpoint>>,
    key: SigningKey,
) -> Result<SealState, OpenError> {
    let mut entries = EntriesWriter::new(host, folder);
    let size = checkpoint.as_ref().map_or(0, |signed| signed.checkpoint().size());
    let digests: Vec<Digest> = hot.range(settled, size).map(|record| record.digest).collect();
    entries.write(settled, &digests)?;
    entries.cut(size)?;
    let edge = match &checkpoint {
        None => TileEdge::new(),
        Some(signed) => {
            let root = signed.checkpoint().root();
            TileEdge::open(&Entries::new(host, folder), size, &root)
                .map_err(|error| OpenError::Tree(error.to_string()))?
        }
    };
    Ok(SealState { sealed: Sealed { edge, checkpoint }, entries, key })
}

fn spawn(name: &str, inner: &Arc<Inner>, run: fn(&Inner)) -> Result<JoinHandle<()>, OpenError> {
    let inner = Arc::clone(inner);
    let work = move || {
        let _stop_on_panic = StopOnPanic(Arc::clone(&inner.shared));
        run(&inner);
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(OpenError::Thread)
}
