//! How a writer works.

use std::time::Duration;

/// How a writer works. Every field has a limit of its own use; see the defaults.
#[derive(Debug, Clone)]
pub struct Options {
    /// The longest a durable record waits for its seal. Default 100 ms.
    pub seal_every: Duration,
    /// The longest a sealed record waits in the journal, default 60 s.
    pub settle_every: Duration,
    /// Bytes in the journal that bring a settle forward, default 64 MiB.
    pub settle_bytes: u64,
    /// Bytes in the journal that it never passes: what would is refused. An import waits for a settle from a quarter of it
    /// on. Default 1 GiB.
    pub backlog_bytes_max: u64,
    /// Records in a batch at most, default 10,000.
    pub batch_records_max: usize,
    /// How old a live record's id may be, by its own time. Default 7 days.
    pub idempotency_window: Duration,
    /// Whether small files of the lake are merged in the background, and clean-up runs. Default: yes.
    pub compact: bool,
    /// How long a file that was merged into another one stays, for engines that tell nobody what they read. Default one
    /// hour.
    pub clean_grace: Duration,
    /// Versions of the lake's table from one checkpoint of its log to the next, where compaction runs. Default
    /// [`lake::CHECKPOINT_EVERY`].
    pub checkpoint_every: u64,
    /// How the trail is checked in the background. Default: as [`Scrubbing`]; `None`: not at all.
    pub scrub: Option<Scrubbing>,
    /// Sizes of the journal.
    pub journal: journal::Options,
}

/// How a running writer checks its own trail.
#[derive(Debug, Clone)]
pub struct Scrubbing {
    /// How long after opening it begins at the earliest, so that a writer of a few seconds has no time for it. Default
    /// 60 s.
    pub after: Duration,
    /// From the end of one cycle to the beginning of the next. Default 24 hours.
    pub every: Duration,
    /// Records, and entries of the tree, that are hashed in a second at most. Default 20,000: some tenth of a core.
    pub records_a_second: u32,
}

impl Default for Scrubbing {
    fn default() -> Self {
        Scrubbing { after: Duration::from_secs(60), every: Duration::from_secs(24 * 3600), records_a_second: 20_000 }
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            seal_every: Duration::from_millis(100),
            settle_every: Duration::from_secs(60),
            settle_bytes: 64 << 20,
            backlog_bytes_max: 1 << 30,
            batch_records_max: 10_000,
            idempotency_window: Duration::from_secs(7 * 24 * 3600),
            compact: true,
            clean_grace: Duration::from_secs(3600),
            checkpoint_every: lake::CHECKPOINT_EVERY,
            scrub: Some(Scrubbing::default()),
            journal: journal::Options::default(),
        }
    }
}
