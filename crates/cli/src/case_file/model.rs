//! What is on record about the version of the model that decided: registered, approved, deployed, and whether the bytes
//! that decided are those that were approved (T22).

use record::{Part, Value};
use trail::Found;

use crate::case_file::{CaseFile, Few};
use crate::failure::Failure;
use crate::fields::{hex, name, section, text};
use crate::number;
use crate::sheet::{Block, Cell, Row, Table, Tone, row};
use crate::text::plain;
use crate::time;

/// Whether the digests on record of a model's version are the decision's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreement {
    /// Every record about the version that names a digest names this one.
    Agrees,
    /// One of them names another.
    Differs,
    /// The decision names no digest, or no record does.
    Unknown,
}

impl Agreement {
    pub fn name(self) -> &'static str {
        match self {
            Agreement::Agrees => "agrees",
            Agreement::Differs => "differs",
            Agreement::Unknown => "unknown",
        }
    }

    pub fn of(found: &Found, model: &Few) -> Agreement {
        let own = digest(found);
        let mut theirs = model.records.iter().filter_map(digest).peekable();
        match own {
            Some(own) if theirs.peek().is_some() => {
                if theirs.all(|digest| digest == own) {
                    Agreement::Agrees
                } else {
                    Agreement::Differs
                }
            }
            _ => Agreement::Unknown,
        }
    }
}

fn digest(found: &Found) -> Option<[u8; 32]> {
    found.envelope()?.model?.digest
}

/// What happened to the version: `registered`, `approved`, `deployed`.
pub fn event(found: &Found) -> Result<String, Failure> {
    let context = section(&found.stored, Part::Context)?;
    let event = context.as_ref().and_then(|context| context.get("event")).and_then(Value::as_text);
    Ok(event.map_or_else(|| "recorded".to_owned(), plain))
}

pub fn blocks(case: &CaseFile) -> Result<Vec<Block>, Failure> {
    let envelope = case.found.envelope();
    let Some(model) = envelope.as_ref().and_then(|e| e.model) else { return Ok(Vec::new()) };
    let mut rows = vec![row("model", plain(model.name)), row("version", plain(model.version))];
    rows.push(match model.digest {
        Some(digest) => row("digest", format!("sha256:{}", hex(&digest))),
        None => row("digest", Cell::verdict(Tone::Warn, "not given", ": which file decided is not on record")),
    });
    if case.found.stored.stamp.kind == record::Kind::Model {
        return Ok(vec![Block::Rows(rows)]);
    }
    rows.push(known(case)?);
    if case.model.records.is_empty() {
        return Ok(vec![Block::Rows(rows)]);
    }
    let events = events(case)?;
    let mut blocks = vec![Block::Rows(rows), Block::Table(events)];
    if case.model.more > 0 {
        let more = number::count(case.model.more);
        blocks.push(Block::Note(format!("{more} older records about this version are not shown").into()));
    }
    Ok(blocks)
}

fn known(case: &CaseFile) -> Result<Row, Failure> {
    if case.model.records.is_empty() {
        return Ok(row("on record", "nothing: no model record names this version"));
    }
    Ok(row(
        "on record",
        match Agreement::of(&case.found, &case.model) {
            Agreement::Agrees => Cell::verdict(Tone::Good, "digest agrees", "with every record about this version"),
            Agreement::Differs => {
                Cell::verdict(Tone::Bad, "digest DIFFERS", "from a record about this version: another file decided")
            }
            Agreement::Unknown => Cell::verdict(Tone::Warn, "digest not compared", ": it is not named on both sides"),
        },
    ))
}

fn events(case: &CaseFile) -> Result<Table, Failure> {
    let own = digest(&case.found);
    let event_row = |found: &Found| {
        let context = section(&found.stored, Part::Context)?.unwrap_or(Value::Null);
        let by = context.get("by").and_then(Value::as_text).map(plain).unwrap_or_default();
        let entries = match &context {
            Value::Map(entries) => entries.as_slice(),
            _ => &[],
        };
        let says = entries.iter().filter(|(key, _)| !matches!(key.as_str(), "event" | "by"));
        let mut says: Vec<String> = says.map(|(key, value)| format!("{} {}", name(key), text(value))).collect();
        says.sort();
        let after = if found.when() > case.found.when() { " (after this decision)" } else { "" };
        let agrees = match (digest(found), own) {
            (Some(theirs), Some(own)) if theirs == own => Cell::from("the same"),
            (Some(theirs), Some(_)) => Cell::verdict(Tone::Bad, "ANOTHER", format!("sha256:{}", hex(&theirs))),
            (Some(theirs), None) => format!("sha256:{}", hex(&theirs)).into(),
            (None, _) => "not given".into(),
        };
        Ok(vec![
            time::utc(found.when()).into(),
            format!("{}{after}", event(found)?).into(),
            by.into(),
            agrees,
            says.join(", ").into(),
            number::count(found.index).into(),
        ])
    };
    Ok(Table {
        caption: "What is on record about this version, oldest first".to_owned(),
        heads: &["time", "event", "by", "digest", "says", "record"],
        rows: case.model.records.iter().map(event_row).collect::<Result<_, Failure>>()?,
    })
}
