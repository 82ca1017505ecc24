//! The Delta statistics of a file: exact, of few columns, from the records.
//!
//! Only `index`, `id`, `time`, `model.name` and `model.version` have them. These name no person, so the log may show
//! them in clear even when files are encrypted, and they are what a query over a trail prunes files by. Both the
//! writer and the check make them here, the one from the records, the other from the rows.

use std::borrow::Borrow;

use chrono::DateTime;
use record::Stored;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::cells::Cells;
use crate::facts::Facts;
use crate::layout::slot;

/// Statistics of a file as its records are added.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stats {
    rows: u64,
    index: Range<i64>,
    id: Range<String>,
    time_us: Range<i64>,
    model: Range<String>,
    version: Range<String>,
}

/// The least and greatest of some values, and how many were null.
#[derive(Clone, Debug, Default)]
struct Range<T> {
    bounds: Option<(T, T)>,
    nulls: u64,
}

impl<T: Ord + Clone> Range<T> {
    fn add<B>(&mut self, value: Option<&B>)
    where
        T: Borrow<B>,
        B: ?Sized + Ord + ToOwned<Owned = T>,
    {
        let Some(value) = value else {
            self.nulls += 1;
            return;
        };
        match &mut self.bounds {
            None => self.bounds = Some((value.to_owned(), value.to_owned())),
            Some((least, greatest)) => {
                if value < (*least).borrow() {
                    *least = value.to_owned();
                }
                if value > (*greatest).borrow() {
                    *greatest = value.to_owned();
                }
            }
        }
    }
}

impl Stats {
    /// Adds one record.
    pub(crate) fn add_record(&mut self, index: u64, stored: &Stored, facts: &Facts) {
        let mut buffer = Uuid::encode_buffer();
        let id = stored.stamp.id.hyphenated().encode_lower(&mut buffer);
        // Of an envelope that is kept as bytes no column shows the model.
        let model = facts.model.as_ref().filter(|_| facts.agrees).map(|(name, version)| (&**name, &**version));
        self.add(index as i64, id, facts.time_ns.map(|ns| ns.div_euclid(1_000)), model);
    }

    /// Adds one row, whose cells are what its record makes.
    pub(crate) fn add_row(&mut self, index: u64, cells: &Cells, row: usize) {
        let model = cells.str(slot::MODEL_NAME, row).zip(cells.str(slot::MODEL_VERSION, row));
        self.add(index as i64, cells.str(slot::ID, row).unwrap_or_default(), cells.time(slot::TIME, row), model);
    }

    /// Adds one record: its index, id, time in microseconds, model name and version.
    fn add(&mut self, index: i64, id: &str, time_us: Option<i64>, model: Option<(&str, &str)>) {
        self.rows += 1;
        self.index.add(Some(&index));
        self.id.add(Some(id));
        self.time_us.add(time_us.as_ref());
        self.model.add(model.map(|(name, _)| name));
        self.version.add(model.map(|(_, version)| version));
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// First and last index; zero for a file without rows, which nobody writes.
    pub(crate) fn indices(&self) -> (u64, u64) {
        self.index.bounds.map_or((0, 0), |(first, last)| (first.unsigned_abs(), last.unsigned_abs()))
    }

    /// Least and greatest id.
    pub(crate) fn ids(&self) -> (String, String) {
        self.id.bounds.clone().unwrap_or_default()
    }

    /// The JSON that stands in the `add` action.
    pub(crate) fn to_json(&self) -> Value {
        let (mut least, mut greatest, mut nulls) = (Map::new(), Map::new(), Map::new());
        let mut put = |name: &str, bounds: Option<(Value, Value)>, null_count: u64| {
            nulls.insert(name.to_owned(), json!(null_count));
            if let Some((a, b)) = bounds {
                least.insert(name.to_owned(), a);
                greatest.insert(name.to_owned(), b);
            }
        };
        put("index", self.index.bounds.map(|(a, b)| (json!(a), json!(b))), self.index.nulls);
        put("id", text(&self.id), self.id.nulls);
        put("time", self.time_us.bounds.and_then(|(a, b)| Some((time(a)?, time(b)?))), self.time_us.nulls);
        put("model.name", text(&self.model), self.model.nulls);
        put("model.version", text(&self.version), self.version.nulls);
        json!({"numRecords": self.rows, "minValues": least, "maxValues": greatest, "nullCount": nulls})
    }
}

fn text(range: &Range<String>) -> Option<(Value, Value)> {
    range.bounds.as_ref().map(|(a, b)| (json!(a), json!(b)))
}

fn time(us: i64) -> Option<Value> {
    DateTime::from_timestamp_micros(us).map(|t| json!(t.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_exact_and_count_what_is_missing() {
        let mut stats = Stats::default();
        stats.add(7, "b", Some(1_717_243_200_123_456), Some(("risk", "1.2")));
        stats.add(5, "a", None, None);
        stats.add(6, "c", Some(-1), Some(("fraud", "9")));
        let mut json = stats.to_json();
        json.sort_all_objects();
        insta::assert_json_snapshot!(json);
        assert_eq!(stats.indices(), (5, 7));
    }
}
