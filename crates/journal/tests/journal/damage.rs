//! Damage: which of it is a torn tail, which is the loss of an acknowledged record, and which is neither.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use host::Host;
use journal::{HeaderError, OpenError, Proof};
use proptest::prelude::*;

use crate::trail::*;

/// A journal of acknowledged groups, closed, and the first record of its last group.
fn written(groups: &[u64]) -> (tempfile::TempDir, u64, u64) {
    let folder = tempfile::tempdir().unwrap();
    let Opened { journal, .. } = open(folder.path()).unwrap();
    let mut last = 0..0;
    for &count in groups {
        last = append(&journal, count).unwrap();
    }
    journal.close().unwrap();
    (folder, last.start, last.end)
}

/// Segment, place in it, and the record that has its bytes there.
fn frame_of(folder: &Path, index: u64) -> (PathBuf, std::ops::Range<usize>) {
    segments(folder)
        .into_iter()
        .find_map(|path| {
            let (place, _) = frames(&std::fs::read(&path).unwrap()).into_iter().find(|(_, at)| *at == index)?;
            Some((path, place))
        })
        .unwrap()
}

fn flip(path: &Path, byte: usize, bit: u8) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[byte] ^= 1 << bit;
    put(path, &bytes);
}

fn open_error(folder: &Path, acknowledged: u64) -> OpenError {
    open_with(&Host::system(), folder, small(), 0, acknowledged).err().expect("opening is refused")
}

#[test]
fn a_damaged_record_that_a_later_frame_proves_is_a_hole_and_nothing_is_changed() {
    let (folder, _, _) = written(&[3, 3]);
    let (path, place) = frame_of(folder.path(), 1);
    flip(&path, place.start + 33, 0);
    let before = std::fs::read(&path).unwrap();
    let error = open_error(folder.path(), 0);
    let message = error.to_string();
    let OpenError::Hole { segment, offset, index: 1, proof: Proof::Frame { durable: 3, .. } } = error else {
        panic!("{error}")
    };
    assert_eq!((&segment, offset), (&path, place.start as u64));
    assert!(message.contains("record 1 was acknowledged and is gone or damaged"), "{message}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(segments(folder.path()), [path]);
}

#[test]
fn damage_to_the_last_group_is_a_torn_tail_unless_the_caller_knows_better() {
    let (folder, first, end) = written(&[3, 4]);
    let (path, place) = frame_of(folder.path(), 5);
    flip(&path, place.start + 33, 7);
    assert!(matches!(open_error(folder.path(), end), OpenError::Short { found: 5, acknowledged: 7, .. }));
    assert_eq!((first, end), (3, 7));
    let opened = open_with(&Host::system(), folder.path(), small(), 0, 5).unwrap();
    assert_records(&opened.records, 0..5);
    let torn = opened.recovery.torn_tail.unwrap();
    assert_eq!((torn.segment.as_path(), torn.offset, torn.first_index), (path.as_path(), place.start as u64, 5));
    assert!(torn.bytes > place.len() as u64);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), place.start as u64, "it was cut off");
    assert_eq!(append(&opened.journal, 3).unwrap(), 5..8);
    drop(opened.journal);
    assert_records(&open(folder.path()).unwrap().records, 0..8);
}

#[test]
fn a_missing_segment_is_a_hole_wherever_it_was() {
    let groups = [20; 6];
    let count = segments(written(&groups).0.path()).len();
    assert!(count >= 4);
    for missing in 0..count - 1 {
        let (folder, _, _) = written(&groups);
        let all = segments(folder.path());
        Host::system().remove(&all[missing], "test").unwrap();
        let error = open_error(folder.path(), 0);
        assert!(matches!(error, OpenError::Hole { proof: Proof::Segment { .. }, .. }), "{error}");
    }
    let (folder, _, end) = written(&groups);
    Host::system().remove(segments(folder.path()).last().unwrap(), "test").unwrap();
    assert!(matches!(open_error(folder.path(), end), OpenError::Short { .. }));
}

#[test]
fn a_header_under_another_key_or_name_is_refused() {
    let (folder, _, _) = written(&[2]);
    let path = &segments(folder.path())[0];
    let mut bytes = std::fs::read(path).unwrap();
    bytes[16..32].copy_from_slice(&[0xAB; 16]);
    let crc = crc(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    put(path, &bytes);
    let error = open_error(folder.path(), 0);
    assert!(
        matches!(error, OpenError::Header { cause: HeaderError::Key { key_id: keys::Hex([0xAB, ..]), .. }, .. }),
        "{error}"
    );

    let (folder, _, _) = written(&[2]);
    let host = Host::system();
    host.rename(&segments(folder.path())[0], folder.path().join("00000000000000000007.journal"), "test").unwrap();
    let error = open_with(&host, folder.path(), small(), 7, 0).err().unwrap();
    assert!(matches!(error, OpenError::Header { cause: HeaderError::Misnamed { first_index: 0 }, .. }), "{error}");
}

/// CRC-32C bit by bit, from its definition, so that the format is checked against something else than itself.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn two_segments_that_claim_one_record_are_refused() {
    let (folder, _, _) = written(&[20; 4]);
    let (other, _, _) = written(&[10, 20, 20]);
    let stray =
        segments(other.path()).into_iter().rev().find(|path| !folder.path().join(path.file_name().unwrap()).exists());
    let stray = stray.unwrap();
    put(&folder.path().join(stray.file_name().unwrap()), &std::fs::read(&stray).unwrap());
    let error = open_error(folder.path(), 0);
    assert!(matches!(error, OpenError::Overlap { .. }), "{error}");
}

#[test]
fn what_an_older_segment_left_behind_never_parses() {
    let (older, _, end) = written(&[5, 5]);
    let old = std::fs::read(&segments(older.path())[0]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).unwrap());
    let path = &segments(folder.path())[0];
    let mut bytes = std::fs::read(path).unwrap();
    bytes.resize(bytes.len().max(old.len()), 0);
    bytes[64..old.len()].copy_from_slice(&old[64..]);
    put(path, &bytes);
    let opened = open(folder.path()).unwrap();
    assert_eq!((opened.records.len(), opened.recovery.next_index), (0, 0));
    assert_eq!(end, 10);
    assert!(opened.recovery.torn_tail.is_some());
    append(&opened.journal, 2).unwrap();
    drop(opened.journal);
    assert_records(&open(folder.path()).unwrap().records, 0..2);
}

#[test]
fn damage_below_the_floor_is_passed_over() {
    let (folder, _, end) = written(&[3, 3, 3]);
    let (path, place) = frame_of(folder.path(), 1);
    flip(&path, place.start + 10, 3);
    assert!(matches!(open_error(folder.path(), 0), OpenError::Hole { index: 1, .. }));
    let opened = open_with(&Host::system(), folder.path(), small(), 5, end).unwrap();
    assert_records(&opened.records, 5..9);
    assert_eq!(opened.recovery.damaged_bytes_below_floor, place.len() as u64);
}

#[test]
fn a_visitor_that_refuses_ends_the_opening() {
    let (folder, _, _) = written(&[3]);
    let visit = |index, _: &[u8]| if index == 1 { Err("no record of mine".into()) } else { Ok(()) };
    let refused = journal::Journal::open(&Host::system(), folder.path(), small(), 0, 0, visit, tell);
    assert!(matches!(refused, Err(OpenError::Refused { index: 1, .. })));
}

fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    segments(folder).into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A bit flipped anywhere is refused, cut off as part of the last group, or in space that nothing uses; never
    /// read as something else, and never passed over.
    #[test]
    fn a_flipped_bit_is_never_read_as_a_record(groups in prop::collection::vec(1u64..12, 1..8),
                                               pick in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let (folder, last_group, end) = written(&groups);
        let path = pick.get(&segments(folder.path())).clone();
        let bytes = std::fs::read(&path).unwrap();
        let used = frames(&bytes).last().map_or(64, |(place, _)| place.end);
        // Half of the flips into what is used, half anywhere.
        let byte = at.index(if bit % 2 == 0 { used } else { bytes.len() });
        let hit = frames(&bytes).iter().find(|(place, _)| place.contains(&byte)).map(|(_, index)| *index);
        flip(&path, byte, bit);

        let full = open_with(&Host::system(), folder.path(), small(), 0, end).map(|opened| opened.records);
        match (hit, full) {
            (None, Ok(records)) => {
                prop_assert!(byte >= used, "a damaged header is noticed");
                assert_records(&records, 0..end);
            }
            (None, Err(error)) => prop_assert!(byte < 64 && matches!(error, OpenError::Header { .. }), "{error}"),
            (Some(hit), Err(OpenError::Hole { index, segment, .. })) => {
                prop_assert_eq!((index, segment), (hit, path));
                prop_assert!(hit < last_group);
            }
            (Some(hit), Err(OpenError::Short { found, .. })) => {
                prop_assert!(hit >= last_group);
                prop_assert_eq!(found, hit);
                // Without the caller's knowledge the last group looks torn, and no more than that is cut.
                assert_records(&open(folder.path()).unwrap().records, 0..hit);
            }
            (hit, other) => prop_assert!(false, "record {hit:?}: {:?}", other.map(|records| records.len())),
        }
    }

    /// A segment cut at any byte: whole records before the cut stay, and a caller who knows of more is told.
    #[test]
    fn a_cut_anywhere_keeps_what_is_before_it_or_is_refused(groups in prop::collection::vec(1u64..12, 1..8),
                                                            pick in any::<prop::sample::Index>(), at in any::<prop::sample::Index>()) {
        let (folder, _, end) = written(&groups);
        let all = segments(folder.path());
        let path = pick.get(&all).clone();
        let bytes = std::fs::read(&path).unwrap();
        let cut = at.index(bytes.len() + 1);
        let kept = frames(&bytes).iter().take_while(|(place, _)| place.end <= cut).count() as u64;
        let first: u64 = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        put(&path, &bytes[..cut]);
        let is_last = Some(&path) == all.last();
        let lost = kept < frames(&bytes).len() as u64;

        let knowing = open_with(&Host::system(), folder.path(), small(), 0, end).map(|opened| opened.records);
        match knowing {
            Ok(records) => {
                prop_assert!(!lost);
                assert_records(&records, 0..end);
            }
            Err(OpenError::Short { found, .. }) => {
                prop_assert!(lost && is_last);
                prop_assert_eq!(found, first + kept);
                assert_records(&open(folder.path()).unwrap().records, 0..first + kept);
            }
            Err(OpenError::Hole { index, .. }) => {
                prop_assert!(lost && !is_last);
                prop_assert_eq!(index, first + kept);
            }
            Err(OpenError::Header { .. }) => prop_assert!(cut < 64 && !is_last),
            Err(error) => prop_assert!(false, "{error}"),
        }
    }

    /// The power goes while the last group is on its way: any of its pages may be on disk and any may not, and the file
    /// may have its old length. Every record acknowledged before is there; of the last group, some first ones.
    #[test]
    fn a_torn_write_loses_only_what_was_not_acknowledged(groups in prop::collection::vec(1u64..30, 0..5), last in 1u64..120,
                                                         rotate: bool, old_len: bool,
                                                         lost in prop::collection::vec(any::<bool>(), 32)) {
        let folder = tempfile::tempdir().unwrap();
        let options = journal::Options { segment_bytes: 1 << 20, ..small() };
        let Opened { journal, .. } = open_with(&Host::system(), folder.path(), options.clone(), 0, 0).unwrap();
        let mut acknowledged = 0;
        for count in groups {
            acknowledged = append(&journal, count).unwrap().end;
        }
        if rotate {
            journal.rotate().unwrap();
        }
        let before = snapshot(folder.path());
        let all = append(&journal, last).unwrap().end;
        journal.close().unwrap();
        let after = snapshot(folder.path());
        prop_assert_eq!(before.len(), after.len());
        let (path, new) = after.iter().next_back().unwrap();
        let old = &before[path];
        let mut torn = new.clone();
        for (page, _) in lost.iter().enumerate().filter(|(_, lost)| **lost) {
            for at in (page * 4096)..((page + 1) * 4096).min(torn.len()) {
                torn[at] = old.get(at).copied().unwrap_or(0);
            }
        }
        if old_len {
            torn.truncate(old.len());
        }
        put(path, &torn);

        let opened = open_with(&Host::system(), folder.path(), options.clone(), 0, acknowledged).unwrap();
        let kept = opened.recovery.next_index;
        prop_assert!((acknowledged..=all).contains(&kept));
        assert_records(&opened.records, 0..kept);
        prop_assert_eq!(append(&opened.journal, 3).unwrap(), kept..kept + 3);
        opened.journal.close().unwrap();
        assert_records(&open_with(&Host::system(), folder.path(), options, 0, kept + 3).unwrap().records, 0..kept + 3);
    }

    /// Whatever a folder holds, opening and reading it is an answer and never a panic.
    #[test]
    fn no_bytes_in_a_segment_make_opening_or_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), header: bool) {
        let folder = tempfile::tempdir().unwrap();
        drop(open(folder.path()).unwrap());
        let path = &segments(folder.path())[0];
        let good = std::fs::read(path).unwrap();
        put(path, &if header { [&good[..64], &bytes].concat() } else { bytes });
        journal::read(&Host::system(), folder.path(), 0, None, |_, _| Ok(())).unwrap();
        if let Ok(opened) = open(folder.path()) {
            prop_assert_eq!(opened.records.len(), 0);
        }
    }
}
