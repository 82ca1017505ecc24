//! T20, T21: what is erased is gone from every byte of the trail, the tree still verifies, and nothing goes undeclared.

use std::sync::Arc;

use host::{Fault, FaultLog, FaultTable, Host};
use record::{Body, Part, Stored};
use trail::{EraseError, Erased, Erasure, Intake, Outcome, Reader, Snapshot, Verdict, Writer};

use crate::support::*;

/// What record 5 says of its subject, and nothing else says.
const CANARY: &str = "customer-5\"";

fn erasure(n: u64, indices: &[u64], parts: &[Part]) -> Erasure {
    Erasure {
        id: id(90_000 + n),
        indices: indices.to_vec(),
        parts: parts.iter().map(|part| part.name().to_owned()).collect(),
        basis: "GDPR 17(1)(b)".to_owned(),
        by: "dpo@example.com".to_owned(),
    }
}

/// A trail of two files and a journal.
fn trail() -> Fixture {
    let fixture = Fixture::new();
    let writer = fixture.open();
    for first in [0, 20] {
        writer.append(records(first..first + 20), Intake::Import).unwrap();
        writer.settle().unwrap();
    }
    writer.append(records(40..50), Intake::Import).unwrap();
    writer.wait_sealed().unwrap();
    writer.close().unwrap();
    fixture
}

fn snapshot(fixture: &Fixture) -> Snapshot {
    Reader::new(&Host::system(), &fixture.folder).snapshot().unwrap()
}

fn stored(fixture: &Fixture, index: u64) -> Stored {
    snapshot(fixture).get(index).unwrap().unwrap().stored
}

/// Whether any record in any file of the lake, live or not, or in the journal, says `what`.
fn anything_says(fixture: &Fixture, what: &str) -> bool {
    let snapshot = snapshot(fixture);
    let says = |stored: &Stored| record::to_json(stored).unwrap().replace(' ', "").contains(what);
    let live: Vec<_> = snapshot.lake().files().to_vec();
    let named: Vec<String> = live.iter().map(|file| format!("lake/{}", file.path)).collect();
    for file in fixture.files() {
        let name = file.to_string_lossy().into_owned();
        if name.ends_with(".parquet") {
            assert!(named.contains(&name), "{name} is of no version, and is still there");
        } else {
            let bytes = fixture.read(&file);
            if bytes.windows(what.len() - 1).any(|window| window == &what.as_bytes()[..what.len() - 1]) {
                return true;
            }
        }
    }
    live.iter().any(|file| snapshot.lake().rows(file).unwrap().any(|placed| says(&placed.unwrap().stored)))
}

#[test]
fn parts_go_and_the_tree_stays() {
    let fixture = trail();
    let (pin, before) = (fixture.pin(), all(&fixture.folder));
    assert!(anything_says(&fixture, CANARY), "the test looks where records are");
    let writer = fixture.open();
    // One in each file, one in the journal, and one that does not hold what is to go.
    let gone = [Part::Subject, Part::Inputs];
    let erased = writer.erase(&erasure(1, &[5, 22, 45, 6], &gone)).unwrap();
    assert_eq!(erased, Erased { index: 50, records: 4, files: 3, left: 0 });
    assert!(!fixture.path("erasure.json").exists());
    assert!(!anything_says(&fixture, CANARY));
    for index in [5, 22, 45] {
        let Body::Partial { parts, .. } = stored(&fixture, index).body else { panic!("{index} is whole") };
        assert!(parts.get(Part::Inputs).is_none() && parts.get(Part::Subject).is_none());
        assert!(parts.get(Part::Output).is_some() && parts.get(Part::Envelope).is_some());
    }
    // A late fact that never held inputs or a subject is as it was.
    assert!(matches!(stored(&fixture, 6).body, Body::Whole { .. }));
    let report = fixture.check(std::slice::from_ref(&pin));
    assert_eq!((report.verdict, report.erased), (Verdict::Valid, 3), "{report:#?}");
    assert!(report.not_checked.iter().any(|what| what.contains("approvals")), "{report:#?}");
    // The same record at the same index with the same digest, and its proof.
    let after = all(&fixture.folder);
    assert!(before.iter().all(|(index, record)| after.get(index) == Some(record)));
    let found = snapshot(&fixture).get(22).unwrap().unwrap();
    snapshot(&fixture).prove(&found).map(|_| ()).unwrap();
    let declared = snapshot(&fixture).erasures_of(22).unwrap();
    assert_eq!((declared.len(), declared[0].index), (1, 50));
    assert_eq!(declared[0].erasure, erasure(1, &[5, 22, 45, 6], &gone));
    // Again is once; and the whole record after a part of it.
    assert_eq!(writer.erase(&erasure(1, &[5, 22, 45, 6], &gone)).unwrap().index, 50);
    let whole = writer.erase(&erasure(2, &[5], &Part::ALL)).unwrap();
    assert_eq!((whole.index, whole.files), (51, 1));
    assert!(matches!(stored(&fixture, 5).body, Body::Erased { .. }));
    // Its id is acknowledged with its first receipt, marked erased.
    let Outcome::Kept(receipt) = &writer.append(records(5..6), Intake::Import).unwrap()[0] else { panic!() };
    assert!(receipt.again && receipt.erased && receipt.index == 5);
    writer.append(records(60..70), Intake::Import).unwrap();
    writer.settle().unwrap();
    writer.close().unwrap();
    let report = fixture.check(&[pin]);
    assert_eq!((report.verdict, report.erased), (Verdict::Valid, 3), "{report:#?}");
}

#[test]
fn what_may_not_be_erased_is_refused_and_nothing_is_declared() {
    let fixture = trail();
    let writer = fixture.open();
    writer.erase(&erasure(1, &[5], &[Part::Inputs])).unwrap();
    let refused = |wanted: &Erasure| writer.erase(wanted).unwrap_err();
    let error = refused(&erasure(2, &[5, 5_000], &[Part::Inputs]));
    assert!(matches!(error, EraseError::NoRecord { index: 5_000, end: 51 }), "{error}");
    let error = refused(&erasure(2, &[50], &[Part::Context]));
    assert!(matches!(error, EraseError::Declaration { index: 50 }), "{error}");
    let error = refused(&erasure(2, &[6], &[Part::Envelope, Part::Output]));
    assert!(matches!(error, EraseError::Whole { index: 6 }), "{error}");
    let error = refused(&erasure(1, &[7], &[Part::Inputs]));
    assert!(matches!(error, EraseError::Refused(_)) && error.to_string().contains("other content"), "{error}");
    let error = refused(&Erasure { by: String::new(), ..erasure(2, &[5], &[Part::Inputs]) });
    assert!(matches!(error, EraseError::Malformed(_)), "{error}");
    assert_eq!(writer.snapshot().end(), 51);
    assert!(!fixture.path("erasure.json").exists());
    assert!(matches!(stored(&fixture, 7).body, Body::Whole { .. }));
    writer.close().unwrap();
    assert_eq!(fixture.check(&[]).erased, 1);
}

/// Every digest and statistic is made to fit, and the log is committed as it should be; but no record says who erased.
#[test]
fn a_tombstone_that_nobody_declared_is_tampering() {
    let fixture = trail();
    let pin = fixture.pin();
    let mut lake = lake::Lake::open(Host::system(), fixture.folder.lake()).unwrap();
    let file = lake.snapshot().files()[0].clone();
    let digests = all(&fixture.folder);
    let take = |parts: &'static [Part]| move |index: u64, stored: &Stored| (index == 8).then(|| stored.without(parts));
    let rewritten = lake::Rewrite::for_erasure(lake.snapshot(), &[&file]);
    let rewritten = rewritten.carry_out(&take(&[Part::Inputs]), &|index| digests.get(&index).map(|record| record.1));
    lake.replace(rewritten.unwrap()).unwrap();
    drop(lake);
    let report = fixture.check(&[pin]);
    assert_eq!(report.verdict, Verdict::Invalid);
    let found = &report.findings[0];
    assert_eq!((found.check, found.index), ("T20", Some(8)), "{report:#?}");
    assert!(found.what.contains("inputs"), "{report:#?}");
}

/// T25: whatever fails on the way, an erasure that was begun is finished, once, by this writer or the next.
#[test]
fn an_erasure_that_is_interrupted_is_finished() {
    let whole = trail();
    let pin = whole.pin();
    let wanted = erasure(1, &[5, 22, 45], &[Part::Subject, Part::Inputs]);
    let log = Arc::new(FaultLog::new());
    let clean = whole.copy();
    let writer = clean.open_as(&Host::builder().faults(log.clone()).build(), by_hand()).unwrap();
    let opened = log.points();
    writer.erase(&wanted).unwrap();
    let points = log.points();
    writer.close().unwrap();
    let mut struck = 0;
    for (point, visits) in points.into_iter().filter(|(point, _)| !point.ends_with(".read")) {
        let first = opened.get(&point).copied().unwrap_or(0) + 1;
        let every = if long() { 1 } else { 11 };
        for nth in (first..=visits).step_by(every) {
            for fault in [Fault::FailBefore(5), Fault::FailAfter(5), Fault::ShortWrite(28)] {
                struck += 1;
                let what = format!("{point} {nth} {fault:?}");
                let fixture = whole.copy();
                let host = Host::builder().faults(FaultTable::one(&point, nth, fault)).build();
                if let Ok(writer) = fixture.open_as(&host, by_hand()) {
                    let _ = writer.erase(&wanted);
                    drop(writer);
                }
                let begun = fixture.path("erasure.json").exists();
                finish(&fixture, begun, &wanted, &what);
                assert!(!anything_says(&fixture, CANARY), "after {what}");
                let report = fixture.check(std::slice::from_ref(&pin));
                assert_eq!((report.verdict, report.erased), (Verdict::Valid, 3), "after {what}: {report:#?}");
            }
        }
    }
    assert!(struck > 15, "{struck}");
}

/// Opens the trail again: what was begun ends by itself; what was not is asked for again.
fn finish(fixture: &Fixture, begun: bool, wanted: &Erasure, after: &str) {
    let writer: Writer = fixture.open();
    if begun {
        while fixture.path("erasure.json").exists() {
            assert_eq!(writer.status().erase_error, None, "after {after}");
            std::thread::yield_now();
        }
    } else {
        writer.erase(wanted).unwrap_or_else(|error| panic!("after {after}: {error}"));
    }
    assert_eq!(writer.snapshot().end(), 51, "after {after}: declared once");
    writer.close().unwrap();
}
