//! The files of an export as they are being written: rows, the records they are made of, and the hashes that prove these.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use arrow_array::Array as _;
use arrow_schema::SchemaRef;
use host::Host;
use query::{Dictionary, RecordColumn};
use record::Disclosed;
use tlog::Prover;
use trail::Snapshot;

use crate::error::ExportError;
use crate::folder::Digesting;
use crate::framed;
use crate::manifest::{ColumnEntry, FileEntry, HASHES, Manifest, RECORDS, RowFormat};
use crate::rows::{BATCH_ROWS, Rows};
use crate::sealed::{File, Seal};
use crate::spool::Spool;
use crate::write::Order;

/// Bytes of records whose rows are not written yet, about: their rows are made of these, and are in memory beside them.
const BATCH_BYTES: usize = 8 << 20;

/// A file that is being written, digested on the way.
type Out = Digesting<File>;

/// The files of an export, as they are being written.
pub(crate) struct Files<'a> {
    host: &'a Host,
    seal: &'a Seal,
    folder: PathBuf,
    format: RowFormat,
    columns: &'a [RecordColumn],
    schema: SchemaRef,
    file_rows: u64,
    bytes_max: u64,
    /// Of files with rows that are closed.
    rows_bytes: u64,
    records: Out,
    rows: Option<Rows<Out>>,
    /// Records whose rows are not written yet, and their bytes.
    batch: Vec<Disclosed>,
    batch_bytes: usize,
    in_file: u64,
    written: Written,
}

/// What has been written.
pub(crate) struct Written {
    pub files: Vec<FileEntry>,
    pub rows: u64,
    pub records: u64,
    pub columns: Vec<ColumnEntry>,
    pub dictionary: Dictionary,
}

impl<'a> Files<'a> {
    pub(crate) fn new(
        host: &'a Host,
        seal: &'a Seal,
        folder: PathBuf,
        order: &Order,
        columns: &'a [RecordColumn],
    ) -> Result<Self, ExportError> {
        let Order { format, bytes_max, .. } = *order;
        let entry = |column: &RecordColumn| ColumnEntry {
            name: column.name().to_owned(),
            field: column.field(),
            kind: column.kind().to_owned(),
            holds: column.holds(),
            rows: 0,
        };
        let written = Written {
            files: Vec::new(),
            rows: 0,
            records: 0,
            columns: columns.iter().map(entry).collect(),
            dictionary: Dictionary::default(),
        };
        let records = Digesting::new(seal.create(host, &folder, RECORDS)?);
        let schema = RecordColumn::schema(columns);
        let (batch, file_rows) = (Vec::new(), order.file_rows.max(1));
        let mut files = Files {
            host,
            seal,
            folder,
            format,
            columns,
            schema,
            file_rows,
            bytes_max,
            rows_bytes: 0,
            records,
            rows: None,
            batch,
            batch_bytes: 0,
            in_file: 0,
            written,
        };
        files.open()?;
        Ok(files)
    }

    fn cannot(&self, name: &str, cause: impl std::fmt::Display) -> ExportError {
        ExportError::Write { path: self.folder.join(name), cause: cause.to_string() }
    }

    fn rows_name(&self) -> String {
        Manifest::rows_file(self.format, self.written.files.len())
    }

    fn open(&mut self) -> Result<(), ExportError> {
        let out = Digesting::new(self.seal.create(self.host, &self.folder, &self.rows_name())?);
        let rows = Rows::new(out, self.format, &self.schema);
        self.rows = Some(rows.map_err(|error| self.cannot(&self.rows_name(), error))?);
        self.in_file = 0;
        Ok(())
    }

    /// Takes the next record, and its row.
    pub(crate) fn take(&mut self, item: &[u8], record: Disclosed, is_row: bool) -> Result<(), ExportError> {
        framed::write(&mut self.records, item).map_err(|error| self.cannot(RECORDS, error))?;
        self.written.records += 1;
        self.check_bytes()?;
        if !is_row {
            return Ok(());
        }
        if let Some(parts) = record.parts() {
            let seen = self.written.dictionary.see(parts);
            seen.map_err(|_| ExportError::Changed { index: record.index })?;
        }
        self.batch.push(record);
        self.batch_bytes += item.len();
        // A file that is full is closed once there is a row for the next.
        let room = Some(self.file_rows - self.in_file).filter(|room| *room > 0).unwrap_or(self.file_rows);
        let is_full = self.batch.len() == BATCH_ROWS || self.batch_bytes >= BATCH_BYTES;
        if is_full || self.batch.len() as u64 == room { self.write_rows() } else { Ok(()) }
    }

    /// The file that is open counts as well.
    fn check_bytes(&self) -> Result<(), ExportError> {
        let rows = self.rows_bytes + self.rows.as_ref().map_or(0, Rows::bytes);
        if self.records.bytes.max(rows) > self.bytes_max {
            return Err(ExportError::TooLarge { max: self.bytes_max });
        }
        Ok(())
    }

    fn write_rows(&mut self) -> Result<(), ExportError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        if self.in_file == self.file_rows {
            self.close()?;
            self.open()?;
        }
        let rows = RecordColumn::rows(self.columns, &self.batch)?;
        for (entry, column) in self.written.columns.iter_mut().zip(rows.columns()) {
            entry.rows += (column.len() - column.null_count()) as u64;
        }
        let name = self.rows_name();
        if let Some(out) = &mut self.rows {
            out.write(&rows)
                .map_err(|error| ExportError::Write { path: self.folder.join(&name), cause: error.to_string() })?;
        }
        self.in_file += self.batch.len() as u64;
        self.written.rows += self.batch.len() as u64;
        self.batch.clear();
        self.batch_bytes = 0;
        self.check_bytes()
    }

    fn close(&mut self) -> Result<(), ExportError> {
        let name = self.rows_name();
        if let Some(rows) = self.rows.take() {
            let out = rows.finish().map_err(|error| self.cannot(&name, error))?;
            let path = self.seal.path(&self.folder, &name);
            let entry = entry(out, &path, &name, Some(self.in_file))?;
            self.rows_bytes += entry.bytes;
            self.written.files.push(entry);
        }
        Ok(())
    }

    /// The rest of the rows, and the hashes from the records to the root.
    pub(crate) fn finish(mut self, snapshot: &Snapshot, spool: &Spool, size: u64) -> Result<Written, ExportError> {
        self.write_rows()?;
        self.close()?;
        self.check_bytes()?;
        let mut hashes = Digesting::new(self.seal.create(self.host, &self.folder, HASHES)?);
        let mut failed = None;
        let proved = Prover::new(snapshot.entries(), size).shared(spool.indices(), &mut |hash| {
            failed = failed.take().or_else(|| hashes.write_all(hash.as_bytes()).err());
        });
        proved.map_err(|error| ExportError::Unsound(error.to_string()))?;
        if let Some(error) = failed {
            return Err(self.cannot(HASHES, error));
        }
        let path = |name| self.seal.path(&self.folder, name);
        self.written.files.push(entry(self.records, &path(RECORDS), RECORDS, None)?);
        self.written.files.push(entry(hashes, &path(HASHES), HASHES, None)?);
        Ok(self.written)
    }
}

/// Makes a file durable.
fn entry(out: Out, path: &Path, name: &str, rows: Option<u64>) -> Result<FileEntry, ExportError> {
    let (bytes, sha256) = (out.bytes, out.digest());
    out.inner.finish(path)?;
    Ok(FileEntry { name: name.to_owned(), bytes, sha256, rows })
}
