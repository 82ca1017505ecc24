//! How trails are written.

use std::time::Duration;

use serde::Deserialize;

use super::{ConfigError, Limits, within};
use crate::clerk;

/// How trails are written. What is not said is as the trail's own default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WriterConfig {
    /// The longest that a record waits for its seal, milliseconds.
    pub seal_every_ms: Option<u64>,
    /// The longest that a sealed record waits in the journal, seconds.
    pub settle_every_s: Option<u64>,
    /// Bytes in a trail's journal at most.
    pub backlog_bytes_max: Option<u64>,
}

impl WriterConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let set = |field, value: Option<u64>, min, max| value.map_or(Ok(()), |value| within(field, value, min, max));
        set("writer.seal_every_ms", self.seal_every_ms, 1, 60_000)?;
        set("writer.settle_every_s", self.settle_every_s, 1, 24 * 3600)?;
        set("writer.backlog_bytes_max", self.backlog_bytes_max, 1 << 20, 1 << 40)
    }

    /// How a trail's writer works.
    pub fn options(&self, limits: &Limits) -> trail::Options {
        let default = trail::Options::default();
        trail::Options {
            seal_every: self.seal_every_ms.map_or(default.seal_every, Duration::from_millis),
            settle_every: self.settle_every_s.map_or(default.settle_every, Duration::from_secs),
            backlog_bytes_max: self.backlog_bytes_max.unwrap_or(default.backlog_bytes_max),
            // What is sent has its limit where it is read; what the server says itself is never too many (I11).
            batch_records_max: limits.batch_records_max.max(clerk::BATCH_RECORDS_MAX),
            ..default
        }
    }
}
