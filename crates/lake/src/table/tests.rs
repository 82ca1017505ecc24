use host::Host;
use serde_json::Value;

use super::listing::LastCheckpoint;
use super::*;
use crate::columns::ColumnType;
use crate::columns::Columns;
use crate::manifest::{FORMAT, Manifest, NO_KEY};

const A: &str = "settle-00000000000000000000-000000000000000a.parquet";
const B: &str = "settle-00000000000000000002-000000000000000b.parquet";

fn file(path: &str, first: u64, last: u64) -> Manifest {
    Manifest {
        path: path.to_owned(),
        bytes: 1234,
        format: FORMAT,
        key_id: NO_KEY.to_owned(),
        first_index: first,
        last_index: last,
        rows: last - first + 1,
        sha256: [7; 32],
        min_id: "0190a5c2-7b1e-7c3a-9d55-1f0f5a6b7c8d".to_owned(),
        max_id: "0190a5c2-7b1e-7c3a-9d55-1f0f5a6b7c8e".to_owned(),
        stats: r#"{"numRecords":2,"minValues":{"index":0,"id":"a","time":"2024-06-01T12:00:00.123456Z","model.name":"m"},"maxValues":{"index":1,"id":"b","time":"2024-06-01T12:00:00.999999Z","model.name":"n"},"nullCount":{"index":0,"model.name":0}}"#.to_owned(),
    }
}

#[test]
fn a_commit_survives_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let table = Table::at(Host::system(), folder.path()).unwrap();
    let empty = table.create_or_recover().unwrap();
    assert_eq!((empty.version, empty.watermark, empty.files.len()), (0, 0, 0));
    let mut columns = (*empty.columns).clone();
    columns.add_path("inputs.income", ColumnType::Num).unwrap();
    let change =
        Change { columns: Some(columns.clone()), files: vec![file(A, 0, 1)], watermark: 2, ..Change::default() };
    let one = table.commit(&empty, change).unwrap();
    let change = Change { files: vec![file(B, 2, 3)], watermark: 4, ..Change::default() };
    let two = table.commit(&one, change).unwrap();
    let again = Table::at(Host::system(), folder.path()).unwrap().load().unwrap();
    assert_eq!((again.version, again.watermark), (2, 4));
    assert_eq!(again.files, [file(A, 0, 1), file(B, 2, 3)]);
    assert_eq!(again.files, two.files);
    assert_eq!(again.columns.list(), columns.list());
}

#[test]
fn a_second_writer_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let table = Table::at(Host::system(), folder.path()).unwrap();
    let empty = table.create_or_recover().unwrap();
    let change = || Change { watermark: 5, ..Change::default() };
    table.commit(&empty, change()).unwrap();
    table.commit(&table.load().unwrap(), Change { watermark: 9, ..change() }).unwrap();
    let error = table.commit(&empty, change()).map(|v| v.version).unwrap_err();
    assert!(matches!(error, TableError::Overtaken { expected: 0, found: 2 }), "{error}");
}

/// The log's entries, as another engine or a later version will find them.
#[test]
fn the_log_says_this() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::builder().random_seed(1).clock(host::ManualClock::at(1_717_243_200_123_456_789)).build();
    let table = Table::at(host, folder.path()).unwrap();
    let empty = table.create_or_recover().unwrap();
    table.commit(&empty, Change { files: vec![file(A, 0, 1)], watermark: 2, ..Change::default() }).unwrap();
    for version in 0..2 {
        let entry = std::fs::read_to_string(table.log_folder().join(format!("{version:020}.json"))).unwrap();
        let mut actions: Vec<Value> = entry.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        // Its own test shows the schema; here it would hide the rest.
        if let Some(schema) = actions.iter_mut().find_map(|a| a.pointer_mut("/metaData/schemaString")) {
            *schema = "…".into();
        }
        actions.iter_mut().for_each(Value::sort_all_objects);
        insta::assert_json_snapshot!(format!("log_entry_{version}"), actions);
    }
}

#[test]
fn the_schema_of_an_empty_table_is_this() {
    let mut schema: Value = serde_json::from_str(&Columns::fixed().to_delta()).unwrap();
    schema.sort_all_objects();
    let fields = schema["fields"].as_array().unwrap().iter();
    let lines: Vec<_> = fields.map(|f| format!("{} {}", f["name"].as_str().unwrap(), f["type"])).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

/// Whatever stands in the log, reading it ends in a version or in an error.
#[test]
fn a_damaged_log_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let table = Table::at(Host::builder().random_seed(1).build(), folder.path()).unwrap();
    let empty = table.create_or_recover().unwrap();
    table.commit(&empty, Change { files: vec![file(A, 0, 1)], watermark: 2, ..Change::default() }).unwrap();
    let mut errors = 0;
    for version in 0..2 {
        let path = table.log_folder().join(format!("{version:020}.json"));
        let good = std::fs::read(&path).unwrap();
        for at in (0..good.len()).step_by(good.len() / 40 + 1) {
            let mut bad = good.clone();
            bad[at] ^= 0x15;
            table.host.replace(&path, &bad, "test", None).unwrap();
            errors += usize::from(table.load().is_err());
        }
        for cut in [0, 1, good.len() / 2, good.len() - 1] {
            table.host.replace(&path, &good[..cut], "test", None).unwrap();
            errors += usize::from(table.load().is_err());
        }
        table.host.replace(&path, &good, "test", None).unwrap();
    }
    assert!(errors > 10, "{errors}");
    assert_eq!(table.load().unwrap().watermark, 2);
}

type Forgery<'a> = (&'a str, &'a str, &'a dyn Fn(&mut Value));

/// Reads a table after `change` was made to the only action of that name: `protocol`, `metaData` or `add`.
fn read_forged(action: &str, change: &dyn Fn(&mut Value)) -> Result<Version, TableError> {
    let folder = tempfile::tempdir().unwrap();
    let table = Table::at(Host::builder().random_seed(1).build(), folder.path()).unwrap();
    let empty = table.create_or_recover().unwrap();
    table.commit(&empty, Change { files: vec![file(A, 0, 1)], watermark: 2, ..Change::default() }).unwrap();
    let mut forged = 0;
    for version in 0..2 {
        let path = table.log_folder().join(format!("{version:020}.json"));
        let mut entry = String::new();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let mut line: Value = serde_json::from_str(line).unwrap();
            if let Some(action) = line.get_mut(action) {
                change(action);
                forged += 1;
            }
            entry += &format!("{line}\n");
        }
        table.host.replace(&path, entry.as_bytes(), "test", None).unwrap();
    }
    assert_eq!(forged, 1);
    table.load()
}

fn change_schema(metadata: &mut Value, change: impl Fn(&mut Value)) {
    let mut schema: Value = serde_json::from_str(metadata["schemaString"].as_str().unwrap()).unwrap();
    change(&mut schema);
    metadata["schemaString"] = schema.to_string().into();
}

#[test]
fn a_log_that_is_only_written_anew_reads_the_same() {
    for action in ["protocol", "metaData", "add"] {
        assert_eq!(read_forged(action, &|_| ()).unwrap().files, [file(A, 0, 1)]);
    }
}

/// T26: each of these leaves the data files as they are, and makes another engine read something else.
#[test]
fn what_other_engines_go_by_is_as_we_write_it() {
    let features = |protocol: &mut Value| {
        *protocol = serde_json::json!({
            "minReaderVersion": 3, "minWriterVersion": 7,
            "readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"],
        });
    };
    let vector = |add: &mut Value| {
        add["deletionVector"] = serde_json::json!({
            "storageType": "i", "pathOrInlineDv": "wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L",
            "sizeInBytes": 40, "cardinality": 1,
        });
    };
    let mapping = |metadata: &mut Value| {
        metadata["configuration"]["delta.columnMapping.mode"] = "name".into();
        change_schema(metadata, |schema| {
            for (id, field) in (1..).zip(schema["fields"].as_array_mut().unwrap()) {
                let name = field["name"].clone();
                field["metadata"] = serde_json::json!({
                    "delta.columnMapping.id": id, "delta.columnMapping.physicalName": name,
                });
            }
        });
    };
    let field_metadata = |metadata: &mut Value| {
        change_schema(metadata, |schema| schema["fields"][3]["metadata"]["comment"] = "x".into());
    };
    let not_null =
        |metadata: &mut Value| change_schema(metadata, |schema| schema["fields"][0]["nullable"] = false.into());
    let forgeries: &[Forgery<'_>] = &[
        ("add", "partitionValues", &|add| add["partitionValues"] = serde_json::json!({"model.name": "other"})),
        ("add", "deletionVector", &vector),
        ("add", "baseRowId", &|add| add["baseRowId"] = 7.into()),
        ("add", "defaultRowCommitVersion", &|add| add["defaultRowCommitVersion"] = 7.into()),
        ("add", "clusteringProvider", &|add| add["clusteringProvider"] = "liquid".into()),
        ("add", "file:///", &|add| add["path"] = format!("file:///tmp/{A}").into()),
        ("add", "../", &|add| add["path"] = format!("../{A}").into()),
        ("add", "x.parquet", &|add| add["path"] = "x.parquet".into()),
        ("protocol", "protocol", &features),
        ("protocol", "protocol", &|protocol| protocol["minWriterVersion"] = 4.into()),
        ("metaData", "schemaString", &mapping),
        ("metaData", "schemaString", &field_metadata),
        ("metaData", "schemaString", &not_null),
        ("metaData", "configuration", &|m| m["configuration"]["delta.columnMapping.mode"] = "none".into()),
        ("metaData", "configuration", &|m| m["configuration"]["delta.enableExpiredLogCleanup"] = "true".into()),
        ("metaData", "configuration", &|m| m["configuration"] = serde_json::json!({})),
        ("metaData", "partitionColumns", &|m| m["partitionColumns"] = serde_json::json!(["model.name"])),
        ("metaData", "format", &|m| m["format"]["provider"] = "orc".into()),
    ];
    for (action, named, change) in forgeries {
        let error = read_forged(action, change).map(|version| version.files).unwrap_err().to_string();
        assert!(error.contains(named), "{action} {named}: {error}");
    }
}

mod checkpoints;
