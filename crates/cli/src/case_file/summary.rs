//! A record in one line, as it stands in lists.

use record::{Kind, Part};
use trail::Found;

use crate::case_file::late;
use crate::failure::Failure;
use crate::fields::{rows, section};
use crate::number;
use crate::sheet::{Cell, Table, Tone};
use crate::text::plain;
use crate::time;

/// Leaves that stand for a section.
const LEAVES_MAX: usize = 4;

/// The heads of a list of records.
const HEADS: &[&str] = &["time", "record", "kind", "model", "says", "id"];

/// A list of records.
pub fn table(caption: String, records: &[Found]) -> Result<Table, Failure> {
    let row = |found: &Found| {
        let model = found.envelope().and_then(|e| e.model);
        let model = model.map(|model| format!("{} {}", plain(model.name), plain(model.version))).unwrap_or_default();
        let cells: Vec<Cell> = vec![
            time::utc(found.when()).into(),
            number::count(found.index).into(),
            found.stored.stamp.kind.name().into(),
            model.into(),
            says(found)?,
            found.stored.stamp.id.to_string().into(),
        ];
        Ok(cells)
    };
    let rows = records.iter().map(row).collect::<Result<_, Failure>>()?;
    Ok(Table { caption, heads: HEADS, rows })
}

/// What a record says, in a few words.
pub fn says(found: &Found) -> Result<Cell, Failure> {
    if found.stored.parts().is_none() {
        return Ok(Cell::verdict(Tone::Warn, "ERASED", ""));
    }
    Ok(match found.stored.stamp.kind {
        Kind::Decision => decided(found)?,
        _ => late::Told::of(found)?.says(),
    })
}

/// What a decision came to.
pub fn decided(found: &Found) -> Result<Cell, Failure> {
    let envelope = found.envelope();
    if let Some(error) = envelope.as_ref().and_then(|e| e.error) {
        return Ok(Cell::verdict(Tone::Warn, "error", plain(error)));
    }
    let mut words = Vec::new();
    if let Some(result) = envelope.as_ref().and_then(|e| e.result) {
        words.extend(result.class.map(plain));
        words.extend(result.adverse.map(|adverse| if adverse { "adverse" } else { "not adverse" }.to_owned()));
    }
    if words.is_empty() {
        words.extend(Some(few_leaves(found, &[Part::Output])?).filter(|words| !words.is_empty()));
    }
    Ok(words.join(", ").into())
}

/// The first leaves of the first of these sections that is there.
pub fn few_leaves(found: &Found, parts: &[Part]) -> Result<String, Failure> {
    for part in parts {
        let Some(value) = section(&found.stored, *part)? else { continue };
        let all = rows(&value);
        let few = all.iter().take(LEAVES_MAX);
        let shown: Vec<String> =
            few.map(|(path, value)| if path == "value" { value.clone() } else { format!("{path} {value}") }).collect();
        let more = all.len().saturating_sub(LEAVES_MAX);
        return Ok(shown.join(", ") + &if more > 0 { format!(", {more} more") } else { String::new() });
    }
    Ok(String::new())
}
