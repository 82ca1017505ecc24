//! Times and spans as a person reads them.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat};

/// RFC 3339, UTC, with as many decimals as there are.
pub fn utc(ns: i64) -> String {
    DateTime::from_timestamp_nanos(ns).to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// A span in a unit that fits.
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    match seconds {
        s if s < 1e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

/// Nanoseconds as [`span`].
pub fn span_ns(ns: i64) -> String {
    span(Duration::from_nanos(ns.unsigned_abs()))
}
