//! C2SP signed notes: text with signatures under it.
//!
//! ```text
//! This is an example message.
//!
//! — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
//! ```

use crate::base64;
use crate::key::{KeyId, KeyName, VerifierKey};
use std::fmt;

/// Bytes in the longest note read or written, as in golang.org/x/mod/sumdb/note.
pub const MAX_NOTE_BYTES: usize = 1_000_000;

/// Signatures on a note at most, known and unknown. The format asks for at least 16.
pub const MAX_SIGNATURES: usize = 100;

/// A note: text and at least one signature, none of them verified yet.
///
/// The text says nothing until [`Note::verify`] or [`Note::statements`] has found a signature of a known key under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// One signature line of a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    name: KeyName,
    id: KeyId,
    signature: Vec<u8>,
}

/// Why bytes are no note, or text can not become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Longer than [`MAX_NOTE_BYTES`].
    #[error("a note of {bytes} bytes is longer than {MAX_NOTE_BYTES}")]
    TooLong {
        /// Bytes in the note.
        bytes: usize,
    },
    /// Not UTF-8.
    #[error("the note is not UTF-8 from byte {at}")]
    NotUtf8 {
        /// First byte that is not.
        at: usize,
    },
    /// An ASCII control character other than newline.
    #[error("the note has a control character at byte {at}")]
    ControlCharacter {
        /// Where it stands.
        at: usize,
    },
    /// The text does not end in a newline.
    #[error("the text of a note must end in a newline")]
    NoFinalNewline,
    /// No empty line with signatures after it.
    #[error("the note has no signatures: no empty line with signature lines after it")]
    NoSignatures,
    /// A signature line is not `— name base64`.
    #[error("signature line {line} is not an em dash, a key name and base64 of a key id and a signature")]
    SignatureLine {
        /// Which signature line, from 1.
        line: usize,
    },
    /// More than [`MAX_SIGNATURES`].
    #[error("the note has more than {MAX_SIGNATURES} signatures")]
    TooManySignatures,
}

/// Why one signature does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not as long as its type has it.
    #[error("the signature has {found} bytes, not {expected}")]
    Length {
        /// Bytes that a signature of this type has.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// Not a signature of this key over this text, or a malleable one.
    #[error("the signature is not one of this key over this text")]
    Invalid,
    /// A cosignature's time passes 2^63 - 1.
    #[error("the cosignature's time {time_s} passes 2^63 - 1 seconds")]
    Time {
        /// Seconds since the epoch, as signed.
        time_s: u64,
    },
}

/// Why a note is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A known key's signature does not hold, so the whole note is refused.
    #[error("the signature of known key {name} ({id}) does not hold")]
    BadSignature {
        /// The key's name.
        name: KeyName,
        /// The key's id.
        id: KeyId,
        /// What is wrong with it.
        source: SignatureError,
    },
    /// No key that is known has signed: an error, never passed over (T16).
    #[error("no known key has signed the note")]
    NoKnownSignature,
}

/// A key that signatures on notes are checked with.
pub trait Verifier {
    /// What a valid signature states beside the text: nothing, or the time of a cosignature.
    type Statement;

    /// The key's name, as signature lines have it.
    fn name(&self) -> &KeyName;

    /// The key's id, as signature lines have it.
    fn id(&self) -> KeyId;

    /// Checks a signature (what follows the key id in its line) over a note's text.
    fn verify(&self, text: &str, signature: &[u8]) -> Result<Self::Statement, SignatureError>;
}

const MARK: &str = "— ";

impl Note {
    /// A note of `text`, which must end in a newline and have no other control characters, and its first signature.
    pub fn new(text: String, signature: NoteSignature) -> Result<Self, NoteError> {
        check_characters(&text)?;
        if !text.ends_with('\n') {
            return Err(NoteError::NoFinalNewline);
        }
        let note = Self { text, signatures: vec![signature] };
        note.check_len()?;
        Ok(note)
    }

    /// Reads a note. It is not verified.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLong { bytes: bytes.len() });
        }
        let note = std::str::from_utf8(bytes).map_err(|error| NoteError::NotUtf8 { at: error.valid_up_to() })?;
        check_characters(note)?;
        // The text may have empty lines, signatures have none: the last empty line parts them.
        let split = note.rfind("\n\n").ok_or(NoteError::NoSignatures)?;
        let (text, signatures) = (&note[..=split], &note[split + 2..]);
        let signatures = parse_signatures(signatures)?;
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// The text that is signed, with its final newline. Not to be believed before the note was verified.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signatures in their order, of keys known or not.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature at the end. It is not verified.
    pub fn add_signature(&mut self, signature: NoteSignature) -> Result<(), NoteError> {
        if self.signatures.len() >= MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        self.signatures.push(signature);
        self.check_len().inspect_err(|_| drop(self.signatures.pop()))
    }

    /// What `key` states about this text: one statement for each of its signatures, none when it has not signed. An
    /// error when one of its signatures does not hold.
    pub fn statements<V: Verifier>(&self, key: &V) -> Result<Vec<V::Statement>, VerifyError> {
        let of_key = self.signatures.iter().filter(|line| line.id == key.id() && line.name == *key.name());
        let checked = of_key.map(|line| key.verify(&self.text, &line.signature));
        checked.collect::<Result<_, _>>().map_err(|source| VerifyError::BadSignature {
            name: key.name().clone(),
            id: key.id(),
            source,
        })
    }

    /// Which of `known` have signed, at least one. Signatures of other keys are passed over; one of a known key that
    /// does not hold refuses the note.
    pub fn verify<'k>(&self, known: &'k [VerifierKey]) -> Result<Vec<&'k VerifierKey>, VerifyError> {
        let mut signed = Vec::new();
        for key in known {
            if !self.statements(key)?.is_empty() {
                signed.push(key);
            }
        }
        if signed.is_empty() { Err(VerifyError::NoKnownSignature) } else { Ok(signed) }
    }

    fn check_len(&self) -> Result<(), NoteError> {
        let lines: usize = self.signatures.iter().map(NoteSignature::line_len).sum();
        let bytes = self.text.len() + 1 + lines;
        if bytes > MAX_NOTE_BYTES { Err(NoteError::TooLong { bytes }) } else { Ok(()) }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| write!(f, "{line}"))
    }
}

impl NoteSignature {
    /// A signature as a key with this name and id has made it; not checked.
    pub fn new(name: KeyName, id: KeyId, signature: Vec<u8>) -> Self {
        Self { name, id, signature }
    }

    /// Reads `— name base64(keyid ‖ signature)\n`, with its newline; `None` when it is none.
    pub fn parse(line: &str) -> Option<Self> {
        Self::parse_bare(line.strip_suffix('\n')?)
    }

    fn parse_bare(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(MARK)?.split_once(' ')?;
        let bytes = base64::decode(encoded)?;
        let (id, signature) = bytes.split_first_chunk::<4>().filter(|(_, signature)| !signature.is_empty())?;
        Some(Self { name: KeyName::new(name).ok()?, id: KeyId(*id), signature: signature.to_vec() })
    }

    /// The key's name.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The key's id.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The signature, without the key id.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Bytes of the line as it is written.
    fn line_len(&self) -> usize {
        let encoded = (self.id.0.len() + self.signature.len()).div_ceil(3) * 4;
        MARK.len() + self.name.as_str().len() + 1 + encoded + 1
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.id.0, self.signature.as_slice()].concat();
        writeln!(f, "{MARK}{} {}", self.name, base64::encode(&bytes))
    }
}

fn check_characters(text: &str) -> Result<(), NoteError> {
    match text.bytes().position(|byte| byte < b' ' && byte != b'\n') {
        Some(at) => Err(NoteError::ControlCharacter { at }),
        None => Ok(()),
    }
}

fn parse_signatures(lines: &str) -> Result<Vec<NoteSignature>, NoteError> {
    let mut signatures = Vec::new();
    for (number, line) in lines.split_inclusive('\n').enumerate() {
        if number >= MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        signatures.push(NoteSignature::parse(line).ok_or(NoteError::SignatureLine { line: number + 1 })?);
    }
    if signatures.is_empty() { Err(NoteError::NoSignatures) } else { Ok(signatures) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SigningKey;

    const SPEC_VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const SPEC_NOTE: &str = "This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
";

    fn key(name: &str, seed: u8) -> SigningKey {
        SigningKey::from_seed(KeyName::new(name).unwrap(), &[seed; 32]).unwrap()
    }

    fn parse(text: &str) -> Result<Note, NoteError> {
        Note::parse(text.as_bytes())
    }

    #[test]
    fn the_specs_note_verifies_and_prints_back() {
        let note = parse(SPEC_NOTE).unwrap();
        let known = [SPEC_VKEY.parse::<VerifierKey>().unwrap()];
        assert_eq!(note.verify(&known), Ok(vec![&known[0]]));
        assert_eq!(note.text(), "This is an example message.\n");
        assert_eq!(note.to_string(), SPEC_NOTE);
        let altered = parse(&SPEC_NOTE.replace("example m", "altered m")).unwrap();
        assert!(matches!(altered.verify(&known), Err(VerifyError::BadSignature { .. })));
    }

    /// The example in the documentation of golang.org/x/mod/sumdb/note, both halves of its key and its note.
    #[test]
    fn gos_example_signs_and_verifies() {
        let text =
            "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
        let line = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let key = SigningKey::parse("PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz");
        let key = key.unwrap();
        let vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        assert_eq!(key.verifier_key().to_string(), vkey);
        assert_eq!(key.sign(text).to_string(), line);
        let note = parse(&format!("{text}\n{line}")).unwrap();
        assert!(note.verify(&[key.verifier_key()]).is_ok());
    }

    #[test]
    fn unknown_keys_are_passed_over_and_known_ones_must_hold() {
        let (log, other, absent) = (key("log", 1), key("other", 2), key("absent", 3));
        let known = [log.verifier_key(), other.verifier_key()];
        let mut note = Note::new("text\n".into(), absent.sign("anything\n")).unwrap();
        assert_eq!(note.verify(&known), Err(VerifyError::NoKnownSignature));
        note.add_signature(log.sign("text\n")).unwrap();
        assert_eq!(note.verify(&known), Ok(vec![&known[0]]));
        // Shares the name with a known key but not the id.
        note.add_signature(key("log", 4).sign("anything\n")).unwrap();
        assert_eq!(note.verify(&known), Ok(vec![&known[0]]));
        note.add_signature(other.sign("anything\n")).unwrap();
        let bad = VerifyError::BadSignature {
            name: other.name().clone(),
            id: known[1].id(),
            source: SignatureError::Invalid,
        };
        assert_eq!(note.verify(&known), Err(bad));
    }

    #[test]
    fn a_second_signature_of_a_known_key_must_hold_too() {
        let log = key("log", 1);
        let mut note = Note::new("text\n".into(), log.sign("text\n")).unwrap();
        note.add_signature(log.sign("other\n")).unwrap();
        assert!(matches!(note.verify(&[log.verifier_key()]), Err(VerifyError::BadSignature { .. })));
    }

    #[test]
    fn the_last_empty_line_parts_text_from_signatures() {
        let log = key("log", 1);
        for text in ["\n", "\n\n", "a\n\n\nb\n", "a\n\n", "— log AAAA\n", "a\n\n— log AAAAAAA=\n"] {
            let note = Note::new(text.into(), log.sign(text)).unwrap();
            let again = parse(&note.to_string()).unwrap();
            assert_eq!(again, note);
            assert!(again.verify(&[log.verifier_key()]).is_ok());
        }
    }

    #[test]
    fn each_fault_has_its_name() {
        assert_eq!(parse(""), Err(NoteError::NoSignatures));
        assert_eq!(parse("text\n"), Err(NoteError::NoSignatures));
        assert_eq!(parse("text\n\n"), Err(NoteError::NoSignatures));
        assert_eq!(Note::parse(b"a\xff\n\n"), Err(NoteError::NotUtf8 { at: 1 }));
        assert_eq!(parse("a\r\n\n"), Err(NoteError::ControlCharacter { at: 1 }));
        assert_eq!(parse(&"a".repeat(MAX_NOTE_BYTES + 1)), Err(NoteError::TooLong { bytes: MAX_NOTE_BYTES + 1 }));
        for bad in [
            "— log AAAAAAA=",
            "- log AAAAAAA=\n",
            "—log AAAAAAA=\n",
            "—  AAAAAAA=\n",
            "— log  AAAAAAA=\n",
            "— log AAAAAAA= \n",
            "— log AAAAAAA\n",
            "— log AAAAAAB=\n",
            "— log AAAAAA==\n",
            "— log \n",
            "— log\n",
            "— l+g AAAAAAA=\n",
            "— l\u{a0}g AAAAAAA=\n",
            " — log AAAAAAA=\n",
            "— log AAAA-AA=\n",
        ] {
            assert_eq!(parse(&format!("text\n\n{bad}")), Err(NoteError::SignatureLine { line: 1 }), "{bad:?}");
        }
        assert!(parse("text\n\n— log AAAAAAA=\n").is_ok());
        let signature = key("log", 1).sign("text");
        assert_eq!(Note::new("text".into(), signature.clone()), Err(NoteError::NoFinalNewline));
        assert_eq!(Note::new("\t\n".into(), signature), Err(NoteError::ControlCharacter { at: 0 }));
    }

    #[test]
    fn sixteen_signatures_pass_and_the_cap_holds() {
        let log = key("log", 1);
        let mut note = Note::new("text\n".into(), log.sign("text\n")).unwrap();
        for i in 1..MAX_SIGNATURES {
            note.add_signature(key(&format!("w{i}"), i as u8).sign("text\n")).unwrap();
        }
        let text = note.to_string();
        assert!(parse(&text).unwrap().verify(&[log.verifier_key()]).is_ok());
        assert_eq!(note.add_signature(log.sign("text\n")), Err(NoteError::TooManySignatures));
        assert_eq!(parse(&format!("{text}{}", log.sign("text\n"))), Err(NoteError::TooManySignatures));
    }

    #[test]
    fn a_note_too_long_to_read_is_not_written() {
        let log = key("log", 1);
        let line = log.sign("").to_string().len();
        let text = format!("{}\n", "a".repeat(MAX_NOTE_BYTES - line - 2));
        let mut note = Note::new(text.clone(), log.sign(&text)).unwrap();
        assert_eq!(note.to_string().len(), MAX_NOTE_BYTES);
        assert!(matches!(note.add_signature(log.sign(&text)), Err(NoteError::TooLong { .. })));
        assert_eq!(note.signatures().len(), 1);
        assert!(Note::new(format!("a{text}"), log.sign(&text)).is_err());
    }
}
