//! The handle that a service holds.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use host::Host;
use record::Producer;
use reqwest::Url;
use uuid::Uuid;

use crate::adopter;
use crate::config::{Config, ConfigError, Durability, Fail};
use crate::delivery::Delivery;
use crate::entropy;
use crate::event::{Added, Event, InvalidEvent};
use crate::instance::{self, Instance, InstanceError, Watch};
use crate::log::{By, NoRoom};
use crate::losses::{Lost, Reason};
use crate::process::{self, Mark};
use crate::rebirth::Rebirth;
use crate::segment::{PAYLOAD_BYTES_MAX, SegmentError};
use crate::sender::Sender;
use crate::trouble::Trouble;

/// Puts events on record. Cloning is one reference count; any thread may use it, and a child that is forked gets an
/// instance of its own with the first record.
///
/// [`Recorder::close`] is the end of it. Without one nothing is said on the trail about the end, and the next recorder
/// with this spool goes on with what is left.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

struct Shared {
    host: Host,
    config: Config,
    base: Url,
    watch: Watch,
    current: ArcSwap<Instance>,
    rebirth: Rebirth,
}

/// Why there is no recorder.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The spool, or the thread.
    #[error("the spool in {spool} cannot be used: {cause}")]
    Instance {
        /// The folder.
        spool: String,
        /// Why.
        cause: InstanceError,
    },
}

/// Why an event was not recorded. Of these only [`RecordFailed::NotKept`] and [`RecordFailed::NotDurable`] depend on the
/// state of the machine, and they come with [`Fail::Closed`] alone.
#[derive(Debug, thiserror::Error)]
pub enum RecordFailed {
    /// It is no record.
    #[error(transparent)]
    Invalid(#[from] InvalidEvent),
    /// It is larger than a record may be.
    #[error("the event is {bytes} bytes, and may be {max}; keep what is large by its digest")]
    TooLarge {
        /// Its bytes.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// There was no room, and the loss is declared; the decision must not be acted on.
    #[error("the decision cannot be kept: {0}; it must not be acted on")]
    NotKept(&'static str),
    /// It is in the spool, and whether it would survive the machine is not known.
    #[error("the decision cannot be made durable: {0}; it must not be acted on")]
    NotDurable(SegmentError),
    /// The recorder was closed.
    #[error("the recorder is closed")]
    Closed,
    /// A child that was forked cannot have an instance of its own.
    #[error("this process was forked and cannot record: {0}")]
    Forked(InstanceError),
}

/// What has become of what was recorded, in this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Numbers given away that are neither on record nor declared yet.
    pub queued: u64,
    /// Records sent, those that were sent again included.
    pub sent: u64,
    /// Records on the trail, by a receipt that was checked.
    pub acknowledged: u64,
    /// Records that the server refused for good, put aside and declared.
    pub rejected: u64,
    /// Records lost for want of room, and declared.
    pub dropped: u64,
    /// Receipts that do not hold.
    pub breaches: u64,
    /// Records whose loss the server would not take on record either.
    pub undeclared: u64,
    /// Bytes that queue or spool take.
    pub spool_bytes: u64,
}

impl Recorder {
    /// Begins. What goes wrong later is said on stderr.
    pub fn open(config: Config) -> Result<Recorder, OpenError> {
        // Whoever reads stderr may have gone, which `eprintln` would make a panic.
        let say = |trouble: &Trouble| drop(writeln!(std::io::stderr(), "onrecord: {trouble}"));
        Recorder::open_with(&Host::system(), config, Arc::new(say))
    }

    /// Begins, on this machine. `watch` is told what goes wrong later; it must not wait, nor record.
    pub fn open_with(host: &Host, config: Config, watch: Watch) -> Result<Recorder, OpenError> {
        config.check()?;
        let base = config.base()?;
        let failed = |cause| OpenError::Instance { spool: config.spool.display().to_string(), cause };
        let instance = begin(host, &config, &base, &watch).map_err(failed)?;
        let shared = Shared {
            host: host.clone(),
            config,
            base,
            watch,
            current: ArcSwap::new(instance),
            rebirth: Rebirth::default(),
        };
        Ok(Recorder { shared: Arc::new(shared) })
    }

    /// Puts an event on record; its id, at once. Never waits, but for [`Overflow::Block`](crate::Overflow::Block) and
    /// [`Durability::Disk`]. With [`Fail::Open`] an event that finds no room is lost and declared, and this is no error.
    pub fn record(&self, event: &Event) -> Result<Uuid, RecordFailed> {
        let instance = match self.instance() {
            Err(error) if self.shared.config.fail == Fail::Open => return self.not_even_numbered(event, &error),
            instance => instance?,
        };
        if instance.ending.closing.load(Ordering::Acquire) {
            return Err(RecordFailed::Closed);
        }
        let shared = &self.shared;
        let (random, salt) = entropy::draw(&shared.host, instance.mark);
        let now_ns = shared.host.now_ns();
        let id = event.id.unwrap_or_else(|| {
            let unix_ms = u64::try_from(now_ns / 1_000_000).unwrap_or(0);
            uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid()
        });
        event.check()?;
        let seq = instance.state.next();
        let added = Added {
            id,
            salt,
            time_ns: event.time_ns.unwrap_or(now_ns),
            clock: instance.clock.clock(),
            producer: Producer {
                name: &instance.producer,
                instance: Some(&instance.name),
                seq: Some(i64::try_from(seq).unwrap_or(i64::MAX)),
            },
            sampling: None,
        };
        let encoded = event.encode(&added);
        let bytes = match encoded {
            Ok(bytes) if bytes.len() <= PAYLOAD_BYTES_MAX.min(record::Limits::DEFAULT.record_bytes) => bytes,
            encoded => {
                // The number was given away before its record's size was known.
                instance.lose(Lost { first: seq, last: seq, reason: Reason::Unfit });
                let max = record::Limits::DEFAULT.record_bytes;
                return Err(match encoded {
                    Ok(bytes) => RecordFailed::TooLarge { bytes: bytes.len(), max },
                    Err(error) => RecordFailed::Invalid(error.into()),
                });
            }
        };
        let told = |lost: Lost| instance.lose(lost);
        match instance.log.append(seq, &bytes, By::Caller(shared.config.overflow, &told)) {
            Ok(segment) => {
                instance.wake();
                match (shared.config.durability, shared.config.fail) {
                    (Durability::Disk, fail) => match instance.log.sync(&segment) {
                        Ok(()) => Ok(id),
                        Err(error) => {
                            instance.tell(&Trouble::Spool { why: error.to_string() });
                            if fail == Fail::Closed { Err(RecordFailed::NotDurable(error)) } else { Ok(id) }
                        }
                    },
                    _ => Ok(id),
                }
            }
            Err(why) => self.no_room(&instance, seq, id, &why),
        }
    }

    fn no_room(&self, instance: &Instance, seq: u64, id: Uuid, why: &NoRoom) -> Result<Uuid, RecordFailed> {
        let reason = why.reason();
        instance.lose(Lost { first: seq, last: seq, reason });
        if let NoRoom::Disk(error) = why {
            instance.tell(&Trouble::Lost { why: error.to_string() });
        }
        instance.wake();
        if self.shared.config.fail == Fail::Closed { Err(RecordFailed::NotKept(reason.text())) } else { Ok(id) }
    }

    /// A forked child has no instance yet: what is lost takes a number as soon as it has one.
    fn not_even_numbered(&self, event: &Event, error: &RecordFailed) -> Result<Uuid, RecordFailed> {
        event.check()?;
        if !matches!(error, RecordFailed::Forked(InstanceError::Still)) {
            instance::tell(&self.shared.watch, &Trouble::Lost { why: error.to_string() });
        }
        self.shared.rebirth.lost();
        Ok(event.id.unwrap_or_else(|| self.shared.host.uuid_v7()))
    }

    /// The instance of this process: after a fork the child's own.
    fn instance(&self) -> Result<Arc<Instance>, RecordFailed> {
        let mark = Mark::current();
        loop {
            let current = self.shared.current.load();
            if current.mark == mark {
                return Ok(Arc::clone(&current));
            }
            let shared = &self.shared;
            if !shared.rebirth.begin(mark, shared.host.monotonic()).map_err(RecordFailed::Forked)? {
                std::thread::yield_now();
                continue;
            }
            match begin(&shared.host, &shared.config, &shared.base, &shared.watch) {
                Ok(own) => {
                    // What was recorded before it was there is declared like everything else that is lost.
                    if let Some(count) = std::num::NonZeroU64::new(shared.rebirth.take_lost()) {
                        let first = own.state.next_of(count.get());
                        own.lose(Lost { first, last: first + (count.get() - 1), reason: Reason::Disk });
                    }
                    // The parent's is never dropped here: its files are the parent's.
                    std::mem::forget(Arc::clone(&current));
                    std::mem::forget(shared.current.swap(own));
                }
                Err(error) => {
                    shared.rebirth.failed(shared.host.monotonic());
                    return Err(RecordFailed::Forked(error));
                }
            }
        }
    }

    /// Waits until everything that was recorded before is on the trail or declared there; false if that takes longer.
    pub fn flush(&self, timeout: Duration) -> bool {
        let Ok(instance) = self.instance() else { return false };
        let until = instance.state.last();
        instance.wake_anyway();
        wait(&instance, timeout, |instance, finished| {
            finished.is_some() || instance.counts.settled.load(Ordering::Acquire) >= until
        }) && instance.counts.settled.load(Ordering::Acquire) >= until
    }

    /// Sends what is left, says on the trail that the instance is over, and ends it; call it when nothing records any more.
    /// False if that took longer: then what is in the spool's files is sent by the next recorder, and what was in memory
    /// alone is declared by it.
    pub fn close(&self, timeout: Duration) -> bool {
        let Ok(instance) = self.instance() else { return false };
        instance.ending.closing.store(true, Ordering::Release);
        instance.log.close();
        instance.wake_anyway();
        let finished = wait(&instance, timeout, |_, finished| finished.is_some());
        instance.ending.abandoned.store(true, Ordering::Release);
        instance.wake_anyway();
        finished && *instance.finished.lock() == Some(true)
    }

    /// What has become of what was recorded.
    pub fn stats(&self) -> Stats {
        let instance = self.shared.current.load();
        let count = |of: &std::sync::atomic::AtomicU64| of.load(Ordering::Relaxed);
        let counts = &instance.counts;
        Stats {
            queued: instance.state.last().saturating_sub(count(&counts.settled)),
            sent: count(&counts.sent),
            acknowledged: count(&counts.acknowledged),
            rejected: count(&counts.rejected),
            dropped: count(&counts.dropped),
            breaches: count(&counts.breaches),
            undeclared: count(&counts.undeclared),
            spool_bytes: instance.log.bytes(),
        }
    }

    /// The name of this process's instance, as it stands in its records.
    pub fn instance_name(&self) -> Result<String, RecordFailed> {
        self.instance().map(|instance| instance.name.clone())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let instance = self.current.load_full();
        if instance.mark == Mark::current() {
            instance.ending.abandoned.store(true, Ordering::Release);
            instance.log.close();
            instance.wake_anyway();
        } else {
            std::mem::forget(instance);
        }
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("producer", &self.shared.config.producer).finish_non_exhaustive()
    }
}

fn wait(instance: &Instance, timeout: Duration, done: impl Fn(&Instance, Option<bool>) -> bool) -> bool {
    let until = instance.host.monotonic().saturating_add(timeout);
    let mut finished = instance.finished.lock();
    while !done(instance, *finished) {
        let Some(left) = until.checked_sub(instance.host.monotonic()).filter(|left| !left.is_zero()) else {
            return false;
        };
        instance.progress.wait_for(&mut finished, left);
    }
    true
}

/// An instance with its sender, and a thread that goes on with what others have left.
fn begin(host: &Host, config: &Config, base: &Url, watch: &Watch) -> Result<Arc<Instance>, InstanceError> {
    let sender_error = |error: &dyn std::fmt::Display| InstanceError::Sender(error.to_string());
    process::watch_forks().map_err(InstanceError::Process)?;
    host.create_dir_all_with_mode(&config.spool, crate::segment::STEP, 0o700)?;
    let instance = Arc::new(Instance::create(host, config, base.as_str(), watch)?);
    if let Err(error) = adopter::start(&instance, config, base) {
        let _ = instance.remove();
        return Err(sender_error(&error));
    }
    let (for_sender, config_of_sender, to) = (Arc::clone(&instance), config.clone(), base.clone());
    let thread = std::thread::Builder::new().name("onrecord-sender".to_owned()).spawn(move || {
        match Delivery::new(&config_of_sender, &to) {
            Ok(delivery) => drop(Sender::new(for_sender, &config_of_sender, delivery).run()),
            Err(error) => for_sender.tell(&Trouble::Spool { why: format!("nothing can be sent: {error}") }),
        }
    });
    let thread = match thread {
        Ok(thread) => thread,
        Err(error) => {
            instance.ending.abandoned.store(true, Ordering::Release);
            // Nothing is in it; that this fails too changes nothing.
            let _ = instance.remove();
            return Err(sender_error(&error));
        }
    };
    let _ = instance.sender.set(thread.thread().clone());
    Ok(instance)
}
