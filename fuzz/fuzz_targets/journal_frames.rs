//! See [`fuzz::journal::frames`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::journal::frames(input));
