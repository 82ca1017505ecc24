//! Making inclusion and consistency proofs from tiles.

use crate::hash::{Hash, empty_root, node_hash};
use crate::tile::{Tile, TileError};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Where the tiles of a tree are read from: memory, a folder, a server.
pub trait TileReader {
    /// Why a tile could not be read.
    type Error;

    /// The contents of `tile`: at least `tile.width()` hashes of 32 bytes. A wider version of the same tile may be
    /// returned, since a log may drop a partial tile once the full one stands.
    ///
    /// What is returned need not be true. A false tile makes a proof that does not verify, never one that wrongly
    /// does; so whoever makes a proof for others verifies it against the signed root before handing it out.
    fn tile(&self, tile: Tile) -> Result<Vec<u8>, Self::Error>;
}

impl<R: TileReader> TileReader for &R {
    type Error = R::Error;

    fn tile(&self, tile: Tile) -> Result<Vec<u8>, Self::Error> {
        (**self).tile(tile)
    }
}

/// Why a proof could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProveError<E> {
    /// The tree has no such leaf.
    #[error("no leaf {index} in a tree of {size}")]
    NoSuchLeaf {
        /// Leaf asked for.
        index: u64,
        /// Leaves in the tree.
        size: u64,
    },
    /// A tree only grows.
    #[error("a tree of {size} leaves can not be shown to extend one of {from}")]
    Shrinks {
        /// Leaves in the smaller tree, as asked.
        from: u64,
        /// Leaves in the tree.
        size: u64,
    },
    /// Every tree extends the empty one; verifiers refuse a proof of that.
    #[error("a consistency proof from the empty tree says nothing and is refused by verifiers")]
    FromEmpty,
    /// The reader could not supply a tile.
    #[error("{tile} could not be read")]
    Read {
        /// The tile.
        tile: Tile,
        /// The reader's reason.
        source: E,
    },
    /// The reader supplied something that is not this tile.
    #[error(transparent)]
    Contents(#[from] TileError),
    /// The tree of this size has no such tile. The prover asks for none such, so this is a bug here.
    #[error("tile {index} of level {level} is not in a tree of {size}")]
    OutsideTree {
        /// Tile level.
        level: u8,
        /// Tile index.
        index: u64,
        /// Leaves in the tree.
        size: u64,
    },
}

/// Tiles kept by one prover, 1 MiB when full: a proof in the largest tree touches 16.
const CACHED_TILES_MAX: usize = 64;

/// The complete subtrees that a tile spans: its hashes, then pairs of them, up to the root of a full tile.
///
/// A proof through a tile needs nearly all of these hashes, so they cost the first proof nothing and make the next
/// ones look-ups.
type TileNodes = Vec<Vec<Hash>>;

/// Makes proofs in the tree of one size, keeping the tiles it read for the next proof.
///
/// Paths are those of RFC 6962 sections 2.1.1 and 2.1.2.
#[derive(Debug)]
pub struct Prover<R> {
    reader: R,
    size: u64,
    cache: HashMap<(u8, u64), TileNodes>,
}

impl<R: TileReader> Prover<R> {
    /// A prover for the tree of the first `size` leaves.
    pub fn new(reader: R, size: u64) -> Self {
        Self { reader, size, cache: HashMap::new() }
    }

    /// Leaves in the tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree, as the tiles have it.
    pub fn root(&mut self) -> Result<Hash, ProveError<R::Error>> {
        if self.size == 0 { Ok(empty_root()) } else { self.range(0, self.size) }
    }

    /// The inclusion proof of leaf `index`: sibling hashes from the leaf up.
    pub fn inclusion(&mut self, index: u64) -> Result<Vec<Hash>, ProveError<R::Error>> {
        if index >= self.size {
            return Err(ProveError::NoSuchLeaf { index, size: self.size });
        }
        let (mut low, mut high) = (0, self.size);
        let mut siblings = Vec::new();
        while high - low > 1 {
            let middle = low + split(high - low);
            if index < middle {
                siblings.push((middle, high));
                high = middle;
            } else {
                siblings.push((low, middle));
                low = middle;
            }
        }
        self.ranges_upward(&siblings)
    }

    /// The consistency proof from the tree of the first `from` leaves to this one. Empty when they are the same.
    pub fn consistency(&mut self, from: u64) -> Result<Vec<Hash>, ProveError<R::Error>> {
        if from == 0 {
            return Err(ProveError::FromEmpty);
        }
        if from > self.size {
            return Err(ProveError::Shrinks { from, size: self.size });
        }
        let (mut low, mut high) = (0, self.size);
        let mut siblings = Vec::new();
        while from != high {
            let middle = low + split(high - low);
            if from <= middle {
                siblings.push((middle, high));
                high = middle;
            } else {
                siblings.push((low, middle));
                low = middle;
            }
        }
        // When the smaller tree is itself a complete subtree, its root is what the verifier already has.
        if low > 0 {
            siblings.push((low, high));
        }
        self.ranges_upward(&siblings)
    }

    fn ranges_upward(&mut self, ranges: &[(u64, u64)]) -> Result<Vec<Hash>, ProveError<R::Error>> {
        ranges.iter().rev().map(|(low, high)| self.range(*low, *high)).collect()
    }

    /// MTH of leaves `low..high`, not empty, where `low` is a multiple of a power of two not below the length: it
    /// splits into complete subtrees by the bits of its length.
    pub(crate) fn range(&mut self, low: u64, high: u64) -> Result<Hash, ProveError<R::Error>> {
        let mut end = high;
        let mut right: Option<Hash> = None;
        loop {
            let level = (end - low).trailing_zeros();
            end -= 1 << level;
            let left = self.subtree(level, end >> level)?;
            let joined = right.map_or(left, |right| node_hash(&left, &right));
            if end == low {
                return Ok(joined);
            }
            right = Some(joined);
        }
    }

    /// The hash of complete subtree `index` of tree level `level`, from the tile that spans it.
    fn subtree(&mut self, level: u32, index: u64) -> Result<Hash, ProveError<R::Error>> {
        let height = u32::from(Tile::HEIGHT);
        let (tile_level, within) = ((level / height) as u8, level % height);
        let tile_index = index >> (height - within);
        let position = index - (tile_index << (height - within));
        let outside = ProveError::OutsideTree { level: tile_level, index: tile_index, size: self.size };
        let nodes = self.tile(tile_level, tile_index)?;
        nodes.get(within as usize).and_then(|row| row.get(position as usize)).copied().ok_or(outside)
    }

    fn tile(&mut self, level: u8, index: u64) -> Result<&TileNodes, ProveError<R::Error>> {
        if self.cache.len() >= CACHED_TILES_MAX && !self.cache.contains_key(&(level, index)) {
            self.cache.clear();
        }
        match self.cache.entry((level, index)) {
            Entry::Occupied(kept) => Ok(kept.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(read_nodes(&self.reader, level, index, self.size)?)),
        }
    }
}

fn read_nodes<R: TileReader>(reader: &R, level: u8, index: u64, size: u64) -> Result<TileNodes, ProveError<R::Error>> {
    let tile = Tile::in_tree(level, index, size).ok_or(ProveError::OutsideTree { level, index, size })?;
    let bytes = reader.tile(tile).map_err(|source| ProveError::Read { tile, source })?;
    let mut row = tile.decode(&bytes)?;
    let mut nodes = Vec::with_capacity(usize::from(Tile::HEIGHT) + 1);
    while row.len() > 1 {
        let (pairs, _) = row.as_chunks::<2>();
        let above = pairs.iter().map(|[left, right]| node_hash(left, right)).collect();
        nodes.push(std::mem::replace(&mut row, above));
    }
    nodes.push(row);
    Ok(nodes)
}

/// The largest power of two below `n`, for `n` of 2 and more: where RFC 6962 splits a tree.
pub(crate) fn split(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;
    use crate::memory::{MemoryTree, NoSuchTile};

    #[test]
    fn splits_as_the_rfc_does() {
        let splits: Vec<_> = [2, 3, 4, 5, 8, 9, 1 << 63, u64::MAX].into_iter().map(split).collect();
        assert_eq!(splits, [1, 2, 2, 4, 4, 8, 1 << 62, 1 << 63]);
    }

    #[test]
    fn asks_for_nothing_outside_the_tree() {
        let mut tree = MemoryTree::new();
        (0..5u8).for_each(|i| tree.push(leaf_hash(&[i])));
        let mut prover = Prover::new(&tree, 5);
        assert_eq!(prover.inclusion(5), Err(ProveError::NoSuchLeaf { index: 5, size: 5 }));
        assert_eq!(prover.consistency(6), Err(ProveError::Shrinks { from: 6, size: 5 }));
        assert_eq!(prover.consistency(0), Err(ProveError::FromEmpty));
        assert_eq!(prover.consistency(5), Ok(Vec::new()));
        assert_eq!(Prover::new(&tree, 0).root(), Ok(empty_root()));
        let tile = Tile::new(0, 0, 6).unwrap();
        let beyond = Prover::new(&tree, 6).root();
        assert_eq!(beyond, Err(ProveError::Read { tile, source: NoSuchTile { tile, size: 5 } }));
    }

    /// Answers every question with 256 equal hashes, so that trees of any size can be asked about.
    struct Uniform;

    impl TileReader for Uniform {
        type Error = std::convert::Infallible;

        fn tile(&self, _: Tile) -> Result<Vec<u8>, Self::Error> {
            Ok(vec![7; 256 * 32])
        }
    }

    #[test]
    fn the_largest_tree_is_no_special_case() {
        let mut prover = Prover::new(Uniform, u64::MAX);
        assert_eq!(prover.inclusion(0).unwrap().len(), 64);
        assert_eq!(prover.inclusion(u64::MAX - 1).unwrap().len(), 63);
        assert_eq!(prover.consistency(u64::MAX - 1).unwrap().len(), 64);
        assert!(prover.cache.len() <= CACHED_TILES_MAX);
    }
}
