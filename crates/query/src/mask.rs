//! What a reader may see: masks on fields and a filter on rows.
//!
//! A policy is applied where a file's columns become the view's (`face.rs`), before anything of a query sees a value:
//! a predicate, a function, a join, an error and EXPLAIN all work on what the mask left. A field is masked with
//! everything below it, in columns and remainders alike, and inside every JSON that would show it.

use record::{FieldRef, Part, Value};
use sha2::{Digest as _, Sha256};

use crate::error::QueryError;

/// What is shown in place of a value. A missing value stays missing, and what is masked shows as text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Mask {
    /// Nothing: the field is null.
    Drop,
    /// A keyed hash: the same values show alike, and nobody without the key can guess them.
    Hash {
        /// The key; whoever holds it can guess values.
        key: [u8; 32],
    },
    /// The last four characters, behind dots. Of a text of eight characters or less, the dots alone.
    LastFour,
    /// The bucket that a number falls in, `20000..30000`, the upper end left out. Of anything else, and of a number too
    /// large for buckets of that width to be told apart, dots.
    Bucket {
        /// How wide the buckets are. One begins at zero.
        width: BucketWidth,
    },
}

/// The width of a [`Mask::Bucket`]: a number from 0.000001 to 10¹².
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BucketWidth(u64);

/// A number that is no [`BucketWidth`].
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{0} is no width of a bucket; take a number from 0.000001 to 1000000000000")]
pub struct BucketWidthError(f64);

impl BucketWidth {
    /// That width.
    ///
    /// # Errors
    /// [`BucketWidthError`] if it is out of range.
    pub fn new(width: f64) -> Result<BucketWidth, BucketWidthError> {
        if (1e-6..=1e12).contains(&width) { Ok(BucketWidth(width.to_bits())) } else { Err(BucketWidthError(width)) }
    }

    /// The number.
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }

    /// The ends of the bucket that `number` falls in, with as many decimals as the width has.
    fn bucket(self, number: f64) -> Option<String> {
        let width = self.get();
        let text = width.to_string();
        let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let end = |at: f64| format!("{:.decimals$}", at * width + 0.0);
        let mut at = (number / width).floor();
        // Beyond that, the next bucket could not be told from this one, and the bucket would be the number.
        if !(-1e12..1e12).contains(&at) {
            return None;
        }
        // 0.3 / 0.1 is a little less than 3: who reads the ends must find the number between them.
        if end(at + 1.0).parse().is_ok_and(|next: f64| next <= number) {
            at += 1.0;
        } else if end(at).parse().is_ok_and(|first: f64| number < first) {
            at -= 1.0;
        }
        Some(format!("{}..{}", end(at), end(at + 1.0)))
    }
}

impl std::fmt::Debug for BucketWidth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.get())
    }
}

impl std::fmt::Debug for Mask {
    /// Keys have no business in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Mask::Drop => "Drop",
            Mask::Hash { .. } => "Hash",
            Mask::LastFour => "LastFour",
            Mask::Bucket { .. } => "Bucket",
        })
    }
}

impl Mask {
    /// What is shown in place of a value, given as its canonical bytes and as text.
    pub(crate) fn shown(&self, canonical: &[u8], text: &str) -> Option<String> {
        match self {
            Mask::Drop => None,
            Mask::Hash { key } => {
                let hash = Sha256::new().chain_update(b"onrecord/mask/v1\0").chain_update(key).chain_update(canonical);
                Some(hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect())
            }
            Mask::LastFour => {
                let long = text.chars().count() > 8;
                let last = text.char_indices().rev().nth(3).map_or(0, |(at, _)| at);
                Some(if long { format!("…{}", &text[last..]) } else { "…".to_owned() })
            }
            Mask::Bucket { width } => {
                let number = Value::from_canonical(canonical).ok().and_then(|value| value.as_f64());
                Some(number.and_then(|number| width.bucket(number)).unwrap_or_else(|| "…".to_owned()))
            }
        }
    }

    fn over(&self, value: &Value) -> Option<Value> {
        let text = match value {
            Value::Text(text) => text.clone(),
            other => record::part_to_json(Part::Inputs, &other.to_canonical()).unwrap_or_default(),
        };
        self.shown(&value.to_canonical(), &text).map(Value::Text)
    }
}

/// What one reader may see of a trail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Masked fields. Of several that cover one field the outermost counts.
    pub masks: Vec<(FieldRef, Mask)>,
    /// An SQL predicate over unmasked values: rows for which it does not hold are not there.
    pub rows: Option<String>,
}

/// Fields by which records are found and told apart: they say nothing of a person, and are never masked.
const NEVER_MASKED: [&str; 3] = ["id", "kind", "time"];

impl Policy {
    /// Whether nothing is hidden.
    pub fn is_open(&self) -> bool {
        self.masks.is_empty() && self.rows.is_none()
    }

    /// Whether it can be applied, as far as that can be said without a trail.
    ///
    /// # Errors
    /// [`QueryError::Policy`] where a field that records are told apart by is masked.
    pub fn check(&self) -> Result<(), QueryError> {
        for (field, _) in &self.masks {
            let first = field.keys.first().map(String::as_str);
            if field.part == Part::Envelope && first.is_none_or(|first| NEVER_MASKED.contains(&first)) {
                return Err(QueryError::Policy(format!("{field} cannot be masked: records are told apart by it")));
            }
        }
        Ok(())
    }

    /// The mask that a field is under.
    pub(crate) fn mask_of(&self, field: &FieldRef) -> Option<&Mask> {
        let covering = self.masks.iter().filter(|(masked, _)| field.is_within(masked));
        covering.min_by_key(|(masked, _)| masked.keys.len()).map(|(_, mask)| mask)
    }

    /// The masks of fields inside a field, or on it.
    pub(crate) fn masks_within(&self, field: &FieldRef) -> Vec<(FieldRef, Mask)> {
        self.masks.iter().filter(|(masked, _)| masked.is_within(field)).cloned().collect()
    }
}

/// `value`, which stands at `at`, with every masked field in it masked; nothing if all of it goes.
pub(crate) fn masked(value: Value, at: &mut FieldRef, masks: &[(FieldRef, Mask)]) -> Option<Value> {
    if let Some((_, mask)) = masks.iter().find(|(field, _)| field == at) {
        return mask.over(&value);
    }
    let Value::Map(entries) = value else { return Some(value) };
    let mut left = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        at.keys.push(key.clone());
        if let Some(value) = masked(value, at, masks) {
            left.push((key, value));
        }
        at.keys.pop();
    }
    Some(Value::Map(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inside_is_masked_and_what_is_beside_is_not() {
        let field = |path: &str| FieldRef::parse(path).unwrap();
        let text = |text: &str| Value::Text(text.to_owned());
        let inner = Value::map([("iban".to_owned(), text("DE89370400440532013000")), ("bank".to_owned(), text("x"))]);
        let value = Value::map([("account".to_owned(), inner), ("ssn".to_owned(), text("12-345"))]);
        let masks = [(field("inputs.account.iban"), Mask::LastFour), (field("inputs.ssn"), Mask::Drop)];
        let shown = masked(value, &mut field("inputs"), &masks).unwrap();
        assert_eq!(shown.get("ssn"), None);
        assert_eq!(shown.get("account").unwrap().get("iban"), Some(&text("…3000")));
        assert_eq!(shown.get("account").unwrap().get("bank"), Some(&text("x")));
    }

    #[test]
    fn a_short_text_shows_nothing_of_itself_and_a_hash_needs_its_key() {
        assert_eq!(Mask::LastFour.shown(b"", "12345678").unwrap(), "…");
        let hash = |key| Mask::Hash { key: [key; 32] }.shown(b"\x01", "1").unwrap();
        assert_eq!(hash(1), hash(1));
        assert_ne!(hash(1), hash(2));
    }

    #[test]
    fn a_bucket_shows_its_ends_and_nothing_of_what_is_no_number() {
        let bucket = |width: f64, value: Value| {
            let mask = Mask::Bucket { width: BucketWidth::new(width).unwrap() };
            mask.shown(&value.to_canonical(), "secret").unwrap()
        };
        let number = |width, number| bucket(width, Value::float(number));
        assert_eq!(number(10_000.0, 42_000.0), "40000..50000");
        assert_eq!(number(10_000.0, 40_000.0), "40000..50000");
        assert_eq!(number(10.0, -1.0), "-10..0");
        assert_eq!(number(10.0, -0.0), "0..10");
        assert_eq!(number(0.1, 0.3), "0.3..0.4");
        assert_eq!(number(0.25, 0.37), "0.25..0.50");
        assert_eq!(bucket(10.0, Value::Number(record::cbor::Number::UInt(u64::MAX))), "…");
        for (width, value) in [(1.0, 1e300), (1.0, f64::NAN), (1.0, f64::INFINITY), (1e-6, 1e9)] {
            assert_eq!(number(width, value), "…", "{width} {value}");
        }
        let text = Value::Text("12345678901".to_owned());
        for value in [text.clone(), Value::Bool(true), Value::Null, Value::Array(vec![Value::float(42.0)])] {
            assert_eq!(bucket(10.0, value), "…");
        }
        assert_eq!(bucket(10.0, Value::map([("a".to_owned(), text)])), "…");
        assert_eq!(format!("{:?}", Mask::Bucket { width: BucketWidth::new(5.0).unwrap() }), "Bucket");
    }

    #[test]
    fn a_width_that_makes_no_buckets_is_refused() {
        for width in [0.0, -1.0, 1e-7, 1e13, f64::NAN, f64::INFINITY] {
            assert!(BucketWidth::new(width).is_err(), "{width}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_number_is_in_its_bucket(number in -1e9..1e9_f64, width in proptest::sample::select(vec![0.001, 0.1, 0.3, 1.0, 7.0, 1000.0])) {
            let shown = BucketWidth::new(width).unwrap().bucket(number).unwrap();
            let (from, until) = shown.split_once("..").unwrap();
            let (from, until): (f64, f64) = (from.parse().unwrap(), until.parse().unwrap());
            proptest::prop_assert!(from <= number && number < until, "{} in {}", number, shown);
        }
    }
}
