//! See [`fuzz::record::cbor`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::record::cbor(input));
