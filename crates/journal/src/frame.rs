//! One frame: a record's bytes with the header that says which record it is and proves it.

use crate::bytes::{u32_at, u64_at};
use crate::options::FRAME_BYTES_CAP;
use crate::segment::SegmentId;
use crate::veil::Veil;

pub(crate) const HEADER_BYTES: usize = 32;
/// Every frame begins at a multiple of this.
pub(crate) const ALIGNMENT: usize = 8;

/// A frame header whose CRC holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) len: usize,
    payload_crc: u32,
    pub(crate) index: u64,
    pub(crate) durable: u64,
}

/// A whole frame, its payload proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) offset: usize,
    /// Where the next frame begins.
    pub(crate) end: usize,
    pub(crate) index: u64,
    pub(crate) durable: u64,
    pub(crate) payload: &'a [u8],
}

impl FrameHeader {
    /// The header at `offset` of a segment's bytes, or `None` when no header of this segment is there.
    pub(crate) fn at(bytes: &[u8], segment: &SegmentId, offset: usize) -> Option<FrameHeader> {
        let header: &[u8; HEADER_BYTES] = bytes.get(offset..)?.first_chunk()?;
        let len = u32_at(header, 0)? as usize;
        let (index, durable) = (u64_at(header, 8)?, u64_at(header, 16)?);
        // The cheap conditions first: a search asks this of every eighth byte.
        let plausible = len > 0 && len <= FRAME_BYTES_CAP && durable <= index && index < u64::MAX;
        if !plausible || u32_at(header, 24)? != 0 || u32_at(header, 28)? != header_crc(segment, header) {
            return None;
        }
        Some(FrameHeader { len, payload_crc: u32_at(header, 4)?, index, durable })
    }
}

impl<'a> Frame<'a> {
    /// The frame at `offset` of a segment's bytes, or `None` when no whole frame of this segment is there.
    pub(crate) fn at(bytes: &'a [u8], segment: &SegmentId, offset: usize) -> Option<Frame<'a>> {
        let header = FrameHeader::at(bytes, segment, offset)?;
        let start = offset + HEADER_BYTES;
        let end = start + header.len;
        let payload = bytes.get(start..end)?;
        let padding = bytes.get(end..end.next_multiple_of(ALIGNMENT))?;
        let whole = crc32c::crc32c(payload) == header.payload_crc && padding.iter().all(|&byte| byte == 0);
        whole.then_some(Frame {
            offset,
            end: end + padding.len(),
            index: header.index,
            durable: header.durable,
            payload,
        })
    }

    /// The first whole frame at or after `offset` whose index `wanted` takes.
    pub(crate) fn find(
        bytes: &'a [u8],
        segment: &SegmentId,
        offset: usize,
        wanted: impl Fn(u64) -> bool,
    ) -> Option<Frame<'a>> {
        places(bytes, offset)
            .filter(|&at| FrameHeader::at(bytes, segment, at).is_some_and(|header| wanted(header.index)))
            .find_map(|at| Frame::at(bytes, segment, at))
    }
}

/// The first frame header at or after `offset` which says that more than `index` records were fsynced before it was
/// written, and where it is. Its payload may be damaged: the header proves itself.
pub(crate) fn find_proof(bytes: &[u8], segment: &SegmentId, offset: usize, index: u64) -> Option<(usize, FrameHeader)> {
    places(bytes, offset)
        .filter_map(|at| Some((at, FrameHeader::at(bytes, segment, at)?)))
        .find(|(_, header)| header.durable > index)
}

fn places(bytes: &[u8], offset: usize) -> impl Iterator<Item = usize> {
    (offset.next_multiple_of(ALIGNMENT)..bytes.len()).step_by(ALIGNMENT)
}

/// Leaves room for a header at the end of `buffer`, and says where the frame begins.
pub(crate) fn begin(buffer: &mut Vec<u8>) -> usize {
    let start = buffer.len();
    buffer.resize(start + HEADER_BYTES, 0);
    start
}

/// Completes the frame that begins at `start` and whose payload reaches to the end of `buffer`, but for what only the
/// committer knows: see [`seal`]. `room` bytes are left behind the payload for the tag, if it is to be encrypted; if it
/// is not, its CRC is made here, while its bytes are in the processor's cache.
pub(crate) fn complete(buffer: &mut Vec<u8>, start: usize, index: u64, room: usize) {
    buffer.resize(buffer.len() + room, 0);
    let payload = &buffer[start + HEADER_BYTES..];
    // A payload is at most FRAME_BYTES_CAP long, which 32 bits hold.
    let len = payload.len() as u32;
    let payload_crc = if room == 0 { crc32c::crc32c(payload) } else { 0 };
    let header = &mut buffer[start..start + HEADER_BYTES];
    header[0..4].copy_from_slice(&len.to_le_bytes());
    header[4..8].copy_from_slice(&payload_crc.to_le_bytes());
    header[8..16].copy_from_slice(&index.to_le_bytes());
    buffer.resize(buffer.len().next_multiple_of(ALIGNMENT), 0);
}

/// Binds every frame in `group` to the segment it goes to and to what is durable by now, and encrypts payloads under the
/// segment's key if it has one.
pub(crate) fn seal(group: &mut [u8], segment: &SegmentId, durable: u64, veil: Option<&Veil>) {
    let mut rest = group;
    while let Some((header, after)) = rest.split_first_chunk_mut::<HEADER_BYTES>() {
        let len = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        if let (Some(veil), Some(payload)) = (veil, after.get_mut(..len)) {
            let index = u64::from_le_bytes(*header[8..].first_chunk().unwrap_or(&[0; 8]));
            veil.draw(index, payload);
            header[4..8].copy_from_slice(&crc32c::crc32c(payload).to_le_bytes());
        }
        header[16..24].copy_from_slice(&durable.to_le_bytes());
        let crc = header_crc(segment, header);
        header[28..32].copy_from_slice(&crc.to_le_bytes());
        rest = after.get_mut(len.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
    }
}

fn header_crc(segment: &SegmentId, header: &[u8; HEADER_BYTES]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(segment), &header[..28])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: SegmentId = [7; 16];

    fn group(payloads: &[Vec<u8>], first: u64, durable: u64) -> Vec<u8> {
        let mut buffer = Vec::new();
        for (index, payload) in (first..).zip(payloads) {
            let start = begin(&mut buffer);
            buffer.extend_from_slice(payload);
            complete(&mut buffer, start, index, 0);
        }
        seal(&mut buffer, &ID, durable, None);
        buffer
    }

    #[test]
    fn a_frame_is_what_the_format_says_byte_for_byte() {
        let frame = group(&[b"hello".to_vec()], 0x0102, 0x0101);
        assert_eq!(frame.len(), 40);
        assert_eq!(frame[..4], [5, 0, 0, 0]);
        assert_eq!(frame[4..8], crc32c::crc32c(b"hello").to_le_bytes());
        assert_eq!(frame[8..16], [2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(frame[16..24], [1, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(frame[24..28], [0; 4]);
        assert_eq!(frame[28..32], crc32c::crc32c(&[&ID, &frame[..28]].concat()).to_le_bytes());
        assert_eq!(frame[32..], *b"hello\0\0\0");
    }

    proptest! {
        #[test]
        fn frames_come_back(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..100), 1..20),
                            first in 0u64..1 << 40, behind in 0u64..10) {
            let durable = first.saturating_sub(behind);
            let bytes = group(&payloads, first, durable);
            let mut offset = 0;
            for (index, payload) in (first..).zip(&payloads) {
                let frame = Frame::at(&bytes, &ID, offset).unwrap();
                prop_assert_eq!((frame.index, frame.durable, frame.payload), (index, durable, payload.as_slice()));
                offset = frame.end;
            }
            prop_assert_eq!(offset, bytes.len());
        }

        #[test]
        fn any_flipped_bit_and_any_other_segment_id_is_noticed(payload in prop::collection::vec(any::<u8>(), 1..50),
                                                               bit in any::<prop::sample::Index>(), other in any::<SegmentId>()) {
            let good = group(&[payload], 9, 3);
            let mut bytes = good.clone();
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Frame::at(&bytes, &ID, 0), None);
            prop_assume!(other != ID);
            prop_assert_eq!(Frame::at(&good, &other, 0), None);
        }

        #[test]
        fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), id in any::<SegmentId>(),
                                        offset in 0usize..400) {
            let _ = Frame::at(&bytes, &id, offset);
            let _ = Frame::find(&bytes, &id, offset, |_| true);
            let _ = find_proof(&bytes, &id, offset, 0);
        }

        #[test]
        fn zeros_are_never_a_frame(id in any::<SegmentId>()) {
            prop_assert_eq!(FrameHeader::at(&[0; 64], &id, 0), None);
        }
    }
}
