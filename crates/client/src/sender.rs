//! The one thread of an instance: takes records from the queue, sends them, checks what the server says, and says itself
//! that the instance is there. What another process has left goes the same way (I8).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use record::cbor::Number;
use record::{CborParser, Kind, Limits, Part, Producer, Record, Value};
use uuid::Uuid;

use crate::config::Config;
use crate::delivery::{Answer, Delivery};
use crate::event::{Added, Event};
use crate::instance::Instance;
use crate::log::By;
use crate::losses::{Lost, Reason};
use crate::receipt::{Receipt, Sent, sent};
use crate::rejected::Rejected;
use crate::segment::{Found, Segment};
use crate::settle::Settled;
use crate::state::Progress;
use crate::tip::{Signing, Tip};
use crate::trouble::Trouble;

/// The first wait after a failure; each further one is up to twice as long.
const PAUSE: Duration = Duration::from_millis(200);
/// How long the recorder waits with its own records where there was no room for one.
const PUT_PAUSE: Duration = Duration::from_secs(1);
/// How long the sender sleeps at most where nothing wakes it.
const IDLE_MAX: Duration = Duration::from_millis(500);
/// The share of a batch's size by which the next may be larger.
const GROWTH: usize = 16;
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Ids older than this are not sent as live ones: the window within which a server knows them is a week by default.
const LIVE: Duration = Duration::from_secs(5 * 24 * 3600);

/// See the module.
pub struct Sender {
    instance: Arc<Instance>,
    delivery: Delivery,
    rejected: Rejected,
    parser: CborParser,
    linger: Duration,
    heartbeat_every: Duration,
    records_max: usize,
    bytes_max: usize,
    /// As many as go at once: half after a batch that was too large, then slowly more.
    records_now: usize,
    segment: Option<Arc<Segment>>,
    offset: usize,
    /// Up to there what is no record was told and put aside: a batch that is sent again comes by it again.
    unfit_told: usize,
    settled: Settled,
    progress: Progress,
    /// `gap` records under way, and what they declare.
    gaps: HashMap<Uuid, Own<Lost>>,
    /// Tips under way.
    beats: HashMap<Uuid, Own<Tip>>,
    /// A number that was taken for a record of the recorder's own, for which there was no room then.
    spare: Option<u64>,
    /// The queue had no room even for the recorder's own: not tried again before.
    put_after: Duration,
    beat_at: Duration,
    ended: Ended,
    failures: u32,
    not_before: Duration,
}

/// How far the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Not,
    /// The record that ends it is in the queue.
    Said(Uuid),
}

/// What a record of the recorder's own says, and its number.
struct Own<T> {
    seq: u64,
    says: T,
}

/// A batch.
struct Batch {
    body: Vec<u8>,
    records: Vec<(u64, Record)>,
    next: usize,
}

impl Sender {
    /// For an instance that nothing was sent of yet by this process.
    pub fn new(instance: Arc<Instance>, config: &Config, delivery: Delivery) -> Sender {
        let progress = instance.state.progress();
        let path = instance.spool.join(format!("rejected-{}.ndjson", instance.name));
        Sender {
            rejected: Rejected::new(&instance.host, path),
            delivery,
            parser: CborParser::new(Limits::DEFAULT),
            linger: config.linger,
            heartbeat_every: config.heartbeat_every,
            records_max: config.batch_records_max,
            bytes_max: config.batch_bytes_max,
            records_now: config.batch_records_max,
            segment: None,
            offset: Segment::first(),
            unfit_told: 0,
            settled: Settled::at(progress.settled, progress.rolling),
            progress,
            gaps: HashMap::new(),
            beats: HashMap::new(),
            spare: None,
            put_after: Duration::ZERO,
            beat_at: instance.host.monotonic() + config.heartbeat_every,
            ended: Ended::Not,
            failures: 0,
            not_before: Duration::ZERO,
            instance,
        }
    }

    /// Until everything is settled after a close, or it is abandoned; whether everything was settled.
    pub fn run(mut self) -> bool {
        if self.instance.adopted_by.is_none() {
            self.say("start", Vec::new());
        }
        let settled = loop {
            if self.instance.ending.abandoned.load(Ordering::Acquire) {
                break false;
            }
            self.keep_house();
            let now = self.instance.host.monotonic();
            if now < self.not_before {
                self.wait(self.not_before - now);
                continue;
            }
            if self.deliver() {
                continue;
            }
            if self.instance.ending.closing.load(Ordering::Acquire) && self.end() {
                break true;
            }
            self.wait_for_records();
        };
        if settled && let Err(error) = self.instance.remove() {
            self.instance.tell(&Trouble::Spool { why: error.to_string() });
        }
        self.instance.release();
        *self.instance.finished.lock() = Some(settled);
        self.instance.progress.notify_all();
        settled
    }

    /// What is due besides sending.
    fn keep_house(&mut self) {
        if let Err(error) = self.instance.log.prepare() {
            self.instance.tell(&Trouble::Spool { why: error.to_string() });
        }
        if self.instance.host.monotonic() < self.put_after {
            return;
        }
        let lost = self.instance.losses.lock().take();
        for lost in lost {
            self.declare(lost);
            self.forget(lost);
        }
        let closing = self.instance.ending.closing.load(Ordering::Acquire);
        if !closing && self.instance.host.monotonic() >= self.beat_at {
            self.beat_at = self.instance.host.monotonic() + self.heartbeat_every;
            self.instance.clock.refresh();
            if self.say("heartbeat", Vec::new()).is_none() {
                // Its number waits for the next, and what follows it with it.
                self.beat_at = self.put_after;
            }
        }
    }

    /// What records of the recorder's own said is not said, if they are among what is lost.
    fn forget(&mut self, lost: Lost) {
        let is_lost = |seq: u64| (lost.first..=lost.last).contains(&seq);
        for (_, gap) in self.gaps.extract_if(|_, gap| is_lost(gap.seq)) {
            self.instance.losses.lock().add(gap.says);
        }
        for (id, _) in self.beats.extract_if(|_, beat| is_lost(beat.seq)) {
            if self.ended == Ended::Said(id) {
                self.ended = Ended::Not;
            }
        }
    }

    /// Puts a `gap` record in the queue.
    fn declare(&mut self, lost: Lost) {
        let number = |n: u64| Value::Number(Number::from_u64(n));
        let context = Value::map([
            ("first".to_owned(), number(lost.first)),
            ("last".to_owned(), number(lost.last)),
            ("reason".to_owned(), Value::Text(lost.reason.text().to_owned())),
        ]);
        match self.put(Kind::Gap, |_| context) {
            Some((id, seq)) => drop(self.gaps.insert(id, Own { seq, says: lost })),
            None => self.instance.losses.lock().add(lost),
        }
    }

    /// Puts a `producer` record with a signed tip in the queue (T12, T31).
    fn say(&mut self, event: &str, more: Vec<(String, Value)>) -> Option<Uuid> {
        let tip = Tip {
            first: self.progress.tip + 1,
            through: self.settled.through(),
            base: self.progress.tip_rolling,
            rolling: self.settled.rolling(),
        };
        let instance = Arc::clone(&self.instance);
        let said = self.put(Kind::Producer, |seq| {
            let signing = Signing { producer: &instance.producer, instance: &instance.name, event, seq };
            Value::map(tip.context(&instance.key, &signing).into_iter().chain(more))
        });
        let (id, seq) = said?;
        self.beats.insert(id, Own { seq, says: tip });
        Some(id)
    }

    /// Puts a record of the recorder's own in the queue; its id and number. It has none if the instance's are not known.
    fn put(&mut self, kind: Kind, context: impl FnOnce(u64) -> Value) -> Option<(Uuid, u64)> {
        let instance = Arc::clone(&self.instance);
        let spare = self.spare.take();
        let seq = if instance.numbered { spare.unwrap_or_else(|| instance.state.next()) } else { 0 };
        let event = Event::of_kind(kind).with(Part::Context, context(seq));
        let producer = Producer {
            name: &instance.producer,
            instance: Some(&instance.name),
            seq: (seq != 0).then(|| i64::try_from(seq).unwrap_or(i64::MAX)),
        };
        let added = Added {
            id: instance.host.uuid_v7(),
            salt: instance.host.random(),
            time_ns: instance.host.now_ns(),
            clock: instance.clock.clock(),
            producer,
            sampling: None,
        };
        let appended = event.encode(&added).ok().map(|bytes| instance.log.append(seq, &bytes, By::Recorder));
        match appended {
            Some(Ok(_)) => Some((added.id, seq)),
            _ => {
                self.put_after = instance.host.monotonic() + PUT_PAUSE;
                self.spare = (seq != 0).then_some(seq);
                None
            }
        }
    }

    /// Sends what waits; false if nothing does.
    fn deliver(&mut self) -> bool {
        let Some(mut batch) = self.begin() else { return false };
        let young = batch.records.len() < self.records_now && batch.body.len() < self.bytes_max / 2;
        if young && !self.linger.is_zero() && !self.instance.ending.closing.load(Ordering::Acquire) {
            // A moment for others to go with it.
            std::thread::park_timeout(self.linger);
            self.gather(&mut batch);
        }
        let count = batch.records.len();
        if count == 0 {
            self.offset = batch.next;
            return true;
        }
        self.instance.counts.sent.fetch_add(count as u64, Ordering::Relaxed);
        let import = self.instance.adopted_by.is_some() || self.is_old(&batch);
        match self.delivery.send(&self.instance.host, &batch.body, count, import) {
            Answer::Told(each) => self.told(batch, each),
            Answer::TooLarge { .. } if count > 1 => self.records_now = count.div_ceil(2),
            Answer::TooLarge { own: true, why } => self.told(batch, vec![Err(why)]),
            Answer::TooLarge { own: false, why } => self.later(None, count, why),
            Answer::Later { after, why } => self.later(after, count, why),
        }
        true
    }

    /// A batch of what comes next, from the first segment that has anything. Nothing if the queue is empty.
    fn begin(&mut self) -> Option<Batch> {
        loop {
            let segment = match &self.segment {
                Some(segment) => Arc::clone(segment),
                None => {
                    (self.offset, self.unfit_told) = (Segment::first(), 0);
                    Arc::clone(self.segment.insert(self.instance.log.begin()?))
                }
            };
            if segment.at(self.offset) == Found::End {
                // After a power cut numbers whose records are gone must be known to be settled, else they are declared, and
                // tips that were signed over them seem false (T31). Where this fails the queue must go on all the same.
                if let Err(error) = self.instance.state.sync() {
                    self.instance.tell(&Trouble::Spool { why: error.to_string() });
                }
                if !self.instance.log.done(&segment) {
                    return None;
                }
                self.segment = None;
                continue;
            }
            let mut batch = Batch { body: Vec::new(), records: Vec::new(), next: self.offset };
            self.gather(&mut batch);
            return (batch.next != self.offset).then_some(batch);
        }
    }

    /// More of the same segment, as much as goes together.
    fn gather(&mut self, batch: &mut Batch) {
        let Some(segment) = self.segment.clone() else { return };
        while batch.records.len() < self.records_now
            && let Found::Frame(frame) = segment.at(batch.next)
        {
            if !batch.records.is_empty() && batch.body.len() + frame.payload.len() > self.bytes_max {
                return;
            }
            batch.next = frame.next;
            // What is settled was sent by whoever has left it.
            if frame.seq != 0 && frame.seq <= self.settled.through() {
                continue;
            }
            match self.parser.parse(frame.payload) {
                Ok(record) => {
                    batch.body.extend_from_slice(frame.payload);
                    batch.records.push((frame.seq, record));
                }
                // No server would take it either.
                Err(error) if batch.next > self.unfit_told => {
                    self.unfit_told = batch.next;
                    let aside = self.rejected.put_bytes(frame.seq, &error.to_string(), frame.payload);
                    let aside = aside.map_or_else(|error| error.to_string(), |()| self.rejected.path());
                    let why = format!("record {} is lost: {error}; put aside: {aside}", frame.seq);
                    self.instance.tell(&Trouble::Spool { why });
                    if frame.seq != 0 {
                        self.instance.lose(Lost { first: frame.seq, last: frame.seq, reason: Reason::Unfit });
                    }
                }
                Err(_) => {}
            }
        }
    }

    fn is_old(&self, batch: &Batch) -> bool {
        let now_ns = self.instance.host.now_ns();
        let live_ns = i64::try_from(LIVE.as_nanos()).unwrap_or(i64::MAX);
        batch.records.iter().any(|(_, record)| record.time_ns.is_some_and(|at| now_ns.saturating_sub(at) > live_ns))
    }

    /// What the server said of each record of a batch.
    fn told(&mut self, batch: Batch, each: Vec<Result<Receipt, String>>) {
        self.failures = 0;
        self.records_now = self.records_max.min(self.records_now + self.records_now.div_ceil(GROWTH));
        self.offset = batch.next;
        for ((seq, record), told) in batch.records.into_iter().zip(each) {
            let Some(sent) = sent(&record) else { continue };
            match told {
                Ok(receipt) => self.receipt(seq, &record, &sent, &receipt),
                Err(why) => self.refused(seq, &record, &why),
            }
        }
        self.progress.settled = self.settled.through();
        self.progress.rolling = self.settled.rolling();
        self.instance.state.put(&self.progress);
        self.instance.counts.settled.store(self.progress.settled, Ordering::Release);
        drop(self.instance.finished.lock());
        self.instance.progress.notify_all();
    }

    fn receipt(&mut self, seq: u64, record: &Record, sent: &Sent, receipt: &Receipt) {
        let checked = receipt.check(sent).and_then(|()| {
            if receipt.again || receipt.index >= self.progress.index_next {
                return Ok(());
            }
            Err(format!("index {} was given out before", receipt.index))
        });
        match checked {
            Ok(()) => self.progress.index_next = self.progress.index_next.max(receipt.index.saturating_add(1)),
            Err(why) => {
                self.instance.counts.breaches.fetch_add(1, Ordering::Relaxed);
                self.put_aside(seq, &format!("BREACH: {why}"), record);
                self.instance.tell(&Trouble::Breach { id: sent.id.to_string(), why });
            }
        }
        self.instance.counts.acknowledged.fetch_add(1, Ordering::Relaxed);
        if seq != 0 {
            self.settled.acknowledged(seq, sent.content.0);
        }
        if let Some(gap) = self.gaps.remove(&sent.id) {
            self.settled.declared(gap.says);
        }
        if let Some(tip) =
            self.beats.remove(&sent.id).map(|beat| beat.says).filter(|tip| tip.through >= self.progress.tip)
        {
            (self.progress.tip, self.progress.tip_rolling) = (tip.through, tip.rolling);
        }
    }

    fn refused(&mut self, seq: u64, record: &Record, why: &str) {
        self.instance.counts.rejected.fetch_add(1, Ordering::Relaxed);
        self.put_aside(seq, why, record);
        let id = record.id.unwrap_or_default();
        self.instance.tell(&Trouble::Refused {
            id: id.to_string(),
            kept_in: self.rejected.path(),
            why: why.to_owned(),
        });
        self.beats.remove(&id);
        let own = (seq != 0).then_some(Lost { first: seq, last: seq, reason: Reason::Refused });
        if record.kind != Kind::Gap {
            own.into_iter().for_each(|lost| self.instance.losses.lock().add(lost));
            return;
        }
        // Another one would be refused as this one was: the hole stays undeclared, and that is said here.
        for lost in self.gaps.remove(&id).map(|gap| gap.says).into_iter().chain(own) {
            self.instance.counts.undeclared.fetch_add(lost.count(), Ordering::Relaxed);
            self.instance.tell(&Trouble::Undeclared { first: lost.first, last: lost.last, why: why.to_owned() });
            self.settled.declared(lost);
        }
    }

    fn put_aside(&self, seq: u64, why: &str, record: &Record) {
        if let Err(error) = self.rejected.put(seq, why, record) {
            self.instance.tell(&Trouble::Spool { why: error.to_string() });
        }
    }

    /// Waits before the next try: longer each time, and not at the same moment as everybody else.
    fn later(&mut self, after: Option<Duration>, records: usize, why: String) {
        let most = PAUSE.saturating_mul(1 << self.failures.min(8)).min(PAUSE_MAX);
        let share = f64::from(u32::from_be_bytes(self.instance.host.random())) / f64::from(u32::MAX);
        let pause = after.unwrap_or(Duration::ZERO).max(most.mul_f64(0.5 + share / 2.0));
        self.failures += 1;
        self.not_before = self.instance.host.monotonic() + pause;
        self.instance.tell(&Trouble::NotTaken { server: self.delivery.server(), records, why });
    }

    /// Ends the sequence once everything else is settled; true when that is settled too.
    fn end(&mut self) -> bool {
        let instance = Arc::clone(&self.instance);
        if !instance.losses.lock().is_empty() || !self.gaps.is_empty() {
            return false;
        }
        let (through, last) = (self.settled.through(), instance.state.last());
        // The record that ends it may have a number already.
        let open = self.spare.filter(|seq| *seq == last).map_or(last, |seq| seq - 1);
        let all = !instance.numbered || through == open;
        if !all && let Some(seq) = self.spare.take_if(|seq| *seq != last) {
            instance.lose(Lost { first: seq, last: seq, reason: Reason::Full });
        }
        if let Ended::Said(_) = self.ended {
            return all && self.beats.is_empty();
        }
        if all {
            let by = instance.adopted_by.as_ref();
            let by = by.map(|by| ("closed_by".to_owned(), Value::Text(by.clone())));
            let said = if instance.numbered {
                self.say("stop", by.into_iter().collect())
            } else {
                // The machine went down: what the instance gave away beyond what is known here, nobody can tell.
                let tail = ("tail".to_owned(), Value::Text("unknown".to_owned()));
                self.say("adopted", by.into_iter().chain([tail]).collect())
            };
            if let Some(id) = said {
                self.ended = Ended::Said(id);
            }
        }
        false
    }

    fn wait_for_records(&self) {
        let due = self.beat_at.saturating_sub(self.instance.host.monotonic());
        if self.instance.ending.closing.load(Ordering::Acquire) {
            return self.wait(Duration::from_millis(5));
        }
        self.instance.asleep.store(true, Ordering::SeqCst);
        std::sync::atomic::fence(Ordering::SeqCst);
        let more = self.segment.as_ref().is_none_or(|segment| matches!(segment.at(self.offset), Found::Frame(_)));
        if !more {
            self.wait(due.min(IDLE_MAX));
        }
        self.instance.asleep.store(false, Ordering::SeqCst);
    }

    fn wait(&self, span: Duration) {
        std::thread::park_timeout(span.min(self.heartbeat_every).max(Duration::from_millis(1)));
    }
}
