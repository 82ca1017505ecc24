//! How many records a core takes from JSON to digest. Prints figures; never fails.
//!
//! `cargo bench -p record -- [part of a name] [count]`
#![allow(missing_docs, clippy::disallowed_methods, clippy::unwrap_used, reason = "a benchmark measures time")]

use std::hint::black_box;
use std::time::Instant;

use record::{Body, JsonParser, Limits, Salt, Stamp, Stored, content, record_digest};

fn sample() -> Vec<u8> {
    let mut inputs = String::new();
    let mut values = String::new();
    for i in 0..13 {
        let value = match i % 4 {
            0 => format!("{}", 1000 + i * 37),
            1 => format!("{}.{:02}", i * 13, i),
            2 => format!("\"category {i}\""),
            _ => "null".to_owned(),
        };
        inputs.push_str(&format!("{}\"feature_{i:02}\":{value}", if i > 0 { "," } else { "" }));
        values.push_str(&format!(
            "{}\"feature_{i:02}\":-0.{:016}",
            if i > 0 { "," } else { "" },
            1234567890123457u64 * (i + 1) % 10u64.pow(16)
        ));
    }
    format!(
        "{{\"id\":\"0190a5c2-7b1e-7c3a-9d55-1f0f5a6b7c8d\",\"kind\":\"decision\",\"time\":\"2024-06-01T12:00:00.123456789Z\",\
         \"clock\":{{\"max_error_ns\":180000,\"source\":\"kernel\",\"synced\":true}},\
         \"producer\":{{\"name\":\"credit-api\",\"instance\":\"018e0000-0000-7000-8000-000000000001\",\"seq\":1042}},\
         \"trace\":{{\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"span_id\":\"00f067aa0ba902b7\"}},\
         \"model\":{{\"name\":\"credit-risk\",\"version\":\"1.2.0\"}},\"result\":{{\"class\":\"deny\",\"adverse\":true}},\
         \"subject\":{{\"id\":\"customer-991\",\"case\":\"application-88123\"}},\
         \"inputs\":{{{inputs}}},\"parameters\":{{\"threshold\":0.5}},\"output\":{{\"score\":0.37,\"decision\":\"deny\"}},\
         \"explanation\":{{\"method\":\"shap.tree\",\"base\":-0.31,\"values\":{{{values}}}}},\
         \"context\":{{\"environment\":\"production\",\"git_commit\":\"9f1c2ab\",\"request_id\":\"req-77\"}}}}"
    )
    .into_bytes()
}

/// Which measurements to take (a part of their names), and how often to do the work of each exactly, for counting
/// instructions under callgrind: the difference between two counts is free of the start-up.
struct Plan {
    only: String,
    exactly: Option<u32>,
}

impl Plan {
    /// `[part of a name] [count]`; what cargo adds (`--bench`) is passed over.
    fn from_args() -> Plan {
        let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
        Plan { only: args.first().cloned().unwrap_or_default(), exactly: args.get(1).and_then(|n| n.parse().ok()) }
    }

    /// Best of many runs, each shorter than a slice of the scheduler: on a shared machine the fastest run is the
    /// undisturbed one.
    fn rate(&self, name: &str, mut work: impl FnMut()) {
        const RUN: u32 = 100;
        if !name.contains(&self.only) {
            return;
        }
        if let Some(count) = self.exactly {
            (0..count).for_each(|_| work());
            return;
        }
        let mut best = f64::INFINITY;
        for _ in 0..4_000 {
            let start = Instant::now();
            (0..RUN).for_each(|_| work());
            best = best.min(start.elapsed().as_secs_f64());
        }
        println!("{name:42} {:>10.0} records/s a core  {:.2} us", f64::from(RUN) / best, best * 1e6 / f64::from(RUN));
    }
}

fn main() {
    let plan = Plan::from_args();
    let json = sample();
    println!("JSON {} bytes", json.len());
    plan.rate("serde_json::Value (for comparison)", || {
        black_box(serde_json::from_slice::<serde_json::Value>(black_box(&json)).unwrap());
    });
    let mut parser = JsonParser::new(Limits::DEFAULT);
    plan.rate("JSON to parts", || {
        black_box(parser.parse(black_box(&json)).unwrap());
    });
    let record = parser.parse(&json).unwrap();
    println!("canonical {} bytes", record.parts.total_bytes());
    let salt = Salt([7; 16]);
    plan.rate("parts to content", || {
        black_box(content(&salt, black_box(&record.parts)));
    });
    let stamp = Stamp {
        kind: record.kind,
        received: 1_717_243_200_123_456_789,
        id: record.id.unwrap(),
        id_by_server: false,
        time_by_server: false,
        salt_by_server: true,
        about_digest: None,
    };
    plan.rate("JSON to digest", || {
        let record = parser.parse(black_box(&json)).unwrap();
        black_box(record_digest(&content(&salt, &record.parts), &stamp.to_canonical()));
    });
    let stored = Stored { stamp, body: Body::Whole { salt, parts: record.parts } };
    let mut bytes = Vec::new();
    plan.rate("write Stored", || {
        bytes.clear();
        black_box(&stored).write(&mut bytes);
    });
    bytes.clear();
    stored.write(&mut bytes);
    plan.rate("read Stored", || {
        black_box(Stored::read(black_box(&bytes)).unwrap());
    });
}
