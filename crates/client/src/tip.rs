//! Signed tips: by these an instance vouches for what it sent, number by number (T31).
//!
//! ```text
//! rolling(0) = 32 zero bytes
//! rolling(n) = SHA-256("onrecord/tip/v1" ‖ 00 ‖ rolling(n-1) ‖ n (u64 big-endian) ‖ content(n))
//! ```
//!
//! `content(n)` is that of the record with number n (docs/formats.md, 4), and 32 zero bytes where a `gap` record of the
//! instance declares n. A tip covers `first` to `through`: each of these numbers was acknowledged or is declared. `base`
//! is `rolling(first-1)`, so that each tip can be checked by itself, and the tips are a chain.

use std::fmt::Write as _;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use record::Value;
use sha2::{Digest as _, Sha256};

/// What begins everything that is hashed or signed here.
const LABEL: &[u8] = b"onrecord/tip/v1\0";

/// One step of the rolling hash; `content` is zero for a number that is declared as lost.
pub fn roll(before: &[u8; 32], seq: u64, content: &[u8; 32]) -> [u8; 32] {
    let hash = Sha256::new().chain_update(LABEL).chain_update(before);
    hash.chain_update(seq.to_be_bytes()).chain_update(content).finalize().into()
}

/// Who signs, and in which record.
#[derive(Clone, Copy, Debug)]
pub struct Signing<'a> {
    /// The producer's name.
    pub producer: &'a str,
    /// The instance.
    pub instance: &'a str,
    /// `start`, `heartbeat` or `stop`.
    pub event: &'a str,
    /// The number of the record that the tip stands in.
    pub seq: u64,
}

/// What an instance vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// The first number that it covers.
    pub first: u64,
    /// The last one; `first - 1` if it covers none.
    pub through: u64,
    /// The rolling hash before `first`.
    pub base: [u8; 32],
    /// The rolling hash at `through`.
    pub rolling: [u8; 32],
}

/// Why a tip does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TipError {
    /// The context is not that of a record with a tip.
    #[error("the record has no tip, or one that is malformed")]
    Malformed,
    /// The key is weak or no key.
    #[error("the instance's key is not an Ed25519 key that can be trusted")]
    Key,
    /// The signature is not of this key over this tip.
    #[error("the tip's signature is not the instance's")]
    Signature,
    /// The contents are not those that the instance signed for.
    #[error("the records from {first} to {through} are not those that the instance signed for")]
    Contents {
        /// The first number covered.
        first: u64,
        /// The last one.
        through: u64,
    },
}

impl Tip {
    fn message(&self, signing: &Signing<'_>) -> Vec<u8> {
        let mut message = LABEL.to_vec();
        for name in [signing.producer, signing.instance, signing.event] {
            message.extend((name.len() as u32).to_be_bytes());
            message.extend(name.as_bytes());
        }
        for number in [signing.seq, self.first, self.through] {
            message.extend(number.to_be_bytes());
        }
        message.extend(self.base);
        message.extend(self.rolling);
        message
    }

    /// The fields of the record's context: the key, and the tip with its signature.
    pub fn context(&self, key: &SigningKey, signing: &Signing<'_>) -> Vec<(String, Value)> {
        let signature = key.sign(&self.message(signing)).to_bytes();
        let number = |n: u64| Value::Number(record::cbor::Number::from_u64(n));
        let tip = Value::map([
            ("first".to_owned(), number(self.first)),
            ("through".to_owned(), number(self.through)),
            ("base".to_owned(), Value::Text(hex(&self.base))),
            ("rolling".to_owned(), Value::Text(hex(&self.rolling))),
            ("signature".to_owned(), Value::Text(hex(&signature))),
        ]);
        vec![
            ("event".to_owned(), Value::Text(signing.event.to_owned())),
            ("key".to_owned(), Value::Text(hex(key.verifying_key().as_bytes()))),
            ("tip".to_owned(), tip),
        ]
    }

    /// The tip of a context, whose signature is that of the key in it. Whether that key is the instance's is the caller's
    /// to know: that of its `start`, or one from elsewhere.
    pub fn read(context: &Value, signing: &Signing<'_>) -> Result<(Tip, [u8; 32]), TipError> {
        let tip = context.get("tip").ok_or(TipError::Malformed)?;
        let number = |name: &str| match tip.get(name) {
            Some(Value::Number(record::cbor::Number::Int(n))) => u64::try_from(*n).map_err(|_| TipError::Malformed),
            _ => Err(TipError::Malformed),
        };
        let text = |value: Option<&Value>| value.and_then(Value::as_text).map(str::to_owned).ok_or(TipError::Malformed);
        let hash = |name: &str| unhex::<32>(&text(tip.get(name))?).ok_or(TipError::Malformed);
        let found = Tip {
            first: number("first")?,
            through: number("through")?,
            base: hash("base")?,
            rolling: hash("rolling")?,
        };
        let key = unhex::<32>(&text(context.get("key"))?).ok_or(TipError::Malformed)?;
        let signature = unhex::<64>(&text(tip.get("signature"))?).ok_or(TipError::Malformed)?;
        let verifying = VerifyingKey::from_bytes(&key).ok().filter(|key| !key.is_weak()).ok_or(TipError::Key)?;
        let verified = verifying.verify_strict(&found.message(signing), &Signature::from_bytes(&signature));
        verified.map_err(|_| TipError::Signature)?;
        Ok((found, key))
    }

    /// Whether these are the contents that it covers: of each number from `first` on, zero where a `gap` declares it.
    pub fn covers(&self, contents: impl Iterator<Item = [u8; 32]>) -> Result<(), TipError> {
        let wrong = TipError::Contents { first: self.first, through: self.through };
        let (mut rolling, mut seq) = (self.base, self.first);
        for content in contents {
            rolling = roll(&rolling, seq, &content);
            seq = seq.checked_add(1).ok_or(wrong)?;
        }
        (self.through.checked_add(1) == Some(seq) && rolling == self.rolling).then_some(()).ok_or(wrong)
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Of lower-case hexadecimal, exactly `N` bytes.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut out = [0; N];
    let digits = text.as_bytes();
    if digits.len() != 2 * N || digits.iter().any(|digit| !matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNING: Signing<'static> = Signing { producer: "credit-api", instance: "a1", event: "heartbeat", seq: 9 };

    fn tip(contents: &[[u8; 32]]) -> Tip {
        let base = [5; 32];
        let rolling = contents.iter().enumerate().fold(base, |at, (n, content)| roll(&at, n as u64 + 3, content));
        Tip { first: 3, through: 2 + contents.len() as u64, base, rolling }
    }

    /// T31: one content more, one less or another one is not what was signed for.
    #[test]
    fn a_tip_holds_for_its_own_contents_alone() {
        let contents = [[1; 32], [0; 32], [2; 32]];
        let signed = tip(&contents);
        assert_eq!(signed.covers(contents.into_iter()), Ok(()));
        let wrong = Err(TipError::Contents { first: 3, through: 5 });
        assert_eq!(signed.covers(contents.into_iter().take(2)), wrong);
        assert_eq!(signed.covers(contents.into_iter().chain([[3; 32]])), wrong);
        assert_eq!(signed.covers([[1; 32], [9; 32], [2; 32]].into_iter()), wrong);
        assert_eq!(signed.covers([[0; 32], [1; 32], [2; 32]].into_iter()), wrong);
        assert_eq!(tip(&[]).covers([].into_iter()), Ok(()));
    }

    /// T31: nobody without the key can say that an instance was there, or stopped, or with which number.
    #[test]
    fn a_tip_is_bound_to_its_record() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let signed = tip(&[[1; 32]]);
        let context = Value::map(signed.context(&key, &SIGNING));
        let read = Tip::read(&context, &SIGNING);
        assert_eq!(read, Ok((signed, key.verifying_key().to_bytes())));
        for other in [
            Signing { producer: "credit-apia", instance: "1", ..SIGNING },
            Signing { event: "stop", ..SIGNING },
            Signing { seq: 10, ..SIGNING },
        ] {
            assert_eq!(Tip::read(&context, &other), Err(TipError::Signature));
        }
        assert_eq!(Tip::read(&Value::map([]), &SIGNING), Err(TipError::Malformed));
    }
}
