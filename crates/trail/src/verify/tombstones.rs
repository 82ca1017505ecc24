//! Tombstones: what records have lost, held against what `erasure` records declare (T20).

use std::collections::BTreeMap;

use record::{Part, Stored};

use super::Check;
use crate::erasure::{Erasure, mask};

/// What was lost and what was declared, a bit a part, by index. As large as what was erased.
#[derive(Default)]
pub(super) struct Tombstones {
    lost: BTreeMap<u64, u8>,
    declared: BTreeMap<u64, u8>,
}

impl Tombstones {
    /// Takes note of a record that is a tombstone, or declares some.
    pub(super) fn see(&mut self, index: u64, stored: &Stored) {
        let lost = mask(stored.erased());
        if lost != 0 {
            self.lost.insert(index, lost);
        }
        if let Some(erasure) = Erasure::of_record(stored) {
            let mask = erasure.mask();
            erasure.indices.iter().for_each(|index| *self.declared.entry(*index).or_default() |= mask);
        }
    }

    /// Records, and the parts of each, that are gone and that nothing declares.
    fn undeclared(&self) -> impl Iterator<Item = (u64, Vec<&'static str>)> {
        self.lost.iter().filter_map(|(index, lost)| {
            let secretly = lost & !self.declared.get(index).copied().unwrap_or(0);
            let parts = Part::ALL.into_iter().filter(|part| secretly & 1 << *part as u8 != 0);
            (secretly != 0).then(|| (*index, parts.map(Part::name).collect()))
        })
    }
}

impl Check<'_> {
    /// Every tombstone is declared by a record of the same trail. Declared and still there is no fault: an erasure is on
    /// record before it is carried out.
    pub(super) fn tombstones(&mut self) {
        let tombstones = std::mem::take(&mut self.tombstones);
        for (index, parts) in tombstones.undeclared() {
            let what = format!("record {index} has lost its {}, and no erasure record declares it", parts.join(", "));
            self.invalid("T20", what).index = Some(index);
        }
    }
}
