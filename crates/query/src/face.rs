//! One column of the view: what a field looks like to a query, and what of a file's columns it is made of.
//!
//! A field is a column where it was dense, a remainder where it was not, and both in one file where some records'
//! values fit the column and others do not. The value that a query sees is column ∪ remainder, row by row. Which of
//! the two a file needs is decided for each file when it is opened: a file without remainder gives its column as it
//! is, so that statistics, page index and Bloom filters work on it.

use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef as ArrowField, TimeUnit};
use lake::ColumnType;
use record::{FieldRef, Part};

use crate::mask::Mask;

/// As what a field's values are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Shape {
    /// Values of that type; all others are null.
    Typed(ColumnType),
    /// Whatever there is, as JSON text.
    Json,
}

impl Shape {
    /// Shapes that a section's field can have, those that are guessed first in front.
    pub(crate) const ALL: [Shape; 5] = [
        Shape::Typed(ColumnType::Num),
        Shape::Typed(ColumnType::Str),
        Shape::Typed(ColumnType::Bool),
        Shape::Typed(ColumnType::Nums),
        Shape::Json,
    ];

    /// What a person appends to a field's name to ask for this shape.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Shape::Typed(ColumnType::Num | ColumnType::Int) => "num",
            Shape::Typed(ColumnType::Bool) => "bool",
            Shape::Typed(ColumnType::Nums) => "nums",
            Shape::Typed(_) => "str",
            Shape::Json => "json",
        }
    }

    pub(crate) fn of_suffix(suffix: &str) -> Option<Shape> {
        Shape::ALL.into_iter().find(|shape| shape.suffix() == suffix)
    }

    pub(crate) fn data_type(self) -> DataType {
        match self {
            Shape::Typed(kind) => kind.data_type(),
            Shape::Json => DataType::Utf8,
        }
    }

    /// What a person calls values of this shape.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Shape::Typed(ColumnType::Num) => "numbers",
            Shape::Typed(ColumnType::Int) => "whole numbers",
            Shape::Typed(ColumnType::Bool) => "true or false",
            Shape::Typed(ColumnType::Nums) => "lists of numbers",
            Shape::Typed(ColumnType::Strs) => "lists of texts",
            Shape::Typed(_) => "texts",
            Shape::Json => "anything",
        }
    }
}

/// What a column of the view is made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// A column of the stamp as it stands.
    Stamp(&'static str),
    /// `received`, which is stored as an integer.
    Received,
    /// A field's values of one shape.
    Field(FieldRef, Shape),
    /// All remainders as one JSON object.
    Rest,
    /// Which parts were erased.
    Erased,
}

/// A column of the view.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Face {
    /// As a query names it.
    pub name: String,
    /// What it is made of.
    pub source: Source,
    /// The mask that it is under.
    pub mask: Option<Mask>,
}

/// Columns of the stamp that a query sees as they stand.
const STAMP: [&str; 7] = ["index", "id", "kind", "time", "time_ns", "time_source", "id_by"];

impl Face {
    /// The column of the stamp, or of the record's keeping, of that name.
    pub(crate) fn fixed(name: &str) -> Option<Face> {
        let stamp = || STAMP.into_iter().find(|column| *column == name).map(Source::Stamp);
        let source = match name {
            "received" => Source::Received,
            "rest" => Source::Rest,
            "erased" => Source::Erased,
            _ => stamp()?,
        };
        Some(Face { name: name.to_owned(), source, mask: None })
    }

    /// Every such column, in the order of the view: what tells records apart comes first, what is left over last.
    pub(crate) fn all_fixed() -> (Vec<Face>, Vec<Face>) {
        let faces = |names: &[&str]| names.iter().filter_map(|name| Face::fixed(name)).collect();
        (
            faces(&["index", "id", "kind", "time", "time_ns", "received", "time_source", "id_by"]),
            faces(&["rest", "erased"]),
        )
    }

    pub(crate) fn data_type(&self) -> DataType {
        if matches!(self.mask, Some(Mask::Hash { .. } | Mask::LastFour | Mask::Bucket { .. })) {
            return DataType::Utf8;
        }
        match &self.source {
            Source::Stamp("index" | "time_ns") => DataType::Int64,
            Source::Stamp("time") => ColumnType::Time.data_type(),
            Source::Stamp(_) | Source::Rest => DataType::Utf8,
            Source::Received => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
            Source::Field(_, shape) => shape.data_type(),
            Source::Erased => DataType::List(Arc::new(Field::new("element", DataType::Utf8, false))),
        }
    }

    pub(crate) fn field(&self) -> ArrowField {
        let field = Field::new(&self.name, self.data_type(), true);
        let json = matches!(self.source, Source::Field(_, Shape::Json) | Source::Rest) && self.mask.is_none();
        Arc::new(if json { is_json(field) } else { field })
    }

    /// Whether a file's reader may evaluate predicates over it while it decodes. It cannot where lists are read, which
    /// JSON may be made of, and it would drop the predicate in silence.
    pub(crate) fn filters_in_reader(&self) -> bool {
        match &self.source {
            Source::Stamp(_) | Source::Received => true,
            Source::Field(_, Shape::Typed(kind)) => !matches!(kind, ColumnType::Nums | ColumnType::Strs),
            Source::Field(_, Shape::Json) | Source::Rest | Source::Erased => false,
        }
    }

    /// What it holds, in a few words.
    pub(crate) fn describe(&self) -> String {
        let what = match &self.source {
            Source::Stamp("index") => "place in the trail, from 0".to_owned(),
            Source::Stamp("id") => "the record's id, a UUIDv7".to_owned(),
            Source::Stamp("kind") => "what kind of event".to_owned(),
            Source::Stamp("time") => "when it happened, UTC, to the microsecond".to_owned(),
            Source::Stamp("time_ns") => "when it happened, nanoseconds since 1970".to_owned(),
            Source::Stamp("time_source") => "'server' if the sender gave no time".to_owned(),
            Source::Stamp(_) => "'server' if the sender gave no id".to_owned(),
            Source::Received => "when the trail took it".to_owned(),
            Source::Field(_, Shape::Json) => "whatever it is, as JSON".to_owned(),
            Source::Field(field, shape) if field.part == Part::Envelope => shape.noun().to_owned(),
            Source::Field(_, shape) => format!("{}; null where it is none of them", shape.noun()),
            Source::Rest => "as JSON, what stands in no column of its own in the lake".to_owned(),
            Source::Erased => "parts that were erased; 'record' if all of it was".to_owned(),
        };
        match &self.mask {
            None => what,
            Some(Mask::Drop) => format!("{what}; not shown to you"),
            Some(Mask::Hash { .. }) => format!("{what}; shown to you as a keyed hash"),
            Some(Mask::LastFour) => format!("{what}; shown to you by its last four characters"),
            Some(Mask::Bucket { .. }) => format!("{what}; shown to you by the bucket that it falls in"),
        }
    }
}

/// The key of a field's metadata that says that its texts are JSON.
const JSON: &str = "onrecord.json";

/// A field of texts that are JSON.
pub(crate) fn is_json(field: Field) -> Field {
    field.with_metadata([(JSON.to_owned(), "true".to_owned())].into())
}

/// Whether a column of an answer holds JSON texts, so that whoever writes JSON need not wrap it in quotes.
pub fn holds_json(field: &Field) -> bool {
    *field.data_type() == DataType::Utf8 && field.metadata().contains_key(JSON)
}

/// The name of a field's column in the view: as a person writes the field, with a suffix if one is asked for.
pub(crate) fn name_of(field: &FieldRef, suffix: Option<Shape>) -> String {
    suffix.map_or_else(|| field.to_string(), |shape| format!("{field}:{}", shape.suffix()))
}
