//! Whether the columns of a file show what its records hold: each cell the one that shredding the row's record makes,
//! and no other cell (T26).
//!
//! A digest covers what a record is made of. It does not cover a cell that no record is made of, a value that was
//! moved from its column to the remainder, where a query does not see it, or the microsecond `time`. Making every
//! record's columns again and comparing them finds all of that, and costs more than all the rest of a check. So most
//! rows are proven without it, from four observations:
//!
//! 1. Assembling a record writes each visible cell at its path, and shredding takes each value at a path to the leaf
//!    of its type there. If a place has one leaf of a type and the value is in the form that canonical CBOR gives
//!    back (no -0.0, one NaN, no empty list), it comes back to the cell that it came from.
//! 2. No cell is left over if assembling reads them all: of two values for one place it would read one. Which rows
//!    have two is seen by joining the columns' bitmaps.
//! 3. A remainder comes back if no column would take anything of it, and no map of it is empty where columns hold
//!    entries of the same map.
//! 4. What is left are the few cells that are derived: those of the stamp, and the two times.
//!
//! A row of which any of this is not plain to see is shredded again and compared. So a mistake here can only make a
//! check slower, or must be in what is said above; a property test holds it against shredding every row.

use arrow_array::{Array, ArrayRef, RecordBatch};
use record::cbor::{CborError, Item, KeyOrder, Number, Reader};
use record::{Body, Envelope, Part, Stored};
use uuid::Uuid;

use crate::assemble::{Rows, Walk};
use crate::cells::{Cells, Has, Values};
use crate::columns::ColumnType;
use crate::facts::{Facts, agree};
use crate::layout::{Layout, Node, slot};
use crate::shred::{ShredError, Shredder};

/// Holds the columns of one file against its records, a batch at a time: [`Shown::begin`], then [`Shown::row`] for
/// each row, then [`Shown::finish`].
pub(crate) struct Shown<'l> {
    layout: &'l Layout,
    plain: bool,
    shredder: Shredder<'l>,
    /// For each row of the batch whether it was, or is to be, shredded again.
    doubtful: Vec<bool>,
}

impl<'l> Shown<'l> {
    pub(crate) fn new(layout: &'l Layout) -> Self {
        Self { layout, plain: layout.is_plain(), shredder: Shredder::new(layout), doubtful: Vec::new() }
    }

    /// How many rows of the batch were shredded again.
    #[cfg(test)]
    pub(crate) fn shredded(&self) -> usize {
        self.doubtful.iter().filter(|doubtful| **doubtful).count()
    }

    /// Looks at the columns of the next batch.
    pub(crate) fn begin(&mut self, rows: &Rows) {
        self.doubtful.clear();
        self.doubtful.resize(rows.len(), !self.plain);
        for part in Part::ALL {
            self.doubt(&rows.walk(part).torn());
        }
        for slot in 0..self.layout.columns.len() {
            self.values(rows.cells(), slot);
        }
    }

    fn doubt(&mut self, rows: &Has) {
        match rows {
            Has::None => {}
            Has::All => self.doubtful.fill(true),
            Has::Some(bits) => bits.set_indices().for_each(|row| self.doubtful[row] = true),
        }
    }

    /// Doubts the rows whose value in a column is in another form than canonical CBOR gives back.
    fn values(&mut self, cells: &Cells, slot: usize) {
        let has = cells.has(slot);
        let doubt = |doubtful: &mut Vec<bool>, is_odd: &dyn Fn(usize) -> bool| {
            for (row, doubtful) in doubtful.iter_mut().enumerate() {
                *doubtful |= has.at(row) && is_odd(row);
            }
        };
        match cells.values(slot) {
            Values::Num(a) if !all_canonical(a.values()) => {
                doubt(&mut self.doubtful, &|row| !is_canonical(a.value(row)));
            }
            Values::Nums(offsets, values) => {
                let nulls = values.null_count() > 0;
                doubt(&mut self.doubtful, &|row| {
                    let (from, to) = (offsets[row] as usize, offsets[row + 1] as usize);
                    nulls || from == to || !all_canonical(&values.values()[from..to])
                });
            }
            Values::Strs(offsets, values) => {
                let nulls = values.null_count() > 0;
                doubt(&mut self.doubtful, &|row| nulls || offsets[row] == offsets[row + 1]);
            }
            // Each says that the server did something, and has one word for it.
            Values::Str(a) if [slot::TIME_SOURCE, slot::ID_BY, slot::SALT_BY].contains(&slot) => {
                doubt(&mut self.doubtful, &|row| a.value(row) != "server");
            }
            _ => {}
        }
    }

    /// Looks at the record that `row` was assembled to, and shreds it if that has to be.
    pub(crate) fn row(&mut self, rows: &Rows, row: usize, index: u64, stored: &Stored) -> Result<(), ShredError> {
        let doubtful = self.doubtful[row] || !self.is_plain(rows, row, stored).unwrap_or(false);
        self.doubtful[row] = doubtful;
        if doubtful { self.shredder.push(index, stored, &Facts::of(stored)) } else { Ok(()) }
    }

    /// Whether stamp, envelope and remainders are certainly what the record makes. A part that is no CBOR is not.
    fn is_plain(&self, rows: &Rows, row: usize, stored: &Stored) -> Result<bool, CborError> {
        let (cells, stamp) = (rows.cells(), &stored.stamp);
        let Body::Whole { parts, .. } = &stored.body else { return Ok(false) };
        let Some(Ok(envelope)) = parts.get(Part::Envelope).map(Envelope::read) else { return Ok(false) };
        let time_ns = envelope.time_ns.unwrap_or(stamp.received);
        let id = stamp.id.hyphenated();
        let plain = !cells.has(slot::REST).at(row)
            && agree(stamp, &envelope)
            && cells.int(slot::TIME_NS, row) == Some(time_ns)
            && cells.time(slot::TIME, row) == Some(time_ns.div_euclid(1_000))
            && cells.str(slot::ID, row) == Some(&*id.encode_lower(&mut Uuid::encode_buffer()));
        if !plain {
            return Ok(false);
        }
        for part in Part::SECTIONS {
            if let Some(rest) = cells.bytes(slot::REST + part as usize, row) {
                let mut reader = Reader::new(rest);
                let place = Place { node: &self.layout.trees[part as usize], walk: Some(rows.walk(part)), row };
                if !place.leaves(rest, &mut reader)? || !reader.is_at_end() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Compares the doubtful rows of `batch` with what their records make. Gives the first row and column that differ.
    pub(crate) fn finish(&mut self, batch: &RecordBatch) -> Result<Result<(), (usize, String)>, ShredError> {
        if self.shredder.rows() == 0 {
            return Ok(Ok(()));
        }
        let made = self.shredder.finish()?;
        let (mut at, mut row) = (0, 0);
        while row < self.doubtful.len() {
            let run = self.doubtful[row..].iter().take_while(|doubtful| **doubtful).count();
            if run > 0
                && let Err((within, column)) = compare(&batch.slice(row, run), &made.slice(at, run))
            {
                return Ok(Err((row + within, column)));
            }
            at += run;
            row += run.max(1);
        }
        Ok(Ok(()))
    }
}

/// A place in a part, in one row: what columns there could be, and which are.
struct Place<'p> {
    node: &'p Node,
    walk: Option<&'p Walk>,
    row: usize,
}

impl Place<'_> {
    /// Whether the columns leave the remainder that `reader` is at, within `rest`, as it is.
    fn leaves<'r>(&self, rest: &'r [u8], reader: &mut Reader<'r>) -> Result<bool, CborError> {
        let alone = !self.walk.is_some_and(|walk| walk.is_there(self.row));
        let has = |kind| self.node.leaf(kind).is_some();
        match reader.clone().next_item()? {
            Item::Map(len) if len > 0 => self.map_leaves(len, rest, reader),
            Item::Number(number) => {
                let taken = matches!(number, Number::Int(_)) && has(ColumnType::Int)
                    || number.as_exact_f64().is_some() && has(ColumnType::Num);
                reader.skip()?;
                Ok(alone && !taken)
            }
            item => {
                reader.skip()?;
                Ok(alone
                    && match item {
                        Item::Text(_) => !has(ColumnType::Str),
                        Item::Bool(_) => !has(ColumnType::Bool),
                        // Whether a list would be taken is for its elements to say.
                        Item::Array(_) => !has(ColumnType::Nums) && !has(ColumnType::Strs),
                        _ => true,
                    })
            }
        }
    }

    fn map_leaves<'r>(&self, len: usize, rest: &'r [u8], reader: &mut Reader<'r>) -> Result<bool, CborError> {
        reader.next_item()?;
        let (mut keys, mut near) = (KeyOrder::default(), 0);
        for _ in 0..len {
            let start = reader.position();
            reader.next_key(&mut keys)?;
            let key = &rest[start..reader.position()];
            match self.node.child(key, &mut near) {
                Some(node) => {
                    let walk = self.walk.and_then(|walk| walk.child(key));
                    if !(Place { node, walk, row: self.row }).leaves(rest, reader)? {
                        return Ok(false);
                    }
                }
                None => drop(reader.skip()?),
            }
        }
        Ok(true)
    }
}

#[inline]
fn is_canonical(value: f64) -> bool {
    value.to_bits() != (-0.0f64).to_bits() && (!value.is_nan() || value.to_bits() == f64::NAN.to_bits())
}

/// Whether each is what canonical CBOR gives back, null or not.
fn all_canonical(values: &[f64]) -> bool {
    values.iter().fold(true, |all, value| all & is_canonical(*value))
}

/// Compares columns with those that the same rows' records make.
pub(crate) fn compare(found: &RecordBatch, made: &RecordBatch) -> Result<(), (usize, String)> {
    for (field, made) in made.schema_ref().fields().iter().zip(made.columns()) {
        let differs = match found.column_by_name(field.name()) {
            None => (0..made.len()).find(|&at| made.is_valid(at)),
            Some(found) if same(found, made) => None,
            Some(found) => {
                let differs = |at: &usize| !same(&found.slice(*at, 1), &made.slice(*at, 1));
                Some((0..made.len()).find(differs).unwrap_or(0))
            }
        };
        if let Some(at) = differs {
            return Err((at, field.name().clone()));
        }
    }
    Ok(())
}

fn same(a: &ArrayRef, b: &ArrayRef) -> bool {
    a.to_data() == b.to_data()
}
