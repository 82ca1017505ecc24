//! I12: a peer that takes nothing of what it asked for holds its connection for a stated time, and no longer; and one
//! that asks in ways that no honest client does is let go.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GO_AWAY, HEADERS, Line, PING, RESET, WINDOW_UPDATE, asked_by,
    frame, get,
};
use crate::place::{Place, Up, body, decision, until};

/// A server that is soon out of patience.
async fn up(place: &Place) -> (Up, String) {
    let mut config = place.config();
    (config.limits.idle_s_max, config.limits.header_s_max) = (1, 2);
    let up = place.up_with(config).await;
    let address = up.base.strip_prefix("http://").unwrap().to_owned();
    (up, address)
}

async fn closed_early(up: &Up, admin: &str, reason: &str) -> u64 {
    let metrics = up.get("/metrics", admin).await.text().await.unwrap();
    let name = format!("onrecord_connections_closed_early_total{{reason=\"{reason}\"}} ");
    let count = metrics.lines().find_map(|line| line.strip_prefix(&name));
    count.map_or(0, |count| count.parse().unwrap())
}

fn bytes(frames: &[Frame]) -> usize {
    frames.iter().filter(|frame| frame.kind == DATA).map(|frame| frame.payload.len()).sum()
}

/// No token is needed for these answers, and so none to hold a connection by them.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_gives_no_window_is_let_go() {
    let place = Place::with(&["default"]);
    let admin = place.token("admin", "*");
    let (up, address) = up(&place).await;
    for path in ["/v1/docs", "/health/live"] {
        let mut line = Line::to(&address, 0).await;
        assert!(line.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &get(path))).await);
        // It answers pings all the while.
        let frames = line.rest().await;
        assert!(frames.iter().any(|frame| frame.kind == HEADERS && frame.payload[0] == 0x88), "{path}: {frames:?}");
        assert_eq!(bytes(&frames), 0);
    }
    assert_eq!(closed_early(&up, &admin, "stalled").await, 2);
    up.down().await;
}

/// A byte now and then is as good as none.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_takes_byte_by_byte_is_let_go() {
    let place = Place::with(&["default"]);
    let (up, address) = up(&place).await;
    let mut line = Line::to(&address, 1).await;
    assert!(line.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &get("/v1/docs"))).await);
    let mut taken = 0;
    while let Some(told) = line.next().await {
        if told.kind == DATA {
            taken += told.payload.len();
            line.send(&frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes())).await;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    assert!(taken < 1000, "{taken}");
    up.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_never_reads_is_let_go() {
    let place = Place::with(&["default"]);
    let admin = place.token("admin", "*");
    let (up, address) = up(&place).await;
    // Answers with bodies, and heads alone.
    for (number, request) in ["GET /v1/openapi.json", "HEAD /health/live"].into_iter().enumerate() {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let request = format!("{request} HTTP/1.1\r\nhost: x\r\n\r\n").repeat(100);
        // Until the server takes no more, and then until it closes.
        let sending = async { while stream.write_all(request.as_bytes()).await.is_ok() {} };
        tokio::time::timeout(std::time::Duration::from_secs(60), sending).await.expect("it is let go");
        assert_eq!(closed_early(&up, &admin, "stalled").await, number as u64 + 1);
    }
    up.down().await;
}

/// T27: a read whose reader stands still is closed on record as well, with what was handed over.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_is_not_taken_ends_on_record() {
    let place = Place::with(&["default"]);
    let (writer, auditor) = (place.token("writer", "default"), place.token("auditor", "default"));
    let (up, address) = up(&place).await;
    let long = decision(0).replace("0.85", &format!("\"{}\"", "x".repeat(200_000)));
    assert_eq!(up.append("default", &writer, long).await.status(), 200);
    let mut line = Line::to(&address, 10_000).await;
    let head = asked_by("/v1/trails/default/records/0", &auditor);
    assert!(line.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &head)).await);
    let frames = line.rest().await;
    assert_eq!(bytes(&frames), 10_000);
    up.down().await;
    let records = place.access_records("default");
    let end = records.iter().find(|(_, record)| record["context"]["event"] == "end").unwrap();
    let context = &end.1["context"];
    assert_eq!((&context["result"], &context["rows"]), (&"broken-off".into(), &0.into()), "{context}");
    assert!(context["bytes"].as_u64().unwrap() < 200_000, "{context}");
}

/// I12: what is answered and not taken has a bound, however many ask for it.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_wait_have_a_bound() {
    let place = Place::with(&["default"]);
    let (writer, auditor) = (place.token("writer", "default"), place.token("auditor", "default"));
    let mut config = place.config();
    (config.limits.body_bytes_max, config.limits.unpacked_bytes_max) = (1 << 20, 1 << 20);
    (config.limits.bytes_in_flight_max, config.limits.idle_s_max) = (2 << 20, 600);
    let up = place.up_with(config).await;
    let address = up.base.strip_prefix("http://").unwrap().to_owned();
    let long = |number: u32| decision(number).replace("0.85", &format!("{:?}", vec!["x".repeat(200_000); 4]));
    assert_eq!(up.append("default", &writer, long(0)).await.status(), 200);
    let path = "/v1/trails/default/records/0";
    let mut lines = Vec::new();
    for _ in 0..2 {
        let mut line = Line::to(&address, 0).await;
        assert!(line.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &asked_by(path, &auditor))).await);
        // Its head has come, and so its body waits.
        while line.next().await.unwrap().kind != HEADERS {}
        lines.push(line);
    }
    let (status, told) = body(up.get(path, &auditor).await).await;
    assert_eq!((status, &told["type"]), (503, &"urn:onrecord:problem:busy".into()), "{told}");
    // Who reads slowly is in the way of no append.
    assert_eq!(up.append("default", &writer, long(1)).await.status(), 200);
    drop(lines);
    until("room again", async || (up.get(path, &auditor).await.status() == 200).then_some(())).await;
    up.down().await;
}

/// Asking and taking back, over and over, costs the server and not the client; so it ends (CVE-2023-44487).
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_takes_back_what_it_asks_is_let_go() {
    let place = Place::with(&["default"]);
    let (up, address) = up(&place).await;
    let mut line = Line::to(&address, 1 << 16).await;
    let ask = |stream: u32| {
        let ask = frame(HEADERS, END_STREAM | END_HEADERS, stream, &get("/v1/docs"));
        [ask, frame(RESET, 0, stream, &8_u32.to_be_bytes())].concat()
    };
    let mut sent = 0;
    // In one piece, so that they are there before any of them is looked at.
    for batch in 0..1000 {
        let asks: Vec<u8> = (0..100).flat_map(|n| ask((batch * 100 + n) * 2 + 1)).collect();
        if !line.send(&asks).await {
            break;
        }
        sent += 100;
    }
    let frames = line.rest().await;
    let calm = |frame: &Frame| frame.kind == GO_AWAY && frame.payload[7] == 0x0b;
    assert!(sent < 100_000 || frames.iter().any(calm), "{sent}");
    assert_eq!(up.client.get(format!("{}/health/live", up.base)).send().await.unwrap().status(), 200);
    up.down().await;
}

/// Pings that are not read, heads that do not end, and streams without number.
#[tokio::test(flavor = "multi_thread")]
async fn floods_end_their_connection() {
    let place = Place::with(&["default"]);
    let (up, address) = up(&place).await;
    let pings = frame(PING, 0, 0, &[7; 8]).repeat(1000);
    let mut line = Line::to(&address, 1 << 16).await;
    while line.send(&pings).await {}
    let mut line = Line::to(&address, 1 << 16).await;
    let head = frame(HEADERS, END_STREAM, 1, &get("/v1/docs"));
    assert!(line.send(&head).await);
    let more = frame(CONTINUATION, 0, 1, &[0x00, 0x01, b'a', 0x01, b'b']).repeat(1000);
    while line.send(&more).await {}
    // More streams than there may be are refused, each by itself, and the others are kept.
    let mut line = Line::to(&address, 0).await;
    let asks: Vec<u8> =
        (0..80).flat_map(|n| frame(HEADERS, END_STREAM | END_HEADERS, n * 2 + 1, &get("/v1/docs"))).collect();
    // What the server says of its limits comes first.
    assert!(line.next().await.is_some() && line.send(&asks).await);
    let frames = line.rest().await;
    let refused = |frame: &&Frame| frame.kind == RESET && frame.payload[3] == 0x07;
    assert_eq!(frames.iter().filter(refused).count(), 80 - 64, "{frames:?}");
    assert_eq!(up.client.get(format!("{}/health/live", up.base)).send().await.unwrap().status(), 200);
    up.down().await;
}
