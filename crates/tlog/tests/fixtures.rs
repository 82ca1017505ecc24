//! Files of the formats as this version writes them. A later version must read them still, and write them the same:
//! keys come from fixed seeds and Ed25519 draws no randomness, so every byte is known. The files were made from the
//! specifications by `fixtures/make.py`, with none of this crate and no library but SHA-2.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use tlog::{
    Checkpoint, KeyName, MemoryTree, Prover, SigningKey, TlogProof, WitnessPolicy, WitnessSigner, encode_entries,
    leaf_hash,
};

const POLICY: &str = include_str!("fixtures/policy.txt");
const PROOF: &str = include_str!("fixtures/entry-5.tlog-proof");

fn entry(index: u8) -> [u8; 32] {
    [index; 32]
}

fn written() -> (String, String) {
    let log = SigningKey::from_seed(KeyName::new("log.example/trail").unwrap(), &[1; 32]).unwrap();
    let witnesses: Vec<_> = (0..3u8)
        .map(|n| WitnessSigner::from_seed(KeyName::new(&format!("w{n}.example")).unwrap(), &[10 + n; 32]).unwrap())
        .collect();
    let mut policy = format!("# Two of three.\nlog {} https://log.example/trail/\n", log.verifier_key());
    for (n, witness) in witnesses.iter().enumerate() {
        policy += &format!("witness W{n} {}\n", witness.witness_key());
    }
    policy += "group enough 2 W0 W1 W2\nquorum enough\n";

    let mut tree = MemoryTree::new();
    (0..11).for_each(|i| tree.push(leaf_hash(&entry(i))));
    let mut signed = Checkpoint::new("log.example/trail", 11, tree.root()).unwrap().sign(&log).unwrap();
    for (time_s, witness) in (1_700_000_000..).zip(&witnesses[..2]) {
        signed.add_signature(witness.cosign(&signed, time_s).unwrap()).unwrap();
    }
    let path = Prover::new(&tree, 11).inclusion(5).unwrap();
    let proof = TlogProof { extra: b"salt".to_vec(), index: 5, path, checkpoint: signed.note().clone() };
    (policy, proof.to_string())
}

#[test]
fn the_files_verify() {
    let policy = WitnessPolicy::parse(POLICY.as_bytes()).unwrap();
    let found = TlogProof::parse(PROOF.as_bytes()).unwrap().verify(&leaf_hash(&entry(5)), &policy).unwrap();
    let times: Vec<_> = found.cosigned.iter().map(|c| (c.witness.to_string(), c.time_s)).collect();
    assert_eq!(times, [("W0".to_owned(), 1_700_000_000), ("W1".to_owned(), 1_700_000_001)]);
}

#[test]
fn the_files_are_written_the_same() {
    let (policy, proof) = written();
    assert_eq!(policy, POLICY);
    assert_eq!(proof, PROOF);
}

#[test]
fn a_bundle_is_lengths_and_digests() {
    let bytes = encode_entries(&[entry(0xaa), entry(0xbb)]).unwrap();
    assert_eq!(bytes, [&[0, 32][..], &[0xaa; 32], &[0, 32], &[0xbb; 32]].concat());
}
