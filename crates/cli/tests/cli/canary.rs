//! T21: whatever is done with an encrypted trail's server, no byte of its folders, its temporary files, its log, its
//! metrics or of errors that others get says what a record says.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;

use host::Host;
use record::Part;
use reqwest::blocking::RequestBuilder;
use serde_json::{Value, json};
use trail::{Erasure, Folder, KeyFolder, Options, Writer};

use crate::encryption::{CANARY, with_canary};
use crate::place::{Place, signal};
use crate::up::{LOG, Up, of_today, snapshot, token, until};

const SET: [(&str, &str); 4] = [
    ("LOG__LEVEL", "debug"),
    ("LIMITS__QUERY_BYTES_MAX", "16777216"),
    ("WRITER__SETTLE_EVERY_S", "1"),
    ("LIMITS__IDLE_S_MAX", "30"),
];

/// Records that say it in every section.
fn lines(numbers: std::ops::Range<u32>) -> String {
    let line = |n: u32| {
        let mut record: Value = serde_json::from_str(&of_today(n)).unwrap();
        let text = json!({"text": format!("{CANARY}-{n}"), "more": format!("{CANARY} ").repeat(40), "n": n});
        for section in ["subject", "inputs", "parameters", "output", "explanation", "context"] {
            record[section] = text.clone();
        }
        record["subject"]["id"] = format!("{CANARY}-{n}").into();
        record.to_string() + "\n"
    };
    numbers.map(line).collect()
}

fn nothing_in_clear(place: &Place, after: &str) {
    assert_eq!(with_canary(place), Vec::<PathBuf>::new(), "after {after}");
}

fn send(request: RequestBuilder) -> (u16, String) {
    let answer = request.send().unwrap();
    (answer.status().as_u16(), answer.text().unwrap())
}

fn sql(up: &Up<'_>, token: &str, query: &str) -> RequestBuilder {
    up.client.post(format!("{}/v1/trails/-/sql", up.base)).bearer_auth(token).json(&json!({"query": query}))
}

#[test]
fn no_byte_of_a_server_says_what_a_record_says() {
    let place = Place::new();
    assert_eq!(place.run(&["init", "served/default", "--origin", "example.com/canary"]).code, 0);
    let (writer, auditor, admin) = (token(&place, "writer"), token(&place, "auditor"), token(&place, "admin"));
    let up = Up::with(&place, &SET);
    records_come_in(&place, &up, &writer);
    reads(&place, &up, &auditor);
    errors(&place, &up, &writer, &auditor);
    let (status, metrics) = send(up.get("/metrics", &admin));
    assert!(status == 200 && !metrics.contains(CANARY), "{metrics}");
    // A crash leaves a journal, and a clean end a lake.
    assert_eq!(send(up.append(&writer, lines(3_000..3_050))).0, 200);
    signal(&up.child, "KILL");
    drop(up);
    nothing_in_clear(&place, "a kill");
    let up = Up::with(&place, &SET);
    assert!(send(up.get("/v1/trails/-/records?limit=3", &auditor)).1.contains(CANARY));
    assert_eq!(up.end(), 0);
    nothing_in_clear(&place, "an end");
    assert_eq!(place.run(&["compact", "served/default"]).code, 0);
    nothing_in_clear(&place, "a compaction");
    erase(&place);
    nothing_in_clear(&place, "an erasure");
    let recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    let export = place.run(&["export", "served/default", "-o", "out", "--recipient", recipient]);
    assert_eq!(export.code, 0, "{}", export.err);
    nothing_in_clear(&place, "an export");
    // The sweep finds what is there.
    assert_eq!(place.run(&["init", "open", "--origin", "example.com/open", "--no-encryption"]).code, 0);
    assert_eq!(place.run_on(&["append", "open"], lines(0..10).as_bytes()).code, 0);
    assert!(!with_canary(&place).is_empty());
}

fn records_come_in(place: &Place, up: &Up<'_>, writer: &str) {
    for batch in 0..4 {
        let (status, told) = send(up.append(writer, lines(batch * 500..(batch + 1) * 500)));
        assert_eq!(status, 200, "{told}");
    }
    let about = serde_json::from_str::<Value>(&of_today(1)).unwrap()["id"].clone();
    let late = json!({"kind": "outcome", "about": about, "output": {"label": CANARY}});
    assert_eq!(send(up.append(writer, format!("{late}\n"))).0, 200);
    // What is no record, what is another one of the same id, and what cannot be unpacked.
    let other = lines(1..2).replace("\"n\":1", "\"n\":2");
    for wrong in [format!("{{\"{CANARY}\":1}}\n"), format!("{{\"id\":\"{CANARY}\"}}\n"), other, CANARY.to_owned()] {
        assert_eq!(send(up.append(writer, wrong)).0, 422);
    }
    assert_eq!(send(up.append(writer, CANARY.to_owned()).header("content-encoding", "gzip")).0, 400);
    nothing_in_clear(place, "records came in");
    until("the lake to have them", || (snapshot(place).settled() >= 2_000).then_some(()));
    nothing_in_clear(place, "they were settled");
}

fn reads(place: &Place, up: &Up<'_>, auditor: &str) {
    let found = send(up.get(&format!("/v1/trails/-/records?where=inputs.text%20%3D%20'{CANARY}-7'"), auditor));
    assert!(found.0 == 200 && found.1.contains(CANARY), "{}", found.1);
    let purpose = up.get("/v1/trails/-/records?limit=1", auditor).header("onrecord-purpose", CANARY);
    assert_eq!(send(purpose).0, 200);
    assert!(send(up.get("/v1/trails/-/records/1?about=true", auditor)).1.contains(CANARY));
    let counted = format!("SELECT count(*) AS n FROM decisions WHERE inputs.text LIKE '{CANARY}%'");
    let (status, told) = send(sql(up, auditor, &counted));
    assert!(status == 200 && told.contains("\"n\":2000"), "{told}");
    nothing_in_clear(place, "reads");
    // More than memory holds is not put into a file.
    let large = "SELECT a.inputs.more || b.inputs.more AS x FROM decisions a CROSS JOIN decisions b ORDER BY 1 DESC";
    let (status, told) = send(sql(up, auditor, large));
    assert!(status == 422 && !told.contains(CANARY), "{told}");
    nothing_in_clear(place, "a query that is too large");
    // While an answer is under way, which its reader does not take.
    let mut stream = TcpStream::connect(up.address()).unwrap();
    let head = format!(
        "GET /v1/trails/-/records?limit=2000 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {auditor}\r\n\
         accept: application/x-ndjson\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.read_exact(&mut [0; 10_000]).unwrap();
    nothing_in_clear(place, "half of an answer");
}

/// What goes wrong with a value is told without it, and is not in the log at all.
fn errors(place: &Place, up: &Up<'_>, writer: &str, auditor: &str) {
    let of_value = [
        "SELECT CAST(inputs.text AS BIGINT) AS x FROM decisions",
        // Behind a first row: the answer has begun.
        "SELECT 1 AS x UNION ALL SELECT CAST(inputs.text AS BIGINT) AS x FROM decisions",
        "SELECT CASE WHEN inputs.n < 3 THEN CAST(inputs.text AS BIGINT) ELSE inputs.n END AS x FROM decisions",
        "SELECT to_timestamp(inputs.text) AS x FROM decisions",
        "SELECT CAST(inputs.text AS DECIMAL(3, 1)) FROM decisions",
    ];
    for query in of_value {
        if let Ok(answer) = sql(up, auditor, query).header("accept", "application/x-ndjson").send() {
            let status = answer.status().as_u16();
            assert!(matches!(status, 200 | 422), "{query}: {status}");
            // It may break off.
            let _ = answer.text();
        }
    }
    for path in [
        format!("/v1/trails/{CANARY}/stats"),
        format!("/v1/trails/-/records/{CANARY}"),
        format!("/v1/trails/-/records?{CANARY}=1"),
        format!("/v1/trails/-/records?where={CANARY}"),
        format!("/v1/trails/-/records?kind={CANARY}"),
        format!("/v1/trails/-/log/tile/{CANARY}"),
        format!("/{CANARY}"),
    ] {
        let (status, told) = send(up.get(&path, auditor));
        assert!((400..500).contains(&status), "{path}: {status} {told}");
    }
    assert_eq!(send(up.get("/v1/trails/-/stats", CANARY)).0, 401);
    assert_eq!(send(up.get("/v1/trails/-/records", writer).header("onrecord-purpose", CANARY)).0, 403);
    let (status, told) = send(sql(up, auditor, &format!("SELECT '{CANARY}' FROM {CANARY}")));
    assert_eq!(status, 422, "{told}");
    // At least one of the answers had begun when it came to the value.
    assert!(place.read(LOG).contains("an answer broke off"));
    nothing_in_clear(place, "errors");
}

/// T20: what is erased is gone as well, and declared.
fn erase(place: &Place) {
    let folder = Folder::new(place.path("served/default")).with_keys(&KeyFolder(place.path("keys")));
    let host = Host::system();
    let writer = Writer::open(&host, &folder, &KeyFolder(place.path("keys")), Options::default()).unwrap();
    let parts = Part::ALL.iter().skip(1).map(|part| part.name().to_owned()).collect();
    let erasure = Erasure {
        id: host.uuid_v7(),
        indices: vec![1, 2, 3],
        parts,
        basis: "GDPR article 17".to_owned(),
        by: "test".to_owned(),
    };
    writer.erase(&erasure).unwrap();
    writer.close().unwrap();
    let record = record::to_json(&snapshot(place).get(2).unwrap().unwrap().stored).unwrap();
    assert!(!record.contains(CANARY), "{record}");
}
