//! The trail against a plain list: whatever is done to it in whatever order, it holds what the list holds (I1, I2, I7,
//! I14, T8).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use proptest::prelude::*;
use record::Digest;
use trail::{Intake, Outcome, Refusal, Snapshot, Verdict, Writer};
use uuid::Uuid;

use crate::support::*;

/// One thing that is done to a trail.
#[derive(Debug, Clone)]
enum Act {
    /// Records of these numbers in one batch; a number that came before is a duplicate, a late fact or both.
    Append(Vec<u64>),
    /// A record of that number with other content.
    Conflict(u64),
    /// A live record whose id is out of the window, and one without an id.
    Foreign,
    Seal,
    Settle,
    /// Closed and opened again.
    Reopen,
    /// The process is gone between two system calls: the files as they stand, opened elsewhere.
    Crash,
    /// A snapshot is taken and held.
    Hold,
    /// The oldest snapshot that is held is looked through, and let go.
    Look,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => prop::collection::vec(0u64..60, 1..6).prop_map(Act::Append),
        1 => (0u64..60).prop_map(Act::Conflict),
        1 => Just(Act::Foreign),
        2 => Just(Act::Seal),
        2 => Just(Act::Settle),
        1 => Just(Act::Reopen),
        1 => Just(Act::Crash),
        1 => Just(Act::Hold),
        1 => Just(Act::Look),
    ]
}

/// What the trail must hold.
#[derive(Default)]
struct Model {
    /// The id of each record, in order.
    ids: Vec<Uuid>,
    at: HashMap<Uuid, u64>,
    /// Numbers whose first record was the one with other content.
    odd: HashSet<u64>,
    /// The digests that were told.
    digests: BTreeMap<u64, Digest>,
}

impl Model {
    /// Holds an outcome against the list: the first of an id is the next index, any other is that one again.
    fn kept(&mut self, id: Option<Uuid>, outcome: &Outcome) -> Result<(), TestCaseError> {
        let Outcome::Kept(receipt) = outcome else {
            return Err(TestCaseError::fail(format!("refused: {outcome:?}")));
        };
        let known = id.and_then(|id| self.at.get(&id).copied());
        prop_assert_eq!(receipt.again, known.is_some());
        let index = known.unwrap_or(self.ids.len() as u64);
        prop_assert_eq!(receipt.index, index);
        if known.is_none() {
            self.ids.push(receipt.id);
            self.at.insert(receipt.id, index);
        }
        let first = *self.digests.entry(index).or_insert(receipt.digest);
        prop_assert_eq!(first, receipt.digest, "the first receipt again");
        Ok(())
    }

    fn agrees(&self, all: &BTreeMap<u64, (Uuid, Digest)>, end: u64) -> Result<(), TestCaseError> {
        prop_assert_eq!(all.len() as u64, end);
        for (index, (id, digest)) in all {
            prop_assert_eq!(self.ids.get(*index as usize), Some(id));
            prop_assert_eq!(self.digests.get(index), Some(digest));
        }
        Ok(())
    }
}

struct World {
    fixture: Fixture,
    writer: Option<Writer>,
    model: Model,
    held: std::collections::VecDeque<(Arc<Snapshot>, u64)>,
    /// Trails that crashed: their snapshots may be held still.
    past: Vec<Fixture>,
    pins: Vec<Vec<u8>>,
}

impl World {
    fn new() -> World {
        let fixture = Fixture::new();
        let writer = Some(fixture.open());
        World { fixture, writer, model: Model::default(), held: Default::default(), past: Vec::new(), pins: Vec::new() }
    }

    fn writer(&self) -> &Writer {
        self.writer.as_ref().unwrap()
    }

    fn reopened(&mut self) -> Result<(), TestCaseError> {
        let writer = self.fixture.open();
        prop_assert_eq!(writer.recovered().records, self.model.ids.len() as u64);
        prop_assert!(writer.recovered().torn_tail.is_none());
        self.writer = Some(writer);
        Ok(())
    }

    fn act(&mut self, act: &Act) -> Result<(), TestCaseError> {
        match act {
            Act::Append(numbers) => {
                let batch: Vec<record::Record> = numbers.iter().map(|n| record(*n)).collect();
                let outcomes = self.writer().append(batch, Intake::Import).unwrap();
                prop_assert_eq!(outcomes.len(), numbers.len());
                for (n, outcome) in numbers.iter().zip(&outcomes) {
                    match self.model.odd.contains(n) {
                        false => self.model.kept(Some(id(*n)), outcome)?,
                        true => prop_assert!(is_conflict(outcome), "{outcome:?}"),
                    }
                }
            }
            Act::Conflict(n) => {
                let other = json(*n).replacen(r#""output":{"#, r#""output":{"other":true,"#, 1);
                let outcomes = self.writer().append(vec![parse(&other)], Intake::Import).unwrap();
                match self.model.at.get(&id(*n)) {
                    Some(_) if self.model.odd.contains(n) => self.model.kept(Some(id(*n)), &outcomes[0])?,
                    Some(first) => {
                        let conflict =
                            matches!(outcomes[0], Outcome::Refused(Refusal::Conflict { index, .. }) if index == *first);
                        prop_assert!(conflict, "{outcomes:?}");
                    }
                    // It is the first of its id then, and the plain one will be the conflict.
                    None => {
                        self.model.kept(Some(id(*n)), &outcomes[0])?;
                        self.model.odd.insert(*n);
                    }
                }
            }
            Act::Foreign => {
                let without = parse(r#"{"kind":"config","context":{"a":[1,"two",null]}}"#);
                let old = parse(&json(999).replace("0190a5c2", "0100a5c2"));
                let outcomes = self.writer().append(vec![old, without], Intake::Live).unwrap();
                prop_assert!(matches!(outcomes[0], Outcome::Refused(Refusal::TooOld { .. })), "{outcomes:?}");
                self.model.kept(None, &outcomes[1])?;
            }
            Act::Seal => {
                self.writer().wait_sealed().unwrap();
                prop_assert_eq!(self.writer().status().sealed, self.model.ids.len() as u64);
                self.pins.extend(std::fs::read(self.fixture.folder.checkpoint()).ok());
            }
            Act::Settle => {
                self.writer().settle().unwrap();
                prop_assert_eq!(self.writer().status().settled, self.model.ids.len() as u64);
            }
            Act::Reopen => {
                self.writer.take().unwrap().close().unwrap();
                self.reopened()?;
            }
            Act::Crash => {
                // The writer goes on over there while the copy is made: a moment between any two of its calls.
                let copy = self.fixture.copy();
                drop(self.writer.take());
                self.past.push(std::mem::replace(&mut self.fixture, copy));
                self.reopened()?;
            }
            Act::Hold => self.held.push_back((self.writer().snapshot(), self.model.ids.len() as u64)),
            Act::Look => {
                if let Some((snapshot, end)) = self.held.pop_front() {
                    self.model.agrees(&all_of(&snapshot), end)?;
                }
            }
        }
        let status = self.writer().status();
        prop_assert_eq!(status.records, self.model.ids.len() as u64);
        prop_assert!(status.settled <= status.sealed && status.sealed <= status.records);
        Ok(())
    }

    fn ends_well(mut self) -> Result<(), TestCaseError> {
        let end = self.model.ids.len() as u64;
        for (id, index) in &self.model.at {
            let found = self.writer().snapshot().find(id).unwrap();
            prop_assert_eq!(found.map(|found| found.index), Some(*index));
        }
        while let Some((snapshot, end)) = self.held.pop_front() {
            self.model.agrees(&all_of(&snapshot), end)?;
        }
        self.writer.take().unwrap().close().unwrap();
        self.model.agrees(&all(&self.fixture.folder), end)?;
        let report = self.fixture.check(&self.pins);
        let good = if self.pins.is_empty() { Verdict::Consistent } else { Verdict::Valid };
        prop_assert_eq!(report.verdict, good, "{:#?}", report);
        prop_assert_eq!(report.size, end, "closing seals");
        Ok(())
    }
}

fn is_conflict(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Refused(Refusal::Conflict { .. }))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if long() { 400 } else { 24 }, max_shrink_iters: 200, ..Default::default() })]

    #[test]
    fn a_trail_is_a_list_whatever_is_done_to_it(acts in prop::collection::vec(act(), 1..25)) {
        let mut world = World::new();
        for act in &acts {
            world.act(act)?;
        }
        world.ends_well()?;
    }
}
