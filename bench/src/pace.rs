//! An open loop: each record has its time, whether or not the last ones are done.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::machine::Watch;

/// Gives out turns at a steady rate.
pub struct Pace {
    watch: Watch,
    rate: f64,
    next: AtomicU64,
    turns: u64,
}

impl Pace {
    /// So many turns, at so many a second.
    pub fn new(rate: f64, turns: u64) -> Pace {
        Pace { watch: Watch::start(), rate, next: AtomicU64::new(0), turns }
    }

    /// Waits for the next turn; the time at which it was due, which is earlier than now if the taker came late.
    pub fn take(&self) -> Option<Duration> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        if turn >= self.turns {
            return None;
        }
        let due = Duration::from_secs_f64(turn as f64 / self.rate);
        if let Some(rest) = due.checked_sub(self.now()) {
            std::thread::sleep(rest);
        }
        Some(due)
    }

    /// Time since the first turn.
    pub fn now(&self) -> Duration {
        self.watch.elapsed()
    }
}
