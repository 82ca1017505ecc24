//! C2SP tlog-proof: that an entry is in a log, in one file that checks offline. Its extension is `.tlog-proof`.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra <base64>            (only when there is extra data)
//! index <n>
//! <base64 hash>             (sibling of the leaf first; as many as the path has)
//!
//! <checkpoint>
//! ```

use crate::base64;
use crate::decimal;
use crate::hash::{Hash, HashError};
use crate::note::{MAX_NOTE_BYTES, Note, NoteError};
use crate::proof::{InclusionError, verify_inclusion};
use crate::witness_policy::{Evaluation, PolicyRefusal, WitnessPolicy};
use std::fmt;

/// Bytes in the longest proof read: a note as long as any, and as much again for extra data.
pub const MAX_PROOF_BYTES: usize = 2 * MAX_NOTE_BYTES;

/// Hashes in the longest inclusion path a 64-bit tree can have.
const MAX_PATH: usize = 64;

/// Index, path and checkpoint of an entry: nothing that may be believed before [`TlogProof::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// What the application needs to find the leaf; not authenticated. Empty for none.
    pub extra: Vec<u8>,
    /// Which leaf of the tree, from 0.
    pub index: u64,
    /// Sibling hashes from the leaf up.
    pub path: Vec<Hash>,
    /// The checkpoint of the tree, with whatever signatures it came with.
    pub checkpoint: Note,
}

/// Why bytes are no proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofError {
    /// Longer than [`MAX_PROOF_BYTES`].
    #[error("a proof of {bytes} bytes is longer than {MAX_PROOF_BYTES}")]
    TooLong {
        /// Bytes given.
        bytes: usize,
    },
    /// Not UTF-8.
    #[error("the proof is not UTF-8 from byte {at}")]
    NotUtf8 {
        /// First byte that is not.
        at: usize,
    },
    /// The first line is another one, perhaps of a later version.
    #[error("the proof does not begin with the line {HEADER}")]
    Header,
    /// The extra data is empty or not canonical base64.
    #[error("the extra line has no canonical base64 of at least one byte")]
    Extra,
    /// No line with a canonical decimal index.
    #[error("the proof has no line `index <n>` where one must stand")]
    Index,
    /// A line of the path is no hash.
    #[error("hash {position} of the path: {source}")]
    Hash {
        /// Which hash of the path, from 0.
        position: usize,
        /// What is wrong with it.
        source: HashError,
    },
    /// More hashes than any tree's path has.
    #[error("the path has more than {MAX_PATH} hashes")]
    PathTooLong,
    /// No empty line with a checkpoint after it.
    #[error("the proof ends before its checkpoint")]
    NoCheckpoint,
    /// The checkpoint is not a note.
    #[error(transparent)]
    Checkpoint(#[from] NoteError),
}

/// Why a proof is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofRefusal {
    /// The checkpoint does not satisfy the verifier's policy.
    #[error(transparent)]
    Checkpoint(#[from] PolicyRefusal),
    /// The leaf is not where the proof says in the checkpoint's tree.
    #[error(transparent)]
    Inclusion(#[from] InclusionError),
}

const HEADER: &str = "c2sp.org/tlog-proof@v1";

impl TlogProof {
    /// Reads a proof. Nothing in it is verified.
    pub fn parse(bytes: &[u8]) -> Result<Self, TlogProofError> {
        if bytes.len() > MAX_PROOF_BYTES {
            return Err(TlogProofError::TooLong { bytes: bytes.len() });
        }
        let text = std::str::from_utf8(bytes).map_err(|e| TlogProofError::NotUtf8 { at: e.valid_up_to() })?;
        let rest = text.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix('\n')).ok_or(TlogProofError::Header)?;
        let (extra, rest) = parse_extra(rest)?;
        let (index, rest) = parse_index(rest)?;
        let (path, rest) = parse_path(rest)?;
        Ok(Self { extra, index, path, checkpoint: Note::parse(rest.as_bytes())? })
    }

    /// Checks that the leaf with hash `leaf` is leaf [`TlogProof::index`] of a log of `policy`, in a checkpoint signed
    /// by that log and cosigned by a quorum.
    ///
    /// `leaf` must be computed from the entry ([`leaf_hash`](crate::leaf_hash)), never taken from the proof. Returns
    /// the checkpoint and who cosigned it when.
    pub fn verify(&self, leaf: &Hash, policy: &WitnessPolicy) -> Result<Evaluation, TlogProofRefusal> {
        let evaluation = policy.require_note(self.checkpoint.clone())?;
        let checkpoint = evaluation.checkpoint.checkpoint();
        verify_inclusion(leaf, self.index, checkpoint.size(), &checkpoint.root(), &self.path)?;
        Ok(evaluation)
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if !self.extra.is_empty() {
            writeln!(f, "extra {}", base64::encode(&self.extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", hash.to_base64()))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

fn parse_extra(text: &str) -> Result<(Vec<u8>, &str), TlogProofError> {
    let Some(rest) = text.strip_prefix("extra ") else { return Ok((Vec::new(), text)) };
    let (encoded, rest) = rest.split_once('\n').ok_or(TlogProofError::Extra)?;
    let extra = base64::decode(encoded).filter(|extra| !extra.is_empty()).ok_or(TlogProofError::Extra)?;
    Ok((extra, rest))
}

fn parse_index(text: &str) -> Result<(u64, &str), TlogProofError> {
    let line = text.strip_prefix("index ").and_then(|rest| rest.split_once('\n'));
    let (index, rest) = line.ok_or(TlogProofError::Index)?;
    Ok((decimal::parse(index).ok_or(TlogProofError::Index)?, rest))
}

/// The hashes up to the empty line, and what follows that line.
fn parse_path(text: &str) -> Result<(Vec<Hash>, &str), TlogProofError> {
    let mut rest = text;
    let mut path = Vec::new();
    loop {
        let (line, after) = rest.split_once('\n').ok_or(TlogProofError::NoCheckpoint)?;
        rest = after;
        if line.is_empty() {
            return Ok((path, rest));
        }
        if path.len() == MAX_PATH {
            return Err(TlogProofError::PathTooLong);
        }
        let position = path.len();
        path.push(Hash::from_base64(line).map_err(|source| TlogProofError::Hash { position, source })?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Checkpoint, OpenError, SignedCheckpoint};
    use crate::cosignature::WitnessSigner;
    use crate::hash::leaf_hash;
    use crate::key::{KeyName, SigningKey};
    use crate::memory::MemoryTree;
    use crate::prover::Prover;

    fn log() -> SigningKey {
        SigningKey::from_seed(KeyName::new("log").unwrap(), &[1; 32]).unwrap()
    }

    fn witness() -> WitnessSigner {
        WitnessSigner::from_seed(KeyName::new("w").unwrap(), &[2; 32]).unwrap()
    }

    fn policy() -> WitnessPolicy {
        let text = format!("log {}\nwitness w {}\nquorum w\n", log().verifier_key(), witness().witness_key());
        WitnessPolicy::parse(text.as_bytes()).unwrap()
    }

    fn signed(size: u64) -> (MemoryTree, SignedCheckpoint) {
        let mut tree = MemoryTree::new();
        (0..size).for_each(|i| tree.push(leaf_hash(&i.to_be_bytes())));
        let signed = Checkpoint::new("log", size, tree.root()).unwrap().sign(&log()).unwrap();
        (tree, signed)
    }

    fn proof(index: u64, size: u64) -> TlogProof {
        let (tree, mut signed) = signed(size);
        signed.add_signature(witness().cosign(&signed, 1000).unwrap()).unwrap();
        let path = Prover::new(&tree, size).inclusion(index).unwrap();
        TlogProof { extra: Vec::new(), index, path, checkpoint: signed.note().clone() }
    }

    #[test]
    fn a_proof_checks_after_a_round_trip_through_text() {
        let policy = policy();
        for (index, size) in [(0, 1), (3, 7), (500, 1000)] {
            let mut proof = proof(index, size);
            for extra in [&b""[..], b"salt"] {
                proof.extra = extra.to_vec();
                let text = proof.to_string();
                let again = TlogProof::parse(text.as_bytes()).unwrap();
                assert_eq!((&again, again.to_string()), (&proof, text));
                let found = again.verify(&leaf_hash(&index.to_be_bytes()), &policy).unwrap();
                assert_eq!((found.checkpoint.checkpoint().size(), found.cosigned[0].time_s), (size, 1000));
            }
        }
    }

    #[test]
    fn any_other_leaf_index_path_or_quorum_is_refused() {
        let (good, policy, leaf) = (proof(3, 7), policy(), leaf_hash(&3u64.to_be_bytes()));
        assert!(good.verify(&leaf, &policy).is_ok());
        let inclusion =
            |proof: &TlogProof, leaf: &Hash| matches!(proof.verify(leaf, &policy), Err(TlogProofRefusal::Inclusion(_)));
        assert!(inclusion(&good, &leaf_hash(&4u64.to_be_bytes())));
        assert!(inclusion(&TlogProof { index: 2, ..good.clone() }, &leaf));
        assert!(inclusion(&TlogProof { index: 7, ..good.clone() }, &leaf));
        assert!(inclusion(&TlogProof { path: good.path[1..].to_vec(), ..good.clone() }, &leaf));
        let uncosigned = TlogProof { checkpoint: signed(7).1.note().clone(), ..good.clone() };
        let refused = uncosigned.verify(&leaf, &policy);
        assert!(matches!(refused, Err(TlogProofRefusal::Checkpoint(PolicyRefusal::NoQuorum { .. }))));
        let stranger = WitnessPolicy::parse(b"quorum none\n").unwrap();
        let unknown = OpenError::UnknownOrigin { origin: "log".into() };
        assert_eq!(good.verify(&leaf, &stranger), Err(TlogProofRefusal::Checkpoint(unknown.into())));
    }

    #[test]
    fn each_fault_has_its_name() {
        let good = proof(3, 7).to_string();
        let parse = |text: String| TlogProof::parse(text.as_bytes()).unwrap_err();
        assert_eq!(parse(good.replace("@v1", "@v2")), TlogProofError::Header);
        assert_eq!(parse(String::new()), TlogProofError::Header);
        assert_eq!(TlogProof::parse(b"\xff"), Err(TlogProofError::NotUtf8 { at: 0 }));
        for extra in ["extra \n", "extra A\n", "extra  AAAA\n", "extra AAAA \n"] {
            assert_eq!(parse(good.replace("index", &format!("{extra}index"))), TlogProofError::Extra, "{extra:?}");
        }
        assert_eq!(parse(good.replace("index", "extra AAAA\nextra AAAA\nindex")), TlogProofError::Index);
        for index in ["index 03", "index +3", "index", "Index 3", "index 3 ", "index 18446744073709551616"] {
            assert_eq!(parse(good.replace("index 3", index)), TlogProofError::Index, "{index:?}");
        }
        let extra_hash = |hash: &str| parse(good.replace("index 3\n", &format!("index 3\n{hash}\n")));
        assert!(matches!(extra_hash("AAAA"), TlogProofError::Hash { position: 0, .. }));
        assert!(matches!(extra_hash(" "), TlogProofError::Hash { position: 0, .. }));
        let many = vec![Hash([0; 32]).to_base64(); 62].join("\n");
        assert_eq!(extra_hash(&many), TlogProofError::PathTooLong);
        assert_eq!(parse(good[..40].to_owned()), TlogProofError::NoCheckpoint);
        let cut = good.find("\n\n").unwrap() + 2;
        assert_eq!(parse(good[..cut].to_owned()), TlogProofError::Checkpoint(NoteError::NoSignatures));
        let long = "x".repeat(MAX_PROOF_BYTES + 1);
        assert_eq!(parse(long), TlogProofError::TooLong { bytes: MAX_PROOF_BYTES + 1 });
    }
}
