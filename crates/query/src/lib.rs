//! Search and SQL over one snapshot of a trail.
//!
//! ```text
//!                    text ──► statement: only what reads; names of fields looked for
//!                                 │
//! record::FieldRef ──► names: a field → a column of the view (columns ∪ remainders)
//!                                 │
//!           tables: views of `events` ──► check: nothing but reads; only what compares
//!                                 │
//!           records: lake ∪ hot, each record once (I14)
//!              ├─ settled: the library's Parquet scan over files of ours      lake_source, files
//!              │           each file gets the view's columns over its own     adapt, face, values
//!              └─ hot: the same, over records that stand in the journal
//! ```
//!
//! [`Engine`] is made once and keeps what it learns of files; [`Engine::view`] is a snapshot as one reader may see it
//! ([`Policy`]); [`View::sql`], [`View::search`] and [`View::look_up`] ask it, and [`View::evidence`] is the header by
//! which an answer stands as evidence. [`RecordColumn`] makes the same rows of records alone, where there is no trail.
//!
//! Figures for auditors are queries over the same view, and what is made of their rows one by one: [`View::gaps`],
//! [`View::reconcile`], [`View::groups`], [`View::sample`].
//!
//! # What holds
//!
//! * **I12** Time, memory, disk, rows and text of a query have limits.
//! * **I14** An answer is read from one snapshot, and keeps it until it is dropped.
//! * **T11**, **T12** What is missing of a producer's sequence is found, and told apart from what was declared.
//! * **T24** No text reads anything but the trail, changes anything, or ends the process.
//! * A mask or row filter of a policy is applied where a file's columns become the view's: nothing of a query, its
//!   errors and its plan included, is made of more.
//!
//! # What it is not
//!
//! It knows no HTTP, no users, and writes nothing but spilled parts of a query, in a folder of its own.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod adapt;
mod answer;
mod census;
mod check;
mod columns;
mod dictionary;
mod engine;
mod error;
mod evidence;
mod face;
mod file_stats;
mod files;
mod functions;
mod gaps;
mod groups;
mod hidden;
mod lake_source;
mod limits;
mod look_up;
mod mask;
mod names;
mod near;
mod notes;
mod parts;
mod reconcile;
mod record_rows;
mod records;
mod repeatable;
mod sample;
mod search;
mod session;
mod statement;
mod statistics;
mod stats;
mod tables;
mod times;
mod values;
mod view;
mod watch;

pub use answer::Answer;
pub use dictionary::{Dictionary, FieldEntry};
pub use engine::Engine;
pub use error::QueryError;
pub use evidence::{Asking, Counts, Covers, Evidence, Signed, Written};
pub use face::holds_json;
pub use gaps::{End, Gaps, GapsAsked, Hole, Instance, Silence};
pub use groups::{Compared, FourFifths, Group, Groups, GroupsAsked};
pub use limits::Limits;
pub use mask::{BucketWidth, BucketWidthError, Mask, Policy};
pub use reconcile::{Agreement, BadRow, By, Labels, LeftOut, Reconciled, Row, Theirs, TheirsError};
pub use record_rows::RecordColumn;
pub use sample::{
    CERTIFICATE_BYTES_MAX, Certificate, Chosen, NONCE_BYTES_MAX, SAMPLE_MAX, SampleAsked, SampleError, SampleReport,
};
pub use search::{After, Search};
pub use statistics::Interval;
pub use stats::{CheckpointStats, ModelStats, ScrubStats, ScrubbedStats, ScrubbingStats, Sizes, Stats, WriterStats};
pub use times::Span;
pub use view::View;
