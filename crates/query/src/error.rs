//! Why a query has no answer.

use std::time::Duration;

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use crate::near;

/// Why a query has no answer: what happened, to what, and what to do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueryError {
    /// The text is no SQL.
    #[error("the query cannot be read: {0}")]
    Syntax(String),
    /// A statement or a part of one that would do more than read this trail.
    #[error("{0} is refused: a query only reads the trail; write a SELECT, EXPLAIN, DESCRIBE or SHOW TABLES")]
    Refused(String),
    /// A table that is not there.
    #[error("there is no table {name}{}; the tables are {known}", near::did_you_mean(.nearest))]
    Table {
        /// As it was written.
        name: String,
        /// A table whose name is like it.
        nearest: Option<String>,
        /// Those that are there.
        known: String,
    },
    /// A field that no record has.
    #[error("no record has a field {name}{}; DESCRIBE decisions lists all", near::did_you_mean(.nearest))]
    Field {
        /// As it was written.
        name: String,
        /// A field whose name is like it.
        nearest: Option<String>,
    },
    /// A comparison that no two values can pass.
    #[error("{left} is {left_is} and {right} is {right_is}, so they never compare; {hint}")]
    Types {
        /// One side.
        left: String,
        /// What it is.
        left_is: &'static str,
        /// The other side.
        right: String,
        /// What it is.
        right_is: &'static str,
        /// What to do.
        hint: String,
    },
    /// A group that nobody is in.
    #[error("no decision is of a group {name:?}; the groups are {known}")]
    Group {
        /// As it was written.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A text that stands where a time is asked for.
    #[error(
        "{0:?} is no time; write 2026-11-01T12:00:00Z, 2026-11-01, a span before now (90s, 15m, 2h, 7d), now, today, yesterday, or FROM..UNTIL"
    )]
    Time(String),
    /// A limit that was passed.
    #[error("the query needs more than {what} of {max}; ask for less: a shorter time, fewer columns, a LIMIT")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// What may be used.
        max: String,
    },
    /// An answer that what is hidden from the reader would make false, or that nobody could check: a whole sentence.
    #[error("{0}")]
    Hidden(String),
    /// A policy that cannot be applied.
    #[error("the access policy cannot be applied: {0}")]
    Policy(String),
    /// The trail's files could not be read.
    #[error("{0}")]
    Read(String),
    /// The library refused the query.
    #[error("{0}")]
    Plan(String),
}

/// An error of ours on its way through the library.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Carried(pub(crate) QueryError);

impl QueryError {
    /// The error as the library carries it.
    pub(crate) fn carried(self) -> DataFusionError {
        DataFusionError::External(Box::new(Carried(self)))
    }

    pub(crate) fn out_of_time(max: Duration) -> Self {
        Self::Limit { what: "the time", max: format!("{} s", max.as_secs_f64()) }
    }

    /// What the library says, in words of ours.
    pub(crate) fn of(error: DataFusionError, limits: &crate::Limits) -> Self {
        if let Some(carried) = carried_in(&error) {
            return carried;
        }
        // Spilling says it in several ways.
        if error.to_string().contains("max_temp_directory_size") {
            return Self::out_of_disk(limits);
        }
        match error {
            DataFusionError::Context(_, cause) | DataFusionError::Diagnostic(_, cause) => Self::of(*cause, limits),
            DataFusionError::Collection(mut causes) if !causes.is_empty() => Self::of(causes.remove(0), limits),
            DataFusionError::SQL(cause, _) => QueryError::Syntax(first_line(&cause.to_string())),
            DataFusionError::SchemaError(cause, _) => Self::of_schema(*cause),
            DataFusionError::ResourcesExhausted(_) if limits.spill_bytes == 0 => QueryError::Limit {
                what: "the memory, which is all that queries of an encrypted trail have,",
                max: mib(limits.memory_bytes as u64),
            },
            DataFusionError::ResourcesExhausted(_) => {
                QueryError::Limit { what: "the memory", max: mib(limits.memory_bytes as u64) }
            }
            DataFusionError::ParquetError(cause) => QueryError::Read(format!(
                "a file of the lake cannot be read: {cause}; verify the trail, and restore the file from a copy"
            )),
            other => QueryError::Plan(first_line(other.strip_backtrace().as_str())),
        }
    }

    fn out_of_disk(limits: &crate::Limits) -> Self {
        QueryError::Limit { what: "the disk for what memory does not hold", max: mib(limits.spill_bytes) }
    }

    fn of_schema(error: SchemaError) -> Self {
        match error {
            SchemaError::FieldNotFound { field, valid_fields } => {
                let names = valid_fields.iter().map(|column| column.name.as_str());
                let nearest = near::nearest(&field.name, names);
                QueryError::Field { name: field.name.clone(), nearest }
            }
            other => QueryError::Plan(other.to_string()),
        }
    }
}

/// An error of ours that the library carries, however deep it has wrapped it.
fn carried_in(error: &DataFusionError) -> Option<QueryError> {
    let mut at: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = at {
        if let Some(Carried(carried)) = error.downcast_ref() {
            return Some(carried.clone());
        }
        at = error.source();
    }
    None
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

/// The library's messages can go on for pages.
fn first_line(text: &str) -> String {
    const BYTES_MAX: usize = 600;
    let line = text.lines().next().unwrap_or_default();
    let line = ["Error during planning: ", "Schema error: ", "Execution error: ", "Arrow error: "]
        .iter()
        .fold(line, |line, prefix| line.strip_prefix(prefix).unwrap_or(line));
    let mut end = line.len().min(BYTES_MAX);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line[..end].to_owned()
}
