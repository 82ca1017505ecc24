//! How far a check has come, for whoever waits for it, slows it down or ends it.

use std::ops::ControlFlow;

use super::Progress;

/// Records between two looks at whether to go on.
const STEP: u64 = 64;

/// Counts what was hashed, and tells of it now and then.
pub(super) struct Pace<'a> {
    progress: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    /// Entries and records that will be gone through: each once.
    pub(super) total: u64,
    done: u64,
    told: u64,
    stopped: bool,
}

impl<'a> Pace<'a> {
    pub(super) fn new(progress: &'a mut dyn FnMut(Progress) -> ControlFlow<()>) -> Pace<'a> {
        Pace { progress, total: 0, done: 0, told: 0, stopped: false }
    }

    /// Counts entries or records; says whether to go on.
    pub(super) fn advance(&mut self, by: u64) -> bool {
        self.done = self.done.saturating_add(by);
        if self.done - self.told >= STEP && !self.stopped {
            self.told = self.done;
            let done = self.done();
            self.stopped = (self.progress)(done).is_break();
        }
        !self.stopped
    }

    /// How much has been gone through.
    pub(super) fn done(&self) -> Progress {
        Progress { done: self.done, total: self.total.max(self.done) }
    }

    /// Whether someone has asked to end: what was found since is not to be believed.
    pub(super) fn stopped(&self) -> bool {
        self.stopped
    }
}
