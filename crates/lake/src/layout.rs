//! How the records of one file stand in its columns: which columns there are, and for each part a tree of paths
//! whose leaves are columns, its keys in canonical order. Writing and reading walk the same tree, so what one takes
//! apart the other puts together, without sorting and without a tree of values.

use std::sync::Arc;

use record::Part;
use record::cbor;

use crate::columns::{Column, ColumnType, Columns, ENVELOPE, FIXED, rest_name};

/// Places of the fixed columns, in the order of [`FIXED`].
pub(crate) mod slot {
    pub(crate) const INDEX: usize = 0;
    pub(crate) const ID: usize = 1;
    pub(crate) const KIND: usize = 2;
    pub(crate) const TIME: usize = 3;
    pub(crate) const TIME_NS: usize = 4;
    pub(crate) const RECEIVED: usize = 5;
    pub(crate) const TIME_SOURCE: usize = 6;
    pub(crate) const ID_BY: usize = 7;
    pub(crate) const SALT_BY: usize = 8;
    pub(crate) const ABOUT_DIGEST: usize = 9;
    pub(crate) const SALT: usize = 10;
    pub(crate) const CONTENT: usize = 11;
    pub(crate) const ERASED: usize = 12;
    /// The remainder of part `p` stands at `REST + p as usize`; the envelope's is the first.
    pub(crate) const REST: usize = 13;
    /// Envelope fields follow the remainders.
    pub(crate) const MODEL_NAME: usize = 28;
    pub(crate) const MODEL_VERSION: usize = 29;
}

/// A value of a part that stands in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub slot: usize,
    pub kind: ColumnType,
    /// A column that, where it has a value, says that the part does not hold this one: the server added it.
    pub hidden_by: Option<usize>,
}

/// One step of a path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    /// A path has one leaf for each type it shows; of one record at most one has a value.
    pub leaves: Vec<Leaf>,
    /// Sorted by the encoded key, which is the canonical order.
    pub children: Vec<Child>,
}

/// A step below a node.
#[derive(Clone, Debug)]
pub(crate) struct Child {
    /// The key as CBOR text, head and all.
    pub key: Arc<[u8]>,
    pub node: Node,
}

/// The columns of a file, and the trees over them.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// One for each slot.
    pub columns: Vec<Column>,
    /// One for each part, in the order of [`Part::ALL`].
    pub trees: [Node; Part::COUNT],
}

impl Layout {
    /// The layout with all fixed columns and, of the table's other columns, those named in `names`.
    ///
    /// A column's name says where its value belongs, so a file's own column names are all that reading it needs.
    pub(crate) fn new<'a>(table: &Columns, names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut columns: Vec<Column> = FIXED.iter().map(|&(name, kind)| Column { name: name.into(), kind }).collect();
        columns.extend(
            Part::SECTIONS.iter().map(|p| Column { name: rest_name(p.name()).into(), kind: ColumnType::Bytes }),
        );
        let mut trees: [Node; Part::COUNT] = Default::default();
        let shared = |slot, hidden_by| Leaf { slot, kind: FIXED[slot].1, hidden_by };
        let envelope = &mut trees[Part::Envelope as usize];
        envelope.insert(["id"], shared(slot::ID, Some(slot::ID_BY)));
        envelope.insert(["kind"], shared(slot::KIND, None));
        envelope.insert(["time"], shared(slot::TIME_NS, Some(slot::TIME_SOURCE)));
        for &(path, kind) in ENVELOPE {
            envelope.insert(path.split('.'), Leaf { slot: columns.len(), kind, hidden_by: None });
            columns.push(Column { name: path.into(), kind });
        }
        for column in names.into_iter().filter_map(|name| table.get(name)) {
            let mut keys = column.path().split('.');
            let Some(part) = keys.next().and_then(Part::section).filter(|p| *column.name != rest_name(p.name())) else {
                continue;
            };
            let leaf = Leaf { slot: columns.len(), kind: column.kind, hidden_by: None };
            trees[part as usize].insert(keys, leaf);
            columns.push(column.clone());
        }
        Self { columns, trees }
    }
}

impl Layout {
    /// Whether each place of a section has at most one column for each type of value that a section's column holds.
    /// It has, unless someone else wrote the table's schema.
    pub(crate) fn is_plain(&self) -> bool {
        Part::SECTIONS.iter().all(|part| self.trees[*part as usize].is_plain())
    }
}

impl Node {
    fn is_plain(&self) -> bool {
        let held = |kind| !matches!(kind, ColumnType::Int | ColumnType::Bytes | ColumnType::Time);
        let alone = |at: usize| self.leaves[..at].iter().all(|leaf| leaf.kind != self.leaves[at].kind);
        (0..self.leaves.len()).all(|at| held(self.leaves[at].kind) && alone(at))
            && self.children.iter().all(|child| child.node.is_plain())
    }

    fn insert<'k>(&mut self, keys: impl IntoIterator<Item = &'k str>, leaf: Leaf) {
        let mut at = self;
        for key in keys {
            let mut encoded = Vec::with_capacity(key.len() + 3);
            cbor::write_text(&mut encoded, key);
            let place = match at.children.binary_search_by(|c| (*c.key).cmp(&encoded)) {
                Ok(place) => place,
                Err(place) => {
                    at.children.insert(place, Child { key: encoded.into(), node: Node::default() });
                    place
                }
            };
            at = &mut at.children[place].node;
        }
        at.leaves.push(leaf);
    }

    /// The child of that encoded key. `near` is where it probably is, since records list their keys in the same
    /// order as the tree; it is moved past what was found.
    #[inline]
    pub(crate) fn child(&self, key: &[u8], near: &mut usize) -> Option<&Node> {
        if let Some(child) = self.children.get(*near).filter(|c| *c.key == *key) {
            *near += 1;
            return Some(&child.node);
        }
        let place = self.children.binary_search_by(|c| (*c.key).cmp(key)).ok()?;
        *near = place + 1;
        Some(&self.children[place].node)
    }

    /// The leaf for values of that type.
    #[inline]
    pub(crate) fn leaf(&self, kind: ColumnType) -> Option<Leaf> {
        self.leaves.iter().copied().find(|leaf| leaf.kind == kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fixed_column_has_its_place() {
        let layout = Layout::new(&Columns::fixed(), ["subject.id", "subject.case"]);
        let mut here: Vec<_> = layout.columns.iter().map(|c| (c.name.to_string(), c.kind)).collect();
        let mut there: Vec<_> = Columns::fixed().list().iter().map(|c| (c.name.to_string(), c.kind)).collect();
        here.sort();
        there.sort();
        assert_eq!(here, there);
        for part in Part::ALL {
            assert_eq!(*layout.columns[slot::REST + part as usize].name, rest_name(part.name()));
        }
        assert_eq!(*layout.columns[slot::MODEL_NAME].name, *"model.name");
        assert_eq!(*layout.columns[slot::MODEL_VERSION].name, *"model.version");
    }
}
