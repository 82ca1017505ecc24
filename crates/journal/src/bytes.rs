//! Fixed-width numbers in byte slices, without a panic on short ones.

/// The `N` bytes at `offset`, if they are there.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    array_at(bytes, offset).map(u16::from_le_bytes)
}

pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    array_at(bytes, offset).map(u32::from_le_bytes)
}

pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    array_at(bytes, offset).map(u64::from_le_bytes)
}

/// Where the bytes from `offset` on stop being anything but zeros: `offset` itself when they all are zero.
pub(crate) fn end_of_data(bytes: &[u8], offset: usize) -> usize {
    let rest = bytes.get(offset..).unwrap_or_default();
    // Preallocated tails are megabytes of zeros: skip them a page at a time.
    let (mut end, page) = (rest.len(), [0; 4096]);
    while end >= page.len() && rest[end - page.len()..end] == page {
        end -= page.len();
    }
    offset + rest[..end].iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}
