//! I1, T8, T25, T27: a server that is killed while many write and read has lost no record that it acknowledged, has none
//! twice, and has shown nothing that is not on record.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use reqwest::blocking::Client;

use crate::place::{Place, signal};
use crate::up::{Up, all_are_there, append, of_today, receipts, snapshot, token};

/// Clients that write, and that read.
const WRITERS: usize = 48;
const READERS: usize = 16;

#[test]
fn a_killed_server_has_kept_what_it_acknowledged() {
    let long = std::env::var_os("ONRECORD_TEST_LONG").is_some();
    let (rounds, enough) = if long { (10, 1_000) } else { (2, 150) };
    let place = Place::new();
    assert_eq!(place.run(&["init", "served/default"]).code, 0);
    let (writer, auditor) = (token(&place, "writer"), token(&place, "auditor"));
    let next = AtomicU32::new(0);
    let (mut kept, mut answered) = (Vec::new(), BTreeSet::new());
    for _ in 0..rounds {
        let mut up = Up::start(&place);
        let base = up.base.clone();
        let (stop, answers) = (AtomicBool::new(false), AtomicU32::new(0));
        let send = || {
            let (client, mut acknowledged) = (Client::new(), Vec::new());
            while !stop.load(Ordering::Acquire) {
                let first = next.fetch_add(3, Ordering::Relaxed);
                let request = append(&client, &base, &writer, (first..first + 3).map(of_today).collect());
                let Ok(told) = request.send().and_then(|response| response.error_for_status()?.text()) else { break };
                acknowledged.extend(receipts(&told));
                answers.fetch_add(1, Ordering::Relaxed);
            }
            acknowledged
        };
        let look = || {
            let (client, mut read) = (Client::new(), Vec::new());
            while !stop.load(Ordering::Acquire) {
                let request = client.get(format!("{base}/v1/trails/-/records?limit=5")).bearer_auth(&auditor);
                let Ok(response) = request.send() else { break };
                // What is busy is told so, and shows nothing.
                if response.status() == 200 {
                    read.push(response.headers()["onrecord-request"].to_str().unwrap().to_owned());
                }
                answers.fetch_add(1, Ordering::Relaxed);
            }
            read
        };
        std::thread::scope(|scope| {
            let senders: Vec<_> = (0..WRITERS).map(|_| scope.spawn(send)).collect();
            let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(look)).collect();
            while answers.load(Ordering::Relaxed) < enough {
                std::thread::sleep(Duration::from_millis(1));
                assert!(up.child.try_wait().unwrap().is_none(), "it ended by itself: {}", place.read(crate::up::LOG));
            }
            signal(&up.child, "KILL");
            stop.store(true, Ordering::Release);
            kept.extend(senders.into_iter().flat_map(|sender| sender.join().unwrap()));
            answered.extend(readers.into_iter().flat_map(|reader| reader.join().unwrap()));
        });
    }
    assert!(!kept.is_empty() && !answered.is_empty());
    assert_eq!(Up::start(&place).end(), 0);
    let snapshot = snapshot(&place);
    assert_eq!(snapshot.sealed(), snapshot.end());
    all_are_there(&snapshot, &kept);
    let mut begun = BTreeSet::new();
    for index in 0..snapshot.end() {
        let json = record::to_json(&snapshot.get(index).unwrap().unwrap().stored).unwrap();
        let record: serde_json::Value = serde_json::from_str(&json).unwrap();
        if record["context"]["event"] == "begin" {
            begun.insert(record["context"]["request"].as_str().unwrap().to_owned());
        }
    }
    let unseen: Vec<&String> = answered.difference(&begun).collect();
    assert!(unseen.is_empty(), "answered, and not on record: {unseen:?}");
    assert_eq!(place.run(&["verify", "served/default"]).code, 0);
}
