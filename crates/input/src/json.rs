//! JSON values one after the other, or as the elements of one array, cut out without being parsed.

use std::io::{self, BufRead};

use super::{Piece, too_long};

/// The values of a text.
pub struct Elements {
    bytes: Box<dyn BufRead>,
    max: usize,
    line: u64,
    /// Whether they are the elements of an array; not known before the first byte.
    array: Option<bool>,
    ended: bool,
    value: Vec<u8>,
}

impl Elements {
    pub fn new(bytes: Box<dyn BufRead>, max: usize) -> Self {
        Elements { bytes, max, line: 1, array: None, ended: false, value: Vec::new() }
    }

    pub fn next(&mut self) -> io::Result<Piece<'_>> {
        if self.ended {
            return Ok(None);
        }
        let Some(first) = self.after_separators()? else {
            self.ended = true;
            let line = self.line;
            let unclosed = || (line, Err("the array has no end: the file was cut".to_owned()));
            return Ok((self.array == Some(true)).then(unclosed));
        };
        if first == b']' && self.array == Some(true) {
            self.ended = true;
            return Ok(None);
        }
        let line = self.line;
        let length = self.read_value()?;
        if length > self.max {
            return Ok(Some((line, Err(too_long("the record", self.max)))));
        }
        Ok(Some((line, Ok(&self.value))))
    }

    /// The first byte of the next value, which is not taken yet.
    fn after_separators(&mut self) -> io::Result<Option<u8>> {
        while let Some(byte) = self.peek()? {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | 0xef | 0xbb | 0xbf => self.take(byte),
                b',' if self.array == Some(true) => self.take(byte),
                b'[' if self.array.is_none() => {
                    self.take(byte);
                    self.array = Some(true);
                }
                _ => {
                    self.array.get_or_insert(false);
                    return Ok(Some(byte));
                }
            }
        }
        Ok(None)
    }

    /// Takes a value up to its closing bracket, or up to what cannot be part of it. Its length.
    fn read_value(&mut self) -> io::Result<usize> {
        self.value.clear();
        let (mut length, mut depth) = (0, 0usize);
        let (mut in_string, mut escaped) = (false, false);
        while let Some(byte) = self.peek()? {
            let outside = depth == 0 && !in_string;
            if outside && length > 0 && matches!(byte, b',' | b']' | b' ' | b'\t' | b'\r' | b'\n') {
                break;
            }
            self.take(byte);
            length += 1;
            if length <= self.max {
                self.value.push(byte);
            }
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                b'{' | b'[' if !in_string => depth += 1,
                b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && !in_string && matches!(byte, b'}' | b']') {
                break;
            }
        }
        Ok(length)
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.bytes.fill_buf()?.first().copied())
    }

    fn take(&mut self, byte: u8) {
        self.line += u64::from(byte == b'\n');
        self.bytes.consume(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str, max: usize) -> Vec<(u64, Result<String, ()>)> {
        let bytes = io::BufReader::with_capacity(2, io::Cursor::new(text.as_bytes().to_vec()));
        let mut elements = Elements::new(Box::new(bytes), max);
        let mut seen = Vec::new();
        while let Some((line, value)) = elements.next().unwrap() {
            seen.push((line, value.map(|value| String::from_utf8_lossy(value).into_owned()).map_err(|_| ())));
        }
        seen
    }

    #[test]
    fn an_array_a_sequence_and_one_object_are_taken_apart() {
        let ok = |line, text: &str| (line, Ok(text.to_owned()));
        assert_eq!(
            values(r#" [{"a":"]}\""}, {"b":[1,{}]}]"#, 99),
            [ok(1, r#"{"a":"]}\""}"#), ok(1, r#"{"b":[1,{}]}"#)]
        );
        assert_eq!(
            values("{\n\"a\": 1\n}\n{\"b\":2}{}", 99),
            [ok(1, "{\n\"a\": 1\n}"), ok(4, "{\"b\":2}"), ok(4, "{}")]
        );
        assert_eq!(
            values("[\n{\"long\":\"xxxxxxxx\"},\n{}, 7", 9),
            [(2, Err(())), ok(3, "{}"), ok(3, "7"), (3, Err(()))]
        );
        assert_eq!(values("", 9), []);
        assert_eq!(values("[]", 9), []);
    }
}
