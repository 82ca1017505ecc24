//! Compaction in the background and by hand, the clean-up of what it replaced, and the table's log kept short.

use std::time::Duration;

use lake::Effort;
use record::Stored;

use super::Inner;
use crate::compact::{CompactError, Compacted};
use crate::entries::{Digests, Entries};

/// How often clean-up looks again at files that someone may still read.
const CLEAN_AGAIN: Duration = Duration::from_secs(60);

impl Inner {
    /// Compacts after settles, until the writer closes.
    pub(super) fn compact_until_closed(&self) {
        if !self.options.compact {
            return;
        }
        self.host.give_way();
        // What the last writer left is looked at first.
        let mut looked_at = None;
        loop {
            let done = self.compact(Effort::Tiers);
            // What failed is tried again soon too: keys may be left that are to be destroyed.
            let left = done.as_ref().map_or(true, |done| done.left > 0 || done.log_left > 0);
            let error = done.err().filter(|error| !error.is_interrupted()).map(|error| error.to_string().into());
            self.shared.progress(|progress| progress.compact_error = error);
            let mut progress = self.shared.progress.lock();
            while !progress.closing && progress.stopped.is_none() && looked_at == Some(progress.settled) {
                if left {
                    let waited = self.shared.changed.wait_for(&mut progress, CLEAN_AGAIN);
                    if waited.timed_out() {
                        break;
                    }
                } else {
                    self.shared.changed.wait(&mut progress);
                }
            }
            if progress.closing || progress.stopped.is_some() {
                return;
            }
            looked_at = Some(progress.settled);
        }
    }

    /// Merges files as long as some are worth it, and removes those that nobody needs any more; then sees to the table's
    /// log. By hand, a checkpoint is written of whatever is new.
    pub(super) fn compact(&self, effort: Effort) -> Result<Compacted, CompactError> {
        // One rewrite at a time. Settles go on meanwhile.
        let _turn = self.rewriting.lock();
        let started = self.host.monotonic();
        let mut done = Compacted::default();
        (done.files_before, done.bytes_before) = self.files();
        while self.compact_once(effort, &mut done)? {}
        let cleaned = self.clean(self.options.clean_grace)?;
        (done.removed, done.left) = (cleaned.removed, cleaned.left);
        let log = self.checkpoint(if effort == Effort::All { 1 } else { self.options.checkpoint_every })?;
        (done.checkpoint, done.log_removed, done.log_left) = (log.written, log.removed, log.left);
        (done.files_after, done.bytes_after) = self.files();
        done.elapsed = self.host.monotonic().saturating_sub(started);
        Ok(done)
    }

    /// Removes files that nobody needs any more. What leaves open what is on disk stops the writer.
    pub(super) fn clean(&self, grace: Duration) -> Result<lake::Cleaned, lake::CleanError> {
        let mut lake = self.lake.lock();
        // No key that an older version needs goes before it is known that there is a newer one.
        let remembered = self.signer.remember_lake(&self.host, lake.snapshot().version());
        remembered.map_err(lake::CleanError::from).and_then(|()| lake.clean(grace)).inspect_err(|error| {
            if error.is_fatal() {
                self.shared.stop(error);
            }
        })
    }

    /// Keeps the table's log short. What fails leaves the table as it was, or stops the writer.
    fn checkpoint(&self, every: u64) -> Result<lake::Checkpointed, lake::CheckpointError> {
        self.lake.lock().checkpoint(every).inspect_err(|error| {
            if error.is_fatal() {
                self.shared.stop(error);
            }
        })
    }

    fn files(&self) -> (u64, u64) {
        let snapshot = self.shared.snapshot.load();
        let files = snapshot.lake.files();
        (files.len() as u64, files.iter().map(|file| file.bytes).sum())
    }

    /// Merges some files into others; says whether there were any to merge.
    fn compact_once(&self, effort: Effort, done: &mut Compacted) -> Result<bool, CompactError> {
        let snapshot = self.lake.lock().snapshot().clone();
        let Some(files) = lake::choose_compaction(snapshot.files(), effort) else { return Ok(false) };
        let plan = lake::plan_compaction(&snapshot, &files, &self.interrupt)?;
        self.make_live(&plan, &|_, _| None)?;
        done.rewritten += files.iter().map(|file| file.rows).sum::<u64>();
        Ok(true)
    }

    /// Carries a rewrite out, makes it live and shows it to readers. What leaves open what is on disk stops the writer.
    pub(super) fn make_live(
        &self,
        plan: &lake::Rewrite,
        changed: &dyn Fn(u64, &Stored) -> Option<Stored>,
    ) -> Result<(), lake::RewriteError> {
        let digests = Digests::new(Entries::new(&self.host, &self.folder), self.shared.snapshot.load().sealed());
        let rewritten = plan.carry_out(changed, &|index| digests.get(index));
        rewritten.and_then(|rewritten| self.replace(rewritten)).inspect_err(|error| {
            if error.is_fatal() {
                self.shared.stop(error);
            }
        })
    }

    fn replace(&self, rewritten: lake::Rewritten) -> Result<(), lake::RewriteError> {
        let mut lake = self.lake.lock();
        let replaced = lake.replace(rewritten)?.clone();
        // Under the lake's lock, as a settle does, so that versions are published in their order.
        self.shared.publish(|snapshot| snapshot.lake = replaced);
        Ok(())
    }
}
