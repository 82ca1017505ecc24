//! One proof for many leaves: the hashes of all subtrees that hold none of them, each as large as can be, from left to
//! right.
//!
//! Walk the tree from its root as RFC 6962 section 2.1 splits it. A subtree without any of the leaves is one hash of
//! the proof; one that is a single leaf of them is that leaf's hash, which the verifier computes; any other is the node
//! over its halves. Which hashes there are, how many and in what order follows from the size of the tree and the
//! indices alone, so a proof has no room for anything else (T13). A stretch of leaves, however long, takes at most two
//! hashes for each level of the tree; leaves far from each other take no more than their paths would.
//!
//! Both ends work from left to right and keep one path in memory, so a proof of any length streams.

use std::iter::Peekable;

use crate::hash::{Hash, node_hash};
use crate::prover::{ProveError, Prover, TileReader, split};

/// Why leaves and a shared proof do not lead to a root. `E` is why a leaf or a hash could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SharedProofError<E> {
    /// A leaf or a hash could not be had.
    #[error("{0}")]
    Source(E),
    /// Leaves do not come by rising index.
    #[error("leaf {index} does not stand in the order of the leaves, or is there twice")]
    Order {
        /// The leaf.
        index: u64,
    },
    /// A leaf beyond the end of the tree.
    #[error("there is no leaf {index} in a tree of {size}")]
    NoSuchLeaf {
        /// The leaf.
        index: u64,
        /// Leaves in the tree.
        size: u64,
    },
    /// Size and indices ask for more hashes.
    #[error("the proof ends before the hash of leaves {low} to {high}")]
    TooShort {
        /// First leaf of the subtree whose hash is missing.
        low: u64,
        /// The leaf behind its last.
        high: u64,
    },
    /// Size and indices ask for fewer hashes.
    #[error("the proof has more hashes than size and leaves ask for")]
    TooLong,
}

impl<R: TileReader> Prover<R> {
    /// Gives the hashes of the shared proof of leaves `indices`, which rise, one by one.
    ///
    /// Nothing is proved of an index that is not below the size, or that does not rise: whoever verifies refuses it.
    pub fn shared(
        &mut self,
        indices: impl IntoIterator<Item = u64>,
        take: &mut dyn FnMut(Hash),
    ) -> Result<(), ProveError<R::Error>> {
        let size = self.size();
        if size == 0 { Ok(()) } else { self.shared_under(0, size, &mut indices.into_iter().peekable(), take) }
    }

    fn shared_under(
        &mut self,
        low: u64,
        high: u64,
        indices: &mut Peekable<impl Iterator<Item = u64>>,
        take: &mut dyn FnMut(Hash),
    ) -> Result<(), ProveError<R::Error>> {
        if indices.peek().is_none_or(|index| *index >= high) {
            take(self.range(low, high)?);
            return Ok(());
        }
        if high - low == 1 {
            indices.next();
            return Ok(());
        }
        let middle = low + split(high - low);
        self.shared_under(low, middle, indices, take)?;
        self.shared_under(middle, high, indices, take)
    }
}

/// The root that `leaves`, given as index and leaf hash by rising index, and the hashes of their shared proof lead to in
/// a tree of `size` leaves. It is for the caller to hold it against a signed one.
///
/// Both are drawn from left to right as they are needed, to their very ends.
pub fn root_of_shared<E>(
    size: u64,
    leaves: impl Iterator<Item = Result<(u64, Hash), E>>,
    hashes: impl Iterator<Item = Result<Hash, E>>,
) -> Result<Hash, SharedProofError<E>> {
    let mut walk = Walk { size, leaves, hashes, next: None };
    walk.draw(None)?;
    let root = if size == 0 { crate::hash::empty_root() } else { walk.under(0, size)? };
    match walk.hashes.next() {
        None => Ok(root),
        Some(Err(error)) => Err(SharedProofError::Source(error)),
        Some(Ok(_)) => Err(SharedProofError::TooLong),
    }
}

struct Walk<L, H> {
    size: u64,
    leaves: L,
    hashes: H,
    next: Option<(u64, Hash)>,
}

impl<E, L, H> Walk<L, H>
where
    L: Iterator<Item = Result<(u64, Hash), E>>,
    H: Iterator<Item = Result<Hash, E>>,
{
    fn draw(&mut self, last: Option<u64>) -> Result<(), SharedProofError<E>> {
        self.next = self.leaves.next().transpose().map_err(SharedProofError::Source)?;
        match self.next {
            Some((index, _)) if index >= self.size => Err(SharedProofError::NoSuchLeaf { index, size: self.size }),
            Some((index, _)) if last.is_some_and(|last| index <= last) => Err(SharedProofError::Order { index }),
            _ => Ok(()),
        }
    }

    fn under(&mut self, low: u64, high: u64) -> Result<Hash, SharedProofError<E>> {
        let Some((index, leaf)) = self.next.filter(|(index, _)| *index < high) else {
            let hash = self.hashes.next().ok_or(SharedProofError::TooShort { low, high })?;
            return hash.map_err(SharedProofError::Source);
        };
        if high - low == 1 {
            self.draw(Some(index))?;
            return Ok(leaf);
        }
        let middle = low + split(high - low);
        let left = self.under(low, middle)?;
        Ok(node_hash(&left, &self.under(middle, high)?))
    }
}
