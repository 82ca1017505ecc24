//! The writer's local socket: how another process on the same machine appends to a trail that has a writer.
//!
//! One request, one answer, over a Unix socket in the trail's folder, which the folder's permissions guard. A message
//! is a length (u32, big-endian) and as many bytes. A request is a verb byte and its body; an answer is a byte (0 done,
//! 1 failed) and JSON, or the message of the failure.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use host::{FileError, Host};
use record::{CborParser, Limits, Record, Salt};
use serde::{Deserialize, Serialize};

use crate::append::{Intake, Outcome, Receipt};
use crate::compact::Compacted;
use crate::folder::Folder;
use crate::writer::{Status, Writer};

/// Bytes of a message at most (I12): a batch of 32 MiB and what frames it.
const MESSAGE_BYTES_MAX: usize = 40 << 20;
/// Connections that are served at once (I12).
const CONNECTIONS_MAX: usize = 64;
/// How long to wait when a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// How long a peer may keep a message half sent.
const IO_TIMEOUT: Duration = Duration::from_secs(60);

const APPEND_LIVE: u8 = b'a';
const APPEND_IMPORT: u8 = b'i';
const SEAL: u8 = b's';
const SETTLE: u8 = b'l';
const COMPACT: u8 = b'c';
const STATUS: u8 = b'?';

/// Why the socket could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The system refused.
    #[error("the writer's socket {}: {cause}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The socket's file could not be replaced.
    #[error(transparent)]
    File(#[from] FileError),
    /// The writer answered with a failure.
    #[error("{0}")]
    Refused(String),
    /// The writer's answer is not one this software knows.
    #[error("the writer's answer is malformed ({0}); are both processes of the same version?")]
    Answer(String),
}

/// What became of a record, as another process is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemoteOutcome {
    /// It is on record; the receipt in the form that is shown.
    Kept(serde_json::Value),
    /// It is not.
    Refused(String),
}

/// The receipt in the form in which it is sent and shown.
pub fn receipt_json(origin: &str, receipt: &Receipt) -> serde_json::Value {
    let stamp = record::Value::from_canonical(&receipt.stamp.to_canonical());
    let mut text = String::new();
    let stamp = stamp.ok().and_then(|stamp| {
        let canonical = stamp.to_canonical();
        record::write_json_value(&mut text, &mut record::cbor::Reader::new(&canonical)).ok()?;
        serde_json::from_str::<serde_json::Value>(&text).ok()
    });
    let mut json = serde_json::json!({
        "trail": origin,
        "id": receipt.id.to_string(),
        "index": receipt.index,
        "content": receipt.content.to_string(),
        "digest": receipt.digest.to_string(),
        "stamp": stamp,
    });
    if let Some(salt) = &receipt.salt {
        json["salt"] = salt.0.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
    }
    for (name, set) in [("again", receipt.again), ("erased", receipt.erased)] {
        if set {
            json[name] = true.into();
        }
    }
    json
}

/// The listening side, beside a [`Writer`].
pub struct WriterSocket {
    path: PathBuf,
    host: Host,
    /// The listening socket, as something that can be shut down.
    listening: UnixStream,
    closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl WriterSocket {
    /// Listens in the trail's folder and serves requests with the writer, until dropped.
    pub fn listen(host: &Host, folder: &Folder, writer: Arc<Writer>) -> Result<WriterSocket, SocketError> {
        let path = folder.socket();
        // The writer's lock is held, so a socket that is there is one that a killed writer left.
        match host.remove(&path, "socket") {
            Err(error) if error.is_not_found() => {}
            removed => removed?,
        }
        let io_error = |cause| SocketError::Io { path: path.clone(), cause };
        let listener = with_short_path(&path, |path| UnixListener::bind(path)).map_err(io_error)?;
        let listening = UnixStream::from(OwnedFd::from(listener.try_clone().map_err(io_error)?));
        let closing = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&closing);
        let run = move || accept(&listener, &writer, &flag);
        let thread = std::thread::Builder::new().name("socket".into()).spawn(run).map_err(io_error)?;
        Ok(WriterSocket { path, host: host.clone(), listening, closing, thread: Some(thread) })
    }
}

impl Drop for WriterSocket {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Release);
        // Wakes the thread that waits for a connection. By name alone it would wait for ever where someone has removed
        // the socket's file; where a listening socket cannot be shut down, the name must do.
        let _ = self.listening.shutdown(Shutdown::Both);
        let _ = with_short_path(&self.path, |path| UnixStream::connect(path));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = self.host.remove(&self.path, "socket");
    }
}

/// A socket's path may have 107 bytes; a folder's may be longer. The folder is named by a descriptor then.
fn with_short_path<T>(path: &Path, use_path: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if path.as_os_str().len() <= 100 {
        return use_path(path);
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    use rustix::fs::{Mode, OFlags};
    use std::os::fd::AsRawFd as _;
    let folder = rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    use_path(&Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name))
}

fn accept(listener: &UnixListener, writer: &Arc<Writer>, closing: &Arc<AtomicBool>) {
    let mut connections: Vec<Connection> = Vec::new();
    for stream in listener.incoming() {
        if closing.load(Ordering::Acquire) {
            break;
        }
        let Ok(stream) = stream else {
            // No descriptor is free, most likely. The next try would fail at once too.
            std::thread::sleep(ACCEPT_PAUSE);
            continue;
        };
        connections.retain(|connection| !connection.thread.is_finished());
        if connections.len() >= CONNECTIONS_MAX {
            let _ = answer(&stream, Err("the writer serves its limit of 64 connections; try again".to_owned()));
            continue;
        }
        let (Ok(stream), peer) = (stream.try_clone(), stream) else { continue };
        let writer = Arc::clone(writer);
        let flag = Arc::clone(closing);
        let serve = move || {
            while !flag.load(Ordering::Acquire) && serve_one(&stream, &writer).is_ok() {}
            // The accepting side holds the connection too, so letting go of it would not end it.
            let _ = stream.shutdown(Shutdown::Both);
        };
        // A connection that gets no thread is closed, and its peer tries again.
        let thread = std::thread::Builder::new().name("connection".into()).spawn(serve);
        connections.extend(thread.ok().map(|thread| Connection { peer, thread }));
    }
    // Whoever is being served gets an answer; whoever only holds the line does not hold up the writer's end.
    for connection in connections {
        let _ = connection.peer.shutdown(Shutdown::Read);
        let _ = connection.thread.join();
    }
}

struct Connection {
    peer: UnixStream,
    thread: JoinHandle<()>,
}

fn serve_one(stream: &UnixStream, writer: &Writer) -> io::Result<()> {
    stream.set_read_timeout(Some(IO_TIMEOUT))?;
    stream.set_write_timeout(Some(IO_TIMEOUT))?;
    let message = read_message(stream)?;
    let Some((verb, body)) = message.split_first() else { return Err(io::ErrorKind::UnexpectedEof.into()) };
    let done = match *verb {
        APPEND_LIVE => append(writer, body, Intake::Live),
        APPEND_IMPORT => append(writer, body, Intake::Import),
        SEAL => writer.wait_sealed().map_err(|error| error.to_string()).and_then(|()| status(writer)),
        SETTLE => writer.settle().map_err(|error| error.to_string()).and_then(|()| status(writer)),
        COMPACT => writer.compact().map_err(|error| error.to_string()).and_then(|done| json(&done)),
        STATUS => status(writer),
        other => Err(format!("the writer knows no verb {:?}; is it of an older version?", char::from(other))),
    };
    answer(stream, done)
}

fn append(writer: &Writer, body: &[u8], intake: Intake) -> Result<Vec<u8>, String> {
    // The sender has checked the records against its own limits; here only the hard cap stands.
    let mut parser = CborParser::new(Limits::CAP);
    let mut reader = record::cbor::Reader::lenient(body);
    let mut records: Vec<Record> = Vec::new();
    while !reader.is_at_end() {
        let salt = reader.next_item().map_err(|error| error.to_string())?;
        let record = parser.parse_next(&mut reader);
        let mut record = record.map_err(|error| format!("record {}: {error}", records.len()))?;
        record.salt = match salt {
            record::cbor::Item::Null => None,
            record::cbor::Item::Bytes(salt) if salt.len() == 16 => salt.try_into().ok().map(Salt),
            _ => return Err(format!("record {}: before it belongs its salt, 16 bytes, or null", records.len())),
        };
        records.push(record);
    }
    let outcomes = writer.append(records, intake).map_err(|error| error.to_string())?;
    let origin = writer.snapshot().settings().origin.clone();
    let remote: Vec<RemoteOutcome> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Kept(receipt) => RemoteOutcome::Kept(receipt_json(&origin, receipt)),
            Outcome::Refused(refusal) => RemoteOutcome::Refused(refusal.to_string()),
        })
        .collect();
    serde_json::to_vec(&remote).map_err(|error| error.to_string())
}

fn status(writer: &Writer) -> Result<Vec<u8>, String> {
    json(&writer.status())
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, String> {
    serde_json::to_vec(value).map_err(|error| error.to_string())
}

fn answer(mut stream: &UnixStream, done: Result<Vec<u8>, String>) -> io::Result<()> {
    let (code, body) = match done {
        Ok(body) => (0, body),
        Err(message) => (1, message.into_bytes()),
    };
    let len = u32::try_from(body.len() + 1).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    stream.write_all(&len.to_be_bytes())?;
    stream.write_all(&[code])?;
    stream.write_all(&body)
}

fn read_message(mut stream: &UnixStream) -> io::Result<Vec<u8>> {
    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let len = u32::from_be_bytes(len) as usize;
    if len > MESSAGE_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = Vec::new();
    // Memory grows with what really comes, not with what is announced.
    stream.take(len as u64).read_to_end(&mut message)?;
    if message.len() == len { Ok(message) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// The other side: a trail's writer in another process.
pub struct RemoteWriter {
    path: PathBuf,
    stream: UnixStream,
}

impl RemoteWriter {
    /// Connects to the running writer of a trail; nothing if there is none.
    pub fn connect(folder: &Folder) -> Result<Option<RemoteWriter>, SocketError> {
        let path = folder.socket();
        match with_short_path(&path, |path| UnixStream::connect(path)) {
            Ok(stream) => Ok(Some(RemoteWriter { path, stream })),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Ok(None)
            }
            Err(cause) => Err(SocketError::Io { path, cause }),
        }
    }

    /// Appends records; what became of each, in order.
    pub fn append(&mut self, records: &[Record], intake: Intake) -> Result<Vec<RemoteOutcome>, SocketError> {
        let mut body = Vec::new();
        for record in records {
            match &record.salt {
                Some(salt) => record::cbor::write_bytes(&mut body, &salt.0),
                None => record::cbor::write_null(&mut body),
            }
            let written = record::to_cbor(&record.parts);
            body.extend_from_slice(&written.map_err(|error| SocketError::Refused(error.to_string()))?);
        }
        let verb = if intake == Intake::Live { APPEND_LIVE } else { APPEND_IMPORT };
        self.ask(verb, &body)
    }

    /// Waits until everything durable is sealed.
    pub fn seal(&mut self) -> Result<Status, SocketError> {
        self.ask(SEAL, &[])
    }

    /// Settles everything.
    pub fn settle(&mut self) -> Result<Status, SocketError> {
        self.ask(SETTLE, &[])
    }

    /// Merges the lake's small files.
    pub fn compact(&mut self) -> Result<Compacted, SocketError> {
        self.ask(COMPACT, &[])
    }

    /// Figures of the writer.
    pub fn status(&mut self) -> Result<Status, SocketError> {
        self.ask(STATUS, &[])
    }

    fn ask<T: for<'de> Deserialize<'de>>(&mut self, verb: u8, body: &[u8]) -> Result<T, SocketError> {
        let io_error = |cause| SocketError::Io { path: self.path.clone(), cause };
        let len = u32::try_from(body.len() + 1).map_err(|_| io_error(io::ErrorKind::InvalidInput.into()))?;
        let send = || {
            (&self.stream).write_all(&len.to_be_bytes())?;
            (&self.stream).write_all(&[verb])?;
            (&self.stream).write_all(body)?;
            read_message(&self.stream)
        };
        let message = send().map_err(io_error)?;
        match message.split_first() {
            Some((0, json)) => serde_json::from_slice(json).map_err(|error| SocketError::Answer(error.to_string())),
            Some((_, message)) => Err(SocketError::Refused(String::from_utf8_lossy(message).into_owned())),
            None => Err(SocketError::Answer("it is empty".to_owned())),
        }
    }
}
