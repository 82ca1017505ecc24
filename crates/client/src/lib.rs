//! Capture: decisions put on record from within the service that makes them.
//!
//! ```no_run
//! use client::{Config, Event, Recorder};
//! use record::{Part, Value};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let recorder = Recorder::open(Config::new("http://localhost:7411", "credit-api", "/var/spool/onrecord"))?;
//! let inputs = Value::map([("income".to_owned(), Value::float(42_000.0))]);
//! let decision = Event::decision("credit-risk", "1.2.0").with(Part::Inputs, inputs).with(Part::Output, Value::float(0.37));
//! let id = recorder.record(&decision)?;
//! recorder.close(std::time::Duration::from_secs(5));
//! # Ok(()) }
//! ```
//!
//! ```text
//! record() ── number, canonical bytes, one copy ──► segments (memory, or files in memory)     recorder, log, segment
//!                                                      │ one thread
//!                                                      ▼
//!            what is lost ──► gap records ──► batches ──► server ──► receipts, checked        sender, delivery, receipt
//!                                                                       │
//!            heartbeats with signed tips (T31) ◄──── settled, in order ◄─┘                    settle, tip
//!
//! what a process has left that is gone goes the same way (I8)                                 adopter, instance
//! ```
//!
//! # What holds here
//!
//! - `record` takes no lock and makes no system call but for the clock and the process's number, except once in 4 MiB,
//!   when it may make the next segment; it never waits for disk or server unless it was set up to (I9).
//! - Each record of an instance has a number, without holes. What has no record on the trail is declared there, after a
//!   crash by whoever comes next (T11).
//! - Memory and disk are bounded, and a full disk is found when space is reserved (I12).
//! - An answer counts when its receipt holds: the digest is computed again from what was sent.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod adopter;
mod claim;
mod clock;
mod config;
mod delivery;
mod entropy;
mod event;
mod instance;
mod log;
mod losses;
mod process;
mod rebirth;
mod receipt;
mod recorder;
mod rejected;
mod segment;
mod sender;
mod settle;
mod state;
pub mod tip;
mod trouble;
mod within;

pub use config::{Config, ConfigError, Durability, Fail, Overflow, Token};
pub use event::{Event, InvalidEvent, ModelVersion};
pub use instance::{InstanceError, Watch};
pub use recorder::{OpenError, RecordFailed, Recorder, Stats};
pub use segment::SegmentError;
pub use trouble::Trouble;
