//! A server and the command that asks it: the real binary on both sides.

use std::time::{Duration, Instant};

use crate::place::{GERMAN_CREDIT, Place, Run, decision, plain};
use crate::told;
use crate::up::{Up, token};

/// What was said, without what differs from run to run.
fn steady(run: &Run, up: &Up<'_>) -> String {
    plain(&format!("exit {}\n-- out\n{}-- err\n{}", run.code, run.out, run.err)).replace(&up.base, "[SERVER]")
}

fn texts(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

/// The verbs that take a server say the same there as over the trail's folder.
#[test]
fn verbs_say_the_same_of_a_server_as_of_a_folder() {
    let place = Place::new();
    assert_eq!(place.run(&["init", "served/credit", "--origin", "example.com/credit"]).code, 0);
    let (writer, auditor) = (token(&place, "writer"), token(&place, "auditor"));
    let up = Up::start(&place);
    let of_server = format!("{}/v1/trails/credit", up.base);
    let appended = up.run(&writer, &["append", &up.base, GERMAN_CREDIT]);
    assert!(appended.code == 0 && appended.out.starts_with("appended 950 records; "), "{}", appended.told());
    let again = up.run(&writer, &["append", &of_server, GERMAN_CREDIT, "--json"]).json();
    assert_eq!((&again["summary"]["taken"], &again["summary"]["again"]), (&0.into(), &950.into()));
    let receipts =
        up.run_on(&writer, &["append", &of_server, "--receipts", "-q"], &(decision(1) + "{\"no\":1}\n" + &decision(2)));
    assert_eq!((receipts.code, receipts.out.lines().count()), (4, 2), "{}", receipts.told());
    assert!(receipts.err.contains("stdin:2: no: no record has this field"), "{}", receipts.err);
    let where_ = ["--where", "inputs.age > 60", "--limit", "3"];
    let sql =
        "SELECT result.class, count(*) AS n FROM decisions WHERE model.name = 'credit-risk' GROUP BY 1 ORDER BY 1";
    for args in [
        [&["-q", "search", "TRAIL"][..], &where_].concat(),
        [&["-q", "search", "TRAIL", "--format", "csv", "--columns", "id,inputs.age"][..], &where_].concat(),
        [&["-q", "search", "TRAIL", "--json"][..], &where_].concat(),
        vec!["-q", "sql", "TRAIL", sql],
        vec!["-q", "sql", "TRAIL", sql, "--json"],
        vec!["-q", "sql", "TRAIL", "SELECT nothing.at.all FROM decisions"],
        vec!["-q", "search", "TRAIL", "--where", "inputs.age = 'old'"],
        vec!["-q", "gaps", "TRAIL"],
        vec!["-q", "gaps", "TRAIL", "--json"],
    ] {
        let with = |trail: &str| {
            args.iter()
                .map(|arg| if *arg == "TRAIL" { trail.to_owned() } else { (*arg).to_owned() })
                .collect::<Vec<_>>()
        };
        let (server, folder) = (with(&of_server), with("served/credit"));
        let (server, folder) = (up.run(&auditor, &texts(&server)), place.run(&texts(&folder)));
        assert_eq!((server.code, &server.out, &server.err), (folder.code, &folder.out, &folder.err), "{args:?}");
    }
    questions_of_auditors(&place, &up, &auditor, &of_server);
    let proof = up.run(&auditor, &["prove", &of_server, "0", "-o", "d.tlog-proof"]);
    assert!(proof.code == 0 && proof.out.contains("log example.com/credit+"), "{}", proof.told());
    let shown = up.run(&auditor, &["show", &of_server, "0", "--json"]).json();
    assert_eq!((&shown["index"], &shown["document"]), (&0.into(), &"record".into()));
    let stats = up.run(&auditor, &["stats", &of_server, "--json"]).json();
    assert_eq!(
        (&stats["kinds"]["decision"], &stats["writer"]["settle_error"]),
        (&602.into(), &serde_json::Value::Null)
    );
    assert!(up.run(&auditor, &["stats", &of_server]).out.contains("writer        running, "));
    assert_eq!(up.end(), 0);
    // Everything that was asked of the server is on record, and nothing that was asked of the folder.
    let asked = place
        .run(&["-q", "sql", "served/credit", "SELECT count(*) AS n FROM events WHERE kind = 'access'", "--json"])
        .json();
    assert_eq!(asked["n"], 34, "sixteen questions and a record, a begin and an end each");
}

/// Groups, samples, counts and exports: of the server's trail as of its folder.
fn questions_of_auditors(place: &Place, up: &Up<'_>, auditor: &str, of_server: &str) {
    place.write("pin", place.read("served/credit/checkpoint"));
    place.write("counts.csv", "model,time,count\ncredit-risk,2026-11-01,7\nnonsense\n");
    let groups = ["groups", "TRAIL", "--by", "inputs.age < 25", "--outcome", "result.adverse", "--since", "2000-01-01"];
    let sample = ["sample", "TRAIL", "-n", "5", "--pin", "pin", "--nonce", "4 2 6", "--where", "inputs.age > 30", "-o"];
    for (args, code) in [
        (groups.to_vec(), 0),
        ([&groups[..], &["--json"]].concat(), 0),
        ([&groups[..], &["--favourable", "--format", "csv"]].concat(), 0),
        ([&sample[..], &["s.json"]].concat(), 0),
        (vec!["reconcile", "TRAIL", "--against", "counts.csv", "--by", "week"], 4),
        (vec!["reconcile", "TRAIL", "--against", "counts.csv", "--json"], 4),
    ] {
        let with = |trail: &str| args.iter().map(|arg| arg.replace("TRAIL", trail)).collect::<Vec<_>>();
        let said = |run: Run| {
            (run.code, run.out.replace(of_server, "served/credit"), run.err.replace(of_server, "served/credit"))
        };
        let folder = said(place.run(&[&["-q"], &texts(&with("served/credit"))[..]].concat()));
        let server = said(up.run(auditor, &[&["-q"], &texts(&with(of_server))[..]].concat()));
        assert_eq!(server, folder, "{args:?}");
        assert_eq!(server.0, code, "{args:?}: {server:?}");
    }
    let checked = place.run(&["verify", "s.json", "--trail", "served/credit", "--pin", "pin"]);
    assert!(checked.code == 0 && checked.out.starts_with("VALID"), "{}", checked.told());
    // One with a bad nonce fails as on a folder.
    let refused = up.run(auditor, &["sample", of_server, "--pin", "counts.csv", "--nonce", "x"]);
    assert_eq!(refused.code, 2, "{}", refused.told());
    let export = |trail: &str, output: &str, by: &dyn Fn(&[&str]) -> Run| {
        let args = [
            "--json",
            "export",
            trail,
            "-o",
            output,
            "--columns",
            "index,inputs.age",
            "--format",
            "csv",
            "--model",
            "credit-risk",
        ];
        let run = by(&args);
        assert_eq!(run.code, 0, "{}", run.told());
        let made = run.json();
        let checked = place.run(&[
            "--json",
            "verify",
            output,
            "--digest",
            made["manifest_sha256"].as_str().unwrap(),
            "--trail",
            "served/credit",
        ]);
        let checked_json = checked.json();
        (
            made["rows"].clone(),
            made["complete"].clone(),
            checked.code,
            checked_json["verdict"].clone(),
            place.read(&format!("{output}/rows-0001.csv")),
        )
    };
    let of_folder = export("served/credit", "of-folder", &|args| place.run(args));
    let from_server = export(of_server, "of-server", &|args| up.run(auditor, args));
    assert_eq!(of_folder, from_server);
    let over = up.run(auditor, &["export", of_server, "-o", "of-server"]);
    assert!(over.code == 2 && over.err.contains("is there already"), "{}", over.told());
    let recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    let sealed = up.run(auditor, &["export", of_server, "-o", "sealed", "--recipient", recipient, "--limit", "3"]);
    assert!(sealed.code == 0 && sealed.out.contains("age -d -i KEY"), "{}", sealed.told());
    assert!(place.path("sealed/manifest.json.age").exists() && !place.path("sealed/manifest.json").exists());
}

#[test]
fn what_does_not_work_on_a_server_says_so() {
    let place = Place::new();
    let up = Up::start(&place);
    assert!(up.said.starts_with("This server has no tokens yet."), "{}", up.said);
    let admin = up.said.lines().find(|line| line.trim().starts_with("onr_")).unwrap().trim().to_owned();
    let of = |token: &str, args: &[&str]| steady(&up.run(token, args), &up);
    let mut said = String::new();
    for (token, args) in [
        (&*admin, &["verify", "SERVER"][..]),
        (&admin, &["compact", "SERVER"]),
        (&admin, &["export", "SERVER", "-o", "x"]),
        (&admin, &["init", "SERVER"]),
        (&admin, &["append", "SERVER", "--settle", "x.ndjson"]),
        (&admin, &["show", "SERVER", "--subject", "x"]),
        (&admin, &["search", "SERVER"]),
        (&admin, &["show", "SERVER/v1/trails/nowhere", "1"]),
        (&admin, &["stats", "SERVER/v1/trails/default/records"]),
        ("", &["stats", "SERVER"]),
        ("onr_nonsense", &["stats", "SERVER"]),
        (&admin, &["stats", "http://127.0.0.1:1"]),
    ] {
        let args: Vec<String> = args.iter().map(|arg| arg.replace("SERVER", &up.base)).collect();
        let shown: Vec<String> = args.iter().map(|arg| arg.replace(&up.base, "[SERVER]")).collect();
        said += &format!("$ onrecord {}\n{}\n", shown.join(" "), of(token, &texts(&args)));
    }
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(said)
    });
}

#[test]
fn a_configuration_is_checked_by_the_names_of_its_fields() {
    let place = Place::with_trail();
    place.write("onrecord.toml", "dir = \".\"\n[limits]\nreads_max = 0\n");
    told!(place.run(&["serve", "--check", "--config", "onrecord.toml"]));
    place.write("onrecord.toml", "dir = \".\"\n[limits]\nread_max = 1\n");
    told!(place.run(&["serve", "--check", "--config", "onrecord.toml"]));
    place.write("onrecord.toml", "dir = \".\"\n");
    told!(place.run(&["serve", "--check", "--config", "onrecord.toml"]));
    told!(place.run(&["serve", "--check", "--config", "onrecord.toml", "--listen", "0.0.0.0:7411"]));
    told!(place.run(&["serve", "--check", "--dir", "trail"]));
    told!(place.run(&["serve", "--check"]));
}

/// A server that is told to end does, and soon, with a client that only holds the line.
#[test]
fn a_server_that_is_told_to_end_ends() {
    let place = Place::new();
    let up = Up::start(&place);
    let _held = std::net::TcpStream::connect(up.base.strip_prefix("http://").unwrap()).unwrap();
    let started = Instant::now();
    assert_eq!(up.end(), 0);
    assert!(started.elapsed() < Duration::from_secs(20));
}
