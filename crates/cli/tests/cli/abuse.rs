//! I12, T24: callers that mean ill, against the real process: its memory stays under a bound, each refusal is clear, and it
//! answers others all the while. `ONRECORD_TEST_LONG=1` makes the floods ten times as large.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::place::Place;
use crate::up::{LOG, Up, of_today, token};

/// Memory that the process may ever have, MiB: the limits below, and what an idle debug build has.
const MEMORY_MIB_MAX: u64 = 512;

const LIMITS: [(&str, &str); 7] = [
    ("LIMITS__BODY_BYTES_MAX", "8388608"),
    ("LIMITS__UNPACKED_BYTES_MAX", "16777216"),
    ("LIMITS__BYTES_IN_FLIGHT_MAX", "67108864"),
    ("LIMITS__QUERY_BYTES_MAX", "67108864"),
    ("LIMITS__QUERY_S_MAX", "10"),
    ("LIMITS__HEADER_S_MAX", "2"),
    ("LIMITS__IDLE_S_MAX", "2"),
];

fn long() -> bool {
    std::env::var_os("ONRECORD_TEST_LONG").is_some()
}

/// Sends bytes, and reads until the server closes: the status, and what came.
fn raw(address: &str, bytes: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer).into_owned();
    (text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0), text)
}

/// A refusal says in the one form that there is what is wrong.
fn is_clear(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let problem: Value = serde_json::from_str(body).unwrap_or_default();
    head.contains("application/problem+json") && problem["type"].is_string() && problem["detail"].is_string()
}

struct Abused<'p> {
    up: Up<'p>,
    writer: String,
    auditor: String,
}

impl Abused<'_> {
    fn post(&self, media: &str, packing: Option<&str>, body: Vec<u8>) -> (u16, Value) {
        let request = self.up.client.post(format!("{}/v1/trails/-/records", self.up.base)).bearer_auth(&self.writer);
        let request = request.header("content-type", media).body(body);
        let request = match packing {
            Some(packing) => request.header("content-encoding", packing),
            None => request,
        };
        let answer = request.send().unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().unwrap());
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// It answers who means well, and has not grown too much.
    fn is_well(&self, number: u32, after: &str) {
        let answer = self.up.append(&self.writer, of_today(number)).send().unwrap();
        assert_eq!(answer.status(), 200, "after {after}");
        let memory = self.up.memory_mib();
        println!("after {after}: {memory} MiB at most");
        assert!(memory < MEMORY_MIB_MAX, "after {after}: {memory} MiB");
    }
}

fn packed_gzip(block: &[u8], times: usize) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    (0..times).for_each(|_| packer.write_all(block).unwrap());
    packer.finish().unwrap()
}

#[test]
fn a_server_withstands_abuse() {
    let place = Place::new();
    assert_eq!(place.run(&["init", "served/default"]).code, 0);
    let (writer, auditor) = (token(&place, "writer"), token(&place, "auditor"));
    let abused = Abused { up: Up::with(&place, &LIMITS), writer, auditor };
    paths(&abused);
    abused.is_well(0, "paths that lead elsewhere");
    bodies(&abused);
    abused.is_well(1, "bombs, depths and absurd lengths");
    floods(&abused);
    abused.is_well(2, "floods of fields and bytes");
    slow(&abused);
    abused.is_well(3, "slow connections");
    let log = place.read(LOG);
    for line in ["panicked", "a request failed", "cannot be read"] {
        assert!(!log.contains(line), "{}", log.lines().find(|told| told.contains(line)).unwrap());
    }
    assert_eq!(abused.up.end(), 0);
    assert_eq!(place.run(&["verify", "served/default"]).code, 0);
}

fn paths(abused: &Abused<'_>) {
    let head = |path: &str| {
        let token = &abused.auditor;
        [
            b"GET ",
            path.as_bytes(),
            b" HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ",
            token.as_bytes(),
            b"\r\nconnection: close\r\n\r\n",
        ]
        .concat()
    };
    for path in [
        "/v1/trails/../stats",
        "/v1/trails/%2e%2e/stats",
        "/v1/trails/..%2f..%2fetc/stats",
        "/v1/trails/default%2f..%2faccess/stats",
        "/v1/trails/access/stats",
        "/v1/trails/default%00/stats",
        "/v1/trails/%c0%ae%c0%ae/stats",
        "/v1/trails/%ff/stats",
        "/v1/trails/default/../access/stats",
        "/v1/trails//default/stats",
        "//v1/trails/default/stats",
        "/v1/trails/default/stats/",
        "/V1/trails/default/stats",
        "/v1/trails/default/records/..%2f..%2ftrail.json",
        "/v1/trails/default/records/%00",
        "/v1/trails/default/records/%c3%28",
        "/v1/trails/default/log/tile/../../trail.json",
        "/v1/trails/default/log/tile/..%2f..%2ftrail.json",
        "/v1/trails/default/log/tile/0/%2e%2e/000",
        "/v1/trails/default/log/tile/0/000%00",
        "/v1/trails/default/log/tile/%c0%af",
        "/v1/trails/default/log/tile/0//000",
        "/v1/trails/default/log/tile/99999999999999999999/000",
        "/v1/trails/default/records?limit=99999999999999999999",
        "/v1/trails/default/records?where=%00",
        "/v1/trails/default/records?since=999999999999999999999d",
        "/v1/trails/default/records?cursor=%ff%fe",
        "/v1/trails/default/stats?unknown=1",
    ] {
        let (status, text) = raw(abused.up.address(), &head(path));
        assert!((400..500).contains(&status) && is_clear(&text), "{path}: {text}");
    }
    // What is no text at all, and what stands for other servers.
    for path in [b"/\xff\xfe".as_slice(), b"/v1/trails/\x00/stats", b"http://example.com/", b"*", b"/a b"] {
        let request = [b"GET ", path, b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"].concat();
        let (status, text) = raw(abused.up.address(), &request);
        assert!(status == 0 || (400..500).contains(&status), "{path:?}: {text}");
    }
}

fn bodies(abused: &Abused<'_>) {
    let mib = if long() { 1024 } else { 256 };
    for byte in [b'\n', b'[', b'"', 0] {
        let gzip = packed_gzip(&vec![byte; 1 << 20], mib);
        for (packing, bomb) in [("gzip", gzip), ("zstd", packed_zstd(byte, mib, 17))] {
            for media in ["application/x-ndjson", "application/json", "application/cbor-seq"] {
                let (status, told) = abused.post(media, Some(packing), bomb.clone());
                assert!(matches!(status, 413 | 422) && told["type"].is_string(), "{packing} {media}: {status} {told}");
            }
        }
    }
    // Who asks for a window of 2 GiB is not given one.
    assert_eq!(abused.post("application/json", Some("zstd"), packed_zstd(b' ', 8, 31)).0, 400);
    let deep = |open: &str, close: &str| {
        format!("{{\"kind\":\"config\",\"context\":{}1{}}}", open.repeat(100_000), close.repeat(100_000)).into_bytes()
    };
    let head = |field: &[u8]| [&[0xa1, 0x67][..], b"context", field].concat();
    let most = [0xff; 8];
    for (media, body) in [
        ("application/json", deep("{\"a\":", "}")),
        ("application/json", deep("[", "]")),
        ("application/json", "[".repeat(100_000).into_bytes()),
        ("application/cbor-seq", head(&[0x81; 100_000])),
        ("application/cbor-seq", head(&[&[0x9b], &most[..]].concat())),
        ("application/cbor-seq", head(&[&[0xbb], &most[..]].concat())),
        ("application/cbor-seq", head(&[&[0x5b], &most[..]].concat())),
        ("application/cbor-seq", head(&[&[0x7b], &most[..]].concat())),
        ("application/cbor-seq", head(&[0x7b, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff])),
        ("application/cbor-seq", [&[0xbb], &most[..]].concat()),
        ("application/cbor-seq", head(&[0x9f; 1000])),
        ("application/cbor-seq", head(&[&[0xdb], &most[..]].concat())),
    ] {
        let (status, told) = abused.post(media, None, body);
        assert!(matches!(status, 400 | 422), "{media}: {status} {told}");
        assert!(told["type"].is_string() && told.to_string().len() < 20_000, "{told}");
    }
    assert_eq!(abused.post("application/json", Some("gzip, gzip"), b"{}".to_vec()).0, 415);
    let many = format!("{{{}\"kind\":\"config\"}}", (0..100_000).map(|n| format!("\"k{n}\":1,")).collect::<String>());
    assert_eq!(abused.post("application/json", None, many.into_bytes()).0, 422);
    let query = |text: String| {
        let request = abused.up.client.post(format!("{}/v1/trails/-/sql", abused.up.base)).bearer_auth(&abused.auditor);
        let request = request.timeout(Duration::from_secs(200)).json(&serde_json::json!({"query": text}));
        let answer = request.send().unwrap();
        (answer.status().as_u16(), answer.text().unwrap())
    };
    for text in [
        format!("SELECT {}1{}", "(".repeat(20_000), ")".repeat(20_000)),
        format!("SELECT {}1", "-".repeat(20_001)),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(3_000)),
        format!(
            "SELECT 1 FROM decisions d0{}",
            (1..1_000).map(|n| format!(" CROSS JOIN decisions d{n}")).collect::<String>()
        ),
        format!("SELECT {} FROM decisions WHERE true{}", "1".repeat(10), " OR NOT output IS NULL".repeat(2_500)),
        format!("SELECT repeat('x', {})", i64::MAX),
        "x".repeat(1 << 20),
    ] {
        let (status, told) = query(text.clone());
        assert!(matches!(status, 413 | 422), "{}: {status} {told}", &text[..30]);
    }
}

/// A zstd frame of blocks that say one byte 128 KiB long each (RFC 8878, section 3.1.1.2), with a window of 2^log bytes.
fn packed_zstd(byte: u8, mib: usize, window_log: u8) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, (window_log - 10) << 3];
    let blocks = mib * 8;
    for block in 0..blocks {
        let head = u32::from(block + 1 == blocks) | 1 << 1 | (128 << 10) << 3;
        frame.extend_from_slice(&head.to_le_bytes()[..3]);
        frame.push(byte);
    }
    frame
}

fn floods(abused: &Abused<'_>) {
    let address = abused.up.address();
    let fields: String = (0..10_000).map(|n| format!("x-{n}: y\r\n")).collect();
    for head in [
        format!("GET /health/live HTTP/1.1\r\nhost: x\r\n{fields}\r\n"),
        format!("GET /health/live HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(4 << 20)),
        format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(4 << 20)),
        format!("GET /health/live HTTP/1.1\r\nhost: x\r\n{}\r\n\r\n", "x".repeat(100_000)),
        format!("{}\r\n", "\r\n".repeat(100_000)),
    ] {
        let (status, text) = raw(address, head.as_bytes());
        assert!(matches!(status, 0 | 400 | 414 | 431), "{}: {text}", &head[..50]);
    }
    // More bytes than there may be, and more than there is memory for, from several at once; and without a token.
    let total: u64 = if long() { 1 << 30 } else { 128 << 20 };
    for token in [Some(&abused.writer), None] {
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(move || {
                    let body = reqwest::blocking::Body::new(std::io::repeat(b' ').take(total));
                    let url = format!("http://{address}/v1/trails/-/records");
                    let request = reqwest::blocking::Client::new().post(url).header("content-type", "application/json");
                    let request = match token {
                        Some(token) => request.bearer_auth(token),
                        None => request,
                    };
                    // It may be closed before it has taken everything that comes.
                    if let Ok(answer) = request.body(body).send() {
                        assert!(matches!(answer.status().as_u16(), 401 | 413 | 503), "{}", answer.status());
                    }
                });
            }
        });
    }
}

/// Thousands that say nothing, say it slowly, or take nothing, in batches; between these it answers.
fn slow(abused: &Abused<'_>) {
    let (batches, each) = if long() { (20, 500) } else { (4, 250) };
    let mine = std::process::id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &mine, "--nofile=20000:"]).status();
    if !raised.is_ok_and(|raised| raised.success()) {
        println!("SKIPPED slow connections: there are no descriptors for them; run it as one who may raise the limit");
        return;
    }
    let token = &abused.writer;
    let says = [
        String::new(),
        "GET /health/live HTTP/1.1\r\nhost: x\r\nx-slow: ".to_owned(),
        format!(
            "POST /v1/trails/-/records HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: 1000\r\n\r\n{{"
        ),
        "GET /v1/docs HTTP/1.1\r\nhost: x\r\n\r\n".repeat(50),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ];
    let mut open = Vec::new();
    for batch in 0..batches {
        for number in 0..each {
            // The queue of those that wait to be accepted may be full for a moment.
            let Ok(mut stream) = TcpStream::connect(abused.up.address()) else { continue };
            let _ = stream.write_all(says[number % says.len()].as_bytes());
            open.push(stream);
        }
        let answer = abused.up.append(token, of_today(50_000 + batch)).send().unwrap();
        assert_eq!(answer.status(), 200, "behind {} slow connections", open.len());
    }
    assert!(open.len() > batches as usize * each * 9 / 10, "{}", open.len());
    // Each of them ends by itself.
    for mut stream in open {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let read = std::io::copy(&mut stream, &mut std::io::sink());
        assert!(!read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "one stays open");
    }
}
