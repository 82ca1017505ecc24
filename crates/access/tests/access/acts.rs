//! Acts that take two, tokens that an admin gives, and policies that two change.

use std::time::Duration;

use access::{
    APPROVAL_LIFE, Access, ActError, ChangeError, PROPOSAL_LIFE, Permission, PolicyChange, Principal, Reason, Resource,
    TokenChange, TokenSpec,
};
use serde_json::json;

use crate::place::{NOW, Place, ask, everywhere, on_credit, person};

fn admin(name: &str) -> Principal {
    person(name, vec![everywhere("admin")])
}

fn propose(access: &Access, by: &Principal, now: i64) -> Result<access::Act, ActError> {
    let what = json!({"ids": ["a", "b"], "basis": "GDPR 17"});
    access.propose(by, Permission::Erase, &Resource::trail("credit"), what, "request 12 of customer 991", now)
}

fn reason(error: ActError) -> Reason {
    match error {
        ActError::Refused(refused) => refused.reason,
        other => panic!("{other}"),
    }
}

#[test]
fn it_takes_another_principal_with_the_same_right() {
    let place = Place::new();
    let access = place.open();
    let act = propose(&access, &admin("ann"), NOW).unwrap();
    assert_eq!((&*act.proposed_by.name, act.answer.as_ref()), ("ann", None));
    // Not the same one, nor the same under another credential, nor who may not do it.
    assert_eq!(reason(access.approve(&admin("ann"), &act.id, NOW).unwrap_err()), Reason::SamePrincipal);
    let token = Principal { id: "token:00".to_owned(), name: " Ann ".to_owned(), ..admin("ann") };
    assert_eq!(reason(access.approve(&token, &act.id, NOW).unwrap_err()), Reason::SamePrincipal);
    let auditor = person("aud", vec![everywhere("auditor")]);
    assert_eq!(reason(access.approve(&auditor, &act.id, NOW).unwrap_err()), Reason::Policy);
    let elsewhere =
        person("bob", vec![access::Assignment { trails: access::Names::of(["fraud"]).unwrap(), ..on_credit("admin") }]);
    assert_eq!(reason(access.approve(&elsewhere, &act.id, NOW).unwrap_err()), Reason::OutOfReach);
    assert!(access.approved(NOW).unwrap().is_empty());
    // What waits outlives the server.
    drop(access);
    let access = place.open();
    let approved = access.approve(&admin("bob"), &act.id, NOW + 1).unwrap();
    let done = approved.act();
    assert_eq!((&*done.proposed_by.name, &*done.answer.as_ref().unwrap().by.name), ("ann", "bob"));
    assert_eq!((&done.what, &*done.reason), (&act.what, "request 12 of customer 991"));
    assert!(matches!(access.approve(&admin("eve"), &act.id, NOW), Err(ActError::Answered { agreed: true, .. })));
    // A crash before it is carried out loses nothing; carried out it is once.
    let access = place.open();
    assert_eq!(access.approved(NOW + 2).unwrap(), std::slice::from_ref(&approved));
    access.carried_out(&approved, NOW + 2).unwrap();
    assert!(matches!(access.carried_out(&approved, NOW + 2), Err(ActError::NotApproved(_))));
    assert!(access.approved(NOW + 2).unwrap().is_empty());
    assert_eq!(access.acts().unwrap()[0].done, Some(NOW + 2));
}

#[test]
fn who_may_not_do_it_may_not_propose_it() {
    let access = Place::new().open();
    for role in ["writer", "reader", "analyst", "auditor", "investigator", "model-owner", "regulator"] {
        let refused = propose(&access, &person("x", vec![everywhere(role)]), NOW).unwrap_err();
        assert_eq!(reason(refused), Reason::Policy, "{role}");
    }
    for permission in Permission::ALL.into_iter().filter(|permission| !permission.takes_two()) {
        let asked = access.propose(&admin("ann"), permission, &Resource::trail("credit"), json!({}), "why", NOW);
        assert!(matches!(asked, Err(ActError::Permission(_))), "{permission}");
    }
    let asked = |reason: &str, what| {
        access.propose(&admin("ann"), Permission::Erase, &Resource::trail("credit"), what, reason, NOW)
    };
    assert!(matches!(asked(" ", json!({})), Err(ActError::Text { .. })));
    assert!(matches!(asked("why", json!("x".repeat(1 << 20))), Err(ActError::Text { .. })));
}

#[test]
fn an_act_waits_for_so_long_and_can_be_declined() {
    let access = Place::new().open();
    let life = |life: Duration| i64::try_from(life.as_nanos()).unwrap();
    let act = propose(&access, &admin("ann"), NOW).unwrap();
    let over = NOW + life(PROPOSAL_LIFE);
    assert!(matches!(access.approve(&admin("bob"), &act.id, over), Err(ActError::Expired(_))));
    let approved = access.approve(&admin("bob"), &act.id, over - 1).unwrap();
    let over = over - 1 + life(APPROVAL_LIFE);
    assert_eq!(access.approved(over - 1).unwrap().len(), 1);
    assert!(access.approved(over).unwrap().is_empty());
    assert!(matches!(access.carried_out(&approved, over), Err(ActError::NotApproved(_))));
    let act = propose(&access, &admin("ann"), NOW).unwrap();
    access.decline(&admin("ann"), &act.id, NOW).unwrap();
    assert!(matches!(access.approve(&admin("bob"), &act.id, NOW), Err(ActError::Answered { agreed: false, .. })));
    assert!(matches!(access.approve(&admin("bob"), "none", NOW), Err(ActError::None(_))));
}

#[test]
fn so_many_wait_and_no_more() {
    let access = Place::new().open();
    let full = (0..200).map(|_| propose(&access, &admin("ann"), NOW)).find(Result::is_err);
    assert!(matches!(full, Some(Err(ActError::TooMany))));
    let later = NOW + i64::try_from(PROPOSAL_LIFE.as_nanos()).unwrap();
    assert!(propose(&access, &admin("ann"), later).is_ok(), "what has expired makes room");
}

fn give(name: &str, role: &str) -> TokenChange {
    TokenChange::Give(TokenSpec { name: name.to_owned(), assignment: on_credit(role) })
}

fn refusal(error: ChangeError) -> Reason {
    match error {
        ChangeError::Act(ActError::Refused(refused)) => refused.reason,
        other => panic!("{other}"),
    }
}

#[test]
fn an_admin_alone_gives_what_reads_nothing() {
    let access = Place::new().open();
    let ann = admin("ann");
    let (token, _) = access.change_token(&ann, &give("scorer", "writer"), NOW).unwrap();
    assert_eq!((&*token.created_by, token.spec.assignment.role.name()), ("person:ann", "writer"));
    let rotate = TokenChange::Rotate { token: token.id, overlap_s: 60 };
    assert!(access.change_token(&ann, &rotate, NOW).is_ok());
    for role in ["reader", "analyst", "auditor", "investigator", "model-owner", "regulator", "admin", "own-role"] {
        let refused = access.change_token(&ann, &give("someone", role), NOW).unwrap_err();
        assert_eq!(refusal(refused), Reason::TakesTwo, "{role}");
        // To itself not even with a second.
        let refused = access.propose_token(&ann, &give("ann", role), "why", NOW).unwrap_err();
        assert_eq!(refusal(refused), Reason::Policy, "{role}");
    }
    for itself in ["ann", " Ann"] {
        assert_eq!(refusal(access.change_token(&ann, &give(itself, "writer"), NOW).unwrap_err()), Reason::Policy);
    }
    for role in ["writer", "reader", "auditor", "investigator", "analyst", "regulator", "model-owner"] {
        let other = person("x", vec![everywhere(role)]);
        assert!(access.change_token(&other, &give("y", "writer"), NOW).is_err(), "{role}");
        assert!(access.propose_token(&other, &give("y", "reader"), "why", NOW).is_err(), "{role}");
    }
    assert_eq!(access.tokens().list().unwrap().len(), 1);
}

/// What is said before a change is what the change comes to; whatever a token gives, one admin takes it back.
#[test]
fn a_change_is_known_before_it_is_made() {
    let place = Place::new();
    let access = place.open();
    let (ann, reader) = (admin("ann"), person("rea", vec![everywhere("reader")]));
    access.check_token_change(&ann, &give("scorer", "writer"), NOW).unwrap();
    assert!(access.tokens().list().unwrap().is_empty(), "it is only asked");
    for (change, by) in [(give("aud", "auditor"), &ann), (give("ann", "writer"), &ann), (give("x", "writer"), &reader)]
    {
        let (before, then) = (access.check_token_change(by, &change, NOW), access.change_token(by, &change, NOW));
        assert_eq!(refusal(before.unwrap_err()), refusal(then.unwrap_err()));
    }
    assert!(matches!(
        access.check_token_change(&ann, &give("", "writer"), NOW),
        Err(ChangeError::Token(access::TokenError::Spec(_)))
    ));
    let spec = TokenSpec { name: "aud".to_owned(), assignment: on_credit("auditor") };
    let (token, text) = access.tokens().create(spec, "command line", NOW).unwrap();
    let long = TokenChange::Rotate { token: token.id.clone(), overlap_s: u64::MAX };
    assert_eq!(refusal(access.check_token_change(&ann, &long, NOW).unwrap_err()), Reason::TakesTwo);
    assert_eq!(refusal(access.revoke_token(&reader, &token.id, NOW).unwrap_err()), Reason::Policy);
    assert!(place.who(&access, text.reveal()).is_ok());
    let revoked = access.revoke_token(&ann, &token.id, NOW).unwrap();
    assert_eq!(revoked.sheet(None, NOW).state, access::TokenState::Revoked);
    assert!(place.who(&access, text.reveal()).is_err());
    assert!(matches!(
        access.revoke_token(&ann, "0123456789abcdef", NOW),
        Err(ChangeError::Token(access::TokenError::None(_)))
    ));
}

#[test]
fn two_admins_give_a_role_that_reads() {
    let place = Place::new();
    let access = place.open();
    let act = access.propose_token(&admin("ann"), &give("aud", "auditor"), "yearly audit", NOW).unwrap();
    assert_eq!(reason(access.approve(&admin("ann"), &act.id, NOW).unwrap_err()), Reason::SamePrincipal);
    let approved = access.approve(&admin("bob"), &act.id, NOW).unwrap();
    let (token, text) = access.carry_out_token(&approved, NOW).unwrap();
    assert_eq!(token.created_by, format!("act:{}", act.id));
    let auditor = place.who(&access, text.reveal()).unwrap();
    assert!(ask(&access, &auditor, Permission::Export, "credit", None).is_ok());
    assert!(access.carry_out_token(&approved, NOW).is_err(), "once");
    // A new secret would be one to read with: it takes two as well.
    let rotate = TokenChange::Rotate { token: token.id.clone(), overlap_s: 0 };
    assert_eq!(refusal(access.change_token(&admin("ann"), &rotate, NOW).unwrap_err()), Reason::TakesTwo);
    let act = access.propose_token(&admin("ann"), &rotate, "lost", NOW).unwrap();
    let approved = access.approve(&admin("bob"), &act.id, NOW).unwrap();
    let (_, second) = access.carry_out_token(&approved, NOW).unwrap();
    assert!(place.who(&access, text.reveal()).is_err() && place.who(&access, second.reveal()).is_ok());
}

#[test]
fn who_agrees_to_a_token_may_not_be_whom_it_is_for() {
    let access = Place::new().open();
    let act = access.propose_token(&admin("ann"), &give("bob", "auditor"), "why", NOW).unwrap();
    assert!(access.approve(&admin("bob"), &act.id, NOW).is_err(), "bob gives itself the role of an auditor");
    assert!(access.approve(&admin("eve"), &act.id, NOW).is_ok());
}

/// T28: people may call themselves what they like, at their provider; nobody becomes another by it, or stops being one.
#[test]
fn what_people_call_themselves_decides_nothing() {
    let called = |subject: &str, name: &str| Principal { name: name.to_owned(), ..admin(subject) };
    let place = Place::new();
    place.write(
        "policies/ann.cedar",
        "@id(\"not-ann\") forbid (principal, action == OnRecord::Action::\"backup\", resource) when { principal.name == \"ann\" };",
    );
    let access = place.open();
    let may = |by: &Principal| ask(&access, by, Permission::Backup, "credit", None).is_ok();
    assert!(!may(&called("ann", "Someone Else")) && may(&called("bob", "ann")));
    // One who calls herself another is herself still, and that other is not kept from agreeing.
    let act = propose(&access, &called("ann", "bob"), NOW).unwrap();
    let herself = Principal { id: "token:00".to_owned(), ..called("ann", "ann") };
    assert_eq!(reason(access.approve(&herself, &act.id, NOW).unwrap_err()), Reason::SamePrincipal);
    assert!(access.approve(&called("bob", "bob"), &act.id, NOW).is_ok());
    // Nor is a role given to oneself under another name.
    let refused = access.propose_token(&called("ann", "Someone Else"), &give("ann", "auditor"), "why", NOW);
    assert_eq!(refusal(refused.unwrap_err()), Reason::Policy);
    let act = access.propose_token(&called("ann", "x"), &give("bob", "auditor"), "why", NOW).unwrap();
    assert!(access.approve(&called("bob", "Someone Else"), &act.id, NOW).is_err());
}

#[test]
fn two_change_a_policy_and_what_is_wrong_is_not_taken() {
    let place = Place::new();
    let access = place.open();
    let change = |text: Option<&str>| PolicyChange { file: "sql.cedar".to_owned(), text: text.map(str::to_owned) };
    let reader = person("r", vec![on_credit("reader")]);
    let may = |access: &Access| ask(access, &reader, Permission::Sql, "credit", None).is_ok();
    let good = "permit (principal in OnRecord::Role::\"reader\", action == OnRecord::Action::\"sql\", resource);";
    let wrong = access.propose_policy(&admin("ann"), &change(Some("permit (")), "why", NOW).unwrap_err();
    assert!(wrong.to_string().contains("sql.cedar:1:"), "{wrong}");
    for file in ["../x.cedar", "a/b.cedar", ".cedar", "tokens.json", "X.cedar", "mask.key"] {
        let named = PolicyChange { file: file.to_owned(), text: Some(good.to_owned()) };
        assert!(
            matches!(access.propose_policy(&admin("ann"), &named, "why", NOW), Err(ChangeError::Name(_))),
            "{file}"
        );
    }
    let before = access.policy_digest();
    let act = access.propose_policy(&admin("ann"), &change(Some(good)), "desk asks", NOW).unwrap();
    assert!(!may(&access) && !may(&place.open()));
    let approved = access.approve(&admin("bob"), &act.id, NOW).unwrap();
    assert!(access.carry_out_token(&approved, NOW).is_err(), "an act is carried out as what it is");
    access.carry_out_policy(&approved, NOW).unwrap();
    assert!(may(&access) && may(&place.open()));
    assert_eq!(access.policy_digest(), place.open().policy_digest());
    assert_ne!(access.policy_digest(), before);
    let act = access.propose_policy(&admin("bob"), &change(None), "no more", NOW).unwrap();
    let approved = access.approve(&admin("ann"), &act.id, NOW).unwrap();
    access.carry_out_policy(&approved, NOW).unwrap();
    assert!(!may(&access) && !may(&place.open()));
    assert_eq!(access.policy_digest(), before);
}
