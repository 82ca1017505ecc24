//! Functions over JSON text: for what is nested, or stands in no column.

use std::sync::Arc;

use arrow::compute::cast;
use arrow_array::builder::{BooleanBuilder, Float64Builder, StringBuilder};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use serde_json::Value;

use crate::face::is_json;

/// What is made of the value that a path leads to. What is of another type is null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum As {
    Json,
    Text,
    Number,
    Bool,
    Length,
}

/// `json_get(json, step…)` and its kin: a step is a key (text) or a place in an array (integer, from 0).
#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonGet {
    name: &'static str,
    made: As,
    signature: Signature,
}

/// `date_trunc` where times are UTC, as all of a trail's are: the library asks a calendar of time zones for each row,
/// which takes longer than all else of a query that groups by hour. Steps that are always as long are divided by here.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TruncateUtc(Arc<ScalarUDF>);

/// `date_trunc` of the library, by a shorter way.
pub(crate) fn truncate_utc(library: &[Arc<ScalarUDF>]) -> Option<Arc<ScalarUDF>> {
    let truncate = library.iter().find(|function| function.name() == "date_trunc")?;
    Some(Arc::new(ScalarUDF::from(TruncateUtc(Arc::clone(truncate)))))
}

impl ScalarUDFImpl for TruncateUtc {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn aliases(&self) -> &[String] {
        self.0.aliases()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        self.0.return_type(args)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<Arc<Field>> {
        self.0.return_field_from_args(args)
    }

    fn output_ordering(&self, input: &[ExprProperties]) -> Result<SortProperties> {
        self.0.output_ordering(input)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [ColumnarValue::Scalar(step), ColumnarValue::Array(times)] = &*args.args else {
            return self.0.invoke_with_args(args);
        };
        let step = step.try_as_str().flatten().and_then(|step| length_us(&step.to_lowercase()));
        let (Some(step), Some(micros)) = (step, utc_micros(times)) else { return self.0.invoke_with_args(args) };
        let start = |time: i64| time.div_euclid(step).saturating_mul(step);
        let done = micros.unary::<_, TimestampMicrosecondType>(start).with_timezone_opt(micros.timezone());
        Ok(ColumnarValue::Array(Arc::new(done)))
    }
}

/// How long a step is that is as long at all times, in microseconds.
fn length_us(step: &str) -> Option<i64> {
    let seconds = match step {
        "second" => 1,
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        _ => return None,
    };
    Some(seconds * 1_000_000)
}

/// Times in UTC, as the view's column of times is.
fn utc_micros(times: &ArrayRef) -> Option<&TimestampMicrosecondArray> {
    let micros = times.as_primitive_opt::<TimestampMicrosecondType>()?;
    (micros.timezone() == Some("UTC")).then_some(micros)
}

/// Every function of ours.
pub(crate) fn all() -> Vec<Arc<ScalarUDF>> {
    let names = [
        ("json_get", As::Json),
        ("json_text", As::Text),
        ("json_number", As::Number),
        ("json_bool", As::Bool),
        ("json_length", As::Length),
    ];
    let signature = Signature::variadic_any(Volatility::Immutable);
    let function = |(name, made)| Arc::new(ScalarUDF::from(JsonGet { name, made, signature: signature.clone() }));
    names.into_iter().map(function).collect()
}

impl ScalarUDFImpl for JsonGet {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        let is_text = |data_type: &DataType| {
            matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null)
        };
        let is_step = |data_type: &DataType| is_text(data_type) || *data_type == DataType::Int64;
        let right = args.first().is_some_and(is_text) && args[1..].iter().all(is_step);
        if !right {
            return plan_err!(
                "{0} takes JSON text and then keys (text) or places (integers): {0}(inputs, 'address', 0)",
                self.name
            );
        }
        Ok(match self.made {
            As::Json | As::Text => DataType::Utf8,
            As::Number | As::Length => DataType::Float64,
            As::Bool => DataType::Boolean,
        })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<Arc<Field>> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let field = Field::new(self.name, self.return_type(&types)?, true);
        Ok(Arc::new(if self.made == As::Json { is_json(field) } else { field }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let arrays = args.args.into_iter().map(|arg| {
            let array = arg.into_array(rows)?;
            let text = matches!(array.data_type(), DataType::LargeUtf8 | DataType::Utf8View | DataType::Null);
            if text { Ok(cast(&array, &DataType::Utf8)?) } else { Ok(array) }
        });
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        let found: Vec<Option<Value>> = (0..rows).map(|row| find(&arrays, row)).collect();
        Ok(ColumnarValue::Array(made(self.made, &found)))
    }
}

/// What the steps lead to. Text that is no JSON has nothing inside.
fn find(arrays: &[ArrayRef], row: usize) -> Option<Value> {
    let (json, steps) = arrays.split_first()?;
    let text = json.as_string_opt::<i32>().filter(|json| json.is_valid(row))?.value(row);
    let mut value: Value = serde_json::from_str(text).ok()?;
    for step in steps {
        if step.is_null(row) {
            return None;
        }
        value = match (value, step.as_string_opt::<i32>(), step.as_primitive_opt::<Int64Type>()) {
            (Value::Object(mut entries), Some(key), _) => entries.remove(key.value(row))?,
            (Value::Array(mut items), _, Some(place)) => {
                let place = usize::try_from(place.value(row)).ok().filter(|place| *place < items.len())?;
                items.swap_remove(place)
            }
            _ => return None,
        };
    }
    Some(value)
}

fn made(made: As, found: &[Option<Value>]) -> ArrayRef {
    let found = found.iter().map(Option::as_ref);
    match made {
        As::Json => {
            let mut out = StringBuilder::new();
            found.for_each(|value| out.append_option(value.map(Value::to_string)));
            Arc::new(out.finish())
        }
        As::Text => {
            let mut out = StringBuilder::new();
            found.for_each(|value| out.append_option(value.and_then(Value::as_str)));
            Arc::new(out.finish())
        }
        As::Number => {
            let mut out = Float64Builder::new();
            found.for_each(|value| out.append_option(value.and_then(number)));
            Arc::new(out.finish())
        }
        As::Length => {
            let mut out = Float64Builder::new();
            found.for_each(|value| out.append_option(value.and_then(length)));
            Arc::new(out.finish())
        }
        As::Bool => {
            let mut out = BooleanBuilder::new();
            found.for_each(|value| out.append_option(value.and_then(Value::as_bool)));
            Arc::new(out.finish())
        }
    }
}

/// A number, also one that JSON has no word for and records write as `{"$f64": "NaN"}`.
fn number(value: &Value) -> Option<f64> {
    let special = |value: &Value| match value.get("$f64")?.as_str()? {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    };
    value.as_f64().or_else(|| special(value))
}

fn length(value: &Value) -> Option<f64> {
    match value {
        Value::Array(items) => Some(items.len() as f64),
        Value::Object(entries) => Some(entries.len() as f64),
        _ => None,
    }
}
