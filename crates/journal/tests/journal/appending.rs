//! Appending: order, limits, rotation and release, and what a stopped journal says.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use host::{Fault, FaultTable, Faults, Host};
use journal::{Delivery, Journal, Options, StageError, StopCause};

use crate::trail::*;

#[test]
fn what_was_appended_comes_back_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { journal, recovery, records } = open(folder.path()).unwrap();
    assert_eq!((recovery.next_index, records.len(), recovery.segments), (0, 0, 0));
    assert_eq!(append(&journal, 3).unwrap(), 0..3);
    assert_eq!(append(&journal, 40).unwrap(), 3..43);
    assert_eq!((journal.durable(), journal.next_index()), (43, 43));
    journal.close().unwrap();

    let again = open_with(&Host::system(), folder.path(), small(), 0, 43).unwrap();
    assert_records(&again.records, 0..43);
    assert_eq!((again.recovery.next_index, again.recovery.records, again.recovery.torn_tail), (43, 43, None));
    assert_eq!(append(&again.journal, 1).unwrap(), 43..44);
    drop(again.journal);
    assert_records(&open(folder.path()).unwrap().records, 0..44);
}

#[test]
fn opening_again_and_again_leaves_one_empty_segment() {
    let folder = tempfile::tempdir().unwrap();
    append(&open(folder.path()).unwrap().journal, 2).unwrap();
    for _ in 0..3 {
        assert_records(&open(folder.path()).unwrap().records, 0..2);
    }
    assert_eq!(segments(folder.path()).len(), 2);
}

#[test]
fn many_appenders_get_dense_indices_and_are_told_in_order() {
    const THREADS: u64 = 64;
    const EACH: u64 = 50;
    let folder = tempfile::tempdir().unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let delivered = Arc::clone(&order);
    let deliver = move |delivery: Delivery<(u64, mpsc::Sender<()>)>| match delivery {
        Delivery::Committed { first_index, next_index, cargo } => {
            delivered.lock().unwrap().push((
                first_index,
                next_index,
                cargo.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
            ));
            cargo.into_iter().for_each(|(_, done)| done.send(()).unwrap());
        }
        Delivery::Failed { stopped, .. } => panic!("{stopped}"),
    };
    let host = Host::system();
    let options = Options { segment_bytes: 64 << 10, ..small() };
    let (journal, _) = Journal::open(&host, folder.path(), options, 0, 0, |_, _| Ok(()), deliver).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let journal = &journal;
            scope.spawn(move || {
                for n in 0..EACH {
                    let (done, wait) = mpsc::channel();
                    let id = thread * EACH + n;
                    let indices = journal.stage(&[&id.to_le_bytes()], (id, done)).unwrap();
                    wait.recv().unwrap();
                    assert!(journal.durable() >= indices.end);
                }
            });
        }
    });
    journal.close().unwrap();

    let mut on_disk = Vec::new();
    journal::read(&host, folder.path(), 0, None, |index, bytes| {
        assert_eq!(index, on_disk.len() as u64);
        on_disk.push(u64::from_le_bytes(bytes.try_into().unwrap()));
        Ok(())
    })
    .unwrap();
    let groups = order.lock().unwrap();
    assert!(groups.windows(2).all(|pair| pair[0].1 == pair[1].0), "each group begins where the last one ended");
    let told: Vec<u64> = groups.iter().flat_map(|(_, _, ids)| ids.clone()).collect();
    assert_eq!(told, on_disk, "the order of delivery is the order on disk");
    let mut all = told;
    all.sort_unstable();
    assert!(all.into_iter().eq(0..THREADS * EACH));
}

#[test]
fn a_batch_that_is_dropped_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { journal, .. } = open(folder.path()).unwrap();
    let mut batch = journal.begin().unwrap();
    batch.push(b"never").unwrap();
    drop(batch);
    assert_eq!(append(&journal, 2).unwrap(), 0..2);
    drop(journal);
    assert_records(&open(folder.path()).unwrap().records, 0..2);
}

#[test]
fn a_closure_that_panics_or_writes_nothing_leaves_the_batch_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { journal, .. } = open(folder.path()).unwrap();
    let (ticket, answer) = mpsc::channel();
    let mut batch = journal.begin().unwrap();
    batch.push(&payload(0)).unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = batch.push_with(|buffer| {
            buffer.extend_from_slice(b"half");
            panic!("on purpose");
        });
    }));
    assert!(panicked.is_err());
    assert!(matches!(batch.push_with(|_| ()), Err(StageError::FrameEmpty)));
    assert_eq!(batch.push(&payload(1)).unwrap(), 1);
    batch.stage(ticket).unwrap();
    answer.recv().unwrap().unwrap();
    drop(journal);
    assert_records(&open(folder.path()).unwrap().records, 0..2);
}

#[test]
fn what_is_too_long_is_an_error_that_names_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { journal, .. } = open(folder.path()).unwrap();
    let mut batch = journal.begin().unwrap();
    let error = batch.push(&vec![1; (32 << 10) + 1]).unwrap_err();
    assert!(matches!(error, StageError::FrameTooLong { bytes: 32_769, max: 32_768 }));
    assert!(error.to_string().contains("frame_bytes_max"), "{error}");
    batch.push(&vec![1; 32 << 10]).unwrap();
    let error = batch.push(&vec![1; 32 << 10]).unwrap_err();
    assert!(matches!(error, StageError::BatchTooLong { .. }), "{error}");
    drop(batch);
    assert_eq!(append(&journal, 1).unwrap(), 0..1);

    let options = Options { frame_bytes_max: 1 << 20, ..small() };
    let error = open_with(&Host::system(), folder.path(), options, 0, 0).err().unwrap();
    assert!(error.to_string().contains("frame_bytes_max is 1048576 bytes; it must be from 1 to"), "{error}");
}

#[test]
fn a_group_longer_than_a_segment_is_written_whole() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { journal, .. } = open(folder.path()).unwrap();
    append(&journal, 200).unwrap();
    append(&journal, 200).unwrap();
    drop(journal);
    assert_eq!(segments(folder.path()).len(), 2);
    assert_records(&open(folder.path()).unwrap().records, 0..400);
}

#[test]
fn after_a_settle_of_everything_one_fresh_segment_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { journal, .. } = open(folder.path()).unwrap();
    for _ in 0..10 {
        append(&journal, 20).unwrap();
    }
    assert!(segments(folder.path()).len() > 3);
    let backlog = journal.backlog_bytes();
    assert!(backlog > 200 * 100, "{backlog}");

    let before = journal.release(100).unwrap();
    assert!(before.segments > 0 && before.bytes > 0);
    assert_eq!(journal.backlog_bytes(), backlog - before.bytes);
    journal.rotate().unwrap();
    journal.rotate().unwrap();
    journal.release(200).unwrap();
    assert_eq!(segments(folder.path()), [folder.path().join("00000000000000000200.journal")]);
    assert_eq!(journal.backlog_bytes(), 64);
    assert_eq!(journal.release(200).unwrap().segments, 0);

    assert_eq!(append(&journal, 5).unwrap(), 200..205);
    drop(journal);
    let again = open_with(&Host::system(), folder.path(), small(), 200, 205).unwrap();
    assert_records(&again.records, 200..205);
}

#[test]
fn only_records_from_the_floor_on_are_visited() {
    let folder = tempfile::tempdir().unwrap();
    append(&open(folder.path()).unwrap().journal, 50).unwrap();
    let again = open_with(&Host::system(), folder.path(), small(), 30, 50).unwrap();
    assert_records(&again.records, 30..50);
    drop(again);
    // A journal that ends below the floor goes on at the floor: what is missing is settled elsewhere.
    let ahead = open_with(&Host::system(), folder.path(), small(), 70, 0).unwrap();
    assert_eq!((ahead.recovery.next_index, ahead.records.len()), (70, 0));
    assert_eq!(append(&ahead.journal, 2).unwrap(), 70..72);
    drop(ahead);
    assert_records(&open_with(&Host::system(), folder.path(), small(), 70, 72).unwrap().records, 70..72);
}

/// Stands at the first fdatasync until it is let go, with what is to happen there.
struct Gate {
    arrived: Mutex<mpsc::Sender<()>>,
    go: Mutex<mpsc::Receiver<Option<Fault>>>,
}

impl Faults for Gate {
    fn at(&self, point: &str) -> Option<Fault> {
        if point != "journal.fdatasync" {
            return None;
        }
        // When the test has gone, the gate stands open.
        let _ = self.arrived.lock().unwrap().send(());
        self.go.lock().unwrap().recv().unwrap_or(None)
    }
}

fn gated() -> (Host, mpsc::Receiver<()>, mpsc::Sender<Option<Fault>>) {
    let (arrived, at_gate) = mpsc::channel();
    let (open_gate, go) = mpsc::channel();
    let gate = Gate { arrived: Mutex::new(arrived), go: Mutex::new(go) };
    (Host::builder().faults(gate).build(), at_gate, open_gate)
}

#[test]
fn a_full_queue_says_so_or_waits() {
    let folder = tempfile::tempdir().unwrap();
    let (host, at_gate, open_gate) = gated();
    let Opened { journal, .. } = open_with(&host, folder.path(), small(), 0, 0).unwrap();
    let (ticket, answer) = mpsc::channel();
    journal.stage(&[b"first"], ticket.clone()).unwrap();
    at_gate.recv().unwrap();
    let big = vec![7; 32 << 10];
    let mut staged = 1;
    while let Ok(mut batch) = journal.try_begin() {
        batch.push(&big).unwrap();
        batch.stage(ticket.clone()).unwrap();
        staged += 1;
    }
    assert!(matches!(journal.try_begin(), Err(StageError::Full { max: 65_536, .. })));
    assert_eq!(staged, 1 + 2);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| journal.stage(&[b"waited"], ticket.clone()).unwrap());
        drop(open_gate);
        assert_eq!(waits.join().unwrap(), 3..4);
    });
    for _ in 0..=staged {
        answer.recv().unwrap().unwrap();
    }
}

#[test]
fn a_failed_fsync_stops_the_journal_for_ever_and_everyone_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (host, at_gate, open_gate) = gated();
    let Opened { journal, .. } = open_with(&host, folder.path(), small(), 0, 0).unwrap();
    let (first, first_answer) = mpsc::channel();
    let (second, second_answer) = mpsc::channel();
    journal.stage(&[b"in the group that fails"], first).unwrap();
    at_gate.recv().unwrap();
    journal.stage(&[b"staged behind it"], second).unwrap();
    assert!(first_answer.try_recv().is_err(), "nothing is told before the fsync");
    open_gate.send(Some(Fault::FailAfter(5))).unwrap();
    let stopped = first_answer.recv().unwrap().unwrap_err();
    assert!(stopped.to_string().contains("takes no more records"), "{stopped}");
    assert!(stopped.to_string().contains("cannot fsync"), "{stopped}");
    assert!(matches!(&*stopped.cause, StopCause::File(error) if error.raw_os_error() == Some(5)));
    second_answer.recv().unwrap().unwrap_err();

    assert!(matches!(journal.stage(&[b"x"], mpsc::channel().0), Err(StageError::Stopped(_))));
    journal.rotate().unwrap_err();
    journal.release(0).unwrap_err();
    assert_eq!(journal.durable(), 0);
    journal.close().unwrap_err();
}

#[test]
fn a_disk_that_is_full_stops_the_journal_and_the_next_opening_goes_on() {
    for point in ["allocate", "write"] {
        let folder = tempfile::tempdir().unwrap();
        let table = FaultTable::one(&format!("journal.{point}"), 2, Fault::ShortWrite(28));
        let host = Host::builder().faults(table).build();
        let Opened { journal, .. } = open_with(&host, folder.path(), small(), 0, 0).unwrap();
        let error = append(&journal, 100).unwrap_err();
        assert!(error.contains("No space left on device") && error.contains("free space"), "{error}");
        assert!(append(&journal, 1).unwrap_err().contains("has stopped"));
        drop(journal);
        let again = open(folder.path()).unwrap();
        let kept = again.recovery.next_index;
        assert!(kept < 100);
        assert_eq!(append(&again.journal, 1).unwrap(), kept..kept + 1);
    }
}

#[test]
fn a_deliver_that_panics_stops_the_journal_and_nobody_waits_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let deliver = |_: Delivery<mpsc::Sender<()>>| panic!("on purpose");
    let options = small();
    let (journal, _) = Journal::open(&Host::system(), folder.path(), options, 0, 0, |_, _| Ok(()), deliver).unwrap();
    let (ticket, answer) = mpsc::channel();
    journal.stage(&[b"x"], ticket).unwrap();
    assert!(answer.recv().is_err(), "the ticket was dropped");
    let stopped = journal.rotate().unwrap_err();
    assert!(matches!(*stopped.cause, StopCause::DeliverPanicked));
}

#[test]
fn a_closure_that_shortens_the_buffer_stops_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { journal, .. } = open(folder.path()).unwrap();
    let (ticket, answer) = mpsc::channel();
    let mut batch = journal.begin().unwrap();
    batch.push(b"mine").unwrap();
    assert!(matches!(batch.push_with(Vec::clear), Err(StageError::Stopped(_))));
    assert!(matches!(batch.stage(ticket), Err(StageError::Stopped(_))));
    assert!(answer.recv().is_err());
    assert!(matches!(*journal.close().unwrap_err().cause, StopCause::BufferShortened));
    assert_eq!(open(folder.path()).unwrap().records.len(), 0);
}

#[test]
fn a_batch_of_no_records_comes_back_when_all_before_it_is_durable() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { journal, .. } = open(folder.path()).unwrap();
    let (ticket, answer) = mpsc::channel();
    journal.stage(&[b"one"], ticket.clone()).unwrap();
    assert_eq!(journal.stage(&[], ticket).unwrap(), 1..1);
    answer.recv().unwrap().unwrap();
    answer.recv().unwrap().unwrap();
    assert_eq!(journal.durable(), 1);
}
