//! Who gets what, asked as a server asks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::disallowed_methods, reason = "tests make files as people do")]

mod acts;
mod certificates;
mod expectations;
mod matrix;
mod place;
mod reading;
mod sessions;
mod site;
mod tokens;
