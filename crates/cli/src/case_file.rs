//! The case file of one record: everything that the trail knows about it. It is gathered here, by look-ups alone and
//! with a limit on each (I12), and told by [`sections`] for people and by [`json`] for programs.

pub mod clock;
mod explanation;
#[cfg(test)]
mod hostile;
pub mod json;
mod late;
mod model;
mod proof;
mod sections;
pub mod summary;

use lake::Lookup;
use record::{Kind, Part, Value};
use trail::{Declared, Found, Latest, Snapshot};
use uuid::Uuid;

use crate::failure::Failure;
use crate::fields;
use crate::sheet::Sheet;

pub use proof::Sealed;

/// Late facts of one kind that a case file holds; the newest.
const LATE_MAX: usize = 200;
/// Other steps of a case or a trace; the newest.
const STEPS_MAX: usize = 20;
/// Records about a model's version; the newest.
const MODEL_RECORDS_MAX: usize = 50;
/// Holds on one subject or case; the newest.
const HOLDS_MAX: usize = 20;

/// Some of the records that there are, oldest first, and how many older ones are left out.
#[derive(Default)]
pub struct Few {
    pub records: Vec<Found>,
    pub more: u64,
}

impl Few {
    fn of(latest: Latest) -> Few {
        let more = latest.more();
        let mut records = latest.found;
        records.reverse();
        Few { records, more }
    }

    /// Without one record that is known to be among those that were counted.
    fn without(mut self, index: u64) -> Few {
        let before = self.records.len();
        self.records.retain(|found| found.index != index);
        if self.records.len() == before {
            self.more = self.more.saturating_sub(1);
        }
        self
    }

    fn with(mut self, other: Few) -> Few {
        self.more += other.more;
        for found in other.records {
            if self.records.iter().all(|known| known.index != found.index) {
                self.records.push(found);
            }
        }
        self.records.sort_by_cached_key(|found| (found.when(), found.index));
        self
    }
}

/// The decision that a late fact is about.
pub enum Decision {
    Here(Box<Found>),
    /// It is not on record, or not yet.
    Dangling(Uuid),
}

/// Everything about one record.
pub struct CaseFile {
    pub snapshot: Snapshot,
    pub found: Found,
    pub sealed: Sealed,
    /// Show the proof too.
    pub with_proof: bool,
    /// The erasures that name it, where something is gone.
    pub declared: Vec<Declared>,
    /// The decision, if this is a late fact.
    pub decision: Option<Decision>,
    /// What became known later, but for reads and holds.
    pub late: Few,
    /// Who read it.
    pub accesses: Few,
    pub holds: Few,
    /// The other steps of the same case.
    pub case: Option<(String, Few)>,
    /// The other steps of the same trace.
    pub trace: Option<(String, Few)>,
    /// Its neighbours in its producer's sequence: (number, index).
    pub sequence: Vec<(i64, u64)>,
    /// What is on record about the version of the model.
    pub model: Few,
}

impl CaseFile {
    /// Gathers it.
    pub fn gather(snapshot: &Snapshot, found: Found, with_proof: bool) -> Result<CaseFile, Failure> {
        let latest = |wanted: &[(Lookup, &str)], max| Ok::<_, Failure>(Few::of(snapshot.latest(wanted, max)?));
        let id = found.stored.stamp.id.to_string();
        let about = About::gather(snapshot, &id)?;
        let steps = |column, value: &Option<String>| match value {
            Some(value) => {
                let mut steps = latest(&[(column, value)], STEPS_MAX + 1)?.without(found.index);
                while steps.records.len() > STEPS_MAX {
                    steps.records.remove(0);
                    steps.more += 1;
                }
                Ok::<_, Failure>(Some((value.clone(), steps)))
            }
            None => Ok(None),
        };
        let envelope = found.envelope();
        let subject = fields::section(&found.stored, Part::Subject)?;
        let of_subject = |key| subject.as_ref().and_then(|s| s.get(key)).and_then(Value::as_text).map(str::to_owned);
        let case_id = of_subject("case");
        let case = steps(Lookup::Case, &case_id)?;
        let trace_id = envelope.as_ref().and_then(|e| e.trace).map(|trace| trace.trace_id.to_string());
        let trace = steps(Lookup::Trace, &trace_id)?;
        let mut holds = about.holds;
        for (column, value) in [(Lookup::Subject, of_subject("id")), (Lookup::Case, case_id)] {
            if let Some(value) = value {
                holds = holds.with(latest(&[(Lookup::Kind, Kind::Hold.name()), (column, &value)], HOLDS_MAX)?);
            }
        }
        let model = match envelope.as_ref().and_then(|e| e.model).filter(|_| found.stored.stamp.kind != Kind::Model) {
            Some(model) => {
                let kind = (Lookup::Kind, Kind::Model.name());
                latest(&[kind, (Lookup::Model, model.name), (Lookup::Version, model.version)], MODEL_RECORDS_MAX)?
            }
            None => Few::default(),
        };
        let decision = match envelope.as_ref().and_then(|e| e.about) {
            Some(about) => Some(match snapshot.find(&about)? {
                Some(decision) => Decision::Here(Box::new(decision)),
                None => Decision::Dangling(about),
            }),
            None => None,
        };
        let erased = found.stored.erased().next().is_some();
        let declared = if erased { snapshot.erasures_of(found.index)? } else { Vec::new() };
        let sequence = snapshot.in_sequence(&found)?;
        let sealed = Sealed::of(snapshot, &found);
        drop(envelope);
        Ok(CaseFile {
            snapshot: snapshot.clone(),
            sealed,
            with_proof,
            declared,
            decision,
            late: about.late,
            accesses: about.accesses,
            holds,
            case,
            trace,
            sequence,
            model,
            found,
        })
    }

    /// Whether something is gone that no record declares (T20).
    pub fn undeclared(&self) -> bool {
        self.found.stored.erased().next().is_some() && self.declared.is_empty()
    }

    /// The case file for people.
    pub fn sheet(&self) -> Result<Sheet, Failure> {
        sections::sheet(self)
    }
}

/// The records about one decision, sorted by what they are.
#[derive(Default)]
struct About {
    late: Few,
    accesses: Few,
    holds: Few,
}

impl About {
    /// One look-up finds them all, unless there are very many; then each kind has one of its own, so that a decision
    /// that is read a thousand times does not lose its override.
    fn gather(snapshot: &Snapshot, id: &str) -> Result<About, Failure> {
        let all = snapshot.latest(&[(Lookup::About, id)], LATE_MAX)?;
        let mut about = About::default();
        if all.more() == 0 {
            for found in Few::of(all).records {
                about.of(found.stored.stamp.kind).records.push(found);
            }
            return Ok(about);
        }
        for kind in Kind::all() {
            let few = Few::of(snapshot.latest(&[(Lookup::About, id), (Lookup::Kind, kind.name())], LATE_MAX)?);
            let of = about.of(kind);
            *of = std::mem::take(of).with(few);
        }
        Ok(about)
    }

    fn of(&mut self, kind: Kind) -> &mut Few {
        match kind {
            Kind::Access => &mut self.accesses,
            Kind::Hold => &mut self.holds,
            _ => &mut self.late,
        }
    }
}
