//! Rows made of records alone: the same columns as a view's, computed from canonical parts, where there is no lake.
//!
//! Whoever exports rows and whoever checks them, years later and without the trail, make them by these same rules; and
//! a test holds them against what a search shows.

use std::sync::Arc;

use arrow_array::builder::{Int64Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray, TimestampNanosecondArray};
use arrow_schema::{Schema, SchemaRef};
use lake::ColumnType;
use record::cbor::Reader;
use record::{Disclosed, Envelope, FieldRef, Part, Value};

use crate::error::QueryError;
use crate::face::{Face, Shape, Source};
use crate::values::Out;
use crate::view::View;

/// A column of rows that are made of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordColumn {
    face: Face,
}

/// Columns of the stamp, by the names that a query has for them.
const STAMP: &str = "stamp";

impl RecordColumn {
    /// The column with a name of its own, of a field by its path, and as what type its values are shown: `num`, `int`,
    /// `bool`, `str`, `nums`, `strs`, `json`, or `stamp` for what the trail added.
    pub fn new(name: &str, field: &str, kind: &str) -> Option<RecordColumn> {
        let source = if kind == STAMP {
            let source = Face::fixed(field)?.source;
            (!matches!(source, Source::Rest | Source::Erased)).then_some(source)?
        } else {
            Source::Field(FieldRef::parse(field).ok()?, shape(kind)?)
        };
        Some(RecordColumn { face: Face { name: name.to_owned(), source, mask: None } })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.face.name
    }

    /// The field's path.
    pub fn field(&self) -> String {
        match &self.face.source {
            Source::Stamp(name) => (*name).to_owned(),
            Source::Received => "received".to_owned(),
            Source::Field(field, _) => field.to_string(),
            // None is ever made of these.
            Source::Rest | Source::Erased => String::new(),
        }
    }

    /// As what type its values are shown.
    pub fn kind(&self) -> &'static str {
        match &self.face.source {
            Source::Field(_, Shape::Json) => "json",
            Source::Field(_, Shape::Typed(kind)) => match kind {
                ColumnType::Num => "num",
                ColumnType::Int => "int",
                ColumnType::Bool => "bool",
                ColumnType::Nums => "nums",
                ColumnType::Strs => "strs",
                ColumnType::Str | ColumnType::Bytes | ColumnType::Time => "str",
            },
            _ => STAMP,
        }
    }

    /// What it holds, in a few words.
    pub fn holds(&self) -> String {
        self.face.describe()
    }

    /// The part that its values stand in. The rest of the stamp is in none.
    pub fn part(&self) -> Option<Part> {
        match &self.face.source {
            Source::Stamp("time" | "time_ns") => Some(Part::Envelope),
            Source::Field(field, _) => Some(field.part),
            _ => None,
        }
    }

    /// The columns of rows, as Arrow and Parquet have them.
    pub fn schema(columns: &[RecordColumn]) -> SchemaRef {
        Arc::new(Schema::new(columns.iter().map(|column| column.face.field()).collect::<Vec<_>>()))
    }

    /// The rows of some records.
    pub fn rows(columns: &[RecordColumn], records: &[Disclosed]) -> Result<RecordBatch, QueryError> {
        let arrays = columns.iter().map(|column| column.values(records)).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(records.len()));
        RecordBatch::try_new_with_options(RecordColumn::schema(columns), arrays, &options).map_err(unreadable)
    }

    fn values(&self, records: &[Disclosed]) -> Result<ArrayRef, QueryError> {
        let ints = |value: &dyn Fn(&Disclosed) -> Option<i64>| {
            let mut out = Int64Builder::new();
            records.iter().for_each(|record| out.append_option(value(record)));
            out.finish()
        };
        let texts = |value: &dyn Fn(&Disclosed) -> Option<String>| -> ArrayRef {
            let mut out = StringBuilder::new();
            records.iter().for_each(|record| out.append_option(value(record)));
            Arc::new(out.finish())
        };
        let by_server = |set: bool| set.then(|| "server".to_owned());
        Ok(match &self.face.source {
            Source::Stamp("index") => Arc::new(ints(&|record| i64::try_from(record.index).ok())),
            Source::Stamp("id") => texts(&|record| Some(record.stamp.id.hyphenated().to_string())),
            Source::Stamp("kind") => texts(&|record| Some(record.stamp.kind.name().to_owned())),
            Source::Stamp("time_source") => texts(&|record| by_server(record.stamp.time_by_server)),
            Source::Stamp("id_by") => texts(&|record| by_server(record.stamp.id_by_server)),
            Source::Stamp("time_ns") => Arc::new(ints(&time_ns)),
            Source::Stamp(_) => {
                let times = ints(&|record| time_ns(record).map(|ns| ns.div_euclid(1_000)));
                Arc::new(times.reinterpret_cast::<arrow_array::types::TimestampMicrosecondType>().with_timezone("UTC"))
                    as Arc<TimestampMicrosecondArray>
            }
            Source::Received => {
                let times = ints(&|record| Some(record.stamp.received));
                Arc::new(times.reinterpret_cast::<arrow_array::types::TimestampNanosecondType>().with_timezone("UTC"))
                    as Arc<TimestampNanosecondArray>
            }
            Source::Field(field, Shape::Json) => json(field, records)?,
            Source::Field(field, Shape::Typed(kind)) => typed(field, *kind, records)?,
            Source::Rest | Source::Erased => arrow_array::new_null_array(&self.face.data_type(), records.len()),
        })
    }
}

fn shape(kind: &str) -> Option<Shape> {
    Some(match kind {
        "json" => Shape::Json,
        "num" => Shape::Typed(ColumnType::Num),
        "int" => Shape::Typed(ColumnType::Int),
        "bool" => Shape::Typed(ColumnType::Bool),
        "str" => Shape::Typed(ColumnType::Str),
        "nums" => Shape::Typed(ColumnType::Nums),
        "strs" => Shape::Typed(ColumnType::Strs),
        _ => return None,
    })
}

/// When it happened: what the sender said, or when it came in if the sender said nothing.
fn time_ns(record: &Disclosed) -> Option<i64> {
    if record.stamp.time_by_server {
        return Some(record.stamp.received);
    }
    let envelope = record.parts()?.get(Part::Envelope)?;
    Envelope::read(envelope).ok()?.time_ns
}

fn unreadable(error: impl std::fmt::Display) -> QueryError {
    QueryError::Read(format!("a record cannot be read: {error}"))
}

fn find<'r>(field: &FieldRef, record: &'r Disclosed) -> Result<Option<&'r [u8]>, QueryError> {
    record.parts().map_or(Ok(None), |parts| field.find(parts)).map_err(unreadable)
}

fn typed(field: &FieldRef, kind: ColumnType, records: &[Disclosed]) -> Result<ArrayRef, QueryError> {
    let mut out = Out::new(kind).ok_or_else(|| unreadable("a type that no field has"))?;
    for record in records {
        let value = find(field, record)?.map(Value::from_canonical).transpose().map_err(unreadable)?;
        if !value.is_some_and(|value| out.value(&value)) {
            out.null();
        }
    }
    Ok(out.finish())
}

fn json(field: &FieldRef, records: &[Disclosed]) -> Result<ArrayRef, QueryError> {
    let mut out = StringBuilder::new();
    for record in records {
        let Some(canonical) = find(field, record)? else {
            out.append_null();
            continue;
        };
        let mut text = String::new();
        record::write_json_value(&mut text, &mut Reader::new(canonical)).map_err(unreadable)?;
        out.append_value(text);
    }
    Ok(Arc::new(out.finish()))
}

impl View {
    /// The columns that a search would show under these names, as far as they are made of records alone.
    ///
    /// # Errors
    /// [`QueryError::Hidden`] where something of their parts is masked: they show records as they are.
    pub fn record_columns(&self, names: &[String]) -> Result<Vec<RecordColumn>, QueryError> {
        let mut columns: Vec<RecordColumn> = Vec::with_capacity(names.len());
        for asked in names {
            let face = self.face(asked)?;
            if matches!(face.source, Source::Rest | Source::Erased) {
                let what = format!("the column {asked} is of the trail's keeping, and no record proves it");
                return Err(QueryError::Plan(what));
            }
            // As in a search, a shape is asked for and not shown.
            let name = asked.rsplit_once(':').map_or(asked.as_str(), |(name, _)| name);
            if columns.iter().any(|known| known.name() == name) {
                return Err(QueryError::Plan(format!("the column {name} is asked for twice")));
            }
            columns.push(RecordColumn { face: Face { name: name.to_owned(), ..face } });
        }
        let parts: Vec<Part> = columns.iter().filter_map(RecordColumn::part).collect();
        self.shows_parts(&parts)?;
        Ok(columns)
    }
}
