//! The records that all contenders are given: templates of JSON lines, each sent with an id, a time, a trace and a
//! sequence number of its own.

use std::collections::HashMap;
use std::io::Read as _;
use std::ops::Range;

use uuid::Uuid;

use crate::args::Data;
use crate::made_up;

const GERMAN: &[u8] = include_bytes!("../../demo/german_credit/records.ndjson.gz");

/// When records happen if not now: 2026-11-02T00:00:00Z, and one each 3 ms.
pub const START_NS: i64 = 1_793_577_600_000_000_000;
pub const STEP_NS: i64 = 3_000_000;

/// Lines that differ only in what each record has of its own.
pub struct Templates {
    lines: Vec<Vec<Piece>>,
}

enum Piece {
    Literal(Vec<u8>),
    Id,
    /// The id that this line of the set was given last.
    About(usize),
    Time,
    Seq,
    Hex(usize),
}

impl Templates {
    /// The templates of a data set; so many, unless there are only as many as are real.
    pub fn of(data: Data, count: usize) -> Templates {
        match data {
            Data::German => Templates::from_lines(german().lines()),
            Data::Applicants => {
                Templates::from_lines(made_up::applicants(&german(), count, 42).iter().map(String::as_str))
            }
            Data::MadeUp => Templates::from_lines(made_up::lines(count, 42).iter().map(String::as_str)),
        }
    }

    fn from_lines<'a>(lines: impl Iterator<Item = &'a str>) -> Templates {
        let mut ids = HashMap::new();
        let one = |(n, line): (usize, &str)| {
            let pieces = split(line, &ids);
            ids.insert(line[value_of(line, "\"id\":\"").unwrap()].to_owned(), n);
            pieces
        };
        Templates { lines: lines.enumerate().map(one).collect() }
    }
}

fn german() -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(GERMAN).read_to_string(&mut text).unwrap();
    text
}

/// Where the value behind a key is, up to the quote or comma that ends it.
fn value_of(line: &str, key: &str) -> Option<Range<usize>> {
    let start = line.find(key)? + key.len();
    let length = line[start..].find(['"', ',', '}'])?;
    Some(start..start + length)
}

fn split(line: &str, ids: &HashMap<String, usize>) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut mark = |key: &str, piece: &dyn Fn(&str) -> Piece| {
        if let Some(at) = value_of(line, key) {
            let piece = piece(&line[at.clone()]);
            found.push((at, piece));
        }
    };
    mark("\"id\":\"", &|_| Piece::Id);
    mark("\"about\":\"", &|id| Piece::About(ids[id]));
    mark("\"time\":\"", &|_| Piece::Time);
    mark("\"seq\":", &|_| Piece::Seq);
    mark("\"trace_id\":\"", &|_| Piece::Hex(2));
    mark("\"span_id\":\"", &|_| Piece::Hex(1));
    found.sort_by_key(|(at, _)| at.start);
    let (mut pieces, mut end) = (Vec::new(), 0);
    for (at, piece) in found {
        pieces.push(Piece::Literal(line.as_bytes()[end..at.start].to_vec()));
        pieces.push(piece);
        end = at.end;
    }
    pieces.push(Piece::Literal(line.as_bytes()[end..].to_vec()));
    pieces
}

/// One sender's endless records.
pub struct Generator<'a> {
    templates: &'a Templates,
    random: Random,
    seq: u64,
    last: Vec<Uuid>,
}

impl<'a> Generator<'a> {
    /// A sender whose records depend on the seed and on nothing else.
    pub fn new(templates: &'a Templates, seed: u64) -> Self {
        let last = vec![Uuid::nil(); templates.lines.len()];
        Generator { templates, random: Random(seed), seq: 0, last }
    }

    /// Writes the next record, which happens then; returns its id.
    pub fn write(&mut self, out: &mut Vec<u8>, time_ns: i64) -> Uuid {
        let line = (self.seq % self.templates.lines.len() as u64) as usize;
        self.seq += 1;
        let id = self.random.uuid_v7(time_ns);
        self.last[line] = id;
        for piece in &self.templates.lines[line] {
            match piece {
                Piece::Literal(bytes) => out.extend_from_slice(bytes),
                Piece::Id => put(out, id.hyphenated().encode_lower(&mut Uuid::encode_buffer())),
                Piece::About(of) => put(out, self.last[*of].hyphenated().encode_lower(&mut Uuid::encode_buffer())),
                Piece::Time => put(out, &rfc3339(time_ns)),
                Piece::Seq => put(out, &self.seq.to_string()),
                Piece::Hex(words) => (0..*words).for_each(|_| put(out, &format!("{:016x}", self.random.next()))),
            }
        }
        id
    }
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

pub fn rfc3339(time_ns: i64) -> String {
    let time = chrono::DateTime::from_timestamp_nanos(time_ns);
    time.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true)
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// From 0 up to and without 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn uuid_v7(&mut self, time_ns: i64) -> Uuid {
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&self.next().to_le_bytes());
        bytes[8..].copy_from_slice(&self.next().to_le_bytes()[..2]);
        uuid::Builder::from_unix_timestamp_millis((time_ns / 1_000_000) as u64, &bytes).into_uuid()
    }
}

/// Some records in one buffer.
#[derive(Default)]
pub struct Lines {
    pub bytes: Vec<u8>,
    pub ids: Vec<Uuid>,
    ends: Vec<usize>,
}

impl Lines {
    pub fn fill(&mut self, from: &mut Generator<'_>, count: usize, mut time_ns: impl FnMut(usize) -> i64) {
        self.fill_with(count, |n, out| from.write(out, time_ns(n)));
    }

    /// Lines that `write` writes; it returns their ids.
    pub fn fill_with(&mut self, count: usize, mut write: impl FnMut(usize, &mut Vec<u8>) -> Uuid) {
        self.bytes.clear();
        self.ids.clear();
        self.ends.clear();
        for n in 0..count {
            self.ids.push(write(n, &mut self.bytes));
            self.bytes.push(b'\n');
            self.ends.push(self.bytes.len());
        }
    }

    /// Each line without its end.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..end - 1])
    }
}
