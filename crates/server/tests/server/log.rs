//! The log as any tlog client reads it: checkpoint and tiles over HTTP make the same tree, and nothing else is served.

use reqwest::Method;
use tlog::{Hash, Prover, SignedCheckpoint, Tile, TileReader, leaf_hash};

use crate::place::{Place, Up, decision};

/// Tiles that were fetched before.
struct Fetched(std::collections::BTreeMap<String, Vec<u8>>);

impl TileReader for Fetched {
    type Error = std::io::Error;

    fn tile(&self, tile: Tile) -> Result<Vec<u8>, std::io::Error> {
        self.0.get(&tile.to_string()).cloned().ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}

async fn tile(up: &Up, token: &str, path: &str) -> (u16, Option<String>, Vec<u8>) {
    let response = up.ask(Method::GET, &format!("/v1/trails/default/log/{path}"), token).send().await.unwrap();
    let caching = response.headers().get("cache-control").map(|value| value.to_str().unwrap().to_owned());
    (response.status().as_u16(), caching, response.bytes().await.unwrap().to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_tiles_comes_to_the_signed_root() {
    let place = Place::with(&["default"]);
    let (writer, reader) = (place.token("writer", "default"), place.token("reader", "default"));
    let up = place.up().await;
    assert_eq!(tile(&up, &reader, "checkpoint").await.0, 404);
    let lines: String = (0..700).map(decision).collect();
    assert_eq!(up.append("default", &writer, lines).await.status(), 200);
    let key = place.snapshot("default").settings().verifier_key().unwrap();
    let signed = crate::place::until("the seal", async || {
        let (status, caching, note) = tile(&up, &reader, "checkpoint").await;
        assert!(status == 404 || caching.as_deref() == Some("no-store"));
        let signed = SignedCheckpoint::open(&note, std::slice::from_ref(&key)).ok()?;
        (signed.checkpoint().size() == 700).then_some(signed)
    });
    let (size, root) = (700, signed.await.checkpoint().root());
    let mut fetched = Fetched(Default::default());
    for each in tlog::tiles_of(size) {
        let (status, caching, bytes) = tile(&up, &reader, &each.to_string()).await;
        assert_eq!((status, bytes.len()), (200, each.byte_len()), "{each}");
        assert_eq!(caching.unwrap().contains("immutable"), each.is_full(), "{each}");
        fetched.0.insert(each.to_string(), bytes);
    }
    let (_, _, bundle) = tile(&up, &reader, "tile/entries/002.p/188").await;
    let entries = tlog::decode_entries(&bundle, 188).unwrap();
    let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
    assert_eq!(Tile::encode(&leaves), fetched.0["tile/0/002.p/188"]);
    assert_eq!(Prover::new(fetched, size).root().unwrap(), root);
    up.down().await;
}

/// T24: a path has one spelling, and leads to a tile below the checkpoint or to nothing.
#[tokio::test(flavor = "multi_thread")]
async fn paths_lead_to_tiles_alone() {
    let place = Place::with(&["default", "other"]);
    let (writer, reader) = (place.token("writer", "*"), place.token("reader", "default"));
    let up = place.up().await;
    assert_eq!(up.append("default", &writer, decision(0)).await.status(), 200);
    crate::place::until("the seal", async || (place.snapshot("default").sealed() > 0).then_some(())).await;
    assert_eq!(tile(&up, &reader, "tile/0/000.p/1").await.0, 200);
    let address = up.base.strip_prefix("http://").unwrap().to_owned();
    for path in [
        "/v1/trails/default/log/tile/0/000",
        "/v1/trails/default/log/tile/0/000.p/2",
        "/v1/trails/default/log/tile/0/000.p/0",
        "/v1/trails/default/log/tile/00/000.p/1",
        "/v1/trails/default/log/tile/0/x000/000.p/1",
        "/v1/trails/default/log/tile/63/x999/x999/x999/x999/x999/999",
        "/v1/trails/default/log/tile/../checkpoint",
        "/v1/trails/default/log/tile/..%2f..%2ftrail.json",
        "/v1/trails/default/log/tile/%2e%2e/%2e%2e/trail.json",
        "/v1/trails/default/log/tile/....//trail.json",
        "/v1/trails/default/log/tile/0/000.p/1%00",
        "/v1/trails/default/log/tile/0\\000.p\\1",
        "/v1/trails/default/log/trail.json",
        "/v1/trails/../../etc/passwd/log/checkpoint",
        "/v1/trails/..%2fother/log/checkpoint",
        "/v1/trails/other/log/checkpoint",
        "/v1/trails/default%2f..%2fother/log/checkpoint",
        "/v1/trails/access/log/checkpoint",
        "/v1/trails/%00/log/checkpoint",
        "/v1/trails//log/checkpoint",
        "//v1/trails/default/log/checkpoint",
    ] {
        // By hand, as a client would tidy the path up.
        let (status, text) = crate::hostile::raw(
            &address,
            &format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {reader}\r\nconnection: close\r\n\r\n"),
        )
        .await;
        assert!(status == 404 || status == 400, "{path}: {status} {text}");
        assert!(!text.contains("log_key") && !text.contains("root:"), "{path}: {text}");
    }
    up.down().await;
}
