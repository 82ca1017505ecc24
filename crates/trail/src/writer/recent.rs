//! Digests of what was settled lately. Most late facts, explanations above all, come soon after the decision they are
//! about, and to look each up in the lake would take more of a core than all that the writer does for it besides.

use std::collections::{HashMap, VecDeque};

use record::Digest;
use uuid::Uuid;

/// Decisions that are remembered: some 20 MB.
const RECENT_MAX: usize = if cfg!(test) { 4 } else { 1 << 18 };

/// The digests of the records that were settled last, by id. What is not here is in the lake.
#[derive(Default)]
pub(super) struct Recent {
    digests: HashMap<Uuid, Digest>,
    /// Oldest first.
    order: VecDeque<Uuid>,
}

impl Recent {
    pub(super) fn remember(&mut self, settled: impl Iterator<Item = (Uuid, Digest)>) {
        for (id, digest) in settled {
            if self.digests.insert(id, digest).is_none() {
                self.order.push_back(id);
            }
            if self.order.len() > RECENT_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.digests.remove(&oldest);
            }
        }
    }

    /// Takes out of `ids` those that are remembered, and gives their digests.
    pub(super) fn take(&self, ids: &mut Vec<Uuid>) -> HashMap<Uuid, Digest> {
        let mut found = HashMap::new();
        ids.retain(|id| match self.digests.get(id) {
            Some(digest) => {
                found.insert(*id, *digest);
                false
            }
            None => true,
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_are_remembered_and_no_more() {
        let id = |n: u64| Uuid::from_u64_pair(7, n);
        let digest = |n: u64| Digest([n as u8; 32]);
        let mut recent = Recent::default();
        recent.remember((0..10).chain(8..10).map(|n| (id(n), digest(n))));
        assert_eq!((recent.digests.len(), recent.order.len()), (RECENT_MAX, RECENT_MAX));
        let mut ids = vec![id(3), id(6), id(9), id(11)];
        let found = recent.take(&mut ids);
        assert_eq!(ids, [id(3), id(11)]);
        assert_eq!(found, HashMap::from([(id(6), digest(6)), (id(9), digest(9))]));
    }
}
