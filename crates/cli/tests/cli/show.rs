//! The case file.

use crate::place::{Place, decision};
use crate::told;

#[test]
fn a_case_file_tells_everything() {
    told!(Place::with_credit().run(&["show", "trail", "7"]));
}

#[test]
fn a_narrow_terminal_and_a_plain_locale_are_served() {
    let place = Place::with_credit();
    let mut command = place.command(&["show", "trail", "7"]);
    told!(place.of(command.env("COLUMNS", "80").env("LANG", "C").output().unwrap()));
}

#[test]
fn the_json_holds_record_proof_and_place() {
    let place = Place::with_credit();
    let shown = place.run(&["show", "trail", "019cae4d-9bfd-764b-92e6-0efa0885249e", "--json", "--proof"]).json();
    assert_eq!((&shown["index"], &shown["place"]["row"]), (&7.into(), &7.into()));
    assert_eq!(shown["record"]["inputs"]["credit_amount"], 4817);
    assert_eq!(shown["record"]["time"], "2026-03-02T11:27:27.741673472Z");
    assert_eq!((&shown["proof"]["included"], &shown["proof"]["size"]), (&true.into(), &950.into()));
    assert!(shown["proof"]["tlog_proof"].as_str().unwrap().starts_with("c2sp.org/tlog-proof@v1\nindex 7\n"));
    assert_eq!(shown["about"][0]["record"]["output"]["label"], "bad");
    assert!(shown.to_string().find("salt\":\"").is_none(), "the salt is never shown");
}

#[test]
fn a_record_is_found_by_the_beginning_of_its_id() {
    let place = Place::with_credit();
    for id in ["019cae4d", "019cae4d9bfd764b", "019CAE4D-9BFD"] {
        assert_eq!(place.run(&["show", "trail", id, "--json"]).json()["index"], 7, "{id}");
    }
}

#[test]
fn a_record_in_the_journal_is_found_too() {
    let place = Place::with_trail();
    place.run_on(&["append", "trail"], (decision(1) + &decision(2)).as_bytes());
    let shown = place.run(&["show", "trail", "0190a5c2-7b1e-7c3a-9d55-000000000002", "--json"]).json();
    assert_eq!((&shown["index"], &shown["place"]), (&1.into(), &"journal".into()));
    told!(place.run(&["show", "trail", "0190a5c2"]));
}

#[test]
fn what_is_not_there_is_a_negative_answer() {
    let place = Place::with_credit();
    let mut told = String::new();
    for (id, code) in [("950", 1), ("0190a5c2-7b1e-7c3a-9d55-000000000002", 1), ("ffffffff", 1), ("019c", 2), ("x", 1)]
    {
        let run = place.run(&["show", "trail", id]);
        assert_eq!(run.code, code, "{id}");
        told += &run.err;
    }
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(told);
    });
}

#[test]
fn escapes_in_a_value_come_out_harmless() {
    let place = Place::with_trail();
    let nasty = "{\"model\":{\"name\":\"m\",\"version\":\"1\"},\
                 \"inputs\":{\"a\\u001b]0;owned\\u0007\":\"\\u001b[31mred\\u202eevil\\r\\nnew\"},\"output\":1}\n";
    let bad = "{\"\\u001b[2Jmodel\":1}\n";
    let appended = place.run_on(&["append", "trail"], format!("{nasty}{bad}").as_bytes());
    assert_eq!(appended.code, 4);
    let shown = place.run(&["show", "trail", "0"]);
    for run in [&appended, &shown] {
        let treacherous = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!(run.out.clone() + &run.err).contains(treacherous), "{:?} {:?}", run.out, run.err);
    }
    assert!(shown.out.contains("a\\u{1b}]0;owned\\u{7}  \\u{1b}[31mred\\u{202e}evil\\r\\nnew"), "{}", shown.out);
}

#[test]
fn colours_are_for_those_who_want_them() {
    let place = Place::with_credit();
    let coloured = place.command(&["show", "trail", "7"]).env("CLICOLOR_FORCE", "1").output().unwrap();
    assert!(place.of(coloured).out.contains("\u{1b}["));
    let plain =
        place.command(&["show", "trail", "7"]).env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1").output().unwrap();
    assert!(!place.of(plain).out.contains("\u{1b}["));
}

/// T20: a tombstone says what is gone, who declared it, and that it still verifies.
#[test]
fn an_erased_record_is_shown_proved_and_verified_as_erased() {
    let place = Place::with_credit();
    let (folder, keys) = (trail::Folder::new(place.path("trail")), trail::KeyFolder(place.path("keys")));
    let writer = trail::Writer::open(&host::Host::system(), &folder, &keys, trail::Options::default()).unwrap();
    let erasure = trail::Erasure {
        id: "019cae4d-9bfd-764b-92e6-0efa0885ffff".parse().unwrap(),
        indices: vec![7],
        parts: vec!["subject".to_owned(), "inputs".to_owned(), "explanation".to_owned()],
        basis: "GDPR 17(1)(b)".to_owned(),
        by: "dpo@example.com".to_owned(),
    };
    writer.erase(&erasure).unwrap();
    writer.close().unwrap();
    told!(place.run(&["show", "trail", "7"]));
    let json = place.run(&["show", "trail", "7", "--json"]).json();
    assert_eq!((&json["verdict"], &json["erased_by"][0]["index"]), (&"ERASED".into(), &950.into()));
    assert_eq!(json["erased_by"][0]["basis"], "GDPR 17(1)(b)");
    assert!(json["record"]["inputs"].is_null() && json["proof"]["included"] == true, "{json}");
    let proved = place.run(&["prove", "trail", "7", "-o", "7.tlog-proof"]);
    assert_eq!(proved.code, 0, "{}", proved.told());
    let verified = place.run(&["verify", "trail"]);
    assert_eq!(verified.code, 0);
    assert!(verified.out.contains("erased        1, declared"), "{}", verified.told());
}
