//! SHA-256 as RFC 6962 section 2.1 uses it.

use crate::base64;
use sha2::{Digest as _, Sha256};
use std::fmt;

/// A SHA-256 value: a leaf hash, a node hash or a root. Shown as 64 hex digits; formats carry it in base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; Hash::BYTES]);

/// Why bytes or text are no [`struct@Hash`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Not base64 in its canonical spelling.
    #[error("a hash of {chars} characters is not canonical base64")]
    NotBase64 {
        /// Characters in the text.
        chars: usize,
    },
    /// Not 32 bytes.
    #[error("a hash has {bytes} bytes, not 32")]
    WrongLength {
        /// Bytes found.
        bytes: usize,
    },
}

impl Hash {
    /// Bytes in a hash.
    pub const BYTES: usize = 32;

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// Reads canonical base64 of 32 bytes (44 characters).
    pub fn from_base64(text: &str) -> Result<Self, HashError> {
        let bytes = base64::decode(text).ok_or(HashError::NotBase64 { chars: text.chars().count() })?;
        Self::try_from(bytes.as_slice())
    }

    /// Canonical base64 (44 characters).
    pub fn to_base64(&self) -> String {
        base64::encode(&self.0)
    }
}

impl TryFrom<&[u8]> for Hash {
    type Error = HashError;

    fn try_from(bytes: &[u8]) -> Result<Self, HashError> {
        bytes.try_into().map(Self).map_err(|_| HashError::WrongLength { bytes: bytes.len() })
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The hash of a leaf: SHA-256(00 ‖ entry). The prefix keeps a node from being passed off as a leaf (T14).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update([0]).chain_update(entry).finalize().into())
}

/// The hash of an inner node: SHA-256(01 ‖ left ‖ right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    // One update of 65 bytes costs a third less than three small ones, and this is the inner loop of everything.
    let mut message = [1; 1 + 2 * Hash::BYTES];
    message[1..=Hash::BYTES].copy_from_slice(&left.0);
    message[1 + Hash::BYTES..].copy_from_slice(&right.0);
    Hash(Sha256::digest(message).into())
}

/// The root of a tree without leaves: SHA-256 of nothing.
pub fn empty_root() -> Hash {
    Hash(Sha256::digest([]).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        // From RFC 6962 reference data in transparency-dev/merkle.
        assert_eq!(empty_root().to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(leaf_hash(b"").to_string(), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        assert_eq!(
            leaf_hash(b"L123456").to_string(),
            "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
        );
    }

    #[test]
    fn a_node_is_the_prefixed_concatenation() {
        let (left, right) = (leaf_hash(b"a"), leaf_hash(b"b"));
        let slow = Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize();
        assert_eq!(node_hash(&left, &right), Hash(slow.into()));
        assert_ne!(node_hash(&left, &right), node_hash(&right, &left));
        assert_ne!(node_hash(&left, &right), leaf_hash(&[left.0, right.0].concat()));
    }

    #[test]
    fn base64_round_trip_and_refusals() {
        let hash = leaf_hash(b"x");
        assert_eq!(Hash::from_base64(&hash.to_base64()), Ok(hash));
        assert_eq!(Hash::from_base64("AAAA"), Err(HashError::WrongLength { bytes: 3 }));
        assert_eq!(Hash::from_base64("*"), Err(HashError::NotBase64 { chars: 1 }));
    }
}
