//! Properties of the text formats: one spelling for each value, no input that breaks a parser, no change unnoticed.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use proptest::prelude::*;
use std::sync::LazyLock;
use tlog::{
    Checkpoint, Hash, KeyName, MemoryTree, Note, NoteSignature, Prover, SignedCheckpoint, SigningKey, TlogProof,
    VerifierKey, WitnessKey, WitnessPolicy, WitnessSigner, leaf_hash,
};

fn log_key() -> SigningKey {
    SigningKey::from_seed(KeyName::new("log.example/a").unwrap(), &[1; 32]).unwrap()
}

fn witness() -> WitnessSigner {
    WitnessSigner::from_seed(KeyName::new("witness.example").unwrap(), &[2; 32]).unwrap()
}

static POLICY: LazyLock<WitnessPolicy> = LazyLock::new(|| {
    let text = format!("log {}\nwitness w {}\nquorum w\n", log_key().verifier_key(), witness().witness_key());
    WitnessPolicy::parse(text.as_bytes()).unwrap()
});

static PROOF: LazyLock<TlogProof> = LazyLock::new(|| proof(5, 11));

fn proof(index: u64, size: u64) -> TlogProof {
    let mut tree = MemoryTree::new();
    (0..size).for_each(|i| tree.push(leaf_hash(&i.to_be_bytes())));
    let mut signed = Checkpoint::new("log.example/a", size, tree.root()).unwrap().sign(&log_key()).unwrap();
    signed.add_signature(witness().cosign(&signed, 1_700_000_000).unwrap()).unwrap();
    let path = Prover::new(&tree, size).inclusion(index).unwrap();
    TlogProof { extra: b"salt".to_vec(), index, path, checkpoint: signed.note().clone() }
}

/// Every parser, and for each that accepts: it prints what it read.
fn parse_all(bytes: &[u8]) {
    if let Ok(note) = Note::parse(bytes) {
        assert_eq!(note.to_string().as_bytes(), bytes);
    }
    if let Ok(proof) = TlogProof::parse(bytes) {
        assert_eq!(proof.to_string().as_bytes(), bytes);
    }
    let _ = WitnessPolicy::parse(bytes);
    let _ = POLICY.evaluate(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(checkpoint) = text.parse::<Checkpoint>() {
        assert_eq!(checkpoint.to_string(), text);
    }
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(key) = text.parse::<WitnessKey>() {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(key) = SigningKey::parse(text) {
        assert_eq!(key.to_private().as_str(), text);
    }
    if let Some(signature) = NoteSignature::parse(text) {
        assert_eq!(signature.to_string(), text);
    }
}

/// Every single-bit change of a proof's file, and every cut and doubled byte: refused, or it verifies as something
/// that was in fact signed and committed to.
#[test]
fn no_change_to_a_proof_goes_unnoticed() {
    let (good, policy, leaf) = (&*PROOF, &*POLICY, leaf_hash(&5u64.to_be_bytes()));
    let text = good.to_string().into_bytes();
    assert!(good.verify(&leaf, policy).is_ok());
    let unauthenticated = 0..text.windows(6).position(|w| w == b"index ").unwrap();
    let believed = |bytes: &[u8]| TlogProof::parse(bytes).is_ok_and(|p| p.verify(&leaf, policy).is_ok());
    for at in 0..text.len() {
        assert!(!believed(&text[..at]), "cut at {at}");
        let mut doubled = text.clone();
        doubled.insert(at, text[at]);
        let mut changed: Vec<_> = (0..8)
            .map(|bit| {
                let mut t = text.clone();
                t[at] ^= 1 << bit;
                t
            })
            .collect();
        changed.push(doubled);
        for bytes in changed {
            // The extra line is opaque and unauthenticated by the specification.
            assert!(
                unauthenticated.contains(&at) || !believed(&bytes),
                "byte {at} of {}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
}

#[test]
fn no_change_to_a_checkpoint_goes_unnoticed() {
    let signed = Checkpoint::new("log.example/a", 300, leaf_hash(b"r")).unwrap().sign(&log_key()).unwrap();
    let (text, keys) = (signed.to_string().into_bytes(), [log_key().verifier_key()]);
    assert!(SignedCheckpoint::open(&text, &keys).is_ok());
    for at in 0..text.len() {
        assert!(SignedCheckpoint::open(&text[..at], &keys).is_err());
        for bit in 0..8 {
            let mut changed = text.clone();
            changed[at] ^= 1 << bit;
            assert!(SignedCheckpoint::open(&changed, &keys).is_err(), "bit {bit} of byte {at}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn parsers_take_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        parse_all(&bytes);
    }

    #[test]
    fn parsers_take_any_text(text in "(PRIVATE|KEY|log|witness|group|quorum|index |extra |— |[a-z0-9+/=]{1,8}|[ \n\t]|\\PC){0,40}") {
        parse_all(text.as_bytes());
    }

    #[test]
    fn parsers_take_good_input_gone_wrong(cut in 0usize..2000, at in 0usize..2000, byte: u8, which in 0u8..3) {
        let mut bytes = match which {
            0 => PROOF.to_string(),
            1 => PROOF.checkpoint.to_string(),
            _ => format!("log {} u\n# c\nwitness w {}\ngroup g any w\nquorum g\n", log_key().verifier_key(), witness().witness_key()),
        }.into_bytes();
        bytes.truncate(bytes.len() - cut % 7);
        let at = at % bytes.len();
        bytes[at] = byte;
        parse_all(&bytes);
    }

    #[test]
    fn checkpoints_round_trip(origin in "[^\\pC]{1,40}", size: u64, root: [u8; 32], extensions in prop::collection::vec("[^\\pC]{1,20}", 0..3)) {
        prop_assume!(size > 0);
        let mut text = Checkpoint::new(&origin, size, Hash(root)).unwrap().to_string();
        extensions.iter().for_each(|line| { text += line; text += "\n"; });
        let parsed: Checkpoint = text.parse().unwrap();
        prop_assert_eq!(parsed.extensions(), &extensions);
        prop_assert_eq!(parsed.to_string(), text);
    }

    #[test]
    fn notes_round_trip(text in "([^\\pC]|\n){0,80}", names in prop::collection::vec("[^\\pC\\s+]{1,10}", 1..20), bytes in prop::collection::vec(any::<u8>(), 1..90)) {
        let text = format!("{text}\n");
        let key = log_key();
        let mut note = Note::new(text.clone(), key.sign(&text)).unwrap();
        for name in &names {
            note.add_signature(NoteSignature::new(KeyName::new(name).unwrap(), witness_id(), bytes.clone())).unwrap();
        }
        let printed = note.to_string();
        prop_assert_eq!(Note::parse(printed.as_bytes()).unwrap(), note.clone());
        prop_assert!(note.verify(&[key.verifier_key()]).is_ok());
    }
}

fn witness_id() -> tlog::KeyId {
    use tlog::Verifier as _;
    witness().witness_key().id()
}
