//! The library as queries use it: nothing but what reads, and no more of the machine than the limits.

use std::sync::Arc;

use chrono::DateTime;
use datafusion::catalog::memory::{MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider};
use datafusion::catalog::{CatalogProvider as _, CatalogProviderList as _};
use datafusion::common::config::ConfigNonZeroUsize;
use datafusion::common::{Result, exec_err};
use datafusion::execution::context::SessionConfig;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{SessionState, SessionStateDefaults};
use datafusion::logical_expr::execution_props::ExecutionProps;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use url::Url;

use crate::census::Deadline;
use crate::engine::Shared;
use crate::functions;
use crate::limits::Limits;
use crate::records::STORE;
use crate::statement::DEPTH_MAX;
use crate::watch::WatchJoins;

/// The schema whose tables need no prefix.
pub(crate) const SCHEMA: &str = "trail";
const CATALOG: &str = "onrecord";

/// Functions that make as much memory as a number says, which no limit counts (I12).
const UNBOUNDED: [&str; 7] = ["repeat", "lpad", "rpad", "range", "generate_series", "array_repeat", "array_resize"];

/// Where a query's tables are put.
pub(crate) struct Catalog {
    pub trail: Arc<MemorySchemaProvider>,
    pub models: Arc<MemorySchemaProvider>,
}

/// A session for one query, at `now_ns`.
///
/// It has no table functions, no file formats, no table factories and no store but an empty one: there is nothing by
/// which SQL could name a file or a host.
///
/// What memory does not hold goes to a private folder, in clear, since the library has no other way; with a limit of no bytes
/// there is none.
pub(crate) fn new(
    shared: &Shared,
    limits: &Limits,
    deadline: &Deadline,
    now_ns: i64,
) -> Result<(SessionState, Catalog)> {
    let spill = if limits.spill_bytes > 0 {
        let folder = DiskManagerMode::Directories(vec![shared.spill.path().to_owned()]);
        DiskManagerBuilder::default().with_mode(folder).with_max_temp_directory_size(limits.spill_bytes)
    } else {
        DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled).with_max_temp_directory_size(0)
    };
    let mut config = SessionConfig::new()
        .with_target_partitions(limits.threads.max(1))
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(false);
    let options = config.options_mut();
    // Features are called `Age`.
    options.sql_parser.enable_ident_normalization = false;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.sql_parser.recursion_limit = ConfigNonZeroUsize::try_new(DEPTH_MAX)?;
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.reorder_filters = true;
    options.execution.parquet.schema_force_view_types = false;
    options.execution.parquet.skip_metadata = true;
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(limits.memory_bytes)))
        .with_disk_manager_builder(spill)
        .with_object_store_registry(Arc::new(OneStore(Arc::new(InMemory::new()))))
        .build_arc()?;
    let catalog = Catalog { trail: Arc::default(), models: Arc::default() };
    let schemas = MemoryCatalogProvider::new();
    schemas.register_schema(SCHEMA, Arc::clone(&catalog.trail) as _)?;
    schemas.register_schema("models", Arc::clone(&catalog.models) as _)?;
    let catalogs = MemoryCatalogProviderList::new();
    catalogs.register_catalog(CATALOG.to_owned(), Arc::new(schemas));
    let mut functions = SessionStateDefaults::default_scalar_functions();
    functions.retain(|function| !UNBOUNDED.contains(&function.name()));
    // The last of a name counts.
    functions.extend(functions::truncate_utc(&functions));
    functions.extend(functions::all());
    let now = ExecutionProps::new().with_query_execution_start_time(DateTime::from_timestamp_nanos(now_ns));
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_execution_props(now)
        .with_catalog_list(Arc::new(catalogs))
        .with_expr_planners(SessionStateDefaults::default_expr_planners())
        .with_scalar_functions(functions)
        .with_higher_order_functions(SessionStateDefaults::default_higher_order_functions())
        .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .with_optimizer_rule(Arc::new(WatchJoins::new(deadline.clone())))
        .build();
    Ok((state, catalog))
}

/// A registry of one store, which holds nothing: files are read through readers of ours.
#[derive(Debug)]
struct OneStore(Arc<dyn ObjectStore>);

impl ObjectStoreRegistry for OneStore {
    fn register_store(&self, _: &Url, _: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        if url.as_str() == STORE { Ok(Arc::clone(&self.0)) } else { exec_err!("no store but the trail's is read") }
    }
}
