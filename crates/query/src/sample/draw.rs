//! The draw: of all records offered, in any order, the `n` with the lowest hashes.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};
use tlog::Hash;
use uuid::Uuid;

/// A record of the sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Drawn {
    pub hash: [u8; 32],
    pub id: Uuid,
    pub index: u64,
}

/// The number of a record: SHA-256("onrecord/sample/v1" ‖ 00 ‖ root ‖ nonce ‖ id). Root and id have fixed lengths, so
/// that no two inputs are the same bytes.
pub(super) fn number(root: &Hash, nonce: &str, id: &Uuid) -> [u8; 32] {
    let hash = Sha256::new().chain_update(b"onrecord/sample/v1\0").chain_update(root.as_bytes());
    hash.chain_update(nonce.as_bytes()).chain_update(id.as_bytes()).finalize().into()
}

/// A draw that goes on. It keeps no more than the sample.
pub(super) struct Draw<'a> {
    root: &'a Hash,
    nonce: &'a str,
    n: usize,
    lowest: BTreeSet<Drawn>,
}

impl<'a> Draw<'a> {
    pub(super) fn new(root: &'a Hash, nonce: &'a str, n: usize) -> Self {
        Draw { root, nonce, n, lowest: BTreeSet::new() }
    }

    pub(super) fn offer(&mut self, index: u64, id: Uuid) {
        self.lowest.insert(Drawn { hash: number(self.root, self.nonce, &id), id, index });
        if self.lowest.len() > self.n {
            self.lowest.pop_last();
        }
    }

    /// The sample, lowest first.
    pub(super) fn end(self) -> Vec<Drawn> {
        self.lowest.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn draw(root: &Hash, nonce: &str, n: usize, records: &[(u64, Uuid)]) -> Vec<Drawn> {
        let mut draw = Draw::new(root, nonce, n);
        records.iter().for_each(|(index, id)| draw.offer(*index, *id));
        draw.end()
    }

    proptest! {
        #[test]
        fn a_sample_does_not_know_the_order(
            ids in prop::collection::hash_set(any::<u128>(), 0..80),
            order in any::<prop::sample::Index>(),
            n in 1usize..20,
        ) {
            let records: Vec<(u64, Uuid)> =
                ids.iter().enumerate().map(|(index, id)| (index as u64, Uuid::from_u128(*id))).collect();
            let root = Hash([7; 32]);
            let drawn = draw(&root, "nonce", n, &records);
            let mut turned = records.clone();
            turned.reverse();
            if !turned.is_empty() {
                let by = order.index(turned.len());
                turned.rotate_left(by);
            }
            prop_assert_eq!(&drawn, &draw(&root, "nonce", n, &turned));
            prop_assert_eq!(drawn.len(), n.min(records.len()));
            let last = drawn.last().map(|last| last.hash);
            let left_out = records.iter().filter(|(_, id)| !drawn.iter().any(|drawn| drawn.id == *id));
            for (_, id) in left_out {
                prop_assert!(Some(number(&root, "nonce", id)) > last);
            }
        }

        #[test]
        fn nobody_knows_a_number_without_root_and_nonce(id in any::<u128>(), nonce in "[a-z]{1,20}") {
            let id = Uuid::from_u128(id);
            let number = |root: u8, nonce: &str| number(&Hash([root; 32]), nonce, &id);
            prop_assert_ne!(number(1, &nonce), number(2, &nonce));
            prop_assert_ne!(number(1, &nonce), number(1, &format!("{nonce}x")));
        }
    }

    /// printf 'onrecord/sample/v1\0' | cat - root nonce id | sha256sum
    #[test]
    fn a_number_is_what_the_format_says() {
        let id = Uuid::from_u128(0x0190_a5c2_7b1e_7c3a_9d55_1f0f_5a6b_7c8d);
        let hex: String = number(&Hash([0x11; 32]), "dice 4 2 6 1", &id).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "0962d162fa7ec52fbe02a32022badf390167b035b221302c2043ef4df49988e1");
    }

    /// Each record is as likely as any other: over 2,000 nonces, each of 20 records is in a sample of 5 about 500 times.
    #[test]
    fn each_record_is_as_likely() {
        let records: Vec<(u64, Uuid)> = (0..20u64).map(|n| (n, Uuid::from_u128(u128::from(n)))).collect();
        let root = Hash([3; 32]);
        let mut times = [0u32; 20];
        for nonce in 0..2_000 {
            for drawn in draw(&root, &nonce.to_string(), 5, &records) {
                times[drawn.index as usize] += 1;
            }
        }
        // Five standard deviations, √(2,000 · ¼ · ¾) ≈ 19.4.
        assert!(times.iter().all(|n| n.abs_diff(500) < 97), "{times:?}");
    }
}
