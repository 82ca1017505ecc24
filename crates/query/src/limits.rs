//! What a query may use at most (I12).

use std::time::Duration;

/// What one query may use. Passing a limit is an error that names it; only the rows of an answer are cut instead, and
/// the answer says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the question to the last row.
    pub time: Duration,
    /// Memory of sorts, groups and joins. What does not fit is spilled to a private folder.
    pub memory_bytes: usize,
    /// What may be spilled; 0: nothing, as for every query of an encrypted trail.
    pub spill_bytes: u64,
    /// Rows of an answer.
    pub rows: usize,
    /// Bytes of a query's text.
    pub text_bytes: usize,
    /// Threads that a query's parts share.
    pub threads: usize,
    /// Footers, page indexes and Bloom filters that are kept from one query to the next.
    pub cache_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            time: Duration::from_secs(300),
            memory_bytes: 1 << 30,
            spill_bytes: 8 << 30,
            rows: 10_000_000,
            text_bytes: 64 << 10,
            threads: std::thread::available_parallelism().map_or(2, usize::from).min(16),
            cache_bytes: 256 << 20,
        }
    }
}
