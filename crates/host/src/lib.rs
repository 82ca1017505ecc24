//! Everything OnRecord asks of the machine: files of record, the time, randomness, and the faults that tests put
//! there.
//!
//! This is the one crate that reads a clock, draws randomness, or creates, renames or removes a file of record;
//! `clippy.toml` bans the globals everywhere else. A [`Host`] is handed down from `main`; a test hands down one with a
//! [`ManualClock`], a seed and a [`FaultTable`], and so decides what time it is and which system call fails; with an
//! [`EffectLog`] it learns what was done, and a [`PowerCut`] takes away what was not durable yet.
//!
//! # What a call promises
//!
//! Every file call takes a `step`, the name of the thing that is being written (`"checkpoint"`, `"journal"`). Each
//! system call inside is a fault point `<step>.<operation>`, see [`Operation::name`].
//!
//! * When a call that says "durable" returns `Ok`, the bytes and the folder entries it made survive a power cut.
//! * When any call returns an error, what it was to do may be done, half done or not done, except where its own text
//!   says more. [`Host::put_new`] and [`Host::replace`] never leave a half-written file under the final name.
//! * **An error of an fsync is fatal to the writer.** The kernel may have dropped the dirty pages and marked them
//!   clean, so a second fsync that succeeds proves nothing. Stop, and recover from what is on disk (T25).
//!
//! ```
//! # fn main() -> Result<(), host::FileError> {
//! let host = host::Host::system();
//! # let folder = tempfile::tempdir().unwrap();
//! let path = folder.path().join("checkpoint");
//! host.put_new(&path, b"size 1\n", "checkpoint")?;
//! host.compare_and_replace(&path, Some(b"size 1\n"), b"size 2\n", "checkpoint")?;
//! # Ok(()) }
//! ```

mod appender;
mod clock;
mod effect_log;
mod error;
mod fault;
mod fault_log;
mod fault_table;
mod file;
mod folder;
mod operation;
mod power_cut;
mod put;
mod random;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

pub use appender::Appender;
pub use clock::{Clock, ManualClock, SystemClock};
use effect_log::Doing;
pub use effect_log::EffectLog;
pub use error::FileError;
pub use fault::{Fault, Faults};
pub use fault_log::FaultLog;
pub use fault_table::{FaultRow, FaultTable, FaultTableError};
pub use file::DurableFile;
pub use operation::Operation;
pub use power_cut::PowerCut;
pub use put::is_temporary;
use random::Random;
pub use uuid::Uuid;

/// The machine, as the rest of OnRecord sees it. Cloning is one reference count.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Box<dyn Clock>,
    random: Random,
    faults: Option<Box<dyn Faults>>,
    effects: Option<Arc<EffectLog>>,
}

impl Host {
    /// The real machine: its clocks, its randomness, no faults.
    #[must_use]
    pub fn system() -> Host {
        Host::builder().build()
    }

    /// A host with parts replaced, for tests.
    #[must_use]
    pub fn builder() -> HostBuilder {
        HostBuilder { clock: None, seed: None, faults: None, effects: None }
    }

    /// Wall-clock time in nanoseconds since the Unix epoch, UTC. It can jump either way (T30); a stamp that must not
    /// go back is the caller's to keep monotone. Saturates at the ends of `i64` (years 1677 and 2262).
    #[must_use]
    pub fn now_ns(&self) -> i64 {
        self.inner.clock.now_ns()
    }

    /// Time since this host was made; never goes back.
    #[must_use]
    pub fn monotonic(&self) -> Duration {
        self.inner.clock.monotonic()
    }

    /// `N` random bytes fit for salts and keys, or the next of a seeded sequence in tests.
    ///
    /// # Panics
    /// When the operating system gives no randomness: every salt made without it could be guessed, so there is no
    /// way to go on.
    #[must_use]
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.inner.random.fill(&mut bytes);
        bytes
    }

    /// `count` times `N` random bytes, as [`Host::random`], asked for at once: a system call costs as much as hashing a
    /// short record.
    ///
    /// # Panics
    /// As [`Host::random`].
    #[must_use]
    pub fn random_each<const N: usize>(&self, count: usize) -> Vec<[u8; N]> {
        let mut bytes = vec![[0; N]; count];
        self.inner.random.fill(bytes.as_flattened_mut());
        bytes
    }

    /// A UUID version 7 of this host's time and randomness (RFC 9562 section 5.7). Ids made within one millisecond
    /// are in no order among themselves.
    ///
    /// # Panics
    /// As [`Host::random`].
    #[must_use]
    pub fn uuid_v7(&self) -> Uuid {
        // A clock before 1970 is a clock not yet set; the id is then merely not in order.
        let unix_ms = u64::try_from(self.now_ns() / 1_000_000).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(unix_ms, &self.random::<10>()).into_uuid()
    }

    /// The calling thread gives way to the others of this machine from here on: for work that nobody waits for. It
    /// still runs whenever a core is idle, and gets a tenth of a busy one. There is no way back for the thread.
    pub fn give_way(&self) {
        // Niceness is a thread's own on Linux alone; elsewhere this would slow the whole process. Where the system
        // refuses, the thread goes on as it was.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::nice(10);
    }

    /// Does one system call, or what the fault that stands at its point says instead.
    fn call<R>(
        &self,
        step: &str,
        operation: Operation,
        path: &Path,
        act: impl FnOnce() -> io::Result<R>,
    ) -> Result<R, FileError> {
        let result = match &self.inner.faults {
            None => act(),
            Some(faults) => match faults.at(&operation.point(step)) {
                None => act(),
                Some(fault) => fault.around(act),
            },
        };
        result.map_err(|source| FileError::of(operation, path, source))
    }

    /// Does what changes a file or folder, or makes it durable, and keeps it on record where a test has asked for that.
    fn logged<R>(&self, doing: Doing<'_>, act: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        match &self.inner.effects {
            None => act(),
            Some(log) => log.record(&doing, act),
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("faults", &self.inner.faults.is_some()).finish_non_exhaustive()
    }
}

/// Makes a [`Host`] whose parts a test controls. What is not set is the real machine's.
pub struct HostBuilder {
    clock: Option<Box<dyn Clock>>,
    seed: Option<u64>,
    faults: Option<Box<dyn Faults>>,
    effects: Option<Arc<EffectLog>>,
}

impl HostBuilder {
    /// Takes the time from `clock`. A [`ManualClock`] is cheap to clone: give one here, keep one to turn.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Box::new(clock));
        self
    }

    /// Draws randomness from a fixed sequence. **For tests only**: anyone who knows the seed knows every salt.
    #[must_use]
    pub fn random_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Asks `faults` at every system call. Give an `Arc` to keep hold of it.
    #[must_use]
    pub fn faults(mut self, faults: impl Faults + 'static) -> Self {
        self.faults = Some(Box::new(faults));
        self
    }

    /// Keeps all that is done to files under the log's folder on record, for a [`PowerCut`].
    #[must_use]
    pub fn effects(mut self, log: Arc<EffectLog>) -> Self {
        self.effects = Some(log);
        self
    }

    /// The host.
    #[must_use]
    pub fn build(self) -> Host {
        let clock = self.clock.unwrap_or_else(|| Box::new(SystemClock::new()));
        let random = self.seed.map_or(Random::System, Random::seeded);
        Host { inner: Arc::new(Inner { clock, random, faults: self.faults, effects: self.effects }) }
    }
}
