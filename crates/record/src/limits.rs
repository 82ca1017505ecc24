//! The limits of a record.

/// What a record may hold at most. Passing one is an error that names the limit and the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Canonical bytes of all parts together.
    pub record_bytes: usize,
    /// Nesting inside a section; the section itself is depth 1.
    pub depth: usize,
    /// Fields of all sections together, array elements not counted.
    pub fields: usize,
    /// Bytes of a key.
    pub key_bytes: usize,
    /// Bytes of a text or byte string.
    pub string_bytes: usize,
}

impl Limits {
    /// What holds unless a trail is set up otherwise.
    pub const DEFAULT: Limits =
        Limits { record_bytes: 1 << 20, depth: 16, fields: 4096, key_bytes: 256, string_bytes: 256 << 10 };

    /// What no setting can exceed.
    pub const CAP: Limits =
        Limits { record_bytes: 16 << 20, depth: 64, fields: 65_536, key_bytes: 256, string_bytes: 4 << 20 };

    /// Bytes of the longest text form (a line of JSON) that is read at all. An empty byte string is one byte, and
    /// `{"$bytes":""},` in JSON; nothing else grows as much. So what a record of the largest size is shown as can be
    /// read again, and there is room for spaces.
    pub const fn text_bytes(&self) -> usize {
        self.record_bytes * 16
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Bytes of a name in the envelope: a model, a version, a producer, a class.
pub const NAME_BYTES_MAX: usize = 256;

/// Profiles a record may name.
pub const PROFILES_MAX: usize = 16;
