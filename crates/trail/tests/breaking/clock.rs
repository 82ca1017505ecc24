//! T7, T30: the wall clock jumps. `received` never goes back, and sealing and settling go on by monotonic time.

use std::time::Duration;

use host::{Host, ManualClock};
use trail::{Intake, Options, Verdict};

use crate::support::*;

/// 2024-06-01T12:00:00Z.
const NOON: i64 = 1_717_243_200_000_000_000;
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn received_never_goes_back_and_work_goes_on() {
    let fixture = Fixture::new();
    let clock = ManualClock::at(NOON);
    let host = Host::builder().clock(clock.clone()).build();
    let options =
        Options { seal_every: Duration::from_millis(100), settle_every: Duration::from_secs(60), ..by_hand() };
    let writer = fixture.open_as(&host, options.clone()).unwrap();
    let mut at = 0;
    let mut append = |writer: &trail::Writer| {
        let outcomes = writer.append(records(at..at + 3), Intake::Import).unwrap();
        at += 3;
        outcomes
    };
    let seal = |writer: &trail::Writer| {
        while writer.status().sealed < writer.status().records {
            clock.advance(Duration::from_millis(20));
            std::thread::yield_now();
        }
    };
    let turns: [&dyn Fn(); 6] = [
        &|| clock.step_back(24 * HOUR),
        &|| clock.set(i64::MIN),
        &|| clock.advance(HOUR),
        &|| clock.set(NOON + 5),
        &|| clock.set(NOON - 1),
        &|| clock.set(0),
    ];
    for turn in turns {
        append(&writer);
        turn();
        append(&writer);
        // Only monotonic time brings the seal and the settle about, whatever the wall clock says by then.
        seal(&writer);
        while writer.status().settled < writer.status().sealed {
            assert_eq!(writer.status().settle_error, None);
            clock.advance(Duration::from_secs(1));
            std::thread::yield_now();
        }
    }
    // A restart does not forget how far `received` had come: from the lake alone, then from the journal.
    writer.close().unwrap();
    clock.set(NOON - 1_000_000);
    for _ in 0..2 {
        let writer = fixture.open_as(&host, options.clone()).unwrap();
        append(&writer);
        seal(&writer);
        writer.close().unwrap();
    }
    let reader = trail::Reader::new(&Host::system(), &fixture.folder).snapshot().unwrap();
    let received: Vec<i64> =
        (0..reader.end()).map(|index| reader.get(index).unwrap().unwrap().stored.stamp.received).collect();
    assert!(received.is_sorted(), "{received:?}");
    assert_eq!((received.len() as u64, received[0]), (at, NOON));
    assert_eq!(fixture.check(&[fixture.pin()]).verdict, Verdict::Valid, "the check compares them too (T7)");
}

/// An extreme clock is no reason to stop: the stamps saturate.
#[test]
fn a_clock_at_the_ends_of_time_breaks_nothing() {
    for now in [i64::MIN, -1, 0, i64::MAX] {
        let fixture = Fixture::new();
        let host = Host::builder().clock(ManualClock::at(now)).build();
        let writer = fixture.open_as(&host, by_hand()).unwrap();
        let outcomes = writer.append(records(0..5), Intake::Live).unwrap();
        assert_eq!(outcomes.len(), 5);
        writer.append(vec![parse(r#"{"kind":"config","context":{"a":1}}"#)], Intake::Live).unwrap();
        writer.settle().unwrap();
        writer.close().unwrap();
        assert_eq!(fixture.check(&[]).verdict, Verdict::Consistent, "at {now}");
    }
}

/// A clock that shows another time at each look: what a bad time server, a resumed machine and a wrong battery make of it.
struct Jitter {
    dice: parking_lot::Mutex<Dice>,
    edges: bool,
    running: host::SystemClock,
}

impl host::Clock for Jitter {
    fn now_ns(&self) -> i64 {
        let mut dice = self.dice.lock();
        let hours = (1 + dice.roll(24 * 365)) as i64 * 3_600_000_000_000;
        match dice.roll(if self.edges { 10 } else { 6 }) {
            0 => NOON - hours,
            1 => NOON + hours,
            6 => i64::MIN,
            7 => i64::MAX,
            8 => -1,
            9 => 0,
            _ => NOON + dice.roll(2_000_000) as i64 - 1_000_000,
        }
    }

    fn monotonic(&self) -> Duration {
        self.running.monotonic()
    }
}

/// Appends from many threads, seals and settles under a clock that is never right: `received` never goes back, and all
/// work goes on.
#[test]
fn under_a_clock_that_is_never_right_everything_goes_on() {
    for (seed, edges) in (0..if long() { 40 } else { 4 }).zip([false, true].into_iter().cycle()) {
        let fixture = Fixture::new();
        let clock = Jitter { dice: parking_lot::Mutex::new(Dice(seed)), edges, running: host::SystemClock::new() };
        let host = Host::builder().clock(clock).build();
        let (seal_every, settle_every) = (Duration::from_millis(1), Duration::from_millis(10));
        let options = Options { seal_every, settle_every, ..by_hand() };
        let writer = fixture.open_as(&host, options).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let writer = &writer;
                scope.spawn(move || {
                    for at in (0..60).step_by(3) {
                        let first = thread * 1_000 + at;
                        writer.append(records(first..first + 3), Intake::Import).unwrap();
                    }
                });
            }
        });
        writer.wait_sealed().unwrap();
        // Brought about by the writer itself, whatever the wall clock says.
        while writer.status().settled < 240 {
            assert_eq!((writer.status().settle_error, writer.stopped().is_some()), (None, false));
            std::thread::yield_now();
        }
        writer.close().unwrap();
        let reader = trail::Reader::new(&Host::system(), &fixture.folder).snapshot().unwrap();
        let received: Vec<i64> =
            (0..reader.end()).map(|index| reader.get(index).unwrap().unwrap().stored.stamp.received).collect();
        assert!(received.len() == 240 && received.is_sorted(), "seed {seed}: {received:?}");
        assert_eq!(fixture.check(&[fixture.pin()]).verdict, Verdict::Valid, "seed {seed}");
    }
}
