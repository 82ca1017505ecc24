//! T1-T4, T26: whatever is changed in a trail's folder is found, and where, or it carries nothing.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use host::{Fault, FaultTable, Host};
use record::Part;
use trail::{Against, Finding, Intake, Report, Severity, Verdict, VerifyError, verify};

use crate::support::*;

/// A trail with two settles, late facts, tombstones, and a journal whose first records are sealed.
///
/// Records 0 to 39 and 40 to 79 are in the lake, 12 erased whole and 13 in part; 80 to 99 are in the journal, sealed.
fn trail() -> (Fixture, Vec<u8>) {
    let fixture = Fixture::new();
    let writer = fixture.open();
    let declared = [(38, 12, Part::ALL.as_slice()), (39, 15, &[Part::Subject, Part::Inputs])];
    let declared = declared.map(|(n, index, parts)| parse(&erasure_json(n, index, parts)));
    writer.append(records(0..38).into_iter().chain(declared).collect(), Intake::Import).unwrap();
    writer.wait_sealed().unwrap();
    writer.close().unwrap();
    settle_with_tombstones(&fixture);
    let writer = fixture.open();
    assert_eq!((writer.recovered().records, writer.recovered().from_journal), (40, 0));
    let wider: Vec<_> = (40..80).map(|n| parse(&json_with(n, "region"))).collect();
    writer.append(wider, Intake::Import).unwrap();
    writer.settle().unwrap();
    writer.append(records(80..100), Intake::Import).unwrap();
    writer.close().unwrap();
    let pin = fixture.pin();
    let report = fixture.check(std::slice::from_ref(&pin));
    assert_eq!((report.verdict, report.size, report.erased), (Verdict::Valid, 100, 2), "{report:#?}");
    assert_eq!((report.lake_records, report.journal_records), (80, 20));
    (fixture, pin)
}

/// The record that declares what [`settle_with_tombstones`] takes.
fn erasure_json(n: u64, index: u64, parts: &[Part]) -> String {
    let parts: Vec<&str> = parts.iter().map(|part| part.name()).collect();
    let context = format!(r#"{{"format":1,"indices":[{index}],"parts":{parts:?},"basis":"GDPR 17","by":"dpo"}}"#);
    format!(r#"{{"id":"{}","kind":"erasure","context":{context}}}"#, id(n))
}

/// What an erasure leaves behind: the lake holds tombstones whose digests are those that were sealed.
fn settle_with_tombstones(fixture: &Fixture) {
    let reader = trail::Reader::new(&Host::system(), &fixture.folder).snapshot().unwrap();
    let mut stored: Vec<(u64, record::Stored)> = reader.hot().map(|hot| (hot.index, hot.stored.clone())).collect();
    let digests: Vec<record::Digest> = reader.hot().map(|hot| hot.digest).collect();
    stored[12].1 = stored[12].1.without(&Part::ALL);
    stored[15].1 = stored[15].1.without(&[Part::Subject, Part::Inputs]);
    let mut lake = lake::Lake::open(Host::system(), fixture.folder.lake()).unwrap();
    let plan = lake::plan_settle(lake.snapshot(), &stored).unwrap();
    lake.settle(&plan, &|index| digests.get(index as usize).copied()).unwrap();
}

/// The full check of a trail under attack: a report, or a refusal to check at all, but never a panic.
fn attack(fixture: &Fixture, pins: &[Vec<u8>]) -> Result<Report, VerifyError> {
    let pins = pins.iter().enumerate().map(|(n, pin)| (format!("pin {n}"), pin.clone())).collect();
    let against = Against { pins, policy: None };
    let check = || verify(&Host::system(), &fixture.folder, &against, &mut |_| {});
    catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|_| panic!("the check panicked"))
}

// ---- single bytes --------------------------------------------------------------------------------------------------

/// The bytes that carry nothing: what may change unnoticed, and why that is no loss. `docs/formats.md` has the same
/// list. The rest of every file is noticed.
const CARRIES_NOTHING: &[(&str, &str, &str)] = &[
    ("lock", "all of it", "who holds the lock, for a message"),
    ("trail.json", "created", "when the trail was made, shown and never relied on"),
    ("journal/*", "behind the last whole frame", "reserved space, and what a crash left of records never acknowledged"),
    ("lake/_delta_log/*", "commitInfo", "who committed when, for people"),
    ("lake/_delta_log/*", "protocol", "what a reader must know at least; another number is refused or asks for less"),
    ("lake/_delta_log/*", "schemaString: what is not a column's name or type", "Delta's own words about the schema"),
    (
        "lake/_delta_log/*",
        "metaData but for schemaString",
        "the table's id, description and settings, which no reader follows",
    ),
    ("lake/_delta_log/*", "superseded metaData, txn", "a later version of the table says it again"),
    ("lake/_delta_log/*", "txn: lastUpdated", "when it was committed"),
    (
        "lake/_delta_log/*",
        "add: what is not path, size, stats or tags",
        "times for clean-up, and fields of Delta that are not used",
    ),
];

/// Whether the byte is on the list.
fn carries_nothing(file: &Path, bytes: &[u8], offset: usize, newest: &Path) -> bool {
    let name = file.to_str().unwrap();
    if name == "lock" {
        return true;
    }
    if name == "trail.json" {
        return value_of(bytes, "created").contains(&offset);
    }
    if name.starts_with("journal/") {
        return offset >= end_of_frames(bytes);
    }
    if !name.starts_with("lake/_delta_log/") {
        return false;
    }
    let start = bytes[..offset].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let end = bytes[start..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| start + at);
    let (line, at) = (&bytes[start..end], offset - start);
    let is = |action: &str| line.starts_with(format!("{{\"{action}\"").as_bytes());
    // The braces and the names around are JSON, and may become another name that no one asks for.
    is("commitInfo")
        || is("protocol")
        || (is("metaData") && (file != newest || !value_of(line, "schemaString").contains(&at)))
        || (is("txn")
            && (file != newest || value_of(line, "lastUpdated").contains(&at) || in_name(line, "lastUpdated", at)))
        || (is("add") && !["path", "size", "stats", "tags"].iter().any(|field| value_of(line, field).contains(&at)))
}

/// The table's columns, as everyone reads them.
fn columns_of(fixture: &Fixture) -> Vec<lake::Column> {
    lake::Snapshot::open(Host::system(), fixture.folder.lake()).unwrap().columns().list().to_vec()
}

/// Where the value of a field stands in JSON text.
fn value_of(json: &[u8], field: &str) -> std::ops::Range<usize> {
    let text = std::str::from_utf8(json).unwrap();
    let Some(name) = text.find(&format!("\"{field}\"")) else { return 0..0 };
    let start = name + field.len() + 3;
    if text[start..].starts_with('{') {
        return start..start + text[start..].find('}').unwrap() + 1;
    }
    let quoted = text[start..].starts_with('"');
    let length = if quoted {
        let mut escaped = false;
        let body = text[start..].find('"').unwrap() + 1;
        let close = text[start + body..].find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        body + close.unwrap() + 1
    } else {
        text[start..].find([',', '}']).unwrap()
    };
    start..start + length
}

fn in_name(json: &[u8], field: &str, at: usize) -> bool {
    let name = std::str::from_utf8(json).unwrap().find(&format!("\"{field}\""));
    name.is_some_and(|start| (start..start + field.len() + 2).contains(&at))
}

/// Where the whole frames of a segment end, by their lengths.
fn end_of_frames(bytes: &[u8]) -> usize {
    frames(bytes).last().map_or(64, |frame| frame.end)
}

fn frames(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut frames = Vec::new();
    let mut at = 64;
    while let Some(header) = bytes.get(at..at + 32) {
        let len = u32::from_le_bytes(header[..4].try_into().unwrap()) as usize;
        if len == 0 {
            break;
        }
        let end = at + 32 + len.next_multiple_of(8);
        frames.push(at..end);
        at = end;
    }
    frames
}

/// T1: a changed byte anywhere makes the trail anything but VALID, or is on the list above; and nothing panics. In the
/// long run every byte of the small files and every third of the others; else some thirty of each.
#[test]
fn a_changed_byte_is_noticed_or_carries_nothing() {
    assert!(CARRIES_NOTHING.iter().all(|(file, what, why)| !file.is_empty() && !what.is_empty() && !why.is_empty()));
    let (fixture, pin) = trail();
    let newest = Path::new("lake/_delta_log/00000000000000000002.json");
    let pins = [pin];
    let columns = columns_of(&fixture);
    let mut tried: BTreeMap<PathBuf, (usize, usize)> = BTreeMap::new();
    for file in fixture.files() {
        let good = fixture.read(&file);
        let mut dice = Dice(good.len() as u64);
        let step = match good.len() {
            small if long() && small < 4_000 => 1,
            _ if long() => 3,
            len => len / 25 + 1,
        };
        let count = tried.entry(file.clone()).or_default();
        for offset in (dice.roll(step as u64) as usize..good.len()).step_by(step) {
            let mut bad = good.clone();
            // A single bit and any other byte, in turn.
            bad[offset] ^= if offset % 2 == 0 { 1 << dice.roll(8) } else { 1 + dice.roll(255) as u8 };
            fixture.write(&file, &bad);
            count.0 += 1;
            if attack(&fixture, &pins).is_ok_and(|report| report.verdict == Verdict::Valid) {
                count.1 += 1;
                let around = String::from_utf8_lossy(&good[offset.saturating_sub(30)..(offset + 10).min(good.len())])
                    .into_owned();
                let same_columns = || file == newest && columns_of(&fixture) == columns;
                assert!(
                    carries_nothing(&file, &good, offset, newest) || same_columns(),
                    "{} byte {offset} became {:#x} unnoticed; before it: {around:?}",
                    file.display(),
                    bad[offset]
                );
            }
        }
        fixture.write(&file, &good);
    }
    assert_eq!(fixture.check(&pins).verdict, Verdict::Valid, "and all is as it was");
    for (file, (tried, unnoticed)) in tried {
        println!("{}: {tried} bytes changed, {unnoticed} of them carry nothing", file.display());
    }
}

/// T1 for hash tiles: 65,536 records make the first one that is kept. For the long run.
#[test]
fn a_changed_tile_or_an_entry_under_it_is_noticed() {
    if !long() {
        return;
    }
    let fixture = Fixture::new();
    let writer = fixture.open();
    for first in (0..66_000).step_by(6_000) {
        let tiny = (first..first + 6_000)
            .map(|n| parse(&format!(r#"{{"id":"{}","kind":"config","context":{{"n":{n}}}}}"#, id(n))));
        writer.append(tiny.collect(), Intake::Import).unwrap();
    }
    writer.settle().unwrap();
    writer.close().unwrap();
    let pins = [fixture.pin()];
    assert_eq!((fixture.check(&pins).verdict, fixture.check(&pins).tiles), (Verdict::Valid, 1));
    let tile = Path::new("tile/1/000");
    let good = fixture.read(tile);
    let mut dice = Dice(7);
    for _ in 0..10 {
        let mut bad = good.clone();
        bad[dice.roll(good.len() as u64) as usize] ^= 1 + dice.roll(255) as u8;
        fixture.write(tile, &bad);
        let report = attack(&fixture, &pins).unwrap();
        assert_eq!(report.verdict, Verdict::Invalid);
        let found = first(&report, Severity::Invalid);
        assert_eq!((found.check, found.file.clone()), ("T1", Some(fixture.path(tile))), "{report:#?}");
    }
    remove(&fixture.path(tile));
    let report = attack(&fixture, &pins).unwrap();
    assert_eq!((report.verdict, report.findings[0].file.clone()), (Verdict::Incomplete, Some(fixture.path(tile))));
    fixture.write(tile, &good);
    let entries = Path::new("entries/00000000000000000000.digests");
    let mut bad = fixture.read(entries);
    bad[40_000 * 32] ^= 1;
    fixture.write(entries, &bad);
    let report = attack(&fixture, &pins).unwrap();
    let found = report.findings.iter().find(|finding| finding.index == Some(40_000)).unwrap();
    assert!(found.what.contains("the record itself is the one that was sealed"), "{report:#?}");
    assert_eq!(found.file.as_deref(), Some(fixture.path(entries).as_path()));
}

// ---- whole pieces --------------------------------------------------------------------------------------------------

fn first(report: &Report, severity: Severity) -> &Finding {
    let found = report.findings.iter().find(|finding| finding.severity == severity);
    found.unwrap_or_else(|| panic!("nothing {severity:?}: {report:#?}"))
}

/// The data file that begins at that record.
fn data_file(fixture: &Fixture, first: u64) -> PathBuf {
    let named = format!("lake/settle-{first:020}-");
    fixture.files().into_iter().find(|file| file.to_str().unwrap().starts_with(&named)).unwrap()
}

fn delta(version: u64) -> PathBuf {
    format!("lake/_delta_log/{version:020}.json").into()
}

/// Changes the actions of a log entry.
fn edit_log(fixture: &Fixture, version: u64, edit: impl Fn(&mut serde_json::Value)) {
    let text = String::from_utf8(fixture.read(delta(version))).unwrap();
    let lines = text.lines().map(|line| {
        let mut action = serde_json::from_str(line).unwrap();
        edit(&mut action);
        action.to_string() + "\n"
    });
    fixture.write(delta(version), lines.collect::<String>().as_bytes());
}

/// Writes a data file again with these of its rows, in this order: a Parquet file as good as any. The log is told its
/// length, its hash and how many rows it has.
fn rewrite(fixture: &Fixture, file: &Path, version: u64, order: impl Fn(Vec<usize>) -> Vec<usize>) {
    use arrow_array::{Array as _, RecordBatch};
    use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
    use sha2::Digest as _;
    let source = std::fs::File::open(fixture.path(file)).unwrap();
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(source, options).unwrap();
    let footer = reader.metadata().file_metadata().key_value_metadata().cloned();
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    let [batch] = batches.as_slice() else { panic!("one batch") };
    let properties = parquet::file::properties::WriterProperties::builder().set_key_value_metadata(footer).build();
    let options = parquet::arrow::arrow_writer::ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true);
    let mut out = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new_with_options(&mut out, batch.schema(), options).unwrap();
    let order = order((0..batch.num_rows()).collect());
    for &row in &order {
        writer.write(&batch.slice(row, 1)).unwrap();
    }
    writer.close().unwrap();
    assert_eq!(batch.column_by_name("index").unwrap().null_count(), 0);
    fixture.write(file, &out);
    let hash: [u8; 32] = sha2::Sha256::digest(&out).into();
    edit_log(fixture, version, |action| {
        let add = &mut action["add"];
        if add.is_object() {
            add["size"] = out.len().into();
            add["tags"]["onrecord.sha256"] = hex(&hash).into();
            add["tags"]["onrecord.rows"] = order.len().to_string().into();
            let mut stats: serde_json::Value = serde_json::from_str(add["stats"].as_str().unwrap()).unwrap();
            stats["numRecords"] = order.len().into();
            add["stats"] = stats.to_string().into();
        } else if let Some(map) = action.as_object_mut() {
            map.remove("add");
        }
    });
}

/// One thing done to the folder, and what the check must say of it, with the pin and without.
struct Attack {
    name: &'static str,
    does: fn(&Fixture),
    verdict: Verdict,
    /// Of the first finding that is as bad as the verdict: which check, which record, which file (its beginning), row.
    found: (&'static str, Option<u64>, &'static str, Option<u64>),
    /// What the trail comes to alone, where that is another verdict: nothing from outside shows what was here.
    alone: Option<Verdict>,
}

const LAKE_0: &str = "lake/settle-00000000000000000000";
const LAKE_40: &str = "lake/settle-00000000000000000040";
/// Rows are sorted by time; record 50 is in the second file.
const ROW_OF_50: usize = 16;
const SEGMENT: &str = "journal/00000000000000000080";

/// T1-T4, T16, T26: each is caught, and located.
const ATTACKS: &[Attack] = &[
    Attack {
        name: "a data file removed",
        does: |f| remove(&f.path(data_file(f, 40))),
        verdict: Verdict::Incomplete,
        found: ("I2", Some(40), LAKE_40, None),
        alone: None,
    },
    Attack {
        name: "a data file put in place of another",
        does: |f| f.write(data_file(f, 40), &f.read(data_file(f, 0))),
        verdict: Verdict::Invalid,
        found: ("I2", Some(0), LAKE_40, None),
        alone: None,
    },
    Attack {
        name: "a data file of another trail in its place",
        does: |f| {
            let (other, _) = trail();
            f.write(data_file(f, 0), &other.read(data_file(&other, 0)));
        },
        verdict: Verdict::Invalid,
        found: ("T1", Some(0), LAKE_0, Some(0)),
        alone: None,
    },
    Attack {
        name: "a row removed, and the log told",
        does: |f| {
            rewrite(f, &data_file(f, 40), 2, |mut rows| {
                rows.remove(ROW_OF_50);
                rows
            })
        },
        verdict: Verdict::Incomplete,
        found: ("I2", Some(50), "", None),
        alone: None,
    },
    Attack {
        name: "two rows the other way round, and the log told",
        does: |f| {
            rewrite(f, &data_file(f, 40), 2, |mut rows| {
                rows.swap(ROW_OF_50, ROW_OF_50 + 1);
                rows
            })
        },
        verdict: Verdict::Invalid,
        found: ("T26", Some(50), LAKE_40, Some(ROW_OF_50 as u64 + 1)),
        alone: None,
    },
    Attack {
        name: "a row doubled, and the log told",
        does: |f| {
            rewrite(f, &data_file(f, 40), 2, |mut rows| {
                rows.insert(ROW_OF_50, ROW_OF_50);
                rows
            })
        },
        verdict: Verdict::Invalid,
        found: ("I2", Some(50), LAKE_40, None),
        alone: None,
    },
    Attack {
        name: "the last log entry removed",
        does: |f| remove(&f.path(delta(2))),
        verdict: Verdict::Incomplete,
        found: ("I1", Some(40), "journal", None),
        alone: None,
    },
    Attack {
        name: "a log entry removed from the middle",
        does: |f| remove(&f.path(delta(1))),
        verdict: Verdict::Invalid,
        found: ("T26", None, "lake", None),
        alone: None,
    },
    Attack {
        name: "a file taken out of the log",
        does: |f| {
            let file = data_file(f, 0);
            let path = file.file_name().unwrap().to_str().unwrap();
            let remove = serde_json::json!({"remove": {"path": path, "dataChange": true, "deletionTimestamp": 1}});
            let mut text = f.read(delta(2));
            text.extend_from_slice(format!("{remove}\n").as_bytes());
            f.write(delta(2), &text);
        },
        verdict: Verdict::Incomplete,
        found: ("I2", Some(0), "", None),
        alone: None,
    },
    Attack {
        name: "the watermark set forward",
        does: |f| {
            edit_log(f, 2, |action| {
                if action["txn"].is_object() {
                    action["txn"]["version"] = 83.into()
                } else {
                    forget_null(action, "txn")
                }
            })
        },
        verdict: Verdict::Incomplete,
        found: ("I2", Some(80), "", None),
        alone: None,
    },
    Attack {
        name: "the watermark set back",
        does: |f| {
            edit_log(f, 2, |action| {
                if action["txn"].is_object() {
                    action["txn"]["version"] = 60.into()
                } else {
                    forget_null(action, "txn")
                }
            })
        },
        verdict: Verdict::Invalid,
        found: ("I2", Some(60), LAKE_40, None),
        alone: None,
    },
    Attack {
        name: "a manifest that claims the world",
        does: |f| {
            edit_log(f, 2, |action| {
                if action["add"].is_object() {
                    for tag in ["onrecord.rows", "onrecord.last_index"] {
                        action["add"]["tags"][tag] = u64::MAX.to_string().into();
                    }
                } else {
                    forget_null(action, "add");
                }
            })
        },
        verdict: Verdict::Invalid,
        found: ("T26", Some(40), LAKE_40, None),
        alone: None,
    },
    Attack {
        name: "the journal's segment removed",
        does: |f| remove(&f.path(format!("{SEGMENT}.journal"))),
        verdict: Verdict::Incomplete,
        found: ("I2", Some(80), "", None),
        alone: None,
    },
    Attack {
        name: "the journal's segment cut in the middle",
        does: |f| {
            let bytes = f.read(format!("{SEGMENT}.journal"));
            let frame = frames(&bytes)[7].clone();
            f.write(format!("{SEGMENT}.journal"), &bytes[..frame.start + 40]);
        },
        verdict: Verdict::Incomplete,
        found: ("I2", Some(87), "", None),
        alone: None,
    },
    Attack {
        name: "a record changed in the journal, and its checksums made again",
        does: |f| {
            forge_frame(f, 5, |payload| {
                let at = payload.windows(4).rposition(|four| four == b"deny").unwrap();
                payload[at..at + 4].copy_from_slice(b"nope");
            })
        },
        verdict: Verdict::Invalid,
        found: ("T1", Some(85), SEGMENT, None),
        alone: None,
    },
    Attack {
        name: "an entry changed",
        does: |f| flip_entry(f, 21),
        verdict: Verdict::Invalid,
        found: ("T1", Some(21), "entries/", None),
        alone: None,
    },
    Attack {
        name: "an entry of a record in the journal changed",
        does: |f| flip_entry(f, 99),
        verdict: Verdict::Invalid,
        found: ("T1", Some(99), "entries/", None),
        alone: None,
    },
    Attack {
        name: "entries cut off",
        does: |f| {
            let file = "entries/00000000000000000000.digests";
            f.write(file, &f.read(file)[..70 * 32 + 5]);
        },
        verdict: Verdict::Incomplete,
        found: ("I2", Some(70), "entries/", None),
        alone: None,
    },
    Attack {
        name: "entries removed",
        does: |f| remove(&f.path("entries/00000000000000000000.digests")),
        verdict: Verdict::Incomplete,
        found: ("I2", Some(0), "entries/", None),
        alone: None,
    },
    Attack {
        name: "the checkpoint removed",
        does: |f| remove(&f.path("checkpoint")),
        verdict: Verdict::Invalid,
        found: ("I4", Some(0), "checkpoint", None),
        alone: None,
    },
    Attack {
        name: "the checkpoint, the entries and the journal removed",
        does: |f| {
            remove(&f.path("checkpoint"));
            remove(&f.path("entries/00000000000000000000.digests"));
            remove(&f.path(format!("{SEGMENT}.journal")));
        },
        verdict: Verdict::Invalid,
        found: ("I4", Some(0), "checkpoint", None),
        alone: None,
    },
    Attack {
        name: "an older checkpoint of this trail, from before the last settle",
        does: |f| resign(f, 40),
        verdict: Verdict::Invalid,
        found: ("I4", Some(40), "checkpoint", None),
        alone: None,
    },
    Attack {
        name: "an older checkpoint of this trail that covers what is settled",
        does: |f| resign(f, 90),
        verdict: Verdict::Invalid,
        found: ("T3", Some(90), "", None),
        alone: Some(Verdict::Consistent),
    },
    Attack {
        name: "the checkpoint of another trail",
        does: |f| f.write("checkpoint", &Fixture::with_one_record().pin()),
        verdict: Verdict::Invalid,
        found: ("T3", Some(0), "", None),
        alone: None,
    },
    Attack {
        name: "an insider edits a record, recomputes everything and signs with the real key",
        does: |f| insider(f, 50),
        verdict: Verdict::Invalid,
        found: ("T2", None, "", None),
        alone: Some(Verdict::Consistent),
    },
    Attack {
        name: "an insider signs a tree of more records than there can be",
        does: |f| sign(f, u64::MAX, tlog::leaf_hash(b"no such root")),
        verdict: Verdict::Incomplete,
        found: ("I2", Some(100), "entries/", None),
        alone: None,
    },
];

fn forget_null(action: &mut serde_json::Value, name: &str) {
    if let Some(map) = action.as_object_mut() {
        map.retain(|key, value| key != name || !value.is_null());
    }
}

impl Fixture {
    fn with_one_record() -> Fixture {
        let fixture = Fixture::named("example.com/other", fast_temp());
        let writer = fixture.open();
        writer.append(records(0..1), Intake::Import).unwrap();
        writer.close().unwrap();
        fixture
    }

    fn key(&self) -> tlog::SigningKey {
        let settings = trail::Settings::read(&Host::system(), &self.folder).unwrap();
        self.keys.load(&Host::system(), &settings.verifier_key().unwrap()).unwrap()
    }
}

fn flip_entry(fixture: &Fixture, index: usize) {
    let file = "entries/00000000000000000000.digests";
    let mut bytes = fixture.read(file);
    bytes[index * 32 + 3] ^= 0x10;
    fixture.write(file, &bytes);
}

/// Signs a checkpoint of that many of the entries, as the holder of the key can.
fn resign(fixture: &Fixture, size: u64) {
    let mut edge = tlog::TileEdge::new();
    let entries = fixture.read("entries/00000000000000000000.digests");
    entries.chunks(32).take(size as usize).for_each(|entry| edge.push(tlog::leaf_hash(entry), |_, _| {}));
    sign(fixture, size, edge.root());
}

fn sign(fixture: &Fixture, size: u64, root: tlog::Hash) {
    let key = fixture.key();
    let checkpoint = tlog::Checkpoint::new(key.name().as_str(), size, root).unwrap();
    fixture.write("checkpoint", checkpoint.sign(&key).unwrap().note().to_string().as_bytes());
}

/// Changes the payload of a journal's frame without changing its length, and makes its checksums hold.
fn forge_frame(fixture: &Fixture, nth: usize, change: impl Fn(&mut [u8])) {
    let file = format!("{SEGMENT}.journal");
    let mut bytes = fixture.read(&file);
    let id: [u8; 16] = bytes[40..56].try_into().unwrap();
    let frame = frames(&bytes)[nth].clone();
    let len = u32::from_le_bytes(bytes[frame.start..frame.start + 4].try_into().unwrap()) as usize;
    let payload = frame.start + 32..frame.start + 32 + len;
    change(&mut bytes[payload.clone()]);
    let crc = crc32c::crc32c(&bytes[payload]);
    bytes[frame.start + 4..frame.start + 8].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&id), &bytes[frame.start..frame.start + 28]);
    bytes[frame.start + 28..frame.start + 32].copy_from_slice(&crc.to_le_bytes());
    fixture.write(&file, &bytes);
}

/// T2: a record in the lake is replaced by another; Parquet, Delta log, entries and checkpoint are made anew.
fn insider(fixture: &Fixture, index: u64) {
    let snapshot = trail::Reader::new(&Host::system(), &fixture.folder).snapshot().unwrap();
    let settled = snapshot.settled();
    let mut stored: Vec<(u64, record::Stored)> =
        (0..settled).map(|index| (index, snapshot.get(index).unwrap().unwrap().stored)).collect();
    let other = stored[index as usize - 2].1.body.clone();
    stored[index as usize].1.body = other;
    for file in fixture.files().into_iter().filter(|file| file.starts_with("lake")) {
        remove(&fixture.path(file));
    }
    let mut lake = lake::Lake::create(Host::system(), fixture.folder.lake()).unwrap();
    let plan = lake::plan_settle(lake.snapshot(), &stored).unwrap();
    lake.settle(&plan, &|index| Some(stored[index as usize].1.digest())).unwrap();
    let file = "entries/00000000000000000000.digests";
    let mut entries = fixture.read(file);
    entries[index as usize * 32..][..32].copy_from_slice(&stored[index as usize].1.digest().0);
    fixture.write(file, &entries);
    resign(fixture, entries.len() as u64 / 32);
}

#[test]
fn each_attack_is_caught_and_located() {
    let (good, pin) = trail();
    for Attack { name, does, verdict, found, alone } in ATTACKS {
        let fixture = good.copy();
        does(&fixture);
        let report = attack(&fixture, std::slice::from_ref(&pin)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(report.verdict, *verdict, "{name}: {report:#?}");
        let severity = if *verdict == Verdict::Invalid { Severity::Invalid } else { Severity::Incomplete };
        let (check, index, file, row) = *found;
        let in_file = |finding: &Finding| match &finding.file {
            Some(path) => path.strip_prefix(fixture.folder.root()).unwrap().to_str().unwrap().starts_with(file),
            None => file.is_empty(),
        };
        let located = report.findings.iter().any(|finding| {
            finding.severity == severity
                && (finding.check, finding.index, finding.row) == (check, index, row)
                && in_file(finding)
        });
        assert!(located, "{name}: {report:#?}");
        let report = attack(&fixture, &[]).unwrap();
        let expected = alone.unwrap_or(*verdict);
        // A pin says more of a trail that has lost its end; without one it is still not good.
        let same = report.verdict == expected || (alone.is_none() && !report.verdict.is_good());
        assert!(same, "{name}, alone: {report:#?}");
    }
}

/// T1: where entries and records were both changed, each finding blames the one that was.
#[test]
fn a_changed_entry_and_a_changed_record_are_told_apart() {
    let (fixture, pin) = trail();
    flip_entry(&fixture, 7);
    flip_entry(&fixture, 98);
    forge_frame(&fixture, 5, |payload| {
        let at = payload.windows(4).rposition(|four| four == b"deny").unwrap();
        payload[at] = b'D';
    });
    let report = attack(&fixture, &[pin]).unwrap();
    let of = |index: u64| {
        let mut found = report.findings.iter().filter(|finding| finding.index == Some(index));
        let one = found.next().unwrap_or_else(|| panic!("{index}: {report:#?}"));
        assert!(found.next().is_none(), "{report:#?}");
        one
    };
    for index in [7, 98] {
        assert!(of(index).what.starts_with(&format!("entry {index} was changed")), "{report:#?}");
    }
    assert!(of(85).what.starts_with("this record is not the one that was sealed"), "{report:#?}");
    assert_eq!(report.findings[0].index, Some(7), "the lowest first: {report:#?}");
}

/// The whole folder put back to an old copy: it agrees with itself, and not with a pin (T3).
#[test]
fn an_old_copy_is_caught_by_the_pin_alone() {
    let fixture = Fixture::new();
    let writer = fixture.open();
    writer.append(records(0..30), Intake::Import).unwrap();
    writer.settle().unwrap();
    writer.close().unwrap();
    let (old, early) = (fixture.copy(), fixture.pin());
    let writer = fixture.open();
    writer.append(records(30..35), Intake::Import).unwrap();
    writer.close().unwrap();
    let pins = [fixture.pin()];
    let report = attack(&old, &pins).unwrap();
    assert_eq!(
        (report.verdict, report.findings[0].check, report.findings[0].index),
        (Verdict::Invalid, "T3", Some(30))
    );
    assert_eq!(attack(&old, &[]).unwrap().verdict, Verdict::Consistent);
    // T4: cut, then continued. The old pin agrees, the one from before the cut does not.
    let writer = old.open();
    writer.append(records(100..120), Intake::Import).unwrap();
    writer.close().unwrap();
    assert_eq!(attack(&old, &[early]).unwrap().verdict, Verdict::Valid);
    let report = attack(&old, &pins).unwrap();
    assert_eq!((report.verdict, report.findings[0].check), (Verdict::Invalid, "T2"), "{report:#?}");
}

/// Before anything is settled a trail without its checkpoint looks like one whose first seal was interrupted: only a
/// pin tells (T16). Entries of records that are not here were signed once.
#[test]
fn a_checkpoint_removed_before_the_first_settle_is_caught_by_a_pin() {
    let fixture = Fixture::new();
    let writer = fixture.open();
    writer.append(records(0..30), Intake::Import).unwrap();
    writer.close().unwrap();
    let pins = [fixture.pin()];
    remove(&fixture.path("checkpoint"));
    assert_eq!(attack(&fixture, &[]).unwrap().verdict, Verdict::Consistent);
    let report = attack(&fixture, &pins).unwrap();
    assert_eq!((report.verdict, report.findings[0].check, report.findings[0].index), (Verdict::Invalid, "T3", Some(0)));
    remove(&fixture.path("journal/00000000000000000000.journal"));
    let report = attack(&fixture, &[]).unwrap();
    assert_eq!((report.verdict, report.findings[0].check), (Verdict::Invalid, "T16"), "{report:#?}");
}

/// A segment that was settled and not yet removed may be damaged, header and all: nobody needs it (I5).
#[test]
fn damage_to_a_settled_segment_is_no_concern() {
    let fixture = Fixture::new();
    let table = FaultTable::one("journal.remove", 1, Fault::FailBefore(5));
    let host = Host::builder().faults(table).build();
    let writer = fixture.open_as(&host, by_hand()).unwrap();
    for n in (0..60).step_by(10) {
        writer.append(records(n..n + 10), Intake::Import).unwrap();
    }
    writer.settle().unwrap_err();
    drop(writer);
    let pins = [fixture.pin()];
    let is_segment = |file: &PathBuf| file.extension().is_some_and(|kind| kind == "journal");
    let segments: Vec<PathBuf> = fixture.files().into_iter().filter(is_segment).collect();
    assert!(segments.len() > 1, "{segments:?}");
    for (segment, byte) in segments.iter().zip([0, 70, 2_000].into_iter().cycle()).take(segments.len() - 1) {
        let mut bytes = fixture.read(segment);
        bytes[byte] ^= 0x40;
        fixture.write(segment, &bytes);
    }
    assert_eq!(fixture.check(&pins).verdict, Verdict::Valid, "{:#?}", fixture.check(&pins));
    assert_eq!(all(&fixture.folder).len(), 60);
    let writer = fixture.open();
    assert_eq!((writer.recovered().records, writer.recovered().from_journal), (60, 0));
    writer.append(records(60..65), Intake::Import).unwrap();
    writer.settle().unwrap();
    writer.close().unwrap();
    assert_eq!(fixture.check(&pins).verdict, Verdict::Valid);
    assert_eq!(fixture.files().iter().filter(|file| is_segment(file)).count(), 1, "and they are removed in the end");
}

/// The end of the journal that no checkpoint covers: damage there is a torn tail, but never to a sealed record.
#[test]
fn damage_behind_the_checkpoint_is_a_torn_tail() {
    let fixture = Fixture::new();
    let writer = fixture.open();
    writer.append(records(0..10), Intake::Import).unwrap();
    writer.close().unwrap();
    let pins = [fixture.pin()];
    let never = trail::Options { seal_every: std::time::Duration::from_secs(3600), ..by_hand() };
    let writer = fixture.open_as(&Host::system(), never).unwrap();
    writer.append(records(10..13), Intake::Import).unwrap();
    let crashed = fixture.copy();
    writer.close().unwrap();
    let report = crashed.check(&pins);
    assert_eq!((report.verdict, report.unsealed), (Verdict::Valid, 3));
    let segment = "journal/00000000000000000010.journal";
    let good = crashed.read(segment);
    let last = frames(&good).last().unwrap().clone();
    for byte in last.clone().step_by(7) {
        let mut bad = good.clone();
        bad[byte] ^= 1;
        crashed.write(segment, &bad);
        let report = crashed.check(&pins);
        assert_eq!((report.verdict, report.unsealed), (Verdict::Valid, 2), "{report:#?}");
    }
    let writer = crashed.open();
    assert_eq!(writer.recovered().records, 12);
    assert_eq!(writer.recovered().torn_tail.as_ref().map(|tail| tail.first_index), Some(12));
    writer.close().unwrap();
}

/// Two models have two files whose indices interleave. What one of them cannot show any more is neither gone nor twice.
#[test]
fn an_unreadable_file_says_nothing_of_its_neighbour() {
    let fixture = Fixture::new();
    let writer = fixture.open();
    let of = |n: u64| {
        let (id, model) = (id(n), n % 2);
        format!(
            r#"{{"id":"{id}","kind":"decision","time":"2024-06-01T12:00:00.{n:09}Z","model":{{"name":"m{model}","version":"1"}},"inputs":{{"x":{n}}},"output":{n}}}"#
        )
    };
    writer.append((0..2100).map(|n| parse(&of(n))).collect(), Intake::Import).unwrap();
    writer.settle().unwrap();
    writer.close().unwrap();
    let pins = [fixture.pin()];
    let files: Vec<PathBuf> =
        fixture.files().into_iter().filter(|file| file.extension().is_some_and(|kind| kind == "parquet")).collect();
    assert_eq!(files.len(), 2);
    for file in &files {
        let good = fixture.read(file);
        let mut bad = good.clone();
        bad[1_000..1_400].iter_mut().for_each(|byte| *byte ^= 0x5a);
        fixture.write(file, &bad);
        let report = attack(&fixture, &pins).unwrap();
        assert_eq!(report.verdict, Verdict::Invalid);
        let path = fixture.path(file);
        assert!(report.findings.iter().all(|finding| finding.file.as_ref() == Some(&path)), "{report:#?}");
        fixture.write(file, &good);
    }
    let good = fixture.read(&files[0]);
    remove(&fixture.path(&files[0]));
    let report = attack(&fixture, &pins).unwrap();
    assert_eq!(report.verdict, Verdict::Incomplete);
    // Every second record is gone, each a run of its own: as many findings as are listed, and the rest are counted.
    assert_eq!((report.findings.len(), report.findings_left_off), (100, 951), "{report:#?}");
    // What is worse than all of these, a changed entry of a record that is here, is found last and listed first (I13).
    let here = if report.findings[0].index == Some(0) { 2_001 } else { 2_000 };
    flip_entry(&fixture, here as usize);
    let report = attack(&fixture, &pins).unwrap();
    assert_eq!((report.verdict, report.findings[0].index), (Verdict::Invalid, Some(here)), "{report:#?}");
    fixture.write(&files[0], &good);
}
