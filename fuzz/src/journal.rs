//! The journal: whatever stands in its folder, it never gives a record that is not there, nor loses one that it proves.

use std::collections::BTreeSet;
use std::path::Path;

use host::Host;
use journal::{Journal, Options, read};

use crate::scratch;

/// A record: its index and its payload.
type Record = (u64, Vec<u8>);

const HEADER_BYTES: usize = 64;
const FRAME_HEADER_BYTES: usize = 32;
const SEGMENT_ID: [u8; 16] = [0xa5; 16];

/// One segment, byte by byte as it is given. The first byte says at which record its name says that it begins.
pub fn bytes(input: &[u8]) {
    let Some((first, bytes)) = input.split_first() else { return };
    let first = if *first < 0xf0 { u64::from(*first) } else { u64::MAX - u64::from(first & 15) };
    holds(&[(first, bytes.to_vec())]);
}

/// A few segments, written from instructions: whole frames, frames with one thing wrong, and damage.
pub fn frames(input: &[u8]) {
    let segments = segments(input);
    let next_index = holds(&segments);
    // No payload of a script holds a frame, so every header in the last segment is one that recovery has to heed.
    if let (Some(next_index), Some((_, last))) = (next_index, segments.last()) {
        let proven = headers(last).filter(|header| header.is_plausible()).map(|header| header.durable).max();
        assert!(proven.is_none_or(|durable| durable <= next_index), "records that were durable are gone");
    }
}

/// The segments that an input makes, by first index.
pub fn segments(input: &[u8]) -> Vec<(u64, Vec<u8>)> {
    Script(input).segments()
}

/// What must hold of a journal of these segments, by first index. The index that comes next, if it could be opened.
fn holds(segments: &[(u64, Vec<u8>)]) -> Option<u64> {
    let temp = scratch::folder();
    let host = Host::system();
    for (first, bytes) in segments {
        scratch::put(temp.path().join(format!("{first:020}.journal")), bytes);
    }
    let there: BTreeSet<Record> = segments.iter().flat_map(|(_, bytes)| whole_frames(bytes)).collect();
    let floor = segments.first().map_or(0, |(first, _)| *first);
    let seen = read_from(&host, temp.path(), floor);
    assert!(seen.iter().all(|record| there.contains(record)), "a record was read that no frame holds");

    let recovered = open(&host, temp.path(), floor)?;
    assert!(recovered.records.iter().all(|record| there.contains(record)), "a record that no frame holds");
    assert!(
        (floor..recovered.next_index).eq(recovered.records.iter().map(|(index, _)| *index)),
        "dense from the floor"
    );
    // Opening has cut what it did not keep; the second time there is nothing to cut, and the same to read.
    let again = open(&host, temp.path(), floor).expect("what was opened can be opened again");
    assert_eq!((again.next_index, again.torn), (recovered.next_index, false));
    assert_eq!(again.records, recovered.records);
    assert_eq!(read_from(&host, temp.path(), floor), recovered.records, "a reader sees the same");
    Some(recovered.next_index)
}

/// What a reader is given, in its order.
fn read_from(host: &Host, folder: &Path, from: u64) -> Vec<Record> {
    let mut seen: Vec<Record> = Vec::new();
    let take = |index, payload: &[u8]| {
        seen.push((index, payload.to_vec()));
        Ok(())
    };
    match read(host, folder, from, None, take) {
        Ok(reading) => {
            assert_eq!(reading.records, seen.len() as u64);
            assert!(reading.next_index >= from);
        }
        Err(error) => assert!(matches!(error, journal::ReadError::Vanished { .. }), "{error}"),
    }
    assert!(seen.iter().all(|(index, _)| *index >= from));
    seen
}

struct Recovered {
    next_index: u64,
    records: Vec<Record>,
    torn: bool,
}

/// Opens the journal and lets go of it again. Nothing where it is refused.
fn open(host: &Host, folder: &Path, floor: u64) -> Option<Recovered> {
    let mut records = Vec::new();
    let take = |index, payload: &[u8]| {
        records.push((index, payload.to_vec()));
        Ok(())
    };
    let options = Options { segment_bytes: 4 << 10, allocate_bytes: 4 << 10, ..Options::default() };
    match Journal::<()>::open(host, folder, options, floor, floor, take, |_| ()) {
        Ok((journal, recovery)) => {
            drop(journal);
            Some(Recovered { next_index: recovery.next_index, records, torn: recovery.torn_tail.is_some() })
        }
        Err(journal::OpenError::File(error)) => panic!("{error}"),
        Err(_) => None,
    }
}

/// A frame header that proves itself, found without the code under test, after the format's description.
struct Header {
    /// Where its payload begins.
    payload_at: usize,
    len: u32,
    payload_crc: u32,
    index: u64,
    durable: u64,
}

impl Header {
    fn is_plausible(&self) -> bool {
        self.len > 0 && self.len <= 64 << 20 && self.durable <= self.index && self.index < u64::MAX
    }
}

fn headers(bytes: &[u8]) -> impl Iterator<Item = Header> {
    let word = |at: usize| bytes[at..].first_chunk().map(|word| u32::from_le_bytes(*word));
    let number = |at: usize| bytes[at..].first_chunk().map(|number| u64::from_le_bytes(*number));
    let id = bytes.get(40..56).unwrap_or_default();
    let end = bytes.len().saturating_sub(FRAME_HEADER_BYTES - 1);
    (HEADER_BYTES..end).step_by(8).filter_map(move |at| {
        let crc = crc32c::crc32c_append(crc32c::crc32c(id), &bytes[at..at + 28]);
        let header = Header {
            payload_at: at + FRAME_HEADER_BYTES,
            len: word(at)?,
            payload_crc: word(at + 4)?,
            index: number(at + 8)?,
            durable: number(at + 16)?,
        };
        (crc == word(at + 28)?).then_some(header)
    })
}

/// Every whole frame of a segment.
fn whole_frames(bytes: &[u8]) -> Vec<Record> {
    let whole = |header: Header| {
        let payload = bytes[header.payload_at..].get(..header.len as usize)?;
        (crc32c::crc32c(payload) == header.payload_crc).then(|| (header.index, payload.to_vec()))
    };
    headers(bytes).filter_map(whole).collect()
}

/// Instructions, read from an input; at its end all are 0.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }

    fn segments(mut self) -> Vec<(u64, Vec<u8>)> {
        let mut index = u64::from(self.byte());
        let mut segments = vec![(index, segment_header(index))];
        while !self.0.is_empty() {
            let op = self.byte();
            if op.is_multiple_of(16) {
                index = index.wrapping_add(u64::from(op >> 6));
                if segments.iter().all(|(first, _)| *first < index) {
                    segments.push((index, segment_header(index)));
                }
                continue;
            }
            let Some((_, bytes)) = segments.last_mut() else { return segments };
            match op % 16 {
                1 => bytes.extend(self.take(usize::from(op >> 4))),
                2 => bytes.resize(bytes.len() + 8 * usize::from(op >> 4), 0),
                3 => bytes.truncate(bytes.len().saturating_sub(usize::from(op >> 4))),
                4 => {
                    let (at, with) = (usize::from(self.byte()) * 4 + usize::from(op >> 4), self.byte());
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= with;
                    }
                }
                what => {
                    let damage = if what < 12 { Damage::None } else { Damage::of(what) };
                    let step = if what == 11 { u64::from(self.byte()) } else { 0 };
                    index = index.wrapping_add(step);
                    let durable = index.wrapping_sub(u64::from(self.byte()));
                    let len = 1 + usize::from(op >> 4) * 3;
                    let mut payload = self.take(len);
                    payload.resize(len, b'.');
                    bytes.extend(frame(index, durable, &payload, damage));
                    index = index.wrapping_add(1);
                }
            }
        }
        segments
    }
}

/// What is wrong with a frame.
#[derive(Clone, Copy, PartialEq)]
enum Damage {
    None,
    /// The payload is another one than the header proves.
    Payload,
    /// The header does not prove itself.
    Header,
    /// It is of another segment.
    Segment,
    /// It says that the payload is longer than the segment.
    Length,
}

impl Damage {
    fn of(what: u8) -> Damage {
        match what {
            12 => Damage::Payload,
            13 => Damage::Header,
            14 => Damage::Segment,
            _ => Damage::Length,
        }
    }
}

fn segment_header(first_index: u64) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[..8].copy_from_slice(b"onrecjnl");
    bytes[8] = 1;
    bytes[32..40].copy_from_slice(&first_index.to_le_bytes());
    bytes[40..56].copy_from_slice(&SEGMENT_ID);
    let crc = crc32c::crc32c(&bytes[..60]);
    bytes[60..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn frame(index: u64, durable: u64, payload: &[u8], damage: Damage) -> Vec<u8> {
    let len = if damage == Damage::Length { 1 << 24 } else { payload.len() as u32 };
    let crc = crc32c::crc32c(payload) ^ u32::from(damage == Damage::Payload);
    let mut bytes = [&len.to_le_bytes()[..], &crc.to_le_bytes(), &index.to_le_bytes(), &durable.to_le_bytes()].concat();
    bytes.extend([0; 4]);
    let id = if damage == Damage::Segment { [1; 16] } else { SEGMENT_ID };
    let header_crc = crc32c::crc32c_append(crc32c::crc32c(&id), &bytes) ^ u32::from(damage == Damage::Header);
    bytes.extend(header_crc.to_le_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}
