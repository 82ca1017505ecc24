//! What queries share: threads, open files, what was found out of files, and limits.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use host::Host;
use tokio::runtime::Runtime;

use crate::census::Censuses;
use crate::error::QueryError;
use crate::files::Files;
use crate::limits::Limits;
use crate::mask::Policy;
use crate::view::View;

/// Answers queries over trails. One serves many snapshots, of one trail or several, at once; what it knows of files is
/// kept from one to the next.
///
/// It has threads of its own, and waits for them: call it from a thread that may wait, and not from a task.
#[derive(Clone)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub host: Host,
    pub limits: Limits,
    pub files: Arc<Files>,
    pub censuses: Censuses,
    /// Where queries put what memory does not hold. Nobody else can look into it, and it goes with the engine.
    pub spill: tempfile::TempDir,
    runtime: Option<Runtime>,
}

impl Engine {
    /// An engine without anything known yet.
    pub fn new(host: &Host, limits: Limits) -> Result<Engine, QueryError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(limits.threads.max(1))
            .thread_name("query")
            .thread_stack_size(STACK_BYTES)
            // A panic of a library over a file's bytes is handed on to who waits for the rows, and becomes an error.
            .on_thread_start(lake::guard_thread)
            .enable_time()
            .build()
            .map_err(|error| QueryError::Read(format!("threads cannot be started: {error}")))?;
        let private = std::fs::Permissions::from_mode(0o700);
        let spill = tempfile::Builder::new().prefix("onrecord-query-").permissions(private).tempdir();
        let spill = spill
            .map_err(|error| QueryError::Read(format!("a temporary folder cannot be made: {error}; set TMPDIR")))?;
        let files = Arc::new(Files::new(host.clone(), limits.cache_bytes));
        let (host, censuses, runtime) = (host.clone(), Censuses::default(), Some(runtime));
        Ok(Engine { shared: Arc::new(Shared { host, limits, files, censuses, spill, runtime }) })
    }

    /// A snapshot as one reader may see it.
    pub fn view(&self, snapshot: trail::Snapshot, policy: Policy) -> Result<View, QueryError> {
        policy.check()?;
        self.shared.files.keep_only(snapshot.lake());
        Ok(View::new(Arc::clone(&self.shared), snapshot, policy))
    }
}

/// Stack of whatever walks a query's tree: deep enough for the deepest that a text of the largest size can make.
/// Memory is taken only for what is used.
const STACK_BYTES: usize = 256 << 20;

/// Does `work` where no query's tree is too deep.
pub(crate) fn on_large_stack<T: Send>(work: impl FnOnce() -> Result<T, QueryError> + Send) -> Result<T, QueryError> {
    let failed = |why: &str| QueryError::Read(format!("a thread for the query {why}"));
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("query".to_owned()).stack_size(STACK_BYTES);
        let thread =
            builder.spawn_scoped(scope, work).map_err(|error| failed(&format!("cannot be started: {error}")))?;
        thread.join().unwrap_or_else(|_| Err(failed("ended in a panic")))
    })
}

impl Shared {
    /// Waits for `work`. A panic in it is an error: libraries panic over bytes that no writer made.
    pub(crate) fn wait<T>(&self, work: impl Future<Output = Result<T, QueryError>>) -> Result<T, QueryError> {
        let Some(runtime) = &self.runtime else { return Err(QueryError::Read("the engine is closed".to_owned())) };
        let done = lake::guarded(|| runtime.block_on(work));
        done.unwrap_or_else(|panic| {
            Err(QueryError::Read(format!("reading the trail ended in a panic ({panic}); run verify on the trail")))
        })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Nobody waits for queries that nobody asks any more.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
