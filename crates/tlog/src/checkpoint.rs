//! C2SP checkpoints: what a log says about its tree, as the text of a signed note.
//!
//! ```text
//! example.com/behind-the-sofa
//! 20852163
//! CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
//!
//! — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
//! ```

use crate::decimal;
use crate::hash::{Hash, HashError, empty_root};
use crate::key::{KeyName, SigningKey, VerifierKey};
use crate::note::{Note, NoteError, NoteSignature, Verifier as _, VerifyError};
use std::fmt;
use std::str::FromStr;

/// Origin, size and root of a log's tree. A claim until it stands in a [`SignedCheckpoint`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
    extensions: Vec<String>,
}

/// A checkpoint that a key of its log was seen to have signed. Can only be had by signing or verifying (T16); its
/// other signatures, cosignatures among them, are not verified here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
    log_key: VerifierKey,
}

/// Why text is no checkpoint, or parts can not become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Fewer than three lines, or the last not ended.
    #[error("a checkpoint has at least three lines, each ended by a newline")]
    Lines,
    /// The origin is empty or has control characters.
    #[error("the origin {origin:?} is empty or has control characters")]
    Origin {
        /// The origin found.
        origin: String,
    },
    /// The size is not a canonical decimal below 2^64.
    #[error("the tree size {size:?} is not a decimal without leading zeros, below 2^64")]
    Size {
        /// The line found.
        size: String,
    },
    /// The root is not base64 of 32 bytes.
    #[error("the root is no hash: {0}")]
    Root(#[from] HashError),
    /// The tree without leaves has one root, SHA-256 of nothing.
    #[error("the checkpoint gives a tree without leaves the root {root}")]
    EmptyTreeRoot {
        /// The root found.
        root: Hash,
    },
    /// An extension line is empty.
    #[error("extension line {line} is empty")]
    EmptyExtension {
        /// Which extension line, from 1.
        line: usize,
    },
}

/// Why a checkpoint was not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// A log's key bears the log's origin as its name.
    #[error("key {name} can not sign for origin {origin:?}: a log's key is named for its origin")]
    KeyNotOfOrigin {
        /// The key's name.
        name: KeyName,
        /// The checkpoint's origin.
        origin: String,
    },
    /// Extension lines are read but never signed: no monitor can audit them.
    #[error("the checkpoint has {lines} extension lines; extensions are read but never signed")]
    Extensions {
        /// How many.
        lines: usize,
    },
    /// The text can not stand in a note.
    #[error(transparent)]
    Note(#[from] NoteError),
}

/// Why bytes are not believed to be a checkpoint of a known log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not a note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A note, but its text is no checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A known key's signature does not hold.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// No key is known for this origin.
    #[error("no key is known for origin {origin:?}")]
    UnknownOrigin {
        /// The checkpoint's origin.
        origin: String,
    },
    /// No key known for this origin has signed (T16).
    #[error("the checkpoint of {origin:?} has no signature of a key known for that origin")]
    NotSignedByLog {
        /// The checkpoint's origin.
        origin: String,
    },
}

impl Checkpoint {
    /// The checkpoint of a tree of `size` leaves and root `root` in the log named `origin`.
    pub fn new(origin: &str, size: u64, root: Hash) -> Result<Self, CheckpointError> {
        if origin.is_empty() || origin.bytes().any(|byte| byte < b' ') {
            return Err(CheckpointError::Origin { origin: origin.to_owned() });
        }
        if size == 0 && root != empty_root() {
            return Err(CheckpointError::EmptyTreeRoot { root });
        }
        Ok(Self { origin: origin.to_owned(), size, root, extensions: Vec::new() })
    }

    /// The log's name.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Leaves in the tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The RFC 6962 tree hash.
    pub fn root(&self) -> Hash {
        self.root
    }

    /// Lines after the third, without their newlines. No statement of the log can rest on them.
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }

    /// Signs as the log whose origin is the key's name. The caller sees to it that the tree is durable and extends
    /// the last one signed (I4).
    pub fn sign(&self, key: &SigningKey) -> Result<SignedCheckpoint, SignError> {
        if key.name().as_str() != self.origin {
            return Err(SignError::KeyNotOfOrigin { name: key.name().clone(), origin: self.origin.clone() });
        }
        if !self.extensions.is_empty() {
            return Err(SignError::Extensions { lines: self.extensions.len() });
        }
        let text = self.to_string();
        let signature = key.sign(&text);
        let note = Note::new(text, signature)?;
        Ok(SignedCheckpoint { checkpoint: self.clone(), note, log_key: key.verifier_key() })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, self.root.to_base64())?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?.split('\n');
        let mut line = || lines.next().ok_or(CheckpointError::Lines);
        let (origin, size, root) = (line()?, line()?, line()?);
        let size = decimal::parse(size).ok_or_else(|| CheckpointError::Size { size: size.to_owned() })?;
        let checkpoint = Self::new(origin, size, Hash::from_base64(root)?)?;
        let extensions: Vec<_> = lines.map(str::to_owned).collect();
        if let Some(at) = extensions.iter().position(String::is_empty) {
            return Err(CheckpointError::EmptyExtension { line: at + 1 });
        }
        Ok(Self { extensions, ..checkpoint })
    }
}

impl SignedCheckpoint {
    /// Opens a checkpoint for whoever knows `keys`. At least one of them whose name is the checkpoint's origin must
    /// have signed, and no signature by any of them may fail; other signatures are passed over.
    pub fn open(bytes: &[u8], keys: &[VerifierKey]) -> Result<Self, OpenError> {
        Self::open_note(Note::parse(bytes)?, keys)
    }

    /// As [`SignedCheckpoint::open`], for a note already parsed.
    pub fn open_note(note: Note, keys: &[VerifierKey]) -> Result<Self, OpenError> {
        let checkpoint: Checkpoint = note.text().parse()?;
        let of_log = |key: &&VerifierKey| key.name().as_str() == checkpoint.origin();
        let origin = || checkpoint.origin.clone();
        if !keys.iter().any(|key| of_log(&key)) {
            return Err(OpenError::UnknownOrigin { origin: origin() });
        }
        let signed = match note.verify(keys) {
            Err(VerifyError::NoKnownSignature) => Vec::new(),
            verified => verified?,
        };
        let log_key = signed.into_iter().find(of_log).cloned();
        let log_key = log_key.ok_or_else(|| OpenError::NotSignedByLog { origin: origin() })?;
        Ok(Self { checkpoint, note, log_key })
    }

    /// What was signed.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note, with all signatures.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// The key of the log that signed; the first one known, when several did.
    pub fn log_key(&self) -> &VerifierKey {
        &self.log_key
    }

    /// Adds a signature line, as a witness returns it. It is not verified here.
    pub fn add_signature(&mut self, signature: NoteSignature) -> Result<(), NoteError> {
        self.note.add_signature(signature)
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;

    const ROOT: &str = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";

    fn key(name: &str, seed: u8) -> SigningKey {
        SigningKey::from_seed(KeyName::new(name).unwrap(), &[seed; 32]).unwrap()
    }

    #[test]
    fn the_specs_checkpoint_parses_and_prints_back() {
        let text = format!("example.com/behind-the-sofa\n20852163\n{ROOT}\n");
        let checkpoint: Checkpoint = text.parse().unwrap();
        assert_eq!(checkpoint.origin(), "example.com/behind-the-sofa");
        assert_eq!((checkpoint.size(), checkpoint.root().to_base64().as_str()), (20_852_163, ROOT));
        assert_eq!(checkpoint.to_string(), text);
        let extended: Checkpoint = format!("{text}one\ntwo \n").parse().unwrap();
        assert_eq!(extended.extensions(), ["one", "two "]);
        assert_eq!(extended.to_string(), format!("{text}one\ntwo \n"));
    }

    #[test]
    fn each_fault_has_its_name() {
        let parse = |text: &str| text.parse::<Checkpoint>();
        for text in ["", "a", "a\n", "a\n1\n", &format!("a\n1\n{ROOT}")] {
            assert_eq!(parse(text), Err(CheckpointError::Lines), "{text:?}");
        }
        assert_eq!(parse(&format!("\n1\n{ROOT}\n")), Err(CheckpointError::Origin { origin: String::new() }));
        assert!(matches!(parse(&format!("a\r\n1\n{ROOT}\n")), Err(CheckpointError::Origin { .. })));
        for size in ["", "01", "+1", "-1", "1 ", "0x1", "18446744073709551616"] {
            let wrong = CheckpointError::Size { size: size.to_owned() };
            assert_eq!(parse(&format!("a\n{size}\n{ROOT}\n")), Err(wrong));
        }
        for root in ["", "AAAA", &ROOT[1..], &format!("{ROOT} "), &ROOT.replace('=', "")] {
            assert!(matches!(parse(&format!("a\n1\n{root}\n")), Err(CheckpointError::Root(_))), "{root:?}");
        }
        assert!(matches!(parse(&format!("a\n0\n{ROOT}\n")), Err(CheckpointError::EmptyTreeRoot { .. })));
        assert!(parse(&format!("a\n0\n{}\n", empty_root().to_base64())).is_ok());
        assert_eq!(parse(&format!("a\n1\n{ROOT}\nb\n\n")), Err(CheckpointError::EmptyExtension { line: 2 }));
        assert!(Checkpoint::new("a\nb", 1, leaf_hash(b"")).is_err());
    }

    #[test]
    fn opens_for_the_logs_own_key_only() {
        let (log, other) = (key("log.example/a", 1), key("other.example", 2));
        let signed = Checkpoint::new("log.example/a", 7, leaf_hash(b"x")).unwrap().sign(&log).unwrap();
        let bytes = signed.to_string().into_bytes();
        assert_eq!(SignedCheckpoint::open(&bytes, &[other.verifier_key(), log.verifier_key()]), Ok(signed.clone()));
        let origin = || "log.example/a".to_owned();
        let unknown = OpenError::UnknownOrigin { origin: origin() };
        assert_eq!(SignedCheckpoint::open(&bytes, &[]), Err(unknown.clone()));
        assert_eq!(SignedCheckpoint::open(&bytes, &[other.verifier_key()]), Err(unknown));
        // Another key of that name is not the log's.
        let renamed = key("log.example/a", 3);
        let missing = OpenError::NotSignedByLog { origin: origin() };
        assert_eq!(SignedCheckpoint::open(&bytes, &[renamed.verifier_key()]), Err(missing.clone()));
        // A known key's signature does not stand in for the log's (T16).
        let text = signed.note().text().to_owned();
        let note = Note::new(text.clone(), other.sign(&text)).unwrap();
        let keys = [other.verifier_key(), log.verifier_key()];
        assert_eq!(SignedCheckpoint::open_note(note, &keys), Err(missing));
        let forged = String::from_utf8(bytes).unwrap().replace("\n7\n", "\n8\n");
        let refused = SignedCheckpoint::open(forged.as_bytes(), &[log.verifier_key()]);
        assert!(matches!(refused, Err(OpenError::Verify(VerifyError::BadSignature { .. }))));
    }

    #[test]
    fn during_a_key_rotation_either_key_opens() {
        let (old, new) = (key("log.example/a", 1), key("log.example/a", 2));
        let mut signed = Checkpoint::new("log.example/a", 7, leaf_hash(b"x")).unwrap().sign(&old).unwrap();
        signed.add_signature(new.sign(signed.note().text())).unwrap();
        let bytes = signed.to_string();
        for key in [old.verifier_key(), new.verifier_key()] {
            assert_eq!(SignedCheckpoint::open(bytes.as_bytes(), std::slice::from_ref(&key)).unwrap().log_key(), &key);
        }
    }

    #[test]
    fn signs_neither_for_another_origin_nor_extensions() {
        let log = key("log.example/a", 1);
        let other = Checkpoint::new("log.example/b", 7, leaf_hash(b"x")).unwrap();
        assert!(matches!(other.sign(&log), Err(SignError::KeyNotOfOrigin { .. })));
        let extended: Checkpoint = format!("log.example/a\n1\n{ROOT}\nmore\n").parse().unwrap();
        assert_eq!(extended.sign(&log), Err(SignError::Extensions { lines: 1 }));
    }
}
