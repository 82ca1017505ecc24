//! Everything that tries to break a trail: kills, faults at every step, tampering, hostile peers, hostile clocks.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod backup;
mod clock;
mod copies;
mod disk_full;
mod encrypted;
mod erasure;
mod ids;
mod kill;
mod live;
mod log;
mod model;
mod power_cut;
mod scrub;
mod small_disk;
mod socket;
mod steps;
mod support;
mod tamper;
