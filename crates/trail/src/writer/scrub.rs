//! Scrubbing in the background, at a rate that leaves the machine to the appenders.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::Inner;
use crate::verify::{Progress, Scrub, ScrubState};

/// The longest that is waited at a time, so that a trail that grows is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

/// What must be owed before it is waited.
const SHORTEST_WAIT: Duration = Duration::from_millis(2);

impl Inner {
    /// Scrubs whenever it is time, until the writer closes.
    pub(super) fn scrub_until_closed(&self) {
        let Some(scrubbing) = &self.options.scrub else { return };
        self.host.give_way();
        let opened = self.host.monotonic();
        self.pause(opened + scrubbing.after);
        while self.goes_on() {
            match self.scrub_due(scrubbing.every) {
                Some(wait) => self.pause(self.host.monotonic() + wait.min(LOOK_AGAIN)),
                None => self.scrub(scrubbing.records_a_second, scrubbing.every),
            }
        }
    }

    fn goes_on(&self) -> bool {
        let progress = self.shared.progress.lock();
        !progress.closing && progress.stopped.is_none()
    }

    /// How long there is to wait for the next cycle; nothing if it is time. The wall clock may have jumped (T30): a
    /// cycle that ended in the future is one to make again.
    fn scrub_due(&self, every: Duration) -> Option<Duration> {
        let state = ScrubState::read(&self.host, &self.folder).unwrap_or_default();
        if state.under_way().is_some() {
            return None;
        }
        let last = state.last?;
        let age = u64::try_from(self.host.now_ns().checked_sub(last.finished_ns)?).ok()?;
        every.checked_sub(Duration::from_nanos(age)).filter(|wait| !wait.is_zero())
    }

    fn scrub(&self, records_a_second: u32, every: Duration) {
        let (started, mut before) = (self.host.monotonic(), 0);
        let mut owed = Duration::ZERO;
        let mut pace = |progress: Progress| {
            // Each step of a cycle counts from 0.
            let step = progress.done.saturating_sub(if progress.done < before { 0 } else { before });
            before = progress.done;
            owed += Duration::from_secs_f64(step as f64 / f64::from(records_a_second.max(1)));
            // Shorter waits are not worth making one by one; they add up.
            if started + owed > self.host.monotonic() + SHORTEST_WAIT {
                self.pause(started + owed);
            }
            if self.goes_on() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let mut scrub = Scrub { host: &self.host, folder: &self.folder, pace: &mut pace };
        // A snapshot in hand keeps the files of its version in place.
        let cycle = scrub.cycle(&|| self.shared.snapshot.load_full());
        let error: Option<Arc<str>> = cycle.err().map(|error| error.to_string().into());
        let failed = error.is_some();
        self.shared.progress(|progress| progress.scrub_error = error);
        if failed {
            self.pause(self.host.monotonic() + every.min(LOOK_AGAIN));
        }
    }
}
