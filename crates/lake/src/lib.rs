//! The lake of a trail: records as flat typed columns in Parquet files, under one Delta table.
//!
//! ```text
//! records ──► plan_settle ──► Lake::settle ──► Snapshot ──► rows · find · look_up · latest · check
//!             (pure)          write, fsync, read back,      (immutable; a reader takes one)
//!                             compare digests, commit
//! ```
//!
//! # Entry points
//!
//! * [`plan_settle`] decides which records go to which file and which paths become columns; it touches nothing.
//! * [`Lake`] is the one writer: it carries plans out, and removes what a crash left behind once it is asked to sweep.
//! * [`Snapshot`] is one version: it reads files as records, finds single records and the newest of many, and checks
//!   files.
//!
//! # What holds
//!
//! * **I7** A record comes back to the canonical byte. A value is in a column only if it does; the rest of its section
//!   is in the section's remainder. [`Lake::settle`] proves it for every row before it commits (**I5**).
//! * **I10** The names in the Delta log come from fixed columns and from paths that are dense in some file.
//! * **I14** A snapshot never changes, and nothing it names is removed here.
//! * **T26** A checkpoint of the log is proven against the entries before an engine can see it, and again by
//!   [`Snapshot::check_log`].
//! * No byte of a file or log can end the process: lengths are checked before memory is taken, and a panic of the
//!   Parquet or Delta library, which forged bytes do bring about, is caught and becomes an error.
//!
//! # A data file
//!
//! `settle-<watermark, 20 digits>-<random, 16 hexadecimal>.parquet` in the table's folder, or `rewrite-…` for one that
//! replaces others: see [`Rewrite`]. Rows are sorted by `time_ns` (nulls last), then `index`. A file of one row group
//! has only the columns that it uses, each nullable, under the names and types of the Delta schema. `id`, `subject.id`,
//! `subject.case` and `trace.trace_id` have Bloom filters. Neither the Parquet footer nor the Delta log holds a digest
//! of a record: those stand in the trail's `tile/entries`.
//!
//! | where | key | value |
//! |---|---|---|
//! | footer and `add.tags` | `onrecord.format` | `1`, [`FORMAT`] |
//! | footer and `add.tags` | `onrecord.key_id` | the key it is encrypted under, or `none`, [`NO_KEY`] |
//! | footer and `add.tags` | `onrecord.first_index`, `onrecord.last_index` | lowest and highest index, decimal |
//! | footer and `add.tags` | `onrecord.rows` | rows, decimal |
//! | footer | `onrecord.split` | columns that do not have all of their field, [`SPLIT_ENTRY`]: a JSON list |
//! | `add.tags` | `onrecord.sha256` | SHA-256 of the file's bytes, lower-case hexadecimal |
//! | `add.tags` | `onrecord.min_id`, `onrecord.max_id` | lowest and highest record id, as text |
//! | `add.stats` | `numRecords`, `minValues`, `maxValues`, `nullCount` | of `index`, `id`, `time`, `model.name`, `model.version`; exact |
//! | `txn` `onrecord/journal` | `version` | the watermark: every record below it is settled |
//!
//! # What it is not
//!
//! It knows no HTTP, no SQL, no tree and no journal.

mod access;
mod assemble;
mod builder;
mod cells;
mod census;
mod check;
mod checkpoint;
mod claims;
mod clean;
mod columns;
mod compact;
mod encoding;
mod facts;
mod filters;
mod guard;
mod latest;
mod layout;
mod manifest;
mod plan;
mod reader;
mod readers;
mod rewrite;
mod settle;
mod shown;
mod shred;
mod snapshot;
mod source;
mod split;
mod stats;
mod store;
mod table;
mod veil;
mod writer;

pub use access::{Sections, to_columns};
pub use assemble::RowError;
pub use check::{Finding, Why};
pub use checkpoint::{CHECKPOINT_EVERY, CheckpointError, Checkpointed};
pub use claims::Claim;
pub use clean::{CleanError, Cleaned};
pub use columns::{COLUMNS_MAX, Column, ColumnType, Columns, ColumnsError};
pub use compact::{Effort, choose_compaction, plan_compaction};
pub use guard::{guard_thread, guarded};
pub use latest::{INDICES_AROUND, Latest};
pub use manifest::{FORMAT, Manifest, ManifestError, NO_KEY, Times};
pub use plan::{MODEL_ROWS_MIN, PlanError, SettlePlan, plan_settle};
pub use reader::{FileRows, Placed, ReadError};
pub use rewrite::{Interrupt, Reason, Rewrite, RewriteError, Rewritten};
pub use settle::{Lake, SettleError};
pub use shred::ShredError;
pub use snapshot::{Found, Lookup, Snapshot};
pub use split::{SPLIT_ENTRY, read_split};
pub use table::TableError;
pub use writer::WriteError;

#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod forged;
#[cfg(test)]
mod roundtrip;
