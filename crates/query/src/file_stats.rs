//! What the Delta log says of a file's values, as the library prunes by it.

use arrow_schema::Schema;
use chrono::DateTime;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use lake::{ColumnType, Manifest};
use serde_json::Value;

/// The range of a file's values in one column.
struct Range {
    least: Option<ScalarValue>,
    greatest: Option<ScalarValue>,
    nulls: Option<usize>,
}

/// Statistics of the columns of `schema` for one file. A column that the log says nothing of, or that is not shown as it
/// is stored, has none.
pub(crate) fn of_file(file: &Manifest, schema: &Schema, as_stored: impl Fn(&str) -> bool) -> Statistics {
    let log: Value = serde_json::from_str(&file.stats).unwrap_or_default();
    let column = |name: &str| {
        let known = Some(name).filter(|name| as_stored(name)).and_then(|name| range(&log, name));
        let Some(range) = known else { return ColumnStatistics::new_unknown() };
        let exact = |value: Option<ScalarValue>| value.map_or(Precision::Absent, Precision::Exact);
        ColumnStatistics {
            min_value: exact(range.least),
            max_value: exact(range.greatest),
            null_count: range.nulls.map_or(Precision::Absent, Precision::Exact),
            ..ColumnStatistics::new_unknown()
        }
    };
    Statistics {
        num_rows: usize::try_from(file.rows).map_or(Precision::Absent, Precision::Exact),
        total_byte_size: Precision::Absent,
        column_statistics: schema.fields().iter().map(|field| column(field.name())).collect(),
    }
}

fn range(log: &Value, name: &str) -> Option<Range> {
    let value = |bound: &str| scalar(name, log.get(bound)?.get(name)?);
    let nulls = log.get("nullCount")?.get(name)?.as_u64()?;
    Some(Range { least: value("minValues"), greatest: value("maxValues"), nulls: usize::try_from(nulls).ok() })
}

fn scalar(name: &str, value: &Value) -> Option<ScalarValue> {
    match name {
        "index" => Some(ScalarValue::Int64(Some(value.as_i64()?))),
        "id" | "model.name" | "model.version" => Some(ScalarValue::Utf8(Some(value.as_str()?.to_owned()))),
        "time" => {
            let time = DateTime::parse_from_rfc3339(value.as_str()?).ok()?;
            let micros = ScalarValue::TimestampMicrosecond(Some(time.timestamp_micros()), Some("UTC".into()));
            debug_assert_eq!(micros.data_type(), ColumnType::Time.data_type());
            Some(micros)
        }
        _ => None,
    }
}
