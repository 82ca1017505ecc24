//! The tour.

use crate::place::Place;

#[test]
fn everything_that_the_tour_shows_holds() {
    let place = Place::new();
    let run = place.run(&["demo", "--once"]);
    assert_eq!(run.code, 0, "{}\n{}", run.out, run.err);
    for words in ["CONSISTENT", "INVALID", "INCOMPLETE", "the tail was cut", "history was", "all of them held"] {
        assert!(run.out.contains(words), "{words}: {}", run.out);
    }
}

#[test]
fn the_tours_folder_can_be_kept_and_used() {
    let place = Place::new();
    let run = place.run(&["demo", "--dir", "tour", "--once", "--json"]);
    let last: serde_json::Value = serde_json::from_str(run.out.lines().last().unwrap()).unwrap();
    assert_eq!((run.code, &last["demo"]), (0, &true.into()), "{}", run.told());
    assert_eq!(place.run(&["verify", "tour/trail", "--pin", "tour/outside/checkpoint"]).code, 0);
    assert_eq!(place.run(&["verify", "tour/changed", "--pin", "tour/outside/checkpoint"]).code, 1);
    assert_eq!(place.run(&["demo", "--dir", "tour"]).code, 2);
}
