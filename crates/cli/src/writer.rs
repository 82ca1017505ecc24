//! The way into a trail: its running writer's socket, or its lock taken and a writer of our own (I6).

use std::sync::Arc;
use std::time::Duration;

use record::Record;
use trail::{Folder, Intake, LockError, OpenError, Options, RemoteOutcome, RemoteWriter, Status, Writer, WriterSocket};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;
use crate::time;

/// How long a trail may be held by a process that does not listen: one that is starting, or ending.
const BUSY_MAX: Duration = Duration::from_secs(30);
/// How long others may go on appending through us when our own work is done.
const OTHERS_MAX: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(25);

/// Unsettled records that are worth a file.
const SETTLE_RECORDS: u64 = 1_000;
/// The age at which even one is, nanoseconds.
const SETTLE_AGE_NS: i64 = 60_000_000_000;

/// A trail that can be appended to.
pub enum Way {
    /// This process is the writer, and listens for others.
    Own { writer: Arc<Writer>, socket: WriterSocket, origin: String },
    /// Another one is.
    Through(RemoteWriter),
}

/// What became of a record.
pub enum Answer {
    Kept { again: bool, receipt: Option<serde_json::Value> },
    Refused(String),
}

impl Way {
    /// Whichever way there is. Two that start at once agree: one takes the lock, the other goes through it.
    pub fn find(session: &Session, folder: &Folder) -> Result<Way, Failure> {
        let keys = session.keys()?;
        let started = session.host.monotonic();
        loop {
            if let Some(remote) = connect(folder)? {
                session.detail(|| "appending through the trail's running writer".to_owned());
                return Ok(Way::Through(remote));
            }
            match Writer::open(&session.host, folder, keys, Options::default()) {
                Ok(writer) => return Way::own(session, folder, writer),
                Err(OpenError::Lock(LockError::Held { .. })) if waited(session, started) < BUSY_MAX => {
                    std::thread::sleep(PAUSE);
                }
                Err(error) => return Err(refused(error)),
            }
        }
    }

    fn own(session: &Session, folder: &Folder, writer: Writer) -> Result<Way, Failure> {
        if let Some(torn) = &writer.recovered().torn_tail {
            session.note(&format!(
                "the last writer was interrupted: {} bytes at the journal's end, never acknowledged, were cut off",
                torn.bytes
            ));
        }
        let recovered = writer.recovered();
        let (records, journal) = (recovered.records, recovered.from_journal);
        session.detail(|| format!("opened the trail: {records} records, {journal} of them in the journal"));
        let origin = writer.snapshot().settings().origin.clone();
        let writer = Arc::new(writer);
        let socket = WriterSocket::listen(&session.host, folder, Arc::clone(&writer))?;
        Ok(Way::Own { writer, socket, origin })
    }

    /// Appends a batch; what became of each record, in order.
    pub fn append(&mut self, records: Vec<Record>, receipts: bool) -> Result<Vec<Answer>, Failure> {
        match self {
            Way::Own { writer, origin, .. } => {
                if writer.status().journal_bytes > Options::default().backlog_bytes_max / 2 {
                    writer.settle()?;
                }
                let outcomes = writer.append(records, Intake::Import)?;
                Ok(outcomes.into_iter().map(|outcome| own_answer(origin, outcome, receipts)).collect())
            }
            Way::Through(remote) => {
                let outcomes = remote.append(&records, Intake::Import)?;
                Ok(outcomes.into_iter().map(|outcome| other_answer(outcome, receipts)).collect())
            }
        }
    }

    /// Seals everything, settles what is worth it or everything if told to, and lets the trail go.
    pub fn finish(self, session: &Session, settle: bool) -> Result<Status, Failure> {
        match self {
            Way::Through(mut remote) => {
                let status = remote.seal()?;
                if settle { Ok(remote.settle()?) } else { Ok(status) }
            }
            Way::Own { writer, socket, .. } => {
                writer.wait_sealed()?;
                settle_if_worth_it(session, &writer, settle);
                await_others(session, &writer);
                drop(socket);
                // Sealed again: others may have appended since.
                writer.wait_sealed()?;
                let status = writer.status();
                match Arc::try_unwrap(writer) {
                    Ok(writer) => writer.close()?,
                    // A connection that has not ended holds it; the end of the process ends both.
                    Err(shared) => drop(shared),
                }
                Ok(status)
            }
        }
    }
}

fn waited(session: &Session, started: Duration) -> Duration {
    session.host.monotonic().saturating_sub(started)
}

/// A connection that is answered. A writer that is about to end may take one and serve it no more.
fn connect(folder: &Folder) -> Result<Option<RemoteWriter>, Failure> {
    let Some(mut remote) = RemoteWriter::connect(folder)? else { return Ok(None) };
    match remote.status() {
        Ok(_) => Ok(Some(remote)),
        Err(trail::SocketError::Io { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn refused(error: OpenError) -> Failure {
    match error {
        OpenError::Settings(error) => error.into(),
        OpenError::Key(trail::SigningKeyError::Missing { origin, path }) => {
            let what = format!("the signing key of {origin} is not at {}", path.display());
            let hint = "a copy can be read and verified; it is continued where its key is, which ONRECORD_KEYS names";
            Failure { exit: Exit::CouldNot, what, hint: Some(hint.to_owned()) }
        }
        error => Failure::of(Exit::CouldNot, &error),
    }
}

fn own_answer(origin: &str, outcome: trail::Outcome, receipts: bool) -> Answer {
    match outcome {
        trail::Outcome::Kept(receipt) => {
            Answer::Kept { again: receipt.again, receipt: receipts.then(|| trail::receipt_json(origin, &receipt)) }
        }
        trail::Outcome::Refused(refusal) => Answer::Refused(refusal.to_string()),
    }
}

fn other_answer(outcome: RemoteOutcome, receipts: bool) -> Answer {
    match outcome {
        RemoteOutcome::Kept(receipt) => {
            Answer::Kept { again: receipt["again"] == true, receipt: receipts.then_some(receipt) }
        }
        RemoteOutcome::Refused(reason) => Answer::Refused(reason),
    }
}

fn settle_if_worth_it(session: &Session, writer: &Writer, all: bool) {
    let snapshot = writer.snapshot();
    let unsettled = snapshot.end() - snapshot.settled();
    let oldest = snapshot.hot().next().map(|record| record.stored.stamp.received);
    let old = oldest.is_some_and(|received| session.host.now_ns().saturating_sub(received) > SETTLE_AGE_NS);
    if unsettled == 0 || !(all || old || unsettled >= SETTLE_RECORDS) {
        return;
    }
    let started = session.host.monotonic();
    match writer.settle() {
        Ok(()) => {
            let took = waited(session, started);
            session.detail(|| format!("settled {unsettled} records in {}", time::span(took)));
        }
        // They are durable and sealed in the journal; the next append settles them.
        Err(error) => session.note(&format!("{unsettled} records stay in the journal for now: {error}")),
    }
}

/// Waits until nobody appends through this process any more. The socket holds the writer once, and each connection.
fn await_others(session: &Session, writer: &Arc<Writer>) {
    const OURS: usize = 2;
    let started = session.host.monotonic();
    if Arc::strong_count(writer) > OURS {
        session.detail(|| "waiting for others who append through this process".to_owned());
    }
    while Arc::strong_count(writer) > OURS && waited(session, started) < OTHERS_MAX {
        std::thread::sleep(PAUSE);
    }
}
