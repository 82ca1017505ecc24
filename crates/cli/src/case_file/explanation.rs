//! Why: the attributions that are on record for a decision, and whether they add up to its output.

use record::{Kind, Part, Value};
use trail::Found;

use crate::case_file::{CaseFile, Decision};
use crate::chart::{self, Bar};
use crate::failure::Failure;
use crate::fields::{leaves, name, one, rows, section};
use crate::number;
use crate::sheet::{Block, row};
use crate::text::plain;
use crate::time;

/// Attributions that stand for all in one line.
const REASONS_MAX: usize = 3;

/// An explanation, and the record that holds it.
struct Explained<'c> {
    value: Value,
    by: &'c Found,
}

/// The record's own explanation, or the newest one that was made later.
fn explanation(case: &CaseFile) -> Result<Option<Explained<'_>>, Failure> {
    let late = case.late.records.iter().rev().filter(|late| late.stored.stamp.kind == Kind::Explanation);
    for by in std::iter::once(&case.found).chain(late) {
        if let Some(value) = section(&by.stored, Part::Explanation)? {
            return Ok(Some(Explained { value, by }));
        }
    }
    Ok(None)
}

pub fn blocks(case: &CaseFile) -> Result<Vec<Block>, Failure> {
    let Some(Explained { value, by }) = explanation(case)? else { return Ok(Vec::new()) };
    let values = value.get("values").map(attributions).unwrap_or_default();
    let others = match &value {
        Value::Map(entries) => {
            Value::map(entries.iter().filter(|(key, _)| values.is_empty() || key != "values").cloned())
        }
        other => other.clone(),
    };
    let mut facts: Vec<_> = rows(&others).into_iter().map(|(name, value)| row(name, value)).collect();
    if by.index != case.found.index {
        facts.push(row(
            "explained",
            format!("later, by record {} on {}", number::count(by.index), time::utc(by.when())),
        ));
    }
    if values.is_empty() {
        return Ok(vec![Block::Rows(facts)]);
    }
    // A late explanation is of its decision's inputs and output.
    let decision = match &case.decision {
        Some(Decision::Here(decision)) => decision.as_ref(),
        _ => &case.found,
    };
    let inputs = section(&decision.stored, Part::Inputs)?;
    let given = |name: &str| inputs.as_ref().and_then(|inputs| inputs.get(name)).map(one);
    let sum: f64 = values.iter().map(|(_, value)| value).sum();
    let bars = values.iter().map(|(key, value)| Bar { name: name(key), value: *value, given: given(key) }).collect();
    let space = value.get("space").and_then(Value::as_text).map(|space| format!(", in {}", plain(space)));
    let caption = format!("What each feature contributed{}", space.unwrap_or_default());
    let mut blocks = vec![Block::Rows(facts), Block::Chart { caption, bars }];
    if let Some(base) = value.get("base").and_then(Value::as_f64) {
        let output = section(&decision.stored, Part::Output)?;
        blocks.push(Block::Note(additive(base, sum, values.len(), output.as_ref()).into()));
    }
    Ok(blocks)
}

/// The strongest attributions in one line.
pub fn in_short(case: &CaseFile) -> Result<Option<String>, Failure> {
    let Some(Explained { value, by }) = explanation(case)? else { return Ok(None) };
    let later = if by.index == case.found.index { "" } else { ", explained later" };
    let values = value.get("values").map(attributions).unwrap_or_default();
    let all = values.len();
    let bars = values.into_iter().map(|(key, value)| Bar { name: name(&key), value, given: None }).collect();
    let (bars, _) = chart::longest(bars);
    let strongest = bars.iter().take(REASONS_MAX).map(|bar| format!("{} {}", bar.name, number::signed(bar.value)));
    let strongest: Vec<String> = strongest.collect();
    let of = if all > REASONS_MAX { format!(" (the strongest of {all})") } else { String::new() };
    Ok((!strongest.is_empty()).then(|| strongest.join(", ") + &of + later))
}

/// The numbers of a map of attributions, if it is one.
fn attributions(values: &Value) -> Vec<(String, f64)> {
    let Value::Map(entries) = values else { return Vec::new() };
    let numbers: Option<Vec<_>> = entries.iter().map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect();
    numbers.unwrap_or_default()
}

/// Base and attributions added up, and the output that they come to.
fn additive(base: f64, sum: f64, count: usize, output: Option<&Value>) -> String {
    let total = base + sum;
    let near = |value: f64, wanted: f64| (value - wanted).abs() <= 1e-4 * (1.0 + wanted.abs());
    let outputs = output.map(leaves).unwrap_or_default();
    let numbers = || outputs.iter().filter_map(|(path, value)| Some((path, value.as_f64()?)));
    let logistic = 1.0 / (1.0 + (-total).exp());
    let comes_to = match (numbers().find(|(_, n)| near(*n, total)), numbers().find(|(_, n)| near(*n, logistic))) {
        (Some((path, _)), _) => format!(": the output's {path}"),
        (None, Some((path, n))) => format!(", whose logistic is {n:.4}: the output's {path}"),
        (None, None) => ", which is no number of the output".to_owned(),
    };
    format!(
        "base {} and {count} attributions {} make {}{comes_to}",
        number::signed(base),
        number::signed(sum),
        number::signed(total)
    )
}
