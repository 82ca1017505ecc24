//! See [`fuzz::query::text`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::query::text(input));
