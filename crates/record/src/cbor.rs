//! Deterministic CBOR: the canonical bytes of every part of a record.
//!
//! RFC 8949 section 4.2.1 (definite lengths, shortest forms, map keys in bytewise order of their encoding, no
//! duplicate keys) with the numeric reduction of draft-mcnally-deterministic-cbor: a whole float that `i64` or `u64`
//! holds is that integer, `-0.0` is `0`, and there is one NaN (`f9 7e 00`). So `1`, `1.0` and `1e0` have one form,
//! whichever client sent them and whichever column type held them.
//!
//! Map keys are text. The one tag is [`BLOB_TAG`].

use half::f16;

/// The tag of a blob reference: `[digest (32 bytes), size (bytes), media type (text)]`. ASCII `onrb`, from the
/// first-come-first-served range of the IANA registry.
pub const BLOB_TAG: u64 = 0x6f6e_7262;

const MAJOR_UNSIGNED: u8 = 0;
const MAJOR_NEGATIVE: u8 = 1;
const MAJOR_BYTES: u8 = 2;
const MAJOR_TEXT: u8 = 3;
const MAJOR_ARRAY: u8 = 4;
const MAJOR_MAP: u8 = 5;
const MAJOR_TAG: u8 = 6;
const MAJOR_SIMPLE: u8 = 7;

/// Null.
const NULL: u8 = 0xf6;

/// The one NaN.
const NAN: [u8; 3] = [0xf9, 0x7e, 0x00];

/// Nesting that [`Reader::skip`] follows before it gives up; far above every limit a record can be configured to.
const SKIP_DEPTH_MAX: usize = 128;

/// Why bytes are not canonical CBOR. Every variant carries the byte offset of the fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CborError {
    /// The bytes end inside an item.
    #[error("the bytes end inside an item that began before byte {0}")]
    Truncated(usize),
    /// An integer, length or float is not in its shortest form.
    #[error("byte {0}: not the shortest form")]
    NotShortest(usize),
    /// An indefinite length, a reserved head or a simple value that has no meaning here.
    #[error("byte {0}: a form that canonical CBOR does not have (indefinite length or reserved value)")]
    Unsupported(usize),
    /// Map keys are not in bytewise order of their encoding, or one is there twice.
    #[error("byte {0}: a map key out of order or there twice")]
    KeyOrder(usize),
    /// A map key that is not text.
    #[error("byte {0}: a map key that is not text")]
    KeyType(usize),
    /// A text string that is not UTF-8.
    #[error("byte {0}: text that is not UTF-8")]
    Utf8(usize),
    /// A negative integer below the range of `i64`.
    #[error("byte {0}: an integer below -9223372036854775808")]
    IntegerRange(usize),
    /// A tag that a record does not have, or a known tag around the wrong content.
    #[error("byte {0}: tag {1} is not one that a record has")]
    Tag(usize, u64),
    /// Bytes remain after the item.
    #[error("byte {0}: bytes after the end of the item")]
    Trailing(usize),
    /// Nested deeper than any record may be.
    #[error("byte {0}: nested deeper than {SKIP_DEPTH_MAX}")]
    Depth(usize),
    /// Another type was expected here.
    #[error("byte {0}: expected {1}")]
    Expected(usize, &'static str),
}

/// A number in reduced form.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// An integer in the range of `i64`.
    Int(i64),
    /// An integer above `i64::MAX`.
    UInt(u64),
    /// A float that is no integer in the range of `i64` or `u64`: fractions, large values, infinities, NaN.
    Float(f64),
}

impl Number {
    /// Reduces a float: whole values that `i64` or `u64` holds become integers, every NaN becomes one.
    #[inline]
    pub fn from_f64(value: f64) -> Self {
        const TWO_63: f64 = 9_223_372_036_854_775_808.0;
        const TWO_64: f64 = 18_446_744_073_709_551_616.0;
        // The casts saturate, so the ends of the ranges are held apart by the comparisons before them.
        if value < TWO_63 && value as i64 as f64 == value {
            Number::Int(value as i64)
        } else if (TWO_63..TWO_64).contains(&value) {
            Number::UInt(value as u64) // Every float of this size is whole.
        } else if value.is_nan() {
            Number::Float(f64::NAN)
        } else {
            Number::Float(value)
        }
    }

    /// Reduces an unsigned integer.
    #[inline]
    pub fn from_u64(value: u64) -> Self {
        i64::try_from(value).map_or(Number::UInt(value), Number::Int)
    }

    /// The `f64` that reduces to exactly this number, if there is one. This is what decides whether a number may
    /// stand in a floating-point column.
    #[inline]
    pub fn as_exact_f64(self) -> Option<f64> {
        let float = match self {
            Number::Int(i) => i as f64,
            Number::UInt(u) => u as f64,
            Number::Float(f) => return Some(f),
        };
        (Number::from_f64(float) == self).then_some(float)
    }
}

#[inline]
fn write_head(out: &mut Vec<u8>, major: u8, value: u64) {
    if value < 24 {
        out.push(major << 5 | value as u8);
    } else {
        write_long_head(out, major << 5, value);
    }
}

fn write_long_head(out: &mut Vec<u8>, major: u8, value: u64) {
    if value <= 0xff {
        out.extend_from_slice(&[major | 24, value as u8]);
    } else if value <= 0xffff {
        let b = (value as u16).to_be_bytes();
        out.extend_from_slice(&[major | 25, b[0], b[1]]);
    } else if value <= 0xffff_ffff {
        let b = (value as u32).to_be_bytes();
        out.extend_from_slice(&[major | 26, b[0], b[1], b[2], b[3]]);
    } else {
        out.push(major | 27);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Appends an unsigned integer.
#[inline]
pub fn write_u64(out: &mut Vec<u8>, value: u64) {
    write_head(out, MAJOR_UNSIGNED, value);
}

/// Appends a signed integer.
#[inline]
pub fn write_i64(out: &mut Vec<u8>, value: i64) {
    if value >= 0 {
        write_head(out, MAJOR_UNSIGNED, value as u64);
    } else {
        write_head(out, MAJOR_NEGATIVE, !(value as u64));
    }
}

/// Appends a float, reduced and in its shortest form.
#[inline]
pub fn write_f64(out: &mut Vec<u8>, value: f64) {
    write_number(out, Number::from_f64(value));
}

/// Appends a reduced number in its shortest form.
#[inline]
pub fn write_number(out: &mut Vec<u8>, number: Number) {
    match number {
        Number::Int(i) => write_i64(out, i),
        Number::UInt(u) => write_u64(out, u),
        Number::Float(f) => write_float(out, f),
    }
}

#[inline]
fn write_float(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(&NAN);
        return;
    }
    let single = value as f32;
    if f64::from(single).to_bits() != value.to_bits() {
        out.push(0xfb);
        out.extend_from_slice(&value.to_be_bytes());
        return;
    }
    let half = f16::from_f32(single);
    if half.to_f32().to_bits() == single.to_bits() {
        out.push(0xf9);
        out.extend_from_slice(&half.to_be_bytes());
    } else {
        out.push(0xfa);
        out.extend_from_slice(&single.to_be_bytes());
    }
}

/// Appends a text string.
#[inline]
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    write_head(out, MAJOR_TEXT, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Appends a byte string.
#[inline]
pub fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_head(out, MAJOR_BYTES, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a boolean.
#[inline]
pub fn write_bool(out: &mut Vec<u8>, value: bool) {
    out.push(if value { 0xf5 } else { 0xf4 });
}

/// Appends null.
#[inline]
pub fn write_null(out: &mut Vec<u8>) {
    out.push(NULL);
}

/// Appends the head of an array of `len` items; the items follow.
#[inline]
pub fn write_array_head(out: &mut Vec<u8>, len: usize) {
    write_head(out, MAJOR_ARRAY, len as u64);
}

/// Appends the head of a map of `len` entries; the entries follow in key order.
#[inline]
pub fn write_map_head(out: &mut Vec<u8>, len: usize) {
    write_head(out, MAJOR_MAP, len as u64);
}

/// The head of a map of less than 24 entries.
#[inline]
pub(crate) fn short_map_head(len: usize) -> u8 {
    MAJOR_MAP << 5 | len as u8
}

/// Appends the head of a tag; the tagged item follows.
#[inline]
pub fn write_tag_head(out: &mut Vec<u8>, tag: u64) {
    write_head(out, MAJOR_TAG, tag);
}

/// The order of two text keys in a canonical map: bytewise order of their encodings, which is by length, then by
/// bytes.
#[inline]
pub fn key_order(a: &str, b: &str) -> std::cmp::Ordering {
    a.len().cmp(&b.len()).then_with(|| a.as_bytes().cmp(b.as_bytes()))
}

/// One item, or the head of one that holds others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Item<'a> {
    /// A number in reduced form.
    Number(Number),
    /// A byte string.
    Bytes(&'a [u8]),
    /// A text string.
    Text(&'a str),
    /// An array of so many items.
    Array(usize),
    /// A map of so many entries.
    Map(usize),
    /// A tag; its content is the next item.
    Tag(u64),
    /// A boolean.
    Bool(bool),
    /// Null.
    Null,
}

/// How strictly bytes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// Only canonical bytes: what OnRecord wrote.
    Canonical,
    /// Any well-formed CBOR of a sender: longer forms and any key order are fine, and reduced on the way in.
    /// Indefinite lengths are refused in both.
    Lenient,
}

/// Reads items one after another without allocating. Each call checks that the item's own form is canonical; the
/// order of map keys is checked by [`Reader::skip`] and by whoever walks the map.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    strictness: Strictness,
}

impl<'a> Reader<'a> {
    /// A strict reader over canonical bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, strictness: Strictness::Canonical }
    }

    /// A reader over a sender's bytes.
    pub fn lenient(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, strictness: Strictness::Lenient }
    }

    /// Offset of the next item, in bytes.
    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }

    /// Whether nothing is left.
    pub fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// An error unless nothing is left.
    pub fn expect_end(&self) -> Result<(), CborError> {
        if self.is_at_end() { Ok(()) } else { Err(CborError::Trailing(self.at)) }
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8], CborError> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(CborError::Truncated(self.at))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    #[inline]
    fn argument(&mut self, info: u8, start: usize) -> Result<u64, CborError> {
        let (value, least) = match info {
            0..=23 => return Ok(u64::from(info)),
            24 => (u64::from(self.take(1)?[0]), 24),
            25 => (be(self.take(2)?), 0x100),
            26 => (be(self.take(4)?), 0x1_0000),
            27 => (be(self.take(8)?), 0x1_0000_0000),
            _ => return Err(CborError::Unsupported(start)),
        };
        if value < least && self.strictness == Strictness::Canonical {
            return Err(CborError::NotShortest(start));
        }
        Ok(value)
    }

    /// The next item, or the head of it.
    #[inline]
    pub fn next_item(&mut self) -> Result<Item<'a>, CborError> {
        let start = self.at;
        let head = self.take(1)?[0];
        let (major, info) = (head >> 5, head & 0x1f);
        if major == MAJOR_SIMPLE {
            return self.simple(info, start);
        }
        let argument = self.argument(info, start)?;
        Ok(match major {
            MAJOR_UNSIGNED => Item::Number(Number::from_u64(argument)),
            MAJOR_NEGATIVE => {
                let value = i64::try_from(argument).map_err(|_| CborError::IntegerRange(start))?;
                Item::Number(Number::Int(!value))
            }
            MAJOR_BYTES => Item::Bytes(self.take(length(argument, start)?)?),
            MAJOR_TEXT => {
                let bytes = self.take(length(argument, start)?)?;
                Item::Text(std::str::from_utf8(bytes).map_err(|_| CborError::Utf8(start))?)
            }
            MAJOR_ARRAY => Item::Array(self.count(argument, 1, start)?),
            MAJOR_MAP => Item::Map(self.count(argument, 2, start)?),
            _ => Item::Tag(argument),
        })
    }

    /// A count that the bytes left could hold, so that nobody reserves memory for a lie.
    fn count(&self, argument: u64, bytes_each: usize, start: usize) -> Result<usize, CborError> {
        let count = length(argument, start)?;
        if count.saturating_mul(bytes_each) > self.bytes.len() - self.at {
            return Err(CborError::Truncated(start));
        }
        Ok(count)
    }

    fn simple(&mut self, info: u8, start: usize) -> Result<Item<'a>, CborError> {
        let float = match info {
            20 => return Ok(Item::Bool(false)),
            21 => return Ok(Item::Bool(true)),
            22 => return Ok(Item::Null),
            25 => f64::from(f16::from_bits(be(self.take(2)?) as u16)),
            26 => f64::from(f32::from_bits(be(self.take(4)?) as u32)),
            27 => f64::from_bits(be(self.take(8)?)),
            _ => return Err(CborError::Unsupported(start)),
        };
        let number = Number::from_f64(float);
        if self.strictness == Strictness::Canonical && !is_shortest(number, info, &self.bytes[start..self.at]) {
            return Err(CborError::NotShortest(start));
        }
        Ok(Item::Number(number))
    }

    /// Steps over one whole item, checks that it is canonical all through, and returns its bytes.
    pub fn skip(&mut self) -> Result<&'a [u8], CborError> {
        let start = self.at;
        self.skip_nested(0)?;
        Ok(&self.bytes[start..self.at])
    }

    fn skip_nested(&mut self, depth: usize) -> Result<(), CborError> {
        if depth > SKIP_DEPTH_MAX {
            return Err(CborError::Depth(self.at));
        }
        let start = self.at;
        if self.next_text()?.is_some() {
            return Ok(());
        }
        match self.next_item()? {
            Item::Array(len) => {
                for _ in 0..len {
                    self.skip_nested(depth + 1)?;
                }
            }
            Item::Map(len) => {
                let mut keys = KeyOrder::default();
                for _ in 0..len {
                    self.next_key_bytes(&mut keys)?;
                    self.skip_nested(depth + 1)?;
                }
            }
            Item::Tag(BLOB_TAG) => {
                self.blob_body(start)?;
            }
            Item::Tag(tag) => return Err(CborError::Tag(start, tag)),
            _ => {}
        }
        Ok(())
    }

    /// Takes a text string, if that is next, as bytes that are UTF-8. Most are short and ASCII, which is quicker to
    /// see than what a `str` takes.
    #[inline]
    pub fn next_text(&mut self) -> Result<Option<&'a [u8]>, CborError> {
        let start = self.at;
        let Some(head) = self.bytes.get(start).filter(|head| *head >> 5 == MAJOR_TEXT) else { return Ok(None) };
        self.at += 1;
        let len = self.argument(head & 0x1f, start)?;
        let bytes = self.take(length(len, start)?)?;
        if is_ascii(bytes) || std::str::from_utf8(bytes).is_ok() {
            Ok(Some(bytes))
        } else {
            Err(CborError::Utf8(start))
        }
    }

    /// Steps over `encoded`, the bytes of a whole item, if they are next.
    #[inline]
    pub fn skip_encoded(&mut self, encoded: &[u8]) -> bool {
        let is_next = self.bytes[self.at..].starts_with(encoded);
        self.at += if is_next { encoded.len() } else { 0 };
        is_next
    }

    /// Steps over a null, if that is next.
    #[inline]
    pub(crate) fn skip_null(&mut self) -> bool {
        let is_null = self.bytes.get(self.at) == Some(&NULL);
        self.at += usize::from(is_null);
        is_null
    }

    /// The next key of a map; `keys` remembers the one before, and the order is checked in a strict reader.
    #[inline]
    pub fn next_key(&mut self, keys: &mut KeyOrder<'a>) -> Result<&'a str, CborError> {
        let start = self.at;
        std::str::from_utf8(self.next_key_bytes(keys)?).map_err(|_| CborError::Utf8(start))
    }

    /// The same, as bytes that are UTF-8.
    #[inline]
    pub fn next_key_bytes(&mut self, keys: &mut KeyOrder<'a>) -> Result<&'a [u8], CborError> {
        let start = self.at;
        let Some(key) = self.next_text()? else {
            return Err(self.next_item().err().unwrap_or(CborError::KeyType(start)));
        };
        let in_order = keys.last.is_none_or(|last| (last.len(), last) < (key.len(), key));
        if !in_order && self.strictness == Strictness::Canonical {
            return Err(CborError::KeyOrder(start));
        }
        keys.last = Some(key);
        Ok(key)
    }

    /// The content of a blob tag whose head was just read: digest, size in bytes, media type.
    pub fn blob_body(&mut self, start: usize) -> Result<(&'a [u8; 32], u64, &'a str), CborError> {
        let wrong = CborError::Tag(start, BLOB_TAG);
        let Item::Array(3) = self.next_item()? else { return Err(wrong) };
        let Item::Bytes(digest) = self.next_item()? else { return Err(wrong) };
        let Ok(digest) = <&[u8; 32]>::try_from(digest) else { return Err(wrong) };
        let size = match self.next_item()? {
            Item::Number(Number::Int(size)) if size >= 0 => size as u64,
            Item::Number(Number::UInt(size)) => size,
            _ => return Err(wrong),
        };
        let Item::Text(media_type) = self.next_item()? else { return Err(wrong) };
        Ok((digest, size, media_type))
    }
}

/// Remembers the last key of a map while it is walked.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeyOrder<'a> {
    last: Option<&'a [u8]>,
}

/// Checks that the bytes are one canonical item and nothing else.
pub fn validate(bytes: &[u8]) -> Result<(), CborError> {
    let mut reader = Reader::new(bytes);
    reader.skip()?;
    reader.expect_end()
}

/// Whether the bytes, a float of 2, 4 or 8 bytes (`info` 25, 26, 27), are how this number is written.
#[inline]
fn is_shortest(number: Number, info: u8, bytes: &[u8]) -> bool {
    let Number::Float(value) = number else { return false };
    if value.is_nan() {
        return bytes == NAN;
    }
    let single = value as f32;
    let fits_single = f64::from(single).to_bits() == value.to_bits();
    match info {
        25 => true,
        26 => f16::from_f32(single).to_f32().to_bits() != single.to_bits(),
        _ => !fits_single,
    }
}

/// Like the method of slices, and quicker for the ten or twenty bytes that keys and texts mostly have: the last eight
/// bytes are looked at once more than needed rather than one by one.
#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    let Some(last) = bytes.last_chunk::<8>() else {
        return bytes.iter().fold(0, |all, byte| all | byte) < 0x80;
    };
    let all =
        bytes.as_chunks::<8>().0.iter().fold(u64::from_ne_bytes(*last), |all, chunk| all | u64::from_ne_bytes(*chunk));
    all & 0x8080_8080_8080_8080 == 0
}

#[inline]
fn be(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[inline]
fn length(argument: u64, start: usize) -> Result<usize, CborError> {
    usize::try_from(argument).map_err(|_| CborError::Truncated(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(value: f64) -> Vec<u8> {
        let mut out = Vec::new();
        write_f64(&mut out, value);
        out
    }

    /// RFC 8949 appendix A and the dCBOR draft's numeric test vectors.
    #[test]
    fn numbers_take_the_shortest_reduced_form() {
        for (value, hex) in [
            (0.0, "00"),
            (-0.0, "00"),
            (1.0, "01"),
            (1.1, "fb3ff199999999999a"),
            (1.5, "f93e00"),
            (65504.0, "19ffe0"),
            (100000.0, "1a000186a0"),
            (3.4028234663852886e+38, "fa7f7fffff"),
            (1.0e+300, "fb7e37e43c8800759c"),
            (5.960464477539063e-8, "f90001"),
            (0.00006103515625, "f90400"),
            (-4.0, "23"),
            (-4.1, "fbc010666666666666"),
            (f64::INFINITY, "f97c00"),
            (f64::NEG_INFINITY, "f9fc00"),
            (f64::NAN, "f97e00"),
            (-f64::NAN, "f97e00"),
            (9223372036854774784.0, "1b7ffffffffffffc00"),
            (9223372036854775808.0, "1b8000000000000000"),
            (18446744073709549568.0, "1bfffffffffffff800"),
            (18446744073709551616.0, "fa5f800000"),
            (-9223372036854775808.0, "3b7fffffffffffffff"),
            (-9223372036854777856.0, "fbc3e0000000000001"),
        ] {
            let hex_got: String = float(value).iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(hex_got, hex, "{value}");
            assert_eq!(validate(&float(value)), Ok(()));
        }
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        for (bytes, error) in [
            (&[0x18, 0x01][..], CborError::NotShortest(0)),
            (&[0xf9, 0x3c, 0x00], CborError::NotShortest(0)),
            (&[0xfa, 0x7f, 0xc0, 0, 0], CborError::NotShortest(0)),
            (&[0xf9, 0x80, 0x00], CborError::NotShortest(0)),
            (&[0x9f, 0xff], CborError::Unsupported(0)),
            (&[0xa2, 0x61, b'b', 0x01, 0x61, b'a', 0x02], CborError::KeyOrder(4)),
            (&[0xa2, 0x61, b'a', 0x01, 0x61, b'a', 0x02], CborError::KeyOrder(4)),
            (&[0xa1, 0x01, 0x01], CborError::KeyType(1)),
            (&[0x61, 0xff], CborError::Utf8(0)),
            (&[0xc1, 0x01], CborError::Tag(0, 1)),
            (&[0x3b, 0x80, 0, 0, 0, 0, 0, 0, 0], CborError::IntegerRange(0)),
            (&[0x01, 0x01], CborError::Trailing(1)),
            (&[0x9a, 0xff, 0xff, 0xff, 0xff], CborError::Truncated(0)),
            (&[0xf7], CborError::Unsupported(0)),
            (&[], CborError::Truncated(0)),
        ] {
            assert_eq!(validate(bytes), Err(error), "{bytes:02x?}");
        }
    }

    #[test]
    fn text_is_checked_at_every_length() {
        for len in 1..40 {
            for at in 0..len {
                let mut text = vec![b'a'; len];
                assert!(is_ascii(&text));
                text[at] = 0xc3;
                assert!(!is_ascii(&text), "{at} of {len}");
                let mut bytes = Vec::new();
                write_head(&mut bytes, MAJOR_TEXT, len as u64);
                bytes.extend_from_slice(&text);
                assert_eq!(validate(&bytes), Err(CborError::Utf8(0)));
            }
        }
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_overflow() {
        let bytes = vec![0x81; 100_000];
        assert!(matches!(validate(&bytes), Err(CborError::Depth(_))));
    }
}
