//! See [`fuzz::tlog::note`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::tlog::note(input));
