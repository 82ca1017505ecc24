//! What the records of one file hold: every path that might be a column, and how often with which type.

use std::collections::HashMap;

use record::Part;
use record::cbor::{CborError, Item, Reader};

use crate::columns::{ColumnType, Columns, NAME_BYTES_MAX, dense_rows_min, key_may_be_step};

/// The types that a section's column may have, in the order of [`Node::seen`].
const TYPES: [ColumnType; 4] = [ColumnType::Num, ColumnType::Bool, ColumnType::Str, ColumnType::Nums];

/// Counts of the paths under one section.
#[derive(Default)]
struct Node {
    /// For each of [`TYPES`]: records that have it here, and the place of the first among them.
    seen: [Option<Seen>; 4],
    /// In the order in which records show them, which the next record mostly shares.
    children: Vec<(Box<str>, Node)>,
    /// Where each child is, for those that come in another order.
    places: HashMap<Box<str>, usize>,
}

#[derive(Clone, Copy)]
struct Seen {
    records: usize,
    first: usize,
}

/// Paths that are counted at most, between two records. Beyond it the rarest are forgotten, which are not dense anyway;
/// one that comes again is counted anew, so a count is never too high.
const PATHS_MAX: usize = if cfg!(test) { 1_000 } else { 100_000 };

/// Counts of the paths of a file's records. Its size is bounded by [`PATHS_MAX`], and the paths of one record.
#[derive(Default)]
pub(crate) struct Census {
    sections: [Node; Part::COUNT],
    paths: usize,
    records: usize,
}

impl Census {
    /// Counts one record's sections.
    pub(crate) fn count(&mut self, parts: &record::Parts) -> Result<(), CborError> {
        for part in Part::SECTIONS {
            if let Some(bytes) = parts.get(part) {
                self.sections[part as usize].count(&mut Reader::lenient(bytes), self.records, &mut self.paths)?;
            }
        }
        self.records += 1;
        let mut rare = 2;
        while self.paths > PATHS_MAX {
            self.paths = self.sections.iter_mut().map(|section| section.forget(rare)).sum();
            rare *= 2;
        }
        Ok(())
    }

    /// Decides which paths are columns of this file, adds to `columns` those that the table does not have yet, and
    /// gives the names of all of them.
    ///
    /// A column that the table has is always used: it is paid for. A new path must be dense enough in this file.
    /// New columns are added in the order in which the records show them, so the first type seen gets the bare name
    /// and the outcome depends on the records alone.
    pub(crate) fn choose(&self, columns: &mut Columns) -> Vec<String> {
        let mut found = Vec::new();
        for part in Part::SECTIONS {
            self.sections[part as usize].gather(part.name().to_owned(), &mut found);
        }
        found.sort_by(|a, b| (a.seen.first, &a.path, a.kind).cmp(&(b.seen.first, &b.path, b.kind)));
        let least = dense_rows_min(self.records);
        let mut used = Vec::new();
        for Candidate { path, kind, seen } in found {
            let column = match columns.of_path(&path, kind) {
                Some(column) => Some(column.clone()),
                None if seen.records >= least => columns.add_path(&path, kind),
                None => None,
            };
            used.extend(column.map(|column| column.name.to_string()));
        }
        used
    }
}

struct Candidate {
    path: String,
    kind: ColumnType,
    seen: Seen,
}

impl Node {
    fn count(&mut self, reader: &mut Reader<'_>, record: usize, paths: &mut usize) -> Result<(), CborError> {
        if reader.next_text()?.is_some() {
            self.saw(2, record);
            return Ok(());
        }
        match reader.next_item()? {
            Item::Number(n) if n.as_exact_f64().is_some() => self.saw(0, record),
            Item::Bool(_) => self.saw(1, record),
            Item::Array(len) if all_numbers(reader, len)? && len > 0 => self.saw(3, record),
            Item::Map(len) => {
                let mut near = 0;
                for _ in 0..len {
                    let key = reader.next_text()?.ok_or(CborError::KeyType(reader.position()))?;
                    match self.child(key, &mut near, paths) {
                        Some(child) => child.count(reader, record, paths)?,
                        None => drop(reader.skip()?),
                    }
                }
            }
            Item::Tag(_) => drop(reader.skip()?),
            Item::Number(_) | Item::Array(_) | Item::Bytes(_) | Item::Text(_) | Item::Null => {}
        }
        Ok(())
    }

    fn saw(&mut self, kind: usize, record: usize) {
        self.seen[kind].get_or_insert(Seen { records: 0, first: record }).records += 1;
    }

    /// Forgets the paths below that fewer than `least` records have, and says how many are left.
    fn forget(&mut self, least: usize) -> usize {
        let mut left = 0;
        self.children.retain_mut(|(_, child)| {
            let below = child.forget(least);
            let seen = child.seen.iter().flatten().any(|seen| seen.records >= least);
            left += if seen || below > 0 { below + 1 } else { 0 };
            seen || below > 0
        });
        self.places = self.children.iter().enumerate().map(|(place, (key, _))| (key.clone(), place)).collect();
        left
    }

    /// The child of that key, if it may be a step of a path. `near` is where it probably is, and moves past it.
    fn child(&mut self, key: &[u8], near: &mut usize, paths: &mut usize) -> Option<&mut Node> {
        let place = if self.children.get(*near).is_some_and(|(name, _)| name.as_bytes() == key) {
            *near
        } else {
            self.place(std::str::from_utf8(key).ok()?, paths)?
        };
        *near = place + 1;
        Some(&mut self.children[place].1)
    }

    /// Where the child of that key is, made if it is not there.
    fn place(&mut self, key: &str, paths: &mut usize) -> Option<usize> {
        if let Some(&place) = self.places.get(key) {
            return Some(place);
        }
        key_may_be_step(key).then(|| {
            self.places.insert(key.into(), self.children.len());
            self.children.push((key.into(), Node::default()));
            *paths += 1;
            self.children.len() - 1
        })
    }

    fn gather(&self, path: String, found: &mut Vec<Candidate>) {
        if path.len() > NAME_BYTES_MAX {
            return;
        }
        for (kind, seen) in TYPES.into_iter().zip(self.seen) {
            found.extend(seen.map(|seen| Candidate { path: path.clone(), kind, seen }));
        }
        for (key, child) in &self.children {
            child.gather(format!("{path}.{key}"), found);
        }
    }
}

/// Reads the `len` elements of an array, and says whether each is a number that an `f64` holds exactly.
fn all_numbers(reader: &mut Reader<'_>, len: usize) -> Result<bool, CborError> {
    let mut all = true;
    for _ in 0..len {
        let mut ahead = reader.clone();
        all &= matches!(ahead.next_item()?, Item::Number(n) if n.as_exact_f64().is_some());
        reader.skip()?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use record::Value;

    use super::*;

    /// A key that is another one in each record must not fill the memory, nor hide a path that is dense.
    #[test]
    fn memory_is_bounded_and_what_is_dense_is_still_found() {
        let mut census = Census::default();
        for n in 0..3_000 {
            let fields = (0..10).map(|k| (format!("k{n}-{k}"), Value::Bool(true)));
            let inputs = Value::map(fields.chain([("income".to_owned(), Value::float(0.5))]));
            let mut parts = record::Parts::default();
            parts.set(Part::Inputs, &inputs.to_canonical());
            census.count(&parts).unwrap();
            assert!(census.paths <= PATHS_MAX);
        }
        let mut columns = Columns::fixed();
        assert_eq!(census.choose(&mut columns), ["inputs.income"]);
    }
}
