//! The running journal.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use host::Host;

use crate::commit::Committer;
use crate::queue::Shared;
use crate::recovery::recover;
use crate::{Batch, Delivery, OpenError, Options, Recovery, STEP, StageError, Stopped, VisitError};

/// An open journal: stages records from any number of threads, and owns the committer thread.
///
/// `T` is the cargo that callers hand along with a batch and get back in its [`Delivery`], such as the sending half of
/// whatever they wait on. Dropping the journal commits and delivers what is staged, as [`Journal::close`] does.
pub struct Journal<T> {
    shared: Arc<Shared<T>>,
    host: Host,
    folder: std::path::PathBuf,
    committer: Option<JoinHandle<()>>,
}

/// What [`Journal::release`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// How many segments.
    pub segments: usize,
    /// How many bytes of headers and frames were in them.
    pub bytes: u64,
}

impl<T: Send + 'static> Journal<T> {
    /// Recovers the journal in `folder`, making it if it is not there, and starts the committer.
    ///
    /// * `floor`: records below it are settled elsewhere. They need not be here, are not visited, and damage to them is
    ///   no concern.
    /// * `acknowledged_at_least`: how many records the caller knows to have been acknowledged, such as the size of the
    ///   last signed checkpoint. Finding fewer is an error.
    /// * `visit`: gets every record from `floor` on, in order, with its index. When opening fails in the end, it may
    ///   have seen records all the same: throw away what it made of them.
    /// * `deliver`: gets every group, on the committer thread, see [`Delivery`]. If it panics the journal stops.
    ///
    /// When it returns, every record visited is durable, and the folder has a fresh segment for those to come. The
    /// caller holds the writer's lock (I6).
    ///
    /// # Errors
    /// [`OpenError`]. Nothing on disk is changed before every check has passed. Where it names a file error, opening
    /// may be tried again when the cause is gone; everything else needs a person.
    pub fn open(
        host: &Host,
        folder: impl AsRef<Path>,
        options: Options,
        floor: u64,
        acknowledged_at_least: u64,
        visit: impl FnMut(u64, &[u8]) -> Result<(), VisitError>,
        deliver: impl FnMut(Delivery<T>) + Send + 'static,
    ) -> Result<(Self, Recovery), OpenError> {
        options.check()?;
        let folder = folder.as_ref().to_owned();
        host.create_dir_all(&folder, STEP)?;
        let recovered = recover(host, &folder, floor, acknowledged_at_least, &options, visit)?;
        let shared = Arc::new(Shared::new(options, recovered.report.next_index, recovered.shelf));
        let committer = Committer {
            shared: Arc::clone(&shared),
            host: host.clone(),
            folder: folder.clone(),
            active: recovered.active,
            deliver,
        };
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(|| committer.run());
        let committer = Some(thread.map_err(OpenError::Thread)?);
        Ok((Self { shared, host: host.clone(), folder, committer }, recovered.report))
    }

    /// Stages `payloads` as one batch, waiting while the queue is full, and says which indices they have. They are
    /// durable when `cargo` comes back in a [`Delivery::Committed`], and not before.
    ///
    /// # Errors
    /// [`StageError`] as [`Batch::push`] and [`Batch::stage`]; nothing of the batch is staged.
    pub fn stage(&self, payloads: &[&[u8]], cargo: T) -> Result<Range<u64>, StageError> {
        let mut batch = self.begin()?;
        for payload in payloads {
            batch.push(payload)?;
        }
        batch.stage(cargo)
    }

    /// Begins a batch, waiting while the queue is full. Batches are staged in the order in which they are begun. It
    /// holds up everyone else until it is staged or dropped. Called from `deliver` it may wait for ever.
    ///
    /// # Errors
    /// [`StageError::Stopped`].
    pub fn begin(&self) -> Result<Batch<'_, T>, StageError> {
        Batch::begin(&self.shared, true)
    }

    /// As [`Journal::begin`], but never waits for room in the queue.
    ///
    /// # Errors
    /// [`StageError::Stopped`]; [`StageError::Full`].
    pub fn try_begin(&self) -> Result<Batch<'_, T>, StageError> {
        Batch::begin(&self.shared, false)
    }

    /// Ends the segment that is being written and begins the next one, after everything staged so far; returns when
    /// that is durable. Does nothing when the segment has no records. Never call it from `deliver`.
    ///
    /// # Errors
    /// [`Stopped`].
    pub fn rotate(&self) -> Result<(), Stopped> {
        let mut queue = self.shared.queue.lock();
        queue.rotations_asked += 1;
        let mine = queue.rotations_asked;
        self.shared.work.notify_one();
        while queue.rotations_done < mine {
            if let Some(stopped) = &queue.stopped {
                return Err(stopped.clone());
            }
            self.shared.progress.wait(&mut queue);
        }
        Ok(())
    }

    /// Removes the segments in which every record is below `below`, oldest first; durable when it returns. The segment
    /// that is being written stays: [`Journal::rotate`] first to be rid of its records too.
    ///
    /// The caller has made sure that those records are durable elsewhere (I5). It also sees to keys of segments that could
    /// not be destroyed: they are owed ([`keys::Keyring::owed`]).
    ///
    /// # Errors
    /// [`Stopped`]: a segment could not be removed, or the folder not fsynced, and the journal has stopped. No record
    /// is lost by it.
    pub fn release(&self, below: u64) -> Result<Released, Stopped> {
        let _turn = self.shared.folder_turn.lock();
        if let Some(stopped) = self.stopped() {
            return Err(stopped);
        }
        self.remove_segments(below).inspect_err(|stopped| self.shared.stop(stopped.clone()))
    }

    fn remove_segments(&self, below: u64) -> Result<Released, Stopped> {
        let mut released = Released::default();
        let mut removed = Vec::new();
        while let Some(oldest) = self.shared.shelf.oldest_wholly_below(below) {
            match self.host.remove(&oldest.path, STEP) {
                Err(error) if error.is_not_found() => {}
                result => result?,
            }
            self.shared.shelf.drop_oldest();
            released.segments += 1;
            released.bytes += oldest.bytes;
            removed.push(oldest.path);
        }
        if released.segments > 0 {
            self.host.sync_dir(&self.folder, STEP)?;
        }
        // What was in them is unreadable in every copy of them from here on. A key that cannot be destroyed stays owed in the
        // keyring, where its owner tries again and is told why: the journal needs it no more, and goes on.
        if let Some(keys) = &self.shared.options.keys {
            let names = removed.iter().filter_map(|path| path.file_name()?.to_str());
            let _ = keys.destroy(names);
        }
        Ok(released)
    }

    /// The index that the next record staged will have.
    #[must_use]
    pub fn next_index(&self) -> u64 {
        self.shared.queue.lock().next_index
    }

    /// How many records of the trail are fsynced: all below this index are.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.shared.durable()
    }

    /// How many bytes wait here to be settled: staged, and in segments not yet released. For back-pressure.
    #[must_use]
    pub fn backlog_bytes(&self) -> u64 {
        self.shared.backlog_bytes(&self.shared.queue.lock())
    }

    /// Why the journal has stopped, if it has.
    #[must_use]
    pub fn stopped(&self) -> Option<Stopped> {
        self.shared.queue.lock().stopped.clone()
    }

    /// Commits and delivers everything staged, and ends the committer.
    ///
    /// # Errors
    /// [`Stopped`]: the journal had stopped, or stopped on the way; `deliver` was told what failed.
    pub fn close(mut self) -> Result<(), Stopped> {
        self.finish();
        self.stopped().map_or(Ok(()), Err)
    }
}

impl<T> Journal<T> {
    fn finish(&mut self) {
        self.shared.queue.lock().closing = true;
        self.shared.work.notify_all();
        // When the last handle goes inside `deliver`, the committer cannot wait for itself: it ends on its own.
        let Some(committer) = self.committer.take().filter(|it| it.thread().id() != std::thread::current().id()) else {
            return;
        };
        // A panic of `deliver` has stopped the journal, which `stopped` tells; there is nothing more to learn here.
        let _ = committer.join();
    }
}

impl<T> Drop for Journal<T> {
    fn drop(&mut self) {
        self.finish();
    }
}

impl<T> fmt::Debug for Journal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("folder", &self.folder).field("durable", &self.shared.durable()).finish()
    }
}
