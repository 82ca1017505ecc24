//! See [`fuzz::export::manifest`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::export::manifest(input));
