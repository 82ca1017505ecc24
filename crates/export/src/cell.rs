//! One value of an answer, as text or as JSON.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Float32Type, Float64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Field, TimeUnit};
use chrono::{DateTime, SecondsFormat, Utc};
use record::{Part, Value};

/// A value.
pub enum Cell {
    /// None.
    Null,
    /// JSON that stands as it is.
    Json(String),
    /// A number or boolean, as JSON and people write it.
    Bare(String),
    /// A number that JSON has no word for.
    Float(f64),
    /// Text.
    Text(String),
}

impl Cell {
    /// The value in a row of a column.
    pub fn of(field: &Field, column: &ArrayRef, row: usize) -> Cell {
        if column.is_null(row) {
            return Cell::Null;
        }
        match column.data_type() {
            DataType::Utf8 => {
                let text = column.as_string::<i32>().value(row);
                if query::holds_json(field) { Cell::Json(text.to_owned()) } else { Cell::Text(text.to_owned()) }
            }
            DataType::LargeUtf8 => Cell::Text(column.as_string::<i64>().value(row).to_owned()),
            DataType::Utf8View => Cell::Text(column.as_string_view().value(row).to_owned()),
            DataType::Float64 => float(column.as_primitive::<Float64Type>().value(row)),
            DataType::Float32 => float(f64::from(column.as_primitive::<Float32Type>().value(row))),
            DataType::Timestamp(unit, _) => time(column, *unit, row),
            DataType::List(item) => Cell::Json(list(item, &column.as_list::<i32>().value(row))),
            DataType::LargeList(item) => Cell::Json(list(item, &column.as_list::<i64>().value(row))),
            data_type if data_type.is_integer() => Cell::Bare(shown(column, row)),
            DataType::Boolean => Cell::Bare(shown(column, row)),
            _ => Cell::Text(shown(column, row)),
        }
    }

    /// The value as JSON, in the words of records.
    pub fn json(&self) -> String {
        match self {
            Cell::Null => "null".to_owned(),
            Cell::Json(text) | Cell::Bare(text) => text.clone(),
            Cell::Float(value) => record::part_to_json(Part::Inputs, &Value::float(*value).to_canonical())
                .unwrap_or_else(|_| "null".into()),
            Cell::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
        }
    }

    /// The value as text; nothing for null.
    pub fn text(&self) -> String {
        match self {
            Cell::Null => String::new(),
            Cell::Json(text) | Cell::Bare(text) | Cell::Text(text) => text.clone(),
            Cell::Float(value) => value.to_string(),
        }
    }
}

fn float(value: f64) -> Cell {
    if value.is_finite() { Cell::Bare(serde_json::Value::from(value).to_string()) } else { Cell::Float(value) }
}

fn time(column: &ArrayRef, unit: TimeUnit, row: usize) -> Cell {
    let time: Option<DateTime<Utc>> = match unit {
        TimeUnit::Second => DateTime::from_timestamp(column.as_primitive::<TimestampSecondType>().value(row), 0),
        TimeUnit::Millisecond => {
            DateTime::from_timestamp_millis(column.as_primitive::<TimestampMillisecondType>().value(row))
        }
        TimeUnit::Microsecond => {
            DateTime::from_timestamp_micros(column.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        TimeUnit::Nanosecond => {
            Some(DateTime::from_timestamp_nanos(column.as_primitive::<TimestampNanosecondType>().value(row)))
        }
    };
    time.map_or_else(
        || Cell::Text(shown(column, row)),
        |time| Cell::Text(time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
    )
}

fn list(item: &Field, items: &ArrayRef) -> String {
    let items: Vec<String> = (0..items.len()).map(|row| Cell::of(item, items, row).json()).collect();
    format!("[{}]", items.join(","))
}

/// Whatever is left: dates, intervals, decimals, bytes.
fn shown(column: &ArrayRef, row: usize) -> String {
    arrow::util::display::array_value_to_string(column, row).unwrap_or_default()
}
