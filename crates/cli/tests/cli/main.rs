//! The command as it is used: the real binary, real folders, and what it says word for word.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::disallowed_methods, reason = "tests make files as users do")]

mod abuse;
mod access;
mod append;
mod backup;
mod canary;
mod case_file;
mod compact;
mod demo;
mod encryption;
mod export;
mod figures;
mod full_disk;
mod help;
mod killed;
mod place;
mod search;
mod serve;
mod show;
mod stats;
mod tables;
mod together;
mod trust;
mod up;
