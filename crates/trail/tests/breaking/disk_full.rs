//! I1, T25: the disk is full. Everyone who waits is told so, clearly, and nobody is told that a record is kept which
//! is not.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use host::{Fault, Faults, Host};
use parking_lot::Mutex;
use trail::{AppendError, Intake, Options};

use crate::support::*;

const ENOSPC: i32 = 28;

/// From some moment on, one kind of step finds no space.
struct Full {
    points: &'static [&'static str],
    on: AtomicBool,
}

impl Faults for Full {
    fn at(&self, point: &str) -> Option<Fault> {
        let full = self.on.load(Ordering::SeqCst) && self.points.contains(&point);
        full.then_some(if point.ends_with(".write") { Fault::ShortWrite(ENOSPC) } else { Fault::FailBefore(ENOSPC) })
    }
}

#[test]
fn sixty_four_appenders_hear_of_a_full_journal() {
    for points in [&["journal.allocate", "journal.create"][..], &["journal.write"]] {
        let fixture = Fixture::new();
        let full = std::sync::Arc::new(Full { points, on: false.into() });
        let host = Host::builder().faults(full.clone()).build();
        let writer = fixture.open_as(&host, by_hand()).unwrap();
        let (told, errors) = (Mutex::new(Told::default()), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for thread in 0..64 {
                let (writer, told, errors, full) = (&writer, &told, &errors, &full);
                scope.spawn(move || {
                    for at in (0..).step_by(5) {
                        if thread == 0 && at == 10 {
                            full.on.store(true, Ordering::SeqCst);
                        }
                        let first = thread * 1_000 + at;
                        match writer.append(records(first..first + 5), Intake::Import) {
                            Ok(outcomes) => told.lock().outcomes(&outcomes),
                            Err(error) => return errors.lock().push(error),
                        }
                    }
                });
            }
        });
        let errors = errors.into_inner();
        assert_eq!(errors.len(), 64);
        for error in errors {
            assert!(matches!(error, AppendError::Stopped(_)), "{error}");
            let text = error.to_string();
            assert!(text.contains("free space on that disk") && text.contains("journal"), "{text}");
        }
        drop(writer);
        let told = told.into_inner();
        let writer = fixture.open();
        assert!(writer.recovered().records >= told.receipts.len() as u64);
        writer.close().unwrap();
        holds(&fixture.folder, &told, "a full journal");
    }
}

/// A lake without space keeps records in the journal, up to its limit; then appending is refused, and says why. When
/// there is space again everything is settled, and appending goes on.
#[test]
fn a_full_lake_fills_the_journal_up_to_its_limit_and_no_further() {
    let fixture = Fixture::new();
    let full = std::sync::Arc::new(Full { points: &["parquet.write", "delta.write"], on: true.into() });
    let host = Host::builder().faults(full.clone()).build();
    // Imports get a quarter of it.
    let options =
        Options { settle_every: std::time::Duration::from_millis(20), backlog_bytes_max: 256 << 10, ..by_hand() };
    let writer = fixture.open_as(&host, options).unwrap();
    let mut told = Told::default();
    let mut at = 0;
    let refused = loop {
        match writer.append(records(at..at + 20), Intake::Import) {
            Ok(outcomes) => told.outcomes(&outcomes),
            Err(error) => break error,
        }
        at += 20;
    };
    let AppendError::Backlog { bytes, max, cause } = &refused else { panic!("{refused}") };
    assert!(*max == 64 << 10 && bytes <= max && *bytes > max / 2, "{refused}");
    assert!(cause.as_ref().is_some_and(|cause| cause.contains("free space on that disk")), "{refused}");
    assert_eq!(writer.stopped().map(|stopped| stopped.to_string()), None, "a full lake does not stop the writer");
    full.on.store(false, Ordering::SeqCst);
    // Whoever tries again gets through once the settler has.
    let outcomes = loop {
        match writer.append(records(at..at + 20), Intake::Import) {
            Err(AppendError::Backlog { cause: Some(_), .. }) => std::thread::yield_now(),
            appended => break appended.unwrap(),
        }
    };
    told.outcomes(&outcomes);
    writer.settle().unwrap();
    assert_eq!(writer.status().settle_error, None);
    writer.close().unwrap();
    assert_eq!(holds(&fixture.folder, &told, "a full lake").len() as u64, at + 20);
}

/// I12: however many append at once, the journal's limit is not passed. A live append is refused at once; imports wait
/// for settles to make room, and all get through.
#[test]
fn the_journal_never_passes_its_limit() {
    const MAX: u64 = 48 << 10;
    let fixture = Fixture::new();
    let ever = std::time::Duration::from_secs(100 * 365 * 86_400);
    let options = Options {
        backlog_bytes_max: MAX,
        seal_every: std::time::Duration::ZERO,
        idempotency_window: ever,
        ..by_hand()
    };
    let writer = fixture.open_as(&Host::system(), options).unwrap();
    let (told, refused, done) = (Mutex::new(Told::default()), AtomicU64::new(0), AtomicBool::new(false));
    let largest = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut largest = 0;
            while !done.load(Ordering::SeqCst) {
                largest = largest.max(writer.status().journal_bytes);
                std::thread::yield_now();
            }
            largest
        });
        let appenders: Vec<_> = (0..16u64)
            .map(|thread| {
                let (writer, told, refused) = (&writer, &told, &refused);
                scope.spawn(move || {
                    for at in (0..100).step_by(10) {
                        let first = thread * 1_000 + at;
                        match writer.append(records(first..first + 10), Intake::Live) {
                            Err(AppendError::Backlog { bytes, max, .. }) => {
                                assert!(bytes <= max, "{bytes}");
                                refused.fetch_add(1, Ordering::SeqCst);
                            }
                            answered => told.lock().outcomes(&answered.unwrap()),
                        }
                        told.lock().outcomes(&writer.append(records(first..first + 10), Intake::Import).unwrap());
                    }
                })
            })
            .collect();
        appenders.into_iter().for_each(|appender| appender.join().unwrap());
        done.store(true, Ordering::SeqCst);
        watch.join().unwrap()
    });
    // A segment's header comes on top of what was weighed.
    assert!(largest > MAX / 2 && largest <= MAX + 4 * 64, "{largest}");
    assert!(refused.into_inner() > 0, "the limit was never met");
    let error = writer.append(records(20_000..20_000 + MAX / 600), Intake::Import).unwrap_err();
    assert!(error.to_string().contains("backlog_bytes_max"), "{error}");
    writer.close().unwrap();
    assert_eq!(holds(&fixture.folder, &told.into_inner(), "a limit").len(), 1_600);
}
