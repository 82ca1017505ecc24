//! Erasure: what is declared, and how it stands on record.
//!
//! An erasure takes parts out of records and leaves tombstones with the same digests, so the tree still verifies. It is
//! itself a record, sealed before anything goes: a tombstone that no `erasure` record declares is tampering (T20).

use record::{JsonParser, Kind, Limits, Part, Record, Stored, Value};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Records that one erasure may name (I12).
pub const ERASURE_RECORDS_MAX: usize = 10_000;
/// The version of `erasure.json` and of the form in an `erasure` record's context.
const FORMAT: u32 = 1;

/// What is to be erased, of which records, on whose word. Whether they may is not asked here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erasure {
    /// The id of the `erasure` record: the same erasure asked for again is done once.
    pub id: Uuid,
    /// Indices of the records.
    pub indices: Vec<u64>,
    /// Names of the parts that go: `envelope` and the six sections. All seven: the whole record.
    pub parts: Vec<String>,
    /// The legal basis.
    pub basis: String,
    /// Who asked for it.
    pub by: String,
}

/// An erasure as it was declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// The index of the `erasure` record.
    pub index: u64,
    /// What it says.
    pub erasure: Erasure,
}

/// Why an erasure cannot be declared.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MalformedErasure {
    /// No record is named, or too many.
    #[error("an erasure names from 1 to {ERASURE_RECORDS_MAX} records, and this one {got}; split it")]
    Records {
        /// How many it names.
        got: usize,
    },
    /// No part is named.
    #[error(
        "an erasure names at least one part: envelope, subject, inputs, parameters, output, explanation or context"
    )]
    NoPart,
    /// No such part.
    #[error(
        "a record has no part {name:?}; its parts are envelope, subject, inputs, parameters, output, explanation and context"
    )]
    Part {
        /// What was named.
        name: String,
    },
    /// A field that must say something is empty.
    #[error("an erasure must say its {field}")]
    Empty {
        /// Which.
        field: &'static str,
    },
    /// The record would not be one.
    #[error("the erasure cannot be put on record: {0}")]
    Record(String),
}

impl Erasure {
    /// The parts that go.
    pub fn parts(&self) -> Result<Vec<Part>, MalformedErasure> {
        let part = |name: &String| {
            let known = Part::ALL.into_iter().find(|part| part.name() == name);
            known.ok_or_else(|| MalformedErasure::Part { name: name.clone() })
        };
        let parts: Vec<Part> = self.parts.iter().map(part).collect::<Result<_, _>>()?;
        if parts.is_empty() { Err(MalformedErasure::NoPart) } else { Ok(parts) }
    }

    /// The `erasure` record that declares it.
    pub(crate) fn to_record(&self) -> Result<Record, MalformedErasure> {
        let got = self.indices.len();
        if got == 0 || got > ERASURE_RECORDS_MAX {
            return Err(MalformedErasure::Records { got });
        }
        self.parts()?;
        for (field, text) in [("basis", &self.basis), ("by", &self.by)] {
            if text.trim().is_empty() {
                return Err(MalformedErasure::Empty { field });
            }
        }
        let json = serde_json::json!({
            "id": self.id,
            "kind": Kind::Erasure.name(),
            "context": {
                "format": FORMAT, "indices": self.indices, "parts": self.parts, "basis": self.basis, "by": self.by,
            },
        });
        let parsed = JsonParser::new(Limits::DEFAULT).parse(json.to_string().as_bytes());
        parsed.map_err(|error| MalformedErasure::Record(error.to_string()))
    }

    /// What an `erasure` record declares; nothing if its context is not of this form.
    pub(crate) fn of_record(stored: &Stored) -> Option<Erasure> {
        let context = stored.parts().filter(|_| stored.stamp.kind == Kind::Erasure)?.get(Part::Context)?;
        let context = Value::from_canonical(context).ok()?;
        let (text, list) = (
            |key: &str| Some(context.get(key)?.as_text()?.to_owned()),
            |key: &str| match context.get(key)? {
                Value::Array(items) => Some(items),
                _ => None,
            },
        );
        if context.get("format")?.as_f64()? != f64::from(FORMAT) {
            return None;
        }
        let index = |value: &Value| {
            let number = value.as_f64().filter(|number| *number >= 0.0 && number.fract() == 0.0)?;
            Some(number as u64)
        };
        Some(Erasure {
            id: stored.stamp.id,
            indices: list("indices")?.iter().map(index).collect::<Option<_>>()?,
            parts: list("parts")?.iter().map(|name| Some(name.as_text()?.to_owned())).collect::<Option<_>>()?,
            basis: text("basis")?,
            by: text("by")?,
        })
    }

    /// A bit for each part that goes.
    pub(crate) fn mask(&self) -> u8 {
        mask(self.parts().unwrap_or_default())
    }
}

/// A bit for each of these parts.
pub(crate) fn mask(parts: impl IntoIterator<Item = Part>) -> u8 {
    parts.into_iter().fold(0, |mask, part| mask | 1 << part as u8)
}

/// `erasure.json`: an erasure that has begun. It is there from before the `erasure` record is appended until no file of
/// the trail holds what it erases, so whoever opens the trail next finishes it.
pub(crate) mod pending {
    use host::{FileError, Host};
    use keys::Keyring;

    use super::{Erasure, FORMAT};
    use crate::folder::Folder;

    #[derive(serde::Serialize, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Pending {
        format: u32,
        erasure: Erasure,
    }

    /// The file, to its key in the store.
    pub(crate) const FILE: &str = "erasure.json";

    /// Whom an erasure is about may be read out of it, so it is encrypted where the trail is. One that is there already is
    /// left as it is: a try more is no reason for a key more.
    pub(crate) fn put(
        host: &Host,
        folder: &Folder,
        erasure: &Erasure,
        keys: Option<&Keyring>,
    ) -> Result<(), FileError> {
        if read(host, folder, keys)?.is_some_and(|there| there.as_ref() == Ok(erasure)) {
            return Ok(());
        }
        let pending = Pending { format: FORMAT, erasure: erasure.clone() };
        // Texts, numbers and lists of them: there is nothing that could not be written.
        let json = serde_json::to_vec(&pending).unwrap_or_default();
        let bytes = keys.map_or(Ok(json.clone()), |keys| keys.seal_file(FILE, &json))?;
        host.replace(folder.erasure(), &bytes, "erasure", None)
    }

    /// The one that has begun; as an error the reason why what stands there is none.
    pub(crate) fn read(
        host: &Host,
        folder: &Folder,
        keys: Option<&Keyring>,
    ) -> Result<Option<Result<Erasure, String>>, FileError> {
        let Some(bytes) = host.read_if_there(folder.erasure(), "erasure")? else { return Ok(None) };
        let json = match keys {
            // One in clear is nobody's who has the keys: what it asks for would be done in the writer's name.
            Some(keys) => keys.open_file(FILE, &bytes).map_err(|error| error.to_string()),
            None => Ok(bytes.into()),
        };
        let pending = json.and_then(|json| serde_json::from_slice::<Pending>(&json).map_err(|error| error.to_string()));
        Ok(Some(pending.and_then(|pending| match pending.format {
            FORMAT => Ok(pending.erasure),
            other => Err(format!("it has format {other}; use the version that wrote it")),
        })))
    }

    pub(crate) fn done(host: &Host, folder: &Folder, keys: Option<&Keyring>) -> Result<(), FileError> {
        match host.remove(folder.erasure(), "erasure") {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
        host.sync_dir(folder.root(), "erasure")?;
        keys.map_or(Ok(()), |keys| keys.destroy([FILE]).map(drop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::{Body, Salt, Stamp};

    fn erasure() -> Erasure {
        Erasure {
            id: Uuid::from_u128(7),
            indices: vec![3, 5, 1 << 40],
            parts: vec!["inputs".to_owned(), "subject".to_owned()],
            basis: "GDPR 17(1)(b)".to_owned(),
            by: "dpo@example.com".to_owned(),
        }
    }

    #[test]
    fn what_is_declared_is_what_is_read() {
        let erasure = Erasure { id: "0190a5c2-7b1e-7c3a-9d55-1f0f5a6b7c8d".parse().unwrap(), ..erasure() };
        let record = erasure.to_record().unwrap();
        let stamp = Stamp {
            kind: record.kind,
            received: 0,
            id: record.id.unwrap(),
            id_by_server: false,
            time_by_server: true,
            salt_by_server: true,
            about_digest: None,
        };
        let stored = Stored { stamp, body: Body::Whole { salt: Salt([1; 16]), parts: record.parts } };
        assert_eq!(Erasure::of_record(&stored), Some(erasure));
        assert_eq!(Erasure::of_record(&stored.without(&[Part::Context])), None);
    }

    #[test]
    fn one_that_says_too_little_is_refused_by_name() {
        let id = "0190a5c2-7b1e-7c3a-9d55-1f0f5a6b7c8d".parse().unwrap();
        let refused = |change: &dyn Fn(&mut Erasure)| {
            let mut erasure = Erasure { id, ..erasure() };
            change(&mut erasure);
            erasure.to_record().map(|_| ()).unwrap_err()
        };
        assert_eq!(refused(&|e| e.indices.clear()), MalformedErasure::Records { got: 0 });
        assert_eq!(refused(&|e| e.indices = vec![0; 10_001]), MalformedErasure::Records { got: 10_001 });
        assert_eq!(refused(&|e| e.parts.clear()), MalformedErasure::NoPart);
        assert_eq!(refused(&|e| e.parts.push("input".into())), MalformedErasure::Part { name: "input".into() });
        assert_eq!(refused(&|e| e.basis = " ".into()), MalformedErasure::Empty { field: "basis" });
    }
}
