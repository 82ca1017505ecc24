//! Ends a join that would not end in time.
//!
//! The library looks at the time where it waits for a scan. A join can go through more pairs of rows than anyone lives
//! to see between two such moments, and give none of them back; so every join asks for each batch of pairs whether there
//! is time left.

use std::hash::{Hash, Hasher};

use arrow_schema::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use crate::census::Deadline;
use crate::error::QueryError;

const NAME: &str = "in_time";

/// Is true, or an error once the time is over. Its arguments keep it where it is put, and are not looked at.
#[derive(Clone)]
struct InTime {
    deadline: Deadline,
    signature: Signature,
}

impl std::fmt::Debug for InTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(NAME)
    }
}

impl PartialEq for InTime {
    fn eq(&self, other: &Self) -> bool {
        self.deadline.at == other.deadline.at
    }
}

impl Eq for InTime {}

impl Hash for InTime {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.deadline.at.hash(state);
    }
}

impl ScalarUDFImpl for InTime {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.deadline.check().map_err(QueryError::carried)?;
        Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(true))))
    }
}

/// Puts the question into every join.
pub(crate) struct WatchJoins(ScalarUDF);

impl std::fmt::Debug for WatchJoins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WatchJoins")
    }
}

impl WatchJoins {
    pub(crate) fn new(deadline: Deadline) -> Self {
        let signature = Signature::variadic_any(Volatility::Volatile);
        Self(ScalarUDF::from(InTime { deadline, signature }))
    }
}

impl OptimizerRule for WatchJoins {
    fn name(&self) -> &str {
        "watch_joins"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(mut join) = plan else { return Ok(Transformed::no(plan)) };
        let watched = |filter: &Expr| {
            filter.exists(|expr| Ok(matches!(expr, Expr::ScalarFunction(call) if call.func.name() == NAME)))
        };
        // A join for NOT IN takes no filter; it goes through no pairs, but looks one key up.
        if join.null_aware || join.filter.as_ref().map(watched).transpose()?.unwrap_or(false) {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        }
        let first = |side: &LogicalPlan| {
            let (table, field) = side.schema().iter().next()?;
            Some(Expr::Column(Column::new(table.cloned(), field.name())))
        };
        let columns: Vec<Expr> = [first(&join.left), first(&join.right)].into_iter().flatten().collect();
        if columns.is_empty() {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        }
        let question = self.0.call(columns);
        join.filter = Some(match join.filter.take() {
            Some(filter) => filter.and(question),
            None => question,
        });
        Ok(Transformed::yes(LogicalPlan::Join(join)))
    }
}
