//! See [`fuzz::record::json`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::record::json(input));
