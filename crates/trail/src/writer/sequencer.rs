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
