//! Columns → records: each part's exact canonical bytes, from columns and remainder.
//!
//! The trees of a file's layout hold their keys in canonical order, so a part is written front to back by walking
//! its tree; only a row with a remainder merges the remainder's entries in. What comes from storage is believed
//! nowhere but in the digest: a wrong column yields other bytes, never a panic.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, BinaryArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_buffer::{BooleanBuffer, OffsetBuffer};
use record::cbor::{self, CborError, Item, Reader};
use record::{Body, Content, Erased, ErasedPart, Kind, Part, Parts, Salt, Stamp, Stored};
use uuid::Uuid;

use crate::columns::ColumnType;
use crate::layout::{Layout, Node, slot};

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

/// A column's values.
enum Values {
    /// The file does not have the column.
    Absent,
    Int(Int64Array),
    Num(Float64Array),
    Bool(BooleanArray),
    Str(StringArray),
    Bytes(BinaryArray),
    Nums(OffsetBuffer<i32>, Float64Array),
    Strs(OffsetBuffer<i32>, StringArray),
}

/// A run of rows, ready to be turned into records.
pub(crate) struct Rows {
    layout: Arc<Layout>,
    values: Vec<Values>,
    /// For each slot which rows have a value.
    has: Vec<Has>,
    trees: Vec<Walk>,
    rows: usize,
}

/// Which rows of a column have a value.
enum Has {
    None,
    All,
    Some(BooleanBuffer),
}

impl Has {
    #[inline]
    fn at(&self, row: usize) -> bool {
        match self {
            Has::None => false,
            Has::All => true,
            Has::Some(rows) => rows.value(row),
        }
    }
}

/// A node of the layout as this run of rows needs it: children and leaves without any value are left out.
struct Walk {
    leaves: Vec<WalkLeaf>,
    children: Vec<(Arc<[u8]>, Walk)>,
    /// Whether every row has something here.
    always: bool,
    /// How many of the children are there in every row.
    always_children: usize,
}

struct WalkLeaf {
    slot: usize,
    hidden_by: Option<usize>,
    always: bool,
}

impl Rows {
    /// Reads `batch`, whose columns are some of the layout's. A column of another type than its name stands for is
    /// an error.
    pub(crate) fn new(layout: &Arc<Layout>, batch: &RecordBatch) -> Result<Self, RowError> {
        let mut values = Vec::with_capacity(layout.columns.len());
        let mut has = Vec::with_capacity(layout.columns.len());
        for column in &layout.columns {
            match batch.column_by_name(&column.name) {
                None => {
                    values.push(Values::Absent);
                    has.push(Has::None);
                }
                Some(array) => {
                    has.push(match array.logical_nulls() {
                        None => Has::All,
                        Some(nulls) if nulls.null_count() == 0 => Has::All,
                        Some(nulls) if nulls.null_count() == nulls.len() => Has::None,
                        Some(nulls) => Has::Some(nulls.inner().clone()),
                    });
                    values.push(Values::of(array, column.kind).ok_or(RowError::Column("(another type)"))?);
                }
            }
        }
        let trees = layout.trees.iter().map(|node| Walk::new(node, &has)).collect();
        Ok(Self { layout: layout.clone(), values, has, trees, rows: batch.num_rows() })
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    /// The index of the record in `row`.
    pub(crate) fn index(&self, row: usize) -> Result<u64, RowError> {
        let index = self.int(slot::INDEX, row).and_then(|i| u64::try_from(i).ok());
        index.ok_or(RowError::Column("index"))
    }

    /// The record in `row`.
    pub(crate) fn stored(&self, row: usize) -> Result<Stored, RowError> {
        let stamp = self.stamp(row)?;
        let body = if let Some(content) = self.bytes(slot::CONTENT, row) {
            Body::Erased { content: Content(fixed(content, "content")?) }
        } else if let Some(erased) = self.bytes(slot::ERASED, row) {
            let erased = Erased::read(erased).map_err(|_| RowError::Column("erased"))?;
            let envelope = matches!(erased.parts[Part::Envelope as usize], ErasedPart::Survives(_));
            let parts = self.parts(row, envelope)?;
            erased.check(&parts).map_err(|_| RowError::Column("erased"))?;
            Body::Partial { parts, erased }
        } else {
            let salt = self.bytes(slot::SALT, row).ok_or(RowError::Column("salt"))?;
            Body::Whole { salt: Salt(fixed(salt, "salt")?), parts: self.parts(row, true)? }
        };
        Ok(Stored { stamp, body })
    }

    fn stamp(&self, row: usize) -> Result<Stamp, RowError> {
        let id = self.str(slot::ID, row).and_then(|id| Uuid::try_parse(id).ok()).ok_or(RowError::Column("id"))?;
        let kind = self.str(slot::KIND, row).and_then(Kind::from_name).ok_or(RowError::Column("kind"))?;
        let about = self.bytes(slot::ABOUT_DIGEST, row).map(|digest| fixed(digest, "about_digest")).transpose()?;
        Ok(Stamp {
            kind,
            received: self.int(slot::RECEIVED, row).ok_or(RowError::Column("received"))?,
            id,
            id_by_server: self.has[slot::ID_BY].at(row),
            time_by_server: self.has[slot::TIME_SOURCE].at(row),
            salt_by_server: self.has[slot::SALT_BY].at(row),
            about_digest: about,
        })
    }

    fn parts(&self, row: usize, envelope: bool) -> Result<Parts, RowError> {
        let mut parts = Parts::with_capacity(1024);
        for part in Part::ALL {
            if part == Part::Envelope && !envelope {
                continue;
            }
            let mut done = Ok(());
            parts.set_with(part, |out| done = self.part(part, row, out));
            done?;
        }
        Ok(parts)
    }

    /// Appends the canonical bytes of a part, or nothing if the record does not hold it.
    fn part(&self, part: Part, row: usize, out: &mut Vec<u8>) -> Result<(), RowError> {
        let walk = &self.trees[part as usize];
        let rest_slot = slot::REST + part as usize;
        let Some(rest) = self.bytes(rest_slot, row) else {
            if walk.always || self.is_there(walk, row) {
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

    #[inline]
    fn has_leaf(&self, leaf: &WalkLeaf, row: usize) -> bool {
        leaf.always || (self.has[leaf.slot].at(row) && leaf.hidden_by.is_none_or(|by| !self.has[by].at(row)))
    }

    fn is_there(&self, walk: &Walk, row: usize) -> bool {
        walk.leaves.iter().any(|leaf| self.has_leaf(leaf, row))
            || walk.children.iter().any(|(_, child)| child.always || self.is_there(child, row))
    }

    /// Appends what stands at `walk`, which has something in `row`.
    fn value(&self, walk: &Walk, row: usize, out: &mut Vec<u8>) {
        if let Some(leaf) = walk.leaves.iter().find(|leaf| self.has_leaf(leaf, row)) {
            return self.scalar(leaf.slot, row, out);
        }
        let here = |child: &Walk| child.always || self.is_there(child, row);
        let sometimes = walk.children.len() - walk.always_children;
        let count = match sometimes {
            0 => walk.always_children,
            _ => walk.children.iter().filter(|(_, child)| here(child)).count(),
        };
        cbor::write_map_head(out, count);
        for (key, child) in &walk.children {
            if here(child) {
                out.extend_from_slice(key);
                self.value(child, row, out);
            }
        }
    }

    #[inline]
    fn scalar(&self, slot: usize, row: usize, out: &mut Vec<u8>) {
        match &self.values[slot] {
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
            Values::Absent => cbor::write_null(out),
        }
    }

    /// Appends the map at `walk` with the entries of the remainder's map, which `reader` is at, in canonical order.
    fn merge(&self, walk: &Walk, row: usize, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Clash> {
        if walk.leaves.iter().any(|leaf| self.has_leaf(leaf, row)) {
            return Err(Clash::Overlap);
        }
        let Item::Map(len) = reader.next_item()? else { return Err(Clash::Overlap) };
        // The head may claim as many as there are bytes left, at every level; memory follows what is there.
        let mut rest = Vec::with_capacity(len.min(64));
        for _ in 0..len {
            rest.push((reader.skip()?, reader.skip()?));
        }
        let here = |child: &Walk| child.always || self.is_there(child, row);
        let children: Vec<_> = walk.children.iter().filter(|(_, child)| here(child)).collect();
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

    fn int(&self, slot: usize, row: usize) -> Option<i64> {
        match &self.values[slot] {
            Values::Int(a) if self.has[slot].at(row) => Some(a.value(row)),
            _ => None,
        }
    }

    pub(crate) fn str(&self, slot: usize, row: usize) -> Option<&str> {
        match &self.values[slot] {
            Values::Str(a) if self.has[slot].at(row) => Some(a.value(row)),
            _ => None,
        }
    }

    fn bytes(&self, slot: usize, row: usize) -> Option<&[u8]> {
        match &self.values[slot] {
            Values::Bytes(a) if self.has[slot].at(row) => Some(a.value(row)),
            _ => None,
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

impl Values {
    fn of(array: &dyn Array, kind: ColumnType) -> Option<Self> {
        Some(match kind {
            ColumnType::Int => Values::Int(array.as_primitive_opt::<Int64Type>()?.clone()),
            ColumnType::Num => Values::Num(array.as_primitive_opt::<Float64Type>()?.clone()),
            ColumnType::Bool => Values::Bool(array.as_boolean_opt()?.clone()),
            ColumnType::Str => Values::Str(array.as_string_opt::<i32>()?.clone()),
            ColumnType::Bytes => Values::Bytes(array.as_binary_opt::<i32>()?.clone()),
            ColumnType::Nums => {
                let list = array.as_list_opt::<i32>()?;
                let values = list.values().as_primitive_opt::<Float64Type>()?.clone();
                Values::Nums(list.offsets().clone(), values)
            }
            ColumnType::Strs => {
                let list = array.as_list_opt::<i32>()?;
                let values = list.values().as_string_opt::<i32>()?.clone();
                Values::Strs(list.offsets().clone(), values)
            }
            // For other engines; `time_ns` is what a record is made of.
            ColumnType::Time => Values::Absent,
        })
    }
}

impl Walk {
    fn new(node: &Node, has: &[Has]) -> Self {
        let leaves: Vec<_> = node
            .leaves
            .iter()
            .filter(|leaf| !matches!(has[leaf.slot], Has::None))
            .map(|leaf| {
                let never_hidden = leaf.hidden_by.is_none_or(|by| matches!(has[by], Has::None));
                let always = never_hidden && matches!(has[leaf.slot], Has::All);
                WalkLeaf { slot: leaf.slot, hidden_by: leaf.hidden_by, always }
            })
            .collect();
        let children: Vec<_> = node
            .children
            .iter()
            .map(|child| (child.key.clone(), Walk::new(&child.node, has)))
            .filter(|(_, walk)| !walk.leaves.is_empty() || !walk.children.is_empty())
            .collect();
        let always_children = children.iter().filter(|(_, walk)| walk.always).count();
        let always = leaves.iter().any(|leaf| leaf.always) || always_children > 0;
        Self { leaves, children, always, always_children }
    }
}

fn fixed<const N: usize>(bytes: &[u8], column: &'static str) -> Result<[u8; N], RowError> {
    bytes.try_into().map_err(|_| RowError::Column(column))
}
