//! I1, T25: the disk of a server gets full while many write: each of them is told so, nothing that was acknowledged is
//! lost, and with room again it goes on.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use reqwest::blocking::Client;
use serde_json::Value;

use crate::place::Place;
use crate::up::{Up, all_are_there, append, of_today, receipts, snapshot, token};

const CLIENTS: u32 = 64;

/// A file system in memory, at a place's folder of trails.
struct SmallDisk<'p>(&'p Place);

impl SmallDisk<'_> {
    fn mount(&self, options: &str) -> bool {
        let args = ["-t", "tmpfs", "-o", options, "tmpfs"];
        let done = Command::new("mount").args(args).arg(self.0.path("served")).output();
        done.is_ok_and(|output| output.status.success())
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path("served")).output();
    }
}

/// Records that no packing makes smaller.
fn lines(first: u32) -> String {
    let text = |seed: u32| -> String {
        let mut state = u64::from(seed) * 2 + 1;
        let digit = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'!' + 2 + u8::try_from((state >> 33) % 57).unwrap())
        };
        (0..10_000).map(digit).collect()
    };
    (first..first + 3).map(|n| of_today(n).replace("0.85", &format!("{:?}", text(n)))).collect()
}

#[test]
fn a_full_disk_loses_nothing_and_is_told() {
    let place = Place::new();
    std::fs::create_dir(place.path("served")).unwrap();
    let disk = SmallDisk(&place);
    if !disk.mount("size=48m") {
        println!("SKIPPED full_disk: this user may not mount a tmpfs; run it as root");
        return;
    }
    assert_eq!(place.run(&["init", "served/default"]).code, 0);
    let writer = token(&place, "writer");
    let up = Up::start(&place);
    let next = AtomicU32::new(0);
    let send = || {
        let (client, mut acknowledged, mut refused) = (Client::new(), Vec::new(), 0);
        while refused < 3 {
            let first = next.fetch_add(3, Ordering::Relaxed);
            assert!(first < 60_000, "the disk does not get full");
            let answer = append(&client, &up.base, &writer, lines(first)).send().unwrap();
            let (status, told) = (answer.status().as_u16(), answer.text().unwrap());
            if status == 200 {
                acknowledged.extend(receipts(&told));
                continue;
            }
            let problem: Value = serde_json::from_str(&told).unwrap();
            let name = problem["type"].as_str().unwrap().trim_start_matches("urn:onrecord:problem:").to_owned();
            assert!(status == 503 && ["stopped", "backlog", "busy"].contains(&&*name), "{status} {told}");
            assert!(problem["hint"].is_string() && !told.contains(place.path("").to_str().unwrap()), "{told}");
            refused += u32::from(name != "busy");
        }
        acknowledged
    };
    let acknowledged: Vec<(String, u64)> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(send)).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
    let ready = up.client.get(format!("{}/health/ready", up.base)).send().unwrap();
    let stopped = ready.status() == 503;
    up.end();
    assert!(disk.mount("remount,size=512m"));
    let up = Up::start(&place);
    let more = up.append(&writer, lines(100_000)).send().unwrap();
    assert_eq!(more.status(), 200, "after it was {}", if stopped { "stopped" } else { "full" });
    assert_eq!(up.end(), 0);
    all_are_there(&snapshot(&place), &acknowledged);
    assert_eq!(place.run(&["verify", "served/default"]).code, 0);
}
