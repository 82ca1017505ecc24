//! Whole pieces changed, moved, taken away or made anew, and the tools for it.

use super::*;

pub(super) fn first(report: &Report, severity: Severity) -> &Finding {
    let found = report.findings.iter().find(|finding| finding.severity == severity);
    found.unwrap_or_else(|| panic!("nothing {severity:?}: {report:#?}"))
}

/// The data file that begins at that record.
pub(super) fn data_file(fixture: &Fixture, first: u64) -> PathBuf {
    let named = format!("lake/settle-{first:020}-");
    fixture.files().into_iter().find(|file| file.to_str().unwrap().starts_with(&named)).unwrap()
}

pub(super) fn delta(version: u64) -> PathBuf {
    format!("lake/_delta_log/{version:020}.json").into()
}

/// Changes the actions of a log entry.
pub(super) fn edit_log(fixture: &Fixture, version: u64, edit: impl Fn(&mut serde_json::Value)) {
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
pub(super) fn rewrite(fixture: &Fixture, file: &Path, version: u64, order: impl Fn(Vec<usize>) -> Vec<usize>) {
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
pub(super) struct Attack {
    name: &'static str,
    does: fn(&Fixture),
    verdict: Verdict,
    /// Of the first finding that is as bad as the verdict: which check, which record, which file (its beginning), row.
    found: (&'static str, Option<u64>, &'static str, Option<u64>),
    /// What the trail comes to alone, where that is another verdict: nothing from outside shows what was here.
    alone: Option<Verdict>,
}

pub(super) const LAKE_0: &str = "lake/settle-00000000000000000000";
pub(super) const LAKE_40: &str = "lake/settle-00000000000000000040";
/// Rows are sorted by time; record 50 is in the second file.
pub(super) const ROW_OF_50: usize = 16;
pub(super) const SEGMENT: &str = "journal/00000000000000000080";

/// T1-T4, T16, T26: each is caught, and located.
pub(super) const ATTACKS: &[Attack] = &[
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

pub(super) fn forget_null(action: &mut serde_json::Value, name: &str) {
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

pub(super) fn flip_entry(fixture: &Fixture, index: usize) {
    let file = "entries/00000000000000000000.digests";
    let mut bytes = fixture.read(file);
    bytes[index * 32 + 3] ^= 0x10;
    fixture.write(file, &bytes);
}

/// Signs a checkpoint of that many of the entries, as the holder of the key can.
pub(super) fn resign(fixture: &Fixture, size: u64) {
    let mut edge = tlog::TileEdge::new();
    let entries = fixture.read("entries/00000000000000000000.digests");
    entries.chunks(32).take(size as usize).for_each(|entry| edge.push(tlog::leaf_hash(entry), |_, _| {}));
    sign(fixture, size, edge.root());
}

pub(super) fn sign(fixture: &Fixture, size: u64, root: tlog::Hash) {
    let key = fixture.key();
    let checkpoint = tlog::Checkpoint::new(key.name().as_str(), size, root).unwrap();
    fixture.write("checkpoint", checkpoint.sign(&key).unwrap().note().to_string().as_bytes());
}

/// Changes the payload of a journal's frame without changing its length, and makes its checksums hold.
pub(super) fn forge_frame(fixture: &Fixture, nth: usize, change: impl Fn(&mut [u8])) {
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
pub(super) fn insider(fixture: &Fixture, index: u64) {
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
