//! From what a person types to a column of the view: the one resolver over columns ∪ remainders.
//!
//! How a name is read is [`record::FieldRef`]'s business. What it comes to in this trail is found out here:
//!
//! * A field has the type of the column that bears its bare name, which is the first type that was dense. Values of
//!   other types are null there, and seen as `"inputs.income:str"` (`:num`, `:bool`, `:nums`), or whatever they are
//!   as `"inputs.income:json"`.
//! * A field without a column has the type that most of its values in the remainders have.
//! * A field that has fields inside, and a whole section, is JSON.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow_array::RecordBatch;
use lake::{Column, Columns};
use parking_lot::Mutex;
use record::{FieldRef, Part};

use crate::adapt::rest_name;
use crate::census::{self, Census, Censuses, Deadline};
use crate::error::QueryError;
use crate::face::{Face, Shape, Source, name_of};
use crate::files::Files;
use crate::mask::Policy;
use crate::near;
use crate::notes::Notes;

/// Fields of records that are not settled yet that get a column of the view unasked.
const HOT_FIELDS_MAX: usize = 256;

/// The names of one snapshot.
pub(crate) struct Names<'v> {
    pub lake: &'v lake::Snapshot,
    pub hot: Arc<RecordBatch>,
    pub files: &'v Files,
    pub censuses: &'v Censuses,
    pub policy: &'v Policy,
    pub notes: &'v Notes,
    pub deadline: &'v Deadline,
    /// What remainders hold, by section, once it was asked for.
    pub rests: Mutex<HashMap<Part, Arc<Census>>>,
}

impl Names<'_> {
    fn columns(&self) -> &Columns {
        self.lake.columns()
    }

    /// Columns that hold fields, and no remainders.
    fn fields(&self) -> impl Iterator<Item = &Column> {
        self.columns().list().iter().filter(|column| !column.name.ends_with(":rest"))
    }

    /// The columns that the view has unasked: what tells records apart, the envelope, fields with columns of their own,
    /// fields of hot records, and what is left over.
    pub(crate) fn unasked(&self) -> Result<Vec<Face>, QueryError> {
        let (mut faces, last) = Face::all_fixed();
        let mut sections = Vec::new();
        for column in self.fields() {
            let Ok(field) = FieldRef::parse(column.path()) else { continue };
            let shape = Shape::Typed(column.kind);
            let suffix = (*column.name != *column.path()).then_some(shape);
            let face = self.face(field, shape, suffix);
            match &face.source {
                Source::Field(field, _) if field.part != Part::Envelope => sections.push(face),
                _ if Face::fixed(&face.name).is_none() => faces.push(face),
                _ => {}
            }
        }
        for part in Part::SECTIONS {
            let known: BTreeSet<String> = sections.iter().map(|face| face.name.clone()).collect();
            let hot = self.hot_rest(part)?;
            let fields = hot.fields().filter(|keys| !keys.is_empty()).filter_map(|keys| {
                let field = census::field(part, keys);
                let shape = *hot.shapes(keys)?.first()?;
                field.dotted().filter(|_| shape != Shape::Json).map(|_| self.face(field, shape, None))
            });
            let fields = fields.filter(|face| !known.contains(&face.name));
            sections.extend(fields.take(HOT_FIELDS_MAX));
        }
        sections.sort_by_key(|face| match &face.source {
            Source::Field(field, _) => field.part,
            _ => Part::Envelope,
        });
        faces.append(&mut sections);
        faces.extend(last);
        Ok(faces)
    }

    fn face(&self, field: FieldRef, shape: Shape, suffix: Option<Shape>) -> Face {
        let mask = self.policy.mask_of(&field).cloned();
        Face { name: name_of(&field, suffix), source: Source::Field(field, shape), mask }
    }

    /// The column of the view that `text` names; nothing if it is no name of a field at all.
    pub(crate) fn resolve(&self, text: &str) -> Result<Option<Face>, QueryError> {
        if let Some(face) = Face::fixed(text) {
            return Ok(Some(face));
        }
        let asked = text.rsplit_once(':').and_then(|(base, suffix)| Some((base, Shape::of_suffix(suffix)?)));
        let (base, suffix) = asked.map_or((text, None), |(base, shape)| (base, Some(shape)));
        let Ok(field) = FieldRef::parse(base) else { return Ok(None) };
        let shape = match (field.part, suffix) {
            (Part::Envelope, _) => self.envelope(&field, suffix)?,
            (_, Some(shape)) => {
                self.shapes(&field)?;
                shape
            }
            (_, None) => self.main_shape(&field)?,
        };
        Ok(Some(self.face(field, shape, suffix)))
    }

    fn envelope(&self, field: &FieldRef, suffix: Option<Shape>) -> Result<Shape, QueryError> {
        let path = field.dotted().unwrap_or_default();
        if let Some(column) = self.columns().get(&path) {
            return match suffix {
                None => Ok(Shape::Typed(column.kind)),
                Some(Shape::Json) => Ok(Shape::Json),
                Some(_) => Err(self.unknown(field)),
            };
        }
        let group = |name: &str| name.strip_prefix(&*path).is_some_and(|inside| inside.starts_with('.'));
        if self.fields().any(|column| group(&column.name)) {
            return Ok(Shape::Json);
        }
        Err(self.unknown(field))
    }

    /// The shape that a field has under its bare name.
    fn main_shape(&self, field: &FieldRef) -> Result<Shape, QueryError> {
        let shapes = self.shapes(field)?;
        let Some(main) = shapes.first().copied() else { return Ok(Shape::Json) };
        let others: Vec<String> = shapes[1..]
            .iter()
            .filter(|_| main != Shape::Json)
            .map(|shape| format!("{} (\"{}\")", shape.noun(), name_of(field, Some(*shape))))
            .collect();
        // What a policy hides is not told of either.
        if !others.is_empty() && self.policy.is_open() {
            let noun = main.noun();
            self.notes.add(format!("{field} is {noun} here; it also has values that are {}", others.join(", ")));
        }
        Ok(main)
    }

    /// The shapes that a field's values have, its main one first. An error if nothing has the field.
    fn shapes(&self, field: &FieldRef) -> Result<Vec<Shape>, QueryError> {
        let whole = Ok(vec![Shape::Json]);
        let path = field.dotted();
        let mut shapes: Vec<Shape> = Vec::new();
        if let Some(path) = &path {
            let columns = self.fields().filter(|column| column.path() == path);
            // The bare name comes first, since it is there before any with a suffix.
            shapes.extend(columns.map(|column| Shape::Typed(column.kind)));
            let inside = |name: &str| name.strip_prefix(&**path).is_some_and(|inside| inside.starts_with('.'));
            if shapes.is_empty() && self.fields().any(|column| inside(column.path())) {
                return whole;
            }
        }
        if !shapes.is_empty() {
            return Ok(shapes);
        }
        if field.keys.is_empty() {
            let bare = self.rest(field.part)?.shapes(&[]).unwrap_or_default();
            return if bare.is_empty() { whole } else { Ok(bare) };
        }
        let rest = self.rest(field.part)?;
        match rest.shapes(&field.keys) {
            Some(shapes) => Ok(shapes),
            None if rest.is_cut() => whole,
            None => Err(self.unknown(field)),
        }
    }

    fn unknown(&self, field: &FieldRef) -> QueryError {
        let mut known: BTreeSet<String> = self.fields().map(|column| column.path().to_owned()).collect();
        if field.part != Part::Envelope
            && let Ok(rest) = self.rest(field.part)
        {
            known.extend(rest.fields().map(|keys| census::field(field.part, keys).to_string()));
        }
        let name = field.to_string();
        QueryError::Field { nearest: near::nearest(&name, known.iter().map(String::as_str)), name }
    }

    /// What the remainders of a section hold, in the lake and among hot records.
    fn rest(&self, part: Part) -> Result<Arc<Census>, QueryError> {
        if let Some(census) = self.rests.lock().get(&part) {
            return Ok(Arc::clone(census));
        }
        let mut census = self.censuses.of_lake(self.files, self.lake, part, self.deadline)?;
        census.merge(&self.hot_rest(part)?);
        let census = Arc::new(census);
        self.rests.lock().insert(part, Arc::clone(&census));
        Ok(census)
    }

    fn hot_rest(&self, part: Part) -> Result<Census, QueryError> {
        let mut census = Census::default();
        if let Some(column) = self.hot.column_by_name(&rest_name(part)) {
            census.count(column)?;
        }
        Ok(census)
    }

    /// The columns that decisions of one model have values in.
    pub(crate) fn of_model(&self, model: &str) -> Result<BTreeSet<String>, QueryError> {
        let mut used = BTreeSet::new();
        for manifest in self.lake.files() {
            let (only, may) = models_in(manifest, model);
            if !may {
                continue;
            }
            let file = self.files.get(self.lake, manifest)?;
            if only {
                let schema = file.metadata().file_metadata().schema_descr();
                used.extend(schema.root_schema().get_fields().iter().map(|field| field.name().to_owned()));
            } else {
                used.append(&mut census::columns_of_model(&file, model, self.deadline)?);
            }
        }
        Ok(used)
    }
}

/// Whether a file's records are all of that model, and whether any may be, as the log has it.
fn models_in(manifest: &lake::Manifest, model: &str) -> (bool, bool) {
    let log: serde_json::Value = serde_json::from_str(&manifest.stats).unwrap_or_default();
    let bound = |of: &str| log.get(of)?.get("model.name")?.as_str().map(str::to_owned);
    match (bound("minValues"), bound("maxValues")) {
        (Some(least), Some(greatest)) => {
            let nulls = log.get("nullCount").and_then(|nulls| nulls.get("model.name")?.as_u64());
            let only = least == model && greatest == model && nulls == Some(0);
            (only, *least <= *model && *model <= *greatest)
        }
        // An envelope can be kept as bytes, and its model then stands in no column.
        _ => (false, true),
    }
}
