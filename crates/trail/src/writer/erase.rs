//! Carrying out an erasure: declared and sealed first, then every file that holds what must go is written anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use record::{Body, Kind, Part, Stored};

use super::{Inner, Stopped};
use crate::append::{AppendError, Intake, Outcome};
use crate::erasure::{Erasure, MalformedErasure, pending};
use crate::settle::SettleError;
use crate::snapshot::{Snapshot, SnapshotError};

/// Why an erasure was not made, or not finished. One that has begun is finished by the writer as soon as it can.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// It does not say what it must.
    #[error(transparent)]
    Malformed(#[from] MalformedErasure),
    /// It names a record that is not there.
    #[error("there is no record {index}: the trail ends at record {end}; nothing was erased")]
    NoRecord {
        /// The index.
        index: u64,
        /// Records in the trail.
        end: u64,
    },
    /// It names a record of an erasure, which is what makes tombstones tell from tampering.
    #[error("record {index} declares an erasure, and is never erased itself (T20); nothing was erased")]
    Declaration {
        /// The index.
        index: u64,
    },
    /// All that a record holds would go, and less than the whole of it was named.
    #[error(
        "record {index} holds nothing but the parts that are to go; name all seven parts to erase the whole record; nothing was erased"
    )]
    Whole {
        /// The index.
        index: u64,
    },
    /// Another erasure with this id says something else.
    #[error("the erasure was not put on record: {0}; nothing was erased")]
    Refused(String),
    /// An erasure that began earlier cannot be read.
    #[error("{} is malformed: {cause}; an erasure that it names may be unfinished: ask its sender to make it again, then remove the file", path.display())]
    Pending {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        cause: String,
    },
    /// The declaration was not appended.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The records could not be settled.
    #[error(transparent)]
    Settle(#[from] SettleError),
    /// A record could not be looked up.
    #[error(transparent)]
    Lookup(#[from] SnapshotError),
    /// A file could not be written anew.
    #[error(transparent)]
    Rewrite(#[from] lake::RewriteError),
    /// A file that holds what was erased could not be removed.
    #[error(transparent)]
    Clean(#[from] lake::CleanError),
    /// The file that remembers the erasure could not be written or removed.
    #[error(transparent)]
    File(#[from] host::FileError),
    /// The writer has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// What an erasure did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// The index of the `erasure` record.
    pub index: u64,
    /// Records that lost something, now or before.
    pub records: u64,
    /// Files that were written anew.
    pub files: u64,
    /// Files that hold what was erased and stay until those who read them have ended. The writer removes them then.
    pub left: u64,
}

impl Inner {
    /// Declares the erasure, carries it out, and removes what held what it erases. What was begun is finished, here or
    /// by the next writer, whatever happens in between (I8).
    pub(super) fn erase(&self, erasure: &Erasure) -> Result<Erased, EraseError> {
        let record = erasure.to_record()?;
        let _one_at_a_time = self.erasing.lock();
        self.may_erase(erasure)?;
        self.finish_another(erasure)?;
        pending::put(&self.host, &self.folder, erasure, self.keys.as_ref())?;
        self.see_through(erasure, record)
    }

    /// One that was begun before and that this is not would be forgotten once this one is put in its place: what can be done
    /// of it now is done first. Files of it that someone reads are left to clean-up then.
    fn finish_another(&self, erasure: &Erasure) -> Result<(), EraseError> {
        match pending::read(&self.host, &self.folder, self.keys.as_ref())? {
            Some(Ok(other)) if other != *erasure => match self.see_through(&other, other.to_record()?) {
                // It was never put on record, and never will be.
                Ok(_) | Err(EraseError::Refused(_)) => Ok(()),
                Err(error) => Err(error),
            },
            _ => Ok(()),
        }
    }

    fn see_through(&self, erasure: &Erasure, record: record::Record) -> Result<Erased, EraseError> {
        let index = match self.append_one(record) {
            Ok(index) => index,
            Err(refused @ EraseError::Refused(_)) => {
                pending::done(&self.host, &self.folder, self.keys.as_ref())?;
                return Err(refused);
            }
            Err(error) => {
                self.erasure_pending.store(true, Ordering::Release);
                return Err(error);
            }
        };
        let done = self.carry_out(index, erasure);
        // What failed, or what readers still hold, is tried again with the next settle.
        let finished = done.as_ref().is_ok_and(|erased| erased.left == 0);
        if finished {
            pending::done(&self.host, &self.folder, self.keys.as_ref())?;
        }
        self.erasure_pending.store(!finished, Ordering::Release);
        done
    }

    /// Finishes an erasure that was begun before.
    pub(super) fn finish_erasure(&self) -> Result<(), EraseError> {
        if !self.erasure_pending.load(Ordering::Acquire) {
            return Ok(());
        }
        match pending::read(&self.host, &self.folder, self.keys.as_ref())? {
            None => {
                self.erasure_pending.store(false, Ordering::Release);
                Ok(())
            }
            Some(Ok(erasure)) => self.erase(&erasure).map(drop),
            Some(Err(cause)) => Err(EraseError::Pending { path: self.folder.erasure(), cause }),
        }
    }

    fn may_erase(&self, erasure: &Erasure) -> Result<(), EraseError> {
        let (snapshot, parts) = (self.shared.snapshot.load_full(), erasure.parts()?);
        let whole = Part::ALL.iter().all(|part| parts.contains(part));
        for &index in &erasure.indices {
            let found = snapshot.get(index)?.ok_or(EraseError::NoRecord { index, end: snapshot.end() })?;
            if found.stored.stamp.kind == Kind::Erasure {
                return Err(EraseError::Declaration { index });
            }
            let left = found.stored.without(&parts);
            if !whole
                && matches!(
                    (&found.stored.body, &left.body),
                    (Body::Whole { .. } | Body::Partial { .. }, Body::Erased { .. })
                )
            {
                return Err(EraseError::Whole { index });
            }
        }
        Ok(())
    }

    fn append_one(&self, record: record::Record) -> Result<u64, EraseError> {
        let outcomes = self.stage(vec![record], Intake::Import)?.wait()?;
        match outcomes.into_iter().next() {
            Some(Outcome::Kept(receipt)) => Ok(receipt.index),
            Some(Outcome::Refused(refusal)) => Err(EraseError::Refused(refusal.to_string())),
            None => Err(EraseError::Refused("it got no answer".to_owned())),
        }
    }

    fn carry_out(&self, index: u64, erasure: &Erasure) -> Result<Erased, EraseError> {
        let parts = erasure.parts()?;
        // The journal lets go of what is settled, and the declaration is sealed before what it declares is done.
        // What holds it there ends here: a segment that others go on to append to would stay, and it with its key.
        self.journal.rotate().map_err(SettleError::from)?;
        self.settle_all()?;
        self.let_go(&self.lake.lock())?;
        // A compaction would put other files in the place of these: one rewrite at a time.
        let _turn = self.rewriting.lock();
        let files = self.rewrite(erasure, &parts)?;
        // No grace for other engines: a file that a compaction replaced an hour ago may hold what is gone from all others.
        let cleaned = self.clean(Duration::ZERO)?;
        Ok(Erased { index, records: erasure.indices.len() as u64, files, left: cleaned.left })
    }

    /// Writes anew each file in which a named record still has a named part; says how many those are.
    fn rewrite(&self, erasure: &Erasure, parts: &[Part]) -> Result<u64, EraseError> {
        let snapshot = self.shared.snapshot.load_full();
        let files = holding(&snapshot, erasure, parts)?;
        if files.is_empty() {
            return Ok(0);
        }
        let named: std::collections::HashSet<u64> = erasure.indices.iter().copied().collect();
        let changed = |index: u64, stored: &Stored| named.contains(&index).then(|| stored.without(parts));
        let manifests: Vec<&lake::Manifest> = files.values().copied().collect();
        let plan = lake::Rewrite::for_erasure(snapshot.lake(), &manifests);
        self.make_live(&plan, &changed)?;
        Ok(files.len() as u64)
    }
}

/// The files, by name, in which a named record still has a named part.
fn holding<'s>(
    snapshot: &'s Arc<Snapshot>,
    erasure: &Erasure,
    parts: &[Part],
) -> Result<BTreeMap<String, &'s lake::Manifest>, EraseError> {
    let mut files = BTreeMap::new();
    for &index in &erasure.indices {
        let Some(found) = snapshot.lake().find(index).map_err(SnapshotError::from)? else { continue };
        let stored = &found.placed.stored;
        let holds = stored.parts().is_some_and(|there| parts.iter().any(|part| there.get(*part).is_some()));
        if holds {
            let manifest = snapshot.lake().files().iter().find(|file| file.path == found.file);
            files.extend(manifest.map(|manifest| (found.file, manifest)));
        }
    }
    Ok(files)
}
