//! Rows of a trail in a folder that stands as evidence: it says what was asked and what came of it, and everything in it
//! checks offline, up to a signed checkpoint.
//!
//! ```text
//! write    view ─ which records? ─► spool, by index ─► records.cbor ─► rows-0001.parquet …     write, spool, files
//!                                        └─ digest = entry?        └─► hashes ─► manifest.json
//!                                     all of it verified, then renamed into place
//! verify   manifest ─► files' digests ─► each record ─► its row, and its leaf ─► root = the signed one       verify, walk
//! stage    as write, in a temporary folder, encrypted ─► one tar ─► unpack: checked, then renamed into place     package
//! again    the trail extends that checkpoint ─► the same query over the same records ─► the same rows        again
//! ```
//!
//! A row is made of its record and of nothing else ([`query::RecordColumn`]), when it is written and when it is checked.
//! docs/formats.md section 16 has the folder byte by byte; docs/evidence.md says what it proves and what not.
//!
//! # What holds
//!
//! * **I13** A verdict is VALID only with something from outside.
//! * **T13** Records and hashes lead to the root in one way alone.
//! * **T24** No name in a manifest leads out of its folder; every length has a limit; memory does not grow with the rows.
//! * **T19** A record shows the parts that its columns are of; of the others its commitments alone.
//!
//! # What it is not
//!
//! It chooses no words for a terminal and knows no users.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod again;
mod cell;
pub mod csv;
mod error;
mod files;
mod folder;
mod framed;
pub mod json;
mod manifest;
mod package;
mod report;
mod rows;
mod sealed;
mod spool;
mod verify;
mod write;

pub use again::again;
pub use cell::Cell;
pub use error::{ExportError, UnpackError, VerifyError};
pub use folder::{Digesting, is_export};
#[doc(hidden)]
pub use framed::reread;
pub use manifest::{
    ColumnEntry, FileEntry, Filter, HASHES, MANIFEST, Manifest, ManifestError, RECORDS, RowFormat, SUM,
};
pub use package::{Expected, Staged, Summary, can_be_written, stage, unpack};
pub use report::Report;
pub use sealed::{AGE, Recipient};
pub use verify::{Outside, verify};
pub use write::{Exported, Order, write};
