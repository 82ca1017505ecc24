//! Numbers whose records are lost, and why: what `gap` records will declare (I9).

use std::collections::BTreeMap;

/// Ranges that are told apart; beyond that those that are nearest become one, and what lies between is declared too.
const RANGES_MAX: usize = 10_000;

/// Why a record was lost, as its `gap` record says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The queue or spool was full.
    Full,
    /// The disk of the spool was full, or failed.
    Disk,
    /// The server refused it for good; it stands in the file of what was put aside.
    Refused,
    /// It turned out to be no record, or too large for one, after its number was given away.
    Unfit,
    /// The process ended, and what it held in memory with it.
    Ended,
}

impl Reason {
    /// The words of the record.
    pub fn text(self) -> &'static str {
        match self {
            Reason::Full => "the queue was full",
            Reason::Disk => "the disk of the spool was full or failed",
            Reason::Refused => "refused by the server; the producer has put it aside",
            Reason::Unfit => "it is no record within the limits, or larger than one may be",
            Reason::Ended => "tail unknown: the process ended while it held these, and some may have arrived",
        }
    }
}

/// A range of numbers, both ends in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// Why.
    pub reason: Reason,
}

impl Lost {
    /// How many.
    pub fn count(&self) -> u64 {
        self.last - self.first + 1
    }
}

/// Ranges that are not declared yet.
#[derive(Debug, Default)]
pub struct Losses {
    /// By reason and first number; apart from each other.
    ranges: BTreeMap<(Reason, u64), u64>,
}

impl Losses {
    /// One more.
    pub fn add(&mut self, lost: Lost) {
        let Lost { mut first, mut last, reason } = lost;
        let before = self.ranges.range((reason, 0)..=(reason, first)).next_back();
        if let Some((&(_, start), &end)) = before
            && end.saturating_add(1) >= first
        {
            (first, last) = (start, last.max(end));
        }
        while let Some((&(_, start), &end)) =
            self.ranges.range((reason, first)..=(reason, last.saturating_add(1))).next()
        {
            self.ranges.remove(&(reason, start));
            last = last.max(end);
        }
        self.ranges.insert((reason, first), last);
        if self.ranges.len() > RANGES_MAX {
            self.join_nearest();
        }
    }

    fn join_nearest(&mut self) {
        let pairs = self.ranges.iter().zip(self.ranges.iter().skip(1));
        let near = pairs.filter(|((a, _), (b, _))| a.0 == b.0).min_by_key(|((_, end), (b, _))| b.1 - **end);
        if let Some(((&first, _), (&second, &last))) = near {
            self.ranges.remove(&second);
            self.ranges.insert(first, last);
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// All of them, which are then no more here.
    pub fn take(&mut self) -> Vec<Lost> {
        let ranges = std::mem::take(&mut self.ranges);
        ranges.into_iter().map(|((reason, first), last)| Lost { first, last, reason }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_lost_is_declared_once(numbers in prop::collection::vec((1u64..200, 0u64..5), 0..120)) {
            let mut losses = Losses::default();
            let mut expected = std::collections::BTreeSet::new();
            for (first, more) in numbers {
                losses.add(Lost { first, last: first + more, reason: Reason::Full });
                expected.extend(first..=first + more);
            }
            let ranges = losses.take();
            prop_assert!(ranges.windows(2).all(|pair| pair[0].last + 1 < pair[1].first));
            let found: Vec<u64> = ranges.iter().flat_map(|lost| lost.first..=lost.last).collect();
            prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn more_ranges_than_are_told_apart_become_fewer_and_cover_all() {
        let mut losses = Losses::default();
        let numbers = (0..RANGES_MAX as u64 + 50).map(|n| n * 3 + 1);
        numbers.clone().for_each(|n| losses.add(Lost { first: n, last: n, reason: Reason::Full }));
        let ranges = losses.take();
        assert_eq!(ranges.len(), RANGES_MAX);
        assert!(numbers.into_iter().all(|n| ranges.iter().any(|lost| (lost.first..=lost.last).contains(&n))));
    }
}
