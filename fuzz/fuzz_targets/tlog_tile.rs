//! See [`fuzz::tlog::tile`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::tlog::tile(input));
