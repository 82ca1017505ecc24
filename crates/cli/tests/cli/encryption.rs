//! Encrypted trails as they are used: made by default, read with their keys, rotated, and left open only when that is said.

use std::path::{Path, PathBuf};

use crate::place::Place;
use crate::told;

pub const CANARY: &str = "canary7f3a";

fn records() -> String {
    (0..300u64)
        .map(|n| {
            format!(
                r#"{{"id":"0190a5c2-7b1e-7c3a-9d55-{n:012x}","model":{{"name":"m","version":"1"}},"subject":{{"id":"{CANARY}-{n}"}},"inputs":{{"text":"{CANARY}","n":{n}}},"output":{n}}}"#
            ) + "\n"
        })
        .collect()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// The files of a place that say it in clear.
pub fn with_canary(place: &Place) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(&place.path(""), &mut found);
    let holds =
        |path: &PathBuf| std::fs::read(path).is_ok_and(|bytes| bytes.windows(10).any(|w| w == CANARY.as_bytes()));
    found.retain(holds);
    found
}

/// T21: after everything that the command can do, no byte under the trail, the keys, the temporary folder and an export says
/// what a record says.
#[test]
fn no_verb_leaves_a_byte_in_clear() {
    let place = Place::with_trail();
    std::fs::create_dir(place.path("tmp")).unwrap();
    let run = |args: &[&str], stdin: &str| {
        let mut command = place.command(args);
        command.env("TMPDIR", place.path("tmp")).stdin(std::process::Stdio::piped());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), stdin.as_bytes()).unwrap();
        place.of(child.wait_with_output().unwrap())
    };
    let recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    for (args, stdin) in [
        (&["append", "trail", "--strict", "--settle"][..], records()),
        (&["append", "trail"][..], records().replace("9d55-", "9d56-")),
        (&["search", "trail", "--subject", "canary7f3a-7"], String::new()),
        (&["sql", "trail", "SELECT * FROM events ORDER BY inputs.text, inputs.n"], String::new()),
        (&["show", "trail", "7"], String::new()),
        (&["compact", "trail"], String::new()),
        (&["export", "trail", "-o", "out", "--recipient", recipient], String::new()),
        (&["stats", "trail"], String::new()),
        (&["verify", "trail"], String::new()),
    ] {
        let done = run(args, &stdin);
        assert_eq!(done.code, 0, "{args:?}: {}", done.err);
        assert_eq!(with_canary(&place), Vec::<PathBuf>::new(), "after {args:?}");
    }
    let open = run(&["export", "trail", "-o", "open"], "");
    assert_eq!(open.code, 0, "{}", open.err);
    assert!(!with_canary(&place).is_empty(), "the sweep looks where records are");
}

#[test]
fn a_trail_is_left_open_only_when_that_is_said() {
    let place = Place::new();
    told!(place.run(&["init", "open", "--origin", "example.com/credit", "--no-encryption"]));
    assert_eq!(place.run(&["stats", "open", "--json"]).json()["encryption"], "none");
    assert_eq!(place.run(&["verify", "open", "--json"]).json()["encryption"], "none");
    assert!(place.run(&["verify", "open"]).out.contains("whoever has the trail's files can read every record"));
    assert_eq!(place.run(&["init", "closed"]).code, 0);
    assert_eq!(place.run(&["stats", "closed", "--json"]).json()["encryption"], "aes-256-gcm");
}

#[test]
fn keys_are_taken_from_where_they_are_said_to_be() {
    let place = Place::new();
    place.write("passphrase", "correct horse battery staple\n");
    let at = format!("passphrase:{}", place.path("passphrase").display());
    assert_eq!(place.run(&["init", "trail", "--master-key", &at]).code, 0);
    assert_eq!(place.run_on(&["append", "trail", "--settle"], records().as_bytes()).code, 0);
    assert!(!place.path("keys/master.key").exists());
    // Moved: where it is by now is said by a variable, or by wrapping the keys anew.
    std::fs::rename(place.path("passphrase"), place.path("moved")).unwrap();
    let lost = place.run(&["search", "trail"]);
    assert!(lost.code == 3 && lost.err.contains("ONRECORD_MASTER_KEY"), "{}", lost.err);
    let moved = format!("passphrase:{}", place.path("moved").display());
    let with = |args: &[&str]| place.of(place.command(args).env("ONRECORD_MASTER_KEY", &moved).output().unwrap());
    assert_eq!(with(&["search", "trail"]).code, 0);
    place.write("credentials.key", "0f".repeat(32));
    let by_name = |args: &[&str]| {
        place.of(place
            .command(args)
            .env("CREDENTIALS_DIRECTORY", place.path(""))
            .env("ONRECORD_MASTER_KEY", &moved)
            .output()
            .unwrap())
    };
    let rotated = by_name(&["keys", "rotate", "trail", "--master-key", "credential:credentials.key"]);
    assert_eq!(rotated.code, 0, "{}", rotated.err);
    let done =
        place.of(place.command(&["verify", "trail"]).env("CREDENTIALS_DIRECTORY", place.path("")).output().unwrap());
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(place.run(&["verify", "trail"]).code, 3);
    // Another key of the trail itself.
    let rotate = place.command(&["keys", "rotate", "trail"]).env("CREDENTIALS_DIRECTORY", place.path("")).output();
    assert_eq!(place.of(rotate.unwrap()).code, 0);
    let done =
        place.of(place.command(&["verify", "trail"]).env("CREDENTIALS_DIRECTORY", place.path("")).output().unwrap());
    assert_eq!(done.code, 0, "{}", done.err);
}

#[test]
fn without_keys_every_verb_says_what_is_missing() {
    let place = Place::with_trail();
    assert_eq!(place.run_on(&["append", "trail", "--settle"], records().as_bytes()).code, 0);
    std::fs::rename(place.path("keys"), place.path("elsewhere")).unwrap();
    for args in [
        &["append", "trail", "/dev/null", "--format", "ndjson"][..],
        &["search", "trail"],
        &["sql", "trail", "SELECT 1"],
        &["show", "trail", "0"],
        &["stats", "trail"],
        &["verify", "trail"],
        &["export", "trail", "-o", "out"],
        &["gaps", "trail"],
        &["compact", "trail"],
        &["keys", "show", "trail", "x.parquet"],
        &["keys", "rotate", "trail"],
    ] {
        let refused = place.run(args);
        let says =
            refused.err.contains("the keys of example.com/credit are not at") || refused.err.contains("ONRECORD_KEYS");
        assert!(refused.code == 3 && says, "{args:?}: {} {}", refused.code, refused.err);
    }
}
