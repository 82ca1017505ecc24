//! See [`fuzz::lake::file`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::lake::file(input));
