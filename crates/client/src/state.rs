//! How far an instance has come, in a file in memory: it outlives the process without a system call on the way.
//!
//! ```text
//! 0     "onrecsta" ‖ version u16 ‖ zeros
//! 64    the last number that was given away, u64                                   little-endian
//! 128   slot: generation u64 ‖ settled u64 ‖ rolling 32 ‖ tip u64 ‖ tip's rolling 32 ‖ last index + 1 u64 ‖ CRC32C u32
//! 256   the other slot
//! ```
//!
//! Numbers are given away by many threads, so theirs is one atomic word. The rest is the sender's: it writes the slot that
//! is older, so that a process that ends in the middle of it leaves the other one.

#![allow(unsafe_code, reason = "a file in memory is reached by pointers")]

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use host::{DurableFile, FileError, Host};
use memmap2::{MmapOptions, MmapRaw};

use crate::segment::SegmentError;

const STEP: &str = "state";
const MAGIC: &[u8; 8] = b"onrecsta";
const VERSION: u16 = 1;
const BYTES: usize = 4096;
const GIVEN: usize = 64;
const SLOTS: [usize; 2] = [128, 256];
const SLOT: usize = 100;

/// See the module.
pub struct State {
    map: MmapRaw,
    file: DurableFile,
}

/// What the sender keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Up to this number everything is acknowledged or declared.
    pub settled: u64,
    /// The rolling hash up to there.
    pub rolling: [u8; 32],
    /// Up to where the last signed tip goes that was acknowledged.
    pub tip: u64,
    /// The rolling hash up to there.
    pub tip_rolling: [u8; 32],
    /// The next index of the trail that a new record can have.
    pub index_next: u64,
}

impl State {
    /// A new one.
    pub fn create(host: &Host, path: &Path) -> Result<State, SegmentError> {
        let file = host.create_new_with_mode(path, STEP, 0o600)?;
        file.reserve(0, BYTES as u64)?;
        let mut head = [0; 16];
        head[..8].copy_from_slice(MAGIC);
        head[8..10].copy_from_slice(&VERSION.to_le_bytes());
        file.write_at(0, &head)?;
        // Without it nobody could take up what was made durable beside it.
        file.sync_all()?;
        State::map(file, path)
    }

    /// That of a process that is gone.
    pub fn open(host: &Host, path: &Path) -> Result<State, SegmentError> {
        let file = host.open_rw(path, STEP)?;
        let mut head = [0; 16];
        let read = file.read_at(0, &mut head)?;
        if read < 16 || head[..8] != *MAGIC || head[8..10] != VERSION.to_le_bytes() || file.len()? != BYTES as u64 {
            return Err(SegmentError::NotOne { path: path.to_owned() });
        }
        State::map(file, path)
    }

    fn map(file: DurableFile, path: &Path) -> Result<State, SegmentError> {
        let map = MmapOptions::new().len(BYTES).map_raw(std::os::fd::AsRawFd::as_raw_fd(&file));
        let map = map.map_err(|cause| SegmentError::Map { path: path.to_owned(), cause })?;
        Ok(State { map, file })
    }

    fn given(&self) -> &AtomicU64 {
        // SAFETY: within the mapping, a multiple of 8, and never reached but as an atomic.
        unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().add(GIVEN).cast::<u64>()) }
    }

    /// Gives the next number away, from 1.
    pub fn next(&self) -> u64 {
        self.next_of(1)
    }

    /// Gives so many away; the first of them.
    pub fn next_of(&self, count: u64) -> u64 {
        self.given().fetch_add(count, Ordering::Relaxed) + 1
    }

    /// The last number that was given away.
    pub fn last(&self) -> u64 {
        self.given().load(Ordering::Acquire)
    }

    /// What the sender wrote last.
    pub fn progress(&self) -> Progress {
        let slots = SLOTS.map(|at| self.slot(at));
        slots
            .into_iter()
            .flatten()
            .max_by_key(|(generation, _)| *generation)
            .map(|(_, found)| found)
            .unwrap_or_default()
    }

    /// Writes how far the sender has come. The sender alone calls this.
    pub fn put(&self, progress: &Progress) {
        let generations = SLOTS.map(|at| self.slot(at).map_or(0, |(generation, _)| generation));
        let (at, before) = if generations[0] <= generations[1] { (0, generations[1]) } else { (1, generations[0]) };
        let mut bytes = [0; SLOT];
        bytes[..8].copy_from_slice(&(before + 1).to_le_bytes());
        bytes[8..16].copy_from_slice(&progress.settled.to_le_bytes());
        bytes[16..48].copy_from_slice(&progress.rolling);
        bytes[48..56].copy_from_slice(&progress.tip.to_le_bytes());
        bytes[56..88].copy_from_slice(&progress.tip_rolling);
        bytes[88..96].copy_from_slice(&progress.index_next.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..96]);
        bytes[96..].copy_from_slice(&crc.to_le_bytes());
        // SAFETY: within the mapping; slots are the sender's alone.
        unsafe { self.map.as_mut_ptr().add(SLOTS[at]).copy_from_nonoverlapping(bytes.as_ptr(), SLOT) };
    }

    /// Makes it outlive the machine.
    pub fn sync(&self) -> Result<(), FileError> {
        self.file.sync_data()
    }

    fn slot(&self, at: usize) -> Option<(u64, Progress)> {
        let mut bytes = [0; SLOT];
        // SAFETY: as in `put`.
        unsafe { self.map.as_ptr().add(at).copy_to_nonoverlapping(bytes.as_mut_ptr(), SLOT) };
        let word = |at: usize| bytes[at..].first_chunk::<8>().map(|word| u64::from_le_bytes(*word));
        let hash = |at: usize| bytes[at..].first_chunk::<32>().copied();
        let progress = Progress {
            settled: word(8)?,
            rolling: hash(16)?,
            tip: word(48)?,
            tip_rolling: hash(56)?,
            index_next: word(88)?,
        };
        let generation = word(0)?;
        (generation > 0 && crc32c::crc32c(&bytes[..96]).to_le_bytes() == bytes[96..]).then_some((generation, progress))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_was_half_written_leaves_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let (host, path) = (Host::system(), folder.path().join("state"));
        let state = State::create(&host, &path).unwrap();
        assert_eq!(state.progress(), Progress::default());
        assert_eq!((state.next(), state.next(), state.last()), (1, 2, 2));
        let first = Progress { settled: 1, rolling: [1; 32], tip: 1, tip_rolling: [2; 32], index_next: 9 };
        let second = Progress { settled: 2, ..first };
        state.put(&first);
        state.put(&second);
        drop(state);
        assert_eq!(State::open(&host, &path).unwrap().progress(), second);
        let file = host.open_rw(&path, STEP).unwrap();
        for (at, expected) in [(SLOTS[1] + 20, first), (SLOTS[0] + 20, Progress::default())] {
            file.write_at(at as u64, &[0xff]).unwrap();
            assert_eq!(State::open(&host, &path).unwrap().progress(), expected);
        }
        assert_eq!(State::open(&host, &path).unwrap().last(), 2);
    }
}
