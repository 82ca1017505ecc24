//! Which files are merged, and into which: decided by the manifests alone, and by one look at the rows.
//!
//! # Size tiers
//!
//! A file's size is the share of [`TARGET_BYTES`] or of [`TARGET_ROWS`] that it fills, whichever is more. Sizes fall into
//! tiers, each eight times the one below. As soon as a tier has eight files of a kind they become one of a higher tier,
//! so a record is rewritten at most once a tier: the logarithm to base 8 of what the target is to the file it was
//! settled to, twice if its model gets files of its own on the way. From a settle of 20 kB to 128 MiB that is five.
//!
//! # Kinds
//!
//! Files in which every record is of one model are merged with each other. Of mixed files that are merged, the models
//! with the most decisions get files of their own, so that a query for one reads no other's columns.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::census::Census;
use crate::facts::Facts;
use crate::manifest::Manifest;
use crate::plan::MODEL_ROWS_MIN;
use crate::reader::{FileReader, FileRows};
use crate::rewrite::{Group, Interrupt, Merging, Output, Reason, Rewrite, RewriteError, TARGET_BYTES};
use crate::snapshot::Snapshot;

/// Rows of a file that is large enough.
const TARGET_ROWS: u64 = 1_000_000;

/// Files of a tier that are worth merging, and how many times larger a tier is than the one below.
const TIER_FILES: usize = 8;

/// Files that are merged at a time: each takes a batch and its footer in memory.
const FILES_MAX: usize = 16;

/// Models that get files of their own in one rewrite: each is one more pass over the files.
const MODELS_MAX: usize = 8;

/// Models that are told apart when decisions are counted; what comes after stays in the mixed file for now.
const MODELS_COUNTED_MAX: usize = 10_000;

/// How much is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// What has gathered in a tier. In the background: no record is rewritten often.
    Tiers,
    /// All files that are smaller than they should be. By hand.
    All,
}

/// The files to merge next, or none. Repeated, it comes to an end: each merge leaves fewer files of a kind.
pub fn choose_compaction(files: &[Manifest], effort: Effort) -> Option<Vec<Manifest>> {
    let mut gathered: BTreeMap<(Reverse<u32>, Option<String>), Vec<&Manifest>> = BTreeMap::new();
    for file in files.iter().filter(|file| size(file) < 1.0) {
        let tier = if effort == Effort::Tiers { tier(file) } else { 0 };
        // The smallest first: what comes of them may be merged with the next.
        gathered.entry((Reverse(tier), model_of(file))).or_default().push(file);
    }
    gathered.into_values().find_map(|mut files| {
        // Small ones first where tiers do not matter, old ones first where they do: neighbours in time stay together.
        files.sort_by_key(|file| (if effort == Effort::All { file.bytes } else { 0 }, file.first_index));
        let mut filled = 0.0;
        let taken = files.iter().take(FILES_MAX).take_while(|file| {
            let more = filled < 1.0;
            filled += size(file);
            more
        });
        let taken: Vec<Manifest> = taken.map(|&file| file.clone()).collect();
        let least = if effort == Effort::All || filled >= 1.0 { 2 } else { TIER_FILES };
        (taken.len() >= least).then_some(taken)
    })
}

/// What a file is of the size that it should have.
fn size(file: &Manifest) -> f64 {
    (file.bytes as f64 / TARGET_BYTES as f64).max(file.rows as f64 / TARGET_ROWS as f64)
}

/// 0 for files of up to the target's size, 1 for those of up to an eighth of it, and so on.
fn tier(file: &Manifest) -> u32 {
    let mut tier = 0;
    let mut most = size(file) * TIER_FILES as f64;
    while most <= 1.0 && tier < 20 {
        most *= TIER_FILES as f64;
        tier += 1;
    }
    tier
}

/// The model that every record of the file has, if there is one.
fn model_of(file: &Manifest) -> Option<String> {
    let stats: serde_json::Value = serde_json::from_str(&file.stats).ok()?;
    let (least, most) = (&stats["minValues"]["model.name"], &stats["maxValues"]["model.name"]);
    (stats["nullCount"]["model.name"] == 0 && least == most).then(|| least.as_str().map(str::to_owned)).flatten()
}

/// Plans to merge `files`, which are files of `snapshot`. Reads them, for what is dense in the merged rows becomes a
/// column; with the memory of one batch and of a bounded census a group.
pub fn plan_compaction(
    snapshot: &Snapshot,
    files: &[Manifest],
    interrupt: &Interrupt,
) -> Result<Rewrite, RewriteError> {
    let look = Look { snapshot, files, interrupt };
    let groups = look.groups()?;
    let censuses = look.censuses(&groups)?;
    let mut columns = (**snapshot.columns()).clone();
    let before = columns.list().len();
    let mut outputs = Vec::new();
    for (group, census) in groups.into_iter().zip(censuses).filter(|(_, census)| census.rows > 0) {
        outputs.push(Output { group, columns: census.paths.choose(&mut columns) });
    }
    Ok(Rewrite {
        base: snapshot.clone(),
        reason: Reason::Compaction,
        new_columns: columns.list()[before..].to_vec(),
        merges: vec![Merging { inputs: files.to_vec(), outputs }],
        interrupt: interrupt.clone(),
    })
}

/// A look at the rows of files that are to be merged.
struct Look<'a> {
    snapshot: &'a Snapshot,
    files: &'a [Manifest],
    interrupt: &'a Interrupt,
}

#[derive(Default)]
struct GroupCensus {
    paths: Census,
    rows: u64,
}

impl Look<'_> {
    fn each(
        &self,
        mut visit: impl FnMut(&Facts, &crate::Placed) -> Result<(), RewriteError>,
    ) -> Result<(), RewriteError> {
        for file in self.files {
            let (host, folder) = (self.snapshot.host(), self.snapshot.folder());
            let reader = FileReader::open(host, folder, file, self.snapshot.columns(), self.snapshot.keys())?;
            for placed in FileRows::new(Arc::new(reader))? {
                self.interrupt.check()?;
                let placed = placed?;
                visit(&Facts::of(&placed.stored), &placed)?;
            }
        }
        Ok(())
    }

    /// The files that these become.
    fn groups(&self) -> Result<Vec<Group>, RewriteError> {
        let kinds: BTreeSet<Option<String>> = self.files.iter().map(model_of).collect();
        if kinds.len() == 1 && !kinds.contains(&None) {
            return Ok(vec![Group::All]);
        }
        let mut decisions: HashMap<Box<str>, usize> = HashMap::new();
        self.each(|facts, _| {
            if let Some(model) = &facts.decided_by
                && (decisions.len() < MODELS_COUNTED_MAX || decisions.contains_key(model))
            {
                *decisions.entry(model.clone()).or_default() += 1;
            }
            Ok(())
        })?;
        let mut large: Vec<_> = decisions.into_iter().filter(|(_, rows)| *rows >= MODEL_ROWS_MIN).collect();
        large.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
        large.truncate(MODELS_MAX);
        let models: BTreeSet<Box<str>> = large.into_iter().map(|(model, _)| model).collect();
        let mut groups: Vec<Group> = models.iter().cloned().map(Group::Model).collect();
        groups.push(Group::Others(Arc::new(models)));
        Ok(groups)
    }

    /// For each group which paths its records have.
    fn censuses(&self, groups: &[Group]) -> Result<Vec<GroupCensus>, RewriteError> {
        let mut censuses: Vec<GroupCensus> = groups.iter().map(|_| GroupCensus::default()).collect();
        self.each(|facts, placed| {
            let of_group = groups.iter().zip(&mut censuses).find(|(group, _)| group.holds(facts));
            let Some((_, census)) = of_group else { return Ok(()) };
            census.rows += 1;
            let Some(parts) = placed.stored.parts() else { return Ok(()) };
            let index = placed.index;
            census.paths.count(parts).map_err(|cause| RewriteError::Cbor { index, cause })
        })?;
        Ok(censuses)
    }
}

#[cfg(test)]
mod tests;
