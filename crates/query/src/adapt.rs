//! From the view's columns to a file's: what a predicate or a projection over the view is over the file at hand.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow_schema::{DataType, SchemaRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode as _};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::ScalarUDF;
use datafusion::physical_expr::expressions::{CastExpr, Column, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_expr_adapter::{PhysicalExprAdapter, PhysicalExprAdapterFactory};
use lake::{ColumnType, Columns};
use record::{FieldRef, Part};

use crate::face::{Face, Shape, Source};
use crate::mask::{Mask, Policy};
use crate::notes::Notes;
use crate::values::{ValueOf, Work};

type Expr = Arc<dyn PhysicalExpr>;

/// The view's columns by name, with what is needed to say what they are over some file.
#[derive(Debug)]
pub(crate) struct Faces {
    by_name: HashMap<String, Face>,
    columns: Arc<Columns>,
    policy: Arc<Policy>,
    notes: Arc<Notes>,
    config: Arc<ConfigOptions>,
}

impl Faces {
    pub(crate) fn new(
        faces: impl IntoIterator<Item = Face>,
        columns: Arc<Columns>,
        policy: Arc<Policy>,
        notes: Arc<Notes>,
    ) -> Self {
        let by_name = faces.into_iter().map(|face| (face.name.clone(), face)).collect();
        Self { by_name, columns, policy, notes, config: Arc::new(ConfigOptions::default()) }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Face> {
        self.by_name.get(name)
    }

    /// What the column `name` of the view is over columns of `schema`.
    ///
    /// `split` are the columns of a file that do not have all of their field, if the file says which.
    pub(crate) fn over(&self, name: &str, schema: &SchemaRef, split: Option<&BTreeSet<String>>) -> Result<Expr> {
        let Some(face) = self.by_name.get(name) else { return exec_err!("the view has no column {name:?}") };
        let bare = Face { mask: None, ..face.clone() };
        let whole = match &face.source {
            Source::Stamp(column) => self.column(column, &bare.data_type(), schema)?,
            Source::Received => self.received(&bare.data_type(), schema)?,
            Source::Field(field, Shape::Typed(kind)) => self.field(field, *kind, schema, split)?,
            // What is masked whole needs no masks inside.
            Source::Field(field, Shape::Json) if face.mask.is_some() => self.json(field, Vec::new(), schema)?,
            Source::Field(field, Shape::Json) => self.json(field, self.policy.masks_within(field), schema)?,
            Source::Rest => self.rest(schema)?,
            Source::Erased => self.erased(&bare.data_type(), schema)?,
        };
        match &face.mask {
            None => Ok(whole),
            Some(mask) => Ok(self.call(Work::Masked(mask.clone()), vec![whole], face.data_type())),
        }
    }

    fn call(&self, work: Work, args: Vec<Expr>, returns: DataType) -> Expr {
        let function = ScalarUDF::from(ValueOf::new(work, returns.clone()));
        let name = function.name().to_owned();
        let field = Arc::new(arrow_schema::Field::new(&name, returns, true));
        Arc::new(ScalarFunctionExpr::new(&name, Arc::new(function), args, field, Arc::clone(&self.config)))
    }

    /// A column of the file, or null. One of another type than the table's is no column of ours.
    fn column(&self, name: &str, data_type: &DataType, schema: &SchemaRef) -> Result<Expr> {
        match column_in(name, schema) {
            None => null(data_type),
            Some((_, found)) if found != data_type => {
                exec_err!("column {name:?} is of type {found} in a file of the lake; verify the trail")
            }
            Some((at, _)) => Ok(Arc::new(Column::new(name, at))),
        }
    }

    fn received(&self, shown: &DataType, schema: &SchemaRef) -> Result<Expr> {
        if column_in("received", schema).is_none() {
            return null(shown);
        }
        let column = self.column("received", &DataType::Int64, schema)?;
        Ok(Arc::new(CastExpr::new(column, shown.clone(), None)))
    }

    /// A field's values of one type: those of its column, where the file says that it has them all, or else with what the
    /// remainder has.
    fn field(
        &self,
        field: &FieldRef,
        kind: ColumnType,
        schema: &SchemaRef,
        split: Option<&BTreeSet<String>>,
    ) -> Result<Expr> {
        let named = field.dotted().and_then(|path| self.columns.of_path(&path, kind));
        let column = named.filter(|column| column_in(&column.name, schema).is_some());
        let rest = rest_name(field.part);
        let is_whole = column.zip(split).is_some_and(|(column, split)| !split.contains(&*column.name));
        if column_in(&rest, schema).is_none() || is_whole {
            return match column {
                None => null(&kind.data_type()),
                Some(column) => self.column(&column.name, &kind.data_type(), schema),
            };
        }
        let mut args = vec![self.column(&rest, &DataType::Binary, schema)?];
        if let Some(column) = column {
            args.push(self.column(&column.name, &kind.data_type(), schema)?);
        }
        let work = Work::Field { field: field.clone(), kind, notes: Arc::clone(&self.notes) };
        Ok(self.call(work, args, kind.data_type()))
    }

    /// All columns of the file that may hold some of the field.
    fn json(&self, field: &FieldRef, masks: Vec<(FieldRef, Mask)>, schema: &SchemaRef) -> Result<Expr> {
        let path = field.dotted();
        let rest = rest_name(field.part);
        let mut names = Vec::new();
        let mut args = Vec::new();
        for (at, column) in schema.fields().iter().enumerate() {
            let name = column.name();
            let holds = || {
                let column = self.columns.get(name)?;
                let inside = column.path().strip_prefix(path.as_deref()?)?;
                Some(inside.is_empty() || inside.starts_with('.'))
            };
            if *name == rest || (!name.ends_with(":rest") && holds().unwrap_or(false)) {
                names.push(name.clone());
                args.push(Arc::new(Column::new(name, at)) as Expr);
            }
        }
        if args.is_empty() {
            return null(&DataType::Utf8);
        }
        let work = Work::Json { field: field.clone(), columns: Arc::clone(&self.columns), names, masks };
        Ok(self.call(work, args, DataType::Utf8))
    }

    fn rest(&self, schema: &SchemaRef) -> Result<Expr> {
        let here = |part: &Part| column_in(&rest_name(*part), schema).is_some();
        let parts: Vec<Part> = Part::ALL.into_iter().filter(here).collect();
        if parts.is_empty() {
            return null(&DataType::Utf8);
        }
        let columns = parts.iter().map(|part| self.column(&rest_name(*part), &DataType::Binary, schema));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let masks = self.policy.masks.clone();
        Ok(self.call(Work::Rest { parts, masks }, columns, DataType::Utf8))
    }

    fn erased(&self, shown: &DataType, schema: &SchemaRef) -> Result<Expr> {
        let here = |name: &&str| column_in(name, schema).is_some();
        let names: Vec<&str> = ["content", "erased"].into_iter().filter(here).collect();
        if names.is_empty() {
            return null(shown);
        }
        let columns = names.iter().map(|name| self.column(name, &DataType::Binary, schema));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        Ok(self.call(Work::Erased { content: names[0] == "content" }, columns, shown.clone()))
    }
}

fn column_in<'s>(name: &str, schema: &'s SchemaRef) -> Option<(usize, &'s DataType)> {
    schema.column_with_name(name).map(|(at, field)| (at, field.data_type()))
}

fn null(data_type: &DataType) -> Result<Expr> {
    Ok(Arc::new(Literal::new(ScalarValue::try_from(data_type)?)))
}

/// The column of a part's remainder.
pub(crate) fn rest_name(part: Part) -> String {
    format!("{}:rest", part.name())
}

/// Makes an adapter for each file.
#[derive(Clone, Debug)]
pub(crate) struct Adapt(pub Arc<Faces>);

#[derive(Debug)]
struct ToFile {
    faces: Arc<Faces>,
    file: SchemaRef,
    /// As the file's footer says.
    split: Option<BTreeSet<String>>,
}

impl PhysicalExprAdapterFactory for Adapt {
    fn create(&self, _: SchemaRef, file: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        // Read once a file: a query may name hundreds of its columns.
        let split = file.metadata().get(lake::SPLIT_ENTRY).and_then(|entry| lake::read_split(entry));
        Ok(Arc::new(ToFile { faces: Arc::clone(&self.0), file, split }))
    }
}

impl PhysicalExprAdapter for ToFile {
    fn rewrite(&self, expr: Expr) -> Result<Expr> {
        // Downwards, and not into what was put in: a file's columns can have the same names as the view's.
        expr.transform_down(|expr| match expr.downcast_ref::<Column>() {
            None => Ok(Transformed::no(expr)),
            Some(column) => {
                let over = self.faces.over(column.name(), &self.file, self.split.as_ref())?;
                Ok(Transformed::new(over, true, datafusion::common::tree_node::TreeNodeRecursion::Jump))
            }
        })
        .data()
    }
}
