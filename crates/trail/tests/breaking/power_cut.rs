//! I1, I2, I4, I5, T25: the power fails at any moment, and of what no fsync covers any part is left. What was
//! acknowledged by then is there, once, under every checkpoint that was ever seen. [`host::PowerCut`] says what is
//! assumed of the disk.

use std::path::Path;
use std::sync::Arc;

use host::{EffectLog, Host, PowerCut};
use record::Record;
use trail::{InitError, Intake, Outcome, Writer};

use crate::support::*;

const ORIGIN: &str = "example.com/power";

/// All records that a life sends.
fn sent() -> Vec<Record> {
    let json = |n| if (20..40).contains(&n) { json_with(n, "region") } else { json(n) };
    (0..60).map(|n| parse(&json(n))).collect()
}

/// What a compaction replaced goes at once.
fn options() -> trail::Options {
    trail::Options { clean_grace: std::time::Duration::ZERO, ..by_hand() }
}

/// A life on record, and when the world was told what.
struct Life {
    log: Arc<EffectLog>,
    acknowledged: Vec<(usize, Vec<Outcome>)>,
}

impl Life {
    /// Lives in the fixture's folder, from whatever is there on.
    fn lead(fixture: &Fixture, live: impl FnOnce(&mut Life, &Host)) -> Life {
        let log = Arc::new(EffectLog::under(fixture.temp.path()).unwrap());
        let host = Host::builder().effects(Arc::clone(&log)).build();
        let mut life = Life { log, acknowledged: Vec::new() };
        live(&mut life, &host);
        life
    }

    fn append(&mut self, writer: &Writer, records: &[Record]) {
        for some in records.chunks(4) {
            let outcomes = writer.append(some.to_vec(), Intake::Import).unwrap();
            self.acknowledged.push((self.log.len(), outcomes));
        }
    }

    /// What was told by a cut, on top of what was told before this life: every receipt, and every checkpoint that stood
    /// there for anyone to read.
    fn told(&self, before: &Told, at: usize) -> Told {
        let mut told = before.clone();
        self.acknowledged.iter().filter(|(then, _)| *then <= at).for_each(|(_, outcomes)| told.outcomes(outcomes));
        self.log.shown(Path::new("trail/checkpoint"), at).iter().for_each(|note| told.checkpoint(note));
        told
    }
}

/// Makes a trail; appends, seals, settles and compacts; ends, comes back, and goes on; twice with new columns. The log of its
/// lake gets checkpoints, and loses what is older.
fn whole_life(fixture: &Fixture) -> Life {
    let sent = sent();
    Life::lead(fixture, |life, host| {
        fixture.init(host, ORIGIN).unwrap();
        let writer = fixture.open_as(host, options()).unwrap();
        life.append(&writer, &sent[..12]);
        writer.wait_sealed().unwrap();
        life.append(&writer, &sent[12..20]);
        writer.settle().unwrap();
        life.append(&writer, &sent[20..36]);
        writer.settle().unwrap();
        assert_eq!(writer.compact().unwrap().checkpoint, Some(3));
        life.append(&writer, &sent[36..44]);
        // Ends without a word: what is not sealed yet is not sealed now.
        drop(writer);
        let writer = fixture.open_as(host, options()).unwrap();
        life.append(&writer, &sent[44..52]);
        writer.close().unwrap();
        let writer = fixture.open_as(host, options()).unwrap();
        life.append(&writer, &sent[52..60]);
        writer.settle().unwrap();
        let compacted = writer.compact().unwrap();
        assert_eq!((compacted.checkpoint, compacted.log_removed), (Some(5), 3));
        writer.close().unwrap();
    })
}

/// The state that a cut leaves, in a folder of its own.
fn after(cut: &PowerCut, log: &EffectLog) -> Fixture {
    let fixture = Fixture::empty(fast_temp());
    cut.leave(log, fixture.temp.path()).unwrap();
    fixture
}

/// Whatever is left recovers, holds all that was told, and goes on; a trail that was not made yet can be made.
fn recovers_after(cut: &PowerCut, log: &EffectLog, mut told: Told) {
    let fixture = after(cut, log);
    made(&Host::system(), &fixture, &told);
    recovers(&fixture, &mut told, &sent(), "a power cut");
}

fn made(host: &Host, fixture: &Fixture, told: &Told) {
    match fixture.init(host, ORIGIN) {
        Err(InitError::Exists(_)) => {}
        Ok(_) => assert!(told.receipts.is_empty() && told.checkpoints.is_empty(), "made over a trail"),
        Err(error) => panic!("{error}"),
    }
}

/// Does `check` for a cut; when it fails, finds the smallest loss that makes it fail, and says which.
fn with(cut: &PowerCut, log: &EffectLog, seed: u64, check: &dyn Fn(&PowerCut)) {
    let fails = |cut: &PowerCut| std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(cut))).is_err();
    if !fails(cut) {
        return;
    }
    let mut smallest = cut.clone();
    while let Some(simpler) = smallest.simpler().into_iter().find(fails) {
        smallest = simpler;
    }
    println!("ONRECORD_TEST_SEED={seed}: {}", smallest.describe(log));
    check(&smallest);
    panic!("a power cut that breaks the trail now and then: {}", cut.describe(log));
}

fn seed() -> u64 {
    let asked = std::env::var("ONRECORD_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = asked.unwrap_or_else(|| u64::from_be_bytes(Host::system().random()));
    println!("ONRECORD_TEST_SEED={seed}");
    seed
}

/// The log sees all that is done: what a library did behind the host's back would be missing here.
#[test]
fn nothing_is_done_to_a_trail_that_is_not_on_record() {
    let fixture = Fixture::empty(fast_temp());
    let life = whole_life(&fixture);
    let same = after(&PowerCut::of_nothing(&life.log), &life.log);
    assert_eq!(same.files(), fixture.files());
    for file in fixture.files() {
        assert!(same.read(&file) == fixture.read(&file), "{}", file.display());
    }
}

/// At every moment nothing but what is durable is left, or in the ordinary run at every few; and at moments drawn, any
/// part of the rest.
#[test]
fn a_power_cut_at_any_moment_loses_nothing_acknowledged() {
    let mut dice = Dice(seed());
    let fixture = Fixture::empty(fast_temp());
    let life = whole_life(&fixture);
    let log = &life.log;
    let (step, drawn) = if long() { (1, 2_000) } else { (29, 50) };
    let mut count = Count::default();
    let mut check = |cut: &PowerCut, seed: u64| {
        let told = life.told(&Told::default(), cut.at());
        count.faults(1, told.receipts.len());
        with(cut, log, seed, &|cut| recovers_after(cut, log, told.clone()));
    };
    let first = dice.roll(step);
    for at in (first..=log.len() as u64).step_by(step as usize) {
        check(&PowerCut::of_all(log, at as usize), dice.0);
    }
    for _ in 0..drawn {
        let (seed, at) = (dice.0, dice.roll(log.len() as u64 + 1) as usize);
        check(&PowerCut::drawn(log, at, &mut |below| dice.roll(below)), seed);
    }
    count.print("power cuts");
}

/// The power fails again, while the trail recovers from the first time or soon after.
#[test]
fn a_power_cut_during_recovery_loses_nothing_acknowledged() {
    let mut dice = Dice(seed());
    let fixture = Fixture::empty(fast_temp());
    let life = whole_life(&fixture);
    let (firsts, seconds) = if long() { (100, 6) } else { (6, 3) };
    let mut count = Count::default();
    for _ in 0..firsts {
        let (seed, at) = (dice.0, dice.roll(life.log.len() as u64 + 1) as usize);
        let first = PowerCut::drawn(&life.log, at, &mut |below| dice.roll(below));
        let told = life.told(&Told::default(), at);
        let fixture = after(&first, &life.log);
        let again = Life::lead(&fixture, |again, host| {
            made(host, &fixture, &told);
            let writer = fixture.open_as(host, options()).unwrap();
            again.append(&writer, &sent()[..30]);
            writer.settle().unwrap();
            again.append(&writer, &sent()[30..]);
            writer.close().unwrap();
        });
        for _ in 0..seconds {
            let at = dice.roll(again.log.len() as u64 + 1) as usize;
            let second = PowerCut::drawn(&again.log, at, &mut |below| dice.roll(below));
            let told = again.told(&told, at);
            count.faults(2, told.receipts.len());
            with(&second, &again.log, seed, &|second| recovers_after(second, &again.log, told.clone()));
        }
    }
    count.print("power cuts during recovery");
}
