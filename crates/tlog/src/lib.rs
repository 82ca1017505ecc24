//! Transparency log formats: the RFC 6962 Merkle tree, C2SP tiles, checkpoints, signed notes, proofs and
//! cosignatures.
//!
//! This crate is what a log and its verifiers must agree on to the byte. It does no I/O, reads no clock and draws
//! no randomness: tiles come through [`TileReader`], times and seeds are arguments. It knows nothing of what the
//! entries mean; an entry is bytes, and the tree holds SHA-256 over them.
//!
//! # From an entry to a verdict
//!
//! 1. [`leaf_hash`] of each entry is pushed on a [`Frontier`] (a root, nothing else) or a [`TileEdge`] (a root and
//!    the tiles to write).
//! 2. The root stands in a [`Checkpoint`], which the log signs as a [`Note`] and witnesses cosign
//!    ([`cosignature`]).
//! 3. A [`Prover`] makes inclusion and consistency proofs from tiles; [`verify_inclusion`] and
//!    [`verify_consistency`] check them.
//! 4. A [`TlogProof`] carries index, path and checkpoint together; a [`WitnessPolicy`], which the *verifier* owns,
//!    decides whether to believe it.
//!
//! ```
//! use tlog::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The log.
//! let log = SigningKey::from_seed(KeyName::new("log.example/decisions")?, &[1; 32])?;
//! let mut tree = MemoryTree::new();
//! (0..1000u32).for_each(|i| tree.push(leaf_hash(&i.to_be_bytes())));
//! let mut signed = Checkpoint::new("log.example/decisions", tree.size(), tree.root())?.sign(&log)?;
//!
//! // A witness, which has checked that this tree extends the last one it saw.
//! let witness = WitnessSigner::from_seed(KeyName::new("witness.example")?, &[2; 32])?;
//! signed.add_signature(witness.cosign(&signed, 1_700_000_000)?)?;
//!
//! // A proof, as a file that goes anywhere.
//! let path = Prover::new(&tree, tree.size()).inclusion(421)?;
//! let proof = TlogProof { extra: vec![], index: 421, path, checkpoint: signed.note().clone() }.to_string();
//!
//! // The verifier, who has brought the keys.
//! let policy = format!("log {}\nwitness w {}\nquorum w\n", log.verifier_key(), witness.witness_key());
//! let policy = WitnessPolicy::parse(policy.as_bytes())?;
//! let found = TlogProof::parse(proof.as_bytes())?.verify(&leaf_hash(&421u32.to_be_bytes()), &policy)?;
//! assert_eq!(found.checkpoint.checkpoint().size(), 1000);
//! assert_eq!(found.cosigned[0].time_s, 1_700_000_000);
//! # Ok(())
//! # }
//! ```
//!
//! # What holds here
//!
//! - Nothing from outside is trusted before it was verified: [`SignedCheckpoint`] can only be had by verifying
//!   (T15, T16), and a proof is checked for its exact length, not only its root (T13).
//! - Leaves and nodes are hashed under different prefixes (T14); weak Ed25519 keys and malleable signatures are
//!   refused (T17).
//! - Every parser accepts one spelling of a value, so that `print(parse(x)) == x`, and has a size limit.
//!
//! # Sources
//!
//! RFC 6962 section 2.1 for hashing; C2SP at commit `5ba5ee8` for `tlog-tiles`, `tlog-checkpoint`, `signed-note`,
//! `tlog-cosignature`, `tlog-proof` and `tlog-policy`.

mod base64;
mod bundle;
pub mod checkpoint;
pub mod cosignature;
mod decimal;
mod edge;
mod frontier;
mod hash;
mod key;
mod memory;
mod note;
mod proof;
mod prover;
mod shared_proof;
mod tile;
pub mod tlog_proof;
pub mod witness_policy;

pub use bundle::{Bundle, BundleError, decode_entries, encode_entries};
pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use cosignature::{WitnessKey, WitnessSigner};
pub use edge::{OpenEdgeError, TileEdge};
pub use frontier::{Frontier, FrontierError, Subtree};
pub use hash::{Hash, HashError, empty_root, leaf_hash, node_hash};
pub use key::{KeyError, KeyId, KeyName, SigningKey, VerifierKey};
pub use memory::{MemoryTree, NoSuchTile};
pub use note::{MAX_NOTE_BYTES, MAX_SIGNATURES, Note, NoteError, NoteSignature, SignatureError, Verifier, VerifyError};
pub use proof::{ConsistencyError, InclusionError, verify_consistency, verify_inclusion};
pub use prover::{ProveError, Prover, TileReader};
pub use shared_proof::{SharedProofError, root_of_shared};
pub use tile::{Tile, TileError, TilePath, TilePathError, tiles_changed, tiles_of};
pub use tlog_proof::TlogProof;
pub use witness_policy::WitnessPolicy;
