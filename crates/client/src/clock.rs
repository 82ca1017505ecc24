//! How good this machine's clock is, in the kernel's own words (MiFID RTS 25, FINRA 4590).

use std::sync::atomic::{AtomicI64, Ordering};

/// Not read yet, or not readable.
const UNKNOWN: i64 = i64::MIN;

/// What the kernel said last; read every few seconds, and with each record.
#[derive(Debug)]
pub struct ClockQuality {
    /// The bound on the error in nanoseconds; `-1 - bound` if the clock is not synchronised.
    packed: AtomicI64,
}

impl ClockQuality {
    /// As the kernel says it now.
    pub fn new() -> ClockQuality {
        let quality = ClockQuality { packed: AtomicI64::new(UNKNOWN) };
        quality.refresh();
        quality
    }

    /// Asks the kernel again.
    pub fn refresh(&self) {
        let packed = kernel().map_or(UNKNOWN, |(error_ns, synced)| if synced { error_ns } else { -1 - error_ns });
        self.packed.store(packed, Ordering::Relaxed);
    }

    /// For the envelope; nothing if the kernel does not say.
    pub fn clock(&self) -> Option<record::Clock<'static>> {
        let packed = self.packed.load(Ordering::Relaxed);
        if packed == UNKNOWN {
            return None;
        }
        let (error_ns, synced) = if packed < 0 { (-1 - packed, false) } else { (packed, true) };
        Some(record::Clock { max_error_ns: Some(error_ns), source: Some("kernel"), synced: Some(synced) })
    }
}

/// `maxerror` and the status of the kernel's clock, without changing either.
#[allow(unsafe_code, reason = "a system call that no safe library makes")]
fn kernel() -> Option<(i64, bool)> {
    // SAFETY: plain numbers, of which zero is a value of each; no mode asks for no change.
    let mut asked: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the one argument is a valid, exclusive pointer for the time of the call.
    let state = unsafe { libc::adjtimex(&raw mut asked) };
    let synced = state != libc::TIME_ERROR && asked.status & libc::STA_UNSYNC == 0;
    (state >= 0).then(|| (asked.maxerror.max(0).saturating_mul(1_000), synced))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_how_far_off_it_may_be() {
        let quality = ClockQuality::new();
        // A container may forbid the question; then a record says nothing.
        if let Some(clock) = quality.clock() {
            assert!(clock.max_error_ns.unwrap() >= 0);
            assert_eq!(clock.source, Some("kernel"));
        }
        quality.packed.store(-1 - 5, Ordering::Relaxed);
        let clock = quality.clock().unwrap();
        assert_eq!((clock.max_error_ns, clock.synced), (Some(5), Some(false)));
        quality.packed.store(0, Ordering::Relaxed);
        let clock = quality.clock().unwrap();
        assert_eq!((clock.max_error_ns, clock.synced), (Some(0), Some(true)));
    }
}
