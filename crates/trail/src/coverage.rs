//! Which indices of a trail have been seen, and whether `received` never decreases with them (I2, T7).

use std::collections::BTreeMap;

/// Indices in one piece of the map.
const CHUNK: u64 = 65_536;

/// Stamps that are remembered out of turn; with more, the comparison is given up for what is missing.
const AHEAD_MAX: usize = 1 << 20;

/// Which records were seen, and the stamps of those that are ahead of the first gap. A piece of the map costs a bit a
/// record while some of it are missing, and nothing once all are there; so memory grows neither with the trail nor
/// with how many records a checkpoint claims, but with how far the files' index ranges overlap.
pub(crate) struct Coverage {
    /// By the number of the piece.
    seen: BTreeMap<u64, Piece>,
    size: u64,
    /// All below this have been seen, and their stamps compared.
    complete: u64,
    /// The stamp of record `complete - 1`.
    last_received: i64,
    /// Stamps of records that came before their turn. As many as the files' index ranges overlap.
    ahead: BTreeMap<u64, i64>,
    /// Ranges, first and end, in which what is missing may be there and cannot be read.
    unreadable: Vec<(u64, u64)>,
}

/// [`CHUNK`] indices.
#[derive(Default)]
struct Piece {
    /// A bit an index; nothing where all or none have been seen.
    bits: Box<[u64]>,
    seen: u64,
}

impl Piece {
    fn has(&self, at: u64) -> bool {
        self.seen == CHUNK || self.bits.get((at / 64) as usize).is_some_and(|word| word & 1 << (at % 64) != 0)
    }

    /// Marks an index that has not been seen.
    fn add(&mut self, at: u64) {
        if self.bits.is_empty() {
            self.bits = vec![0; (CHUNK / 64) as usize].into_boxed_slice();
        }
        self.bits[(at / 64) as usize] |= 1 << (at % 64);
        self.seen += 1;
        if self.seen == CHUNK {
            self.bits = Box::default();
        }
    }
}

impl Coverage {
    pub(crate) fn new(size: u64) -> Self {
        Coverage {
            seen: BTreeMap::new(),
            size,
            complete: 0,
            last_received: i64::MIN,
            ahead: BTreeMap::new(),
            unreadable: Vec::new(),
        }
    }

    /// Marks a record; says what is wrong with the place of which one.
    pub(crate) fn add(&mut self, index: u64, received: i64) -> Option<(u64, String)> {
        if index >= self.size {
            return None;
        }
        if self.has(index) {
            return Some((index, format!("record {index} is there twice")));
        }
        self.seen.entry(index / CHUNK).or_default().add(index % CHUNK);
        if index != self.complete {
            if self.ahead.len() < AHEAD_MAX {
                self.ahead.insert(index, received);
            }
            return None;
        }
        let (mut next, mut fault) = (Some(received), None);
        while let Some(received) = next {
            if received < self.last_received {
                let index = self.complete;
                fault.get_or_insert((index, format!("record {index} was received before the record in front of it")));
            }
            self.last_received = received;
            self.complete += 1;
            next = if self.ahead.is_empty() { None } else { self.ahead.remove(&self.complete) };
        }
        fault
    }

    /// Whether the record has been seen, or is none of ours.
    pub(crate) fn has(&self, index: u64) -> bool {
        index >= self.size || self.seen.get(&(index / CHUNK)).is_some_and(|piece| piece.has(index % CHUNK))
    }

    /// Says that what is missing of `first..=last` may be there, in what could not be read.
    pub(crate) fn unreadable(&mut self, first: u64, last: u64) {
        self.unreadable.push((first, last.saturating_add(1).min(self.size)));
    }

    /// The runs of indices that are nowhere, each as first and end.
    pub(crate) fn missing(&self) -> Vec<(u64, u64)> {
        let mut excused = self.unreadable.clone();
        excused.sort_unstable();
        let mut runs = Vec::new();
        for (first, end) in self.unseen() {
            let mut at = first;
            for &(from, until) in excused.iter().filter(|(from, until)| *until > first && *from < end) {
                if from > at {
                    runs.push((at, from));
                }
                at = at.max(until);
            }
            if at < end {
                runs.push((at, end));
            }
        }
        runs
    }

    /// The runs of indices that have not been seen.
    fn unseen(&self) -> Vec<(u64, u64)> {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        let mut gap = |first: u64, end: u64| match runs.last_mut() {
            _ if first >= end => {}
            Some(run) if run.1 == first => run.1 = end,
            _ => runs.push((first, end)),
        };
        let mut next = 0;
        for (&chunk, piece) in self.seen.iter() {
            let (first, end) = (chunk * CHUNK, (chunk * CHUNK).saturating_add(CHUNK).min(self.size));
            gap(next, first);
            if piece.seen < CHUNK {
                (first..end).filter(|index| !self.has(*index)).for_each(|index| gap(index, index + 1));
            }
            next = end;
        }
        gap(next, self.size);
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
        assert_eq!(coverage.add(59, 59).unwrap(), (59, "record 59 is there twice".to_owned()));
        let back = (60, "record 60 was received before the record in front of it".to_owned());
        assert_eq!(coverage.add(60, 10).unwrap(), back);
        assert_eq!(coverage.add(500, 0), None);
    }

    #[test]
    fn a_stamp_that_goes_back_names_its_own_record_and_not_the_one_that_closed_the_gap() {
        let mut coverage = Coverage::new(3);
        assert_eq!(coverage.add(2, 5), None);
        assert_eq!(coverage.add(1, 9), None);
        assert_eq!(coverage.add(0, 0).unwrap().0, 2);
    }

    #[test]
    fn what_cannot_be_read_is_not_gone_and_may_still_come() {
        let mut coverage = Coverage::new(100);
        (0..100).step_by(2).for_each(|index| assert_eq!(coverage.add(index, 0), None));
        coverage.unreadable(10, 20);
        coverage.unreadable(15, 30);
        assert_eq!(coverage.add(11, 0), None, "another file holds it");
        let missing = coverage.missing();
        assert!(
            missing.contains(&(9, 10)) && missing.contains(&(31, 32)) && !missing.contains(&(13, 14)),
            "{missing:?}"
        );
    }

    #[test]
    fn a_whole_piece_costs_nothing_and_is_remembered() {
        let mut coverage = Coverage::new(3 * CHUNK);
        (0..2 * CHUNK).for_each(|index| assert_eq!(coverage.add(index, 0), None));
        assert!(coverage.seen.values().all(|piece| piece.bits.is_empty()) && coverage.ahead.is_empty());
        assert_eq!(coverage.add(CHUNK, 0).unwrap().1, format!("record {CHUNK} is there twice"));
        assert_eq!(coverage.missing(), [(2 * CHUNK, 3 * CHUNK)]);
    }

    #[test]
    fn a_size_that_no_trail_has_costs_nothing() {
        let mut coverage = Coverage::new(u64::MAX);
        assert_eq!(coverage.add(70_000, 1), None);
        assert_eq!(coverage.missing(), [(0, 70_000), (70_001, u64::MAX)]);
    }
}
