//! Times in files: RFC 3339 outside, nanoseconds since 1970 inside.

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Deserializer, Serializer, de};

/// RFC 3339, UTC.
pub(crate) fn text(ns: i64) -> String {
    DateTime::from_timestamp_nanos(ns).to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// The time that a text in RFC 3339 says.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    let time = DateTime::parse_from_rfc3339(text)
        .map_err(|error| format!("{text:?} is no time such as 2026-03-01T00:00:00Z: {error}"))?;
    time.timestamp_nanos_opt().ok_or_else(|| format!("{text:?} is out of range (years 1678 to 2261)"))
}

pub(crate) fn serialize<S: Serializer>(ns: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(*ns))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

/// The same, for a time that may be missing.
pub(crate) mod maybe {
    use super::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(ns: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
        match ns {
            Some(ns) => serializer.serialize_str(&super::text(*ns)),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| super::parse(&text).map_err(de::Error::custom)).transpose()
    }
}
