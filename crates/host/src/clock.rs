//! What time it is.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// A source of time. Two readings are kept apart because the wall clock can be set, and the other cannot (T30).
pub trait Clock: Send + Sync {
    /// Nanoseconds since the Unix epoch, UTC. May jump either way.
    fn now_ns(&self) -> i64;
    /// Time since the clock was made. Never goes back.
    fn monotonic(&self) -> Duration;
}

/// The clocks of the operating system.
#[derive(Debug)]
pub struct SystemClock {
    made: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one place where the monotonic clock is read")]
    pub fn new() -> Self {
        Self { made: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one place where the wall clock is read")]
    fn now_ns(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
        }
    }

    fn monotonic(&self) -> Duration {
        self.made.elapsed()
    }
}

/// A clock that stands still until a test turns it. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct ManualClock {
    hands: Arc<Mutex<Hands>>,
}

#[derive(Debug)]
struct Hands {
    wall_ns: i64,
    monotonic: Duration,
}

impl ManualClock {
    /// A clock that shows `now_ns` (nanoseconds since the Unix epoch).
    #[must_use]
    pub fn at(now_ns: i64) -> Self {
        Self { hands: Arc::new(Mutex::new(Hands { wall_ns: now_ns, monotonic: Duration::ZERO })) }
    }

    /// Sets the wall clock, as an administrator would; monotonic time does not move.
    pub fn set(&self, now_ns: i64) {
        self.hands.lock().wall_ns = now_ns;
    }

    /// Lets time pass: both clocks go on by `by`.
    pub fn advance(&self, by: Duration) {
        let mut hands = self.hands.lock();
        hands.wall_ns = hands.wall_ns.saturating_add(nanoseconds(by));
        hands.monotonic = hands.monotonic.saturating_add(by);
    }

    /// Puts the wall clock back by `by`; monotonic time does not move.
    pub fn step_back(&self, by: Duration) {
        let mut hands = self.hands.lock();
        hands.wall_ns = hands.wall_ns.saturating_sub(nanoseconds(by));
    }
}

impl Clock for ManualClock {
    fn now_ns(&self) -> i64 {
        self.hands.lock().wall_ns
    }

    fn monotonic(&self) -> Duration {
        self.hands.lock().monotonic
    }
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_turns_only_when_told_and_its_monotonic_time_never_goes_back() {
        let clock = ManualClock::at(1_000);
        let same = clock.clone();
        same.advance(Duration::from_nanos(500));
        assert_eq!((clock.now_ns(), clock.monotonic()), (1_500, Duration::from_nanos(500)));
        clock.step_back(Duration::from_nanos(900));
        assert_eq!((clock.now_ns(), clock.monotonic()), (600, Duration::from_nanos(500)));
        clock.set(i64::MAX);
        clock.advance(Duration::from_secs(1));
        assert_eq!(clock.now_ns(), i64::MAX);
    }

    #[test]
    fn the_system_clock_is_after_2024() {
        assert!(SystemClock::new().now_ns() > 1_704_067_200_000_000_000);
    }
}
