//! The items of a CBOR sequence (RFC 8742).

use std::io::{self, BufRead};

use record::cbor::{CborError, Reader};

use super::{Piece, too_long};

/// The items of a sequence.
pub struct Items {
    bytes: Box<dyn BufRead>,
    max: usize,
    number: u64,
    /// What has been read; the items in front of `at` are done with.
    ahead: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Items {
    pub fn new(bytes: Box<dyn BufRead>, max: usize) -> Self {
        Items { bytes, max, number: 0, ahead: Vec::new(), at: 0, ended: false }
    }

    /// The next item. After a fault there is none: nothing says where the next one would begin.
    pub fn next(&mut self) -> io::Result<Piece<'_>> {
        if self.ended || (self.at == self.ahead.len() && !self.read_on()?) {
            return Ok(None);
        }
        self.number += 1;
        loop {
            let rest = &self.ahead[self.at..];
            let (waiting, cut) = (rest.len(), Reader::lenient(rest).skip().map(<[u8]>::len));
            let fault = match cut {
                Ok(length) => {
                    let start = self.at;
                    self.at += length;
                    return Ok(Some((self.number, Ok(&self.ahead[start..start + length]))));
                }
                Err(CborError::Truncated(_)) if waiting > self.max => too_long("the record", self.max),
                Err(CborError::Truncated(_)) if self.read_on()? => continue,
                Err(CborError::Truncated(_)) => "the file ends inside this record".to_owned(),
                Err(error) => format!("not valid CBOR: {error}"),
            };
            self.ended = true;
            return Ok(Some((self.number, Err(format!("{fault}; nothing after it can be read")))));
        }
    }

    /// Reads what is ready, waiting only if nothing is; whether anything came.
    fn read_on(&mut self) -> io::Result<bool> {
        self.ahead.drain(..self.at);
        self.at = 0;
        let ready = self.bytes.fill_buf()?;
        let length = ready.len();
        self.ahead.extend_from_slice(ready);
        self.bytes.consume(length);
        Ok(length > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_cut_out_until_a_fault() {
        let mut long = vec![0x5a, 0, 2, 0, 0];
        long.resize(long.len() + 0x20000, 7);
        let bytes = [&[0xa0, 0x01][..], &long, &[0x62, b'a']].concat();
        let mut items = Items::new(Box::new(io::Cursor::new(bytes)), 1 << 20);
        let mut seen = Vec::new();
        while let Some((number, item)) = items.next().unwrap() {
            seen.push((number, item.map(<[u8]>::len).map_err(|_| ())));
        }
        assert_eq!(seen, [(1, Ok(1)), (2, Ok(1)), (3, Ok(0x20005)), (4, Err(()))]);
    }
}
