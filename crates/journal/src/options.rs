//! What a journal may use, and its hard limits (I12).

use keys::Keyring;

use crate::frame::HEADER_BYTES;
use crate::veil;

/// The longest payload the format allows, in bytes.
pub const FRAME_BYTES_CAP: usize = 64 << 20;

/// A longer file is no segment: twice what the options allow, and read into memory whole.
pub(crate) const SEGMENT_FILE_BYTES_MAX: u64 = 1 << 30;

/// Sizes of a journal, in bytes, and its keys.
#[derive(Clone, Debug)]
pub struct Options {
    /// A segment that has come to this is followed by a new one; the group that passes it is still written whole.
    /// Default 64 MiB; 4 KiB to 256 MiB.
    pub segment_bytes: u64,
    /// How much disk space a new segment reserves; each time it is full, as much again as it has, up to
    /// `segment_bytes`. Default 4 MiB; 4 KiB to 64 MiB.
    pub allocate_bytes: u64,
    /// Staged and not yet taken by the committer: at this much, staging waits. One batch may be this long, so memory
    /// is at most four times this. Default 32 MiB; up to 128 MiB.
    pub queue_bytes_max: usize,
    /// The longest payload. Default 17 MiB; up to [`FRAME_BYTES_CAP`], and with its header within `queue_bytes_max`.
    pub frame_bytes_max: usize,
    /// If new segments are to be encrypted, and those that are there can be read: the trail's keys. Default: none.
    pub keys: Option<Keyring>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            allocate_bytes: 4 << 20,
            queue_bytes_max: 32 << 20,
            frame_bytes_max: 17 << 20,
            keys: None,
        }
    }
}

/// A size is outside its limits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("journal option {option} is {value} bytes; it must be from {min} to {max}")]
pub struct OptionsError {
    /// The field.
    pub option: &'static str,
    /// What it says.
    pub value: u64,
    /// The least it may be.
    pub min: u64,
    /// The most it may be.
    pub max: u64,
}

impl Options {
    pub(crate) fn check(&self) -> Result<(), OptionsError> {
        let queue = self.queue_bytes_max as u64;
        within("segment_bytes", self.segment_bytes, 4 << 10, 256 << 20)?;
        within("allocate_bytes", self.allocate_bytes, 4 << 10, 64 << 20)?;
        within("queue_bytes_max", queue, 4 << 10, 128 << 20)?;
        let overhead = veil::overhead(self.keys.as_ref());
        let frame_cap = (FRAME_BYTES_CAP as u64).min(queue - HEADER_BYTES as u64 - 8) - overhead as u64;
        within("frame_bytes_max", self.frame_bytes_max as u64, 1, frame_cap)
    }
}

fn within(option: &'static str, value: u64, min: u64, max: u64) -> Result<(), OptionsError> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(OptionsError { option, value, min, max }) }
}
