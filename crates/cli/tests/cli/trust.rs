//! Verdicts: of trails, and of proofs that were saved.

use crate::place::{Place, decision};
use crate::told;

#[test]
fn a_trail_alone_is_consistent_at_best() {
    told!(Place::with_credit().run(&["verify", "trail"]));
}

#[test]
fn a_trail_is_valid_against_a_pin_and_a_policy() {
    let place = Place::with_credit();
    std::fs::copy(place.path("trail/checkpoint"), place.path("pin")).unwrap();
    place.write("policy", policy(&place));
    told!(place.run(&["verify", "trail", "--pin", "pin", "--policy", "policy"]));
}

#[test]
fn a_flipped_bit_is_found_and_named() {
    let place = Place::with_credit();
    let lake = std::fs::read_dir(place.path("trail/lake")).unwrap();
    let file =
        lake.map(|entry| entry.unwrap().path()).find(|path| path.extension().is_some_and(|end| end == "parquet"));
    let mut bytes = std::fs::read(file.as_ref().unwrap()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file.unwrap(), bytes).unwrap();
    let run = place.run(&["verify", "trail", "--json"]);
    assert_eq!((run.code, &run.json()["verdict"]), (1, &"INVALID".into()));
    assert!(run.json()["findings"][0]["file"].as_str().unwrap().ends_with(".parquet"));
}

#[test]
fn a_pin_of_more_records_than_there_are_is_told() {
    let place = Place::with_trail();
    assert_eq!(place.run_on(&["append", "trail"], decision(1).as_bytes()).code, 0);
    assert_eq!(
        std::process::Command::new("cp")
            .args(["-r", "trail", "old"])
            .current_dir(place.path("."))
            .status()
            .unwrap()
            .code(),
        Some(0)
    );
    assert_eq!(place.run_on(&["append", "trail"], decision(2).as_bytes()).code, 0);
    assert_eq!(place.run(&["verify", "old"]).code, 0);
    told!(place.run(&["verify", "old", "--pin", "trail/checkpoint"]));
}

#[test]
fn a_saved_proof_checks_without_the_trail() {
    let place = Place::with_credit();
    place.write("policy", policy(&place));
    let digest = place.run(&["show", "trail", "7", "--json"]).json()["digest"].as_str().unwrap().to_owned();
    assert_eq!(place.run(&["prove", "trail", "7", "-o", "7.tlog-proof"]).code, 0);
    std::fs::rename(place.path("trail"), place.path("gone")).unwrap();
    told!(place.run(&["verify", "7.tlog-proof", "--policy", "policy", "--digest", &digest]));
}

#[test]
fn a_proof_is_no_proof_of_another_record() {
    let place = Place::with_credit();
    place.write("policy", policy(&place));
    let proof = place.run(&["prove", "trail", "7"]);
    place.write("7.tlog-proof", &proof.out);
    let other = place.run(&["show", "trail", "8", "--json"]).json()["digest"].as_str().unwrap().to_owned();
    told!(place.run(&["verify", "7.tlog-proof", "--policy", "policy", "--digest", &other]));
}

#[test]
fn a_proof_needs_a_policy_and_a_digest() {
    let place = Place::with_credit();
    place.write("policy", policy(&place));
    assert_eq!(place.run(&["prove", "trail", "7", "-o", "7.tlog-proof"]).code, 0);
    let mut told = String::new();
    let wrong: [&[&str]; 4] =
        [&[], &["--policy", "policy"], &["--policy", "policy", "--digest", "12"], &["--pin", "policy"]];
    for args in wrong {
        let run = place.run(&[&["verify", "7.tlog-proof"], args].concat());
        assert_eq!(run.code, 2, "{args:?}");
        told += &run.err;
    }
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(told);
    });
}

#[test]
fn a_policy_that_does_not_know_the_key_is_not_met() {
    let place = Place::with_credit();
    let other = Place::with_trail();
    place.write("policy", policy(&other));
    let run = place.run(&["verify", "trail", "--policy", "policy", "--json"]);
    assert_eq!((run.code, &run.json()["verdict"]), (1, &"INVALID".into()));
}

/// A policy that knows a place's trail.
fn policy(place: &Place) -> String {
    let settings: serde_json::Value = serde_json::from_str(&place.read("trail/trail.json")).unwrap();
    format!("log {}\nquorum none\n", settings["log_key"].as_str().unwrap())
}
