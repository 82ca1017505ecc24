//! The queue of an instance: a row of segments, the last of which is appended to and the first of which is sent.
//!
//! Appending takes no lock. When a segment is full, whoever notices puts the next one in its place under a lock; the
//! sender keeps one ready, so that this is the exchange of a pointer. Memory, or disk, is bounded by the count of segments.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use host::Host;
use parking_lot::{Condvar, Mutex};

use crate::config::{Durability, Overflow};
use crate::losses::{Lost, Reason};
use crate::segment::{Found, SEGMENT_BYTES, STEP, Segment, SegmentError};

/// How long a disk that was full is not asked again.
const DISK_PAUSE: Duration = Duration::from_secs(1);

/// See the module.
pub struct Log {
    host: Host,
    durability: Durability,
    /// Where files are; memory alone has none.
    folder: PathBuf,
    segments_max: usize,
    current: ArcSwap<Segment>,
    rolls: Mutex<Rolls>,
    room: Condvar,
}

struct Rolls {
    /// In order; the last one is the current one.
    queue: VecDeque<Arc<Segment>>,
    ready: Option<Segment>,
    next_number: u64,
    /// Whether the sender has begun with the first one.
    begun: bool,
    /// When the disk was last found full.
    failed: Option<Duration>,
    closed: bool,
}

/// Why there is no room.
#[derive(Debug)]
pub enum NoRoom {
    /// The bound is reached.
    Full,
    /// The disk, and what it said.
    Disk(SegmentError),
    /// The disk, as it was a moment ago.
    DiskStill,
}

impl NoRoom {
    /// As a `gap` record says it.
    pub fn reason(&self) -> Reason {
        match self {
            NoRoom::Full => Reason::Full,
            NoRoom::Disk(_) | NoRoom::DiskStill => Reason::Disk,
        }
    }
}

/// Who appends.
#[derive(Clone, Copy)]
pub enum By<'a> {
    /// A caller, under these rules; what is dropped to make room is told.
    Caller(Overflow, &'a dyn Fn(Lost)),
    /// The recorder itself, which may go one segment beyond the bound: to declare what was lost for want of room.
    Recorder,
}

impl Log {
    /// With one segment, or after those that another process has left.
    pub fn new(
        host: &Host,
        folder: PathBuf,
        durability: Durability,
        bytes_max: u64,
        left: Vec<Segment>,
    ) -> Result<Log, SegmentError> {
        let next_number = left.last().map_or(0, |last| last.number() + 1);
        let mut queue: VecDeque<Arc<Segment>> = left.into_iter().map(Arc::new).collect();
        let first = Arc::new(make(host, &folder, durability, next_number)?);
        queue.push_back(Arc::clone(&first));
        let segments_max = usize::try_from(bytes_max / SEGMENT_BYTES as u64).unwrap_or(usize::MAX).max(4);
        let rolls =
            Rolls { queue, ready: None, next_number: next_number + 1, begun: false, failed: None, closed: false };
        Ok(Log {
            host: host.clone(),
            durability,
            folder,
            segments_max,
            current: ArcSwap::new(first),
            rolls: Mutex::new(rolls),
            room: Condvar::new(),
        })
    }

    /// Appends a record; where it stands then.
    pub fn append(&self, seq: u64, payload: &[u8], by: By<'_>) -> Result<Arc<Segment>, NoRoom> {
        loop {
            let current = self.current.load();
            if current.append(seq, payload) {
                return Ok(Arc::clone(&current));
            }
            self.roll(&current, by)?;
        }
    }

    /// Makes what was appended to a segment durable. A disk that fails there is not asked for another segment at once.
    pub fn sync(&self, segment: &Segment) -> Result<(), SegmentError> {
        segment.sync().inspect_err(|_| self.rolls.lock().failed = Some(self.host.monotonic()))
    }

    /// Puts another segment in the place of a full one.
    fn roll(&self, full: &Arc<Segment>, by: By<'_>) -> Result<(), NoRoom> {
        let mut rolls = self.rolls.lock();
        let mut deadline = None;
        loop {
            if !Arc::ptr_eq(&self.current.load(), full) {
                return Ok(());
            }
            let extra = usize::from(matches!(by, By::Recorder));
            let why = if rolls.ready.is_some() || rolls.queue.len() < self.segments_max + extra {
                match self.next(&mut rolls) {
                    Ok(segment) => {
                        let segment = Arc::new(segment);
                        rolls.queue.push_back(Arc::clone(&segment));
                        self.current.store(segment);
                        return Ok(());
                    }
                    Err(why) => why,
                }
            } else {
                NoRoom::Full
            };
            let dropped = match by {
                By::Caller(Overflow::DropOldest, told) => drop_oldest(&mut rolls, told),
                _ => None,
            };
            if let Some(dropped) = dropped {
                self.remove(&dropped);
                continue;
            }
            match by {
                By::Caller(Overflow::Block(most), _) if !rolls.closed => {
                    let now = self.host.monotonic();
                    let until = *deadline.get_or_insert(now.saturating_add(most));
                    let Some(left) = until.checked_sub(now).filter(|left| !left.is_zero()) else { return Err(why) };
                    self.room.wait_for(&mut rolls, left.min(DISK_PAUSE));
                }
                _ => return Err(why),
            }
        }
    }

    fn next(&self, rolls: &mut Rolls) -> Result<Segment, NoRoom> {
        if let Some(ready) = rolls.ready.take() {
            return Ok(ready);
        }
        if rolls.failed.is_some_and(|at| self.host.monotonic().saturating_sub(at) < DISK_PAUSE) {
            return Err(NoRoom::DiskStill);
        }
        let number = rolls.next_number;
        rolls.next_number += 1;
        make(&self.host, &self.folder, self.durability, number).map_err(|error| {
            rolls.failed = Some(self.host.monotonic());
            NoRoom::Disk(error)
        })
    }

    /// Makes a segment before it is needed. The sender calls this between batches, and tells why there is none.
    pub fn prepare(&self) -> Result<(), SegmentError> {
        let number = {
            let mut rolls = self.rolls.lock();
            let failed = rolls.failed.is_some_and(|at| self.host.monotonic().saturating_sub(at) < DISK_PAUSE);
            if failed || rolls.ready.is_some() || rolls.queue.len() + 1 > self.segments_max {
                return Ok(());
            }
            rolls.next_number += 1;
            rolls.next_number - 1
        };
        let made = make(&self.host, &self.folder, self.durability, number);
        let mut rolls = self.rolls.lock();
        match made {
            // Numbers rise along the queue: one that was made here while another was put in place goes again.
            Ok(segment) if rolls.ready.is_none() && rolls.next_number == number + 1 => rolls.ready = Some(segment),
            Ok(segment) => self.remove(&segment),
            Err(error) => {
                rolls.failed = Some(self.host.monotonic());
                return Err(error);
            }
        }
        Ok(())
    }

    /// The first segment, from which the sender takes; from then on it is not dropped to make room.
    pub fn begin(&self) -> Option<Arc<Segment>> {
        let mut rolls = self.rolls.lock();
        rolls.begun = true;
        rolls.queue.front().cloned()
    }

    /// The first segment is sent whole and acknowledged, and goes. False if it must stay for now, because it is the only
    /// one and there is no other to put in its place.
    pub fn done(&self, segment: &Segment) -> bool {
        let mut rolls = self.rolls.lock();
        if rolls.queue.len() == 1 {
            let Ok(next) = self.next(&mut rolls) else { return false };
            let next = Arc::new(next);
            rolls.queue.push_back(Arc::clone(&next));
            self.current.store(next);
        }
        rolls.queue.pop_front();
        rolls.begun = false;
        drop(rolls);
        self.remove(segment);
        self.room.notify_all();
        true
    }

    /// Nobody waits for room any more.
    pub fn close(&self) {
        self.rolls.lock().closed = true;
        self.room.notify_all();
    }

    /// Bytes that queue and spool take.
    pub fn bytes(&self) -> u64 {
        let rolls = self.rolls.lock();
        (rolls.queue.len() + usize::from(rolls.ready.is_some())) as u64 * SEGMENT_BYTES as u64
    }

    /// Removes the files of all segments: everything in them is on record or declared.
    pub fn remove_all(&self) {
        let mut rolls = self.rolls.lock();
        let ready = rolls.ready.take();
        rolls.queue.iter().map(|segment| &**segment).chain(ready.as_ref()).for_each(|segment| self.remove(segment));
    }

    fn remove(&self, segment: &Segment) {
        if let Some(file) = segment.file() {
            // One that stays is found to be on record already by whoever adopts it.
            let _ = self.host.remove(file.path(), STEP);
        }
    }
}

/// Takes the oldest segment that is not on its way, and tells which numbers were in it.
fn drop_oldest(rolls: &mut Rolls, told: &dyn Fn(Lost)) -> Option<Arc<Segment>> {
    let at = usize::from(rolls.begun);
    if at + 1 >= rolls.queue.len() {
        return None;
    }
    let dropped = rolls.queue.remove(at)?;
    let mut offset = Segment::first();
    loop {
        match dropped.at(offset) {
            Found::Frame(frame) => {
                if frame.seq != 0 {
                    told(Lost { first: frame.seq, last: frame.seq, reason: Reason::Full });
                }
                offset = frame.next;
            }
            // A thread that has its place is copying its record there, and must not get lost uncounted.
            Found::Nothing => std::thread::yield_now(),
            Found::End => break,
        }
    }
    Some(dropped)
}

/// A segment's file.
pub fn name(number: u64) -> String {
    format!("{number:020}.spool")
}

fn make(host: &Host, folder: &std::path::Path, durability: Durability, number: u64) -> Result<Segment, SegmentError> {
    let id = host.random();
    match durability {
        Durability::Memory => Segment::in_memory(id, number),
        Durability::Process => Segment::create(host, &folder.join(name(number)), id, number),
        Durability::Disk => {
            let segment = Segment::create(host, &folder.join(name(number)), id, number)?;
            host.sync_dir(folder, STEP)?;
            Ok(segment)
        }
    }
}
