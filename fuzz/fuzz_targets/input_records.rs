//! See [`fuzz::input::records`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::input::records(input));
