//! Whatever is changed in an export is found, and named.

use std::path::Path;
use std::sync::LazyLock;

use export::{HASHES, MANIFEST, Manifest, Outside, RECORDS, RowFormat, SUM, verify};
use host::Host;
use proptest::prelude::*;
use query::Search;
use sha2::{Digest as _, Sha256};
use trail::{Severity, Verdict};

use crate::trail_of::{ALL, Export, Trail, check, copy, decisions, every, shared};

static EXPORTS: LazyLock<Vec<Export>> = LazyLock::new(|| {
    let some = || Search { matches: Some("\"index\" % 3 = 1".to_owned()), ..every() };
    [RowFormat::Parquet, RowFormat::Csv, RowFormat::Ndjson]
        .into_iter()
        .enumerate()
        .map(|(nth, format)| shared().export(&format!("tampered-{nth}"), some(), &ALL, format, 13))
        .collect()
});

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes digests and lengths agree again, as who tampers with care does.
fn cover_up(folder: &Path, edit: impl FnOnce(&mut serde_json::Value)) {
    let path = folder.join(MANIFEST);
    let mut manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for file in manifest["files"].as_array_mut().unwrap() {
        if let Ok(bytes) = std::fs::read(folder.join(file["name"].as_str().unwrap())) {
            file["bytes"] = bytes.len().into();
            file["sha256"] = sha256(&bytes).into();
        }
    }
    edit(&mut manifest);
    let bytes = serde_json::to_vec_pretty(&manifest).unwrap();
    std::fs::write(folder.join(SUM), format!("{}  {MANIFEST}\n", sha256(&bytes))).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// A copy of an export that someone has been at.
fn tampered(export: &Export, change: impl FnOnce(&Path)) -> export::Report {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("copy");
    copy(&export.folder, &folder);
    change(&folder);
    check(&folder)
}

fn edit(folder: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(folder.join(name)).unwrap();
    change(&mut bytes);
    std::fs::write(folder.join(name), bytes).unwrap();
}

fn replace(bytes: &mut Vec<u8>, from: &str, to: &str) {
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    bytes.splice(at..at + from.len(), to.bytes());
}

#[test]
fn a_changed_value_is_named_even_where_digests_were_made_to_agree() {
    for (export, name) in [(&EXPORTS[1], "rows-0001.csv"), (&EXPORTS[2], "rows-0001.ndjson")] {
        let report = tampered(export, |folder| {
            edit(folder, name, |bytes| replace(bytes, "s-10", "s-11"));
            cover_up(folder, |_| {});
        });
        let found = &report.findings[0];
        assert_eq!((report.verdict, found.index, found.row), (Verdict::Invalid, Some(10), Some(3)), "{found:?}");
        assert!(found.file.as_ref().unwrap().ends_with(name));
    }
}

#[test]
fn a_changed_record_does_not_lead_to_the_root() {
    let report = tampered(&EXPORTS[1], |folder| {
        edit(folder, RECORDS, |bytes| replace(bytes, "s-10", "s-11"));
        edit(folder, "rows-0001.csv", |bytes| replace(bytes, "s-10", "s-11"));
        cover_up(folder, |_| {});
    });
    assert_eq!((report.verdict, report.findings[0].check), (Verdict::Invalid, "T13"));
}

#[test]
fn rows_that_were_removed_swapped_or_put_in_are_found() {
    let line = |text: &[u8], nth: usize| -> (usize, usize) {
        let ends: Vec<usize> =
            text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
        (ends[nth - 1], ends[nth])
    };
    // A row goes, from the file alone, and from file, records and counts.
    let report = tampered(&EXPORTS[2], |folder| {
        edit(folder, "rows-0002.ndjson", |bytes| {
            let (from, to) = line(bytes, 2);
            bytes.drain(from..to);
        });
        cover_up(folder, |_| {});
    });
    assert_eq!((report.verdict, report.findings[0].row), (Verdict::Invalid, Some(2)));
    let report = tampered(&EXPORTS[2], |folder| {
        for name in ["rows-0001.ndjson", "rows-0002.ndjson"] {
            edit(folder, name, |bytes| bytes.reverse());
        }
        cover_up(folder, |_| {});
    });
    assert_eq!((report.verdict, report.findings[0].row), (Verdict::Invalid, Some(0)));
    let report = tampered(&EXPORTS[0], |folder| {
        let (one, two) = (folder.join("rows-0001.parquet"), folder.join("rows-0002.parquet"));
        let between = folder.join("between");
        std::fs::rename(&one, &between).unwrap();
        std::fs::rename(&two, &one).unwrap();
        std::fs::rename(&between, &two).unwrap();
        cover_up(folder, |_| {});
    });
    assert_eq!(report.verdict, Verdict::Invalid);
    let report = tampered(&EXPORTS[1], |folder| {
        edit(folder, "rows-0002.csv", |bytes| bytes.extend_from_slice(b"1,2,3\r\n"));
        cover_up(folder, |_| {});
    });
    assert_eq!((report.verdict, report.findings[0].row), (Verdict::Invalid, Some(7)));
    let report = tampered(&EXPORTS[1], |folder| std::fs::remove_file(folder.join("rows-0002.csv")).unwrap());
    assert_eq!(report.verdict, Verdict::Incomplete);
}

#[test]
fn what_is_left_out_of_a_complete_export_is_missed() {
    let trail = shared();
    let all = trail.export("left-out", decisions(), &["index"], RowFormat::Csv, 1000);
    // An export of fewer records that says it is of all.
    let fewer = Search { matches: Some("\"index\" <> 7".to_owned()), ..decisions() };
    let fewer = trail.export("left-out-fewer", fewer, &["index"], RowFormat::Csv, 1000);
    let Manifest { evidence, filter, .. } = all.exported.manifest;
    let report = tampered(&fewer, |folder| {
        cover_up(folder, |manifest| {
            manifest["complete"] = true.into();
            manifest["filter"] = serde_json::to_value(&filter).unwrap();
            manifest["evidence"]["run"] = evidence.run.clone().into();
            manifest["records"] = trail.view().snapshot().sealed().into();
        });
    });
    assert_eq!(report.verdict, Verdict::Invalid);
    // One that says what it is, and leaves a match out, is found by who asks the trail again.
    let lying = tempfile::tempdir().unwrap();
    let folder = lying.path().join("lying");
    copy(&fewer.folder, &folder);
    let query = evidence.run.replace("\"index\" < 60", "\"index\" < 60 AND (\"index\" > 0)");
    cover_up(&folder, |manifest| {
        manifest["filter"]["where"] = "\"index\" > 0".into();
        manifest["evidence"]["run"] = query.into();
    });
    let mut report = check(&folder);
    assert_eq!(report.verdict, Verdict::Consistent, "{:?}", report.findings);
    export::again(&folder, &trail.view(), &mut report).unwrap();
    let found: Vec<_> = report.findings.iter().map(|found| found.index).collect();
    assert_eq!((report.verdict, found), (Verdict::Invalid, vec![Some(7), Some(0)]));
}

#[test]
fn another_trail_another_checkpoint_and_another_key_are_refused() {
    let other = Trail::holding(20, 0);
    let elsewhere = other.export("other", every(), &ALL, RowFormat::Ndjson, 13);
    let mut report = check(&elsewhere.folder);
    export::again(&elsewhere.folder, &shared().view(), &mut report).unwrap();
    assert_eq!((report.verdict, report.findings[0].check), (Verdict::Invalid, "T2"));
    // The checkpoint of another log, whose name is the same.
    let note = elsewhere.exported.manifest.evidence.checkpoint.clone().unwrap();
    let report = tampered(&EXPORTS[2], |folder| {
        cover_up(folder, |manifest| manifest["evidence"]["checkpoint"]["note"] = note.note.clone().into());
    });
    assert_eq!((report.verdict, report.findings[0].check), (Verdict::Invalid, "T16"));
    let pins = vec![("pin".to_owned(), note.note.into_bytes())];
    let outside = Outside { pins, ..Outside::default() };
    let report = verify(&Host::system(), &EXPORTS[2].folder, &outside, &mut |_, _| {}).unwrap();
    assert_eq!((report.verdict, report.findings[0].check), (Verdict::Invalid, "T15"));
    let own = EXPORTS[2].exported.manifest.evidence.checkpoint.clone().unwrap();
    let outside = Outside { pins: vec![("pin".to_owned(), own.note.into_bytes())], ..Outside::default() };
    let report = verify(&Host::system(), &EXPORTS[2].folder, &outside, &mut |_, _| {}).unwrap();
    assert_eq!((report.verdict, report.anchors.len()), (Verdict::Valid, 1));
    let outside = Outside { digest: Some("00".repeat(32)), ..Outside::default() };
    let report = verify(&Host::system(), &EXPORTS[2].folder, &outside, &mut |_, _| {}).unwrap();
    assert_eq!((report.verdict, report.findings[0].check), (Verdict::Invalid, "T15"));
}

#[test]
fn what_the_manifest_says_is_held_against_the_records() {
    type Edit = fn(&mut serde_json::Value);
    let edits: [(&str, Edit); 9] = [
        ("rows", |m| m["rows"] = 3.into()),
        ("records", |m| m["records"] = 3.into()),
        ("values", |m| m["columns"][0]["rows"] = 3.into()),
        ("dictionary", |m| m["fields"][0]["rows"] = 3.into()),
        ("meaning", |m| m["fields"][0]["meaning"] = "nothing".into()),
        ("filter", |m| m["filter"]["where"] = "true".into()),
        ("query", |m| m["evidence"]["run"] = "SELECT 1".into()),
        ("size", |m| m["evidence"]["covers"]["until"] = 3.into()),
        ("matched", |m| m["evidence"]["counts"]["matched"] = 999.into()),
    ];
    for (name, change) in edits {
        let report = tampered(&EXPORTS[1], |folder| cover_up(folder, change));
        assert_eq!(report.verdict, Verdict::Invalid, "{name}");
    }
    let report = tampered(&EXPORTS[1], |folder| std::fs::write(folder.join("note.txt"), "mine").unwrap());
    assert_eq!((report.verdict, report.findings[0].severity), (Verdict::Consistent, Severity::Note));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn one_flipped_bit_anywhere_is_found(
        export in 0usize..3, file in 0usize..8, at in any::<proptest::sample::Index>(), bit in 0u8..8, careful: bool,
    ) {
        let export = &EXPORTS[export];
        let files: Vec<String> =
            export.exported.manifest.files.iter().map(|file| file.name.clone()).chain([MANIFEST.into(), SUM.into()]).collect();
        let name = &files[file % files.len()];
        // Only what proves and what is proved: padding in a Parquet file is no row's, and its digest alone tells.
        let covered = careful && (name.as_str() == RECORDS || name.as_str() == HASHES);
        let report = tampered(export, |folder| {
            edit(folder, name, |bytes| {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            });
            if covered {
                cover_up(folder, |_| {});
            }
        });
        prop_assert_eq!(report.verdict, Verdict::Invalid, "{}", name);
    }
}
