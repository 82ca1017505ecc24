//! One immutable view of a trail: lake below the watermark, hot records from it on (I14). Each record exactly once.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use host::Host;
use record::{Digest, Envelope, Part, Stored};
use tlog::{ProveError, Prover, SignedCheckpoint, TlogProof, leaf_hash, verify_inclusion};
use uuid::Uuid;

use crate::append::{Earlier, Known};
use crate::entries::{Entries, EntriesError};
use crate::erasure::{Declared, Erasure};
use crate::folder::Folder;
use crate::hot::{Hot, HotRecord};
use crate::settings::Settings;

/// An immutable view of a trail.
#[derive(Clone)]
pub struct Snapshot {
    pub(crate) host: Host,
    pub(crate) folder: Folder,
    pub(crate) settings: Arc<Settings>,
    pub(crate) lake: lake::Snapshot,
    pub(crate) hot: Hot,
    pub(crate) checkpoint: Option<Arc<SignedCheckpoint>>,
}

/// A record and where it was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its index.
    pub index: u64,
    /// The record.
    pub stored: Stored,
    /// Its digest, recomputed from what was read.
    pub digest: Digest,
    /// The file and row in the lake, or nothing while it is in the journal.
    pub place: Option<(PathBuf, u64)>,
}

/// Why a record could not be looked up.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The lake could not be read.
    #[error(transparent)]
    Lake(#[from] lake::ReadError),
    /// The entries could not be read.
    #[error(transparent)]
    Entries(#[from] EntriesError),
}

/// A record's proof.
pub struct Proof {
    /// Inclusion under the signed checkpoint, in C2SP tlog-proof form.
    pub proof: TlogProof,
    /// The checkpoint it is under.
    pub checkpoint: Arc<SignedCheckpoint>,
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The record is newer than the last checkpoint.
    #[error(
        "record {index} is not sealed yet: the last checkpoint covers {sealed} records; it is sealed within a second while a writer runs"
    )]
    NotSealed {
        /// The record.
        index: u64,
        /// Records under the checkpoint.
        sealed: u64,
    },
    /// Tiles could not be read.
    #[error(transparent)]
    Tiles(#[from] ProveError<EntriesError>),
    /// The record that is stored is not the one that was sealed (T1).
    #[error(
        "record {index} is not the one that was sealed: its digest is {found}, and the log has another; run verify"
    )]
    Changed {
        /// The record.
        index: u64,
        /// The digest of what is stored.
        found: Digest,
    },
}

impl Found {
    /// The envelope, unless it was erased.
    pub fn envelope(&self) -> Option<Envelope<'_>> {
        Envelope::read(self.stored.parts()?.get(Part::Envelope)?).ok()
    }

    /// When it happened as far as that is known, in nanoseconds since the Unix epoch: when it was received where the
    /// sender did not say, or what he said was erased.
    pub fn when(&self) -> i64 {
        self.envelope().and_then(|envelope| envelope.time_ns).unwrap_or(self.stored.stamp.received)
    }
}

impl Snapshot {
    /// What the trail is.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The lake's table as of this snapshot.
    pub fn lake(&self) -> &lake::Snapshot {
        &self.lake
    }

    /// Records in all: indices are below this.
    pub fn end(&self) -> u64 {
        self.hot.end()
    }

    /// Records below this are in the lake, the others in the journal.
    pub fn settled(&self) -> u64 {
        self.hot.first()
    }

    /// Records under the last checkpoint.
    pub fn sealed(&self) -> u64 {
        self.checkpoint.as_ref().map_or(0, |signed| signed.checkpoint().size())
    }

    /// The last checkpoint.
    pub fn checkpoint(&self) -> Option<&Arc<SignedCheckpoint>> {
        self.checkpoint.as_ref()
    }

    /// The records that are not settled yet, in order.
    pub fn hot(&self) -> impl Iterator<Item = &Arc<HotRecord>> {
        self.hot.iter()
    }

    /// The entries and tiles on disk.
    pub fn entries(&self) -> Entries {
        Entries::new(&self.host, &self.folder)
    }

    /// The record at an index.
    pub fn get(&self, index: u64) -> Result<Option<Found>, SnapshotError> {
        if let Some(hot) = self.hot.get(index) {
            return Ok(Some(found_hot(hot)));
        }
        Ok(self.lake.find(index)?.map(|found| self.settled_record(found)))
    }

    /// The record of an id.
    pub fn find(&self, id: &Uuid) -> Result<Option<Found>, SnapshotError> {
        if let Some(hot) = self.hot.iter().find(|record| record.stored.stamp.id == *id) {
            return Ok(Some(found_hot(hot)));
        }
        Ok(self.lake.find_id(*id)?.map(|found| self.settled_record(found)))
    }

    /// The records that are about the decision with this id, in order: outcomes, overrides, late explanations.
    pub fn about(&self, id: &Uuid) -> Result<Vec<Found>, SnapshotError> {
        self.look_up(lake::Lookup::About, &[&id.to_string()])
    }

    /// The erasures that name a record, in the order in which they were declared.
    pub fn erasures_of(&self, index: u64) -> Result<Vec<Declared>, SnapshotError> {
        let settled = self.lake.look_up(lake::Lookup::Kind, &[record::Kind::Erasure.name()])?;
        let settled = settled.iter().map(|(_, found)| (found.placed.index, &found.placed.stored));
        let hot = self.hot.iter().map(|hot| (hot.index, &hot.stored));
        let declared = settled
            .chain(hot)
            .filter_map(|(index, stored)| Erasure::of_record(stored).map(|erasure| Declared { index, erasure }));
        let mut declared: Vec<Declared> = declared.filter(|each| each.erasure.indices.contains(&index)).collect();
        declared.sort_by_key(|each| each.index);
        Ok(declared)
    }

    /// What is settled of these ids, for whoever appends records that name them.
    ///
    /// A late fact needs no more of its decision than the digest, which stands in the entries: putting the record
    /// together, a page of every column, would cost a hundred times as much.
    pub(crate) fn settled_ids(&self, ids: &[Uuid], about: &[Uuid]) -> Result<Known, SnapshotError> {
        if self.settled() == 0 {
            return Ok(Known::default());
        }
        let earlier = |found: lake::Found| {
            let lake::Placed { index, stored, .. } = found.placed;
            (stored.stamp.id, Earlier { index, content: stored.content(), digest: stored.digest(), stored })
        };
        let again = self.lake.find_ids(ids)?.into_iter().flatten().map(earlier).collect();
        let entries = self.entries().for_look_up();
        let mut digests = HashMap::new();
        for (id, index) in self.lake.indices_of_ids(about)? {
            digests.extend(entries.read(index, index + 1)?.first().map(|digest| (id, *digest)));
        }
        Ok(Known { again, about: digests })
    }

    pub(crate) fn settled_record(&self, found: lake::Found) -> Found {
        let lake::Placed { index, row, stored } = found.placed;
        let place = Some((self.lake.folder().join(found.file), row));
        Found { index, digest: stored.digest(), stored, place }
    }

    /// The proof that a record is under the last checkpoint. It has been checked.
    pub fn prove(&self, found: &Found) -> Result<Proof, ProofError> {
        self.prove_at(found.index, &found.digest)
    }

    /// The proof that the record with this digest is under the last checkpoint, at this index. It has been checked.
    pub fn prove_at(&self, index: u64, digest: &Digest) -> Result<Proof, ProofError> {
        let sealed = self.sealed();
        let Some(checkpoint) = self.checkpoint.as_ref().filter(|_| index < sealed) else {
            return Err(ProofError::NotSealed { index, sealed });
        };
        let path = Prover::new(self.entries(), sealed).inclusion(index)?;
        let root = checkpoint.checkpoint().root();
        if verify_inclusion(&leaf_hash(&digest.0), index, sealed, &root, &path).is_err() {
            return Err(ProofError::Changed { index, found: *digest });
        }
        let note = checkpoint.note().clone();
        let proof = TlogProof { extra: Vec::new(), index, path, checkpoint: note };
        Ok(Proof { proof, checkpoint: Arc::clone(checkpoint) })
    }
}

pub(crate) fn found_hot(hot: &Arc<HotRecord>) -> Found {
    Found { index: hot.index, stored: hot.stored.clone(), digest: hot.digest, place: None }
}
