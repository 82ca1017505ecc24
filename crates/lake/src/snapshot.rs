//! One version of the lake, as a reader holds it: immutable, cheap to clone, never changed by a settle (I14).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::Host;
use keys::{KeyError, Keyring};
use parking_lot::Mutex;
use parquet::encryption::decrypt::FileDecryptionProperties;
use uuid::Uuid;

use crate::columns::Columns;
use crate::filters::Filters;
use crate::manifest::Manifest;
use crate::reader::{FileReader, FileRows, Placed, ReadError};
use crate::readers::ReadersLock;
use crate::rewrite::InProgress;
use crate::table::{Table, TableError, Version};
use crate::veil;

/// Open files whose footers are kept: some 100 KB each with their page index.
const OPEN_FILES_MAX: usize = 64;

/// A version of the lake.
#[derive(Clone)]
pub struct Snapshot {
    host: Host,
    folder: Arc<Path>,
    version: Arc<Version>,
    open: Arc<OpenFiles>,
    in_progress: InProgress,
    /// For files that are encrypted, and for those that are written.
    keys: Option<Keyring>,
    /// Keeps the files of this version in place, where it is not the writer's own.
    _lock: Option<Arc<ReadersLock>>,
}

/// Files that were read lately, most lately last, and filters of theirs. Data files never change, so versions share
/// them.
#[derive(Default)]
struct OpenFiles {
    readers: Mutex<Vec<(String, Arc<FileReader>)>>,
    filters: Filters,
}

/// A record, and the file and row in which it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The file's name.
    pub file: String,
    /// The record and its row.
    pub placed: Placed,
}

/// A column that records are looked up by. Those that do not say otherwise have a Bloom filter in each file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The record's id, as text.
    Id,
    /// `subject.id`.
    Subject,
    /// `subject.case`.
    Case,
    /// `trace.trace_id`.
    Trace,
    /// The id of the decision that a late fact is about: pages are skipped by their statistics alone.
    About,
    /// The record's kind: pages are skipped by their statistics alone.
    Kind,
    /// The model's name: pages are skipped by their statistics alone.
    Model,
    /// The model's version: pages are skipped by their statistics alone.
    Version,
}

impl Lookup {
    /// The column's name.
    pub fn column(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Subject => "subject.id",
            Self::Case => "subject.case",
            Self::Trace => "trace.trace_id",
            Self::About => "about",
            Self::Kind => "kind",
            Self::Model => "model.name",
            Self::Version => "model.version",
        }
    }
}

impl Snapshot {
    /// Reads the newest version of the lake in `folder`. Changes nothing there.
    pub fn open(host: Host, folder: impl AsRef<Path>) -> Result<Self, TableError> {
        let table = Table::at(host, folder.as_ref())?;
        // Before the log is read: what it names then is not removed as long as this lives.
        let lock =
            ReadersLock::share(table.host(), table.folder()).map_err(|error| TableError::File(Arc::new(error)))?;
        let version = table.load()?;
        Ok(Self { _lock: lock.map(Arc::new), ..Self::of(&table, version) })
    }

    pub(crate) fn of(table: &Table, version: Version) -> Self {
        Self {
            host: table.host().clone(),
            folder: table.folder().into(),
            version: Arc::new(version),
            open: Arc::default(),
            in_progress: Arc::default(),
            keys: None,
            _lock: None,
        }
    }

    /// The same version, with the trail's keys.
    #[must_use]
    pub fn with_keys(self, keys: Option<Keyring>) -> Self {
        Self { keys, open: Arc::default(), ..self }
    }

    pub(crate) fn keys(&self) -> Option<&Keyring> {
        self.keys.as_ref()
    }

    /// What a Parquet reader needs for a file that is encrypted; nothing for one that is not.
    pub fn decryption(&self, file: &Manifest) -> Result<Option<Arc<FileDecryptionProperties>>, KeyError> {
        let key = veil::key_of(file, self.keys())?;
        key.map(|key| veil::decryption(&key).map_err(|_| KeyError::Changed)).transpose()
    }

    /// Whether the files that are written are encrypted.
    pub fn encrypts(&self) -> bool {
        self.keys.is_some()
    }

    /// The same lake at a later version.
    pub(crate) fn next(&self, version: Version) -> Self {
        Self { version: Arc::new(version), ..self.clone() }
    }

    /// The version of the Delta table.
    pub fn version(&self) -> u64 {
        self.version.version
    }

    /// The version whose checkpoint the table was read from, if its log has one.
    pub fn log_checkpoint(&self) -> Option<u64> {
        self.version.checkpoint
    }

    /// Records below this index are here; those from it on are not.
    pub fn watermark(&self) -> u64 {
        self.version.watermark
    }

    /// The table's columns.
    pub fn columns(&self) -> &Arc<Columns> {
        &self.version.columns
    }

    /// The data files, by first index.
    pub fn files(&self) -> &[Manifest] {
        &self.version.files
    }

    /// Where the table is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a data file is.
    pub fn path(&self, file: &Manifest) -> PathBuf {
        self.folder.join(&file.path)
    }

    /// The same version, with no file open: what is read next is what is on disk now.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn anew(&self) -> Self {
        Self { open: Arc::default(), ..self.clone() }
    }

    pub(crate) fn base(&self) -> &Arc<Version> {
        &self.version
    }

    /// Files that rewrites are writing.
    pub(crate) fn in_progress(&self) -> &InProgress {
        &self.in_progress
    }

    pub(crate) fn filters(&self) -> &Filters {
        &self.open.filters
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// Every record of a file in the order of its rows: by time, then index. Holds one batch in memory.
    pub fn rows(&self, file: &Manifest) -> Result<FileRows, ReadError> {
        FileRows::new(self.reader(file)?)
    }

    /// The index and `received` of every record of a file, in the order of its rows: two columns are read, and no more.
    pub fn stamps(&self, file: &Manifest) -> Result<Vec<(u64, i64)>, ReadError> {
        self.reader(file)?.stamps()
    }

    /// The record with that index, or `None` if it is not settled.
    pub fn find(&self, index: u64) -> Result<Option<Found>, ReadError> {
        for file in self.files().iter().filter(|f| (f.first_index..=f.last_index).contains(&index)) {
            let reader = self.reader(file)?;
            if let Some(row) = reader.row_of_index(index)? {
                let placed = reader.rows(&[row])?.into_iter().next();
                return Ok(placed.map(|placed| Found { file: file.path.clone(), placed }));
            }
        }
        Ok(None)
    }

    /// The record with that id; of several, the one with the lowest index.
    pub fn find_id(&self, id: Uuid) -> Result<Option<Found>, ReadError> {
        Ok(self.find_ids(&[id])?.into_iter().next().flatten())
    }

    /// For each id its record, as [`Snapshot::find_id`]. One pass over the files for all of them.
    pub fn find_ids(&self, ids: &[Uuid]) -> Result<Vec<Option<Found>>, ReadError> {
        let texts = texts(ids);
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut first: HashMap<Uuid, Found> = HashMap::new();
        for (place, found) in self.look_up(Lookup::Id, &texts)? {
            match first.entry(ids[place]) {
                Entry::Vacant(entry) => drop(entry.insert(found)),
                Entry::Occupied(mut known) if found.placed.index < known.get().placed.index => {
                    known.insert(found);
                }
                Entry::Occupied(_) => {}
            }
        }
        Ok(ids.iter().map(|id| first.get(id).cloned()).collect())
    }

    /// For each id the index of its record; of several, the lowest. Two columns are read, and of them the pages alone
    /// that may hold it: for whoever needs no more of a record than its place in the tree.
    pub fn indices_of_ids(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, u64>, ReadError> {
        let texts = texts(ids);
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut first: HashMap<Uuid, u64> = HashMap::new();
        self.hits(Lookup::Id, &texts, |_, reader, hits| {
            for (place, row) in hits {
                let Some(index) = reader.index_of_row(row)? else { continue };
                let known = first.entry(ids[place]).or_insert(index);
                *known = (*known).min(index);
            }
            Ok(())
        })?;
        Ok(first)
    }

    /// Every record that has one of `values` in that column: (place in `values`, record), by file and row.
    ///
    /// Records in which the column could not hold the value, as a `subject.id` that is a number, are not found so.
    pub fn look_up(&self, column: Lookup, values: &[&str]) -> Result<Vec<(usize, Found)>, ReadError> {
        let mut found = Vec::new();
        self.hits(column, values, |file, reader, hits| {
            let rows: Vec<u64> = hits.iter().map(|(_, row)| *row).collect();
            for ((place, _), placed) in hits.into_iter().zip(reader.rows(&rows)?) {
                found.push((place, Found { file: file.path.clone(), placed }));
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// The rows of a file that have each of these values in its column, in order; more where the file may hold one
    /// elsewhere too, in an envelope that stands in no columns, and nothing if that is so of all.
    pub fn rows_of(&self, file: &Manifest, wanted: &[(Lookup, &str)]) -> Result<Option<Vec<u64>>, ReadError> {
        if wanted.is_empty() {
            return Ok(None);
        }
        let reader = self.reader(file)?;
        let elsewhere = reader.leaf("envelope:rest").is_some();
        let in_columns = |(column, _): &(Lookup, &str)| *column != Lookup::Trace || !elsewhere;
        let told: Vec<(Lookup, &str)> = wanted.iter().copied().filter(in_columns).collect();
        if told.is_empty() { Ok(None) } else { reader.rows_of_all(&told, self.filters()).map(Some) }
    }

    /// Gives `take` each file that may hold one of `values` in that column, and where: (place in `values`, row).
    fn hits(
        &self,
        column: Lookup,
        values: &[&str],
        mut take: impl FnMut(&Manifest, &FileReader, Vec<(usize, u64)>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        for file in self.files() {
            let may_hold = |value: &&str| column != Lookup::Id || (&*file.min_id..=&*file.max_id).contains(value);
            let (places, likely): (Vec<usize>, Vec<&str>) =
                values.iter().copied().enumerate().filter(|(_, value)| may_hold(value)).unzip();
            if likely.is_empty() {
                continue;
            }
            let reader = self.reader(file)?;
            let hits = reader.rows_of_text(column.column(), &likely, self.filters())?;
            take(file, &reader, hits.into_iter().map(|(place, row)| (places[place], row)).collect())?;
        }
        Ok(())
    }

    pub(crate) fn reader(&self, file: &Manifest) -> Result<Arc<FileReader>, ReadError> {
        let mut open = self.open.readers.lock();
        if let Some(at) = open.iter().position(|(name, _)| *name == file.path) {
            let entry = open.remove(at);
            let reader = entry.1.clone();
            open.push(entry);
            return Ok(reader);
        }
        drop(open);
        let reader = Arc::new(FileReader::open(&self.host, &self.folder, file, &self.version.columns, self.keys())?);
        let mut open = self.open.readers.lock();
        if open.len() >= OPEN_FILES_MAX {
            open.remove(0);
        }
        open.push((file.path.clone(), reader.clone()));
        Ok(reader)
    }
}

/// Ids as the column has them.
fn texts(ids: &[Uuid]) -> Vec<String> {
    ids.iter().map(|id| id.hyphenated().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary;
    use crate::plan::plan_settle;
    use crate::settle::Lake;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn every_record_is_found_by_index_and_by_id(records in arbitrary::run(0, 1..30), absent in any::<u64>()) {
            let folder = tempfile::tempdir().unwrap();
            let mut lake = Lake::create(Host::system(), folder.path()).unwrap();
            let (one, two) = records.split_at(records.len() / 2);
            for part in [one, two].into_iter().filter(|part| !part.is_empty()) {
                let plan = plan_settle(lake.snapshot(), part).unwrap();
                lake.settle(&plan, &|index| Some(records[index as usize].1.digest())).unwrap();
            }
            let snapshot = lake.snapshot();
            let ids: Vec<Uuid> = records.iter().map(|(_, stored)| stored.stamp.id).collect();
            let found = snapshot.find_ids(&ids).unwrap();
            for ((index, stored), found) in records.iter().zip(found) {
                prop_assert_eq!(&snapshot.find(*index).unwrap().unwrap().placed.stored, stored);
                let found = found.unwrap().placed;
                prop_assert_eq!(found.stored.stamp.id, stored.stamp.id);
                prop_assert!(found.index <= *index);
            }
            prop_assert!(snapshot.find(records.len() as u64 + absent / 2).unwrap().is_none());
            prop_assert!(snapshot.find_id(Uuid::from_u64_pair(absent, 1)).unwrap().is_none());
        }
    }

    #[test]
    fn a_subject_is_found_wherever_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let mut records = arbitrary::sample(11, 0, 30);
        let mut with = Vec::new();
        for (index, stored) in records.iter_mut().step_by(7) {
            let record::Body::Whole { parts, .. } = &mut stored.body else { continue };
            with.push(*index);
            let subject = record::Value::map([("id".to_owned(), record::Value::Text("customer-991".to_owned()))]);
            parts.set(record::Part::Subject, &subject.to_canonical());
        }
        let mut lake = Lake::create(Host::system(), folder.path()).unwrap();
        let plan = plan_settle(lake.snapshot(), &records).unwrap();
        lake.settle(&plan, &|index| Some(records[index as usize].1.digest())).unwrap();
        let mut found: Vec<u64> = lake
            .snapshot()
            .look_up(Lookup::Subject, &["nobody", "customer-991"])
            .unwrap()
            .into_iter()
            .map(|(place, found)| {
                assert_eq!(place, 1);
                found.placed.index
            })
            .collect();
        found.sort_unstable();
        assert_eq!(found, with);
    }
}
