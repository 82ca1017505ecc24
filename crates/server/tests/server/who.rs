//! Who may ask what: every route × every role × a trail of its own and one that is not (I11, T28). What is expected is
//! written here once more, by hand: it is not read from the access policy that is under test.

use std::collections::BTreeSet;

use access::{Assignment, Names, Permission, Role};
use reqwest::Method;
use serde_json::json;
use server::{Need, ROUTES, Route};

use crate::place::{Place, Up, body, decision, id};

/// What each role may ask of a trail, as the project promises it.
const GRANTED: [(&str, &[&str]); 8] = [
    ("writer", &["append"]),
    ("reader", &["search", "read-record", "prove", "log", "stats"]),
    ("analyst", &["search", "read-record", "sql", "prove", "log", "stats", "gaps", "groups", "sample", "reconcile"]),
    (
        "auditor",
        &["search", "read-record", "sql", "prove", "log", "stats", "gaps", "groups", "sample", "reconcile", "export"],
    ),
    (
        "investigator",
        &["search", "read-record", "sql", "prove", "log", "stats", "gaps", "groups", "sample", "reconcile", "export"],
    ),
    (
        "model-owner",
        &["append", "search", "read-record", "sql", "prove", "log", "stats", "gaps", "groups", "sample", "reconcile"],
    ),
    (
        "regulator",
        &["search", "read-record", "sql", "prove", "log", "stats", "gaps", "groups", "sample", "reconcile", "export"],
    ),
    ("admin", &["log", "stats", "gaps"]),
];

/// What each role may ask of the server as a whole, where its trails are all there are.
const OF_SERVER: [(&str, &[&str]); 2] = [("auditor", &["metrics"]), ("admin", &["metrics", "manage-tokens"])];

/// What is asked about.
struct Asked {
    /// A checkpoint of the trail.
    checkpoint: String,
    /// The id of a token that nobody asks with.
    token: String,
}

fn path_of(route: &Route, trail: &str, about: &Asked) -> String {
    let path = route.path.replace("{trail}", trail).replace("{id}", "0").replace("{*tile}", "0/000.p/1");
    let path = path.replace("{token}", &about.token);
    let question = match route.about.id {
        "compareGroups" => "?by=model.name&outcome=inputs.income%20%3E%2042000",
        "drawSample" => "?nonce=4%202%206",
        _ => "",
    };
    path + question
}

async fn ask(
    up: &Up,
    route: &Route,
    trail: &str,
    token: Option<&str>,
    purpose: bool,
    about: &Asked,
) -> (u16, serde_json::Value) {
    let request = up.client.request(route.method.clone(), format!("{}{}", up.base, path_of(route, trail, about)));
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    let request = if purpose { request.header(server::PURPOSE, "complaint 17") } else { request };
    let request = match (route.about.id, &route.method) {
        ("appendRecords", _) => request.header("content-type", "application/json").body(decision(1)),
        ("drawSample", _) => request.body(about.checkpoint.clone()),
        ("reconcileCounts", _) => request.body("model,time,count\ncredit-risk,2026-11-01,1\n"),
        ("exportRecords", _) => request,
        ("createToken", _) => request.json(&json!({"name": "scorer", "role": "writer", "trails": ["mine"]})),
        ("rotateToken", _) => request.json(&json!({"overlap_s": 60})),
        (_, &Method::POST) => request.json(&json!({"query": "SELECT count(*) AS n FROM events"})),
        _ => request,
    };
    body(request.send().await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_answered_that_is_not_granted() {
    let place = Place::with(&["mine", "other"]);
    let tokens: Vec<(&str, String)> = GRANTED.iter().map(|(role, _)| (*role, place.token(role, "mine"))).collect();
    let everywhere: Vec<(&str, String)> = GRANTED.iter().map(|(role, _)| (*role, place.token(role, "*"))).collect();
    let (writer, spare) = (place.token("writer", "*"), place.token("writer", "mine"));
    let up = place.up().await;
    for trail in ["mine", "other"] {
        assert_eq!(up.append(trail, &writer, decision(0)).await.status(), 200);
    }
    crate::place::until("the seal", async || (place.snapshot("mine").sealed() > 0).then_some(())).await;
    let about = Asked { checkpoint: place.checkpoint("mine"), token: spare.split('_').nth(1).unwrap().to_owned() };
    let mut granted = 0;
    for (nth, route) in ROUTES.iter().enumerate() {
        let Need::Permission(permission) = route.need else { continue };
        let name = permission.name();
        // Another one each time: one that is tried too often is told to wait.
        let unknown = format!("onr_{nth:016x}_{nth:064x}");
        let (status, told) = ask(&up, route, "mine", None, true, &about).await;
        assert_eq!((status, &told["type"]), (401, &"urn:onrecord:problem:unauthenticated".into()), "{}", route.path);
        assert_eq!(ask(&up, route, "mine", Some(&unknown), true, &about).await.0, 401, "{}", route.path);
        for ((role, may), (_, token)) in GRANTED.iter().zip(if route.of_trail() { &tokens } else { &everywhere }) {
            let may = match route.of_trail() {
                true => may.contains(&name),
                false => OF_SERVER.iter().any(|(known, may)| known == role && may.contains(&name)),
            };
            let (status, told) = ask(&up, route, "mine", Some(token), true, &about).await;
            let what = format!("{role} {} {}: {told}", route.method, route.path);
            match (may, *role, name) {
                // It may append, and a decision is not what it may append.
                (true, "model-owner", "append") => assert_eq!(status, 422, "{what}"),
                (true, ..) => assert_eq!(status, 200, "{what}"),
                (false, ..) => {
                    assert_eq!((status, &told["type"]), (403, &"urn:onrecord:problem:forbidden".into()), "{what}")
                }
            }
            granted += usize::from(may);
            if !route.of_trail() {
                continue;
            }
            // Another trail, and one that is not there, are the same to who reaches neither.
            let (status, other) = ask(&up, route, "other", Some(token), true, &about).await;
            let (none, nowhere) = ask(&up, route, "nowhere", Some(token), true, &about).await;
            assert_eq!((status, none), (404, 404), "{role} {} {}: {other}", route.method, route.path);
            assert_eq!(other, nowhere);
            if *role == "investigator" && may {
                let (status, told) = ask(&up, route, "mine", Some(token), false, &about).await;
                assert_eq!((status, &told["field"]), (403, &"onrecord-purpose".into()), "{what}");
            }
        }
    }
    assert!(granted > 40, "{granted}");
    up.down().await;
}

/// A route is open because the table says so, and these alone are: a new one makes this fail.
#[test]
fn only_what_tells_nothing_is_open() {
    let open: BTreeSet<&str> =
        ROUTES.iter().filter(|route| matches!(route.need, Need::Nothing(_))).map(|route| route.path).collect();
    let expected = ["/health/live", "/health/ready", "/login", "/login/callback", "/v1/docs", "/v1/openapi.json"];
    assert_eq!(open, BTreeSet::from(expected));
    let known: BTreeSet<&str> =
        ROUTES.iter().filter(|route| matches!(route.need, Need::Known(_))).map(|route| route.path).collect();
    assert_eq!(known, BTreeSet::from(["/logout", "/v1/me"]));
    for route in ROUTES.iter() {
        let Need::Permission(permission) = route.need else { continue };
        assert_eq!(permission.of_server(), !route.of_trail(), "{}", route.path);
        let known = GRANTED.iter().chain(&OF_SERVER).any(|(_, may)| may.contains(&permission.name()));
        assert!(known, "{permission} of {} is in no row of the matrix", route.path);
    }
}

/// A token posts what its role may post, of the models that it is for.
#[tokio::test(flavor = "multi_thread")]
async fn kinds_and_models_are_permissions_too() {
    let place = Place::with(&["default"]);
    let writer = place.token("writer", "default");
    let mut of_one = Assignment::new(Role::new("writer").unwrap(), Names::of(["default"]).unwrap());
    of_one.models = Names::of(["credit-risk"]).unwrap();
    let of_one = place.token_of("credit", of_one);
    let up = place.up().await;
    for kind in ["access", "config", "erasure", "hold", "model"] {
        let model = if kind == "model" { r#","model":{"name":"m","version":"1"}"# } else { "" };
        let record = format!(r#"{{"kind":"{kind}","context":{{"event":"x"}}{model}}}"#);
        let (status, told) = body(up.append("default", &writer, record).await).await;
        assert_eq!(status, 422, "{kind}: {told}");
        assert_eq!(told["errors"][0]["error"]["type"], "urn:onrecord:problem:not-granted", "{told}");
    }
    let lines = decision(0) + &decision(1).replace("credit-risk", "pricing");
    let (status, told) = body(up.append("default", &of_one, lines).await).await;
    assert_eq!((status, told["receipts"].as_array().unwrap().len()), (200, 1), "{told}");
    assert_eq!(told["errors"][0]["position"], 1);
    up.down().await;
}

/// A reader of some models sees no others, in no way of reading; and asks in vain for what would mislead.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_one_model_sees_one_model() {
    let place = Place::with(&["default"]);
    let writer = place.token("writer", "default");
    let mut of_one = Assignment::new(Role::new("auditor").unwrap(), Names::of(["default"]).unwrap());
    of_one.models = Names::of(["pricing"]).unwrap();
    let of_one = place.token_of("pricing", of_one);
    let up = place.up().await;
    let lines = decision(0) + &decision(1).replace("credit-risk", "pricing");
    assert_eq!(up.append("default", &writer, lines).await.status(), 200);
    let found = up.json("/v1/trails/default/records?kind=all", &of_one).await;
    let ids: Vec<&str> =
        found["records"].as_array().unwrap().iter().map(|record| record["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [id(1)]);
    for (path, status) in [
        (format!("records/{}", id(0)), 404),
        (format!("records/{}", id(1)), 200),
        ("records/0".to_owned(), 404),
        (format!("records/{}/proof", id(0)), 404),
        ("gaps".to_owned(), 403),
    ] {
        assert_eq!(up.get(&format!("/v1/trails/default/{path}"), &of_one).await.status(), status, "{path}");
    }
    let (_, told) = body(up.sql("default", &of_one, "SELECT count(*) AS n FROM decisions").await).await;
    assert_eq!(told["rows"][0]["n"], 1);
    let stats = up.json("/v1/trails/default/stats", &of_one).await;
    assert_eq!(stats["models"], json!([{"name": "pricing", "version": "1", "decisions": 1}]));
    assert!(stats["bytes_a_decision"].is_null(), "{stats}");
    up.down().await;
}

/// Permissions that no route has yet are known by name, so that this page is looked at when one gets a route.
#[test]
fn permissions_have_names() {
    assert!(Permission::ALL.iter().all(|permission| Permission::from_name(permission.name()) == Some(*permission)));
}
