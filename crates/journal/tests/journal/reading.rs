//! Reading a journal that someone else writes.

use std::sync::atomic::{AtomicBool, Ordering};

use host::Host;
use journal::{Problem, ProblemKind, ReadError, Reading};

use crate::trail::*;

fn read(folder: &std::path::Path, from: u64) -> Result<(Reading, Records), ReadError> {
    let mut records = Records::new();
    let reading = journal::read(&Host::system(), folder, from, None, |index, bytes| {
        records.push((index, bytes.to_vec()));
        Ok(())
    })?;
    Ok((reading, records))
}

#[test]
fn a_reader_beside_a_running_writer_sees_whole_records_in_order_and_no_problem() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { journal, .. } = open(folder.path()).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for count in 1..100 {
                append(&journal, count % 17 + 1).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        let mut from = 0;
        loop {
            let last_look = done.load(Ordering::Acquire);
            let durable = journal.durable();
            let (reading, records) = read(folder.path(), from).unwrap();
            assert_eq!(reading.problems, []);
            assert!(reading.next_index >= durable, "what is durable can be read");
            assert_records(&records, from..reading.next_index);
            from = reading.next_index.saturating_sub(5);
            if last_look {
                assert_eq!(reading.next_index, journal.durable());
                break;
            }
        }
    });
}

#[test]
fn a_released_segment_is_vanished_and_not_a_problem() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { journal, .. } = open(folder.path()).unwrap();
    append(&journal, 50).unwrap();
    journal.rotate().unwrap();
    journal.release(50).unwrap();
    append(&journal, 2).unwrap();
    assert!(matches!(read(folder.path(), 10), Err(ReadError::Vanished { index: 10, .. })));
    assert_records(&read(folder.path(), 50).unwrap().1, 50..52);
}

#[test]
fn a_reader_goes_on_behind_damage_and_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { journal, .. } = open(folder.path()).unwrap();
    for _ in 0..8 {
        append(&journal, 10).unwrap();
    }
    journal.close().unwrap();
    let path = &segments(folder.path())[0];
    let mut bytes = std::fs::read(path).unwrap();
    let places = frames(&bytes);
    let (place, index) = places[4].clone();
    bytes[place.start + 40] ^= 1;
    // The last record of a segment: only the next segment proves that it was acknowledged.
    let (last_place, last_index) = places.last().unwrap().clone();
    bytes[last_place.start + 9] ^= 1;
    put(path, &bytes);

    let (reading, records) = read(folder.path(), 0).unwrap();
    let hole = |offset: usize, index, until| Problem {
        segment: path.clone(),
        offset: offset as u64,
        index,
        kind: ProblemKind::Hole { until },
    };
    assert_eq!(
        reading.problems,
        [hole(place.start, index, index + 1), hole(last_place.start, last_index, last_index + 1)]
    );
    assert!(
        reading.problems[0].to_string().contains("record 4: acknowledged records up to 5"),
        "{}",
        reading.problems[0]
    );
    let expected: Vec<u64> = (0..80).filter(|at| *at != index && *at != last_index).collect();
    assert!(records.iter().map(|(index, _)| *index).eq(expected));
    assert_eq!((reading.next_index, reading.records), (80, 78));
    assert_eq!(read(folder.path(), last_index + 1).unwrap().0.problems, []);
}

#[test]
fn a_tail_that_nothing_proves_is_no_problem() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { journal, .. } = open(folder.path()).unwrap();
    append(&journal, 3).unwrap();
    append(&journal, 3).unwrap();
    journal.close().unwrap();
    let path = &segments(folder.path())[0];
    let mut bytes = std::fs::read(path).unwrap();
    let (place, _) = frames(&bytes)[4].clone();
    bytes[place.start + 40] ^= 1;
    put(path, &bytes);
    let (reading, records) = read(folder.path(), 0).unwrap();
    assert_records(&records, 0..4);
    assert_eq!((reading.durable, reading.next_index, reading.problems.len()), (3, 4, 0));
}
