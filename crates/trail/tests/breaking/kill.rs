//! I1, I2, I4, T25: a writer under load is killed at a random moment, again and again.
//!
//! The child is this test once more, with another role: it recovers the trail, sends again what the last one had not
//! acknowledged, and goes on appending from many threads, telling the parent of every receipt and checkpoint over a
//! pipe. The parent kills it, reads what is left in the pipe, and checks the folder as the kill left it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use host::Host;
use trail::{Intake, Options, Outcome};

use crate::support::*;

const TEST: &str = "kill::a_writer_killed_at_any_moment_loses_nothing";
const THREADS: u64 = 12;
/// Kills of one trail; then a fresh one, since the check of a trail takes as long as the trail is.
const KILLS_OF_A_TRAIL: u64 = 20;

fn kills() -> u64 {
    let asked = std::env::var("ONRECORD_TEST_KILLS").ok().and_then(|count| count.parse().ok());
    asked.unwrap_or(if long() { 240 } else { 40 })
}

/// Everything happens all the time: seals, settles, new segments.
fn busy() -> Options {
    let journal = journal::Options { segment_bytes: 16 << 10, allocate_bytes: 4 << 10, ..Default::default() };
    Options {
        seal_every: Duration::from_millis(5),
        settle_every: Duration::from_millis(50),
        settle_bytes: 64 << 10,
        journal,
        ..Options::default()
    }
}

/// The number of a thread's record: its id and content follow from it, so any process can send it again.
fn number(thread: u64, at: u64) -> u64 {
    thread * 1_000_000 + at
}

/// A thread's records go in batches of one to four; where the next one begins.
fn batch_end(thread: u64, at: u64) -> u64 {
    at + 1 + Dice(number(thread, at)).roll(4)
}

// ---- the child -----------------------------------------------------------------------------------------------------

/// Recovers the trail and appends until it is killed. `role` says from where on each thread goes on.
fn write_until_killed(role: &str) {
    let fixture = Fixture::at(std::env::var("ONRECORD_TEST_FOLDER").unwrap().as_ref());
    let writer = fixture.open_as(&Host::system(), busy()).unwrap();
    say(&format!("open {}", writer.recovered().records));
    let froms: Vec<u64> = role.split(' ').map(|from| from.parse().unwrap()).collect();
    let finish = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (writer, finish) = (&writer, &finish);
        for (thread, from) in (0..).zip(froms) {
            scope.spawn(move || {
                let mut at = from;
                while !finish.load(Ordering::Relaxed) {
                    let end = batch_end(thread, at);
                    let batch = (at..end).map(|at| record(number(thread, at))).collect();
                    let outcomes = writer.append(batch, Intake::Import).unwrap();
                    let kept = |outcome: &Outcome| matches!(outcome, Outcome::Kept(_));
                    assert!(outcomes.iter().all(kept), "{outcomes:?}");
                    outcomes.iter().for_each(say_outcome);
                    say(&format!("thread {thread} {end}"));
                    at = end;
                }
            });
        }
        scope.spawn(move || {
            let mut last = 0;
            while !finish.load(Ordering::Relaxed) {
                writer.wait_sealed().unwrap();
                let note = std::fs::read(fixture.folder.checkpoint());
                if let (Ok(note), true) = (note, writer.snapshot().sealed() > last) {
                    last = writer.snapshot().sealed();
                    say(&format!("checkpoint {}", hex(&note)));
                }
                std::thread::yield_now();
            }
        });
        // The parent closes the pipe when the child may end in peace.
        let _ = std::io::stdin().read_line(&mut String::new());
        finish.store(true, Ordering::Relaxed);
    });
    writer.settle().unwrap();
    writer.close().unwrap();
    say("closed");
}

// ---- the parent ----------------------------------------------------------------------------------------------------

/// What the parent knows of one trail.
struct Hunt {
    fixture: Fixture,
    told: Told,
    /// From where on each thread's records are not acknowledged.
    froms: Vec<u64>,
    /// Sizes of the checkpoints told, which only grow.
    sealed: u64,
    dice: Dice,
}

/// What one life of a writer came to.
#[derive(Default)]
struct Life {
    recovered: Option<u64>,
    kept: u64,
    closed: bool,
}

impl Hunt {
    fn hear(&mut self, line: &str, life: &mut Life) {
        let words: Vec<&str> = said(line).unwrap_or_default().split(' ').collect();
        match words.as_slice() {
            ["open", records] => {
                let records = records.parse().unwrap();
                let acknowledged = self.told.receipts.last_key_value().map_or(0, |(index, _)| index + 1);
                assert!(records >= acknowledged, "{records} were recovered, and {acknowledged} acknowledged");
                life.recovered = Some(records);
            }
            ["kept", index, id, digest] => {
                let digest = record::Digest(unhex(digest).try_into().unwrap());
                self.told.receipt(index.parse().unwrap(), id.parse().unwrap(), digest);
                life.kept += 1;
            }
            ["thread", thread, end] => self.froms[thread.parse::<usize>().unwrap()] = end.parse().unwrap(),
            ["checkpoint", note] => {
                let note = unhex(note);
                let size = String::from_utf8_lossy(&note).lines().nth(1).unwrap().parse().unwrap();
                assert!(size >= self.sealed, "a checkpoint of {size} after one of {}", self.sealed);
                self.sealed = size;
                self.told.checkpoint(&note);
            }
            ["closed"] => life.closed = true,
            ["refused", ..] => panic!("{line}"),
            // The last line may have been cut off by the kill, and the harness says things too.
            _ => {}
        }
    }

    /// Lets a writer live until it was heard often enough, or until some time has passed, and kills it.
    fn life(&mut self, peaceful: bool) -> Life {
        let froms: Vec<String> = self.froms.iter().map(u64::to_string).collect();
        let mut child = spawn(child(TEST, &froms.join(" ")).env("ONRECORD_TEST_FOLDER", self.fixture.temp.path()));
        let (send, lines) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        let listener =
            std::thread::spawn(move || out.lines().map_while(Result::ok).for_each(|line| drop(send.send(line))));
        // One in five is killed while it starts or recovers, the others after some receipts and some time.
        let (receipts, time) = match self.dice.roll(5) {
            _ if peaceful => (40, Duration::from_secs(60)),
            0 => (0, Duration::from_micros(self.dice.roll(60_000))),
            _ => (1 + self.dice.roll(150), Duration::from_secs(60)),
        };
        let (mut life, host) = (Life::default(), Host::system());
        while let Some(rest) = time.checked_sub(host.monotonic()) {
            match lines.recv_timeout(rest) {
                Ok(line) => self.hear(&line, &mut life),
                Err(_) => break,
            }
            if receipts > 0 && life.kept >= receipts {
                break;
            }
        }
        if peaceful {
            drop(child.stdin.take());
        } else {
            let _ = lines.recv_timeout(Duration::from_micros(self.dice.roll(20_000)));
            child.kill().unwrap();
        }
        let status = child.wait().unwrap();
        listener.join().unwrap();
        lines.try_iter().for_each(|line| self.hear(&line, &mut life));
        assert!(status.success() == peaceful, "the child ended by itself: {status}");
        life
    }

    /// The folder as the kill left it agrees with all that was told, and with a sample of the checkpoints.
    fn check(&mut self, after: &str) -> BTreeMap<u64, (uuid::Uuid, record::Digest)> {
        let mut some = Told { receipts: std::mem::take(&mut self.told.receipts), checkpoints: Vec::new() };
        let all = &self.told.checkpoints;
        let first = all.len().saturating_sub(1);
        some.checkpoints
            .extend((0..6).filter(|_| first > 0).map(|_| all[self.dice.roll(first as u64) as usize].clone()));
        some.checkpoints.extend(all.last().cloned());
        let all = holds(&self.fixture.folder, &some, after);
        self.told.receipts = some.receipts;
        all
    }
}

#[test]
fn a_writer_killed_at_any_moment_loses_nothing() {
    if let Some(role) = role() {
        return write_until_killed(&role);
    }
    let seed = std::env::var("ONRECORD_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| u64::from_be_bytes(Host::system().random()));
    println!("ONRECORD_TEST_SEED={seed}");
    let (mut killed, mut in_recovery, mut records, mut checkpoints) = (0, 0, 0, 0);
    let mut count = Count::default();
    while killed < kills() {
        let fixture = Fixture::named("example.com/kill", tempfile::tempdir().unwrap());
        let froms = vec![0; THREADS as usize];
        let mut hunt = Hunt { fixture, told: Told::default(), froms, sealed: 0, dice: Dice(seed ^ killed) };
        for _ in 0..KILLS_OF_A_TRAIL.min(kills() - killed) {
            let life = hunt.life(false);
            killed += 1;
            in_recovery += u64::from(life.recovered.is_none());
            hunt.check(&format!("kill {killed} of seed {seed}"));
        }
        let life = hunt.life(true);
        assert!(life.closed);
        let all = hunt.check(&format!("the last life of seed {seed}"));
        // Every record a thread sent is there, and no other: what was not acknowledged was sent again (T8).
        let sent = (0..).zip(&hunt.froms).flat_map(|(thread, end)| (0..*end).map(move |at| id(number(thread, at))));
        let mut sent: Vec<uuid::Uuid> = sent.collect();
        let mut there: Vec<uuid::Uuid> = all.values().map(|(id, _)| *id).collect();
        sent.sort_unstable();
        there.sort_unstable();
        assert_eq!(there, sent);
        records += all.len();
        count.faults(KILLS_OF_A_TRAIL as usize, hunt.told.receipts.len());
        checkpoints += hunt.told.checkpoints.len();
    }
    println!(
        "{killed} kills, {in_recovery} of them before the trail was open; {records} records, {checkpoints} checkpoints"
    );
    count.print("kills at random");
}
