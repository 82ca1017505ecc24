//! Which columns of a file do not have all of their field: some record's value at the same path is of another type, and
//! stands in the remainder.
//!
//! The footer names them, so that whoever asks for any other column of the file need not read remainders, and can skip row
//! groups and pages by the column alone. A null says nothing about a field and does not count: it stands in the remainder
//! too, and else one of them would take the pruning from every column of its section. A file that hides a value by leaving
//! its column out is found by [`crate::Snapshot::check`] (T26).

use std::collections::BTreeSet;

use parquet::file::metadata::KeyValue;
use record::Part;
use record::cbor::{CborError, Item, Reader};

use crate::layout::{Layout, Node};

/// The key in a footer under which a JSON list names these columns.
pub const SPLIT_ENTRY: &str = "onrecord.split";

/// Reads a list of columns as a footer has it; nothing if it is none, which claims nothing.
pub fn read_split(entry: &str) -> Option<BTreeSet<String>> {
    serde_json::from_str(entry).ok()
}

/// The columns of a file that were seen to be split.
pub(crate) struct Split {
    /// For each slot of the layout.
    slots: Vec<bool>,
}

impl Split {
    pub(crate) fn new(layout: &Layout) -> Self {
        Self { slots: vec![false; layout.columns.len()] }
    }

    /// Looks at one remainder of a part.
    pub(crate) fn see(&mut self, layout: &Layout, part: Part, rest: &[u8]) -> Result<(), CborError> {
        // An envelope that is not there is empty.
        if rest.is_empty() {
            return Ok(());
        }
        self.value(&layout.trees[part as usize], &mut Reader::lenient(rest), rest)
    }

    fn value(&mut self, node: &Node, reader: &mut Reader<'_>, rest: &[u8]) -> Result<(), CborError> {
        let item = reader.next_item()?;
        if item != Item::Null {
            node.leaves.iter().for_each(|leaf| self.slots[leaf.slot] = true);
        }
        let inside = match item {
            Item::Map(len) => {
                let mut near = 0;
                for _ in 0..len {
                    let key_at = reader.position();
                    reader.next_text()?.ok_or(CborError::KeyType(key_at))?;
                    match node.child(&rest[key_at..reader.position()], &mut near) {
                        Some(child) => self.value(child, reader, rest)?,
                        None => drop(reader.skip()?),
                    }
                }
                0
            }
            Item::Array(len) => len,
            Item::Tag(_) => 1,
            Item::Number(_) | Item::Bool(_) | Item::Bytes(_) | Item::Text(_) | Item::Null => 0,
        };
        for _ in 0..inside {
            reader.skip()?;
        }
        Ok(())
    }

    /// Their names.
    pub(crate) fn columns<'l>(&'l self, layout: &'l Layout) -> impl Iterator<Item = &'l str> {
        layout.columns.iter().zip(&self.slots).filter(|(_, split)| **split).map(|(column, _)| &*column.name)
    }

    /// What the footer says of them.
    pub(crate) fn entry(&self, layout: &Layout) -> KeyValue {
        let columns: BTreeSet<&str> = self.columns(layout).collect();
        KeyValue::new(SPLIT_ENTRY.to_owned(), serde_json::json!(columns).to_string())
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Array as _;
    use arrow_array::cast::AsArray as _;
    use proptest::prelude::*;
    use record::FieldRef;

    use super::*;
    use crate::arbitrary;
    use crate::census::Census;
    use crate::columns::{Column, Columns};
    use crate::facts::Facts;
    use crate::layout::slot;
    use crate::shred::Shredder;

    /// The field whose column this is, as a path into its part.
    fn field(path: &str) -> FieldRef {
        let mut keys = path.split('.');
        let part = keys.clone().next().and_then(Part::section);
        if part.is_some() {
            keys.next();
        }
        FieldRef { part: part.unwrap_or(Part::Envelope), keys: keys.map(str::to_owned).collect() }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// T26: of a column that is not named, no remainder has a value.
        #[test]
        fn what_is_named_is_what_remainders_hold(records in arbitrary::run(0, 1..40)) {
            let mut census = Census::default();
            records.iter().filter_map(|(_, stored)| stored.parts()).for_each(|parts| census.count(parts).unwrap());
            let mut columns = Columns::fixed();
            let used = census.choose(&mut columns);
            let layout = Layout::new(&columns, used.iter().map(String::as_str));
            let mut shredder = Shredder::new(&layout);
            for (index, stored) in &records {
                shredder.push(*index, stored, &Facts::of(stored)).unwrap();
            }
            let batch = shredder.finish().unwrap();
            let named: BTreeSet<&str> = shredder.split().columns(&layout).collect();
            let is_rest = |column: &&Column| column.name.ends_with(":rest");
            for column in layout.columns[slot::REST..].iter().filter(|column| !is_rest(column)) {
                let field = field(column.path());
                let rest = batch.column(slot::REST + field.part as usize).as_binary::<i32>();
                let holds = |rest: &[u8]| {
                    let found = if rest.is_empty() { None } else { field.find_in(rest).unwrap() };
                    found.is_some_and(|value| *value != [0xf6])
                };
                let held = (0..rest.len()).filter(|row| rest.is_valid(*row)).any(|row| holds(rest.value(row)));
                prop_assert_eq!(named.contains(&*column.name), held, "{}", column.name);
            }
        }
    }
}
