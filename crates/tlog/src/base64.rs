//! RFC 4648 section 4 base64 in its one canonical spelling.
//!
//! Non-canonical spellings (missing padding, stray trailing bits) are refused: two texts for one value would let a
//! note or proof be altered without its meaning changing.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Encodes with padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Decodes, or `None` for anything that [`encode`] would not have written.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_every_spelling_but_one() {
        assert_eq!(decode("AA==").unwrap(), [0]);
        for bad in ["AA", "AA=", "AB==", "AA==\n", " AA==", "AA==AA==", "A-_A", "AAA=="] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
    }
}
