//! The walk over an export's records: each is held against its row, and all of them are led to the root.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use arrow_array::Array as _;
use arrow_schema::SchemaRef;
use query::{Dictionary, RecordColumn};
use record::{Disclosed, Kind, Part};
use tlog::{Hash, SharedProofError, leaf_hash, root_of_shared};

use super::unread;
use crate::folder;
use crate::framed;
use crate::manifest::{HASHES, MANIFEST, Manifest, RECORDS};
use crate::report::{Place, Report};
use crate::rows::{BATCH_ROWS, Compared, Differs};

/// Records, rows and hashes.
pub(super) fn contents(
    folder: &Path,
    manifest: &Manifest,
    root: &Hash,
    report: &mut Report,
    progress: &mut dyn FnMut(u64, u64),
) {
    let open = |report: &mut Report, name: &str| {
        let path = folder.join(name);
        folder::open(&path).map_err(|error| unread(report, &path, &error)).ok()
    };
    let (Some(records), Some(hashes)) = (open(report, RECORDS), open(report, HASHES)) else { return };
    let (Some(columns), Some(parts)) = (manifest.record_columns(), manifest.shown_parts()) else { return };
    let schema = RecordColumn::schema(&columns);
    let counted = vec![0; columns.len()];
    let mut walk = Walk {
        folder,
        manifest,
        schema,
        columns,
        parts,
        kind: manifest.kind(),
        report,
        progress,
        records: BufReader::with_capacity(1 << 18, records),
        batch: Vec::new(),
        files: 0,
        rows: None,
        left: 0,
        counted,
        dictionary: Dictionary::default(),
    };
    walk.open();
    let led = root_of_shared(manifest.evidence.covers.until, &mut walk, Hashes::new(hashes, folder.join(HASHES)));
    match led {
        Ok(led) if led == *root => walk.finish(),
        Ok(_) => {
            let place = Place::file(folder.join(RECORDS));
            let what = "its records and the hashes beside them do not lead to the signed root: a record, its index, or a \
                        hash is another than the one that was sealed";
            walk.report.invalid("T13", place, what);
            walk.finish();
        }
        Err(SharedProofError::Source(Fault { place, what })) => walk.report.invalid("T13", place, what),
        Err(error @ (SharedProofError::TooShort { .. } | SharedProofError::TooLong)) => {
            walk.report.invalid("T13", Place::file(folder.join(HASHES)), error.to_string());
        }
        Err(error @ (SharedProofError::Order { index } | SharedProofError::NoSuchLeaf { index, .. })) => {
            let place = Place { index: Some(index), ..Place::file(folder.join(RECORDS)) };
            walk.report.invalid("T13", place, error.to_string());
        }
    }
}

/// What ends the walk from records to root.
struct Fault {
    place: Place,
    what: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

/// The hashes of the shared proof, one by one.
struct Hashes {
    file: BufReader<File>,
    path: PathBuf,
}

impl Hashes {
    fn new(file: File, path: PathBuf) -> Self {
        Hashes { file: BufReader::new(file), path }
    }
}

impl Iterator for Hashes {
    type Item = Result<Hash, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut hash = Vec::with_capacity(Hash::BYTES);
        let read = self.file.by_ref().take(Hash::BYTES as u64).read_to_end(&mut hash);
        let place = || Place::file(self.path.clone());
        match read {
            Err(error) => Some(Err(Fault { place: place(), what: error.to_string() })),
            Ok(0) => None,
            Ok(_) => {
                Some(Hash::try_from(hash.as_slice()).map_err(|error| Fault { place: place(), what: error.to_string() }))
            }
        }
    }
}

/// The records, one by one, each held against its row on the way.
struct Walk<'a> {
    folder: &'a Path,
    manifest: &'a Manifest,
    columns: Vec<RecordColumn>,
    schema: SchemaRef,
    parts: Vec<Part>,
    kind: Option<Kind>,
    report: &'a mut Report,
    progress: &'a mut dyn FnMut(u64, u64),
    records: BufReader<File>,
    /// Records whose rows have not been compared yet.
    batch: Vec<Disclosed>,
    /// Files with rows that were opened.
    files: usize,
    /// The one that is open, unless it was found to be wrong.
    rows: Option<Compared>,
    /// Rows that it should still have.
    left: u64,
    counted: Vec<u64>,
    dictionary: Dictionary,
}

impl Iterator for &mut Walk<'_> {
    type Item = Result<(u64, Hash), Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

impl Walk<'_> {
    fn place(&self, index: Option<u64>) -> Place {
        Place { index, row: None, file: Some(self.folder.join(RECORDS)) }
    }

    fn step(&mut self) -> Result<Option<(u64, Hash)>, Fault> {
        let read = framed::read(&mut self.records);
        let nth = self.report.records;
        let read = read.map_err(|what| Fault {
            place: self.place(None),
            what: format!("at its record {nth}, counted from 0: {what}"),
        })?;
        let Some(record) = read else { return Ok(None) };
        self.report.records += 1;
        let (index, digest) = (record.index, record.digest());
        self.see(record).map_err(|what| Fault { place: self.place(Some(index)), what })?;
        if self.report.records.is_multiple_of(BATCH_ROWS as u64) {
            (self.progress)(self.report.records, self.manifest.records);
        }
        Ok(Some((index, leaf_hash(&digest.0))))
    }

    /// Whether a record is what an export of this manifest has; its row is compared with those that follow.
    fn see(&mut self, record: Disclosed) -> Result<(), String> {
        let is_row = self.kind.is_none_or(|kind| kind == record.stamp.kind);
        if !is_row {
            let stamp_alone = self.manifest.complete && record.parts().is_none();
            return if stamp_alone { Ok(()) } else { Err("it is not of the kind that was asked for".to_owned()) };
        }
        if let Some(parts) = record.parts() {
            if Part::ALL.into_iter().any(|part| parts.get(part).is_some() && !self.parts.contains(&part)) {
                return Err("it shows a part that the manifest does not name".to_owned());
            }
            self.dictionary.see(parts).map_err(|error| error.to_string())?;
        }
        self.report.erased += u64::from(self.parts.iter().any(|part| record.withholds(*part)));
        self.batch.push(record);
        if self.batch.len() == BATCH_ROWS || self.batch.len() as u64 >= self.left { self.compare() } else { Ok(()) }
    }

    /// Opens the next file that has rows, or should.
    fn open(&mut self) {
        while let Some(file) = self.manifest.row_files().get(self.files) {
            self.files += 1;
            self.left = file.rows.unwrap_or(0);
            let path = self.folder.join(&file.name);
            let opened = match folder::open(&path) {
                Ok(opened) => Compared::new(opened, self.manifest.format, &self.schema, self.left),
                Err(error) => return unread(self.report, &path, &error),
            };
            match opened {
                Ok(rows) => self.rows = Some(rows),
                Err(differs) => self.differs(differs, None),
            }
            if self.left > 0 {
                return;
            }
            self.close();
        }
    }

    fn close(&mut self) {
        if let Some(Err(differs)) = self.rows.take().map(Compared::end) {
            self.differs(differs, None);
        }
    }

    fn differs(&mut self, differs: Differs, index: Option<u64>) {
        let file = self.manifest.row_files().get(self.files.saturating_sub(1)).map(|file| self.folder.join(&file.name));
        self.report.invalid("T1", Place { file, index, row: differs.row }, differs.what);
        self.rows = None;
    }

    /// Holds the rows of the batch against the file that is open.
    fn compare(&mut self) -> Result<(), String> {
        let batch = std::mem::take(&mut self.batch);
        if batch.len() as u64 > self.left {
            let index = batch.get(self.left as usize).map_or(0, |record| record.index);
            return Err(format!("record {index} has no row: the manifest says that there are {}", self.manifest.rows));
        }
        let expected = RecordColumn::rows(&self.columns, &batch).map_err(|error| error.to_string())?;
        for (count, column) in self.counted.iter_mut().zip(expected.columns()) {
            *count += (column.len() - column.null_count()) as u64;
        }
        if let Some(rows) = &mut self.rows {
            let first = self.manifest.row_files().get(self.files.saturating_sub(1)).and_then(|file| file.rows);
            let first = first.unwrap_or(0) - self.left;
            match rows.next(&expected) {
                Ok(()) => self.report.rows += batch.len() as u64,
                Err(differs) => {
                    let at = differs.row.and_then(|row| usize::try_from(row - first).ok());
                    let index = at.and_then(|at| batch.get(at)).map(|record| record.index);
                    self.differs(differs, index);
                }
            }
        }
        self.left -= batch.len() as u64;
        if self.left == 0 {
            self.close();
            self.open();
        }
        Ok(())
    }

    /// What can be said once all records have been seen.
    fn finish(&mut self) {
        if !self.batch.is_empty()
            && let Err(what) = self.compare()
        {
            let place = self.place(None);
            return self.report.invalid("T26", place, what);
        }
        if self.left > 0 || self.report.records != self.manifest.records {
            let (has, says) = (self.report.records, self.manifest.records);
            let place = self.place(None);
            let what = format!("it has {has} records, and the manifest says {says}, with {} rows", self.manifest.rows);
            return self.report.invalid("T26", place, what);
        }
        let place = || Place::file(self.folder.join(MANIFEST));
        let named = self.manifest.columns.iter().zip(&self.counted);
        if let Some((column, count)) = named.clone().find(|(column, count)| column.rows != **count) {
            let what = format!("{count} rows have a value of {}, and it says {}", column.name, column.rows);
            self.report.invalid("T26", place(), what);
        }
        let fields = (self.dictionary.entries(), self.dictionary.is_full());
        if fields != (self.manifest.fields.clone(), self.manifest.fields_left_off) {
            self.report.invalid("T26", place(), "its field dictionary is not that of its records");
        }
        let erased = self.report.erased;
        if self.manifest.evidence.counts.erased_matched.is_some_and(|says| erased > says) {
            let what = format!("{erased} records lack parts that it shows, and it says that fewer were erased");
            self.report.invalid("T20", place(), what);
        }
    }
}
