//! See [`fuzz::tlog::tree_proof`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::tlog::tree_proof(input));
