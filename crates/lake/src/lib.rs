//! Records ⇄ flat typed columns; Parquet; Delta log.

mod cbor;
mod columns;
