//! What records are read from: NDJSON, JSON, CBOR sequences and Arrow streams, packed or not.

use std::io::{Cursor, Read};

use input::{Fault, Format, Item, Records};
use record::{Limits, Record};

/// Small, so that short inputs pass them.
const LIMITS: Limits = Limits { record_bytes: 512, depth: 8, fields: 64, key_bytes: 64, string_bytes: 256 };

/// A reader that gives at most so many bytes at a time, as a pipe does.
struct Piecemeal(Cursor<Vec<u8>>, usize);

impl Read for Piecemeal {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let most = into.len().min(self.1);
        self.0.read(&mut into[..most])
    }
}

/// The first byte says which form, the second how the bytes come. What is read does not depend on how they come.
pub fn records(input: &[u8]) {
    let Some(([form, step], bytes)) = input.split_first_chunk::<2>() else { return };
    let format = [Format::Ndjson, Format::Json, Format::Cbor, Format::Arrow][usize::from(form % 4)];
    let at_once = read(bytes, format, usize::MAX);
    let piecemeal = read(bytes, format, usize::from(*step).max(1));
    match (&at_once, &piecemeal) {
        ((at_once, true), (piecemeal, true)) => assert_eq!(at_once, piecemeal),
        // How much comes out of a damaged packing before its end is not settled; what comes, is.
        ((at_once, _), (piecemeal, _)) => at_once.iter().zip(piecemeal).for_each(|(one, other)| assert_eq!(one, other)),
    }
}

/// Where a record stood, and what it is or why it is none.
type Piece = (String, Result<Box<Record>, Fault>);

/// Every item: where it is, and the record or what is wrong; and whether the reading came to its end.
fn read(bytes: &[u8], format: Format, step: usize) -> (Vec<Piece>, bool) {
    let raw = Piecemeal(Cursor::new(bytes.to_vec()), step);
    let Ok(bytes) = input::unpacked(Box::new(raw)) else { return (Vec::new(), false) };
    let Ok(mut records) = Records::read(bytes, format, LIMITS) else { return (Vec::new(), false) };
    let mut items = Vec::new();
    loop {
        match records.read_next() {
            Ok(Some(Item { place, record })) => items.push((place.to_string(), record)),
            Ok(None) => return (items, true),
            Err(_) => return (items, false),
        }
    }
}
