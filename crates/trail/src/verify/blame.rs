//! Which of the two was changed, where a record is not the one that its entry stands for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use record::Digest;
use tlog::{TileEdge, leaf_hash};

use super::{CHUNK, Check};

/// Records whose place is remembered when they are not the ones that were sealed; the rest are counted.
const WRONG_MAX: usize = 65_536;
/// Of records that differ from their entries, at most this many are tried one by one for which of the two was changed.
const SUSPECTS_MAX: usize = 10;
/// Leaves hashed at most to find that out.
const SUSPECT_HASHES_MAX: u64 = 1 << 26;

/// A record whose digest is not the entry at its index. One of the two was changed; which, the root decides.
pub(super) struct Wrong {
    /// What the record's content hashes to.
    pub(super) found: Digest,
    pub(super) file: PathBuf,
    pub(super) row: Option<u64>,
}

impl Check<'_> {
    /// Remembers that a record is not the one its entry stands for.
    pub(super) fn wrong(&mut self, index: u64, wrong: Wrong) {
        if self.wrong.len() < WRONG_MAX {
            self.wrong.insert(index, wrong);
        } else {
            self.report.findings_left_off += 1;
        }
    }

    /// Tells of every record that differs from its entry, and which of the two was changed.
    pub(super) fn wrong_records(&mut self, roots_agree: bool) {
        let wrong = std::mem::take(&mut self.wrong);
        let entries = if roots_agree { Some(BTreeSet::new()) } else { self.changed_entries(&wrong) };
        for (index, Wrong { found, file, row }) in wrong {
            let entry = self.entries.read(index, index + 1).ok().and_then(|entries| entries.first().copied());
            let entry = entry.map_or_else(|| "none".to_owned(), |entry| entry.to_string());
            let what = match &entries {
                Some(entries) if entries.contains(&index) => {
                    let what = format!("entry {index} was changed; the record itself is the one that was sealed");
                    let file = self.entries.path(index);
                    let finding = self.invalid("T1", what);
                    (finding.index, finding.file) = (Some(index), Some(file));
                    continue;
                }
                Some(_) => {
                    format!("this record is not the one that was sealed: it hashes to {found}, the log has {entry}")
                }
                None => format!(
                    "this record or its entry is not the one that was sealed: it hashes to {found}, the log has {entry}"
                ),
            };
            let finding = self.invalid("T1", what);
            (finding.index, finding.file, finding.row) = (Some(index), Some(file), row);
        }
    }

    /// The entries do not make the signed root. Those that, replaced by the digests of the records as they are, do make
    /// it, are what was changed; nothing if none do, or they are too many to try.
    fn changed_entries(&self, wrong: &BTreeMap<u64, Wrong>) -> Option<BTreeSet<u64>> {
        let all: BTreeSet<u64> = wrong.keys().copied().collect();
        if all.is_empty() || wrong.len() >= WRONG_MAX {
            return None;
        }
        if self.makes_root(wrong, &all) {
            return Some(all);
        }
        if all.len() > SUSPECTS_MAX || self.report.size.saturating_mul(1 << all.len()) > SUSPECT_HASHES_MAX {
            return None;
        }
        let subset =
            |mask: u32| all.iter().enumerate().filter(move |(bit, _)| mask >> bit & 1 == 1).map(|(_, index)| *index);
        (1..1 << all.len()).map(|mask| subset(mask).collect()).find(|some| self.makes_root(wrong, some))
    }

    /// Whether the log makes the signed root when these entries are taken from the records.
    fn makes_root(&self, wrong: &BTreeMap<u64, Wrong>, from_records: &BTreeSet<u64>) -> bool {
        let size = self.report.size;
        let mut edge = TileEdge::new();
        while edge.size() < size {
            let first = edge.size();
            let Ok(mut digests) = self.entries.read(first, first.saturating_add(CHUNK).min(size)) else { return false };
            for index in from_records.range(first..first + digests.len() as u64) {
                digests[(index - first) as usize] = wrong[index].found;
            }
            digests.iter().for_each(|digest| edge.push(leaf_hash(&digest.0), |_, _| {}));
        }
        edge.root().to_string() == self.report.root
    }
}
