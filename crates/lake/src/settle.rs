//! The writer of a lake: carries out settle plans, one at a time.
//!
//! ```text
//! remove orphans → write files, fsync each → fsync the folder → read every row back, compare digests (I5)
//!                → one Delta commit → new snapshot
//! ```
//!
//! A crash or an error anywhere before the commit leaves only data files that no version names. They are called
//! `settle-<watermark>-…`, and every committed file of that watermark is named by the version that set the next one,
//! so a file that no version names and whose watermark is not below the table's is an orphan. It looks the same as a
//! file whose log entry was lost, so opening removes nothing: [`Lake::sweep`] does, once the caller knows from where
//! its journal holds the records, and each settle does before it writes. A reader never does.

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use host::{FileError, Host};
use keys::Keyring;
use record::{Digest, Parts};

use crate::manifest::{Manifest, NameOf, settle_name};
use crate::plan::{PlannedFile, SettlePlan};
use crate::reader::{BATCH_ROWS, FileReader, ReadError};
use crate::readers::ReadersLock;
use crate::rewrite::{RewriteError, Rewritten};
use crate::snapshot::Snapshot;
use crate::table::{Change, Table, TableError, Version};
use crate::writer::{FileWriter, STEP, WriteError};

/// Why records were not settled. Nothing of the journal may be dropped.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// An earlier settle failed in a way that only a restart can clear up.
    #[error("the lake's writer stopped after an error that only a restart clears up; start again")]
    Stopped,
    /// The plan was made for another version of the table.
    #[error("the plan was made for version {planned} of the table, which is at {found}; plan again")]
    Stale {
        /// The version it was made for.
        planned: u64,
        /// The version that is current.
        found: u64,
    },
    /// No version names the file, and its records may be nowhere else: the Delta log is older than the file.
    #[error(
        "file {file:?} holds records that neither table nor journal has: it was written at watermark {watermark}, and the journal has records {} to {}; nothing was removed; restore _delta_log from a copy, do not append", journal.start, journal.end
    )]
    Unnamed {
        /// The file.
        file: String,
        /// The watermark in its name: no record in it has a lower index.
        watermark: u64,
        /// The records that the journal has.
        journal: Range<u64>,
    },
    /// Files could not be listed, removed or fsynced.
    #[error(transparent)]
    File(#[from] FileError),
    /// A data file was not written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A data file could not be read back.
    #[error("reading back what was written failed, so nothing was committed: {0}")]
    ReadBack(#[from] ReadError),
    /// A row came back as another record than the one appended (I5).
    #[error(
        "record {index} came back from file {file:?}, row {row}, with digest {found} instead of {expected}; nothing was committed"
    )]
    Mismatch {
        /// The record's index.
        index: u64,
        /// The file.
        file: String,
        /// The row, from 0.
        row: u64,
        /// The digest it was appended with.
        expected: Digest,
        /// The digest of what came back.
        found: Digest,
    },
    /// A row came back at another place than the one it was written to, or not at all.
    #[error("row {row} of file {file:?} should hold record {expected:?} and holds {found:?}; nothing was committed")]
    Displaced {
        /// The file.
        file: String,
        /// The row, from 0.
        row: u64,
        /// The index it was written with.
        expected: Option<u64>,
        /// The index that came back.
        found: Option<u64>,
    },
    /// The caller knows no digest of a record that it wants settled.
    #[error("record {index} has no digest to hold it against; settle only what is appended")]
    Unknown {
        /// The record's index.
        index: u64,
    },
    /// The commit did not land, or nobody knows.
    #[error(transparent)]
    Table(#[from] TableError),
}

impl SettleError {
    /// Whether the writer must stop and recover from what is on disk, rather than settle again.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Stopped => true,
            Self::Table(error) => error.is_fatal(),
            Self::File(error) | Self::Write(WriteError::File(error)) => is_sync(error),
            _ => false,
        }
    }
}

/// Whether it is an fsync that failed.
pub(crate) fn is_sync(error: &FileError) -> bool {
    use host::Operation::{SyncAll, SyncData, SyncFolder};
    matches!(error, FileError::Io { operation: SyncAll | SyncData | SyncFolder, .. })
}

/// A lake under its one writer (I6; the caller holds the trail's lock).
pub struct Lake {
    pub(crate) table: Table,
    snapshot: Snapshot,
    /// Versions that someone may still read.
    versions: Vec<Weak<Version>>,
    pub(crate) stopped: bool,
}

impl Lake {
    /// Makes the lake in `folder`, empty; for a trail that is being made. What an interrupted call left is completed,
    /// and a table that is there already is opened as it is. Data files without a table are an error.
    pub fn create(host: Host, folder: impl AsRef<Path>) -> Result<Self, SettleError> {
        let table = Table::at(host, folder.as_ref())?;
        if !table.exists()? {
            table.host().create_dir_all(table.folder(), STEP)?;
            let paths = table.host().list(table.folder(), STEP)?;
            if paths.iter().any(|path| NameOf::read(name_of(path)).is_some()) {
                return Err(TableError::Missing { folder: table.folder().to_owned() }.into());
            }
        }
        let version = table.create_or_recover()?;
        ReadersLock::make(table.host(), table.folder())?;
        Ok(Self::of(table, version))
    }

    /// Opens the lake in `folder`. Makes no table and removes nothing: whether the log is the newest is for the caller
    /// to find out, who then calls [`Lake::sweep`].
    pub fn open(host: Host, folder: impl AsRef<Path>) -> Result<Self, SettleError> {
        let table = Table::at(host, folder.as_ref())?;
        let version = table.recover()?;
        ReadersLock::make(table.host(), table.folder())?;
        Ok(Self::of(table, version))
    }

    fn of(table: Table, version: Version) -> Self {
        let snapshot = Snapshot::of(&table, version);
        let versions = vec![Arc::downgrade(snapshot.base())];
        Self { table, snapshot, versions, stopped: false }
    }

    /// The same lake, with the trail's keys: what it writes is encrypted from here on.
    #[must_use]
    pub fn with_keys(mut self, keys: Option<Keyring>) -> Self {
        self.snapshot = self.snapshot.with_keys(keys);
        self
    }

    pub(crate) fn advance(&mut self, version: Version) {
        self.snapshot = self.snapshot.next(version);
        self.versions.retain(|version| version.strong_count() > 0);
        self.versions.push(Arc::downgrade(self.snapshot.base()));
    }

    /// The versions that someone in this process may still read, the newest among them.
    pub(crate) fn versions(&self) -> impl Iterator<Item = Arc<Version>> {
        self.versions.iter().filter_map(Weak::upgrade)
    }

    /// Removes what a crash left behind. `journal` are the records that the journal has: a file that was written at a
    /// watermark among them can be written again. Any other is an error, and then nothing is removed.
    pub fn sweep(&self, journal: Range<u64>) -> Result<(), SettleError> {
        self.remove_orphans(&journal)?;
        Ok(self.table.sweep_temporaries()?)
    }

    /// The newest version.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Carries out `plan`, and gives the version that holds its records. `expected` is the digest that each was
    /// appended with, from wherever the caller keeps the tree's entries.
    ///
    /// When it returns `Ok`, every record of the plan was read back from its file and re-hashed to that digest, and
    /// files, log and folders are fsynced (I5). When it returns an error nothing may be dropped; after one that
    /// [`SettleError::is_fatal`] the lake takes no more plans and must be opened again.
    pub fn settle(
        &mut self,
        plan: &SettlePlan<'_>,
        expected: &dyn Fn(u64) -> Option<Digest>,
    ) -> Result<&Snapshot, SettleError> {
        if self.stopped {
            return Err(SettleError::Stopped);
        }
        if plan.base_version != self.snapshot.version() {
            return Err(SettleError::Stale { planned: plan.base_version, found: self.snapshot.version() });
        }
        match self.carry_out(plan, expected) {
            Ok(version) => self.advance(version),
            Err(error) => {
                self.stopped = error.is_fatal();
                return Err(error);
            }
        }
        Ok(&self.snapshot)
    }

    /// Makes `rewritten` live in place of what it replaces, and gives the version that has it. One Delta commit; the
    /// watermark stays. Settles may have been committed since the rewrite was planned, and nothing else.
    ///
    /// The files that it replaces stay in the folder until [`Lake::clean`]. After an error they are live as before,
    /// unless it [`RewriteError::is_fatal`]: then the lake takes no more plans and must be opened again.
    pub fn replace(&mut self, mut rewritten: Rewritten) -> Result<&Snapshot, RewriteError> {
        if self.stopped {
            return Err(RewriteError::Stopped);
        }
        let live: HashSet<&Manifest> = self.snapshot.files().iter().collect();
        if let Some(gone) = rewritten.removed.iter().find(|file| !live.contains(file)) {
            return Err(RewriteError::Replaced { file: gone.path.clone() });
        }
        let mut columns = (**self.snapshot.columns()).clone();
        columns.adopt(&rewritten.new_columns).map_err(|column| RewriteError::Column { column })?;
        let change = Change {
            columns: (columns.list().len() > self.snapshot.columns().list().len()).then_some(columns),
            files: std::mem::take(&mut rewritten.added),
            removed: std::mem::take(&mut rewritten.removed),
            reason: Some(rewritten.reason),
            watermark: self.snapshot.watermark(),
        };
        // From here on a version may name the new files, even if the answer is an error.
        rewritten.outputs.keep();
        match self.table.commit(self.snapshot.base(), change) {
            Ok(version) => self.advance(version),
            Err(error) => {
                self.stopped = error.is_fatal();
                if matches!(error, TableError::NotCommitted { .. }) {
                    rewritten.outputs.give_up();
                }
                return Err(error.into());
            }
        }
        Ok(&self.snapshot)
    }

    fn carry_out(
        &self,
        plan: &SettlePlan<'_>,
        expected: &dyn Fn(u64) -> Option<Digest>,
    ) -> Result<Version, SettleError> {
        // Plans begin at the watermark, so whoever made this one has the records from there on.
        self.remove_orphans(&(self.snapshot.watermark()..u64::MAX))?;
        let mut files = Vec::with_capacity(plan.files.len());
        for file in &plan.files {
            files.push(self.write(plan, file)?);
        }
        let host = self.table.host();
        host.sync_dir(self.table.folder(), STEP)?;
        for (file, manifest) in plan.files.iter().zip(&files) {
            self.read_back(plan, file, manifest, expected)?;
        }
        let columns = (!plan.new_columns.is_empty()).then(|| (*plan.columns).clone());
        let change = Change { columns, files, watermark: plan.watermark, ..Change::default() };
        Ok(self.table.commit(self.snapshot.base(), change)?)
    }

    fn write(&self, plan: &SettlePlan<'_>, file: &PlannedFile) -> Result<Manifest, SettleError> {
        let host = self.table.host();
        // The random part keeps a name from ever standing for two different contents, in any cache.
        let name = settle_name(self.snapshot.watermark(), u64::from_be_bytes(host.random()));
        let mut writer = FileWriter::create(host, self.table.folder(), &name, &file.layout, self.snapshot.keys())?;
        for &at in &file.rows {
            let (index, stored) = plan.records[at];
            writer.push(index, stored, &plan.facts[at])?;
        }
        Ok(writer.finish()?)
    }

    fn read_back(
        &self,
        plan: &SettlePlan<'_>,
        file: &PlannedFile,
        manifest: &Manifest,
        expected: &dyn Fn(u64) -> Option<Digest>,
    ) -> Result<(), SettleError> {
        let (host, folder, keys) = (self.table.host(), self.table.folder(), self.snapshot.keys());
        let reader = FileReader::open(host, folder, manifest, &plan.columns, keys)?;
        let mut written = file.rows.iter().map(|&at| plan.records[at].0);
        let displaced =
            |row, expected, found| SettleError::Displaced { file: manifest.path.clone(), row, expected, found };
        let mut memory = Parts::default();
        for batch in reader.batches(BATCH_ROWS)? {
            let (first, batch) = batch?;
            let rows = reader.records(&batch, first)?;
            for (at, row) in (0..rows.len()).zip(first..) {
                let (index, stored) = reader.placed_in(&rows, at, row, memory)?;
                let wanted = written.next();
                if wanted != Some(index) {
                    return Err(displaced(row, wanted, Some(index)));
                }
                let expected = expected(index).ok_or(SettleError::Unknown { index })?;
                let found = stored.digest();
                if found != expected {
                    return Err(SettleError::Mismatch { index, file: manifest.path.clone(), row, expected, found });
                }
                memory = stored.into_parts();
            }
        }
        match written.next() {
            Some(missing) => Err(displaced(manifest.rows, Some(missing), None)),
            None => Ok(()),
        }
    }

    /// Removes the files that a settle wrote and did not commit. Their removal is made durable, since what is erased
    /// later must not live on in one of them.
    fn remove_orphans(&self, journal: &Range<u64>) -> Result<(), SettleError> {
        let host = self.table.host();
        let orphans = self.orphans()?;
        let is_lost = |name: &NameOf| name.rewrite || !journal.contains(&name.watermark);
        if let Some((NameOf { watermark, .. }, path)) = orphans.iter().find(|(name, _)| is_lost(name)) {
            let file = name_of(path).to_owned();
            return Err(SettleError::Unnamed { file, watermark: *watermark, journal: journal.clone() });
        }
        for (_, path) in &orphans {
            match host.remove(path, STEP) {
                Err(error) if !error.is_not_found() => return Err(error.into()),
                _ => {}
            }
        }
        if !orphans.is_empty() {
            host.sync_dir(self.table.folder(), STEP)?;
        }
        if let Some(keys) = self.snapshot.keys() {
            keys.destroy(orphans.iter().map(|(_, path)| name_of(path)))?;
        }
        Ok(())
    }

    /// Data files that no version names and that hold, or may hold, records from the table's watermark on. A settle's
    /// records begin at the watermark in its name; a rewrite's end before it, so one with a later watermark than the
    /// table's says that the table's log is an older one.
    fn orphans(&self) -> Result<Vec<(NameOf, PathBuf)>, SettleError> {
        let live: HashSet<&str> = self.snapshot.files().iter().map(|file| file.path.as_str()).collect();
        let orphan = |path: PathBuf| {
            let name = NameOf::read(name_of(&path))?;
            let is_ahead = !name.is_below(self.snapshot.watermark());
            (is_ahead && !live.contains(name_of(&path))).then_some((name, path))
        };
        let paths = self.table.host().list(self.table.folder(), STEP)?;
        Ok(paths.into_iter().filter_map(orphan).collect())
    }
}

/// The name of a file, or nothing if it is no text.
pub(crate) fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use host::{Fault, FaultLog, FaultTable};
    use proptest::prelude::*;
    use record::Stored;

    use super::*;
    use crate::arbitrary::{self, sample};
    use crate::plan::plan_settle;

    /// Settles `records` and gives every record that is in the lake after, by index.
    fn settle(lake: &mut Lake, records: &[(u64, Stored)]) -> Result<(), SettleError> {
        let plan = plan_settle(lake.snapshot(), records).unwrap();
        let first = records[0].0;
        lake.settle(&plan, &|index| Some(records.get((index - first) as usize)?.1.digest())).map(drop)
    }

    fn all(snapshot: &Snapshot) -> BTreeMap<u64, Stored> {
        let mut all = BTreeMap::new();
        for file in snapshot.files() {
            for placed in snapshot.rows(file).unwrap() {
                let placed = placed.unwrap();
                assert!(all.insert(placed.index, placed.stored).is_none(), "index {} twice", placed.index);
            }
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// I5, I7, I14: two settles with whatever columns they need, reopened by writer and reader.
        #[test]
        fn what_was_settled_is_there_byte_for_byte_after_reopening(
            one in arbitrary::run(0, 1..40),
            two in arbitrary::run(1000, 1..40),
        ) {
            let two: Vec<_> = (one.len() as u64..).zip(two).map(|(index, (_, stored))| (index, stored)).collect();
            let folder = tempfile::tempdir().unwrap();
            let mut lake = Lake::create(Host::system(), folder.path()).unwrap();
            settle(&mut lake, &one).unwrap();
            let held = lake.snapshot().clone();
            settle(&mut lake, &two).unwrap();
            let both: BTreeMap<u64, Stored> = one.iter().chain(&two).cloned().collect();
            prop_assert_eq!(&all(lake.snapshot()), &both);
            prop_assert_eq!(all(&held), one.iter().cloned().collect());
            let reader = Snapshot::open(Host::system(), folder.path()).unwrap();
            prop_assert_eq!(&all(&reader), &both);
            prop_assert_eq!(reader.watermark(), both.len() as u64);
            let again = Lake::open(Host::system(), folder.path()).unwrap();
            prop_assert_eq!(&all(again.snapshot()), &both);
            prop_assert_eq!(again.snapshot().columns().list(), lake.snapshot().columns().list());
        }
    }

    /// Every system call of a settle fails in every way; then the lake is opened and settled again.
    #[test]
    fn each_record_is_there_once_whatever_fails() {
        let (one, two) = (sample(1, 0, 8), sample(2, 8, 8));
        let log = Arc::new(FaultLog::new());
        let run = |host: Host, folder: &Path| -> Result<(), SettleError> {
            let mut lake = Lake::create(host, folder)?;
            lake.sweep(lake.snapshot().watermark()..16)?;
            if lake.snapshot().watermark() == 0 {
                settle(&mut lake, &one)?;
            }
            if lake.snapshot().watermark() == 8 {
                settle(&mut lake, &two)?;
            }
            Ok(())
        };
        let folder = tempfile::tempdir().unwrap();
        run(Host::builder().faults(log.clone()).build(), folder.path()).unwrap();
        let points = log.points();
        assert!(
            points.keys().any(|p| p == "delta.rename") && points.keys().any(|p| p == "parquet.fsync"),
            "{points:?}"
        );
        let both: BTreeMap<u64, Stored> = one.iter().chain(&two).cloned().collect();
        for (point, visits) in points.into_iter().filter(|(point, _)| !point.ends_with(".read")) {
            for nth in 1..=visits {
                for fault in [Fault::FailBefore(5), Fault::FailAfter(5), Fault::ShortWrite(28)] {
                    let folder = tempfile::tempdir().unwrap();
                    let faulty = Host::builder().faults(FaultTable::one(&point, nth, fault)).build();
                    let failed = run(faulty, folder.path());
                    run(Host::system(), folder.path()).unwrap();
                    let snapshot = Snapshot::open(Host::system(), folder.path()).unwrap();
                    assert_eq!(all(&snapshot), both, "{point} {nth} {fault:?} {failed:?}");
                    let files = Host::system().list(folder.path(), "test").unwrap();
                    let data = files.iter().filter(|f| f.extension().is_some_and(|e| e == "parquet")).count();
                    assert_eq!(data, snapshot.files().len(), "orphans after {point} {nth} {fault:?}");
                }
            }
        }
    }

    #[test]
    fn a_failed_fsync_stops_the_writer() {
        let records = sample(3, 0, 5);
        for point in ["parquet.fsync", "parquet.fsync-folder", "delta.fsync-folder"] {
            let folder = tempfile::tempdir().unwrap();
            drop(Lake::create(Host::system(), folder.path()).unwrap());
            let visits = Arc::new(FaultLog::new());
            let opened = Host::builder().faults(visits.clone()).build();
            drop(Lake::open(opened, folder.path()).unwrap());
            let nth = visits.visits(point) + 1;
            let faulty = Host::builder().faults(FaultTable::one(point, nth, Fault::FailAfter(5))).build();
            let mut lake = Lake::open(faulty, folder.path()).unwrap();
            let error = settle(&mut lake, &records).unwrap_err();
            assert!(error.is_fatal(), "{point}: {error}");
            assert!(matches!(settle(&mut lake, &records), Err(SettleError::Stopped)), "{point}");
        }
    }

    #[test]
    fn a_record_that_comes_back_otherwise_is_not_committed() {
        let folder = tempfile::tempdir().unwrap();
        let records = sample(4, 0, 8);
        let mut lake = Lake::create(Host::system(), folder.path()).unwrap();
        let plan = plan_settle(lake.snapshot(), &records).unwrap();
        let wrong = |index: u64| Some(records[(index as usize + 1) % 8].1.digest());
        assert!(matches!(lake.settle(&plan, &wrong), Err(SettleError::Mismatch { .. })));
        assert!(matches!(lake.settle(&plan, &|_| None), Err(SettleError::Unknown { .. })));
        assert_eq!(lake.snapshot().version(), 0);
        settle(&mut lake, &records).unwrap();
        assert_eq!(all(lake.snapshot()).len(), 8);
    }

    #[test]
    fn a_stale_plan_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let records = sample(4, 0, 8);
        let mut lake = Lake::create(Host::system(), folder.path()).unwrap();
        let plan = plan_settle(lake.snapshot(), &records).unwrap();
        settle(&mut lake, &records).unwrap();
        assert!(matches!(lake.settle(&plan, &|_| None), Err(SettleError::Stale { planned: 0, found: 1 })));
        assert!(plan_settle(lake.snapshot(), &records).is_err());
    }

    #[test]
    fn a_reader_removes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        drop(Lake::create(Host::system(), folder.path()).unwrap());
        let orphan = folder.path().join(settle_name(0, 7));
        let foreign = folder.path().join("notes.parquet");
        for path in [&orphan, &foreign] {
            Host::system().put_new(path, b"x", "test").unwrap();
        }
        Snapshot::open(Host::system(), folder.path()).unwrap();
        assert!(orphan.exists());
        let lake = Lake::open(Host::system(), folder.path()).unwrap();
        assert!(orphan.exists(), "opening removes nothing either");
        lake.sweep(0..1).unwrap();
        assert!(!orphan.exists() && foreign.exists());
    }

    fn data_files(folder: &Path) -> Vec<PathBuf> {
        let files = Host::system().list(folder, "test").unwrap();
        files.into_iter().filter(|path| NameOf::read(name_of(path)).is_some()).collect()
    }

    /// Two settles, of eight records each.
    fn settled_twice(folder: &Path) -> Lake {
        let mut lake = Lake::create(Host::system(), folder).unwrap();
        settle(&mut lake, &sample(1, 0, 8)).unwrap();
        settle(&mut lake, &sample(2, 8, 8)).unwrap();
        lake
    }

    /// The log is older than the files: what it does not name was acknowledged, and the journal has let go of it.
    #[test]
    fn a_file_whose_log_entry_is_lost_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        drop(settled_twice(folder.path()));
        let before = data_files(folder.path());
        let entry = folder.path().join("_delta_log").join(format!("{:020}.json", 2));
        Host::system().remove(entry, "test").unwrap();
        let lake = Lake::open(Host::system(), folder.path()).unwrap();
        assert_eq!(lake.snapshot().watermark(), 8);
        // The journal begins later, has nothing, or ends before.
        for journal in [16..20, 8..8, 0..8] {
            let error = lake.sweep(journal).unwrap_err();
            assert!(matches!(error, SettleError::Unnamed { watermark: 8, .. }), "{error}");
            assert!(error.to_string().contains("restore _delta_log from a copy"), "{error}");
            assert_eq!(data_files(folder.path()), before);
        }
    }

    #[test]
    fn a_lost_log_is_not_made_again() {
        let folder = tempfile::tempdir().unwrap();
        drop(settled_twice(folder.path()));
        let before = data_files(folder.path());
        let entries = || Host::system().list(folder.path().join("_delta_log"), "test").unwrap();
        entries().iter().for_each(|entry| Host::system().remove(entry, "test").unwrap());
        for open in [Lake::open, Lake::create] {
            let error = open(Host::system(), folder.path()).err().unwrap();
            assert!(matches!(error, SettleError::Table(TableError::Missing { .. })), "{error}");
        }
        assert!(matches!(Snapshot::open(Host::system(), folder.path()), Err(TableError::Missing { .. })));
        assert_eq!(data_files(folder.path()), before);
        assert!(entries().is_empty());
    }

    #[test]
    fn what_a_crashed_settle_left_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let lake = settled_twice(folder.path());
        let before = data_files(folder.path());
        let orphan = folder.path().join(settle_name(16, 7));
        Host::system().put_new(&orphan, b"x", "test").unwrap();
        lake.sweep(16..24).unwrap();
        assert_eq!(data_files(folder.path()), before);
        // The journal may still have records that are settled: a crash between the commit and its release.
        Host::system().put_new(&orphan, b"x", "test").unwrap();
        lake.sweep(8..24).unwrap();
        assert_eq!(data_files(folder.path()), before);
    }
}
