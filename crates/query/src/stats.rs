//! What a trail holds, in figures: one document, whoever asks for it.

use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};
use trail::{Folder, ScrubState, Status, Verdict};

use crate::columns::Columns;
use crate::error::QueryError;
use crate::times;
use crate::view::View;

/// Versions of models that are listed.
const MODELS_MAX: usize = 100_000;

/// The figures of a trail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// The name of its log.
    pub origin: String,
    /// How it is encrypted; `none`: not at all.
    pub encryption: String,
    /// Records in all.
    pub records: u64,
    /// Of each kind.
    pub kinds: BTreeMap<String, u64>,
    /// Decisions of each version of a model.
    pub models: Vec<ModelStats>,
    /// Files of the lake.
    pub files: usize,
    /// The version of the lake's table.
    pub table_version: u64,
    /// The version whose checkpoint it was read from.
    pub table_checkpoint: Option<u64>,
    /// Records in the lake.
    pub settled: u64,
    /// Records in the journal.
    pub journal_records: u64,
    /// Records under the last checkpoint.
    pub sealed: u64,
    /// Records that are not.
    pub unsealed: u64,
    /// Bytes of its folder.
    pub bytes: Sizes,
    /// Bytes for each decision, or for each record where there are no decisions. The journal counts while records are
    /// in it; an empty one is space that is kept for the next.
    pub bytes_a_decision: Option<f64>,
    /// The last checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointStats>,
    /// What the writer's own check came to.
    pub scrub: ScrubStats,
    /// The writer, if one runs.
    pub writer: Option<WriterStats>,
}

/// Decisions of a version of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelStats {
    /// The model.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How many.
    pub decisions: u64,
}

/// A checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointStats {
    /// Records under it.
    pub size: u64,
    /// The root, hexadecimal.
    pub root: String,
}

/// What a writer says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WriterStats {
    /// Its figures.
    Running(Box<Status>),
    /// It listens, and says nothing: it is stopped, or far too busy.
    Silent {
        /// False.
        answers: bool,
    },
}

/// Bytes of a trail's folder, by what they are for. Every file is counted, by its length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// Parquet files.
    pub lake: u64,
    /// The log of their table.
    pub delta_log: u64,
    /// Digests.
    pub entries: u64,
    /// Tiles.
    pub tiles: u64,
    /// The journal.
    pub journal: u64,
    /// What is left.
    pub other: u64,
    /// All of it.
    pub total: u64,
}

/// What a writer's own check came to; fields that there are none of are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScrubStats {
    /// Of the last whole cycle.
    #[serde(flatten)]
    pub last: Option<ScrubbedStats>,
    /// The cycle that is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub under_way: Option<ScrubbingStats>,
}

/// What a whole cycle came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubbedStats {
    /// The verdict.
    pub verdict: Verdict,
    /// When it ended, RFC 3339.
    pub finished: String,
    /// How long ago.
    pub age_seconds: i64,
    /// Records that were hashed again.
    pub records: u64,
    /// Files they were in.
    pub files: u64,
    /// The first things that were found.
    pub findings: Vec<String>,
    /// How many more there are.
    pub findings_left_off: u64,
}

/// A cycle that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubbingStats {
    /// Since when, RFC 3339.
    pub started: String,
    /// For how long.
    pub age_seconds: i64,
    /// Files that are done.
    pub files: u64,
}

impl Sizes {
    /// The sizes of a trail's folder.
    pub fn of(folder: &Folder) -> std::io::Result<Sizes> {
        let root = folder.root();
        let delta = folder.lake().join("_delta_log");
        let sizes = Sizes {
            lake: bytes_under(&folder.lake(), &|path| !path.starts_with(&delta))?,
            delta_log: bytes_under(&delta, &|_| true)?,
            entries: bytes_under(&folder.entries(), &|_| true)?,
            tiles: bytes_under(&folder.tiles(), &|_| true)?,
            journal: bytes_under(&folder.journal(), &|_| true)?,
            other: bytes_under(root, &|path| path.parent() == Some(root))?,
            total: 0,
        };
        let Sizes { lake, delta_log, entries, tiles, journal, other, .. } = sizes;
        Ok(Sizes { total: lake + delta_log + entries + tiles + journal + other, ..sizes })
    }
}

fn bytes_under(folder: &Path, counts: &dyn Fn(&Path) -> bool) -> std::io::Result<u64> {
    let mut total = 0;
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        let entries = match std::fs::read_dir(&next) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            // A file that a writer has removed in between is no longer part of the trail.
            let Ok(found) = entry.metadata() else { continue };
            if found.is_dir() {
                waiting.push(entry.path());
            } else if found.is_file() && counts(&entry.path()) {
                total += found.len();
            }
        }
    }
    Ok(total)
}

impl ScrubStats {
    /// What stands in `scrub.json`, at `now_ns`.
    pub fn of(state: &ScrubState, now_ns: i64) -> ScrubStats {
        let age = |ns: i64| now_ns.saturating_sub(ns).max(0) / 1_000_000_000;
        ScrubStats {
            last: state.last.as_ref().map(|last| ScrubbedStats {
                verdict: last.verdict,
                finished: times::rfc3339(last.finished_ns),
                age_seconds: age(last.finished_ns),
                records: last.records,
                files: last.files,
                findings: last.findings.clone(),
                findings_left_off: last.findings_left_off,
            }),
            under_way: state.under_way().map(|(started_ns, files)| ScrubbingStats {
                started: times::rfc3339(started_ns),
                age_seconds: age(started_ns),
                files,
            }),
        }
    }
}

impl View {
    /// The figures of the trail; what is not in a snapshot is given.
    pub fn stats(&self, bytes: Sizes, scrub: &ScrubState, writer: Option<WriterStats>) -> Result<Stats, QueryError> {
        let snapshot = self.snapshot();
        let (kinds, models) = self.counts_of_kinds()?;
        let journal_records = snapshot.end() - snapshot.settled();
        let checkpoint = snapshot.checkpoint().map(|signed| CheckpointStats {
            size: signed.checkpoint().size(),
            root: signed.checkpoint().root().to_string(),
        });
        let decisions = kinds.get("decision").copied().unwrap_or(0);
        let of = if decisions > 0 { decisions } else { kinds.values().sum() };
        let counted = if journal_records > 0 { bytes.total } else { bytes.total - bytes.journal };
        Ok(Stats {
            origin: snapshot.settings().origin.clone(),
            encryption: snapshot.settings().encryption.clone(),
            records: snapshot.end(),
            kinds,
            models,
            files: snapshot.lake().files().len(),
            table_version: snapshot.lake().version(),
            table_checkpoint: snapshot.lake().log_checkpoint(),
            settled: snapshot.settled(),
            journal_records,
            sealed: snapshot.sealed(),
            unsealed: snapshot.end().saturating_sub(snapshot.sealed()),
            bytes,
            bytes_a_decision: (of > 0).then(|| (counted as f64 / of as f64 * 10.0).round() / 10.0),
            checkpoint,
            scrub: ScrubStats::of(scrub, self.shared.host.now_ns()),
            writer,
        })
    }

    fn counts_of_kinds(&self) -> Result<(BTreeMap<String, u64>, Vec<ModelStats>), QueryError> {
        let sql = "SELECT kind, model.name, model.version, count(*) AS records FROM events GROUP BY 1, 2, 3";
        let mut kinds = BTreeMap::new();
        let mut models = BTreeMap::new();
        for batch in self.every_row(sql, None)? {
            let batch: RecordBatch = batch?;
            let columns = Columns(&batch);
            let (kind, name) = (columns.texts(0)?, columns.texts(1)?);
            let (version, count) = (columns.texts(2)?, columns.integers(3)?);
            for row in 0..batch.num_rows() {
                let records = count.at(row).and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
                let kind = kind.at(row).unwrap_or_default();
                *kinds.entry(kind.to_owned()).or_default() += records;
                if let (Some(name), Some(version), "decision") = (name.at(row), version.at(row), kind) {
                    *models.entry((name.to_owned(), version.to_owned())).or_default() += records;
                }
            }
            if models.len() > MODELS_MAX {
                return Err(QueryError::Limit { what: "versions of models", max: MODELS_MAX.to_string() });
            }
        }
        let models = models.into_iter().map(|((name, version), decisions)| ModelStats { name, version, decisions });
        Ok((kinds, models.collect()))
    }
}
