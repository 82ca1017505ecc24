//! The tree: all entries hashed up to the root, and held against tiles, checkpoint and pins.

use record::Digest;
use tlog::{Tile, TileEdge, leaf_hash};

use super::signatures::Pin;
use super::{CHUNK, Check, Finding, Severity};
use crate::entries::EntriesError;

impl Check<'_> {
    /// Hashes all entries up to the root; compares tiles, pins and the checkpoint. Whether the entries make the
    /// checkpoint's root.
    pub(super) fn tree(&mut self, pins: &[Pin]) -> bool {
        let size = self.report.size;
        let mut edge = TileEdge::new();
        let mut stops: Vec<u64> = pins.iter().map(|pin| pin.size).filter(|stop| *stop > 0).collect();
        stops.sort_unstable();
        self.compare_pins(pins, &edge);
        while edge.size() < size {
            let next = (edge.size() + CHUNK).min(size);
            let next = stops.iter().copied().find(|stop| *stop > edge.size()).map_or(next, |stop| next.min(stop));
            let digests = match self.entries.read(edge.size(), next) {
                Ok(digests) => digests,
                Err(error) => {
                    self.entries_fault(error);
                    return false;
                }
            };
            self.push(&mut edge, &digests);
            self.compare_pins(pins, &edge);
            if !self.pace.advance(digests.len() as u64) {
                return false;
            }
        }
        let root = edge.root().to_string();
        if size > 0 && root != self.report.root {
            let signed = &self.report.root;
            let what = format!("the entries hash to root {root}, and the checkpoint signed {signed}");
            self.invalid("I3", what);
            return false;
        }
        true
    }

    pub(super) fn push(&mut self, edge: &mut TileEdge, digests: &[Digest]) {
        let mut full = Vec::new();
        for digest in digests {
            edge.push(leaf_hash(&digest.0), |tile, hashes| {
                if tile.level() > 0 {
                    full.push((tile, Tile::encode(hashes)));
                }
            });
        }
        for (tile, bytes) in full {
            self.compare_tile(tile, &bytes);
        }
    }

    fn compare_tile(&mut self, tile: Tile, bytes: &[u8]) {
        let path = self.entries.tile_path(tile);
        match self.entries.full_tile(tile) {
            Ok(Some(there)) if there == bytes => self.report.tiles += 1,
            Ok(Some(_)) => {
                let what = "the tile is not the one that its entries make";
                self.invalid("T1", what).file = Some(path);
            }
            Ok(None) => {
                let what = "the tile is missing; it can be made again from the entries";
                self.find(Severity::Incomplete, "I3", what).file = Some(path);
            }
            Err(error) => self.entries_fault(error),
        }
    }

    fn compare_pins(&mut self, pins: &[Pin], edge: &TileEdge) {
        for pin in pins.iter().filter(|pin| pin.size == edge.size()) {
            let (name, size) = (&pin.name, pin.size);
            if edge.root() == pin.root && size == 0 {
                // Every log begins with nothing, so this pins nothing.
            } else if edge.root() == pin.root {
                self.report.anchors.push(format!("the pinned checkpoint {name} of {size} records"));
                self.agreed = size;
            } else {
                let what = format!(
                    "the first {size} records are not those of the pinned checkpoint {name}: history was rewritten{}",
                    if self.agreed > 0 { format!(", behind record {}", self.agreed - 1) } else { String::new() }
                );
                self.invalid("T2", what);
            }
        }
    }

    pub(super) fn entries_fault(&mut self, error: EntriesError) {
        let what = error.to_string();
        let file = match &error {
            EntriesError::Short { path, .. } | EntriesError::Tile { path } => path.as_path(),
            EntriesError::File(error) => error.path(),
        };
        // Every record that asks for an entry of this file would say it again.
        let is_same = |finding: &Finding| finding.file.as_deref() == Some(file) && finding.what == what;
        let is_short =
            |finding: &Finding| finding.file.as_deref() == Some(file) && finding.severity == Severity::Incomplete;
        let short = matches!(error, EntriesError::Short { .. });
        if self.report.findings.iter().any(|finding| is_same(finding) || (short && is_short(finding))) {
            return;
        }
        match error {
            EntriesError::Short { path, index } => {
                let finding = self.find(Severity::Incomplete, "I2", what);
                (finding.file, finding.index) = (Some(path), Some(index));
            }
            EntriesError::Tile { path } => self.invalid("T1", what).file = Some(path),
            EntriesError::File(error) => {
                let file = error.path().to_owned();
                self.find(Severity::Incomplete, "T1", what).file = Some(file);
            }
        }
    }
}
