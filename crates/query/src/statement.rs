//! A query's text: read, held to the few statements that only read, and its names looked for.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::error::DataFusionError;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Ident, ObjectName, Query, Select, SelectItem, SetExpr, Statement as Sql, Subscript, TableFactor,
    Value, Visit, VisitMut, Visitor, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use record::{FieldRef, Part};

use crate::engine::on_large_stack;
use crate::error::QueryError;
use crate::face::Face;
use crate::limits::Limits;
use crate::parts::Parts;

/// Nesting of a query's text, in brackets and queries.
pub(crate) const DEPTH_MAX: usize = 50;

/// Nesting of an expression, whose every `OR` is a level.
const EXPRESSION_DEPTH_MAX: usize = 1_000;

/// What is asked for.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Rows, or how they would be come by.
    Rows(Box<Statement>),
    /// The columns of a table.
    Describe(String),
    /// The tables.
    Tables,
}

/// Reads one statement.
pub(crate) fn read(text: &str) -> Result<Asked, QueryError> {
    let mut parser = DFParserBuilder::new(text)
        .with_dialect(&GenericDialect)
        .with_recursion_limit(DEPTH_MAX)
        .build()
        .map_err(syntax)?;
    let mut statements = parser.parse_statements().map_err(syntax)?;
    let statement = match (statements.pop_front(), statements.is_empty()) {
        (None, _) => return Err(QueryError::Syntax("it is empty".to_owned())),
        (Some(_), false) => return Err(QueryError::Refused("a second statement".to_owned())),
        (Some(statement), true) => statement,
    };
    let asked = match statement {
        Statement::Statement(sql) => match *sql {
            Sql::Query(_) => Asked::Rows(Box::new(Statement::Statement(sql))),
            Sql::ExplainTable { table_name, .. } => return Ok(Asked::Describe(table_name.to_string())),
            Sql::ShowTables { .. } => return Ok(Asked::Tables),
            other => return Err(QueryError::Refused(first_words(&other.to_string()))),
        },
        Statement::Explain(explain) => match &*explain.statement {
            Statement::Statement(sql) if matches!(**sql, Sql::Query(_)) => {
                Asked::Rows(Box::new(Statement::Explain(explain)))
            }
            other => return Err(QueryError::Refused(format!("EXPLAIN {}", first_words(&other.to_string())))),
        },
        other => return Err(QueryError::Refused(first_words(&other.to_string()))),
    };
    if let Asked::Rows(statement) = &asked
        && let Some(query) = query_of(statement)
        && let ControlFlow::Break(error) = Visit::visit(query, &mut OnlyReads::default())
    {
        return Err(error);
    }
    Ok(asked)
}

fn syntax(error: DataFusionError) -> QueryError {
    match error {
        DataFusionError::SQL(cause, _) => {
            QueryError::Syntax(cause.to_string().trim_start_matches("sql parser error: ").to_owned())
        }
        DataFusionError::Diagnostic(_, cause) | DataFusionError::Context(_, cause) => syntax(*cause),
        other => QueryError::Syntax(other.strip_backtrace()),
    }
}

/// Reads one predicate, and gives it back as SQL that is nothing but one. Its text may come from anywhere, and its tree
/// may be deep: both are dealt with where neither does harm (T24).
pub(crate) fn predicate(text: &str) -> Result<String, QueryError> {
    let bytes_max = Limits::default().text_bytes;
    if text.len() > bytes_max {
        return Err(QueryError::Limit { what: "the text of a predicate", max: format!("{bytes_max} bytes") });
    }
    on_large_stack(|| read_predicate(text))
}

fn read_predicate(text: &str) -> Result<String, QueryError> {
    let asked = read(&format!("SELECT 1 WHERE {text}"));
    let alone = || -> Option<String> {
        let Ok(Asked::Rows(statement)) = &asked else { return None };
        let Some(Sql::Query(query)) = query_of(statement) else { return None };
        let SetExpr::Select(select) = &*query.body else { return None };
        let wheres = select.selection.as_ref()?;
        // Whatever else the text brought along, the statement is not this one.
        let plain = format!("SELECT 1 WHERE {wheres}");
        (query.to_string() == plain).then(|| wheres.to_string())
    };
    match alone() {
        Some(predicate) => Ok(predicate),
        None => Err(match asked {
            Err(error @ (QueryError::Refused(_) | QueryError::Limit { .. })) => error,
            _ => QueryError::Syntax(format!("{text:?} is not one predicate, such as inputs.income < 30000")),
        }),
    }
}

/// Whether a predicate holds a query of its own.
pub(crate) fn has_queries(predicate: &str) -> Result<bool, QueryError> {
    on_large_stack(|| {
        let Asked::Rows(statement) = read(&format!("SELECT 1 WHERE {predicate}"))? else { return Ok(true) };
        let mut queries = Queries(0);
        let _ = query_of(&statement).map(|sql| Visit::visit(sql, &mut queries));
        Ok(queries.0 != 1)
    })
}

/// Counts queries, the outermost too.
struct Queries(usize);

impl Visitor for Queries {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.0 += 1;
        ControlFlow::Continue(())
    }
}

fn first_words(statement: &str) -> String {
    let words: Vec<&str> = statement.split_whitespace().take(2).collect();
    let words: String = words.join(" ").chars().take(60).collect();
    if words.is_empty() { "this statement".to_owned() } else { words }
}

/// The statement of the parser below, inside any EXPLAIN.
fn query_of(statement: &Statement) -> Option<&Sql> {
    match statement {
        Statement::Statement(sql) => Some(sql),
        Statement::Explain(explain) => query_of(&explain.statement),
        _ => None,
    }
}

fn query_of_mut(statement: &mut Statement) -> Option<&mut Sql> {
    match statement {
        Statement::Statement(sql) => Some(sql),
        Statement::Explain(explain) => query_of_mut(&mut explain.statement),
        _ => None,
    }
}

/// Refuses what is inside a query and does more than read, or reads elsewhere.
#[derive(Default)]
struct OnlyReads {
    /// How deep the expression is that is looked at.
    depth: usize,
    parts: Parts,
}

impl Visitor for OnlyReads {
    type Break = QueryError;

    fn pre_visit_expr(&mut self, _: &Expr) -> ControlFlow<QueryError> {
        self.depth += 1;
        if self.depth > EXPRESSION_DEPTH_MAX {
            let max = EXPRESSION_DEPTH_MAX.to_string();
            return ControlFlow::Break(QueryError::Limit { what: "the depth of an expression", max });
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<QueryError> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<QueryError> {
        match &*query.body {
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                refuse(first_words(&query.body.to_string()))
            }
            _ if !query.locks.is_empty() => refuse("FOR UPDATE or FOR SHARE"),
            _ => self.parts.begin(query),
        }
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<QueryError> {
        self.parts.end(query)
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<QueryError> {
        if select.into.is_some() { refuse("SELECT INTO") } else { self.parts.part() }
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<QueryError> {
        match table {
            TableFactor::Table { args: None, name, .. } => self.parts.table(name),
            TableFactor::Derived { .. } | TableFactor::NestedJoin { .. } | TableFactor::UNNEST { .. } => {
                self.parts.part()
            }
            TableFactor::Table { name, .. } | TableFactor::Function { name, .. } => {
                refuse(format!("the table function {name}"))
            }
            other => refuse(first_words(&other.to_string())),
        }
    }
}

fn refuse(what: impl Into<String>) -> ControlFlow<QueryError> {
    ControlFlow::Break(QueryError::Refused(what.into()))
}

/// Names that a query gives to things of its own, and the tables it reads.
#[derive(Debug, Default)]
struct Own {
    tables: BTreeSet<String>,
    columns: BTreeSet<String>,
}

impl Visitor for Own {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.tables.insert(cte.alias.name.value.clone());
            self.columns.extend(cte.alias.columns.iter().map(|column| column.name.value.clone()));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { alias, .. } = item {
                self.columns.insert(alias.value.clone());
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<()> {
        let alias = match table {
            TableFactor::Table { alias, .. }
            | TableFactor::Derived { alias, .. }
            | TableFactor::NestedJoin { alias, .. }
            | TableFactor::UNNEST { alias, .. } => alias,
            _ => &None,
        };
        if let Some(alias) = alias {
            self.tables.insert(alias.name.value.clone());
            self.columns.extend(alias.columns.iter().map(|column| column.name.value.clone()));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        if let Some(name) = relation.0.last().and_then(|part| part.as_ident()) {
            self.tables.insert(name.value.clone());
        }
        ControlFlow::Continue(())
    }
}

/// Finds every field that a query names, asks `resolve` for its column, and writes the column's name in its place.
/// Gives the columns back.
pub(crate) fn name_columns(
    statement: &mut Statement,
    mut resolve: impl FnMut(&str) -> Result<Option<Face>, QueryError>,
) -> Result<Vec<Face>, QueryError> {
    let Some(sql) = query_of_mut(statement) else { return Ok(Vec::new()) };
    let mut own = Own::default();
    let _ = Visit::visit(&*sql, &mut own);
    for table in &own.tables {
        if Part::section(table).is_some() {
            return Err(QueryError::Plan(format!(
                "{table} names a section of records, so no table can be called so here; call it otherwise"
            )));
        }
    }
    let mut namer = Namer { own, resolve: &mut resolve, faces: Vec::new() };
    match VisitMut::visit(sql, &mut namer) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(namer.faces),
    }
}

struct Namer<'r> {
    own: Own,
    resolve: &'r mut dyn FnMut(&str) -> Result<Option<Face>, QueryError>,
    faces: Vec<Face>,
}

impl VisitorMut for Namer<'_> {
    type Break = QueryError;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<QueryError> {
        match self.named(expr) {
            Err(error) => return ControlFlow::Break(error),
            Ok(Some(named)) => *expr = named,
            Ok(None) => {}
        }
        ControlFlow::Continue(())
    }
}

/// A path as it was written: names with dots between, then keys and places in brackets.
struct Written {
    names: Vec<Ident>,
    keys: Vec<String>,
    /// What follows the last key: places in lists.
    left: Vec<AccessExpr>,
}

impl Written {
    fn read(expr: &Expr) -> Option<Written> {
        match expr {
            Expr::Identifier(name) => Some(Written { names: vec![name.clone()], keys: Vec::new(), left: Vec::new() }),
            Expr::CompoundIdentifier(names) => {
                Some(Written { names: names.clone(), keys: Vec::new(), left: Vec::new() })
            }
            Expr::CompoundFieldAccess { root, access_chain } => {
                let mut written = Written::read(root)?;
                let mut chain = access_chain.iter();
                let keys = chain.by_ref().map_while(key);
                written.keys.extend(keys);
                written.left = access_chain[written.keys.len()..].to_vec();
                Some(written)
            }
            _ => None,
        }
    }
}

/// The key that a step names, if it names one.
fn key(step: &AccessExpr) -> Option<String> {
    match step {
        AccessExpr::Dot(Expr::Identifier(name)) => Some(name.value.clone()),
        AccessExpr::Subscript(Subscript::Index { index }) => match index {
            Expr::Identifier(name) if name.quote_style.is_some() => Some(name.value.clone()),
            Expr::Value(value) => match &value.value {
                Value::SingleQuotedString(key) | Value::DoubleQuotedString(key) => Some(key.clone()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

impl Namer<'_> {
    fn named(&mut self, expr: &Expr) -> Result<Option<Expr>, QueryError> {
        let Some(written) = Written::read(expr) else { return Ok(None) };
        let qualifiers = self.qualifiers(&written.names);
        let Some(first) = written.names.get(qualifiers) else { return Ok(None) };
        let alone = written.names.len() == qualifiers + 1 && written.keys.is_empty();
        if alone && self.own.columns.contains(&first.value) {
            return Ok(None);
        }
        // A name that stands alone is a column's as it is, dots, brackets, suffix and all.
        let text = if alone { first.value.clone() } else { path(&written, qualifiers) };
        let Some(face) = (self.resolve)(&text)? else { return Ok(None) };
        let mut names = written.names[..qualifiers].to_vec();
        names.push(Ident::with_quote('"', &face.name));
        self.faces.push(face);
        let column = if names.len() == 1 { Expr::Identifier(names.remove(0)) } else { Expr::CompoundIdentifier(names) };
        Ok(Some(match written.left.is_empty() {
            true => column,
            false => Expr::CompoundFieldAccess { root: Box::new(column), access_chain: written.left },
        }))
    }

    /// How many of the names in front say which table is meant.
    fn qualifiers(&self, names: &[Ident]) -> usize {
        let table = |at: usize| names.get(at).is_some_and(|name| self.own.tables.contains(&name.value));
        match names {
            [schema, _, _, ..] if schema.value == "models" && table(1) => 2,
            [_, _, ..] if table(0) => 1,
            _ => 0,
        }
    }
}

fn path(written: &Written, qualifiers: usize) -> String {
    let mut names = written.names[qualifiers..].iter().map(|name| name.value.clone());
    let first = names.next().unwrap_or_default();
    let keys: Vec<String> = names.chain(written.keys.iter().cloned()).collect();
    match Part::section(&first) {
        Some(part) => FieldRef { part, keys }.to_string(),
        None => FieldRef { part: Part::Envelope, keys: std::iter::once(first).chain(keys).collect() }.to_string(),
    }
}

/// A name as SQL writes it.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL writes it.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
