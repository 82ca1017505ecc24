//! A tree held in memory.

use crate::frontier::Frontier;
use crate::hash::Hash;
use crate::prover::TileReader;
use crate::tile::Tile;

/// A tree that keeps every tile in memory: for tests, and for logs small enough.
#[derive(Debug, Clone, Default)]
pub struct MemoryTree {
    frontier: Frontier,
    /// By tile level, all hashes of its tiles from the left.
    levels: Vec<Vec<Hash>>,
}

/// The tree has grown to no such tile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{tile} is not in a tree of {size}")]
pub struct NoSuchTile {
    /// The tile asked for.
    pub tile: Tile,
    /// Leaves in the tree.
    pub size: u64,
}

impl MemoryTree {
    /// The tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a leaf, given as its hash.
    pub fn push(&mut self, leaf: Hash) {
        let levels = &mut self.levels;
        self.frontier.push_with(leaf, |subtree| {
            if subtree.level % Tile::HEIGHT == 0 {
                let level = usize::from(subtree.level / Tile::HEIGHT);
                if levels.len() == level {
                    levels.push(Vec::new());
                }
                levels[level].push(subtree.hash);
            }
        });
    }

    /// Leaves in the tree.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The RFC 6962 tree hash.
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }
}

impl TileReader for MemoryTree {
    type Error = NoSuchTile;

    fn tile(&self, tile: Tile) -> Result<Vec<u8>, NoSuchTile> {
        let size = self.size();
        let missing = NoSuchTile { tile, size };
        if !tile.is_within(size) {
            return Err(missing);
        }
        let start = usize::try_from(tile.index()).ok().and_then(|i| i.checked_mul(Tile::FULL_WIDTH.into()));
        let hashes = self
            .levels
            .get(usize::from(tile.level()))
            .zip(start)
            .and_then(|(hashes, start)| hashes.get(start..start + usize::from(tile.width())));
        hashes.map(Tile::encode).ok_or(missing)
    }
}
