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
