//! What the plan and the columns need to know of a record beyond its parts' bytes: read once, from its envelope.

use record::{Body, Envelope, Part, Stamp, Stored};

/// A record's place among others, and whether its envelope can stand in columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// When it happened, or when the server took it if the sender did not say; unknown once the envelope is erased.
    pub time_ns: Option<i64>,
    /// The model's name, of a decision.
    pub decided_by: Option<Box<str>>,
    /// The model's name and version, of any record that has them.
    pub model: Option<(Box<str>, Box<str>)>,
    /// Whether the envelope says what the stamp says where both speak. One that does not is kept as bytes.
    pub agrees: bool,
}

/// Where a record stands in a file: by time, what has none last, then by index.
pub(crate) type Place = (bool, Option<i64>, u64);

impl Facts {
    /// The place of the record, which has that index.
    pub(crate) fn place(&self, index: u64) -> Place {
        (self.time_ns.is_none(), self.time_ns, index)
    }

    pub(crate) fn of(stored: &Stored) -> Self {
        let stamp = &stored.stamp;
        let received = stamp.time_by_server.then_some(stamp.received);
        let nothing = Self { time_ns: received, decided_by: None, model: None, agrees: false };
        let (Body::Whole { parts, .. } | Body::Partial { parts, .. }) = &stored.body else { return nothing };
        let Some(Ok(envelope)) = parts.get(Part::Envelope).map(Envelope::read) else { return nothing };
        let agrees = agree(stamp, &envelope);
        let model = envelope.model.map(|m| (m.name.into(), m.version.into()));
        let decided_by = envelope.model.filter(|_| stamp.kind == record::Kind::Decision).map(|m| m.name.into());
        Self { time_ns: envelope.time_ns.or(received), decided_by, model, agrees }
    }
}

/// Whether the two say the same where both speak.
pub(crate) fn agree(stamp: &Stamp, envelope: &Envelope<'_>) -> bool {
    envelope.kind == stamp.kind
        && envelope.id == (!stamp.id_by_server).then_some(stamp.id)
        && envelope.time_ns.is_some() != stamp.time_by_server
}
