//! Records → columns. A value goes to a column only if it comes back byte for byte; all else goes to its part's
//! remainder, which is the part with the values that stand in columns left out.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, Schema};
use record::cbor::{self, CborError, Item, Number, Reader};
use record::{Body, Part, Parts, Stored};
use uuid::Uuid;

use crate::builder::Builder;
use crate::columns::ColumnType;
use crate::facts::Facts;
use crate::layout::{Layout, Node, slot};
use crate::split::Split;

/// Why records could not be put into columns.
#[derive(Debug, thiserror::Error)]
pub enum ShredError {
    /// A part is not CBOR; it was validated when it was appended, so memory or the journal is damaged.
    #[error("record {index}: its {} is not canonical CBOR ({cause}); verify the journal", part.name())]
    Cbor {
        /// The record's index.
        index: u64,
        /// The part.
        part: Part,
        /// What is wrong.
        cause: CborError,
    },
    /// An index that no column can hold.
    #[error("record {index}: an index beyond {} cannot be stored", i64::MAX)]
    Index {
        /// The record's index.
        index: u64,
    },
    /// Arrow refused columns that were built from checked records.
    #[error("the columns of a file do not fit together: {0}")]
    Arrow(#[from] ArrowError),
}

/// The columns of a run of records, as they grow.
pub(crate) struct Shredder<'l> {
    layout: &'l Layout,
    columns: Vec<Builder>,
    rows: usize,
    /// A part's remainder as it grows; kept for its memory.
    rest: Vec<u8>,
    split: Split,
}

impl<'l> Shredder<'l> {
    pub(crate) fn new(layout: &'l Layout) -> Self {
        let columns = layout.columns.iter().map(|c| Builder::new(c.kind)).collect();
        Self { layout, columns, rows: 0, rest: Vec::new(), split: Split::new(layout) }
    }

    /// Rows appended since the last [`Shredder::finish`].
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Columns that do not have all of their field, over all records so far.
    pub(crate) fn split(&self) -> &Split {
        &self.split
    }

    /// Appends one record.
    pub(crate) fn push(&mut self, index: u64, stored: &Stored, facts: &Facts) -> Result<(), ShredError> {
        let at = i64::try_from(index).map_err(|_| ShredError::Index { index })?;
        self.columns[slot::INDEX].int(self.rows, at);
        self.stamp(stored);
        if let Some(ns) = facts.time_ns {
            self.columns[slot::TIME_NS].int(self.rows, ns);
            self.columns[slot::TIME].int(self.rows, ns.div_euclid(1_000));
        }
        match &stored.body {
            Body::Whole { salt, parts } => {
                self.columns[slot::SALT].bytes(self.rows, &salt.0);
                self.parts(index, parts, facts)?;
            }
            Body::Partial { parts, erased } => {
                self.columns[slot::ERASED].bytes(self.rows, &erased.to_canonical());
                self.parts(index, parts, facts)?;
            }
            Body::Erased { content } => self.columns[slot::CONTENT].bytes(self.rows, &content.0),
        }
        self.rows += 1;
        Ok(())
    }

    /// The columns, each as long as there are rows, and empty ones for the next run.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch, ShredError> {
        let rows = std::mem::take(&mut self.rows);
        let arrays = self.columns.iter_mut().map(|column| column.finish(rows)).collect::<Result<_, _>>()?;
        let schema = Schema::new(self.layout.columns.iter().map(|c| c.field()).collect::<Vec<_>>());
        Ok(RecordBatch::try_new(Arc::new(schema), arrays)?)
    }

    fn stamp(&mut self, stored: &Stored) {
        let (stamp, row) = (&stored.stamp, self.rows);
        let mut buffer = Uuid::encode_buffer();
        self.columns[slot::ID].text(row, stamp.id.hyphenated().encode_lower(&mut buffer).as_bytes());
        self.columns[slot::KIND].text(row, stamp.kind.name().as_bytes());
        self.columns[slot::RECEIVED].int(row, stamp.received);
        for (by_server, slot) in [
            (stamp.time_by_server, slot::TIME_SOURCE),
            (stamp.id_by_server, slot::ID_BY),
            (stamp.salt_by_server, slot::SALT_BY),
        ] {
            if by_server {
                self.columns[slot].text(row, b"server");
            }
        }
        if let Some(digest) = &stamp.about_digest {
            self.columns[slot::ABOUT_DIGEST].bytes(row, digest);
        }
    }

    fn parts(&mut self, index: u64, parts: &Parts, facts: &Facts) -> Result<(), ShredError> {
        let layout = self.layout;
        for part in Part::ALL {
            let bytes = parts.get(part);
            // An envelope in `envelope:rest` is whole, and one that is not there is empty bytes there.
            if part == Part::Envelope && !facts.agrees {
                let rest = bytes.unwrap_or_default();
                self.columns[slot::REST].bytes(self.rows, rest);
                self.split.see(layout, part, rest).map_err(|cause| ShredError::Cbor { index, part, cause })?;
                continue;
            }
            let Some(bytes) = bytes else { continue };
            let mut rest = std::mem::take(&mut self.rest);
            rest.clear();
            let mut reader = Reader::lenient(bytes);
            let done = self.value(&layout.trees[part as usize], &mut reader, bytes, &mut rest);
            done.and_then(|()| self.split.see(layout, part, &rest)).map_err(|cause| ShredError::Cbor {
                index,
                part,
                cause,
            })?;
            if !rest.is_empty() {
                self.columns[slot::REST + part as usize].bytes(self.rows, &rest);
            }
            self.rest = rest;
        }
        Ok(())
    }

    /// Puts the value that `reader` is at, within `bytes`, into the columns of `node`, and appends to `rest` what
    /// they do not take: nothing if they take it all.
    fn value(
        &mut self,
        node: &Node,
        reader: &mut Reader<'_>,
        bytes: &[u8],
        rest: &mut Vec<u8>,
    ) -> Result<(), CborError> {
        let start = reader.position();
        if let Some(text) = reader.next_text()? {
            if !self.text(node, text) {
                rest.extend_from_slice(&bytes[start..reader.position()]);
            }
            return Ok(());
        }
        let taken = match reader.next_item()? {
            Item::Map(len) if len > 0 => return self.map(node, len, reader, bytes, rest),
            Item::Number(number) => self.number(node, number),
            Item::Bool(value) => match node.leaf(ColumnType::Bool) {
                Some(leaf) => {
                    self.columns[leaf.slot].bool(self.rows, value);
                    true
                }
                None => false,
            },
            Item::Array(len) => self.list(node, len, reader)?,
            Item::Tag(_) => {
                reader.skip()?;
                false
            }
            Item::Map(_) | Item::Bytes(_) | Item::Text(_) | Item::Null => false,
        };
        if !taken {
            rest.extend_from_slice(&bytes[start..reader.position()]);
        }
        Ok(())
    }

    fn map(
        &mut self,
        node: &Node,
        len: usize,
        reader: &mut Reader<'_>,
        bytes: &[u8],
        rest: &mut Vec<u8>,
    ) -> Result<(), CborError> {
        let head_at = rest.len();
        let (mut left, mut near) = (0, 0);
        for _ in 0..len {
            let key_at = reader.position();
            let entry_at = rest.len();
            let child = match node.children.get(near) {
                // Records show their keys in the same order, so the next key is mostly the one that is next here.
                Some(child) if reader.skip_encoded(&child.key) => {
                    near += 1;
                    Some(&child.node)
                }
                _ => {
                    reader.next_text()?.ok_or(CborError::KeyType(key_at))?;
                    node.child(&bytes[key_at..reader.position()], &mut near)
                }
            };
            let key_end = reader.position();
            match child {
                Some(child) => self.value(child, reader, bytes, rest)?,
                None => rest.extend_from_slice(reader.skip()?),
            }
            if rest.len() > entry_at {
                left += 1;
                rest.splice(entry_at..entry_at, bytes[key_at..key_end].iter().copied());
            }
        }
        if left > 0 {
            // How many entries stay is known only now, and the head that says so comes first.
            let mut head = Vec::with_capacity(9);
            cbor::write_map_head(&mut head, left);
            rest.splice(head_at..head_at, head);
        }
        Ok(())
    }

    fn number(&mut self, node: &Node, number: Number) -> bool {
        if let (Number::Int(n), Some(leaf)) = (number, node.leaf(ColumnType::Int)) {
            // `time_ns` has its value already: the envelope's, or the server's.
            if leaf.slot != slot::TIME_NS {
                self.columns[leaf.slot].int(self.rows, n);
            }
            return true;
        }
        let (Some(f), Some(leaf)) = (number.as_exact_f64(), node.leaf(ColumnType::Num)) else { return false };
        self.columns[leaf.slot].num(self.rows, f);
        true
    }

    fn text(&mut self, node: &Node, text: &[u8]) -> bool {
        let Some(leaf) = node.leaf(ColumnType::Str) else { return false };
        // `id` and `kind` have their values already, from the stamp.
        if leaf.slot != slot::ID && leaf.slot != slot::KIND {
            self.columns[leaf.slot].text(self.rows, text);
        }
        true
    }

    /// Reads the `len` elements of an array, and takes them if they are all numbers or all texts and `node` has a
    /// column for such a list.
    fn list(&mut self, node: &Node, len: usize, reader: &mut Reader<'_>) -> Result<bool, CborError> {
        let (nums, strs) = (node.leaf(ColumnType::Nums), node.leaf(ColumnType::Strs));
        let (mut numbers, mut texts) = (Vec::new(), Vec::new());
        for _ in 0..len {
            match reader.clone().next_item()? {
                Item::Number(n) if nums.is_some() => numbers.extend(n.as_exact_f64()),
                Item::Text(text) if strs.is_some() => texts.push(text),
                _ => {}
            }
            reader.skip()?;
        }
        match (nums, strs) {
            (Some(leaf), _) if len > 0 && numbers.len() == len => self.columns[leaf.slot].nums(self.rows, &numbers),
            (_, Some(leaf)) if len > 0 && texts.len() == len => self.columns[leaf.slot].strs(self.rows, &texts),
            _ => return Ok(false),
        }
        Ok(true)
    }
}
