//! Columns → records: each part's exact canonical bytes, from columns and remainder.
//!
//! The trees of a file's layout hold their keys in canonical order, so a part is written front to back by walking
//! its tree; only a row with a remainder merges the remainder's entries in. What comes from storage is believed
//! nowhere but in the digest: a wrong column yields other bytes, never a panic.

use std::sync::Arc;

use arrow_array::RecordBatch;
use record::cbor::{self, CborError, Item, Reader};
use record::{Body, Content, Erased, ErasedPart, Kind, Part, Parts, Salt, Stamp, Stored};
use uuid::Uuid;

use crate::cells::{Cells, Has, Values};
use crate::layout::{Layout, Leaf, Node, slot};

/// Why a row is no record. Whoever reads a file adds its name and the row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// A column that every record has holds null, or what no record holds there.
    #[error("column {0:?} does not hold what a record has there")]
    Column(&'static str),
    /// A remainder is no CBOR.
    #[error("column {column:?} is not canonical CBOR: {cause}")]
    Rest {
        /// The column.
        column: String,
        /// What is wrong.
        cause: CborError,
    },
    /// A remainder and the columns both claim the same field.
    #[error("column {column:?} claims a field that has a column of its own")]
    Overlap {
        /// The remainder.
        column: String,
    },
}

/// A run of rows, ready to be turned into records.
pub(crate) struct Rows {
    layout: Arc<Layout>,
    cells: Cells,
    trees: Vec<Walk>,
}

/// A node of the layout as this run of rows needs it: children and leaves without any value are left out.
pub(crate) struct Walk {
    leaves: Vec<WalkLeaf>,
    children: Vec<(Arc<[u8]>, Walk)>,
    /// Rows that have something here.
    has: Has,
    /// How many of the children are there in every row.
    always_children: usize,
}

struct WalkLeaf {
    slot: usize,
    /// Rows in which the part holds its value: those that have one and do not hide it.
    has: Has,
}

impl Rows {
    /// Reads `batch`, whose columns are some of the layout's. A column of another type than its name stands for is
    /// an error.
    pub(crate) fn new(layout: &Arc<Layout>, batch: &RecordBatch) -> Result<Self, RowError> {
        let cells = Cells::new(layout, batch).ok_or(RowError::Column("(another type)"))?;
        let trees = layout.trees.iter().map(|node| Walk::new(node, &cells)).collect();
        Ok(Self { layout: layout.clone(), cells, trees })
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.cells.rows()
    }

    pub(crate) fn cells(&self) -> &Cells {
        &self.cells
    }

    /// The part's tree over these rows.
    pub(crate) fn walk(&self, part: Part) -> &Walk {
        &self.trees[part as usize]
    }

    /// The index of the record in `row`.
    pub(crate) fn index(&self, row: usize) -> Result<u64, RowError> {
        let index = self.cells.int(slot::INDEX, row).and_then(|i| u64::try_from(i).ok());
        index.ok_or(RowError::Column("index"))
    }

    /// The record in `row`, its parts in the memory of `parts`.
    pub(crate) fn stored_in(&self, row: usize, mut parts: Parts) -> Result<Stored, RowError> {
        parts.clear();
        let stamp = self.stamp(row)?;
        let body = if let Some(content) = self.cells.bytes(slot::CONTENT, row) {
            Body::Erased { content: Content(fixed(content, "content")?) }
        } else if let Some(erased) = self.cells.bytes(slot::ERASED, row) {
            let erased = Erased::read(erased).map_err(|_| RowError::Column("erased"))?;
            let envelope = matches!(erased.parts[Part::Envelope as usize], ErasedPart::Survives(_));
            self.parts(row, envelope, &mut parts)?;
            erased.check(&parts).map_err(|_| RowError::Column("erased"))?;
            Body::Partial { parts, erased: Box::new(erased) }
        } else {
            let salt = self.cells.bytes(slot::SALT, row).ok_or(RowError::Column("salt"))?;
            self.parts(row, true, &mut parts)?;
            Body::Whole { salt: Salt(fixed(salt, "salt")?), parts }
        };
        Ok(Stored { stamp, body })
    }

    fn stamp(&self, row: usize) -> Result<Stamp, RowError> {
        let id = self.cells.str(slot::ID, row).and_then(|id| Uuid::try_parse(id).ok()).ok_or(RowError::Column("id"))?;
        let kind = self.cells.str(slot::KIND, row).and_then(Kind::from_name).ok_or(RowError::Column("kind"))?;
        let about =
            self.cells.bytes(slot::ABOUT_DIGEST, row).map(|digest| fixed(digest, "about_digest")).transpose()?;
        Ok(Stamp {
            kind,
            received: self.cells.int(slot::RECEIVED, row).ok_or(RowError::Column("received"))?,
            id,
            id_by_server: self.cells.has(slot::ID_BY).at(row),
            time_by_server: self.cells.has(slot::TIME_SOURCE).at(row),
            salt_by_server: self.cells.has(slot::SALT_BY).at(row),
            about_digest: about,
        })
    }

    fn parts(&self, row: usize, envelope: bool, parts: &mut Parts) -> Result<(), RowError> {
        for part in Part::ALL {
            if part == Part::Envelope && !envelope {
                continue;
            }
            let mut done = Ok(());
            parts.set_with(part, |out| done = self.part(part, row, out));
            done?;
        }
        Ok(())
    }

    /// Appends the canonical bytes of a part, or nothing if the record does not hold it.
    pub(crate) fn part(&self, part: Part, row: usize, out: &mut Vec<u8>) -> Result<(), RowError> {
        let walk = &self.trees[part as usize];
        let rest_slot = slot::REST + part as usize;
        let Some(rest) = self.cells.bytes(rest_slot, row) else {
            if walk.is_there(row) {
                self.value(walk, row, out);
            }
            return Ok(());
        };
        // An envelope is kept there whole or not at all; a bare value that no column takes is no map.
        let mut reader = Reader::lenient(rest);
        if part == Part::Envelope || !matches!(reader.clone().next_item(), Ok(Item::Map(_))) {
            out.extend_from_slice(rest);
            return Ok(());
        }
        self.merge(walk, row, &mut reader, out).map_err(|error| {
            let column = self.layout.columns[rest_slot].name.to_string();
            match error {
                Clash::Cbor(cause) => RowError::Rest { column, cause },
                Clash::Overlap => RowError::Overlap { column },
            }
        })
    }

    /// Appends what stands at `walk`, which has something in `row`.
    fn value(&self, walk: &Walk, row: usize, out: &mut Vec<u8>) {
        if let Some(leaf) = walk.leaves.iter().find(|leaf| leaf.has.at(row)) {
            return self.scalar(leaf.slot, row, out);
        }
        let sometimes = walk.children.len() - walk.always_children;
        let count = match sometimes {
            0 => walk.always_children,
            _ => walk.children.iter().filter(|(_, child)| child.is_there(row)).count(),
        };
        cbor::write_map_head(out, count);
        for (key, child) in &walk.children {
            if child.is_there(row) {
                out.extend_from_slice(key);
                self.value(child, row, out);
            }
        }
    }

    #[inline]
    fn scalar(&self, slot: usize, row: usize, out: &mut Vec<u8>) {
        match self.cells.values(slot) {
            Values::Num(a) => cbor::write_f64(out, a.value(row)),
            Values::Str(a) => cbor::write_text(out, a.value(row)),
            Values::Int(a) => cbor::write_i64(out, a.value(row)),
            Values::Bool(a) => cbor::write_bool(out, a.value(row)),
            Values::Bytes(a) => cbor::write_bytes(out, a.value(row)),
            Values::Nums(offsets, values) => {
                let (from, to) = (offsets[row] as usize, offsets[row + 1] as usize);
                cbor::write_array_head(out, to - from);
                values.values()[from..to].iter().for_each(|f| cbor::write_f64(out, *f));
            }
            Values::Strs(offsets, values) => {
                let (from, to) = (offsets[row] as usize, offsets[row + 1] as usize);
                cbor::write_array_head(out, to - from);
                (from..to).for_each(|i| cbor::write_text(out, values.value(i)));
            }
            // A time is for other engines: `time_ns` is what a record is made of.
            Values::Absent | Values::Time(_) => cbor::write_null(out),
        }
    }

    /// Appends the map at `walk` with the entries of the remainder's map, which `reader` is at, in canonical order.
    fn merge(&self, walk: &Walk, row: usize, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Clash> {
        if walk.leaves.iter().any(|leaf| leaf.has.at(row)) {
            return Err(Clash::Overlap);
        }
        let Item::Map(len) = reader.next_item()? else { return Err(Clash::Overlap) };
        // The head may claim as many as there are bytes left, at every level; memory follows what is there.
        let mut rest = Vec::with_capacity(len.min(64));
        for _ in 0..len {
            rest.push((reader.skip()?, reader.skip()?));
        }
        let children: Vec<_> = walk.children.iter().filter(|(_, child)| child.is_there(row)).collect();
        let shared =
            children.iter().filter(|(key, _)| rest.binary_search_by(|(k, _)| (*k).cmp(&**key)).is_ok()).count();
        cbor::write_map_head(out, children.len() + rest.len() - shared);
        let (mut children, mut rest) = (children.into_iter().peekable(), rest.into_iter().peekable());
        loop {
            let order = match (children.peek(), rest.peek()) {
                (None, None) => return Ok(()),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((key, _)), Some((other, _))) => (**key).cmp(*other),
            };
            let child = if order.is_le() { children.next() } else { None };
            let entry = if order.is_ge() { rest.next() } else { None };
            match (child, entry) {
                (Some((key, child)), None) => {
                    out.extend_from_slice(key);
                    self.value(child, row, out);
                }
                (Some((key, child)), Some((_, value))) => {
                    out.extend_from_slice(key);
                    self.merge(child, row, &mut Reader::lenient(value), out)?;
                }
                (None, Some((key, value))) => {
                    out.extend_from_slice(key);
                    out.extend_from_slice(value);
                }
                (None, None) => return Ok(()),
            }
        }
    }
}

/// Why a remainder does not fit its columns.
enum Clash {
    Cbor(CborError),
    Overlap,
}

impl From<CborError> for Clash {
    fn from(cause: CborError) -> Self {
        Clash::Cbor(cause)
    }
}

impl Walk {
    fn new(node: &Node, cells: &Cells) -> Self {
        let leaf = |leaf: &Leaf| {
            let has = cells.has(leaf.slot);
            let has = leaf.hidden_by.map_or(has.clone(), |by| has.and(&cells.has(by).not(cells.rows())));
            WalkLeaf { slot: leaf.slot, has }
        };
        let leaves: Vec<_> = node.leaves.iter().map(leaf).filter(|leaf| !matches!(leaf.has, Has::None)).collect();
        let children: Vec<_> = node
            .children
            .iter()
            .map(|child| (child.key.clone(), Walk::new(&child.node, cells)))
            .filter(|(_, walk)| !matches!(walk.has, Has::None))
            .collect();
        let always_children = children.iter().filter(|(_, walk)| matches!(walk.has, Has::All)).count();
        let has = leaves.iter().map(|leaf| &leaf.has).chain(children.iter().map(|(_, child)| &child.has));
        let has = has.fold(Has::None, |all, has| all.or(has));
        Self { leaves, children, has, always_children }
    }

    /// Whether `row` has something here.
    #[inline]
    pub(crate) fn is_there(&self, row: usize) -> bool {
        self.has.at(row)
    }

    /// The child of that encoded key, if any row has something there.
    pub(crate) fn child(&self, key: &[u8]) -> Option<&Walk> {
        let place = self.children.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
        Some(&self.children[place].1)
    }

    /// Rows with two values for one place, here or below: of a record one would be lost.
    pub(crate) fn torn(&self) -> Has {
        let mut torn = Has::None;
        let mut seen = Has::None;
        for leaf in &self.leaves {
            torn = torn.or(&seen.and(&leaf.has));
            seen = seen.or(&leaf.has);
        }
        for (_, child) in &self.children {
            torn = torn.or(&seen.and(&child.has)).or(&child.torn());
        }
        torn
    }
}

fn fixed<const N: usize>(bytes: &[u8], column: &'static str) -> Result<[u8; N], RowError> {
    bytes.try_into().map_err(|_| RowError::Column(column))
}
