//! Growing a tiled log: the right edge of its tree with the tiles that are still partial.

use crate::frontier::{Frontier, FrontierError};
use crate::hash::Hash;
use crate::prover::{ProveError, TileReader};
use crate::tile::{Tile, hashes_at};

/// A [`Frontier`] that also keeps the partial tiles, so that each tile can be written as it fills and, when a
/// checkpoint is due, as far as it has come.
///
/// Memory is at most 8 KiB a tile level, so 64 KiB for any log. Opening a log of any size reads one tile a level.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TileEdge {
    frontier: Frontier,
    /// By tile level, the hashes of its partial tile; empty when its last tile is full.
    partial: Vec<Vec<Hash>>,
}

/// Why a log's edge could not be taken up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenEdgeError<E> {
    /// A partial tile could not be read.
    #[error(transparent)]
    Tile(#[from] ProveError<E>),
    /// The tiles do not join. Higher levels go first and each has at most 255 hashes, so this is a bug here.
    #[error(transparent)]
    Join(#[from] FrontierError),
    /// The tiles are not those of the tree with this root.
    #[error("the tiles of {size} leaves hash to root {computed}, not {root}")]
    WrongRoot {
        /// Leaves in the log.
        size: u64,
        /// Root of the tiles read.
        computed: Hash,
        /// Root that is trusted.
        root: Hash,
    },
}

impl TileEdge {
    /// The edge of a log without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes up a log of `size` entries, reading the partial tile of each level. They must hash to `root`, which
    /// the caller trusts (from its last signed checkpoint).
    pub fn open<R: TileReader>(reader: &R, size: u64, root: &Hash) -> Result<Self, OpenEdgeError<R::Error>> {
        let mut edge = Self::new();
        for level in 0..=Tile::MAX_LEVEL {
            let Some(hashes) = hashes_at(level, size).filter(|hashes| *hashes > 0) else { break };
            edge.partial.push(read_partial(reader, level, hashes)?);
        }
        for (level, hashes) in edge.partial.iter().enumerate().rev() {
            let height = level as u8 * Tile::HEIGHT;
            for hash in hashes {
                edge.frontier.push_subtree(height, *hash)?;
            }
        }
        let computed = edge.frontier.root();
        if computed == *root { Ok(edge) } else { Err(OpenEdgeError::WrongRoot { size, computed, root: *root }) }
    }

    /// Appends one leaf, given as its hash. `filled` is told of each tile that this leaf fills, lowest level first,
    /// with its 256 hashes; such a tile never changes again.
    pub fn push(&mut self, leaf: Hash, mut filled: impl FnMut(Tile, &[Hash])) {
        let partial = &mut self.partial;
        self.frontier.push_with(leaf, |subtree| {
            if subtree.level % Tile::HEIGHT != 0 {
                return;
            }
            let level = subtree.level / Tile::HEIGHT;
            if partial.len() == usize::from(level) {
                partial.push(Vec::with_capacity(Tile::FULL_WIDTH.into()));
            }
            let hashes = &mut partial[usize::from(level)];
            hashes.push(subtree.hash);
            if hashes.len() == usize::from(Tile::FULL_WIDTH) {
                let index = subtree.index / u64::from(Tile::FULL_WIDTH);
                if let Ok(tile) = Tile::new(level, index, Tile::FULL_WIDTH) {
                    filled(tile, hashes);
                }
                hashes.clear();
            }
        });
    }

    /// The partial tiles of the tree as it stands, lowest level first: with the filled ones, what must be durable
    /// before a checkpoint of this size is signed (I4).
    pub fn partial_tiles(&self) -> impl Iterator<Item = (Tile, &[Hash])> {
        self.partial.iter().enumerate().filter_map(|(level, hashes)| {
            let level = level as u8;
            let index = hashes_at(level, self.size())? / u64::from(Tile::FULL_WIDTH);
            let tile = Tile::new(level, index, u16::try_from(hashes.len()).ok()?).ok()?;
            Some((tile, hashes.as_slice()))
        })
    }

    /// Leaves in the tree.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The RFC 6962 tree hash.
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// The tree's frontier.
    pub fn frontier(&self) -> &Frontier {
        &self.frontier
    }
}

/// The hashes past the last full tile of a level that holds `hashes` in all.
fn read_partial<R: TileReader>(reader: &R, level: u8, hashes: u64) -> Result<Vec<Hash>, ProveError<R::Error>> {
    let width = (hashes % u64::from(Tile::FULL_WIDTH)) as u16;
    if width == 0 {
        return Ok(Vec::with_capacity(Tile::FULL_WIDTH.into()));
    }
    let tile = Tile::new(level, hashes / u64::from(Tile::FULL_WIDTH), width)?;
    let bytes = reader.tile(tile).map_err(|source| ProveError::Read { tile, source })?;
    Ok(tile.decode(&bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;
    use crate::memory::MemoryTree;
    use crate::tile::tiles_of;
    use std::collections::BTreeMap;

    #[test]
    fn writes_every_tile_once_and_reopens_at_any_size() {
        let mut edge = TileEdge::new();
        let mut tree = MemoryTree::new();
        let mut written = BTreeMap::new();
        for i in 0..70_000u64 {
            if i < 600 || i % 4099 == 0 {
                assert_eq!(TileEdge::open(&tree, i, &tree.root()), Ok(edge.clone()), "size {i}");
                assert_eq!(edge.root(), tree.root());
            }
            let leaf = leaf_hash(&i.to_be_bytes());
            tree.push(leaf);
            edge.push(leaf, |tile, hashes| {
                assert_eq!(written.insert(tile, Tile::encode(hashes)), None, "{tile} written twice");
            });
        }
        written.extend(edge.partial_tiles().map(|(tile, hashes)| (tile, Tile::encode(hashes))));
        let all: BTreeMap<_, _> = tiles_of(70_000).map(|tile| (tile, tree.tile(tile).unwrap())).collect();
        assert!(written == all);
    }

    #[test]
    fn tiles_of_another_tree_are_refused() {
        let mut tree = MemoryTree::new();
        (0..300u64).for_each(|i| tree.push(leaf_hash(&i.to_be_bytes())));
        let other = leaf_hash(b"other");
        let found = TileEdge::open(&tree, 300, &other);
        assert_eq!(found, Err(OpenEdgeError::WrongRoot { size: 300, computed: tree.root(), root: other }));
        assert!(matches!(TileEdge::open(&tree, 301, &other), Err(OpenEdgeError::Tile(_))));
    }
}
