//! AES-256-GCM under one key.

use std::fmt;

use host::Host;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::Secret;

/// What a sealed message is longer by, where its nonce follows from its place.
pub const TAG_BYTES: usize = 16;

/// A number used once under a key.
pub type NonceBytes = [u8; NONCE_LEN];

/// What was opened is not what was sealed, or was sealed under another key or for another place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it was changed, or is encrypted under another key")]
pub struct NotAuthentic;

/// AES-256-GCM under one key.
#[derive(Clone)]
pub struct Cipher(LessSafeKey);

impl Cipher {
    /// Under that key.
    #[must_use]
    pub fn new(secret: &Secret) -> Cipher {
        match UnboundKey::new(&AES_256_GCM, secret.bytes()) {
            Ok(key) => Cipher(LessSafeKey::new(key)),
            // It refuses lengths alone, and 32 bytes are the right one.
            Err(_) => unreachable!("a key of 32 bytes"),
        }
    }

    /// Under a key that goes with the process: for what is put by on disk for a moment.
    #[must_use]
    pub fn ephemeral(host: &Host) -> Cipher {
        Cipher::new(&Secret::random(host))
    }

    /// Encrypts `message` where it stands, and gives its tag. The caller sees to it that no nonce is used twice.
    #[must_use]
    pub fn seal_in_place(&self, nonce: NonceBytes, aad: &[u8], message: &mut [u8]) -> [u8; TAG_BYTES] {
        let nonce = Nonce::assume_unique_for_key(nonce);
        match self.0.seal_in_place_separate_tag(nonce, Aad::from(aad), message) {
            Ok(tag) => {
                let mut bytes = [0; TAG_BYTES];
                bytes.copy_from_slice(tag.as_ref());
                bytes
            }
            // It refuses messages of more than 64 GiB, and no memory of ours is that long.
            Err(_) => unreachable!("a message of less than 64 GiB"),
        }
    }

    /// Decrypts `sealed`, a message with its tag behind it, where it stands, and gives the message.
    ///
    /// # Errors
    /// [`NotAuthentic`].
    pub fn open_in_place<'m>(
        &self,
        nonce: NonceBytes,
        aad: &[u8],
        sealed: &'m mut [u8],
    ) -> Result<&'m mut [u8], NotAuthentic> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0.open_in_place(nonce, Aad::from(aad), sealed).map_err(|_| NotAuthentic)
    }

    /// Encrypts a message under a random nonce: nonce ‖ message ‖ tag.
    #[must_use]
    pub fn seal(&self, host: &Host, aad: &[u8], message: &[u8]) -> Vec<u8> {
        let nonce: NonceBytes = host.random();
        let mut sealed = Vec::with_capacity(NONCE_LEN + message.len() + TAG_BYTES);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(message);
        let tag = self.seal_in_place(nonce, aad, &mut sealed[NONCE_LEN..]);
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// Decrypts what [`Cipher::seal`] made.
    ///
    /// # Errors
    /// [`NotAuthentic`].
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotAuthentic> {
        let (nonce, sealed) = sealed.split_first_chunk().ok_or(NotAuthentic)?;
        let mut message = Zeroizing::new(sealed.to_vec());
        let length = self.open_in_place(*nonce, aad, &mut message)?.len();
        message.truncate(length);
        Ok(message)
    }

    /// As [`Cipher::open`], for a message that is a key.
    pub(crate) fn open_key(&self, aad: &[u8], sealed: &[u8]) -> Result<Secret, NotAuthentic> {
        let message = self.open(aad, sealed)?;
        let mut bytes = <[u8; 32]>::try_from(&message[..]).map_err(|_| NotAuthentic)?;
        Ok(Secret::take(&mut bytes))
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher")
    }
}

/// Texts and bytes that a message is bound to, told apart by their lengths: `label`, then each part after its length.
#[must_use]
pub fn bound_to(label: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(label.len() + 1 + parts.iter().map(|part| 4 + part.len()).sum::<usize>());
    bytes.extend_from_slice(label.as_bytes());
    bytes.push(0);
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u32).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Test case 15 of "The Galois/Counter Mode of Operation (GCM)" (McGrew, Viega), that of AES-256 without more data.
    #[test]
    fn it_is_the_gcm_of_the_specification() {
        let hex = |text: &str| -> Vec<u8> {
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
        };
        let key = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
        let cipher = Cipher::new(&Secret::read(&key).unwrap());
        let nonce = hex("cafebabefacedbaddecaf888").try_into().unwrap();
        let mut message = hex(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
        );
        let tag = cipher.seal_in_place(nonce, b"", &mut message);
        assert_eq!(message[..8], hex("522dc1f099567d07"));
        assert_eq!(tag.to_vec(), hex("b094dac5d93471bdec1a502270e3cc6c"));
    }

    proptest! {
        #[test]
        fn what_is_sealed_comes_back_and_nothing_else_does(
            message in prop::collection::vec(any::<u8>(), 0..200),
            bit in any::<prop::sample::Index>(),
            seed: u64,
        ) {
            let host = Host::builder().random_seed(seed).build();
            let cipher = Cipher::ephemeral(&host);
            let sealed = cipher.seal(&host, b"here", &message);
            prop_assert_eq!(&cipher.open(b"here", &sealed).unwrap()[..], &message[..]);
            prop_assert_eq!(cipher.open(b"there", &sealed), Err(NotAuthentic));
            prop_assert_eq!(Cipher::ephemeral(&host).open(b"here", &sealed), Err(NotAuthentic));
            let mut changed = sealed.clone();
            let bit = bit.index(8 * sealed.len());
            changed[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(cipher.open(b"here", &changed), Err(NotAuthentic));
            for cut in 0..sealed.len() {
                prop_assert_eq!(cipher.open(b"here", &sealed[..cut]), Err(NotAuthentic));
            }
        }

        #[test]
        fn no_two_lists_of_parts_are_bound_alike(one in prop::collection::vec("[ab]{0,3}", 0..4), other in prop::collection::vec("[ab]{0,3}", 0..4)) {
            let bound = |parts: &[String]| bound_to("x", &parts.iter().map(String::as_bytes).collect::<Vec<_>>());
            prop_assert_eq!(bound(&one) == bound(&other), one == other);
        }
    }
}
