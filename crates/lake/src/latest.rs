//! Look-ups that stop early: the newest few of many records, ids by how they begin, a producer's sequence near a record.

use std::ops::Range;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use arrow_array::{Array as _, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReaderBuilder, RowSelection};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use uuid::Uuid;

use crate::assemble::RowError;
use crate::filters::Filters;
use crate::manifest::{Manifest, Times};
use crate::reader::{BATCH_ROWS, FileReader, ReadError, guarded};
use crate::snapshot::{Found, Lookup, Snapshot};

/// How far from a record its neighbours in a producer's sequence are looked for, in indices before and behind it.
pub const INDICES_AROUND: u64 = 512;

/// The newest of the records that were looked for.
#[derive(Clone, Debug, Default)]
pub struct Latest {
    /// How many there are in all.
    pub total: u64,
    /// The newest of them, by when they happened and then by index, newest first.
    pub found: Vec<Found>,
}

/// When a record happened, or was received where nobody said or that is erased; and its index.
type When = (i64, u64);

impl Snapshot {
    /// The records that have each of these values in its column: how many, and the `max` newest.
    ///
    /// All are counted, which takes the pages of those columns that may hold a value; when they happened is read of the
    /// files with the latest times, until the others cannot matter; and only the newest are put together.
    pub fn latest(&self, wanted: &[(Lookup, &str)], max: usize) -> Result<Latest, ReadError> {
        let mut newest: Vec<(When, usize, u64)> = Vec::new();
        let mut hits: Vec<(i64, usize, Vec<u64>)> = Vec::new();
        for (file, manifest) in self.files().iter().enumerate() {
            let rows = self.reader(manifest)?.rows_of_all(wanted, self.filters())?;
            if !rows.is_empty() {
                hits.push((no_later_than(manifest), file, rows));
            }
        }
        let total = hits.iter().map(|(_, _, rows)| rows.len() as u64).sum();
        hits.sort_by_key(|(latest, ..)| std::cmp::Reverse(*latest));
        for (latest, file, rows) in hits {
            if newest.len() == max && newest.last().is_none_or(|((when, _), ..)| latest < *when) {
                break;
            }
            let whens = self.reader(&self.files()[file])?.whens(&rows)?;
            newest.extend(whens.into_iter().zip(rows).map(|(when, row)| (when, file, row)));
            newest.sort_unstable_by_key(|(when, ..)| std::cmp::Reverse(*when));
            newest.truncate(max);
        }
        let mut found = Vec::with_capacity(newest.len());
        for (file, manifest) in self.files().iter().enumerate() {
            let mut here: Vec<(u64, When)> =
                newest.iter().filter(|hit| hit.1 == file).map(|(when, _, row)| (*row, *when)).collect();
            if here.is_empty() {
                continue;
            }
            here.sort_unstable();
            let rows: Vec<u64> = here.iter().map(|(row, _)| *row).collect();
            let placed = self.reader(manifest)?.rows(&rows)?;
            let whens = here.into_iter().map(|(_, when)| when);
            found.extend(whens.zip(placed).map(|(when, placed)| (when, Found { file: manifest.path.clone(), placed })));
        }
        found.sort_by_key(|(when, _)| std::cmp::Reverse(*when));
        Ok(Latest { total, found: found.into_iter().map(|(_, found)| found).collect() })
    }

    /// Ids that begin so, as they are written, and their indices: `max` of them at most. Files and pages are skipped by
    /// the lowest and highest id that they hold.
    pub fn ids_beginning(&self, prefix: &str, max: usize) -> Result<Vec<(Uuid, u64)>, ReadError> {
        let begin = |id: &str| id.get(..prefix.len()).unwrap_or(id).to_owned();
        let mut found = Vec::new();
        for file in self.files() {
            if *begin(&file.min_id) > *prefix || *prefix > *begin(&file.max_id) {
                continue;
            }
            let reader = self.reader(file)?;
            for (id, row) in reader.rows_beginning("id", prefix, max - found.len())? {
                let index = reader.index_of_row(row)?;
                found.extend(index.and_then(|index| Some((id.parse().ok()?, index))));
            }
            if found.len() >= max {
                break;
            }
        }
        Ok(found)
    }

    /// Which records near `index` are these numbers of a producer's sequence: (number, index).
    ///
    /// Near is [`INDICES_AROUND`]: further away there may be one of them too.
    pub fn in_sequence(
        &self,
        index: u64,
        producer: (&str, Option<&str>),
        numbers: &[i64],
    ) -> Result<Vec<(i64, u64)>, ReadError> {
        let near = index.saturating_sub(INDICES_AROUND)..index.saturating_add(INDICES_AROUND);
        let mut found = Vec::new();
        for file in self.files().iter().filter(|file| file.first_index < near.end && near.start <= file.last_index) {
            found.extend(self.reader(file)?.in_sequence(&near, producer, numbers)?);
        }
        found.sort_unstable();
        Ok(found)
    }
}

/// A time after which no record of a file happened, as far as the log tells.
fn no_later_than(file: &Manifest) -> i64 {
    match file.times() {
        Times { latest_us: Some(latest), missing: 0 } => latest.saturating_add(1).saturating_mul(1_000),
        _ => i64::MAX,
    }
}

impl FileReader {
    /// The rows that have every one of these values, in order.
    pub(crate) fn rows_of_all(&self, wanted: &[(Lookup, &str)], filters: &Filters) -> Result<Vec<u64>, ReadError> {
        let mut rows: Option<Vec<u64>> = None;
        for (column, value) in wanted {
            let mut hits: Vec<u64> =
                self.rows_of_text(column.column(), &[value], filters)?.into_iter().map(|(_, row)| row).collect();
            hits.sort_unstable();
            if let Some(known) = &rows {
                hits.retain(|row| known.binary_search(row).is_ok());
            }
            if hits.is_empty() {
                return Ok(hits);
            }
            rows = Some(hits);
        }
        Ok(rows.unwrap_or_default())
    }

    /// When the records in these rows happened, which are sorted, and their indices.
    fn whens(&self, rows: &[u64]) -> Result<Vec<When>, ReadError> {
        let ranges = rows.iter().filter_map(|row| usize::try_from(*row).ok()).map(|row| row..row + 1);
        let mut whens = Vec::with_capacity(rows.len());
        for batch in self.some_columns(&["index", "time_ns", "received"], ranges)? {
            let numbers = |name| numbers(&batch, name);
            let missing = || self.no_index(rows);
            let indices = numbers("index").ok_or_else(missing)?;
            let (times, received) = (numbers("time_ns"), numbers("received"));
            let at = |column: Option<&Int64Array>, row: usize| {
                column.filter(|column| column.is_valid(row)).map(|column| column.value(row))
            };
            for row in 0..batch.num_rows() {
                let index = at(Some(indices), row).and_then(|index| u64::try_from(index).ok()).ok_or_else(missing)?;
                whens.push((at(times, row).or_else(|| at(received, row)).unwrap_or(i64::MIN), index));
            }
        }
        if whens.len() == rows.len() { Ok(whens) } else { Err(self.no_index(rows)) }
    }

    fn no_index(&self, rows: &[u64]) -> ReadError {
        let row = rows.first().copied().unwrap_or(0);
        ReadError::Row { file: self.name().to_owned(), row, cause: RowError::Column("index") }
    }

    /// The first `max` values of a text column that begin so, each with its row.
    fn rows_beginning(&self, column: &str, prefix: &str, max: usize) -> Result<Vec<(String, u64)>, ReadError> {
        let mut found = Vec::new();
        let Some(leaf) = self.leaf(column) else { return Ok(found) };
        let begin = |value: &[u8]| value[..value.len().min(prefix.len())].to_vec();
        let may_hold = |index: &ColumnIndexMetaData, page: usize| match index {
            ColumnIndexMetaData::BYTE_ARRAY(i) => {
                i.min_value(page).is_none_or(|min| begin(min).as_slice() <= prefix.as_bytes())
                    && i.max_value(page).is_none_or(|max| prefix.as_bytes() <= begin(max).as_slice())
            }
            _ => true,
        };
        for group in 0..self.groups() {
            for (first, batch) in self.column(group, leaf, may_hold)? {
                let Some(values) = batch.column(0).as_string_opt::<i32>() else { continue };
                let hits = values.iter().enumerate().filter_map(|(at, value)| Some((value?, first + at as u64)));
                let hits = hits.filter(|(value, _)| value.starts_with(prefix));
                found.extend(hits.take(max - found.len()).map(|(value, row)| (value.to_owned(), row)));
            }
        }
        Ok(found)
    }

    /// As [`Snapshot::in_sequence`], among the rows whose index is in `near`.
    fn in_sequence(
        &self,
        near: &Range<u64>,
        (name, instance): (&str, Option<&str>),
        wanted: &[i64],
    ) -> Result<Vec<(i64, u64)>, ReadError> {
        let mut found = Vec::new();
        let ranges = self.rows_of_indices(near)?;
        for batch in self.some_columns(&["index", "producer.name", "producer.instance", "producer.seq"], ranges)? {
            let (Some(indices), Some(seqs)) = (numbers(&batch, "index"), numbers(&batch, "producer.seq")) else {
                continue;
            };
            let is = |column: Option<&StringArray>, row: usize, wanted: Option<&str>| {
                column.filter(|column| column.is_valid(row)).map(|column| column.value(row)) == wanted
            };
            let (names, instances) = (texts(&batch, "producer.name"), texts(&batch, "producer.instance"));
            let hits = (0..batch.num_rows()).filter(|row| {
                let row = *row;
                let here = seqs.is_valid(row) && wanted.contains(&seqs.value(row)) && indices.is_valid(row);
                here && is(names, row, Some(name)) && is(instances, row, instance)
            });
            let hit = |row: usize| Some((seqs.value(row), u64::try_from(indices.value(row)).ok()?));
            found.extend(hits.filter_map(hit).filter(|(_, index)| near.contains(index)));
        }
        Ok(found)
    }

    /// Runs of rows in which every row has an index in `near`.
    fn rows_of_indices(&self, near: &Range<u64>) -> Result<Vec<Range<usize>>, ReadError> {
        let bound = |index: u64| i64::try_from(index).unwrap_or(i64::MAX);
        let (start, end) = (bound(near.start), bound(near.end));
        let mut runs: Vec<Range<usize>> = Vec::new();
        let Some(leaf) = self.leaf("index") else { return Ok(runs) };
        let may_hold = |index: &ColumnIndexMetaData, page: usize| match index {
            ColumnIndexMetaData::INT64(i) => {
                i.min_value(page).is_none_or(|min| *min < end) && i.max_value(page).is_none_or(|max| start <= *max)
            }
            _ => true,
        };
        for group in 0..self.groups() {
            for (first, batch) in self.column(group, leaf, may_hold)? {
                let Some(values) = batch.column(0).as_primitive_opt::<Int64Type>() else { continue };
                for (at, value) in values.values().iter().enumerate() {
                    let Ok(row) = usize::try_from(first + at as u64) else { continue };
                    match runs.last_mut() {
                        _ if *value < start || *value >= end => {}
                        Some(run) if run.end == row => run.end = row + 1,
                        _ => runs.push(row..row + 1),
                    }
                }
            }
        }
        Ok(runs)
    }

    /// Some columns of some rows.
    fn some_columns(
        &self,
        columns: &[&str],
        rows: impl IntoIterator<Item = Range<usize>>,
    ) -> Result<Vec<RecordBatch>, ReadError> {
        self.leaves(columns.iter().filter_map(|column| self.leaf(column)), rows)
    }

    /// Some leaves of some rows. Only the pages that hold them are read.
    pub(crate) fn leaves(
        &self,
        leaves: impl IntoIterator<Item = usize>,
        rows: impl IntoIterator<Item = Range<usize>>,
    ) -> Result<Vec<RecordBatch>, ReadError> {
        let mask = ProjectionMask::leaves(self.metadata().parquet_schema(), leaves);
        let total = usize::try_from(self.row_count()).unwrap_or(0);
        let selection = RowSelection::from_consecutive_ranges(rows.into_iter(), total);
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.source().clone(), self.metadata().clone())
                .with_batch_size(BATCH_ROWS)
                .with_projection(mask)
                .with_row_selection(selection);
        let parquet = |cause| ReadError::Parquet { file: self.name().to_owned(), cause };
        let arrow = |cause| ReadError::Arrow { file: self.name().to_owned(), cause };
        guarded(self.name(), || {
            let batches = builder.build().map_err(parquet)?;
            batches.collect::<Result<Vec<_>, _>>().map_err(arrow)
        })?
    }
}

fn numbers<'b>(batch: &'b RecordBatch, name: &str) -> Option<&'b Int64Array> {
    batch.column_by_name(name)?.as_primitive_opt::<Int64Type>()
}

fn texts<'b>(batch: &'b RecordBatch, name: &str) -> Option<&'b StringArray> {
    batch.column_by_name(name)?.as_string_opt::<i32>()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use host::Host;
    use proptest::prelude::*;
    use record::{Envelope, Part, Stored};

    use super::*;
    use crate::arbitrary;
    use crate::facts::{Facts, agree};
    use crate::plan::plan_settle;
    use crate::settle::Lake;

    /// A lake of two files.
    fn lake(folder: &tempfile::TempDir, records: &[(u64, Stored)]) -> Lake {
        let mut lake = Lake::create(Host::system(), folder.path()).unwrap();
        let (one, two) = records.split_at(records.len() / 2);
        for part in [one, two].into_iter().filter(|part| !part.is_empty()) {
            let plan = plan_settle(lake.snapshot(), part).unwrap();
            lake.settle(&plan, &|index| Some(records[index as usize].1.digest())).unwrap();
        }
        lake
    }

    /// One that does not agree with its stamp stands in no columns.
    fn envelope(stored: &Stored) -> Option<Envelope<'_>> {
        Envelope::read(stored.parts()?.get(Part::Envelope)?).ok().filter(|envelope| agree(&stored.stamp, envelope))
    }

    fn when(index: u64, stored: &Stored) -> When {
        (Facts::of(stored).time_ns.unwrap_or(stored.stamp.received), index)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        /// The newest of a kind, of a kind and a model, and of one trace are those that a scan of everything finds.
        #[test]
        fn the_newest_are_those_of_a_whole_scan(records in arbitrary::run(0, 2..60), max in 0usize..6) {
            let folder = tempfile::tempdir().unwrap();
            let lake = lake(&folder, &records);
            let mut wanted: Vec<Vec<(Lookup, String)>> = Vec::new();
            for (_, stored) in &records {
                let kind = (Lookup::Kind, stored.stamp.kind.name().to_owned());
                if let Some(model) = envelope(stored).and_then(|envelope| envelope.model) {
                    let model = [(Lookup::Model, model.name.to_owned()), (Lookup::Version, model.version.to_owned())];
                    wanted.push([kind.clone()].into_iter().chain(model).collect());
                }
                wanted.push(vec![kind]);
            }
            for wanted in wanted {
                let asked: Vec<(Lookup, &str)> = wanted.iter().map(|(column, value)| (*column, &**value)).collect();
                let has = |stored: &Stored| asked.iter().all(|(column, value)| match column {
                    Lookup::Kind => stored.stamp.kind.name() == *value,
                    Lookup::Model => envelope(stored).and_then(|e| e.model).is_some_and(|model| model.name == *value),
                    _ => envelope(stored).and_then(|e| e.model).is_some_and(|model| model.version == *value),
                });
                let mut all: Vec<(When, u64)> = records.iter().filter(|(_, stored)| has(stored))
                    .map(|(index, stored)| (when(*index, stored), *index)).collect();
                all.sort_unstable();
                let latest = lake.snapshot().latest(&asked, max).unwrap();
                prop_assert_eq!(latest.total as usize, all.len());
                let expected: Vec<u64> = all.iter().rev().take(max).map(|(_, index)| *index).collect();
                prop_assert_eq!(latest.found.iter().map(|f| f.placed.index).collect::<Vec<_>>(), expected);
                for found in &latest.found {
                    prop_assert_eq!(&found.placed.stored, &records[found.placed.index as usize].1);
                }
            }
        }

        /// T26: what pages and files are skipped by hides no id.
        #[test]
        fn the_beginning_of_an_id_finds_all_that_begin_so(records in arbitrary::run(0, 1..60), digits in 1usize..37) {
            let folder = tempfile::tempdir().unwrap();
            let lake = lake(&folder, &records);
            for (_, stored) in &records {
                let prefix = &stored.stamp.id.to_string()[..digits];
                let all: BTreeSet<(Uuid, u64)> = records.iter()
                    .filter(|(_, stored)| stored.stamp.id.to_string().starts_with(prefix))
                    .map(|(index, stored)| (stored.stamp.id, *index)).collect();
                let found = lake.snapshot().ids_beginning(prefix, usize::MAX).unwrap();
                prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), all.clone());
                let few = lake.snapshot().ids_beginning(prefix, 2).unwrap();
                prop_assert_eq!(few.len(), all.len().min(2));
                prop_assert!(few.iter().all(|hit| all.contains(hit)));
            }
            prop_assert!(lake.snapshot().ids_beginning("ffffffff", 9).unwrap().is_empty());
        }

        #[test]
        fn neighbours_in_a_sequence_are_found_by_producer_and_number(records in arbitrary::run(0, 2..60)) {
            let folder = tempfile::tempdir().unwrap();
            let lake = lake(&folder, &records);
            let of = |stored: &Stored| {
                let producer = envelope(stored)?.producer?;
                Some((producer.name.to_owned(), producer.instance.map(str::to_owned), producer.seq?))
            };
            for (index, stored) in &records {
                let Some((name, instance, seq)) = of(stored) else { continue };
                let mut all: Vec<(i64, u64)> = records.iter()
                    .filter(|(_, stored)| of(stored) == Some((name.clone(), instance.clone(), seq)))
                    .map(|(index, _)| (seq, *index)).collect();
                all.sort_unstable();
                let found = lake.snapshot().in_sequence(*index, (&name, instance.as_deref()), &[seq]).unwrap();
                prop_assert_eq!(found, all);
            }
        }
    }
}
