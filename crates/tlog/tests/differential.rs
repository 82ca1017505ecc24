//! Held against three implementations written by others: `ct-merkle` for trees and proofs, `tlog_tiles` and
//! `signed_note` (of Cloudflare's azul) for tiles, checkpoints and notes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use signed_note::{StandardSigner, StandardVerifier, VerifierList};
use std::cell::RefCell;
use tlog::{
    Checkpoint, Hash, KeyName, MemoryTree, Note, Prover, SignedCheckpoint, SigningKey, Tile, TileReader, VerifierKey,
    leaf_hash, tiles_changed, verify_consistency, verify_inclusion,
};
use tlog_tiles::tlog as azul;

fn entry(index: u64) -> Vec<u8> {
    format!("entry {index}").into_bytes()
}

fn ours(size: u64) -> MemoryTree {
    let mut tree = MemoryTree::new();
    (0..size).for_each(|i| tree.push(leaf_hash(&entry(i))));
    tree
}

fn ct_merkle(size: u64) -> MemoryBackedTree<Sha256, Vec<u8>> {
    let mut tree = MemoryBackedTree::new();
    (0..size).for_each(|i| tree.push(entry(i)));
    tree
}

fn joined(path: &[Hash]) -> Vec<u8> {
    path.iter().flat_map(|hash| hash.0).collect()
}

/// All node hashes of an azul tree, in its storage order.
#[derive(Default)]
struct AzulTree(RefCell<Vec<azul::Hash>>);

impl azul::HashReader for AzulTree {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<azul::Hash>, azul::Error> {
        Ok(indexes.iter().map(|i| self.0.borrow()[*i as usize]).collect())
    }
}

fn azul_tree(size: u64) -> AzulTree {
    let tree = AzulTree::default();
    for i in 0..size {
        let hashes = azul::stored_hashes(i, &entry(i), &tree).unwrap();
        tree.0.borrow_mut().extend(hashes);
    }
    tree
}

fn theirs(path: &[Hash]) -> Vec<azul::Hash> {
    path.iter().map(|hash| azul::Hash(hash.0)).collect()
}

#[test]
fn ct_merkle_agrees_on_every_root_and_proof() {
    let ours = ours(130);
    for size in 1..=130u64 {
        let other = ct_merkle(size);
        let mut prover = Prover::new(&ours, size);
        let root = prover.root().unwrap();
        assert_eq!(root.0.as_slice(), other.root().as_bytes().as_slice());
        for index in 0..size {
            let path = prover.inclusion(index).unwrap();
            assert_eq!(joined(&path), other.prove_inclusion(index as usize).as_bytes(), "{index} of {size}");
        }
        for old in 1..size {
            let path = prover.consistency(old).unwrap();
            assert_eq!(joined(&path), other.prove_consistency((size - old) as usize).as_bytes(), "{old} to {size}");
        }
    }
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn ct_merkle_checks_our_proofs_and_we_its(size in 2u64..900, index: u64, old: u64) {
        let (ours, other) = (ours(size), ct_merkle(size));
        let (index, old) = (index % size, 1 + old % (size - 1));
        let mut prover = Prover::new(&ours, size);
        let path = prover.inclusion(index).unwrap();
        let theirs = ct_merkle::InclusionProof::<Sha256>::try_from_bytes(joined(&path)).unwrap();
        prop_assert!(other.root().verify_inclusion(&entry(index), index, &theirs).is_ok());
        let path: Vec<_> = other.prove_inclusion(index as usize).as_bytes().chunks(32).map(|h| Hash::try_from(h).unwrap()).collect();
        prop_assert!(verify_inclusion(&leaf_hash(&entry(index)), index, size, &ours.root(), &path).is_ok());

        let path: Vec<_> = other.prove_consistency((size - old) as usize).as_bytes().chunks(32).map(|h| Hash::try_from(h).unwrap()).collect();
        let old_root = Prover::new(&ours, old).root().unwrap();
        prop_assert!(verify_consistency(old, &old_root, size, &ours.root(), &path).is_ok());
    }

    #[test]
    fn azul_agrees_on_roots_proofs_and_tiles(size in 1u64..1500, index: u64, old: u64, from: u64) {
        let (ours, other) = (ours(size), azul_tree(size));
        let (index, old, from) = (index % size, 1 + old % size, from % (size + 1));
        prop_assert_eq!(azul::tree_hash(size, &other).unwrap().0, ours.root().0);
        let mut prover = Prover::new(&ours, size);
        let path = prover.inclusion(index).unwrap();
        prop_assert_eq!(&azul::prove_record(size, index, &other).unwrap(), &theirs(&path));
        let root = azul::Hash(ours.root().0);
        let leaf = azul::record_hash(&entry(index));
        prop_assert!(azul::check_record(&theirs(&path), size, root, index, leaf).is_ok());
        let path = prover.consistency(old).unwrap();
        prop_assert_eq!(&azul::prove_tree(size, old, &other).unwrap(), &theirs(&path));
        let old_root = azul::Hash(Prover::new(&ours, old).root().unwrap().0);
        prop_assert!(azul::check_tree(&theirs(&path), size, root, old, old_root).is_ok());

        let tiles: Vec<_> = tiles_changed(from, size).collect();
        let expected = tlog_tiles::Tile::new_tiles(8, from, size);
        prop_assert_eq!(tiles.len(), expected.len());
        for (tile, expected) in tiles.iter().zip(&expected) {
            let coordinates = (expected.level(), expected.level_index(), expected.width());
            prop_assert_eq!((tile.level(), tile.index(), u32::from(tile.width())), coordinates);
            prop_assert_eq!(ours.tile(*tile).unwrap(), expected.read_data(&other).unwrap());
        }
    }

    /// azul keeps the tile height in its paths (`tile/8/0/001`), C2SP does not (`tile/0/001`); the rest is the same.
    #[test]
    fn azul_agrees_on_paths(level in 0u8..64, index: u64, small in 0u64..1_100_000, width in 1u16..=256) {
        for index in [index, small] {
            let path = Tile::new(level, index, width).unwrap().to_string();
            let with_height = path.replacen("tile/", "tile/8/", 1);
            prop_assert_eq!(tlog_tiles::Tile::new(8, level, index, width.into(), false).path(), with_height);
        }
    }

    /// Levels above 63 and widths of 0 are left out: azul panics on them, here they are refused by name.
    #[test]
    fn azul_reads_the_same_paths(tail in "([0-9]|0[0-9]|[1-5][0-9]|6[0-3])(/x[0-9]{3}){0,3}/x?[0-9]{2,4}(\\.p/[1-9][0-9]{0,2})?") {
        let ours = format!("tile/{tail}").parse::<Tile>();
        let theirs = tlog_tiles::Tile::from_path(&format!("tile/8/{tail}"));
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{}", tail);
    }

    #[test]
    fn keys_and_notes_pass_both_ways(seed: [u8; 32], name in "[a-z./é]{1,20}", text in "[ -~é\n]{0,200}") {
        let text = format!("{text}\n");
        let key = SigningKey::from_seed(KeyName::new(&name).unwrap(), &seed).unwrap();
        let vkey = key.verifier_key().to_string();
        let signer = StandardSigner::new(&key.to_private()).unwrap();
        let known = VerifierList::new(vec![Box::new(StandardVerifier::new(&vkey).unwrap())]);

        let note = Note::new(text.clone(), key.sign(&text)).unwrap().to_string();
        let theirs = signed_note::Note::from_bytes(note.as_bytes()).unwrap();
        prop_assert_eq!(theirs.text(), text.as_bytes());
        prop_assert_eq!(theirs.verify(&known).unwrap().0.len(), 1);

        let mut theirs = signed_note::Note::new(text.as_bytes(), &[]).unwrap();
        theirs.add_sigs(&[&signer]).unwrap();
        let bytes = theirs.to_bytes();
        prop_assert_eq!(&bytes, note.as_bytes());
        prop_assert!(Note::parse(&bytes).unwrap().verify(&[key.verifier_key()]).is_ok());
    }

    #[test]
    fn checkpoints_pass_both_ways(seed: [u8; 32], size in 1u64.., root: [u8; 32]) {
        let origin = "log.example/trail";
        let key = SigningKey::from_seed(KeyName::new(origin).unwrap(), &seed).unwrap();
        let signed = Checkpoint::new(origin, size, Hash(root)).unwrap().sign(&key).unwrap();
        let theirs = tlog_tiles::Checkpoint::from_bytes(signed.note().text().as_bytes()).unwrap();
        prop_assert_eq!((theirs.origin(), theirs.size(), theirs.hash().0), (origin, size, root));

        let mut note = signed_note::Note::new(&theirs.to_bytes(), &[]).unwrap();
        note.add_sigs(&[&StandardSigner::new(&key.to_private()).unwrap()]).unwrap();
        let vkey: VerifierKey = key.verifier_key().to_string().parse().unwrap();
        prop_assert_eq!(SignedCheckpoint::open(&note.to_bytes(), &[vkey]).unwrap(), signed);
    }
}

#[test]
fn the_oracles_hash_the_same_library_but_not_our_code() {
    // RFC 6962 leaf and node hashes, written out once more.
    let digest = |parts: &[&[u8]]| <[u8; 32]>::from(Sha256::digest(parts.concat()));
    assert_eq!(leaf_hash(b"e").0, digest(&[&[0], b"e"]));
    assert_eq!(azul::record_hash(b"e").0, leaf_hash(b"e").0);
}
