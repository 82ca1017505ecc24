//! A small caller of the journal: records that say which they are, and waiting for them to be durable.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use host::Host;
use journal::{Delivery, Journal, OpenError, Options, Recovery, Stopped};
use keys::{Keyring, Source};

/// Told once what became of a batch.
pub type Ticket = mpsc::Sender<Result<(), Stopped>>;

/// Segments of a page, so that a few records fill one.
pub fn small() -> Options {
    Options {
        segment_bytes: 4096,
        allocate_bytes: 4096,
        queue_bytes_max: 64 << 10,
        frame_bytes_max: 32 << 10,
        keys: None,
    }
}

/// The same, encrypted: with the keys beside the journal's folder, which are made if they are not there.
pub fn encrypted(host: &Host, folder: &Path) -> Result<Options, String> {
    let (beside, name, origin) = (folder.with_extension("keys"), "t", "example.com/journal");
    if !beside.exists() {
        Keyring::create(&Host::system(), &beside, name, origin, true, &Source::default()).unwrap();
    }
    let keys = Keyring::open(host, &beside, name, origin).map_err(|error| error.to_string())?;
    Ok(Options { keys: Some(keys), ..small() })
}

/// How a journal is opened by a host in a folder.
pub type Kind = fn(&Host, &Path) -> Result<Options, String>;

pub const OPEN_OR_ENCRYPTED: [Kind; 2] = [|_, _| Ok(small()), encrypted];

/// The bytes of record `index`: of many lengths, and different for each.
pub fn payload(index: u64) -> Vec<u8> {
    let len = 1 + (index * 37 + 11) % 300;
    (0..len).map(|at| (index * 131 + at * 7 + 1) as u8).collect()
}

pub fn tell(delivery: Delivery<Ticket>) {
    match delivery {
        Delivery::Committed { cargo, .. } => cargo.into_iter().for_each(|ticket| drop(ticket.send(Ok(())))),
        Delivery::Failed { stopped, cargo } => {
            cargo.into_iter().for_each(|ticket| drop(ticket.send(Err(stopped.clone()))));
        }
    }
}

pub type Records = Vec<(u64, Vec<u8>)>;

pub struct Opened {
    pub journal: Journal<Ticket>,
    pub recovery: Recovery,
    pub records: Records,
}

pub fn open_with(
    host: &Host,
    folder: &Path,
    options: Options,
    floor: u64,
    acknowledged: u64,
) -> Result<Opened, OpenError> {
    let mut records = Records::new();
    let visit = |index, payload: &[u8]| {
        records.push((index, payload.to_vec()));
        Ok(())
    };
    let (journal, recovery) = Journal::open(host, folder, options, floor, acknowledged, visit, tell)?;
    Ok(Opened { journal, recovery, records })
}

pub fn open(folder: &Path) -> Result<Opened, OpenError> {
    open_with(&Host::system(), folder, small(), 0, 0)
}

/// Stages the next `count` records, and waits until they are durable.
pub fn append(journal: &Journal<Ticket>, count: u64) -> Result<Range<u64>, String> {
    let (ticket, answer) = mpsc::channel();
    let mut batch = journal.begin().map_err(|error| error.to_string())?;
    for _ in 0..count {
        let index = batch.next_index();
        batch.push(&payload(index)).map_err(|error| error.to_string())?;
    }
    let indices = batch.stage(ticket).map_err(|error| error.to_string())?;
    answer.recv().expect("every ticket is answered").map_err(|error| error.to_string())?;
    Ok(indices)
}

/// These are the records `indices`, each once and in order.
pub fn assert_records(records: &Records, indices: Range<u64>) {
    assert!(records.iter().map(|(index, _)| *index).eq(indices.clone()), "{indices:?}: {:?}", summary(records));
    for (index, bytes) in records {
        assert_eq!(bytes, &payload(*index), "record {index}");
    }
}

fn summary(records: &Records) -> Vec<u64> {
    records.iter().map(|(index, _)| *index).collect()
}

pub fn segments(folder: &Path) -> Vec<PathBuf> {
    Host::system().list(folder, "test").unwrap()
}

/// Puts `bytes` in place of a segment.
pub fn put(path: &Path, bytes: &[u8]) {
    Host::system().replace(path, bytes, "test", None).unwrap();
}

/// Where each frame of a segment begins, with its index and where it ends, by the lengths alone.
pub fn frames(bytes: &[u8]) -> Vec<(Range<usize>, u64)> {
    let mut frames = Vec::new();
    let mut at = 64;
    while let Some(header) = bytes.get(at..at + 32) {
        let len = u32::from_le_bytes(header[..4].try_into().unwrap()) as usize;
        if len == 0 {
            break;
        }
        let end = at + 32 + len.next_multiple_of(8);
        frames.push((at..end, u64::from_le_bytes(header[8..16].try_into().unwrap())));
        at = end;
    }
    frames
}
