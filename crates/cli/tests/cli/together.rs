//! Two at once (I6): one writes, the other goes through it.

use std::io::{BufRead as _, Write as _};
use std::process::Stdio;

use crate::place::{Place, decision};

#[test]
fn an_append_goes_through_the_running_writer() {
    let place = Place::with_trail();
    // One that holds the trail for as long as its stdin is open.
    let mut first = place.command(&["append", "trail", "-v"]);
    let mut first = first.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = first.stdin.take().unwrap();
    while !place.path("trail/writer.sock").exists() {
        std::thread::yield_now();
    }
    let second = place.run_on(&["append", "trail", "-v", "--receipts"], decision(2).as_bytes());
    assert_eq!(second.code, 0, "{}", second.told());
    assert!(second.err.contains("appending through the trail's running writer"), "{}", second.err);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&second.out).unwrap()["index"], 0);
    let stats = place.run(&["stats", "trail", "--json"]).json();
    assert_eq!(stats["writer"]["records"], 1, "{stats}");
    stdin.write_all(decision(1).as_bytes()).unwrap();
    drop(stdin);
    let first = place.of(first.wait_with_output().unwrap());
    assert_eq!(first.code, 0, "{}", first.told());
    assert_eq!(place.run(&["stats", "trail", "--json"]).json()["records"], 2);
}

#[test]
fn an_append_goes_on_when_the_writer_that_it_goes_through_is_killed() {
    let place = Place::with_trail();
    let (mut owner, _held) = place.held_open(&["append", "trail"]);
    while !place.path("trail/writer.sock").exists() {
        std::thread::yield_now();
    }
    let (mut other, mut stdin) = place.held_open(&["append", "trail", "--receipts"]);
    let mut receipts = std::io::BufReader::new(other.stdout.take().unwrap()).lines();
    // Without an id: it gets one before it is sent, or it could not be sent again.
    let nameless = |number| decision(number).replacen("\"id\":", "\"id\":null,\"subject\":", 1);
    stdin.write_all(nameless(1).as_bytes()).unwrap();
    let receipt: serde_json::Value = serde_json::from_str(&receipts.next().unwrap().unwrap()).unwrap();
    assert_eq!((&receipt["index"], &receipt["stamp"]["id_by_server"]), (&0.into(), &serde_json::Value::Null));
    owner.kill().unwrap();
    owner.wait().unwrap();
    stdin.write_all(nameless(2).as_bytes()).unwrap();
    drop(stdin);
    let rest: Vec<String> = receipts.map(|line| line.unwrap()).collect();
    let other = place.of(other.wait_with_output().unwrap());
    assert_eq!((other.code, rest.len()), (0, 1), "{}", other.told());
    assert_eq!(place.run(&["stats", "trail", "--json"]).json()["records"], 2);
}

#[test]
fn many_that_start_at_once_all_get_through() {
    let place = Place::with_trail();
    let spawn = |number: u32| {
        place.write(&format!("{number}.ndjson"), decision(2 * number) + &decision(2 * number + 1));
        let mut command = place.command(&["append", "trail", &format!("{number}.ndjson")]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = (0..6).map(spawn).collect();
    for child in children {
        let run = place.of(child.wait_with_output().unwrap());
        assert_eq!(run.code, 0, "{}", run.told());
    }
    let verified = place.run(&["verify", "trail", "--json"]).json();
    assert_eq!((&verified["verdict"], &verified["size"]), (&"CONSISTENT".into(), &12.into()));
}
