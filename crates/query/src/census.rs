//! Which fields stand in remainders: no schema knows them, so the remainders themselves are asked.
//!
//! A remainder is read whole, once a file and section, for as long as the file is open: only a query that names a
//! field without a column needs it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, ArrayRef, RecordBatch};
use host::Host;
use lake::Manifest;
use parking_lot::Mutex;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use record::cbor::{Item, Reader};
use record::{FieldRef, Part};

use crate::adapt::rest_name;
use crate::error::QueryError;
use crate::face::Shape;
use crate::files::{Files, OpenFile};
use crate::values::shape_of;

/// Paths that are kept for a file's section; more are many keys that are values in truth.
const PATHS_MAX: usize = 4_096;

/// Files whose census is kept.
const FILES_MAX: usize = 10_000;

/// Rows that are read at a time.
const BATCH_ROWS: usize = 4_096;

/// The fields of some remainders, and for each how many values have which shape.
#[derive(Clone, Debug, Default)]
pub(crate) struct Census {
    fields: BTreeMap<Vec<String>, BTreeMap<Shape, u64>>,
    /// There were more fields than are kept.
    cut: bool,
}

impl Census {
    /// The shapes of a field's values, most frequent first, and whether it is in here at all.
    pub(crate) fn shapes(&self, keys: &[String]) -> Option<Vec<Shape>> {
        let counts = self.fields.get(keys)?;
        let mut shapes: Vec<(Shape, u64)> = counts.iter().map(|(shape, count)| (*shape, *count)).collect();
        shapes.sort_by_key(|(shape, count)| (std::cmp::Reverse(*count), *shape));
        Some(shapes.into_iter().map(|(shape, _)| shape).collect())
    }

    /// Whether fields may be missing from it.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Every field, by its keys.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &Vec<String>> {
        self.fields.keys()
    }

    pub(crate) fn merge(&mut self, other: &Census) {
        self.cut |= other.cut;
        for (keys, shapes) in &other.fields {
            let Some(counts) = self.counts(keys) else { continue };
            shapes.iter().for_each(|(shape, count)| *counts.entry(*shape).or_default() += count);
        }
    }

    fn counts(&mut self, keys: &[String]) -> Option<&mut BTreeMap<Shape, u64>> {
        if !self.fields.contains_key(keys) {
            if self.fields.len() >= PATHS_MAX {
                self.cut = true;
                return None;
            }
            self.fields.insert(keys.to_vec(), BTreeMap::new());
        }
        self.fields.get_mut(keys)
    }

    /// Counts what a column of remainders holds.
    pub(crate) fn count(&mut self, column: &ArrayRef) -> Result<(), QueryError> {
        let Some(rests) = column.as_binary_opt::<i32>() else { return Ok(()) };
        let mut keys = Vec::new();
        for rest in (0..rests.len()).filter(|row| rests.is_valid(*row)).map(|row| rests.value(row)) {
            if !rest.is_empty() {
                self.value(&mut keys, rest).map_err(|error| {
                    QueryError::Read(format!("a remainder in the lake is malformed ({error}); verify the trail"))
                })?;
            }
        }
        Ok(())
    }

    fn value(&mut self, keys: &mut Vec<String>, canonical: &[u8]) -> Result<(), record::cbor::CborError> {
        let shape = shape_of(canonical);
        if let Some(counts) = self.counts(keys)
            && let Some(shape) = shape
        {
            *counts.entry(shape).or_default() += 1;
        }
        let mut reader = Reader::lenient(canonical);
        let Item::Map(len) = reader.next_item()? else { return Ok(()) };
        for _ in 0..len {
            let key = reader.next_item()?;
            let value = reader.skip()?;
            let Item::Text(key) = key else { continue };
            keys.push(key.to_owned());
            self.value(keys, value)?;
            keys.pop();
        }
        Ok(())
    }
}

/// Census of files, kept by file and section.
#[derive(Debug, Default)]
pub(crate) struct Censuses(Mutex<HashMap<(String, Part), Arc<Census>>>);

/// Until when something may take.
#[derive(Clone)]
pub(crate) struct Deadline {
    pub host: Host,
    pub at: Duration,
    pub limit: Duration,
}

impl Deadline {
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        if self.host.monotonic() < self.at { Ok(()) } else { Err(QueryError::out_of_time(self.limit)) }
    }

    pub(crate) fn left(&self) -> Duration {
        self.at.saturating_sub(self.host.monotonic())
    }
}

impl Censuses {
    /// Which fields of a section stand in the remainders of a lake's files.
    pub(crate) fn of_lake(
        &self,
        files: &Files,
        lake: &lake::Snapshot,
        part: Part,
        deadline: &Deadline,
    ) -> Result<Census, QueryError> {
        let mut all = Census::default();
        for file in lake.files() {
            all.merge(&*self.of_file(files, lake, file, part, deadline)?);
        }
        Ok(all)
    }

    fn of_file(
        &self,
        files: &Files,
        lake: &lake::Snapshot,
        manifest: &Manifest,
        part: Part,
        deadline: &Deadline,
    ) -> Result<Arc<Census>, QueryError> {
        let key = (lake.path(manifest).to_string_lossy().into_owned(), part);
        if let Some(census) = self.0.lock().get(&key) {
            return Ok(Arc::clone(census));
        }
        let file = files.get(lake, manifest)?;
        let mut census = Census::default();
        let rest = rest_name(part);
        if file.has(&rest) {
            read(&file, &[&rest], deadline, &mut |batch| {
                batch.columns().iter().try_for_each(|rest| census.count(rest))
            })?;
        }
        let census = Arc::new(census);
        let mut known = self.0.lock();
        if known.len() >= FILES_MAX {
            known.clear();
        }
        known.insert(key, Arc::clone(&census));
        Ok(census)
    }
}

/// Gives `take` the rows of some columns of a file.
pub(crate) fn read(
    file: &Arc<OpenFile>,
    names: &[&str],
    deadline: &Deadline,
    take: &mut dyn FnMut(&RecordBatch) -> Result<(), QueryError>,
) -> Result<(), QueryError> {
    let unreadable = |cause: &dyn std::fmt::Display| {
        QueryError::Read(format!("a file of the lake cannot be read: {cause}; verify the trail"))
    };
    // The library can panic over bytes that no writer made.
    let done = lake::guarded(|| {
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata =
            ArrowReaderMetadata::try_new(Arc::clone(file.metadata()), options).map_err(|e| unreadable(&e))?;
        let fields = metadata.schema().fields().iter().enumerate();
        let roots: Vec<usize> =
            fields.filter(|(_, field)| names.contains(&field.name().as_str())).map(|(at, _)| at).collect();
        let mask = ProjectionMask::roots(metadata.parquet_schema(), roots);
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file.chunks(), metadata);
        let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(|e| unreadable(&e))?;
        for batch in reader {
            deadline.check()?;
            take(&batch.map_err(|e| unreadable(&e))?)?;
        }
        Ok(())
    });
    done.unwrap_or_else(|panic| Err(unreadable(&panic)))
}

/// The columns that records of one model have values in, of a file that holds records of several.
pub(crate) fn columns_of_model(
    file: &Arc<OpenFile>,
    model: &str,
    deadline: &Deadline,
) -> Result<BTreeSet<String>, QueryError> {
    let schema = file.metadata().file_metadata().schema_descr();
    let names: Vec<&str> = schema.root_schema().get_fields().iter().map(|field| field.name()).collect();
    let mut used = BTreeSet::new();
    read(file, &names, deadline, &mut |batch| {
        let Some(models) = batch.column_by_name("model.name").and_then(|column| column.as_string_opt::<i32>()) else {
            return Ok(());
        };
        let rows: Vec<usize> =
            (0..models.len()).filter(|row| models.is_valid(*row) && models.value(*row) == model).collect();
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            if !used.contains(field.name()) && rows.iter().any(|row| column.is_valid(*row)) {
                used.insert(field.name().clone());
            }
        }
        Ok(())
    })?;
    Ok(used)
}

/// A field of a section by its keys.
pub(crate) fn field(part: Part, keys: &[String]) -> FieldRef {
    FieldRef { part, keys: keys.to_vec() }
}
