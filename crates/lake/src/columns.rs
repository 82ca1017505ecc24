//! Which columns the table has, and which path of a record may become one.
//!
//! Everything here is pure and is rebuilt from the Delta schema alone: a column's name and type say what it holds.
//! The envelope and the stamp have fixed columns; a section's field has the column of its path (`inputs.income`).
//! The first type that a path shows takes the bare name, another one a suffix (`inputs.income:str`). What no column
//! takes stays in the section's remainder (`inputs:rest`).

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, TimeUnit};
use record::Part;

/// Columns that a trail's table may have, the fixed ones included. Beyond it new paths stay in the remainder.
pub const COLUMNS_MAX: usize = 4_096;

/// Longest column name in bytes; a longer path stays in the remainder.
pub const NAME_BYTES_MAX: usize = 512;

/// Bytes of the longest suffix, `:` and the name of a type, that a column's name has beyond its path.
const SUFFIX_BYTES_MAX: usize = 5;

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ColumnType {
    /// 64-bit integer; nanoseconds where the name says so.
    Int,
    /// Any number that an `f64` holds exactly.
    Num,
    /// Boolean.
    Bool,
    /// Text.
    Str,
    /// Bytes.
    Bytes,
    /// Microseconds since the Unix epoch, UTC, for engines that know no nanoseconds.
    Time,
    /// A list of at least one number, each of which an `f64` holds exactly.
    Nums,
    /// A list of texts.
    Strs,
}

impl ColumnType {
    /// The Arrow type that stores it.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Int => DataType::Int64,
            Self::Num => DataType::Float64,
            Self::Bool => DataType::Boolean,
            Self::Str => DataType::Utf8,
            Self::Bytes => DataType::Binary,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Nums => DataType::List(Arc::new(Field::new("element", DataType::Float64, false))),
            Self::Strs => DataType::List(Arc::new(Field::new("element", DataType::Utf8, false))),
        }
    }

    /// The column type that `data_type` stores.
    pub fn of_data_type(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::Int64 => Some(Self::Int),
            DataType::Float64 => Some(Self::Num),
            DataType::Boolean => Some(Self::Bool),
            DataType::Utf8 => Some(Self::Str),
            DataType::Binary => Some(Self::Bytes),
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Some(Self::Time),
            DataType::List(element) => match element.data_type() {
                DataType::Float64 => Some(Self::Nums),
                DataType::Utf8 => Some(Self::Strs),
                _ => None,
            },
            _ => None,
        }
    }

    /// The type as the Delta schema writes it.
    pub(crate) fn delta(self) -> serde_json::Value {
        let list = |element: &str| serde_json::json!({"type": "array", "elementType": element, "containsNull": false});
        match self {
            Self::Int => "long".into(),
            Self::Num => "double".into(),
            Self::Bool => "boolean".into(),
            Self::Str => "string".into(),
            Self::Bytes => "binary".into(),
            Self::Time => "timestamp".into(),
            Self::Nums => list("double"),
            Self::Strs => list("string"),
        }
    }

    /// The column type that a Delta schema's `type` stands for.
    pub(crate) fn of_delta(delta: &serde_json::Value) -> Option<Self> {
        const ALL: [ColumnType; 8] = [
            ColumnType::Int,
            ColumnType::Num,
            ColumnType::Bool,
            ColumnType::Str,
            ColumnType::Bytes,
            ColumnType::Time,
            ColumnType::Nums,
            ColumnType::Strs,
        ];
        ALL.into_iter().find(|t| t.delta() == *delta)
    }

    /// What follows the colon in the name of a column whose path already has one of another type.
    fn suffix(self) -> Option<&'static str> {
        match self {
            Self::Num => Some("num"),
            Self::Bool => Some("bool"),
            Self::Str => Some("str"),
            Self::Nums => Some("nums"),
            Self::Int | Self::Bytes | Self::Time | Self::Strs => None,
        }
    }
}

/// One column of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name, unique in the table even when case is folded.
    pub name: Arc<str>,
    /// Type of its values.
    pub kind: ColumnType,
}

impl Column {
    fn new(name: &str, kind: ColumnType) -> Self {
        Self { name: name.into(), kind }
    }

    /// The dotted path of the field that it holds: its name without the type's suffix.
    pub fn path(&self) -> &str {
        self.name.split_once(':').map_or(&self.name, |(path, _)| path)
    }

    /// The Arrow field that stores it. Every column may be null: a file holds only the columns that it uses.
    pub fn field(&self) -> Field {
        Field::new(&*self.name, self.kind.data_type(), true)
    }
}

/// Envelope fields with a column of their own, by path; other envelope fields go to `envelope:rest`.
/// `kind`, `id` and `time` are not here: they are among [`FIXED`], since the stamp has a say in them.
pub(crate) const ENVELOPE: &[(&str, ColumnType)] = &[
    ("clock.max_error_ns", ColumnType::Int),
    ("clock.source", ColumnType::Str),
    ("clock.synced", ColumnType::Bool),
    ("producer.name", ColumnType::Str),
    ("producer.instance", ColumnType::Str),
    ("producer.seq", ColumnType::Int),
    ("trace.trace_id", ColumnType::Str),
    ("trace.span_id", ColumnType::Str),
    ("model.name", ColumnType::Str),
    ("model.version", ColumnType::Str),
    ("model.digest", ColumnType::Str),
    ("result.class", ColumnType::Str),
    ("result.adverse", ColumnType::Bool),
    ("sampling.probability", ColumnType::Num),
    ("sampling.reason", ColumnType::Str),
    ("sampling.rules", ColumnType::Str),
    ("profile", ColumnType::Strs),
    ("about", ColumnType::Str),
    ("error", ColumnType::Str),
    ("inputs_withheld", ColumnType::Str),
];

/// Columns of the stamp and of the record's keeping. `layout::slot` names their places.
pub(crate) const FIXED: [(&str, ColumnType); 14] = [
    ("index", ColumnType::Int),
    ("id", ColumnType::Str),
    ("kind", ColumnType::Str),
    ("time", ColumnType::Time),
    ("time_ns", ColumnType::Int),
    ("received", ColumnType::Int),
    ("time_source", ColumnType::Str),
    ("id_by", ColumnType::Str),
    ("salt_by", ColumnType::Str),
    ("about_digest", ColumnType::Bytes),
    ("salt", ColumnType::Bytes),
    ("content", ColumnType::Bytes),
    ("erased", ColumnType::Bytes),
    ("envelope:rest", ColumnType::Bytes),
];

/// Section paths that are columns from the start, however few records have them: people look records up by them.
const REGISTERED: &[(&str, ColumnType)] = &[("subject.id", ColumnType::Str), ("subject.case", ColumnType::Str)];

/// The columns of a table: what its Delta schema says, indexed.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    list: Vec<Column>,
    by_name: HashMap<Arc<str>, usize>,
    /// Case-folded path → the path as it is spelled in this table.
    spelled: HashMap<String, Arc<str>>,
}

/// Why the columns of a Delta schema cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ColumnsError {
    /// A type that this version does not know.
    #[error("column {name:?} has the type {found}, which this version does not know; use the version that wrote it")]
    UnknownType {
        /// The column.
        name: String,
        /// Its type in the Delta schema.
        found: String,
    },
    /// The same name twice.
    #[error("column {name:?} stands twice in the table's schema; restore _delta_log from a copy")]
    Twice {
        /// The column.
        name: String,
    },
    /// A column that every table of this format has is missing or has another type.
    #[error("the table's schema has no column {name:?} of type {expected:?}; it is not a table of this format")]
    Missing {
        /// The column.
        name: String,
        /// The type it should have.
        expected: ColumnType,
    },
    /// More columns, or a longer name, than any table of this format has (I12). A name's steps are a tree that is walked
    /// to its depth, so its length bounds the stack.
    #[error("the table's schema has {what} {got}, and the limit is {max}; restore _delta_log from a copy")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// What stands there.
        got: usize,
        /// What may.
        max: usize,
    },
    /// The schema is no JSON of the Delta form.
    #[error("the table's schema cannot be read ({why}); restore _delta_log from a copy")]
    Malformed {
        /// What is wrong.
        why: String,
    },
}

impl Columns {
    /// The columns that every table starts with.
    pub fn fixed() -> Self {
        let mut columns = Self::default();
        for &(name, kind) in FIXED.iter().chain(ENVELOPE) {
            columns.push(Column::new(name, kind));
        }
        for section in Part::SECTIONS {
            columns.push(Column::new(&rest_name(section.name()), ColumnType::Bytes));
        }
        for &(name, kind) in REGISTERED {
            columns.push(Column::new(name, kind));
        }
        columns
    }

    /// Rebuilds the columns from the `schemaString` of a Delta table's metadata.
    pub fn from_delta(schema: &str) -> Result<Self, ColumnsError> {
        #[derive(serde::Deserialize)]
        struct DeltaField {
            name: String,
            r#type: serde_json::Value,
        }
        #[derive(serde::Deserialize)]
        struct DeltaSchema {
            fields: Vec<DeltaField>,
        }
        let schema: DeltaSchema =
            serde_json::from_str(schema).map_err(|e| ColumnsError::Malformed { why: e.to_string() })?;
        let within = |what, got, max| if got > max { Err(ColumnsError::Limit { what, got, max }) } else { Ok(()) };
        within("a number of columns of", schema.fields.len(), COLUMNS_MAX)?;
        let mut columns = Self::default();
        for DeltaField { name, r#type } in schema.fields {
            within("a column's name in bytes of", name.len(), NAME_BYTES_MAX + SUFFIX_BYTES_MAX)?;
            let Some(kind) = ColumnType::of_delta(&r#type) else {
                return Err(ColumnsError::UnknownType { name, found: r#type.to_string() });
            };
            if columns.get(&name).is_some() {
                return Err(ColumnsError::Twice { name });
            }
            columns.push(Column::new(&name, kind));
        }
        for expected in Self::fixed().list {
            if columns.get(&expected.name).is_none_or(|c| c.kind != expected.kind) {
                return Err(ColumnsError::Missing { name: expected.name.to_string(), expected: expected.kind });
            }
        }
        Ok(columns)
    }

    /// The schema as Delta's `schemaString` writes it.
    pub fn to_delta(&self) -> String {
        let fields: Vec<_> = self
            .list
            .iter()
            .map(|c| serde_json::json!({"name": &*c.name, "type": c.kind.delta(), "nullable": true, "metadata": {}}))
            .collect();
        serde_json::json!({"type": "struct", "fields": fields}).to_string()
    }

    /// All columns in the table's order.
    pub fn list(&self) -> &[Column] {
        &self.list
    }

    /// The column of that name.
    pub fn get(&self, name: &str) -> Option<&Column> {
        self.by_name.get(name).map(|&i| &self.list[i])
    }

    /// The column that holds values of type `kind` at `path`, if the table has one.
    pub fn of_path(&self, path: &str, kind: ColumnType) -> Option<&Column> {
        if let Some(bare) = self.get(path).filter(|c| c.kind == kind) {
            return Some(bare);
        }
        self.get(&format!("{path}:{}", kind.suffix()?)).filter(|c| c.kind == kind)
    }

    /// Adds the column that values of type `kind` at `path` get; `None` if no column may hold them: the path's
    /// spelling differs from another one's in case alone, its name is too long, or the table is full.
    pub fn add_path(&mut self, path: &str, kind: ColumnType) -> Option<Column> {
        let suffix = kind.suffix()?;
        let twin = self.spelled.get(&path.to_ascii_lowercase()).is_some_and(|spelled| **spelled != *path);
        if twin || self.list.len() >= COLUMNS_MAX || !path_may_be_column(path) {
            return None;
        }
        let name = match self.get(path) {
            None => path.to_owned(),
            Some(_) => format!("{path}:{suffix}"),
        };
        if self.get(&name).is_some() {
            return None;
        }
        let column = Column::new(&name, kind);
        self.push(column.clone());
        Some(column)
    }

    /// Adds columns that were added to an earlier state of these, unless they are there. An error names a column that
    /// has another type here, or that this table cannot have.
    pub(crate) fn adopt(&mut self, added: &[Column]) -> Result<(), String> {
        for column in added {
            let there = self.of_path(column.path(), column.kind).cloned();
            if there.or_else(|| self.add_path(column.path(), column.kind)).as_ref() != Some(column) {
                return Err(column.name.to_string());
            }
        }
        Ok(())
    }

    fn push(&mut self, column: Column) {
        self.by_name.insert(column.name.clone(), self.list.len());
        self.spelled.entry(column.path().to_ascii_lowercase()).or_insert_with(|| column.path().into());
        self.list.push(column);
    }
}

/// The name of a section's remainder.
pub(crate) fn rest_name(section: &str) -> String {
    format!("{section}:rest")
}

/// Whether a user's key may be one step of a column's path: a dot inside it would make the path ambiguous, and
/// Delta forbids ` ,;{}()\n\t=`.
pub(crate) fn key_may_be_step(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn path_may_be_column(path: &str) -> bool {
    path.len() <= NAME_BYTES_MAX && path.split('.').all(key_may_be_step)
}

/// Fewest records of a file that make a new path a column.
///
/// A column costs some 300 bytes of footer, page index and dictionary in each file that uses it, whatever it
/// holds, and one place under [`COLUMNS_MAX`] for ever; a value in the remainder costs its key again, a few bytes
/// after zstd, and can be neither pruned nor scanned alone. One in twenty is where the two meet for short values;
/// four keeps a stray key in a tiny file from naming a column in the clear for ever (I10).
pub fn dense_rows_min(rows: usize) -> usize {
    rows.div_ceil(20).max(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delta_schema_alone_rebuilds_the_columns() {
        let mut columns = Columns::fixed();
        columns.add_path("inputs.income", ColumnType::Num).unwrap();
        columns.add_path("inputs.income", ColumnType::Str).unwrap();
        columns.add_path("inputs.embedding", ColumnType::Nums).unwrap();
        let again = Columns::from_delta(&columns.to_delta()).unwrap();
        assert_eq!(again.list(), columns.list());
        assert_eq!(again.of_path("inputs.income", ColumnType::Num).unwrap().name.as_ref(), "inputs.income");
        assert_eq!(again.of_path("inputs.income", ColumnType::Str).unwrap().name.as_ref(), "inputs.income:str");
        assert_eq!(again.of_path("inputs.income", ColumnType::Bool), None);
    }

    #[test]
    fn only_plain_unique_paths_become_columns() {
        let mut columns = Columns::fixed();
        assert!(columns.add_path("inputs.Age", ColumnType::Num).is_some());
        for (path, kind) in [
            ("inputs.age", ColumnType::Num),
            ("inputs.age", ColumnType::Str),
            ("inputs.Age", ColumnType::Int),
            ("inputs.a b", ColumnType::Num),
            ("inputs.", ColumnType::Num),
            ("inputs.größe", ColumnType::Num),
            ("inputs.a:b", ColumnType::Num),
        ] {
            assert!(columns.add_path(path, kind).is_none(), "{path} {kind:?}");
        }
        assert!(columns.add_path(&format!("inputs.{}", "x".repeat(NAME_BYTES_MAX)), ColumnType::Num).is_none());
    }

    #[test]
    fn a_full_table_takes_no_more_paths() {
        let mut columns = Columns::fixed();
        let mut added = 0;
        while columns.add_path(&format!("inputs.f{added}"), ColumnType::Num).is_some() {
            added += 1;
        }
        assert_eq!(columns.list().len(), COLUMNS_MAX);
    }

    #[test]
    fn a_foreign_schema_is_named() {
        assert!(matches!(Columns::from_delta("{"), Err(ColumnsError::Malformed { .. })));
        let missing = Columns::from_delta(r#"{"type":"struct","fields":[]}"#);
        assert!(matches!(missing, Err(ColumnsError::Missing { .. })));
        let field = |ty: &str| format!(r#"{{"fields":[{{"name":"index","type":"{ty}"}}]}}"#);
        assert!(matches!(Columns::from_delta(&field("short")), Err(ColumnsError::UnknownType { .. })));
    }

    /// A path of a hundred thousand steps would be a tree of that depth, and walking it the end of the stack.
    #[test]
    fn a_schema_beyond_the_limits_is_refused_and_one_at_them_is_not() {
        let with = |name: &str| {
            let mut columns = Columns::fixed();
            columns.push(Column::new(name, ColumnType::Num));
            Columns::from_delta(&columns.to_delta())
        };
        let longest = format!("inputs.{}:bool", "x".repeat(NAME_BYTES_MAX - 7));
        assert!(with(&longest).is_ok());
        assert!(matches!(with(&format!("{longest}x")), Err(ColumnsError::Limit { .. })));
        assert!(matches!(with(&format!("inputs{}", ".a".repeat(100_000))), Err(ColumnsError::Limit { .. })));
        let mut columns = Columns::fixed();
        while columns.add_path(&format!("inputs.f{}", columns.list().len()), ColumnType::Num).is_some() {}
        assert!(Columns::from_delta(&columns.to_delta()).is_ok());
        columns.push(Column::new("inputs.one_more", ColumnType::Num));
        assert!(matches!(Columns::from_delta(&columns.to_delta()), Err(ColumnsError::Limit { .. })));
    }
}
