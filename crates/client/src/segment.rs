//! A segment: a piece of memory, of the process alone or of a file, to which many threads append at once without a lock.
//!
//! ```text
//! header   64 bytes: "onrecspl" ‖ version u16 ‖ 0 u16 ‖ size u32 ‖ id 16 ‖ number u64 ‖ CRC32C of the 40 bytes before ‖ 0…
//! frame    length u32 ‖ CRC32C u32 ‖ seq u64 ‖ payload ‖ zeros up to the next multiple of 8          little-endian
//! ```
//!
//! A thread takes its place by one atomic addition, writes everything but the length, and the length last: a frame whose
//! length is zero is not there. The checksum covers the segment's id and the frame's offset, so that neither an older
//! file nor a payload that holds a frame can pass for one. After a crash any part of a file may be missing; a reader that
//! meets no frame goes on at the next multiple of 8, so that one torn frame hides no other (T25).

#![allow(unsafe_code, reason = "memory that other threads write to, and files in memory, are reached by pointers")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use host::{DurableFile, FileError, Host};
use memmap2::{MmapOptions, MmapRaw};
use parking_lot::Mutex;

/// What a segment's file begins with.
const MAGIC: &[u8; 8] = b"onrecspl";
const VERSION: u16 = 1;
const HEADER: usize = 64;
/// Length, checksum and number of a frame.
const FRAME: usize = 16;
/// How host calls on spool files are named.
pub const STEP: &str = "spool";

/// Bytes of a segment.
pub const SEGMENT_BYTES: usize = 4 << 20;

/// Bytes of a payload that fits into a segment.
pub const PAYLOAD_BYTES_MAX: usize = SEGMENT_BYTES - HEADER - FRAME;

/// See the module.
pub struct Segment {
    map: MmapRaw,
    file: Option<DurableFile>,
    id: [u8; 16],
    number: u64,
    /// Whether it is what another process has left, and may be torn.
    left: bool,
    /// Where the next frame begins; beyond the size once the segment is full.
    tail: AtomicUsize,
    /// Where the last frame ends, once the segment is full; 0 until then.
    end: AtomicUsize,
    /// How many have asked for a sync, and how many of these one that is over has served.
    asked: AtomicU64,
    synced: Mutex<Synced>,
}

#[derive(Default)]
struct Synced {
    asked: u64,
    /// One has failed: what it left in memory counts as clean then, and the next would promise what the disk does not have.
    failed: bool,
}

/// A frame that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'s> {
    /// The producer's number of the record; 0 if it has none.
    pub seq: u64,
    /// The record.
    pub payload: &'s [u8],
    /// Where the next frame begins.
    pub next: usize,
}

/// What stands at an offset.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'s> {
    /// A frame.
    Frame(Frame<'s>),
    /// Nothing yet: a thread may be about to put a frame there.
    Nothing,
    /// The segment is full, and this is its end.
    End,
}

/// Why a file is no segment.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// It could not be made, read or mapped.
    #[error(transparent)]
    File(#[from] FileError),
    /// It could not be mapped into memory.
    #[error("{} cannot be mapped into memory: {cause}", path.display())]
    Map {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// It does not begin as one, or is not of its size.
    #[error("{} is no spool segment of version {VERSION}; it was left where it is", path.display())]
    NotOne {
        /// The file.
        path: PathBuf,
    },
    /// An fsync of it has failed: what of it is on the disk nobody can tell (T25).
    #[error("{} could not be made durable, and whether it would outlive the machine is not known; look at its disk", path.display())]
    NotDurable {
        /// The file.
        path: PathBuf,
    },
}

fn padded(len: usize) -> usize {
    (FRAME + len).next_multiple_of(8)
}

impl Segment {
    /// In the process's memory alone.
    pub fn in_memory(id: [u8; 16], number: u64) -> Result<Segment, SegmentError> {
        let map = MmapOptions::new().len(SEGMENT_BYTES).populate().map_anon();
        let map = map.map_err(|cause| SegmentError::Map { path: PathBuf::from("memory"), cause })?;
        Ok(Segment::new(MmapRaw::from(map), None, id, number))
    }

    /// In a new file, whose space is reserved before it is mapped: a disk that is full is an error here, and never a
    /// signal later.
    pub fn create(host: &Host, path: &Path, id: [u8; 16], number: u64) -> Result<Segment, SegmentError> {
        let file = host.create_new_with_mode(path, STEP, 0o600)?;
        let made = Segment::fill_and_map(file, path, id, number);
        if made.is_err() {
            // Whatever was reserved is given back; that this fails too changes nothing.
            let _ = host.remove(path, STEP);
        }
        made
    }

    fn fill_and_map(file: DurableFile, path: &Path, id: [u8; 16], number: u64) -> Result<Segment, SegmentError> {
        file.reserve(0, SEGMENT_BYTES as u64)?;
        file.write_at(0, &header(&id, number))?;
        Segment::map(file, path, id, number)
    }

    fn map(file: DurableFile, path: &Path, id: [u8; 16], number: u64) -> Result<Segment, SegmentError> {
        let map = MmapOptions::new().len(SEGMENT_BYTES).populate().map_raw(std::os::fd::AsRawFd::as_raw_fd(&file));
        let map = map.map_err(|cause| SegmentError::Map { path: path.to_owned(), cause })?;
        Ok(Segment::new(map, Some(file), id, number))
    }

    fn new(map: MmapRaw, file: Option<DurableFile>, id: [u8; 16], number: u64) -> Segment {
        let (asked, synced) = (AtomicU64::new(0), Mutex::default());
        Segment {
            map,
            file,
            id,
            number,
            left: false,
            asked,
            synced,
            tail: AtomicUsize::new(HEADER),
            end: AtomicUsize::new(0),
        }
    }

    /// What a process that is gone has left; nothing more is appended to it.
    pub fn open(host: &Host, path: &Path) -> Result<Segment, SegmentError> {
        let file = host.open_rw(path, STEP)?;
        let mut head = [0; HEADER];
        let not_one = || SegmentError::NotOne { path: path.to_owned() };
        // A file that was cut is extended with reserved zeros: reading behind the end of one that is mapped is a signal.
        if file.read_at(0, &mut head)? < HEADER {
            return Err(not_one());
        }
        let (id, number) = read_header(&head).ok_or_else(not_one)?;
        if file.len()? != SEGMENT_BYTES as u64 {
            return Err(not_one());
        }
        let mut segment = Segment::map(file, path, id, number)?;
        segment.left = true;
        segment.tail.store(SEGMENT_BYTES, Ordering::Relaxed);
        segment.end.store(SEGMENT_BYTES, Ordering::Release);
        Ok(segment)
    }

    /// Which of its instance's segments it is; they rise.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Its file, unless it is in memory alone.
    pub fn file(&self) -> Option<&DurableFile> {
        self.file.as_ref()
    }

    /// Appends a frame, unless it is full. The frame survives the process, if there is a file, once this returns.
    pub fn append(&self, seq: u64, payload: &[u8]) -> bool {
        let size = padded(payload.len());
        let start = self.tail.fetch_add(size, Ordering::Relaxed);
        if start.saturating_add(size) > SEGMENT_BYTES {
            self.ends_at(start);
            return false;
        }
        let len = payload.len() as u32;
        let crc = self.checksum(start, seq, payload);
        // SAFETY: `start..start + size` lies within the mapping and is this thread's alone, by the addition above. Nobody
        // reads it before its length, which is written last and with release, is other than zero.
        unsafe {
            let at = self.map.as_mut_ptr().add(start);
            at.add(4).copy_from_nonoverlapping(crc.to_le_bytes().as_ptr(), 4);
            at.add(8).copy_from_nonoverlapping(seq.to_le_bytes().as_ptr(), 8);
            at.add(FRAME).copy_from_nonoverlapping(payload.as_ptr(), payload.len());
            // `start` is a multiple of 8 in a mapping that begins with a page.
            AtomicU32::from_ptr(at.cast::<u32>()).store(len.to_le(), Ordering::Release);
        }
        true
    }

    /// Whoever asked for a place at `start` found no room. Only the first that finds none finds the end within the segment.
    fn ends_at(&self, start: usize) {
        if start <= SEGMENT_BYTES {
            self.end.store(start, Ordering::Release);
        }
    }

    /// Makes what the caller has appended durable; nothing if it is in memory alone. One fsync serves all who asked before
    /// it began. After one that failed every other fails, and nothing more is appended here (T25).
    pub fn sync(&self) -> Result<(), SegmentError> {
        let Some(file) = &self.file else { return Ok(()) };
        let mine = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        let mut synced = self.synced.lock();
        if synced.asked >= mine {
            return Ok(());
        }
        if synced.failed {
            return Err(SegmentError::NotDurable { path: file.path().to_owned() });
        }
        let all = self.asked.load(Ordering::Acquire);
        if let Err(error) = file.sync_data() {
            synced.failed = true;
            self.ends_at(self.tail.fetch_add(SEGMENT_BYTES + 1, Ordering::Relaxed));
            return Err(error.into());
        }
        synced.asked = all;
        Ok(())
    }

    /// What stands at `offset`, which is where the header or a frame ended.
    pub fn at(&self, offset: usize) -> Found<'_> {
        let end = self.end.load(Ordering::Acquire);
        if end != 0 && offset >= end {
            return Found::End;
        }
        if self.left {
            return self.left_from(offset).next().map_or(Found::End, Found::Frame);
        }
        self.frame(offset).map_or(Found::Nothing, Found::Frame)
    }

    /// The frames of a segment that nobody appends to any more, from `offset` on; whatever is none is passed over.
    pub fn left_from(&self, mut offset: usize) -> impl Iterator<Item = Frame<'_>> {
        std::iter::from_fn(move || {
            while offset + FRAME <= SEGMENT_BYTES {
                match self.frame(offset) {
                    Some(frame) => {
                        offset = frame.next;
                        return Some(frame);
                    }
                    None => offset += 8,
                }
            }
            None
        })
    }

    /// Where the first frame begins.
    pub const fn first() -> usize {
        HEADER
    }

    fn frame(&self, offset: usize) -> Option<Frame<'_>> {
        if offset + FRAME > SEGMENT_BYTES {
            return None;
        }
        // SAFETY: within the mapping, and a multiple of 8, as every offset here.
        let len = unsafe { AtomicU32::from_ptr(self.map.as_mut_ptr().add(offset).cast::<u32>()) };
        let len = u32::from_le(len.load(Ordering::Acquire)) as usize;
        if len == 0 || len > PAYLOAD_BYTES_MAX || offset + padded(len) > SEGMENT_BYTES {
            return None;
        }
        // SAFETY: within the mapping by the check above. A frame that has a length is complete and never written again;
        // what a torn file has in the place of one is nobody's to write either.
        let rest = unsafe { std::slice::from_raw_parts(self.map.as_ptr().add(offset + 4), 12 + len) };
        let (crc, rest) = rest.split_first_chunk::<4>()?;
        let (seq, payload) = rest.split_first_chunk::<8>()?;
        let seq = u64::from_le_bytes(*seq);
        let whole = self.checksum(offset, seq, payload) == u32::from_le_bytes(*crc);
        whole.then(|| Frame { seq, payload, next: offset + padded(len) })
    }

    fn checksum(&self, offset: usize, seq: u64, payload: &[u8]) -> u32 {
        let mut bound = [0; 36];
        bound[..16].copy_from_slice(&self.id);
        bound[16..24].copy_from_slice(&(offset as u64).to_le_bytes());
        bound[24..32].copy_from_slice(&seq.to_le_bytes());
        bound[32..].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        crc32c::crc32c_append(crc32c::crc32c(&bound), payload)
    }
}

fn header(id: &[u8; 16], number: u64) -> [u8; HEADER] {
    let mut head = [0; HEADER];
    head[..8].copy_from_slice(MAGIC);
    head[8..10].copy_from_slice(&VERSION.to_le_bytes());
    head[12..16].copy_from_slice(&(SEGMENT_BYTES as u32).to_le_bytes());
    head[16..32].copy_from_slice(id);
    head[32..40].copy_from_slice(&number.to_le_bytes());
    let crc = crc32c::crc32c(&head[..40]);
    head[40..44].copy_from_slice(&crc.to_le_bytes());
    head
}

fn read_header(head: &[u8; HEADER]) -> Option<([u8; 16], u64)> {
    let id = head[16..32].try_into().ok()?;
    let number = u64::from_le_bytes(head[32..40].try_into().ok()?);
    (header(&id, number) == *head).then_some((id, number))
}

#[cfg(test)]
#[path = "segment_tests.rs"]
mod tests;
