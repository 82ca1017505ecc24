//! Readers are on the record: `begin` before the first byte, `end` with what it came to, one pair a query (I11, T27).

use std::time::Duration;

use access::{Assignment, Names, Role};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::place::{Place, decision, id, until};

fn context<'a>(records: &'a [(u64, Value)], event: &str) -> Vec<&'a Value> {
    records.iter().map(|(_, record)| &record["context"]).filter(|context| context["event"] == event).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_read_is_a_pair_and_reading_them_is_no_chain() {
    let place = Place::with(&["default"]);
    let (writer, auditor) = (place.token("writer", "default"), place.token("auditor", "default"));
    let up = place.up().await;
    let lines: String = (0..10).map(decision).collect();
    assert_eq!(up.append("default", &writer, lines).await.status(), 200);
    up.json("/v1/trails/default/records?limit=3&where=inputs.income%20%3E%200", &auditor).await;
    up.json(&format!("/v1/trails/default/records/{}", id(4)), &auditor).await;
    assert!(up.sql("default", &auditor, "SELECT count(*) FROM events").await.text().await.unwrap().len() > 10);
    // Reading the log of reads is a read.
    up.json("/v1/trails/default/records?kind=access", &auditor).await;
    // Failing is one too.
    assert_eq!(up.sql("default", &auditor, "SELECT nothing FROM events").await.status(), 422);
    // Figures, hashes and appends are none.
    up.json("/v1/trails/default/stats", &auditor).await;
    up.get("/v1/trails/default/log/checkpoint", &auditor).await;
    up.down().await;
    let records = place.access_records("default");
    let (begins, ends) = (context(&records, "begin"), context(&records, "end"));
    assert_eq!((begins.len(), ends.len(), records.len()), (5, 5, 10), "{records:?}");
    let actions: Vec<&Value> = begins.iter().map(|begin| &begin["action"]).collect();
    assert_eq!(actions, ["search", "read-record", "sql", "search", "sql"]);
    assert_eq!(begins[0]["asked"], "GET records?limit=3&where=inputs.income+%3E+0");
    assert_eq!(begins[2]["asked"], "SELECT count(*) FROM events");
    assert_eq!((&begins[0]["role"], &begins[0]["from"]), (&"auditor".into(), &"127.0.0.1".into()));
    let of = |begin: usize| {
        let (index, record) =
            records.iter().filter(|(_, record)| record["context"]["event"] == "begin").nth(begin).unwrap();
        let snapshot = place.snapshot("default");
        let stamp_id = snapshot.get(*index).unwrap().unwrap().stored.stamp.id.to_string();
        (record, ends.iter().find(|end| end["begin"] == stamp_id.as_str()).unwrap())
    };
    let (begin, end) = of(0);
    assert_eq!((&end["result"], &end["status"], &end["rows"]), (&"done".into(), &200.into(), &3.into()));
    // It could see the ten records, and the one that says so.
    assert_eq!(end["covers"], serde_json::json!({"from": 0, "until": 11}));
    assert_eq!(begin["subject"]["name"], "auditor");
    assert!(begin["subject"]["id"].as_str().unwrap().starts_with("token:"));
    assert_eq!(of(1).0["about"], id(4).as_str());
    assert_eq!((&of(4).1["result"], &of(4).1["status"]), (&"failed".into(), &422.into()));
}

/// T27: nothing is answered before the record of it is durable. A trail that can take no record answers no read.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_recorded_is_not_read() {
    let place = Place::with(&["default"]);
    let (writer, auditor) = (place.token("writer", "default"), place.token("auditor", "default"));
    let mut config = place.config();
    config.writer.backlog_bytes_max = Some(1 << 20);
    config.writer.settle_every_s = Some(3600);
    let up = place.up_with(config).await;
    // Until the journal has no room even for an access record.
    let filler = decision(0).replace("0.85", &format!("\"{}\"", "x".repeat(4000)));
    let mut full = None;
    for number in 0..400 {
        let line = filler.replace(&id(0), &id(number));
        let response = up.append("default", &writer, line).await;
        if response.status() == 503 {
            full = Some(response);
            break;
        }
    }
    let full = full.expect("the journal has a limit");
    assert!(full.headers().contains_key("retry-after"));
    let told: Value = full.json().await.unwrap();
    assert_eq!(told["type"], "urn:onrecord:problem:backlog");
    let mut small = 1000;
    while up.append("default", &writer, decision(small)).await.status() == 200 {
        small += 1;
    }
    let read = up.get("/v1/trails/default/records", &auditor).await;
    assert_eq!(read.status(), 503);
    assert!(!read.text().await.unwrap().contains("customer"));
    up.down().await;
    assert!(context(&place.access_records("default"), "begin").is_empty());
}

/// Whoever goes away in the middle of an answer has read what was handed over until then.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_broke_off_is_told_with_what_was_handed_over() {
    let place = Place::with(&["default"]);
    let (writer, auditor) = (place.token("writer", "default"), place.token("auditor", "default"));
    let up = place.up().await;
    let long = decision(0).replace("0.85", &format!("\"{}\"", "x".repeat(8000)));
    for batch in 0..4 {
        let lines: String = (0..1000).map(|number| long.replace(&id(0), &id(batch * 1000 + number))).collect();
        assert_eq!(up.append("default", &writer, lines).await.status(), 200);
    }
    // 32 MiB of rows are more than any buffer on the way holds.
    let address = up.base.strip_prefix("http://").unwrap().to_owned();
    let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "GET /v1/trails/default/records?limit=4000 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {auditor}\r\n\
         accept: application/x-ndjson\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut some = vec![0; 10_000];
    stream.read_exact(&mut some).await.unwrap();
    // Its record is durable by now, whatever becomes of the rest.
    let begun = place.access_records("default");
    assert_eq!(context(&begun, "begin").len(), 1);
    drop(stream);
    let end = until("the end of the read", async || {
        let records = place.access_records("default");
        context(&records, "end").first().map(|end| (*end).clone())
    });
    let end = end.await;
    assert_eq!(end["result"], "broken-off", "{end}");
    let rows = end["rows"].as_u64().unwrap();
    assert!(rows > 0 && rows < 4000, "{end}");
    up.down().await;
}

/// What a reader may see of what is about a record is there, however much newer that is hidden.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_seen_is_not_lost_behind_what_is_hidden() {
    let place = Place::with(&["default"]);
    let writer = place.token("writer", "default");
    let mut of_one = Assignment::new(Role::new("auditor").unwrap(), Names::of(["default"]).unwrap());
    of_one.models = Names::of(["credit-risk"]).unwrap();
    let of_one = place.token_of("credit", of_one);
    let up = place.up().await;
    let outcome = |number: u32, model: &str| {
        let model = json!({"name": model, "version": "1"});
        json!({"id": id(number), "kind": "outcome", "about": id(0), "model": model, "output": number}).to_string()
            + "\n"
    };
    let seen = decision(0) + &outcome(1, "credit-risk") + &outcome(2, "credit-risk");
    assert_eq!(up.append("default", &writer, seen).await.status(), 200);
    let hidden: String = (10..250).map(|number| outcome(number, "pricing")).collect();
    assert_eq!(up.append("default", &writer, hidden).await.status(), 200);
    let told = up.json(&format!("/v1/trails/default/records/{}?about=true", id(0)), &of_one).await;
    let about: Vec<&Value> = told["about"].as_array().unwrap().iter().map(|late| &late["record"]["output"]).collect();
    assert_eq!((about, &told["about_more"]), (vec![&json!(2), &json!(1)], &json!(0)), "{told}");
    up.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_counted_and_told_once_a_second() {
    let place = Place::with(&["default"]);
    let writer = place.token("writer", "default");
    let up = place.up().await;
    for _ in 0..5 {
        assert_eq!(up.get("/v1/trails/default/records", &writer).await.status(), 403);
    }
    for _ in 0..3 {
        let token = "onr_0123456789abcdef_0123456789abcdef0123456789abcdef";
        assert_eq!(up.get("/v1/trails/default/stats", token).await.status(), 401);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    up.down().await;
    let records = place.access_records("default");
    let refused = context(&records, "refused");
    let count = |action: &str| -> u64 {
        let of = refused.iter().filter(|context| context["action"] == action);
        of.map(|context| context["count"].as_u64().unwrap()).sum()
    };
    assert_eq!((count("search"), count("stats")), (5, 3), "{refused:?}");
    assert!(refused.len() <= 4, "{refused:?}");
    // Nothing of the token that was tried is on record.
    assert!(!format!("{records:?}").contains("0123456789abcdef"));
}

/// A purpose that was stated is on record.
#[tokio::test(flavor = "multi_thread")]
async fn a_purpose_goes_on_record() {
    let place = Place::with(&["default"]);
    let investigator = place.token("investigator", "default");
    let up = place.up().await;
    assert_eq!(up.get("/v1/trails/default/records", &investigator).await.status(), 403);
    let request = up.ask(Method::GET, "/v1/trails/default/records", &investigator);
    assert_eq!(request.header(server::PURPOSE, "complaint 17").send().await.unwrap().status(), 200);
    up.down().await;
    let records = place.access_records("default");
    assert_eq!(context(&records, "begin")[0]["purpose"], "complaint 17");
}
