//! What is staged, and who waits for whom.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};

use crate::shelf::Shelf;
use crate::{Options, Stopped};

/// What appenders and the committer share.
pub(crate) struct Shared<T> {
    pub(crate) options: Options,
    pub(crate) queue: Mutex<Queue<T>>,
    /// The committer waits here for work.
    pub(crate) work: Condvar,
    /// Callers wait here for room, or for a rotation.
    pub(crate) progress: Condvar,
    pub(crate) shelf: Shelf,
    /// Held by whoever makes or removes segments, until their folder is fsynced.
    pub(crate) folder_turn: Mutex<()>,
    durable: AtomicU64,
}

/// Everything staged since the committer last came.
pub(crate) struct Queue<T> {
    /// Frames, complete but for what [`crate::frame::seal`] adds.
    pub(crate) frames: Vec<u8>,
    pub(crate) cargo: Vec<T>,
    /// Bytes of frames that the committer has taken and the shelf does not count yet.
    pub(crate) taken_bytes: u64,
    /// The index that the next frame gets.
    pub(crate) next_index: u64,
    pub(crate) rotations_asked: u64,
    pub(crate) rotations_done: u64,
    pub(crate) closing: bool,
    /// Once set, never unset.
    pub(crate) stopped: Option<Stopped>,
}

impl<T> Shared<T> {
    pub(crate) fn new(options: Options, next_index: u64, shelf: Shelf) -> Self {
        let queue = Queue {
            frames: Vec::new(),
            cargo: Vec::new(),
            taken_bytes: 0,
            next_index,
            rotations_asked: 0,
            rotations_done: 0,
            closing: false,
            stopped: None,
        };
        Self {
            options,
            queue: Mutex::new(queue),
            work: Condvar::new(),
            progress: Condvar::new(),
            shelf,
            folder_turn: Mutex::new(()),
            durable: AtomicU64::new(next_index),
        }
    }

    /// Bytes that wait to be settled: staged, taken, and in segments not yet released. While the committer counts a
    /// group from one to the other it may stand in both, so this is never too little.
    pub(crate) fn backlog_bytes(&self, queue: &Queue<T>) -> u64 {
        self.shelf.bytes() + queue.taken_bytes + queue.frames.len() as u64
    }

    /// How many records are fsynced. Whoever sees a number sees everything that was done before it was set.
    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn set_durable(&self, durable: u64) {
        self.durable.store(durable, Ordering::Release);
    }

    /// Stops the journal; the first cause stands. The committer fails whatever is staged when it next looks.
    pub(crate) fn stop(&self, stopped: Stopped) {
        self.queue.lock().stopped.get_or_insert(stopped);
        self.work.notify_all();
        self.progress.notify_all();
    }
}
