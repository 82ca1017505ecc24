//! What `gap` records declare as lost: ranges of an instance's numbers.
//!
//! `context` of such a record holds `first`, and `last` or `count`; `reason` if it gives one. The producer and instance
//! are those of its envelope.

use std::collections::BTreeMap;

use crate::columns::Columns;
use crate::error::QueryError;
use crate::view::View;

/// Ranges that are kept.
const RANGES_MAX: usize = 1_000_000;

/// Records without a range that are named.
const NAMED_MAX: usize = 100;

/// Bytes of a reason that are kept.
const REASON_BYTES_MAX: usize = 256;

/// Numbers that are declared as lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub first: i64,
    pub last: i64,
    /// The index of the record that says so.
    pub index: u64,
    pub reason: Option<String>,
}

type Instance = (String, Option<String>);

/// All that is declared, by instance.
#[derive(Default)]
pub(super) struct Declarations {
    ranges: BTreeMap<Instance, Vec<Range>>,
    without_range: Vec<u64>,
}

impl Declarations {
    pub(super) fn read(view: &View, only: &str) -> Result<Self, QueryError> {
        let sql = format!(
            "SELECT \"index\", producer.name, producer.instance, \"context:json\" FROM events WHERE kind = 'gap'{only}"
        );
        let mut declarations = Declarations::default();
        let mut kept = 0;
        for batch in view.every_row(&sql, None)? {
            let batch = batch?;
            let columns = Columns(&batch);
            let (indices, names) = (columns.integers(0)?, columns.texts(1)?);
            let (instances, contexts) = (columns.texts(2)?, columns.texts(3)?);
            for row in 0..batch.num_rows() {
                let index = indices.count(row);
                let range = contexts.at(row).and_then(|context| Range::of_context(index, context));
                match (names.owned(row), range) {
                    (Some(name), Some(range)) => {
                        kept += 1;
                        declarations.ranges.entry((name, instances.owned(row))).or_default().push(range);
                    }
                    _ if declarations.without_range.len() < NAMED_MAX => declarations.without_range.push(index),
                    _ => {}
                }
                if kept > RANGES_MAX {
                    return Err(QueryError::Limit { what: "declared gaps", max: RANGES_MAX.to_string() });
                }
            }
        }
        declarations.without_range.sort_unstable();
        declarations.ranges.values_mut().for_each(make_disjoint);
        Ok(declarations)
    }

    /// The ranges of an instance, lowest first and apart from each other, which are then no more here.
    pub(super) fn take(&mut self, name: &str, instance: Option<&str>) -> Vec<Range> {
        self.ranges.remove(&(name.to_owned(), instance.map(str::to_owned))).unwrap_or_default()
    }

    /// Records that declare nothing.
    pub(super) fn without_range(&self) -> Vec<u64> {
        self.without_range.clone()
    }

    /// What nobody has taken.
    pub(super) fn rest(self) -> impl Iterator<Item = (String, Option<String>, Vec<Range>)> {
        self.ranges.into_iter().map(|((name, instance), ranges)| (name, instance, ranges))
    }
}

/// Sorts ranges, and takes from each what one before it declares already.
fn make_disjoint(ranges: &mut Vec<Range>) {
    ranges.sort_by_key(|range| (range.first, range.index));
    let mut end = None;
    ranges.retain_mut(|range| {
        range.first = end.map_or(range.first, |end: i64| range.first.max(end.saturating_add(1)));
        let new = range.first <= range.last && end != Some(i64::MAX);
        if new {
            end = Some(range.last);
        }
        new
    });
}

impl Range {
    fn of_context(index: u64, context: &str) -> Option<Range> {
        let context: serde_json::Value = serde_json::from_str(context).ok()?;
        let number = |key: &str| context.get(key)?.as_i64();
        let first = number("first")?;
        let last = match (number("last"), number("count")) {
            (Some(last), Some(count)) if first.checked_add(count)?.checked_sub(1)? != last => return None,
            (Some(last), _) => last,
            (None, Some(count)) => first.checked_add(count)?.checked_sub(1)?,
            (None, None) => return None,
        };
        let reason = context.get("reason").and_then(serde_json::Value::as_str);
        let reason = reason.map(|reason| {
            let end = (0..=REASON_BYTES_MAX.min(reason.len())).rev().find(|end| reason.is_char_boundary(*end));
            reason[..end.unwrap_or(0)].to_owned()
        });
        (first >= 0 && last >= first).then_some(Range { first, last, index, reason })
    }
}

/// How many records a `gap` record declares as lost, if only by their number.
pub(crate) fn count(context: &str) -> Option<u64> {
    if let Some(range) = Range::of_context(0, context) {
        return Some(range.last.abs_diff(range.first).saturating_add(1));
    }
    let context: serde_json::Value = serde_json::from_str(context).ok()?;
    context.get("first").is_none().then(|| context.get("count")?.as_u64()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_twice_counts_once() {
        let range = |first, last, index| Range { first, last, index, reason: None };
        let mut ranges =
            vec![range(5, 9, 2), range(1, 20, 1), range(18, 30, 3), range(31, i64::MAX, 4), range(40, 41, 5)];
        make_disjoint(&mut ranges);
        assert_eq!(ranges, [range(1, 20, 1), range(21, 30, 3), range(31, i64::MAX, 4)]);
    }

    #[test]
    fn a_range_is_said_in_two_ways_and_must_be_one() {
        let read = |context: &str| Range::of_context(7, context).map(|range| (range.first, range.last));
        assert_eq!(read(r#"{"first":3,"count":4}"#), Some((3, 6)));
        assert_eq!(read(r#"{"first":3,"last":6,"reason":"spool full"}"#), Some((3, 6)));
        assert_eq!(read(r#"{"first":3,"last":6,"count":4}"#), Some((3, 6)));
        for nothing in [
            r#"{"first":3,"last":6,"count":5}"#,
            r#"{"first":3}"#,
            r#"{"count":4}"#,
            r#"{"first":3,"count":0}"#,
            r#"{"first":9,"last":3}"#,
            r#"{"first":-1,"last":3}"#,
            r#"{"first":9223372036854775807,"count":2}"#,
            r#"{"first":"3","count":"4"}"#,
            "null",
        ] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }
}
