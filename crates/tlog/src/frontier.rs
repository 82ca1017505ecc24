//! The right edge of an RFC 6962 tree: enough to append and to know the root, in O(log n) memory.

use crate::hash::{Hash, empty_root, node_hash};

/// A complete subtree: the hash of leaves `index << level .. (index + 1) << level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subtree {
    /// Height; a subtree of level `l` holds 2^l leaves, a leaf is level 0.
    pub level: u8,
    /// Which subtree of that level, from the left, from 0.
    pub index: u64,
    /// Its RFC 6962 hash.
    pub hash: Hash,
}

/// Why a [`Frontier`] can not be built from what was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrontierError {
    /// A subtree may only be appended where one of its level begins.
    #[error("a subtree of level {level} can not follow {size} leaves: it must begin at a multiple of its own size")]
    NotAligned {
        /// Leaves so far.
        size: u64,
        /// Level of the subtree.
        level: u8,
    },
    /// The tree would pass 2^64 - 1 leaves.
    #[error("a subtree of level {level} after {size} leaves passes the largest tree, 2^64 - 1 leaves")]
    TooLarge {
        /// Leaves so far.
        size: u64,
        /// Level of the subtree.
        level: u8,
    },
    /// A tree of n leaves has one node for each bit set in n.
    #[error("a frontier of {size} leaves has {expected} nodes, not {found}")]
    WrongNodes {
        /// Leaves claimed.
        size: u64,
        /// Nodes that size has.
        expected: u32,
        /// Nodes given.
        found: usize,
    },
}

/// A compact range from leaf 0: the roots of the complete subtrees that a tree of `size` leaves splits into,
/// largest first.
///
/// Appending costs one node hash on average. To open a large log without hashing all of it, push the known
/// roots of complete subtrees ([`Frontier::push_subtree`]), then the leaves that follow them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// One for each bit set in `size`, most significant first.
    nodes: Vec<Hash>,
}

impl Frontier {
    /// The tree without leaves.
    pub fn new() -> Self {
        Self { size: 0, nodes: Vec::with_capacity(64) }
    }

    /// Takes up a frontier that was stored: `nodes` as [`Frontier::nodes`] gave them.
    pub fn from_nodes(size: u64, nodes: Vec<Hash>) -> Result<Self, FrontierError> {
        let expected = size.count_ones();
        if usize::try_from(expected) == Ok(nodes.len()) {
            Ok(Self { size, nodes })
        } else {
            Err(FrontierError::WrongNodes { size, expected, found: nodes.len() })
        }
    }

    /// Leaves in the tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the complete subtrees, largest (leftmost) first: one for each bit set in [`Frontier::size`].
    pub fn nodes(&self) -> &[Hash] {
        &self.nodes
    }

    /// The RFC 6962 tree hash of all leaves.
    pub fn root(&self) -> Hash {
        let folded = self.nodes.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
        folded.unwrap_or_else(empty_root)
    }

    /// Appends one leaf, given as [`leaf_hash`](crate::leaf_hash) of its entry.
    ///
    /// A tree of 2^64 - 1 leaves can not be reached by pushing single leaves in this age, so this does not fail;
    /// the size wraps there.
    pub fn push(&mut self, leaf: Hash) {
        self.push_with(leaf, |_| {});
    }

    /// Appends one leaf and tells `completed` of each subtree that it completes, the leaf itself (level 0) first,
    /// then upward. A subtree of level 8(L+1) and index N is the root of the full tile N of tile level L.
    pub fn push_with(&mut self, leaf: Hash, completed: impl FnMut(Subtree)) {
        self.append(0, leaf, completed);
    }

    /// Appends 2^`level` leaves at once, given the hash of the complete subtree over them.
    ///
    /// The size must be a multiple of 2^`level`. Nothing here can check `hash`: compare [`Frontier::root`] with a
    /// root that is trusted.
    pub fn push_subtree(&mut self, level: u8, hash: Hash) -> Result<(), FrontierError> {
        let size = self.size;
        let leaves = 1u64.checked_shl(level.into()).ok_or(FrontierError::TooLarge { size, level })?;
        if !size.is_multiple_of(leaves) {
            return Err(FrontierError::NotAligned { size, level });
        }
        size.checked_add(leaves).ok_or(FrontierError::TooLarge { size, level })?;
        self.append(level, hash, |_| {});
        Ok(())
    }

    /// Appends an aligned subtree, merging as a binary counter carries.
    fn append(&mut self, level: u8, mut hash: Hash, mut completed: impl FnMut(Subtree)) {
        let mut at = level;
        let mut index = self.size >> level;
        completed(Subtree { level, index, hash });
        while index & 1 == 1 {
            let Some(left) = self.nodes.pop() else { break };
            hash = node_hash(&left, &hash);
            index >>= 1;
            at += 1;
            completed(Subtree { level: at, index, hash });
        }
        self.nodes.push(hash);
        self.size = self.size.wrapping_add(1 << level);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;

    fn leaves(n: u64) -> Vec<Hash> {
        (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect()
    }

    /// MTH as RFC 6962 section 2.1 writes it, with no thought of speed.
    fn mth(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [one] => *one,
            _ => {
                let k = leaves.len().next_power_of_two() / 2;
                node_hash(&mth(&leaves[..k]), &mth(&leaves[k..]))
            }
        }
    }

    #[test]
    fn roots_are_those_of_the_definition() {
        let leaves = leaves(300);
        let mut frontier = Frontier::new();
        for n in 0..=leaves.len() {
            assert_eq!(frontier.size(), n as u64);
            assert_eq!(frontier.root(), mth(&leaves[..n]), "size {n}");
            assert_eq!(frontier.nodes().len(), n.count_ones() as usize);
            if let Some(leaf) = leaves.get(n) {
                frontier.push(*leaf);
            }
        }
    }

    #[test]
    fn every_complete_subtree_is_told_once() {
        let leaves = leaves(200);
        let mut frontier = Frontier::new();
        let mut told = Vec::new();
        leaves.iter().for_each(|leaf| frontier.push_with(*leaf, |subtree| told.push(subtree)));
        for level in 0..8 {
            let of_level: Vec<_> = told.iter().filter(|s| s.level == level).collect();
            assert_eq!(of_level.len(), leaves.len() >> level);
            for (i, subtree) in of_level.iter().enumerate() {
                assert_eq!(subtree.index, i as u64);
                assert_eq!(subtree.hash, mth(&leaves[i << level..(i + 1) << level]));
            }
        }
    }

    #[test]
    fn rebuilt_from_subtrees_is_the_one_pushed() {
        let leaves = leaves(1000);
        let mut pushed = Frontier::new();
        leaves.iter().for_each(|leaf| pushed.push(*leaf));
        let mut rebuilt = Frontier::new();
        leaves.chunks_exact(256).for_each(|tile| rebuilt.push_subtree(8, mth(tile)).unwrap());
        leaves.chunks_exact(256).remainder().iter().for_each(|leaf| rebuilt.push(*leaf));
        assert_eq!(rebuilt, pushed);
        assert_eq!(Frontier::from_nodes(1000, pushed.nodes().to_vec()), Ok(pushed));
    }

    #[test]
    fn refuses_what_can_not_be_a_frontier() {
        let hash = leaf_hash(b"");
        let mut frontier = Frontier::new();
        frontier.push(hash);
        assert_eq!(frontier.push_subtree(1, hash), Err(FrontierError::NotAligned { size: 1, level: 1 }));
        assert_eq!(frontier.push_subtree(64, hash), Err(FrontierError::TooLarge { size: 1, level: 64 }));
        let mut half = Frontier::from_nodes(1 << 63, vec![hash]).unwrap();
        assert_eq!(half.push_subtree(63, hash), Err(FrontierError::TooLarge { size: 1 << 63, level: 63 }));
        let wrong = Frontier::from_nodes(3, vec![hash]);
        assert_eq!(wrong, Err(FrontierError::WrongNodes { size: 3, expected: 2, found: 1 }));
    }
}
