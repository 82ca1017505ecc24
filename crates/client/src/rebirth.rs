//! How a forked child comes to an instance of its own: by one of its threads, and not with each record where it cannot.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::instance::InstanceError;
use crate::process::Mark;

/// How long one that could not be made is not tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// In words alone: a lock of the parent's may be held by a thread that is not here.
#[derive(Debug, Default)]
pub struct Rebirth {
    /// The process that makes an instance of its own just now, or has made it.
    by: AtomicU64,
    /// The process that could not, and when it may try again, in milliseconds of its host.
    failed: AtomicU64,
    again: AtomicU64,
    /// What it could not number.
    lost: AtomicU64,
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl Rebirth {
    /// Whether the caller is the one that makes it; if not, another thread does. An error while it pauses.
    pub fn begin(&self, mark: Mark, now: Duration) -> Result<bool, InstanceError> {
        let before = self.by.load(Ordering::Acquire);
        if before == mark.word() {
            return Ok(false);
        }
        if self.failed.load(Ordering::Acquire) == mark.word() && millis(now) < self.again.load(Ordering::Acquire) {
            return Err(InstanceError::Still);
        }
        let mine = self.by.compare_exchange(before, mark.word(), Ordering::AcqRel, Ordering::Acquire).is_ok();
        if mine && self.failed.swap(mark.word(), Ordering::AcqRel) != mark.word() {
            // What its parent could not number is the parent's to declare.
            self.lost.store(0, Ordering::Release);
        }
        Ok(mine)
    }

    /// It could not be made.
    pub fn failed(&self, now: Duration) {
        self.again.store(millis(now.saturating_add(PAUSE)), Ordering::Release);
        self.by.store(Mark::NONE.word(), Ordering::Release);
    }

    /// A record has no number.
    pub fn lost(&self) {
        self.lost.fetch_add(1, Ordering::AcqRel);
    }

    /// How many have none, which are then no more here.
    pub fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_made_is_tried_again_after_a_pause() {
        let (rebirth, mark) = (Rebirth::default(), Mark::current());
        let at = Duration::from_secs;
        assert!(rebirth.begin(mark, at(5)).unwrap());
        assert!(!rebirth.begin(mark, at(5)).unwrap());
        rebirth.failed(at(6));
        rebirth.lost();
        assert!(matches!(rebirth.begin(mark, at(6)), Err(InstanceError::Still)));
        assert!(rebirth.begin(mark, at(7)).unwrap());
        assert_eq!(rebirth.take_lost(), 1);
    }
}
