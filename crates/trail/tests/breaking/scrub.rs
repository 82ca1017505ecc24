//! T1: a running writer checks its own trail, a step at a time, and what it found outlives it.

use std::time::Duration;

use host::{Host, ManualClock};
use trail::{Intake, Options, ScrubResult, ScrubState, Scrubbing, Verdict, Writer};

use crate::support::*;

fn scrubbing(records_a_second: u32) -> Options {
    let scrub = Scrubbing { after: Duration::ZERO, every: Duration::from_secs(3600), records_a_second };
    Options { scrub: Some(scrub), ..by_hand() }
}

fn state(fixture: &Fixture) -> ScrubState {
    ScrubState::read(&Host::system(), &fixture.folder).unwrap()
}

/// Waits until the writer has finished a cycle.
fn finished(fixture: &Fixture, writer: &Writer) -> ScrubResult {
    loop {
        assert_eq!(writer.status().scrub_error, None);
        if let Some(last) = state(fixture).last {
            return last;
        }
        std::thread::yield_now();
    }
}

/// A trail with several files, and records in its journal.
fn trail() -> Fixture {
    let fixture = Fixture::new();
    let writer = fixture.open();
    for first in (0..80).step_by(20) {
        writer.append(records(first..first + 20), Intake::Import).unwrap();
        writer.settle().unwrap();
    }
    writer.append(records(80..90), Intake::Import).unwrap();
    writer.close().unwrap();
    fixture
}

#[test]
fn a_whole_trail_is_consistent_and_says_so_after() {
    let fixture = trail();
    let writer = fixture.open_as(&Host::system(), scrubbing(u32::MAX)).unwrap();
    let last = finished(&fixture, &writer);
    assert_eq!((last.verdict, last.records, last.files), (Verdict::Consistent, 90, 4), "{last:?}");
    assert!(last.findings.is_empty() && last.finished_ns >= last.started_ns);
    writer.close().unwrap();
    assert_eq!(state(&fixture).last, Some(last.clone()), "it outlives its writer");
    // The next is due in an hour, so this writer finds nothing to do.
    let writer = fixture.open_as(&Host::system(), scrubbing(u32::MAX)).unwrap();
    writer.append(records(90..91), Intake::Import).unwrap();
    writer.close().unwrap();
    assert_eq!(state(&fixture).last, Some(last));
    assert_eq!(fixture.check(&[]).verdict, Verdict::Consistent, "and is no part of what is verified");
}

#[test]
fn damage_is_found_and_named_wherever_it_is() {
    let whole = trail();
    let is = |file: &std::path::Path, part: &str| file.to_string_lossy().contains(part);
    let parquet = |file: &&std::path::PathBuf| is(file, ".parquet");
    let file = whole.files().into_iter().filter(|file| parquet(&file)).nth(2).unwrap();
    let entries = whole.files().into_iter().find(|file| is(file, ".digests")).unwrap();
    for (file, at, verdict) in [(&file, 700, Verdict::Invalid), (&entries, 40, Verdict::Invalid)] {
        let fixture = whole.copy();
        let writer = fixture.open_as(&Host::system(), scrubbing(u32::MAX)).unwrap();
        finished(&fixture, &writer);
        writer.close().unwrap();
        remove(&fixture.folder.scrub());
        // Opened first: a writer does not start over entries that make another tree.
        let clock = ManualClock::at(1_800_000_000_000_000_000);
        let host = Host::builder().clock(clock.clone()).build();
        let late = Scrubbing { after: Duration::from_secs(1), ..scrubbing(u32::MAX).scrub.unwrap() };
        let writer = fixture.open_as(&host, Options { scrub: Some(late), ..by_hand() }).unwrap();
        let mut bytes = fixture.read(file);
        bytes[at] ^= 1;
        fixture.write(file, &bytes);
        let last = loop {
            clock.advance(Duration::from_secs(1));
            if let Some(last) = state(&fixture).last {
                break last;
            }
            std::thread::yield_now();
        };
        assert_eq!(last.verdict, verdict, "{last:?}");
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(last.findings.iter().any(|finding| finding.contains(name)), "{last:?}");
        assert!(last.records >= 80, "{last:?}");
        drop(writer);
    }
    let fixture = whole.copy();
    remove(&fixture.path(&file));
    let writer = fixture.open_as(&Host::system(), scrubbing(u32::MAX)).unwrap();
    let last = finished(&fixture, &writer);
    assert_eq!(last.verdict, Verdict::Incomplete, "{last:?}");
    assert_eq!(last.records, 70, "all others were hashed: {last:?}");
}

/// A writer that ends in the middle of a cycle leaves the rest to the next: no file is hashed twice.
#[test]
fn a_cycle_goes_on_where_it_was() {
    let fixture = trail();
    let clock = ManualClock::at(1_800_000_000_000_000_000);
    let host = Host::builder().clock(clock.clone()).build();
    let writer = fixture.open_as(&host, scrubbing(100)).unwrap();
    let under_way = |files: u64| loop {
        match state(&fixture).under_way() {
            Some((started, done)) if done == files => return started,
            _ => std::thread::yield_now(),
        }
    };
    let started = under_way(0);
    // Time for the tree, which is 90 entries, and for one file, which has 20 records; no other time passes.
    clock.advance(Duration::from_millis(1_150));
    under_way(1);
    writer.close().unwrap();
    let writer = fixture.open_as(&host, scrubbing(u32::MAX)).unwrap();
    let last = finished(&fixture, &writer);
    assert_eq!((last.verdict, last.started_ns, last.files), (Verdict::Consistent, started, 4), "{last:?}");
    assert_eq!(last.records, 90, "no file was hashed twice");
    assert_eq!(state(&fixture).under_way(), None);
    writer.close().unwrap();
}

/// A state that no writer wrote is no reason to fail: the cycle begins anew.
#[test]
fn a_state_that_is_damaged_is_made_again() {
    let fixture = trail();
    fixture.write("scrub.json", b"{\"format\":1,\"cycle\":{}}");
    let writer = fixture.open_as(&Host::system(), scrubbing(u32::MAX)).unwrap();
    assert_eq!(finished(&fixture, &writer).verdict, Verdict::Consistent);
    writer.close().unwrap();
}
