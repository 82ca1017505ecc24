//! Sealing: the tree grows over new durable records and its checkpoint is signed.
//!
//! A plan is made from the tree as it stands and the new digests alone; the executor makes it true on disk: entries,
//! then full tiles, then the checkpoint by compare-and-swap (I4). A crash between leaves entries and tiles that the
//! next seal writes again, the same ones.

use std::sync::Arc;

use host::{FileError, Host};
use record::Digest;
use tlog::checkpoint::{CheckpointError, SignError};
use tlog::{Checkpoint, SignedCheckpoint, SigningKey, Tile, TileEdge, leaf_hash};

use crate::entries::{EntriesError, EntriesWriter};
use crate::folder::Folder;

/// Why a checkpoint was not signed or not kept. The writer stops.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Entries or tiles could not be written.
    #[error(transparent)]
    Entries(#[from] EntriesError),
    /// The checkpoint on disk is not the one this writer signed last: another writer, or a restored backup (T3, T6).
    #[error(transparent)]
    Checkpoint(#[from] FileError),
    /// The next tree would not be larger than the last one signed.
    #[error("refused to sign a tree of {next} records after one of {last}: a log only grows")]
    NotLarger {
        /// Size of the last signed tree.
        last: u64,
        /// Size asked for.
        next: u64,
    },
    /// The checkpoint is malformed.
    #[error(transparent)]
    Malformed(#[from] CheckpointError),
    /// The key is not the log's.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// The log as it was last sealed, in memory: the writer's own knowledge of what it signed.
pub(crate) struct Sealed {
    pub(crate) edge: TileEdge,
    pub(crate) checkpoint: Option<Arc<SignedCheckpoint>>,
}

impl Sealed {
    pub(crate) fn size(&self) -> u64 {
        self.edge.size()
    }
}

/// What a seal will do.
pub(crate) struct SealPlan {
    first: u64,
    digests: Vec<Digest>,
    full_tiles: Vec<(Tile, Vec<u8>)>,
    next: TileEdge,
}

impl SealPlan {
    /// The plan to take the digests of the records behind the sealed ones into the tree.
    pub(crate) fn new(sealed: &Sealed, digests: Vec<Digest>) -> Result<SealPlan, SealError> {
        let first = sealed.size();
        let mut next = sealed.edge.clone();
        let mut full_tiles = Vec::new();
        for digest in &digests {
            next.push(leaf_hash(&digest.0), |tile, hashes| {
                if tile.level() > 0 {
                    full_tiles.push((tile, Tile::encode(hashes)));
                }
            });
        }
        if next.size() <= first {
            return Err(SealError::NotLarger { last: first, next: next.size() });
        }
        Ok(SealPlan { first, digests, full_tiles, next })
    }

    /// Carries the plan out. When it returns, the checkpoint is durable, and so were all its records before (I4);
    /// entries are durable only after the writer's next sync, which a settle makes.
    pub(crate) fn execute(
        self,
        host: &Host,
        folder: &Folder,
        entries: &mut EntriesWriter,
        key: &SigningKey,
        sealed: &mut Sealed,
    ) -> Result<Arc<SignedCheckpoint>, SealError> {
        entries.write(self.first, &self.digests)?;
        for (tile, bytes) in &self.full_tiles {
            entries.put_tile(*tile, bytes)?;
        }
        let checkpoint = Checkpoint::new(key.name().as_str(), self.next.size(), self.next.root())?;
        let signed = checkpoint.sign(key)?;
        let last = sealed.checkpoint.as_ref().map(|last| last.note().to_string());
        let note = signed.note().to_string();
        host.compare_and_replace(
            folder.checkpoint(),
            last.as_deref().map(str::as_bytes),
            note.as_bytes(),
            "checkpoint",
        )?;
        let signed = Arc::new(signed);
        *sealed = Sealed { edge: self.next, checkpoint: Some(Arc::clone(&signed)) };
        Ok(signed)
    }
}
