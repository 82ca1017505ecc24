//! What the writer's threads tell one another: how far the trail has come, and whether it has stopped.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use journal::Delivery;
use parking_lot::{Condvar, Mutex};

use crate::append::{AppendError, Outcome};
use crate::hot::HotRecord;
use crate::snapshot::Snapshot;

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

/// What the journal's committer needs.
pub(super) struct Shared {
    pub(super) snapshot: ArcSwap<Snapshot>,
    /// Held while a new snapshot is made from the last one.
    pub(super) publish: Mutex<()>,
    pub(super) progress: Mutex<Progress>,
    pub(super) changed: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) durable: u64,
    pub(super) sealed: u64,
    pub(super) settled: u64,
    pub(super) settle_error: Option<Arc<str>>,
    pub(super) erase_error: Option<Arc<str>>,
    pub(super) compact_error: Option<Arc<str>>,
    pub(super) scrub_error: Option<Arc<str>>,
    /// Appenders that wait for a settle to make room in the journal.
    pub(super) waiting_for_room: usize,
    pub(super) stopped: Option<Stopped>,
    pub(super) closing: bool,
}

impl Shared {
    /// Makes the next snapshot from the last one.
    pub(super) fn publish(&self, change: impl FnOnce(&mut Snapshot)) {
        let _turn = self.publish.lock();
        let mut next = Snapshot::clone(&self.snapshot.load());
        change(&mut next);
        self.snapshot.store(Arc::new(next));
    }

    pub(super) fn progress(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock());
        self.changed.notify_all();
    }

    pub(super) fn stop(&self, cause: &dyn fmt::Display) {
        self.progress(|progress| {
            progress.stopped.get_or_insert(Stopped { cause: cause.to_string().into() });
        });
    }

    /// Waits until `done` says so, or the writer stops, or closes.
    pub(super) fn wait(&self, mut done: impl FnMut(&Progress) -> bool) -> Result<(), Stopped> {
        let mut progress = self.progress.lock();
        while !done(&progress) {
            if let Some(stopped) = &progress.stopped {
                return Err(stopped.clone());
            }
            self.changed.wait(&mut progress);
        }
        Ok(())
    }

    pub(super) fn deliver(&self, delivery: Delivery<Vec<Arc<HotRecord>>>) {
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
pub(super) struct StopOnPanic(pub(super) Arc<Shared>);

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
    pub(super) shared: Arc<Shared>,
    pub(super) durable_at: u64,
    pub(super) outcomes: Vec<Outcome>,
}

impl Ticket {
    /// Waits until everything the batch names is durable (I1).
    pub fn wait(self) -> Result<Vec<Outcome>, AppendError> {
        self.shared.wait(|progress| progress.durable >= self.durable_at)?;
        Ok(self.outcomes)
    }
}
