//! Reading a trail's folder without being its writer: a live one, or a read-only copy.

use std::sync::Arc;

use host::Host;
use keys::Keyring;
use record::{Stored, StoredError};
use tlog::SignedCheckpoint;

use crate::folder::Folder;
use crate::hot::{Hot, hash_all};
use crate::keyring::KeysError;
use crate::settings::{Settings, SettingsError, absolute};
use crate::snapshot::Snapshot;
use crate::writer::read_checkpoint;

/// How often the journal is looked at again when the writer released what was being read.
const TRIES: usize = 20;

/// Reads a trail from its folder. Takes no lock and changes nothing.
#[derive(Debug, Clone)]
pub struct Reader {
    host: Host,
    folder: Folder,
}

/// Why a trail could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is no trail, or one of a format this software does not know.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// It is encrypted, and its keys are not here.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The checkpoint is malformed or not signed by the trail's key.
    #[error("the trail's checkpoint is not one that its key signed: {0}; run verify")]
    Checkpoint(String),
    /// The lake cannot be read.
    #[error(transparent)]
    Lake(#[from] lake::TableError),
    /// The lake's folder cannot be named.
    #[error(transparent)]
    File(#[from] host::FileError),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] journal::ReadError),
    /// Records are under the checkpoint, and in neither the lake nor the journal (T3).
    #[error("records {first} to {} were sealed and are not here; run verify", sealed - 1)]
    Gone {
        /// The first of them.
        first: u64,
        /// Records under the checkpoint.
        sealed: u64,
    },
    /// The journal is damaged.
    #[error("the journal is damaged: {0}; run verify")]
    Damaged(String),
}

impl Reader {
    /// A reader of the trail in `folder`.
    pub fn new(host: &Host, folder: &Folder) -> Reader {
        Reader { host: host.clone(), folder: folder.clone() }
    }

    /// The trail as it stands: everything that was acknowledged before the call.
    ///
    /// The journal is read first, and all of it: a running writer only moves records from there to the lake, so the
    /// lake that is looked at after it has whatever is no longer wanted of the journal. The other way round, a writer
    /// that settles faster than the lake's log is read would be ahead for ever.
    pub fn snapshot(&self) -> Result<Snapshot, ReadError> {
        let settings = Arc::new(Settings::read(&self.host, &self.folder)?);
        let keys = self.folder.keyring(&self.host, &settings)?;
        // Everything that this one covers is durable by now; the one that is there later may cover more than is read.
        let before = self.checkpoint(&settings)?;
        let (reading, records) = self.journal(keys.as_ref())?;
        let lake = lake::Snapshot::open(self.host.clone(), absolute(&self.folder.lake())?)?.with_keys(keys);
        let settled = lake.watermark();
        if let Some(problem) = reading.problems_from(settled).next() {
            return Err(ReadError::Damaged(problem.to_string()));
        }
        let unsettled = records.into_iter().skip_while(|(index, _)| *index < settled);
        let records = unsettled.map(|(index, record)| Ok((index, record?))).collect::<Result<Vec<_>, StoredError>>();
        let records = records.map_err(|error| ReadError::Damaged(error.to_string()))?;
        let sealed = before.as_ref().map_or(0, |signed| signed.checkpoint().size());
        if !records.iter().map(|(index, _)| *index).eq((settled..).take(records.len())) {
            return Err(ReadError::Gone { first: settled, sealed: sealed.max(settled + 1) });
        }
        let hot = Hot::starting_at(settled).with(hash_all(records));
        if hot.end() < sealed {
            return Err(ReadError::Gone { first: hot.end(), sealed });
        }
        let covered = |signed: &Arc<SignedCheckpoint>| signed.checkpoint().size() <= hot.end();
        let checkpoint = self.checkpoint(&settings)?.filter(covered).or(before);
        Ok(Snapshot { host: self.host.clone(), folder: self.folder.clone(), settings, lake, hot, checkpoint })
    }

    fn checkpoint(&self, settings: &Settings) -> Result<Option<Arc<SignedCheckpoint>>, ReadError> {
        read_checkpoint(&self.host, &self.folder, settings).map_err(ReadError::Checkpoint)
    }

    /// All records in the journal.
    fn journal(&self, keys: Option<&Keyring>) -> Result<(journal::Reading, InJournal), ReadError> {
        let folder = self.folder.journal();
        let mut tries = 0;
        loop {
            tries += 1;
            let mut records = InJournal::new();
            let Some(first) = journal::oldest(&self.host, &folder)? else {
                return Ok((journal::Reading::default(), records));
            };
            let reading = journal::read(&self.host, &folder, first, keys, |index, payload| {
                records.push((index, Stored::read(payload)));
                Ok(())
            });
            match reading {
                Ok(reading) => return Ok((reading, records)),
                // The oldest segment was released meanwhile.
                Err(journal::ReadError::Vanished { .. }) if tries < TRIES => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Records by index; those that are settled by now may be damaged.
type InJournal = Vec<(u64, Result<Stored, StoredError>)>;
