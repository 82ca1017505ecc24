//! T7, T30: the machine's clock is set back and forth under a server that is asked all the while.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use host::{Clock, Host};
use serde_json::Value;

use crate::place::{Place, decision};

const HOUR_NS: i64 = 3_600_000_000_000;

/// A clock that goes on as the machine's does, and can be set to another time.
#[derive(Clone)]
struct Stepped {
    machine: Host,
    by: Arc<AtomicI64>,
}

impl Clock for Stepped {
    fn now_ns(&self) -> i64 {
        self.machine.now_ns() + self.by.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        self.machine.monotonic()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_steps_breaks_nothing() {
    let mut place = Place::with(&["default"]);
    let clock = Stepped { machine: Host::system(), by: Arc::default() };
    let (writer, auditor) = (place.token("writer", "default"), place.token("auditor", "default"));
    place.host = Host::builder().clock(clock.clone()).build();
    let up = place.up().await;
    let mut kept: Vec<(String, u64)> = Vec::new();
    let mut last = i64::MIN;
    for (round, hours) in [0, -48, 24, -1, 0, -24 * 365, 0].into_iter().enumerate() {
        clock.by.store(hours * HOUR_NS, Ordering::SeqCst);
        // Without an id: the trail gives one, by the time that it takes it to be.
        let lines: String = (0..5)
            .map(|n| {
                let mut record: Value = serde_json::from_str(&decision(round as u32 * 5 + n)).unwrap();
                record.as_object_mut().unwrap().remove("id");
                record.to_string() + "\n"
            })
            .collect();
        let told: Value = up.append("default", &writer, lines).await.json().await.unwrap();
        for receipt in told["receipts"].as_array().unwrap() {
            let received = receipt["stamp"]["received"].as_i64().unwrap();
            assert!(last <= received, "{last} and then {received}, at {hours} h");
            last = received;
            kept.push((receipt["id"].as_str().unwrap().to_owned(), receipt["index"].as_u64().unwrap()));
        }
        assert_eq!(kept.len(), (round + 1) * 5, "at {hours} h: {told}");
        let found = up.json("/v1/trails/default/records?columns=id&limit=1000", &auditor).await;
        assert_eq!(found["records"].as_array().unwrap().len(), kept.len(), "at {hours} h");
    }
    up.down().await;
    let snapshot = place.snapshot("default");
    assert_eq!(snapshot.sealed(), snapshot.end());
    for (id, index) in &kept {
        assert_eq!(snapshot.get(*index).unwrap().unwrap().stored.stamp.id.to_string(), *id);
    }
}
