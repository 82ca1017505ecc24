//! The one process that may change a trail (I6).

mod compact;
mod erase;
mod open;
mod options;
mod recent;
mod scrub;
mod sequencer;
mod shared;
mod signer;
mod work;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;

use host::{FileError, Host};
use journal::Journal;
use keys::Keyring;
use parking_lot::Mutex;
use record::Record;

use crate::append::{AppendError, Intake, Outcome};
use crate::compact::{CompactError, Compacted};
use crate::erasure::Erasure;
use crate::folder::Folder;
use crate::hot::HotRecord;
use crate::lock::WriterLock;
use crate::settle::SettleError;
use crate::snapshot::Snapshot;

pub use erase::{EraseError, Erased};
pub use open::OpenError;
pub(crate) use open::read_checkpoint;
pub use options::{Options, Scrubbing};
use sequencer::Sequencer;
use shared::Shared;
pub use shared::{Stopped, Ticket};
use signer::Signer;
use work::SealState;

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
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
    /// Why the last try to finish an erasure failed, if it did.
    pub erase_error: Option<String>,
    /// Why the last compaction failed, if it did.
    #[serde(default)]
    pub compact_error: Option<String>,
    /// Why the last scrub could not go on, if it could not.
    pub scrub_error: Option<String>,
    /// Keys of files that are gone, or of so many files, that could not be destroyed yet: copies of these files can still
    /// be read (T21). The writer tries again.
    #[serde(default)]
    pub keys_owed: u64,
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
    recent: Mutex<recent::Recent>,
    sequencer: Mutex<Sequencer>,
    seal: Mutex<SealState>,
    /// Held during a settle: there is one at a time.
    lake: Mutex<lake::Lake>,
    /// Held during a rewrite: there is one at a time, and settles do not wait for it.
    rewriting: Mutex<()>,
    /// Ends a rewrite when the writer closes.
    interrupt: lake::Interrupt,
    journal: Journal<Vec<Arc<HotRecord>>>,
    signer: Signer,
    /// For what of the trail is encrypted.
    keys: Option<Keyring>,
    /// Held during an erasure: there is one at a time.
    erasing: Mutex<()>,
    /// Whether one that was begun is to be finished.
    erasure_pending: AtomicBool,
    _lock: WriterLock,
}

impl Writer {
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
        self.inner.wait_sealed()
    }

    /// Settles all records that are durable now.
    pub fn settle(&self) -> Result<(), SettleError> {
        self.inner.settle_all()
    }

    /// Takes parts out of records, for good: declared by a record of its own, and gone from every file of the trail
    /// when it returns but for those that are being read. An erasure that was interrupted is finished by itself.
    pub fn erase(&self, erasure: &Erasure) -> Result<Erased, EraseError> {
        self.inner.erase(erasure)
    }

    /// Finishes an erasure that was begun before, if there is one. A running writer does so by itself; this is for whoever
    /// must know that it is done.
    pub fn finish_erasure(&self) -> Result<(), EraseError> {
        self.inner.finish_erasure()
    }

    /// Merges all files of the lake that are smaller than they should be, and removes those that nobody needs any more.
    pub fn compact(&self) -> Result<Compacted, CompactError> {
        if let Some(stopped) = self.stopped() {
            return Err(stopped.into());
        }
        self.inner.compact(lake::Effort::All)
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
            erase_error: progress.erase_error.as_ref().map(ToString::to_string),
            compact_error: progress.compact_error.as_ref().map(ToString::to_string),
            scrub_error: progress.scrub_error.as_ref().map(ToString::to_string),
            keys_owed: self.inner.keys.as_ref().map_or(0, |keys| keys.owed() as u64),
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
        self.inner.interrupt.interrupt();
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
