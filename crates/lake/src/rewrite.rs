//! Rewriting: live files are replaced by new ones that hold the same records, some of them in their erased form.
//!
//! ```text
//! Rewrite (pure plan) ──► carry_out ──► Rewritten ──► Lake::replace
//!                         merge, write, fsync,        one Delta commit: removes and adds
//!                         read back, compare (I5)
//! ```
//!
//! [`Rewrite::carry_out`] is the long part. It needs the snapshot that the plan was made for and not the [`Lake`], so
//! settles go on meanwhile; [`Lake::replace`] then commits on top of whatever version is current, since a settle only
//! adds. Two rewrites at a time are refused as soon as they name the same file.
//!
//! A crash anywhere before the commit leaves the inputs live and the outputs unnamed; anywhere after it, the other way
//! round. An output is called `rewrite-<watermark>-…`: unlike a settle's, its records are below that watermark and all in
//! files that were live when it was written, so one that no version names holds nothing that is nowhere else.
//!
//! [`Lake`]: crate::Lake
//! [`Lake::replace`]: crate::Lake::replace

mod carry_out;
mod error;
mod merge;
mod outputs;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use carry_out::Rewritten;
pub use error::RewriteError;
pub(crate) use outputs::InProgress;

use crate::columns::Column;
use crate::facts::Facts;
use crate::manifest::Manifest;
use crate::snapshot::Snapshot;

/// Bytes of a file that is large enough: it is not merged into another one any more.
pub(crate) const TARGET_BYTES: u64 = 128 << 20;

/// Why files are rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// To have fewer and better sorted files. What engines read of the table does not change.
    Compaction,
    /// To have what was erased in no file. The files that go away hold what must not stay.
    Erasure,
}

/// What a rewrite will do: which files are replaced by which. Made for one snapshot, whose files it keeps.
#[derive(Clone)]
pub struct Rewrite {
    pub(crate) base: Snapshot,
    pub(crate) reason: Reason,
    /// The columns that the table gets by it.
    pub(crate) new_columns: Vec<Column>,
    pub(crate) merges: Vec<Merging>,
    pub(crate) interrupt: Interrupt,
}

/// Ends a rewrite that is under way: a writer that closes does not wait for it.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Whoever is rewriting ends with [`RewriteError::Interrupted`] at the next record.
    pub fn interrupt(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn check(&self) -> Result<(), RewriteError> {
        if self.0.load(Ordering::Relaxed) { Err(RewriteError::Interrupted) } else { Ok(()) }
    }
}

/// Files that become others, together.
#[derive(Clone, Debug)]
pub(crate) struct Merging {
    pub inputs: Vec<Manifest>,
    pub outputs: Vec<Output>,
}

/// One file to be: which of the rows it gets, and the columns that it has beside those of the inputs.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub group: Group,
    pub columns: Vec<String>,
}

/// Which rows go to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// All.
    All,
    /// The decisions of that model.
    Model(Box<str>),
    /// What is no decision of these models.
    Others(Arc<BTreeSet<Box<str>>>),
}

impl Group {
    pub(crate) fn holds(&self, facts: &Facts) -> bool {
        match self {
            Self::All => true,
            Self::Model(model) => facts.decided_by.as_ref() == Some(model),
            Self::Others(models) => facts.decided_by.as_ref().is_none_or(|model| !models.contains(model)),
        }
    }
}

impl Rewrite {
    /// Plans to write each of `files` anew, with the columns that it has, so that records in it are replaced by their
    /// erased form. `files` are files of `snapshot`.
    pub fn for_erasure(snapshot: &Snapshot, files: &[&Manifest]) -> Self {
        let whole = || vec![Output { group: Group::All, columns: Vec::new() }];
        let merges = files.iter().map(|&file| Merging { inputs: vec![file.clone()], outputs: whole() }).collect();
        Self {
            base: snapshot.clone(),
            reason: Reason::Erasure,
            new_columns: Vec::new(),
            merges,
            interrupt: Interrupt::default(),
        }
    }

    /// The files that go away by it.
    pub fn inputs(&self) -> impl Iterator<Item = &Manifest> {
        self.merges.iter().flat_map(|merging| &merging.inputs)
    }

    /// Why it is done.
    pub fn reason(&self) -> Reason {
        self.reason
    }
}

#[cfg(test)]
mod tests;
