//! Tokens over HTTP: made, listed, rotated and revoked by who may, and all of it on record (I11, T27, T28).

use access::{Access, Assignment, Names, Role, TokenSpec};
use reqwest::Method;
use serde_json::{Value, json};

use crate::place::{Place, Up, body, decision, until};

fn writer(name: &str) -> Value {
    json!({"name": name, "role": "writer", "trails": ["default"], "kinds": ["decision"]})
}

async fn post(up: &Up, path: &str, token: &str, of: &Value) -> (u16, Value) {
    body(up.ask(Method::POST, path, token).json(of).send().await.unwrap()).await
}

async fn revoke(up: &Up, id: &str, token: &str) -> (u16, Value) {
    body(up.ask(Method::DELETE, &format!("/v1/tokens/{id}"), token).send().await.unwrap()).await
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The contexts of the records of changes, by their event.
fn contexts(place: &Place, event: &str) -> Vec<Value> {
    let records = place.access_records("default").into_iter().map(|(_, record)| record["context"].clone());
    records.filter(|context| context["event"] == event).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_made_used_rotated_and_revoked() {
    let place = Place::with(&["default"]);
    let admin = place.token("admin", "*");
    let up = place.up().await;
    let response = up.ask(Method::POST, "/v1/tokens", &admin).json(&writer("credit-api")).send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store", "no cache keeps a secret");
    let (status, made) = body(response).await;
    assert_eq!((status, &made["token"]["state"]), (200, &"good".into()), "{made}");
    let (id, first) = (text(&made["token"]["id"]), text(&made["text"]));
    assert!(text(&made["token"]["created_by"]).starts_with("token:"), "{made}");
    assert_eq!(up.append("default", &first, decision(0)).await.status(), 200);
    // What the token gives is what it was made with.
    assert_eq!(up.append("default", &first, "{\"kind\":\"outcome\",\"output\":1}\n").await.status(), 422);

    let rotate = format!("/v1/tokens/{id}/rotate");
    let (status, rotated) = post(&up, &rotate, &admin, &json!({"overlap_s": 3600})).await;
    assert_eq!((status, &rotated["token"]["state"]), (200, &"rotating".into()), "{rotated}");
    let second = text(&rotated["text"]);
    for (number, token) in [(1, &first), (2, &second)] {
        assert_eq!(up.append("default", token, decision(number)).await.status(), 200, "both count for an hour");
    }
    let (_, third) = post(&up, &rotate, &admin, &json!({"overlap_s": 0})).await;
    for token in [&first, &second] {
        assert_eq!(up.append("default", token, decision(3)).await.status(), 401);
    }
    let third = text(&third["text"]);
    assert_eq!(up.append("default", &third, decision(3)).await.status(), 200);

    let listed = up.json("/v1/tokens", &admin).await;
    let listed = listed["tokens"].as_array().unwrap();
    let of = listed.iter().find(|token| token["id"] == id.as_str()).unwrap();
    assert!(of["last_used"].is_string() && of["kinds"] == json!(["decision"]), "{of}");
    assert_eq!(listed.len(), 2);

    let (status, revoked) = revoke(&up, &id, &admin).await;
    assert_eq!((status, &revoked["state"]), (200, &"revoked".into()), "{revoked}");
    assert_eq!(up.append("default", &third, decision(4)).await.status(), 401);
    assert_eq!(revoke(&up, &id, &admin).await.0, 200, "as often as one likes");
    let (status, told) = post(&up, &rotate, &admin, &json!({})).await;
    assert_eq!((status, &told["type"]), (409, &"urn:onrecord:problem:conflict".into()), "{told}");
    // Nothing that lets anybody in stands in a list, in the files, or on record.
    up.down().await;
    let kept = std::fs::read_to_string(place.dir().join("access/tokens.json")).unwrap();
    let records = format!("{:?}", place.access_records("default"));
    for secret in [first, second, third] {
        let secret = secret.rsplit('_').next().unwrap().to_owned();
        assert!(![&kept, &records, &format!("{listed:?}")].iter().any(|place| place.contains(&secret)));
    }
}

/// Every change is there twice: before it was made, and with what it came to.
#[tokio::test(flavor = "multi_thread")]
async fn each_change_is_on_record() {
    let place = Place::with(&["default", "other"]);
    let admin = place.token("admin", "*");
    let up = place.up().await;
    let (_, made) = post(&up, "/v1/tokens", &admin, &writer("credit-api")).await;
    let id = text(&made["token"]["id"]);
    assert_eq!(post(&up, &format!("/v1/tokens/{id}/rotate"), &admin, &json!({"overlap_s": 60})).await.0, 200);
    assert_eq!(revoke(&up, &id, &admin).await.0, 200);
    assert_eq!(post(&up, &format!("/v1/tokens/{id}/rotate"), &admin, &json!({"overlap_s": 60})).await.0, 409);
    up.down().await;
    let (before, after) = (contexts(&place, "change"), contexts(&place, "changed"));
    let asked: Vec<&str> = before.iter().map(|context| context["asked"].as_str().unwrap()).collect();
    let spec = serde_json::from_value::<TokenSpec>(writer("credit-api")).unwrap();
    let rotated = format!("POST tokens/{id}/rotate {{\"overlap_s\":60}}");
    let made = format!("POST tokens {}", serde_json::to_string(&spec).unwrap());
    assert_eq!(asked, [&made, &rotated, &format!("DELETE tokens/{id}"), &rotated]);
    for context in &before {
        assert_eq!((&context["action"], &context["role"]), (&"manage-tokens".into(), &"admin".into()));
    }
    let results: Vec<_> = after.iter().map(|context| (context["result"].clone(), context["changed"].clone())).collect();
    let done = (json!("done"), json!(id));
    assert_eq!(results, [done.clone(), done.clone(), done, (json!("failed"), Value::Null)]);
    // Each names the record that it closes, and that one names who asked.
    let records = place.access_records("default");
    let begun: Vec<_> = records.iter().filter(|(_, record)| record["context"]["event"] == "change").collect();
    let snapshot = place.snapshot("default");
    for ((index, record), after) in begun.iter().zip(&after) {
        let id = snapshot.get(*index).unwrap().unwrap().stored.stamp.id.to_string();
        assert_eq!(after["begin"], id);
        assert_eq!((&record["subject"]["name"], &record["subject"]["kind"]), (&"admin".into(), &"token".into()));
    }
    assert!(place.access_records("other").is_empty());
}

/// T28: nobody gives more than the policy lets it give alone, nor to itself; and that it was tried is on record.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_gives_more_than_it_may() {
    let place = Place::with(&["default"]);
    let admin = place.token("admin", "*");
    let id = |text: &str| text.split('_').nth(1).unwrap().to_owned();
    let (auditor, of_one) = (place.token("auditor", "*"), place.token("admin", "default"));
    let up = place.up().await;
    for role in ["reader", "analyst", "auditor", "investigator", "model-owner", "admin", "own-role"] {
        let spec = json!({"name": "somebody", "role": role, "trails": ["*"]});
        let (status, told) = post(&up, "/v1/tokens", &admin, &spec).await;
        assert_eq!(status, 403, "{role}: {told}");
        assert!(text(&told["detail"]).contains("by one principal alone"), "{told}");
    }
    // To itself, by whatever way its name is written; and a new secret of what reads.
    assert_eq!(post(&up, "/v1/tokens", &admin, &writer(" ADMIN")).await.0, 403);
    for other in [&auditor, &admin] {
        assert_eq!(post(&up, &format!("/v1/tokens/{}/rotate", id(other)), &admin, &json!({})).await.0, 403);
    }
    // Whoever has the role on some trails alone does not run the server.
    assert_eq!(post(&up, "/v1/tokens", &of_one, &writer("x")).await.0, 403);
    assert_eq!(revoke(&up, &id(&auditor), &of_one).await.0, 403);
    assert_eq!(up.json("/v1/tokens", &admin).await["tokens"].as_array().unwrap().len(), 3, "none was made");
    // What reads is taken away by one: it cannot wait for a second.
    assert_eq!(revoke(&up, &id(&auditor), &admin).await.0, 200);
    assert_eq!(up.get("/v1/trails/default/records", &auditor).await.status(), 401);
    up.down().await;
    let refused = contexts(&place, "refused");
    let count = |words: &str| {
        let of = refused.iter().filter(|context| context["reason"].as_str().unwrap().contains(words));
        of.map(|context| context["count"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(
        (count("second principal"), count("does not permit"), count("no role reaches")),
        (8, 2, 2),
        "{refused:?}"
    );
    assert_eq!(contexts(&place, "change").len(), 1, "what is refused is no change");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_said_by_name() {
    let place = Place::with(&["default"]);
    let admin = place.token("admin", "*");
    let up = place.up().await;
    let none = "0123456789abcdef";
    let cases = [
        (json!({"name": "x", "role": "writer"}), 400, "trails"),
        (json!({"name": "x", "role": "writer", "trails": ["default"], "model": ["y"]}), 400, "model"),
        (json!({"name": "x", "role": "writer", "trails": []}), 400, "reach no trail"),
        (json!({"name": "x", "role": "writer", "trails": ["*", "default"]}), 400, "stands alone"),
        (json!({"name": "", "role": "writer", "trails": ["*"]}), 400, "who the token is for"),
        (json!({"name": "x", "role": "W", "trails": ["*"]}), 400, "is no role"),
        (json!({"name": "x".repeat(1 << 17), "role": "writer", "trails": ["*"]}), 413, "longer than the limit"),
    ];
    for (spec, expected, words) in cases {
        let (status, told) = post(&up, "/v1/tokens", &admin, &spec).await;
        assert!(status == expected && text(&told["detail"]).contains(words), "{words}: {status} {told}");
    }
    let text_body = up.ask(Method::POST, "/v1/tokens", &admin).header("content-type", "text/plain").body("{}");
    assert_eq!(text_body.send().await.unwrap().status(), 415);
    let (_, made) = post(&up, "/v1/tokens", &admin, &writer("x")).await;
    let rotate = |id: &str| format!("/v1/tokens/{id}/rotate");
    let (status, told) =
        post(&up, &rotate(made["token"]["id"].as_str().unwrap()), &admin, &json!({"overlap_s": 2_592_001})).await;
    assert_eq!((status, &told["field"]), (400, &"overlap_s".into()), "{told}");
    for id in [none, "..%2f..", "x"] {
        assert_eq!(revoke(&up, id, &admin).await.0, 404, "{id}");
        assert_eq!(post(&up, &rotate(id), &admin, &json!({})).await.0, 404, "{id}");
    }
    up.down().await;
    assert_eq!(contexts(&place, "change").len(), 1, "{:?}", contexts(&place, "change"));
}

/// I11: where the trail of the server's own acts takes no records, nothing is changed.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_changed_that_cannot_go_on_record() {
    let place = Place::with(&["default"]);
    let (admin, sender) = (place.token("admin", "*"), place.token("writer", "default"));
    let mut config = place.config();
    config.writer.backlog_bytes_max = Some(1 << 20);
    config.writer.settle_every_s = Some(3600);
    let up = place.up_with(config).await;
    let filler = "x".repeat(4000);
    let mut number = 0;
    for filler in [&*filler, ""] {
        let line = |number| decision(number).replace("0.85", &format!("\"{filler}\""));
        while up.append("default", &sender, line(number)).await.status() == 200 {
            number += 1;
            assert!(number < 10_000, "the journal has a limit");
        }
    }
    let spec = json!({"name": "y".repeat(200), "role": "writer", "trails": ["default"]});
    let (status, told) = post(&up, "/v1/tokens", &admin, &spec).await;
    assert_eq!((status, &told["type"]), (503, &"urn:onrecord:problem:backlog".into()), "{told}");
    assert_eq!(up.json("/v1/tokens", &admin).await["tokens"].as_array().unwrap().len(), 2);
    up.down().await;
}

/// A server and the command on its folder change the same file.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_folders_owner_does_is_seen() {
    let place = Place::with(&["default"]);
    let admin = place.token("admin", "*");
    let up = place.up().await;
    let (_, made) = post(&up, "/v1/tokens", &admin, &writer("credit-api")).await;
    let (id, token) = (text(&made["token"]["id"]), text(&made["text"]));
    let access = Access::open(&place.host, place.dir()).unwrap();
    access.tokens().revoke(&id, place.host.now_ns()).unwrap();
    let assignment = Assignment::new(Role::new("writer").unwrap(), Names::All);
    let other = TokenSpec { name: "by hand".to_owned(), assignment };
    let (other, _) = access.tokens().create(other, "command line", place.host.now_ns()).unwrap();
    until("the change is seen", async || {
        let status = up.append("default", &token, decision(0)).await.status();
        (status == 401).then_some(())
    })
    .await;
    let (status, rotated) = post(&up, &format!("/v1/tokens/{}/rotate", other.id), &admin, &json!({})).await;
    assert_eq!((status, &rotated["token"]["name"]), (200, &"by hand".into()), "{rotated}");
    up.down().await;
}
