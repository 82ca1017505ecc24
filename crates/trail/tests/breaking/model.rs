//! The trail against a plain list: whatever is done to it in whatever order, every answer is the list's (I1, I2, I7,
//! I14, T8, T20).
//!
//! A run is a list of acts that no act's success depends on, so that it shrinks to the few that matter.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use proptest::prelude::*;
use record::{Body, Digest, Part, Parts, Record};
use tlog::{leaf_hash, verify_inclusion};
use trail::{Erasure, Found, Intake, Outcome, ProofError, Reader, Refusal, Snapshot, Verdict, Writer};
use uuid::Uuid;

use crate::support::*;

/// Records that acts are about: few, so that they meet again.
const NUMBERS: u64 = 40;

/// One thing that is done to a trail.
#[derive(Debug, Clone)]
enum Act {
    /// One batch. Records are duplicates, late facts or conflicts by what was sent before them, in it too.
    Append(Intake, Vec<Sent>),
    Seal,
    Settle,
    /// Files of the lake are merged.
    Compact,
    /// The inputs of the record of that number go, or all of it.
    Erase(u64, bool),
    /// Closed and opened again.
    Reopen,
    /// Let go without being closed, and opened again.
    Drop,
    /// The process is gone between two system calls: the files as they stand, opened elsewhere.
    Crash,
    /// A record is looked up by its id and by its index, with what is about it, and proven.
    LookUp(u64),
    /// All is read by another process, and checked, while the writer runs.
    Check,
    /// A snapshot is taken and held.
    Hold,
    /// The oldest snapshot that is held is looked through, and let go.
    Look,
}

/// A record of a batch.
#[derive(Debug, Clone, Copy)]
enum Sent {
    /// The record of that number.
    Plain(u64),
    /// One of the same id with other content.
    Other(u64),
    /// One without an id; the same content each time, and a record of its own each time.
    Anonymous,
    /// One whose id is out of the window of live records.
    Old,
}

impl Sent {
    fn record(self) -> Record {
        match self {
            Sent::Plain(n) => record(n),
            Sent::Other(n) => parse(&json(n).replacen(r#""output":{"#, r#""output":{"other":true,"#, 1)),
            Sent::Anonymous => parse(r#"{"kind":"config","context":{"a":[1,"two",null]}}"#),
            Sent::Old => parse(&json(999).replace("0190a5c2", "0100a5c2")),
        }
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        8 => (0..NUMBERS).prop_map(Sent::Plain),
        2 => (0..NUMBERS).prop_map(Sent::Other),
        1 => Just(Sent::Anonymous),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    // The records' ids are of 2024, so that a live one is too old: what is live has none, or one that is refused.
    let live = prop::collection::vec(prop_oneof![Just(Sent::Anonymous), Just(Sent::Old)], 1..4);
    prop_oneof![
        6 => prop::collection::vec(sent(), 1..7).prop_map(|batch| Act::Append(Intake::Import, batch)),
        1 => live.prop_map(|batch| Act::Append(Intake::Live, batch)),
        2 => Just(Act::Seal),
        2 => Just(Act::Settle),
        1 => Just(Act::Compact),
        1 => (0..NUMBERS, any::<bool>()).prop_map(|(n, whole)| Act::Erase(n, whole)),
        1 => Just(Act::Reopen),
        1 => Just(Act::Drop),
        1 => Just(Act::Crash),
        3 => (0..NUMBERS).prop_map(Act::LookUp),
        1 => Just(Act::Check),
        1 => Just(Act::Hold),
        1 => Just(Act::Look),
    ]
}

/// The plain list.
#[derive(Default)]
struct Model {
    kept: Vec<Kept>,
    at: HashMap<Uuid, u64>,
}

/// A record as it was sent and as it was told.
struct Kept {
    id: Uuid,
    digest: Digest,
    parts: Parts,
    about: Option<Uuid>,
    left: Left,
}

/// What erasures left of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    All,
    AllButInputs,
    Nothing,
}

impl Kept {
    /// Whether what is sent under its id may be what was sent before: of what is erased nobody can tell.
    fn may_be(&self, sent: &Parts) -> bool {
        let same = |part: &Part| self.parts.get(*part) == sent.get(*part);
        match self.left {
            Left::All => self.parts == *sent,
            Left::AllButInputs => Part::ALL.iter().filter(|part| **part != Part::Inputs).all(same),
            Left::Nothing => true,
        }
    }
}

impl Model {
    fn len(&self) -> u64 {
        self.kept.len() as u64
    }

    fn of(&self, id: &Uuid) -> Option<(u64, &Kept)> {
        let index = *self.at.get(id)?;
        Some((index, &self.kept[index as usize]))
    }

    /// Holds an answer against the list, and takes a new record into it.
    fn answered(&mut self, record: &Record, intake: Intake, outcome: &Outcome) -> Result<(), TestCaseError> {
        let earlier = record.id.and_then(|id| self.of(&id));
        match (earlier, outcome) {
            (Some((first, kept)), Outcome::Kept(receipt)) => {
                prop_assert!(receipt.again && kept.may_be(&record.parts), "{outcome:?}");
                prop_assert_eq!(receipt.erased, kept.left != Left::All);
                prop_assert_eq!((receipt.index, receipt.id, receipt.digest), (first, kept.id, kept.digest));
            }
            (Some((first, kept)), Outcome::Refused(Refusal::Conflict { index, .. })) => {
                prop_assert_eq!(*index, first);
                prop_assert!(!kept.may_be(&record.parts), "the same record is no conflict");
            }
            (None, Outcome::Kept(receipt)) => {
                prop_assert!(!receipt.again);
                prop_assert_eq!(receipt.index, self.len());
                prop_assert!(record.id.is_none_or(|id| id == receipt.id));
                let about = record.about.and_then(|about| self.of(&about)).map(|(_, kept)| kept.digest.0);
                prop_assert_eq!(receipt.stamp.about_digest, about);
                self.at.insert(receipt.id, receipt.index);
                let (parts, about) = (record.parts.clone(), record.about);
                self.kept.push(Kept { id: receipt.id, digest: receipt.digest, parts, about, left: Left::All });
            }
            (None, Outcome::Refused(Refusal::TooOld { .. })) => {
                prop_assert!(intake == Intake::Live && record.id.is_some());
            }
            (_, outcome) => return Err(TestCaseError::fail(format!("{outcome:?}"))),
        }
        Ok(())
    }

    /// What a reader sees are the first `end` of the list.
    fn agrees(&self, all: &BTreeMap<u64, (Uuid, Digest)>, end: u64) -> Result<(), TestCaseError> {
        let expected = self.kept.iter().take(end as usize).map(|kept| (kept.id, kept.digest));
        prop_assert!(all.values().copied().eq(expected), "{all:?}");
        prop_assert_eq!(all.len() as u64, end);
        Ok(())
    }

    fn is(&self, found: &Found, index: u64) -> Result<(), TestCaseError> {
        let kept = &self.kept[index as usize];
        prop_assert_eq!(found.index, index);
        prop_assert_eq!((found.stored.stamp.id, found.digest), (kept.id, kept.digest));
        match (kept.left, &found.stored.body) {
            (Left::All, _) => prop_assert_eq!(found.stored.parts(), Some(&kept.parts)),
            (Left::AllButInputs, Body::Partial { parts, .. }) => {
                prop_assert!(parts.get(Part::Inputs).is_none() && kept.may_be(parts), "{parts:?}");
            }
            (Left::Nothing, Body::Erased { .. }) => {}
            (left, body) => return Err(TestCaseError::fail(format!("{left:?}, but {body:?}"))),
        }
        Ok(())
    }
}

struct World {
    fixture: Fixture,
    writer: Option<Writer>,
    model: Model,
    held: VecDeque<(Arc<Snapshot>, u64)>,
    /// Trails that crashed: their snapshots may be held still.
    past: Vec<Fixture>,
    pins: Vec<Vec<u8>>,
    erasures: u64,
}

impl World {
    fn new() -> World {
        let fixture = Fixture::new();
        let writer = Some(fixture.open());
        let (model, held, past, pins) = Default::default();
        World { fixture, writer, model, held, past, pins, erasures: 0 }
    }

    fn writer(&self) -> &Writer {
        self.writer.as_ref().unwrap()
    }

    fn open(&mut self) -> Result<(), TestCaseError> {
        let writer = self.fixture.open();
        prop_assert_eq!(writer.recovered().records, self.model.len());
        prop_assert!(writer.recovered().torn_tail.is_none());
        self.writer = Some(writer);
        Ok(())
    }

    fn act(&mut self, act: &Act) -> Result<(), TestCaseError> {
        match act {
            Act::Append(intake, batch) => self.append(*intake, batch)?,
            Act::Seal => {
                self.writer().wait_sealed().unwrap();
                prop_assert_eq!(self.writer().status().sealed, self.model.len());
                self.pins.extend(std::fs::read(self.fixture.folder.checkpoint()).ok());
            }
            Act::Settle => {
                self.writer().settle().unwrap();
                prop_assert_eq!(self.writer().status().settled, self.model.len());
            }
            Act::Compact => {
                self.writer().compact().unwrap();
            }
            Act::Erase(n, whole) => self.erase(*n, *whole)?,
            Act::Reopen => {
                self.writer.take().unwrap().close().unwrap();
                self.open()?;
            }
            Act::Drop => {
                drop(self.writer.take());
                self.open()?;
            }
            Act::Crash => {
                // The writer goes on over there while the copy is made: a moment between any two of its calls.
                let copy = self.fixture.copy();
                drop(self.writer.take());
                self.past.push(std::mem::replace(&mut self.fixture, copy));
                self.open()?;
            }
            Act::LookUp(n) => self.look_up(*n)?,
            Act::Check => {
                self.model.agrees(&all(&self.fixture.folder), self.model.len())?;
                self.verifies()?;
            }
            Act::Hold => self.held.push_back((self.writer().snapshot(), self.model.len())),
            Act::Look => {
                if let Some((snapshot, end)) = self.held.pop_front() {
                    self.model.agrees(&all_of(&snapshot), end)?;
                }
            }
        }
        let status = self.writer().status();
        prop_assert_eq!(status.records, self.model.len());
        prop_assert!(status.settled <= status.sealed && status.sealed <= status.records);
        Ok(())
    }

    fn append(&mut self, intake: Intake, batch: &[Sent]) -> Result<(), TestCaseError> {
        let batch: Vec<Record> = batch.iter().map(|sent| sent.record()).collect();
        let outcomes = self.writer().append(batch.clone(), intake).unwrap();
        prop_assert_eq!(outcomes.len(), batch.len());
        for (record, outcome) in batch.iter().zip(&outcomes) {
            self.model.answered(record, intake, outcome)?;
        }
        Ok(())
    }

    /// Erases what there is under a number. The declaration is a record like every other.
    fn erase(&mut self, n: u64, whole: bool) -> Result<(), TestCaseError> {
        let Some(&index) = self.model.at.get(&id(n)) else { return Ok(()) };
        self.erasures += 1;
        let parts: &[Part] = if whole { &Part::ALL } else { &[Part::Inputs] };
        let erasure = Erasure {
            id: id(90_000 + self.erasures),
            indices: vec![index],
            parts: parts.iter().map(|part| part.name().to_owned()).collect(),
            basis: "GDPR 17(1)(b)".to_owned(),
            by: "dpo@example.com".to_owned(),
        };
        let erased = self.writer().erase(&erasure).unwrap();
        prop_assert_eq!(erased.index, self.model.len());
        let declared = self.writer().snapshot().get(erased.index).unwrap().unwrap();
        prop_assert_eq!(declared.stored.stamp.id, erasure.id);
        let parts = declared.stored.parts().unwrap().clone();
        let kept = &mut self.model.kept[index as usize];
        kept.left = match (whole, kept.left) {
            (true, _) | (_, Left::Nothing) => Left::Nothing,
            (false, left) if kept.parts.get(Part::Inputs).is_none() => left,
            (false, _) => Left::AllButInputs,
        };
        self.model.at.insert(erasure.id, erased.index);
        self.model.kept.push(Kept { id: erasure.id, digest: declared.digest, parts, about: None, left: Left::All });
        Ok(())
    }

    fn look_up(&self, n: u64) -> Result<(), TestCaseError> {
        let (id, snapshot) = (id(n), self.writer().snapshot());
        let about: Vec<u64> = snapshot.about(&id).unwrap().iter().map(|found| found.index).collect();
        let is_about = |(_, kept): &(usize, &Kept)| kept.about == Some(id) && kept.left != Left::Nothing;
        let expected = self.model.kept.iter().enumerate().filter(is_about).map(|(index, _)| index as u64);
        prop_assert!(expected.eq(about.iter().copied()), "{about:?}");
        prop_assert!(snapshot.get(self.model.len()).unwrap().is_none());
        let (by_id, kept) = (snapshot.find(&id).unwrap(), self.model.of(&id));
        prop_assert_eq!(by_id.is_some(), kept.is_some());
        let (Some(by_id), Some((index, kept))) = (by_id, kept) else { return Ok(()) };
        self.model.is(&by_id, index)?;
        self.model.is(&snapshot.get(index).unwrap().unwrap(), index)?;
        match snapshot.prove(&by_id) {
            Ok(proof) => {
                let signed = proof.checkpoint.checkpoint();
                prop_assert!(index < signed.size() && signed.size() == snapshot.sealed());
                let leaf = leaf_hash(&kept.digest.0);
                let holds = verify_inclusion(&leaf, index, signed.size(), &signed.root(), &proof.proof.path);
                prop_assert_eq!(holds, Ok(()));
            }
            Err(ProofError::NotSealed { sealed, .. }) => prop_assert!(index >= sealed && sealed == snapshot.sealed()),
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        }
        Ok(())
    }

    /// The full check, which another process could make. How many records it found sealed.
    fn verifies(&self) -> Result<u64, TestCaseError> {
        let report = self.fixture.check(&self.pins);
        let good = if self.pins.is_empty() { Verdict::Consistent } else { Verdict::Valid };
        prop_assert_eq!(report.verdict, good, "{:#?}", report);
        prop_assert!(report.size <= self.model.len());
        prop_assert_eq!(report.erased, self.model.kept.iter().filter(|kept| kept.left != Left::All).count() as u64);
        Ok(report.size)
    }

    fn ends_well(mut self) -> Result<(), TestCaseError> {
        let end = self.model.len();
        (0..NUMBERS).try_for_each(|n| self.look_up(n))?;
        while let Some((snapshot, end)) = self.held.pop_front() {
            self.model.agrees(&all_of(&snapshot), end)?;
        }
        self.writer.take().unwrap().close().unwrap();
        self.model.agrees(&all(&self.fixture.folder), end)?;
        prop_assert_eq!(self.verifies()?, end, "closing seals");
        let snapshot = Reader::new(&host::Host::system(), &self.fixture.folder).snapshot().unwrap();
        for index in 0..end {
            self.model.is(&snapshot.get(index).unwrap().unwrap(), index)?;
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if long() { 400 } else { 24 }, max_shrink_iters: 400, ..Default::default() })]

    #[test]
    fn a_trail_is_a_list_whatever_is_done_to_it(acts in prop::collection::vec(act(), 1..25)) {
        let mut world = World::new();
        for act in &acts {
            world.act(act)?;
        }
        world.ends_well()?;
    }
}
