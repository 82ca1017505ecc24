//! See [`fuzz::trail::settings`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::trail::settings(input));
