//! Callers that mean ill: the server answers them clearly, keeps its memory, and goes on answering others (I12, T24).

use std::io::Write as _;
use std::time::{Duration, Instant};

use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::place::{Place, body, decision};

/// Sends bytes as they are, and reads until the server ends the connection. The status and all that came; 0 if nothing did.
pub async fn raw(address: &str, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, text)
}

fn gzip_of(byte: u8, count: usize) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let block = vec![byte; 1 << 20];
    (0..count >> 20).for_each(|_| packer.write_all(&block).unwrap());
    packer.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_and_depths_are_refused() {
    let place = Place::with(&["default"]);
    let writer = place.token("writer", "default");
    let mut config = place.config();
    config.limits.unpacked_bytes_max = 2 << 20;
    let up = place.up_with(config).await;
    let post = async |media: &str, packing: Option<&str>, bytes: Vec<u8>| {
        let mut request = up.ask(Method::POST, "/v1/trails/default/records", &writer).header("content-type", media);
        if let Some(packing) = packing {
            request = request.header("content-encoding", packing);
        }
        body(request.body(bytes).send().await.unwrap()).await
    };
    // Hundreds of times as large once it is unpacked.
    let bombs = [gzip_of(b'\n', 64 << 20), gzip_of(b'[', 64 << 20), gzip_of(b'"', 64 << 20)];
    for bomb in bombs {
        assert!(bomb.len() < 1 << 20);
        for media in ["application/x-ndjson", "application/json", "application/cbor-seq"] {
            let (status, told) = post(media, Some("gzip"), bomb.clone()).await;
            assert!(matches!(status, 413 | 422), "{media}: {status} {told}");
        }
    }
    let zstd = zstd::encode_all(&*vec![b' '; 64 << 20], 3).unwrap();
    assert_eq!(post("application/x-ndjson", Some("zstd"), zstd).await.0, 413);
    let deep = format!("{{\"kind\":\"config\",\"context\":{}1{}}}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    let (status, told) = post("application/json", None, deep.into_bytes()).await;
    assert!(status == 422 && told["errors"][0]["error"]["detail"].as_str().unwrap().len() < 10_000, "{told}");
    let deep_cbor = [&[0xa1, 0x67][..], b"context", &[0x81; 100_000]].concat();
    assert_eq!(post("application/cbor-seq", None, deep_cbor).await.0, 422);
    let many: String = (0..10_001).map(|_| "{}\n").collect();
    let (status, told) = post("application/x-ndjson", None, many.into_bytes()).await;
    assert_eq!((status, told["type"].as_str()), (413, Some("urn:onrecord:problem:too-large")), "{told}");
    // A body that is said to be a gibibyte is refused before it is sent.
    let address = up.base.strip_prefix("http://").unwrap();
    let head = format!(
        "POST /v1/trails/default/records HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {writer}\r\n\
         content-type: application/json\r\ncontent-length: 1073741824\r\nconnection: close\r\n\r\n"
    );
    assert_eq!(raw(address, &head).await.0, 413);
    assert_eq!(up.append("default", &writer, decision(0)).await.status(), 200);
    up.down().await;
    assert_eq!(place.snapshot("default").end(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_have_limits() {
    let place = Place::with(&["default"]);
    let reader = place.token("reader", "default");
    let up = place.up().await;
    let address = up.base.strip_prefix("http://").unwrap();
    let many: String = (0..1000).map(|n| format!("x-{n}: y\r\n")).collect();
    let long = format!("x: {}\r\n", "y".repeat(1 << 20));
    let path = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(1 << 20));
    for request in [
        format!("GET /health/live HTTP/1.1\r\nhost: x\r\n{many}\r\n"),
        format!("GET /health/live HTTP/1.1\r\nhost: x\r\n{long}\r\n"),
        path,
        "nonsense\r\n\r\n".to_owned(),
        "GET /health/live HTTP/9.9\r\n\r\n".to_owned(),
    ] {
        let (status, _) = raw(address, &request).await;
        assert!(matches!(status, 0 | 400 | 414 | 431 | 505), "{status}: {}", &request[..40]);
    }
    let query = "a".repeat(20_000);
    let found = up.get(&format!("/v1/trails/default/records?where={query}"), &reader).await;
    assert!(found.status().is_client_error(), "{}", found.status());
    let twice = format!(
        "GET /v1/trails/default/stats HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {reader}\r\n\
         authorization: Bearer {reader}\r\nconnection: close\r\n\r\n"
    );
    assert_eq!(raw(address, &twice).await.0, 401);
    assert_eq!(up.get("/v1/trails/default/stats", &reader).await.status(), 200);
    up.down().await;
}

/// Connections that say nothing, or little by little, end; and they keep nobody out who speaks.
#[tokio::test(flavor = "multi_thread")]
async fn slow_callers_do_not_keep_others_out() {
    let place = Place::with(&["default"]);
    let writer = place.token("writer", "default");
    let mut config = place.config();
    let long = std::env::var_os("ONRECORD_TEST_LONG").is_some();
    let silent = if long { 4_000 } else { 300 };
    config.limits.connections_max = silent / 3;
    (config.limits.header_s_max, config.limits.idle_s_max, config.limits.body_s_max) = (2, 1, 3);
    let up = place.up_with(config).await;
    let address = up.base.strip_prefix("http://").unwrap().to_owned();
    let mut open = Vec::new();
    for number in 0..silent {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        if number % 2 == 0 {
            let _ = stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\nx-slow: ").await;
        }
        open.push(stream);
        if number % 50 == 0 {
            let client = reqwest::Client::new();
            let request = client.post(format!("{}/v1/trails/default/records", up.base)).bearer_auth(&writer);
            let request = request.header("content-type", "application/json").body(decision(number as u32));
            assert_eq!(request.send().await.unwrap().status(), 200, "{number}");
        }
    }
    // Each of them is closed by the server in the time that there is for a head.
    let started = Instant::now();
    for mut stream in open {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await;
        assert!(read.is_ok(), "a silent connection stays open");
    }
    assert!(started.elapsed() < Duration::from_secs(15));
    // A body that stands still ends as well.
    let head = format!(
        "POST /v1/trails/default/records HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {writer}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{{\"kind\":"
    );
    assert_eq!(raw(&address, &head).await.0, 408);
    up.down().await;
}

/// Memory that requests may take has a bound: beyond it they are told to come again, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn memory_has_a_bound() {
    let place = Place::with(&["default"]);
    let (writer, admin) = (place.token("writer", "default"), place.token("admin", "*"));
    let mut config = place.config();
    config.limits.body_bytes_max = 1 << 20;
    config.limits.unpacked_bytes_max = 1 << 20;
    config.limits.bytes_in_flight_max = 2 << 20;
    let up = place.up_with(config).await;
    let address = up.base.strip_prefix("http://").unwrap().to_owned();
    // Two that stand still with all that there is in their hands.
    let head = format!(
        "POST /v1/trails/default/records HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {writer}\r\n\
         content-type: application/json\r\ncontent-length: 1048576\r\n\r\n"
    );
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b' '; (1 << 20) - 512]).await.unwrap();
        held.push(stream);
    }
    crate::place::until("memory to be full", async || {
        let metrics = up.get("/metrics", &admin).await.text().await.unwrap();
        metrics.contains("onrecord_in_flight_bytes 2097152\n").then_some(())
    })
    .await;
    let refused = up.append("default", &writer, decision(0)).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(body(refused).await.1["type"], "urn:onrecord:problem:busy");
    drop(held);
    crate::place::until("room again", async || {
        (up.append("default", &writer, decision(1)).await.status() == 200).then_some(())
    })
    .await;
    up.down().await;
}
