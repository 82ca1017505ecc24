//! Holds a data file against everything that is said of it: its bytes, its records, and all that readers skip by.

use std::io::Read as _;

use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::file::reader::{ChunkReader as _, Length as _};
use record::{Digest, Part, Parts, Stored};
use sha2::{Digest as _, Sha256};

use crate::assemble::Rows;
use crate::claims::{Claim, ColumnClaims};
use crate::columns::ColumnType;
use crate::layout::{Layout, slot};
use crate::manifest::{FORMAT, Manifest, hex};
use crate::reader::{FileReader, ReadError, footer_entry, guarded};
use crate::shown::Shown;
use crate::shred::ShredError;
use crate::snapshot::Snapshot;
use crate::split::{SPLIT_ENTRY, Split, read_split};
use crate::stats::Stats;

/// The first thing found wrong with a file.
#[derive(Debug, thiserror::Error)]
#[error("file {file:?}{}{}: {why}", row.map(|r| format!(", row {r}")).unwrap_or_default(), index.map(|i| format!(", record {i}")).unwrap_or_default())]
pub struct Finding {
    /// The file.
    pub file: String,
    /// The row, from 0, if one is at fault.
    pub row: Option<u64>,
    /// The index of the record in that row, as the file has it.
    pub index: Option<u64>,
    /// What is wrong.
    pub why: Why,
}

/// What can be wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// It cannot be read, or a row is no record.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// A record could not be put into columns again.
    #[error(transparent)]
    Unshreddable(#[from] ShredError),
    /// The trail has no record of that index, or had it before.
    #[error("the trail has no such record, or another row has it too")]
    Unexpected,
    /// The record is another one than the trail holds.
    #[error("its digest is {found}, the trail's entry is {expected}")]
    Digest {
        /// The trail's entry.
        expected: Digest,
        /// What the row hashes to.
        found: Digest,
    },
    /// A column shows something else than the record holds there.
    #[error("column {column:?} does not show what the record holds")]
    Column {
        /// The column.
        column: String,
    },
    /// The rows are not sorted by time and index, as the file says they are.
    #[error("it is out of order: rows are sorted by time, then index")]
    Order,
    /// Something that readers skip rows by would make them skip this one.
    #[error("the {claim} of column {column:?} hide it")]
    Hidden {
        /// The column.
        column: String,
        /// What hides it.
        claim: Claim,
    },
    /// Something that readers skip rows by counts other rows than there are.
    #[error("the {claim} of column {column:?} in row group {group} count other rows than there are")]
    Count {
        /// The column.
        column: String,
        /// What counts wrongly.
        claim: Claim,
        /// The row group.
        group: usize,
    },
    /// The footer says that a column has all of its field, and some of it is in a remainder.
    #[error("its footer says that column {column:?} has all of its field, which hides what is in the remainder")]
    Split {
        /// The column.
        column: String,
    },
    /// The Delta statistics are not those of the rows.
    #[error("its Delta statistics are {found}, its rows make {expected}")]
    DeltaStatistics {
        /// What the rows make.
        expected: String,
        /// What the log says.
        found: String,
    },
    /// The manifest is not that of the rows.
    #[error("its manifest says {field} {found}, its rows make {expected}")]
    Manifest {
        /// Which field.
        field: &'static str,
        /// What the rows make.
        expected: String,
        /// What the manifest says.
        found: String,
    },
    /// Its bytes are not the ones that were written, though every row is whole.
    #[error("its bytes hash to {found}, the manifest says {expected}; every row is whole")]
    Bytes {
        /// What the manifest says, as hexadecimal.
        expected: String,
        /// What the bytes hash to, as hexadecimal.
        found: String,
    },
}

impl Snapshot {
    /// Checks one file of this version, and gives the first thing that is wrong. `expected` is asked for the digest
    /// of every record in the file, by index; it answers `None` for an index that the trail does not have or that it
    /// was asked for before, which is how the caller counts that none is missing (T26).
    ///
    /// In the order of what says most: each row's digest; that each row's columns are those its record makes, cell by
    /// cell; row order; row-group statistics, page index and Bloom filters; Delta statistics and manifest; and the
    /// SHA-256 of the file's bytes, which covers whatever the others do not look at.
    pub fn check(
        &self,
        file: &Manifest,
        expected: &mut dyn FnMut(u64, &Stored) -> Option<Digest>,
    ) -> Result<(), Box<Finding>> {
        let mut checker = Checker { file, expected, stats: Stats::default(), memory: Parts::default(), last: None };
        // As in reading, a panic over forged bytes is an error like any other.
        let checked = guarded(&file.path, || checker.check(self)).unwrap_or_else(|panicked| Err(whole(panicked)));
        checked.map_err(|(row, index, why)| Box::new(Finding { file: file.path.clone(), row, index, why }))
    }
}

/// Row, index and what is wrong.
type Wrong = (Option<u64>, Option<u64>, Why);

fn whole(why: impl Into<Why>) -> Wrong {
    (None, None, why.into())
}

struct Checker<'a> {
    file: &'a Manifest,
    expected: &'a mut dyn FnMut(u64, &Stored) -> Option<Digest>,
    stats: Stats,
    /// Where a record's parts are put together, one after another.
    memory: Parts,
    /// Time and index of the row before.
    last: Option<(bool, Option<i64>, u64)>,
}

impl Checker<'_> {
    fn check(&mut self, snapshot: &Snapshot) -> Result<(), Wrong> {
        // Opened anew and not taken from the cache: what is checked is what is on disk now.
        let reader =
            FileReader::open(snapshot.host(), snapshot.folder(), self.file, snapshot.columns(), snapshot.keys());
        let reader = reader.map_err(whole)?;
        let mut split = Split::new(reader.layout());
        for group in 0..reader.groups() {
            self.group(&reader, group, &mut split)?;
        }
        let claimed = footer_entry(reader.metadata().metadata(), SPLIT_ENTRY).and_then(read_split);
        let hidden =
            claimed.and_then(|claimed| split.columns(reader.layout()).find(|column| !claimed.contains(*column)));
        if let Some(column) = hidden {
            return Err(whole(Why::Split { column: column.to_owned() }));
        }
        self.manifest(&reader)?;
        self.bytes(&reader)
    }

    fn group(&mut self, reader: &FileReader, group: usize, split: &mut Split) -> Result<(), Wrong> {
        let mut claims = claims(reader, group).map_err(whole)?;
        let layout = reader.layout().clone();
        let mut shown = Shown::new(&layout);
        for batch in reader.group(group).map_err(whole)? {
            let (first, batch) = batch.map_err(whole)?;
            let rows = reader.records(&batch, first).map_err(whole)?;
            let at_row = |at: usize| (Some(first + at as u64), rows.index(at).ok());
            shown.begin(&rows);
            for at in 0..rows.len() {
                let (row, memory) = (first + at as u64, std::mem::take(&mut self.memory));
                let (index, stored) =
                    reader.placed_in(&rows, at, row, memory).map_err(|e| (Some(row), None, e.into()))?;
                self.row(row, index, &stored, &rows, at)?;
                let seen = shown.row(&rows, at, index, &stored);
                let seen = seen.and_then(|()| see_rest(split, &layout, &rows, at, index));
                seen.map_err(|e| (Some(row), Some(index), e.into()))?;
                self.memory = stored.into_parts();
            }
            if let Err((at, column)) = shown.finish(&batch).map_err(whole)? {
                let (row, index) = at_row(at);
                return Err((row, index, Why::Column { column }));
            }
            for (column, kind, claims) in &mut claims {
                let Some(array) = batch.column_by_name(column) else { continue };
                claims.see(array, *kind).map_err(|(at, claim)| {
                    let (row, index) = at_row(at);
                    (row, index, Why::Hidden { column: column.clone(), claim })
                })?;
            }
        }
        for (column, _, claims) in &claims {
            if let Some(claim) = claims.finish() {
                return Err(whole(Why::Count { column: column.clone(), claim, group }));
            }
        }
        Ok(())
    }

    fn row(&mut self, row: u64, index: u64, stored: &Stored, rows: &Rows, at: usize) -> Result<(), Wrong> {
        let wrong = |why| (Some(row), Some(index), why);
        let expected = (self.expected)(index, stored).ok_or(wrong(Why::Unexpected))?;
        let found = stored.digest();
        if found != expected {
            return Err(wrong(Why::Digest { expected, found }));
        }
        let cells = rows.cells();
        let time_ns = cells.int(slot::TIME_NS, at);
        let place = (time_ns.is_none(), time_ns, index);
        if self.last.is_some_and(|last| last >= place) {
            return Err(wrong(Why::Order));
        }
        self.last = Some(place);
        self.stats.add_row(index, cells, at);
        Ok(())
    }

    fn manifest(&self, reader: &FileReader) -> Result<(), Wrong> {
        let bytes = reader.source().len();
        let key_id = footer_entry(reader.metadata().metadata(), "onrecord.key_id").unwrap_or_default();
        let (file, (first, last), (min_id, max_id)) = (self.file, self.stats.indices(), self.stats.ids());
        for (field, expected, found) in [
            // Engines look for the footer where this says that the file ends.
            ("bytes", bytes.to_string(), file.bytes.to_string()),
            ("format", FORMAT.to_string(), file.format.to_string()),
            ("key id", key_id.to_owned(), file.key_id.clone()),
            ("rows", self.stats.rows().to_string(), file.rows.to_string()),
            ("first index", first.to_string(), file.first_index.to_string()),
            ("last index", last.to_string(), file.last_index.to_string()),
            ("least id", min_id, file.min_id.clone()),
            ("greatest id", max_id, file.max_id.clone()),
        ] {
            if expected != found {
                return Err(whole(Why::Manifest { field, expected, found }));
            }
        }
        let expected = self.stats.to_json();
        // Compared as values: a checkpoint may write the same statistics with other spaces.
        if serde_json::from_str::<serde_json::Value>(&file.stats).ok().as_ref() != Some(&expected) {
            return Err(whole(Why::DeltaStatistics { expected: expected.to_string(), found: file.stats.clone() }));
        }
        Ok(())
    }

    fn bytes(&self, reader: &FileReader) -> Result<(), Wrong> {
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 256 << 10];
        let failed = |cause: String| whole(Why::Bytes { expected: hex(&self.file.sha256), found: cause });
        let mut bytes = reader.source().get_read(0).map_err(|e| failed(e.to_string()))?;
        loop {
            match bytes.read(&mut buffer).map_err(|e| failed(e.to_string()))? {
                0 => break,
                read => hash.update(&buffer[..read]),
            }
        }
        let found: [u8; 32] = hash.finalize().into();
        if found == self.file.sha256 { Ok(()) } else { Err(failed(hex(&found))) }
    }
}

/// Looks at the remainders of a row.
fn see_rest(split: &mut Split, layout: &Layout, rows: &Rows, at: usize, index: u64) -> Result<(), ShredError> {
    for part in Part::ALL {
        if let Some(rest) = rows.cells().bytes(slot::REST + part as usize, at) {
            split.see(layout, part, rest).map_err(|cause| ShredError::Cbor { index, part, cause })?;
        }
    }
    Ok(())
}

type NamedClaims = Vec<(String, ColumnType, ColumnClaims)>;

/// The claims about every column of a row group that rows are skipped by.
fn claims(reader: &FileReader, group: usize) -> Result<NamedClaims, ReadError> {
    let metadata: &ArrowReaderMetadata = reader.metadata();
    let parquet = metadata.metadata();
    let mut claims = Vec::new();
    for column in &reader.layout().columns {
        let Some(leaf) = reader.leaf(&column.name) else { continue };
        let index = parquet.column_index().and_then(|i| i.get(group)?.get(leaf));
        let pages = parquet.offset_index().and_then(|i| i.get(group)?.get(leaf)).map(|o| o.page_locations().as_slice());
        let filter = reader.filter(group, leaf)?;
        let of_column = ColumnClaims::new(parquet.row_group(group), leaf, index, pages, filter);
        claims.push((column.name.to_string(), column.kind, of_column));
    }
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use host::Host;

    use super::*;
    use crate::arbitrary::sample;
    use crate::plan::plan_settle;
    use crate::settle::Lake;

    fn lake(folder: &std::path::Path, records: &[(u64, Stored)]) -> Snapshot {
        let mut lake = Lake::create(Host::builder().random_seed(9).build(), folder).unwrap();
        let plan = plan_settle(lake.snapshot(), records).unwrap();
        lake.settle(&plan, &|index| Some(records[index as usize].1.digest())).unwrap().clone()
    }

    fn check(snapshot: &Snapshot, file: &Manifest, records: &[(u64, Stored)]) -> Result<(), Box<Finding>> {
        let mut asked = BTreeSet::new();
        snapshot.check(file, &mut |index, _| {
            let stored = &records.get(index as usize)?.1;
            asked.insert(index).then(|| stored.digest())
        })
    }

    /// The file again with bytes changed, in a lake of its own, and a manifest whose hash agrees: what someone makes
    /// who can write the whole folder.
    fn forge(file: &Manifest, bytes: &[u8]) -> Manifest {
        Manifest { sha256: Sha256::digest(bytes).into(), ..file.clone() }
    }

    fn overwrite(path: &std::path::Path, bytes: &[u8]) {
        Host::system().replace(path, bytes, "test", None).unwrap();
    }

    #[test]
    fn what_was_written_passes() {
        let folder = tempfile::tempdir().unwrap();
        let records = sample(5, 0, 60);
        let snapshot = lake(folder.path(), &records);
        for file in snapshot.files() {
            check(&snapshot, file, &records).unwrap();
        }
    }

    /// T1, T26: a changed byte is found by the hash of the bytes; and if that is forged too, then by the rows or by
    /// what hides them, or else it changed nothing that anyone reads.
    #[test]
    fn a_changed_byte_is_found_or_carries_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let records = sample(6, 0, 20);
        let snapshot = lake(folder.path(), &records);
        let file = &snapshot.files()[0];
        let path = snapshot.path(file);
        let good = std::fs::read(&path).unwrap();
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for at in (0..good.len()).step_by(good.len() / 250 + 1) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            overwrite(&path, &bad);
            assert!(check(&snapshot, file, &records).is_err(), "byte {at} of {}", good.len());
            let forged = check(&snapshot, &forge(file, &bad), &records);
            *kinds.entry(forged.as_ref().map_or_else(|f| kind(&f.why), |()| "nothing")).or_default() += 1;
        }
        overwrite(&path, &good);
        assert!(kinds.contains_key("unreadable") && kinds.contains_key("hidden"), "{kinds:?}");
    }

    fn kind(why: &Why) -> &'static str {
        match why {
            Why::Unreadable(_) | Why::Unshreddable(_) => "unreadable",
            Why::Unexpected => "unexpected",
            Why::Digest { .. } => "digest",
            Why::Column { .. } => "column",
            Why::Order => "order",
            Why::Hidden { .. } => "hidden",
            Why::Count { .. } => "count",
            Why::Split { .. } => "split",
            Why::DeltaStatistics { .. } => "delta",
            Why::Manifest { .. } => "manifest",
            Why::Bytes { .. } => "bytes",
        }
    }

    /// T24: looking something up in a filter of which the footer says that it ends with its header is an error and no
    /// panic.
    #[test]
    fn a_bloom_filter_of_no_blocks_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let records = sample(7, 0, 40);
        let snapshot = lake(folder.path(), &records);
        let file = &snapshot.files()[0];
        let reader = snapshot.reader(file).unwrap();
        let leaf = reader.leaf("id").unwrap();
        let chunk = reader.metadata().metadata().row_group(0).column(leaf);
        let (at, length) = (chunk.bloom_filter_offset().unwrap(), i64::from(chunk.bloom_filter_length().unwrap()));
        let header = length - 32 * reader.filter(0, leaf).unwrap().unwrap().num_blocks() as i64;
        // Thrift's compact form, in the footer: offset and length, each after a byte that names field and type. A number
        // is doubled and has seven bits a byte, low first, a bit more saying that more follow.
        let digits = |number: i64| {
            (0..)
                .map(move |place| (2 * number) >> (7 * place))
                .take_while(|rest| *rest > 0)
                .map(|rest| rest as u8 | 0x80)
        };
        let number = |value: i64, bytes: usize| {
            let mut number: Vec<u8> = digits(value).chain(std::iter::repeat(0x80)).take(bytes).collect();
            number[bytes - 1] &= 0x7f;
            number
        };
        let (at_bytes, length_bytes) = (digits(at).count(), digits(length).count());
        let fields = |length| [&[0x16][..], &number(at, at_bytes), &[0x15], &number(length, length_bytes)].concat();
        let mut bytes = std::fs::read(snapshot.path(file)).unwrap();
        let place = bytes.windows(fields(length).len()).position(|window| window == fields(length)).unwrap();
        let forged = fields(header);
        bytes[place..place + forged.len()].copy_from_slice(&forged);
        overwrite(&snapshot.path(file), &bytes);
        let found = Snapshot::open(Host::system(), folder.path()).unwrap().find_id(records[0].1.stamp.id);
        assert!(matches!(found, Err(ReadError::Parquet { .. })), "{found:?}");
        let finding = check(&snapshot, &forge(file, &bytes), &records).unwrap_err();
        assert!(matches!(finding.why, Why::Unreadable(_)), "{finding}");
    }

    #[test]
    fn an_emptied_bloom_filter_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let records = sample(7, 0, 40);
        let snapshot = lake(folder.path(), &records);
        let file = &snapshot.files()[0];
        let reader = snapshot.reader(file).unwrap();
        let leaf = reader.leaf("id").unwrap();
        let chunk = reader.metadata().metadata().row_group(0).column(leaf);
        let (at, len) = (chunk.bloom_filter_offset().unwrap() as usize, chunk.bloom_filter_length().unwrap() as usize);
        let mut bytes = std::fs::read(snapshot.path(file)).unwrap();
        bytes[at + len - 32..at + len].fill(0);
        overwrite(&snapshot.path(file), &bytes);
        let finding = check(&snapshot, &forge(file, &bytes), &records).unwrap_err();
        assert!(matches!(finding.why, Why::Hidden { claim: Claim::BloomFilter, .. }), "{finding}");
    }

    /// T26: a query would not look for them in the remainder.
    #[test]
    fn a_footer_that_hides_values_of_a_remainder_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let records = sample(11, 0, 120);
        let snapshot = lake(folder.path(), &records);
        let file = &snapshot.files()[0];
        let entry = footer_entry(snapshot.reader(file).unwrap().metadata().metadata(), SPLIT_ENTRY).unwrap().to_owned();
        let named = read_split(&entry).unwrap();
        assert!(!named.is_empty());
        let good = std::fs::read(snapshot.path(file)).unwrap();
        let at = good.windows(entry.len()).position(|window| window == entry.as_bytes()).unwrap();
        for column in named {
            let forged = entry.replace(&format!("{column:?}"), &format!("{:?}", "~".repeat(column.len())));
            let mut bytes = good.clone();
            bytes[at..at + entry.len()].copy_from_slice(forged.as_bytes());
            overwrite(&snapshot.path(file), &bytes);
            let finding = check(&snapshot, &forge(file, &bytes), &records).unwrap_err();
            assert!(matches!(&finding.why, Why::Split { column: found } if *found == column), "{finding}");
        }
    }

    #[test]
    fn a_manifest_or_statistics_that_hide_rows_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let records = sample(8, 0, 10);
        let snapshot = lake(folder.path(), &records);
        let file = &snapshot.files()[0];
        let changed = |change: fn(&mut Manifest)| {
            let mut changed = file.clone();
            change(&mut changed);
            check(&snapshot, &changed, &records).unwrap_err().why
        };
        assert!(matches!(changed(|m| m.rows -= 1), Why::Manifest { field: "rows", .. }));
        assert!(matches!(changed(|m| m.last_index = 3), Why::Manifest { field: "last index", .. }));
        assert!(matches!(changed(|m| m.max_id = "0".into()), Why::Manifest { field: "greatest id", .. }));
        let stats = |m: &mut Manifest| m.stats = m.stats.replace("\"numRecords\":10", "\"numRecords\":9");
        assert!(matches!(changed(stats), Why::DeltaStatistics { .. }));
    }

    #[test]
    fn a_record_of_another_index_or_twice_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let records = sample(9, 0, 10);
        let snapshot = lake(folder.path(), &records);
        let file = &snapshot.files()[0];
        let mut swapped = records.clone();
        swapped.swap(3, 4);
        assert!(matches!(check(&snapshot, file, &swapped).unwrap_err().why, Why::Digest { .. }));
        assert!(matches!(check(&snapshot, file, &records[..9]).unwrap_err().why, Why::Unexpected));
    }
}
