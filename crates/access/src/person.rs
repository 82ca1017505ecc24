//! Whom an identity provider vouches for.

/// Groups of one person at most (I12).
pub const GROUPS_MAX: usize = 1_000;
/// Bytes of all of them together.
pub const GROUPS_BYTES_MAX: usize = 64 << 10;

/// A person, as an identity provider has vouched for them. What they may do follows from their groups by what the rules
/// say at that time, and not from what they said at login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// What tells them from all others at that provider, for ever.
    pub subject: String,
    /// What they are called. Often they choose it themselves, so nothing is granted by it.
    pub name: String,
    /// The groups that they are in, [`GROUPS_MAX`] and [`GROUPS_BYTES_MAX`] at most.
    pub groups: Vec<String>,
}
