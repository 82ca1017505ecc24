//! The key of one file.

use ring::hkdf;

use crate::cipher::bound_to;
use crate::{Cipher, KeyId, Secret};

/// The key of one file: nothing else is encrypted under it.
#[derive(Clone, Debug)]
pub struct DataKey {
    id: KeyId,
    secret: Secret,
    bound: Vec<u8>,
}

impl DataKey {
    pub(crate) fn new(id: KeyId, secret: Secret, origin: &str, file: &str) -> DataKey {
        DataKey { id, secret, bound: bound_to("onrecord/v1", &[origin.as_bytes(), file.as_bytes()]) }
    }

    /// Its id, as the file's header or manifest names it.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The key itself, for a library that encrypts.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// What everything in the file is bound to: trail and name of the file.
    #[must_use]
    pub fn bound(&self) -> &[u8] {
        &self.bound
    }

    /// AES-256-GCM under it.
    #[must_use]
    pub fn cipher(&self) -> Cipher {
        Cipher::new(&self.secret)
    }

    /// AES-256-GCM under a key that follows from it, for another use of the same file: HKDF-SHA-256 (RFC 5869) without a
    /// salt, `label` being the info.
    #[must_use]
    pub fn cipher_for(&self, label: &str) -> Cipher {
        let mut key = [0; 32];
        let derived = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(self.secret.bytes());
        let info = [label.as_bytes()];
        let filled = derived.expand(&info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut key));
        // It refuses more than 255 hashes, and this is one.
        debug_assert!(filled.is_ok());
        Cipher::new(&Secret::take(&mut key))
    }
}
