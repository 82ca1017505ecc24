//! What the writer does by itself: sealing what is durable, and settling what is sealed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tlog::SigningKey;

use super::{Inner, Stopped};
use crate::entries::EntriesWriter;
use crate::hot::HotRecord;
use crate::seal::{SealError, SealPlan, Sealed};
use crate::settle::{self, SettleError};

pub(super) struct SealState {
    pub(super) sealed: Sealed,
    pub(super) entries: EntriesWriter,
    pub(super) key: SigningKey,
}

/// Ids that are forgotten or remembered under a lock that whoever appends waits for.
const AT_A_TIME: usize = 256;

/// How a settle shares the cores with whoever appends.
#[derive(Clone, Copy)]
enum Pace {
    GivingWay,
    Full,
}

impl Inner {
    /// Seals whatever becomes durable, until the writer closes; everything durable by then is sealed.
    pub(super) fn seal_until_closed(&self) {
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
    pub(super) fn pause(&self, until: Duration) {
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
    pub(super) fn settle_until_closed(&self) {
        let mut due = self.host.monotonic() + self.options.settle_every;
        self.try_to_finish_erasure();
        loop {
            let mut progress = self.shared.progress.lock();
            if progress.closing || progress.stopped.is_some() {
                return;
            }
            // One that failed is tried again, even if it came as far as the lake.
            let unsettled = progress.sealed > progress.settled || progress.settle_error.is_some();
            let full = self.journal.backlog_bytes() >= self.options.settle_bytes || progress.waiting_for_room > 0;
            let full = full && progress.settle_error.is_none();
            let now = self.host.monotonic();
            if !unsettled && now >= due && self.erasure_pending.load(Ordering::Acquire) {
                drop(progress);
                due = now + self.options.settle_every;
                self.try_to_finish_erasure();
                continue;
            }
            if !unsettled || !(full || now >= due) {
                let rest = due.saturating_sub(now).max(Duration::from_millis(50)).min(Duration::from_secs(1));
                self.shared.changed.wait_for(&mut progress, rest);
                continue;
            }
            // Whoever appends goes first as long as the journal has room for what they bring. Beyond half of its bound that
            // would only make them wait for room, so from there on a settle takes its full share.
            let half = self.options.backlog_bytes_max / 2;
            let has_room = progress.waiting_for_room == 0 && self.journal.backlog_bytes() <= half;
            drop(progress);
            let settled = self.settle(if has_room { Pace::GivingWay } else { Pace::Full });
            due = self.host.monotonic() + self.options.settle_every;
            if let Err(error) = settled {
                let error: Arc<str> = error.to_string().into();
                self.shared.progress(|progress| progress.settle_error = Some(error));
            }
            self.try_to_finish_erasure();
        }
    }

    fn try_to_finish_erasure(&self) {
        let error = self.finish_erasure().err().map(|error| error.to_string().into());
        self.shared.progress(|progress| progress.erase_error = error);
    }

    /// Waits until all records that are durable now are under a signed checkpoint.
    pub(super) fn wait_sealed(&self) -> Result<(), Stopped> {
        let durable = self.shared.progress.lock().durable;
        self.shared.wait(|progress| progress.sealed >= durable)
    }

    /// Settles all records that are durable now.
    pub(super) fn settle_all(&self) -> Result<(), SettleError> {
        self.wait_sealed()?;
        let end = self.shared.progress.lock().sealed;
        loop {
            // Once at least: what was settled before may not have been let go of.
            self.settle(Pace::Full)?;
            if self.shared.snapshot.load().settled() >= end {
                return Ok(());
            }
        }
    }

    fn settle(&self, pace: Pace) -> Result<(), SettleError> {
        let lake = &mut *self.lake.lock();
        let snapshot = self.shared.snapshot.load_full();
        let records = settle::batch(snapshot.hot.range(snapshot.settled(), snapshot.sealed()));
        let Some(last) = records.last() else { return self.let_go(lake) };
        let end = last.index + 1;
        self.sync_entries()?;
        let settled = match pace {
            Pace::GivingWay => self.giving_way(|| settle::into_lake(lake, &records)),
            Pace::Full => settle::into_lake(lake, &records),
        };
        let settled = settled.inspect_err(|error| {
            if error.is_fatal() {
                self.shared.stop(error);
            }
        })?;
        for records in records.chunks(AT_A_TIME) {
            self.recent.lock().remember(records.iter().map(|record| (record.stored.stamp.id, record.digest)));
        }
        // Under the sequencer's lock, so that whoever stages sees both changes or neither, and looks again at most once.
        let mut sequencer = self.sequencer.lock();
        self.shared.publish(|snapshot| {
            snapshot.lake = settled;
            snapshot.hot = snapshot.hot.without_below(end);
        });
        sequencer.settled = end;
        drop(sequencer);
        self.forget_ids(&records);
        self.shared.progress(|progress| progress.settled = end);
        self.let_go(lake)
    }

    /// Lets the journal go of what is settled, once it is remembered beside the keys what that rests on: an older copy of
    /// the trail needs what goes here. Then destroys the keys that could not be destroyed before.
    pub(super) fn let_go(&self, lake: &lake::Lake) -> Result<(), SettleError> {
        let snapshot = self.shared.snapshot.load_full();
        self.signer.remember(&self.host, snapshot.checkpoint.as_deref())?;
        self.signer.remember_lake(&self.host, lake.snapshot().version())?;
        self.journal.rotate()?;
        self.journal.release(snapshot.settled())?;
        // There is room now for whoever waits for it.
        self.shared.progress(|progress| progress.settle_error = None);
        if let Some(keys) = &self.keys {
            keys.destroy_owed()?;
        }
        Ok(())
    }

    /// Does it on a thread that gives way to all others, since none may take back what it gave away. It must take no
    /// lock that whoever appends waits for: a thread that gives way holds it for as long as others keep the cores.
    fn giving_way<R: Send>(&self, mut work: impl FnMut() -> R + Send) -> R {
        let done = std::thread::scope(|scope| {
            let giving_way = || {
                self.host.give_way();
                work()
            };
            let thread = std::thread::Builder::new().name("settle".to_owned()).spawn_scoped(scope, giving_way).ok()?;
            Some(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        // Where no thread is to be had, this one does it.
        done.unwrap_or_else(work)
    }

    /// Takes ids of settled records out of the sequencer, some at a time: all at once would hold up who appends for
    /// milliseconds. Until then they are answered from memory, as they would be from the lake; the caller holds the
    /// lake's lock, so that nothing of it can be erased meanwhile.
    fn forget_ids(&self, settled: &[Arc<HotRecord>]) {
        for records in settled.chunks(AT_A_TIME) {
            let mut sequencer = self.sequencer.lock();
            let gone = records.iter().map(|record| sequencer.ids.remove(&record.stored.stamp.id));
            let gone: Vec<_> = gone.collect();
            parking_lot::MutexGuard::unlock_fair(sequencer);
            drop(gone);
        }
    }

    /// Makes the entries durable before the journal, which could make them again, lets go.
    fn sync_entries(&self) -> Result<(), SettleError> {
        let synced = self.seal.lock().entries.sync();
        synced.inspect_err(|error| self.shared.stop(error)).map_err(SettleError::from)
    }
}
