//! What the committer hands back.

use crate::Stopped;

/// What became of a group: everything that was staged since the one before. Deliveries come in order of index, on the
/// committer thread, and the next group is not written before the callback returns; so it only hands things on.
#[derive(Debug)]
pub enum Delivery<T> {
    /// Records `first_index..next_index` are durable, and so are all below (I1).
    Committed {
        /// The first record of the group.
        first_index: u64,
        /// One past its last record.
        next_index: u64,
        /// What was staged along with them, in order.
        cargo: Vec<T>,
    },
    /// The journal has stopped. None of these is acknowledged; each may or may not be found at the next opening. Comes
    /// last, and takes everything that was staged.
    Failed {
        /// Why.
        stopped: Stopped,
        /// What was staged, in order.
        cargo: Vec<T>,
    },
}
