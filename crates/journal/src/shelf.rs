//! The segments on disk, as the running journal knows them.

use std::path::PathBuf;

use parking_lot::Mutex;

/// Segments in order, the last of them the one being written.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    segments: Mutex<Vec<Shelved>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Shelved {
    pub(crate) first_index: u64,
    pub(crate) path: PathBuf,
    /// Header and frames; preallocated space is not counted.
    pub(crate) bytes: u64,
}

impl Shelf {
    pub(crate) fn new(segments: Vec<Shelved>) -> Self {
        Self { segments: Mutex::new(segments) }
    }

    pub(crate) fn push(&self, segment: Shelved) {
        self.segments.lock().push(segment);
    }

    pub(crate) fn set_bytes_of_last(&self, bytes: u64) {
        if let Some(last) = self.segments.lock().last_mut() {
            last.bytes = bytes;
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.segments.lock().iter().map(|segment| segment.bytes).sum()
    }

    /// The oldest segment, if a later one shows that every record in it is below `below`.
    pub(crate) fn oldest_wholly_below(&self, below: u64) -> Option<Shelved> {
        match self.segments.lock().as_slice() {
            [oldest, next, ..] if next.first_index <= below => Some(oldest.clone()),
            _ => None,
        }
    }

    pub(crate) fn drop_oldest(&self) {
        let mut segments = self.segments.lock();
        if !segments.is_empty() {
            segments.remove(0);
        }
    }
}
