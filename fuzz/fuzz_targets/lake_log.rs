//! See [`fuzz::lake::log`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::lake::log(input));
