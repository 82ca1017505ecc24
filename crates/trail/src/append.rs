//! Appending: what a record is told when it is taken, and why it may be refused.

use std::collections::HashMap;
use std::sync::Arc;

use record::{Body, Content, Digest, Record, Salt, Stamp, Stored, record_digest};
use uuid::Uuid;

use crate::hot::HotRecord;
use crate::writer::Stopped;

/// Where records come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intake {
    /// A running service: an id that is older than the idempotency window is refused, for what it names may have
    /// happened, and been recorded, long ago.
    Live,
    /// Files and other trails: ids of any age, each looked up in the whole trail. Where the journal is full, an import
    /// waits until a settle has made room; a live append is refused at once.
    Import,
}

/// The promise that a record is kept. Before the seal it is a promise, not evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The record's index in the trail, its position in the journal and its leaf in the tree (I2).
    pub index: u64,
    /// Its id.
    pub id: Uuid,
    /// What the sender vouches for.
    pub content: Content,
    /// The digest that stands in the tree.
    pub digest: Digest,
    /// What the server added.
    pub stamp: Stamp,
    /// The salt, if the server made it: without it the sender cannot recompute `content`.
    pub salt: Option<Salt>,
    /// Whether the record was here before, and this is its first receipt again.
    pub again: bool,
    /// Whether what was here before has been erased since, wholly or in part.
    pub erased: bool,
}

/// What became of one record of a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is on record.
    Kept(Box<Receipt>),
    /// It is not, and the rest of the batch does not mind.
    Refused(Refusal),
}

/// Why one record was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The id is on record with other content.
    #[error("id: {id} is on record at index {index} with other content; a new event needs a new id")]
    Conflict {
        /// The id.
        id: Uuid,
        /// Where it is on record.
        index: u64,
    },
    /// The id is older than the idempotency window.
    #[error(
        "id: {id} was made {age_h} hours ago, before the idempotency window of {window_h} hours; \
         leave the id out, or import the record"
    )]
    TooOld {
        /// The id.
        id: Uuid,
        /// How old it is, hours.
        age_h: u64,
        /// The window, hours.
        window_h: u64,
    },
    /// The id was made in the future.
    #[error("id: {id} was made {ahead_h} hours from now; set the sender's clock, or leave the id out")]
    TooNew {
        /// The id.
        id: Uuid,
        /// How far ahead, hours.
        ahead_h: u64,
    },
    /// The record is larger than the journal takes.
    #[error("record: {0}")]
    TooLarge(String),
}

/// Why a whole batch was not taken, or not acknowledged.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// The writer has stopped. What was in flight may or may not be on record; sending it again with the same ids is
    /// safe.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The journal would hold more unsettled records than it may (I12).
    #[error(
        "the journal holds {bytes} bytes that are not settled yet, and has no room for more under its limit of {max}; try again later{}",
        cause.as_ref().map(|cause| format!(" (settling fails: {cause})")).unwrap_or_default()
    )]
    Backlog {
        /// Bytes in the journal.
        bytes: u64,
        /// The limit.
        max: u64,
        /// Why settling does not keep up, where that is known.
        cause: Option<Arc<str>>,
    },
    /// A batch has too many records (I12).
    #[error("a batch of {got} records is over the limit of {max}; split it")]
    BatchTooLong {
        /// How many it has.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// A batch has too many bytes (I12).
    #[error("{0}")]
    BatchTooLarge(String),
    /// Earlier records could not be looked up.
    #[error("cannot look up earlier records: {0}")]
    Lookup(Arc<crate::snapshot::SnapshotError>),
}

/// A record with everything that does not depend on its place in the trail.
pub(crate) struct Prepared {
    pub(crate) record: Record,
    pub(crate) id: Uuid,
    salt: Salt,
    content: Content,
}

impl Prepared {
    /// Each record with a salt and an id, its sender's or one made here.
    pub(crate) fn all(records: Vec<Record>, host: &host::Host) -> Vec<Prepared> {
        let without_salt = records.iter().filter(|record| record.salt.is_none()).count();
        let mut salts = host.random_each(without_salt).into_iter().map(Salt);
        let prepare = |record: Record| {
            let salt = record.salt.or_else(|| salts.next()).unwrap_or_else(|| Salt(host.random()));
            let content = record::content(&salt, &record.parts);
            Prepared { id: record.id.unwrap_or_else(|| host.uuid_v7()), salt, content, record }
        };
        records.into_iter().map(prepare).collect()
    }

    /// Bytes in the journal that it comes to at most: parts and stamp, the heads around them, and the frame's header.
    pub(crate) fn journal_bytes_max(&self) -> u64 {
        const AROUND: u64 = 512;
        self.record.parts.total_bytes() as u64 + AROUND
    }

    /// The stored record, once its place in time is known.
    pub(crate) fn stored(self, received: i64, about_digest: Option<Digest>) -> (Stored, Content, Digest) {
        let Prepared { record, id, salt, content } = self;
        let stamp = Stamp {
            kind: record.kind,
            received,
            id,
            id_by_server: record.id.is_none(),
            time_by_server: record.time_ns.is_none(),
            salt_by_server: record.salt.is_none(),
            about_digest: about_digest.map(|digest| digest.0),
        };
        let digest = record_digest(&content, &stamp.to_canonical());
        (Stored { stamp, body: Body::Whole { salt, parts: record.parts } }, content, digest)
    }
}

/// A record that was on the trail before.
#[derive(Debug, Clone)]
pub(crate) struct Earlier {
    pub(crate) index: u64,
    pub(crate) stored: Stored,
    pub(crate) content: Content,
    pub(crate) digest: Digest,
}

impl From<&HotRecord> for Earlier {
    fn from(hot: &HotRecord) -> Self {
        Earlier { index: hot.index, stored: hot.stored.clone(), content: hot.content, digest: hot.digest }
    }
}

impl Earlier {
    /// What the sender of the same id is told now. Fields as sent are compared, not salts: the server may have made
    /// a salt of its own each time.
    pub(crate) fn answer(&self, again: &Prepared) -> Outcome {
        let (same, salt) = match &self.stored.body {
            Body::Whole { salt, parts } => (*parts == again.record.parts, Some(*salt)),
            Body::Partial { parts, erased } => (surviving_agree(parts, erased, &again.record.parts), None),
            Body::Erased { .. } => (true, None),
        };
        if !same {
            return Outcome::Refused(Refusal::Conflict { id: again.id, index: self.index });
        }
        Outcome::Kept(Box::new(Receipt {
            index: self.index,
            id: again.id,
            content: self.content,
            digest: self.digest,
            stamp: self.stored.stamp.clone(),
            salt: salt.filter(|_| self.stored.stamp.salt_by_server),
            again: true,
            erased: !matches!(self.stored.body, Body::Whole { .. }),
        }))
    }
}

/// Whether what is sent agrees with what an erasure left. Of an erased part nobody can tell any more.
fn surviving_agree(left: &record::Parts, erased: &record::Erased, sent: &record::Parts) -> bool {
    record::Part::ALL.into_iter().all(|part| match erased.parts[part as usize] {
        record::ErasedPart::Erased(_) => true,
        record::ErasedPart::Survives(_) | record::ErasedPart::Absent => left.get(part) == sent.get(part),
    })
}

/// The receipt of a record that is new.
pub(crate) fn receipt(hot: &HotRecord) -> Outcome {
    let stamp = hot.stored.stamp.clone();
    let salt = match &hot.stored.body {
        Body::Whole { salt, .. } if stamp.salt_by_server => Some(*salt),
        _ => None,
    };
    let (index, id, content, digest) = (hot.index, stamp.id, hot.content, hot.digest);
    Outcome::Kept(Box::new(Receipt { index, id, content, digest, stamp, salt, again: false, erased: false }))
}

/// What is known of ids that a batch names, from records that are settled.
#[derive(Default)]
pub(crate) struct Known {
    /// The records whose ids come again.
    pub(crate) again: HashMap<Uuid, Earlier>,
    /// Digests of the decisions that late facts are about.
    pub(crate) about: HashMap<Uuid, Digest>,
}
