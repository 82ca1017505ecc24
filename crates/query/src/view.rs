//! A snapshot as one reader may see it, and the questions that can be asked of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use arrow_array::{RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{SchemaProvider as _, TableProvider};
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode as _};
use datafusion::common::{Column as NamedColumn, DFSchema};
use datafusion::datasource::ViewTable;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::execute_stream;
use datafusion::sql::parser::Statement;
use datafusion::sql::resolve::resolve_table_references;
use parking_lot::Mutex;

use crate::adapt::Faces;
use crate::answer::Answer;
use crate::census::Deadline;
use crate::check;
use crate::engine::{Shared, on_large_stack};
use crate::error::QueryError;
use crate::face::{Face, Source};
use crate::files::Readers;
use crate::mask::Policy;
use crate::names::Names;
use crate::near;
use crate::notes::Notes;
use crate::records::{Records, RowFilter};
use crate::session::{self, Catalog};
use crate::statement::{self, Asked};
use crate::tables::{self, TABLES, Table};

/// Columns that only a row filter reads are told apart from the reader's by what stands in front of their names.
const UNMASKED: &str = "policy\u{1}";

/// A snapshot as one reader may see it.
#[derive(Clone)]
pub struct View {
    pub(crate) shared: Arc<Shared>,
    pub(crate) snapshot: trail::Snapshot,
    pub(crate) policy: Arc<Policy>,
    /// Hot records in the lake's columns, once a query asks.
    hot: OnceLock<Arc<RecordBatch>>,
    /// The time that its queries call now, if it is another than that of their coming.
    now_ns: Option<i64>,
}

/// What one query has at hand.
struct Question<'v> {
    view: &'v View,
    names: Names<'v>,
    state: SessionState,
    catalog: Catalog,
    deadline: Deadline,
    now_ns: i64,
}

impl View {
    pub(crate) fn new(shared: Arc<Shared>, snapshot: trail::Snapshot, policy: Policy) -> View {
        View { shared, snapshot, policy: Arc::new(policy), hot: OnceLock::new(), now_ns: None }
    }

    fn hot(&self) -> Result<Arc<RecordBatch>, QueryError> {
        if let Some(hot) = self.hot.get() {
            return Ok(Arc::clone(hot));
        }
        let records = self.snapshot.hot().map(|hot| (hot.index, &hot.stored));
        let hot = lake::to_columns(self.snapshot.lake().columns(), records);
        let hot = Arc::new(hot.map_err(|error| QueryError::Read(error.to_string()))?);
        Ok(Arc::clone(self.hot.get_or_init(|| hot)))
    }

    /// The snapshot.
    pub fn snapshot(&self) -> &trail::Snapshot {
        &self.snapshot
    }

    /// What a query may use. Of an encrypted trail none may spill: what it put on disk would stand there in clear.
    pub fn limits(&self) -> crate::Limits {
        match self.snapshot.lake().encrypts() {
            true => crate::Limits { spill_bytes: 0, ..self.shared.limits },
            false => self.shared.limits,
        }
    }

    /// Answers one statement of SQL: SELECT, EXPLAIN, DESCRIBE or SHOW TABLES.
    pub fn sql(&self, text: &str) -> Result<Answer, QueryError> {
        self.sql_at(text, self.now_ns())
    }

    /// As [`View::sql`], with `now` and spans before it meant at `now_ns`.
    pub(crate) fn sql_at(&self, text: &str, now_ns: i64) -> Result<Answer, QueryError> {
        let limits = self.shared.limits;
        if text.len() > limits.text_bytes {
            return Err(QueryError::Limit { what: "the text of a query", max: format!("{} bytes", limits.text_bytes) });
        }
        let at = self.shared.host.monotonic() + limits.time;
        let deadline = Deadline { host: self.shared.host.clone(), at, limit: limits.time };
        let notes = Arc::new(Notes::default());
        on_large_stack(|| match statement::read(text)? {
            Asked::Tables => self.show_tables(&deadline),
            Asked::Describe(table) => self.describe(&table, &deadline, &notes),
            Asked::Rows(statement) => {
                let question = self.question(&deadline, &notes, now_ns)?;
                self.shared.wait(question.rows(*statement, &notes))
            }
        })
    }

    /// Answers a query of ours, whose rows go by one by one and are as many as there are.
    pub(crate) fn every_row(&self, text: &str, now_ns: Option<i64>) -> Result<Answer, QueryError> {
        let now_ns = now_ns.unwrap_or_else(|| self.now_ns());
        Ok(self.sql_at(text, now_ns)?.with_every_row())
    }

    fn question<'v>(
        &'v self,
        deadline: &'v Deadline,
        notes: &'v Notes,
        now_ns: i64,
    ) -> Result<Question<'v>, QueryError> {
        let names = Names {
            lake: self.snapshot.lake(),
            hot: self.hot()?,
            files: &self.shared.files,
            censuses: &self.shared.censuses,
            policy: &self.policy,
            notes,
            deadline,
            rests: Mutex::new(HashMap::new()),
        };
        let (state, catalog) =
            session::new(&self.shared, &self.limits(), deadline, now_ns).map_err(|error| self.error(error))?;
        Ok(Question { view: self, names, state, catalog, deadline: deadline.clone(), now_ns })
    }

    fn error(&self, error: datafusion::error::DataFusionError) -> QueryError {
        QueryError::of(error, &self.limits())
    }

    fn now_ns(&self) -> i64 {
        self.now_ns.unwrap_or_else(|| self.shared.host.now_ns())
    }

    /// The same view, as if it were asked at another time: `now` and `yesterday` in its queries are of then.
    #[must_use]
    pub fn at(mut self, now_ns: i64) -> View {
        self.now_ns = Some(now_ns);
        self
    }

    /// The column that a name means.
    pub(crate) fn face(&self, name: &str) -> Result<Face, QueryError> {
        let at = self.shared.host.monotonic() + self.shared.limits.time;
        let deadline = Deadline { host: self.shared.host.clone(), at, limit: self.shared.limits.time };
        let notes = Notes::default();
        let question = self.question(&deadline, &notes, self.now_ns())?;
        let unknown = || QueryError::Field { name: name.to_owned(), nearest: None };
        question.names.resolve(name)?.ok_or_else(unknown)
    }

    /// The columns that a predicate names.
    pub(crate) fn named_in(&self, predicate: &str) -> Result<Vec<Face>, QueryError> {
        let at = self.shared.host.monotonic() + self.shared.limits.time;
        let deadline = Deadline { host: self.shared.host.clone(), at, limit: self.shared.limits.time };
        let notes = Notes::default();
        on_large_stack(|| {
            let Asked::Rows(mut statement) = statement::read(&format!("SELECT 1 WHERE {predicate}"))? else {
                return Ok(Vec::new());
            };
            let question = self.question(&deadline, &notes, self.now_ns())?;
            statement::name_columns(&mut statement, |text| question.names.resolve(text))
        })
    }

    /// The same snapshot as who sees everything sees it. For counts that tell nobody what is hidden.
    pub(crate) fn opened(&self) -> View {
        View { policy: Arc::new(Policy::default()), ..self.clone() }
    }

    fn show_tables(&self, deadline: &Deadline) -> Result<Answer, QueryError> {
        let mut rows: Vec<(String, String)> =
            TABLES.iter().map(|table| (table.name.to_owned(), table.about.to_owned())).collect();
        for model in self.models(deadline)? {
            rows.push((format!("models.{}", statement::identifier(&model)), format!("decisions of {model}")));
        }
        texts(&["table", "rows"], rows.into_iter().map(|(table, about)| vec![table, about]).collect())
    }

    /// The models that decided something.
    fn models(&self, deadline: &Deadline) -> Result<BTreeSet<String>, QueryError> {
        let notes = Arc::new(Notes::default());
        let text = "SELECT DISTINCT \"model.name\" FROM decisions WHERE \"model.name\" IS NOT NULL";
        let Asked::Rows(statement) = statement::read(text)? else { return Ok(BTreeSet::new()) };
        let question = self.question(deadline, &notes, self.now_ns())?;
        let mut models = BTreeSet::new();
        for batch in self.shared.wait(question.rows(*statement, &notes))? {
            use arrow_array::cast::AsArray as _;
            models.extend(batch?.column(0).as_string::<i32>().iter().flatten().map(str::to_owned));
        }
        Ok(models)
    }

    fn describe(&self, table: &str, deadline: &Deadline, notes: &Arc<Notes>) -> Result<Answer, QueryError> {
        let Asked::Rows(statement) = statement::read(&format!("SELECT * FROM {table}"))? else {
            return Err(QueryError::Syntax(format!("{table:?} names no table")));
        };
        let question = self.question(deadline, notes, self.now_ns())?;
        let unasked = question.names.unasked()?;
        let about: BTreeMap<&str, String> = unasked.iter().map(|face| (&*face.name, face.describe())).collect();
        let schema = self.shared.wait(question.schema(*statement, notes))?;
        let rows = schema.fields().iter().map(|field| {
            let about = about.get(field.name().as_str()).cloned().unwrap_or_default();
            vec![field.name().clone(), type_name(field.data_type()), about]
        });
        texts(&["column", "type", "holds"], rows.collect())
    }
}

/// A type as SQL calls it.
fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 => "text".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Timestamp(_, _) => "timestamp".to_owned(),
        DataType::List(element) => format!("{}[]", type_name(element.data_type())),
        other => other.to_string(),
    }
}

/// An answer of texts.
fn texts(heads: &[&str], rows: Vec<Vec<String>>) -> Result<Answer, QueryError> {
    let fields: Vec<Field> = heads.iter().map(|head| Field::new(*head, DataType::Utf8, false)).collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let column = |at: usize| -> arrow_array::ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.get(at).map_or("", String::as_str))))
    };
    let columns = (0..heads.len()).map(column).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns);
    Ok(Answer::ready(schema, batch.map_err(|error| QueryError::Plan(error.to_string()))?))
}

impl Question<'_> {
    /// The rows of a statement, as they come.
    async fn rows(mut self, statement: Statement, notes: &Arc<Notes>) -> Result<Answer, QueryError> {
        let plan = self.plan(statement, notes).await?;
        let of = |error| self.view.error(error);
        let physical = self.state.create_physical_plan(&plan).await.map_err(of)?;
        let context = Arc::new(datafusion::execution::TaskContext::from(&self.state));
        let stream = execute_stream(physical, context).map_err(of)?;
        Ok(Answer::of(Arc::clone(&self.view.shared), self.view.limits(), stream, self.deadline, Arc::clone(notes)))
    }

    async fn schema(mut self, statement: Statement, notes: &Arc<Notes>) -> Result<SchemaRef, QueryError> {
        let plan = self.plan(statement, notes).await?;
        Ok(Arc::clone(plan.schema().inner()))
    }

    async fn plan(&mut self, mut statement: Statement, notes: &Arc<Notes>) -> Result<LogicalPlan, QueryError> {
        let asked = statement::name_columns(&mut statement, |text| self.names.resolve(text))?;
        let of = |error| self.view.error(error);
        let (tables, _) = resolve_table_references(&statement, false).map_err(of)?;
        self.register(tables.iter().map(|table| (table.schema(), table.table())), asked, notes).await?;
        let plan = self.state.statement_to_plan(statement).await.map_err(of)?;
        let plan = check::compare_alike(plan, self.now_ns).map_err(of)?;
        check::only_reads(&plan).map_err(of)?;
        Ok(plan)
    }

    /// Makes the tables that a query reads, with the columns it asks for.
    async fn register<'t>(
        &mut self,
        tables: impl Iterator<Item = (Option<&'t str>, &'t str)>,
        asked: Vec<Face>,
        notes: &Arc<Notes>,
    ) -> Result<(), QueryError> {
        let of = |error| self.view.error(error);
        let mut fixed: BTreeSet<&'static str> = BTreeSet::from(["events"]);
        let mut models: BTreeSet<&str> = BTreeSet::new();
        for (schema, name) in tables {
            match (schema, Table::get(name)) {
                (Some("models"), _) => {
                    models.insert(name);
                }
                (None | Some(session::SCHEMA), Some(table)) => {
                    fixed.extend(table.reads);
                    fixed.insert(table.name);
                }
                _ => return Err(unknown_table(schema, name)),
            }
        }
        let mut faces = self.names.unasked()?;
        let of_views = TABLES.iter().filter(|table| fixed.contains(table.name)).flat_map(|table| table.fields);
        for field in of_views {
            faces.extend(self.names.resolve(field)?);
        }
        let named: Vec<String> = asked.iter().map(|face| face.name.clone()).collect();
        faces.extend(asked);
        let mut known = BTreeSet::new();
        faces.retain(|face| known.insert(face.name.clone()));
        let records = self.records(&faces, notes).await?;
        let events: Arc<dyn TableProvider> = Arc::new(records);
        self.catalog.trail.register_table("events".to_owned(), events).map_err(of)?;
        for table in TABLES.iter().filter(|table| fixed.contains(table.name)) {
            if let Some(view) = table.view() {
                self.catalog.trail.register_table(table.name.to_owned(), self.view_of(view).await?).map_err(of)?;
            }
        }
        for model in models {
            let columns = self.model_columns(model, &faces, &named)?;
            let view = self.view_of(&tables::model_view(model, columns.iter().map(String::as_str))).await?;
            self.catalog.models.register_table(model.to_owned(), view).map_err(of)?;
        }
        Ok(())
    }

    async fn view_of(&self, view: &str) -> Result<Arc<dyn TableProvider>, QueryError> {
        let plan = self.state.create_logical_plan(view).await.map_err(|error| self.view.error(error))?;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }

    /// What a model's view shows: what tells records apart, its own fields, and what the query names.
    fn model_columns(&self, model: &str, faces: &[Face], named: &[String]) -> Result<Vec<String>, QueryError> {
        let used = self.names.of_model(model)?;
        let hot = self.view.snapshot.hot().any(|hot| {
            let envelope = hot.stored.parts().and_then(|parts| parts.get(record::Part::Envelope));
            envelope
                .and_then(|bytes| record::Envelope::read(bytes).ok())
                .and_then(|e| e.model)
                .is_some_and(|m| m.name == model)
        });
        if used.is_empty() && !hot {
            return Err(unknown_table(Some("models"), model));
        }
        let hot_columns = self.names.hot.schema();
        let settled = self.view.snapshot.lake().columns();
        let shown = |face: &&Face| match &face.source {
            Source::Field(field, _) if field.part != record::Part::Envelope => {
                used.contains(&face.name)
                    || named.contains(&face.name)
                    || (hot
                        && (hot_columns.column_with_name(&face.name).is_some() || settled.get(&face.name).is_none()))
            }
            _ => true,
        };
        Ok(faces.iter().filter(shown).map(|face| face.name.clone()).collect())
    }

    async fn records(&self, faces: &[Face], notes: &Arc<Notes>) -> Result<Records, QueryError> {
        let lake = self.view.snapshot.lake();
        let over = |faces: Vec<Face>| {
            let policy = Arc::clone(&self.view.policy);
            // What a policy hides is not told of either.
            let notes = if policy.is_open() { Arc::clone(notes) } else { Arc::default() };
            Arc::new(Faces::new(faces, Arc::clone(lake.columns()), policy, notes))
        };
        let schema = schema_of(faces);
        let rows = match &self.view.policy.rows {
            None => None,
            Some(predicate) => {
                let (filter, unmasked) = self.row_filter(predicate)?;
                Some((filter, over(unmasked.into_iter().chain(faces.iter().cloned()).collect())))
            }
        };
        let readers = Readers { files: Arc::clone(&self.view.shared.files), lake: lake.clone() };
        Ok(Records { schema, faces: over(faces.to_vec()), rows, readers, hot: Arc::clone(&self.names.hot) })
    }

    /// A policy's predicate over columns of its own, which are those of the view without masks.
    fn row_filter(&self, predicate: &str) -> Result<(RowFilter, Vec<Face>), QueryError> {
        let predicate = statement::predicate(predicate)?;
        let Asked::Rows(mut statement) = statement::read(&format!("SELECT 1 WHERE {predicate}"))? else {
            return Err(QueryError::Policy("its rows are no predicate".to_owned()));
        };
        let mut faces: Vec<Face> = Vec::new();
        statement::name_columns(&mut statement, |text| {
            let Some(face) = self.names.resolve(text)? else { return Ok(None) };
            if !faces.iter().any(|known| known.name == face.name) {
                faces.push(Face { mask: None, ..face.clone() });
            }
            Ok(Some(face))
        })?;
        let of = |error| self.view.error(error);
        let text = statement.to_string();
        let predicate = text.strip_prefix("SELECT 1 WHERE ").unwrap_or(&text);
        let schema = DFSchema::try_from(schema_of(&faces)).map_err(of)?;
        let expr = self.state.create_logical_expr(predicate, &schema).map_err(of)?;
        let expr = check::compare_alike_in(expr, &schema, self.now_ns).map_err(of)?;
        let hidden = |name: &str| format!("{UNMASKED}{name}");
        for face in &mut faces {
            face.name = hidden(&face.name);
        }
        let renamed = expr.transform(|expr| match expr {
            Expr::Column(column) => {
                Ok(Transformed::yes(Expr::Column(NamedColumn::new_unqualified(hidden(&column.name)))))
            }
            other => Ok(Transformed::no(other)),
        });
        let schema = schema_of(&faces);
        let named = DFSchema::try_from(Arc::clone(&schema)).map_err(of)?;
        let predicate = self.state.create_physical_expr(renamed.data().map_err(of)?, &named).map_err(of)?;
        Ok((RowFilter { predicate, schema }, faces))
    }
}

fn schema_of(faces: &[Face]) -> SchemaRef {
    Arc::new(Schema::new(faces.iter().map(Face::field).collect::<Vec<_>>()))
}

fn unknown_table(schema: Option<&str>, name: &str) -> QueryError {
    let known = TABLES.iter().map(|table| table.name);
    let all: Vec<&str> = known.clone().collect();
    let shown =
        schema.map_or_else(|| format!("{name:?}"), |schema| format!("{schema}.{}", statement::identifier(name)));
    let nearest = near::nearest(name, known);
    QueryError::Table { name: shown, nearest, known: format!("{} and models.\"<name>\"", all.join(", ")) }
}
