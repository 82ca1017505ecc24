//! Exports of real trails: what is written checks, and nothing that was changed does.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests change files as those do who tamper")]

mod encrypted;
mod hostile;
mod package;
mod sound;
mod tamper;
mod trail_of;
