//! The trail's counts held against counts from elsewhere (T11): what no sequence can show, a record that was never made,
//! is in a count that somebody else keeps, such as a load balancer's or a model server's.

mod by;
mod prometheus;
mod theirs;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::columns::Columns;
use crate::error::QueryError;
use crate::gaps::declared_count;
use crate::times;
use crate::view::View;

pub use by::By;
pub use theirs::{BadRow, Labels, Theirs, TheirsError};

/// A count is of an interval, of a model, and of a version if the file says versions.
type Key = (i64, String, Option<String>);

/// What counts are made of: none of it may be masked.
const COUNTED: [&str; 7] = [
    "model.name",
    "model.version",
    "sampling.probability",
    "output.count",
    "context.first",
    "context.last",
    "context.count",
];

/// How far an estimate may be from a count: 99.9 % of the time it is nearer, so that a month of hours raises one false
/// alarm at most.
const Z_999: f64 = 3.290_526_731_491_926;

/// What two counts came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reconciled {
    /// The whole.
    pub verdict: Agreement,
    /// How long an interval is.
    pub by: By,
    /// The intervals, and in each the models.
    pub rows: Vec<Row>,
    /// Decisions in the same time of models that the file does not name.
    pub unnamed: u64,
    /// Decisions of which nobody can tell the model, for it was erased.
    pub erased: u64,
    /// Rows of the file that could not be read; the first of them.
    pub bad_rows: Vec<BadRow>,
    /// How many there were.
    pub bad_rows_count: u64,
}

/// One interval of one model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// When the interval begins.
    #[serde(rename = "from", with = "times")]
    pub from_ns: i64,
    /// The model.
    pub model: String,
    /// The version, if the file says versions.
    pub version: Option<String>,
    /// Their count; 0 if they have none.
    pub theirs: f64,
    /// Decisions on record.
    pub recorded: u64,
    /// Decisions that sampling left out.
    pub left_out: f64,
    /// How that is known.
    pub left_out_by: LeftOut,
    /// How far the estimate may be off.
    pub margin: f64,
    /// `recorded` and `left_out`.
    pub ours: f64,
    /// Lost and declared, of this model.
    pub declared: u64,
    /// Lost and declared in this interval by a record that names no model.
    pub declared_of_any: u64,
    /// Ours without theirs.
    pub difference: f64,
    /// What that comes to.
    pub verdict: Agreement,
}

/// How it is known what sampling left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftOut {
    /// Nothing was.
    None,
    /// `summary` records counted it.
    Counted,
    /// The probabilities of what was kept tell, within a margin.
    Estimated,
}

/// What two counts say of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Agreement {
    /// They are the same.
    Agree,
    /// Ours is smaller, by no more than was declared as lost.
    Declared,
    /// Ours is smaller.
    OursFewer,
    /// Ours is larger.
    OursMore,
    /// Ours is smaller in some places, and larger in others.
    Differ,
}

impl Agreement {
    /// Whether nothing is missing that was not declared, and nothing is too much.
    pub fn is_good(self) -> bool {
        matches!(self, Agreement::Agree | Agreement::Declared)
    }

    fn of_all(rows: &[Row]) -> Agreement {
        let any = |verdict| rows.iter().any(|row| row.verdict == verdict);
        match (any(Agreement::OursFewer), any(Agreement::OursMore)) {
            (true, true) => Agreement::Differ,
            (true, false) => Agreement::OursFewer,
            (false, true) => Agreement::OursMore,
            (false, false) if any(Agreement::Declared) => Agreement::Declared,
            (false, false) => Agreement::Agree,
        }
    }
}

/// What the trail has of one key.
#[derive(Clone, Copy, Debug, Default)]
struct Ours {
    recorded: u64,
    weight: f64,
    variance: f64,
    summary: Option<f64>,
    declared: u64,
}

/// What the trail has.
#[derive(Default)]
struct Counted {
    cells: BTreeMap<Key, Ours>,
    /// Declared by records that name no model, by interval.
    declared_of_any: HashMap<i64, u64>,
    unnamed: u64,
    erased: u64,
}

impl View {
    /// Holds the trail's counts against others, over the time and the models that those are of.
    pub fn reconcile(&self, theirs: &Theirs) -> Result<Reconciled, QueryError> {
        self.sees_plain(&COUNTED, "counts")?;
        let by = theirs.by();
        let mut counted = Counted::default();
        if let Some((from, until)) = theirs.span() {
            self.count_decisions(theirs, from, until, &mut counted)?;
            self.count_summaries(theirs, from, until, &mut counted)?;
            self.count_declared(theirs, from, until, &mut counted)?;
        }
        let rows = rows(theirs, counted.cells, &counted.declared_of_any);
        Ok(Reconciled {
            verdict: Agreement::of_all(&rows),
            by,
            rows,
            unnamed: counted.unnamed,
            erased: counted.erased,
            bad_rows: theirs.bad_rows().to_vec(),
            bad_rows_count: theirs.bad_rows_count(),
        })
    }

    fn count_decisions(&self, theirs: &Theirs, from: i64, until: i64, counted: &mut Counted) -> Result<(), QueryError> {
        let (start, version) = (theirs.by().start_in_sql("time_ns"), version(theirs));
        let sql = format!(
            "SELECT {start} AS start, model.name AS name, {version} AS version, count(*), \
             sum(1.0 / coalesce(sampling.probability, 1.0)), \
             sum((1.0 - coalesce(sampling.probability, 1.0)) / power(coalesce(sampling.probability, 1.0), 2)) \
             FROM decisions WHERE time_ns >= {from} AND time_ns < {until} GROUP BY 1, 2, 3"
        );
        for batch in self.every_row(&sql, None)? {
            let batch = batch?;
            let columns = Columns(&batch);
            let (starts, names, versions) = (columns.integers(0)?, columns.texts(1)?, columns.texts(2)?);
            let (counts, weights, variances) = (columns.integers(3)?, columns.numbers(4)?, columns.numbers(5)?);
            for row in 0..batch.num_rows() {
                let recorded = counts.count(row);
                let (Some(start), Some(name)) = (starts.at(row), names.owned(row)) else {
                    counted.erased += recorded;
                    continue;
                };
                if !theirs.names(&name) {
                    counted.unnamed += recorded;
                    continue;
                }
                let cell = counted.cell((start, name, versions.owned(row)))?;
                (cell.recorded, cell.weight, cell.variance) = (recorded, weights.sum(row), variances.sum(row));
            }
        }
        Ok(())
    }

    /// What sampling left out, where it was counted: `output.count` of `summary` records, in the interval of their time.
    fn count_summaries(&self, theirs: &Theirs, from: i64, until: i64, counted: &mut Counted) -> Result<(), QueryError> {
        let (start, version) = (theirs.by().start_in_sql("time_ns"), version(theirs));
        let sql = format!(
            "SELECT {start} AS start, model.name AS name, {version} AS version, \
             sum(json_number(\"output:json\", 'count')) FROM events \
             WHERE kind = 'summary' AND time_ns >= {from} AND time_ns < {until} GROUP BY 1, 2, 3"
        );
        for batch in self.every_row(&sql, None)? {
            let batch = batch?;
            let columns = Columns(&batch);
            let (starts, names, versions) = (columns.integers(0)?, columns.texts(1)?, columns.texts(2)?);
            let counts = columns.numbers(3)?;
            for row in 0..batch.num_rows() {
                let (Some(start), Some(name)) = (starts.at(row), names.owned(row)) else { continue };
                let count = counts.sum(row);
                if theirs.names(&name) && count.is_finite() && count > 0.0 {
                    counted.cell((start, name, versions.owned(row)))?.summary = Some(count);
                }
            }
        }
        Ok(())
    }

    /// What was declared as lost, in the interval of the declaration's time.
    fn count_declared(&self, theirs: &Theirs, from: i64, until: i64, counted: &mut Counted) -> Result<(), QueryError> {
        let version = version(theirs);
        let sql = format!(
            "SELECT time_ns, model.name, {version} AS version, \"context:json\" FROM events \
             WHERE kind = 'gap' AND time_ns >= {from} AND time_ns < {until}"
        );
        for batch in self.every_row(&sql, None)? {
            let batch = batch?;
            let columns = Columns(&batch);
            let (times, names, versions) = (columns.integers(0)?, columns.texts(1)?, columns.texts(2)?);
            let contexts = columns.texts(3)?;
            for row in 0..batch.num_rows() {
                let count = contexts.at(row).and_then(declared_count).unwrap_or(0);
                let Some(start) = times.at(row).map(|time| theirs.by().start(time)) else { continue };
                let sum = match names.owned(row) {
                    Some(name) if !theirs.names(&name) => continue,
                    Some(name) => &mut counted.cell((start, name, versions.owned(row)))?.declared,
                    None => counted.declared_of_any.entry(start).or_default(),
                };
                *sum = sum.saturating_add(count);
            }
        }
        Ok(())
    }
}

impl Counted {
    fn cell(&mut self, key: Key) -> Result<&mut Ours, QueryError> {
        if self.cells.len() >= theirs::CELLS_MAX && !self.cells.contains_key(&key) {
            let max = theirs::CELLS_MAX.to_string();
            return Err(QueryError::Limit { what: "intervals times models", max });
        }
        Ok(self.cells.entry(key).or_default())
    }
}

fn version(theirs: &Theirs) -> &'static str {
    if theirs.has_versions() { "model.version" } else { "CAST(NULL AS VARCHAR)" }
}

/// Both sides, interval by interval. What was declared without a model is given to whoever lacks something, once.
fn rows(theirs: &Theirs, mut cells: BTreeMap<Key, Ours>, declared_of_any: &HashMap<i64, u64>) -> Vec<Row> {
    let keys: BTreeSet<Key> = theirs.counts().keys().chain(cells.keys()).cloned().collect();
    let mut pool = declared_of_any.clone();
    let mut rows = Vec::with_capacity(keys.len());
    for key in keys {
        let ours = cells.remove(&key).unwrap_or_default();
        let count = theirs.counts().get(&key).copied().unwrap_or(0.0);
        let estimated = (ours.weight - ours.recorded as f64).max(0.0);
        // Exact counts of what was left out say the same as the weights, and better: never both.
        let (left_out, left_out_by, margin) = match ours.summary {
            Some(counted) => (counted, LeftOut::Counted, 0.0),
            None if ours.variance > 0.0 => (estimated, LeftOut::Estimated, Z_999 * ours.variance.sqrt()),
            None => (0.0, LeftOut::None, 0.0),
        };
        let (from_ns, model, version) = key;
        let total = ours.recorded as f64 + left_out;
        let difference = total - count;
        let of_any = declared_of_any.get(&from_ns).copied().unwrap_or(0);
        let lacking = -difference - margin - ours.declared as f64;
        // A rate over a window is no whole number.
        let verdict = if difference.abs() <= margin.max(0.5) {
            Agreement::Agree
        } else if difference > 0.0 {
            Agreement::OursMore
        } else if lacking <= 0.0 {
            Agreement::Declared
        } else {
            let left = pool.entry(from_ns).or_default();
            let need = lacking.ceil() as u64;
            if *left >= need {
                *left -= need;
                Agreement::Declared
            } else {
                Agreement::OursFewer
            }
        };
        rows.push(Row {
            from_ns,
            model,
            version,
            theirs: count,
            recorded: ours.recorded,
            left_out,
            left_out_by,
            margin,
            ours: total,
            declared: ours.declared,
            declared_of_any: of_any,
            difference,
            verdict,
        });
    }
    rows
}
