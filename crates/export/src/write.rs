//! Making an export: under a temporary name, checked as its reader will check it, then renamed.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use host::Host;
use query::{Asking, RecordColumn, Search, View};
use record::{Disclosed, Part};
use trail::Snapshot;

use crate::error::ExportError;
use crate::files::{Files, Written};
use crate::folder::{Temporary, is_free, parent, sha256, sum_line};
use crate::manifest::{FORMAT, Filter, MANIFEST, Manifest, RowFormat, SUM};
use crate::sealed::{Recipient, Seal};
use crate::spool::{Spool, Wanted};
use crate::verify::{Outside, verify};

/// Digests that are read from the trail's entries at a time.
const ENTRIES_CHUNK: u64 = 8_192;

/// What is to be exported.
#[derive(Debug)]
pub struct Order {
    /// Which records. Its columns do not count, and only records under the last checkpoint are looked at.
    pub search: Search,
    /// The query as it was given.
    pub asked: String,
    /// The fields to export.
    pub columns: Vec<String>,
    /// How rows are written.
    pub format: RowFormat,
    /// Rows of a file at most.
    pub file_rows: u64,
    /// Whom it is encrypted to, file by file; nobody: it is left open.
    pub recipients: Vec<Recipient>,
    /// Bytes of its records, and of its rows, at most.
    pub bytes_max: u64,
}

impl Order {
    /// Rows of a file unless it is said otherwise.
    pub const FILE_ROWS: u64 = 1_000_000;

    /// All of a record.
    pub const EVERYTHING: [&str; 23] = [
        "index",
        "id",
        "kind",
        "time",
        "time_ns",
        "time_source",
        "received",
        "about",
        "clock:json",
        "producer:json",
        "trace:json",
        "model:json",
        "result:json",
        "sampling:json",
        "profile",
        "error",
        "inputs_withheld",
        "subject:json",
        "inputs:json",
        "parameters:json",
        "output:json",
        "explanation:json",
        "context:json",
    ];
}

/// An export that was made.
#[derive(Debug)]
pub struct Exported {
    /// What it says of itself.
    pub manifest: Manifest,
    /// SHA-256 of its manifest, hexadecimal: whoever is told it can hold all of the export against it.
    pub digest: String,
}

/// Exports rows of a view to the folder `target`, which must not be there or be empty. Nothing stands there before all
/// of it does, durable and checked. `progress` is called with records done and in all.
pub fn write(
    host: &Host,
    view: &View,
    order: Order,
    target: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Exported, ExportError> {
    if !is_free(target) {
        return Err(ExportError::Taken(target.to_owned()));
    }
    let plan = Plan::of(host, view, order)?;
    let cannot = |cause: std::io::Error| ExportError::Write { path: target.to_owned(), cause: cause.to_string() };
    host.create_dir_all(parent(target), "export")?;
    let temporary = Temporary::beside(target).map_err(cannot)?;
    let seal = Seal::new(&plan.order.recipients);
    let mut told = |done, total| {
        progress(done, total);
        ControlFlow::Continue(())
    };
    let exported = plan.fill(host, view, &seal, &temporary.path(), &mut told)?;
    temporary.replace(host, target)?;
    Ok(exported)
}

/// What is exported, found and not written yet.
pub(crate) struct Plan {
    pub order: Order,
    /// The search, so that whoever sees everything finds the same by it.
    search: Search,
    columns: Vec<RecordColumn>,
    matched: Vec<u64>,
    size: u64,
    started_ns: i64,
    started: Duration,
}

impl Plan {
    pub(crate) fn of(host: &Host, view: &View, order: Order) -> Result<Plan, ExportError> {
        let snapshot = view.snapshot();
        let size = snapshot.checkpoint().map(|_| snapshot.sealed()).ok_or(ExportError::NotSealed)?;
        let search = Search { below: Some(size), columns: vec!["index".to_owned()], ..order.search.clone() };
        // What a policy hides is told in the query, so that an export claims no more than it holds.
        let search = view.repeatable(&search)?;
        let columns = view.record_columns(&order.columns)?;
        let (started_ns, started) = (host.now_ns(), host.monotonic());
        let matched = matched(&view.clone().at(started_ns), &search)?;
        Ok(Plan { order, search, columns, matched, size, started_ns, started })
    }

    /// Writes all of it to a folder, and checks it.
    pub(crate) fn fill(
        &self,
        host: &Host,
        view: &View,
        seal: &Seal,
        folder: &Path,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Exported, ExportError> {
        let (snapshot, search, size) = (view.snapshot(), &self.search, self.size);
        let cannot = |cause: std::io::Error| ExportError::Write { path: folder.to_owned(), cause: cause.to_string() };
        let complete = !search.is_narrowed() && search.limit == Search::EVERY;
        let mut parts: Vec<Part> = self.columns.iter().filter_map(RecordColumn::part).collect();
        parts.sort_unstable();
        parts.dedup();
        let wanted = Wanted { matched: &self.matched, complete, size, kind: search.kind, parts: &parts };
        let total = 2 * if complete { size } else { self.matched.len() as u64 };
        let mut done = 0;
        let mut step = || {
            done += 1;
            if progress(done, total).is_break() { Err(ExportError::Unwanted) } else { Ok(()) }
        };
        let spool = Spool::fill(host, snapshot, &wanted, folder, self.order.bytes_max, &mut step)?;
        let mut files = Files::new(host, seal, folder.to_owned(), &self.order, &self.columns)?;
        let mut entries = EntriesAhead { snapshot, digests: Vec::new(), first: 0, size };
        for item in spool.items() {
            let (index, item) = item.map_err(cannot)?;
            let record = Disclosed::read(&item).map_err(|_| ExportError::Changed { index })?;
            if record.digest() != entries.digest(index)? {
                return Err(ExportError::Changed { index });
            }
            let is_row = search.kind.is_none_or(|kind| kind == record.stamp.kind);
            files.take(&item, record, is_row)?;
            step()?;
        }
        let written = files.finish(snapshot, &spool, size)?;
        if written.rows != self.matched.len() as u64 {
            return Err(ExportError::Unsound("another number of records matches than was found".to_owned()));
        }
        let manifest = self.manifest(host, view, complete, &parts, written)?;
        let bytes = manifest.to_bytes().map_err(|error| ExportError::Unsound(error.to_string()))?;
        let digest = sha256(&bytes);
        let sum = sum_line(&digest);
        seal.put(host, folder, MANIFEST, &bytes)?;
        seal.put(host, folder, SUM, sum.as_bytes())?;
        let small = [(MANIFEST, bytes.len() as u64, digest.clone()), (SUM, sum.len() as u64, sha256(sum.as_bytes()))];
        match seal.is_closed() {
            true => read_back_sealed(seal, folder, &manifest, &small)?,
            false => read_back(host, folder, &digest).map_err(ExportError::Unsound)?,
        }
        Ok(Exported { manifest, digest })
    }

    fn manifest(
        &self,
        host: &Host,
        view: &View,
        complete: bool,
        parts: &[Part],
        written: Written,
    ) -> Result<Manifest, ExportError> {
        let asking = Asking {
            asked: self.order.asked.clone(),
            run: self.search.to_sql()?,
            search: Some(&self.search),
            started_ns: self.started_ns,
            took: host.monotonic().saturating_sub(self.started),
            returned: written.rows,
            cut: false,
        };
        Ok(Manifest {
            onrecord_export: FORMAT,
            evidence: view.clone().at(self.started_ns).evidence(asking)?,
            filter: Filter::of(&self.search),
            complete,
            format: self.order.format,
            rows: written.rows,
            records: written.records,
            parts: parts.iter().map(|part| part.name().to_owned()).collect(),
            columns: written.columns,
            fields: written.dictionary.entries(),
            fields_left_off: written.dictionary.is_full(),
            files: written.files,
        })
    }
}

/// Nothing leaves that does not check. Why it does not.
pub(crate) fn read_back(host: &Host, folder: &Path, digest: &str) -> Result<(), String> {
    let outside = Outside { digest: Some(digest.to_owned()), ..Outside::default() };
    let report = verify(host, folder, &outside, &mut |_, _| {});
    let report = report.map_err(|error| error.to_string())?;
    report.findings.first().map_or(Ok(()), |finding| Err(finding.what.clone()))
}

/// As [`read_back`], for files that only their recipients will open: each decrypts to the bytes that were written to it. Each
/// record in them was held against its digest in the log before.
fn read_back_sealed(
    seal: &Seal,
    folder: &Path,
    manifest: &Manifest,
    small: &[(&str, u64, String)],
) -> Result<(), ExportError> {
    let large = manifest.files.iter().map(|file| (file.name.as_str(), file.bytes, file.sha256.clone()));
    for (name, bytes, sha256) in large.chain(small.iter().cloned()) {
        let found = seal.digest(folder, name).map_err(|error| ExportError::Unsound(format!("{name}: {error}")))?;
        if found != (bytes, sha256) {
            return Err(ExportError::Unsound(format!("{name} does not decrypt to what was written")));
        }
    }
    Ok(())
}

/// The indices of the records that match, in order.
pub(crate) fn matched(view: &View, search: &Search) -> Result<Vec<u64>, ExportError> {
    let mut answer = view.search(search)?;
    let mut indices = Vec::new();
    for batch in answer.by_ref() {
        let batch = batch?;
        let column = batch.column(0).as_primitive_opt::<Int64Type>();
        let values = column.into_iter().flat_map(|column| column.iter().flatten());
        indices.extend(values.filter_map(|index| u64::try_from(index).ok()));
    }
    if answer.is_cut() {
        return Err(ExportError::TooMany { rows: view.limits().rows });
    }
    indices.sort_unstable();
    Ok(indices)
}

/// The digests in the log, for whoever asks for them by rising index.
struct EntriesAhead<'a> {
    snapshot: &'a Snapshot,
    digests: Vec<record::Digest>,
    first: u64,
    size: u64,
}

impl EntriesAhead<'_> {
    fn digest(&mut self, index: u64) -> Result<record::Digest, ExportError> {
        if index < self.first || index - self.first >= self.digests.len() as u64 {
            self.first = index;
            let end = (index + ENTRIES_CHUNK).min(self.size);
            self.digests = self.snapshot.entries().read(index, end)?;
        }
        let offset = (index - self.first) as usize;
        self.digests.get(offset).copied().ok_or(ExportError::Changed { index })
    }
}
