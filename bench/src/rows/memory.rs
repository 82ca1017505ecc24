//! Memory of a writer that takes records at a steady rate: what it has after so many, and what each million adds.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use host::Host;
use record::{JsonParser, Limits};
use serde_json::{Value, json};
use trail::{Intake, Options, Writer};

use crate::args::{Data, Memory};
use crate::child::{arg, call};
use crate::data::{Generator, Lines, Templates};
use crate::figures::{Figures, Goal};
use crate::machine::memory_mib;
use crate::ours::{self, Place};
use crate::pace::Pace;

/// Records that are sent together.
const BATCH: usize = 200;

pub fn run(args: &Memory) {
    let settings = json!({ "records": args.records, "records a second": args.rate });
    let mut figures = Figures::new("memory", "MiB", settings);
    let folder = tempfile::tempdir_in(&args.folder).unwrap();
    let said = call(false, &["take", arg(folder.path()), &args.records.to_string(), &args.rate.to_string()]);
    let samples: Vec<(f64, f64)> = serde_json::from_value(said["samples"].clone()).unwrap();
    for millions in [1.0, 10.0] {
        if args.records as f64 >= millions * 1e6 {
            figures.round(&format!("after {millions} M records, at most"), most_about(&samples, millions));
        }
    }
    figures.round("peak", said["peak_mib"].as_f64().unwrap());
    figures.round("each million records adds", slope(&samples));
    figures.goal("each million records adds", Goal::AtMost(1.0));
    figures.goal("peak", Goal::AtMost(512.0));
    figures.note("records taken a second", said["rate"].clone());
    figures.note("files", said["files"].clone());
    figures.note("samples: million records, MiB", json!(thinned(&samples)));
    figures.finish();
}

/// The most that was seen within half a million records: a settle takes memory and gives it back.
fn most_about(samples: &[(f64, f64)], millions: f64) -> f64 {
    let near = samples.iter().filter(|(at, _)| (at - millions).abs() <= 0.5);
    near.map(|(_, mib)| *mib).fold(0.0, f64::max)
}

/// The line of least squares through what was seen, without the first tenth, in which caches fill.
fn slope(samples: &[(f64, f64)]) -> f64 {
    let all = &samples[samples.len() / 10..];
    let n = all.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| all.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|sample| sample.0), mean(|sample| sample.1));
    let over: f64 = all.iter().map(|sample| (sample.0 - x) * (sample.1 - y)).sum();
    over / all.iter().map(|sample| (sample.0 - x).powi(2)).sum::<f64>()
}

/// Forty of them.
fn thinned(samples: &[(f64, f64)]) -> Vec<(f64, f64)> {
    samples.iter().step_by(samples.len().div_ceil(40).max(1)).map(|(at, mib)| (round(*at), round(*mib))).collect()
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Child: takes the records and watches its memory.
pub fn take(path: &Path, records: u64, rate: f64) -> Value {
    let writer = Place::make(path).open(Options::default());
    let templates = Templates::of(Data::German, 0);
    let batch = BATCH as u64;
    let pace = Pace::new(rate / batch as f64, records / batch);
    let ended = AtomicBool::new(false);
    let samples = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&writer, &ended));
        send(&writer, &pace, &templates);
        ended.store(true, Ordering::Relaxed);
        watching.join().unwrap()
    });
    let taken = records as f64 / pace.now().as_secs_f64();
    let files = writer.snapshot().lake().files().len();
    let peak = memory_mib("VmHWM:").round();
    writer.close().unwrap();
    json!({ "samples": samples, "rate": taken.round(), "files": files, "peak_mib": peak })
}

fn send(writer: &Writer, pace: &Pace, templates: &Templates) {
    let mut generator = Generator::new(templates, 1);
    let mut parser = JsonParser::new(Limits::DEFAULT);
    let mut lines = Lines::default();
    let host = Host::system();
    while pace.take().is_some() {
        let now = host.now_ns();
        lines.fill(&mut generator, BATCH, |_| now);
        ours::append(writer, &mut parser, &lines, Intake::Import);
    }
}

/// Ten times a second: millions of records, MiB of memory.
fn watch(writer: &Writer, ended: &AtomicBool) -> Vec<(f64, f64)> {
    let mut samples = Vec::new();
    while !ended.load(Ordering::Relaxed) {
        samples.push((writer.status().records as f64 / 1e6, memory_mib("VmRSS:")));
        std::thread::sleep(Duration::from_millis(100));
    }
    samples
}
