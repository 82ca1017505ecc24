//! Counts from elsewhere: a CSV, or what Prometheus answered.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, Read as _};

use serde::{Deserialize, Serialize};

use super::{By, Key, prometheus};
use crate::times;

/// Intervals times models and versions.
pub(crate) const CELLS_MAX: usize = 1_000_000;

/// Bad rows that are kept.
const BAD_ROWS_MAX: usize = 1_000;

/// Bytes of a file.
const BYTES_MAX: u64 = 256 << 20;

/// Bytes of one field of a CSV.
const FIELD_BYTES_MAX: usize = 1_024;

/// Names that a column may have.
const MODEL: [&str; 3] = ["model", "model_name", "model.name"];
const VERSION: [&str; 3] = ["version", "model_version", "model.version"];
const TIME: [&str; 10] =
    ["time", "start", "from", "interval", "interval_start", "timestamp", "ts", "minute", "hour", "day"];
const COUNT: [&str; 8] = ["count", "n", "total", "requests", "decisions", "predictions", "calls", "value"];

/// The labels of a query's result that say the model and its version; without them the names that columns may have.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// The model's label.
    pub model: Option<String>,
    /// The version's label.
    pub version: Option<String>,
}

/// Counts from elsewhere.
#[derive(Debug)]
pub struct Theirs {
    by: By,
    counts: BTreeMap<Key, f64>,
    models: BTreeSet<String>,
    has_versions: bool,
    bad: Vec<BadRow>,
    bad_count: u64,
}

/// A row that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRow {
    /// Its line, from 1; of a query's result, which series it is.
    pub line: u64,
    /// Why.
    pub reason: String,
}

/// Why there are no counts.
#[derive(Debug, thiserror::Error)]
pub enum TheirsError {
    /// The file could not be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// A column is missing.
    #[error("it has no column for the {what}; name one {names}")]
    Column {
        /// What it would say.
        what: &'static str,
        /// Names that are known.
        names: String,
    },
    /// The file is neither CSV nor a result of Prometheus.
    #[error("{0}; give a CSV with a line of names, or the JSON of Prometheus' /api/v1/query_range")]
    Malformed(String),
    /// A limit was passed.
    #[error("it has more than {max} {what}; give a shorter time")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// How many there may be.
        max: usize,
    },
}

/// One count.
pub(super) struct Given<'a> {
    pub time_ns: i64,
    pub model: &'a str,
    pub version: Option<&'a str>,
    pub count: f64,
}

impl Theirs {
    /// Reads counts. What begins with `{` is a result of Prometheus, all else CSV.
    pub fn read(mut file: impl BufRead, by: By, labels: &Labels) -> Result<Theirs, TheirsError> {
        let empty = Theirs {
            by,
            counts: BTreeMap::new(),
            models: BTreeSet::new(),
            has_versions: false,
            bad: Vec::new(),
            bad_count: 0,
        };
        let begins = file.fill_buf()?.iter().find(|byte| !byte.is_ascii_whitespace()).copied();
        if begins != Some(b'{') {
            return empty.csv(file);
        }
        let mut json = Vec::new();
        let mut file = file.take(BYTES_MAX + 1);
        file.read_to_end(&mut json)?;
        within(&file)?;
        prometheus::read(empty, &json, labels)
    }

    fn csv(mut self, file: impl BufRead) -> Result<Theirs, TheirsError> {
        let mut file = file.take(BYTES_MAX + 1);
        let mut reader =
            csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).comment(Some(b'#')).from_reader(&mut file);
        let malformed = |error: csv::Error| match error.into_kind() {
            csv::ErrorKind::Io(error) => TheirsError::Io(error),
            kind => TheirsError::Malformed(format!("it is no CSV: {kind:?}")),
        };
        let heads = reader.byte_headers().map_err(malformed)?;
        let heads: Vec<String> = heads
            .iter()
            .map(|head| String::from_utf8_lossy(head).trim_start_matches('\u{feff}').to_lowercase())
            .collect();
        let find = |names: &[&str]| heads.iter().position(|head| names.contains(&head.as_str()));
        let needed =
            |what, names: &[&str]| find(names).ok_or_else(|| TheirsError::Column { what, names: names.join(", ") });
        let (model, time, count) = (needed("model", &MODEL)?, needed("time", &TIME)?, needed("count", &COUNT)?);
        let version = find(&VERSION);
        self.has_versions = version.is_some();
        let mut row = csv::ByteRecord::new();
        while reader.read_byte_record(&mut row).map_err(malformed)? {
            let line = row.position().map_or(0, csv::Position::line);
            let given = given(&row, model, version, time, count);
            match given.and_then(|given| self.add(&given)) {
                Ok(()) => {}
                Err(Refused::Row(reason)) => self.bad(line, reason),
                Err(Refused::All(error)) => return Err(error),
            }
        }
        within(&file)?;
        Ok(self)
    }

    pub(super) fn add(&mut self, given: &Given) -> Result<(), Refused> {
        if given.model.is_empty() {
            return Err("it names no model".into());
        }
        if given.version.is_some_and(str::is_empty) {
            return Err("it names no version; leave the column out to count all versions together".into());
        }
        if !given.count.is_finite() || given.count < 0.0 {
            return Err(format!("{} is no count", given.count).into());
        }
        // What lies within an interval of the ends of time is nobody's count.
        let room = By::Week.length_ns();
        if given.time_ns.checked_sub(2 * room).is_none() || given.time_ns.checked_add(2 * room).is_none() {
            return Err("its time is at the end of time".into());
        }
        let key = (self.by.start(given.time_ns), given.model.to_owned(), given.version.map(str::to_owned));
        if self.counts.len() >= CELLS_MAX && !self.counts.contains_key(&key) {
            return Err(Refused::All(TheirsError::Limit { what: "intervals times models", max: CELLS_MAX }));
        }
        if !self.models.contains(given.model) {
            self.models.insert(given.model.to_owned());
        }
        *self.counts.entry(key).or_default() += given.count;
        Ok(())
    }

    pub(super) fn bad(&mut self, line: u64, reason: String) {
        self.bad_count += 1;
        if self.bad.len() < BAD_ROWS_MAX {
            self.bad.push(BadRow { line, reason });
        }
    }

    pub(super) fn says_versions(&mut self) {
        self.has_versions = true;
    }

    /// How long an interval is.
    pub fn by(&self) -> By {
        self.by
    }

    /// Whether versions are told apart.
    pub fn has_versions(&self) -> bool {
        self.has_versions
    }

    /// Rows that could not be read; the first of them.
    pub fn bad_rows(&self) -> &[BadRow] {
        &self.bad
    }

    /// How many there were.
    pub fn bad_rows_count(&self) -> u64 {
        self.bad_count
    }

    /// Whether there is any count.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    pub(super) fn counts(&self) -> &BTreeMap<Key, f64> {
        &self.counts
    }

    pub(super) fn names(&self, model: &str) -> bool {
        self.models.contains(model)
    }

    /// From the first interval to the end of the last.
    pub(super) fn span(&self) -> Option<(i64, i64)> {
        let (first, _) = self.counts.first_key_value()?;
        let (last, _) = self.counts.last_key_value()?;
        Some((first.0, last.0.saturating_add(self.by.length_ns())))
    }
}

/// Why a count was not taken.
pub(super) enum Refused {
    Row(String),
    All(TheirsError),
}

impl From<String> for Refused {
    fn from(reason: String) -> Self {
        Refused::Row(reason)
    }
}

impl From<&str> for Refused {
    fn from(reason: &str) -> Self {
        Refused::Row(reason.to_owned())
    }
}

/// An error if a file was read up to behind its limit.
fn within(file: &std::io::Take<impl BufRead>) -> Result<(), TheirsError> {
    if file.limit() > 0 {
        return Ok(());
    }
    Err(TheirsError::Limit { what: "MiB", max: (BYTES_MAX >> 20) as usize })
}

fn given(
    row: &csv::ByteRecord,
    model: usize,
    version: Option<usize>,
    time: usize,
    count: usize,
) -> Result<Given<'_>, Refused> {
    let field = |at: usize, what: &str| -> Result<&str, Refused> {
        let bytes = row.get(at).ok_or_else(|| format!("it ends before its {what}"))?;
        if bytes.len() > FIELD_BYTES_MAX {
            return Err(format!("its {what} is longer than {FIELD_BYTES_MAX} bytes").into());
        }
        std::str::from_utf8(bytes).map_err(|_| format!("its {what} is no UTF-8").into())
    };
    let model = field(model, "model")?;
    let version = version.map(|version| field(version, "version")).transpose()?;
    let text = field(time, "time")?;
    let time_ns = times::absolute(text).ok_or_else(|| format!("{text:?} is no time"))?;
    let text = field(count, "count")?;
    let count = text.parse().map_err(|_| format!("{text:?} is no count"))?;
    Ok(Given { time_ns, model, version, count })
}

pub(super) fn model_label(labels: &Labels) -> Vec<&str> {
    labels.model.as_deref().map_or_else(|| MODEL.to_vec(), |label| vec![label])
}

pub(super) fn version_label(labels: &Labels) -> Vec<&str> {
    labels.version.as_deref().map_or_else(|| VERSION.to_vec(), |label| vec![label])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Theirs {
        Theirs::read(text.as_bytes(), By::Day, &Labels::default()).unwrap()
    }

    #[test]
    fn columns_are_known_by_several_names_and_rows_are_summed() {
        let theirs = read(
            "\u{feff}Hour, Model_Name ,requests,other\n2026-11-01T00:00:00Z,a,3,x\n2026-11-01 13:00,a,4,x\n\
             # said by nobody\n1793491200,b,5\n1793491200000,b,5\n2026-11-02,\"a\",7,\"y\"\n",
        );
        let day = 1_793_491_200_000_000_000; // 2026-11-01
        let key = |day, model: &str| (day, model.to_owned(), None);
        let next = day + By::Day.length_ns();
        assert_eq!(theirs.bad_rows(), []);
        let wanted = [(key(day, "a"), 7.0), (key(day, "b"), 10.0), (key(next, "a"), 7.0)];
        assert_eq!(theirs.counts().clone().into_iter().collect::<Vec<_>>(), wanted);
        assert_eq!(theirs.span(), Some((day, next + By::Day.length_ns())));
    }

    #[test]
    fn bad_rows_are_named_and_the_rest_goes_on() {
        let theirs = read(
            "time,model,version,count\n2026-11-01,a,1,3\nsoon,a,1,3\n2026-11-01,,1,3\n2026-11-01,a,,3\n\
             2026-11-01,a,1,-3\n2026-11-01,a,1,NaN\n2026-11-01,a,1\n9999-01-01,a,1,3\n2026-11-02,a,1,4\n",
        );
        let bad: Vec<(u64, &str)> = theirs.bad_rows().iter().map(|bad| (bad.line, bad.reason.as_str())).collect();
        let wanted = [
            (3, "\"soon\" is no time"),
            (4, "it names no model"),
            (5, "it names no version; leave the column out to count all versions together"),
            (6, "-3 is no count"),
            (7, "NaN is no count"),
            (8, "it ends before its count"),
            (9, "\"9999-01-01\" is no time"),
        ];
        assert_eq!(bad, wanted);
        assert_eq!(theirs.counts().len(), 2);
    }

    #[test]
    fn what_is_no_csv_is_told() {
        let error = |text: &[u8]| Theirs::read(text, By::Day, &Labels::default()).unwrap_err().to_string();
        assert_eq!(error(b"time,count\n"), "it has no column for the model; name one model, model_name, model.name");
        assert!(error(b"").starts_with("it has no column"));
        assert!(error(b"\xff\xfe\x00").starts_with("it has no column"));
    }
}
