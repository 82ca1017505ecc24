//! The one process that may change a trail (I6).

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use host::{FileError, Host};
use journal::{Delivery, Journal};
use parking_lot::{Condvar, Mutex};
use record::{Digest, Record, Stored};
use tlog::{Prover, SignedCheckpoint, SigningKey, TileEdge, VerifierKey};
use uuid::Uuid;

use crate::append::{AppendError, Earlier, Intake, Known, Outcome, Prepared, Refusal, receipt};
use crate::entries::{Entries, EntriesError, EntriesWriter};
use crate::folder::Folder;
use crate::hot::{Hot, HotRecord};
use crate::lock::{LockError, WriterLock};
use crate::seal::{SealError, SealPlan, Sealed};
use crate::settings::{Settings, SettingsError, absolute};
use crate::settle::{self, SettleError};
use crate::signing_key::{KeyFolder, SigningKeyError};
use crate::snapshot::Snapshot;

const HOUR_NS: i64 = 3_600_000_000_000;

/// How a writer works. Every field has a limit of its own use; see the defaults.
#[derive(Debug, Clone)]
pub struct Options {
    /// The longest a durable record waits for its seal. Default 100 ms.
    pub seal_every: Duration,
    /// The longest a sealed record waits in the journal, default 60 s.
    pub settle_every: Duration,
    /// Bytes in the journal that bring a settle forward, default 64 MiB.
    pub settle_bytes: u64,
    /// Bytes in the journal beyond which appending is refused, default 1 GiB.
    pub backlog_bytes_max: u64,
    /// Records in a batch at most, default 10,000.
    pub batch_records_max: usize,
    /// How old a live record's id may be, by its own time. Default 7 days.
    pub idempotency_window: Duration,
    /// Sizes of the journal.
    pub journal: journal::Options,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            seal_every: Duration::from_millis(100),
            settle_every: Duration::from_secs(60),
            settle_bytes: 64 << 20,
            backlog_bytes_max: 1 << 30,
            batch_records_max: 10_000,
            idempotency_window: Duration::from_secs(7 * 24 * 3600),
            journal: journal::Options::default(),
        }
    }
}

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
    /// The checkpoint is missing, malformed, or not signed by the trail's key.
    #[error("the trail's checkpoint cannot be continued: {0}; run verify, and restore the folder from a newer copy")]
    Checkpoint(String),
    /// The trail ends before, or is not, what its key has signed: an older copy was put in its place (I4, T3).
    #[error(
        "the trail's key has signed {signed} records, and this copy {what}: it was restored from a backup, and \
         continuing it would sign a second history; restore the newest copy (or, to give up what is lost, remove {})",
        path.display()
    )]
    RolledBack {
        /// Records under the last checkpoint that the key signed.
        signed: u64,
        /// How this copy differs.
        what: String,
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

/// The writer has stopped for ever; what was acknowledged is kept. Opening the trail again recovers it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the writer has stopped: {cause}; clear the cause and start it again")]
pub struct Stopped {
    /// What stopped it.
    pub cause: Arc<str>,
}

impl From<journal::Stopped> for Stopped {
    fn from(stopped: journal::Stopped) -> Self {
        Stopped { cause: stopped.to_string().into() }
    }
}

/// Why closing did not finish its work. The trail can be opened again all the same.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// The writer had stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// What was signed last could not be remembered beside the key.
    #[error(transparent)]
    Remember(#[from] FileError),
}

/// What opening found.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// Records in the trail.
    pub records: u64,
    /// Of these, read back from the journal.
    pub from_journal: u64,
    /// What was cut off the journal's end: bytes of records that were never acknowledged.
    pub torn_tail: Option<journal::TornTail>,
}

/// Figures of a running writer.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Status {
    /// Records that are durable.
    pub records: u64,
    /// Records under the last checkpoint.
    pub sealed: u64,
    /// Records in the lake.
    pub settled: u64,
    /// Bytes in the journal.
    pub journal_bytes: u64,
    /// Why the last settle failed, if it did.
    pub settle_error: Option<String>,
}

/// Runs a trail.
pub struct Writer {
    inner: Arc<Inner>,
    threads: Vec<JoinHandle<()>>,
    recovered: Recovered,
}

struct Inner {
    host: Host,
    folder: Folder,
    options: Options,
    shared: Arc<Shared>,
    sequencer: Mutex<Sequencer>,
    seal: Mutex<SealState>,
    /// Held during a settle: there is one at a time.
    lake: Mutex<lake::Lake>,
    journal: Journal<Vec<Arc<HotRecord>>>,
    signer: Signer,
    _lock: WriterLock,
}

/// What the key has signed, as it is remembered beside the key. A lower bound: it is brought up to date when a trail is
/// opened, settled and closed, not at each seal.
struct Signer {
    keys: KeyFolder,
    key: VerifierKey,
}

impl Signer {
    /// Refuses a trail that does not go on from what the key signed last.
    fn check(&self, host: &Host, folder: &Folder, checkpoint: Option<&SignedCheckpoint>) -> Result<(), OpenError> {
        let Some(bytes) = self.keys.last_signed(host, &self.key)? else { return Ok(()) };
        let path = self.keys.last_signed_path(&self.key);
        let last = SignedCheckpoint::open(&bytes, std::slice::from_ref(&self.key));
        let last = last.map_err(|error| OpenError::Checkpoint(format!("{}: {error}", path.display())))?;
        let signed = last.checkpoint().size();
        let size = checkpoint.map_or(0, |checkpoint| checkpoint.checkpoint().size());
        if signed > size {
            return Err(OpenError::RolledBack { signed, what: format!("ends at {size}"), path });
        }
        let root = Prover::new(Entries::new(host, folder), signed).root();
        let root = root.map_err(|error| OpenError::Tree(error.to_string()))?;
        if root != last.checkpoint().root() {
            return Err(OpenError::RolledBack { signed, what: "holds others".to_owned(), path });
        }
        Ok(())
    }

    fn remember(&self, host: &Host, checkpoint: Option<&SignedCheckpoint>) -> Result<(), FileError> {
        match checkpoint {
            Some(checkpoint) => self.keys.remember(host, &self.key, &checkpoint.to_string()),
            None => Ok(()),
        }
    }
}

/// What the journal's committer needs.
struct Shared {
    snapshot: ArcSwap<Snapshot>,
    /// Held while a new snapshot is made from the last one.
    publish: Mutex<()>,
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Progress {
    durable: u64,
    sealed: u64,
    settled: u64,
    settle_error: Option<Arc<str>>,
    stopped: Option<Stopped>,
    closing: bool,
}

/// What gives records their order.
struct Sequencer {
    /// `received` of the last record; it never decreases.
    received: i64,
    /// Records that are not settled, durable or on their way.
    ids: HashMap<Uuid, Arc<HotRecord>>,
    /// Records below this are settled and no longer in `ids`.
    settled: u64,
}

struct SealState {
    sealed: Sealed,
    entries: EntriesWriter,
    key: SigningKey,
}

impl Shared {
    /// Makes the next snapshot from the last one.
    fn publish(&self, change: impl FnOnce(&mut Snapshot)) {
        let _turn = self.publish.lock();
        let mut next = Snapshot::clone(&self.snapshot.load());
        change(&mut next);
        self.snapshot.store(Arc::new(next));
    }

    fn progress(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock());
        self.changed.notify_all();
    }

    fn stop(&self, cause: &dyn fmt::Display) {
        self.progress(|progress| {
            progress.stopped.get_or_insert(Stopped { cause: cause.to_string().into() });
        });
    }

    /// Waits until `done` says so, or the writer stops, or closes.
    fn wait(&self, mut done: impl FnMut(&Progress) -> bool) -> Result<(), Stopped> {
        let mut progress = self.progress.lock();
        while !done(&progress) {
            if let Some(stopped) = &progress.stopped {
                return Err(stopped.clone());
            }
            self.changed.wait(&mut progress);
        }
        Ok(())
    }

    fn deliver(&self, delivery: Delivery<Vec<Arc<HotRecord>>>) {
        match delivery {
            Delivery::Committed { next_index, cargo, .. } => {
                self.publish(|snapshot| snapshot.hot = snapshot.hot.with(cargo.into_iter().flatten()));
                self.progress(|progress| progress.durable = next_index);
            }
            Delivery::Failed { stopped, .. } => self.stop(&stopped),
        }
    }
}

/// If the thread that holds it panics, whoever waits for its work would wait for ever: it stops the writer instead.
struct StopOnPanic(Arc<Shared>);

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop(&"one of its threads panicked, which is a bug: please report it");
        }
    }
}

/// What a batch waits for, and what its records are told then.
#[must_use = "a record is acknowledged only when the ticket has been waited for"]
pub struct Ticket {
    shared: Arc<Shared>,
    durable_at: u64,
    outcomes: Vec<Outcome>,
}

impl Ticket {
    /// Waits until everything the batch names is durable (I1).
    pub fn wait(self) -> Result<Vec<Outcome>, AppendError> {
        self.shared.wait(|progress| progress.durable >= self.durable_at)?;
        Ok(self.outcomes)
    }
}

impl Writer {
    /// Opens a trail for writing, recovering what the last writer left.
    pub fn open(host: &Host, folder: &Folder, keys: &KeyFolder, options: Options) -> Result<Writer, OpenError> {
        let settings = Arc::new(Settings::read(host, folder)?);
        let lock = WriterLock::take(host, folder)?;
        host.sweep_temporaries(folder.root(), "trail")?;
        let verifier_key = settings.verifier_key().map_err(|error| OpenError::Checkpoint(error.to_string()))?;
        let key = keys.load(host, &verifier_key)?;
        let checkpoint = read_checkpoint(host, folder, &settings).map_err(OpenError::Checkpoint)?;
        let lake = lake::Lake::open(host.clone(), absolute(&folder.lake())?)?;
        let lake_snapshot = lake.snapshot().clone();
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
        let (journal, recovery, recovered) = open_journal(host, folder, &options, settled, size, &shared)?;
        let hot = Hot::starting_at(settled).with(recovered);
        let received = match hot.iter().last() {
            Some(last) => last.stored.stamp.received,
            None if settled > 0 => last_received(&shared.snapshot.load(), settled)?,
            None => i64::MIN,
        };
        let ids = hot.iter().map(|record| (record.stored.stamp.id, Arc::clone(record))).collect();
        let seal = take_up_log(host, folder, &hot, settled, checkpoint, key)?;
        let signer = Signer { keys: keys.clone(), key: verifier_key };
        signer.check(host, folder, seal.sealed.checkpoint.as_deref())?;
        // Only now: lake, journal and checkpoint agree, so the journal has whatever an orphan of the lake holds.
        lake.sweep(hot.iter().next().map_or(hot.end(), |first| first.index)..hot.end())?;
        signer.remember(host, seal.sealed.checkpoint.as_deref())?;
        let found = Recovered { records: hot.end(), from_journal: hot.end() - settled, torn_tail: recovery.torn_tail };
        shared.publish(|snapshot| snapshot.hot = hot);
        shared.progress(|progress| {
            (progress.durable, progress.sealed, progress.settled) = (found.records, size, settled);
        });
        let inner = Arc::new(Inner {
            host: host.clone(),
            folder: folder.clone(),
            options,
            shared,
            sequencer: Mutex::new(Sequencer { received, ids, settled }),
            seal: Mutex::new(seal),
            lake: Mutex::new(lake),
            journal,
            signer,
            _lock: lock,
        });
        // Made first: if the second thread cannot be started, dropping it ends the first and gives up the lock.
        let mut writer = Writer { inner, threads: Vec::new(), recovered: found };
        writer.threads.push(spawn("seal", &writer.inner, Inner::seal_until_closed)?);
        writer.threads.push(spawn("settle", &writer.inner, Inner::settle_until_closed)?);
        Ok(writer)
    }

    /// What opening found.
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// The trail as it stands: all records that are durable.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.inner.shared.snapshot.load_full()
    }

    /// Appends records; returns when all that are kept are durable (I1). Records that are refused do not hold up the
    /// others. Outcomes are in the order of the records.
    pub fn append(&self, records: Vec<Record>, intake: Intake) -> Result<Vec<Outcome>, AppendError> {
        self.stage(records, intake)?.wait()
    }

    /// Gives records their place and hands them to the journal; they are acknowledged by [`Ticket::wait`].
    pub fn stage(&self, records: Vec<Record>, intake: Intake) -> Result<Ticket, AppendError> {
        self.inner.stage(records, intake)
    }

    /// Waits until all records that are durable now are under a signed checkpoint.
    pub fn wait_sealed(&self) -> Result<(), Stopped> {
        let durable = self.inner.shared.progress.lock().durable;
        self.inner.shared.wait(|progress| progress.sealed >= durable)
    }

    /// Settles all records that are durable now.
    pub fn settle(&self) -> Result<(), SettleError> {
        self.wait_sealed()?;
        let end = self.inner.shared.progress.lock().sealed;
        while self.snapshot().settled() < end {
            self.inner.settle()?;
        }
        Ok(())
    }

    /// Figures of the writer.
    pub fn status(&self) -> Status {
        let progress = self.inner.shared.progress.lock();
        Status {
            records: progress.durable,
            sealed: progress.sealed,
            settled: progress.settled,
            journal_bytes: self.inner.journal.backlog_bytes(),
            settle_error: progress.settle_error.as_ref().map(ToString::to_string),
        }
    }

    /// Why the writer has stopped, if it has.
    pub fn stopped(&self) -> Option<Stopped> {
        // The journal stops first and tells of it on its own thread.
        let stopped = self.inner.shared.progress.lock().stopped.clone();
        stopped.or_else(|| self.inner.journal.stopped().map(Stopped::from))
    }

    /// Seals everything and ends the writer. Records that are not settled stay in the journal, for the next one.
    pub fn close(mut self) -> Result<(), CloseError> {
        let durable = self.inner.shared.progress.lock().durable;
        // Ends the sealer, which seals at once what is durable, however long it would have waited.
        self.end();
        self.inner.shared.wait(|progress| progress.sealed >= durable)?;
        let checkpoint = self.snapshot().checkpoint.clone();
        Ok(self.inner.signer.remember(&self.inner.host, checkpoint.as_deref())?)
    }

    fn end(&mut self) {
        self.inner.shared.progress(|progress| progress.closing = true);
        for thread in self.threads.drain(..) {
            // A panic there is a bug that has already stopped the writer for whoever waits on it.
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
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
    options: &Options,
    settled: u64,
    sealed: u64,
    shared: &Arc<Shared>,
) -> Result<OpenedJournal, OpenError> {
    let mut records = Vec::new();
    let visit = |index: u64, payload: &[u8]| {
        records.push(Arc::new(hot_record(index, Stored::read(payload)?)));
        Ok(())
    };
    // Dropped with the committer, however that ends.
    let delivered = StopOnPanic(Arc::clone(shared));
    let deliver = move |delivery| {
        let StopOnPanic(shared) = &delivered;
        shared.deliver(delivery);
    };
    let journal_options = options.journal.clone();
    let (journal, recovery) = Journal::open(host, folder.journal(), journal_options, settled, sealed, visit, deliver)?;
    Ok((journal, recovery, records))
}

pub(crate) fn hot_record(index: u64, stored: Stored) -> HotRecord {
    let content = stored.content();
    let digest = record::record_digest(&content, &stored.stamp.to_canonical());
    HotRecord { index, digest, content, stored }
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

// ---- append --------------------------------------------------------------------------------------------------------

impl Inner {
    fn stage(&self, records: Vec<Record>, intake: Intake) -> Result<Ticket, AppendError> {
        let (got, max) = (records.len(), self.options.batch_records_max);
        if got > max {
            return Err(AppendError::BatchTooLong { got, max });
        }
        self.check_running()?;
        self.check_backlog()?;
        let prepared: Vec<Prepared> = records.into_iter().map(|record| Prepared::new(record, &self.host)).collect();
        let named = named_ids(&prepared);
        loop {
            let snapshot = self.shared.snapshot.load_full();
            let known = snapshot.settled_ids(&named).map_err(|error| AppendError::Lookup(Arc::new(error)))?;
            let mut sequencer = self.sequencer.lock();
            // A settle in between has taken records out of the sequencer that were not yet in this snapshot's lake.
            if sequencer.settled == snapshot.settled() {
                return self.sequence(&mut sequencer, prepared, &known, intake);
            }
        }
    }

    /// Nothing more is taken once sealing or settling has stopped the writer, though the journal could still take it:
    /// it would be neither sealed nor settled, and fill the memory.
    fn check_running(&self) -> Result<(), Stopped> {
        self.shared.progress.lock().stopped.clone().map_or(Ok(()), Err)
    }

    fn check_backlog(&self) -> Result<(), AppendError> {
        let (bytes, max) = (self.journal.backlog_bytes(), self.options.backlog_bytes_max);
        if bytes <= max {
            return Ok(());
        }
        let cause = self.shared.progress.lock().settle_error.clone();
        Err(AppendError::Backlog { bytes, max, cause })
    }

    /// Gives each record its index, under the sequencer's lock.
    fn sequence(
        &self,
        sequencer: &mut Sequencer,
        prepared: Vec<Prepared>,
        known: &Known,
        intake: Intake,
    ) -> Result<Ticket, AppendError> {
        let now = self.host.now_ns();
        let received = now.max(sequencer.received);
        let mut batch = self.journal.begin().map_err(stage_error)?;
        let mut outcomes = Vec::with_capacity(prepared.len());
        let mut kept: Vec<Arc<HotRecord>> = Vec::with_capacity(prepared.len());
        let mut durable_at = 0;
        for record in prepared {
            let earlier = sequencer.ids.get(&record.id).map(|hot| Earlier::from(&**hot));
            if let Some(earlier) = earlier.as_ref().or_else(|| known.get(&record.id)) {
                durable_at = durable_at.max(earlier.index + 1);
                outcomes.push(earlier.answer(&record));
                continue;
            }
            if let Some(refusal) = self.check_age(&record, now, intake) {
                outcomes.push(Outcome::Refused(refusal));
                continue;
            }
            let about = record.record.about.and_then(|id| digest_of(sequencer, known, &id));
            let (stored, content, digest) = record.stored(received, about);
            let index = match batch.push_with(|buffer| stored.write(buffer)) {
                Ok(index) => index,
                Err(journal::StageError::Stopped(stopped)) => {
                    forget(sequencer, &kept);
                    return Err(Stopped::from(stopped).into());
                }
                Err(error @ journal::StageError::BatchTooLong { .. }) => {
                    forget(sequencer, &kept);
                    return Err(AppendError::BatchTooLarge(error.to_string()));
                }
                Err(too_large) => {
                    outcomes.push(Outcome::Refused(Refusal::TooLarge(too_large.to_string())));
                    continue;
                }
            };
            let hot = Arc::new(HotRecord { index, digest, content, stored });
            sequencer.ids.insert(hot.stored.stamp.id, Arc::clone(&hot));
            outcomes.push(receipt(&hot));
            durable_at = durable_at.max(index + 1);
            kept.push(hot);
        }
        sequencer.received = received;
        if !kept.is_empty()
            && let Err(error) = batch.stage(kept.clone())
        {
            forget(sequencer, &kept);
            return Err(stage_error(error));
        }
        Ok(Ticket { shared: Arc::clone(&self.shared), durable_at, outcomes })
    }

    /// Why the id of a record is not acceptable at this time.
    fn check_age(&self, record: &Prepared, now: i64, intake: Intake) -> Option<Refusal> {
        let id = record.record.id.filter(|_| intake == Intake::Live)?;
        let made_ns = unix_ms(&id) * 1_000_000;
        let window_ns = i64::try_from(self.options.idempotency_window.as_nanos()).unwrap_or(i64::MAX);
        let age_ns = now.saturating_sub(made_ns);
        if age_ns > window_ns {
            let (age_h, window_h) = ((age_ns / HOUR_NS) as u64, (window_ns / HOUR_NS) as u64);
            Some(Refusal::TooOld { id, age_h, window_h })
        } else if age_ns < -24 * HOUR_NS {
            Some(Refusal::TooNew { id, ahead_h: age_ns.unsigned_abs() / HOUR_NS.unsigned_abs() })
        } else {
            None
        }
    }
}

/// The milliseconds since the Unix epoch that a UUIDv7 carries; 48 bits, so nothing overflows.
fn unix_ms(id: &Uuid) -> i64 {
    (id.as_u128() >> 80) as i64
}

/// The ids that a batch names: its own, and those of the decisions it is about.
fn named_ids(prepared: &[Prepared]) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> =
        prepared.iter().flat_map(|each| each.record.id.into_iter().chain(each.record.about)).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn digest_of(sequencer: &Sequencer, known: &Known, id: &Uuid) -> Option<Digest> {
    let hot = sequencer.ids.get(id).map(|hot| hot.digest);
    hot.or_else(|| known.get(id).map(|earlier| earlier.digest))
}

/// Takes back what a batch that was not staged had entered.
fn forget(sequencer: &mut Sequencer, kept: &[Arc<HotRecord>]) {
    for hot in kept {
        sequencer.ids.remove(&hot.stored.stamp.id);
    }
}

fn stage_error(error: journal::StageError) -> AppendError {
    match error {
        journal::StageError::Stopped(stopped) => Stopped::from(stopped).into(),
        other => AppendError::Stopped(Stopped { cause: other.to_string().into() }),
    }
}

// ---- seal and settle -----------------------------------------------------------------------------------------------

impl Inner {
    /// Seals whatever becomes durable, until the writer closes; everything durable by then is sealed.
    fn seal_until_closed(&self) {
        let mut last = Duration::ZERO;
        loop {
            let waited = self.shared.wait(|progress| progress.durable > progress.sealed || progress.closing);
            if waited.is_err() {
                return;
            }
            let progress = self.shared.progress.lock();
            let (idle, closing) = (progress.durable == progress.sealed, progress.closing);
            let stopped = progress.stopped.is_some();
            drop(progress);
            // A writer that has stopped signs nothing more; the next one seals what is durable.
            if stopped || (idle && closing) {
                return;
            }
            let due = last + self.options.seal_every;
            if !closing && self.host.monotonic() < due {
                // And look again at what has happened meanwhile.
                self.pause(due);
                continue;
            }
            last = self.host.monotonic();
            if let Err(error) = self.seal() {
                self.shared.stop(&error);
                return;
            }
        }
    }

    /// Waits until then, or until the writer closes.
    fn pause(&self, until: Duration) {
        let mut progress = self.shared.progress.lock();
        while !progress.closing && progress.stopped.is_none() {
            let Some(rest) = until.checked_sub(self.host.monotonic()).filter(|rest| !rest.is_zero()) else { return };
            self.shared.changed.wait_for(&mut progress, rest);
        }
    }

    fn seal(&self) -> Result<(), SealError> {
        let mut state = self.seal.lock();
        let SealState { sealed, entries, key } = &mut *state;
        let snapshot = self.shared.snapshot.load_full();
        let digests = snapshot.hot.range(sealed.size(), snapshot.end()).map(|record| record.digest).collect();
        let plan = SealPlan::new(sealed, digests)?;
        let signed = plan.execute(&self.host, &self.folder, entries, key, sealed)?;
        drop(state);
        let size = signed.checkpoint().size();
        self.shared.publish(|snapshot| snapshot.checkpoint = Some(signed));
        self.shared.progress(|progress| progress.sealed = size);
        Ok(())
    }

    /// Settles when it is time, until the writer closes.
    fn settle_until_closed(&self) {
        let mut due = self.host.monotonic() + self.options.settle_every;
        loop {
            let mut progress = self.shared.progress.lock();
            if progress.closing || progress.stopped.is_some() {
                return;
            }
            let unsettled = progress.sealed > progress.settled;
            let full = self.journal.backlog_bytes() >= self.options.settle_bytes && progress.settle_error.is_none();
            let now = self.host.monotonic();
            if !unsettled || !(full || now >= due) {
                let rest = due.saturating_sub(now).max(Duration::from_millis(50)).min(Duration::from_secs(1));
                self.shared.changed.wait_for(&mut progress, rest);
                continue;
            }
            drop(progress);
            let settled = self.settle();
            due = self.host.monotonic() + self.options.settle_every;
            if let Err(error) = settled {
                let error: Arc<str> = error.to_string().into();
                self.shared.progress(|progress| progress.settle_error = Some(error));
            }
        }
    }

    fn settle(&self) -> Result<(), SettleError> {
        let mut lake = self.lake.lock();
        let snapshot = self.shared.snapshot.load_full();
        let records = settle::batch(snapshot.hot.range(snapshot.settled(), snapshot.sealed()));
        let Some(last) = records.last() else { return Ok(()) };
        let end = last.index + 1;
        self.sync_entries()?;
        let first = records[0].index;
        let pairs: Vec<(u64, &Stored)> = records.iter().map(|record| (record.index, &record.stored)).collect();
        let plan = lake::plan_settle(lake.snapshot(), &pairs)?;
        let digest = |index: u64| records.get(index.checked_sub(first)? as usize).map(|record| record.digest);
        let settled = match lake.settle(&plan, &digest) {
            Ok(settled) => settled.clone(),
            Err(error) => {
                if error.is_fatal() {
                    self.shared.stop(&error);
                }
                return Err(error.into());
            }
        };
        // Under the sequencer's lock, so that whoever stages sees both changes or neither, and looks again at most once.
        let mut sequencer = self.sequencer.lock();
        self.shared.publish(|snapshot| {
            snapshot.lake = settled;
            snapshot.hot = snapshot.hot.without_below(end);
        });
        records.iter().for_each(|record| drop(sequencer.ids.remove(&record.stored.stamp.id)));
        sequencer.settled = end;
        drop(sequencer);
        self.shared.progress(|progress| {
            progress.settled = end;
            progress.settle_error = None;
        });
        self.journal.rotate()?;
        self.journal.release(end)?;
        let checkpoint = self.shared.snapshot.load().checkpoint.clone();
        Ok(self.signer.remember(&self.host, checkpoint.as_deref())?)
    }

    /// Makes the entries durable before the journal, which could make them again, lets go.
    fn sync_entries(&self) -> Result<(), SettleError> {
        let synced = self.seal.lock().entries.sync();
        synced.inspect_err(|error| self.shared.stop(error)).map_err(SettleError::from)
    }
}
