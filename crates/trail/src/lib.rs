//! One trail: journal, transparency log and lake under one writer.
//!
//! ```text
//! append   content outside the lock ─► sequencer: duplicate? index, received, digest ─► journal (one fsync a group)
//!            └─► hot segment, readable at once; receipt
//! seal     new durable records ─► entries, full tiles ─► sign ─► compare-and-swap the checkpoint
//! settle   sealed records ─► Parquet ─► read back, digests recomputed ─► one Delta commit ─► journal released
//! recover  the same code: the journal is visited as if its records were appended, then sealed as always (I8)
//! ```
//!
//! [`Writer`] is the one process that may change a trail (I6); [`Reader`] takes a [`Snapshot`] of any trail's folder,
//! a read-only copy too; [`verify()`] is the full check and trusts nothing but bytes it has hashed itself.
//!
//! What is absent on purpose: HTTP, users, SQL.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod append;
mod backup;
mod compact;
mod coverage;
mod entries;
mod erasure;
mod folder;
mod hot;
mod keyring;
mod lock;
mod look_up;
mod reader;
mod restore;
mod seal;
mod settings;
mod settle;
mod signing_key;
mod snapshot;
mod socket;
mod unfinished;
mod verify;
mod writer;

pub use append::{AppendError, Intake, Outcome, Receipt, Refusal};
pub use backup::{BackedUp, BackupError, backup};
pub use compact::{CompactError, Compacted};
pub use entries::EntriesError;
pub use erasure::{Declared, ERASURE_RECORDS_MAX, Erasure, MalformedErasure};
pub use folder::Folder;
pub use hot::HotRecord;
pub use keyring::{KeysError, RotateError, rotate_trail_key};
pub use keys::{CopiedKeys, KeyringError, Rewrapped, Source};
pub use lock::LockError;
pub use look_up::Latest;
pub use reader::{ReadError, Reader};
pub use restore::{GoesOnFrom, Restore, RestoreError, Restored};
pub use seal::SealError;
pub use settings::{ENCRYPTED, InitError, OPEN, Protection, Settings, SettingsError, init, init_protected};
pub use settle::SettleError;
pub use signing_key::{KeyFolder, SigningKeyError};
pub use snapshot::{Found, Proof, ProofError, Snapshot, SnapshotError};
pub use socket::{RemoteOutcome, RemoteWriter, SocketError, WriterSocket, receipt_json};
pub use verify::{
    Against, Finding, Progress, Report, ScrubError, ScrubResult, ScrubState, Severity, Verdict, VerifyError, verify,
};
pub use writer::{
    CloseError, EraseError, Erased, OpenError, Options, Recovered, Scrubbing, Status, Stopped, Ticket, Writer,
};
