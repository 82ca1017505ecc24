//! One column as it grows.

use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder, BinaryBuilder, BooleanBuilder, Float64Builder, Int64Builder, ListBuilder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, StringArray};
use arrow_schema::{ArrowError, DataType, Field};

use crate::columns::ColumnType;

/// A column as it grows. A row without a value is null, and is filled in when the next value comes, so a column costs
/// nothing for records that do not have it. A value of another type than the column's is not taken; the layout sees
/// to it that none is offered.
pub(crate) enum Builder {
    Int(Int64Builder),
    Num(Float64Builder),
    Bool(BooleanBuilder),
    /// Texts as bytes, which are seen to be UTF-8 all at once when the column is finished.
    Str(BinaryBuilder),
    Bytes(BinaryBuilder),
    Time(TimestampMicrosecondBuilder),
    Nums(ListBuilder<Float64Builder>),
    Strs(ListBuilder<StringBuilder>),
}

impl Builder {
    pub(crate) fn new(kind: ColumnType) -> Self {
        let element = |data_type| Arc::new(Field::new("element", data_type, false));
        match kind {
            ColumnType::Int => Self::Int(Int64Builder::new()),
            ColumnType::Num => Self::Num(Float64Builder::new()),
            ColumnType::Bool => Self::Bool(BooleanBuilder::new()),
            ColumnType::Str => Self::Str(BinaryBuilder::new()),
            ColumnType::Bytes => Self::Bytes(BinaryBuilder::new()),
            ColumnType::Time => Self::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            ColumnType::Nums => {
                Self::Nums(ListBuilder::new(Float64Builder::new()).with_field(element(DataType::Float64)))
            }
            ColumnType::Strs => Self::Strs(ListBuilder::new(StringBuilder::new()).with_field(element(DataType::Utf8))),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Int(b) => b.len(),
            Self::Num(b) => b.len(),
            Self::Bool(b) => b.len(),
            Self::Str(b) => b.len(),
            Self::Bytes(b) => b.len(),
            Self::Time(b) => b.len(),
            Self::Nums(b) => b.len(),
            Self::Strs(b) => b.len(),
        }
    }

    /// Fills up with nulls to `rows` rows.
    #[inline]
    fn pad(&mut self, rows: usize) {
        if self.len() < rows {
            self.append_nulls(rows);
        }
    }

    #[cold]
    fn append_nulls(&mut self, rows: usize) {
        match self {
            Self::Int(b) => b.append_nulls(rows - b.len()),
            Self::Num(b) => b.append_nulls(rows - b.len()),
            Self::Bool(b) => b.append_nulls(rows - b.len()),
            Self::Str(b) => b.append_nulls(rows - b.len()),
            Self::Bytes(b) => b.append_nulls(rows - b.len()),
            Self::Time(b) => b.append_nulls(rows - b.len()),
            Self::Nums(b) => (b.len()..rows).for_each(|_| b.append_null()),
            Self::Strs(b) => (b.len()..rows).for_each(|_| b.append_null()),
        }
    }

    #[inline]
    pub(crate) fn int(&mut self, row: usize, value: i64) {
        self.pad(row);
        match self {
            Self::Int(b) => b.append_value(value),
            Self::Time(b) => b.append_value(value),
            _ => debug_assert!(false, "an integer for another column"),
        }
    }

    #[inline]
    pub(crate) fn num(&mut self, row: usize, value: f64) {
        self.pad(row);
        if let Self::Num(b) = self {
            b.append_value(value);
        }
    }

    pub(crate) fn bool(&mut self, row: usize, value: bool) {
        self.pad(row);
        if let Self::Bool(b) = self {
            b.append_value(value);
        }
    }

    /// A text, as bytes that are UTF-8.
    #[inline]
    pub(crate) fn text(&mut self, row: usize, value: &[u8]) {
        self.pad(row);
        if let Self::Str(b) = self {
            b.append_value(value);
        }
    }

    pub(crate) fn bytes(&mut self, row: usize, value: &[u8]) {
        self.pad(row);
        if let Self::Bytes(b) = self {
            b.append_value(value);
        }
    }

    pub(crate) fn nums(&mut self, row: usize, values: &[f64]) {
        self.pad(row);
        if let Self::Nums(b) = self {
            b.values().append_slice(values);
            b.append(true);
        }
    }

    pub(crate) fn strs(&mut self, row: usize, values: &[&str]) {
        self.pad(row);
        if let Self::Strs(b) = self {
            values.iter().for_each(|value| b.values().append_value(value));
            b.append(true);
        }
    }

    /// The column, `rows` long, and an empty one in its place.
    pub(crate) fn finish(&mut self, rows: usize) -> Result<ArrayRef, ArrowError> {
        self.pad(rows);
        Ok(match self {
            Self::Int(b) => Arc::new(b.finish()),
            Self::Num(b) => Arc::new(b.finish()),
            Self::Bool(b) => Arc::new(b.finish()),
            Self::Str(b) => Arc::new(StringArray::try_from_binary(b.finish())?),
            Self::Bytes(b) => Arc::new(b.finish()),
            Self::Time(b) => Arc::new(b.finish()),
            Self::Nums(b) => Arc::new(b.finish()),
            Self::Strs(b) => Arc::new(b.finish()),
        })
    }
}
