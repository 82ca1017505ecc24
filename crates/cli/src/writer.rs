//! The way into a trail: its running writer's socket, or its lock taken and a writer of our own (I6); or a server.

use std::sync::Arc;
use std::time::Duration;

use record::{Envelope, Part, Record};
use trail::{
    Compacted, Folder, Intake, LockError, OpenError, Options, RemoteOutcome, RemoteWriter, SocketError, Status, Writer,
    WriterSocket,
};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::remote::{self, Remote, Sent};
use crate::session::Session;
use crate::stop::Stop;
use crate::time;

/// How long a trail may be held by a process that does not listen: one that is starting, or ending.
const BUSY_MAX: Duration = Duration::from_secs(30);
/// How long others may go on appending through us when our own work is done.
const OTHERS_MAX: Duration = Duration::from_secs(60);
/// Connections that may be lost over one batch.
const LOST_MAX: u32 = 5;
const PAUSE: Duration = Duration::from_millis(25);

/// Unsettled records that are worth a file.
const SETTLE_RECORDS: u64 = 100;
/// The age at which even one is, nanoseconds.
const SETTLE_AGE_NS: i64 = 60_000_000_000;

/// A trail that can be appended to.
pub enum Way {
    /// This process is the writer, and listens for others.
    Own { writer: Arc<Writer>, socket: WriterSocket, origin: String },
    /// Another one is.
    Through { remote: RemoteWriter, folder: Folder },
    /// A server has it.
    Server(Remote),
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
                return Ok(Way::Through { remote, folder: folder.clone() });
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

    /// Appends a batch; what became of each record, in order. A writer that ends in the middle is no reason to end:
    /// the batch is sent again, to the next writer or by this process as the writer.
    pub fn append(
        &mut self,
        session: &Session,
        mut records: Vec<Record>,
        receipts: bool,
    ) -> Result<Vec<Answer>, Failure> {
        let mut lost = 0;
        if let Way::Server(remote) = self {
            records.iter_mut().try_for_each(|record| identify(session, record))?;
            return Ok(remote.append(&records)?.into_iter().map(|sent| sent_answer(sent, receipts)).collect());
        }
        while let Way::Through { remote, folder } = self {
            // Nobody knows whether what was sent when a connection ended is on record. With an id it can be sent again.
            records.iter_mut().try_for_each(|record| identify(session, record))?;
            match remote.append(&records, Intake::Import) {
                Ok(outcomes) => {
                    return Ok(outcomes.into_iter().map(|outcome| other_answer(outcome, receipts)).collect());
                }
                Err(SocketError::Io { .. }) if lost < LOST_MAX => {
                    lost += 1;
                    session.detail(|| "the trail's writer has ended; sending again what it did not answer".to_owned());
                    let folder = folder.clone();
                    *self = Way::find(session, &folder)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let Way::Own { writer, origin, .. } = self else { return Ok(Vec::new()) };
        let outcomes = writer.append(records, Intake::Import)?;
        Ok(outcomes.into_iter().map(|outcome| own_answer(origin, outcome, receipts)).collect())
    }

    /// Merges the lake's small files.
    pub fn compact(&mut self) -> Result<Compacted, Failure> {
        match self {
            Way::Own { writer, .. } => Ok(writer.compact()?),
            Way::Through { remote, .. } => Ok(remote.compact()?),
            Way::Server(remote) => Err(remote::not_yet(remote.server())),
        }
    }

    /// Seals everything, settles what is worth it or everything if told to, and lets the trail go. A server seals and
    /// settles by itself, and tells its figures to who may see them alone.
    pub fn finish(mut self, session: &Session, settle: bool, stop: &Stop) -> Result<Option<Status>, Failure> {
        let mut lost = 0;
        while let Way::Through { remote, folder } = &mut self {
            match remote.seal().and_then(|status| if settle { remote.settle() } else { Ok(status) }) {
                Err(SocketError::Io { .. }) if lost < LOST_MAX => {
                    lost += 1;
                    let folder = folder.clone();
                    self = Way::find(session, &folder)?;
                }
                done => return Ok(Some(done?)),
            }
        }
        match self {
            Way::Server(_) => Ok(None),
            Way::Through { mut remote, .. } => Ok(Some(remote.seal()?)),
            Way::Own { writer, socket, .. } => {
                writer.wait_sealed()?;
                settle_if_worth_it(session, &writer, settle);
                await_others(session, &writer, stop);
                drop(socket);
                // Sealed again: others may have appended since.
                writer.wait_sealed()?;
                let status = writer.status();
                match Arc::try_unwrap(writer) {
                    Ok(writer) => writer.close()?,
                    // A connection that has not ended holds it; the end of the process ends both.
                    Err(shared) => drop(shared),
                }
                Ok(Some(status))
            }
        }
    }
}

fn sent_answer(sent: Sent, receipts: bool) -> Answer {
    match sent {
        Sent::Kept(receipt) => Answer::Kept { again: receipt["again"] == true, receipt: receipts.then_some(receipt) },
        Sent::Refused(reason) => Answer::Refused(reason),
    }
}

/// Gives a record that has none an id, as its sender.
fn identify(session: &Session, record: &mut Record) -> Result<(), Failure> {
    if record.id.is_some() {
        return Ok(());
    }
    let Some(canonical) = record.parts.get(Part::Envelope) else { return Ok(()) };
    let id = session.host.uuid_v7();
    let mut envelope = Envelope::read(canonical)?;
    envelope.id = Some(id);
    let mut canonical = Vec::new();
    envelope.write(&mut canonical);
    record.parts.set(Part::Envelope, &canonical);
    record.id = Some(id);
    Ok(())
}

fn waited(session: &Session, started: Duration) -> Duration {
    session.host.monotonic().saturating_sub(started)
}

/// A connection that is answered. A writer that is about to end may take one and serve it no more.
fn connect(folder: &Folder) -> Result<Option<RemoteWriter>, Failure> {
    let Some(mut remote) = RemoteWriter::connect(folder)? else { return Ok(None) };
    match remote.status() {
        Ok(_) => Ok(Some(remote)),
        Err(SocketError::Io { .. }) => Ok(None),
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
fn await_others(session: &Session, writer: &Arc<Writer>, stop: &Stop) {
    const OURS: usize = 2;
    let started = session.host.monotonic();
    if Arc::strong_count(writer) > OURS {
        session.detail(|| "waiting for others who append through this process".to_owned());
    }
    while Arc::strong_count(writer) > OURS && waited(session, started) < OTHERS_MAX && !stop.asked() {
        std::thread::sleep(PAUSE);
    }
}
