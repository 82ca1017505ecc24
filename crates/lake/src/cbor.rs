//! Canonical CBOR at the level of bytes: just enough to take a section apart and to put it together again
//! without building a tree of values.
//!
//! `record` owns the format and its rules (RFC 8949 section 4.2.1 with numeric reduction). What is read here was
//! either checked by it before, or comes back from storage, where the digest decides; so these functions never
//! panic and never trust a length, but they do not judge canonicity.

/// Nesting that a reader follows before it gives up: the hard limit of a section's depth with room for its wrapper.
pub(crate) const DEPTH_MAX: usize = 64;

/// Major types, the upper three bits of an item's first byte.
pub(crate) const UNSIGNED: u8 = 0;
pub(crate) const NEGATIVE: u8 = 1;
pub(crate) const BYTES: u8 = 2;
pub(crate) const TEXT: u8 = 3;
pub(crate) const ARRAY: u8 = 4;
pub(crate) const MAP: u8 = 5;
pub(crate) const TAG: u8 = 6;
pub(crate) const SIMPLE: u8 = 7;

const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;

/// The first byte of an item and the number that follows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub major: u8,
    /// The low five bits; tells a float's width apart from a simple value.
    pub info: u8,
    pub arg: u64,
    /// Bytes that the head takes.
    pub len: usize,
}

/// Reads the head of the item at the start of `bytes`.
#[inline]
pub(crate) fn head(bytes: &[u8]) -> Option<Head> {
    let first = *bytes.first()?;
    let (major, info) = (first >> 5, first & 0x1f);
    let (arg, len) = match info {
        0..=23 => (u64::from(info), 1),
        24 => (u64::from(*bytes.get(1)?), 2),
        25 => (u64::from(u16::from_be_bytes(*bytes.get(1..)?.first_chunk()?)), 3),
        26 => (u64::from(u32::from_be_bytes(*bytes.get(1..)?.first_chunk()?)), 5),
        27 => (u64::from_be_bytes(*bytes.get(1..)?.first_chunk()?), 9),
        _ => return None,
    };
    Some(Head { major, info, arg, len })
}

/// Splits the first whole item off `bytes`: (item, what follows it).
pub(crate) fn item(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = item_len(bytes, DEPTH_MAX)?;
    bytes.split_at_checked(len)
}

fn item_len(bytes: &[u8], depth: usize) -> Option<usize> {
    let h = head(bytes)?;
    let children = match h.major {
        UNSIGNED | NEGATIVE | SIMPLE => return Some(h.len),
        BYTES | TEXT => return h.len.checked_add(usize::try_from(h.arg).ok()?).filter(|&n| n <= bytes.len()),
        ARRAY => h.arg,
        MAP => h.arg.checked_mul(2)?,
        _ => 1,
    };
    let depth = depth.checked_sub(1)?;
    let mut at = h.len;
    // Each child takes at least one byte, so a false count ends here rather than in a long loop.
    for _ in 0..children {
        at += item_len(bytes.get(at..)?, depth)?;
    }
    Some(at)
}

/// The entries of a map in their stored order: encoded key (head and text) and value.
pub(crate) struct Entries<'a> {
    rest: &'a [u8],
    left: u64,
}

impl<'a> Entries<'a> {
    /// The entries of `map`, or `None` if it is no map.
    pub(crate) fn of(map: &'a [u8]) -> Option<Self> {
        let h = head(map).filter(|h| h.major == MAP)?;
        Some(Self { rest: map.get(h.len..)?, left: h.arg })
    }

    /// Entries not read yet.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// The next entry; `Err` if the bytes end before the map does.
    #[inline]
    pub(crate) fn next_entry(&mut self) -> Result<Option<(&'a [u8], &'a [u8])>, Truncated> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let (key, rest) = item(self.rest).ok_or(Truncated)?;
        let (value, rest) = item(rest).ok_or(Truncated)?;
        self.rest = rest;
        Ok(Some((key, value)))
    }
}

/// Bytes that are no CBOR, or end too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Truncated;

/// The text of a text item.
#[inline]
pub(crate) fn text(item: &[u8]) -> Option<&str> {
    let h = head(item).filter(|h| h.major == TEXT)?;
    std::str::from_utf8(item.get(h.len..)?).ok()
}

/// The bytes of a byte-string item.
pub(crate) fn bytes(item: &[u8]) -> Option<&[u8]> {
    let h = head(item).filter(|h| h.major == BYTES)?;
    item.get(h.len..)
}

/// The boolean of an item.
pub(crate) fn boolean(item: &[u8]) -> Option<bool> {
    match item {
        [FALSE] => Some(false),
        [TRUE] => Some(true),
        _ => None,
    }
}

/// The integer of an item, if `i64` holds it.
pub(crate) fn int(item: &[u8]) -> Option<i64> {
    let h = head(item)?;
    match h.major {
        UNSIGNED => i64::try_from(h.arg).ok(),
        NEGATIVE => i64::try_from(h.arg).ok().map(|n| -1 - n),
        _ => None,
    }
}

/// The number of an item, if an `f64` holds it exactly.
#[inline]
pub(crate) fn number(item: &[u8]) -> Option<f64> {
    let h = head(item)?;
    match (h.major, h.info) {
        (UNSIGNED, _) => exact(i128::from(h.arg)),
        (NEGATIVE, _) => exact(-1 - i128::from(h.arg)),
        (SIMPLE, 25) => Some(half_to_f64(h.arg as u16)),
        (SIMPLE, 26) => Some(f64::from(f32::from_bits(h.arg as u32))),
        (SIMPLE, 27) => Some(f64::from_bits(h.arg)),
        _ => None,
    }
}

fn exact(n: i128) -> Option<f64> {
    let f = n as f64;
    (f as i128 == n).then_some(f)
}

fn half_to_f64(bits: u16) -> f64 {
    let exponent = i32::from((bits >> 10) & 0x1f);
    let mantissa = f64::from(bits & 0x3ff);
    let magnitude = match exponent {
        0 => mantissa * 2f64.powi(-24),
        31 if mantissa == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        e => (1024.0 + mantissa) * 2f64.powi(e - 25),
    };
    if bits & 0x8000 != 0 { -magnitude } else { magnitude }
}

/// The half whose value is exactly that of `f`, if there is one.
fn f32_to_half(f: f32) -> Option<u16> {
    let bits = f.to_bits();
    let sign = ((bits >> 16) & 0x8000) as u16;
    let exponent = ((bits >> 23) & 0xff) as i32 - 127;
    let mantissa = bits & 0x7f_ffff;
    match exponent {
        128 if mantissa == 0 => Some(sign | 0x7c00),
        -14..=15 if mantissa & 0x1fff == 0 => Some(sign | (((exponent + 15) as u16) << 10) | (mantissa >> 13) as u16),
        // Below the smallest normal half the implicit one moves into the mantissa.
        -24..=-15 => {
            let full = mantissa | 0x80_0000;
            let shift = (-1 - exponent) as u32;
            (full & ((1 << shift) - 1) == 0).then_some(sign | (full >> shift) as u16)
        }
        _ => None,
    }
}

/// Writes a head in its shortest form.
#[inline]
pub(crate) fn write_head(out: &mut Vec<u8>, major: u8, arg: u64) {
    let top = major << 5;
    if arg < 24 {
        out.push(top | arg as u8);
    } else if let Ok(n) = u8::try_from(arg) {
        out.extend_from_slice(&[top | 24, n]);
    } else if let Ok(n) = u16::try_from(arg) {
        out.push(top | 25);
        out.extend_from_slice(&n.to_be_bytes());
    } else if let Ok(n) = u32::try_from(arg) {
        out.push(top | 26);
        out.extend_from_slice(&n.to_be_bytes());
    } else {
        out.push(top | 27);
        out.extend_from_slice(&arg.to_be_bytes());
    }
}

/// Writes a text item.
#[inline]
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    write_head(out, TEXT, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Writes a byte-string item.
pub(crate) fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_head(out, BYTES, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Writes a boolean item.
pub(crate) fn write_bool(out: &mut Vec<u8>, b: bool) {
    out.push(if b { TRUE } else { FALSE });
}

/// Writes an integer item.
pub(crate) fn write_int(out: &mut Vec<u8>, n: i64) {
    if n < 0 { write_head(out, NEGATIVE, (-1 - n) as u64) } else { write_head(out, UNSIGNED, n as u64) }
}

/// Writes the canonical form of the number `f`: an integer if `i64` or `u64` holds it, else the shortest float.
#[inline]
pub(crate) fn write_number(out: &mut Vec<u8>, f: f64) {
    const TWO_63: f64 = 9_223_372_036_854_775_808.0;
    const TWO_64: f64 = 18_446_744_073_709_551_616.0;
    if f.trunc() == f && (-TWO_63..TWO_64).contains(&f) {
        if f < 0.0 {
            write_head(out, NEGATIVE, (-1 - f as i64) as u64)
        } else {
            write_head(out, UNSIGNED, f as u64)
        }
        return;
    }
    if f.is_nan() {
        out.extend_from_slice(&[0xf9, 0x7e, 0x00]);
        return;
    }
    let single = f as f32;
    if f64::from(single) != f {
        out.push(0xfb);
        out.extend_from_slice(&f.to_bits().to_be_bytes());
    } else if let Some(half) = f32_to_half(single) {
        out.push(0xf9);
        out.extend_from_slice(&half.to_be_bytes());
    } else {
        out.push(0xfa);
        out.extend_from_slice(&single.to_bits().to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(f: f64) -> Vec<u8> {
        let mut out = Vec::new();
        write_number(&mut out, f);
        out
    }

    /// Appendix A of RFC 8949, less the forms that numeric reduction replaces.
    #[test]
    fn numbers_take_their_shortest_form() {
        assert_eq!(written(0.0), [0x00]);
        assert_eq!(written(-0.0), [0x00]);
        assert_eq!(written(1.0), [0x01]);
        assert_eq!(written(-1.0), [0x20]);
        assert_eq!(written(1.5), [0xf9, 0x3e, 0x00]);
        assert_eq!(written(5.960_464_477_539_063e-8), [0xf9, 0x00, 0x01]);
        assert_eq!(written(0.000_061_035_156_25), [0xf9, 0x04, 0x00]);
        assert_eq!(written(65504.0), [0x19, 0xff, 0xe0]);
        assert_eq!(written(-4.1), [0xfb, 0xc0, 0x10, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66]);
        assert_eq!(written(f64::from(3.402_823_5e38_f32)), [0xfa, 0x7f, 0x7f, 0xff, 0xff]);
        assert_eq!(written(f64::INFINITY), [0xf9, 0x7c, 0x00]);
        assert_eq!(written(f64::NEG_INFINITY), [0xf9, 0xfc, 0x00]);
        assert_eq!(written(f64::NAN), [0xf9, 0x7e, 0x00]);
        assert_eq!(written(1.8e19)[0], 0x1b);
        assert_eq!(written(2f64.powi(64)), [0xfa, 0x5f, 0x80, 0x00, 0x00]);
        assert_eq!(written(-(2f64.powi(63)))[0], 0x3b);
    }

    #[test]
    fn every_half_comes_back() {
        for bits in 0..=u16::MAX {
            let f = half_to_f64(bits);
            if f.is_nan() || f.trunc() == f && f.is_finite() {
                continue;
            }
            assert_eq!(written(f), [0xf9, (bits >> 8) as u8, bits as u8], "{bits:#06x}");
        }
    }

    #[test]
    fn only_exact_numbers_are_numbers() {
        let item = |n: u64| {
            let mut out = Vec::new();
            write_head(&mut out, UNSIGNED, n);
            out
        };
        assert_eq!(number(&item(1 << 53)), Some(2f64.powi(53)));
        assert_eq!(number(&item((1 << 53) + 1)), None);
        assert_eq!(number(&item(1 << 60)), Some(2f64.powi(60)));
        assert_eq!(number(&item(u64::MAX)), None);
        assert_eq!(number(&[0xf6]), None);
    }

    #[test]
    fn false_lengths_end_quietly() {
        assert!(item(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_none());
        assert!(item(&[0x7b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_none());
        assert!(item(&[0x81; 1000]).is_none());
        assert!(item(&[0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00]).is_none());
    }
}
