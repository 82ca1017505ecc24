//! A record as it is kept: the stamp, and the parts with their salt or what an erasure left of them.

use crate::cbor::{self, CborError, Item, Reader};
use crate::commitment::{ABSENT, Content, Digest, Salt, commit, content, record_digest};
use crate::part::{Part, Parts};
use crate::stamp::{Stamp, StampError};

/// A record as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// What the server added.
    pub stamp: Stamp,
    /// What is left of what the sender sent.
    pub body: Body,
}

/// What is left of what the sender sent. Hundreds of thousands of whole ones wait in memory, so what only a record that lost
/// a part has stands elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// All of it.
    Whole {
        /// What the commitments were made with.
        salt: Salt,
        /// Envelope and sections.
        parts: Parts,
    },
    /// Some parts were erased.
    Partial {
        /// The parts that survive.
        parts: Parts,
        /// The surviving part salts and the commitments to what was erased.
        erased: Box<Erased>,
    },
    /// All parts and the salt were erased.
    Erased {
        /// The content, which the digest is made of.
        content: Content,
    },
}

/// What stands in for the salt and the erased parts of a record that lost some: the whole salt would let anyone
/// test guesses of what was erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    /// For each part its commitment if it was erased, its part salt if it survives, nothing if it never was.
    pub parts: [ErasedPart; Part::COUNT],
}

/// One part of a record that lost some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErasedPart {
    /// The record never held it.
    Absent,
    /// It survives; this is its salt.
    Survives(Salt),
    /// It was erased; this is the commitment to it.
    Erased([u8; 32]),
}

/// Why bytes are not a stored record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoredError {
    /// Not canonical CBOR.
    #[error("a stored record is not canonical: {0}")]
    Cbor(#[from] CborError),
    /// A stamp that cannot be read.
    #[error(transparent)]
    Stamp(#[from] StampError),
    /// Another shape than the ones that are written.
    #[error("a stored record is malformed: {0}")]
    Shape(&'static str),
}

const WHOLE: u64 = 1;
const PARTIAL: u64 = 2;
const ERASED: u64 = 3;

impl Stored {
    /// The content: what the sender vouched for. Erasure does not change it.
    pub fn content(&self) -> Content {
        match &self.body {
            Body::Whole { salt, parts } => content(salt, parts),
            Body::Partial { parts, erased } => erased.content(parts),
            Body::Erased { content } => *content,
        }
    }

    /// The digest that stands in the tree. Erasure does not change it.
    pub fn digest(&self) -> Digest {
        let mut stamp = Vec::with_capacity(160);
        self.stamp.write(&mut stamp);
        record_digest(&self.content(), &stamp)
    }

    /// The parts, as far as they are still there.
    pub fn parts(&self) -> Option<&Parts> {
        match &self.body {
            Body::Whole { parts, .. } | Body::Partial { parts, .. } => Some(parts),
            Body::Erased { .. } => None,
        }
    }

    /// The parts that were erased; all of them where nothing but the content is left.
    pub fn erased(&self) -> impl Iterator<Item = Part> {
        Part::ALL.into_iter().filter(|part| match &self.body {
            Body::Whole { .. } => false,
            Body::Partial { erased, .. } => matches!(erased.parts[*part as usize], ErasedPart::Erased(_)),
            Body::Erased { .. } => true,
        })
    }

    /// The memory of the parts, for the next record.
    pub fn into_parts(self) -> Parts {
        match self.body {
            Body::Whole { parts, .. } | Body::Partial { parts, .. } => parts,
            Body::Erased { .. } => Parts::default(),
        }
    }

    /// The declared form of this record without the given parts: a tombstone with the same digest. The envelope and
    /// every section gone means that the whole record is gone. Parts that the record does not hold change nothing.
    pub fn without(&self, gone: &[Part]) -> Stored {
        let holds = |part: &Part| self.parts().is_some_and(|parts| parts.get(*part).is_some());
        if !gone.iter().any(holds) {
            return self.clone();
        }
        let erased = match &self.body {
            Body::Erased { .. } => return self.clone(),
            Body::Partial { parts, erased } => erased.without(parts, gone),
            Body::Whole { salt, parts } => Erased::whole(salt, parts).without(parts, gone),
        };
        let mut left = Parts::default();
        if let Some(parts) = self.parts() {
            for part in Part::ALL.into_iter().filter(|part| !gone.contains(part)) {
                parts.get(part).into_iter().for_each(|canonical| left.set(part, canonical));
            }
        }
        let body = if erased.parts.iter().any(|part| matches!(part, ErasedPart::Survives(_))) {
            Body::Partial { parts: left, erased: Box::new(erased) }
        } else {
            Body::Erased { content: self.content() }
        };
        Stored { stamp: self.stamp.clone(), body }
    }

    /// Appends the bytes that stand in the journal: a CBOR array of the form, the stamp, and the body; parts are
    /// byte strings that hold their canonical bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        match &self.body {
            Body::Whole { salt, parts } => {
                cbor::write_array_head(out, 4);
                cbor::write_u64(out, WHOLE);
                cbor::write_bytes(out, &self.stamp.to_canonical());
                cbor::write_bytes(out, &salt.0);
                write_parts(out, parts);
            }
            Body::Partial { parts, erased } => {
                cbor::write_array_head(out, 4);
                cbor::write_u64(out, PARTIAL);
                cbor::write_bytes(out, &self.stamp.to_canonical());
                cbor::write_bytes(out, &erased.to_canonical());
                write_parts(out, parts);
            }
            Body::Erased { content } => {
                cbor::write_array_head(out, 3);
                cbor::write_u64(out, ERASED);
                cbor::write_bytes(out, &self.stamp.to_canonical());
                cbor::write_bytes(out, &content.0);
            }
        }
    }

    /// Reads what [`Stored::write`] wrote, and nothing else. Every part is checked to be canonical.
    pub fn read(bytes: &[u8]) -> Result<Stored, StoredError> {
        let mut reader = Reader::new(bytes);
        let Item::Array(len) = reader.next_item()? else { return Err(StoredError::Shape("it is no array")) };
        let form = form(&mut reader)?;
        let stamp = Stamp::read(byte_string(&mut reader)?)?;
        let body = match (form, len) {
            (WHOLE, 4) => {
                let salt = Salt(fixed(byte_string(&mut reader)?, "the salt is not 16 bytes")?);
                let parts = read_parts(&mut reader, bytes.len())?;
                if parts.get(Part::Envelope).is_none() {
                    return Err(StoredError::Shape("a whole record without its envelope"));
                }
                Body::Whole { salt, parts }
            }
            (PARTIAL, 4) => {
                let erased = Erased::read(byte_string(&mut reader)?)?;
                let parts = read_parts(&mut reader, bytes.len())?;
                erased.check(&parts)?;
                Body::Partial { parts, erased: Box::new(erased) }
            }
            (ERASED, 3) => {
                Body::Erased { content: Content(fixed(byte_string(&mut reader)?, "the content is not 32 bytes")?) }
            }
            _ => return Err(StoredError::Shape("an unknown form")),
        };
        reader.expect_end()?;
        Ok(Stored { stamp, body })
    }
}

pub(crate) fn write_parts(out: &mut Vec<u8>, parts: &Parts) {
    cbor::write_array_head(out, Part::COUNT);
    for part in Part::ALL {
        match parts.get(part) {
            Some(canonical) => cbor::write_bytes(out, canonical),
            None => cbor::write_null(out),
        }
    }
}

pub(crate) fn read_parts(reader: &mut Reader<'_>, capacity: usize) -> Result<Parts, StoredError> {
    let Item::Array(Part::COUNT) = reader.next_item()? else { return Err(StoredError::Shape("not seven parts")) };
    let mut parts = Parts::with_capacity(capacity);
    for part in Part::ALL {
        match reader.next_item()? {
            Item::Null => {}
            Item::Bytes(canonical) => {
                cbor::validate(canonical)?;
                parts.set(part, canonical);
            }
            _ => return Err(StoredError::Shape("a part is neither bytes nor null")),
        }
    }
    Ok(parts)
}

fn form(reader: &mut Reader<'_>) -> Result<u64, StoredError> {
    match reader.next_item()? {
        Item::Number(cbor::Number::Int(form)) if form >= 0 => Ok(form as u64),
        _ => Err(StoredError::Shape("the form is no number")),
    }
}

pub(crate) fn byte_string<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], StoredError> {
    match reader.next_item()? {
        Item::Bytes(bytes) => Ok(bytes),
        _ => Err(StoredError::Shape("bytes were expected")),
    }
}

pub(crate) fn fixed<const N: usize>(bytes: &[u8], otherwise: &'static str) -> Result<[u8; N], StoredError> {
    bytes.try_into().map_err(|_| StoredError::Shape(otherwise))
}

/// Whether the parts that are there are the ones that have salts.
pub(crate) fn parts_agree(erased: &Erased, parts: &Parts) -> bool {
    let agrees =
        |part: Part| matches!(erased.parts[part as usize], ErasedPart::Survives(_)) == parts.get(part).is_some();
    Part::ALL.into_iter().all(agrees)
}

impl Erased {
    /// What replaces the salt of a whole record: nothing erased yet.
    fn whole(salt: &Salt, parts: &Parts) -> Erased {
        let each = |part| {
            if parts.get(part).is_some() { ErasedPart::Survives(salt.for_part(part)) } else { ErasedPart::Absent }
        };
        Erased { parts: Part::ALL.map(each) }
    }

    /// The same with more parts erased. `parts` are the bytes of those that survived so far.
    fn without(&self, parts: &Parts, gone: &[Part]) -> Erased {
        let each = |part: Part| match (self.parts[part as usize], parts.get(part)) {
            (ErasedPart::Survives(salt), Some(canonical)) if gone.contains(&part) => {
                ErasedPart::Erased(commit(part, &salt, canonical))
            }
            (unchanged, _) => unchanged,
        };
        Erased { parts: Part::ALL.map(each) }
    }

    pub(crate) fn content(&self, parts: &Parts) -> Content {
        let each = |part: Part| match (self.parts[part as usize], parts.get(part)) {
            (ErasedPart::Erased(commitment), _) => commitment,
            (ErasedPart::Survives(salt), Some(canonical)) => commit(part, &salt, canonical),
            _ => ABSENT,
        };
        Content::of_commitments(&Part::ALL.map(each))
    }

    /// Whether exactly the parts that are said to survive are there, and this is what an erasure of a part leaves:
    /// something survives, something was erased, and the envelope is one or the other.
    pub fn check(&self, parts: &Parts) -> Result<(), StoredError> {
        if !parts_agree(self, parts) {
            return Err(StoredError::Shape("the surviving parts are not the ones declared"));
        }
        let survives = self.parts.iter().any(|part| matches!(part, ErasedPart::Survives(_)));
        let erased = self.parts.iter().any(|part| matches!(part, ErasedPart::Erased(_)));
        if survives && erased && self.parts[Part::Envelope as usize] != ErasedPart::Absent {
            Ok(())
        } else {
            Err(StoredError::Shape("not what the erasure of a part leaves"))
        }
    }

    /// The canonical bytes: an array of seven, each null (absent), 16 bytes (the part salt of a survivor) or 32 bytes
    /// (the commitment to an erased part).
    pub fn to_canonical(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + Part::COUNT * 34);
        cbor::write_array_head(&mut out, Part::COUNT);
        for part in &self.parts {
            match part {
                ErasedPart::Absent => cbor::write_null(&mut out),
                ErasedPart::Survives(salt) => cbor::write_bytes(&mut out, &salt.0),
                ErasedPart::Erased(commitment) => cbor::write_bytes(&mut out, commitment),
            }
        }
        out
    }

    /// Reads what [`Erased::to_canonical`] wrote.
    pub fn read(canonical: &[u8]) -> Result<Erased, StoredError> {
        let mut reader = Reader::new(canonical);
        let Item::Array(Part::COUNT) = reader.next_item()? else { return Err(StoredError::Shape("not seven parts")) };
        let mut parts = [ErasedPart::Absent; Part::COUNT];
        for part in &mut parts {
            *part = match reader.next_item()? {
                Item::Null => ErasedPart::Absent,
                Item::Bytes(bytes) if bytes.len() == 16 => ErasedPart::Survives(Salt(fixed(bytes, "")?)),
                Item::Bytes(bytes) => ErasedPart::Erased(fixed(bytes, "neither a salt nor a commitment")?),
                _ => return Err(StoredError::Shape("neither a salt nor a commitment")),
            };
        }
        reader.expect_end()?;
        Ok(Erased { parts })
    }
}
