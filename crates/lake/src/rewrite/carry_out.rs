//! Carries a rewrite out, up to its commit.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use record::{Body, Digest, Stored};
use sha2::{Digest as _, Sha256};

use super::merge::{Merge, MergedRow};
use super::outputs::Outputs;
use super::{Output, Reason, Rewrite, RewriteError};
use crate::columns::{Column, Columns};
use crate::facts::{Facts, Place};
use crate::layout::Layout;
use crate::manifest::Manifest;
use crate::reader::{FileReader, FileRows};
use crate::writer::{FileWriter, STEP};

/// What becomes of a record: its erased form, or nothing if it stays as it is.
type Changed<'a> = &'a dyn Fn(u64, &Stored) -> Option<Stored>;

/// Files that are written, read back and fsynced, and that no version names yet. Dropping it removes them.
pub struct Rewritten {
    pub(crate) reason: Reason,
    pub(crate) new_columns: Vec<Column>,
    pub(crate) removed: Vec<Manifest>,
    pub(crate) added: Vec<Manifest>,
    pub(crate) outputs: Outputs,
}

impl Rewritten {
    /// The files that it makes.
    pub fn added(&self) -> &[Manifest] {
        &self.added
    }

    /// The files that it replaces.
    pub fn removed(&self) -> &[Manifest] {
        &self.removed
    }
}

impl Rewrite {
    /// Writes the new files. `changed` gives the erased form of a record, or `None` for one that stays as it is; `expected`
    /// is the digest that each was appended with.
    ///
    /// When it returns `Ok`, every record of the old files was read back from the new ones and re-hashed to that digest,
    /// and the files and their folder are fsynced (I5, I7). Nothing is committed: see [`Lake::replace`].
    ///
    /// It holds in memory one row group of what it writes, one batch of each file that it reads, and the records whose
    /// time is erased, since they come last.
    ///
    /// [`Lake::replace`]: crate::Lake::replace
    pub fn carry_out(
        &self,
        changed: Changed<'_>,
        expected: &dyn Fn(u64) -> Option<Digest>,
    ) -> Result<Rewritten, RewriteError> {
        let columns = self.columns()?;
        let mut outputs = Outputs::of(&self.base);
        let mut written = Vec::new();
        for merging in &self.merges {
            let readers = self.readers(&merging.inputs)?;
            let expected: u64 = merging.inputs.iter().map(|file| file.rows).sum();
            let mut found = 0;
            for output in &merging.outputs {
                let layout = layout(&columns, &readers, output);
                let file = self.write(&mut outputs, &readers, output, &layout, changed, expected)?;
                found += file.as_ref().map_or(0, |(manifest, _)| manifest.rows);
                written.extend(file);
            }
            if found != expected {
                return Err(RewriteError::Rows { expected, found });
            }
        }
        self.base.host().sync_dir(self.base.folder(), STEP)?;
        for (manifest, rows) in &written {
            self.read_back(&columns, manifest, rows, expected)?;
        }
        Ok(Rewritten {
            reason: self.reason,
            new_columns: self.new_columns.clone(),
            removed: self.inputs().cloned().collect(),
            added: written.into_iter().map(|(manifest, _)| manifest).collect(),
            outputs,
        })
    }

    /// The table's columns, with the new ones.
    fn columns(&self) -> Result<Columns, RewriteError> {
        let mut columns = (**self.base.columns()).clone();
        columns.adopt(&self.new_columns).map_err(|column| RewriteError::Column { column })?;
        Ok(columns)
    }

    fn readers(&self, files: &[Manifest]) -> Result<Vec<Arc<FileReader>>, RewriteError> {
        let open = |file: &Manifest| {
            let base = &self.base;
            FileReader::open(base.host(), base.folder(), file, base.columns(), base.keys()).map(Arc::new)
        };
        Ok(files.iter().map(open).collect::<Result<_, _>>()?)
    }

    /// Writes one file, unless no row belongs to it.
    fn write(
        &self,
        outputs: &mut Outputs,
        inputs: &[Arc<FileReader>],
        output: &Output,
        layout: &Layout,
        changed: Changed<'_>,
        expected: u64,
    ) -> Result<Option<(Manifest, Rows)>, RewriteError> {
        let mut merge = Merge::of(inputs, &output.group)?;
        let Some(mut row) = merge.next()? else { return Ok(None) };
        let (base, name) = (&self.base, outputs.next_name());
        let mut file = FileWriter::create(base.host(), base.folder(), &name, layout, base.keys())?;
        let mut rows = Rows::default();
        let mut push = |row: &MergedRow| {
            rows.add(row.index, &row.stored);
            file.push(row.index, &row.stored, &row.facts)
        };
        let mut late: BinaryHeap<Reverse<Late>> = BinaryHeap::new();
        loop {
            while late.peek().is_some_and(|Reverse(Late(waiting))| waiting.place < row.place)
                && let Some(Reverse(Late(waiting))) = late.pop()
            {
                push(&waiting)?;
            }
            let read_at = row.place;
            if let Some(stored) = changed(row.index, &row.stored) {
                row = MergedRow::of(row.index, stored);
            }
            match row.place.cmp(&read_at) {
                std::cmp::Ordering::Equal => push(&row)?,
                std::cmp::Ordering::Greater => late.push(Reverse(Late(row))),
                std::cmp::Ordering::Less => return Err(RewriteError::Moved { index: row.index }),
            }
            self.interrupt.check()?;
            match merge.next()? {
                Some(next) => row = next,
                None => break,
            }
        }
        while let Some(Reverse(Late(waiting))) = late.pop() {
            push(&waiting)?;
        }
        if merge.rows() != expected {
            return Err(RewriteError::Rows { expected, found: merge.rows() });
        }
        Ok(Some((file.finish()?, rows)))
    }

    fn read_back(
        &self,
        columns: &Columns,
        manifest: &Manifest,
        written: &Rows,
        expected: &dyn Fn(u64) -> Option<Digest>,
    ) -> Result<(), RewriteError> {
        let file = &manifest.path;
        let reader = FileReader::open(self.base.host(), self.base.folder(), manifest, columns, self.base.keys());
        let rows = reader.and_then(|reader| FileRows::new(Arc::new(reader))).map_err(RewriteError::ReadBack)?;
        let mut found = Rows::default();
        for placed in rows {
            self.interrupt.check()?;
            let placed = placed.map_err(RewriteError::ReadBack)?;
            let (index, row) = (placed.index, placed.row);
            found.add(index, &placed.stored);
            let expected = expected(index).ok_or(RewriteError::Unknown { index })?;
            let found = placed.stored.digest();
            if found != expected {
                return Err(RewriteError::Mismatch { index, file: file.clone(), row, expected, found });
            }
        }
        if found.hash.finalize() != written.hash.clone().finalize() {
            return Err(RewriteError::Displaced { file: file.clone() });
        }
        Ok(())
    }
}

/// Every column that an input has, and those that the plan adds: what stands in a column once stays in it.
fn layout(columns: &Columns, inputs: &[Arc<FileReader>], output: &Output) -> Layout {
    let has = |name: &str| inputs.iter().any(|input| input.metadata().schema().field_with_name(name).is_ok());
    let used = columns.list().iter().filter(|c| has(&c.name) || output.columns.iter().any(|name| **name == *c.name));
    Layout::new(columns, used.map(|column| &*column.name))
}

/// A record whose place is later than where it was read, since its time was erased.
struct Late(MergedRow);

impl Late {
    fn place(&self) -> Place {
        self.0.place
    }
}

impl PartialEq for Late {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Late {}

impl PartialOrd for Late {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Late {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place().cmp(&other.place())
    }
}

impl MergedRow {
    fn of(index: u64, stored: Stored) -> Self {
        let facts = Facts::of(&stored);
        Self { place: facts.place(index), index, stored, facts }
    }
}

/// Which rows were written, in order. A record's digest says what it is while it is whole; of an erased one it does not
/// say what is gone, so its bytes are covered too.
#[derive(Default)]
struct Rows {
    hash: Sha256,
}

impl Rows {
    fn add(&mut self, index: u64, stored: &Stored) {
        self.hash.update(index.to_le_bytes());
        let mut bytes = Vec::new();
        if !matches!(stored.body, Body::Whole { .. }) {
            stored.write(&mut bytes);
        }
        self.hash.update((bytes.len() as u64).to_le_bytes());
        self.hash.update(bytes);
    }
}
