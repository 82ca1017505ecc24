//! The seven parts of a record: the envelope and six sections, each as canonical bytes.

use uuid::Uuid;

use crate::commitment::Salt;
use crate::envelope::Envelope;
use crate::kind::Kind;

/// A part of a record that is committed to, and can be withheld or erased, by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Names, numbers, times and random ids: a closed schema.
    Envelope,
    /// Whom the decision is about.
    Subject,
    /// What the model was given.
    Inputs,
    /// The settings it decided under.
    Parameters,
    /// What it said.
    Output,
    /// Why.
    Explanation,
    /// What else is known: environment, commit, request.
    Context,
}

impl Part {
    /// How many parts a record has.
    pub const COUNT: usize = 7;

    /// All parts, in the order in which they are committed to.
    pub const ALL: [Part; Part::COUNT] =
        [Part::Envelope, Part::Subject, Part::Inputs, Part::Parameters, Part::Output, Part::Explanation, Part::Context];

    /// The six sections.
    pub const SECTIONS: [Part; 6] =
        [Part::Subject, Part::Inputs, Part::Parameters, Part::Output, Part::Explanation, Part::Context];

    /// The name on the record and in the commitment.
    pub const fn name(self) -> &'static str {
        match self {
            Part::Envelope => "envelope",
            Part::Subject => "subject",
            Part::Inputs => "inputs",
            Part::Parameters => "parameters",
            Part::Output => "output",
            Part::Explanation => "explanation",
            Part::Context => "context",
        }
    }

    /// The section of that name. The envelope is no section.
    pub fn section(name: &str) -> Option<Part> {
        Part::SECTIONS.into_iter().find(|part| part.name() == name)
    }
}

/// The canonical bytes of the parts of one record, in one buffer.
#[derive(Clone, Default)]
pub struct Parts {
    bytes: Vec<u8>,
    /// Start and end of each part; equal where the part is absent, for no canonical item is empty.
    spans: [(u32, u32); Part::COUNT],
}

impl Parts {
    /// No parts yet, with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity), spans: Default::default() }
    }

    /// Sets a part to canonical bytes. The caller vouches that they are canonical and that all parts together stay
    /// below 4 GiB, which [`crate::Limits::CAP`] does.
    pub fn set(&mut self, part: Part, canonical: &[u8]) {
        self.set_with(part, |out| out.extend_from_slice(canonical));
    }

    /// Sets a part to what `write` appends.
    pub fn set_with(&mut self, part: Part, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        self.spans[part as usize] = (start as u32, self.bytes.len() as u32);
    }

    /// The canonical bytes of a part, if the record holds it.
    #[inline]
    pub fn get(&self, part: Part) -> Option<&[u8]> {
        let (start, end) = self.spans[part as usize];
        (start != end).then(|| &self.bytes[start as usize..end as usize])
    }

    /// Bytes of all parts together.
    pub fn total_bytes(&self) -> usize {
        self.spans.iter().map(|(start, end)| (end - start) as usize).sum()
    }

    /// Makes it empty, keeping its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans = Default::default();
    }
}

impl PartialEq for Parts {
    fn eq(&self, other: &Self) -> bool {
        Part::ALL.into_iter().all(|part| self.get(part) == other.get(part))
    }
}

impl Eq for Parts {}

impl std::fmt::Debug for Parts {
    /// Names and sizes only: a payload has no business in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut map = f.debug_map();
        for part in Part::ALL {
            if let Some(bytes) = self.get(part) {
                map.entry(&part.name(), &format_args!("{} bytes", bytes.len()));
            }
        }
        map.finish()
    }
}

/// A record as its sender sent it, validated: the parts as canonical bytes, and the salt if the sender made one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What the sender made its commitments with; the server makes one if this is absent.
    pub salt: Option<Salt>,
    /// Envelope and sections. The envelope is always there.
    pub parts: Parts,
    /// The sender's id; the server makes one if this is absent.
    pub id: Option<Uuid>,
    /// What kind of event this is.
    pub kind: Kind,
    /// When it happened, nanoseconds since the Unix epoch (UTC), if the sender said so.
    pub time_ns: Option<i64>,
    /// The decision that this is about.
    pub about: Option<Uuid>,
}

impl Record {
    /// The record whose parts are these.
    pub(crate) fn new(salt: Option<Salt>, parts: Parts, envelope: &Envelope<'_>) -> Self {
        Self { salt, id: envelope.id, kind: envelope.kind, time_ns: envelope.time_ns, about: envelope.about, parts }
    }
}
