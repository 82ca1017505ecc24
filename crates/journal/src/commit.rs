//! The committer: the one thread that writes.

use std::path::PathBuf;
use std::sync::Arc;

use host::Host;

use crate::active::ActiveSegment;
use crate::queue::Shared;
use crate::{Delivery, StopCause, Stopped};

pub(crate) struct Committer<T, D> {
    pub(crate) shared: Arc<Shared<T>>,
    pub(crate) host: Host,
    pub(crate) folder: PathBuf,
    pub(crate) active: ActiveSegment,
    pub(crate) deliver: D,
}

/// What the committer took from the queue in one go.
struct Work<T> {
    frames: Vec<u8>,
    cargo: Vec<T>,
    next_index: u64,
    rotations_asked: u64,
}

enum Taken<T> {
    Work(Work<T>),
    /// The journal has stopped; this was still staged.
    Stopped(Stopped, Vec<T>),
    Closed,
}

impl<T, D: FnMut(Delivery<T>)> Committer<T, D> {
    /// Commits group after group until the journal is closed or stops.
    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let _stop_on_panic = StopOnPanic { shared: &shared };
        let mut spare = Vec::new();
        loop {
            let mut work = match self.take(spare) {
                Taken::Work(work) => work,
                Taken::Stopped(stopped, cargo) => return (self.deliver)(Delivery::Failed { stopped, cargo }),
                Taken::Closed => {
                    // All is durable; but a disk that refuses even this is one its owner should hear of.
                    let given_back = self.active.give_back();
                    return given_back.unwrap_or_else(|error| self.fail(error.into(), Vec::new()));
                }
            };
            let first_index = shared.durable();
            if let Err(stopped) = self.commit(&mut work) {
                return self.fail(stopped, work.cargo);
            }
            if !work.cargo.is_empty() {
                let (next_index, cargo) = (work.next_index, work.cargo);
                (self.deliver)(Delivery::Committed { first_index, next_index, cargo });
            }
            if let Err(stopped) = self.rotate_as_asked(work.rotations_asked) {
                return self.fail(stopped, Vec::new());
            }
            spare = work.frames;
            spare.clear();
        }
    }

    /// Waits for work and takes all there is, leaving the empty buffer `spare` in its place.
    fn take(&self, spare: Vec<u8>) -> Taken<T> {
        let mut queue = self.shared.queue.lock();
        loop {
            if let Some(stopped) = queue.stopped.clone() {
                return Taken::Stopped(stopped, std::mem::take(&mut queue.cargo));
            }
            if !queue.cargo.is_empty() || queue.rotations_asked > queue.rotations_done {
                break;
            }
            if queue.closing {
                return Taken::Closed;
            }
            self.shared.work.wait(&mut queue);
        }
        let work = Work {
            frames: std::mem::replace(&mut queue.frames, spare),
            cargo: std::mem::take(&mut queue.cargo),
            next_index: queue.next_index,
            rotations_asked: queue.rotations_asked,
        };
        queue.taken_bytes = work.frames.len() as u64;
        self.shared.progress.notify_all();
        Taken::Work(work)
    }

    /// Makes a group durable. Any error is fatal.
    fn commit(&mut self, work: &mut Work<T>) -> Result<(), Stopped> {
        if work.frames.is_empty() {
            return Ok(());
        }
        let durable = self.shared.durable();
        if self.active.bytes() + work.frames.len() as u64 > self.shared.options.segment_bytes {
            self.rotate()?;
        }
        self.active.append(&mut work.frames, durable)?;
        self.shared.shelf.set_bytes_of_last(self.active.bytes());
        self.shared.queue.lock().taken_bytes = 0;
        self.shared.set_durable(work.next_index);
        Ok(())
    }

    fn rotate_as_asked(&mut self, asked: u64) -> Result<(), Stopped> {
        if self.shared.queue.lock().rotations_done < asked {
            self.rotate()?;
            self.shared.queue.lock().rotations_done = asked;
            self.shared.progress.notify_all();
        }
        Ok(())
    }

    /// Begins a new segment, unless the one at hand is still empty. All that is in the old one is durable by now.
    fn rotate(&mut self) -> Result<(), Stopped> {
        if !self.active.has_frames() {
            return Ok(());
        }
        // A release that could not fsync the folder may have been told of the loss of the entry made here: the kernel
        // reports such a loss once. So the two take turns, and the second looks what became of the first.
        let _turn = self.shared.folder_turn.lock();
        if let Some(stopped) = self.shared.queue.lock().stopped.clone() {
            return Err(stopped);
        }
        self.active = ActiveSegment::begin(&self.host, &self.folder, self.shared.durable(), &self.shared.options)?;
        self.shared.shelf.push(self.active.shelved());
        Ok(())
    }

    /// Stops for ever, and tells everyone whose group failed and everyone who came after.
    fn fail(&mut self, stopped: Stopped, mut cargo: Vec<T>) {
        self.shared.stop(stopped.clone());
        cargo.append(&mut self.shared.queue.lock().cargo);
        (self.deliver)(Delivery::Failed { stopped, cargo });
    }
}

/// If `deliver` panics, nobody is left to commit: stops the journal, so that no one waits for ever.
struct StopOnPanic<'a, T> {
    shared: &'a Shared<T>,
}

impl<T> Drop for StopOnPanic<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.stop(StopCause::DeliverPanicked.into());
            // Dropped outside the lock: a waiter's own destructor may come back here.
            let cargo = std::mem::take(&mut self.shared.queue.lock().cargo);
            drop(cargo);
        }
    }
}
