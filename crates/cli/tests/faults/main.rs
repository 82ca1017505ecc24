//! T25: the real binary under faults at its real system calls, whoever makes them: ours, the Delta library's, Parquet's.
//!
//! `strace` fails a call, lies about it or kills the process there. It counts calls in each thread, so a fault of a call's
//! n-th visit can strike in several threads of one run: a disk that fails seldom fails once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::disallowed_methods, reason = "tests make files as users do")]

mod place;
mod strace;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use place::{Place, Receipts};
use strace::{Ended, Fault, Strace};

/// Threads that strike at once.
const AT_ONCE: usize = 2;

fn long() -> bool {
    std::env::var_os("ONRECORD_TEST_LONG").is_some()
}

/// What a hunt came to.
#[derive(Default)]
struct Tally {
    runs: AtomicUsize,
    struck: AtomicUsize,
    killed: AtomicUsize,
    went_on: AtomicUsize,
    /// Runs in which no call was the one that was to fail.
    idle: AtomicUsize,
    acknowledged: AtomicUsize,
    lost: AtomicUsize,
    doubled: AtomicUsize,
}

/// Every fault that a clean run has room for, each in a trail of its own: what the struck run acknowledged is there once
/// before and after recovery, the full check agrees, and everything can be sent again.
#[test]
fn whatever_system_call_fails_nothing_acknowledged_is_lost() {
    if !strace::works() {
        println!("SKIPPED: strace is missing or may not trace here; apt-get install strace, and allow ptrace");
        return;
    }
    hunt("a trail with records in lake and journal", &Place::prepared());
    if long() {
        hunt("a trail that is new", &Place::fresh());
    }
}

fn hunt(of: &str, base: &Place) {
    let mut faults = Strace::clean(&base.copy()).faults();
    let all = faults.len();
    if !long() {
        // Spread over calls and visits, some that kill and some that fail, and the same ones each time.
        let (kills, fails): (Vec<Fault>, Vec<Fault>) = faults.into_iter().partition(Fault::kills);
        let spread = |of: &[Fault], n: usize| (0..n).map(|at| of[at * of.len() / n].clone()).collect::<Vec<_>>();
        faults = [spread(&kills, 8), spread(&fails, 16)].concat();
    }
    println!("{of}: {} of {all} faults", faults.len());
    let (tally, next) = (Tally::default(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    strike(base, fault, &tally);
                }
            });
        }
    });
    // Nearly all of them must have struck, or this looks for nothing: threads do not do the same in each run.
    let kills = faults.iter().filter(|fault| fault.kills()).count();
    let (killed, idle) = (tally.killed.load(Ordering::Relaxed), tally.idle.load(Ordering::Relaxed));
    report(&tally, of);
    assert!(killed * 2 > kills, "{killed} were killed of {kills} that had to be");
    assert!(idle * 2 < faults.len(), "{idle} of {} faults met no call", faults.len());
}

fn strike(base: &Place, fault: &Fault, tally: &Tally) {
    let place = base.copy();
    let run = Strace::struck(&place, fault);
    let add = |counter: &AtomicUsize, by: usize| {
        let _before = counter.fetch_add(by, Ordering::Relaxed);
    };
    add(&tally.runs, 1);
    add(&tally.struck, run.struck);
    add(&tally.idle, usize::from(run.struck == 0));
    match run.ended {
        Ended::Killed => add(&tally.killed, 1),
        Ended::Exit(0) => add(&tally.went_on, 1),
        // A clean error, and words for it.
        Ended::Exit(code) => {
            assert!((2..=4).contains(&code) && run.err.contains("error"), "{fault}: {code} {}", run.err)
        }
    }
    assert!(!run.err.contains("panicked"), "{fault}: {}", run.err);
    assert!(run.struck > 0 || run.ended == Ended::Exit(0), "{fault}: no fault, and {:?}: {}", run.ended, run.err);
    let acknowledged = run.receipts;
    add(&tally.acknowledged, acknowledged.len());
    place.is_consistent(&format!("{fault}, as it was left"));
    let all = place.send_everything(fault);
    place.is_consistent(&format!("{fault}, recovered"));
    let lost = acknowledged.iter().filter(|(id, receipt)| all.get(*id) != Some(*receipt)).count();
    let doubled = place.records() - all.len();
    add(&tally.lost, lost);
    add(&tally.doubled, doubled);
    assert_eq!((lost, doubled), (0, 0), "{fault}: {lost} lost, {doubled} doubled");
}

fn report(tally: &Tally, what: &str) {
    let of = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    let (runs, killed, went_on) = (of(&tally.runs), of(&tally.killed), of(&tally.went_on));
    println!("{runs} runs, {killed} killed, {went_on} went on, {} met no fault", of(&tally.idle));
    let line = format!(
        "{} faults, {} acknowledged, {} lost, {} doubled: system calls on {what}\n",
        of(&tally.struck),
        of(&tally.acknowledged),
        of(&tally.lost),
        of(&tally.doubled)
    );
    print!("{line}");
    if let Some(path) = std::env::var_os("ONRECORD_TEST_FAULTS") {
        use std::io::Write as _;
        let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
}

/// Receipts by id: index and digest.
pub fn receipts(out: &str) -> Receipts {
    let mut receipts = BTreeMap::new();
    for line in out.lines() {
        // The last line of a killed process may be half a line, and the summary is none of them.
        let Ok(receipt) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        if let (Some(id), Some(index), Some(digest)) =
            (receipt["id"].as_str(), receipt["index"].as_u64(), receipt["digest"].as_str())
        {
            let twice = receipts.insert(id.to_owned(), (index, digest.to_owned()));
            assert!(twice.is_none(), "{id} has two receipts");
        }
    }
    receipts
}
