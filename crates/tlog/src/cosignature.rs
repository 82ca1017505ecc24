//! C2SP Ed25519 cosignatures (signature type 04): a witness states that at a time it saw a checkpoint, consistent with
//! all that it saw of that log before.
//!
//! The signature is `u64be time ‖ Ed25519` over `cosignature/v1\ntime <time>\n` ‖ the checkpoint's whole text,
//! extension lines included.

use crate::checkpoint::SignedCheckpoint;
use crate::key::{KeyError, KeyId, KeyName, KeyType, PublicKey, SecretKey};
use crate::note::{NoteSignature, SignatureError, Verifier};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// The latest time a cosignature may bear, in seconds since the epoch.
pub const MAX_TIME_S: u64 = i64::MAX as u64;

/// Verifies the cosignatures of one witness. Written as a vkey, `name+keyid+base64(04 ‖ public key)`.
///
/// The name is not in what the witness signs: one public key under two names would let one cosignature count twice,
/// which [`WitnessPolicy`](crate::WitnessPolicy) therefore refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKey(PublicKey);

/// Makes cosignatures. Wiped from memory when dropped and never shown by `Debug`.
pub struct WitnessSigner(SecretKey);

impl WitnessKey {
    /// The key `public_key` (RFC 8032 encoding) under `name`. Refuses weak keys.
    pub fn new(name: KeyName, public_key: &[u8; 32]) -> Result<Self, KeyError> {
        PublicKey::new(name, KeyType::CosignatureV1, public_key).map(Self)
    }

    /// The 32 bytes of the public key, as RFC 8032 encodes it.
    pub fn public_key(&self) -> [u8; 32] {
        self.0.bytes()
    }
}

impl Verifier for WitnessKey {
    /// When the witness signed, in seconds since the epoch.
    type Statement = u64;

    fn name(&self) -> &KeyName {
        self.0.name()
    }

    fn id(&self) -> KeyId {
        self.0.id()
    }

    fn verify(&self, text: &str, signature: &[u8]) -> Result<u64, SignatureError> {
        let wrong_length = SignatureError::Length { expected: 8 + 64, found: signature.len() };
        let (time, signature) =
            signature.split_first_chunk::<8>().filter(|(_, rest)| rest.len() == 64).ok_or(wrong_length)?;
        let time_s = check_time(u64::from_be_bytes(*time))?;
        self.0.verify(message(time_s, text).as_bytes(), signature)?;
        Ok(time_s)
    }
}

impl FromStr for WitnessKey {
    type Err = KeyError;

    fn from_str(vkey: &str) -> Result<Self, KeyError> {
        PublicKey::parse(vkey, KeyType::CosignatureV1).map(Self)
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl WitnessSigner {
    /// The key that RFC 8032 derives from `seed`, 32 bytes of good randomness that the caller brings and wipes.
    pub fn from_seed(name: KeyName, seed: &[u8; 32]) -> Result<Self, KeyError> {
        SecretKey::from_seed(name, KeyType::CosignatureV1, seed).map(Self)
    }

    /// Reads `PRIVATE+KEY+name+keyid+base64(04 ‖ seed)`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        SecretKey::parse(text, KeyType::CosignatureV1).map(Self)
    }

    /// The form that [`WitnessSigner::parse`] reads. Whoever holds it can cosign as this witness.
    pub fn to_private(&self) -> Zeroizing<String> {
        self.0.to_private()
    }

    /// What others need to verify.
    pub fn witness_key(&self) -> WitnessKey {
        WitnessKey(self.0.public().clone())
    }

    /// Cosigns at `time_s` seconds since the epoch. The caller has checked that the checkpoint is consistent with the
    /// largest it has cosigned for that origin, and has stored it as such.
    pub fn cosign(&self, checkpoint: &SignedCheckpoint, time_s: u64) -> Result<NoteSignature, SignatureError> {
        let signed = self.0.sign(message(check_time(time_s)?, checkpoint.note().text()).as_bytes());
        let public = self.0.public();
        let signature = [time_s.to_be_bytes().as_slice(), &signed].concat();
        Ok(NoteSignature::new(public.name().clone(), public.id(), signature))
    }
}

impl fmt::Debug for WitnessSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_public(f, "WitnessSigner")
    }
}

fn message(time_s: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time_s}\n{text}")
}

fn check_time(time_s: u64) -> Result<u64, SignatureError> {
    if time_s > MAX_TIME_S { Err(SignatureError::Time { time_s }) } else { Ok(time_s) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::hash::leaf_hash;
    use crate::key::{SigningKey, VerifierKey};
    use crate::note::{Note, VerifyError};

    fn name(name: &str) -> KeyName {
        KeyName::new(name).unwrap()
    }

    fn signed() -> SignedCheckpoint {
        let log = SigningKey::from_seed(name("log"), &[1; 32]).unwrap();
        Checkpoint::new("log", 7, leaf_hash(b"x")).unwrap().sign(&log).unwrap()
    }

    /// The specification gives no key for its example, so its framing alone can be held against ours.
    #[test]
    fn the_specs_example_has_our_framing() {
        let line = "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";
        let signature = NoteSignature::parse(line).unwrap();
        assert_eq!(signature.to_string(), line);
        assert_eq!(signature.signature().len(), 8 + 64);
        assert_eq!(signature.signature()[..8], 1_679_315_147u64.to_be_bytes());
        assert_eq!(message(1_679_315_147, "o\n"), "cosignature/v1\ntime 1679315147\no\n");
    }

    #[test]
    fn a_cosignature_states_its_time() {
        let witness = WitnessSigner::from_seed(name("w"), &[2; 32]).unwrap();
        let mut signed = signed();
        for time_s in [1_700_000_000, 0, MAX_TIME_S] {
            signed.add_signature(witness.cosign(&signed, time_s).unwrap()).unwrap();
        }
        let note = Note::parse(signed.to_string().as_bytes()).unwrap();
        assert_eq!(note.statements(&witness.witness_key()), Ok(vec![1_700_000_000, 0, MAX_TIME_S]));
        let late = SignatureError::Time { time_s: MAX_TIME_S + 1 };
        assert_eq!(witness.cosign(&signed, MAX_TIME_S + 1), Err(late));
    }

    #[test]
    fn any_other_time_text_or_length_fails() {
        let signer = WitnessSigner::from_seed(name("w"), &[2; 32]).unwrap();
        let (key, checkpoint) = (signer.witness_key(), signed());
        let good = signer.cosign(&checkpoint, 1000).unwrap().signature().to_vec();
        let text = checkpoint.note().text();
        assert_eq!(key.verify(text, &good), Ok(1000));
        assert_eq!(key.verify(&text.replace('7', "8"), &good), Err(SignatureError::Invalid));
        let mut late = good.clone();
        late[0] = 0x80;
        assert_eq!(key.verify(text, &late), Err(SignatureError::Time { time_s: (1 << 63) + 1000 }));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(key.verify(text, &bad).is_err(), "bit {bit}");
        }
        for length in (0..good.len()).chain([good.len() + 1]) {
            let mut bad = good.clone();
            bad.resize(length, 0);
            assert_eq!(key.verify(text, &bad), Err(SignatureError::Length { expected: 72, found: length }));
        }
    }

    #[test]
    fn one_public_key_has_an_id_for_each_type() {
        let signer = WitnessSigner::from_seed(name("w"), &[2; 32]).unwrap();
        let witness = signer.witness_key();
        let log = VerifierKey::new(name("w"), &witness.public_key()).unwrap();
        assert_ne!(witness.id(), log.id());
        assert!(matches!(witness.to_string().parse::<VerifierKey>(), Err(KeyError::Type { found: 4, .. })));
        assert!(matches!(log.to_string().parse::<WitnessKey>(), Err(KeyError::Type { found: 1, .. })));
        assert_eq!(witness.to_string().parse(), Ok(witness.clone()));
        assert_eq!(WitnessSigner::parse(&signer.to_private()).unwrap().witness_key(), witness);
        assert!(!format!("{signer:?}").contains("0202"));
        // And a cosignature is no log signature, under whatever name.
        let mut note = signed();
        note.add_signature(signer.cosign(&signed(), 5).unwrap()).unwrap();
        assert_eq!(note.note().verify(&[log]), Err(VerifyError::NoKnownSignature));
    }
}
