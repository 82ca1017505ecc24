//! Bytes a decision at rest, everything counted: rows, ids, salts, digests, indexes, log.

use std::path::Path;
use std::process::Command;

use host::Host;
use record::{JsonParser, Limits};
use serde_json::{Value, json};
use trail::{Intake, Options};

use crate::args::{Bytes, Data};
use crate::data::{Generator, Lines, START_NS, STEP_NS, Templates};
use crate::figures::{Figures, Goal};
use crate::ours::{self, Place};
use crate::postgres;

pub fn run(args: &Bytes) {
    for data in [Data::German, Data::Applicants, Data::MadeUp] {
        one(args, data);
    }
}

fn one(args: &Bytes, data: Data) {
    let mut figures = Figures::new(format!("bytes-{}", data.name()), "B a record", json!({ "records": args.records }));
    let batches = batches(data, args.records);
    let text: Vec<u8> = batches.iter().flat_map(|lines| lines.bytes.iter().copied()).collect();
    let each = |bytes: u64| bytes as f64 / args.records as f64;
    let folder = tempfile::tempdir_in(&args.folder).unwrap();

    figures.round("raw JSON lines", each(text.len() as u64));
    figures.round("JSON lines, zstd -3", each(zstd::bulk::compress(&text, 3).unwrap().len() as u64));
    let cluster = postgres::Cluster::start(folder.path());
    let in_postgres = in_postgres(&cluster, &batches, &mut figures);
    figures.round("PostgreSQL", each(in_postgres));
    drop(cluster);
    match &args.python {
        Some(python) => {
            let (bytes, note) = in_clickhouse(python, folder.path(), &text);
            figures.round("ClickHouse JSON type", each(bytes));
            figures.note("ClickHouse", note);
        }
        None => figures.note("ClickHouse", "left out: ONRECORD_BENCH_PYTHON names no Python that has chdb"),
    }
    let in_trail = in_trail(folder.path(), &batches, &mut figures, args.records);
    figures.round("OnRecord", each(in_trail));
    figures.ratio("OnRecord", "JSON lines, zstd -3", Some(Goal::AtMost(0.6)));
    figures.ratio("OnRecord", "raw JSON lines", Some(Goal::AtMost(1.0 / 6.0)));
    figures.ratio("OnRecord", "PostgreSQL", None);
    figures.ratio("OnRecord", "ClickHouse JSON type", None);
    figures.finish();
}

fn batches(data: Data, records: u64) -> Vec<Lines> {
    // As many made-up values as there are records: a shorter set would repeat itself and be packed too well.
    let templates = Templates::of(data, records as usize);
    let mut generator = Generator::new(&templates, 1);
    let batch = |first: u64| {
        let mut lines = Lines::default();
        let count = (records - first).min(1_000) as usize;
        lines.fill(&mut generator, count, |n| START_NS + (first as i64 + n as i64) * STEP_NS);
        lines
    };
    (0..records).step_by(1_000).map(batch).collect()
}

fn in_postgres(cluster: &postgres::Cluster, batches: &[Lines], figures: &mut Figures) -> u64 {
    cluster.fresh_table();
    let mut sender = postgres::Sender::new(cluster.client(), 1_000);
    batches.iter().for_each(|lines| sender.send(lines));
    let bytes = cluster.bytes();
    let total = bytes["total"].as_u64().unwrap();
    figures.note(format!("PostgreSQL {}, bytes", cluster.version()), bytes);
    total
}

fn in_clickhouse(python: &Path, folder: &Path, text: &[u8]) -> (u64, Value) {
    let file = folder.join("records.ndjson");
    Host::system().put_new(&file, text, "bench").unwrap();
    let script = include_str!("../../clickhouse_bytes.py");
    let out = Command::new(python).args(["-c", script]).arg(&file).arg(folder.join("clickhouse")).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let said: Value = serde_json::from_slice(&out.stdout).unwrap();
    (said["bytes"].as_u64().unwrap(), said)
}

fn in_trail(folder: &Path, batches: &[Lines], figures: &mut Figures, records: u64) -> u64 {
    let place = Place::make(folder);
    let writer = place.open(Options::default());
    let mut parser = JsonParser::new(Limits::DEFAULT);
    batches.iter().for_each(|lines| ours::append(&writer, &mut parser, lines, Intake::Import));
    writer.settle().unwrap();
    let files = writer.snapshot().lake().files().len();
    writer.close().unwrap();
    let sizes = place.sizes();
    for (what, bytes) in &sizes {
        let each = (*bytes as f64 / records as f64 * 100.0).round() / 100.0;
        figures.note(format!("OnRecord: {what}, B a record"), each);
    }
    figures.note("OnRecord: files", files);
    sizes.iter().map(|(_, bytes)| bytes).sum()
}
