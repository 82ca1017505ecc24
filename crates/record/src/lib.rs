//! The record: one event of a trail.
//!
//! This crate says what a record is: its kinds, its fields and their limits, the canonical bytes that are hashed,
//! the salted commitments to its seven parts and the digest that goes into the Merkle tree. It reads and writes the
//! JSON and the CBOR face. It does no I/O, asks no clock and makes no random numbers, so everything here can be
//! tested with properties and vectors.
//!
//! The way through it:
//!
//! ```text
//! JSON or CBOR ──► Record (validated; parts as canonical bytes)     json, cbor_face
//!                    │  + Stamp (what the server adds) + Salt
//!                    ▼
//!                  Stored ──► digest ──► leaf of the tree           stored, commitment
//!                    │
//!                    ├──► journal bytes                             stored
//!                    └──► JSON again, nothing lost                  json
//! ```
//!
//! What it deliberately is not: it knows no files, no columns, no tree and no users.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

#[cfg(any(test, feature = "testing"))]
pub mod arbitrary;
mod build;
pub mod cbor;
mod cbor_face;
mod commitment;
mod disclosed;
mod envelope;
mod error;
mod field_ref;
mod json;
mod kind;
mod limits;
mod part;
mod sha256;
mod stamp;
mod stored;
mod value;

pub use cbor_face::{CborParser, record_to_cbor, to_cbor};
pub use commitment::{Content, Digest, Salt, commit, content, record_digest};
pub use disclosed::{Disclosed, Shown};
pub use envelope::{
    Clock, Envelope, FIELDS as ENVELOPE_FIELDS, Model, Outcome, Producer, Sampling, SpanId, Trace, TraceId,
};
pub use error::{Fault, Path, RecordError, Segment};
pub use field_ref::{FieldRef, FieldRefError};
pub use json::{JsonParser, part_to_json, to_json, write_json_value};
pub use kind::{Kind, Need};
pub use limits::{Limits, NAME_BYTES_MAX, PROFILES_MAX};
pub use part::{Part, Parts, Record};
pub use stamp::{Stamp, StampError};
pub use stored::{Body, Erased, ErasedPart, Stored, StoredError};
pub use value::{Blob, Value};
