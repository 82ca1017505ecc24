//! Single bytes: each that is changed is noticed, or carries nothing.

use super::*;

/// The bytes that carry nothing: what may change unnoticed, and why that is no loss. `docs/formats.md` has the same
/// list. The rest of every file is noticed.
pub(super) const CARRIES_NOTHING: &[(&str, &str, &str)] = &[
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
pub(super) fn carries_nothing(file: &Path, bytes: &[u8], offset: usize, newest: &Path) -> bool {
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
pub(super) fn columns_of(fixture: &Fixture) -> Vec<lake::Column> {
    lake::Snapshot::open(Host::system(), fixture.folder.lake()).unwrap().columns().list().to_vec()
}

/// Where the value of a field stands in JSON text.
pub(super) fn value_of(json: &[u8], field: &str) -> std::ops::Range<usize> {
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

pub(super) fn in_name(json: &[u8], field: &str, at: usize) -> bool {
    let name = std::str::from_utf8(json).unwrap().find(&format!("\"{field}\""));
    name.is_some_and(|start| (start..start + field.len() + 2).contains(&at))
}

/// Where the whole frames of a segment end, by their lengths.
pub(super) fn end_of_frames(bytes: &[u8]) -> usize {
    frames(bytes).last().map_or(64, |frame| frame.end)
}

pub(super) fn frames(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
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
