//! Staging: how records get into the queue.

use std::ops::Range;

use parking_lot::MutexGuard;

use crate::queue::{Queue, Shared};
use crate::{StopCause, Stopped, frame, veil};

/// Frames that will be staged together, or not at all. It holds the queue: nobody else stages, and the committer takes
/// nothing, until it is staged or dropped. Dropped unstaged, it leaves no trace, and its indices go to the next batch.
pub struct Batch<'a, T> {
    shared: &'a Shared<T>,
    queue: MutexGuard<'a, Queue<T>>,
    frames_start: usize,
    /// Where its whole frames end. More in the buffer is what a closure left that panicked.
    frames_end: usize,
    first_index: u64,
}

/// A record, or a batch, was not staged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StageError {
    /// The journal takes nothing more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The queue is full; only [`crate::Journal::try_begin`] says so, the others wait.
    #[error("the journal's queue holds {bytes} bytes and its limit queue_bytes_max is {max}; try again later")]
    Full {
        /// How much is staged.
        bytes: usize,
        /// [`crate::Options::queue_bytes_max`].
        max: usize,
    },
    /// One payload is too long. The batch is as it was before it.
    #[error("a record of {bytes} bytes is over the journal's limit frame_bytes_max of {max} bytes; send a smaller one")]
    FrameTooLong {
        /// How long it is.
        bytes: usize,
        /// [`crate::Options::frame_bytes_max`].
        max: usize,
    },
    /// A payload of no bytes. The batch is as it was before it.
    #[error("a record of no bytes cannot be kept")]
    FrameEmpty,
    /// The batch would come to more than the whole queue may hold. The batch is as it was before the last payload.
    #[error("a batch of {bytes} bytes is over the journal's limit queue_bytes_max of {max} bytes; split it")]
    BatchTooLong {
        /// How long it would be.
        bytes: usize,
        /// [`crate::Options::queue_bytes_max`].
        max: usize,
    },
}

impl<'a, T> Batch<'a, T> {
    pub(crate) fn begin(shared: &'a Shared<T>, wait: bool) -> Result<Self, StageError> {
        let max = shared.options.queue_bytes_max;
        let mut queue = shared.queue.lock();
        loop {
            if let Some(stopped) = &queue.stopped {
                return Err(stopped.clone().into());
            }
            if queue.frames.len() < max {
                break;
            }
            if !wait {
                return Err(StageError::Full { bytes: queue.frames.len(), max });
            }
            shared.progress.wait(&mut queue);
        }
        let (frames_start, first_index) = (queue.frames.len(), queue.next_index);
        Ok(Self { shared, queue, frames_start, frames_end: frames_start, first_index })
    }

    /// The index that the next record pushed will have.
    #[must_use]
    pub fn next_index(&self) -> u64 {
        self.queue.next_index
    }

    /// What [`crate::Journal::backlog_bytes`] would say, this batch included. Nobody else stages while it is held, so a
    /// limit that is held against it is not passed.
    #[must_use]
    pub fn backlog_bytes(&self) -> u64 {
        self.shared.backlog_bytes(&self.queue)
    }

    /// Adds a record, and says which index it has.
    ///
    /// # Errors
    /// A [`StageError`] that names the limit; the batch is as it was and may go on.
    pub fn push(&mut self, payload: &[u8]) -> Result<u64, StageError> {
        self.push_with(|buffer| buffer.extend_from_slice(payload))
    }

    /// Adds the record that `write` appends to the buffer, straight into its place. The buffer holds other frames
    /// already: `write` appends, and touches nothing before the length it finds.
    ///
    /// # Errors
    /// As [`Batch::push`]. [`StageError::Stopped`] when `write` shortened the buffer: the frames of others are gone,
    /// so the journal stops.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<u64, StageError> {
        let index = self.queue.next_index;
        self.queue.frames.truncate(self.frames_end);
        let start = frame::begin(&mut self.queue.frames);
        write(&mut self.queue.frames);
        match self.check(start) {
            Ok(()) => {
                let room = veil::overhead(self.shared.options.keys.as_ref());
                frame::complete(&mut self.queue.frames, start, index, room);
                self.queue.next_index = index + 1;
                self.frames_end = self.queue.frames.len();
                Ok(index)
            }
            Err(error) => {
                self.queue.frames.truncate(start);
                Err(error)
            }
        }
    }

    /// Whether what was written from `start` on makes a frame.
    fn check(&mut self, start: usize) -> Result<(), StageError> {
        let options = &self.shared.options;
        let Some(bytes) = self.queue.frames.len().checked_sub(start + frame::HEADER_BYTES) else {
            let stopped = Stopped::from(StopCause::BufferShortened);
            self.queue.stopped.get_or_insert(stopped.clone());
            self.shared.work.notify_all();
            self.shared.progress.notify_all();
            return Err(stopped.into());
        };
        let with_tag = self.queue.frames.len() + veil::overhead(options.keys.as_ref());
        let batch_bytes = with_tag.next_multiple_of(frame::ALIGNMENT) - self.frames_start;
        if bytes == 0 {
            Err(StageError::FrameEmpty)
        } else if bytes > options.frame_bytes_max {
            Err(StageError::FrameTooLong { bytes, max: options.frame_bytes_max })
        } else if batch_bytes > options.queue_bytes_max {
            Err(StageError::BatchTooLong { bytes: batch_bytes, max: options.queue_bytes_max })
        } else {
            Ok(())
        }
    }

    /// Stages the batch, and says which indices its records have; `cargo` comes back in the delivery that says they
    /// are durable. Nothing is durable yet when this returns. A batch of no records is delivered in its turn, when
    /// everything staged before it is durable.
    ///
    /// # Errors
    /// [`StageError::Stopped`] when the journal was stopped by this very batch; nothing of it is staged.
    pub fn stage(mut self, cargo: T) -> Result<Range<u64>, StageError> {
        if let Some(stopped) = &self.queue.stopped {
            return Err(stopped.clone().into());
        }
        let indices = self.first_index..self.queue.next_index;
        self.queue.frames.truncate(self.frames_end);
        self.queue.cargo.push(cargo);
        // What is staged is no longer this batch's to take back.
        self.frames_start = self.frames_end;
        self.first_index = indices.end;
        self.shared.work.notify_one();
        Ok(indices)
    }
}

impl<T> Drop for Batch<'_, T> {
    fn drop(&mut self) {
        let frames_start = self.frames_start;
        self.queue.frames.truncate(frames_start);
        self.queue.next_index = self.first_index;
    }
}
