//! T25: every system call that a trail makes fails, fails and yet persists, writes half, or is the last one of the
//! process. What was acknowledged is there after, once, and nothing was signed that is not (I1, I4, I5).

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::sync::Arc;

use host::{Fault, FaultLog, FaultTable, Host};
use record::Record;
use trail::{AppendError, Intake, KeyFolder, OpenError, Outcome, Writer};

use crate::support::*;

/// The trail's life in the fault hunt, phase by phase. A phase is where a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Phase {
    /// The first opening: an empty trail.
    Open,
    /// Appending and sealing.
    Append,
    /// Settling; the second time with new columns.
    Settle,
    /// Opening a trail that holds sealed and settled records.
    Recover,
    /// Merging the lake's files, removing those that were merged, and keeping its log short.
    Compact,
    Close,
}

/// How a life went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ended {
    /// Nothing was noticed, or a settle failed and the next one succeeded.
    WentOn,
    /// The writer has stopped: everyone is told so from then on.
    Stopped,
    /// The trail was not opened.
    Refused,
}

/// What a life tells.
enum Tell<'a> {
    Phase(Phase),
    Outcomes(&'a [Outcome]),
    Checkpoint(Vec<u8>),
}

/// All records that a life sends.
fn sent() -> Vec<Record> {
    let first = (0..60).map(json).map(|json| parse(&json));
    first
        .enumerate()
        .map(|(n, record)| if (20..40).contains(&n) { parse(&json_with(n as u64, "region")) } else { record })
        .collect()
}

/// Opens, appends and settles twice, opens again, appends, settles and compacts, twice, closes. The second time some of the
/// log is removed.
fn live(host: &Host, fixture: &Fixture, tell: &mut dyn FnMut(Tell<'_>)) -> Ended {
    let sent = sent();
    tell(Tell::Phase(Phase::Open));
    let Some(writer) = open(host, fixture) else { return Ended::Refused };
    for batch in [0..20, 20..40] {
        if append_and_settle(&writer, fixture, &sent[batch], tell).is_err() {
            return stopped(writer);
        }
    }
    if append(&writer, fixture, &sent[40..50], tell).is_err() {
        return stopped(writer);
    }
    tell(Tell::Phase(Phase::Close));
    if writer.close().is_err() {
        return Ended::Stopped;
    }
    tell(Tell::Phase(Phase::Recover));
    let Some(writer) = open(host, fixture) else { return Ended::Refused };
    for (batch, removed) in [(50..55, 0), (55..60, 4)] {
        if append_and_settle(&writer, fixture, &sent[batch], tell).is_err() || compact(&writer, removed, tell).is_err()
        {
            return stopped(writer);
        }
    }
    tell(Tell::Phase(Phase::Close));
    if writer.close().is_ok() { Ended::WentOn } else { Ended::Stopped }
}

fn open(host: &Host, fixture: &Fixture) -> Option<Writer> {
    let options = trail::Options { clean_grace: std::time::Duration::ZERO, ..by_hand() };
    match fixture.open_as(host, options) {
        Ok(writer) => Some(writer),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

fn append(writer: &Writer, fixture: &Fixture, records: &[Record], tell: &mut dyn FnMut(Tell<'_>)) -> Result<(), ()> {
    tell(Tell::Phase(Phase::Append));
    for some in records.chunks(5) {
        // A journal that stops says so to whoever waits; anything else would be an acknowledgement.
        let outcomes = writer.append(some.to_vec(), Intake::Import).map_err(|error| {
            assert!(matches!(error, AppendError::Stopped(_)), "{error}");
        })?;
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Kept(_))), "{outcomes:?}");
        tell(Tell::Outcomes(&outcomes));
        writer.wait_sealed().map_err(|_| ())?;
        tell(Tell::Checkpoint(fixture.pin()));
    }
    Ok(())
}

fn append_and_settle(
    writer: &Writer,
    fixture: &Fixture,
    records: &[Record],
    tell: &mut dyn FnMut(Tell<'_>),
) -> Result<(), ()> {
    append(writer, fixture, records, tell)?;
    tell(Tell::Phase(Phase::Settle));
    let end = writer.snapshot().end();
    // A settle that fails may be tried again, unless the writer has stopped.
    let settled = writer.settle().or_else(|_| writer.settle());
    if writer.stopped().is_some() {
        return Err(());
    }
    settled.unwrap_or_else(|error| panic!("the second settle failed too, and the writer goes on: {error}"));
    assert_eq!((writer.snapshot().settled(), writer.status().settle_error), (end, None));
    Ok(())
}

fn compact(writer: &Writer, log_removed: u64, tell: &mut dyn FnMut(Tell<'_>)) -> Result<(), ()> {
    tell(Tell::Phase(Phase::Compact));
    let (before, log_before) = (writer.snapshot().lake().files().len(), in_log(writer));
    // What fails leaves the files as they were, unless the writer has stopped.
    let compacted = writer.compact().or_else(|_| writer.compact());
    if writer.stopped().is_some() {
        return Err(());
    }
    let compacted =
        compacted.unwrap_or_else(|error| panic!("compacting failed again, and the writer goes on: {error}"));
    assert!(writer.snapshot().lake().files().len() < before);
    assert_eq!((compacted.left, compacted.log_left), (0, 0));
    // The commit of the merge, its checkpoint, and what names that; tried again or not.
    let written = 1 + 1 + u64::from(log_removed == 0);
    assert_eq!(in_log(writer), log_before + written - log_removed);
    Ok(())
}

/// Files of the lake's log.
fn in_log(writer: &Writer) -> u64 {
    let log = writer.snapshot().lake().folder().join("_delta_log");
    Host::system().list(log, "test").unwrap().iter().filter(|path| !host::is_temporary(path)).count() as u64
}

/// A writer that has stopped says so to everyone, for ever.
fn stopped(writer: Writer) -> Ended {
    assert!(writer.stopped().is_some());
    let again = writer.append(vec![record(1_000)], Intake::Import);
    assert!(matches!(again, Err(AppendError::Stopped(_))), "{again:?}");
    let _ = writer.wait_sealed();
    assert!(writer.settle().is_err() || writer.status().settled == writer.status().records);
    // The last records may have been sealed before; then closing has nothing to say.
    let _ = writer.close();
    Ended::Stopped
}

/// Every point of a life, and in which phase each of its visits is.
fn points() -> BTreeMap<String, Vec<Phase>> {
    let fixture = Fixture::new();
    let log = Arc::new(FaultLog::new());
    let host = Host::builder().faults(log.clone()).build();
    let mut points: BTreeMap<String, Vec<Phase>> = BTreeMap::new();
    let mut phase = Phase::Open;
    let mut note = |phase: Phase| {
        for (point, visits) in log.points() {
            points.entry(point).or_default().resize(visits as usize, phase);
        }
    };
    let ended = live(&host, &fixture, &mut |tell| {
        if let Tell::Phase(next) = tell {
            note(phase);
            phase = next;
        }
    });
    note(phase);
    assert_eq!(ended, Ended::WentOn);
    points
}

/// What a failure of each step must lead to. The first row that fits counts; `*` stands for any operation.
///
/// What may be half done and cannot be told from done stops the writer: the journal's writes, whatever makes the log,
/// and every fsync. What leaves nothing but an orphan may be tried again.
const EXPECTED: &[(Phase, &str, Ended)] = &[
    // Nothing is served from a trail that was not opened whole.
    (Phase::Open, "*.*", Ended::Refused),
    (Phase::Recover, "*.*", Ended::Refused),
    // Records that are not durable are not acknowledged; a log that is not written is not signed (I1, I4).
    (Phase::Append, "journal.*", Ended::Stopped),
    (Phase::Append, "entries.*", Ended::Stopped),
    (Phase::Append, "checkpoint.*", Ended::Stopped),
    // The key of the next segment.
    (Phase::Append, "key-store.*", Ended::Stopped),
    // What the key signed last, and what the lake came to, are lower bounds; a later settle or close brings them up to date.
    (Phase::Settle, "last-signed.*", Ended::WentOn),
    (Phase::Settle, "lake-reached.*", Ended::WentOn),
    (Phase::Close, "last-signed.*", Ended::Stopped),
    // An fsync that fails is final: what it was to keep may be lost, and the kernel will not say so twice.
    (Phase::Settle, "*.fsync", Ended::Stopped),
    (Phase::Settle, "*.fsync-folder", Ended::Stopped),
    // The next segment could not be begun, or an old one not removed.
    (Phase::Settle, "journal.*", Ended::Stopped),
    // A full disk under the lake: the records stay in the journal, and the next settle takes them.
    (Phase::Settle, "parquet.*", Ended::WentOn),
    (Phase::Settle, "delta.*", Ended::WentOn),
    // The old files are live until the new ones are; the next compaction begins anew.
    (Phase::Compact, "*.fsync", Ended::Stopped),
    (Phase::Compact, "*.fsync-folder", Ended::Stopped),
    (Phase::Compact, "key-store.fdatasync", Ended::Stopped),
    (Phase::Compact, "*.*", Ended::WentOn),
    // All is durable; only the space that was reserved and not used stays with the file.
    (Phase::Close, "journal.set-length", Ended::WentOn),
];

/// The keys of encrypted trails: that of a file of the lake is made again with the next settle, and without that of its next
/// segment the journal stops.
const EITHER: (Phase, &str) = (Phase::Settle, "key-store.");

/// Visits at which the call finds nothing, which is an answer: a fault after it is not reached.
const FINDS_NOTHING: &[(&str, u64)] = &[
    // The log of the table has no checkpoint yet.
    ("delta.open", 1),
    ("checkpoint.read", 1),
    ("checkpoint.read", 2),
    ("entries.open", 1),
    ("last-signed.read", 1),
    ("lake-reached.read", 1),
    ("erasure.read", 1),
    ("erasure.read", 2),
    // Once more each time where the trail is encrypted: the keys of an erasure are swept, too.
    ("erasure.read", 3),
    ("erasure.read", 4),
    // The trail is whole.
    ("unfinished.read", 1),
    ("unfinished.read", 2),
    ("unfinished.read", 3),
    ("unfinished.read", 4),
    // The file is there already.
    ("lock.create", 2),
    ("key-lock.create", 2),
    ("readers.create", 1),
    ("readers.create", 2),
];

fn expected(Case { phase, point, nth, fault }: &Case) -> Ended {
    if matches!(fault, Fault::FailAfter(_)) && FINDS_NOTHING.contains(&(point, *nth)) {
        return Ended::WentOn;
    }
    let (step, operation) = point.split_once('.').unwrap();
    let fits = |pattern: &str| {
        let (wanted_step, wanted) = pattern.split_once('.').unwrap();
        (wanted_step == "*" || wanted_step == step) && (wanted == "*" || wanted == operation)
    };
    let row = EXPECTED.iter().find(|(of, pattern, _)| of == phase && fits(pattern));
    row.unwrap_or_else(|| panic!("{point} in {phase:?} stands in no row of the table")).2
}

/// A fault that is struck once, and what comes of it.
struct Case {
    phase: Phase,
    point: String,
    nth: u64,
    fault: Fault,
}

impl Case {
    fn name(&self) -> String {
        format!("{:?} at visit {} of {} ({:?})", self.fault, self.nth, self.point, self.phase)
    }
}

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// Every point, at the first, second and last of its visits in each phase, with each of the faults. In the ordinary run
/// a part of them, every time the same.
fn cases(faults: &[Fault], one_of: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for (point, phases) in points() {
        // A lookup that finds nothing and one that fails are told apart where the lake is tested; it refuses here.
        for phase in [Phase::Open, Phase::Append, Phase::Settle, Phase::Recover, Phase::Compact, Phase::Close] {
            let visits: Vec<u64> = (1..).zip(&phases).filter(|(_, of)| **of == phase).map(|(nth, _)| nth).collect();
            let (Some(first), Some(last)) = (visits.first(), visits.last()) else { continue };
            let mut nths = vec![*first, *visits.get(1).unwrap_or(first), *last];
            nths.dedup();
            let short = |fault: &Fault| point.ends_with(".write") || !matches!(fault, Fault::ShortWrite(_));
            for nth in nths {
                for fault in faults.iter().filter(|fault| short(fault)) {
                    cases.push(Case { phase, point: point.clone(), nth, fault: *fault });
                }
            }
        }
    }
    let all = cases.len();
    let some: Vec<Case> =
        cases.into_iter().enumerate().filter(|(n, _)| long() || n % one_of == 0).map(|(_, case)| case).collect();
    println!("{} of {all} cases", some.len());
    some
}

/// What a failed look-up of earlier records does is said to the sender: nothing was taken, nothing has stopped.
fn is_look_up(case: &Case) -> bool {
    let looks = ["parquet.", "look-up.", "key-store.read", "key-store.open"];
    case.phase == Phase::Append && looks.iter().any(|step| case.point.starts_with(step))
}

/// What becomes of a failing step is in the table, and what was acknowledged before it is there after.
#[test]
fn whatever_step_fails_nothing_acknowledged_is_lost() {
    let faults = [Fault::FailBefore(ENOSPC), Fault::FailAfter(EIO), Fault::ShortWrite(ENOSPC)];
    let (mut seen, mut count): (BTreeMap<Ended, usize>, Count) = Default::default();
    for case in cases(&faults, 7).iter().filter(|case| !is_look_up(case)) {
        let name = case.name();
        let fixture = Fixture::new();
        let mut told = Told::default();
        let table = FaultTable::one(&case.point, case.nth, case.fault);
        let host = Host::builder().faults(table).build();
        let ended = live(&host, &fixture, &mut |tell| match tell {
            Tell::Outcomes(outcomes) => told.outcomes(outcomes),
            Tell::Checkpoint(note) => told.checkpoint(&note),
            Tell::Phase(_) => {}
        });
        if case.phase == EITHER.0 && case.point.starts_with(EITHER.1) {
            assert_ne!(ended, Ended::Refused, "{name}");
        } else {
            assert_eq!(ended, expected(case), "{name}");
        }
        *seen.entry(ended).or_default() += 1;
        count.faults(1, told.receipts.len());
        // As the fault left it, then recovered.
        holds(&fixture.folder, &told, &name);
        recovers(&fixture, &mut told, &sent(), &name);
    }
    println!("{seen:?}");
    count.print("calls of the host");
}

/// An fsync of a file that no version names yet is final as any other.
#[test]
fn a_failed_fsync_of_a_compaction_stops_the_writer() {
    let points = points();
    for point in ["parquet.fsync", "parquet.fsync-folder", "delta.fsync-folder"] {
        let nth = 1 + points[point].iter().position(|phase| *phase == Phase::Compact).unwrap() as u64;
        let host = Host::builder().faults(FaultTable::one(point, nth, Fault::FailAfter(EIO))).build();
        assert_eq!(live(&host, &Fixture::new(), &mut |_| {}), Ended::Stopped, "{point} {nth}");
    }
}

/// The process ends before or after any step. What it was told before is there.
#[test]
fn whatever_step_is_the_last_nothing_acknowledged_is_lost() {
    if let Some(role) = role() {
        return life_of_a_child(&role);
    }
    let mut count = Count::default();
    for case in cases(&[Fault::KillBefore, Fault::KillAfter], 11) {
        let fixture = Fixture::new();
        let kill = if case.fault == Fault::KillBefore { "kill-before" } else { "kill-after" };
        let row = format!("{}={kill}@{}", case.point, case.nth);
        let mut told = Told::default();
        let mut command = child("steps::whatever_step_is_the_last_nothing_acknowledged_is_lost", &row);
        let mut child = spawn(command.env("ONRECORD_TEST_FOLDER", fixture.temp.path()));
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let words: Vec<&str> = said(&line).unwrap_or_default().split(' ').collect();
            match words.as_slice() {
                ["kept", index, id, digest] => {
                    told.receipt(
                        index.parse().unwrap(),
                        id.parse().unwrap(),
                        record::Digest(unhex(digest).try_into().unwrap()),
                    );
                }
                ["checkpoint", note] => told.checkpoint(&unhex(note)),
                ["ended", how] => panic!("{}: the child lived on: {how}", case.name()),
                _ => {}
            }
        }
        assert!(!child.wait().unwrap().success());
        count.faults(1, told.receipts.len());
        holds(&fixture.folder, &told, &case.name());
        recovers(&fixture, &mut told, &sent(), &case.name());
    }
    count.print("kills at calls of the host");
}

fn life_of_a_child(row: &str) {
    let temp = std::env::var("ONRECORD_TEST_FOLDER").unwrap();
    let fixture = Fixture::at(temp.as_ref());
    let host = Host::builder().faults(row.parse::<FaultTable>().unwrap()).build();
    let ended = live(&host, &fixture, &mut |tell| match tell {
        Tell::Outcomes(outcomes) => outcomes.iter().for_each(say_outcome),
        Tell::Checkpoint(note) => say(&format!("checkpoint {}", hex(&note))),
        Tell::Phase(_) => {}
    });
    say(&format!("ended {ended:?}"));
}

/// T25: making a trail is interrupted anywhere; making it again works, or it is there already and opens.
#[test]
fn an_interrupted_init_is_made_again() {
    let log = Arc::new(FaultLog::new());
    let make = |host: &Host, fixture: &Fixture| fixture.init(host, "example.com/init");
    make(&Host::builder().faults(log.clone()).build(), &Fixture::empty(fast_temp())).unwrap();
    let mut cases = 0;
    for (point, visits) in log.points() {
        for nth in 1..=visits {
            for fault in [Fault::FailBefore(ENOSPC), Fault::FailAfter(EIO), Fault::ShortWrite(ENOSPC)] {
                let name = format!("{fault:?} at visit {nth} of {point}");
                let fixture = Fixture::empty(fast_temp());
                let host = Host::builder().faults(FaultTable::one(&point, nth, fault)).build();
                let first = make(&host, &fixture);
                let there = fixture.folder.settings().exists();
                match make(&Host::system(), &fixture) {
                    Ok(_) => assert!(!there && first.is_err(), "{name}: made over a trail"),
                    Err(trail::InitError::Exists(_)) => assert!(there, "{name}"),
                    Err(error) => panic!("{name}: {error}"),
                }
                let writer = fixture.open_as(&Host::system(), by_hand());
                writer.unwrap_or_else(|error| panic!("{name}: {error}")).close().unwrap();
                cases += 1;
            }
        }
    }
    println!("{cases} cases");
}

/// I5: a commit landed and the log cannot be read again. The writer must stop: going on, it would take the files of the
/// version it does not know for orphans.
#[test]
fn a_commit_of_unknown_outcome_stops_the_writer() {
    struct Blind {
        log: std::path::PathBuf,
        table: FaultTable,
        armed: std::sync::atomic::AtomicBool,
    }
    impl host::Faults for Blind {
        fn at(&self, point: &str) -> Option<Fault> {
            let fault = self.table.at(point);
            let landed = self.log.join("00000000000000000001.json");
            // After the rename whose answer was lost, the entry cannot be read until the test lets it.
            if point == "delta.fsync-folder"
                && landed.exists()
                && self.armed.swap(false, std::sync::atomic::Ordering::SeqCst)
            {
                let bytes = std::fs::read(&landed).unwrap();
                put(&self.log.join("kept"), &bytes);
                put(&landed, b"{not json");
            }
            fault
        }
    }
    let fixture = Fixture::new();
    let log = fixture.folder.lake().join("_delta_log");
    let table = FaultTable::one("delta.rename", 1, Fault::FailAfter(EIO));
    let blind = Blind { log: log.clone(), table, armed: true.into() };
    let host = Host::builder().faults(blind).build();
    let writer = fixture.open_as(&host, by_hand()).unwrap();
    let mut told = Told::default();
    told.outcomes(&writer.append(records(0..20), Intake::Import).unwrap());
    let error = writer.settle().unwrap_err();
    assert!(error.to_string().contains("is not known"), "{error}");
    assert!(writer.stopped().is_some());
    drop(writer);
    put(&log.join("00000000000000000001.json"), &std::fs::read(log.join("kept")).unwrap());
    remove(&log.join("kept"));
    recovers(&fixture, &mut told, &records(0..25), "a commit of unknown outcome");
}

/// A bug that panics on any of the writer's threads: whoever waits for that thread is told, and nothing is lost.
#[test]
fn a_panic_in_a_background_thread_stops_the_writer() {
    struct Bug(&'static str);
    impl host::Faults for Bug {
        fn at(&self, point: &str) -> Option<Fault> {
            assert!(point != self.0 || !std::thread::current().name().is_some_and(is_ours), "a bug at {point}");
            None
        }
    }
    fn is_ours(thread: &str) -> bool {
        ["journal", "seal", "settle"].contains(&thread)
    }
    for point in ["journal.fdatasync", "checkpoint.rename", "parquet.create"] {
        let fixture = Fixture::new();
        let host = Host::builder().faults(Bug(point)).build();
        let options = trail::Options { settle_every: std::time::Duration::from_millis(1), ..by_hand() };
        let writer = fixture.open_as(&host, options).unwrap();
        let mut told = Told::default();
        let error = (0..).find_map(|n| match writer.append(vec![record(n % 20)], Intake::Import) {
            Ok(outcomes) => {
                told.outcomes(&outcomes);
                // Waits for the sealer, and for ever if nobody told of its end.
                writer.wait_sealed().err().map(AppendError::from)
            }
            Err(error) => Some(error),
        });
        let text = error.unwrap().to_string();
        assert!(text.contains("panicked"), "{point}: {text}");
        assert!(writer.stopped().is_some(), "{point}");
        drop(writer);
        recovers(&fixture, &mut told, &records(0..20), point);
    }
}

/// A key that is not there, a lock that is held: nothing is touched, and the message says what to do.
#[test]
fn a_trail_without_its_key_is_refused_and_left_alone() {
    let fixture = Fixture::new();
    let elsewhere = KeyFolder(fixture.temp.path().join("elsewhere"));
    let refused = Writer::open(&Host::system(), &fixture.folder, &elsewhere, by_hand());
    assert!(matches!(refused, Err(OpenError::Key(_) | OpenError::Keys(_))));
    let writer = fixture.open();
    let second = fixture.open_as(&Host::system(), by_hand());
    assert!(matches!(second, Err(OpenError::Lock(_))), "I6");
    writer.append(records(0..3), Intake::Import).unwrap();
    writer.close().unwrap();
    assert_eq!(all(&fixture.folder).len(), 3);
}
