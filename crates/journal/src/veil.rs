//! Encryption of a segment's payloads: AES-256-GCM under a key of the segment's own.
//!
//! The nonce is the record's index, which a segment holds once: a frame is encrypted when it is written, a journal that
//! failed to write one writes to that segment no more, and each opening begins another. What is authenticated beside a
//! payload is the trail, the segment and the index, so that no payload can stand for another. CRCs are over what is
//! encrypted: where a journal ends, and whether it is whole, is known without a key.

use host::FileError;
use keys::{Cipher, DataKey, Keyring, NonceBytes, NotAuthentic, TAG_BYTES, bound_to};

use crate::segment::{HeaderError, SegmentHeader, SegmentName};

/// What encrypts and decrypts the payloads of one segment.
#[derive(Debug)]
pub(crate) struct Veil {
    cipher: Cipher,
    /// What every payload of the segment is bound to; its index comes behind.
    bound: Vec<u8>,
}

impl Veil {
    pub(crate) fn new(key: &DataKey, header: &SegmentHeader) -> Veil {
        let place = [key.bound(), &header.id, &header.first_index.to_le_bytes()];
        Veil { cipher: key.cipher(), bound: bound_to("onrecord/journal/v1", &place) }
    }

    /// That of a segment as it was found; nothing if it is not encrypted.
    pub(crate) fn of(
        keys: Option<&Keyring>,
        name: &SegmentName,
        header: &SegmentHeader,
    ) -> Result<Option<Veil>, HeaderError> {
        let Some(key_id) = header.key_id else { return Ok(None) };
        let no_keys = || HeaderError::Key { key_id, why: NO_KEYS.to_owned() };
        let keys = keys.ok_or_else(no_keys)?;
        let key = keys.find(name.file(), &key_id).map_err(|error| HeaderError::of_key(key_id, &error))?;
        Ok(Some(Veil::new(&key, header)))
    }

    /// A key for a segment that is begun, if it is to be encrypted.
    pub(crate) fn make(keys: Option<&Keyring>, name: &SegmentName) -> Result<Option<DataKey>, FileError> {
        keys.map(|keys| keys.make(name.file())).transpose()
    }

    /// Encrypts the payload, behind which there is room for the tag.
    pub(crate) fn draw(&self, index: u64, payload: &mut [u8]) {
        let Some(at) = payload.len().checked_sub(TAG_BYTES) else { return };
        let (message, room) = payload.split_at_mut(at);
        let tag = self.cipher.seal_in_place(nonce(index), &self.bound_to(index), message);
        room.copy_from_slice(&tag);
    }

    /// The payload that was encrypted.
    pub(crate) fn lift(&self, index: u64, mut payload: Vec<u8>) -> Result<Vec<u8>, NotAuthentic> {
        let length = self.cipher.open_in_place(nonce(index), &self.bound_to(index), &mut payload)?.len();
        payload.truncate(length);
        Ok(payload)
    }

    fn bound_to(&self, index: u64) -> Vec<u8> {
        let mut bound = Vec::with_capacity(self.bound.len() + 8);
        bound.extend_from_slice(&self.bound);
        bound.extend_from_slice(&index.to_le_bytes());
        bound
    }
}

/// How many bytes a payload is longer by.
pub(crate) fn overhead(keys: Option<&Keyring>) -> usize {
    if keys.is_some() { TAG_BYTES } else { 0 }
}

const NO_KEYS: &str = "no keys are known here (ONRECORD_KEYS names their folder)";

fn nonce(index: u64) -> NonceBytes {
    let mut nonce = NonceBytes::default();
    nonce[4..].copy_from_slice(&index.to_le_bytes());
    nonce
}
