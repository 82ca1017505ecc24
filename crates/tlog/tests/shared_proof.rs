//! Shared proofs: of any set of leaves, as small as can be, and with nothing in them that could be otherwise.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::convert::Infallible;

use proptest::prelude::*;
use tlog::{Hash, MemoryTree, Prover, SharedProofError, leaf_hash, root_of_shared};

fn tree(size: u64) -> MemoryTree {
    let mut tree = MemoryTree::new();
    (0..size).for_each(|i| tree.push(leaf_hash(&i.to_be_bytes())));
    tree
}

fn prove(tree: &MemoryTree, indices: &[u64]) -> Vec<Hash> {
    let mut hashes = Vec::new();
    Prover::new(tree, tree.size()).shared(indices.iter().copied(), &mut |hash| hashes.push(hash)).unwrap();
    hashes
}

fn root(size: u64, leaves: &[(u64, Hash)], hashes: &[Hash]) -> Result<Hash, SharedProofError<Infallible>> {
    root_of_shared(size, leaves.iter().copied().map(Ok), hashes.iter().copied().map(Ok))
}

fn leaves(indices: &[u64]) -> Vec<(u64, Hash)> {
    indices.iter().map(|i| (*i, leaf_hash(&i.to_be_bytes()))).collect()
}

#[test]
fn a_stretch_takes_two_hashes_a_level_and_one_leaf_no_more_than_its_path() {
    let tree = tree(1000);
    assert_eq!(prove(&tree, &(0..1000).collect::<Vec<_>>()), []);
    assert_eq!(prove(&tree, &[]), [tree.root()]);
    assert!(prove(&tree, &(101..899).collect::<Vec<_>>()).len() <= 20);
    for index in [0, 421, 999] {
        let path = Prover::new(&tree, 1000).inclusion(index).unwrap();
        assert_eq!(prove(&tree, &[index]).len(), path.len());
    }
    assert_eq!(root(0, &[], &[]).unwrap(), tlog::empty_root());
}

proptest! {
    #[test]
    fn any_set_of_leaves_leads_to_the_root(
        size in 1u64..600, picks in proptest::collection::vec(any::<u64>(), 0..80), at in any::<usize>(), bit in 0usize..256,
    ) {
        let tree = tree(size);
        let mut indices: Vec<u64> = picks.iter().map(|pick| pick % size).collect();
        indices.sort_unstable();
        indices.dedup();
        let (hashes, leaves) = (prove(&tree, &indices), leaves(&indices));
        prop_assert_eq!(root(size, &leaves, &hashes), Ok(tree.root()));
        // One hash more or less, one changed, one leaf changed, moved, left out or twice there: never the root.
        let wrong = |leaves: &[(u64, Hash)], hashes: &[Hash]| root(size, leaves, hashes) != Ok(tree.root());
        let longer: Vec<Hash> = hashes.iter().copied().chain([tree.root()]).collect();
        prop_assert_eq!(root(size, &leaves, &longer), Err(SharedProofError::TooLong));
        if !hashes.is_empty() {
            prop_assert!(wrong(&leaves, &hashes[1..]));
            let mut changed = hashes.clone();
            let place = at % changed.len();
            changed[place].0[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(wrong(&leaves, &changed));
        }
        if !leaves.is_empty() {
            let place = at % leaves.len();
            let mut changed = leaves.clone();
            changed[place].1.0[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(wrong(&changed, &hashes));
            let mut less = leaves.clone();
            less.remove(place);
            prop_assert!(wrong(&less, &hashes));
            let mut twice = leaves.clone();
            twice.insert(place, leaves[place]);
            prop_assert_eq!(root(size, &twice, &hashes), Err(SharedProofError::Order { index: leaves[place].0 }));
            let mut moved = leaves.clone();
            moved[place].0 += 1;
            prop_assert!(wrong(&moved, &hashes));
        }
        let beyond = [leaves.as_slice(), &[(size, tree.root())]].concat();
        prop_assert_eq!(root(size, &beyond, &hashes), Err(SharedProofError::NoSuchLeaf { index: size, size }));
    }
}
