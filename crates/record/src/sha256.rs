//! SHA-256 of a short prefix and a body.
//!
//! A record takes some thirty hashes of one to a few blocks. Handing whole blocks to the compression function and
//! padding here saves the copies and the book-keeping of a hasher that is fed piece by piece.

use sha2::block_api::compress256;

const BLOCK: usize = 64;

/// FIPS 180-4 section 5.3.3.
const INITIAL: [u32; 8] =
    [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

/// SHA-256 of `prefix ‖ body`. Bytes of the prefix beyond the first block would be lost, so `P` is below 64.
#[inline]
pub(crate) fn sha256<const P: usize>(prefix: &[u8; P], body: &[u8]) -> [u8; 32] {
    sha256_slices(prefix, P, body)
}

/// SHA-256 of `prefix[..len] ‖ body`.
#[inline]
pub(crate) fn sha256_slices<const P: usize>(prefix: &[u8; P], len: usize, body: &[u8]) -> [u8; 32] {
    const { assert!(P < BLOCK) };
    let len = len.min(P);
    let mut state = INITIAL;
    let mut last = [0u8; 2 * BLOCK];
    last[..len].copy_from_slice(&prefix[..len]);
    // What is left for the last block or two, behind `filled` bytes that stand there already.
    let (mut filled, mut rest) = (len, body);
    if let Some((head, tail)) = body.split_at_checked(BLOCK - len) {
        last[len..BLOCK].copy_from_slice(head);
        compress_bytes(&mut state, &last[..BLOCK]);
        let (blocks, tail) = tail.as_chunks::<BLOCK>();
        if !blocks.is_empty() {
            compress256(&mut state, blocks);
        }
        (filled, rest) = (0, tail);
    }
    let end = filled + rest.len();
    last[filled..end].copy_from_slice(rest);
    last[end] = 0x80;
    let padded = if end + 9 <= BLOCK { BLOCK } else { 2 * BLOCK };
    last[end + 1..padded].fill(0);
    let bits = 8 * (len as u64 + body.len() as u64);
    last[padded - 8..padded].copy_from_slice(&bits.to_be_bytes());
    compress_bytes(&mut state, &last[..padded]);
    output(&state)
}

/// SHA-256 of a message of at most 55 bytes that stands in its block already, padded by [`pad`].
#[inline]
pub(crate) fn sha256_padded(block: &[u8; BLOCK]) -> [u8; 32] {
    let mut state = INITIAL;
    compress256(&mut state, std::slice::from_ref(block));
    output(&state)
}

/// Pads a message of `len` bytes, at most 55, that stands at the beginning of its block with zeros behind it.
pub(crate) const fn pad(mut block: [u8; BLOCK], len: usize) -> [u8; BLOCK] {
    assert!(len <= BLOCK - 9);
    block[len] = 0x80;
    let bits = 8 * len as u16;
    [block[BLOCK - 2], block[BLOCK - 1]] = bits.to_be_bytes();
    block
}

#[inline]
fn output(state: &[u32; 8]) -> [u8; 32] {
    let mut hash = [0; 32];
    for (bytes, word) in hash.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    hash
}

#[inline]
fn compress_bytes(state: &mut [u32; 8], bytes: &[u8]) {
    compress256(state, bytes.as_chunks::<BLOCK>().0);
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    /// Every way the ends can fall, against the hasher of the library.
    #[test]
    fn agrees_with_the_library() {
        let body: Vec<u8> = (0..300u32).map(|i| (i * 7) as u8).collect();
        let prefix: [u8; 63] = std::array::from_fn(|i| i as u8 ^ 0x5a);
        for prefix_len in 0..=63 {
            for body_len in 0..=body.len() {
                let body = &body[..body_len];
                let expected: [u8; 32] =
                    Sha256::new().chain_update(&prefix[..prefix_len]).chain_update(body).finalize().into();
                assert_eq!(sha256_slices(&prefix, prefix_len, body), expected, "{prefix_len} + {body_len}");
            }
        }
        for len in 0..=55 {
            let mut block = [0; BLOCK];
            block[..len].copy_from_slice(&body[..len]);
            let expected: [u8; 32] = Sha256::digest(&body[..len]).into();
            assert_eq!(sha256_padded(&pad(block, len)), expected, "{len}");
        }
        let expected: [u8; 32] = Sha256::digest(b"abc").into();
        assert_eq!(sha256(b"", b"abc"), expected);
        assert_eq!(sha256(b"ab", b"c"), expected);
    }
}
