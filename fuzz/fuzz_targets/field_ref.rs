//! See [`fuzz::record::field_ref`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::record::field_ref(input));
