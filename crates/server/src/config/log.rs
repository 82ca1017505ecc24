//! What goes to the log.

use serde::Deserialize;

/// What goes to the log.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `json`, or `text` for people.
    pub format: LogFormat,
    /// How much: `error`, `warn`, `info`, `debug`.
    pub level: LogLevel,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// A line for people.
    Text,
}

/// How much is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What failed.
    Error,
    /// And what should be looked at.
    Warn,
    /// And a line a request.
    Info,
    /// And what helps to find a fault.
    Debug,
}

impl Default for Log {
    fn default() -> Self {
        Log { format: LogFormat::Json, level: LogLevel::Info }
    }
}
