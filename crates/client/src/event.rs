//! What is put on record: a decision, or what becomes known of one later.

use record::{
    Clock, Envelope, Kind, Model, NAME_BYTES_MAX, Need, Outcome, PROFILES_MAX, Part, Parts, Producer, Record, Salt,
    Sampling, Trace, Value,
};
use uuid::Uuid;

use crate::within::Within;

/// An event, as whoever made it knows it. What is left out is absent from the record; id, time, clock, producer and salt
/// are the recorder's to add.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    kind: Kind,
    /// Its id, if the caller has made one: a UUIDv7.
    pub id: Option<Uuid>,
    /// When it happened, nanoseconds since 1970, if that was not now.
    pub time_ns: Option<i64>,
    /// The decision that it is about.
    pub about: Option<Uuid>,
    /// Where in a trace.
    pub trace: Option<Trace>,
    /// The model.
    pub model: Option<ModelVersion>,
    /// The class that it came to.
    pub class: Option<String>,
    /// Whether that is adverse to the subject.
    pub adverse: Option<bool>,
    /// The name of the error that took the place of an output.
    pub error: Option<String>,
    /// Why the inputs are not on record.
    pub inputs_withheld: Option<String>,
    /// Rule profiles, such as `reg-b`.
    pub profile: Vec<String>,
    sections: [Option<Value>; Part::COUNT],
}

/// The exact model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelVersion {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the artefact.
    pub digest: Option<[u8; 32]>,
}

/// What the recorder adds.
pub struct Added<'a> {
    pub id: Uuid,
    pub salt: [u8; 16],
    pub time_ns: i64,
    pub clock: Option<Clock<'a>>,
    pub producer: Producer<'a>,
    pub sampling: Option<Sampling<'a>>,
}

/// Why an event cannot be a record.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InvalidEvent {
    /// It is no record, or none within the limits.
    #[error("the event cannot be recorded: {0}")]
    Record(#[from] Box<record::RecordError>),
    /// It has a field that only the recorder fills.
    #[error("the event cannot be recorded: {0} is the recorder's to fill; leave it out")]
    Reserved(&'static str),
    /// It lacks something that its kind must have.
    #[error("the event cannot be recorded: a record of kind {kind} must have {what}")]
    Missing {
        /// Its kind.
        kind: &'static str,
        /// What is missing.
        what: &'static str,
    },
    /// It has a section that its kind may not have.
    #[error("the event cannot be recorded: a record of kind {kind} has no {section}")]
    Section {
        /// Its kind.
        kind: &'static str,
        /// The section.
        section: &'static str,
    },
    /// It has something else than named fields in a section of them.
    #[error("the event cannot be recorded: {section} must be an object of named fields")]
    NoObject {
        /// The section.
        section: &'static str,
    },
    /// It is over a limit of records.
    #[error("the event cannot be recorded: {what} is {got}, and may be {max}; keep what is large by its digest")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// How much it is.
        got: usize,
        /// At most.
        max: usize,
    },
    /// A name in it is none.
    #[error(
        "the event cannot be recorded: {field} {name:?} is no name: one line, not empty, without control characters"
    )]
    Name {
        /// Where it stands.
        field: &'static str,
        /// What stands there.
        name: String,
    },
    /// Its canonical bytes could not be read again.
    #[error("the event cannot be recorded: {0}")]
    Bytes(#[from] record::cbor::CborError),
}

impl Event {
    /// Of a kind, with nothing in it.
    pub fn of_kind(kind: Kind) -> Event {
        Event {
            kind,
            id: None,
            time_ns: None,
            about: None,
            trace: None,
            model: None,
            class: None,
            adverse: None,
            error: None,
            inputs_withheld: None,
            profile: Vec::new(),
            sections: Default::default(),
        }
    }

    /// A decision of this version of a model.
    pub fn decision(model: impl Into<String>, version: impl Into<String>) -> Event {
        let model = ModelVersion { name: model.into(), version: version.into(), digest: None };
        Event { model: Some(model), ..Event::of_kind(Kind::Decision) }
    }

    /// What became of a decision.
    pub fn outcome(about: Uuid) -> Event {
        Event { about: Some(about), ..Event::of_kind(Kind::Outcome) }
    }

    /// A person's word on a decision.
    pub fn oversight(about: Uuid) -> Event {
        Event { about: Some(about), ..Event::of_kind(Kind::Oversight) }
    }

    /// A late attribution of a decision.
    pub fn explanation(about: Uuid) -> Event {
        Event { about: Some(about), ..Event::of_kind(Kind::Explanation) }
    }

    /// From one line of JSON, as `onrecord append` takes it. A `producer`, `clock`, `sampling` or `salt` in it is refused:
    /// these the recorder fills.
    pub fn from_json(text: &[u8]) -> Result<Event, InvalidEvent> {
        let record = record::JsonParser::new(record::Limits::DEFAULT).parse(text)?;
        let envelope = Envelope::read(record.parts.get(Part::Envelope).unwrap_or_default())?;
        let reserved = [
            ("producer", envelope.producer.is_some()),
            ("clock", envelope.clock.is_some()),
            ("sampling", envelope.sampling.is_some()),
            ("salt", record.salt.is_some()),
        ];
        if let Some((name, _)) = reserved.into_iter().find(|(_, there)| *there) {
            return Err(InvalidEvent::Reserved(name));
        }
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let result = envelope.result.unwrap_or_default();
        let mut event = Event {
            kind: envelope.kind,
            id: envelope.id,
            time_ns: envelope.time_ns,
            about: envelope.about,
            trace: envelope.trace,
            model: envelope.model.map(|model| ModelVersion {
                name: model.name.to_owned(),
                version: model.version.to_owned(),
                digest: model.digest,
            }),
            class: owned(result.class),
            adverse: result.adverse,
            error: owned(envelope.error),
            inputs_withheld: owned(envelope.inputs_withheld),
            profile: envelope.profile.iter().map(|name| (*name).to_owned()).collect(),
            sections: Default::default(),
        };
        for part in Part::SECTIONS {
            event.sections[part as usize] = record.parts.get(part).map(Value::from_canonical).transpose()?;
        }
        Ok(event)
    }

    /// What kind it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// With this section, in place of what it had.
    #[must_use]
    pub fn with(mut self, section: Part, value: Value) -> Event {
        self.set(section, Some(value));
        self
    }

    /// Sets a section. The envelope is none: it is left as it is.
    pub fn set(&mut self, section: Part, value: Option<Value>) {
        if section != Part::Envelope {
            self.sections[section as usize] = value;
        }
    }

    /// A section.
    pub fn section(&self, section: Part) -> Option<&Value> {
        self.sections[section as usize].as_ref()
    }

    /// Whether it has what a record of its kind must have, and is within the limits of records but for its size as a whole.
    pub(crate) fn check(&self) -> Result<(), InvalidEvent> {
        let there = |part: Part| self.section(part).is_some_and(|value| *value != Value::Null);
        for need in self.kind.must_hold() {
            let met = match need {
                Need::Model => self.model.is_some(),
                Need::InputsOrWithheld => there(Part::Inputs) || self.inputs_withheld.is_some(),
                Need::OutputOrError => there(Part::Output) || self.error.is_some(),
                Need::About => self.about.is_some(),
                Need::AboutOrModel => self.about.is_some() || self.model.is_some(),
                Need::Producer => true,
            };
            if !met {
                return Err(InvalidEvent::Missing { kind: self.kind.name(), what: need.describe() });
            }
        }
        if let Some(part) = Part::SECTIONS.into_iter().find(|part| there(*part) && !self.kind.may_hold(*part)) {
            return Err(InvalidEvent::Section { kind: self.kind.name(), section: part.name() });
        }
        self.check_names()?;
        let mut within = Within::default();
        Part::SECTIONS.into_iter().filter_map(|part| Some((part, self.section(part)?))).try_for_each(|(part, value)| {
            // What an output is may be anything; inputs that are no map get one around them.
            let is_map = matches!(value, Value::Map(_) | Value::Null);
            if !is_map && !matches!(part, Part::Inputs | Part::Output) {
                return Err(InvalidEvent::NoObject { section: part.name() });
            }
            let wrapped = part == Part::Inputs && !is_map;
            within.add_fields(usize::from(wrapped))?;
            within.check(value, 1 + usize::from(wrapped))
        })
    }

    fn check_names(&self) -> Result<(), InvalidEvent> {
        let model = self.model.as_ref().map(|model| [("model.name", &model.name), ("model.version", &model.version)]);
        let result = self.class.as_ref().map(|class| ("result.class", class));
        let error = self.error.as_ref().map(|error| ("error", error));
        let withheld = self.inputs_withheld.as_ref().map(|why| ("inputs_withheld", why));
        let profiles = self.profile.iter().map(|name| ("profile", name));
        let limit = |what, got, max| if got > max { Err(InvalidEvent::Limit { what, got, max }) } else { Ok(()) };
        limit("the number of profiles", self.profile.len(), PROFILES_MAX)?;
        for (field, name) in model.into_iter().flatten().chain(result).chain(error).chain(withheld).chain(profiles) {
            limit("the length of a name in bytes", name.len(), NAME_BYTES_MAX)?;
            if name.is_empty() || name.chars().any(char::is_control) {
                return Err(InvalidEvent::Name { field, name: name.clone() });
            }
        }
        Ok(())
    }

    /// The bytes that go to the server: the record's CBOR face, serialised this once.
    pub(crate) fn encode(&self, added: &Added<'_>) -> Result<Vec<u8>, record::cbor::CborError> {
        let envelope = self.envelope(added);
        let mut parts = Parts::with_capacity(1024);
        parts.set_with(Part::Envelope, |out| envelope.write(out));
        for part in Part::SECTIONS {
            match self.section(part) {
                None | Some(Value::Null) => {}
                // Inputs that are no map stand under a name, as the server would put them.
                Some(value) if part == Part::Inputs && !matches!(value, Value::Map(_)) => parts.set_with(part, |out| {
                    record::cbor::write_map_head(out, 1);
                    record::cbor::write_text(out, "value");
                    value.write(out);
                }),
                Some(value) => parts.set_with(part, |out| value.write(out)),
            }
        }
        let record = Record {
            salt: Some(Salt(added.salt)),
            parts,
            id: Some(added.id),
            kind: self.kind,
            time_ns: Some(added.time_ns),
            about: self.about,
        };
        record::record_to_cbor(&record)
    }

    fn envelope<'a>(&'a self, added: &Added<'a>) -> Envelope<'a> {
        let result = Outcome { class: self.class.as_deref(), adverse: self.adverse };
        Envelope {
            id: Some(added.id),
            kind: self.kind,
            time_ns: Some(added.time_ns),
            about: self.about,
            clock: added.clock,
            producer: Some(added.producer),
            trace: self.trace,
            model: self.model.as_ref().map(|model| Model {
                name: &model.name,
                version: &model.version,
                digest: model.digest,
            }),
            result: (result != Outcome::default()).then_some(result),
            sampling: added.sampling,
            profile: self.profile.iter().map(String::as_str).collect(),
            error: self.error.as_deref(),
            inputs_withheld: self.inputs_withheld.as_deref(),
        }
    }
}
