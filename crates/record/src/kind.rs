//! The kinds of record, and for each what it may and must hold.

use crate::part::Part;

/// What kind of event a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A model decided.
    Decision,
    /// A late attribution.
    Explanation,
    /// Ground truth, feedback.
    Outcome,
    /// A person confirms, overrides, stops, corrects.
    Oversight,
    /// A model version was registered, approved, deployed, retired, checked.
    Model,
    /// Who read what, why, how much.
    Access,
    /// Exact counts of what sampling left out, reference bins.
    Summary,
    /// Declared loss: producer, sequence range, count, reason.
    Gap,
    /// A producer starts, beats, stops.
    Producer,
    /// A policy, key or retention setting changed.
    Config,
    /// Something was erased: what, legal basis, approvers.
    Erasure,
    /// A legal hold was placed or released.
    Hold,
}

/// Something a kind of record must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The envelope names a model.
    Model,
    /// `inputs`, or the reason why they are withheld.
    InputsOrWithheld,
    /// `output`, or the error instead of one.
    OutputOrError,
    /// The decision this is about.
    About,
    /// The decision or the model this is about.
    AboutOrModel,
    /// The envelope names a producer.
    Producer,
}

impl Need {
    /// What a person reads when it is missing.
    pub fn describe(self) -> &'static str {
        match self {
            Need::Model => "model (name and version)",
            Need::InputsOrWithheld => "inputs, or inputs_withheld with the reason",
            Need::OutputOrError => "output, or error",
            Need::About => "about (the id of the decision)",
            Need::AboutOrModel => "about (the id of the decision) or model",
            Need::Producer => "producer",
        }
    }
}

/// A row of the table of kinds.
struct Row {
    kind: Kind,
    name: &'static str,
    may: &'static [Part],
    must: &'static [Need],
}

use Part::{Context, Explanation, Output, Parameters, Subject};

/// The table of kinds: which sections each may hold, and what it must hold.
const TABLE: [Row; 12] = [
    Row {
        kind: Kind::Decision,
        name: "decision",
        may: &Part::SECTIONS,
        must: &[Need::Model, Need::InputsOrWithheld, Need::OutputOrError],
    },
    Row { kind: Kind::Explanation, name: "explanation", may: &[Explanation, Context], must: &[Need::About] },
    Row { kind: Kind::Outcome, name: "outcome", may: &[Output, Context], must: &[Need::About] },
    Row { kind: Kind::Oversight, name: "oversight", may: &[Output, Context, Subject], must: &[Need::AboutOrModel] },
    Row { kind: Kind::Model, name: "model", may: &[Parameters, Context], must: &[Need::Model] },
    Row { kind: Kind::Access, name: "access", may: &[Context, Subject], must: &[] },
    Row { kind: Kind::Summary, name: "summary", may: &[Output], must: &[Need::Model] },
    Row { kind: Kind::Gap, name: "gap", may: &[Context], must: &[Need::Producer] },
    Row { kind: Kind::Producer, name: "producer", may: &[Context], must: &[Need::Producer] },
    Row { kind: Kind::Config, name: "config", may: &[Context], must: &[] },
    Row { kind: Kind::Erasure, name: "erasure", may: &[Context, Subject], must: &[] },
    Row { kind: Kind::Hold, name: "hold", may: &[Context, Subject], must: &[] },
];

impl Kind {
    /// Every kind.
    pub fn all() -> impl Iterator<Item = Kind> {
        TABLE.iter().map(|row| row.kind)
    }

    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The name on the record.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Kind> {
        TABLE.iter().find(|row| row.name == name).map(|row| row.kind)
    }

    /// The sections a record of this kind may hold.
    pub fn may_hold(self, part: Part) -> bool {
        part == Part::Envelope || self.row().may.contains(&part)
    }

    /// What a record of this kind must hold.
    pub fn must_hold(self) -> &'static [Need] {
        self.row().must
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_kinds() {
        for (position, row) in TABLE.iter().enumerate() {
            assert_eq!(row.kind as usize, position, "{}", row.name);
            assert_eq!(Kind::from_name(row.name), Some(row.kind));
        }
        assert_eq!(Kind::from_name("decisions"), None);
    }
}
