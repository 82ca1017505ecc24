//! Checkpoints of the log: written, proven, and read again.
//!
//! ```text
//! view without it → entries replayed → the library writes it, to memory → statistics left out → read here, compared
//!   (T26) → read by the library, compared → put in place, fsynced → _last_checkpoint, fsynced → the table read from it
//! ```
//!
//! So no engine ever sees one that is not proven, and a crash anywhere leaves one that nobody is pointed to, or none.

use std::sync::Arc;

use bytes::Bytes;
use deltalake_core::DeltaTable;
use deltalake_core::checkpoints::create_checkpoint;
use deltalake_core::kernel::TombstoneView;
use deltalake_core::table::state::DeltaTableState;
use futures::TryStreamExt as _;
use host::FileError;
use object_store::ObjectStoreExt as _;
use object_store::memory::InMemory;
use parquet::file::reader::Length as _;

use super::contents::{Contents, drop_nulls, without_claims};
use super::listing::{LastCheckpoint, Listing, Named};
use super::view::View;
use super::{Table, TableError, Version};
use crate::settle::is_sync;
use crate::source::Source;

/// Fault points of checkpoints, and of what is removed from the log, are `delta-checkpoint.<operation>`.
pub(super) const STEP: &str = "delta-checkpoint";

/// A checkpoint that is made and proven and stands nowhere yet.
struct Made {
    checkpoint: Bytes,
    last: Bytes,
}

impl Table {
    /// Whether `every` versions have come since the last checkpoint, or one stands there that nothing names: it was put
    /// in place by a writer that then ended.
    pub(crate) fn is_checkpoint_due(&self, newest: &Version, every: u64) -> Result<bool, TableError> {
        let listing = self.listing()?;
        let named = listing.last.map(|last| last.version);
        let since = newest.version.saturating_sub(named.unwrap_or(0));
        Ok(newest.version > 0 && (since >= every.max(1) || named != listing.base()))
    }

    /// Writes a checkpoint of `newest`, the newest version, and gives that version as it is read from there.
    pub(crate) fn checkpoint(&self, newest: &Version) -> Result<Version, TableError> {
        let made = self.make(newest)?;
        for (named, bytes) in
            [(Named::Checkpoint(newest.version), &made.checkpoint), (Named::LastCheckpoint, &made.last)]
        {
            self.host.replace(self.file(named), bytes, STEP, None).map_err(file_error)?;
        }
        self.reload(newest)
    }

    /// The newest version as it is read from the newest checkpoint. What was read before, and every version that was
    /// committed on top of it, holds on to all entries since.
    pub(crate) fn reload(&self, newest: &Version) -> Result<Version, TableError> {
        let found = self.load()?;
        self.is_same(&found, newest)?;
        Ok(found)
    }

    /// Makes a checkpoint of `newest` in memory, and proves it.
    fn make(&self, newest: &Version) -> Result<Made, TableError> {
        let replayed = self.replay(newest.version)?;
        let (view, written) = self.view(newest.version)?;
        let log = view.log.clone();
        self.block(async move {
            let mut table = DeltaTable::new(log);
            table.load().await?;
            create_checkpoint(&table, None).await
        })?;
        let wrong = |what| self.wrong(newest.version, what);
        let path = self.object(Named::Checkpoint(newest.version))?;
        let bytes = {
            let (written, path) = (written.clone(), path.clone());
            self.block(async move { Ok(written.get(&path).await?.bytes().await?) })?
        };
        let checkpoint = without_claims(bytes).map_err(wrong)?;
        let contents = Contents::read(checkpoint.clone()).map_err(wrong)?;
        if let Some(what) = contents.differs_from(&replayed) {
            return Err(wrong(what));
        }
        let last = LastCheckpoint::of(newest.version, &contents, checkpoint.len() as u64);
        let last = Bytes::from(serde_json::to_vec(&last).map_err(|e| self.json(e))?);
        let puts = [(path, checkpoint.clone()), (self.object(Named::LastCheckpoint)?, last.clone())];
        self.block(async move {
            for (path, bytes) in puts {
                written.put(&path, bytes.into()).await?;
            }
            Ok(())
        })?;
        let log = view.log.clone();
        let state = self.block(async move { DeltaTableState::try_new(&log, None).await })?;
        self.is_same(&view.read(state)?, newest)?;
        Ok(Made { checkpoint, last })
    }

    /// The table as it would be if the log ended with that version and had no checkpoint of it.
    fn view(&self, until: u64) -> Result<(Self, Arc<InMemory>), TableError> {
        let written = Arc::new(InMemory::new());
        let log = Self::log_store(&self.folder, Arc::new(View::until(until, written.clone())))?;
        let (host, folder, store) = (self.host.clone(), self.folder.clone(), self.store.clone());
        Ok((Self { host, folder, store, log }, written))
    }

    /// A file of the log as the library's stores name it.
    fn object(&self, named: Named) -> Result<object_store::path::Path, TableError> {
        let path = self.file(named);
        object_store::path::Path::from_absolute_path(&path).map_err(|_| TableError::Path(path))
    }

    /// What the entries say of that version: those after the checkpoint before it, or all there are.
    fn replay(&self, version: u64) -> Result<Contents, TableError> {
        let (view, _) = self.view(version)?;
        let log = view.log.clone();
        let state = self.block(async move { DeltaTableState::try_new(&log, None).await })?;
        let found = view.read(state)?;
        if found.version != version {
            return Err(
                self.wrong(version, format!("cannot be held against the entries, which end at {}", found.version))
            );
        }
        view.contents(&found)
    }

    /// A version as its checkpoint has it.
    fn contents(&self, version: &Version) -> Result<Contents, TableError> {
        let (log, state) = (self.log.clone(), version.state.clone());
        let mut contents = Contents {
            protocol: self.value(state.protocol())?,
            metadata: self.value(state.metadata())?,
            watermark: Some(version.watermark).filter(|records| *records > 0),
            ..Contents::default()
        };
        drop_nulls(&mut contents.protocol);
        drop_nulls(&mut contents.metadata);
        let twice = |what| self.wrong(version.version, what);
        for view in state.snapshot().try_log_data().map_err(|e| self.log_error(e))?.iter() {
            #[allow(deprecated, reason = "the tags are in no other public accessor")]
            let add = view.add_action();
            contents.add(add.path.clone(), self.value(&add)?).map_err(twice)?;
        }
        let read = |tombstone: TombstoneView| {
            let (when, change) = (tombstone.deletion_timestamp(), tombstone.data_change());
            (tombstone.path().into_owned(), serde_json::json!({"deletionTimestamp": when, "dataChange": change}))
        };
        let removed: Vec<_> = self.block(async move { state.all_tombstones(&log).map_ok(read).try_collect().await })?;
        for (path, action) in removed {
            contents.remove(path, &action).map_err(twice)?;
        }
        Ok(contents)
    }

    /// Reads the checkpoint of that version on disk. It says nothing that ours do not say; whether it is true is another
    /// question: see [`Table::prove`].
    pub(super) fn look_at(&self, version: u64, listing: &Listing) -> Result<Contents, TableError> {
        let source = Source::open_as(&self.host, &self.file(Named::Checkpoint(version)), STEP).map_err(file_error)?;
        let bytes = source.len();
        let contents = Contents::read(source).map_err(|what| self.wrong(version, what))?;
        let metadata = serde_json::from_value(contents.metadata.clone()).map_err(|e| self.json(e))?;
        self.columns(&metadata)?;
        if let Some(last) = listing.last.filter(|last| last.version == version) {
            self.is_of(&last, &contents, version, bytes)?;
        }
        Ok(contents)
    }

    /// Proves that the checkpoint of that version says what the entries say that lead to it.
    pub(super) fn prove(&self, version: u64, listing: &Listing) -> Result<(), TableError> {
        if !listing.leads_to(version) {
            let what = "cannot be proven: entries are missing between it and the checkpoint before it";
            return Err(self.wrong(version, what));
        }
        if let Some(older) = listing.checkpoints.range(..version).next_back() {
            self.look_at(*older, listing)?;
        }
        let contents = self.look_at(version, listing)?;
        match contents.differs_from(&self.replay(version)?) {
            Some(what) => Err(self.wrong(version, what)),
            None => Ok(()),
        }
    }

    /// Proves each checkpoint that the table is read from, now or after the newest is lost; says how many. Of the older
    /// one the entries may be gone: it was proven before they went, and what it says of records is for whoever counts
    /// them.
    pub(crate) fn prove_all(&self) -> Result<u64, TableError> {
        let listing = self.listing()?;
        let mut proven = 0;
        if let Some(kept) = listing.kept().filter(|kept| listing.leads_to(*kept)) {
            self.prove(kept, &listing)?;
            proven += 1;
        }
        if let Some(base) = listing.base() {
            self.prove(base, &listing)?;
            proven += 1;
        }
        Ok(proven)
    }

    /// Removes what nothing is read from any more; the caller holds the readers' lock alone. Says how many files went.
    pub(crate) fn remove_surplus(&self) -> Result<u64, TableError> {
        let listing = self.listing()?;
        self.prove_all()?;
        let mut removed = 0;
        for named in listing.surplus() {
            match self.host.remove(self.file(named), STEP) {
                Err(error) if !error.is_not_found() => return Err(file_error(error)),
                _ => removed += 1,
            }
        }
        if removed > 0 {
            self.host.sync_dir(self.log_folder(), STEP).map_err(file_error)?;
        }
        Ok(removed)
    }

    /// How many files of the log nothing is read from any more, while `_last_checkpoint` names the newest checkpoint:
    /// an engine that goes by it must find what it names.
    pub(crate) fn surplus(&self) -> Result<u64, TableError> {
        let listing = self.listing()?;
        let is_named = listing.last.map(|last| last.version) == listing.base();
        Ok(if is_named { listing.surplus().len() as u64 } else { 0 })
    }

    fn is_of(
        &self,
        last: &LastCheckpoint,
        contents: &Contents,
        version: u64,
        size_in_bytes: u64,
    ) -> Result<(), TableError> {
        let wanted = LastCheckpoint::of(version, contents, size_in_bytes);
        if *last == wanted {
            return Ok(());
        }
        Err(self.wrong(version, format!("is not what _last_checkpoint says: {last:?} instead of {wanted:?}")))
    }

    fn is_same(&self, found: &Version, wanted: &Version) -> Result<(), TableError> {
        let differs = if found.version != wanted.version {
            "version"
        } else if found.watermark != wanted.watermark {
            "watermark"
        } else if found.columns.list() != wanted.columns.list() {
            "columns"
        } else if found.files != wanted.files {
            "files"
        } else {
            return Ok(());
        };
        Err(self.wrong(wanted.version, format!("is read with other {differs} than were committed")))
    }
}

/// An fsync that failed is fatal, as everywhere.
fn file_error(error: FileError) -> TableError {
    let fatal = is_sync(&error);
    let error = Arc::new(error);
    if fatal { TableError::Unsynced(error) } else { TableError::File(error) }
}
