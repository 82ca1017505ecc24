//! The way of a record, told once from end to end.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::path::Path;
use std::sync::Arc;

use host::Host;
use record::{JsonParser, Limits, Record};
use trail::{
    Against, Folder, Intake, KeyFolder, Options, Outcome, Reader, Verdict, Writer, WriterSocket, init, verify,
};

fn records(first: u64, count: u64) -> Vec<Record> {
    let mut parser = JsonParser::new(Limits::DEFAULT);
    (first..first + count)
        .map(|n| {
            let json = format!(
                r#"{{"id":"0190a5c2-7b1e-7c3a-9d55-{n:012x}","kind":"decision","time":"2024-06-01T12:00:00.{n:09}Z",
                    "model":{{"name":"credit-risk","version":"1.2.0"}},"subject":{{"id":"customer-{n}"}},
                    "inputs":{{"income":{},"state":"CA","months_since_delinquency":null}},
                    "output":{{"score":0.{n},"decision":"deny"}}}}"#,
                42_000 + n
            );
            parser.parse(json.as_bytes()).unwrap()
        })
        .collect()
}

struct Fixture {
    _temp: tempfile::TempDir,
    host: Host,
    folder: Folder,
    keys: KeyFolder,
}

impl Fixture {
    fn new() -> Fixture {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::new(temp.path().join("trail"));
        let keys = KeyFolder(temp.path().join("keys"));
        let host = Host::system();
        init(&host, &folder, Some("example.com/story"), &keys).unwrap();
        Fixture { _temp: temp, host, folder, keys }
    }

    fn open(&self) -> Writer {
        Writer::open(&self.host, &self.folder, &self.keys, Options::default()).unwrap()
    }

    fn check(&self, pins: &[Vec<u8>]) -> trail::Report {
        let pins = pins.iter().enumerate().map(|(n, pin)| (format!("pin {n}"), pin.clone())).collect();
        verify(&self.host, &self.folder, &Against { pins, policy: None }, &mut |_| {}).unwrap()
    }
}

fn kept(outcomes: &[Outcome]) -> Vec<u64> {
    let index = |outcome: &Outcome| match outcome {
        Outcome::Kept(receipt) => receipt.index,
        Outcome::Refused(refusal) => panic!("{refusal}"),
    };
    outcomes.iter().map(index).collect()
}

fn pin(folder: &Folder) -> Vec<u8> {
    std::fs::read(folder.checkpoint()).unwrap()
}

#[test]
fn a_record_goes_in_is_found_proved_and_verified() {
    let fixture = Fixture::new();
    let writer = fixture.open();
    let outcomes = writer.append(records(0, 300), Intake::Import).unwrap();
    assert_eq!(kept(&outcomes), (0..300).collect::<Vec<u64>>());
    writer.wait_sealed().unwrap();
    let early = pin(&fixture.folder);
    writer.settle().unwrap();
    assert_eq!(kept(&writer.append(records(290, 20), Intake::Import).unwrap()), (290..310).collect::<Vec<u64>>());
    writer.wait_sealed().unwrap();
    assert_eq!((writer.status().settled, writer.status().sealed), (300, 310));

    let report = fixture.check(std::slice::from_ref(&early));
    assert_eq!((report.verdict, report.size), (Verdict::Valid, 310), "{report:#?}");
    assert_eq!((report.lake_records, report.journal_records), (300, 10));
    assert_eq!(fixture.check(&[]).verdict, Verdict::Consistent);

    for index in [0, 299, 305] {
        let snapshot = Reader::new(&fixture.host, &fixture.folder).snapshot().unwrap();
        let found = snapshot.get(index).unwrap().unwrap();
        assert_eq!(snapshot.find(&found.stored.stamp.id).unwrap().unwrap().index, index);
        let proof = snapshot.prove(&found).unwrap();
        assert_eq!((proof.proof.index, proof.checkpoint.checkpoint().size()), (index, 310));
    }
    writer.close().unwrap();

    let again = fixture.open();
    assert_eq!((again.recovered().records, again.recovered().from_journal), (310, 10));
    assert_eq!(kept(&again.append(records(305, 10), Intake::Import).unwrap()), (305..315).collect::<Vec<u64>>());
    again.close().unwrap();
    assert_eq!(fixture.check(&[early]).verdict, Verdict::Valid);
}

#[test]
fn the_same_id_with_other_content_is_a_conflict_wherever_the_first_is() {
    let fixture = Fixture::new();
    let writer = fixture.open();
    let first = records(0, 2);
    let mut other = records(0, 2);
    other.iter_mut().zip(records(7, 2)).for_each(|(record, donor)| record.parts = donor.parts);
    writer.append(first.clone(), Intake::Import).unwrap();
    for settle in [false, true] {
        if settle {
            writer.settle().unwrap();
        }
        let outcomes = writer.append(other.clone(), Intake::Import).unwrap();
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Refused(_))), "{outcomes:?}");
        let again = writer.append(first.clone(), Intake::Import).unwrap();
        assert!(again.iter().all(|outcome| matches!(outcome, Outcome::Kept(receipt) if receipt.again)), "{again:?}");
    }
    assert_eq!(writer.status().records, 2);
}

#[test]
fn a_second_writer_is_refused_and_served_by_the_first() {
    let fixture = Fixture::new();
    let writer = Arc::new(fixture.open());
    let second = Writer::open(&fixture.host, &fixture.folder, &fixture.keys, Options::default());
    assert!(matches!(second, Err(trail::OpenError::Lock(trail::LockError::Held { .. }))));
    let socket = WriterSocket::listen(&fixture.host, &fixture.folder, Arc::clone(&writer)).unwrap();
    let mut remote = trail::RemoteWriter::connect(&fixture.folder).unwrap().unwrap();
    let outcomes = remote.append(&records(0, 5), Intake::Import).unwrap();
    assert!(outcomes.iter().all(|outcome| matches!(outcome, trail::RemoteOutcome::Kept(_))), "{outcomes:?}");
    assert_eq!(remote.seal().unwrap().sealed, 5);
    assert_eq!(remote.settle().unwrap().settled, 5);
    drop(remote);
    drop(socket);
    assert!(trail::RemoteWriter::connect(&fixture.folder).unwrap().is_none());
}

#[test]
fn a_cut_tail_is_invalid_against_a_pin_and_consistent_alone() {
    let fixture = Fixture::new();
    let writer = fixture.open();
    writer.append(records(0, 40), Intake::Import).unwrap();
    writer.settle().unwrap();
    writer.close().unwrap();
    let old = tempfile::tempdir().unwrap();
    copy(fixture.folder.root(), old.path());
    let writer = fixture.open();
    writer.append(records(40, 10), Intake::Import).unwrap();
    writer.close().unwrap();
    let newer = pin(&fixture.folder);
    let restored = Folder::new(old.path());
    let pins = vec![("newer".to_owned(), newer)];
    let report = verify(&fixture.host, &restored, &Against { pins, policy: None }, &mut |_| {}).unwrap();
    assert_eq!(report.verdict, Verdict::Invalid);
    assert_eq!((report.findings[0].check, report.findings[0].index), ("T3", Some(40)), "{report:#?}");
    let alone = verify(&fixture.host, &restored, &Against::default(), &mut |_| {}).unwrap();
    assert_eq!(alone.verdict, Verdict::Consistent);
    // I4: whoever has the key does not sign a second history with it.
    let refused = Writer::open(&fixture.host, &restored, &fixture.keys, Options::default()).map(drop).unwrap_err();
    assert!(matches!(refused, trail::OpenError::RolledBack { signed: 50, .. }), "{refused}");
}

/// I4, T5: a copy that was continued, and then the original: the second is refused, however long it is.
#[test]
fn two_copies_are_not_continued_with_one_key() {
    let fixture = Fixture::new();
    let writer = fixture.open();
    writer.append(records(0, 5), Intake::Import).unwrap();
    writer.close().unwrap();
    let twin = tempfile::tempdir().unwrap();
    copy(fixture.folder.root(), twin.path());
    let writer = fixture.open();
    writer.append(records(5, 1), Intake::Import).unwrap();
    writer.close().unwrap();
    let twin = Folder::new(twin.path());
    let refused = Writer::open(&fixture.host, &twin, &fixture.keys, Options::default()).map(drop).unwrap_err();
    assert!(matches!(refused, trail::OpenError::RolledBack { signed: 6, .. }), "{refused}");
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            Host::system().create_dir_all(&target, "test").unwrap();
            copy(&entry.path(), &target);
        } else if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// T16, I13: what a verifier brings must have been held against something.
#[test]
fn nothing_signed_is_never_valid() {
    let fixture = Fixture::new();
    let settings = trail::Settings::read(&fixture.host, &fixture.folder).unwrap();
    let policy = || tlog::WitnessPolicy::parse(format!("log {}\nquorum none\n", settings.log_key).as_bytes()).unwrap();
    let with_policy = || {
        let against = Against { pins: Vec::new(), policy: Some(policy()) };
        verify(&fixture.host, &fixture.folder, &against, &mut |_| {}).unwrap()
    };
    assert_eq!(fixture.check(&[]).verdict, Verdict::Consistent);
    assert_eq!((with_policy().verdict, with_policy().findings[0].check), (Verdict::Invalid, "T16"));
    let writer = fixture.open();
    writer.append(records(0, 3), Intake::Import).unwrap();
    writer.close().unwrap();
    let report = with_policy();
    assert_eq!(report.verdict, Verdict::Valid, "{report:#?}");
    assert!(report.not_checked.iter().any(|what| what.contains("the end was cut off")), "{report:#?}");
}
