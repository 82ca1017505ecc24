//! See [`fuzz::tlog::proof`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::tlog::proof(input));
