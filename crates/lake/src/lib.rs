//! Records ⇄ flat typed columns; Parquet; Delta log.

mod cbor;
mod columns;
mod manifest;
mod store;
mod table;
