//! See [`fuzz::record::stored`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::record::stored(input));
