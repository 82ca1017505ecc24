//! Tokens: made, shown once, rotated, revoked, and seen to change by whoever runs.

use std::time::Duration;

use access::{Credential, OVERLAP_MAX, Reason, TOKEN_TEXT_BYTES, TokenError, TokenSpec, TokenSpecError, Tokens};
use host::Host;

use crate::place::{DAY, NOW, Place, on_credit};

fn spec(name: &str, role: &str) -> TokenSpec {
    TokenSpec { name: name.to_owned(), assignment: on_credit(role) }
}

fn every_file(place: &Place) -> String {
    let files = std::fs::read_dir(place.folder.path().join("access")).unwrap();
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap()).into_owned()
    };
    files.map(read).collect()
}

#[test]
fn a_token_is_shown_once_and_nothing_that_is_kept_lets_anybody_in() {
    let place = Place::new();
    let access = place.open();
    let (token, text) = access.tokens().create(spec("scorer", "writer"), "test", NOW).unwrap();
    let text = text.reveal();
    let (id, secret) = text.strip_prefix("onr_").unwrap().split_once('_').unwrap();
    assert_eq!((id, text.len(), secret.len()), (&*token.id, TOKEN_TEXT_BYTES, 64));
    let principal = place.who(&access, text).unwrap();
    assert_eq!((&*principal.id, &*principal.name), (&*format!("token:{id}"), "scorer"));
    access.tokens().write_last_used(true).unwrap();
    let kept =
        every_file(&place) + &format!("{token:?} {:?} {:?}", access.tokens().list().unwrap(), Credential::Bearer(text));
    assert!(kept.contains(id) && !kept.contains(secret));
    // What is kept in place of the secret is not taken for it.
    let hash = kept.split("\"sha256\": \"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(place.who(&access, &format!("onr_{id}_{hash}")).unwrap_err().reason, Reason::Unknown);
    use std::os::unix::fs::PermissionsExt as _;
    let file = std::fs::metadata(place.folder.path().join("access/tokens.json")).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_is_no_token_is_refused_and_all_refusals_sound_alike() {
    let place = Place::new();
    let access = place.open();
    let (_, text) = access.tokens().create(spec("scorer", "writer"), "test", NOW).unwrap();
    let text = text.reveal();
    let other = format!("{}{}", &text[..text.len() - 1], if text.ends_with('0') { '1' } else { '0' });
    let other_id = format!("onr_{}{}", "0".repeat(16), &text[20..]);
    let mut told = std::collections::BTreeSet::new();
    for (tried, reason) in [
        ("", Reason::Malformed),
        ("onr_", Reason::Malformed),
        (&*text.to_uppercase(), Reason::Malformed),
        (&text[1..], Reason::Malformed),
        (&*format!("{text}0"), Reason::Malformed),
        (&*text.replace('_', "-"), Reason::Malformed),
        (&*"€".repeat(TOKEN_TEXT_BYTES / 3), Reason::Malformed),
        (&*other, Reason::Unknown),
        (&*other_id, Reason::Unknown),
    ] {
        let refused = place.who(&access, tried).unwrap_err();
        assert_eq!(refused.reason, reason, "{tried}");
        assert!(refused.is_unauthenticated());
        told.insert(refused.public());
    }
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn a_rotated_token_has_two_secrets_for_a_while() {
    let place = Place::new();
    let access = place.open();
    let (token, first) = access.tokens().create(spec("scorer", "writer"), "test", NOW).unwrap();
    let hour = Duration::from_secs(3600);
    let (kept, second) = access.tokens().rotate(&token.id, hour, place.now()).unwrap();
    assert_eq!(kept.old_secret_until(place.now()), Some(NOW + 3_600_000_000_000));
    assert!(place.who(&access, first.reveal()).is_ok() && place.who(&access, second.reveal()).is_ok());
    // A second time: the very first counts no more, however long it would have.
    let (_, third) = access.tokens().rotate(&token.id, 2 * hour, place.now()).unwrap();
    assert_eq!(place.who(&access, first.reveal()).unwrap_err().reason, Reason::Unknown);
    assert!(place.who(&access, second.reveal()).is_ok());
    place.pass(2 * hour);
    assert_eq!(place.who(&access, second.reveal()).unwrap_err().reason, Reason::Expired);
    assert!(place.who(&access, third.reveal()).is_ok());
    let (_, fourth) = access.tokens().rotate(&token.id, Duration::ZERO, place.now()).unwrap();
    assert_eq!(place.who(&access, third.reveal()).unwrap_err().reason, Reason::Expired);
    assert!(place.who(&access, fourth.reveal()).is_ok());
    let long = access.tokens().rotate(&token.id, OVERLAP_MAX + hour, place.now());
    assert!(matches!(long, Err(TokenError::Overlap(_))));
}

#[test]
fn a_token_counts_in_its_time_and_until_it_is_revoked() {
    let place = Place::new();
    let access = place.open();
    let mut timed = spec("temp", "reader");
    (timed.assignment.from, timed.assignment.until) = (Some(NOW + DAY), Some(NOW + 2 * DAY));
    let (token, text) = access.tokens().create(timed, "test", NOW).unwrap();
    let reason = || place.who(&access, text.reveal()).map(|_| ()).map_err(|refused| refused.reason);
    let day = Duration::from_secs(86_400);
    assert_eq!(reason(), Err(Reason::NotYet));
    place.pass(day);
    assert_eq!(reason(), Ok(()));
    place.pass(day);
    assert_eq!(reason(), Err(Reason::Expired));
    access.tokens().revoke(&token.id, place.now()).unwrap();
    assert_eq!(reason(), Err(Reason::Revoked));
    assert!(!every_file(&place).contains("sha256"), "nothing of a revoked token's secrets is kept");
    assert!(matches!(access.tokens().rotate(&token.id, day, place.now()), Err(TokenError::Revoked(_))));
    assert!(matches!(access.tokens().revoke("ffffffffffffffff", place.now()), Err(TokenError::None(_))));
}

#[test]
fn a_token_that_makes_no_sense_is_not_made() {
    let place = Place::new();
    let access = place.open();
    let refused = |spec: TokenSpec| match access.tokens().create(spec, "test", NOW) {
        Err(TokenError::Spec(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(refused(spec(" ", "writer")), TokenSpecError::Name(_)));
    let mut nowhere = spec("a", "writer");
    nowhere.assignment.trails = access::Names::none();
    assert_eq!(refused(nowhere), TokenSpecError::NoTrail);
    let mut over = spec("a", "writer");
    over.assignment.until = Some(NOW);
    assert_eq!(refused(over), TokenSpecError::Over);
    let mut open_ended = spec("a", "regulator");
    open_ended.assignment.until = None;
    assert_eq!(refused(open_ended), TokenSpecError::NoTimeBox);
    assert_eq!(access.tokens().list().unwrap(), []);
}

#[test]
fn a_running_server_sees_what_another_process_changes() {
    let place = Place::new();
    let server = place.open();
    let command_line = Tokens::open(&place.host, place.folder.path()).unwrap();
    let (token, text) = command_line.create(spec("scorer", "writer"), "command line", NOW).unwrap();
    let second = Duration::from_secs(1);
    place.pass(second);
    assert!(place.who(&server, text.reveal()).is_ok());
    command_line.revoke(&token.id, NOW).unwrap();
    place.pass(second);
    assert_eq!(place.who(&server, text.reveal()).unwrap_err().reason, Reason::Revoked);
    // Both change, and neither undoes what the other did.
    let (a, _) = server.tokens().create(spec("a", "writer"), "server", NOW).unwrap();
    let (b, _) = command_line.create(spec("b", "writer"), "command line", NOW).unwrap();
    let ids: Vec<String> = server.tokens().list().unwrap().into_iter().map(|(token, _)| token.id).collect();
    assert!([token.id, a.id, b.id].iter().all(|id| ids.contains(id)), "{ids:?}");
}

#[test]
fn a_file_that_cannot_be_read_changes_nothing_and_is_told() {
    let place = Place::new();
    let access = place.open();
    let (token, text) = access.tokens().create(spec("scorer", "writer"), "test", NOW).unwrap();
    let good = std::fs::read_to_string(place.folder.path().join("access/tokens.json")).unwrap();
    for bad in [
        "{",
        "{\"onrecord_tokens\": 2, \"tokens\": []}",
        &*good.replace("\"role\"", "\"rolle\""),
        &*good.replace("\"role\"", "\"limit\": 1, \"role\""),
    ] {
        place.write("tokens.json", bad);
        place.pass(Duration::from_secs(2));
        assert!(place.who(&access, text.reveal()).is_ok());
        assert!(access.tokens().trouble().unwrap().contains("is damaged"), "{bad}");
        assert!(access.tokens().revoke(&token.id, NOW).is_err());
        assert!(place.wrong().contains("is damaged"));
    }
    place.write("tokens.json", &good);
    place.pass(Duration::from_secs(2));
    assert!(place.who(&access, text.reveal()).is_ok());
    assert_eq!(access.tokens().trouble(), None);
}

#[test]
fn the_last_use_is_kept_and_costs_few_writes() {
    let place = Place::new();
    let access = place.open();
    let (token, text) = access.tokens().create(spec("scorer", "writer"), "test", NOW).unwrap();
    let (unused, _) = access.tokens().create(spec("idle", "writer"), "test", NOW).unwrap();
    let file = place.folder.path().join("access/last-used.json");
    let used_at = |id: &str| access.tokens().list().unwrap().into_iter().find(|(token, _)| token.id == id).unwrap().1;
    assert!(place.who(&access, text.reveal()).is_ok());
    assert_eq!((used_at(&token.id), used_at(&unused.id)), (Some(NOW), None));
    access.tokens().write_last_used(false).unwrap();
    let first = std::fs::read_to_string(&file).unwrap();
    place.pass(Duration::from_secs(30));
    for _ in 0..100 {
        assert!(place.who(&access, text.reveal()).is_ok());
        access.tokens().write_last_used(false).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), first, "what moved by half a minute is not written");
    place.pass(Duration::from_secs(60));
    assert!(place.who(&access, text.reveal()).is_ok());
    access.tokens().write_last_used(false).unwrap();
    assert_ne!(std::fs::read_to_string(&file).unwrap(), first);
    let again = Tokens::open(&place.host, place.folder.path()).unwrap();
    let seen = again.list().unwrap().into_iter().find(|(it, _)| it.id == token.id).unwrap();
    assert_eq!(seen.1, Some(NOW + 90_000_000_000));
}

#[test]
fn who_guesses_waits() {
    let place = Place::new();
    let access = place.open();
    let (_, text) = access.tokens().create(spec("scorer", "writer"), "test", NOW).unwrap();
    let (here, there) = (std::net::IpAddr::from([192, 0, 2, 1]), std::net::IpAddr::from([192, 0, 2, 2]));
    let guess = format!("onr_{}_{}", "0".repeat(16), "0".repeat(64));
    let mut tries = 0;
    let retry_after = loop {
        match access.authenticate_from(here, &Credential::Bearer(&guess), place.now()) {
            Err(refused) if refused.retry_after().is_some() => break refused.retry_after().unwrap(),
            refused => assert_eq!(refused.unwrap_err().reason, Reason::Unknown),
        }
        tries += 1;
        assert!(tries < 100);
    };
    // Who has a good token is let in, whatever else comes from there, under its own name too; who is elsewhere may fail.
    let wrong = format!("{}_{}", text.reveal().rsplit_once('_').unwrap().0, "0".repeat(64));
    for _ in 0..50 {
        assert!(access.authenticate_from(here, &Credential::Bearer(&wrong), place.now()).is_err());
    }
    assert!(access.authenticate_from(here, &Credential::Bearer(text.reveal()), place.now()).is_ok());
    assert_eq!(
        access.authenticate_from(there, &Credential::Bearer(&guess), place.now()).unwrap_err().reason,
        Reason::Unknown
    );
    place.pass(retry_after);
    assert_eq!(
        access.authenticate_from(here, &Credential::Bearer(&guess), place.now()).unwrap_err().reason,
        Reason::Unknown
    );
}

#[test]
fn a_crash_while_tokens_change_leaves_the_old_file_or_the_new() {
    use host::{Fault, FaultTable};
    let points = ["tokens.create", "tokens.write", "tokens.fsync", "tokens.rename", "tokens.fsync-folder"];
    for point in points {
        let place = Place::new();
        let before = place.open().tokens().create(spec("before", "writer"), "test", NOW).unwrap();
        let faults = FaultTable::one(point, 1, Fault::FailAfter(5));
        let host = Host::builder().clock(place.clock.clone()).faults(faults).build();
        let tokens = Tokens::open(&host, place.folder.path()).unwrap();
        let failed = tokens.create(spec("during", "writer"), "test", NOW);
        assert!(failed.is_err(), "{point} did not fail");
        let access = place.open();
        assert!(place.who(&access, before.1.reveal()).is_ok(), "{point}");
        let mut names: Vec<String> =
            access.tokens().list().unwrap().into_iter().map(|(token, _)| token.spec.name).collect();
        names.sort();
        assert!(names == ["before"] || names == ["before", "during"], "{point}: {names:?}");
        assert!(access.tokens().create(spec("after", "writer"), "test", NOW).is_ok(), "{point}");
    }
}
