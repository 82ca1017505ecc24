//! A value that a role may not see is in nothing that the role gets, nor in a log, an error or a figure.

use std::io;
use std::sync::{Arc, Mutex};

use reqwest::Method;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::place::{Place, body, decision, id};

const CANARY: &str = "canary7f3a91";

/// What is logged, kept.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Kept {
    type Writer = Kept;

    fn make_writer(&self) -> Kept {
        self.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_masked_value_is_nowhere() {
    let logged = Kept::default();
    // The one test of this process that keeps the log.
    let log = server::config::Log { level: server::config::LogLevel::Debug, ..Default::default() };
    server::logging::begin_to(&log, logged.clone());
    let place = Place::with(&["default"]);
    place.write(
        "access/access.toml",
        "[[mask]]\nfield = \"inputs.name\"\nas = \"drop\"\n[[mask]]\nfield = \"subject\"\nas = \"hash\"\n\
         [[mask]]\nfield = \"inputs.account\"\nas = \"last-4\"\n",
    );
    let (writer, analyst) = (place.token("writer", "default"), place.token("analyst", "default"));
    let (reader, auditor) = (place.token("reader", "default"), place.token("auditor", "default"));
    let admin = place.token("admin", "*");
    let up = place.up().await;
    let record = json!({
        "id": id(0), "model": {"name": "credit-risk", "version": "1"}, "output": 1,
        "inputs": {"name": CANARY, "account": format!("{CANARY}-{CANARY}"), "age": 30},
        "subject": {"id": CANARY, "case": CANARY},
    });
    let late =
        json!({"kind": "oversight", "about": id(0), "subject": {"id": CANARY}, "output": {"before": 1, "after": 0}});
    let lines = format!("{record}\n{late}\n{}", decision(1));
    assert_eq!(up.append("default", &writer, lines).await.status(), 200);
    // What is refused names the field, and no value of another record.
    let wrong = record.to_string().replace("30", "31");
    let (status, told) = body(up.append("default", &writer, wrong).await).await;
    assert!(status == 422 && !told.to_string().contains(CANARY), "{told}");
    let mut got = 0;
    for token in [&analyst, &reader] {
        for path in [
            "records".to_owned(),
            "records?kind=all&columns=inputs:json,subject:json,inputs.name,subject.id,inputs.account".to_owned(),
            format!("records?subject={CANARY}"),
            format!("records?where=inputs.name%20%3D%20'{CANARY}'"),
            format!("records?where=inputs.name%20LIKE%20'{}%25'", &CANARY[..5]),
            "records?where=inputs.name%20%3E%205".to_owned(),
            "records?where=CAST(inputs.account%20AS%20BIGINT)%20%3E%205".to_owned(),
            format!("records/{}?about=true", id(0)),
            "records/0".to_owned(),
            format!("records/{}/proof", id(0)),
            "groups?by=inputs.name&outcome=true".to_owned(),
            "groups?by=model.name&outcome=subject.id%20%3E%20'a'".to_owned(),
            format!("groups?by=model.name&outcome=true&where=inputs.name%20LIKE%20'{}%25'", &CANARY[..5]),
            "stats".to_owned(),
            "gaps".to_owned(),
            "log/checkpoint".to_owned(),
            "log/tile/entries/000.p/1".to_owned(),
        ] {
            for accept in
                ["application/json", "application/x-ndjson", "text/csv", "application/vnd.apache.arrow.stream"]
            {
                let request =
                    up.ask(Method::GET, &format!("/v1/trails/default/{path}"), token).header("accept", accept);
                let response = request.send().await.unwrap();
                let status = response.status();
                let bytes = response.bytes().await.unwrap();
                let text = String::from_utf8_lossy(&bytes);
                assert!(!text.contains(CANARY), "{status} {path} {accept}: {text}");
                got += usize::from(status == 200);
            }
        }
    }
    for query in [
        "SELECT * FROM events",
        "SELECT inputs, subject FROM decisions",
        "SELECT inputs.name || inputs.account, subject.id FROM decisions",
        "SELECT CAST(inputs.account AS BIGINT) FROM decisions",
        "SELECT json_text(\"inputs:json\", 'name'), \"inputs:json\" FROM decisions",
        "SELECT min(inputs.name), max(subject.case) FROM decisions",
        "EXPLAIN ANALYZE SELECT * FROM decisions WHERE inputs.name > 'a'",
        "SELECT length(inputs.name) FROM decisions GROUP BY inputs.name",
    ] {
        let (status, told) = body(up.sql("default", &analyst, query).await).await;
        assert!(!told.to_string().contains(CANARY), "{query}: {told}");
        got += usize::from(status == 200);
    }
    assert!(got > 80, "{got} answers");
    let metrics = up.get("/metrics", &admin).await.text().await.unwrap();
    assert!(metrics.contains("onrecord_http_requests_total") && !metrics.contains(CANARY));
    // Who may see it does: it was there to be found.
    let seen = up.json(&format!("/v1/trails/default/records/{}", id(0)), &auditor).await;
    assert_eq!(seen["record"]["inputs"]["name"], CANARY);
    // By its hash, who is masked can still be found and told apart.
    let masked = up.json(&format!("/v1/trails/default/records/{}", id(0)), &reader).await;
    let hash = masked["record"]["subject"].to_string();
    assert!(masked["masked"] == true && !hash.contains(CANARY), "{masked}");
    up.down().await;
    let log = String::from_utf8_lossy(&logged.0.lock().unwrap()).into_owned();
    assert!(
        log.contains("answered") && !log.contains(CANARY),
        "{}",
        log.lines().find(|line| line.contains(CANARY)).unwrap_or_default()
    );
    for token in [&writer, &analyst, &auditor] {
        assert!(!log.contains(token.as_str()));
    }
}
