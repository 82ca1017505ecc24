//! People who have logged in, and rules that change meanwhile.

use std::net::IpAddr;

use access::{Access, Credential, Permission, Person, PolicyChange};

use crate::place::{NOW, Place, ask, everywhere, person};

fn in_group(group: &str) -> Person {
    Person { subject: "248".to_owned(), name: "Ada Example".to_owned(), groups: vec![group.to_owned()] }
}

const DESK: &str = "[[group]]\ngroup = \"desk\"\nrole = \"reader\"\ntrails = [\"credit\"]\n";

/// T28: what somebody may is what the rules say now, and not what they said at login.
#[test]
fn a_session_follows_the_rules() {
    let place = Place::with(DESK);
    let access = place.open();
    let session = access.begin_session(in_group("desk"));
    let may = |access: &Access| {
        let principal = access.authenticate(&Credential::Session(&session.id), NOW).unwrap();
        assert_eq!((&*principal.id, &*principal.name), ("person:248", "Ada Example"));
        ask(access, &principal, Permission::Search, "credit", None).is_ok()
    };
    assert!(may(&access));
    let (ann, bob) = (person("ann", vec![everywhere("admin")]), person("bob", vec![everywhere("admin")]));
    for (text, expected) in [(None, false), (Some(DESK.to_owned()), true)] {
        let change = PolicyChange { file: "access.toml".to_owned(), text };
        let act = access.propose_policy(&ann, &change, "the desk moves", NOW).unwrap();
        access.carry_out_policy(&access.approve(&bob, &act.id, NOW).unwrap(), NOW).unwrap();
        assert_eq!(may(&access), expected);
    }
    access.end_session(&session.id);
    assert!(access.authenticate(&Credential::Session(&session.id), NOW).is_err());
}

#[test]
fn logins_that_fail_are_counted_by_where_they_come_from() {
    let access = Place::new().open();
    let (here, there) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
    while access.may_log_in(here).is_ok() {
        access.login_failed(here);
    }
    assert!(access.may_log_in(here).unwrap_err().retry_after().is_some());
    assert!(access.may_log_in(there).is_ok());
    // A service that shows what no token is any more is none of their business.
    for n in 0..100 {
        let text = format!("onr_{n:016x}_{n:064x}");
        assert!(access.authenticate_from(there, &Credential::Bearer(&text), NOW).is_err());
    }
    assert!(access.may_log_in(there).is_ok());
    // Who has a session goes on.
    let session = access.begin_session(in_group("desk"));
    assert!(access.authenticate_from(here, &Credential::Session(&session.id), NOW).is_ok());
}

/// After a restart every browser of an office shows a session that is over, and all of them log in again.
#[test]
fn sessions_that_are_over_keep_nobody_out() {
    let access = Place::new().open();
    let here = IpAddr::from([192, 0, 2, 1]);
    for id in ["0".repeat(64), "nonsense".to_owned()].iter().cycle().take(200) {
        let refused = access.authenticate_from(here, &Credential::Session(id), NOW).unwrap_err();
        assert!(refused.is_unauthenticated(), "{refused}");
    }
    assert!(access.may_log_in(here).is_ok());
    let unknown = format!("onr_{:016x}_{:064x}", 1, 1);
    let refused = access.authenticate_from(here, &Credential::Bearer(&unknown), NOW).unwrap_err();
    assert!(refused.is_unauthenticated(), "{refused}");
}
