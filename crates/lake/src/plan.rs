//! What a settle will do, decided before anything is touched: which records go to which file, and which columns the
//! table gets. A pure function of the snapshot and the records.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::Arc;

use record::Stored;
use record::cbor::CborError;

use crate::census::Census;
use crate::columns::Columns;
use crate::facts::Facts;
use crate::layout::Layout;
use crate::snapshot::Snapshot;

/// Decisions of one model that make a file of their own worth its footer.
///
/// A file of its own holds only that model's columns, and a query for the model reads nothing else; but each file
/// costs some tens of kilobytes of footer and page index and one open for every look-up.
pub const MODEL_ROWS_MIN: usize = 1_000;

/// What a settle will do.
pub struct SettlePlan<'r> {
    pub(crate) base_version: u64,
    /// The watermark once it is done: every record below it is in the lake.
    pub(crate) watermark: u64,
    /// The table's columns after the settle.
    pub(crate) columns: Arc<Columns>,
    pub(crate) new_columns: Vec<String>,
    pub(crate) files: Vec<PlannedFile>,
    pub(crate) records: Vec<(u64, &'r Stored)>,
    pub(crate) facts: Vec<Facts>,
}

/// One file of a plan.
#[derive(Debug)]
pub(crate) struct PlannedFile {
    /// Whose decisions it holds; `None`: all that are too few for a file of their own, and all other records.
    pub model: Option<Box<str>>,
    /// Places in the plan's records, in the order of the file's rows.
    pub rows: Vec<usize>,
    pub layout: Arc<Layout>,
}

/// Why records cannot be settled.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlanError {
    /// Nothing to settle.
    #[error("there is no record to settle")]
    Empty,
    /// The records do not go on where the lake ends (I2).
    #[error("record {expected} is next to settle, but {found} was given; settle from the watermark on, without gaps")]
    Gap {
        /// The index that has to come.
        expected: u64,
        /// The index that came.
        found: u64,
    },
    /// A part is not CBOR; it was validated when it was appended, so memory or the journal is damaged.
    #[error("record {index} has a section that is not canonical CBOR ({cause}); verify the journal")]
    Cbor {
        /// The record's index.
        index: u64,
        /// What is wrong.
        cause: CborError,
    },
}

/// Plans the settling of `records`, which go on where `snapshot` ends: index by index, without gaps.
pub fn plan_settle<'r, S: Borrow<Stored>>(
    snapshot: &Snapshot,
    records: &'r [(u64, S)],
) -> Result<SettlePlan<'r>, PlanError> {
    let records: Vec<(u64, &Stored)> = records.iter().map(|(index, stored)| (*index, stored.borrow())).collect();
    if records.is_empty() {
        return Err(PlanError::Empty);
    }
    for (expected, (found, _)) in (snapshot.watermark()..).zip(&records) {
        if expected != *found {
            return Err(PlanError::Gap { expected, found: *found });
        }
    }
    let facts: Vec<Facts> = records.iter().map(|(_, stored)| Facts::of(stored)).collect();
    let mut columns = (**snapshot.columns()).clone();
    let before = columns.list().len();
    let mut files = Vec::new();
    for (model, mut rows) in group(&facts) {
        // A file is sorted by time, so that time prunes row groups and pages; what has no time comes last.
        rows.sort_by_key(|&at| (facts[at].time_ns.is_none(), facts[at].time_ns, records[at].0));
        let mut census = Census::default();
        // Counted by index, not by time: the first type seen takes the bare name.
        let mut by_index = rows.clone();
        by_index.sort_unstable();
        for &at in &by_index {
            let (index, stored) = &records[at];
            if let Some(parts) = stored.parts() {
                census.count(parts).map_err(|cause| PlanError::Cbor { index: *index, cause })?;
            }
        }
        let used = census.choose(&mut columns);
        let layout = Arc::new(Layout::new(&columns, used.iter().map(String::as_str)));
        files.push(PlannedFile { model, rows, layout });
    }
    let new_columns = columns.list()[before..].iter().map(|c| c.name.to_string()).collect();
    Ok(SettlePlan {
        base_version: snapshot.version(),
        watermark: snapshot.watermark() + records.len() as u64,
        columns: Arc::new(columns),
        new_columns,
        files,
        records,
        facts,
    })
}

/// The records of each file, models by name and the shared file last.
fn group(facts: &[Facts]) -> Vec<(Option<Box<str>>, Vec<usize>)> {
    let mut of_model: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, facts) in facts.iter().enumerate() {
        if let Some(model) = &facts.decided_by {
            of_model.entry(model).or_default().push(at);
        }
    }
    of_model.retain(|_, rows| rows.len() >= MODEL_ROWS_MIN);
    let alone = |facts: &Facts| facts.decided_by.as_ref().is_some_and(|model| of_model.contains_key(&**model));
    let shared: Vec<usize> = (0..facts.len()).filter(|&at| !alone(&facts[at])).collect();
    let mut groups: Vec<_> = of_model.into_iter().map(|(model, rows)| (Some(model.into()), rows)).collect();
    if !shared.is_empty() {
        groups.push((None, shared));
    }
    groups
}

impl SettlePlan<'_> {
    /// The watermark once it is carried out.
    pub fn watermark(&self) -> u64 {
        self.watermark
    }

    /// The columns that the table gets by it.
    pub fn new_columns(&self) -> &[String] {
        &self.new_columns
    }

    /// For each file whose decisions it holds (`None`: everyone's), and how many records.
    pub fn files(&self) -> impl Iterator<Item = (Option<&str>, usize)> {
        self.files.iter().map(|file| (file.model.as_deref(), file.rows.len()))
    }
}
