//! Reading a trail's folder without being its writer: a live one, or a read-only copy.

use std::sync::Arc;

use host::Host;
use record::Stored;

use crate::folder::Folder;
use crate::hot::Hot;
use crate::settings::{Settings, SettingsError, absolute};
use crate::snapshot::Snapshot;
use crate::writer::{hot_record, read_checkpoint};

/// How often a reader looks again when the writer settled under its eyes.
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
    pub fn snapshot(&self) -> Result<Snapshot, ReadError> {
        let settings = Arc::new(Settings::read(&self.host, &self.folder)?);
        let mut tries = 0;
        loop {
            tries += 1;
            match self.try_snapshot(&settings) {
                // The writer settled between the look at the lake and the look at the journal.
                Err(ReadError::Journal(journal::ReadError::Vanished { .. })) if tries < TRIES => {}
                snapshot => return snapshot,
            }
        }
    }

    fn try_snapshot(&self, settings: &Arc<Settings>) -> Result<Snapshot, ReadError> {
        let lake = lake::Snapshot::open(self.host.clone(), absolute(&self.folder.lake())?)?;
        let settled = lake.watermark();
        let mut records = Vec::new();
        let reading = journal::read(&self.host, self.folder.journal(), settled, |index, payload| {
            records.push(Arc::new(hot_record(index, Stored::read(payload)?)));
            Ok(())
        })?;
        damaged(&reading)?;
        // Read after the journal, so that everything it covers has been read.
        let checkpoint = read_checkpoint(&self.host, &self.folder, settings).map_err(ReadError::Checkpoint)?;
        let mut hot = Hot::starting_at(settled).with(records);
        let sealed = checkpoint.as_ref().map_or(0, |signed| signed.checkpoint().size());
        if hot.end() < sealed {
            // Sealed while the journal was being read; the records are there now.
            hot = self.read_on(hot)?;
        }
        if hot.end() < sealed {
            return Err(ReadError::Gone { first: hot.end(), sealed });
        }
        Ok(Snapshot {
            host: self.host.clone(),
            folder: self.folder.clone(),
            settings: Arc::clone(settings),
            lake,
            hot,
            checkpoint,
        })
    }

    fn read_on(&self, hot: Hot) -> Result<Hot, ReadError> {
        let mut records = Vec::new();
        let reading = journal::read(&self.host, self.folder.journal(), hot.end(), |index, payload| {
            records.push(Arc::new(hot_record(index, Stored::read(payload)?)));
            Ok(())
        })?;
        damaged(&reading)?;
        Ok(hot.with(records))
    }
}

fn damaged(reading: &journal::Reading) -> Result<(), ReadError> {
    reading.problems.first().map_or(Ok(()), |problem| Err(ReadError::Damaged(problem.to_string())))
}
