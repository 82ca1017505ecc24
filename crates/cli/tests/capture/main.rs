//! The capture client against the real server: what is recorded arrives once, or stands in a declared gap.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::disallowed_methods, reason = "tests make files as users do, and wait by the clock")]

mod child;
mod fault;
mod place;
mod story;
mod trail_of;
