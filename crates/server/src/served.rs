//! One trail as it is served: its writer, the threads beside it, and the two ways of reading it: the log, which is
//! hashes, and views of what records hold, which only a [`Reading`](crate::reading::Reading) opens.

use std::sync::Arc;
use std::time::Duration;

use host::Host;
use parking_lot::{Mutex, RwLock};
use query::{Engine, Policy, View};
use record::Record;
use trail::{Folder, Intake, KeyFolder, Options, Outcome, Snapshot, Status, Writer, WriterSocket};

use crate::acknowledger::{Acknowledged, Acknowledger};
use crate::clerk::{Clerk, ToClerk};
use crate::metrics::Metrics;
use crate::off_the_loop;
use crate::problem::{self, Problem};
use crate::trails::TrailsError;

/// How long closing waits for who still holds the writer.
const LET_GO_MAX: Duration = Duration::from_secs(10);

/// A trail that is served.
pub struct Served {
    name: String,
    origin: String,
    folder: Folder,
    /// None once it is closed.
    writer: RwLock<Option<Arc<Writer>>>,
    /// For the verbs of other processes of this machine.
    socket: Mutex<Option<WriterSocket>>,
    engine: Engine,
    acknowledger: Acknowledger,
    clerk: Clerk,
}

impl Served {
    /// Opens a trail for writing, recovering what the last writer left.
    pub fn open(
        host: &Host,
        name: &str,
        folder: &Folder,
        keys: &KeyFolder,
        options: Options,
        engine: Engine,
        metrics: &Arc<Metrics>,
    ) -> Result<Served, TrailsError> {
        let open = |cause| TrailsError::Open { name: name.to_owned(), cause: Box::new(cause) };
        let writer = Arc::new(Writer::open(host, folder, keys, options).map_err(open)?);
        if let Some(torn) = &writer.recovered().torn_tail {
            let bytes = torn.bytes;
            tracing::warn!(trail = name, bytes, "cut off bytes that were never acknowledged");
        }
        let socket = |cause| TrailsError::Socket { name: name.to_owned(), cause };
        let socket = WriterSocket::listen(host, folder, Arc::clone(&writer)).map_err(socket)?;
        let acknowledger = Acknowledger::start(name).map_err(TrailsError::Thread)?;
        let clerk = Clerk::start(host, name, Arc::clone(&writer), Arc::clone(metrics)).map_err(TrailsError::Thread)?;
        let origin = writer.snapshot().settings().origin.clone();
        Ok(Served {
            name: name.to_owned(),
            origin,
            folder: folder.clone(),
            writer: RwLock::new(Some(writer)),
            socket: Mutex::new(Some(socket)),
            engine,
            acknowledger,
            clerk,
        })
    }

    /// Its name on this server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of its log.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Its folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Its writer.
    pub fn writer(&self) -> Result<Arc<Writer>, Problem> {
        self.writer.read().clone().ok_or_else(problem::stopped)
    }

    /// Figures of its writer.
    pub fn status(&self) -> Option<Status> {
        self.writer.read().as_ref().map(|writer| writer.status())
    }

    /// Whether it takes records.
    pub fn is_running(&self) -> bool {
        self.writer.read().as_ref().is_some_and(|writer| writer.stopped().is_none())
    }

    /// Gives records their place; they are acknowledged later. Blocks for as long as that takes.
    pub fn stage(&self, records: Vec<Record>, intake: Intake) -> Result<Acknowledged, Problem> {
        Ok(self.acknowledger.wait_for(self.writer()?.stage(records, intake)?))
    }

    /// Appends one record of the server's own; durable when it returns.
    pub async fn append_own(self: &Arc<Self>, record: Record) -> Result<Outcome, Problem> {
        let this = Arc::clone(self);
        let staged = off_the_loop(move || this.stage(vec![record], Intake::Live)).await?;
        let outcomes = staged.outcomes().await?;
        outcomes.into_iter().next().ok_or_else(|| problem::internal(&"an append without an outcome"))
    }

    /// The way to who writes access records.
    pub fn clerk(&self) -> ToClerk {
        self.clerk.to()
    }

    /// The trail as it stands. For what tells nothing of what records hold.
    pub(crate) fn snapshot(&self) -> Result<Arc<Snapshot>, Problem> {
        Ok(self.writer()?.snapshot())
    }

    /// The trail as it stands, as one reader may see it.
    pub(crate) fn view(&self, policy: Policy) -> Result<View, Problem> {
        Ok(self.engine.view(Snapshot::clone(&*self.snapshot()?), policy)?)
    }

    /// Ends everything that was begun, seals what is durable, and lets the trail go.
    pub fn close(&self, host: &Host) -> Result<(), String> {
        drop(self.socket.lock().take());
        self.clerk.close();
        self.acknowledger.close();
        let Some(mut writer) = self.writer.write().take() else { return Ok(()) };
        let until = host.monotonic() + LET_GO_MAX;
        loop {
            match Arc::try_unwrap(writer) {
                Ok(writer) => return writer.close().map_err(|error| error.to_string()),
                Err(shared) if host.monotonic() < until => {
                    writer = shared;
                    std::thread::sleep(Duration::from_millis(10));
                }
                // What is durable stays so, and is sealed by the next writer.
                Err(_) => return Err("a request still held it; what it took is durable, and sealed later".to_owned()),
            }
        }
    }
}
