//! Columns of an answer, by the type that whoever asked for them knows they have.

use arrow::compute::cast;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array as _, ArrayRef, RecordBatch};
use arrow_schema::DataType;

use crate::error::QueryError;

/// A batch whose columns are read as what they are known to be.
pub(crate) struct Columns<'b>(pub &'b RecordBatch);

/// A column of texts.
pub(crate) struct Texts(ArrayRef);

/// A column of whole numbers.
pub(crate) struct Integers(ArrayRef);

/// A column of numbers.
pub(crate) struct Numbers(ArrayRef);

impl Columns<'_> {
    fn of(&self, at: usize, data_type: &DataType) -> Result<ArrayRef, QueryError> {
        let missing = || QueryError::Plan(format!("an answer has no column {at}"));
        let column = self.0.columns().get(at).ok_or_else(missing)?;
        cast(column, data_type).map_err(|error| QueryError::Plan(error.to_string()))
    }

    pub(crate) fn texts(&self, at: usize) -> Result<Texts, QueryError> {
        Ok(Texts(self.of(at, &DataType::Utf8)?))
    }

    pub(crate) fn integers(&self, at: usize) -> Result<Integers, QueryError> {
        Ok(Integers(self.of(at, &DataType::Int64)?))
    }

    pub(crate) fn numbers(&self, at: usize) -> Result<Numbers, QueryError> {
        Ok(Numbers(self.of(at, &DataType::Float64)?))
    }
}

impl Texts {
    pub(crate) fn at(&self, row: usize) -> Option<&str> {
        self.0.as_string_opt::<i32>().filter(|column| column.is_valid(row)).map(|column| column.value(row))
    }

    pub(crate) fn owned(&self, row: usize) -> Option<String> {
        self.at(row).map(str::to_owned)
    }
}

impl Integers {
    pub(crate) fn at(&self, row: usize) -> Option<i64> {
        let column = self.0.as_primitive_opt::<Int64Type>();
        column.filter(|column| column.is_valid(row)).map(|column| column.value(row))
    }

    /// A count, which is never missing.
    pub(crate) fn count(&self, row: usize) -> u64 {
        self.at(row).and_then(|count| u64::try_from(count).ok()).unwrap_or(0)
    }
}

impl Numbers {
    /// A sum; that of nothing is 0.
    pub(crate) fn sum(&self, row: usize) -> f64 {
        let column = self.0.as_primitive_opt::<Float64Type>();
        column.filter(|column| column.is_valid(row)).map_or(0.0, |column| column.value(row))
    }
}
