//! Which fields some records hold: their paths, the types of their values, and in how many records each stands.

use std::collections::BTreeMap;

use record::cbor::{CborError, Item, KeyOrder, Reader};
use record::{FieldRef, Part, Parts};
use serde::{Deserialize, Serialize};

/// Fields that are told apart at most; records can hold any keys.
const FIELDS_MAX: usize = 4_096;

/// One field of records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldEntry {
    /// Its path.
    pub field: String,
    /// The part of a record that it stands in.
    pub part: String,
    /// The types of its values: `number`, `boolean`, `text`, `array`, `bytes`, `blob`, `object` (without fields), `null`.
    pub types: Vec<String>,
    /// Records that have it.
    pub rows: u64,
    /// What it says, where the format defines it; a sender defines what else it sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meaning: Option<String>,
    /// The unit of its values, where the format defines it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// The fields of the records that it was shown. As large as the number of different fields, within a limit.
#[derive(Debug, Default)]
pub struct Dictionary {
    fields: BTreeMap<(Part, Vec<String>), (u8, u64)>,
    full: bool,
}

const TYPES: [&str; 8] = ["number", "boolean", "text", "array", "bytes", "blob", "object", "null"];

impl Dictionary {
    /// Takes note of a record's parts.
    pub fn see(&mut self, parts: &Parts) -> Result<(), CborError> {
        for part in Part::ALL {
            if let Some(canonical) = parts.get(part) {
                self.walk(part, &mut Vec::new(), canonical)?;
            }
        }
        Ok(())
    }

    fn walk(&mut self, part: Part, keys: &mut Vec<String>, canonical: &[u8]) -> Result<(), CborError> {
        let mut reader = Reader::new(canonical);
        let of = match reader.next_item()? {
            Item::Map(len) if len > 0 => {
                let mut order = KeyOrder::default();
                for _ in 0..len {
                    keys.push(reader.next_key(&mut order)?.to_owned());
                    self.walk(part, keys, reader.skip()?)?;
                    keys.pop();
                }
                return Ok(());
            }
            Item::Number(_) => 0,
            Item::Bool(_) => 1,
            Item::Text(_) => 2,
            Item::Array(_) => 3,
            Item::Bytes(_) => 4,
            Item::Tag(_) => 5,
            Item::Map(_) => 6,
            Item::Null => 7,
        };
        let key = (part, std::mem::take(keys));
        let is_room = self.fields.len() < FIELDS_MAX;
        match self.fields.get_mut(&key) {
            Some((types, rows)) => {
                *types |= 1 << of;
                *rows += 1;
            }
            None if is_room => {
                self.fields.insert((part, key.1.clone()), (1 << of, 1));
            }
            None => self.full = true,
        }
        *keys = key.1;
        Ok(())
    }

    /// Whether there were more fields than are told apart.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// The fields, by part and path.
    pub fn entries(&self) -> Vec<FieldEntry> {
        let entry = |((part, keys), (types, rows)): (&(Part, Vec<String>), &(u8, u64))| {
            let field = FieldRef { part: *part, keys: keys.clone() }.to_string();
            let types = TYPES.iter().enumerate().filter(|(bit, _)| types & 1 << bit != 0);
            let known = KNOWN.iter().find(|known| known.0 == field);
            let types = types.map(|(_, name)| (*name).to_owned()).collect();
            let meaning = known.map(|known| known.1.to_owned());
            let unit = known.map(|known| known.2).filter(|unit| !unit.is_empty()).map(str::to_owned);
            FieldEntry { field, part: part.name().to_owned(), types, rows: *rows, meaning, unit }
        };
        self.fields.iter().map(entry).collect()
    }
}

/// Fields whose meaning the format defines: path, meaning, unit.
const KNOWN: [(&str, &str, &str); 31] = [
    ("id", "the record's id, made by the sender", ""),
    ("kind", "what kind of event the record is", ""),
    ("time", "when it happened, as the sender says", "ns since 1970-01-01T00:00:00Z"),
    ("about", "the id of the decision that the record is about", ""),
    ("clock.max_error_ns", "how far the sender's clock may be off", "ns"),
    ("clock.source", "where the sender's clock gets its time from", ""),
    ("clock.synced", "whether the sender's clock was synchronised", ""),
    ("producer.name", "the service that sent it", ""),
    ("producer.instance", "the run of the service that sent it", ""),
    ("producer.seq", "its number among all that the instance sent, without holes", ""),
    ("trace.trace_id", "the distributed trace that it belongs to", ""),
    ("trace.span_id", "the span of the trace", ""),
    ("model.name", "the model that decided", ""),
    ("model.version", "the model's version", ""),
    ("model.digest", "SHA-256 of the model's artefact", ""),
    ("result.class", "the class of the decision", ""),
    ("result.adverse", "whether the decision is adverse to its subject", ""),
    ("sampling.probability", "with which probability the record was kept whole", "1"),
    ("sampling.reason", "why it was kept", ""),
    ("sampling.rules", "the rules by which that was decided", ""),
    ("profile", "profiles of duties that the record is held to", ""),
    ("error", "what went wrong instead of an output", ""),
    ("inputs_withheld", "why there are no inputs", ""),
    ("subject.id", "whom the decision is about", ""),
    ("subject.case", "the case that it belongs to", ""),
    ("parameters.threshold", "the cut-off that was applied", ""),
    ("output", "what the model put out", ""),
    ("explanation.method", "how the attribution was computed", ""),
    ("explanation.space", "the scale of base and values", ""),
    ("explanation.base", "the output before any feature is counted", "as explanation.space"),
    ("context.request_id", "the request that the decision answered", ""),
];
