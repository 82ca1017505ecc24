//! Prints what this machine does in a second: leaves pushed on a tree, proofs made and checked, signatures verified.
//!
//! `cargo bench -p tlog`. Each number is the best of five runs, one thread.
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time; nothing of it is in the library")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails should say where")]

use std::hint::black_box;
use std::time::Instant;
use tlog::{
    Checkpoint, Frontier, Hash, KeyName, MemoryTree, Prover, SignedCheckpoint, SigningKey, TileEdge, Verifier as _,
    leaf_hash, verify_consistency, verify_inclusion,
};

const LEAVES: u64 = 1 << 20;
const RUNS: u32 = 5;

/// Units a second, from the fastest of the runs of `work`, which does `units` of them.
fn rate(what: &str, units: u64, mut work: impl FnMut()) {
    let seconds = (0..RUNS).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    });
    let best = seconds.fold(f64::INFINITY, f64::min);
    println!("{what:<52} {:>12.0} /s  {:>10.3} us each", units as f64 / best, best * 1e6 / units as f64);
}

fn digest(i: u64) -> [u8; 32] {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&i.to_be_bytes());
    digest
}

fn trees(leaves: &[Hash]) {
    rate("leaf hashes of 32-byte digests", LEAVES, || {
        for i in 0..LEAVES {
            black_box(leaf_hash(&digest(i)));
        }
    });
    rate("leaves pushed on a frontier, already hashed", LEAVES, || {
        let mut frontier = Frontier::new();
        leaves.iter().for_each(|leaf| frontier.push(*leaf));
        black_box(frontier.root());
    });
    rate("leaves hashed and pushed on a frontier", LEAVES, || {
        let mut frontier = Frontier::new();
        (0..LEAVES).for_each(|i| frontier.push(leaf_hash(&digest(i))));
        black_box(frontier.root());
    });
    rate("leaves hashed and pushed on an edge, tiles out", LEAVES, || {
        let mut edge = TileEdge::new();
        for i in 0..LEAVES {
            edge.push(leaf_hash(&digest(i)), |_, hashes| {
                black_box(hashes);
            });
        }
        black_box(edge.root());
    });
}

fn proofs(leaves: &[Hash]) {
    let mut tree = MemoryTree::new();
    leaves.iter().for_each(|leaf| tree.push(*leaf));
    let (size, root) = (tree.size(), tree.root());
    let indices: Vec<u64> = (0..1000).map(|i| i * 104_729 % size).collect();
    rate("inclusion proofs made, 2^20 leaves, cold", 1000, || {
        indices.iter().for_each(|i| drop(black_box(Prover::new(&tree, size).inclusion(*i).unwrap())));
    });
    rate("inclusion proofs made, 2^20 leaves, neighbours", 1000, || {
        let mut prover = Prover::new(&tree, size);
        (5000..6000).for_each(|i| drop(black_box(prover.inclusion(i).unwrap())));
    });
    let mut prover = Prover::new(&tree, size);
    let paths: Vec<_> = indices.iter().map(|i| prover.inclusion(*i).unwrap()).collect();
    rate("inclusion proofs checked, 2^20 leaves", 1000, || {
        for (index, path) in indices.iter().zip(&paths) {
            verify_inclusion(&leaves[*index as usize], *index, size, &root, path).unwrap();
        }
    });
    let old = 700_001;
    let old_root = Prover::new(&tree, old).root().unwrap();
    let path = prover.consistency(old).unwrap();
    rate("consistency proofs checked, 700001 to 2^20", 1000, || {
        (0..1000).for_each(|_| verify_consistency(old, &old_root, size, &root, black_box(&path)).unwrap());
    });
}

fn signatures() {
    let key = SigningKey::from_seed(KeyName::new("log.example/a").unwrap(), &[1; 32]).unwrap();
    let checkpoint = Checkpoint::new("log.example/a", LEAVES, leaf_hash(b"")).unwrap();
    let signed = checkpoint.sign(&key).unwrap();
    let (text, signature) = (signed.note().text(), signed.note().signatures()[0].signature());
    let verifier = key.verifier_key();
    rate("Ed25519 signatures verified (strict)", 1000, || {
        (0..1000).for_each(|_| verifier.verify(black_box(text), signature).unwrap());
    });
    let (bytes, keys) = (signed.to_string(), [verifier.clone()]);
    rate("checkpoints opened", 1000, || {
        (0..1000).for_each(|_| drop(black_box(SignedCheckpoint::open(bytes.as_bytes(), &keys).unwrap())));
    });
    rate("checkpoints signed", 1000, || {
        (0..1000).for_each(|_| drop(black_box(checkpoint.sign(&key).unwrap())));
    });
}

fn main() {
    // `cargo test --benches` runs this too, with `--test` or nothing: only `cargo bench` passes `--bench`.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let leaves: Vec<Hash> = (0..LEAVES).map(|i| leaf_hash(&digest(i))).collect();
    trees(&leaves);
    proofs(&leaves);
    signatures();
}
