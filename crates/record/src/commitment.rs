//! Commitments to the parts of a record, its content and its digest.
//!
//! ```text
//! part_salt = SHA-256("onrecord/salt/v1" ‖ salt ‖ name)[0..16]
//! commit(p) = SHA-256("onrecord/part/v1" ‖ 00 ‖ name ‖ 00 ‖ part_salt ‖ canonical(part))      absent: 32 zero bytes
//! content   = SHA-256("onrecord/content/v1" ‖ 00 ‖ commit(envelope) ‖ commit(subject) ‖ commit(inputs)
//!                     ‖ commit(parameters) ‖ commit(output) ‖ commit(explanation) ‖ commit(context))
//! digest    = SHA-256("onrecord/record/v1" ‖ 00 ‖ content ‖ SHA-256(canonical(stamp)))
//! ```
//!
//! Showing one part with its part salt proves it and reveals nothing of the others. Dropping the salt with a part
//! leaves a commitment that cannot be guessed, even for a yes/no input (T19).

use std::fmt;

use crate::part::{Part, Parts};
use crate::sha256::{pad, sha256, sha256_padded, sha256_slices};

/// The commitment to a part that is absent.
pub(crate) const ABSENT: [u8; 32] = [0; 32];

/// 16 random bytes: of a record, or derived from it for one part.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 16]);

impl Salt {
    /// The salt of one part. One SHA-256 block.
    #[inline]
    pub fn for_part(&self, part: Part) -> Salt {
        let mut block = SALT_BLOCKS[part as usize];
        block[16..32].copy_from_slice(&self.0);
        let hash = sha256_padded(&block);
        let mut salt = [0; 16];
        salt.copy_from_slice(&hash[..16]);
        Salt(salt)
    }
}

/// For each part the one block that its salt is the hash of, all but the record's salt at 16..32.
const SALT_BLOCKS: [[u8; 64]; Part::COUNT] = {
    let mut blocks = [[0; 64]; Part::COUNT];
    let mut position = 0;
    while position < Part::COUNT {
        let name = Part::ALL[position].name().as_bytes();
        let (tag, _) = blocks[position].split_at_mut(16);
        tag.copy_from_slice(b"onrecord/salt/v1");
        let (_, after) = blocks[position].split_at_mut(32);
        let (place, _) = after.split_at_mut(name.len());
        place.copy_from_slice(name);
        blocks[position] = pad(blocks[position], 32 + name.len());
        position += 1;
    }
    blocks
};

impl fmt::Debug for Salt {
    /// Never shown: whoever knows a salt can test guesses of what was erased.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(…)")
    }
}

/// The commitment to one part under its own salt.
#[inline]
pub fn commit(part: Part, part_salt: &Salt, canonical: &[u8]) -> [u8; 32] {
    let name = part.name().as_bytes();
    let prefix: [u8; 45] = join(&[b"onrecord/part/v1\0", name, b"\0", &part_salt.0]);
    sha256_slices(&prefix, 16 + 1 + name.len() + 1 + 16, canonical)
}

/// The pieces one after another, then zeros.
#[inline]
fn join<const N: usize>(pieces: &[&[u8]]) -> [u8; N] {
    let mut joined = [0; N];
    let mut at = 0;
    for piece in pieces {
        joined[at..at + piece.len()].copy_from_slice(piece);
        at += piece.len();
    }
    joined
}

/// What the sender vouches for: a hash over the commitments to all parts.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Content(pub [u8; 32]);

/// The digest of a record: what stands in `tile/entries` and, hashed once more, as a leaf of the tree.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

macro_rules! hex_display {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}
hex_display!(Content);
hex_display!(Digest);

impl Content {
    /// The content of seven commitments, in the order of [`Part::ALL`].
    #[inline]
    pub fn of_commitments(commitments: &[[u8; 32]; Part::COUNT]) -> Content {
        Content(sha256(b"onrecord/content/v1\0", commitments.as_flattened()))
    }
}

/// The content of a whole record: what a sender can compute before it sends.
#[inline]
pub fn content(salt: &Salt, parts: &Parts) -> Content {
    let commitments = Part::ALL.map(|part| match parts.get(part) {
        Some(canonical) => commit(part, &salt.for_part(part), canonical),
        None => ABSENT,
    });
    Content::of_commitments(&commitments)
}

/// The digest of a record from its content and the canonical bytes of its stamp.
#[inline]
pub fn record_digest(content: &Content, stamp: &[u8]) -> Digest {
    let hashes: [u8; 64] = join(&[&content.0, &sha256(b"", stamp)]);
    Digest(sha256(b"onrecord/record/v1\0", &hashes))
}
