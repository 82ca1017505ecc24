//! Queries over real trails: what is found, what is refused, and that nothing is missed or seen twice.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests make files as users do, and wait as users do")]

mod attack;
mod fields;
mod figures;
mod find;
mod once;
mod policy;
mod trail_of;
