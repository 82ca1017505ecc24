//! A row of a batch as CBOR, of which a record is made by the same rules as of any other. Columns are the record's fields,
//! structs and maps its maps, lists its lists. A missing value is a field that the record does not have: a column is there
//! for every row, and what a row has nothing for is null. In a list a missing value is null, as it has its place.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, RunEndIndexType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch, RunArray};
use arrow_schema::{DataType, Fields};
use record::cbor::{self, Number};

use crate::Fault;
use crate::moment::{self, text_of};

/// What a row takes: values that were looked at, and bytes of them.
pub struct Cost {
    spent: u64,
    max: u64,
}

/// Why a row is no record.
#[derive(Debug)]
pub struct Unfit {
    /// The steps to the value at fault, the innermost first.
    path: Vec<String>,
    reason: String,
}

impl Unfit {
    fn of(reason: impl Into<String>) -> Unfit {
        Unfit { path: Vec::new(), reason: reason.into() }
    }

    fn inside(mut self, name: &str) -> Unfit {
        self.path.push(name.to_owned());
        self
    }
}

impl From<Unfit> for Fault {
    fn from(unfit: Unfit) -> Fault {
        let path: Vec<String> = unfit.path.into_iter().rev().collect();
        if path.is_empty() {
            return Fault { field: None, reason: unfit.reason };
        }
        let path = path.join(".");
        Fault { reason: format!("{path}: {}", unfit.reason), field: Some(path) }
    }
}

impl Cost {
    /// Nothing yet, and so much at most.
    pub fn within(max: u64) -> Cost {
        Cost { spent: 0, max }
    }

    /// What has been spent.
    pub fn spent(&self) -> u64 {
        self.spent
    }

    fn add(&mut self, bytes: usize) -> Result<(), Unfit> {
        self.spent = self.spent.saturating_add(1 + bytes as u64);
        if self.spent > self.max {
            return Err(Unfit::of(format!("the row is longer than the limit of {} bytes", self.max)));
        }
        Ok(())
    }
}

/// Appends a row.
pub fn write(batch: &RecordBatch, row: usize, out: &mut Vec<u8>, cost: &mut Cost) -> Result<(), Unfit> {
    entries(batch.schema_ref().fields(), batch.columns(), row, out, cost)
}

/// A map of those columns that have a value.
fn entries(fields: &Fields, columns: &[ArrayRef], row: usize, out: &mut Vec<u8>, cost: &mut Cost) -> Result<(), Unfit> {
    let mut there = Vec::new();
    for (field, column) in fields.iter().zip(columns) {
        cost.add(0)?;
        there.extend(plain(column, row).map(|found| (field.name(), found)));
    }
    cbor::write_map_head(out, there.len());
    for (name, (column, row)) in there {
        cost.add(name.len())?;
        cbor::write_text(out, name);
        value(column, row, out, cost).map_err(|unfit| unfit.inside(name))?;
    }
    Ok(())
}

/// Where a value stands, behind all dictionaries and runs; nothing if it is missing.
fn plain(array: &dyn Array, row: usize) -> Option<(&dyn Array, usize)> {
    if array.is_null(row) || *array.data_type() == DataType::Null {
        return None;
    }
    match array.data_type() {
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary_opt()?;
            let key = usize::try_from(integer(dictionary.keys(), row)?).ok()?;
            plain(dictionary.values().as_ref(), key)
        }
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => behind_run::<Int16Type>(array, row),
            DataType::Int32 => behind_run::<Int32Type>(array, row),
            _ => behind_run::<Int64Type>(array, row),
        },
        _ => Some((array, row)),
    }
}

fn behind_run<R: RunEndIndexType>(array: &dyn Array, row: usize) -> Option<(&dyn Array, usize)> {
    let runs = array.as_any().downcast_ref::<RunArray<R>>()?;
    plain(runs.values().as_ref(), runs.get_physical_index(row))
}

/// A whole number of whatever size.
fn integer(array: &dyn Array, row: usize) -> Option<i128> {
    Some(match array.data_type() {
        DataType::Int8 => array.as_primitive_opt::<Int8Type>()?.value(row).into(),
        DataType::Int16 => array.as_primitive_opt::<Int16Type>()?.value(row).into(),
        DataType::Int32 => array.as_primitive_opt::<Int32Type>()?.value(row).into(),
        DataType::Int64 => array.as_primitive_opt::<Int64Type>()?.value(row).into(),
        DataType::UInt8 => array.as_primitive_opt::<UInt8Type>()?.value(row).into(),
        DataType::UInt16 => array.as_primitive_opt::<UInt16Type>()?.value(row).into(),
        DataType::UInt32 => array.as_primitive_opt::<UInt32Type>()?.value(row).into(),
        DataType::UInt64 => array.as_primitive_opt::<UInt64Type>()?.value(row).into(),
        _ => return None,
    })
}

fn float(array: &dyn Array, row: usize) -> Option<f64> {
    Some(match array.data_type() {
        DataType::Float16 => array.as_primitive_opt::<Float16Type>()?.value(row).to_f64(),
        DataType::Float32 => array.as_primitive_opt::<Float32Type>()?.value(row).into(),
        DataType::Float64 => array.as_primitive_opt::<Float64Type>()?.value(row),
        _ => return None,
    })
}

fn text(array: &dyn Array, row: usize) -> Option<&str> {
    Some(match array.data_type() {
        DataType::Utf8 => array.as_string_opt::<i32>()?.value(row),
        DataType::LargeUtf8 => array.as_string_opt::<i64>()?.value(row),
        DataType::Utf8View => array.as_string_view_opt()?.value(row),
        _ => return None,
    })
}

fn bytes(array: &dyn Array, row: usize) -> Option<&[u8]> {
    Some(match array.data_type() {
        DataType::Binary => array.as_binary_opt::<i32>()?.value(row),
        DataType::LargeBinary => array.as_binary_opt::<i64>()?.value(row),
        DataType::BinaryView => array.as_binary_view_opt()?.value(row),
        DataType::FixedSizeBinary(_) => array.as_fixed_size_binary_opt()?.value(row),
        _ => return None,
    })
}

/// Digits, which no float holds: as text.
fn decimal(array: &dyn Array, row: usize) -> Option<String> {
    Some(match array.data_type() {
        DataType::Decimal32(_, _) => array.as_primitive_opt::<Decimal32Type>()?.value_as_string(row),
        DataType::Decimal64(_, _) => array.as_primitive_opt::<Decimal64Type>()?.value_as_string(row),
        DataType::Decimal128(_, _) => array.as_primitive_opt::<Decimal128Type>()?.value_as_string(row),
        DataType::Decimal256(_, _) => array.as_primitive_opt::<Decimal256Type>()?.value_as_string(row),
        _ => return None,
    })
}

fn list(array: &dyn Array, row: usize) -> Option<ArrayRef> {
    Some(match array.data_type() {
        DataType::List(_) => array.as_list_opt::<i32>()?.value(row),
        DataType::LargeList(_) => array.as_list_opt::<i64>()?.value(row),
        DataType::ListView(_) => array.as_list_view_opt::<i32>()?.value(row),
        DataType::LargeListView(_) => array.as_list_view_opt::<i64>()?.value(row),
        DataType::FixedSizeList(_, _) => array.as_fixed_size_list_opt()?.value(row),
        _ => return None,
    })
}

/// A value that is there and stands for itself.
fn value(array: &dyn Array, row: usize, out: &mut Vec<u8>, cost: &mut Cost) -> Result<(), Unfit> {
    cost.add(0)?;
    if let Some(number) = float(array, row) {
        cbor::write_number(out, Number::from_f64(number));
    } else if let Some(number) = integer(array, row) {
        write_integer(out, number);
    } else if let Some(text) = text(array, row) {
        cost.add(text.len())?;
        cbor::write_text(out, text);
    } else if let Some(truth) = array.as_boolean_opt() {
        cbor::write_bool(out, truth.value(row));
    } else if let Some(bytes) = bytes(array, row) {
        cost.add(bytes.len())?;
        cbor::write_bytes(out, bytes);
    } else if let Some(within) = array.as_struct_opt() {
        entries(within.fields(), within.columns(), row, out, cost)?;
    } else if let Some(list) = list(array, row) {
        items(&list, out, cost)?;
    } else if let Some(map) = array.as_map_opt() {
        let entries = map.value(row);
        keyed(&entries, out, cost)?;
    } else if let Some(told) = decimal(array, row) {
        cbor::write_text(out, &told);
    } else if moment::is_one(array.data_type()) {
        let told = text_of(array, row).ok_or_else(|| Unfit::of("a time that is in no calendar"))?;
        cbor::write_text(out, &told);
    } else {
        let kind = array.data_type();
        return Err(Unfit::of(format!("a record has no values of the type {kind}; cast the column before it is sent")));
    }
    Ok(())
}

fn write_integer(out: &mut Vec<u8>, number: i128) {
    match i64::try_from(number) {
        Ok(number) => cbor::write_i64(out, number),
        // What is above is of 64 bits without a sign.
        Err(_) => cbor::write_u64(out, u64::try_from(number).unwrap_or_default()),
    }
}

fn items(list: &ArrayRef, out: &mut Vec<u8>, cost: &mut Cost) -> Result<(), Unfit> {
    cbor::write_array_head(out, list.len());
    for at in 0..list.len() {
        match plain(list.as_ref(), at) {
            Some((array, row)) => value(array, row, out, cost).map_err(|unfit| unfit.inside(&at.to_string()))?,
            None => {
                cost.add(0)?;
                cbor::write_null(out);
            }
        }
    }
    Ok(())
}

/// A map whose keys are texts.
fn keyed(entries: &arrow_array::StructArray, out: &mut Vec<u8>, cost: &mut Cost) -> Result<(), Unfit> {
    let [keys, values] = entries.columns() else { return Err(Unfit::of("a map without keys and values")) };
    let mut there = Vec::new();
    for at in 0..entries.len() {
        cost.add(0)?;
        let key = plain(keys.as_ref(), at).and_then(|(keys, at)| text(keys, at));
        let key = key.ok_or_else(|| Unfit::of("a map with a key that is no text"))?;
        there.extend(plain(values.as_ref(), at).map(|found| (key, found)));
    }
    cbor::write_map_head(out, there.len());
    for (key, (array, row)) in there {
        cost.add(key.len())?;
        cbor::write_text(out, key);
        value(array, row, out, cost).map_err(|unfit| unfit.inside(key))?;
    }
    Ok(())
}
