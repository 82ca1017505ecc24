//! Puts the ends of reads on record, and refusals. Nobody waits for these; so that they cost little they go in groups.
//! What is refused over and over is counted, and told once a second: who knocks cannot fill the trail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use host::Host;
use parking_lot::Mutex;
use record::Record;
use trail::{Intake, Writer};

use crate::access_record::Who;
use crate::metrics::Metrics;
use crate::refusals::{self, Refusals, Taken};

/// Records that are written together.
const TOGETHER_MAX: usize = 512;
/// Records of one batch at most: ends of reads, and refusals.
pub const BATCH_RECORDS_MAX: usize = TOGETHER_MAX + refusals::RECORDS_MAX;
/// How long refusals of one kind are gathered.
const GATHER: Duration = Duration::from_secs(1);
/// The thread that writes, of one trail.
pub struct Clerk {
    ends: Mutex<Option<Sender<Record>>>,
    refusals: Arc<Refusals>,
    closing: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The way to the clerk. There are no more messages on it than there are reads under way: each sends one. Refusals, of
/// which there may be any number, are counted beside it.
#[derive(Clone)]
pub struct ToClerk {
    ends: Option<Sender<Record>>,
    refusals: Arc<Refusals>,
}

impl ToClerk {
    /// A read is over.
    pub fn end(&self, record: Record) {
        let sent = self.ends.as_ref().is_some_and(|ends| ends.send(record).is_ok());
        if !sent {
            closed();
        }
    }

    /// Something was refused, so many times.
    pub fn refused(&self, who: Who, action: &'static str, reason: impl Into<String>, times: u64) {
        if self.ends.is_none() {
            return closed();
        }
        self.refusals.count(who, action, reason.into(), times);
    }
}

fn closed() {
    tracing::error!("an access record could not be written: the trail is closed");
}

impl Clerk {
    /// Begins to write.
    pub fn start(host: &Host, trail: &str, writer: Arc<Writer>, metrics: Arc<Metrics>) -> std::io::Result<Clerk> {
        let (sender, receiver) = channel();
        let (closing, refusals) = (Arc::new(AtomicBool::new(false)), Arc::new(Refusals::default()));
        let desk = Desk {
            host: host.clone(),
            trail: trail.to_owned(),
            writer,
            metrics,
            closing: Arc::clone(&closing),
            refusals: Arc::clone(&refusals),
        };
        let thread = std::thread::Builder::new().name(format!("clerk {trail}"));
        let thread = thread.spawn(move || desk.work(&receiver))?;
        Ok(Clerk { ends: Mutex::new(Some(sender)), refusals, closing, thread: Mutex::new(Some(thread)) })
    }

    /// The way to it.
    pub fn to(&self) -> ToClerk {
        ToClerk { ends: self.ends.lock().clone(), refusals: Arc::clone(&self.refusals) }
    }

    /// Ends once everything is written that was sent. Requests are over by then; whoever still has a way to it and is
    /// silent for as long as refusals are gathered is not waited for.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Release);
        drop(self.ends.lock().take());
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

struct Desk {
    host: Host,
    trail: String,
    writer: Arc<Writer>,
    metrics: Arc<Metrics>,
    closing: Arc<AtomicBool>,
    refusals: Arc<Refusals>,
}

impl Desk {
    fn work(&self, ends: &Receiver<Record>) {
        let mut due = self.host.monotonic() + GATHER;
        loop {
            let closing = self.closing.load(Ordering::Acquire);
            let rest = due.saturating_sub(self.host.monotonic());
            let first = ends.recv_timeout(if closing { GATHER } else { rest });
            let ended = match first {
                Ok(_) => false,
                Err(RecvTimeoutError::Disconnected) => true,
                Err(RecvTimeoutError::Timeout) => closing,
            };
            let more = std::iter::from_fn(|| ends.try_recv().ok()).take(TOGETHER_MAX - 1);
            let ends: Vec<Record> = first.ok().into_iter().chain(more).collect();
            let mut refused = Taken::default();
            if ended || self.host.monotonic() >= due {
                refused = self.refusals.take();
                due = self.host.monotonic() + GATHER;
            }
            self.write(ends, refused, ended);
            if ended {
                return;
            }
        }
    }

    /// An import waits for room in the journal, as nothing that has happened may be left out.
    /// Refusals that could not be written are told with those to come, unless this is the last time.
    fn write(&self, ends: Vec<Record>, refused: Taken, last: bool) {
        let lost = ends.len() as u64;
        let records: Vec<Record> = ends.into_iter().chain(refused.records()).collect();
        if records.is_empty() {
            return;
        }
        let count = records.len() as u64;
        match self.writer.append(records, Intake::Import) {
            Ok(_) => self.metrics.access_records(&self.trail, count),
            Err(error) => {
                let refusals = refused.times();
                let lost = if last { lost.saturating_add(refusals) } else { lost };
                if !last {
                    self.refusals.put_back(refused);
                }
                self.metrics.access_records_lost(&self.trail, lost);
                tracing::error!(trail = self.trail, lost, refusals, %error, "access records could not be written");
            }
        }
    }
}
