//! Refusals that are not on record yet: counted where they happen, so that who knocks fills no queue, however long the
//! journal has no room (I12). Nothing is left out: what is not told apart is counted with the others.

use std::collections::HashMap;

use parking_lot::Mutex;
use record::Record;

use crate::access_record::{self, Who};

/// Refusals that are told apart until they are written; the others count as one.
const APART_MAX: usize = 64;
/// Records that all of them are at most.
pub const RECORDS_MAX: usize = APART_MAX + 1;
/// What stands for all that is not told apart.
const SEVERAL: &str = "several";

/// Who was refused what, and why.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Refusal {
    who: Who,
    action: &'static str,
    reason: String,
}

/// Refusals, counted.
#[derive(Default)]
pub struct Refusals {
    counts: Mutex<HashMap<Refusal, u64>>,
}

impl Refusals {
    /// Something was refused, so many times.
    pub fn count(&self, who: Who, action: &'static str, reason: String, times: u64) {
        let mut counts = self.counts.lock();
        let refusal = Refusal { who, action, reason };
        if let Some(count) = counts.get_mut(&refusal) {
            *count += times;
            return;
        }
        let apart = counts.len() < APART_MAX;
        *counts.entry(if apart { refusal } else { Refusal::several() }).or_default() += times;
    }

    /// All that was counted since the last time.
    pub fn take(&self) -> Taken {
        Taken(std::mem::take(&mut *self.counts.lock()))
    }

    /// Counts again what was taken and could not be written.
    pub fn put_back(&self, Taken(counts): Taken) {
        for (Refusal { who, action, reason }, times) in counts {
            self.count(who, action, reason, times);
        }
    }
}

/// Refusals that are about to be written.
#[derive(Default)]
pub struct Taken(HashMap<Refusal, u64>);

impl Taken {
    /// Their records.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        self.0
            .iter()
            .map(|(Refusal { who, action, reason }, count)| access_record::refused(who, action, reason, *count))
    }

    /// How many there were, each counted as often as it happened.
    pub fn times(&self) -> u64 {
        self.0.values().sum()
    }
}

impl Refusal {
    fn several() -> Refusal {
        let who = Who { from: SEVERAL.to_owned(), ..Who::default() };
        Refusal { who, action: SEVERAL, reason: SEVERAL.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use record::{Part, Value};

    use super::*;

    fn counts(refusals: &Refusals) -> Vec<(String, u64)> {
        let read = |record: Record| {
            let context = Value::from_canonical(record.parts.get(Part::Context).unwrap()).unwrap();
            let field = |name: &str| context.get(name).cloned().unwrap();
            let from = field("from").as_text().unwrap().to_owned();
            (from, field("count").as_f64().unwrap() as u64)
        };
        let mut counts: Vec<(String, u64)> = refusals.take().records().map(read).collect();
        counts.sort();
        counts
    }

    /// I12: a million refusals of a thousand callers take the room of 65, and none is lost.
    #[test]
    fn refusals_take_little_room_and_all_are_counted() {
        let refusals = Refusals::default();
        for round in 0..1000 {
            for from in 0..1000 {
                let who = Who { from: format!("{from:03}"), ..Who::default() };
                refusals.count(who, "search", "the credential is unknown".to_owned(), 1);
            }
            assert!(refusals.counts.lock().len() <= APART_MAX + 1, "{round}");
        }
        let counts = counts(&refusals);
        assert_eq!(counts.len(), APART_MAX + 1);
        assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), 1_000_000);
        let several = counts.iter().find(|(from, _)| from == SEVERAL).unwrap();
        assert_eq!(several.1, (1000 - APART_MAX as u64) * 1000);
        assert_eq!(refusals.take().times(), 0);
    }

    /// I11: what could not be written is as many refusals as it was, and counts with those that came meanwhile.
    #[test]
    fn what_is_put_back_is_counted_again() {
        let refusals = Refusals::default();
        let refuse = |from: u64, times| {
            let who = Who { from: format!("{from:03}"), ..Who::default() };
            refusals.count(who, "search", "not granted".to_owned(), times);
        };
        (0..APART_MAX as u64).for_each(|from| refuse(from, 1_000));
        let taken = refusals.take();
        assert_eq!((taken.times(), taken.records().count()), (64_000, APART_MAX));
        (30..130).for_each(|from| refuse(from, 1));
        refusals.put_back(taken);
        assert!(refusals.counts.lock().len() <= APART_MAX + 1);
        let counts = counts(&refusals);
        assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), 64_100);
        assert!(counts.contains(&("030".to_owned(), 1_001)), "{counts:?}");
    }
}
