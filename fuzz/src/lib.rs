//! What is fuzzed: one function a target, each of which feeds bytes to a reader and holds what comes out against what
//! must hold of it. That nothing panics is the least of it.
//!
//! ```text
//! fuzz_targets/<name>.rs   the target under libFuzzer: cargo fuzz run <name>     (make fuzz)
//! corpus/<name>/           inputs that reach something, and every input that once broke it
//! tests/corpus.rs          the same functions over the corpus, without libFuzzer  (make test)
//! ```
//!
//! A target panics when a promise is broken, and at nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a target tells what it found by a panic")]

pub mod export;
pub mod input;
pub mod journal;
pub mod lake;
pub mod query;
pub mod record;
pub mod scratch;
pub mod tlog;
pub mod trail;

/// A target: its name, which is that of its corpus too, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("record_json", record::json),
    ("record_cbor", record::cbor),
    ("record_stored", record::stored),
    ("record_envelope", record::envelope),
    ("field_ref", record::field_ref),
    ("journal_frames", journal::frames),
    ("journal_bytes", journal::bytes),
    ("tlog_note", tlog::note),
    ("tlog_proof", tlog::proof),
    ("tlog_tile", tlog::tile),
    ("tlog_policy", tlog::policy),
    ("tree_proof", tlog::tree_proof),
    ("lake_file", lake::file),
    ("lake_log", lake::log),
    ("lake_checkpoint", lake::checkpoint),
    ("trail_settings", trail::settings),
    ("trail_folder", trail::folder),
    ("input_records", input::records),
    ("export_manifest", export::manifest),
    ("export_records", export::records),
    ("query_counts", query::counts),
    ("query_certificate", query::certificate),
    ("query_text", query::text),
];
