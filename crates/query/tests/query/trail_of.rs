//! A trail with records in it, and questions to it.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array as _, ArrayRef};
use arrow_schema::DataType;
use host::Host;
use query::{Engine, Limits, Policy, QueryError, View};
use record::JsonParser;
use serde_json::{Value, json};
use trail::{Folder, Intake, KeyFolder, Options, Outcome, Protection, Reader, Source, Writer, init_protected};

pub struct Trail {
    pub temp: tempfile::TempDir,
    pub host: Host,
    pub folder: Folder,
    pub keys: KeyFolder,
    pub engine: Engine,
}

impl Trail {
    pub fn new() -> Trail {
        Trail::with(Limits { threads: 2, ..Limits::default() })
    }

    pub fn with(limits: Limits) -> Trail {
        Trail::made(limits, std::env::var_os("ONRECORD_TEST_ENCRYPTED").is_some())
    }

    pub fn made(limits: Limits, encrypted: bool) -> Trail {
        let source = Source::default();
        let protection = match encrypted {
            false => Protection::Open { master: None },
            true => Protection::Encrypted { master: &source },
        };
        let temp = tempfile::tempdir().unwrap();
        let keys = KeyFolder(temp.path().join("keys"));
        let folder = Folder::new(temp.path().join("trail")).with_keys(&keys);
        let host = Host::system();
        init_protected(&host, &folder, Some("example.com/query"), &keys, protection).unwrap();
        let engine = Engine::new(&host, limits).unwrap();
        Trail { temp, host, folder, keys, engine }
    }

    pub fn open(&self) -> Writer {
        // Nothing happens but what a test does.
        let settle_every = std::time::Duration::from_secs(1_000_000);
        let options =
            Options { compact: false, scrub: None, settle_every, settle_bytes: u64::MAX, ..Options::default() };
        Writer::open(&self.host, &self.folder, &self.keys, options).unwrap()
    }

    /// A trail with some records settled, and some in the journal.
    pub fn holding(settled: &[Value], hot: &[Value]) -> Trail {
        let trail = Trail::new();
        let writer = trail.open();
        append(&writer, settled);
        writer.wait_sealed().unwrap();
        if !settled.is_empty() {
            writer.settle().unwrap();
        }
        append(&writer, hot);
        writer.wait_sealed().unwrap();
        match hot {
            [] => writer.close().unwrap(),
            // It would settle what is hot.
            _ => std::mem::forget(writer),
        }
        trail
    }

    pub fn view(&self) -> View {
        self.view_under(Policy::default())
    }

    pub fn view_under(&self, policy: Policy) -> View {
        let snapshot = Reader::new(&self.host, &self.folder).snapshot().unwrap();
        self.engine.view(snapshot, policy).unwrap()
    }

    pub fn rows(&self, sql: &str) -> Vec<Value> {
        rows(&self.view(), sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub fn error(&self, sql: &str) -> String {
        match rows(&self.view(), sql) {
            Err(error) => error.to_string(),
            Ok(rows) => panic!("{sql} is answered with {rows:?}"),
        }
    }
}

pub fn append(writer: &Writer, records: &[Value]) -> Vec<u64> {
    let mut parser = JsonParser::new(record::Limits::DEFAULT);
    let records = records.iter().map(|json| parser.parse(json.to_string().as_bytes()).unwrap()).collect::<Vec<_>>();
    if records.is_empty() {
        return Vec::new();
    }
    let kept = |outcome: &Outcome| match outcome {
        Outcome::Kept(receipt) => receipt.index,
        Outcome::Refused(refusal) => panic!("{refusal}"),
    };
    writer.append(records, Intake::Import).unwrap().iter().map(kept).collect()
}

pub fn id(n: u64) -> String {
    format!("0190a5c2-7b1e-7c3a-9d55-{n:012x}")
}

/// A decision of `credit`, a second after the one before.
pub fn decision(n: u64, inputs: Value) -> Value {
    let (minute, second) = (n / 60 % 60, n % 60);
    json!({
        "id": id(n), "kind": "decision", "time": format!("2026-11-01T12:{minute:02}:{second:02}Z"),
        "model": {"name": "credit", "version": format!("1.{}", n % 3)}, "inputs": inputs, "output": {"score": 0.5},
        "subject": {"id": format!("customer-{n}"), "case": format!("case-{}", n / 2)},
        "trace": {"trace_id": format!("{:032x}", n + 1)},
    })
}

pub fn rows(view: &View, sql: &str) -> Result<Vec<Value>, QueryError> {
    let mut rows = Vec::new();
    for batch in view.sql(sql)? {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            rows.push(Value::Array(batch.columns().iter().map(|column| value(column, row)).collect()));
        }
    }
    Ok(rows)
}

fn value(column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).into(),
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::List(_) => {
            let items: ArrayRef = Arc::clone(&column.as_list::<i32>().value(row));
            (0..items.len()).map(|at| value(&items, at)).collect()
        }
        _ => arrow::util::display::array_value_to_string(column, row).unwrap().into(),
    }
}
