//! What is wrong with a record, and where.

use std::fmt;

use crate::kind::Kind;

/// One step of a path into a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// A key of a map.
    Key(String),
    /// A position in an array, from 0.
    Index(usize),
}

/// Where in a record something is: `inputs.income`, `inputs["odd key"][3]`. Empty for the record itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path(pub Vec<Segment>);

impl Path {
    /// A path of one key.
    pub fn key(key: impl Into<String>) -> Self {
        Path(vec![Segment::Key(key.into())])
    }

    /// This path with one more key.
    pub fn child(mut self, key: impl Into<String>) -> Self {
        self.0.push(Segment::Key(key.into()));
        self
    }
}

/// Whether a key can stand in a dotted path as it is.
pub(crate) fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("record");
        }
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if is_plain(key) && position == 0 => f.write_str(key)?,
                Segment::Key(key) if is_plain(key) => write!(f, ".{key}")?,
                Segment::Key(key) => write!(f, "[{}]", serde_json::Value::from(key.as_str()))?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Why a record was refused: the path of the field at fault and the fault.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{path}: {fault}")]
pub struct RecordError {
    /// Where.
    pub path: Path,
    /// What.
    pub fault: Fault,
}

impl RecordError {
    pub(crate) fn new(path: Path, fault: Fault) -> Box<Self> {
        Box::new(Self { path, fault })
    }

    pub(crate) fn at(key: &str, fault: Fault) -> Box<Self> {
        Self::new(Path::key(key), fault)
    }
}

/// What can be wrong with a field or a record.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The text is not JSON, or the bytes are not CBOR.
    #[error("{0}")]
    Syntax(String),
    /// The record is not a map of fields.
    #[error("a record is an object of named fields")]
    NotAnObject,
    /// A top-level field that no record has.
    #[error("no record has this field{}", hint(nearest))]
    UnknownField {
        /// The known field it looks most like.
        nearest: Option<&'static str>,
    },
    /// A map holds a key twice.
    #[error("this key is there twice")]
    DuplicateKey,
    /// A key that begins with `$` and is not one of the known forms.
    #[error("keys beginning with \"$\" are reserved: write \"$${}\" for a key of yours", .0.strip_prefix('$').unwrap_or(.0))]
    ReservedKey(String),
    /// A `$f64`, `$bytes` or `$blob` form that is not well formed.
    #[error("not a well-formed {form}: {expected}")]
    BadForm {
        /// The form.
        form: &'static str,
        /// What it looks like when it is right.
        expected: &'static str,
    },
    /// An integer that neither `i64` nor `u64` holds.
    #[error("the integer {0} does not fit in 64 bits: send it as text, or as a float (1.0e30)")]
    IntegerRange(String),
    /// A field has the wrong type.
    #[error("expected {expected}, got {got}")]
    Type {
        /// What the field takes.
        expected: &'static str,
        /// What was there.
        got: &'static str,
    },
    /// A value of the right type that is not acceptable.
    #[error("{got:?} is not {expected}")]
    Value {
        /// What the field takes.
        expected: &'static str,
        /// What was there.
        got: String,
    },
    /// A kind that no record has.
    #[error("{got:?} is no kind of record{} (the kinds are {})", hint(nearest), kinds())]
    UnknownKind {
        /// What was there.
        got: String,
        /// The kind it looks most like.
        nearest: Option<&'static str>,
    },
    /// A limit was passed.
    #[error("{what} is {got}, over the limit of {max}")]
    Limit {
        /// What was measured, with its unit.
        what: &'static str,
        /// The measure.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// A field that this kind of record must hold.
    #[error("a record of kind {kind:?} must hold {need}")]
    Missing {
        /// The kind.
        kind: &'static str,
        /// What it must hold.
        need: &'static str,
    },
    /// A section that this kind of record may not hold.
    #[error("a record of kind {kind:?} may not hold this section")]
    SectionNotAllowed {
        /// The kind.
        kind: &'static str,
    },
}

fn kinds() -> String {
    Kind::all().map(Kind::name).collect::<Vec<_>>().join(", ")
}

fn hint(nearest: &Option<&'static str>) -> String {
    nearest.map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
}

/// The known name that is most like `name`, if one is like it at all.
pub(crate) fn nearest(name: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    known
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
