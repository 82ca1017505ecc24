//! Appending: each record gets its place, once, and goes to the journal.

use std::collections::HashMap;
use std::sync::Arc;

use record::{Digest, Record};
use uuid::Uuid;

use super::Inner;
use super::shared::{Stopped, Ticket};
use crate::append::{AppendError, Earlier, Intake, Known, Outcome, Prepared, Refusal, receipt};
use crate::hot::HotRecord;

const HOUR_NS: i64 = 3_600_000_000_000;

/// What gives records their order.
pub(super) struct Sequencer {
    /// `received` of the last record; it never decreases.
    pub(super) received: i64,
    /// Records that are not settled, durable or on their way.
    pub(super) ids: HashMap<Uuid, Arc<HotRecord>>,
    /// Records below this are settled and no longer in `ids`.
    pub(super) settled: u64,
}

impl Inner {
    pub(super) fn stage(&self, records: Vec<Record>, intake: Intake) -> Result<Ticket, AppendError> {
        let (got, max) = (records.len(), self.options.batch_records_max);
        if got > max {
            return Err(AppendError::BatchTooLong { got, max });
        }
        self.check_running()?;
        let prepared = Prepared::all(records, &self.host);
        let bytes = prepared.iter().map(Prepared::journal_bytes_max).sum();
        let named = sent_ids(&prepared);
        let mut about = ids_about(&prepared);
        let recent = self.recent.lock().take(&mut about);
        loop {
            // Before the look-up, which is not worth making for a batch that there is no room for.
            self.room(bytes, self.journal.backlog_bytes(), intake)?;
            let snapshot = self.shared.snapshot.load_full();
            let known = snapshot.settled_ids(&named, &about);
            let mut known = known.map_err(|error| AppendError::Lookup(Arc::new(error)))?;
            known.about.extend(&recent);
            let mut sequencer = self.sequencer.lock();
            // A settle in between has taken records out of the sequencer that were not yet in this snapshot's lake.
            if sequencer.settled != snapshot.settled() {
                continue;
            }
            let batch = self.journal.begin().map_err(stage_error)?;
            // Others may have taken the room since. From here on nobody can.
            if batch.backlog_bytes() + bytes <= self.backlog_max(bytes, intake) {
                return self.sequence(&mut sequencer, batch, prepared, &known, intake);
            }
        }
    }

    /// Nothing more is taken once sealing or settling has stopped the writer, though the journal could still take it:
    /// it would be neither sealed nor settled, and fill the memory.
    fn check_running(&self) -> Result<(), Stopped> {
        self.shared.progress.lock().stopped.clone().map_or(Ok(()), Err)
    }

    /// How far a batch of `wanted` bytes may fill the journal. What is in the journal is in memory too, and an import
    /// comes as fast as it is taken: it gets a quarter of the room, or the journal to itself if it needs more.
    fn backlog_max(&self, wanted: u64, intake: Intake) -> u64 {
        let max = self.options.backlog_bytes_max;
        match intake {
            Intake::Live => max,
            Intake::Import => (max / 4).max(wanted).min(max),
        }
    }

    /// Back-pressure: the journal's limit holds to the byte, and whoever would pass it is told so, or waits for a
    /// settle to make room. An import waits for as long as settling works; a live service has a spool of its own.
    fn room(&self, wanted: u64, backlog: u64, intake: Intake) -> Result<(), AppendError> {
        let bound = self.options.backlog_bytes_max;
        if wanted > bound {
            let what =
                format!("a batch of {wanted} bytes is over the limit backlog_bytes_max of {bound} bytes; split it");
            return Err(AppendError::BatchTooLarge(what));
        }
        let max = self.backlog_max(wanted, intake);
        if backlog + wanted <= max {
            return Ok(());
        }
        let full = |cause: Option<Arc<str>>| AppendError::Backlog { bytes: backlog, max, cause };
        let mut progress = self.shared.progress.lock();
        if intake == Intake::Live {
            return Err(full(progress.settle_error.clone()));
        }
        progress.waiting_for_room += 1;
        self.shared.changed.notify_all();
        let waited = loop {
            if self.journal.backlog_bytes() + wanted <= max {
                break Ok(());
            }
            if let Some(stopped) = &progress.stopped {
                break Err(stopped.clone().into());
            }
            if let Some(cause) = &progress.settle_error {
                break Err(full(Some(Arc::clone(cause))));
            }
            self.shared.changed.wait(&mut progress);
        };
        progress.waiting_for_room -= 1;
        waited
    }

    /// Gives each record its index, under the sequencer's lock.
    fn sequence(
        &self,
        sequencer: &mut Sequencer,
        mut batch: journal::Batch<'_, Vec<Arc<HotRecord>>>,
        prepared: Vec<Prepared>,
        known: &Known,
        intake: Intake,
    ) -> Result<Ticket, AppendError> {
        let now = self.host.now_ns();
        let received = now.max(sequencer.received);
        let mut outcomes = Vec::with_capacity(prepared.len());
        let mut kept: Vec<Arc<HotRecord>> = Vec::with_capacity(prepared.len());
        let mut durable_at = 0;
        for record in prepared {
            let earlier = sequencer.ids.get(&record.id).map(|hot| Earlier::from(&**hot));
            if let Some(earlier) = earlier.as_ref().or_else(|| known.again.get(&record.id)) {
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

/// The ids that a batch's records have, as far as they are their senders'.
fn sent_ids(prepared: &[Prepared]) -> Vec<Uuid> {
    sorted(prepared.iter().filter_map(|each| each.record.id))
}

/// The ids of the decisions that a batch's records are about.
fn ids_about(prepared: &[Prepared]) -> Vec<Uuid> {
    sorted(prepared.iter().filter_map(|each| each.record.about))
}

/// Each once.
fn sorted(ids: impl Iterator<Item = Uuid>) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn digest_of(sequencer: &Sequencer, known: &Known, id: &Uuid) -> Option<Digest> {
    let hot = sequencer.ids.get(id).map(|hot| hot.digest);
    hot.or_else(|| known.about.get(id).copied())
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
