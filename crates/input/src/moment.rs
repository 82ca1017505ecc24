//! Times and dates of Arrow as texts: RFC 3339, and in UTC. A time without a zone is taken for one of UTC.

use arrow_array::Array;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow_schema::{DataType, TimeUnit};
use chrono::{DateTime, NaiveTime, SecondsFormat, Utc};

/// Nanoseconds of a day.
const DAY_NS: i128 = 86_400_000_000_000;

/// Whether values of a type are times or dates.
pub fn is_one(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_)
    )
}

/// A time or date as text; nothing if it is in no calendar.
pub fn text_of(array: &dyn Array, row: usize) -> Option<String> {
    let ns = nanoseconds(array, row)?;
    match array.data_type() {
        DataType::Date32 | DataType::Date64 => Some(utc(ns)?.format("%Y-%m-%d").to_string()),
        DataType::Time32(_) | DataType::Time64(_) => {
            let ns = u64::try_from(ns).ok()?;
            let (seconds, rest) = (u32::try_from(ns / 1_000_000_000).ok()?, u32::try_from(ns % 1_000_000_000).ok()?);
            Some(NaiveTime::from_num_seconds_from_midnight_opt(seconds, rest)?.to_string())
        }
        _ => Some(utc(ns)?.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
    }
}

fn utc(ns: i128) -> Option<DateTime<Utc>> {
    let seconds = i64::try_from(ns.div_euclid(1_000_000_000)).ok()?;
    DateTime::from_timestamp(seconds, u32::try_from(ns.rem_euclid(1_000_000_000)).ok()?)
}

fn nanoseconds(array: &dyn Array, row: usize) -> Option<i128> {
    Some(match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => of::<TimestampSecondType>(array, row)? * 1_000_000_000,
        DataType::Timestamp(TimeUnit::Millisecond, _) => of::<TimestampMillisecondType>(array, row)? * 1_000_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => of::<TimestampMicrosecondType>(array, row)? * 1_000,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => of::<TimestampNanosecondType>(array, row)?,
        DataType::Date32 => of::<Date32Type>(array, row)? * DAY_NS,
        DataType::Date64 => of::<Date64Type>(array, row)? * 1_000_000,
        DataType::Time32(TimeUnit::Second) => of::<Time32SecondType>(array, row)? * 1_000_000_000,
        DataType::Time32(_) => of::<Time32MillisecondType>(array, row)? * 1_000_000,
        DataType::Time64(TimeUnit::Microsecond) => of::<Time64MicrosecondType>(array, row)? * 1_000,
        DataType::Time64(_) => of::<Time64NanosecondType>(array, row)?,
        _ => return None,
    })
}

fn of<T: ArrowPrimitiveType<Native: Into<i128>>>(array: &dyn Array, row: usize) -> Option<i128> {
    Some(array.as_primitive_opt::<T>()?.value(row).into())
}
