//! See [`fuzz::export::records`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::export::records(input));
