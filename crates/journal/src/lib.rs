//! Durable ordered append with group commit, and recovery. It knows nothing of records: payloads are bytes.
//!
//! Many threads stage frames; one committer thread writes everything staged in one write, fsyncs it once, and only
//! then delivers what the callers handed along. Delivered = durable (I1). The order of indices, of bytes on disk and of
//! delivery is one and the same (I2).
//!
//! ```
//! use std::sync::mpsc;
//! use journal::{Delivery, Journal, Options};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let host = host::Host::system();
//! let (done, receipts) = mpsc::channel();
//! let deliver = move |delivery| {
//!     if let Delivery::Committed { first_index, cargo, .. } = delivery {
//!         let _: Result<(), _> = done.send((first_index, cargo));
//!     }
//! };
//! let (journal, recovery) = Journal::open(&host, folder.path(), Options::default(), 0, 0, |_, _| Ok(()), deliver)?;
//! assert_eq!(recovery.next_index, 0);
//! assert_eq!(journal.stage(&[b"one", b"two"], "cargo")?, 0..2);
//! assert_eq!(receipts.recv()?, (0, vec!["cargo"]));
//! # Ok(()) }
//! ```
//!
//! # Format, version 1
//!
//! A journal is a folder of segments, each named by the index of its first record: 20 decimal digits and `.journal`.
//! Numbers are little-endian; CRCs are CRC-32C (Castagnoli). Files with other names are left alone.
//!
//! Segment header, 64 bytes:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | magic `onrecjnl` |
//! | 8 | 2 | format version, 1 |
//! | 10 | 6 | zero |
//! | 16 | 16 | id of the key that payloads are encrypted under; zeros: they are not |
//! | 32 | 8 | index of the first record, as in the name |
//! | 40 | 16 | segment id, random, never used twice |
//! | 56 | 4 | zero |
//! | 60 | 4 | CRC of bytes 0 to 59 |
//!
//! Frames follow, each at a multiple of 8:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | length of the payload in bytes, 1 to 64 MiB |
//! | 4 | 4 | CRC of the payload |
//! | 8 | 8 | index of the record |
//! | 16 | 8 | `durable`: how many records of the trail were known to be fsynced when this frame was written; at most the index |
//! | 24 | 4 | zero |
//! | 28 | 4 | CRC of the segment id, then bytes 0 to 27 |
//! | 32 | length | payload |
//! | | 0 to 7 | zeros up to a multiple of 8 |
//!
//! After the last frame come zeros, or nothing. The header has a CRC of its own, so that a search for headers reads
//! each byte once, whatever lengths stand there. It covers the random segment id, which no sender knows, so no payload
//! can hold bytes that pass for a frame; nor can what an older segment left in the same blocks.
//!
//! An encrypted payload is the ciphertext of AES-256-GCM and its tag, under a key of the segment's own. Its nonce is four
//! zero bytes and the index; see `veil.rs` for what is authenticated with it. The CRC is that of the ciphertext, so where
//! a journal ends, and whether it is whole, is known without a key.
//!
//! # Writing
//!
//! * A segment's header and its folder entry are fsynced before the first frame is written to it. All frames of one
//!   group go into one segment. A new segment is begun only after the group before it was fsynced.
//! * After any failed write, allocation or fsync the journal stops for ever ([`Stopped`]): nothing in that group or
//!   after it is acknowledged, everyone who waits is told, nothing is tried again (T25). Open it anew to go on.
//! * A segment that was there at opening is never appended to; writing goes on in a new one.
//!
//! # Recovery
//!
//! Every open is a recovery (I8). It reads frames in order up to the first that does not parse, record `i`. That `i`
//! was acknowledged is proven by any later frame header whose `durable` is above `i`, by a later segment, or by the
//! caller's own knowledge (a signed checkpoint). Proven: opening is refused, [`OpenError::Hole`] or
//! [`OpenError::Short`]. Not proven: the rest is an unacknowledged torn tail, which is cut off and reported.
//!
//! Whole frames at the end that were perhaps never acknowledged are kept. They were perhaps never fsynced either, or
//! their fsync failed and the kernel holds them in memory as if they were on disk; so they are written once more and
//! fsynced before opening returns.
//!
//! What the journal alone cannot tell from a torn tail: damage to the last group written, when nothing was written
//! after it. The caller's `acknowledged_at_least` closes that, up to the last checkpoint.

mod active;
mod batch;
mod bytes;
mod commit;
mod delivery;
mod frame;
mod journal;
mod options;
mod queue;
mod read;
mod recovery;
mod segment;
mod shelf;
mod stopped;
mod veil;

pub use batch::{Batch, StageError};
pub use delivery::Delivery;
pub use journal::{Journal, Released};
pub use options::{FRAME_BYTES_CAP, Options, OptionsError};
pub use read::{Problem, ProblemKind, ReadError, Reading, oldest, read};
pub use recovery::{OpenError, Proof, Recovery, TornTail};
pub use segment::HeaderError;
pub use stopped::{StopCause, Stopped};

/// Why a visitor would not take a record.
pub type VisitError = Box<dyn std::error::Error + Send + Sync>;

/// The step under which every file call of the journal is made, and so the first half of its fault points.
const STEP: &str = "journal";
