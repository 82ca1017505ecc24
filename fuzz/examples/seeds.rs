//! Writes the inputs that a corpus begins with: what is sound, made by the code itself, and the vectors of the formats.
//!
//! `cargo run -p fuzz --example seeds`, when a format changed; then `make fuzz` grows them, and `make fuzz-merge` keeps
//! those that reach something.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a tool for those who work on the targets")]

use std::path::Path;

use fuzz::scratch::put;
use fuzz::{lake, tlog};
use record::{CborParser, JsonParser, Limits, Part, to_cbor, to_json};

fn seed(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    host::Host::system().create_dir_all(&folder, "seed").unwrap();
    put(folder.join(format!("seed-{name}")), bytes);
}

fn main() {
    records();
    notes();
    files();
    inputs();
}

fn vectors() -> Vec<serde_json::Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/record/tests/vectors/records.json");
    let vectors: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let records = vectors.as_array().or_else(|| vectors["records"].as_array());
    records.unwrap().iter().filter_map(|vector| vector["json"].as_str().map(|_| vector.clone())).collect()
}

fn records() {
    for (n, vector) in vectors().iter().enumerate() {
        let text = vector["json"].as_str().unwrap();
        seed("record_json", &format!("vector-{n:02}"), text.as_bytes());
        if let Ok(record) = JsonParser::new(Limits::DEFAULT).parse(text.as_bytes()) {
            let face = to_cbor(&record.parts).unwrap();
            assert!(CborParser::new(Limits::DEFAULT).parse(&face).is_ok());
            seed("record_cbor", &format!("vector-{n:02}"), &face);
        }
    }
    for (n, (_, stored)) in lake::records().iter().enumerate() {
        let mut bytes = Vec::new();
        stored.write(&mut bytes);
        seed("record_stored", &format!("record-{n:02}"), &bytes);
        seed("record_json", &format!("record-{n:02}"), to_json(stored).unwrap().as_bytes());
        seed("record_envelope", &format!("stamp-{n:02}"), &stored.stamp.to_canonical());
        let parts = stored.parts().cloned().unwrap_or_default();
        if let Some(envelope) = parts.get(Part::Envelope) {
            seed("record_envelope", &format!("envelope-{n:02}"), envelope);
        }
        if let Some(context) = parts.get(Part::Context) {
            seed("record_cbor", &format!("context-{n:02}"), context);
        }
        if let record::Body::Partial { erased, .. } = &stored.body {
            seed("record_envelope", &format!("erased-{n:02}"), &erased.to_canonical());
        }
    }
    for (n, text) in
        ["inputs.income", "inputs[\"odd key\"]", "output", "model.version", "inputs[\"a.b\"].c[\"\\\"q\\\"\"]"]
            .iter()
            .enumerate()
    {
        seed("field_ref", &n.to_string(), text.as_bytes());
    }
}

fn notes() {
    for (n, (size, times)) in
        [(0, &[][..]), (1, &[0]), (300, &[1_700_000_000]), (600, &[5, 1_700_000_000])].into_iter().enumerate()
    {
        seed("tlog_note", &format!("signed-{n}"), tlog::signed(size, times).as_bytes());
    }
    let fixture = |name: &str| {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/tlog/tests/fixtures").join(name)).unwrap()
    };
    seed("tlog_proof", "fixture", &fixture("entry-5.tlog-proof"));
    seed("tlog_policy", "fixture", &fixture("policy.txt"));
    seed("tlog_policy", "ours", tlog::policy_text().as_bytes());
    let groups = "group g any w\nquorum g\n";
    seed("tlog_policy", "group", tlog::policy_text().replace("quorum w\n", groups).as_bytes());
    seed("tlog_policy", "none", tlog::policy_text().replace("quorum w\n", "# none\nquorum none\n").as_bytes());
    for (n, key) in tlog::policy_text().split_whitespace().filter(|word| word.contains('+')).enumerate() {
        seed("tlog_note", &format!("key-{n}"), key.as_bytes());
    }
    for (index, size, extra) in [(0, 1, &b""[..]), (5, 6, b"x"), (421, 600, b""), (256, 257, b"hint")] {
        seed("tlog_proof", &format!("{index}-of-{size}"), tlog::sound_proof(index, size, extra).as_bytes());
    }
    for (n, path) in
        ["tile/0/000", "tile/2/x001/x234/067.p/3", "tile/entries/000.p/2", "tile/63/x018/x446/744"].iter().enumerate()
    {
        let contents = if n == 2 { vec![0, 2, b'a', b'b', 0, 0] } else { vec![7; 96] };
        seed("tlog_tile", &n.to_string(), &[path.as_bytes(), b"\n", &contents].concat());
    }
    for (n, head) in
        [[0, 43, 2, 7, 0, 0], [1, 43, 2, 7, 0, 0], [0, 0, 1, 0, 0, 1], [1, 255, 1, 0, 1, 2], [0, 9, 0, 3, 0, 3]]
            .iter()
            .enumerate()
    {
        seed("tree_proof", &n.to_string(), &[&head[..], &[1, 0, 0xff, 40, 0, 1, 9, 9, 9]].concat());
    }
}

fn files() {
    seed("lake_file", "good", &lake::good_file());
    for (place, entry) in lake::good_log().iter().enumerate() {
        seed("lake_log", &format!("entry-{place}"), &[&[place as u8][..], entry].concat());
        seed("lake_log", &format!("again-{place}"), &[&[2][..], entry].concat());
    }
    for (place, (name, bytes)) in lake::good_checkpoints().iter().enumerate() {
        seed("lake_checkpoint", name, &[&[place as u8][..], bytes].concat());
    }
    seed("trail_settings", "good", &fuzz::trail::good_settings());
    for (n, change) in
        [[0, 7, 0, 0, 0, 0], [1, 7, 9, 0, 1, 1], [3, 0, 0, 0, 0, 0], [4, 1, 60, 0, 0, 0], [6, 5, 0, 0, 2, 0]]
            .iter()
            .enumerate()
    {
        seed("trail_folder", &n.to_string(), change);
    }
    // Three whole frames; a torn tail; a second segment; a hole that a later frame proves.
    for (n, script) in [
        &b"\x05\x15\x00aaaa\x25\x00bbbbbbb\x35\x00ccc"[..],
        b"\x00\x15\x00aaaa\x11zz\x22",
        b"\x00\x15\x00aaaa\x15\x00bbbb\x00\x15\x00aaaa",
        b"\x00\x15\x00aaaa\x1c\x00bbbb\x15\x00cccc\x15\x01dddd",
        b"\x00\x15\x00aaaa\x1d\x00bbbb\x1e\x00cccc\x1f\x00dddd\x1b\x03\x02ffff\x43\x64\x55",
    ]
    .iter()
    .enumerate()
    {
        seed("journal_frames", &n.to_string(), script);
        for (first, bytes) in fuzz::journal::segments(script) {
            seed("journal_bytes", &format!("{n}-{first}"), &[&[first as u8][..], &bytes].concat());
        }
    }
}

fn inputs() {
    let line = r#"{"kind":"config","context":{"a":[1,"two",null],"b":{"c":NaN}}}"#;
    let cbor = [&b"\xa2\x64kind\x66config\x67context\xa1\x61a\x01"[..]; 2].concat();
    for (n, (form, bytes)) in [
        (0, format!("\u{feff}{line}\n\n{line}\r\nnot json\n{line}").into_bytes()),
        (1, format!("[{line},\n {line}]").into_bytes()),
        (1, format!("{line}{line} {{\"kind\":").into_bytes()),
        (2, cbor.clone()),
        (2, [&cbor[..], b"\x62a"].concat()),
    ]
    .into_iter()
    .enumerate()
    {
        seed("input_records", &n.to_string(), &[&[form, 3][..], &bytes].concat());
        seed("input_records", &format!("{n}-packed"), &[&[form, 1][..], &packed(&bytes)].concat());
    }
    seed("input_records", "bomb", &[&[0, 255][..], &packed(&vec![b'\n'; 1 << 16])].concat());
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}
