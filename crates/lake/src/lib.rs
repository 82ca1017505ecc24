//! Records ⇄ flat typed columns; Parquet; Delta log.

mod assemble;
mod builder;
mod census;
mod columns;
mod facts;
mod layout;
mod manifest;
mod shred;
mod store;
mod table;
