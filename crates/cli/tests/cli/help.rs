//! What the command says of itself, and of being used wrongly.

use crate::place::Place;
use crate::told;

#[test]
fn the_help_page_lists_what_works() {
    told!(Place::new().run(&["--help"]));
}

#[test]
fn append_explains_itself() {
    told!(Place::new().run(&["append", "--help"]));
}

#[test]
fn an_unknown_verb_is_wrong_use() {
    let run = Place::new().run(&["frobnicate"]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("unrecognized subcommand"), "{}", run.err);
}

#[test]
fn no_trail_is_told_with_a_hint() {
    told!(Place::new().run(&["show", "nowhere", "0"]));
}

#[test]
fn a_server_is_not_a_folder() {
    told!(Place::new().run(&["compact", "http://localhost:7411"]));
}

#[test]
fn init_says_where_the_key_is() {
    told!(Place::new().run(&["init", "trail", "--origin", "example.com/credit"]));
}

#[test]
fn a_trail_is_made_once() {
    told!(Place::with_trail().run(&["init", "trail"]));
}

#[test]
fn an_origin_that_cannot_name_a_key_is_refused() {
    told!(Place::new().run(&["init", "trail", "--origin", "two words"]));
}

#[test]
fn every_shell_gets_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = Place::new().run(&["completions", shell]);
        assert!(run.code == 0 && run.out.contains("onrecord"), "{shell}");
    }
}
