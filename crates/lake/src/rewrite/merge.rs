//! Reads several files as one, in the order of their rows.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use record::Stored;

use super::{Group, RewriteError};
use crate::facts::{Facts, Place};
use crate::reader::{FileReader, FileRows};

/// Rows decoded at a time, over all files: what merging holds in memory, times the columns.
const BATCH_ROWS: usize = 16_384;

/// Fewest rows decoded at a time of one file.
const BATCH_ROWS_MIN: usize = 64;

/// The rows of sorted files, sorted, with the memory of one batch a file.
pub(crate) struct Merge<'g> {
    inputs: Vec<Input>,
    /// The next row of each input that has one.
    heads: BinaryHeap<Reverse<(Place, usize)>>,
    group: &'g Group,
    last: Option<Place>,
    rows: u64,
}

struct Input {
    file: String,
    rows: FileRows,
    head: Option<MergedRow>,
    last: Option<Place>,
}

/// One record of the merged files.
pub(crate) struct MergedRow {
    pub place: Place,
    pub index: u64,
    pub stored: Stored,
    pub facts: Facts,
}

impl<'g> Merge<'g> {
    /// Merges the rows that belong to `group`.
    pub(crate) fn of(files: &[Arc<FileReader>], group: &'g Group) -> Result<Self, RewriteError> {
        let batch_rows = (BATCH_ROWS / files.len().max(1)).max(BATCH_ROWS_MIN);
        let mut merge = Self { inputs: Vec::new(), heads: BinaryHeap::new(), group, last: None, rows: 0 };
        for file in files {
            let rows = FileRows::in_batches(file.clone(), batch_rows)?;
            merge.inputs.push(Input { file: file.name().to_owned(), rows, head: None, last: None });
            merge.advance(merge.inputs.len() - 1)?;
        }
        Ok(merge)
    }

    /// Rows read so far, whatever group they belong to.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Takes the next row of an input that belongs to the group.
    fn advance(&mut self, at: usize) -> Result<(), RewriteError> {
        let input = &mut self.inputs[at];
        for placed in input.rows.by_ref() {
            let placed = placed?;
            let (index, facts) = (placed.index, Facts::of(&placed.stored));
            self.rows += 1;
            let place = facts.place(index);
            if input.last.is_some_and(|last| last >= place) {
                return Err(RewriteError::Order { file: input.file.clone(), index });
            }
            input.last = Some(place);
            if self.group.holds(&facts) {
                input.head = Some(MergedRow { place, index, stored: placed.stored, facts });
                self.heads.push(Reverse((place, at)));
                break;
            }
        }
        Ok(())
    }

    /// The next row.
    pub(crate) fn next(&mut self) -> Result<Option<MergedRow>, RewriteError> {
        let Some(Reverse((place, at))) = self.heads.pop() else { return Ok(None) };
        let row = self.inputs[at].head.take();
        if self.last == Some(place) {
            let (_, _, index) = place;
            return Err(RewriteError::Order { file: self.inputs[at].file.clone(), index });
        }
        self.last = Some(place);
        self.advance(at)?;
        Ok(row)
    }
}
