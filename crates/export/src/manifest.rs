//! `manifest.json`: what an export is, which files it has, and how their columns come from records.

use query::{Evidence, FieldEntry, RecordColumn, Search, Span};
use record::{Kind, Part};
use serde::{Deserialize, Serialize};

/// The version of the format.
pub const FORMAT: u64 = 1;
/// Bytes of a manifest at most.
pub const MANIFEST_BYTES_MAX: u64 = 16 << 20;
/// Files with rows at most.
pub(crate) const FILES_MAX: usize = 10_000;
/// Columns at most.
pub const COLUMNS_MAX: usize = 4_096;

/// The records that rows were made of, as far as they are shown.
pub const RECORDS: &str = "records.cbor";
/// The hashes that lead from them to the root.
pub const HASHES: &str = "hashes";
/// The manifest.
pub const MANIFEST: &str = "manifest.json";
/// The manifest's digest, as `sha256sum` writes it.
pub const SUM: &str = "manifest.json.sha256";

/// What an export is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of the format: 1.
    pub onrecord_export: u64,
    /// What was asked, over which records, under which checkpoint, and what came of it.
    pub evidence: Evidence,
    /// The conditions that were asked for.
    pub filter: Filter,
    /// Whether the records are all that there were below the checkpoint's size, so that none can be missing: those of
    /// another kind than the filter's stand among the records too, by their stamps alone, and make no rows.
    pub complete: bool,
    /// How rows are written.
    pub format: RowFormat,
    /// Rows in all.
    pub rows: u64,
    /// Records in all.
    pub records: u64,
    /// The parts of records that are shown.
    pub parts: Vec<String>,
    /// Columns of the rows, in order.
    pub columns: Vec<ColumnEntry>,
    /// Fields of the parts that are shown.
    pub fields: Vec<FieldEntry>,
    /// Whether there are more fields than are told apart.
    pub fields_left_off: bool,
    /// The files: those with rows in order, the records, the hashes.
    pub files: Vec<FileEntry>,
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowFormat {
    /// Apache Parquet.
    Parquet,
    /// CSV.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

impl RowFormat {
    /// What files of it end in.
    pub fn ending(self) -> &'static str {
        match self {
            RowFormat::Parquet => "parquet",
            RowFormat::Csv => "csv",
            RowFormat::Ndjson => "ndjson",
        }
    }
}

/// A column of the rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnEntry {
    /// Its name.
    pub name: String,
    /// The field that its values are of.
    pub field: String,
    /// As what type they are shown: values of other types are null.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it holds, in a few words.
    pub holds: String,
    /// Rows with a value.
    pub rows: u64,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// Rows in it, if it is one with rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

/// The conditions that were asked for; all of them hold of every row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// The kind of record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The model's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The model's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `subject.id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// `subject.case`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// `trace.trace_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// From then on, nanoseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ns: Option<i64>,
    /// Before then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ns: Option<i64>,
    /// A predicate in SQL.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<String>,
    /// Records at most, the newest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

impl Filter {
    /// The conditions of a search.
    pub fn of(search: &Search) -> Filter {
        let until = |span: Span| if span.is_moment() { span.from } else { span.until };
        Filter {
            kind: search.kind.map(|kind| kind.name().to_owned()),
            model: search.model.clone(),
            version: search.version.clone(),
            subject: search.subject.clone(),
            case: search.case.clone(),
            trace: search.trace.clone(),
            since_ns: search.since.map(|span| span.from),
            until_ns: search.until.map(until),
            matches: search.matches.clone(),
            limit: (search.limit != Search::EVERY).then_some(search.limit as u64),
        }
    }

    /// The search for the indices of records below `size` that it is; nothing if it names no kind.
    pub fn search(&self, size: u64) -> Option<Search> {
        let moment = |ns: i64| Span { from: ns, until: ns.saturating_add(1) };
        let kind = match &self.kind {
            None => None,
            Some(name) => Some(Kind::from_name(name)?),
        };
        let limit = self.limit.map_or(Some(Search::EVERY), |limit| usize::try_from(limit).ok())?;
        Some(Search {
            kind,
            below: Some(size),
            model: self.model.clone(),
            version: self.version.clone(),
            subject: self.subject.clone(),
            case: self.case.clone(),
            trace: self.trace.clone(),
            since: self.since_ns.map(moment),
            until: self.until_ns.map(moment),
            matches: self.matches.clone(),
            ..Search::new(["index"], limit)
        })
    }
}

/// Why bytes are no manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is no JSON of that form.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// A version that this software does not read.
    #[error("it is of format {0}, and this version reads {FORMAT}: use a newer onrecord")]
    Format(u64),
    /// Something in it contradicts itself or passes a limit.
    #[error("{0}")]
    Shape(String),
}

/// The part of a manifest that tells its version.
#[derive(Deserialize)]
struct Version {
    onrecord_export: u64,
}

impl Manifest {
    /// Reads a manifest, and that it does not contradict itself.
    pub fn read(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        let Version { onrecord_export: format } = serde_json::from_slice(bytes)?;
        if format != FORMAT {
            return Err(ManifestError::Format(format));
        }
        let manifest: Manifest = serde_json::from_slice(bytes)?;
        manifest.check().map_err(ManifestError::Shape)?;
        Ok(manifest)
    }

    /// The bytes of `manifest.json`.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ManifestError> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// The name of the file with rows at `position`, from 0.
    pub fn rows_file(format: RowFormat, position: usize) -> String {
        format!("rows-{:04}.{}", position + 1, format.ending())
    }

    /// Whether an export may have a file of that name.
    pub fn is_file(name: &str) -> bool {
        let rows = |name: &str| {
            let (number, ending) = name.strip_prefix("rows-")?.split_once('.')?;
            let format = [RowFormat::Parquet, RowFormat::Csv, RowFormat::Ndjson].iter().any(|it| it.ending() == ending);
            let digits = (4..=9).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
            Some(format && digits)
        };
        [MANIFEST, SUM, RECORDS, HASHES].contains(&name) || rows(name) == Some(true)
    }

    /// Files with rows.
    pub fn row_files(&self) -> &[FileEntry] {
        &self.files[..self.files.len().saturating_sub(2)]
    }

    /// The columns of the rows.
    pub fn record_columns(&self) -> Option<Vec<RecordColumn>> {
        self.columns.iter().map(|column| RecordColumn::new(&column.name, &column.field, &column.kind)).collect()
    }

    /// The parts that are shown.
    pub fn shown_parts(&self) -> Option<Vec<Part>> {
        self.parts.iter().map(|name| Part::ALL.into_iter().find(|part| part.name() == name)).collect()
    }

    /// The kind that rows are of; none for every kind.
    pub fn kind(&self) -> Option<Kind> {
        self.filter.kind.as_deref().and_then(Kind::from_name)
    }

    /// Files have the names that they must have, so no name leads anywhere else (T24); figures agree with each other.
    fn check(&self) -> Result<(), String> {
        let need = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
        need((2..=FILES_MAX).contains(&self.files.len()), "it names too few or too many files")?;
        need((1..=COLUMNS_MAX).contains(&self.columns.len()), "it has no columns, or too many")?;
        let rows = self.row_files();
        let names = (0..rows.len()).map(|position| Manifest::rows_file(self.format, position));
        let names: Vec<String> = names.chain([RECORDS.to_owned(), HASHES.to_owned()]).collect();
        if let Some((file, name)) = self.files.iter().zip(&names).find(|(file, name)| file.name != **name) {
            return Err(format!("it names a file {:?} where {name} must stand", file.name));
        }
        need(!rows.is_empty(), "it names no file with rows")?;
        need(rows.iter().all(|file| file.rows.is_some()), "a file with rows has no count of them")?;
        let in_files = rows.iter().try_fold(0u64, |sum, file| sum.checked_add(file.rows.unwrap_or(0)));
        need(in_files == Some(self.rows), "its files have another number of rows than it says")?;
        let counts = &self.evidence.counts;
        need(counts.returned == self.rows, "its evidence counts other rows than it says")?;
        let of_matched = counts.left_off.unwrap_or(0).checked_add(self.rows);
        need(counts.matched == of_matched, "rows and those left off are not those that matched")?;
        let checkpoint = self.evidence.checkpoint.as_ref().ok_or("it has no checkpoint")?;
        let covers = self.evidence.covers;
        need(
            (covers.from, covers.until, covers.sealed) == (0, checkpoint.size, checkpoint.size)
                && counts.records == checkpoint.size,
            "it covers other records than its checkpoint",
        )?;
        need(self.filter.kind.is_none() || self.kind().is_some(), "it names no kind of record")?;
        let search = self.filter.search(checkpoint.size).ok_or("its filter is none")?;
        let run = search.to_sql().map_err(|error| error.to_string())?;
        need(run == self.evidence.run, "its query is not the one that its filter makes")?;
        let everything = !search.is_narrowed() && search.limit == Search::EVERY && !counts.cut;
        need(self.complete == everything, "it says whether it is complete, and its filter says otherwise")?;
        need(!self.complete || self.records == checkpoint.size, "it is complete, and has fewer or more records")?;
        need(self.complete || self.records == self.rows, "it has records without rows")?;
        let columns = self.record_columns().ok_or("it has a column of a field or type that no record has")?;
        let shown = self.shown_parts().ok_or("it names a part that no record has")?;
        need(shown.is_sorted_by(|one, next| one < next), "its parts are not in their order")?;
        let covered = columns.iter().filter_map(RecordColumn::part).all(|part| shown.contains(&part));
        need(covered, "it has a column of a part that it does not show")?;
        let described = self.columns.iter().zip(&columns).all(|(entry, column)| entry.holds == column.holds());
        need(described, "it describes a column otherwise than the format does")?;
        let mut known = std::collections::BTreeSet::new();
        need(self.columns.iter().all(|column| known.insert(&column.name)), "it has a column twice")
    }
}
