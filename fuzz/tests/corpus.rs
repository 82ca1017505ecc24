//! Every target over its corpus, without libFuzzer: seeds, what reached something new, and what once broke something.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fuzz::TARGETS;

fn here(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

fn listed(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn names(folder: &Path) -> BTreeSet<String> {
    listed(folder).iter().map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn every_target_has_its_binary_and_its_corpus() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&here("fuzz_targets")), targets);
    assert_eq!(names(&here("corpus")), targets);
    for name in &targets {
        assert!(!listed(&here("corpus").join(name)).is_empty(), "{name} has no input");
    }
}

/// As many threads as there are targets would only wait for each other.
#[test]
fn every_input_of_every_corpus_holds() {
    for (name, target) in TARGETS {
        for path in listed(&here("corpus").join(name)) {
            let input = std::fs::read(&path).unwrap();
            let held = std::panic::catch_unwind(|| target(&input));
            assert!(held.is_ok(), "{}", path.display());
        }
    }
}
