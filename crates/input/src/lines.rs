//! Lines, in memory that does not grow with them.

use std::io::{self, BufRead};

use super::{Piece, too_long};

/// The lines of a text that are not blank.
pub struct Lines {
    bytes: Box<dyn BufRead>,
    max: usize,
    number: u64,
    line: Vec<u8>,
}

impl Lines {
    pub fn new(bytes: Box<dyn BufRead>, max: usize) -> Self {
        Lines { bytes, max, number: 0, line: Vec::new() }
    }

    pub fn next(&mut self) -> io::Result<Piece<'_>> {
        loop {
            self.line.clear();
            let Some(length) = self.read_line()? else { return Ok(None) };
            self.number += 1;
            if length > self.max {
                return Ok(Some((self.number, Err(too_long("the line", self.max)))));
            }
            if !self.line.trim_ascii().is_empty() {
                let from = if self.number == 1 && self.line.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
                return Ok(Some((self.number, Ok(&self.line[from..]))));
            }
        }
    }

    /// Reads a line and keeps as much of it as is allowed. Its length, or nothing at the end.
    fn read_line(&mut self) -> io::Result<Option<usize>> {
        let mut length = 0;
        loop {
            let ahead = self.bytes.fill_buf()?;
            if ahead.is_empty() {
                return Ok((length > 0).then_some(length));
            }
            let end = ahead.iter().position(|byte| *byte == b'\n');
            let part = &ahead[..end.unwrap_or(ahead.len())];
            length += part.len();
            if length <= self.max {
                self.line.extend_from_slice(part);
            }
            let taken = part.len() + usize::from(end.is_some());
            self.bytes.consume(taken);
            if end.is_some() {
                return Ok(Some(length));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_told_and_skipped_and_blank_ones_only_counted() {
        let text = io::Cursor::new(b"\xef\xbb\xbfone\n\n  \nmuch too long\nfour\r\nlast".to_vec());
        let mut lines = Lines::new(Box::new(io::BufReader::with_capacity(3, text)), 8);
        let mut seen = Vec::new();
        while let Some((number, line)) = lines.next().unwrap() {
            seen.push((number, line.map(|line| String::from_utf8_lossy(line).into_owned()).map_err(|_| ())));
        }
        let line = |number, text: &str| (number, Ok(text.to_owned()));
        assert_eq!(seen, [line(1, "one"), (4, Err(())), line(5, "four\r"), line(6, "last")]);
    }
}
