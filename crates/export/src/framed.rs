//! `records.cbor`: a CBOR sequence (RFC 8742) of byte strings, each of which holds the canonical bytes of one disclosed
//! record. A byte string says how long it is before it comes, so nobody reads further than a limit.

use std::io::{self, Read, Write};

use record::{Disclosed, cbor};

/// Bytes of a record at most: the largest that a trail takes, and room for what proves it.
pub(crate) const RECORD_BYTES_MAX: u64 = 20 << 20;

/// Writes one record.
pub(crate) fn write(out: &mut impl Write, item: &[u8]) -> io::Result<()> {
    let mut framed = Vec::with_capacity(item.len() + 9);
    cbor::write_bytes(&mut framed, item);
    out.write_all(&framed)
}

/// The next record; nothing at the end. What is wrong with it is said in words.
pub(crate) fn read(from: &mut impl Read) -> Result<Option<Disclosed>, String> {
    let Some(len) = length(from)? else { return Ok(None) };
    let mut item = Vec::new();
    from.take(len).read_to_end(&mut item).map_err(|error| error.to_string())?;
    if item.len() as u64 != len {
        return Err("the file ends within a record".to_owned());
    }
    Disclosed::read(&item).map(Some).map_err(|error| error.to_string())
}

/// The head of a byte string, in its shortest form.
fn length(from: &mut impl Read) -> Result<Option<u64>, String> {
    let mut head = [0; 9];
    let first = from.read(&mut head[..1]).map_err(|error| error.to_string())?;
    if first == 0 {
        return Ok(None);
    }
    let more = match head[0] {
        0x40..=0x57 => 0,
        0x58 => 1,
        0x59 => 2,
        0x5a => 4,
        _ => return Err("what stands there is no record".to_owned()),
    };
    from.read_exact(&mut head[1..=more]).map_err(|_| "the file ends within a record".to_owned())?;
    let argument = head[1..=more].iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    let len = if more == 0 { u64::from(head[0] - 0x40) } else { argument };
    let shortest = match more {
        0 => true,
        1 => len >= 24,
        2 => len > 0xff,
        _ => len > 0xffff,
    };
    if !shortest || len > RECORD_BYTES_MAX {
        return Err(format!("a record of {len} bytes is too long, or its length is not in the shortest form"));
    }
    Ok(Some(len))
}

/// Every record of a file's bytes, read and written again: what fuzzing holds the reader against.
#[doc(hidden)]
pub fn reread(mut bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    while let Some(record) = read(&mut bytes)? {
        let mut item = Vec::new();
        record.write(&mut item);
        write(&mut out, &item).map_err(|error| error.to_string())?;
    }
    Ok(out)
}
