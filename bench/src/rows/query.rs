//! Search among millions of decisions: filters and groups beside DuckDB and ClickHouse on the same Parquet files; one
//! decision by id and by subject; memory while queries run side by side.

use std::path::Path;
use std::process::Command;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use host::Host;
use lake::Lookup;
use query::{Engine, Policy, Search, View};
use record::{JsonParser, Limits};
use serde_json::{Value, json};
use trail::{Intake, Options, Reader};

use crate::args::Query;
use crate::child::{arg, call};
use crate::data::{Lines, Random, rfc3339};
use crate::figures::{Figures, Goal, quantile};
use crate::fleet;
use crate::machine::{Watch, drop_caches, memory_mib};
use crate::ours::{self, Place};

/// How often a query is asked in a round, once it was asked to warm up.
const TIMES: &str = "5";

pub fn run(args: &Query) {
    let folder = tempfile::tempdir_in(&args.place.folder).unwrap();
    let path = args.trail.as_deref().unwrap_or(folder.path());
    let place = arg(path);
    let mut from = Place::at(path).records().unwrap_or(0);
    for &to in &args.records {
        let grown = (from < to).then(|| call(false, &["fleet", place, &from.to_string(), &to.to_string()]));
        from = from.max(to);
        scans(args, path, from, grown);
        look_ups(args, path, from);
        side_by_side(args, path, from);
    }
}

/// Child: makes a trail of `to` decisions out of one of `from`, and merges its files as a writer that runs on does.
pub fn grow(path: &Path, from: u64, to: u64) -> Value {
    let place = if from == 0 { Place::make(path) } else { Place::at(path) };
    let watch = Watch::start();
    let writer = place.open(Options::default());
    assert_eq!(writer.recovered().records, from);
    let mut parser = JsonParser::new(Limits::DEFAULT);
    let mut lines = Lines::default();
    let mut at = from;
    while at < to {
        let count = (to - at).min(1_000);
        lines.fill_with(count as usize, |n, out| fleet::write(out, at + n as u64));
        ours::append(&writer, &mut parser, &lines, Intake::Import);
        at += count;
    }
    writer.settle().unwrap();
    let rate = ((to - from) as f64 / watch.seconds()).round();
    writer.compact().unwrap();
    let files = writer.snapshot().lake().files().len();
    writer.close().unwrap();
    let bytes: u64 = place.sizes().iter().map(|(_, bytes)| bytes).sum();
    json!({ "records appended and settled a second, one appender": rate, "files": files,
            "bytes a record": bytes as f64 / to as f64, "peak MiB": memory_mib("VmHWM:").round() })
}

/// What is asked of all engines.
struct Question {
    name: &'static str,
    /// What stands between SELECT and FROM, with the hour as `{hour}`; the count's place is given too.
    select: &'static str,
    filters: bool,
    tail: &'static str,
    /// Which column is the count, or a number to be summed.
    count: usize,
}

const QUESTIONS: [Question; 3] = [
    Question {
        name: "filter by time, version and a feature; group by hour and outcome",
        select: "{hour} AS hour, {result.class} AS class, count(*) AS n, avg({output.score}) AS score",
        filters: true,
        tail: "GROUP BY 1, 2 ORDER BY 1, 2",
        count: 2,
    },
    Question {
        name: "all, grouped by hour and outcome",
        select: "{hour} AS hour, {result.class} AS class, count(*) AS n",
        filters: false,
        tail: "GROUP BY 1, 2 ORDER BY 1, 2",
        count: 2,
    },
    Question {
        name: "the newest 100 of a filter",
        select: "{index} AS n, {id} AS id, {output.score} AS score",
        filters: true,
        tail: "ORDER BY {time} DESC LIMIT 100",
        count: 0,
    },
];

/// How an engine writes names and times.
struct Dialect {
    name: &'static str,
    quote: char,
    hour: &'static str,
    time: fn(i64) -> String,
}

const DIALECTS: [Dialect; 3] = [
    Dialect {
        name: "onrecord",
        quote: '"',
        hour: "date_trunc('hour', \"time\")",
        time: |ns| format!("'{}'", rfc3339(ns)),
    },
    Dialect {
        name: "duckdb",
        quote: '"',
        hour: "date_trunc('hour', \"time\")",
        time: |ns| format!("'{}'::TIMESTAMPTZ", rfc3339(ns)),
    },
    Dialect {
        name: "clickhouse",
        quote: '`',
        hour: "toStartOfHour(`time`)",
        time: |ns| format!("fromUnixTimestamp64Micro({})", ns / 1_000),
    },
];

impl Question {
    fn text(&self, dialect: &Dialect, records: u64) -> String {
        let at = |share: f64| (dialect.time)(fleet::time_ns((records as f64 * share) as u64));
        let filter = format!(
            " AND {{time}} >= {} AND {{time}} < {} AND {{model.name}} = 'fraud' AND {{model.version}} = '1.{}.0' \
             AND {{inputs.fraud-01}} > 25000",
            at(0.3),
            at(0.6),
            // Of 30 days in all the version that was live in the middle.
            (records as f64 * 0.45 * fleet::STEP_NS as f64 / 86_400e9 / 4.0) as u64,
        );
        let filter = if self.filters { &*filter } else { "" };
        let text = format!("SELECT {} FROM events WHERE {{kind}} = 'decision'{filter} {}", self.select, self.tail);
        let quote = dialect.quote.to_string();
        text.replace("{hour}", dialect.hour).replace(['{', '}'], &quote)
    }
}

fn scans(args: &Query, path: &Path, records: u64, grown: Option<Value>) {
    let reader = Reader::new(&Host::system(), &Place::at(path).folder);
    let snapshot = reader.snapshot().unwrap();
    let files: Vec<&str> = snapshot.lake().files().iter().map(|file| &*file.path).collect();
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let queries = QUESTIONS.iter().map(|question| {
        let mut query = json!({ "name": question.name, "count": question.count });
        for dialect in &DIALECTS {
            query[dialect.name] = question.text(dialect, records).into();
        }
        query
    });
    let asked = json!({
        "folder": Place::at(path).folder.lake(), "files": files, "threads": threads,
        "queries": queries.collect::<Vec<Value>>(),
        "structure": "`kind` String, `time` DateTime64(6, \\'UTC\\'), `index` Int64, `id` String, \
            `model.name` Nullable(String), `model.version` Nullable(String), `result.class` Nullable(String), \
            `output.score` Nullable(Float64), `inputs.fraud-01` Nullable(Float64)",
    });
    let questions = tempfile::NamedTempFile::new_in(&args.place.folder).unwrap();
    serde_json::to_writer(&questions, &asked).unwrap();
    let mut rounds: Vec<Vec<(&str, Value)>> = Vec::new();
    for _ in 0..args.place.rounds {
        let mut round = vec![("OnRecord", call(false, &["ask", arg(path), arg(questions.path()), TIMES]))];
        for (name, engine) in [("DuckDB", "duckdb"), ("ClickHouse (chDB)", "clickhouse")] {
            if let Some(python) = &args.python {
                round.push((name, peer(python, engine, questions.path())));
            }
        }
        rounds.push(round);
    }
    for question in &QUESTIONS {
        let settings = json!({ "records": records, "files": files.len(), "threads": threads, "times": TIMES });
        let mut figures = Figures::new(format!("query-{records}"), "ms", settings);
        figures.note("asked", question.text(&DIALECTS[0], records));
        if let Some(grown) = &grown {
            figures.note("made", grown.clone());
        }
        for round in &rounds {
            let ours = &round[0].1[question.name];
            for (name, said) in round {
                let said = &said[question.name];
                assert_eq!((&said["rows"], &said["n"]), (&ours["rows"], &ours["n"]), "{name} answers otherwise");
                let mut seconds: Vec<f64> =
                    said["seconds"].as_array().unwrap().iter().map(|taken| taken.as_f64().unwrap()).collect();
                seconds.sort_by(f64::total_cmp);
                figures.round(name, quantile(&seconds, 0.5) * 1e3);
            }
        }
        figures.note("rows", rounds[0][0].1[question.name]["rows"].clone());
        figures.ratio("OnRecord", "DuckDB", Some(Goal::AtMost(1.5)));
        figures.ratio("OnRecord", "ClickHouse (chDB)", Some(Goal::AtMost(1.5)));
        figures.finish();
    }
}

fn peer(python: &Path, engine: &str, questions: &Path) -> Value {
    let script = include_str!("../../query_peers.py");
    let out = Command::new(python).args(["-c", script, engine]).arg(questions).arg(TIMES).output().unwrap();
    // PyArrow and its like may end badly after a right answer.
    serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&out.stderr)))
}

fn view(path: &Path) -> View {
    let host = Host::system();
    let snapshot = Reader::new(&host, &Place::at(path).folder).snapshot().unwrap();
    Engine::new(&host, query::Limits::default()).unwrap().view(snapshot, Policy::default()).unwrap()
}

/// Child: asks the questions of a file.
pub fn ask(path: &Path, questions: &Path, times: usize) -> Value {
    let asked: Value = serde_json::from_slice(&std::fs::read(questions).unwrap()).unwrap();
    let view = view(path);
    let mut said = serde_json::Map::new();
    for query in asked["queries"].as_array().unwrap() {
        let text = query["onrecord"].as_str().unwrap();
        let (rows, n) = answer(&view, text);
        let seconds: Vec<f64> = (0..times)
            .map(|_| {
                let watch = Watch::start();
                answer(&view, text);
                watch.seconds()
            })
            .collect();
        said.insert(query["name"].as_str().unwrap().to_owned(), json!({ "seconds": seconds, "rows": rows, "n": n }));
    }
    said.into()
}

/// Rows of an answer, and the sum of its column `n`.
fn answer(view: &View, text: &str) -> (usize, i64) {
    let (mut rows, mut sum) = (0, 0);
    for batch in view.sql(text).unwrap() {
        let batch = batch.unwrap();
        rows += batch.num_rows();
        if let Some(n) = batch.column_by_name("n") {
            sum += n.as_primitive::<Int64Type>().iter().flatten().sum::<i64>();
        }
    }
    (rows, sum)
}

fn look_ups(args: &Query, path: &Path, records: u64) {
    let settings = json!({ "records": records, "look-ups a round": LOOK_UPS });
    let mut figures = Figures::new(format!("look-up-{records}"), "ms", settings);
    for round in 0..args.place.rounds {
        let said = call(false, &["look-up", arg(path), &records.to_string(), &round.to_string()]);
        for (what, ms) in said.as_object().unwrap() {
            match ms.as_f64() {
                Some(ms) => figures.round(what, ms),
                None => figures.note(what, ms.clone()),
            }
        }
    }
    for what in ["by id", "newest of a subject", "search by subject"] {
        figures.goal(&format!("{what}, warm, p50"), Goal::AtMost(10.0));
        figures.goal(&format!("{what}, cold, p99"), Goal::AtMost(100.0));
    }
    figures.finish();
}

/// How the decision of that number is looked for.
type Way<'a> = &'a dyn Fn(u64, &View);

/// Warm look-ups of each kind; a fiftieth of them cold.
const LOOK_UPS: usize = 1_000;

/// Child: single decisions, warm and cold.
pub fn look_up(path: &Path, records: u64, round: u64) -> Value {
    let mut random = Random(round);
    let view = view(path);
    let by_id = |n: u64, view: &View| {
        let found = view.find(&fleet::id(n)).unwrap().expect("the decision is there");
        assert_eq!(found.index, n);
    };
    let by_subject = |n: u64, view: &View| newest(view, n, 1);
    let twenty = |n: u64, view: &View| newest(view, n, 20);
    let searched = |n: u64, view: &View| {
        let mut search = Search::new(["id", "time", "result.class"], 20);
        search.subject = Some(fleet::subject(n));
        assert!(answer(view, &search.to_sql().unwrap()).0 > 0);
    };
    let mut said = serde_json::Map::new();
    let ways: [(&str, Way<'_>); 4] = [
        ("by id", &by_id),
        ("newest of a subject", &by_subject),
        ("newest 20 of a subject", &twenty),
        ("search by subject", &searched),
    ];
    for (what, look) in ways {
        for _ in 0..LOOK_UPS / 5 {
            look(random.next() % records, &view);
        }
        let warm = timed(LOOK_UPS, || look(random.next() % records, &view));
        said.insert(format!("{what}, warm, p50"), quantile(&warm, 0.5).into());
        said.insert(format!("{what}, warm, p99"), quantile(&warm, 0.99).into());
    }
    for (what, look) in ways {
        let cold = (0..LOOK_UPS / 50).map(|_| {
            said.insert("caches emptied".to_owned(), drop_caches().to_string().into());
            timed(1, || look(random.next() % records, &view))[0]
        });
        let mut cold: Vec<f64> = cold.collect();
        cold.sort_by(f64::total_cmp);
        said.insert(format!("{what}, cold, p50"), quantile(&cold, 0.5).into());
        said.insert(format!("{what}, cold, p99"), quantile(&cold, 0.99).into());
    }
    // As a command that asks once and ends.
    drop_caches();
    let start = timed(1, || by_id(random.next() % records, &self::view(path)));
    said.insert("by id, cold, nothing opened yet".to_owned(), start[0].into());
    said.into()
}

/// The newest decisions about the subject of a record, whole.
fn newest(view: &View, n: u64, max: usize) {
    let found = view.snapshot().latest(&[(Lookup::Subject, &fleet::subject(n))], max).unwrap();
    assert!(!found.found.is_empty());
}

/// How long each of so many takes, ms, sorted.
fn timed(times: usize, mut work: impl FnMut()) -> Vec<f64> {
    let one = |_| {
        let watch = Watch::start();
        work();
        watch.seconds() * 1e3
    };
    let mut all: Vec<f64> = (0..times).map(one).collect();
    all.sort_by(f64::total_cmp);
    all
}

fn side_by_side(args: &Query, path: &Path, records: u64) {
    let settings = json!({ "records": records, "queries at once": AT_ONCE });
    let mut figures = Figures::new(format!("crowd-{records}"), "MiB", settings);
    for _ in 0..args.place.rounds {
        let said = call(false, &["crowd", arg(path), &records.to_string()]);
        figures.round("peak memory", said["peak_mib"].as_f64().unwrap());
        figures.note("all done in, s", said["seconds"].clone());
    }
    figures.finish();
}

/// Threads that ask at once.
const AT_ONCE: usize = 8;

/// Child: the questions, a group for each subject and subjects counted, from many threads at once.
pub fn crowd(path: &Path, records: u64) -> Value {
    let view = view(path);
    let watch = Watch::start();
    let mut texts: Vec<String> = QUESTIONS.iter().map(|question| question.text(&DIALECTS[0], records)).collect();
    texts.push("SELECT \"subject.id\", count(*) AS n FROM decisions GROUP BY 1 ORDER BY 2 DESC LIMIT 10".to_owned());
    texts.push("SELECT \"model.name\", count(DISTINCT \"subject.id\") AS n FROM decisions GROUP BY 1".to_owned());
    std::thread::scope(|scope| {
        for thread in 0..AT_ONCE {
            let (view, texts) = (&view, &texts);
            scope.spawn(move || {
                (0..texts.len()).for_each(|n| {
                    answer(view, &texts[(n + thread) % texts.len()]);
                })
            });
        }
    });
    json!({ "peak_mib": memory_mib("VmHWM:").round(), "seconds": watch.seconds() })
}
