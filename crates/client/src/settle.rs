//! Up to where everything that an instance sent is acknowledged or declared, and the rolling hash up to there.

use std::collections::BTreeMap;

use crate::losses::Lost;
use crate::tip::roll;

/// What became of numbers beyond the first that is still open.
#[derive(Debug, Default)]
pub struct Settled {
    through: u64,
    rolling: [u8; 32],
    contents: BTreeMap<u64, [u8; 32]>,
    /// Declared ranges by their first number, as long as they reach beyond `through`.
    declared: BTreeMap<u64, u64>,
}

impl Settled {
    /// That has come to `through` already.
    pub fn at(through: u64, rolling: [u8; 32]) -> Settled {
        Settled { through, rolling, ..Settled::default() }
    }

    /// The last number before the first that is open.
    pub fn through(&self) -> u64 {
        self.through
    }

    /// The rolling hash up to there.
    pub fn rolling(&self) -> [u8; 32] {
        self.rolling
    }

    /// The record with this number is on record.
    pub fn acknowledged(&mut self, seq: u64, content: [u8; 32]) {
        if seq > self.through {
            self.contents.insert(seq, content);
            self.go_on();
        }
    }

    /// The `gap` record that declares these is on record.
    pub fn declared(&mut self, lost: Lost) {
        let end = self.declared.entry(lost.first).or_insert(lost.last);
        *end = lost.last.max(*end);
        self.go_on();
    }

    fn go_on(&mut self) {
        loop {
            let next = self.through + 1;
            self.declared.retain(|_, last| *last >= next);
            let content = match (self.declared.range(..=next).next_back(), self.contents.remove(&next)) {
                // What is declared counts as declared, even if it has arrived: so whoever checks a tip needs no more than
                // the trail to know which it is.
                (Some((_, last)), _) if *last >= next => [0; 32],
                (_, Some(content)) => content,
                _ => return,
            };
            self.rolling = roll(&self.rolling, next, &content);
            self.through = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::Reason;
    use proptest::prelude::*;

    proptest! {
        /// In whatever order answers come, the rolling hash is that of the order of numbers.
        #[test]
        fn the_order_of_answers_does_not_matter(
            lost in prop::collection::vec(prop::bool::weighted(0.3), 1..60),
            order in prop::collection::vec(any::<u32>(), 60),
        ) {
            let content = |seq: u64| [seq as u8; 32];
            let mut numbers: Vec<u64> = (1..=lost.len() as u64).collect();
            numbers.sort_by_key(|seq| order[*seq as usize - 1]);
            let mut settled = Settled::default();
            for seq in numbers {
                match lost[seq as usize - 1] {
                    true => settled.declared(Lost { first: seq, last: seq, reason: Reason::Full }),
                    false => settled.acknowledged(seq, content(seq)),
                }
            }
            let expected = (1..=lost.len() as u64).fold([0; 32], |at, seq| {
                roll(&at, seq, &if lost[seq as usize - 1] { [0; 32] } else { content(seq) })
            });
            prop_assert_eq!((settled.through(), settled.rolling()), (lost.len() as u64, expected));
            prop_assert!(settled.contents.is_empty());
        }
    }

    #[test]
    fn what_is_open_holds_everything_behind_it() {
        let mut settled = Settled::at(4, [9; 32]);
        settled.acknowledged(7, [7; 32]);
        settled.declared(Lost { first: 6, last: 9, reason: Reason::Full });
        assert_eq!(settled.through(), 4);
        settled.acknowledged(5, [5; 32]);
        assert_eq!(settled.through(), 9);
        let zero = [0; 32];
        let expected = [(5, [5; 32]), (6, zero), (7, zero), (8, zero), (9, zero)];
        assert_eq!(settled.rolling(), expected.iter().fold([9; 32], |at, (seq, content)| roll(&at, *seq, content)));
    }
}
