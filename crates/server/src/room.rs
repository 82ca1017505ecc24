//! Memory that requests may take: a bound on all of it together. Whoever finds no room is told so at once, and tries
//! again; nobody waits inside with half of a body in hand, for then all would.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::{Kind, Problem};

/// What is counted in.
const UNIT_BYTES: usize = 1024;

/// The memory that there is.
#[derive(Clone)]
pub struct Room {
    units: Arc<Semaphore>,
    total: usize,
}

/// Memory that a request has. It goes back when this is dropped.
pub struct Held {
    room: Room,
    permit: Option<OwnedSemaphorePermit>,
    /// Bytes of the last unit that are not used yet.
    rest: usize,
}

impl Room {
    /// So many bytes.
    pub fn new(bytes: usize) -> Room {
        let total = bytes.div_ceil(UNIT_BYTES);
        Room { units: Arc::new(Semaphore::new(total)), total }
    }

    /// Nothing yet, and the right to ask for more.
    pub fn hold(&self) -> Held {
        Held { room: self.clone(), permit: None, rest: 0 }
    }

    /// Bytes that are taken.
    pub fn taken(&self) -> usize {
        (self.total - self.units.available_permits().min(self.total)) * UNIT_BYTES
    }
}

impl Held {
    /// Takes more.
    pub fn more(&mut self, bytes: usize) -> Result<(), Problem> {
        if bytes <= self.rest {
            self.rest -= bytes;
            return Ok(());
        }
        let units = (bytes - self.rest).div_ceil(UNIT_BYTES);
        let full = || Problem::new(Kind::Busy, "requests under way fill the memory that they may; try again");
        let taken =
            u32::try_from(units).ok().and_then(|units| self.room.units.clone().try_acquire_many_owned(units).ok());
        let taken = taken.ok_or_else(full)?;
        self.rest += units * UNIT_BYTES;
        self.rest -= bytes;
        match &mut self.permit {
            Some(permit) => permit.merge(taken),
            None => self.permit = Some(taken),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded_and_comes_back() {
        let room = Room::new(10 << 10);
        let mut one = room.hold();
        for _ in 0..10 {
            one.more(1000).unwrap();
        }
        assert_eq!(room.taken(), 10 << 10);
        let mut other = room.hold();
        assert_eq!(other.more(1000).unwrap_err().kind, Kind::Busy);
        one.more(240).unwrap();
        assert!(one.more(1).is_err());
        drop(one);
        other.more(10 << 10).unwrap();
        drop(other);
        assert_eq!(room.taken(), 0);
    }
}
