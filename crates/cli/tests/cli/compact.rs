//! Merging a trail's files.

use crate::place::{Place, decision};

#[test]
fn small_files_become_one_and_every_record_is_the_same() {
    let place = Place::with_trail();
    for number in 1..=3 {
        assert_eq!(place.run_on(&["append", "trail", "--settle"], decision(number).as_bytes()).code, 0);
    }
    let before = place.run(&["verify", "trail", "--json"]).json();
    let done = place.run(&["compact", "trail", "--json"]).json();
    assert_eq!((&done["files_before"], &done["files_after"]), (&3.into(), &1.into()), "{done}");
    assert_eq!((&done["rows_rewritten"], &done["files_left"]), (&3.into(), &3.into()), "{done}");
    let after = place.run(&["verify", "trail", "--json"]).json();
    for field in ["verdict", "size", "root", "lake_records"] {
        assert_eq!(before[field], after[field], "{field}");
    }
    // Nothing is left to do, and that is no error.
    let again = place.run(&["compact", "trail"]);
    assert!(again.code == 0 && again.out.contains("rewrote 0 records"), "{}", again.told());
}

#[test]
fn a_running_writer_does_it_for_others() {
    let place = Place::with_trail();
    for number in 1..=3 {
        assert_eq!(place.run_on(&["append", "trail", "--settle"], decision(number).as_bytes()).code, 0);
    }
    let (mut writer, stdin) = place.held_open(&["append", "trail"]);
    while !place.path("trail/writer.sock").exists() {
        std::thread::yield_now();
    }
    let done = place.run(&["compact", "trail", "--json"]).json();
    assert_eq!((&done["files_before"], &done["files_after"]), (&3.into(), &1.into()), "{done}");
    drop(stdin);
    assert!(writer.wait().unwrap().success());
}

/// The table's log: a checkpoint each time there is something new, and the entries from before the last but one go.
#[test]
fn the_log_gets_a_checkpoint_and_loses_what_is_older() {
    let place = Place::with_trail();
    let settle = |number| {
        assert_eq!(place.run_on(&["append", "trail", "--settle"], decision(number).as_bytes()).code, 0);
    };
    settle(1);
    settle(2);
    let first = place.run(&["compact", "trail", "--json"]).json();
    assert_eq!((&first["log_checkpoint"], &first["log_removed"]), (&3.into(), &0.into()), "{first}");
    settle(3);
    let second = place.run(&["compact", "trail"]);
    assert!(
        second.out.contains("wrote a checkpoint of the table's log at version 5; removed 3 older files of the log"),
        "{}",
        second.told()
    );
    let again = place.run(&["compact", "trail", "--json"]).json();
    assert_eq!((&again["log_checkpoint"], &again["log_left"]), (&serde_json::Value::Null, &0.into()), "{again}");
    let stats = place.run(&["stats", "trail"]);
    assert!(stats.out.contains("version 5, read from its checkpoint of version 5"), "{}", stats.told());
    let stats = place.run(&["stats", "trail", "--json"]).json();
    assert_eq!((&stats["table_version"], &stats["table_checkpoint"]), (&5.into(), &5.into()), "{stats}");
    assert_eq!(place.run(&["verify", "trail", "--json"]).json()["verdict"], "CONSISTENT");
    settle(4);
    assert_eq!(place.run(&["verify", "trail", "--json"]).json()["lake_records"], 4);
}
