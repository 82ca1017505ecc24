//! Puts the ends of reads on record, and refusals. Nobody waits for these; so that they cost little they go in groups.
//! What is refused over and over is counted, and told once a second: who knocks cannot fill the trail.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use host::Host;
use parking_lot::Mutex;
use record::Record;
use trail::{Intake, Writer};

use crate::access_record::{self, Who};
use crate::metrics::Metrics;

/// Records that are written together.
const TOGETHER_MAX: usize = 512;
/// How long refusals of one kind are gathered.
const GATHER: Duration = Duration::from_secs(1);
/// Refusals that are told apart within that time (I12); the others count as one.
const APART_MAX: usize = 64;

enum Note {
    End(Record),
    Refused(Refusal),
}

/// Who was refused what, and why.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Refusal {
    who: Who,
    action: &'static str,
    reason: String,
}

/// The thread that writes, of one trail.
pub struct Clerk {
    notes: Mutex<Option<Sender<Note>>>,
    closing: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The way to the clerk. There are no more messages on it than there are reads under way: each sends one.
#[derive(Clone)]
pub struct ToClerk(Option<Sender<Note>>);

impl ToClerk {
    /// A read is over.
    pub fn end(&self, record: Record) {
        self.send(Note::End(record));
    }

    /// Something was refused.
    pub fn refused(&self, who: Who, action: &'static str, reason: impl Into<String>) {
        self.send(Note::Refused(Refusal { who, action, reason: reason.into() }));
    }

    fn send(&self, note: Note) {
        let sent = self.0.as_ref().is_some_and(|sender| sender.send(note).is_ok());
        if !sent {
            tracing::error!("an access record could not be written: the trail is closed");
        }
    }
}

impl Clerk {
    /// Begins to write.
    pub fn start(host: &Host, trail: &str, writer: Arc<Writer>, metrics: Arc<Metrics>) -> std::io::Result<Clerk> {
        let (sender, receiver) = channel();
        let closing = Arc::new(AtomicBool::new(false));
        let mut desk = Desk {
            host: host.clone(),
            trail: trail.to_owned(),
            writer,
            metrics,
            closing: Arc::clone(&closing),
            refusals: HashMap::new(),
        };
        let thread = std::thread::Builder::new().name(format!("clerk {trail}"));
        let thread = thread.spawn(move || desk.work(&receiver))?;
        Ok(Clerk { notes: Mutex::new(Some(sender)), closing, thread: Mutex::new(Some(thread)) })
    }

    /// The way to it.
    pub fn to(&self) -> ToClerk {
        ToClerk(self.notes.lock().clone())
    }

    /// Ends once everything is written that was sent. Requests are over by then; whoever still has a way to it and is
    /// silent for as long as refusals are gathered is not waited for.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Release);
        drop(self.notes.lock().take());
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
    /// Refusals since the last time that they were written.
    refusals: HashMap<Refusal, u64>,
}

impl Desk {
    fn work(&mut self, notes: &Receiver<Note>) {
        let mut due = self.host.monotonic() + GATHER;
        loop {
            let rest = due.saturating_sub(self.host.monotonic());
            let first = notes.recv_timeout(if self.refusals.is_empty() { GATHER } else { rest });
            let ended = match first {
                Ok(_) => false,
                Err(RecvTimeoutError::Disconnected) => true,
                Err(RecvTimeoutError::Timeout) => self.closing.load(Ordering::Acquire),
            };
            let mut ends = Vec::new();
            let more = std::iter::from_fn(|| notes.try_recv().ok()).take(TOGETHER_MAX - 1);
            for note in first.ok().into_iter().chain(more) {
                match note {
                    Note::End(record) => ends.push(record),
                    Note::Refused(refusal) => self.gather(refusal),
                }
            }
            if ended || self.host.monotonic() >= due {
                ends.extend(self.refusals.drain().map(|(refusal, count)| {
                    access_record::refused(&refusal.who, refusal.action, &refusal.reason, count)
                }));
                due = self.host.monotonic() + GATHER;
            }
            self.write(ends);
            if ended {
                return;
            }
        }
    }

    fn gather(&mut self, refusal: Refusal) {
        if let Some(count) = self.refusals.get_mut(&refusal) {
            *count += 1;
        } else if self.refusals.len() < APART_MAX {
            self.refusals.insert(refusal, 1);
        } else {
            let others = Refusal {
                who: Who { from: "several".to_owned(), ..Who::default() },
                action: "several",
                reason: "several".to_owned(),
            };
            *self.refusals.entry(others).or_default() += 1;
        }
    }

    /// An import waits for room in the journal, as nothing that has happened may be left out.
    fn write(&self, records: Vec<Record>) {
        if records.is_empty() {
            return;
        }
        let count = records.len() as u64;
        match self.writer.append(records, Intake::Import) {
            Ok(_) => self.metrics.access_records(&self.trail, count),
            Err(error) => {
                self.metrics.access_records_lost(&self.trail, count);
                tracing::error!(trail = self.trail, count, %error, "access records could not be written");
            }
        }
    }
}
