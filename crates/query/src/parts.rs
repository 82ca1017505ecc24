//! How large the plan of a query gets, by its text: the library puts the plan of a WITH wherever it is named, so that a few
//! of them, each of the one before and twice, are a plan without end, before any time counts (T24).

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::ptr;

use datafusion::sql::sqlparser::ast::{ObjectName, Query, SetExpr};

use crate::error::QueryError;

/// SELECTs, lists of VALUES and tables of a query, in all its parts. The library plans each beside all others before its
/// time counts.
const PARTS_MAX: usize = 200;

/// The parts of a query, counted while it is walked through.
#[derive(Default)]
pub(crate) struct Parts {
    /// As they are written.
    written: usize,
    /// Of the queries that are looked at, the innermost last: with those of each WITH wherever it is named.
    planned: Vec<usize>,
    /// The names of queries in a WITH that are yet to come, by where they stand in memory.
    names: HashMap<*const Query, String>,
    /// What it costs to name a WITH: of two of one name, wherever each of them counts, the larger.
    costs: BTreeMap<String, usize>,
}

impl Parts {
    /// A query begins.
    pub(crate) fn begin(&mut self, query: &Query) -> ControlFlow<QueryError> {
        self.planned.push(0);
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.names.insert(ptr::from_ref(&*cte.query), folded(&cte.alias.name.value));
        }
        let mut arms = vec![&*query.body];
        while let Some(arm) = arms.pop() {
            match arm {
                SetExpr::SetOperation { left, right, .. } => arms.extend([&**left, &**right]),
                SetExpr::Values(_) => self.part()?,
                SetExpr::Table(table) => self.add(1 + self.cost(table.table_name.as_deref().unwrap_or_default()))?,
                // Seen when it is walked through.
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }

    /// A query ends: what it costs is its place's, or that of whoever names it.
    pub(crate) fn end(&mut self, query: &Query) -> ControlFlow<QueryError> {
        let planned = self.planned.pop().unwrap_or_default();
        match self.names.remove(&ptr::from_ref(query)) {
            Some(name) => {
                let cost = self.costs.entry(name).or_default();
                *cost = planned.max(*cost);
                ControlFlow::Continue(())
            }
            None => self.plan(planned),
        }
    }

    /// A SELECT, or what makes rows where a table would stand.
    pub(crate) fn part(&mut self) -> ControlFlow<QueryError> {
        self.add(1)
    }

    /// A table, which may be a WITH.
    pub(crate) fn table(&mut self, name: &ObjectName) -> ControlFlow<QueryError> {
        let parts: Vec<&str> =
            name.0.iter().filter_map(|part| part.as_ident()).map(|part| part.value.as_str()).collect();
        self.add(1 + self.cost(&parts.join(".")))
    }

    fn cost(&self, name: &str) -> usize {
        self.costs.get(&folded(name)).copied().unwrap_or_default()
    }

    fn add(&mut self, planned: usize) -> ControlFlow<QueryError> {
        self.written += 1;
        if self.written > PARTS_MAX {
            return over("the number of SELECTs and tables");
        }
        self.plan(planned)
    }

    fn plan(&mut self, parts: usize) -> ControlFlow<QueryError> {
        let Some(planned) = self.planned.last_mut() else { return ControlFlow::Continue(()) };
        *planned = planned.saturating_add(parts);
        if *planned > PARTS_MAX {
            return over("the number of SELECTs and tables, with those of a WITH each time that it is named,");
        }
        ControlFlow::Continue(())
    }
}

/// A name whatever its letters: whether they count is the library's to say, and too much does no harm here.
fn folded(name: &str) -> String {
    name.to_lowercase()
}

fn over(what: &'static str) -> ControlFlow<QueryError> {
    ControlFlow::Break(QueryError::Limit { what, max: PARTS_MAX.to_string() })
}
