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

use crate::claim::Claim;
use crate::clock::ClockQuality;
use crate::config::{Config, Durability};
use crate::log::Log;
use crate::losses::{Losses, Lost};
use crate::process::{Mark, Process};
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
    pub mark: Mark,
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
    hold: Mutex<Option<Hold>>,
}

/// What keeps others off its folder; in this order it is let go.
struct Hold {
    _lock: DurableFile,
    _claim: Claim,
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
    /// It could not be made a moment ago, and is tried again in a moment.
    #[error("it could not a moment ago; it is tried again within a second")]
    Still,
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
        let claim = Claim::on(Mark::current(), &folder);
        let claim = claim.ok_or_else(|| InstanceError::Sender(format!("{} is held already", folder.display())))?;
        let made = Instance::create_in(host, config, target, watch, process, name, folder.clone(), claim);
        if made.is_err() {
            // A process that cannot record would leave a folder with each try.
            let _ = remove_files(host, &folder);
        }
        made
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the parts of `create`, which removes what this leaves where it fails"
    )]
    fn create_in(
        host: &Host,
        config: &Config,
        target: &str,
        watch: &Watch,
        process: Process,
        name: String,
        folder: PathBuf,
        claim: Claim,
    ) -> Result<Instance, InstanceError> {
        host.create_dir_all_with_mode(&folder, STEP, 0o700)?;
        let lock = host.create_new_with_mode(folder.join("lock"), STEP, 0o600)?;
        lock.try_lock_for_process()?;
        let hold = Hold { _lock: lock, _claim: claim };
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
        host.put_new_with_mode(folder.join("instance.json"), &text, STEP, 0o600)?;
        let producer = config.producer.clone();
        let parts = Parts { producer, name, folder, seed, state, log, hold, adopted_by: None, numbered: true };
        Ok(Instance::of(host, Mark::current(), config, watch, parts))
    }

    /// What a process that is gone has left in `folder`, if it is for this trail; what it lost is counted.
    pub fn adopt(
        by: &Instance,
        config: &Config,
        target: &str,
        folder: &Path,
        claim: Claim,
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
        let hold = Hold { _lock: lock, _claim: claim };
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
                        by.tell(&Trouble::Spool { why: format!("{} is torn", path.display()) });
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
            hold,
            adopted_by: Some(by.name.clone()),
            numbered: same_boot,
        };
        let instance = Instance::of(host, by.mark, config, &by.watch, parts);
        instance.counts.dropped.fetch_add(lost.iter().map(Lost::count).sum(), Ordering::Relaxed);
        lost.into_iter().for_each(|lost| instance.losses.lock().add(lost));
        instance.ending.closing.store(true, Ordering::Release);
        Ok(Some(instance))
    }

    fn of(host: &Host, mark: Mark, config: &Config, watch: &Watch, parts: Parts) -> Instance {
        let settled = parts.state.progress().settled;
        let counts = Counts { settled: AtomicU64::new(settled), ..Counts::default() };
        Instance {
            host: host.clone(),
            mark,
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
            hold: Mutex::new(Some(parts.hold)),
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
        tell(&self.watch, trouble);
    }

    /// Others may go on with its folder: it is over, and nobody records there any more.
    pub fn release(&self) {
        drop(self.hold.lock().take());
    }

    /// Everything is on the trail: nothing of it is left here.
    pub fn remove(&self) -> Result<(), FileError> {
        self.log.remove_all();
        remove_files(&self.host, &self.folder)
    }
}

/// Says what goes wrong. A watch that panics stops neither who records nor the sender.
pub fn tell(watch: &Watch, trouble: &Trouble) {
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| watch(trouble)));
}

/// Removes what is in the folder of an instance besides what others have put there, and the folder.
fn remove_files(host: &Host, folder: &Path) -> Result<(), FileError> {
    let remove = |path: PathBuf| match host.remove(path, STEP) {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    };
    // Without its card nobody takes it for an instance; the lock goes last, as others may wait for it.
    ["instance.json", "state", "key"].into_iter().try_for_each(|name| remove(folder.join(name)))?;
    let left = host.list(folder, STEP)?;
    let segments = left.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "spool"));
    segments.chain([folder.join("lock")]).try_for_each(remove)?;
    host.remove_dir(folder, STEP)
}

struct Parts {
    producer: String,
    name: String,
    folder: PathBuf,
    seed: [u8; 32],
    state: State,
    log: Log,
    hold: Hold,
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
