//! Bytes that nobody may see.

use std::fmt;

use host::Host;
use zeroize::Zeroize as _;

/// 32 secret bytes: a key of AES-256. They are wiped when it is dropped, and never shown.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl Secret {
    /// New ones that nobody knows.
    #[must_use]
    pub fn random(host: &Host) -> Secret {
        Secret(host.random())
    }

    /// From these bytes, which are wiped.
    #[must_use]
    pub fn take(bytes: &mut [u8; 32]) -> Secret {
        let secret = Secret(*bytes);
        bytes.zeroize();
        secret
    }

    /// The bytes themselves, for a library that wants them.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key that a file of text or bytes holds: 32 bytes, or 64 hexadecimal digits and perhaps a newline.
    pub(crate) fn read(bytes: &[u8]) -> Option<Secret> {
        if let Ok(raw) = <[u8; 32]>::try_from(bytes) {
            return Some(Secret(raw));
        }
        let text = bytes.trim_ascii();
        let mut secret = Secret([0; 32]);
        if text.len() != 64 {
            return None;
        }
        for (byte, digits) in secret.0.iter_mut().zip(text.chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            *byte = u8::try_from(digit(digits[0])? << 4 | digit(digits[1])?).ok()?;
        }
        Some(secret)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_32_bytes_or_64_digits_and_nothing_else() {
        let digits = "0f".repeat(32);
        let key = |bytes: &[u8]| Secret::read(bytes).map(|secret| *secret.bytes());
        assert_eq!(key(digits.as_bytes()), Some([15; 32]));
        assert_eq!(key(format!("{digits}\n").as_bytes()), Some([15; 32]));
        assert_eq!(key(&[7; 32]), Some([7; 32]));
        for other in [&digits.as_bytes()[..62], b"", &[7; 33], "0g".repeat(32).as_bytes(), "+f".repeat(32).as_bytes()] {
            assert_eq!(key(other), None);
        }
    }

    #[test]
    fn it_does_not_show_itself() {
        assert_eq!(format!("{:?}", Secret([65; 32])), "Secret");
    }
}
