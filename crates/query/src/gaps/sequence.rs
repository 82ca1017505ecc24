//! One instance's numbers, as they come in order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::declared::Range;
use super::{End, GapsAsked, Hole, Instance, Silence};

/// Spans between heartbeats by which the usual one is found.
const SPANS_MAX: usize = 4_096;

/// The longest spans, which are looked into.
const LONGEST_MAX: usize = 1_024;

/// How many times the usual span a heartbeat may take.
const LATE: i64 = 3;

/// What a `producer` record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// `start` or `heartbeat`.
    Beat,
    /// `stop`.
    Stop,
    /// Something else, which says nothing of when it is there.
    Other,
}

impl Event {
    pub(super) fn of(text: &str) -> Event {
        match text {
            "start" | "heartbeat" => Event::Beat,
            "stop" => Event::Stop,
            _ => Event::Other,
        }
    }
}

/// A record of the instance.
pub(super) struct Seen {
    pub number: i64,
    pub time_ns: i64,
    pub event: Option<Event>,
}

/// The state of one instance.
pub(super) struct Sequence {
    found: Instance,
    /// What is declared, the lowest first, apart from each other.
    ranges: Vec<Range>,
    /// Ranges in front of this one end before whatever comes next.
    past: usize,
    /// How much more may be listed.
    room: usize,
    left_off: u64,
    before: Option<(i64, i64)>,
    /// The times of the first and last record, by the clock.
    times: Option<(i64, i64)>,
    beat_ns: Option<i64>,
    spans: Vec<i64>,
    longest: BinaryHeap<Reverse<(i64, i64)>>,
    stopped: Option<i64>,
}

impl Sequence {
    pub(super) fn new(producer: &str, instance: Option<&str>, ranges: Vec<Range>, room: usize) -> Self {
        let found = Instance {
            producer: producer.to_owned(),
            instance: instance.map(str::to_owned),
            first: None,
            last: None,
            records: 0,
            duplicates: 0,
            declared: 0,
            undeclared: 0,
            holes: Vec::new(),
            beats: 0,
            every_ns: None,
            silences: Vec::new(),
            end: End::Unknown { last_ns: None },
            after_stop: 0,
        };
        Sequence {
            found,
            ranges,
            past: 0,
            room,
            left_off: 0,
            before: None,
            times: None,
            beat_ns: None,
            spans: Vec::new(),
            longest: BinaryHeap::new(),
            stopped: None,
        }
    }

    pub(super) fn is_of(&self, producer: &str, instance: Option<&str>) -> bool {
        self.found.producer == producer && self.found.instance.as_deref() == instance
    }

    /// The next record; numbers never go down.
    pub(super) fn see(&mut self, seen: &Seen, asked: &GapsAsked) {
        let expected = self.before.map_or(1, |(number, _)| number.saturating_add(1));
        let after = self.before.map(|(_, time)| time);
        if self.before.is_some_and(|(number, _)| number == seen.number) {
            self.found.duplicates += 1;
        } else if seen.number > expected {
            self.missing(expected, seen.number - 1, after, Some(seen.time_ns), asked);
        }
        self.found.records += 1;
        self.found.first.get_or_insert(seen.number);
        self.found.last = Some(seen.number);
        self.before = Some((seen.number, seen.time_ns));
        let (first, last) = self.times.unwrap_or((seen.time_ns, seen.time_ns));
        self.times = Some((first.min(seen.time_ns), last.max(seen.time_ns)));
        if self.stopped.is_some() {
            self.found.after_stop += 1;
        }
        match seen.event {
            Some(Event::Stop) => self.stopped = Some(seen.time_ns),
            Some(Event::Beat) => self.beat(seen.time_ns),
            _ => {}
        }
    }

    fn beat(&mut self, time_ns: i64) {
        self.found.beats += 1;
        // A clock that went back says nothing of how long it took.
        if let Some(span) = self.beat_ns.and_then(|before| time_ns.checked_sub(before)).filter(|span| *span > 0) {
            if self.spans.len() < SPANS_MAX {
                self.spans.push(span);
            }
            self.longest.push(Reverse((span, time_ns)));
            if self.longest.len() > LONGEST_MAX {
                self.longest.pop();
            }
        }
        self.beat_ns = Some(time_ns);
    }

    /// Numbers that are not here, parted by what is declared.
    fn missing(&mut self, first: i64, last: i64, after_ns: Option<i64>, before_ns: Option<i64>, asked: &GapsAsked) {
        let mut from = first;
        while from <= last {
            while self.ranges.get(self.past).is_some_and(|range| range.last < from) {
                self.past += 1;
            }
            let (reach, until) = match self.ranges.get(self.past) {
                Some(range) if range.first <= from => (Some(range.clone()), range.last.min(last)),
                Some(range) => (None, (range.first - 1).min(last)),
                None => (None, last),
            };
            let (declared_by, reason) = reach.map_or((None, None), |range| (Some(range.index), range.reason));
            self.hole(Hole { first: from, last: until, declared_by, reason, after_ns, before_ns }, asked);
            if until == i64::MAX {
                return;
            }
            from = until + 1;
        }
    }

    fn hole(&mut self, hole: Hole, asked: &GapsAsked) {
        if !asked.covers(hole.after_ns, hole.before_ns) {
            return;
        }
        let sum = if hole.declared_by.is_some() { &mut self.found.declared } else { &mut self.found.undeclared };
        *sum = sum.saturating_add(hole.count());
        if self.room == 0 {
            self.left_off += 1;
            return;
        }
        self.room -= 1;
        self.found.holes.push(hole);
    }

    /// What the instance came to, how much of it is not listed, and whether it did anything in the time asked for.
    pub(super) fn end(mut self, now_ns: i64, asked: &GapsAsked) -> (Instance, u64, bool) {
        // What is declared behind the last number that is here.
        let after = self.before.map(|(_, time)| time);
        if let Some(last) = self.ranges.last().map(|range| range.last) {
            let expected = self.before.map_or(1, |(number, _)| number.saturating_add(1));
            self.missing(expected, last, after, None, asked);
        }
        self.silences(asked);
        let last_ns = self.times.map(|(_, last)| last);
        let late = |every: i64| every.saturating_mul(LATE);
        self.found.end = match (self.stopped, last_ns, self.found.every_ns) {
            (Some(at_ns), _, _) => End::Stopped { at_ns },
            (None, Some(since_ns), Some(every)) if now_ns.saturating_sub(since_ns) > late(every) => {
                End::Silent { since_ns }
            }
            (None, Some(last_ns), Some(_)) => End::Running { last_ns },
            (None, last_ns, _) => End::Unknown { last_ns },
        };
        let spoke = self.times.is_none_or(|(first, last)| asked.covers(Some(first), Some(last)));
        (self.found, self.left_off, spoke)
    }

    fn silences(&mut self, asked: &GapsAsked) {
        if self.spans.len() < 2 {
            return;
        }
        self.spans.sort_unstable();
        let every = self.spans[self.spans.len() / 2].max(1);
        self.found.every_ns = Some(every);
        let mut silences: Vec<Silence> = std::mem::take(&mut self.longest)
            .into_iter()
            .filter(|Reverse((span, _))| *span > every.saturating_mul(LATE))
            .map(|Reverse((span, until_ns))| Silence {
                from_ns: until_ns.saturating_sub(span),
                until_ns,
                missing: (span.unsigned_abs() / every.unsigned_abs()).saturating_sub(1),
            })
            .filter(|silence| asked.covers(Some(silence.from_ns), Some(silence.until_ns)))
            .collect();
        silences.sort_by_key(|silence| silence.from_ns);
        self.left_off += silences.len().saturating_sub(self.room) as u64;
        silences.truncate(self.room);
        self.found.silences = silences;
    }
}
