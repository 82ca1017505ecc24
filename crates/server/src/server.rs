//! What all requests share.

use std::sync::Arc;

use access::Access;
use host::Host;
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::login::Login;
use crate::metrics::Metrics;
use crate::room::Room;
use crate::trails::Trails;

/// A server: its trails, who may do what, and what is under way.
pub struct Server {
    /// The machine.
    pub host: Host,
    /// How it is set up.
    pub config: Config,
    /// Its trails.
    pub trails: Trails,
    /// Who may do what.
    pub access: Arc<Access>,
    /// How people log in, if they do.
    pub login: Option<Arc<Login>>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Memory of bodies and records under way.
    pub room: Room,
    /// Memory of answers that are there whole, until they are read. Apart, so that who reads slowly is in the way of other
    /// readers at most, and of no append.
    pub answers: Room,
    /// Appends that may be read at once.
    pub appends: Arc<Semaphore>,
    /// Imports that may wait for room in a journal at once.
    pub imports: Arc<Semaphore>,
    /// Reads that may be answered at once.
    pub reads: Arc<Semaphore>,
    /// Exports that may be made at once.
    pub exports: Arc<Semaphore>,
}

/// Imports at once: each may wait for a settle, and holds a thread meanwhile.
const IMPORTS_MAX: usize = 4;

/// Exports at once: each takes up to `export_bytes_max` of a disk, a few times over.
const EXPORTS_MAX: usize = 2;

impl Server {
    /// A server of these trails.
    pub fn new(
        host: Host,
        config: Config,
        trails: Trails,
        access: Arc<Access>,
        login: Option<Login>,
        metrics: Arc<Metrics>,
    ) -> Server {
        let limits = &config.limits;
        Server {
            room: Room::new(limits.bytes_in_flight_max),
            answers: Room::new(limits.bytes_in_flight_max),
            appends: Arc::new(Semaphore::new(limits.appends_max)),
            imports: Arc::new(Semaphore::new(IMPORTS_MAX)),
            reads: Arc::new(Semaphore::new(limits.reads_max)),
            exports: Arc::new(Semaphore::new(EXPORTS_MAX)),
            host,
            config,
            trails,
            access,
            login: login.map(Arc::new),
            metrics,
        }
    }
}
