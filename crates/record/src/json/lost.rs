//! What JSON readers lose: bare words that stand for numbers, and the last digits of large integers.

use crate::build::shorten;

pub(super) fn is_huge(value: f64) -> bool {
    value.abs() >= 9_223_372_036_854_775_808.0 && value.is_finite()
}

/// The tokens outside strings of a JSON text, roughly: runs of letters, digits, signs and dots.
fn bare_tokens(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            let start = at;
            match bytes[at] {
                b'"' => {
                    at += 1;
                    while at < bytes.len() && bytes[at] != b'"' {
                        at += if bytes[at] == b'\\' { 2 } else { 1 };
                    }
                    at += 1;
                }
                byte if is_bare(byte) => {
                    while at < bytes.len() && is_bare(bytes[at]) {
                        at += 1;
                    }
                    return Some((start, &text[start..at]));
                }
                _ => at += 1,
            }
        }
        None
    })
}

fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')
}

/// A text with its bare `NaN`, `Infinity` and `-Infinity` written as `$f64` forms.
pub(super) struct Spelled {
    pub(super) text: String,
    /// Where each form begins in `text`, and how long the bare word was.
    forms: Vec<(usize, usize)>,
}

impl Spelled {
    const BEFORE: &str = "{\"$f64\":\"";
    const AFTER: &str = "\"}";

    /// Nothing if the text has no such word.
    pub(super) fn new(text: &str) -> Option<Spelled> {
        let mut spelled = Spelled { text: String::new(), forms: Vec::new() };
        let mut done = 0;
        for (start, token) in bare_tokens(text) {
            if matches!(token, "NaN" | "Infinity" | "-Infinity") {
                spelled.text.push_str(&text[done..start]);
                spelled.forms.push((spelled.text.len(), token.len()));
                [Self::BEFORE, token, Self::AFTER].into_iter().for_each(|piece| spelled.text.push_str(piece));
                done = start + token.len();
            }
        }
        spelled.text.push_str(&text[done..]);
        (!spelled.forms.is_empty()).then_some(spelled)
    }

    /// The column of the text as it was sent, from one of the spelled text; lines are the same in both.
    pub(super) fn column_as_sent(&self, line: usize, column: usize) -> usize {
        let line_start: usize = self.text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        let place = line_start + column;
        let added = Self::BEFORE.len() + Self::AFTER.len();
        let before = self.forms.iter().filter(|(start, _)| (line_start..place).contains(start));
        let excess = before.map(|(start, len)| added.min(place - start).min(added + len)).sum();
        column.saturating_sub(excess)
    }
}

/// An integer that a JSON reader hands over as a float, its last digits lost.
pub(super) struct LostInteger {
    /// As how many-th huge number the visitor meets it, from 0.
    pub(super) ordinal: usize,
    pub(super) digits: String,
}

/// The first integer that 64 bits do not hold.
pub(super) fn lost_integer(text: &str) -> Option<LostInteger> {
    let handed_over_as_integer = |token: &str| token.parse::<u64>().is_ok() || token.parse::<i64>().is_ok();
    bare_tokens(text)
        .map(|(_, token)| token)
        .filter(|token| token.parse().is_ok_and(is_huge) && !handed_over_as_integer(token))
        .enumerate()
        .find(|(_, token)| !token.contains(['.', 'e', 'E']))
        .map(|(ordinal, token)| LostInteger { ordinal, digits: shorten(token) })
}
