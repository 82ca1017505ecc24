//! See [`fuzz::journal::bytes`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::journal::bytes(input));
