//! Figures of a trail.

use std::time::{Duration, Instant};

use crate::place::{Place, decision, signal};
use crate::told;

#[test]
fn a_trail_tells_what_it_holds() {
    told!(Place::with_credit().run(&["stats", "trail"]));
}

#[test]
fn an_empty_trail_has_figures_too() {
    told!(Place::with_trail().run(&["stats", "trail"]));
}

#[test]
fn the_journal_is_counted() {
    let place = Place::with_credit();
    assert_eq!(place.run_on(&["append", "trail"], decision(1).as_bytes()).code, 0);
    let stats = place.run(&["stats", "trail", "--json"]).json();
    assert_eq!(
        (&stats["records"], &stats["settled"], &stats["journal_records"]),
        (&951.into(), &950.into(), &1.into())
    );
    assert_eq!((&stats["kinds"]["decision"], &stats["kinds"]["outcome"]), (&601.into(), &350.into()));
    assert_eq!((&stats["sealed"], &stats["unsealed"]), (&951.into(), &0.into()));
}

#[test]
fn a_writer_that_does_not_answer_is_not_waited_for() {
    let place = Place::with_trail();
    let (mut stopped, _stdin) = place.held_open(&["append", "trail"]);
    while !place.path("trail/writer.sock").exists() {
        std::thread::yield_now();
    }
    signal(&stopped, "STOP");
    let started = Instant::now();
    let run = place.run(&["stats", "trail"]);
    assert!(started.elapsed() < Duration::from_secs(20));
    assert!(run.code == 0 && run.out.contains("writer        does not answer"), "{}", run.told());
    assert_eq!(place.run(&["stats", "trail", "--json"]).json()["writer"]["answers"], false);
    stopped.kill().unwrap();
    stopped.wait().unwrap();
}
