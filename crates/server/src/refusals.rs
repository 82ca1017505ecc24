//! Refusals that are not on record yet: counted where they happen, so that who knocks fills no queue, however long the
//! journal has no room (I12). Nothing is left out: what is not told apart is counted with the others.

use std::collections::HashMap;

use parking_lot::Mutex;
use record::Record;

use crate::access_record::{self, Who};

/// Refusals that are told apart until they are written; the others count as one.
const APART_MAX: usize = 64;
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

    /// The records of all that was counted since the last time.
    pub fn take(&self) -> Vec<Record> {
        let counts = std::mem::take(&mut *self.counts.lock());
        let record = |(Refusal { who, action, reason }, count)| access_record::refused(&who, action, &reason, count);
        counts.into_iter().map(record).collect()
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
        let mut counts: Vec<(String, u64)> = refusals.take().into_iter().map(read).collect();
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
        assert!(refusals.take().is_empty());
    }
}
