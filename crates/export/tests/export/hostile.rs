//! Folders that were made to harm whoever checks them end in a finding, in bounded memory (T24).

use export::{HASHES, MANIFEST, RECORDS, RowFormat, SUM};
use trail::Verdict;

use crate::trail_of::{ALL, check, copy, every, shared};

fn hostile(change: impl FnOnce(&std::path::Path)) -> export::Report {
    static EXPORT: std::sync::LazyLock<std::path::PathBuf> =
        std::sync::LazyLock::new(|| shared().export("hostile", every(), &ALL, RowFormat::Ndjson, 30).folder);
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("copy");
    copy(&EXPORT, &folder);
    change(&folder);
    check(&folder)
}

fn with_manifest(text: impl Into<Vec<u8>>) -> export::Report {
    let text = text.into();
    hostile(|folder| std::fs::write(folder.join(MANIFEST), text).unwrap())
}

#[test]
fn no_manifest_does_harm() {
    let deep = format!("{{\"onrecord_export\":{}", "[".repeat(1_000_000));
    for text in ["", "{}", "null", "[1]", "{\"onrecord_export\":2}", "{\"onrecord_export\":1}", &deep] {
        let report = with_manifest(text);
        assert_eq!(report.verdict, Verdict::Invalid);
        assert!(report.findings.iter().any(|found| found.what.contains("no manifest")), "{:?}", report.findings);
    }
    let newer = with_manifest("{\"onrecord_export\":2}");
    assert!(newer.findings.iter().any(|found| found.what.contains("newer onrecord")));
}

#[test]
fn no_name_leads_out_of_the_folder() {
    for name in ["../trail/trail.json", "/etc/passwd", "rows-0002.ndjson", "manifest.json", "rows-0001.csv"] {
        let report = hostile(|folder| {
            let text = std::fs::read_to_string(folder.join(MANIFEST)).unwrap();
            std::fs::write(folder.join(MANIFEST), text.replacen("rows-0001.ndjson", name, 1)).unwrap();
        });
        assert!(report.findings.iter().any(|found| found.what.contains("must stand")), "{name}: {:?}", report.findings);
    }
    for name in [MANIFEST, SUM, RECORDS, HASHES, "rows-0001.ndjson"] {
        let report = hostile(|folder| {
            std::fs::remove_file(folder.join(name)).unwrap();
            std::os::unix::fs::symlink("/dev/zero", folder.join(name)).unwrap();
        });
        assert_eq!(report.verdict, Verdict::Invalid, "{name}");
    }
}

#[test]
fn no_length_is_believed() {
    // A byte string of 2^32-1 bytes, one in a longer form than it needs, one that is cut, one that is no byte string.
    for head in [&b"\x5a\xff\xff\xff\xff"[..], b"\x5a\x00\x00\x00\x01\x00", b"\x59\xff\xff\x00", b"\x9f", b"\x5f\xff"] {
        let report = hostile(|folder| std::fs::write(folder.join(RECORDS), head).unwrap());
        assert_eq!(report.verdict, Verdict::Invalid, "{head:02x?}");
        assert!(export::reread(head).is_err());
    }
    let huge = hostile(|folder| {
        let text = std::fs::read_to_string(folder.join(MANIFEST)).unwrap();
        let huge = text.replace("\"rows\": 30", "\"rows\": 18446744073709551615");
        assert_ne!(text, huge);
        std::fs::write(folder.join(MANIFEST), huge).unwrap();
    });
    assert_eq!(huge.verdict, Verdict::Invalid);
    let short = hostile(|folder| std::fs::write(folder.join(HASHES), [7; 33]).unwrap());
    assert_eq!(short.verdict, Verdict::Invalid);
}

#[test]
fn no_filter_is_too_deep() {
    for deep in ["true OR ".repeat(8_000) + "true", "NOT ".repeat(16_000) + "true", "(".repeat(1 << 20)] {
        let report = hostile(|folder| {
            let mut manifest: serde_json::Value =
                serde_json::from_slice(&std::fs::read(folder.join(MANIFEST)).unwrap()).unwrap();
            manifest["filter"]["where"] = deep.into();
            std::fs::write(folder.join(MANIFEST), manifest.to_string()).unwrap();
        });
        assert_eq!(report.verdict, Verdict::Invalid);
    }
}
