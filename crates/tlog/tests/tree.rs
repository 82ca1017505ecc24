//! Properties of the tree: every proof made holds, and nothing near it does (T13).

use proptest::prelude::*;
use std::collections::BTreeSet;
use tlog::{
    Bundle, Frontier, Hash, MemoryTree, NoSuchTile, OpenEdgeError, Prover, Tile, TileEdge, TilePath, TileReader,
    decode_entries, encode_entries, leaf_hash, node_hash, tiles_changed, tiles_of, verify_consistency,
    verify_inclusion,
};

/// Past one full tile, so that every proof shape across a tile's edge is among them.
const LARGEST: u64 = 280;

fn leaf(index: u64) -> Hash {
    leaf_hash(&index.to_be_bytes())
}

fn tree(size: u64) -> MemoryTree {
    let mut tree = MemoryTree::new();
    (0..size).for_each(|i| tree.push(leaf(i)));
    tree
}

/// Roots of all trees from 0 leaves to `LARGEST`.
fn roots() -> Vec<Hash> {
    let mut frontier = Frontier::new();
    let mut roots = vec![frontier.root()];
    for i in 0..LARGEST {
        frontier.push(leaf(i));
        roots.push(frontier.root());
    }
    roots
}

#[test]
fn every_inclusion_proof_holds_for_its_own_leaf_and_place_only() {
    let (tree, roots) = (tree(LARGEST), roots());
    for size in 1..=LARGEST {
        let root = roots[size as usize];
        let mut prover = Prover::new(&tree, size);
        assert_eq!(prover.root().unwrap(), root);
        for index in 0..size {
            let path = prover.inclusion(index).unwrap();
            assert_eq!(verify_inclusion(&leaf(index), index, size, &root, &path), Ok(()), "{index} of {size}");
            assert!(verify_inclusion(&leaf(index + 1), index, size, &root, &path).is_err());
            for other in [index + 1, index ^ 1, index.wrapping_sub(1), size - 1 - index] {
                if other != index {
                    assert!(verify_inclusion(&leaf(index), other, size, &root, &path).is_err(), "{other} of {size}");
                }
            }
        }
    }
}

#[test]
fn every_consistency_proof_holds_for_its_own_sizes_only() {
    let (tree, roots) = (tree(LARGEST), roots());
    for new in 1..=LARGEST {
        let mut prover = Prover::new(&tree, new);
        for old in 1..=new {
            let path = prover.consistency(old).unwrap();
            let (old_root, new_root) = (roots[old as usize], roots[new as usize]);
            assert_eq!(verify_consistency(old, &old_root, new, &new_root, &path), Ok(()), "{old} to {new}");
            if old == new {
                continue;
            }
            assert!(verify_consistency(old, &new_root, new, &old_root, &path).is_err());
            assert!(verify_consistency(new, &new_root, old, &old_root, &path).is_err());
            assert!(verify_consistency(old - 1, &roots[old as usize - 1], new, &new_root, &path).is_err());
        }
    }
}

/// Each way of spoiling a path: a bit, a hash too many at any place, a hash too few, two exchanged.
fn spoiled(path: &[Hash], at: usize, bit: usize) -> Vec<Vec<Hash>> {
    let mut all = Vec::new();
    let at = at % (path.len() + 1);
    let mut longer = path.to_vec();
    longer.insert(at, path.get(at).copied().unwrap_or(leaf(0)));
    all.push(longer);
    if at < path.len() {
        let mut flipped = path.to_vec();
        flipped[at].0[bit / 8] ^= 1 << (bit % 8);
        all.push(flipped);
        let mut shorter = path.to_vec();
        shorter.remove(at);
        all.push(shorter);
        let mut swapped = path.to_vec();
        swapped.swap(0, at);
        if swapped != path {
            all.push(swapped);
        }
    }
    all
}

fn flip(hash: &Hash, bit: usize) -> Hash {
    let mut hash = *hash;
    hash.0[bit / 8] ^= 1 << (bit % 8);
    hash
}

/// A tree in whose storage one bit of one tile has turned.
struct Rotten {
    tree: MemoryTree,
    tile: Tile,
    bit: usize,
}

impl TileReader for Rotten {
    type Error = NoSuchTile;

    fn tile(&self, tile: Tile) -> Result<Vec<u8>, NoSuchTile> {
        let mut bytes = self.tree.tile(tile)?;
        if (tile.level(), tile.index()) == (self.tile.level(), self.tile.index()) {
            let bit = self.bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        Ok(bytes)
    }
}

/// Answers every question with equal hashes, so that trees of any size can be asked about.
struct Uniform;

impl TileReader for Uniform {
    type Error = std::convert::Infallible;

    fn tile(&self, tile: Tile) -> Result<Vec<u8>, Self::Error> {
        Ok(vec![7; tile.byte_len()])
    }
}

#[test]
fn the_largest_log_opens_and_is_proved_in() {
    let size = u64::MAX;
    let Err(OpenEdgeError::WrongRoot { computed, .. }) = TileEdge::open(&Uniform, size, &leaf(0)) else {
        panic!("opened under a root that is not its own")
    };
    let edge = TileEdge::open(&Uniform, size, &computed).unwrap();
    assert_eq!((edge.size(), edge.partial_tiles().count()), (size, 8));
    let mut prover = Prover::new(Uniform, size);
    assert_eq!(prover.root().unwrap(), computed);
    // Only the last leaf's path: elsewhere these tiles contradict each other, and the proof must fail for it.
    let path = prover.inclusion(size - 1).unwrap();
    assert_eq!(verify_inclusion(&Hash([7; 32]), size - 1, size, &computed, &path), Ok(()));
    let path = prover.inclusion(0).unwrap();
    assert!(verify_inclusion(&Hash([7; 32]), 0, size, &computed, &path).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn a_spoiled_inclusion_proof_fails(size in 1u64..700, index in any::<u64>(), at: usize, bit in 0usize..256, other: u64) {
        let (tree, index) = (tree(size), index % size);
        let (root, path) = (tree.root(), Prover::new(&tree, size).inclusion(index).unwrap());
        prop_assert!(verify_inclusion(&leaf(index), index, size, &root, &path).is_ok());
        prop_assert!(verify_inclusion(&flip(&leaf(index), bit), index, size, &root, &path).is_err());
        prop_assert!(verify_inclusion(&leaf(index), index, size, &flip(&root, bit), &path).is_err());
        prop_assert!(other == index || verify_inclusion(&leaf(index), other, size, &root, &path).is_err());
        for spoiled in spoiled(&path, at, bit) {
            prop_assert!(verify_inclusion(&leaf(index), index, size, &root, &spoiled).is_err());
        }
        // An inner node passed off as a leaf of a smaller tree: domains keep them apart (T14).
        if let Some((sibling, rest)) = path.split_first() {
            let parent = if index % 2 == 0 { node_hash(&leaf(index), sibling) } else { node_hash(sibling, &leaf(index)) };
            prop_assert_ne!(parent, leaf(index));
            prop_assert!(verify_inclusion(&parent, index, size, &root, rest).is_err());
        }
    }

    #[test]
    fn a_spoiled_consistency_proof_fails(new in 2u64..700, old in any::<u64>(), at: usize, bit in 0usize..256) {
        let old = 1 + old % (new - 1);
        let (before, after) = (tree(old), tree(new));
        let path = Prover::new(&after, new).consistency(old).unwrap();
        let holds = |old_root: &Hash, new_root: &Hash, path: &[Hash]| {
            verify_consistency(old, old_root, new, new_root, path).is_ok()
        };
        prop_assert!(holds(&before.root(), &after.root(), &path));
        prop_assert!(!holds(&flip(&before.root(), bit), &after.root(), &path));
        prop_assert!(!holds(&before.root(), &flip(&after.root(), bit), &path));
        for spoiled in spoiled(&path, at, bit) {
            prop_assert!(!holds(&before.root(), &after.root(), &spoiled));
        }
    }

    /// What storage gets wrong makes proofs that fail, never ones that hold (T1).
    #[test]
    fn a_rotten_tile_never_makes_a_false_proof(size in 1u64..700, index: u64, old: u64, tile: prop::sample::Index, bit: usize) {
        let (tree, index, old) = (tree(size), index % size, 1 + old % size);
        let (root, old_root) = (tree.root(), Prover::new(&tree, old).root().unwrap());
        let tiles: Vec<_> = tiles_of(size).collect();
        let honest = tree.clone();
        let rotten = Rotten { tree, tile: tiles[tile.index(tiles.len())], bit };
        let path = Prover::new(&rotten, size).inclusion(index).unwrap();
        let same = path == Prover::new(&honest, size).inclusion(index).unwrap();
        prop_assert_eq!(verify_inclusion(&leaf(index), index, size, &root, &path).is_ok(), same);
        let path = Prover::new(&rotten, size).consistency(old).unwrap();
        let same = path == Prover::new(&honest, size).consistency(old).unwrap();
        prop_assert_eq!(verify_consistency(old, &old_root, size, &root, &path).is_ok(), same);
        // The edge is made of partial tiles alone: it opens as it was, or not at all.
        if let Ok(edge) = TileEdge::open(&rotten, size, &root) {
            prop_assert_eq!(edge, TileEdge::open(&honest, size, &root).unwrap());
        }
    }

    #[test]
    fn an_edited_tree_is_not_consistent(new in 2u64..400, old in any::<u64>(), edited in any::<u64>()) {
        let old = 1 + old % (new - 1);
        let edited = edited % old;
        let mut other = MemoryTree::new();
        (0..new).for_each(|i| other.push(if i == edited { leaf(u64::MAX) } else { leaf(i) }));
        let path = Prover::new(&other, new).consistency(old).unwrap();
        prop_assert!(verify_consistency(old, &tree(old).root(), new, &other.root(), &path).is_err());
    }

    #[test]
    fn a_frontier_rebuilt_from_any_cut_is_the_one_pushed(size in 0u64..3000, level in 0u8..12) {
        let mut pushed = Frontier::new();
        let mut roots = Vec::new();
        for i in 0..size {
            pushed.push_with(leaf(i), |subtree| if subtree.level == level { roots.push(subtree.hash) });
        }
        let mut rebuilt = Frontier::new();
        roots.iter().for_each(|root| rebuilt.push_subtree(level, *root).unwrap());
        (rebuilt.size()..size).for_each(|i| rebuilt.push(leaf(i)));
        prop_assert_eq!(&rebuilt, &pushed);
        prop_assert_eq!(rebuilt.root(), tree(size).root());
    }

    #[test]
    fn tiles_cover_the_tree_exactly(size in 0u64..1 << 18) {
        let mut level_hashes = size;
        let mut tiles = tiles_of(size).peekable();
        let mut level = 0;
        while level_hashes > 0 {
            let mut covered = 0;
            while let Some(tile) = tiles.next_if(|tile| tile.level() == level) {
                prop_assert_eq!(tile.index() * 256, covered);
                prop_assert!(tile.is_within(size));
                prop_assert_eq!(Tile::in_tree(level, tile.index(), size), Some(tile));
                covered += u64::from(tile.width());
                prop_assert!(tile.is_full() || covered == level_hashes);
            }
            prop_assert_eq!(covered, level_hashes);
            level_hashes /= 256;
            level += 1;
        }
        prop_assert_eq!(tiles.next(), None);
        let entries: u64 = Bundle::changed(0, size).map(|bundle| u64::from(bundle.width())).sum();
        prop_assert_eq!(entries, size);
    }

    #[test]
    fn changed_tiles_are_the_new_ones(a in 0u64..200_000, more in 0u64..70_000) {
        let before: BTreeSet<_> = tiles_of(a).collect();
        let after: BTreeSet<_> = tiles_of(a + more).collect();
        let changed: BTreeSet<_> = tiles_changed(a, a + more).collect();
        prop_assert_eq!(changed, after.difference(&before).copied().collect());
    }

    #[test]
    fn tile_paths_round_trip(level in 0u8..64, index: u64, small in 0u64..2000, width in 1u16..=256) {
        for index in [index, small] {
            let tile = Tile::new(level, index, width).unwrap();
            prop_assert_eq!(tile.to_string().parse(), Ok(tile));
            let bundle = Bundle::new(index, width).unwrap();
            prop_assert_eq!(bundle.to_string().parse(), Ok(bundle));
        }
    }

    #[test]
    fn any_path_parses_to_itself_or_not_at_all(path in "(tile/)?([0-9]{1,3}|entries)(/x?[0-9]{2,4}){0,4}(\\.p/[0-9]{0,3})?|.*") {
        if let Ok(parsed) = path.parse::<TilePath>() {
            prop_assert_eq!(parsed.to_string(), path);
        }
    }

    #[test]
    fn bundles_round_trip(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..=256)) {
        let bytes = encode_entries(&entries).unwrap();
        let width = entries.len() as u16;
        prop_assert_eq!(decode_entries(&bytes, width).unwrap(), entries);
        prop_assert!(decode_entries(&bytes[..bytes.len() - 1], width).is_err());
        prop_assert!(decode_entries(&[&bytes[..], &[0]].concat(), width).is_err());
    }

    #[test]
    fn any_bytes_are_a_bundle_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600), width: u16) {
        if let Ok(entries) = decode_entries(&bytes, width) {
            prop_assert_eq!(encode_entries(&entries).unwrap(), bytes);
        }
    }
}
