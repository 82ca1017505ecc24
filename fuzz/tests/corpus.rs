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

/// A hunt without coverage, for wherever libFuzzer is not built: each input of the corpora, changed here and there.
#[test]
fn every_input_a_little_changed_holds() {
    let rounds = if std::env::var_os("ONRECORD_TEST_LONG").is_some() { 60 } else { 1 };
    for (name, target) in TARGETS {
        for path in listed(&here("corpus").join(name)) {
            let good = std::fs::read(&path).unwrap();
            for round in 0..rounds {
                let mut input = good.clone();
                let mut dice = Dice(round);
                (0..=dice.roll(3)).for_each(|_| change(&mut input, &mut dice));
                let held = std::panic::catch_unwind(|| target(&input));
                assert!(held.is_ok(), "{name}: {}, round {round}: {input:02x?}", path.display());
            }
        }
    }
}

fn change(input: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.roll(input.len() as u64 + 1) as usize;
    let end = (at + dice.roll(16) as usize).min(input.len());
    match dice.roll(6) {
        0 => input.truncate(at),
        1 => drop(input.drain(at..end)),
        2 => input.insert(at, dice.roll(256) as u8),
        3 => input.extend_from_within(at..end),
        4 => input[at..end].fill([0, 0xff, 0x80, b'9'][dice.roll(4) as usize]),
        _ => input[at..].iter_mut().take(1).for_each(|byte| *byte ^= 1 << dice.roll(8)),
    }
}

/// Numbers that only have to differ: SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (word ^ (word >> 31)) % below
    }
}
