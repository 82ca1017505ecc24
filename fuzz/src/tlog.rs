//! Notes, checkpoints, cosignatures, proofs, tiles and policies. Whoever holds no key and no preimage must not get
//! anything believed but what was signed or is in the tree (T13, T15, T16, T17).

use std::sync::OnceLock;

use tlog::{
    Bundle, Checkpoint, Frontier, Hash, KeyName, MemoryTree, Note, NoteSignature, Prover, SignedCheckpoint, SigningKey,
    Tile, TilePath, TlogProof, Verifier, VerifierKey, WitnessKey, WitnessPolicy, WitnessSigner, decode_entries,
    encode_entries, leaf_hash, verify_consistency, verify_inclusion,
};

/// The log whose key is known here.
const LOG: &str = "log.example/fuzz";
const WITNESS: &str = "witness.example/w";

fn log_key() -> SigningKey {
    SigningKey::from_seed(KeyName::new(LOG).expect("a name"), &[1; 32]).expect("a key")
}

fn witness() -> WitnessSigner {
    WitnessSigner::from_seed(KeyName::new(WITNESS).expect("a name"), &[2; 32]).expect("a key")
}

fn our_policy() -> &'static WitnessPolicy {
    static POLICY: OnceLock<WitnessPolicy> = OnceLock::new();
    POLICY.get_or_init(|| WitnessPolicy::parse(policy_text().as_bytes()).expect("a policy"))
}

/// The policy under which the known log and the known witness are enough.
pub fn policy_text() -> String {
    format!("log {}\nwitness w {}\nquorum w\n", log_key().verifier_key(), witness().witness_key())
}

/// A tree of which every proof is known.
const LEAVES: u64 = 600;

fn tree() -> &'static (MemoryTree, Vec<Hash>, Vec<Hash>) {
    static TREE: OnceLock<(MemoryTree, Vec<Hash>, Vec<Hash>)> = OnceLock::new();
    TREE.get_or_init(|| {
        let (mut tree, mut frontier) = (MemoryTree::new(), Frontier::new());
        let (mut leaves, mut roots) = (Vec::new(), vec![frontier.root()]);
        for index in 0..LEAVES {
            let leaf = leaf_hash(&index.to_be_bytes());
            tree.push(leaf);
            frontier.push(leaf);
            leaves.push(leaf);
            roots.push(frontier.root());
        }
        (tree, leaves, roots)
    })
}

/// A note, a checkpoint, their signatures and cosignatures, and keys.
pub fn note(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    if let Ok(checkpoint) = text.parse::<Checkpoint>() {
        assert_eq!(checkpoint.to_string(), text);
    }
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(key) = text.parse::<WitnessKey>() {
        assert_eq!(key.to_string(), text);
    }
    if let Some(signature) = NoteSignature::parse(text) {
        assert_eq!(signature.to_string(), text);
    }
    let Ok(note) = Note::parse(bytes) else { return };
    assert_eq!(note.to_string().as_bytes(), bytes);
    let (key, witness) = (log_key(), witness());
    if note.verify(&[key.verifier_key()]).is_ok() {
        let ours = key.sign(note.text());
        let by_us = |line: &&NoteSignature| line.id() == ours.id() && line.name() == ours.name();
        assert!(note.signatures().iter().filter(by_us).all(|line| *line == ours), "a second signature of one text");
    }
    let opened = SignedCheckpoint::open(bytes, &[key.verifier_key()]);
    let Ok(signed) = opened else { return };
    assert_eq!(signed.checkpoint().to_string(), note.text());
    assert_eq!(signed.checkpoint().origin(), LOG);
    let key = witness.witness_key();
    for (time_s, line) in note
        .statements(&key)
        .into_iter()
        .flatten()
        .zip(note.signatures().iter().filter(|line| line.id() == key.id() && line.name() == key.name()))
    {
        assert_eq!(witness.cosign(&signed, time_s).as_ref(), Ok(line), "a second cosignature of one text and time");
    }
    if let Ok(found) = our_policy().evaluate(bytes) {
        let times = note.statements(&key).expect("the policy knows the same key");
        assert_eq!(found.quorum_holds, !times.is_empty());
    }
}

/// A proof file: it has one spelling, and proves nothing but a leaf of the signed tree.
pub fn proof(bytes: &[u8]) {
    let Ok(proof) = TlogProof::parse(bytes) else { return };
    assert_eq!(proof.to_string().as_bytes(), bytes);
    let (tree, leaves, roots) = tree();
    let claimed = usize::try_from(proof.index).ok().and_then(|index| leaves.get(index));
    for leaf in claimed.into_iter().chain([&leaves[0]]) {
        let Ok(found) = proof.verify(leaf, our_policy()) else { continue };
        let checkpoint = found.checkpoint.checkpoint();
        assert!(found.quorum_holds && !found.cosigned.is_empty());
        assert_eq!((checkpoint.origin(), Some(&checkpoint.root())), (LOG, roots.get(checkpoint.size() as usize)));
        assert_eq!(claimed, Some(leaf));
        let right = Prover::new(tree, checkpoint.size()).inclusion(proof.index);
        assert_eq!(right.as_ref(), Ok(&proof.path));
    }
}

/// Paths and contents of tiles and bundles: the first line is a path, the rest what stands there.
pub fn tile(bytes: &[u8]) {
    let line = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (path, contents) = (String::from_utf8_lossy(&bytes[..line]), bytes.get(line + 1..).unwrap_or_default());
    let Ok(parsed) = path.parse::<TilePath>() else { return };
    assert_eq!(parsed.to_string(), path);
    match parsed {
        TilePath::Hashes(tile) => {
            assert_eq!(path.parse::<Tile>().as_ref(), Ok(&tile));
            assert_eq!(tile.full().width(), Tile::FULL_WIDTH);
            let _ = (tile.is_within(u64::MAX), tile.is_within(1 << 40));
            if let Ok(hashes) = tile.decode(contents) {
                assert_eq!(hashes.len(), usize::from(tile.width()));
                assert_eq!(Tile::encode(&hashes), contents[..tile.byte_len()]);
            }
        }
        TilePath::Entries(bundle) => {
            assert_eq!(path.parse::<Bundle>().as_ref(), Ok(&bundle));
            let _ = (bundle.first_entry(), bundle.leaf_tile());
            if let Ok(entries) = decode_entries(contents, bundle.width()) {
                assert_eq!(entries.len(), usize::from(bundle.width()));
                assert_eq!(encode_entries(&entries).as_deref(), Ok(contents));
            }
        }
    }
}

/// A policy: whatever is in it, a checkpoint that one of its logs did not sign is not believed.
pub fn policy(bytes: &[u8]) {
    let Ok(policy) = WitnessPolicy::parse(bytes) else { return };
    static NOTE: OnceLock<Vec<u8>> = OnceLock::new();
    let note = NOTE.get_or_init(|| signed(7, &[1_700_000_000]).into_bytes());
    let (log, witness) = (log_key().verifier_key(), witness().witness_key());
    let knows_log = policy.logs().iter().any(|known| known.key == log);
    let knows_witness = policy.witnesses().any(|known| known.key == witness);
    match policy.evaluate(note) {
        Ok(found) => {
            assert!(knows_log);
            assert_eq!(found.cosigned.len(), usize::from(knows_witness));
            assert!(found.quorum_holds || policy.needs_witnesses());
            assert_eq!(policy.require(note).is_ok(), found.quorum_holds);
        }
        Err(_) => assert!(!knows_log),
    }
}

/// Inclusion and consistency proofs: the right one, changed. None but the right one holds.
pub fn tree_proof(bytes: &[u8]) {
    let Some((head, changes)) = bytes.split_first_chunk::<6>() else { return };
    let [kind, a, b, c, d, what] = *head;
    let size = 1 + u64::from(u16::from_le_bytes([a, b])) % LEAVES;
    let index = u64::from(u16::from_le_bytes([c, d])) % size;
    let (tree, leaves, roots) = tree();
    let mut prover = Prover::new(tree, size);
    let inclusion = kind & 1 == 0;
    let right = if inclusion { prover.inclusion(index) } else { prover.consistency(index.max(1)) };
    let right = right.expect("a proof from a whole tree");
    let path = changed(&right, what, changes);
    let (root, old_root) = (roots[size as usize], roots[index.max(1) as usize]);
    if inclusion {
        let leaf = &leaves[index as usize];
        assert_eq!(verify_inclusion(leaf, index, size, &root, &path).is_ok(), path == right);
        let other = &leaves[(index as usize + usize::from(what)) % leaves.len()];
        assert_eq!(verify_inclusion(other, index, size, &root, &path).is_ok(), path == right && other == leaf);
        // The same under sizes and indices that nobody proved anything of. A root does not say how large its tree is,
        // so the right path may hold there too; no other may.
        for (index, size) in claims(index, size, changes) {
            assert!(path == right || verify_inclusion(leaf, index, size, &root, &path).is_err());
        }
    } else {
        let old = index.max(1);
        assert_eq!(verify_consistency(old, &old_root, size, &root, &path).is_ok(), path == right);
        if old != size {
            assert!(verify_consistency(size, &root, old, &old_root, &path).is_err());
        }
        for (old, size) in claims(old, size, changes) {
            let _ = verify_consistency(old, &old_root, size, &root, &path);
        }
    }
}

/// Sizes from an input: small ones, and those at the ends of what 64 bits hold.
fn claims(index: u64, size: u64, input: &[u8]) -> [(u64, u64); 3] {
    let number = input.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    [(index, size.wrapping_add(number)), (index ^ number, size), (index | 1 << 63, u64::MAX - (number & 7))]
}

/// A path with some of its bytes, its length or its order changed.
fn changed(right: &[Hash], what: u8, changes: &[u8]) -> Vec<Hash> {
    let mut bytes: Vec<u8> = right.iter().flat_map(|hash| hash.0).collect();
    match what % 4 {
        0 => {}
        1 => {
            for change in changes.chunks_exact(3) {
                let at = usize::from(u16::from_le_bytes([change[0], change[1]]));
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= change[2];
                }
            }
        }
        2 => bytes.extend(changes.iter().take(64 * Hash::BYTES)),
        _ => bytes = changes.to_vec(),
    }
    bytes.as_chunks::<{ Hash::BYTES }>().0.iter().map(|hash| Hash(*hash)).collect()
}

/// A checkpoint of the known tree, signed, and cosigned at those times.
pub fn signed(size: u64, times_s: &[u64]) -> String {
    let checkpoint = Checkpoint::new(LOG, size, tree().2[size as usize]).expect("a checkpoint");
    let mut signed = checkpoint.sign(&log_key()).expect("our own origin");
    for time_s in times_s {
        let cosignature = witness().cosign(&signed, *time_s).expect("a time");
        signed.add_signature(cosignature).expect("room for a signature");
    }
    signed.to_string()
}

/// A proof of the known tree that holds under the known policy.
pub fn sound_proof(index: u64, size: u64, extra: &[u8]) -> String {
    let checkpoint = Note::parse(signed(size, &[1_700_000_000]).as_bytes()).expect("a note");
    let path = Prover::new(&tree().0, size).inclusion(index).expect("a leaf of the tree");
    TlogProof { extra: extra.to_vec(), index, path, checkpoint }.to_string()
}
