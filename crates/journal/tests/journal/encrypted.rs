//! A journal whose payloads are encrypted.

use host::Host;
use journal::{HeaderError, OpenError, Options, ProblemKind};
use keys::Keyring;

use crate::trail::*;

const CANARY: &[u8] = b"canary-7f3a";

fn keyring(options: &Options) -> Keyring {
    options.keys.clone().unwrap()
}

fn options(folder: &std::path::Path) -> Options {
    encrypted(&Host::system(), folder).unwrap()
}

fn holds(path: &std::path::Path, wanted: &[u8]) -> bool {
    std::fs::read(path).unwrap().windows(wanted.len()).any(|window| window == wanted)
}

/// Two segments: records 0 to 19, then 20 and 21.
fn written(folder: &std::path::Path) -> Options {
    let options = options(folder);
    let Opened { journal, .. } = open_with(&Host::system(), folder, options.clone(), 0, 0).unwrap();
    append(&journal, 20).unwrap();
    journal.rotate().unwrap();
    append(&journal, 2).unwrap();
    journal.close().unwrap();
    options
}

#[test]
fn records_come_back_with_the_key_and_stand_nowhere_without() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("journal");
    let options = options(&folder);
    let Opened { journal, .. } = open_with(&Host::system(), &folder, options.clone(), 0, 0).unwrap();
    let (ticket, answer) = std::sync::mpsc::channel();
    journal.stage(&[CANARY, CANARY], ticket).unwrap();
    answer.recv().unwrap().unwrap();
    journal.close().unwrap();
    assert!(segments(&folder).iter().all(|path| !holds(path, CANARY)));
    let opened = open_with(&Host::system(), &folder, options.clone(), 0, 2).unwrap();
    assert_eq!(opened.records, [(0, CANARY.to_vec()), (1, CANARY.to_vec())]);
    // The same payload is never the same bytes.
    let bytes = std::fs::read(&segments(&folder)[0]).unwrap();
    let payloads: Vec<&[u8]> = frames(&bytes).iter().map(|(place, _)| &bytes[place.start + 32..place.end]).collect();
    assert_ne!(payloads[0], payloads[1]);
    // An encrypted journal takes up what was written before it was.
    let plain = temp.path().join("plain");
    open_with(&Host::system(), &plain, small(), 0, 0).unwrap().journal.close().unwrap();
    let Opened { journal, .. } = open_with(&Host::system(), &plain, small(), 0, 0).unwrap();
    append(&journal, 3).unwrap();
    journal.close().unwrap();
    assert_records(&open_with(&Host::system(), &plain, options, 0, 3).unwrap().records, 0..3);
}

/// T1: a payload that was changed, its CRC made to fit, is found by whoever has the key.
#[test]
fn a_changed_payload_is_found_though_its_crc_holds() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("journal");
    let options = written(&folder);
    let path = &segments(&folder)[0];
    let mut bytes = std::fs::read(path).unwrap();
    let (place, _) = frames(&bytes)[4].clone();
    let length = u32::from_le_bytes(bytes[place.start..place.start + 4].try_into().unwrap()) as usize;
    bytes[place.start + 32] ^= 1;
    let crc = |bytes: &[u8]| crc32c::crc32c(bytes).to_le_bytes();
    let payload = crc(&bytes[place.start + 32..place.start + 32 + length]);
    bytes[place.start + 4..place.start + 8].copy_from_slice(&payload);
    let header = crc(&[&bytes[40..56], &bytes[place.start..place.start + 28]].concat());
    bytes[place.start + 28..place.start + 32].copy_from_slice(&header);
    put(path, &bytes);
    let error = open_with(&Host::system(), &folder, options.clone(), 0, 0).err().unwrap();
    assert!(matches!(&error, OpenError::NotAuthentic { index: 4, segment } if segment == path), "{error}");
    let mut seen = Vec::new();
    let reading = journal::read(&Host::system(), &folder, 0, options.keys.as_ref(), |index, _| {
        seen.push(index);
        Ok(())
    });
    let problems = reading.unwrap().problems;
    assert!(matches!(problems[..], [ref it] if it.kind == ProblemKind::NotAuthentic && it.index == 4), "{problems:?}");
    assert_eq!(seen.len(), 21);
}

#[test]
fn without_its_key_a_segment_is_named_and_nothing_is_changed() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("journal");
    let options = written(&folder);
    let before: Vec<Vec<u8>> = segments(&folder).iter().map(|path| std::fs::read(path).unwrap()).collect();
    let first = segments(&folder)[0].clone();
    let refused = |options: Options| {
        let error = open_with(&Host::system(), &folder, options.clone(), 0, 0).err().unwrap();
        assert!(matches!(&error, OpenError::Header { segment, cause: HeaderError::Key { .. } } if *segment == first));
        let reading = journal::read(&Host::system(), &folder, 0, options.keys.as_ref(), |_, _| Ok(())).unwrap();
        assert!(matches!(reading.problems[0].kind, ProblemKind::Header(HeaderError::Key { .. })), "{reading:?}");
        error.to_string()
    };
    assert!(refused(small()).contains("ONRECORD_KEYS"));
    let name = first.file_name().unwrap().to_str().unwrap();
    assert_eq!(keyring(&options).destroy([name]).unwrap(), 1);
    assert!(refused(options).contains("was destroyed"));
    let after: Vec<Vec<u8>> = segments(&folder).iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert_eq!(before, after);
}

/// T21: a copy of a segment that was released cannot be read.
#[test]
fn a_released_segment_takes_its_key_along() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("journal");
    let options = written(&folder);
    let (path, copy) = (segments(&folder)[0].clone(), temp.path().join("copy"));
    Host::system().create_dir_all(&copy, "test").unwrap();
    put(&copy.join(path.file_name().unwrap()), &std::fs::read(&path).unwrap());
    let Opened { journal, .. } = open_with(&Host::system(), &folder, options.clone(), 0, 22).unwrap();
    let keys = keyring(&options).count().unwrap();
    assert_eq!(journal.release(20).unwrap().segments, 1);
    assert_eq!(keyring(&options).count().unwrap(), keys - 1);
    let error = open_with(&Host::system(), &copy, options, 0, 0).err().unwrap();
    assert!(error.to_string().contains("was destroyed"), "{error}");
}
