//! What requests, connections and queries may use (I12).

use std::time::Duration;

use serde::Deserialize;

use super::{ConfigError, within};

/// What requests, connections and queries may use (I12).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of a body as it comes.
    pub body_bytes_max: usize,
    /// Bytes of a body once it is unpacked.
    pub unpacked_bytes_max: u64,
    /// Bytes of all bodies and records under way.
    pub bytes_in_flight_max: usize,
    /// Records of one request.
    pub batch_records_max: usize,
    /// Connections at once.
    pub connections_max: usize,
    /// Header fields of a request.
    pub headers_max: usize,
    /// Bytes of a request's head.
    pub header_bytes_max: usize,
    /// Seconds for a TLS handshake, and for a request's head.
    pub header_s_max: u64,
    /// Seconds for a whole body.
    pub body_s_max: u64,
    /// Seconds for which a body may stand still, or who reads an answer.
    pub idle_s_max: u64,
    /// Appends that are read at once.
    pub appends_max: usize,
    /// Reads that are answered at once.
    pub reads_max: usize,
    /// Seconds that a request waits for its turn.
    pub turn_s_max: u64,
    /// Seconds of a query.
    pub query_s_max: u64,
    /// Bytes of memory of a query.
    pub query_bytes_max: usize,
    /// Rows of an answer.
    pub query_rows_max: usize,
    /// Bytes of an export's records, and of its rows.
    pub export_bytes_max: u64,
    /// Seconds that requests under way have when the server ends.
    pub drain_s_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            body_bytes_max: 32 << 20,
            unpacked_bytes_max: 32 << 20,
            bytes_in_flight_max: 256 << 20,
            batch_records_max: 10_000,
            connections_max: 4096,
            headers_max: 64,
            header_bytes_max: 32 << 10,
            header_s_max: 10,
            body_s_max: 60,
            idle_s_max: 15,
            appends_max: 2 * std::thread::available_parallelism().map_or(2, usize::from),
            reads_max: 16,
            turn_s_max: 5,
            query_s_max: 60,
            query_bytes_max: 256 << 20,
            query_rows_max: 1_000_000,
            export_bytes_max: 4 << 30,
            drain_s_max: 30,
        }
    }
}

impl Limits {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        within("limits.body_bytes_max", self.body_bytes_max as u64, 1 << 10, 1 << 30)?;
        within("limits.unpacked_bytes_max", self.unpacked_bytes_max, 1 << 10, 1 << 30)?;
        let least = (self.body_bytes_max as u64).saturating_add(self.unpacked_bytes_max);
        within("limits.bytes_in_flight_max", self.bytes_in_flight_max as u64, least, 64 << 30)?;
        within("limits.batch_records_max", self.batch_records_max as u64, 1, 10_000)?;
        within("limits.connections_max", self.connections_max as u64, 1, 1 << 20)?;
        within("limits.headers_max", self.headers_max as u64, 16, 1024)?;
        within("limits.header_bytes_max", self.header_bytes_max as u64, 8 << 10, 1 << 20)?;
        within("limits.header_s_max", self.header_s_max, 1, 300)?;
        within("limits.body_s_max", self.body_s_max, 1, 3600)?;
        within("limits.idle_s_max", self.idle_s_max, 1, 3600)?;
        within("limits.appends_max", self.appends_max as u64, 1, 256)?;
        within("limits.reads_max", self.reads_max as u64, 1, 256)?;
        within("limits.turn_s_max", self.turn_s_max, 1, 300)?;
        within("limits.query_s_max", self.query_s_max, 1, 3600)?;
        within("limits.query_bytes_max", self.query_bytes_max as u64, 16 << 20, 64 << 30)?;
        within("limits.query_rows_max", self.query_rows_max as u64, 1, 100_000_000)?;
        within("limits.export_bytes_max", self.export_bytes_max, 1 << 20, 1 << 40)?;
        within("limits.drain_s_max", self.drain_s_max, 1, 3600)
    }

    /// For how long who reads an answer may stand still.
    pub fn stall(&self) -> Duration {
        Duration::from_secs(self.idle_s_max)
    }

    /// What a query may use.
    pub fn of_queries(&self) -> query::Limits {
        query::Limits {
            time: Duration::from_secs(self.query_s_max),
            memory_bytes: self.query_bytes_max,
            rows: self.query_rows_max,
            ..query::Limits::default()
        }
    }
}
