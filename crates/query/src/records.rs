//! The one table that all others are views of: every record of a snapshot, lake ∪ hot, once (I14).

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::memory::{DataSourceExec, MemorySourceConfig};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::TableParquetOptions;
use datafusion::common::pruning::PrunableStatistics;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule as _;
use datafusion::physical_optimizer::filter_pushdown::FilterPushdown;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use lake::Lookup;
use parquet::arrow::arrow_reader::RowSelection;

use crate::adapt::{Adapt, Faces};
use crate::face::{Face, Source};
use crate::file_stats;
use crate::files::Readers;
use crate::hidden::Hidden;
use crate::lake_source::LakeSource;

/// Where the library believes the files to be; they are read by [`Readers`] alone.
pub(crate) const STORE: &str = "trail://lake/";

/// Rows of hot records in one batch.
const HOT_ROWS: usize = 8_192;

/// Which rows a policy lets through: a predicate over columns that only it sees, by number in `schema`.
#[derive(Clone, Debug)]
pub(crate) struct RowFilter {
    pub predicate: Arc<dyn PhysicalExpr>,
    pub schema: SchemaRef,
}

/// Every record of a snapshot, as a table of the view's columns.
pub(crate) struct Records {
    /// Columns that queries see.
    pub schema: SchemaRef,
    pub faces: Arc<Faces>,
    /// Rows that the reader may see, and the columns by which that is decided, unmasked.
    pub rows: Option<(RowFilter, Arc<Faces>)>,
    pub readers: Readers,
    /// Hot records in the lake's columns.
    pub hot: Arc<RecordBatch>,
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Records")
    }
}

#[async_trait]
impl TableProvider for Records {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // Where rows are hidden, only a predicate that cannot fail may meet them: another could tell by an error that they
        // are there. Elsewhere predicates reach the files when the physical plan is optimised, and stay above until then.
        let answer = |filter: &&Expr| match self.rows {
            Some(_) if !cannot_fail(filter) => TableProviderFilterPushDown::Unsupported,
            _ => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(answer).collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        let Some((rows, unmasked)) = &self.rows else {
            let limit = limit.filter(|_| filters.is_empty());
            return self.every_row(session, &schema, &self.faces, filters, limit);
        };
        self.filtered(session, &schema, rows, unmasked, filters)
    }
}

impl Records {
    /// Rows that the policy lets through. What decides is read beside what is shown, and goes before anyone sees it.
    fn filtered(
        &self,
        session: &dyn Session,
        schema: &SchemaRef,
        rows: &RowFilter,
        unmasked: &Arc<Faces>,
        filters: &[Expr],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let both = rows.schema.fields().iter().chain(schema.fields()).cloned().collect::<Vec<_>>();
        let both = Arc::new(Schema::new(both));
        let all = self.every_row(session, &both, unmasked, filters, None)?;
        let mut kept: Arc<dyn ExecutionPlan> = Arc::new(FilterExec::try_new(Arc::clone(&rows.predicate), all)?);
        // They stay above as well. Here they let files, row groups and pages be left alone.
        let here = |filter: &&Expr| {
            cannot_fail(filter) && filter.column_refs().iter().all(|it| schema.column_with_name(&it.name).is_some())
        };
        if let Some(filter) = conjunction(filters.iter().filter(here).cloned()) {
            let filter = session.create_physical_expr(filter, &DFSchema::try_from(both)?)?;
            kept = Arc::new(FilterExec::try_new(filter, kept)?);
        }
        let first = rows.schema.fields().len();
        let shown = schema.fields().iter().enumerate().map(|(at, field)| {
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), first + at));
            (column, field.name().clone())
        });
        let shown: Arc<dyn ExecutionPlan> = Arc::new(ProjectionExec::try_new(shown.collect::<Vec<_>>(), kept)?);
        let options = session.config_options();
        Ok(Arc::new(Hidden::new(FilterPushdown::new().optimize(shown, options)?)))
    }

    fn every_row(
        &self,
        session: &dyn Session,
        schema: &SchemaRef,
        faces: &Arc<Faces>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut inputs = Vec::new();
        if !self.readers.lake.files().is_empty() {
            inputs.push(self.settled(session, schema, faces, filters, limit)?);
        }
        if self.hot.num_rows() > 0 || inputs.is_empty() {
            inputs.push(self.hot(schema, faces)?);
        }
        UnionExec::try_new(inputs)
    }

    fn settled(
        &self,
        session: &dyn Session,
        schema: &SchemaRef,
        faces: &Arc<Faces>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let global = session.config_options().execution.parquet.clone();
        let options = TableParquetOptions { global, ..TableParquetOptions::default() };
        let parquet = ParquetSource::new(Arc::clone(schema))
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(self.readers.clone()));
        let above = schema.fields().iter().map(|field| field.name());
        let above: HashSet<String> =
            above.filter(|name| faces.get(name).is_none_or(|face| !face.filters_in_reader())).cloned().collect();
        let (files, told) = self.files(session, schema, faces, filters)?;
        let source = Arc::new(LakeSource::new(parquet, above, told));
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::parse(STORE)?, source)
            .with_file_groups(dealt(files, session.config().target_partitions()))
            .with_expr_adapter(Some(Arc::new(Adapt(Arc::clone(faces)))))
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    /// The files that may hold what is asked for, as the log and look-ups have it, newest first: a query for the newest
    /// records fills up from the first files, and by their statistics leaves the others alone. And what EXPLAIN says of it.
    fn files(
        &self,
        session: &dyn Session,
        schema: &SchemaRef,
        faces: &Faces,
        filters: &[Expr],
    ) -> Result<(Vec<PartitionedFile>, String)> {
        // A masked column is not stored as it is shown, and what is stored must not decide what is shown.
        let as_stored = |name: &str| {
            let shown = |face: &Face| matches!(face.source, Source::Stamp(_) | Source::Field(_, _));
            faces.get(name).is_some_and(|face| face.mask.is_none() && shown(face))
        };
        let mut files: Vec<_> = self.readers.lake.files().iter().collect();
        files.sort_by_cached_key(|file| std::cmp::Reverse((file.times().latest_us, file.last_index)));
        let of_files = |schema: &Schema| -> Vec<_> {
            files.iter().map(|file| Arc::new(file_stats::of_file(file, schema, as_stored))).collect()
        };
        let mut may_hold = vec![true; files.len()];
        if let Some(filter) = conjunction(filters.to_vec()) {
            // A filter can name columns that nothing above it needs any more, so it has a schema of its own.
            let named = filter.column_refs().into_iter().filter_map(|column| self.schema.index_of(&column.name).ok());
            let asked = Arc::new(self.schema.project(&named.collect::<Vec<_>>())?);
            let filter = session.create_physical_expr(filter, &DFSchema::try_from(Arc::clone(&asked))?)?;
            let containers = PrunableStatistics::new(of_files(&asked), Arc::clone(&asked));
            // A predicate by which nothing can be told says so by an error.
            let predicate = PruningPredicateBuilder::new().with_file_schema(asked).try_build(filter);
            if let Ok(told) = predicate.and_then(|predicate| predicate.prune(&containers)) {
                may_hold = told;
            }
        }
        let statistics = of_files(schema);
        let by_log = may_hold.iter().filter(|may_hold| **may_hold).count();
        let mut told = format!("files_by_log={by_log} of {}", files.len());
        let looked_up = looked_up(filters, as_stored);
        let (mut left, mut rows_left) = (Vec::new(), 0);
        for ((file, statistics), _) in files.into_iter().zip(statistics).zip(may_hold).filter(|(_, may_hold)| *may_hold)
        {
            let one = PartitionedFile::new(file.path.clone(), file.bytes).with_statistics(statistics);
            let total = usize::try_from(file.rows).unwrap_or(usize::MAX);
            let rows = self.readers.lake.rows_of(file, &looked_up);
            let rows = rows.map_err(|error| DataFusionError::External(Box::new(error)))?;
            rows_left += rows.as_ref().map_or(total, Vec::len);
            match rows {
                None => left.push(one),
                Some(rows) if rows.is_empty() => {}
                Some(rows) => {
                    let ranges = rows.into_iter().filter_map(|row| usize::try_from(row).ok()).map(|row| row..row + 1);
                    let selection = RowSelection::from_consecutive_ranges(ranges, total);
                    left.push(one.with_extension(ParquetRowSelection::new(selection)));
                }
            }
        }
        if !looked_up.is_empty() {
            told += &format!(", rows_by_look_up={rows_left}");
        }
        Ok((left, told))
    }

    fn hot(&self, schema: &SchemaRef, faces: &Faces) -> Result<Arc<dyn ExecutionPlan>> {
        let stored = self.hot.schema();
        let columns = schema
            .fields()
            .iter()
            .map(|field| faces.over(field.name(), &stored, None)?.evaluate(&self.hot)?.into_array(self.hot.num_rows()));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.hot.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?;
        let starts = (0..batch.num_rows()).step_by(HOT_ROWS);
        let batches = starts.map(|start| batch.slice(start, HOT_ROWS.min(batch.num_rows() - start))).collect();
        Ok(MemorySourceConfig::try_new_exec(&[batches], Arc::clone(schema), None)? as Arc<dyn ExecutionPlan>)
    }
}

/// What of `filters`, which must all hold, is one subject, case or trace: the lake knows their rows.
fn looked_up(filters: &[Expr], as_stored: impl Fn(&str) -> bool) -> Vec<(Lookup, &str)> {
    let column_of = |expr: &Expr| match expr {
        Expr::Column(column) if as_stored(&column.name) => {
            [Lookup::Subject, Lookup::Case, Lookup::Trace].into_iter().find(|lookup| lookup.column() == column.name)
        }
        _ => None,
    };
    let mut found = Vec::new();
    for filter in filters {
        let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = filter else { continue };
        for (column, value) in [(left, right), (right, left)] {
            if let (Some(column), Expr::Literal(ScalarValue::Utf8(Some(value)), _)) = (column_of(column), &**value) {
                found.push((column, value.as_str()));
            }
        }
    }
    found
}

/// Whether a predicate has an answer for every row, whatever is in it: columns as they stand, compared with constants of
/// their own type. A cast, a function or arithmetic can fail on a value, and so tell of it.
fn cannot_fail(filter: &Expr) -> bool {
    use datafusion::logical_expr::Operator::{And, Eq, Gt, GtEq, Lt, LtEq, NotEq, Or};
    let plain = |side: &Expr| matches!(side, Expr::Column(_) | Expr::Literal(..));
    match filter {
        Expr::BinaryExpr(both) => match both.op {
            And | Or => cannot_fail(&both.left) && cannot_fail(&both.right),
            Eq | NotEq | Lt | LtEq | Gt | GtEq => plain(&both.left) && plain(&both.right),
            _ => false,
        },
        Expr::Not(inner) => cannot_fail(inner),
        Expr::IsNull(inner) | Expr::IsNotNull(inner) => plain(inner),
        Expr::InList(list) => plain(&list.expr) && list.list.iter().all(plain),
        Expr::Between(between) => plain(&between.expr) && plain(&between.low) && plain(&between.high),
        _ => false,
    }
}

/// The files dealt out to at most so many partitions.
fn dealt(files: Vec<PartitionedFile>, partitions: usize) -> Vec<FileGroup> {
    let mut groups = vec![FileGroup::default(); partitions.clamp(1, files.len().max(1))];
    let count = groups.len();
    for (at, file) in files.into_iter().enumerate() {
        groups[at % count].push(file);
    }
    groups
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{cast, col, lit};

    use super::*;

    #[test]
    fn what_could_fail_on_a_value_never_meets_hidden_rows() {
        let (index, text) = (|| col("index"), || col("id"));
        for plain in [
            index().eq(lit(30)),
            index().gt(lit(3)).and(text().not_eq(lit("x"))).or(text().is_null()),
            !index().between(lit(1), lit(2)),
            text().in_list(vec![lit("a"), lit("b")], true),
        ] {
            assert!(cannot_fail(&plain), "{plain}");
        }
        for other in [
            (lit(1) / (index() - lit(30))).is_not_null(),
            cast(text(), arrow_schema::DataType::Int32).eq(lit(1)),
            index().eq(lit(30)).and(cast(text(), arrow_schema::DataType::Int32).eq(lit(1))),
            (index() + lit(1)).gt(lit(0)),
            text().like(lit("a%")),
            text().in_list(vec![cast(index(), arrow_schema::DataType::Utf8)], false),
            col("flag"),
        ] {
            assert!(!cannot_fail(&other), "{other}");
        }
    }
}
