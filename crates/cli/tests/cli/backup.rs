//! The runbook's drills, as an operator runs them: a backup, a restore, a key that is lost, a verdict that is invalid.

use std::path::Path;

use crate::place::{Place, decision};

fn append(place: &Place, range: std::ops::Range<u32>) {
    let lines: String = range.map(decision).collect();
    assert_eq!(place.run_on(&["append", "trail"], lines.as_bytes()).code, 0);
}

fn ran(place: &Place, args: &[&str]) -> crate::place::Run {
    let run = place.run(args);
    assert_eq!(run.code, 0, "{args:?}: {}{}", run.out, run.err);
    run
}

/// The restore drill: beside the trail, with keys of its own, and nothing of the original is touched.
#[test]
fn a_backup_is_tried_out_beside_the_trail() {
    let place = Place::with_trail();
    append(&place, 0..40);
    let done = ran(&place, &["backup", "trail", "-o", "backup", "--keys", "vault"]);
    assert!(done.out.contains("backed up") && done.out.contains("the master key is among them"), "{}", done.out);
    assert!(done.out.contains("CONSISTENT"), "{}", done.out);
    let with = |keys: &str, args: &[&str]| {
        place.of(place.command(args).env("ONRECORD_KEYS", place.path(keys)).output().unwrap())
    };
    let checked = with("vault", &["verify", "backup", "--pin", "trail/checkpoint", "--json"]);
    assert_eq!(checked.json()["verdict"], "VALID", "{}", checked.out);
    let restored =
        with("drill-keys", &["restore", "backup", "--keys", "vault", "--pin", "trail/checkpoint", "-o", "drill"]);
    assert_eq!(restored.code, 0, "{}{}", restored.out, restored.err);
    assert!(restored.out.contains("restored to drill") && restored.out.contains("VALID"), "{}", restored.out);
    let found = with("drill-keys", &["search", "drill", "--limit", "100", "--format", "json"]);
    assert_eq!(found.out.lines().filter(|line| line.starts_with('{')).count(), 40, "{}", found.out);
    // The trail goes on, and the next backup copies what is new.
    append(&place, 40..45);
    let again = ran(&place, &["backup", "trail", "-o", "backup", "--keys", "vault", "--json"]);
    assert!(again.json()["records"] == 45 && again.json()["verify"]["verdict"] == "CONSISTENT", "{}", again.out);
    ran(&place, &["verify", "trail"]);
}

#[test]
fn what_a_lost_trail_had_more_is_said_and_a_new_log_begins() {
    let place = Place::with_trail();
    append(&place, 0..40);
    ran(&place, &["backup", "trail", "-o", "backup", "--keys", "vault"]);
    append(&place, 40..50);
    std::fs::copy(place.path("trail/checkpoint"), place.path("last.checkpoint")).unwrap();
    std::fs::remove_dir_all(place.path("trail")).unwrap();
    let restored = ran(&place, &["restore", "backup", "--keys", "vault", "--pin", "last.checkpoint", "-o", "trail"]);
    assert!(restored.out.contains("records 40 to 49 of it are lost"), "{}", restored.out);
    assert!(restored.err.contains("the old log's keys open its backups"), "{}", restored.err);
    append(&place, 50..55);
    ran(&place, &["verify", "trail"]);
    let stats = ran(&place, &["stats", "trail", "--json"]).json();
    assert_eq!((&stats["records"], &stats["kinds"]["config"]), (&46.into(), &1.into()));
    assert!(stats["origin"].as_str().unwrap().starts_with("example.com/credit/restored-"));
}

#[test]
fn what_is_asked_for_wrongly_is_refused_before_anything_is_written() {
    let place = Place::with_trail();
    append(&place, 0..5);
    for (args, says) in [
        (&["backup", "trail", "-o", "backup"][..], "--keys"),
        (&["backup", "trail", "-o", "backup", "--keys", "backup/keys"], "not apart"),
        (&["backup", "trail", "-o", "trail/backup", "--keys", "vault"], "not apart"),
        (&["backup", "nothing", "-o", "backup", "--keys", "vault"], "is no trail"),
        (&["restore", "nothing", "-o", "drill"], "is no trail"),
    ] {
        let refused = place.run(args);
        assert!(refused.code == 2 && refused.err.contains(says), "{args:?}: {} {}", refused.code, refused.err);
        assert!(!place.path("backup").exists() && !place.path("drill").exists(), "{args:?}");
    }
    let same = place.run(&["keys", "rotate", "trail", "--master-key", "file:master.key"]);
    assert!(same.code == 2 && same.err.contains("already"), "{} {}", same.code, same.err);
    assert!(!same.err.contains("destroy"), "{}", same.err);
}

/// The folder of keys is lost, and its backup is put in its place.
#[test]
fn lost_keys_come_back_from_their_backup() {
    let place = Place::with_trail();
    append(&place, 0..40);
    ran(&place, &["backup", "trail", "-o", "backup", "--keys", "vault"]);
    std::fs::rename(place.path("keys"), place.path("lost")).unwrap();
    let lost = place.run(&["verify", "trail"]);
    assert!(lost.code == 3 && lost.err.contains("are not at"), "{}", lost.err);
    copy(&place.path("vault"), &place.path("keys"));
    ran(&place, &["verify", "trail", "--pin", "backup/checkpoint"]);
    append(&place, 40..45);
    ran(&place, &["verify", "trail"]);
}

/// A file of the trail was changed: the verdict names it, and the backup has it as it was.
#[test]
fn a_changed_file_is_named_and_comes_back_from_the_backup() {
    let place = Place::with_trail();
    append(&place, 0..40);
    ran(&place, &["append", "trail", "/dev/null", "--format", "ndjson", "--settle"]);
    ran(&place, &["backup", "trail", "-o", "backup", "--keys", "vault"]);
    let data = std::fs::read_dir(place.path("trail/lake")).unwrap().map(|entry| entry.unwrap().path());
    let data = data.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "parquet")).unwrap();
    let mut bytes = std::fs::read(&data).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&data, &bytes).unwrap();
    let name = data.file_name().unwrap().to_str().unwrap();
    let found = place.run(&["verify", "trail", "--pin", "backup/checkpoint"]);
    assert!(found.code == 1 && found.out.contains("INVALID") && found.out.contains(name), "{}", found.out);
    // The backup's checkpoint was signed over the same bytes.
    std::fs::copy(place.path("backup/lake").join(name), &data).unwrap();
    ran(&place, &["verify", "trail", "--pin", "backup/checkpoint"]);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        match path.is_dir() {
            true => copy(&path, &to.join(name)),
            false => assert!(std::fs::copy(path, to.join(name)).is_ok()),
        }
    }
}
