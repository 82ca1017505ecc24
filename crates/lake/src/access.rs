//! What a query engine over the lake needs of it: records as columns, columns as sections.
//!
//! An engine reads the files' columns by itself. What a column or a remainder *means* stays here.

use std::sync::Arc;

use arrow_array::RecordBatch;
use record::{Part, Stored};

use crate::assemble::{RowError, Rows};
use crate::columns::Columns;
use crate::facts::Facts;
use crate::layout::Layout;
use crate::shred::{ShredError, Shredder};

/// Records as the rows of a data file would have them, in the order given, each with its index: every column of the
/// table in which one of them has a value.
pub fn to_columns<'r>(
    columns: &Columns,
    records: impl IntoIterator<Item = (u64, &'r Stored)>,
) -> Result<RecordBatch, ShredError> {
    let layout = Layout::new(columns, columns.list().iter().map(|column| &*column.name));
    let mut shredder = Shredder::new(&layout);
    for (index, stored) in records {
        shredder.push(index, stored, &Facts::of(stored))?;
    }
    let batch = shredder.finish()?;
    let used = |at: &usize| batch.column(*at).null_count() < batch.num_rows();
    let used: Vec<usize> = (0..batch.num_columns()).filter(used).collect();
    Ok(batch.project(&used)?)
}

/// The sections of a run of rows, from whatever of their columns `batch` has.
pub struct Sections(Rows);

impl Sections {
    /// `batch` has some of the columns of `columns`, with their names and types.
    pub fn new(columns: &Columns, batch: &RecordBatch) -> Result<Self, RowError> {
        let names = batch.schema();
        let layout = Layout::new(columns, names.fields().iter().map(|field| field.name().as_str()));
        Rows::new(&Arc::new(layout), batch).map(Self)
    }

    /// Appends the canonical bytes of what the batch has of a section in `row`; nothing if that is nothing.
    pub fn canonical(&self, section: Part, row: usize, out: &mut Vec<u8>) -> Result<(), RowError> {
        self.0.part(section, row, out)
    }
}
