//! What a site says: its own policies, masks, tenants, groups; and what is wrong with it.

use access::{Assignment, Names, Permission, Resource};
use query::Mask;
use record::FieldRef;

use crate::place::{NOW, Place, ask, on_credit, person};

fn field(path: &str) -> FieldRef {
    FieldRef::parse(path).unwrap()
}

fn masks(place: &Place, role: &str, resource: Resource<'_>) -> Vec<(String, String)> {
    let access = place.open();
    let someone = person("someone", vec![on_credit(role)]);
    let grant = access.authorize(&someone, Permission::Search, &resource, Some("case 7"), NOW).unwrap();
    grant.policy.masks.iter().map(|(field, mask)| (field.to_string(), format!("{mask:?}"))).collect()
}

#[test]
fn a_site_gives_a_role_of_its_own() {
    let place = Place::new();
    let desk = r#"
        @id("desk")
        permit (principal in OnRecord::Role::"fraud-desk", action == OnRecord::Action::"search", resource == OnRecord::Trail::"credit")
        when { context has model && context.model like "fraud-*" && principal.name != "mallory" };
    "#;
    place.write("policies/desk.cedar", desk);
    place.write("policies/notes.txt", "this is no policy");
    let access = place.open();
    let trail = Resource::trail("credit");
    let may = |name: &str, resource: Resource<'_>| {
        let someone = person(name, vec![Assignment { trails: Names::All, ..on_credit("fraud-desk") }]);
        access.authorize(&someone, Permission::Search, &resource, None, NOW).is_ok()
    };
    assert!(may("alice", trail.model("fraud-2")));
    assert!(!may("alice", trail) && !may("alice", trail.model("risk")));
    assert!(!may("alice", Resource::trail("fraud").model("fraud-2")) && !may("mallory", trail.model("fraud-2")));
}

#[test]
fn a_site_takes_from_a_role() {
    let place = Place::new();
    place.write(
        "policies/no-sql.cedar",
        r#"forbid (principal, action == OnRecord::Action::"sql", resource) unless { principal in OnRecord::Role::"auditor" };"#,
    );
    let access = place.open();
    let of = |role| ask(&access, &person("a", vec![on_credit(role)]), Permission::Sql, "credit", None).is_ok();
    assert!(of("auditor") && !of("analyst"));
}

#[test]
fn what_is_wrong_with_a_policy_is_said_with_its_line() {
    for (text, said) in [
        (
            "\npermit (principal, action, resource)\n",
            "DIR/access/policies/a.cedar:2:37: unexpected end of input: expected `;`",
        ),
        (
            "permit (principal, action == OnRecord::Action::\"serch\", resource);",
            "DIR/access/policies/a.cedar:1:30: for policy `policy0`, unrecognized action `OnRecord::Action::\"serch\"`",
        ),
        (
            "permit (principal, action, resource);\n\npermit (principal, action, resource)\nwhen { principal.nam == \"x\" };",
            "DIR/access/policies/a.cedar:4:8: for policy `policy1`, attribute `nam`",
        ),
        (
            "permit (principal == ?principal, action, resource);",
            "DIR/access/policies/a.cedar:1:22: policy0 is a template",
        ),
        (
            "@id(\"x\") permit (principal, action, resource);\n@id(\"x\") permit (principal, action, resource);",
            "DIR/access/policies/a.cedar:1:1: duplicate template or policy id `a.cedar/x`",
        ),
    ] {
        let place = Place::new();
        place.write("policies/a.cedar", text);
        let wrong = place.wrong();
        assert!(wrong.starts_with(said), "{text}\n{wrong}");
    }
    let place = Place::new();
    place.write("policies/a.cedar", &" ".repeat(300 << 10));
    assert!(place.wrong().contains("bytes is more than the limit"));
}

#[test]
fn what_is_wrong_with_settings_is_said() {
    let wrong = |text: &str| Place::with(text).wrong();
    for (text, said) in [
        ("mask = 1", "invalid type"),
        ("[[mask]]\nfield = \"inputs.x\"\nas = \"hide\"", "line 3"),
        ("[[mask]]\nfield = \"inputs.x\"\nas = \"drop\"\nmodel = [\"a\"]", "unknown field `model`"),
        ("[[mask]]\nfield = \"id\"\nas = \"drop\"", "id cannot be masked"),
        ("[[mask]]\nfield = \"input.x\"\nas = \"drop\"", "did you mean \"inputs\""),
        ("[[mask]]\nfield = \"inputs.x\"\nas = \"bucket\"", "a bucket takes a width"),
        ("[[mask]]\nfield = \"inputs.x\"\nas = \"bucket\"\nwidth = 0", "is no width"),
        ("[[mask]]\nfield = \"inputs.x\"\nas = \"drop\"\nwidth = 5", "leave it out"),
        ("[tenants]\nfield = \"model.name\"", "cannot name tenants"),
        ("[[group]]\ngroup = \"a\"\nrole = \"reader\"\ntrails = [\"*\"]\ntenants = [\"x\"]", "no [tenants] field"),
        ("[[group]]\ngroup = \"a\"\nrole = \"Reader\"\ntrails = [\"*\"]", "is no role"),
        ("[[group]]\ngroup = \"a\"\nrole = \"reader\"", "missing field `trails`"),
        ("[[group]]\ngroup = \"a\"\nrole = \"reader\"\ntrails = [\"*\", \"a\"]", "stands alone"),
        ("[[group]]\ngroup = \"a\"\nrole = \"reader\"\ntrails = [\"a\"]\nmodles = []", "modles"),
        ("[[certificate]]\nname = \"x\"\nroles = []", "say exactly one of"),
        ("masks = []", "unknown field `masks`"),
    ] {
        let told = wrong(text);
        assert!(told.starts_with("DIR/access/access.toml: ") && told.contains(said), "{text}\n{told}");
    }
}

#[test]
fn masks_are_by_trail_and_model_and_lifted_by_policy() {
    let place = Place::with(
        r#"
        [[mask]]
        field = "subject.id"
        as = "hash"
        [[mask]]
        field = "inputs.income"
        as = "bucket"
        width = 1000
        label = "money"
        [[mask]]
        field = "inputs.iban"
        as = "last-4"
        models = ["risk"]
        [[mask]]
        field = "inputs.note"
        as = "drop"
        trails = ["fraud"]
        "#,
    );
    let trail = Resource::trail("credit");
    let of = |fields: &[(&str, &str)]| fields.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect::<Vec<_>>();
    let all = of(&[("subject.id", "Hash"), ("inputs.income", "Bucket"), ("inputs.iban", "LastFour")]);
    assert_eq!(masks(&place, "reader", trail), all, "who may read several models is under the masks of all");
    assert_eq!(masks(&place, "reader", trail.model("other")), all[..2]);
    assert_eq!(masks(&place, "auditor", trail), []);
    place.write(
        "policies/money.cedar",
        r#"permit (principal in OnRecord::Role::"analyst", action == OnRecord::Action::"unmask", resource) when { resource.label == "money" };
           permit (principal in OnRecord::Role::"reader", action == OnRecord::Action::"unmask", resource) when { resource.path like "subject*" };"#,
    );
    assert_eq!(masks(&place, "analyst", trail), of(&[("subject.id", "Hash"), ("inputs.iban", "LastFour")]));
    assert_eq!(masks(&place, "reader", trail), all[1..]);
}

#[test]
fn where_masks_meet_the_one_that_hides_most_counts() {
    let place = Place::with(
        r#"
        mask = [
          { field = "inputs.a", as = "last-4", models = ["x"] },
          { field = "inputs.a", as = "hash", models = ["y"] },
          { field = "inputs.b", as = "last-4" },
          { field = "inputs.b.secret", as = "drop" },
          { field = "inputs.c", as = "bucket", width = 10, models = ["x"] },
          { field = "inputs.c", as = "bucket", width = 100, models = ["y"] },
        ]
        "#,
    );
    let access = place.open();
    let reader = person("r", vec![on_credit("reader")]);
    let policy = ask(&access, &reader, Permission::Search, "credit", None).unwrap().policy;
    let mask = |path: &str| policy.masks.iter().find(|(it, _)| *it == field(path)).map(|(_, mask)| mask.clone());
    assert!(matches!(mask("inputs.a"), Some(Mask::Hash { .. })));
    assert_eq!(mask("inputs.b"), Some(Mask::Drop), "what is inside shows no more for what is around it");
    assert!(matches!(mask("inputs.c"), Some(Mask::Bucket { width }) if width.get() == 100.0));
    assert_eq!(policy.masks.len(), 3);
}

#[test]
fn hashes_of_two_trails_do_not_link_and_stay_over_restarts() {
    let place = Place::new();
    let key = |trail: &str| {
        let reader = person("r", vec![Assignment { trails: Names::All, ..on_credit("reader") }]);
        let policy = ask(&place.open(), &reader, Permission::Search, trail, None).unwrap().policy;
        match policy.masks.first() {
            Some((_, Mask::Hash { key })) => *key,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(key("credit"), key("credit"));
    assert_ne!(key("credit"), key("fraud"));
    use std::os::unix::fs::PermissionsExt as _;
    let file = std::fs::metadata(place.folder.path().join("access/mask.key")).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    place.write("mask.key", "short");
    assert!(place.wrong().contains("does not hold the 32 bytes"));
}

#[test]
fn people_get_what_their_groups_are_given() {
    let place = Place::with(
        r#"
        [[group]]
        group = "audit"
        role = "auditor"
        trails = ["*"]
        [[group]]
        group = "desk"
        role = "reader"
        trails = ["credit"]
        until = "2026-03-01T13:00:00Z"
        "#,
    );
    let access = place.open();
    let may = |groups: &[&str], permission, now| {
        let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        let someone = access.person("sub-1", "Alice", &groups);
        access.authorize(&someone, permission, &Resource::trail("credit"), None, now).is_ok()
    };
    assert!(may(&["desk", "other"], Permission::Search, NOW) && !may(&["desk"], Permission::Export, NOW));
    assert!(may(&["audit"], Permission::Export, NOW));
    assert!(!may(&["desk"], Permission::Search, NOW + 3_600_000_000_000));
    assert!(!may(&["other"], Permission::Stats, NOW) && !may(&[], Permission::Stats, NOW));
}

#[test]
fn a_changed_policy_has_another_digest() {
    let place = Place::new();
    let first = place.open().policy_digest();
    assert_eq!(place.open().policy_digest(), first);
    place.write("policies/a.cedar", "// nothing");
    let second = place.open().policy_digest();
    place.write("access.toml", "# nothing");
    let third = place.open().policy_digest();
    assert!(first != second && second != third);
}
