//! The journal as its callers see it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod appending;
mod damage;
mod encrypted;
mod faults;
mod reading;
mod trail;
