//! A steady stream of single records: how long until each is acknowledged, and until it is under a signed checkpoint;
//! and whether seals and settles behind are felt in front.
//!
//! Time counts from when a record was due, not from when a thread got round to it, so that a stall is felt by all that
//! wait behind it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use host::Host;
use record::{JsonParser, Limits};
use serde_json::json;
use trail::{Intake, Options, Outcome, Writer};

use crate::args::{Data, Seal};
use crate::data::{Generator, Lines, Templates};
use crate::figures::{Figures, Goal, quantile};
use crate::ours::{self, Place};
use crate::pace::Pace;

/// How often the checkpoint is looked at; what is measured is too long by half of it.
const LOOK_EVERY: Duration = Duration::from_micros(500);

/// One record: when it was due, when it was acknowledged, and its index.
struct Acknowledged {
    due: Duration,
    at: Duration,
    index: u64,
}

/// Latencies of a run, sorted, in milliseconds.
struct Run {
    acknowledged: Vec<f64>,
    sealed: Vec<f64>,
    seals: usize,
    settled: u64,
}

pub fn run(args: &Seal) {
    let settings = json!({ "records a second": args.rate, "seconds": args.seconds, "appenders": args.appenders });
    let mut figures = Figures::new("seal", "ms", settings);
    for round in 0..args.place.rounds {
        // By turns, so that neither is always the one that finds a warm machine.
        let turns: [bool; 2] = if round.is_multiple_of(2) { [false, true] } else { [true, false] };
        for behind in turns {
            let options = if behind { Options::default() } else { ours::only_journal() };
            let run = one(args, options);
            let who = if behind { "acknowledged" } else { "acknowledged alone" };
            figures.round(&format!("{who}, p50"), quantile(&run.acknowledged, 0.5));
            figures.round(&format!("{who}, p99"), quantile(&run.acknowledged, 0.99));
            if behind {
                figures.round("sealed, p50", quantile(&run.sealed, 0.5));
                figures.round("sealed, p99", quantile(&run.sealed, 0.99));
                figures.note("checkpoints, records settled meanwhile", json!([run.seals, run.settled]));
            }
        }
    }
    figures.goal("sealed, p99", Goal::AtMost(250.0));
    figures.ratio("acknowledged, p99", "acknowledged alone, p99", Some(Goal::AtMost(1.2)));
    figures.finish();
}

fn one(args: &Seal, options: Options) -> Run {
    let folder = tempfile::tempdir_in(&args.place.folder).unwrap();
    let writer = Place::make(folder.path()).open(options);
    let templates = Templates::of(Data::German, 0);
    let pace = Pace::new(args.rate, (args.rate * args.seconds) as u64);
    let ended = AtomicBool::new(false);
    let (acknowledged, seals) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&writer, &pace, &ended));
        let (pace, writer, templates) = (&pace, &writer, &templates);
        let send = |appender| scope.spawn(move || sender(writer, pace, templates, appender as u64 + 1));
        let senders: Vec<_> = (0..args.appenders).map(send).collect();
        let all: Vec<Acknowledged> = senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect();
        ended.store(true, Ordering::Relaxed);
        (all, watching.join().unwrap())
    });
    let settled = writer.status().settled;
    writer.close().unwrap();
    let ms = |from: Duration, to: Duration| to.saturating_sub(from).as_secs_f64() * 1e3;
    let sealed_at = |index: u64| seals.get(seals.partition_point(|(_, size)| *size <= index)).map(|(at, _)| *at);
    let sealed = acknowledged.iter().filter_map(|one| Some(ms(one.due, sealed_at(one.index)?)));
    Run {
        sealed: sorted(sealed),
        acknowledged: sorted(acknowledged.iter().map(|one| ms(one.due, one.at))),
        seals: seals.len(),
        settled,
    }
}

fn sorted(of: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut all: Vec<f64> = of.collect();
    all.sort_by(f64::total_cmp);
    all
}

/// Each checkpoint that was published: when it was first seen, and how many records it covers.
fn watch(writer: &Writer, pace: &Pace, ended: &AtomicBool) -> Vec<(Duration, u64)> {
    let mut seen = Vec::new();
    let mut last = 0;
    while !ended.load(Ordering::Relaxed) {
        let sealed = writer.snapshot().sealed();
        if sealed > last {
            last = sealed;
            seen.push((pace.now(), sealed));
        }
        std::thread::sleep(LOOK_EVERY);
    }
    seen
}

fn sender(writer: &Writer, pace: &Pace, templates: &Templates, seed: u64) -> Vec<Acknowledged> {
    let mut generator = Generator::new(templates, seed);
    let mut parser = JsonParser::new(Limits::DEFAULT);
    let mut lines = Lines::default();
    let host = Host::system();
    let mut done = Vec::new();
    while let Some(due) = pace.take() {
        let now = host.now_ns();
        lines.fill(&mut generator, 1, |_| now);
        let outcomes = writer.append(ours::parse(&mut parser, &lines), Intake::Live).unwrap();
        let [Outcome::Kept(receipt)] = &outcomes[..] else { panic!("{outcomes:?}") };
        done.push(Acknowledged { due, at: pace.now(), index: receipt.index });
    }
    done
}
