//! Values out of columns and remainders: the functions that stand in a file's plan where the view has a column.
//!
//! None of them can be called by name: they are put there by [`crate::adapt`] alone.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow_array::builder::{ArrayBuilder, BooleanBuilder, Float64Builder, Int64Builder, ListBuilder, StringBuilder};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, Schema};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use lake::{ColumnType, Columns, Sections};
use record::cbor::{Item, Reader};
use record::{Erased, ErasedPart, FieldRef, Part, Value};

use crate::face::Shape;
use crate::mask::{self, Mask};
use crate::notes::Notes;

/// What a function of a file's plan does with its arguments.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// A field's values of one type: of the remainder (first argument), and of the column (second) where it has one.
    Field { field: FieldRef, kind: ColumnType, notes: Arc<Notes> },
    /// A field as JSON, from all columns of its section that may hold some of it, named in order.
    Json { field: FieldRef, columns: Arc<Columns>, names: Vec<String>, masks: Vec<(FieldRef, Mask)> },
    /// Remainders of these parts as one JSON object.
    Rest { parts: Vec<Part>, masks: Vec<(FieldRef, Mask)> },
    /// Which parts are gone, from `content` and `erased`, each if the file has it, in that order.
    Erased { content: bool },
    /// What a mask leaves of a value.
    Masked(Mask),
}

/// A function of a file's plan.
#[derive(Clone, Debug)]
pub(crate) struct ValueOf {
    work: Work,
    returns: DataType,
    signature: Signature,
}

impl ValueOf {
    pub(crate) fn new(work: Work, returns: DataType) -> Self {
        Self { work, returns, signature: Signature::variadic_any(Volatility::Immutable) }
    }

    fn key(&self) -> (&'static str, Option<&FieldRef>, Option<ColumnType>, &DataType, Option<&Mask>) {
        match &self.work {
            Work::Field { field, kind, .. } => ("field", Some(field), Some(*kind), &self.returns, None),
            Work::Json { field, .. } => ("json", Some(field), None, &self.returns, None),
            Work::Rest { .. } => ("rest", None, None, &self.returns, None),
            Work::Erased { .. } => ("erased", None, None, &self.returns, None),
            Work::Masked(mask) => ("masked", None, None, &self.returns, Some(mask)),
        }
    }
}

impl PartialEq for ValueOf {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for ValueOf {}

impl Hash for ValueOf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl ScalarUDFImpl for ValueOf {
    fn name(&self) -> &str {
        match &self.work {
            Work::Field { .. } => "value_of",
            Work::Json { .. } => "json_of",
            Work::Rest { .. } => "rest_of",
            Work::Erased { .. } => "erased_of",
            Work::Masked(_) => "masked",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let arrays = args.args.into_iter().map(|arg| arg.into_array(rows)).collect::<Result<Vec<_>>>()?;
        let done = match &self.work {
            Work::Field { field, kind, notes } => field_values(field, *kind, notes, &arrays, rows)?,
            Work::Json { field, columns, names, masks } => json(field, columns, names, masks, arrays, rows)?,
            Work::Rest { parts, masks } => rest(parts, masks, &arrays, rows)?,
            Work::Erased { content } => erased(*content, &arrays, rows)?,
            Work::Masked(mask) => masked(mask, &self.returns, &arrays, rows)?,
        };
        Ok(ColumnarValue::Array(done))
    }
}

fn malformed(what: &dyn std::fmt::Display) -> datafusion::error::DataFusionError {
    exec_datafusion_err!("a remainder in the lake is malformed ({what}); verify the trail")
}

/// The canonical bytes of a remainder's row, if there are any: an envelope that was erased is none.
fn bytes_at(array: &ArrayRef, row: usize) -> Option<&[u8]> {
    let bytes = array.as_binary_opt::<i32>()?;
    bytes.is_valid(row).then(|| bytes.value(row)).filter(|bytes| !bytes.is_empty())
}

/// One column as values come in; what is not of its type is not taken.
pub(crate) enum Out {
    Num(Float64Builder),
    Int(Int64Builder),
    Bool(BooleanBuilder),
    Str(StringBuilder),
    Nums(ListBuilder<Float64Builder>),
    Strs(ListBuilder<StringBuilder>),
}

impl Out {
    pub(crate) fn new(kind: ColumnType) -> Option<Out> {
        let element = |data_type| Arc::new(Field::new("element", data_type, false));
        Some(match kind {
            ColumnType::Num => Out::Num(Float64Builder::new()),
            ColumnType::Int => Out::Int(Int64Builder::new()),
            ColumnType::Bool => Out::Bool(BooleanBuilder::new()),
            ColumnType::Str => Out::Str(StringBuilder::new()),
            ColumnType::Nums => {
                Out::Nums(ListBuilder::new(Float64Builder::new()).with_field(element(DataType::Float64)))
            }
            ColumnType::Strs => Out::Strs(ListBuilder::new(StringBuilder::new()).with_field(element(DataType::Utf8))),
            ColumnType::Bytes | ColumnType::Time => return None,
        })
    }

    /// Takes a value; whether it was of the type.
    pub(crate) fn value(&mut self, value: &Value) -> bool {
        match (self, value) {
            (Out::Num(out), value) if value.as_f64().is_some() => out.append_option(value.as_f64()),
            (Out::Int(out), Value::Number(record::cbor::Number::Int(value))) => out.append_value(*value),
            (Out::Bool(out), Value::Bool(value)) => out.append_value(*value),
            (Out::Str(out), Value::Text(value)) => out.append_value(value),
            (Out::Nums(out), Value::Array(items)) if all(items, |item| item.as_f64().is_some()) => {
                items.iter().filter_map(Value::as_f64).for_each(|item| out.values().append_value(item));
                out.append(true);
            }
            (Out::Strs(out), Value::Array(items)) if all(items, |item| item.as_text().is_some()) => {
                items.iter().filter_map(Value::as_text).for_each(|item| out.values().append_value(item));
                out.append(true);
            }
            _ => return false,
        }
        true
    }

    pub(crate) fn null(&mut self) {
        match self {
            Out::Num(out) => out.append_null(),
            Out::Int(out) => out.append_null(),
            Out::Bool(out) => out.append_null(),
            Out::Str(out) => out.append_null(),
            Out::Nums(out) => out.append_null(),
            Out::Strs(out) => out.append_null(),
        }
    }

    /// Takes row `row` of a column of the type.
    fn copy(&mut self, column: &ArrayRef, row: usize) {
        match self {
            Out::Num(out) => out.append_value(column.as_primitive::<Float64Type>().value(row)),
            Out::Int(out) => out.append_value(column.as_primitive::<Int64Type>().value(row)),
            Out::Bool(out) => out.append_value(column.as_boolean().value(row)),
            Out::Str(out) => out.append_value(column.as_string::<i32>().value(row)),
            Out::Nums(out) => {
                out.values().append_slice(column.as_list::<i32>().value(row).as_primitive::<Float64Type>().values());
                out.append(true);
            }
            Out::Strs(out) => {
                let items = column.as_list::<i32>().value(row);
                items.as_string::<i32>().iter().flatten().for_each(|item| out.values().append_value(item));
                out.append(true);
            }
        }
    }

    pub(crate) fn finish(self) -> ArrayRef {
        let mut out: Box<dyn ArrayBuilder> = match self {
            Out::Num(out) => Box::new(out),
            Out::Int(out) => Box::new(out),
            Out::Bool(out) => Box::new(out),
            Out::Str(out) => Box::new(out),
            Out::Nums(out) => Box::new(out),
            Out::Strs(out) => Box::new(out),
        };
        out.finish()
    }
}

fn all(items: &[Value], is: impl Fn(&Value) -> bool) -> bool {
    !items.is_empty() && items.iter().all(is)
}

fn field_values(
    field: &FieldRef,
    kind: ColumnType,
    notes: &Notes,
    arrays: &[ArrayRef],
    rows: usize,
) -> Result<ArrayRef> {
    let [rest, column @ ..] = arrays else { return Err(malformed(&"it has no column")) };
    let mut out = Out::new(kind).ok_or_else(|| malformed(&"a type that no field has"))?;
    let column = column.first();
    if let Some(column) = column.filter(|column| column.data_type() != &kind.data_type()) {
        return Err(exec_datafusion_err!("a column is of type {}; verify the trail", column.data_type()));
    }
    for row in 0..rows {
        if let Some(column) = column.filter(|column| column.is_valid(row)) {
            out.copy(column, row);
            continue;
        }
        let canonical = bytes_at(rest, row).map_or(Ok(None), |part| field.find_in(part));
        let Some(canonical) = canonical.map_err(|error| malformed(&error))? else {
            out.null();
            continue;
        };
        let value = Value::from_canonical(canonical).map_err(|error| malformed(&error))?;
        if !out.value(&value) {
            if value != Value::Null {
                notes.passed_over(field, Shape::Typed(kind));
            }
            out.null();
        }
    }
    Ok(out.finish())
}

fn json(
    field: &FieldRef,
    columns: &Columns,
    names: &[String],
    masks: &[(FieldRef, Mask)],
    arrays: Vec<ArrayRef>,
    rows: usize,
) -> Result<ArrayRef> {
    let fields: Vec<Field> =
        names.iter().zip(&arrays).map(|(name, array)| Field::new(name, array.data_type().clone(), true)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)?;
    let sections = Sections::new(columns, &batch).map_err(|error| malformed(&error))?;
    let mut out = StringBuilder::new();
    let mut canonical = Vec::new();
    for row in 0..rows {
        canonical.clear();
        sections.canonical(field.part, row, &mut canonical).map_err(|error| malformed(&error))?;
        let value = if canonical.is_empty() { Ok(None) } else { field.find_in(&canonical) };
        let value = value.map_err(|error| malformed(&error))?;
        out.append_option(value.map(|value| to_json(field, value, masks)).transpose()?.flatten());
    }
    Ok(Arc::new(out.finish()))
}

/// Canonical bytes as JSON, masked.
fn to_json(field: &FieldRef, canonical: &[u8], masks: &[(FieldRef, Mask)]) -> Result<Option<String>> {
    let mut text = String::new();
    let mut write = |canonical: &[u8]| {
        record::write_json_value(&mut text, &mut Reader::lenient(canonical)).map_err(|error| malformed(&error))
    };
    if masks.is_empty() {
        write(canonical)?;
        return Ok(Some(text));
    }
    let value = Value::from_canonical(canonical).map_err(|error| malformed(&error))?;
    let Some(value) = mask::masked(value, &mut field.clone(), masks) else { return Ok(None) };
    write(&value.to_canonical())?;
    Ok(Some(text))
}

fn rest(parts: &[Part], masks: &[(FieldRef, Mask)], arrays: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let mut out = StringBuilder::new();
    for row in 0..rows {
        let mut text = String::new();
        for (part, array) in parts.iter().zip(arrays) {
            let Some(canonical) = bytes_at(array, row) else { continue };
            let field = FieldRef { part: *part, keys: Vec::new() };
            let within: Vec<_> = masks.iter().filter(|(masked, _)| masked.part == *part).cloned().collect();
            let Some(json) = to_json(&field, canonical, &within)? else { continue };
            text.push(if text.is_empty() { '{' } else { ',' });
            text.push_str(&format!("\"{}\":{json}", part.name()));
        }
        out.append_option((!text.is_empty()).then(|| text + "}"));
    }
    Ok(Arc::new(out.finish()))
}

fn erased(content: bool, arrays: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let element = Arc::new(Field::new("element", DataType::Utf8, false));
    let mut out = ListBuilder::new(StringBuilder::new()).with_field(element);
    let content = content.then(|| arrays.first()).flatten();
    let parts = arrays.get(usize::from(content.is_some()));
    for row in 0..rows {
        if content.is_some_and(|content| content.is_valid(row)) {
            out.values().append_value("record");
            out.append(true);
        } else if let Some(canonical) = parts.and_then(|parts| bytes_at(parts, row)) {
            let erased = Erased::read(canonical).map_err(|error| malformed(&error))?;
            let gone =
                Part::ALL.into_iter().filter(|part| matches!(erased.parts[*part as usize], ErasedPart::Erased(_)));
            gone.for_each(|part| out.values().append_value(part.name()));
            out.append(true);
        } else {
            out.append_null();
        }
    }
    Ok(Arc::new(out.finish()))
}

fn masked(mask: &Mask, returns: &DataType, arrays: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let Some(array) = arrays.first().filter(|_| *mask != Mask::Drop) else {
        return Ok(arrow_array::new_null_array(returns, rows));
    };
    let mut out = StringBuilder::new();
    for row in 0..rows {
        out.append_option(value_at(array, row).and_then(|(value, text)| mask.shown(&value.to_canonical(), &text)));
    }
    Ok(Arc::new(out.finish()))
}

/// A value of a column, and as text.
fn value_at(array: &ArrayRef, row: usize) -> Option<(Value, String)> {
    if array.is_null(row) {
        return None;
    }
    let value = match array.data_type() {
        DataType::Utf8 => Value::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::Float64 => Value::float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Int64 => Value::Number(record::cbor::Number::Int(array.as_primitive::<Int64Type>().value(row))),
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            Value::Array((0..items.len()).filter_map(|at| Some(value_at(&items, at)?.0)).collect())
        }
        _ => return None,
    };
    let text = match &value {
        Value::Text(text) => text.clone(),
        other => record::part_to_json(Part::Inputs, &other.to_canonical()).ok()?,
    };
    Some((value, text))
}

/// The shapes that a canonical value has.
pub(crate) fn shape_of(canonical: &[u8]) -> Option<Shape> {
    let typed = |kind| Some(Shape::Typed(kind));
    match Reader::lenient(canonical).next_item() {
        Ok(Item::Number(_)) => typed(ColumnType::Num),
        Ok(Item::Text(_)) => typed(ColumnType::Str),
        Ok(Item::Bool(_)) => typed(ColumnType::Bool),
        Ok(Item::Array(len)) if len > 0 => {
            let numbers = Value::from_canonical(canonical).ok();
            let numbers = numbers.is_some_and(
                |value| matches!(&value, Value::Array(items) if all(items, |item| item.as_f64().is_some())),
            );
            if numbers { typed(ColumnType::Nums) } else { Some(Shape::Json) }
        }
        Ok(Item::Null) | Err(_) => None,
        Ok(_) => Some(Shape::Json),
    }
}
