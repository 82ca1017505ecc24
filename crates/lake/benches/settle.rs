//! Bytes a record and records a second, from records to Parquet and back. Prints figures; never fails.
//!
//! `cargo bench -p lake --bench settle -- [records.ndjson]`: the lines of a file, or made-up decisions of 20 features
//! and 20 SHAP values.
#![allow(missing_docs, clippy::disallowed_methods, clippy::unwrap_used, reason = "a benchmark measures time")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use host::Host;
use lake::{Lake, Snapshot, plan_settle};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use record::{Body, JsonParser, Limits, Salt, Stamp, Stored};

fn made_up(records: usize) -> Vec<Vec<u8>> {
    let mut state = 42u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let line = |i: usize| {
        let (mut inputs, mut values) = (String::new(), String::new());
        for feature in 0..20 {
            let value = match feature % 4 {
                0 => format!("{}", (next() * 1000.0) as i64),
                1 => format!("{:.2}", next() * 50_000.0),
                2 => format!("\"category {}\"", (next() * 12.0) as i64),
                _ => format!("{}", next() > 0.5),
            };
            let comma = if feature > 0 { "," } else { "" };
            inputs.push_str(&format!("{comma}\"feature_{feature:02}\":{value}"));
            values.push_str(&format!("{comma}\"feature_{feature:02}\":{}", f64::from((next() - 0.5) as f32)));
        }
        let ms = 1_717_243_200_000u64 + i as u64 * 3;
        format!(
            "{{\"id\":\"{:08x}-{:04x}-7{:03x}-8{:03x}-{:012x}\",\"kind\":\"decision\",\"time\":{},\
             \"producer\":{{\"name\":\"credit-api\",\"instance\":\"018e0000-0000-7000-8000-000000000001\",\"seq\":{}}},\
             \"trace\":{{\"trace_id\":\"{:016x}{:016x}\"}},\
             \"model\":{{\"name\":\"credit-risk\",\"version\":\"1.2.0\"}},\"result\":{{\"class\":\"deny\",\"adverse\":true}},\
             \"subject\":{{\"id\":\"customer-{}\",\"case\":\"application-{i}\"}},\
             \"inputs\":{{{inputs}}},\"parameters\":{{\"threshold\":0.5}},\
             \"output\":{{\"score\":{},\"decision\":\"deny\"}},\
             \"explanation\":{{\"method\":\"shap.tree\",\"base\":-0.31,\"values\":{{{values}}}}},\
             \"context\":{{\"environment\":\"production\",\"git_commit\":\"9f1c2ab\"}}}}",
            ms >> 16,
            ms & 0xffff,
            (next() * 4096.0) as u32,
            (next() * 4096.0) as u32,
            (next() * 281_474_976_710_655.0) as u64,
            ms * 1_000_000 + (next() * 1e6) as u64,
            i + 1,
            (next() * 1.8e19) as u64,
            (next() * 1.8e19) as u64,
            (next() * 100_000.0) as u32,
            next(),
        )
        .into_bytes()
    };
    (0..records).map(line).collect()
}

/// `records` decisions, each input with its attribution from some line of a file, each record with an id, time, trace
/// and subject of its own.
fn resampled(lines: &[Vec<u8>], records: usize) -> Vec<Vec<u8>> {
    let host = Host::builder().random_seed(7).build();
    let random = || u64::from_be_bytes(host.random());
    let real = lines.iter().map(|line| serde_json::from_slice::<serde_json::Value>(line).unwrap());
    let real: Vec<_> = real.filter(|r| r["inputs"].is_object() && r["explanation"]["values"].is_object()).collect();
    let pick = || &real[random() as usize % real.len()];
    let mut time_ns = 1_770_000_000_000_000_000u64;
    let line = |i: usize| {
        let mut record = pick().clone();
        let keys: Vec<String> = record["inputs"].as_object().unwrap().keys().cloned().collect();
        for key in &keys {
            let from = pick();
            record["inputs"][key] = from["inputs"][key].clone();
            record["explanation"]["values"][key] = from["explanation"]["values"][key].clone();
        }
        time_ns += random() % 200_000_000;
        let (a, b) = (random() & 0x0fff_3fff_ffff_ffff, random());
        let ms = time_ns / 1_000_000;
        record["id"] = format!(
            "{:08x}-{:04x}-7{:03x}-{:04x}-{:012x}",
            ms >> 16,
            ms & 0xffff,
            a >> 48,
            0x8000 | (a >> 32 & 0x3fff),
            b >> 16
        )
        .into();
        record["time"] = time_ns.into();
        record["producer"]["seq"] = (i + 1).into();
        record["trace"]["trace_id"] = format!("{:016x}{:016x}", random() | 1, random()).into();
        record["trace"]["span_id"] = format!("{:016x}", random() | 1).into();
        record["subject"]["id"] = format!("applicant-{:06}", random() % 1_000_000).into();
        record["subject"]["case"] = format!("loan-2026-{i:06}").into();
        for value in ["probability_of_default", "margin"] {
            record["output"][value] = pick()["output"][value].clone();
        }
        record.to_string().into_bytes()
    };
    (0..records).map(line).collect()
}

fn stored(lines: &[Vec<u8>]) -> Vec<(u64, Stored)> {
    let mut parser = JsonParser::new(Limits::DEFAULT);
    let host = Host::builder().random_seed(1).build();
    let one = |(index, line): (u64, &Vec<u8>)| {
        let record = parser.parse(line).unwrap();
        let stamp = Stamp {
            kind: record.kind,
            received: record.time_ns.unwrap_or(0) + 1_500_000 + i64::from(host.random::<1>()[0]) * 1000,
            id: record.id.unwrap(),
            id_by_server: false,
            time_by_server: record.time_ns.is_none(),
            salt_by_server: true,
            about_digest: None,
        };
        (index, Stored { stamp, body: Body::Whole { salt: Salt(host.random()), parts: record.parts } })
    };
    (0..).zip(lines).map(one).collect()
}

fn timed<T>(what: &str, records: usize, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    let seconds = start.elapsed().as_secs_f64();
    println!("{what:44} {:>10.0} records/s  {:>8.1} ms", records as f64 / seconds, seconds * 1e3);
    done
}

/// Bytes a record of each column, and of all that is not column data.
fn columns(snapshot: &Snapshot, records: usize) {
    let mut columns: BTreeMap<String, (i64, i64, BTreeSet<String>)> = BTreeMap::new();
    let mut file_bytes = 0;
    for manifest in snapshot.files() {
        file_bytes += i64::try_from(manifest.bytes).unwrap();
        let file = std::fs::File::open(snapshot.path(manifest)).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        for group in reader.metadata().row_groups() {
            for column in group.columns() {
                let (bytes, bloom, encodings) = columns.entry(column.column_path().string()).or_default();
                *bytes += column.compressed_size();
                *bloom += i64::from(column.bloom_filter_length().unwrap_or(0));
                encodings.extend(column.encodings().map(|e| e.to_string()));
            }
        }
    }
    let each = |bytes: i64| bytes as f64 / records as f64;
    let mut largest: Vec<_> = columns.iter().collect();
    largest.sort_by_key(|(_, (bytes, ..))| -bytes);
    for (name, (bytes, _, encodings)) in largest.iter().take(40) {
        println!("  {name:40} {:>7.2} B  {}", each(*bytes), encodings.iter().cloned().collect::<Vec<_>>().join(" "));
    }
    let (data, bloom) = columns.values().fold((0, 0), |(a, b), (bytes, bloom, _)| (a + bytes, b + bloom));
    let footer = each(file_bytes - data - bloom);
    println!("  columns {:.1} B, Bloom filters {:.1} B, footer and page index {footer:.1} B", each(data), each(bloom));
}

fn main() {
    let file = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let lines = match &file {
        Some(path) => {
            std::fs::read(path).unwrap().split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(<[u8]>::to_vec).collect()
        }
        None => made_up(100_000),
    };
    // RESAMPLE=100000 makes so many of them; JSON=<file> keeps the lines, to be compressed for comparison.
    let resample = std::env::var("RESAMPLE").ok().and_then(|n| n.parse().ok());
    let lines = resample.map_or(lines.clone(), |records| resampled(&lines, records));
    if let Some(path) = std::env::var_os("JSON") {
        std::fs::write(path, lines.join(&b'\n')).unwrap();
    }
    let records = stored(&lines);
    let json: usize = lines.iter().map(|l| l.len() + 1).sum();
    let canonical: usize = records.iter().map(|(_, r)| r.parts().unwrap().total_bytes()).sum();
    let n = records.len();
    let digests: Vec<_> = timed("digests alone", n, || records.iter().map(|(_, r)| r.digest()).collect());
    let folder = tempfile::tempdir().unwrap();
    // KEEP=<an empty folder> leaves the table there, to look at with other tools.
    let path = std::env::var_os("KEEP").map_or(folder.path().to_owned(), std::path::PathBuf::from);
    let mut lake = Lake::create(Host::system(), &path).unwrap();
    let plan = timed("plan", n, || plan_settle(lake.snapshot(), &records).unwrap());
    timed("settle (write, fsync, read back, commit)", n, || {
        lake.settle(&plan, &|index| digests.get(index as usize).copied()).unwrap();
    });
    let snapshot = Snapshot::open(Host::system(), &path).unwrap();
    let rebuild = || {
        let rows = snapshot.files().iter().flat_map(|file| snapshot.rows(file).unwrap());
        rows.map(|placed| placed.unwrap().stored).filter(|s| s.parts().is_some()).count()
    };
    timed("rebuild every record", n, rebuild);
    timed("rebuild and hash every record", n, || {
        let rows = snapshot.files().iter().flat_map(|file| snapshot.rows(file).unwrap());
        rows.map(|placed| placed.unwrap()).filter(|p| p.stored.digest() == digests[p.index as usize]).count()
    });
    timed("find 100 by id, one by one", 100, || {
        (0..100).filter(|i| snapshot.find_id(records[i * n / 100].1.stamp.id).unwrap().is_some()).count()
    });
    timed("find 100 by index, one by one", 100, || {
        (0..100).filter(|i| snapshot.find((i * n / 100) as u64).unwrap().is_some()).count()
    });
    let ids: Vec<_> = records.iter().step_by(n.div_ceil(1000)).map(|(_, r)| r.stamp.id).collect();
    timed("find 1000 by id in one batch", ids.len(), || snapshot.find_ids(&ids).unwrap().iter().flatten().count());
    let parquet: u64 = snapshot.files().iter().map(|f| f.bytes).sum();
    let each = |bytes: u64| bytes as f64 / n as f64;
    println!("{n} records, {} files, {} columns", snapshot.files().len(), snapshot.columns().list().len());
    println!(
        "JSON {:.1} B, canonical {:.1} B, Parquet {:.1} B a record",
        each(json as u64),
        each(canonical as u64),
        each(parquet)
    );
    columns(&snapshot, n);
    // CHECKS=<how often>, to profile it.
    let checks = std::env::var("CHECKS").ok().and_then(|n| n.parse().ok()).unwrap_or(5);
    for _ in 0..checks {
        timed("check every file", n, || {
            for file in snapshot.files() {
                snapshot.check(file, &mut |index, _| digests.get(index as usize).copied()).unwrap();
            }
        });
    }
}
