//! Keys of signed notes (C2SP signed-note): names, ids, verifier keys and signing keys.
//!
//! Ed25519 alone, as one choice that every verifier can check. A key's type is a Rust type here: [`VerifierKey`] and
//! [`SigningKey`] are type 01, [`WitnessKey`](crate::WitnessKey) and [`WitnessSigner`](crate::WitnessSigner) type 04,
//! so that a cosignature can not be taken for a log's signature.

use crate::base64;
use crate::note::{NoteSignature, SignatureError, Verifier};
use ed25519_dalek::Signer as _;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// The name of a key: not empty, without Unicode spaces, `+` or control characters below U+0020. By custom a URL without its
/// scheme; the name of a log's key is the log's origin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

/// SHA-256(name ‖ 0A ‖ type ‖ public key)\[..4\]: tells keys apart, proves nothing. Shown as 8 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 4]);

/// Why text or bytes are no key. Never holds any part of what may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a [`KeyName`].
    #[error("a key name must not be empty nor hold spaces, `+` or control characters; {name:?} is none")]
    Name {
        /// The name as given.
        name: String,
    },
    /// A verifier key is not `name+keyid+base64`.
    #[error("a verifier key has the form <name>+<8 hex digits>+<base64>")]
    VerifierShape,
    /// A signing key is not `PRIVATE+KEY+name+keyid+base64`.
    #[error("a signing key has the form PRIVATE+KEY+<name>+<8 hex digits>+<base64>")]
    SigningShape,
    /// The key id is not 8 lowercase hex digits.
    #[error("the id of key {name} is not 8 lowercase hex digits")]
    IdShape {
        /// The key's name.
        name: KeyName,
    },
    /// The key is not canonical base64.
    #[error("key {name} is not canonical base64")]
    NotBase64 {
        /// The key's name.
        name: KeyName,
    },
    /// The key is of another signature type than is needed here.
    #[error("key {name} has signature type {found:#04x}; type {expected:#04x} is needed here")]
    Type {
        /// The key's name.
        name: KeyName,
        /// The type needed.
        expected: u8,
        /// The type found.
        found: u8,
    },
    /// The key is not a type byte and 32 bytes.
    #[error("key {name} has {bytes} bytes after its type, not 32")]
    Length {
        /// The key's name.
        name: KeyName,
        /// Bytes found.
        bytes: usize,
    },
    /// The id written is not the id of this name and key.
    #[error("key {name} says its id is {written}, but name and key come to {computed}")]
    WrongId {
        /// The key's name.
        name: KeyName,
        /// The id in the text.
        written: KeyId,
        /// The id of this name and key.
        computed: KeyId,
    },
    /// The bytes are no point of the curve.
    #[error("key {name} is not an Ed25519 public key")]
    NotAPoint {
        /// The key's name.
        name: KeyName,
    },
    /// Of small order or with a small-order part: signatures under it can be valid for many messages, or valid for
    /// some verifiers only (T17). No honest key generator makes one.
    #[error("key {name} is a weak Ed25519 key, one with a small-order component")]
    Weak {
        /// The key's name.
        name: KeyName,
    },
}

/// Signature types of C2SP signed-note that this crate knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyType {
    /// Ed25519 over the note's text.
    Ed25519 = 0x01,
    /// Timestamped Ed25519 cosignature (C2SP tlog-cosignature).
    CosignatureV1 = 0x04,
}

/// A named public key of one type. What is held here is neither weak nor oddly encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicKey {
    name: KeyName,
    id: KeyId,
    key_type: KeyType,
    key: ed25519_dalek::VerifyingKey,
}

/// A named secret key of one type; wiped from memory when dropped.
pub(crate) struct SecretKey {
    public: PublicKey,
    key: ed25519_dalek::SigningKey,
}

/// Verifies type 01 signatures: Ed25519 over a note's text. Written as a vkey, `name+keyid+base64(01 ‖ public key)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey(PublicKey);

/// Makes type 01 signatures. Wiped from memory when dropped and never shown by `Debug`.
pub struct SigningKey(SecretKey);

const PRIVATE_PREFIX: &str = "PRIVATE+KEY+";

impl KeyName {
    /// Checks and takes a name.
    pub fn new(name: &str) -> Result<Self, KeyError> {
        let allowed = |c: char| !c.is_whitespace() && c >= ' ' && c != '+';
        if name.is_empty() || !name.chars().all(allowed) {
            return Err(KeyError::Name { name: name.to_owned() });
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl KeyId {
    fn of(name: &KeyName, key_type: KeyType, key: &ed25519_dalek::VerifyingKey) -> Self {
        let digest = Sha256::new()
            .chain_update(name.as_str())
            .chain_update([b'\n', key_type as u8])
            .chain_update(key.as_bytes())
            .finalize();
        Self([digest[0], digest[1], digest[2], digest[3]])
    }

    /// Reads 8 lowercase hex digits.
    fn parse(text: &str) -> Option<Self> {
        let canonical = text.len() == 8 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !canonical {
            return None;
        }
        u32::from_str_radix(text, 16).ok().map(|id| Self(id.to_be_bytes()))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PublicKey {
    pub(crate) fn parse(vkey: &str, key_type: KeyType) -> Result<Self, KeyError> {
        let parts = KeyParts::parse(vkey, key_type).ok_or(KeyError::VerifierShape)??;
        let public = Self::new(parts.name, key_type, &parts.key)?;
        public.require_id(parts.id)
    }

    pub(crate) fn new(name: KeyName, key_type: KeyType, key: &[u8; 32]) -> Result<Self, KeyError> {
        let Ok(key) = ed25519_dalek::VerifyingKey::from_bytes(key) else { return Err(KeyError::NotAPoint { name }) };
        // This also leaves each key one encoding: every point that can be written with y not below p, or with the
        // sign of x = 0 set, is of small or mixed order.
        if key.is_weak() || !key.to_edwards().is_torsion_free() {
            return Err(KeyError::Weak { name });
        }
        let id = KeyId::of(&name, key_type, &key);
        Ok(Self { name, id, key_type, key })
    }

    fn require_id(self, written: KeyId) -> Result<Self, KeyError> {
        if self.id == written {
            Ok(self)
        } else {
            Err(KeyError::WrongId { name: self.name, written, computed: self.id })
        }
    }

    pub(crate) fn name(&self) -> &KeyName {
        &self.name
    }

    pub(crate) fn id(&self) -> KeyId {
        self.id
    }

    pub(crate) fn bytes(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    /// Refuses malleable signatures (S not below the group order) and small-order R (T17).
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let bytes: &[u8; 64] =
            signature.try_into().map_err(|_| SignatureError::Length { expected: 64, found: signature.len() })?;
        let signature = ed25519_dalek::Signature::from_bytes(bytes);
        self.key.verify_strict(message, &signature).map_err(|_| SignatureError::Invalid)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let typed = [&[self.key_type as u8], self.key.as_bytes().as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, self.id, base64::encode(&typed))
    }
}

impl SecretKey {
    pub(crate) fn from_seed(name: KeyName, key_type: KeyType, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let public = PublicKey::new(name, key_type, key.verifying_key().as_bytes())?;
        Ok(Self { public, key })
    }

    pub(crate) fn parse(text: &str, key_type: KeyType) -> Result<Self, KeyError> {
        let rest = text.strip_prefix(PRIVATE_PREFIX).ok_or(KeyError::SigningShape)?;
        let parts = KeyParts::parse(rest, key_type).ok_or(KeyError::SigningShape)?;
        let parts = parts.map_err(|error| match error {
            // Before the id is seen to be one, what stands for the name may be part of the secret.
            KeyError::Name { .. } | KeyError::IdShape { .. } => KeyError::SigningShape,
            later => later,
        })?;
        let secret = Self::from_seed(parts.name, key_type, &parts.key)?;
        let public = secret.public.clone().require_id(parts.id)?;
        Ok(Self { public, ..secret })
    }

    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }

    /// One string, grown to its length before the secret goes in, so that no copy stays behind.
    pub(crate) fn to_private(&self) -> Zeroizing<String> {
        let mut typed = Zeroizing::new([0; 33]);
        typed[0] = self.public.key_type as u8;
        typed[1..].copy_from_slice(self.key.as_bytes());
        let encoded = Zeroizing::new(base64::encode(typed.as_slice()));
        let head = format!("{PRIVATE_PREFIX}{}+{}+", self.public.name, self.public.id);
        let mut text = Zeroizing::new(String::with_capacity(head.len() + encoded.len()));
        text.push_str(&head);
        text.push_str(&encoded);
        text
    }
}

/// What both written forms of a key have after their prefix.
struct KeyParts {
    name: KeyName,
    id: KeyId,
    key: Zeroizing<[u8; 32]>,
}

impl KeyParts {
    /// Reads `name+keyid+base64(type ‖ 32 bytes)`; `None` when it has not that shape at all. The base64 may itself
    /// hold a plus, the name may not.
    fn parse(text: &str, key_type: KeyType) -> Option<Result<Self, KeyError>> {
        let (name, rest) = text.split_once('+')?;
        let (id, key) = rest.split_once('+')?;
        Some(KeyName::new(name).and_then(|name| Self::check(name, id, key, key_type)))
    }

    fn check(name: KeyName, id: &str, key: &str, key_type: KeyType) -> Result<Self, KeyError> {
        let Some(id) = KeyId::parse(id) else { return Err(KeyError::IdShape { name }) };
        let Some(bytes) = base64::decode(key).map(Zeroizing::new) else { return Err(KeyError::NotBase64 { name }) };
        let (found, key) = match bytes.split_first() {
            Some((found, key)) => (*found, key),
            None => return Err(KeyError::Length { name, bytes: 0 }),
        };
        if found != key_type as u8 {
            return Err(KeyError::Type { name, expected: key_type as u8, found });
        }
        let Ok(key) = <[u8; 32]>::try_from(key) else { return Err(KeyError::Length { name, bytes: key.len() }) };
        Ok(Self { name, id, key: Zeroizing::new(key) })
    }
}

impl VerifierKey {
    /// The key `public_key` (RFC 8032 encoding) under `name`. Refuses weak keys.
    pub fn new(name: KeyName, public_key: &[u8; 32]) -> Result<Self, KeyError> {
        PublicKey::new(name, KeyType::Ed25519, public_key).map(Self)
    }

    /// The 32 bytes of the public key, as RFC 8032 encodes it.
    pub fn public_key(&self) -> [u8; 32] {
        self.0.bytes()
    }
}

impl Verifier for VerifierKey {
    type Statement = ();

    fn name(&self) -> &KeyName {
        self.0.name()
    }

    fn id(&self) -> KeyId {
        self.0.id()
    }

    fn verify(&self, text: &str, signature: &[u8]) -> Result<(), SignatureError> {
        self.0.verify(text.as_bytes(), signature)
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(vkey: &str) -> Result<Self, KeyError> {
        PublicKey::parse(vkey, KeyType::Ed25519).map(Self)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl SigningKey {
    /// The key that RFC 8032 derives from `seed`, 32 bytes of good randomness that the caller brings and wipes.
    pub fn from_seed(name: KeyName, seed: &[u8; 32]) -> Result<Self, KeyError> {
        SecretKey::from_seed(name, KeyType::Ed25519, seed).map(Self)
    }

    /// Reads `PRIVATE+KEY+name+keyid+base64(01 ‖ seed)`, the form of golang.org/x/mod/sumdb/note.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        SecretKey::parse(text, KeyType::Ed25519).map(Self)
    }

    /// The form that [`SigningKey::parse`] reads. Whoever holds it can sign as this log.
    pub fn to_private(&self) -> Zeroizing<String> {
        self.0.to_private()
    }

    /// What others need to verify.
    pub fn verifier_key(&self) -> VerifierKey {
        VerifierKey(self.0.public().clone())
    }

    /// The key's name.
    pub fn name(&self) -> &KeyName {
        self.0.public().name()
    }

    /// Signs a note's text.
    pub fn sign(&self, text: &str) -> NoteSignature {
        let public = self.0.public();
        NoteSignature::new(public.name().clone(), public.id(), self.0.sign(text.as_bytes()).to_vec())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_public(f, "SigningKey")
    }
}

impl SecretKey {
    /// `Debug` of whatever wraps this key: the public half only.
    pub(crate) fn fmt_public(&self, f: &mut fmt::Formatter<'_>, of: &str) -> fmt::Result {
        f.debug_struct(of).field("name", &self.public.name).field("id", &self.public.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC_VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

    fn name() -> KeyName {
        KeyName::new("log.example/a").unwrap()
    }

    #[test]
    fn the_specs_vkey_round_trips() {
        let key: VerifierKey = SPEC_VKEY.parse().unwrap();
        assert_eq!(key.name().as_str(), "example.com/foo");
        assert_eq!(key.id().to_string(), "530d903a");
        assert_eq!(key.to_string(), SPEC_VKEY);
    }

    #[test]
    fn names_that_can_not_stand_in_a_note_are_refused() {
        for bad in ["", "a b", "a+b", "a\nb", "a\tb", "a\u{a0}b", "a\u{2003}b", "a\u{85}b", "a\u{1}b"] {
            assert_eq!(KeyName::new(bad), Err(KeyError::Name { name: bad.to_owned() }));
        }
        assert_eq!(KeyName::new("münchen.example/é").unwrap().as_str(), "münchen.example/é");
    }

    #[test]
    fn each_fault_of_a_vkey_has_its_name() {
        let parse = |text: &str| text.parse::<VerifierKey>();
        assert_eq!(parse("a"), Err(KeyError::VerifierShape));
        assert_eq!(parse("a+530d903a"), Err(KeyError::VerifierShape));
        assert!(matches!(parse("+530d903a+AA=="), Err(KeyError::Name { .. })));
        assert!(matches!(parse(&SPEC_VKEY.replace("530d903a", "530D903A")), Err(KeyError::IdShape { .. })));
        assert!(matches!(parse(&SPEC_VKEY.replace("530d903a", "30d903a")), Err(KeyError::IdShape { .. })));
        assert!(matches!(parse(&SPEC_VKEY.replace("530d903a", "530d903b")), Err(KeyError::WrongId { .. })));
        assert!(matches!(parse(&SPEC_VKEY.replace("foo", "bar")), Err(KeyError::WrongId { .. })));
        assert!(matches!(parse(&format!("{SPEC_VKEY}=")), Err(KeyError::NotBase64 { .. })));
        assert!(matches!(parse("a+00000000+"), Err(KeyError::Length { bytes: 0, .. })));
        assert!(matches!(parse("a+00000000+AQID"), Err(KeyError::Length { bytes: 2, .. })));
        assert!(matches!(parse("a+00000000+BAID"), Err(KeyError::Type { expected: 1, found: 4, .. })));
    }

    /// Encodings of the eight points of small order, and of some of them with y not below p.
    const SMALL_ORDER: [&str; 11] = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0100000000000000000000000000000000000000000000000000000000000080",
    ];

    fn unhex(text: &str) -> [u8; 32] {
        std::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
    }

    #[test]
    fn weak_keys_are_refused_at_parse() {
        for point in SMALL_ORDER.map(unhex) {
            let refused = VerifierKey::new(name(), &point).unwrap_err();
            assert!(matches!(refused, KeyError::Weak { .. } | KeyError::NotAPoint { .. }), "{refused}");
        }
        // In its written form too, with the right id.
        let digest = Sha256::new().chain_update(b"w\n\x01").chain_update(unhex(SMALL_ORDER[0])).finalize();
        let id = KeyId([digest[0], digest[1], digest[2], digest[3]]);
        let typed = [&[1u8][..], &unhex(SMALL_ORDER[0])].concat();
        let vkey = format!("w+{id}+{}", base64::encode(&typed));
        assert_eq!(vkey.parse::<VerifierKey>(), Err(KeyError::Weak { name: KeyName::new("w").unwrap() }));
    }

    #[test]
    fn keys_of_mixed_order_and_odd_encodings_are_refused() {
        let honest = SigningKey::from_seed(name(), &[7; 32]).unwrap().0.public().key.to_edwards();
        let torsion = ed25519_dalek::VerifyingKey::from_bytes(&unhex(SMALL_ORDER[4])).unwrap().to_edwards();
        let mixed = (honest + torsion).compress().to_bytes();
        assert_eq!(VerifierKey::new(name(), &mixed), Err(KeyError::Weak { name: name() }));
        for low in 0xed..=0xffu8 {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (low, 0x7f);
            assert!(VerifierKey::new(name(), &bytes).is_err(), "y = p + {}", low - 0xed);
        }
    }

    #[test]
    fn a_malleable_signature_is_refused() {
        /// The group order, little-endian (RFC 8032 section 5.1).
        const L: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
        let key = SigningKey::from_seed(name(), &[7; 32]).unwrap();
        let mut signature = key.0.sign(b"text\n");
        assert_eq!(key.verifier_key().verify("text\n", &signature), Ok(()));
        let mut carry = 0;
        for (byte, l) in signature[32..].iter_mut().zip(unhex(L)) {
            let sum = u16::from(*byte) + u16::from(l) + carry;
            (*byte, carry) = (sum as u8, sum >> 8);
        }
        assert_eq!(key.verifier_key().verify("text\n", &signature), Err(SignatureError::Invalid));
    }

    #[test]
    fn a_small_order_r_is_refused() {
        let key = SigningKey::from_seed(name(), &[7; 32]).unwrap().verifier_key();
        // What the holder of the key can make without a nonce: R the identity, S = SHA-512(R ‖ A ‖ text) times the
        // secret scalar. It satisfies RFC 8032's equation, and some verifiers take it.
        let s = unhex("49229976e4ab945a6dd22b3a1e576ee7c6c5884e7bffc29d375e7c8183f41b0e");
        let signature = [unhex(SMALL_ORDER[0]), s].concat();
        let lax = ed25519_dalek::Signature::from_slice(&signature).unwrap();
        assert!(ed25519_dalek::Verifier::verify(&key.0.key, b"text\n", &lax).is_ok());
        assert_eq!(key.verify("text\n", &signature), Err(SignatureError::Invalid));
        for point in SMALL_ORDER.map(unhex) {
            let signature = [point, [0; 32]].concat();
            assert_eq!(key.verify("text\n", &signature), Err(SignatureError::Invalid));
        }
    }

    #[test]
    fn signing_keys_round_trip_and_never_show_their_seed() {
        let key = SigningKey::from_seed(name(), &[0x5a; 32]).unwrap();
        let text = key.to_private();
        let again = SigningKey::parse(&text).unwrap();
        assert_eq!(again.verifier_key(), key.verifier_key());
        assert_eq!(again.to_private(), text);
        let shown = format!("{key:?} {key:#?}");
        assert!(shown.contains("log.example/a") && !shown.contains("5a5a") && !shown.contains("90"), "{shown}");
        assert_eq!(text.parse::<VerifierKey>(), Err(KeyError::IdShape { name: KeyName::new("PRIVATE").unwrap() }));
        assert_eq!(SigningKey::parse(&text[1..]).unwrap_err(), KeyError::SigningShape);
        // A secret in the wrong place does not come back in the error.
        let misplaced = SigningKey::parse("PRIVATE+KEY+AVpaWlpa+WlpaWlpa+WlpaWlo=").unwrap_err();
        assert_eq!(misplaced, KeyError::SigningShape);
        assert!(matches!(SigningKey::parse(&text.replace("/a", "/b")).unwrap_err(), KeyError::WrongId { .. }));
    }
}
