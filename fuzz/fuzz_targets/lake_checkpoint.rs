//! See [`fuzz::lake::checkpoint`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::lake::checkpoint(input));
