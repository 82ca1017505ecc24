//! Records ⇄ flat typed columns; Parquet; Delta log.

mod assemble;
mod builder;
mod census;
mod check;
mod claims;
mod columns;
mod encoding;
mod facts;
mod layout;
mod manifest;
mod plan;
mod reader;
mod settle;
mod shred;
mod snapshot;
mod source;
mod stats;
mod store;
mod table;
mod writer;

pub use assemble::RowError;
pub use check::{Finding, Why};
pub use claims::Claim;
pub use columns::{COLUMNS_MAX, Column, ColumnType, Columns, ColumnsError};
pub use manifest::{FORMAT, Manifest, ManifestError, NO_KEY};
pub use plan::{MODEL_ROWS_MIN, PlanError, SettlePlan, plan_settle};
pub use reader::{FileRows, Placed, ReadError};
pub use settle::{Lake, SettleError};
pub use shred::ShredError;
pub use snapshot::{Found, Lookup, Snapshot};
pub use table::TableError;
pub use writer::WriteError;

#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod roundtrip;
