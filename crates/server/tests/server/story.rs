//! A server's day: records come in every form, are found, proved, counted, and are there after it has ended.

use std::io::Write as _;

use reqwest::Method;
use serde_json::{Value, json};
use tlog::{SignedCheckpoint, TlogProof, VerifierKey, leaf_hash, verify_inclusion};

use crate::place::{Place, body, decision, id};

#[tokio::test(flavor = "multi_thread")]
async fn records_come_in_every_form() {
    let place = Place::with(&["default"]);
    let writer = place.token("writer", "default");
    let up = place.up().await;
    let post = |media: &'static str, packing: Option<&'static str>, bytes: Vec<u8>| {
        let mut request = up.ask(Method::POST, "/v1/trails/-/records", &writer).header("content-type", media);
        if let Some(packing) = packing {
            request = request.header("content-encoding", packing);
        }
        async { body(request.body(bytes).send().await.unwrap()).await }
    };
    // One object; the same again is acknowledged again.
    let (status, told) = post("application/json", None, decision(0).into_bytes()).await;
    assert_eq!((status, &told["receipts"][0]["index"], &told["errors"]), (200, &0.into(), &json!([])), "{told}");
    assert_eq!(told["receipts"][0]["trail"], "example.com/default");
    let (status, told) = post("application/json; charset=utf-8", None, decision(0).into_bytes()).await;
    assert_eq!((status, &told["receipts"][0]["again"], &told["receipts"][0]["index"]), (200, &true.into(), &0.into()));
    // An array with what is no record in the middle of it: the others are taken.
    let array =
        format!("[{},{{\"kind\":\"decision\",\"inputs\":{{\"a\":{{\"$f64\":\"x\"}}}}}},{}]", decision(1), decision(2));
    let (status, told) = post("application/json", None, array.into_bytes()).await;
    let indices: Vec<&Value> = told["receipts"].as_array().unwrap().iter().map(|receipt| &receipt["index"]).collect();
    assert_eq!((status, indices), (200, vec![&1.into(), &2.into()]));
    assert_eq!((&told["errors"][0]["position"], &told["errors"][0]["error"]["field"]), (&1.into(), &"inputs.a".into()));
    // Packed lines.
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all((3..10).map(decision).collect::<String>().as_bytes()).unwrap();
    let (status, told) = post("application/x-ndjson", Some("gzip"), packer.finish().unwrap()).await;
    assert_eq!((status, told["receipts"].as_array().unwrap().len()), (200, 7));
    // Packed CBOR, with the salt that its sender made.
    let mut record = record::JsonParser::new(record::Limits::DEFAULT).parse(decision(10).as_bytes()).unwrap();
    record.salt = Some(record::Salt([7; 16]));
    let cbor = zstd::encode_all(&*record::record_to_cbor(&record).unwrap(), 3).unwrap();
    let (status, told) = post("application/cbor-seq", Some("zstd"), cbor).await;
    assert_eq!((status, &told["receipts"][0]["index"], &told["receipts"][0]["salt"]), (200, &10.into(), &Value::Null));
    assert_eq!(told["receipts"][0]["content"], record::content(&record::Salt([7; 16]), &record.parts).to_string());
    // None of it.
    let other = decision(0).replace("0.85", "0.84");
    let (status, told) = post("application/json", None, other.into_bytes()).await;
    assert_eq!((status, &told["type"]), (422, &"urn:onrecord:problem:nothing-taken".into()));
    assert_eq!(told["errors"][0]["error"]["type"], "urn:onrecord:problem:conflict");
    for (media, packing, bytes, status) in [
        ("text/plain", None, decision(11).into_bytes(), 415),
        ("application/json", Some("br"), decision(11).into_bytes(), 415),
        ("application/json", Some("gzip"), decision(11).into_bytes(), 400),
        ("application/json", None, b"{".to_vec(), 422),
        ("application/json", None, b"[]".to_vec(), 200),
    ] {
        let (got, told) = post(media, packing, bytes).await;
        assert_eq!(got, status, "{media} {packing:?}: {told}");
    }
    up.down().await;
    let snapshot = place.snapshot("default");
    assert_eq!((snapshot.end(), snapshot.sealed()), (11, 11));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_waited_for_the_seal_proves_itself() {
    let place = Place::with(&["default"]);
    let writer = place.token("writer", "default");
    let up = place.up().await;
    let request = up.ask(Method::POST, "/v1/trails/default/records?wait=sealed", &writer);
    let lines: String = (0..3).map(decision).collect();
    let request = request.header("content-type", "application/x-ndjson").body(lines);
    let (status, told) = body(request.send().await.unwrap()).await;
    assert_eq!(status, 200, "{told}");
    let key: VerifierKey = place.snapshot("default").settings().verifier_key().unwrap();
    for receipt in told["receipts"].as_array().unwrap() {
        let proof = TlogProof::parse(receipt["proof"].as_str().unwrap().as_bytes()).unwrap();
        let signed = SignedCheckpoint::open_note(proof.checkpoint, std::slice::from_ref(&key)).unwrap();
        let digest: Vec<u8> = (0..64)
            .step_by(2)
            .map(|at| u8::from_str_radix(&receipt["digest"].as_str().unwrap()[at..at + 2], 16).unwrap())
            .collect();
        let (size, root) = (signed.checkpoint().size(), signed.checkpoint().root());
        assert_eq!(
            verify_inclusion(&leaf_hash(&digest), receipt["index"].as_u64().unwrap(), size, &root, &proof.path),
            Ok(())
        );
    }
    up.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_recorded_is_found_page_by_page_and_in_every_form() {
    let place = Place::with(&["default"]);
    let (writer, auditor) = (place.token("writer", "default"), place.token("auditor", "default"));
    let up = place.up().await;
    let lines: String = (0..25).map(decision).collect();
    assert_eq!(up.append("default", &writer, lines).await.status(), 200);
    let mut path = "/v1/trails/default/records?columns=id,output&limit=10".to_owned();
    let mut seen = Vec::new();
    let mut pages = 0;
    loop {
        let page = up.json(&path, &auditor).await;
        let records = page["records"].as_array().unwrap();
        seen.extend(records.iter().map(|record| record["id"].as_str().unwrap().to_owned()));
        assert!(records.iter().all(|record| record.as_object().unwrap().len() == 2), "{page}");
        pages += 1;
        let Some(next) = page["next"].as_str() else { break };
        // What comes in between is no part of the pages that follow.
        assert_eq!(up.append("default", &writer, decision(100 + pages)).await.status(), 200);
        path = format!("/v1/trails/default/records?columns=id,output&limit=10&cursor={next}");
    }
    assert_eq!((pages, seen.len()), (3, 25));
    assert_eq!(seen, (0..25).rev().map(id).collect::<Vec<_>>());
    let found =
        up.json("/v1/trails/default/records?where=inputs.income%20%3D%2042003&subject=customer-3", &auditor).await;
    assert_eq!(
        (&found["records"][0]["inputs"]["income"], found["records"].as_array().unwrap().len()),
        (&42_003.into(), 1)
    );
    for (accept, begins) in [
        ("text/csv", &b"index,output\r\n"[..]),
        ("application/x-ndjson", b"{\"index\":"),
        ("application/vnd.apache.arrow.stream", &[0xff, 0xff, 0xff, 0xff]),
    ] {
        let request = up.ask(Method::GET, "/v1/trails/default/records?columns=index,output&limit=3", &auditor);
        let response = request.header("accept", accept).send().await.unwrap();
        assert!(response.headers()["content-type"].to_str().unwrap().starts_with(accept));
        assert!(response.bytes().await.unwrap().starts_with(begins), "{accept}");
    }
    let answer = body(up.sql("default", &auditor, "SELECT count(*) AS n FROM decisions").await).await;
    assert_eq!((answer.0, &answer.1["rows"][0]["n"]), (200, &27.into()), "{}", answer.1);
    let (status, told) = body(up.sql("default", &auditor, "DELETE FROM events").await).await;
    assert_eq!((status, &told["type"]), (422, &"urn:onrecord:problem:query".into()));
    up.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_record_is_shown_with_what_is_about_it_proved_and_counted() {
    let place = Place::with(&["default"]);
    let (writer, auditor) = (place.token("writer", "default"), place.token("auditor", "default"));
    let up = place.up().await;
    let outcome = json!({"kind": "outcome", "about": id(1), "output": {"label": "repaid"}}).to_string();
    let lines: String = (0..3).map(decision).chain([outcome]).collect();
    assert_eq!(up.append("default", &writer, lines).await.status(), 200);
    let shown = up.json(&format!("/v1/trails/default/records/{}?about=true", id(1)), &auditor).await;
    assert_eq!((&shown["index"], &shown["record"]["inputs"]["income"]), (&1.into(), &42_001.into()));
    assert_eq!(shown["record"]["output"].to_string(), "0.85");
    let kinds: Vec<&Value> = shown["about"].as_array().unwrap().iter().map(|late| &late["record"]["kind"]).collect();
    // This read is one of the facts about it by now.
    assert_eq!(kinds, ["access", "outcome"]);
    let by_index = up.json("/v1/trails/default/records/1", &auditor).await;
    assert_eq!(by_index["digest"], shown["digest"]);
    for (path, status) in
        [("records/99", 404), ("records/nonsense", 400), ("records/0190a5c2-7b1e-7c3a-9d55-000000000000", 404)]
    {
        assert_eq!(up.get(&format!("/v1/trails/default/{path}"), &auditor).await.status(), status, "{path}");
    }
    let proof = crate::place::until("the seal", async || {
        let proof = up.get(&format!("/v1/trails/default/records/{}/proof", id(1)), &auditor).await;
        (proof.status() == 200).then_some(proof)
    });
    let proof = proof.await;
    assert_eq!(proof.headers()["onrecord-digest"], shown["digest"].as_str().unwrap());
    assert_eq!(TlogProof::parse(&proof.bytes().await.unwrap()).unwrap().index, 1);
    let stats = up.json("/v1/trails/default/stats", &auditor).await;
    assert_eq!((&stats["kinds"]["decision"], &stats["models"][0]["decisions"]), (&3.into(), &3.into()));
    assert!(serde_json::from_value::<query::Stats>(stats.clone()).is_ok(), "{stats}");
    let gaps = up.json("/v1/trails/default/gaps?since=7d", &auditor).await;
    assert_eq!(gaps["verdict"], "NOTHING");
    up.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_makes_a_trail_and_shows_one_token_once() {
    let place = Place::with(&[]);
    let up = place.up().await;
    let token = up.first_token.clone().unwrap();
    assert_eq!(up.json("/v1/trails/-/stats", &token).await["records"], 0);
    // It runs the system, and reads nothing.
    assert_eq!(up.get("/v1/trails/default/records", &token).await.status(), 403);
    assert_eq!(up.get("/v1/trails/default/stats", "onr_0000_0000").await.status(), 401);
    assert_eq!(up.client.get(format!("{}/v1/trails/default/stats", up.base)).send().await.unwrap().status(), 401);
    let metrics = up.get("/metrics", &token).await.text().await.unwrap();
    assert!(metrics.contains("onrecord_trail_running{trail=\"default\"} 1"), "{metrics}");
    assert!(metrics.lines().all(|line| line.starts_with('#') || line.starts_with("onrecord_")), "{metrics}");
    for (path, word) in [("/health/live", "live"), ("/health/ready", "ready")] {
        let told = up.client.get(format!("{}{path}", up.base)).send().await.unwrap();
        assert_eq!(body(told).await.1["status"], word);
    }
    up.down().await;
    let up = place.up().await;
    assert!(up.first_token.is_none());
    up.down().await;
}

/// Whoever is answered when the server is told to end was answered for good; and a trail that ended can begin again.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_loses_nothing() {
    let place = Place::with(&["default"]);
    let writer = place.token("writer", "default");
    let up = place.up().await;
    let (client, base) = (up.client.clone(), up.base.clone());
    let answers = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let sending: Vec<_> = (0..8)
        .map(|sender| {
            let (client, base, writer) = (client.clone(), base.clone(), writer.clone());
            let answers = std::sync::Arc::clone(&answers);
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for number in 0.. {
                    let number = sender * 100_000 + number;
                    let request = client.post(format!("{base}/v1/trails/default/records")).bearer_auth(&writer);
                    let request = request.header("content-type", "application/json").body(decision(number));
                    match request.send().await {
                        Ok(response) if response.status() == 200 => {
                            acknowledged.push(number);
                            answers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        }
                        _ => break,
                    }
                }
                acknowledged
            })
        })
        .collect();
    let enough = || (answers.load(std::sync::atomic::Ordering::Relaxed) > 16).then_some(());
    crate::place::until("some answers", async || enough()).await;
    up.down().await;
    let mut all = Vec::new();
    for sender in sending {
        all.extend(sender.await.unwrap());
    }
    let snapshot = place.snapshot("default");
    assert!(all.len() > 16, "{}", all.len());
    assert_eq!(snapshot.sealed(), snapshot.end());
    for number in &all {
        assert!(snapshot.find(&id(*number).parse().unwrap()).unwrap().is_some(), "{number}");
    }
}
