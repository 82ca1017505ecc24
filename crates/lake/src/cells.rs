//! The cells of a run of rows, typed: for each slot of a layout its values, and which rows have one.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, BinaryArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_buffer::{BooleanBuffer, OffsetBuffer};

use crate::columns::ColumnType;
use crate::layout::Layout;

/// A column's values.
pub(crate) enum Values {
    /// The file does not have the column.
    Absent,
    Int(Int64Array),
    Num(Float64Array),
    Bool(BooleanArray),
    Str(StringArray),
    Bytes(BinaryArray),
    Time(TimestampMicrosecondArray),
    Nums(OffsetBuffer<i32>, Float64Array),
    Strs(OffsetBuffer<i32>, StringArray),
}

/// Which rows of a column have a value.
#[derive(Clone, Debug)]
pub(crate) enum Has {
    None,
    All,
    Some(BooleanBuffer),
}

/// The cells of a run of rows.
pub(crate) struct Cells {
    values: Vec<Values>,
    has: Vec<Has>,
    rows: usize,
}

impl Cells {
    /// The cells of `batch`, whose columns are some of the layout's; `None` if a column is of another type than its
    /// name stands for.
    pub(crate) fn new(layout: &Layout, batch: &RecordBatch) -> Option<Self> {
        let mut values = Vec::with_capacity(layout.columns.len());
        let mut has = Vec::with_capacity(layout.columns.len());
        for column in &layout.columns {
            match batch.column_by_name(&column.name) {
                None => {
                    values.push(Values::Absent);
                    has.push(Has::None);
                }
                Some(array) => {
                    has.push(Has::of(array));
                    values.push(Values::of(array, column.kind)?);
                }
            }
        }
        Some(Self { values, has, rows: batch.num_rows() })
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    #[inline]
    pub(crate) fn values(&self, slot: usize) -> &Values {
        &self.values[slot]
    }

    #[inline]
    pub(crate) fn has(&self, slot: usize) -> &Has {
        &self.has[slot]
    }

    #[inline]
    pub(crate) fn int(&self, slot: usize, row: usize) -> Option<i64> {
        match &self.values[slot] {
            Values::Int(a) if self.has[slot].at(row) => Some(a.value(row)),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn str(&self, slot: usize, row: usize) -> Option<&str> {
        match &self.values[slot] {
            Values::Str(a) if self.has[slot].at(row) => Some(a.value(row)),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn bytes(&self, slot: usize, row: usize) -> Option<&[u8]> {
        match &self.values[slot] {
            Values::Bytes(a) if self.has[slot].at(row) => Some(a.value(row)),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn time(&self, slot: usize, row: usize) -> Option<i64> {
        match &self.values[slot] {
            Values::Time(a) if self.has[slot].at(row) => Some(a.value(row)),
            _ => None,
        }
    }
}

impl Has {
    fn of(array: &dyn Array) -> Self {
        match array.logical_nulls() {
            None => Has::All,
            Some(nulls) if nulls.null_count() == 0 => Has::All,
            Some(nulls) if nulls.null_count() == nulls.len() => Has::None,
            Some(nulls) => Has::Some(nulls.inner().clone()),
        }
    }

    #[inline]
    pub(crate) fn at(&self, row: usize) -> bool {
        match self {
            Has::None => false,
            Has::All => true,
            Has::Some(rows) => rows.value(row),
        }
    }

    /// Rows that are in both.
    pub(crate) fn and(&self, other: &Has) -> Has {
        match (self, other) {
            (Has::None, _) | (_, Has::None) => Has::None,
            (Has::All, has) | (has, Has::All) => has.clone(),
            (Has::Some(a), Has::Some(b)) => Has::of_bits(a & b),
        }
    }

    /// Rows that are in either.
    pub(crate) fn or(&self, other: &Has) -> Has {
        match (self, other) {
            (Has::All, _) | (_, Has::All) => Has::All,
            (Has::None, has) | (has, Has::None) => has.clone(),
            (Has::Some(a), Has::Some(b)) => Has::of_bits(a | b),
        }
    }

    /// Of `rows` rows, those that are not in it.
    pub(crate) fn not(&self, rows: usize) -> Has {
        match self {
            Has::None if rows > 0 => Has::All,
            Has::None | Has::All => Has::None,
            Has::Some(bits) => Has::of_bits(!bits),
        }
    }

    fn of_bits(bits: BooleanBuffer) -> Has {
        match bits.count_set_bits() {
            0 => Has::None,
            all if all == bits.len() => Has::All,
            _ => Has::Some(bits),
        }
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
            ColumnType::Time => Values::Time(array.as_primitive_opt::<TimestampMicrosecondType>()?.clone()),
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
        })
    }
}
