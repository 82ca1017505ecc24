//! Tokens, and tests of access policies.

use std::os::unix::fs::PermissionsExt as _;

use crate::place::{Place, Run};
use crate::told;

/// A place with a server's folder that says something of masks and groups.
fn server() -> Place {
    let place = Place::new();
    std::fs::create_dir_all(place.path("server/access/policies")).unwrap();
    place.write(
        "server/access/access.toml",
        "[[group]]\ngroup = \"credit-desk\"\nrole = \"reader\"\ntrails = [\"credit\"]\n\n\
         [[mask]]\nfield = \"subject\"\nas = \"hash\"\n",
    );
    place
}

/// What was said, with ids and secrets left out.
fn hidden(mut run: Run) -> Run {
    let hide = |text: &str| {
        let words = text.split_inclusive(|c: char| c.is_whitespace() || c == '"');
        words
            .map(|word| {
                let core = word.trim_end_matches(|c: char| c.is_whitespace() || c == '"');
                let id = |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                let named = match core {
                    core if core.starts_with("onr_") => "[TOKEN]",
                    core if id(core) => "[ID............]",
                    core => core,
                };
                named.to_owned() + &word[core.len()..]
            })
            .collect::<String>()
    };
    (run.out, run.err) = (hide(&run.out), hide(&run.err));
    run
}

fn create(place: &Place, args: &[&str]) -> serde_json::Value {
    let run = place.run(&[&["token", "create", "--dir", "server", "--json"], args].concat());
    assert_eq!(run.code, 0, "{}", run.err);
    run.json()
}

#[test]
fn a_token_is_made_and_shown_once() {
    let place = server();
    let made = ["token", "create", "credit-api", "--dir", "server", "--role", "writer", "--trail", "credit"];
    told!(hidden(place.run(&[&made[..], &["--kind", "outcome", "--kind", "decision", "--model", "risk"]].concat())));
    let list = place.run(&["token", "list", "--dir", "server"]);
    assert!(!list.out.contains("onr_"));
    told!(hidden(list));
    let kept = place.read("server/access/tokens.json");
    assert!(kept.contains("sha256") && !kept.contains("onr_"));
    let mode = std::fs::metadata(place.path("server/access/tokens.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_token_is_rotated_and_revoked() {
    let place = server();
    let made = create(&place, &["batch", "--role", "writer", "--trail", "*"]);
    let (id, token) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    // Whoever has the token at hand need not pick the id out of it.
    told!(hidden(place.run(&["token", "rotate", token, "--dir", "server", "--overlap", "0"])));
    let rotated = place.run(&["token", "rotate", id, "--dir", "server", "--json"]).json();
    assert!(rotated["token"].as_str().unwrap() != token && rotated["id"] == id);
    let list = place.run(&["token", "list", "--dir", "server", "--json"]).json();
    assert_eq!((&list["state"], &list["last_used"]), (&"rotating".into(), &serde_json::Value::Null));
    told!(hidden(place.run(&["token", "revoke", id, "--dir", "server"])));
    let again = place.run(&["token", "rotate", id, "--dir", "server"]);
    assert_eq!(again.code, 2);
    assert!(again.err.contains("is revoked"), "{}", again.err);
    assert_eq!(place.run(&["token", "list", "--dir", "server", "--json"]).json()["state"], "revoked");
    assert_eq!(place.run(&["token", "revoke", "0123456789abcdef", "--dir", "server"]).code, 1);
}

#[test]
fn a_token_that_makes_no_sense_is_wrong_use() {
    let place = server();
    let tried = |args: &[&str]| {
        let run = place.run(&[&["token", "create", "x", "--dir", "server"], args].concat());
        assert_eq!(run.code, 2, "{args:?}: {}", run.out);
        run.err
    };
    for (args, said) in [
        (&["--role", "Writer", "--trail", "a"][..], "is no role"),
        (&["--role", "writer"], "--trail"),
        (&["--role", "writer", "--trail", "a", "--trail", "*"], "stands alone"),
        (&["--role", "writer", "--trail", "a", "--kind", "decisions"], "is no kind of record"),
        (&["--role", "writer", "--trail", "a", "--until", "2020-01-01"], "end before it begins"),
        (&["--role", "writer", "--trail", "a", "--until", "soon"], "soon"),
        (&["--role", "regulator", "--trail", "a", "--until", "2199-01-01"], "from which and until which"),
    ] {
        let err = tried(args);
        assert!(err.contains(said), "{args:?}: {err}");
    }
    assert!(!place.path("server/access/tokens.json").exists());
    let nowhere = place.run(&["token", "list", "--dir", "sever"]);
    assert_eq!(nowhere.code, 2);
    assert!(nowhere.err.contains("sever is no folder"), "{}", nowhere.err);
    let own = place.run(&["token", "create", "x", "--dir", "server", "--role", "fraud-desk", "--trail", "a"]);
    assert!(own.code == 0 && own.err.contains("is no role of the default policy"), "{}", own.err);
}

const EXPECTATIONS: &str = r#"
[principals]
clerk = { groups = ["credit-desk"] }

[[expect]]
principal = "clerk"
trail = "credit"
permitted = ["read-record", "search", "prove", "log", "stats", "verify"]
masked = ["subject"]

[[expect]]
principal = "clerk"
trail = "fraud"
permitted = []
"#;

#[test]
fn policies_are_held_against_what_was_expected() {
    let place = server();
    place.write("expect.toml", EXPECTATIONS);
    let test = || place.run(&["access", "test", "expect.toml", "--dir", "server"]);
    told!(test());
    assert!(!place.path("server/access/mask.key").exists(), "a test writes nothing");
    place.write(
        "server/access/policies/more.cedar",
        "permit (principal in OnRecord::Role::\"reader\", action == OnRecord::Action::\"export\", resource);",
    );
    told!(test());
    let json = place.run(&["access", "test", "expect.toml", "--dir", "server", "--json"]);
    assert_eq!((json.code, &json.json()["differences"][0]["line"]), (1, &5.into()));
}

#[test]
fn a_policy_that_is_wrong_is_told_with_its_place() {
    let place = server();
    place.write("expect.toml", EXPECTATIONS);
    place.write(
        "server/access/policies/wrong.cedar",
        "permit (\n  principal,\n  action == OnRecord::Action::\"serch\",\n  resource);",
    );
    told!(place.run(&["access", "test", "expect.toml", "--dir", "server"]));
    place.write("expect.toml", "[[expect]]\n");
    assert_eq!(place.run(&["access", "test", "expect.toml", "--dir", "server"]).code, 2);
    assert_eq!(place.run(&["access", "test", "none.toml", "--dir", "server"]).code, 2);
}
