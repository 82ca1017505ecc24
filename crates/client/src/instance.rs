//! One run of one process: its folder, its numbers, its queue, its key. A child that is forked gets another one.
//!
//! ```text
//! SPOOL/<pid>-<start>-<8 hex>/      one instance
//!   lock                            locked by the process for as long as it lives
//!   instance.json                   whose it is, and for which trail; written last
//!   key                             32 bytes: the seed of its Ed25519 key
//!   state                           numbers given away, and how far the sender has come
//!   <20 digits>.spool               segments, unless the queue is in memory alone
//! SPOOL/rejected-<instance>.ndjson  what the server refused
//! ```

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;

use ed25519_dalek::SigningKey;
use host::{DurableFile, FileError, Host};
use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};

use crate::clock::ClockQuality;
use crate::config::{Config, Durability};
use crate::log::Log;
use crate::losses::{Losses, Lost};
use crate::process::Process;
use crate::segment::{STEP, Segment, SegmentError};
use crate::state::State;
use crate::trouble::Trouble;

/// Called with what goes wrong, from whichever thread finds it.
pub type Watch = Arc<dyn Fn(&Trouble) + Send + Sync>;

/// `instance.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Card {
    format: u32,
    producer: String,
    instance: String,
    target: String,
    boot: String,
}

/// Counts of one instance.
#[derive(Debug, Default)]
pub struct Counts {
    pub sent: AtomicU64,
    pub acknowledged: AtomicU64,
    pub rejected: AtomicU64,
    pub dropped: AtomicU64,
    pub breaches: AtomicU64,
    pub undeclared: AtomicU64,
    pub settled: AtomicU64,
}

/// How it ends.
#[derive(Debug, Default)]
pub struct Ending {
    /// Nothing new is taken; the sender stops when everything is settled.
    pub closing: AtomicBool,
    /// The sender stops now.
    pub abandoned: AtomicBool,
}

/// See the module.
pub struct Instance {
    pub host: Host,
    pub pid: u32,
    pub producer: String,
    pub name: String,
    pub folder: PathBuf,
    pub spool: PathBuf,
    pub key: SigningKey,
    pub state: State,
    pub log: Log,
    pub clock: ClockQuality,
    pub losses: Mutex<Losses>,
    pub counts: Counts,
    pub ending: Ending,
    /// The instance that goes on with it, if its own process is gone.
    pub adopted_by: Option<String>,
    /// Whether its numbers are known for certain: the machine has not been started anew since.
    pub numbered: bool,
    pub watch: Watch,
    pub sender: OnceLock<Thread>,
    pub asleep: AtomicBool,
    /// Whether the sender is over, and everything was settled.
    pub finished: Mutex<Option<bool>>,
    pub progress: Condvar,
    _lock: DurableFile,
}

/// Why there is no instance.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// A file of it.
    #[error(transparent)]
    File(#[from] FileError),
    /// A segment, or the state.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// The kernel does not say which process this is.
    #[error("cannot find out which process this is: {0}")]
    Process(std::io::Error),
    /// The sender's thread, or what it needs.
    #[error("cannot start sending: {0}")]
    Sender(String),
}

impl Instance {
    /// A new one, of this process.
    pub fn create(host: &Host, config: &Config, target: &str, watch: &Watch) -> Result<Instance, InstanceError> {
        let process = Process::current().map_err(InstanceError::Process)?;
        let name = format!("{}{:08x}", process.prefix(), u32::from_be_bytes(host.random()));
        let folder = config.spool.join(&name);
        host.create_dir_all(&folder, STEP)?;
        let lock = host.create_new(folder.join("lock"), STEP)?;
        lock.try_lock_for_process()?;
        let seed = host.random::<32>();
        host.put_new_with_mode(folder.join("key"), &seed, STEP, 0o600)?;
        let state = State::create(host, &folder.join("state"))?;
        let log = Log::new(host, folder.clone(), config.durability, config.bytes_max, Vec::new())?;
        let card = Card {
            format: 1,
            producer: config.producer.clone(),
            instance: name.clone(),
            target: target.to_owned(),
            boot: process.boot,
        };
        let text = serde_json::to_vec(&card).map_err(|error| InstanceError::Sender(error.to_string()))?;
        host.put_new(folder.join("instance.json"), &text, STEP)?;
        let (producer, pid) = (config.producer.clone(), process.pid);
        let parts = Parts { producer, name, folder, seed, state, log, lock, adopted_by: None, numbered: true };
        Ok(Instance::of(host, pid, config, watch, parts))
    }

    /// What a process that is gone has left in `folder`, if it is for this trail; what it lost is counted.
    pub fn adopt(
        by: &Instance,
        config: &Config,
        target: &str,
        folder: &Path,
    ) -> Result<Option<Instance>, InstanceError> {
        let host = &by.host;
        let Some(text) = host.read_if_there(folder.join("instance.json"), STEP)? else { return Ok(None) };
        let Ok(card) = serde_json::from_slice::<Card>(&text) else { return Ok(None) };
        if card.format != 1 || card.target != target || card.producer != config.producer {
            return Ok(None);
        }
        let lock = match host.open_rw(folder.join("lock"), STEP) {
            Err(error) if error.is_not_found() => return Ok(None),
            opened => opened?,
        };
        match lock.try_lock_for_process() {
            Err(FileError::Locked { .. }) => return Ok(None),
            locked => locked?,
        }
        // Its last adopter may have finished between the look and the lock.
        let Some(seed) = host.read_if_there(folder.join("key"), STEP)? else { return Ok(None) };
        let Ok(seed) = <[u8; 32]>::try_from(seed) else { return Ok(None) };
        let state = State::open(host, &folder.join("state"))?;
        let mut left = Vec::new();
        for path in host.list(folder, STEP)? {
            if path.extension().is_some_and(|extension| extension == "spool") {
                match Segment::open(host, &path) {
                    Ok(segment) => left.push(segment),
                    Err(SegmentError::NotOne { .. }) => {
                        (by.watch)(&Trouble::Spool { why: format!("{} is torn", path.display()) })
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        left.sort_by_key(Segment::number);
        let same_boot = Process::current().map_err(InstanceError::Process)?.boot == card.boot;
        let lost = lost(&state, &left);
        // What is added is for the trail, and little; it need not outlive this process to be added again.
        let log = Log::new(host, folder.to_owned(), Durability::Memory, config.bytes_max, left)?;
        let parts = Parts {
            producer: card.producer,
            name: card.instance,
            folder: folder.to_owned(),
            seed,
            state,
            log,
            lock,
            adopted_by: Some(by.name.clone()),
            numbered: same_boot,
        };
        let instance = Instance::of(host, by.pid, config, &by.watch, parts);
        instance.counts.dropped.fetch_add(lost.iter().map(Lost::count).sum(), Ordering::Relaxed);
        lost.into_iter().for_each(|lost| instance.losses.lock().add(lost));
        instance.ending.closing.store(true, Ordering::Release);
        Ok(Some(instance))
    }

    fn of(host: &Host, pid: u32, config: &Config, watch: &Watch, parts: Parts) -> Instance {
        let settled = parts.state.progress().settled;
        let counts = Counts { settled: AtomicU64::new(settled), ..Counts::default() };
        Instance {
            host: host.clone(),
            pid,
            producer: parts.producer,
            name: parts.name,
            folder: parts.folder,
            spool: config.spool.clone(),
            key: SigningKey::from_bytes(&parts.seed),
            state: parts.state,
            log: parts.log,
            clock: ClockQuality::new(),
            losses: Mutex::new(Losses::default()),
            counts,
            ending: Ending::default(),
            adopted_by: parts.adopted_by,
            numbered: parts.numbered,
            watch: Arc::clone(watch),
            sender: OnceLock::new(),
            asleep: AtomicBool::new(false),
            finished: Mutex::new(None),
            progress: Condvar::new(),
            _lock: parts.lock,
        }
    }

    /// Wakes the sender if it waits for records: no system call while it is at work.
    pub fn wake(&self) {
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Acquire) && self.asleep.swap(false, Ordering::AcqRel) {
            self.wake_anyway();
        }
    }

    /// Wakes the sender whatever it waits for.
    pub fn wake_anyway(&self) {
        if let Some(thread) = self.sender.get() {
            thread.unpark();
        }
    }

    /// Numbers whose records are lost.
    pub fn lose(&self, lost: Lost) {
        self.counts.dropped.fetch_add(lost.count(), Ordering::Relaxed);
        self.losses.lock().add(lost);
    }

    /// Says what goes wrong.
    pub fn tell(&self, trouble: &Trouble) {
        (self.watch)(trouble);
    }

    /// Everything is on the trail: nothing of it is left here.
    pub fn remove(&self) -> Result<(), FileError> {
        self.log.remove_all();
        let remove = |name: &str| match self.host.remove(self.folder.join(name), STEP) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        };
        // Without its card nobody takes it for an instance; the lock goes last, as others may wait for it.
        ["instance.json", "state", "key", "lock"].into_iter().try_for_each(remove)?;
        self.host.remove_dir(&self.folder, STEP)
    }
}

struct Parts {
    producer: String,
    name: String,
    folder: PathBuf,
    seed: [u8; 32],
    state: State,
    log: Log,
    lock: DurableFile,
    adopted_by: Option<String>,
    numbered: bool,
}

/// The numbers that were given away, are not settled, and of which the spool has no record.
fn lost(state: &State, left: &[Segment]) -> Vec<Lost> {
    let settled = state.progress().settled;
    let mut there: Vec<u64> = left
        .iter()
        .flat_map(|segment| segment.left_from(Segment::first()))
        .map(|frame| frame.seq)
        .filter(|seq| *seq > settled)
        .collect();
    there.sort_unstable();
    there.push(state.last().saturating_add(1));
    let mut lost = Vec::new();
    let mut next = settled + 1;
    for seq in there {
        if seq > next {
            lost.push(Lost { first: next, last: seq - 1, reason: crate::losses::Reason::Ended });
        }
        next = next.max(seq + 1);
    }
    lost
}
