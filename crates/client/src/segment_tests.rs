use std::sync::Arc;

use proptest::prelude::*;

use super::*;

const PAGE: usize = 4096;

fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 1..6000), 1..40)
}

/// A segment's file with these frames, and the bytes that it came to.
fn written(folder: &Path, payloads: &[Vec<u8>]) -> (PathBuf, Vec<u8>) {
    let path = folder.join("segment");
    let segment = Segment::create(&Host::system(), &path, [7; 16], 3).unwrap();
    for (position, payload) in payloads.iter().enumerate() {
        assert!(segment.append(position as u64 + 1, payload));
    }
    drop(segment);
    let bytes = std::fs::read(&path).unwrap();
    (path, bytes)
}

fn read_back(path: &Path, bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    #[allow(clippy::disallowed_methods, reason = "a test puts a damaged file there")]
    std::fs::write(path, bytes).unwrap();
    let segment = Segment::open(&Host::system(), path).unwrap();
    let frames = segment.left_from(Segment::first());
    frames.map(|frame| (frame.seq, frame.payload.to_vec())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// T25: of what was never synced any pages may be missing after a power cut. Every frame whose pages are all there
    /// is found, and nothing else is.
    #[test]
    fn of_any_subset_of_pages_every_whole_frame_is_found(
        payloads in payloads(),
        lost in prop::collection::hash_set(1usize..60, 0..20),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (path, mut bytes) = written(folder.path(), &payloads);
        let before = bytes.clone();
        for page in &lost {
            bytes[page * PAGE..(page + 1) * PAGE].fill(0);
        }
        let mut offset = HEADER;
        let mut expected = Vec::new();
        for (position, payload) in payloads.iter().enumerate() {
            let size = padded(payload.len());
            // Padding is zero anyway: only what is not may be missed.
            if bytes[offset..offset + size] == before[offset..offset + size] {
                expected.push((position as u64 + 1, payload.clone()));
            }
            offset += size;
        }
        prop_assert_eq!(read_back(&path, &bytes), expected);
    }

    /// T25: a garbled byte takes the frame that it is in and no other.
    #[test]
    fn a_garbled_frame_hides_no_other(payloads in payloads(), at in 0usize..100_000, xor in 1u8..) {
        let folder = tempfile::tempdir().unwrap();
        let (path, mut bytes) = written(folder.path(), &payloads);
        let sizes = payloads.iter().map(|payload| padded(payload.len()));
        let ends: Vec<usize> = sizes.scan(HEADER, |at, size| { *at += size; Some(*at) }).collect();
        let at = HEADER + at % (ends.last().unwrap() - HEADER);
        bytes[at] ^= xor;
        let hit = ends.iter().position(|end| at < *end).unwrap();
        let expected: Vec<_> = payloads.iter().enumerate().map(|(n, payload)| (n as u64 + 1, payload.clone())).collect();
        let found = read_back(&path, &bytes);
        let start = ends[hit] - padded(payloads[hit].len());
        let in_padding = at >= start + FRAME + payloads[hit].len();
        for (position, frame) in expected.iter().enumerate() {
            prop_assert_eq!(found.contains(frame), position != hit || in_padding, "frame {}", position);
        }
        prop_assert!(found.iter().all(|frame| expected.contains(frame)));
    }
}

/// A record may hold any bytes, a frame among them.
#[test]
fn a_payload_that_is_a_frame_is_no_frame_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (path, bytes) = written(folder.path(), &[b"inner".to_vec()]);
    let frame = bytes[HEADER..HEADER + padded(5)].to_vec();
    let (_, mut bytes) = {
        #[allow(clippy::disallowed_methods, reason = "a test makes room")]
        std::fs::remove_file(&path).unwrap();
        written(folder.path(), &[frame, b"after".to_vec()])
    };
    // The outer frame is torn, so that a reader looks at each place within it.
    bytes[HEADER..HEADER + 4].fill(0);
    assert_eq!(read_back(&path, &bytes), [(2, b"after".to_vec())]);
}

#[test]
fn what_is_no_segment_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (path, bytes) = written(folder.path(), &[b"one".to_vec()]);
    for wrong in
        [&bytes[..SEGMENT_BYTES / 2], &bytes[..10], &[&[0], &bytes[1..]].concat(), &[&bytes[..], &[0]].concat()]
    {
        #[allow(clippy::disallowed_methods, reason = "a test puts a damaged file there")]
        std::fs::write(&path, wrong).unwrap();
        assert!(matches!(Segment::open(&Host::system(), &path), Err(SegmentError::NotOne { .. })));
    }
}

/// Threads that append at once each find a place of their own, and the reader finds all that was taken.
#[test]
fn many_threads_append_without_a_lock() {
    let segment = Arc::new(Segment::in_memory([1; 16], 0).unwrap());
    let taken: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4u64)
            .map(|thread| {
                let segment = Arc::clone(&segment);
                scope.spawn(move || {
                    let payload = |n: u64| vec![thread as u8; 1 + (n * 37 % 900) as usize];
                    (0..).take_while(|n| segment.append(thread << 32 | (n + 1), &payload(*n))).count() as u64
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let (mut offset, mut found) = (Segment::first(), 0);
    let mut last = [0; 4];
    loop {
        match segment.at(offset) {
            Found::Frame(frame) => {
                let thread = (frame.seq >> 32) as usize;
                assert_eq!(frame.seq & 0xffff_ffff, last[thread] + 1);
                assert!(frame.payload.iter().all(|byte| usize::from(*byte) == thread));
                last[thread] += 1;
                (found, offset) = (found + 1, frame.next);
            }
            Found::End => break,
            Found::Nothing => panic!("a hole at {offset}"),
        }
    }
    assert_eq!(found, taken);
}

/// T25: an fsync that failed may have marked as clean what it did not write. The next one must not pass for a promise.
#[test]
fn a_failed_fsync_is_not_made_good_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let faults = host::FaultTable::one("spool.fdatasync", 2, host::Fault::FailBefore(libc::EIO));
    let host = Host::builder().faults(faults).build();
    let segment = Segment::create(&host, &folder.path().join("segment"), [7; 16], 3).unwrap();
    assert!(segment.append(1, b"one"));
    segment.sync().unwrap();
    assert!(segment.append(2, b"two"));
    assert!(matches!(segment.sync(), Err(SegmentError::File(_))));
    assert!(matches!(segment.sync(), Err(SegmentError::NotDurable { .. })));
    // The queue goes on in another segment, and what is here is sent.
    assert!(!segment.append(3, b"three"));
    let Found::Frame(one) = segment.at(Segment::first()) else { panic!("no first frame") };
    let Found::Frame(two) = segment.at(one.next) else { panic!("no second frame") };
    assert_eq!((two.seq, segment.at(two.next)), (2, Found::End));
}
