//! What became known later, in words: who did what to a decision, and why.

use record::{Kind, Part, Value};
use trail::Found;

use crate::case_file::Few;
use crate::case_file::summary::few_leaves;
use crate::failure::Failure;
use crate::fields::{rows, section, text};
use crate::number;
use crate::sheet::{Block, Cell, Table, Tone};
use crate::text::plain;
use crate::time;

/// A late fact taken apart. Everything in it is plain.
pub struct Told {
    /// What happened: `overridden`, `outcome`.
    pub what: String,
    pub before: Option<String>,
    pub after: Option<String>,
    /// What else it says.
    pub details: String,
    pub reason: Option<String>,
    pub by: Option<String>,
    pub day: String,
    /// Parts of it are gone.
    erased: bool,
}

impl Told {
    pub fn of(found: &Found) -> Result<Told, Failure> {
        let output = section(&found.stored, Part::Output)?;
        let context = section(&found.stored, Part::Context)?;
        let subject = section(&found.stored, Part::Subject)?;
        let word = |of: &Option<Value>, keys: &[&str]| {
            let value = |key: &&str| of.as_ref()?.get(key).and_then(Value::as_text).map(plain);
            keys.iter().find_map(value)
        };
        let side = |key| output.as_ref().and_then(|output| output.get(key)).map(in_a_line);
        let oversight = found.stored.stamp.kind == Kind::Oversight;
        let (before, after) = if oversight { (side("before"), side("after")) } else { (None, None) };
        let gone = |part| found.stored.erased().any(|erased| erased == part);
        let what = if oversight && !gone(Part::Output) {
            word(&context, &["action"]).unwrap_or_else(|| by_sides(before.as_ref(), after.as_ref()).to_owned())
        } else {
            let event = word(&context, &["event"]).map(|event| format!(" {event}")).unwrap_or_default();
            format!("{}{event}", found.stored.stamp.kind.name())
        };
        let details = match found.stored.stamp.kind {
            Kind::Explanation => explained(found)?,
            Kind::Oversight if before.is_some() || after.is_some() => String::new(),
            Kind::Oversight | Kind::Outcome => few_leaves(found, &[Part::Output])?,
            _ => in_a_line(&context.as_ref().map_or(Value::Null, besides)),
        };
        let when = time::utc(found.when());
        let day = when.split_once('T').map_or(when.as_str(), |(day, _)| day).to_owned();
        let by = word(&subject, &["id"]).or_else(|| word(&context, &["by"]));
        let meaning = word(&context, &["meaning"]).map(|meaning| format!("meaning: {meaning}"));
        let details = [Some(details).filter(|text| !text.is_empty()), meaning];
        let details = details.into_iter().flatten().collect::<Vec<_>>().join("; ");
        let reason = word(&context, &["reason"]);
        Ok(Told { what, before, after, details, reason, by, day, erased: found.stored.erased().next().is_some() })
    }

    /// What happened, without when and by whom.
    pub fn says(&self) -> Cell {
        let sides = match (&self.before, &self.after) {
            (Some(before), Some(after)) => format!("{before} → {after}"),
            (Some(before), None) => format!("was {before}"),
            (None, Some(after)) => after.clone(),
            (None, None) => self.details.clone(),
        };
        let text = [self.what.clone(), sides].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>();
        let text = text.join(" ");
        if self.erased { Cell::verdict(Tone::Warn, "ERASED", text) } else { text.into() }
    }

    /// The whole of it in one sentence.
    pub fn sentence(&self) -> String {
        let by = self.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        let sides = match (&self.before, &self.after) {
            (Some(before), Some(after)) => format!(": {before} → {after}"),
            _ if self.details.is_empty() => String::new(),
            _ => format!(": {}", self.details),
        };
        let why = self.reason.as_ref().map(|reason| format!(", because {reason}")).unwrap_or_default();
        let erased = if self.erased { " (in part ERASED)" } else { "" };
        format!("{}{erased}{by} on {}{sides}{why}", self.what, self.day)
    }
}

/// What a person did, told by what stood before and after.
fn by_sides(before: Option<&String>, after: Option<&String>) -> &'static str {
    match (before, after) {
        (Some(before), Some(after)) if before == after => "confirmed",
        (_, Some(_)) => "overridden",
        _ => "reviewed",
    }
}

/// What a context says beyond what has a column of its own.
fn besides(context: &Value) -> Value {
    let Value::Map(entries) = context else { return Value::Null };
    let own = |key: &str| matches!(key, "action" | "by" | "event" | "meaning" | "reason");
    Value::map(entries.iter().filter(|(key, _)| !own(key)).cloned())
}

fn in_a_line(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Map(entries) if entries.is_empty() => String::new(),
        Value::Map(_) => {
            rows(value).iter().map(|(path, value)| format!("{path} {value}")).collect::<Vec<_>>().join(", ")
        }
        value => text(value),
    }
}

fn explained(found: &Found) -> Result<String, Failure> {
    let explanation = section(&found.stored, Part::Explanation)?;
    let method = explanation.as_ref().and_then(|e| e.get("method")).and_then(Value::as_text).map(plain);
    Ok(method.map(|method| format!("by {method}")).unwrap_or_default())
}

const HEADS: &[&str] = &["time", "what", "before", "after", "says", "by", "reason", "record", "id"];

/// Late facts in time order.
pub fn blocks(caption: &str, few: &Few) -> Result<Vec<Block>, Failure> {
    let row = |found: &Found| {
        let told = Told::of(found)?;
        let what = if told.erased { Cell::verdict(Tone::Warn, "ERASED", told.what) } else { told.what.into() };
        let or_none = |text: Option<String>| Cell::from(text.unwrap_or_default());
        Ok(vec![
            time::utc(found.when()).into(),
            what,
            or_none(told.before),
            or_none(told.after),
            told.details.into(),
            or_none(told.by),
            or_none(told.reason),
            number::count(found.index).into(),
            found.stored.stamp.id.to_string().into(),
        ])
    };
    let rows = few.records.iter().map(row).collect::<Result<Vec<_>, Failure>>()?;
    let mut blocks = vec![Block::Table(Table { caption: caption.to_owned(), heads: HEADS, rows })];
    if few.more > 0 {
        blocks.push(Block::Note(format!("{} older ones are on record and not shown", number::count(few.more)).into()));
    }
    Ok(blocks)
}

/// The latest of each kind, in time order: what the case came to in the end.
pub fn then_what(few: &Few) -> Result<Option<String>, Failure> {
    let mut last: Vec<&Found> = Vec::new();
    for kind in [Kind::Oversight, Kind::Outcome] {
        last.extend(few.records.iter().rev().find(|found| found.stored.stamp.kind == kind));
    }
    last.sort_by_cached_key(|found| (found.when(), found.index));
    let sentences: Vec<String> =
        last.iter().map(|found| Ok(Told::of(found)?.sentence())).collect::<Result<_, Failure>>()?;
    let others = few.records.len() as u64 + few.more - last.len() as u64;
    let more = (others > 0).then(|| number::of(others, "more late fact", "more late facts"));
    let all: Vec<String> = sentences.into_iter().chain(more).collect();
    Ok((!all.is_empty()).then(|| all.join("; ")))
}
