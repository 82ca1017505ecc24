//! See [`fuzz::tlog::policy`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::tlog::policy(input));
