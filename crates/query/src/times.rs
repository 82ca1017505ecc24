//! Times as people write them: RFC 3339, a day, a span before now, a word, or a range of two.

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, TimeDelta};
use serde::{Deserialize as _, Deserializer, Serializer, de};

use crate::error::QueryError;

/// From when until when, in nanoseconds since 1970; `until` is not in it. A moment is one nanosecond long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first moment.
    pub from: i64,
    /// The first moment after it.
    pub until: i64,
}

impl Span {
    /// Whether it is one moment, and no day or range.
    pub fn is_moment(self) -> bool {
        self.until == self.from.saturating_add(1)
    }

    /// Reads what a person wrote, at `now_ns`. Days are of UTC.
    ///
    /// * `2026-11-01T12:00:00Z`, `2026-11-01T12:00:00+01:00`, `2026-11-01 12:00` (UTC): that moment;
    /// * `90s`, `15m`, `2h`, `7d`, `2w`: so long ago;
    /// * `now`; `today`, `yesterday`, `2026-11-01`: the whole day;
    /// * `FROM..UNTIL`, each as above, a last day included; either can be left out.
    pub fn read(text: &str, now_ns: i64) -> Result<Span, QueryError> {
        let trimmed = text.trim();
        let wrong = || QueryError::Time(text.to_owned());
        let Some((from, until)) = trimmed.split_once("..") else {
            return one(trimmed, now_ns).ok_or_else(wrong);
        };
        let read = |text: &str| {
            if text.trim().is_empty() { Ok(None) } else { one(text.trim(), now_ns).map(Some).ok_or_else(wrong) }
        };
        let (first, last) = (read(from)?, read(until)?);
        // The end of a range is not in it, unless it is a day, which is meant whole.
        let end = |span: Span| if span.is_moment() { span.from } else { span.until };
        let span = Span { from: first.map_or(i64::MIN, |span| span.from), until: last.map_or(i64::MAX, end) };
        if span.from > span.until { Err(wrong()) } else { Ok(span) }
    }
}

/// Reads a moment as files of other systems write it: RFC 3339, a date and time or a day in UTC, or a number since 1970
/// in seconds, milli-, micro- or nanoseconds, whichever lies in our time.
pub(crate) fn absolute(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<f64>() {
        let unit = match number.abs() {
            n if n < 1e11 => 1e9,
            n if n < 1e14 => 1e6,
            n if n < 1e17 => 1e3,
            _ => 1.0,
        };
        let ns = number * unit;
        // No more digits than a number holds: a whole number of units is meant.
        let whole = text.parse::<i64>().ok().and_then(|number| number.checked_mul(unit as i64));
        return whole.or_else(|| (ns.abs() < 9e18).then_some(ns as i64));
    }
    let begins_with_digit = text.starts_with(|c: char| c.is_ascii_digit());
    let span = (begins_with_digit && !text.contains("..") && text.len() > 8).then(|| one(text, 0));
    span.flatten().map(|span| span.from)
}

/// A moment as RFC 3339, UTC, with as many decimals as there are.
pub(crate) fn rfc3339(ns: i64) -> String {
    DateTime::from_timestamp_nanos(ns).to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Writes a moment as [`rfc3339`].
pub(crate) fn serialize<S: Serializer>(ns: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*ns))
}

/// Writes a moment as [`rfc3339`], if there is one.
pub(crate) fn serialize_option<S: Serializer>(ns: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    match ns {
        Some(ns) => serialize(ns, serializer),
        None => serializer.serialize_none(),
    }
}

/// Reads a moment as [`serialize`] writes it.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let text = String::deserialize(deserializer)?;
    let moment = DateTime::parse_from_rfc3339(&text).ok().and_then(|time| time.timestamp_nanos_opt());
    moment.ok_or_else(|| de::Error::custom(format!("{text:?} is no time")))
}

/// Reads a moment as [`serialize_option`] writes it.
pub(crate) fn deserialize_option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let moment = |text: String| DateTime::parse_from_rfc3339(&text).ok().and_then(|time| time.timestamp_nanos_opt());
    text.map(|text| moment(text).ok_or_else(|| de::Error::custom("there is no such time"))).transpose()
}

fn one(text: &str, now_ns: i64) -> Option<Span> {
    let moment = |ns: i64| Some(Span { from: ns, until: ns.saturating_add(1) });
    let now = DateTime::from_timestamp_nanos(now_ns);
    match text.to_ascii_lowercase().as_str() {
        "now" => return moment(now_ns),
        "today" => return day(now.date_naive()),
        "yesterday" => return day(now.date_naive().checked_sub_days(Days::new(1))?),
        _ => {}
    }
    if let Some(ago) = span_ns(text) {
        return moment(now_ns.checked_sub(ago)?);
    }
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return day(date);
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return moment(time.timestamp_nanos_opt()?);
    }
    let text = text.replace('T', " ");
    let time = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S%.f"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(&text, format).ok())?;
    moment(time.and_utc().timestamp_nanos_opt()?)
}

fn day(date: NaiveDate) -> Option<Span> {
    let midnight = |date: NaiveDate| date.and_time(NaiveTime::MIN).and_utc().timestamp_nanos_opt();
    Some(Span { from: midnight(date)?, until: midnight(date.checked_add_days(Days::new(1))?)? })
}

fn span_ns(text: &str) -> Option<i64> {
    let unit = text.chars().next_back()?;
    let count: i64 = text.strip_suffix(unit)?.parse().ok()?;
    if count < 0 {
        return None;
    }
    let span = match unit {
        's' => TimeDelta::try_seconds(count),
        'm' => TimeDelta::try_minutes(count),
        'h' => TimeDelta::try_hours(count),
        'd' => TimeDelta::try_days(count),
        'w' => TimeDelta::try_weeks(count),
        _ => None,
    };
    span?.num_nanoseconds()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOON: i64 = 1_793_534_400_000_000_000; // 2026-11-01T12:00:00Z
    const DAY: i64 = 86_400_000_000_000;

    #[test]
    fn times_are_read_as_people_write_them() {
        let read = |text: &str| Span::read(text, NOON).map(|span| (span.from - NOON, span.until - NOON)).unwrap();
        assert_eq!(read("now"), (0, 1));
        assert_eq!(read("2h"), (-2 * DAY / 24, -2 * DAY / 24 + 1));
        assert_eq!(read("yesterday"), (-DAY * 3 / 2, -DAY / 2));
        assert_eq!(read("2026-11-01"), (-DAY / 2, DAY / 2));
        assert_eq!(read("2026-11-01T13:00:00+01:00"), (0, 1));
        assert_eq!(read("2026-11-01 12:00"), (0, 1));
        assert_eq!(read("2026-10-31..2026-11-01"), (-DAY * 3 / 2, DAY / 2));
        assert_eq!(read("1d..now"), (-DAY, 0));
        assert_eq!(Span::read("..today", NOON).unwrap().from, i64::MIN);
        for wrong in ["", "soon", "2026-13-01", "-2h", "now..2h", "99999999999d", "1000000000000000d", "2h..x"] {
            assert!(Span::read(wrong, NOON).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_ends_in_a_panic(text in ".{0,30}", now in any::<i64>()) {
            if let Ok(span) = Span::read(&text, now) {
                prop_assert!(span.from <= span.until);
            }
        }
    }
}
