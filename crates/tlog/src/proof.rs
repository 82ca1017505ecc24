//! Checking inclusion and consistency proofs (RFC 6962 section 2.1, RFC 9162 section 2.1.3.2 and 2.1.4.2).
//!
//! A path's length follows from the sizes alone, so it is checked before anything is hashed: a path too long or too
//! short is refused for that, whatever it hashes to (T13). Agrees with every vector in `tests/vectors/rfc6962`.

use crate::hash::{Hash, node_hash};

/// Why an inclusion proof does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InclusionError {
    /// The tree has no such leaf.
    #[error("leaf {index} is not in a tree of {size}")]
    NoSuchLeaf {
        /// Leaf claimed.
        index: u64,
        /// Leaves in the tree.
        size: u64,
    },
    /// The path is too long or too short for this leaf in this tree.
    #[error("the path of leaf {index} in a tree of {size} has {expected} hashes, not {found}")]
    WrongLength {
        /// Leaf claimed.
        index: u64,
        /// Leaves in the tree.
        size: u64,
        /// Hashes that its path has.
        expected: usize,
        /// Hashes given.
        found: usize,
    },
    /// The path leads elsewhere: another leaf, another index or another tree.
    #[error("the path of leaf {index} leads to root {computed}, not {root}")]
    WrongRoot {
        /// Leaf claimed.
        index: u64,
        /// Root that the path leads to.
        computed: Hash,
        /// Root of the tree.
        root: Hash,
    },
}

/// Why a consistency proof does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsistencyError {
    /// A tree only grows.
    #[error("a tree of {new_size} leaves can not extend one of {old_size}")]
    Shrinks {
        /// Leaves in the old tree.
        old_size: u64,
        /// Leaves in the new tree.
        new_size: u64,
    },
    /// Every tree extends the empty one: such a proof says nothing and is refused.
    #[error("consistency with the empty tree proves nothing")]
    FromEmpty,
    /// Two roots for one size: a split view.
    #[error("two trees of {size} leaves have different roots, {old_root} and {new_root}")]
    Fork {
        /// Leaves in both trees.
        size: u64,
        /// Root of the old tree.
        old_root: Hash,
        /// Root of the new tree.
        new_root: Hash,
    },
    /// The path is too long or too short for these sizes.
    #[error("the path from {old_size} to {new_size} leaves has {expected} hashes, not {found}")]
    WrongLength {
        /// Leaves in the old tree.
        old_size: u64,
        /// Leaves in the new tree.
        new_size: u64,
        /// Hashes that the path has.
        expected: usize,
        /// Hashes given.
        found: usize,
    },
    /// The path does not lead to the old root.
    #[error("the path leads to {computed} for {old_size} leaves, not {root}")]
    WrongOldRoot {
        /// Leaves in the old tree.
        old_size: u64,
        /// Root that the path leads to.
        computed: Hash,
        /// Root of the old tree.
        root: Hash,
    },
    /// The path does not lead to the new root.
    #[error("the path leads to {computed} for {new_size} leaves, not {root}")]
    WrongNewRoot {
        /// Leaves in the new tree.
        new_size: u64,
        /// Root that the path leads to.
        computed: Hash,
        /// Root of the new tree.
        root: Hash,
    },
}

/// Checks that the leaf with hash `leaf` is leaf `index` of the tree of `size` leaves whose root is `root`.
///
/// `leaf` must be computed from the entry ([`leaf_hash`](crate::leaf_hash)), and `root` and `size` come from a
/// [`SignedCheckpoint`](crate::SignedCheckpoint): this function trusts all of them.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, root: &Hash, path: &[Hash]) -> Result<(), InclusionError> {
    if index >= size {
        return Err(InclusionError::NoSuchLeaf { index, size });
    }
    let shape = Shape::of(index, size);
    if path.len() != shape.inner + shape.border {
        let expected = shape.inner + shape.border;
        return Err(InclusionError::WrongLength { index, size, expected, found: path.len() });
    }
    let (inner, border) = path.split_at(shape.inner);
    let computed = climb_right(climb(*leaf, inner, index), border);
    if computed == *root { Ok(()) } else { Err(InclusionError::WrongRoot { index, computed, root: *root }) }
}

/// Checks that the tree of `new_size` leaves and root `new_root` extends the one of `old_size` and `old_root`.
///
/// Equal sizes need equal roots and an empty path. From size 0 nothing is proved and all is refused.
pub fn verify_consistency(
    old_size: u64,
    old_root: &Hash,
    new_size: u64,
    new_root: &Hash,
    path: &[Hash],
) -> Result<(), ConsistencyError> {
    if new_size < old_size {
        return Err(ConsistencyError::Shrinks { old_size, new_size });
    }
    if old_size == 0 {
        return Err(ConsistencyError::FromEmpty);
    }
    let wrong_length = |expected| ConsistencyError::WrongLength { old_size, new_size, expected, found: path.len() };
    if new_size == old_size {
        return if !path.is_empty() {
            Err(wrong_length(0))
        } else if old_root != new_root {
            Err(ConsistencyError::Fork { size: old_size, old_root: *old_root, new_root: *new_root })
        } else {
            Ok(())
        };
    }

    // The path is that of the last leaf of the old tree, from the largest subtree that ends with it.
    let shape = Shape::of(old_size - 1, new_size);
    let skipped = old_size.trailing_zeros();
    let inner = shape.inner - skipped as usize;
    // When the old tree is one complete subtree, that subtree's hash is the old root and is left out.
    let seed_in_path = usize::from(!old_size.is_power_of_two());
    let expected = seed_in_path + inner + shape.border;
    if path.len() != expected {
        return Err(wrong_length(expected));
    }
    let (seed, path) = match path {
        [seed, rest @ ..] if seed_in_path == 1 => (seed, rest),
        all => (old_root, all),
    };
    let (inner, border) = path.split_at(inner);
    let index = (old_size - 1) >> skipped;

    let computed = climb_right(climb_left_only(*seed, inner, index), border);
    if computed != *old_root {
        return Err(ConsistencyError::WrongOldRoot { old_size, computed, root: *old_root });
    }
    let computed = climb_right(climb(*seed, inner, index), border);
    if computed != *new_root {
        return Err(ConsistencyError::WrongNewRoot { new_size, computed, root: *new_root });
    }
    Ok(())
}

/// Of the path from a leaf to the root: below the node where it meets the path of the last leaf, siblings stand on
/// either side (`inner`); above it only on the left (`border`).
struct Shape {
    inner: usize,
    border: usize,
}

impl Shape {
    /// For `index < size`.
    fn of(index: u64, size: u64) -> Self {
        let inner = u64::BITS - (index ^ (size - 1)).leading_zeros();
        let border = index.checked_shr(inner).unwrap_or(0).count_ones();
        Self { inner: inner as usize, border: border as usize }
    }
}

/// Joins siblings on the side that the bits of `index` say.
fn climb(from: Hash, siblings: &[Hash], index: u64) -> Hash {
    siblings.iter().enumerate().fold(from, |hash, (level, sibling)| {
        if index >> level & 1 == 0 { node_hash(&hash, sibling) } else { node_hash(sibling, &hash) }
    })
}

/// Joins only the siblings on the left: those that the old tree had too.
fn climb_left_only(from: Hash, siblings: &[Hash], index: u64) -> Hash {
    let left = siblings.iter().enumerate().filter(|(level, _)| index >> level & 1 == 1);
    left.fold(from, |hash, (_, sibling)| node_hash(sibling, &hash))
}

/// Joins siblings that all stand on the left.
fn climb_right(from: Hash, siblings: &[Hash]) -> Hash {
    siblings.iter().fold(from, |hash, sibling| node_hash(sibling, &hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extreme_sizes_do_not_overflow() {
        let hash = Hash([7; 32]);
        for (index, size) in [(0, u64::MAX), (u64::MAX - 1, u64::MAX), (1 << 63, u64::MAX), (0, 1)] {
            for length in 0..70 {
                let _ = verify_inclusion(&hash, index, size, &hash, &vec![hash; length]);
                let _ = verify_consistency(index, &hash, size, &hash, &vec![hash; length]);
                let _ = verify_consistency(size - 1, &hash, size, &hash, &vec![hash; length]);
            }
        }
        assert_eq!(
            verify_inclusion(&hash, u64::MAX, u64::MAX, &hash, &[]),
            Err(InclusionError::NoSuchLeaf { index: u64::MAX, size: u64::MAX })
        );
    }

    #[test]
    fn a_path_of_the_wrong_length_is_refused_for_that() {
        let hash = Hash([7; 32]);
        for found in [0, 1, 2, 4, 64, 100] {
            let wrong = InclusionError::WrongLength { index: 5, size: 8, expected: 3, found };
            assert_eq!(verify_inclusion(&hash, 5, 8, &hash, &vec![hash; found]), Err(wrong));
            let wrong = ConsistencyError::WrongLength { old_size: 6, new_size: 8, expected: 3, found };
            assert_eq!(verify_consistency(6, &hash, 8, &hash, &vec![hash; found]), Err(wrong));
        }
        let wrong = ConsistencyError::WrongLength { old_size: 8, new_size: 8, expected: 0, found: 1 };
        assert_eq!(verify_consistency(8, &hash, 8, &hash, &[hash]), Err(wrong));
    }

    #[test]
    fn two_roots_of_one_size_are_named_a_fork() {
        let (a, b) = (Hash([1; 32]), Hash([2; 32]));
        let fork = ConsistencyError::Fork { size: 9, old_root: a, new_root: b };
        assert_eq!(verify_consistency(9, &a, 9, &b, &[]), Err(fork));
        assert_eq!(verify_consistency(0, &a, 9, &b, &[]), Err(ConsistencyError::FromEmpty));
    }
}
