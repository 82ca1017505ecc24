//! See [`fuzz::trail::folder`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::trail::folder(input));
