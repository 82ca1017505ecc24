//! See [`fuzz::record::envelope`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::record::envelope(input));
