//! Which indices of a trail have been seen, and whether `received` never decreases with them (I2, T7).

use std::collections::BTreeMap;

/// A bit for each record, and the stamps of those that are ahead of the first gap.
pub(crate) struct Coverage {
    seen: Vec<u64>,
    size: u64,
    /// All below this have been seen, and their stamps compared.
    complete: u64,
    /// The stamp of record `complete - 1`.
    last_received: i64,
    /// Stamps of records that came before their turn. As many as the files' index ranges overlap.
    ahead: BTreeMap<u64, i64>,
}

/// Stamps that are remembered out of turn; with more, the comparison is given up for what is missing.
const AHEAD_MAX: usize = 1 << 20;

impl Coverage {
    pub(crate) fn new(size: u64) -> Self {
        let words = size.div_ceil(64) as usize;
        Coverage { seen: vec![0; words], size, complete: 0, last_received: i64::MIN, ahead: BTreeMap::new() }
    }

    /// Marks a record; says what is wrong with its place.
    pub(crate) fn add(&mut self, index: u64, received: i64) -> Option<String> {
        if index >= self.size {
            return None;
        }
        if self.has(index) {
            return Some(format!("record {index} is there twice"));
        }
        self.seen[(index / 64) as usize] |= 1 << (index % 64);
        if self.ahead.len() < AHEAD_MAX {
            self.ahead.insert(index, received);
        }
        let mut fault = None;
        while let Some(received) = self.ahead.remove(&self.complete) {
            if received < self.last_received {
                let index = self.complete;
                fault = Some(format!("record {index} was received before the record in front of it"));
            }
            self.last_received = received;
            self.complete += 1;
        }
        fault
    }

    /// Whether the record has been seen, or is none of ours.
    pub(crate) fn has(&self, index: u64) -> bool {
        index >= self.size || self.seen[(index / 64) as usize] & 1 << (index % 64) != 0
    }

    /// Counts records `first..=last` as seen, though nobody knows what they hold.
    pub(crate) fn excuse(&mut self, first: u64, last: u64) {
        for index in first..=last.min(self.size.saturating_sub(1)) {
            if index < self.size {
                self.seen[(index / 64) as usize] |= 1 << (index % 64);
            }
        }
    }

    /// The runs of indices that have not been seen, each as first and end.
    pub(crate) fn missing(&self) -> Vec<(u64, u64)> {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for index in 0..self.size {
            if self.has(index) {
                continue;
            }
            match runs.last_mut() {
                Some(run) if run.1 == index => run.1 += 1,
                _ => runs.push((index, index + 1)),
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_doubles_and_stamps_that_go_back_are_found() {
        let mut coverage = Coverage::new(200);
        for index in (0..200).rev().filter(|index| !(60..70).contains(index) && *index != 199) {
            assert_eq!(coverage.add(index, index as i64), None);
        }
        assert_eq!(coverage.missing(), [(60, 70), (199, 200)]);
        assert_eq!(coverage.add(59, 59).unwrap(), "record 59 is there twice");
        assert_eq!(coverage.add(60, 10).unwrap(), "record 60 was received before the record in front of it");
        assert_eq!(coverage.add(500, 0), None);
    }
}
