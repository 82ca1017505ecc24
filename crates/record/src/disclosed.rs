//! A record as it is shown to whoever may see some of its parts: enough to compute its digest, and no more.
//!
//! A part that is shown brings its own salt, which proves it and tells nothing of the others; of a part that is held
//! back, or was erased, the commitment stands. The salt of the record, by which held-back parts could be guessed, is
//! never among it (T19).

use crate::cbor::{self, Item, Reader};
use crate::commitment::{Content, Digest, commit, record_digest};
use crate::part::{Part, Parts};
use crate::stamp::Stamp;
use crate::stored::{
    Body, Erased, ErasedPart, Stored, StoredError, byte_string, fixed, parts_agree, read_parts, write_parts,
};

/// A record of which some parts are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disclosed {
    /// Its index in the trail. The digest does not hold it: the tree does.
    pub index: u64,
    /// What the server added.
    pub stamp: Stamp,
    /// What is shown of what the sender sent.
    pub shown: Shown,
}

/// What is shown of what the sender sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "most records are shown in part; a box would cost every one")]
pub enum Shown {
    /// Nothing: the hash over all commitments.
    Nothing {
        /// The content.
        content: Content,
    },
    /// Some parts.
    Parts {
        /// Those that are shown.
        parts: Parts,
        /// For each part the salt of one that is shown, the commitment to one that is not, nothing for one that the
        /// record never held.
        proofs: Erased,
    },
}

impl Disclosed {
    /// A record with the parts of it that `shows`, as far as they are still there.
    pub fn of(index: u64, stored: &Stored, shows: &dyn Fn(Part) -> bool) -> Disclosed {
        let stamp = stored.stamp.clone();
        let shown = match &stored.body {
            Body::Erased { content } => Shown::Nothing { content: *content },
            Body::Whole { salt, parts } => show(parts, &|part| ErasedPart::Survives(salt.for_part(part)), shows),
            Body::Partial { parts, erased } => show(parts, &|part| erased.parts[part as usize], shows),
        };
        Disclosed { index, stamp, shown }
    }

    /// A record of which nothing is shown but the stamp.
    pub fn stamp_of(index: u64, stored: &Stored) -> Disclosed {
        Disclosed { index, stamp: stored.stamp.clone(), shown: Shown::Nothing { content: stored.content() } }
    }

    /// The digest that stands in the tree, from what is shown.
    pub fn digest(&self) -> Digest {
        let content = match &self.shown {
            Shown::Nothing { content } => *content,
            Shown::Parts { parts, proofs } => proofs.content(parts),
        };
        record_digest(&content, &self.stamp.to_canonical())
    }

    /// The parts that are shown.
    pub fn parts(&self) -> Option<&Parts> {
        match &self.shown {
            Shown::Nothing { .. } => None,
            Shown::Parts { parts, .. } => Some(parts),
        }
    }

    /// Whether there is no more of a part here than a commitment.
    pub fn withholds(&self, part: Part) -> bool {
        match &self.shown {
            Shown::Nothing { .. } => true,
            Shown::Parts { proofs, .. } => matches!(proofs.parts[part as usize], ErasedPart::Erased(_)),
        }
    }

    /// Appends the canonical bytes: an array of index, stamp and content, or of index, stamp, proofs and parts.
    pub fn write(&self, out: &mut Vec<u8>) {
        cbor::write_array_head(out, if self.parts().is_some() { 4 } else { 3 });
        cbor::write_u64(out, self.index);
        cbor::write_bytes(out, &self.stamp.to_canonical());
        match &self.shown {
            Shown::Nothing { content } => cbor::write_bytes(out, &content.0),
            Shown::Parts { parts, proofs } => {
                out.extend_from_slice(&proofs.to_canonical());
                write_parts(out, parts);
            }
        }
    }

    /// Reads what [`Disclosed::write`] wrote, and nothing else.
    pub fn read(bytes: &[u8]) -> Result<Disclosed, StoredError> {
        let mut reader = Reader::new(bytes);
        let Item::Array(len) = reader.next_item()? else { return Err(StoredError::Shape("it is no array")) };
        let index = match reader.next_item()? {
            Item::Number(cbor::Number::Int(index)) if index >= 0 => index as u64,
            Item::Number(cbor::Number::UInt(index)) => index,
            _ => return Err(StoredError::Shape("the index is no number from 0")),
        };
        let stamp = Stamp::read(byte_string(&mut reader)?)?;
        let shown = match len {
            3 => Shown::Nothing { content: Content(fixed(byte_string(&mut reader)?, "the content is not 32 bytes")?) },
            4 => {
                let proofs = Erased::read(reader.skip()?)?;
                let parts = read_parts(&mut reader, bytes.len())?;
                if !parts_agree(&proofs, &parts) {
                    return Err(StoredError::Shape("the parts are not the ones that have salts"));
                }
                Shown::Parts { parts, proofs }
            }
            _ => return Err(StoredError::Shape("an unknown form")),
        };
        reader.expect_end()?;
        Ok(Disclosed { index, stamp, shown })
    }
}

/// The parts that are wanted with their salts, the others by their commitments. `proof` says of each part that is there
/// its salt, of one that was erased its commitment.
fn show(all: &Parts, proof: &dyn Fn(Part) -> ErasedPart, shows: &dyn Fn(Part) -> bool) -> Shown {
    let mut parts = Parts::with_capacity(all.total_bytes());
    let mut proofs = Erased { parts: [ErasedPart::Absent; Part::COUNT] };
    for part in Part::ALL {
        let (there, proof) = (all.get(part), proof(part));
        proofs.parts[part as usize] = match (there, proof) {
            (Some(canonical), ErasedPart::Survives(_)) if shows(part) => {
                parts.set(part, canonical);
                proof
            }
            (Some(canonical), ErasedPart::Survives(salt)) => ErasedPart::Erased(commit(part, &salt, canonical)),
            (None, ErasedPart::Erased(_)) => proof,
            _ => ErasedPart::Absent,
        };
    }
    Shown::Parts { parts, proofs }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary;

    proptest! {
        #[test]
        fn what_is_shown_has_the_digest_and_no_more_than_was_asked(
            stored in arbitrary::arb_stored(), index in any::<u64>(), shown in any::<u8>(), gone in any::<u8>(),
        ) {
            let bit = |mask: u8, part: Part| mask & 1 << part as u8 != 0;
            let erased: Vec<Part> = Part::ALL.into_iter().filter(|part| bit(gone, *part)).collect();
            for stored in [stored.clone(), stored.without(&erased)] {
                let disclosed = Disclosed::of(index, &stored, &|part| bit(shown, part));
                prop_assert_eq!(disclosed.digest(), stored.digest());
                prop_assert_eq!(Disclosed::stamp_of(index, &stored).digest(), stored.digest());
                let mut bytes = Vec::new();
                disclosed.write(&mut bytes);
                prop_assert_eq!(&Disclosed::read(&bytes).unwrap(), &disclosed);
                for part in Part::ALL {
                    let there = stored.parts().and_then(|parts| parts.get(part));
                    let here = disclosed.parts().and_then(|parts| parts.get(part));
                    prop_assert_eq!(here, there.filter(|_| bit(shown, part)));
                }
                if let Body::Whole { salt, .. } = &stored.body {
                    prop_assert!(!bytes.windows(16).any(|window| window == salt.0));
                }
            }
        }
    }
}
