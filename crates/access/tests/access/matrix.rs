//! The default policy as a table, written by hand: what is not in it is granted to nobody (I11, T28).

use std::collections::BTreeSet;

use access::{Access, Assignment, Kinds, Names, Permission, Principal, Reason, Resource, Role};
use proptest::prelude::*;
use record::Kind;

use crate::place::{DAY, NOW, Place, ask, everywhere, on_credit, person, role};

/// What each role may do on a trail that it was given, an investigator having stated a purpose.
const TABLE: [(&str, &[&str]); 8] = [
    ("writer", &["append"]),
    ("reader", &["read-record", "search", "prove", "log", "stats", "verify"]),
    (
        "analyst",
        &["read-record", "search", "sql", "groups", "sample", "reconcile", "prove", "log", "stats", "gaps", "verify"],
    ),
    (
        "auditor",
        &[
            "read-record",
            "search",
            "sql",
            "export",
            "evidence",
            "groups",
            "sample",
            "reconcile",
            "access-log",
            "prove",
            "log",
            "stats",
            "gaps",
            "verify",
        ],
    ),
    (
        "investigator",
        &[
            "read-record",
            "search",
            "sql",
            "export",
            "evidence",
            "groups",
            "sample",
            "reconcile",
            "prove",
            "log",
            "stats",
            "gaps",
            "verify",
            "place-hold",
        ],
    ),
    (
        "model-owner",
        &[
            "append",
            "read-record",
            "search",
            "sql",
            "groups",
            "sample",
            "reconcile",
            "prove",
            "log",
            "stats",
            "gaps",
            "verify",
        ],
    ),
    (
        "regulator",
        &[
            "read-record",
            "search",
            "sql",
            "export",
            "evidence",
            "groups",
            "sample",
            "reconcile",
            "prove",
            "log",
            "stats",
            "gaps",
            "verify",
        ],
    ),
    ("admin", &["log", "stats", "gaps", "verify", "compact", "settle", "place-hold", "release-hold", "erase"]),
];

/// What each role may do on the server as a whole, given all trails.
const SERVER: [(&str, &[&str]); 2] = [
    ("auditor", &["metrics"]),
    ("admin", &["metrics", "manage-tokens", "manage-trails", "manage-policy", "rotate-keys", "backup"]),
];

/// The kinds that each role may append.
const APPENDS: [(&str, &[&str]); 2] = [
    ("writer", &["decision", "explanation", "outcome", "oversight", "summary", "gap", "producer"]),
    ("model-owner", &["oversight", "model"]),
];

/// Who sees fields as they are that others see masked.
const UNMASKED: [&str; 3] = ["auditor", "investigator", "regulator"];

fn row<'t>(table: &'t [(&str, &[&str])], role: &str) -> BTreeSet<&'t str> {
    table.iter().find(|(name, _)| *name == role).map(|(_, row)| row.iter().copied().collect()).unwrap_or_default()
}

fn granted(access: &Access, principal: &Principal, trail: &str) -> BTreeSet<&'static str> {
    let may = |permission: &Permission| ask(access, principal, *permission, trail, Some("case 7")).is_ok();
    Permission::ALL.into_iter().filter(may).map(Permission::name).collect()
}

#[test]
fn each_role_gets_its_row_of_the_table_and_nothing_else() {
    let access = Place::new().open();
    assert_eq!(TABLE.map(|(name, _)| name), Role::BUILT_IN);
    for (name, row_of_role) in TABLE {
        let expected: BTreeSet<&str> = row_of_role.iter().copied().collect();
        let someone = person("someone", vec![on_credit(name)]);
        assert_eq!(granted(&access, &someone, "credit"), expected, "{name} on its trail");
        assert_eq!(granted(&access, &someone, "fraud"), BTreeSet::new(), "{name} on another trail");
        let of_all = person("someone", vec![everywhere(name)]);
        let both: BTreeSet<&str> = expected.union(&row(&SERVER, name)).copied().collect();
        assert_eq!(granted(&access, &of_all, "credit"), both, "{name} on all trails");
    }
}

#[test]
fn every_permission_is_for_someone_and_has_one_name() {
    let names: BTreeSet<&str> = Permission::ALL.into_iter().map(Permission::name).collect();
    assert_eq!(names.len(), Permission::ALL.len());
    let in_tables: BTreeSet<&str> = TABLE.iter().chain(&SERVER).flat_map(|(_, row)| row.iter().copied()).collect();
    assert_eq!(names, in_tables);
    for name in names {
        assert_eq!(Permission::from_name(name).unwrap().to_string(), name);
    }
    assert_eq!(Permission::from_name("unmask"), None);
}

#[test]
fn kinds_are_permissions_too() {
    let access = Place::new().open();
    for name in Role::BUILT_IN {
        let someone = person("someone", vec![on_credit(name)]);
        let expected = row(&APPENDS, name);
        match ask(&access, &someone, Permission::Append, "credit", Some("case 7")) {
            Ok(grant) => {
                assert_eq!(grant.kinds.iter().map(Kind::name).collect::<BTreeSet<_>>(), expected, "{name}");
                for kind in Kind::all() {
                    assert_eq!(grant.may_append(kind, None).is_ok(), expected.contains(kind.name()), "{name} {kind:?}");
                }
            }
            Err(refused) => assert!(expected.is_empty(), "{name}: {refused}"),
        }
    }
    // A token's own kinds narrow those of its role, and add none.
    let kinds: Kinds = [Kind::Outcome, Kind::Model, Kind::Access].into_iter().collect();
    let narrow = person("labeller", vec![Assignment { kinds: Some(kinds), ..on_credit("writer") }]);
    let grant = ask(&access, &narrow, Permission::Append, "credit", None).unwrap();
    assert_eq!(grant.kinds.to_string(), "outcome");
    let none = person("nobody", vec![Assignment { kinds: Some(Kinds::default()), ..on_credit("writer") }]);
    assert!(ask(&access, &none, Permission::Append, "credit", None).is_err());
}

#[test]
fn who_reads_sees_what_the_role_sees() {
    let access = Place::new().open();
    for (name, _) in TABLE {
        let someone = person("someone", vec![on_credit(name)]);
        let Ok(grant) = ask(&access, &someone, Permission::ReadRecord, "credit", Some("case 7")) else { continue };
        assert_eq!(grant.policy.masks.is_empty(), UNMASKED.contains(&name), "{name}: {:?}", grant.policy);
        let sees_access = grant.policy.rows.is_none();
        assert_eq!(sees_access, name == "auditor", "{name}: {:?}", grant.policy);
        assert_eq!((&*grant.role, grant.purpose.as_deref()), (name, Some("case 7")));
    }
}

#[test]
fn an_investigator_states_a_purpose() {
    let access = Place::new().open();
    let investigator = person("ivy", vec![on_credit("investigator")]);
    for permission in Permission::ALL.into_iter().filter(|permission| !permission.of_server()) {
        for purpose in [None, Some(""), Some("  \t ")] {
            let refused = ask(&access, &investigator, permission, "credit", purpose).unwrap_err();
            let expected = row(&TABLE, "investigator").contains(permission.name());
            assert_eq!(refused.reason == Reason::Purpose, expected, "{permission}: {refused}");
        }
    }
    let long = "x".repeat(2_000);
    for purpose in ["two\nlines", &*long] {
        let refused = ask(&access, &investigator, Permission::Search, "credit", Some(purpose)).unwrap_err();
        assert_eq!(refused.reason, Reason::PurposeMalformed);
    }
    // Who is a reader too reads with masks as long as it states none.
    let both = person("ivy", vec![on_credit("investigator"), on_credit("reader")]);
    let of = |purpose| ask(&access, &both, Permission::Search, "credit", purpose).unwrap().role;
    assert_eq!((of(None), of(Some("case 7"))), ("reader".to_owned(), "investigator".to_owned()));
}

#[test]
fn a_regulator_gets_nothing_outside_of_its_time() {
    let access = Place::new().open();
    let boxed = |from: Option<i64>, until: Option<i64>| {
        person("authority", vec![Assignment { from, until, ..on_credit("regulator") }])
    };
    let may = |principal: &Principal, now| {
        let of = |permission| access.authorize(principal, permission, &Resource::trail("credit"), None, now).is_ok();
        Permission::ALL.into_iter().any(of)
    };
    let regulator = boxed(Some(NOW), Some(NOW + DAY));
    for (now, expected) in
        [(NOW - 1, false), (NOW, true), (NOW + DAY - 1, true), (NOW + DAY, false), (NOW + 9 * DAY, false)]
    {
        assert_eq!(may(&regulator, now), expected, "{}", now - NOW);
    }
    for open in [boxed(None, None), boxed(Some(NOW), None), boxed(None, Some(NOW + DAY))] {
        assert!(!may(&open, NOW + 1), "a time box has two ends");
    }
}

#[test]
fn an_answer_is_given_again_and_a_time_box_ends_at_its_moment_all_the_same() {
    let access = Place::new().open();
    let until = NOW + 500_000_000;
    let reader = person("rita", vec![Assignment { until: Some(until), ..on_credit("reader") }]);
    let trail = Resource::trail("credit");
    let ask = |now| access.authorize(&reader, Permission::Search, &trail, None, now);
    assert_eq!(ask(NOW), ask(NOW + 1));
    assert!(ask(until - 1).is_ok());
    assert_eq!(ask(until).unwrap_err().reason, Reason::Time);
    assert!(ask(until - 1).is_ok(), "a clock that is put back");
    // Another name, purpose, model or role is another question.
    let mallory = person("mallory", reader.assignments.clone());
    let grant = access.authorize(&mallory, Permission::Search, &trail, Some("why"), NOW).unwrap();
    assert_eq!((&*grant.name, grant.purpose.as_deref()), ("mallory", Some("why")));
    let none = person("rita", Vec::new());
    assert!(access.authorize(&none, Permission::Search, &trail, None, NOW).is_err());
}

#[test]
fn who_runs_the_system_reads_no_payload_whatever_else_it_holds() {
    let place = Place::new();
    let access = place.open();
    for other in ["reader", "auditor", "investigator", "analyst", "model-owner", "regulator"] {
        for roles in [vec![everywhere("admin"), everywhere(other)], vec![everywhere(other), everywhere("admin")]] {
            let admin = person("root", roles);
            for permission in Permission::ALL.into_iter().filter(|permission| permission.reads_payload()) {
                let refused = ask(&access, &admin, permission, "credit", Some("case 7"));
                assert!(refused.is_err(), "an admin who is {other} too may {permission}");
            }
        }
    }
    // Nor does a site's policy change that.
    place.write("policies/all.cedar", "permit (principal, action, resource);");
    let access = place.open();
    let granted = granted(&access, &person("root", vec![everywhere("admin")]), "credit");
    for permission in Permission::ALL {
        assert_eq!(granted.contains(permission.name()), !permission.reads_payload(), "{permission}");
    }
}

#[test]
fn what_payload_is_is_the_same_in_the_code_and_in_the_schema() {
    let place = Place::new();
    let site = "permit (principal in OnRecord::Role::\"payload\", action in OnRecord::Action::\"payload\", resource);
                permit (principal in OnRecord::Role::\"change\", action in OnRecord::Action::\"change\", resource);";
    place.write("policies/groups.cedar", site);
    let access = place.open();
    let payload = granted(&access, &person("p", vec![everywhere("payload")]), "credit");
    let change = granted(&access, &person("c", vec![everywhere("change")]), "credit");
    for permission in Permission::ALL {
        assert_eq!(payload.contains(permission.name()), permission.reads_payload(), "{permission}");
        if permission.takes_two() {
            assert!(change.contains(permission.name()), "{permission}");
        }
    }
    assert!(payload.is_disjoint(&change));
}

#[test]
fn models_narrow_what_is_reached() {
    let access = Place::new().open();
    let models = Names::of(["risk", "it's"]).unwrap();
    let owner = person("olga", vec![Assignment { models, ..on_credit("model-owner") }]);
    let rows = |resource: Resource<'_>| {
        access.authorize(&owner, Permission::Search, &resource, None, NOW).map(|grant| grant.policy.rows.unwrap())
    };
    let trail = Resource::trail("credit");
    assert_eq!(rows(trail).unwrap(), "model.name IN ('it''s', 'risk') AND kind <> 'access'");
    assert_eq!(rows(trail.model("risk")).unwrap(), "model.name IN ('risk') AND kind <> 'access'");
    for other in ["fraud", "*", "risk' OR 'a' = 'a"] {
        assert_eq!(rows(trail.model(other)).unwrap_err().reason, Reason::Model, "{other}");
    }
    let analyst = person("ana", vec![on_credit("analyst")]);
    let grant = access.authorize(&analyst, Permission::Search, &trail.model("*"), None, NOW).unwrap();
    assert_eq!(grant.policy.rows.unwrap(), "model.name IN ('*') AND kind <> 'access'", "a star is a name here");
    let grant = access.authorize(&owner, Permission::Append, &trail, None, NOW).unwrap();
    assert!(grant.may_append(Kind::Model, Some("risk")).is_ok());
    assert_eq!(grant.may_append(Kind::Model, Some("fraud")).unwrap_err().reason, Reason::Model);
    assert_eq!(grant.may_append(Kind::Oversight, None).unwrap_err().reason, Reason::NoModel);
    assert_eq!(
        grant.may_append(Kind::Decision, Some("risk")).unwrap_err().reason,
        Reason::Kind { kind: Kind::Decision }
    );
    // No models are none, and not all.
    let nothing = person("olga", vec![Assignment { models: Names::none(), ..on_credit("model-owner") }]);
    let grant = access.authorize(&nothing, Permission::Search, &trail, None, NOW).unwrap();
    assert_eq!(grant.policy.rows.unwrap(), "false AND kind <> 'access'");
}

#[test]
fn a_refusal_tells_who_asked_nothing_of_what_there_is() {
    let access = Place::new().open();
    let reader = person("rita", vec![on_credit("reader")]);
    let refused = ask(&access, &reader, Permission::Search, "secret-trail", None).unwrap_err();
    assert!(refused.hides() && !refused.is_unauthenticated());
    assert_eq!(refused.public(), "there is no such trail, or it is not yours to see");
    let refused = ask(&access, &reader, Permission::Export, "credit", None).unwrap_err();
    assert!(!refused.hides());
    assert_eq!(refused.public(), "you may not do \"export\" here; ask who runs the server for a role that may");
    assert_eq!((refused.permission, refused.principal.as_deref()), (Some(Permission::Export), Some("person:rita")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn who_is_nobody_gets_nothing(
        name in "[a-z0-9-]{1,20}", trail in "\\PC{0,20}", model in proptest::option::of("\\PC{0,9}"),
        purpose in proptest::option::of("\\PC{0,20}"), who in "\\PC{0,20}",
    ) {
        prop_assume!(!Role::BUILT_IN.contains(&&*name));
        let access = Place::new().open();
        let unknown = person(&who, vec![Assignment::new(role(&name), Names::All)]);
        let nobody = person(&who, Vec::new());
        for permission in Permission::ALL {
            let resource = if permission.of_server() { Resource::server() } else { Resource { trail: Some(&trail), model: model.as_deref() } };
            for principal in [&unknown, &nobody] {
                let asked = access.authorize(principal, permission, &resource, purpose.as_deref(), NOW);
                prop_assert!(asked.is_err(), "{} {}", name, permission);
            }
        }
    }
}
