//! The real server on a port of its own, asked by a real client.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::disallowed_methods, reason = "tests make files as users do, and wait by the clock")]

mod arrow;
mod clock;
mod export;
mod frames;
mod hostile;
mod log;
mod masks;
mod place;
mod questions;
mod readers;
mod refusals;
mod stalled;
mod story;
mod tls;
mod tokens;
mod who;
