//! T8: the same id again, and ids out of the idempotency window.

use host::{Fault, FaultTable, Faults, Host, ManualClock};
use trail::{AppendError, Intake, Outcome, Receipt, Refusal};
use uuid::Uuid;

use crate::support::*;

const NOON: i64 = 1_717_243_200_000_000_000;
const HOUR_NS: i64 = 3_600_000_000_000;

/// An id that was made so many hours from noon.
fn made(hours: i64, n: u64) -> Uuid {
    let ms = (NOON + hours * HOUR_NS) / 1_000_000;
    uuid::Builder::from_unix_timestamp_millis(ms as u64, &{
        let mut random = [7; 10];
        random[2..].copy_from_slice(&n.to_be_bytes());
        random
    })
    .into_uuid()
}

fn with_id(id: Uuid, value: u64) -> record::Record {
    parse(&format!(r#"{{"id":"{id}","kind":"config","time":"2024-06-01T12:00:00Z","context":{{"value":{value}}}}}"#))
}

fn receipt(outcome: &Outcome) -> &Receipt {
    match outcome {
        Outcome::Kept(receipt) => receipt,
        Outcome::Refused(refusal) => panic!("{refusal}"),
    }
}

#[test]
fn ids_out_of_the_window_are_refused_live_and_taken_from_imports() {
    let fixture = Fixture::new();
    let clock = ManualClock::at(NOON);
    let host = Host::builder().clock(clock.clone()).build();
    let writer = fixture.open_as(&host, by_hand()).unwrap();
    let ages = [-7 * 24 - 1, -7 * 24, -1, 0, 24, 25];
    let batch = || ages.iter().zip(0..).map(|(hours, n)| with_id(made(*hours, n), n)).collect::<Vec<_>>();
    let outcomes = writer.append(batch(), Intake::Live).unwrap();
    match &outcomes[0] {
        Outcome::Refused(refusal @ Refusal::TooOld { age_h: 169, window_h: 168, .. }) => {
            assert!(refusal.to_string().contains("leave the id out, or import the record"), "{refusal}");
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(outcomes[5], Outcome::Refused(Refusal::TooNew { ahead_h: 25, .. })), "{outcomes:?}");
    let indices: Vec<u64> = outcomes[1..5].iter().map(|outcome| receipt(outcome).index).collect();
    assert_eq!(indices, [0, 1, 2, 3], "the others are not held up");
    let imported = writer.append(batch(), Intake::Import).unwrap();
    let again: Vec<(u64, bool)> =
        imported.iter().map(|outcome| (receipt(outcome).index, receipt(outcome).again)).collect();
    assert_eq!(again, [(4, false), (0, true), (1, true), (2, true), (3, true), (5, false)]);
    // What is on record is acknowledged again however old its id has become, also once it is settled.
    writer.settle().unwrap();
    clock.set(NOON + 30 * 24 * HOUR_NS);
    let late = writer.append(batch(), Intake::Live).unwrap();
    assert!(late.iter().all(|outcome| receipt(outcome).again), "{late:?}");
    let changed = writer.append(vec![with_id(made(0, 3), 99)], Intake::Live).unwrap();
    assert!(matches!(changed[0], Outcome::Refused(Refusal::Conflict { index: 2, .. })), "{changed:?}");
    assert_eq!(writer.status().records, 6);
    writer.close().unwrap();
    assert_eq!(all(&fixture.folder).len(), 6);
}

#[test]
fn the_same_id_twice_in_a_batch_is_one_record_or_a_conflict() {
    let fixture = Fixture::new();
    let writer = fixture.open();
    let id = made(0, 1);
    let outcomes = writer.append(vec![with_id(id, 1), with_id(id, 1), with_id(id, 2)], Intake::Import).unwrap();
    let (first, second) = (receipt(&outcomes[0]), receipt(&outcomes[1]));
    assert_eq!((first.index, first.again, second.index, second.again), (0, false, 0, true));
    // The server made the salt: whoever hears of the record a second time gets the same one.
    assert!(first.salt.is_some() && first.salt == second.salt && first.digest == second.digest);
    assert!(matches!(outcomes[2], Outcome::Refused(Refusal::Conflict { index: 0, .. })));
    assert_eq!(writer.status().records, 1);
    writer.close().unwrap();
}

/// Holds up the journal's fsync until it is let go.
struct Gate {
    shut: parking_lot::Mutex<bool>,
    changed: parking_lot::Condvar,
    waiting: std::sync::atomic::AtomicBool,
}

impl Faults for Gate {
    fn at(&self, point: &str) -> Option<Fault> {
        if point == "journal.fdatasync" {
            let mut shut = self.shut.lock();
            while *shut {
                self.waiting.store(true, std::sync::atomic::Ordering::SeqCst);
                self.changed.wait(&mut shut);
            }
        }
        None
    }
}

/// I1: a duplicate of a record that is staged and not durable is not acknowledged before that record is.
#[test]
fn a_duplicate_waits_for_the_first_to_be_durable() {
    use std::sync::atomic::Ordering::SeqCst;
    let fixture = Fixture::new();
    let gate = std::sync::Arc::new(Gate { shut: false.into(), changed: Default::default(), waiting: false.into() });
    let host = Host::builder().faults(gate.clone()).build();
    let writer = fixture.open_as(&host, by_hand()).unwrap();
    *gate.shut.lock() = true;
    let first = writer.stage(vec![with_id(made(0, 1), 1)], Intake::Import).unwrap();
    while !gate.waiting.load(SeqCst) {
        std::thread::yield_now();
    }
    let answered = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let second = scope.spawn(|| {
            let ticket = writer.stage(vec![with_id(made(0, 1), 1)], Intake::Import).unwrap();
            // A conflict is an answer about that record too.
            let conflict = writer.stage(vec![with_id(made(0, 1), 2)], Intake::Import).unwrap();
            let outcomes = (ticket.wait().unwrap(), conflict.wait().unwrap());
            answered.store(true, SeqCst);
            outcomes
        });
        // A third batch is sequenced after the duplicate; by then the duplicate was answered if it ever would be.
        let third = writer.stage(vec![with_id(made(0, 3), 3)], Intake::Import).unwrap();
        for _ in 0..1_000 {
            std::thread::yield_now();
            assert!(!answered.load(SeqCst), "acknowledged while nothing is durable");
        }
        assert_eq!((writer.status().records, writer.snapshot().end()), (0, 0));
        *gate.shut.lock() = false;
        gate.changed.notify_all();
        let (again, conflict) = second.join().unwrap();
        assert_eq!((receipt(&again[0]).index, receipt(&again[0]).again), (0, true));
        assert!(matches!(conflict[0], Outcome::Refused(Refusal::Conflict { index: 0, .. })));
        assert_eq!(receipt(&third.wait().unwrap()[0]).index, 1);
    });
    assert!(!receipt(&first.wait().unwrap()[0]).again);
    writer.close().unwrap();
}

/// T25: the digest of a settled decision cannot be read. Whoever sends a late fact about it is told, nothing is taken,
/// nothing stops; sent again, the fact is stamped with that digest.
#[test]
fn a_decision_that_cannot_be_looked_up_is_told_and_stops_nobody() {
    for point in ["look-up.open", "look-up.read"] {
        let fixture = Fixture::new();
        let writer = fixture.open_as(&Host::system(), by_hand()).unwrap();
        let decision = receipt(&writer.append(records(5..6), Intake::Import).unwrap()[0]).digest;
        writer.settle().unwrap();
        writer.close().unwrap();
        // The next writer has not settled it itself, and so does not remember its digest.
        let host = Host::builder().faults(FaultTable::one(point, 1, Fault::FailBefore(5))).build();
        let writer = fixture.open_as(&host, by_hand()).unwrap();
        let error = writer.append(records(6..7), Intake::Import).unwrap_err();
        assert!(matches!(&error, AppendError::Lookup(_)), "{point}: {error}");
        assert_eq!(
            (writer.status().records, writer.stopped().map(|stopped| stopped.to_string())),
            (1, None),
            "{point}"
        );
        let outcomes = writer.append(records(6..7), Intake::Import).unwrap();
        assert_eq!(receipt(&outcomes[0]).stamp.about_digest, Some(decision.0), "{point}");
        writer.close().unwrap();
        assert!(fixture.check(&[]).verdict.is_good());
    }
}
