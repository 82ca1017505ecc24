//! The proof vectors of transparency-dev/merkle (T13): the verifier agrees with each of them.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use tlog::{Hash, verify_consistency, verify_inclusion};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Inclusion {
    leaf_idx: u64,
    tree_size: u64,
    root: String,
    leaf_hash: String,
    proof: Option<Vec<String>>,
    #[serde(rename = "desc")]
    _desc: String,
    want_err: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Consistency {
    size1: u64,
    size2: u64,
    root1: String,
    root2: String,
    proof: Option<Vec<String>>,
    #[serde(rename = "desc")]
    _desc: String,
    #[serde(rename = "wantErr")]
    want_err: bool,
}

fn files(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/rfc6962").join(folder);
    let (mut folders, mut files) = (vec![root], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

/// Some vectors have a word ("don't care", "WrongRoot") where a root or leaf hash should stand. Our types hold 32
/// bytes, so the word is replaced by its digest: equal values stay equal and different ones different, which is all
/// those vectors ask. An empty value is no hash and never reaches the verifier.
fn value(base64: &str) -> Option<Hash> {
    let digest = || Hash(Sha256::digest(base64).into());
    (!base64.is_empty()).then(|| Hash::from_base64(base64).unwrap_or_else(|_| digest()))
}

/// A hash of a path gets no such leave: what is not 32 bytes never reaches the verifier.
fn path(proof: Option<Vec<String>>) -> Option<Vec<Hash>> {
    proof.unwrap_or_default().iter().map(|hash| Hash::from_base64(hash).ok()).collect()
}

#[test]
fn all_98_inclusion_vectors() {
    let files = files("inclusion");
    for file in &files {
        let v: Inclusion = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let parts = value(&v.leaf_hash).zip(value(&v.root)).zip(path(v.proof));
        let holds = parts
            .is_some_and(|((leaf, root), path)| verify_inclusion(&leaf, v.leaf_idx, v.tree_size, &root, &path).is_ok());
        assert_eq!(holds, !v.want_err, "{}", file.display());
    }
    assert_eq!(files.len(), 98);
}

#[test]
fn all_98_consistency_vectors() {
    let files = files("consistency");
    for file in &files {
        let v: Consistency = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let parts = value(&v.root1).zip(value(&v.root2)).zip(path(v.proof));
        let holds =
            parts.is_some_and(|((old, new), path)| verify_consistency(v.size1, &old, v.size2, &new, &path).is_ok());
        assert_eq!(holds, !v.want_err, "{}", file.display());
    }
    assert_eq!(files.len(), 98);
}
