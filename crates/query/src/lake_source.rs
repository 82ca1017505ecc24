//! The library's Parquet source, with one difference: it is asked to evaluate only predicates that it can.
//!
//! A predicate over the view is rewritten for each file when the file is opened. If what it becomes reads a list, the
//! decoder cannot evaluate it, and leaves it out without a word, long after the plan has let go of it. So predicates
//! over columns that may come to read lists stay above the scan.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpener, FileScanConfig, FileSource, ParquetSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::filter_pushdown::{FilterPushdownPropagation, PushedDown};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, SortOrderPushdownResult};
use datafusion_datasource::morsel::Morselizer;
use object_store::ObjectStore;

type Filters = Vec<Arc<dyn PhysicalExpr>>;

/// The source.
#[derive(Clone)]
pub(crate) struct LakeSource {
    parquet: Arc<dyn FileSource>,
    /// Columns of the view that predicates in the reader must not touch.
    above: Arc<HashSet<String>>,
    /// What EXPLAIN says of the files that are not in it any more.
    told: Arc<str>,
}

impl LakeSource {
    pub(crate) fn new(parquet: ParquetSource, above: HashSet<String>, told: String) -> Self {
        Self { parquet: Arc::new(parquet), above: Arc::new(above), told: told.into() }
    }

    fn with(&self, parquet: Arc<dyn FileSource>) -> Arc<dyn FileSource> {
        Arc::new(Self { parquet, ..self.clone() })
    }

    fn stays_above(&self, filter: &Arc<dyn PhysicalExpr>) -> Result<bool> {
        let mut stays = false;
        filter.apply(|expr| {
            stays |= expr.downcast_ref::<Column>().is_some_and(|column| self.above.contains(column.name()));
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(stays)
    }
}

impl FileSource for LakeSource {
    fn create_file_opener(&self, _: Arc<dyn ObjectStore>, _: &FileScanConfig, _: usize) -> Result<Arc<dyn FileOpener>> {
        internal_err!("files of the lake are read in morsels")
    }

    fn create_morselizer(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Box<dyn Morselizer>> {
        self.parquet.create_morselizer(store, config, partition)
    }

    fn table_schema(&self) -> &TableSchema {
        self.parquet.table_schema()
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        self.with(self.parquet.with_batch_size(batch_size))
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.parquet.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.parquet.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.parquet.metrics()
    }

    fn file_type(&self) -> &str {
        self.parquet.file_type()
    }

    fn fmt_extra(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ", {}", self.told)?;
        self.parquet.fmt_extra(format, f)
    }

    fn try_pushdown_filters(
        &self,
        filters: Filters,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let above = filters.iter().map(|filter| self.stays_above(filter)).collect::<Result<Vec<_>>>()?;
        let offered: Filters =
            filters.iter().zip(&above).filter(|(_, above)| !**above).map(|(f, _)| Arc::clone(f)).collect();
        let inner = self.parquet.try_pushdown_filters(offered, config)?;
        let mut answers = inner.filters.into_iter();
        let answer = |above: &bool| if *above { PushedDown::No } else { answers.next().unwrap_or(PushedDown::No) };
        let done = FilterPushdownPropagation::with_parent_pushdown_result(above.iter().map(answer).collect());
        Ok(match inner.updated_node {
            Some(parquet) => done.with_updated_node(self.with(parquet)),
            None => done,
        })
    }

    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
        properties: &EquivalenceProperties,
    ) -> Result<SortOrderPushdownResult<Arc<dyn FileSource>>> {
        Ok(match self.parquet.try_pushdown_sort(order, properties)? {
            SortOrderPushdownResult::Exact { inner } => SortOrderPushdownResult::Exact { inner: self.with(inner) },
            SortOrderPushdownResult::Inexact { inner } => SortOrderPushdownResult::Inexact { inner: self.with(inner) },
            SortOrderPushdownResult::Unsupported => SortOrderPushdownResult::Unsupported,
        })
    }

    fn reorder_files(&self, files: Vec<PartitionedFile>) -> Vec<PartitionedFile> {
        self.parquet.reorder_files(files)
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        Ok(self.parquet.try_pushdown_projection(projection)?.map(|parquet| self.with(parquet)))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.parquet.apply_expressions(f)
    }
}
