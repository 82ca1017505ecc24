//! A plan, before the library rewrites it: that it only reads, that it compares what can be compared, and what its
//! times mean.

use arrow_schema::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, ExprSchemable as _, LogicalPlan, Operator};

use crate::error::QueryError;
use crate::times::Span;

/// Refuses a plan that would do more than read (a second line behind the statement's).
pub(crate) fn only_reads(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        use LogicalPlan::{
            Aggregate, Analyze, Distinct, EmptyRelation, Explain, Filter, Join, Limit, Projection, RecursiveQuery,
            Repartition, Sort, Subquery, SubqueryAlias, TableScan, Union, Unnest, Values, Window,
        };
        match node {
            Projection(_) | Filter(_) | Window(_) | Aggregate(_) | Sort(_) | Join(_) | Repartition(_) | Union(_)
            | TableScan(_) | EmptyRelation(_) | Subquery(_) | SubqueryAlias(_) | Limit(_) | Values(_) | Explain(_)
            | Analyze(_) | Distinct(_) | Unnest(_) | RecursiveQuery(_) => Ok(TreeNodeRecursion::Continue),
            other => Err(QueryError::Refused(other.display().to_string()).carried()),
        }
    })
    .map(|_| ())
}

/// Reads times that stand where times are asked for, and refuses comparisons that nothing can pass.
pub(crate) fn compare_alike(plan: LogicalPlan, now_ns: i64) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| {
        let inputs = node.inputs();
        if inputs.is_empty() {
            return Ok(Transformed::no(node));
        }
        let schema = merge_schema(&inputs);
        node.map_expressions(|expr| expr.transform_up(|expr| compared(expr, &schema, now_ns)))
    })
    .data()
}

/// As [`compare_alike`] for a predicate over `schema`.
pub(crate) fn compare_alike_in(expr: Expr, schema: &DFSchema, now_ns: i64) -> Result<Expr> {
    expr.transform_up(|expr| compared(expr, schema, now_ns)).data()
}

/// What values can be compared with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Number,
    Text,
    Bool,
    Time,
    List,
}

impl Sort {
    fn of(data_type: &DataType) -> Option<Sort> {
        match data_type {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(Sort::Text),
            DataType::Boolean => Some(Sort::Bool),
            DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64 => Some(Sort::Time),
            DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) => Some(Sort::List),
            other if other.is_numeric() => Some(Sort::Number),
            _ => None,
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Sort::Number => "a number",
            Sort::Text => "a text",
            Sort::Bool => "true or false",
            Sort::Time => "a time",
            Sort::List => "a list",
        }
    }
}

fn compared(expr: Expr, schema: &DFSchema, now_ns: i64) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(binary) if is_comparison(binary.op) => comparison(binary, schema, now_ns),
        Expr::Between(between) => self::between(between, schema, now_ns),
        Expr::InList(list) => {
            list.list.iter().try_for_each(|item| alike(&list.expr, item, schema))?;
            Ok(Transformed::no(Expr::InList(list)))
        }
        Expr::Like(like) => {
            if sort(&like.expr, schema).is_some_and(|sort| sort != Sort::Text) {
                alike(&like.expr, &like.pattern, schema)?;
            }
            Ok(Transformed::no(Expr::Like(like)))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn is_comparison(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

fn sort(expr: &Expr, schema: &DFSchema) -> Option<Sort> {
    Sort::of(&expr.get_type(schema).ok()?)
}

fn text_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text), _) => {
            text.as_deref()
        }
        _ => None,
    }
}

fn comparison(binary: BinaryExpr, schema: &DFSchema, now_ns: i64) -> Result<Transformed<Expr>> {
    let BinaryExpr { left, op, right } = binary;
    // The time in front, whichever side it was written on.
    let (time, op_of_time, text) = match (sort(&left, schema), sort(&right, schema)) {
        (Some(Sort::Time), Some(Sort::Text)) => (&left, Some(op), text_of(&right)),
        (Some(Sort::Text), Some(Sort::Time)) => (&right, op.swap(), text_of(&left)),
        _ => (&left, None, None),
    };
    if let (Some(op), Some(text)) = (op_of_time, text) {
        let span = Span::read(text, now_ns).map_err(QueryError::carried)?;
        let data_type = time.get_type(schema)?;
        return Ok(Transformed::yes(in_time((**time).clone(), op, span, &data_type)?));
    }
    alike(&left, &right, schema)?;
    Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })))
}

/// A time held against a span: before it is before its first moment, after it after its last.
fn in_time(time: Expr, op: Operator, span: Span, data_type: &DataType) -> Result<Expr> {
    let from = moment(span.from, false, data_type)?;
    let until = moment(span.until, true, data_type)?;
    let inside = |time: Expr| time.clone().gt_eq(from.clone()).and(time.lt(until.clone()));
    Ok(match op {
        Operator::Lt => time.lt(from),
        Operator::GtEq => time.gt_eq(from),
        Operator::Gt => time.gt_eq(until),
        Operator::LtEq => time.lt(until),
        Operator::NotEq | Operator::IsDistinctFrom => Expr::Not(Box::new(inside(time))),
        _ => inside(time),
    })
}

/// The moment as a value of the type: where that is coarser, the value that holds it, or with `up` the first behind it.
fn moment(ns: i64, up: bool, data_type: &DataType) -> Result<Expr> {
    let value = match data_type {
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let behind = up && ns.rem_euclid(1_000) != 0;
            let us = ns.div_euclid(1_000).saturating_add(i64::from(behind));
            ScalarValue::TimestampMicrosecond(Some(us), zone.clone())
        }
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => ScalarValue::TimestampNanosecond(Some(ns), zone.clone()),
        other => ScalarValue::TimestampNanosecond(Some(ns), None).cast_to(other)?,
    };
    Ok(Expr::Literal(value, None))
}

fn between(between: Between, schema: &DFSchema, now_ns: i64) -> Result<Transformed<Expr>> {
    if sort(&between.expr, schema) == Some(Sort::Time)
        && let (Some(low), Some(high)) = (text_of(&between.low), text_of(&between.high))
    {
        let read = |text: &str| Span::read(text, now_ns).map_err(QueryError::carried);
        let span = Span { from: read(low)?.from, until: read(high)?.until };
        let op = if between.negated { Operator::NotEq } else { Operator::Eq };
        let data_type = between.expr.get_type(schema)?;
        return Ok(Transformed::yes(in_time(*between.expr, op, span, &data_type)?));
    }
    alike(&between.expr, &between.low, schema)?;
    alike(&between.expr, &between.high, schema)?;
    Ok(Transformed::no(Expr::Between(between)))
}

/// Two sides that can be compared; texts and times can, and become the same later.
fn alike(left: &Expr, right: &Expr, schema: &DFSchema) -> Result<()> {
    let (Some(left_is), Some(right_is)) = (sort(left, schema), sort(right, schema)) else { return Ok(()) };
    let times = [Sort::Text, Sort::Time];
    if left_is == right_is || (times.contains(&left_is) && times.contains(&right_is)) {
        return Ok(());
    }
    let shown = |expr: &Expr| match expr {
        Expr::Column(column) => column.name.clone(),
        Expr::Literal(value, _) => match text_of(expr) {
            Some(text) => format!("'{text}'"),
            None => value.to_string(),
        },
        other => other.to_string(),
    };
    let hint = match (left, left_is) {
        (_, _) if [left_is, right_is].contains(&Sort::Time) => {
            "compare with a time, such as '2026-11-01' or '2h', or use time_ns".to_owned()
        }
        (Expr::Column(column), Sort::Number) if right_is == Sort::Text => {
            format!("write a number without quotes, or ask for texts: \"{}:str\"", column.name)
        }
        (Expr::Column(column), Sort::Text) if right_is == Sort::Number => {
            format!("put the text in quotes, or ask for numbers: \"{}:num\"", column.name)
        }
        _ => "compare values of one type".to_owned(),
    };
    let (left, right) = (shown(left), shown(right));
    Err(QueryError::Types { left, left_is: left_is.noun(), right, right_is: right_is.noun(), hint }.carried())
}
