//! What is missing of the producers' sequences (T11, T12).
//!
//! Each instance of a producer numbers what it sends, densely and from 1. A number that is not here is a record that was
//! lost on the way, unless a `gap` record declares it. Records are read in the order of producer, instance and number,
//! sorted by the engine, which spills; what is kept here is the state of one instance, what was found, and the declared
//! ranges, each with a limit (I12).

mod declared;
mod sequence;

use serde::{Deserialize, Serialize};

use crate::columns::Columns;
use crate::error::QueryError;
use crate::statement::literal;
use crate::times;
use crate::view::View;

use declared::Declarations;
pub(crate) use declared::count as declared_count;
use sequence::{Event, Seen, Sequence};

/// Instances that are listed.
const INSTANCES_MAX: usize = 200_000;

/// Holes and silences that are listed, of all instances together; the others are counted.
const LISTED_MAX: usize = 10_000;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct GapsAsked {
    /// Holes that may have come to be from then on, nanoseconds since 1970.
    pub since_ns: Option<i64>,
    /// Holes that may have come to be before then.
    pub until_ns: Option<i64>,
    /// One producer alone.
    pub producer: Option<String>,
}

/// What the sequences of a trail show.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Gaps {
    /// Numbers that are missing, and that no `gap` record declares.
    pub undeclared: u64,
    /// Numbers that are missing and declared.
    pub declared: u64,
    /// Each instance that sent something in the time asked for.
    pub instances: Vec<Instance>,
    /// Records that name no producer: of these nothing can be told.
    pub without_producer: u64,
    /// Records that name a producer and no number: of these nothing can be told.
    pub without_seq: u64,
    /// Records that were erased whole, and their numbers with them: as many of the missing numbers may be theirs.
    pub erased: u64,
    /// Indices of `gap` records that say no range, and so declare nothing; the first of them.
    pub declares_nothing: Vec<u64>,
    /// Holes and silences that are counted and not listed.
    pub left_off: u64,
}

/// One run of one process of a producer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Instance {
    /// The producer.
    pub producer: String,
    /// The instance, if the records say which.
    pub instance: Option<String>,
    /// The lowest number that is here.
    pub first: Option<i64>,
    /// The highest number that is here.
    pub last: Option<i64>,
    /// Records with a number.
    pub records: u64,
    /// Records whose number another record of the instance has too.
    pub duplicates: u64,
    /// Missing numbers that are declared.
    pub declared: u64,
    /// Missing numbers that are not.
    pub undeclared: u64,
    /// The missing numbers.
    pub holes: Vec<Hole>,
    /// How many times it said that it was there: starts and heartbeats.
    pub beats: u64,
    /// The usual span between two of these: their median. Nothing below three of them.
    #[serde(rename = "beat_every_ns")]
    pub every_ns: Option<i64>,
    /// Where heartbeats are missing.
    pub silences: Vec<Silence>,
    /// What closes the sequence.
    pub end: End,
    /// Records with a number behind the one that said that it was over.
    pub after_stop: u64,
}

/// Numbers that are missing, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hole {
    /// The first.
    pub first: i64,
    /// The last.
    pub last: i64,
    /// The index of the `gap` record that declares them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared_by: Option<u64>,
    /// The reason that it gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The time of the record before them.
    #[serde(
        rename = "after",
        serialize_with = "times::serialize_option",
        deserialize_with = "times::deserialize_option",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub after_ns: Option<i64>,
    /// The time of the record behind them.
    #[serde(
        rename = "before",
        serialize_with = "times::serialize_option",
        deserialize_with = "times::deserialize_option",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub before_ns: Option<i64>,
}

impl Hole {
    /// How many numbers.
    pub fn count(&self) -> u64 {
        self.last.abs_diff(self.first).saturating_add(1)
    }
}

/// Heartbeats that are missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// The last one before.
    #[serde(rename = "from", with = "times")]
    pub from_ns: i64,
    /// The next one.
    #[serde(rename = "until", with = "times")]
    pub until_ns: i64,
    /// How many should have come.
    pub missing: u64,
}

/// What closes a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum End {
    /// It said that it was over.
    Stopped {
        /// When.
        #[serde(rename = "at", with = "times")]
        at_ns: i64,
    },
    /// Its last record is no older than its heartbeats let expect.
    Running {
        /// The time of that record.
        #[serde(rename = "last", with = "times")]
        last_ns: i64,
    },
    /// It has said nothing for longer than its heartbeats let expect, and not that it was over.
    Silent {
        /// The time of its last record.
        #[serde(rename = "since", with = "times")]
        since_ns: i64,
    },
    /// Nothing closes it, and there are no heartbeats to go by: whether records are missing behind the last one cannot
    /// be told.
    Unknown {
        /// The time of its last record.
        #[serde(
            rename = "last",
            serialize_with = "times::serialize_option",
            deserialize_with = "times::deserialize_option",
            default
        )]
        last_ns: Option<i64>,
    },
}

impl Gaps {
    /// What this cannot find out.
    pub const NOT_CHECKED: [&'static str; 3] = [
        "whether a producer recorded all that it decided: that takes a count from elsewhere (onrecord reconcile)",
        "producers of which nothing is here, and records behind the last one of an instance whose tail is unknown",
        "that the records are from whom they name: tips that producers sign are not checked",
    ];

    /// What it comes to, in a word: `HOLES`, `DECLARED`, `NOTHING` or `NO HOLES`.
    pub fn verdict(&self) -> &'static str {
        match (self.undeclared, self.declared) {
            (1.., _) => "HOLES",
            (0, 1..) => "DECLARED",
            (0, 0) if self.instances.is_empty() => "NOTHING",
            (0, 0) => "NO HOLES",
        }
    }

    /// The report as a document: with the verdict, and what was not checked.
    pub fn document(&self) -> Result<serde_json::Value, serde_json::Error> {
        let mut json = serde_json::to_value(self)?;
        if let serde_json::Value::Object(fields) = &mut json {
            fields.insert("verdict".to_owned(), self.verdict().into());
            fields.insert("not_checked".to_owned(), Gaps::NOT_CHECKED.to_vec().into());
        }
        Ok(json)
    }

    /// Whether every number that is missing is declared.
    pub fn is_good(&self) -> bool {
        self.undeclared == 0
    }

    fn take(&mut self, found: Instance) -> Result<(), QueryError> {
        if self.instances.len() >= INSTANCES_MAX {
            return Err(QueryError::Limit { what: "instances of producers", max: INSTANCES_MAX.to_string() });
        }
        self.declared = self.declared.saturating_add(found.declared);
        self.undeclared = self.undeclared.saturating_add(found.undeclared);
        self.instances.push(found);
        Ok(())
    }
}

impl GapsAsked {
    /// Whether what lies between two moments may lie in the time asked for.
    fn covers(&self, from: Option<i64>, until: Option<i64>) -> bool {
        let late = self.since_ns.is_some_and(|since| until.is_some_and(|until| until < since));
        let early = self.until_ns.is_some_and(|before| from.is_some_and(|from| from >= before));
        !late && !early
    }
}

/// Records with a number, in order. What a heartbeat says is read of the few records that are any.
fn sequences(producer: &str) -> String {
    let columns = "producer.name AS name, producer.instance AS instance, producer.seq AS seq, \"index\", time_ns";
    let of = format!("producer.name IS NOT NULL AND producer.seq IS NOT NULL{producer}");
    format!(
        "SELECT {columns}, CAST(NULL AS VARCHAR) AS event FROM events WHERE kind <> 'producer' AND {of} UNION ALL \
         SELECT {columns}, coalesce(json_text(\"context:json\", 'event'), '') AS event FROM events \
         WHERE kind = 'producer' AND {of} ORDER BY name, instance, seq, \"index\""
    )
}

impl View {
    /// What the sequences of the producers show.
    ///
    /// A time says which findings are shown, and not which records are read: a sequence is only whole as a whole.
    pub fn gaps(&self, asked: &GapsAsked) -> Result<Gaps, QueryError> {
        let now_ns = self.shared.host.now_ns();
        let only = asked.producer.as_ref().map(|name| format!(" AND producer.name = {}", literal(name)));
        let only = only.unwrap_or_default();
        let mut declarations = Declarations::read(self, &only)?;
        let mut gaps = Gaps { declares_nothing: declarations.without_range(), ..self.untold(&only)? };
        let mut room = LISTED_MAX;
        let mut finish = |gaps: &mut Gaps, sequence: Sequence| {
            let (found, left_off, spoke) = sequence.end(now_ns, asked);
            gaps.left_off = gaps.left_off.saturating_add(left_off);
            if !spoke {
                return Ok(room);
            }
            room = room.saturating_sub(found.holes.len() + found.silences.len());
            gaps.take(found).map(|()| room)
        };
        let mut left = LISTED_MAX;
        let mut current: Option<Sequence> = None;
        for batch in self.every_row(&sequences(&only), None)? {
            let batch = batch?;
            let columns = Columns(&batch);
            let (names, instances, numbers) = (columns.texts(0)?, columns.texts(1)?, columns.integers(2)?);
            let (times, events) = (columns.integers(4)?, columns.texts(5)?);
            for row in 0..batch.num_rows() {
                let (Some(name), Some(number)) = (names.at(row), numbers.at(row)) else { continue };
                let instance = instances.at(row);
                if !current.as_ref().is_some_and(|sequence| sequence.is_of(name, instance)) {
                    if let Some(done) = current.take() {
                        left = finish(&mut gaps, done)?;
                    }
                    let ranges = declarations.take(name, instance);
                    current = Some(Sequence::new(name, instance, ranges, left));
                }
                let Some(sequence) = &mut current else { continue };
                let event = events.at(row).map(Event::of);
                sequence.see(&Seen { number, time_ns: times.at(row).unwrap_or_default(), event }, asked);
            }
        }
        if let Some(done) = current.take() {
            left = finish(&mut gaps, done)?;
        }
        // Whoever has declared a loss, and of whom nothing else is here.
        for (name, instance, ranges) in declarations.rest() {
            left = finish(&mut gaps, Sequence::new(&name, instance.as_deref(), ranges, left))?;
        }
        Ok(gaps)
    }

    /// Records of which nothing can be told.
    fn untold(&self, only: &str) -> Result<Gaps, QueryError> {
        let count = |what: &str| format!("count(CASE WHEN {what} THEN 1 END)");
        let sql = format!(
            "SELECT {}, {}, {} FROM events",
            count("producer.name IS NULL AND erased IS NULL"),
            count(&format!("producer.name IS NOT NULL AND producer.seq IS NULL{only}")),
            count("producer.name IS NULL AND erased IS NOT NULL"),
        );
        let mut gaps = Gaps::default();
        for batch in self.every_row(&sql, None)? {
            let batch = batch?;
            let count = |at: usize| Columns(&batch).integers(at).map(|column| column.count(0));
            (gaps.without_producer, gaps.without_seq, gaps.erased) = (count(0)?, count(1)?, count(2)?);
        }
        Ok(gaps)
    }
}
