//! What is refused is on record, whoever refused it, and none of it is lost (I11, T27).

use access::{Assignment, Names, Role};
use reqwest::Method;
use serde_json::Value;

use crate::hostile::raw;
use crate::place::{Place, decision, id};

/// The refusals of a trail: action, reason, role, and how many.
fn refused(place: &Place, trail: &str) -> Vec<(String, String, Option<String>, u64)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let of = |context: &Value| {
        let (action, reason) = (text(&context["action"]).unwrap(), text(&context["reason"]).unwrap());
        (action, reason, text(&context["role"]), context["count"].as_u64().unwrap())
    };
    let records = place.access_records(trail);
    let contexts = records.iter().map(|(_, record)| &record["context"]);
    contexts.filter(|context| context["event"] == "refused").map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_refusal_is_on_record() {
    let place = Place::with(&["default"]);
    let writer = place.token("writer", "default");
    let mut of_one = Assignment::new(Role::new("auditor").unwrap(), Names::of(["default"]).unwrap());
    of_one.models = Names::of(["pricing"]).unwrap();
    let of_one = place.token_of("pricing", of_one);
    let mut config = place.config();
    config.limits.batch_records_max = 3;
    let up = place.up_with(config).await;
    let stats = format!("{}/v1/trails/default/stats", up.base);
    // Nobody, something that is no credential, and two at once.
    assert_eq!(up.client.get(&stats).send().await.unwrap().status(), 401);
    assert_eq!(up.client.get(&stats).header("authorization", "Basic eDp5").send().await.unwrap().status(), 401);
    let address = up.base.strip_prefix("http://").unwrap();
    let field = format!("authorization: Bearer {writer}\r\n");
    let twice = format!("GET /v1/trails/default/stats HTTP/1.1\r\nhost: x\r\n{field}{field}connection: close\r\n\r\n");
    assert_eq!(raw(address, &twice).await.0, 401);
    // Part of a batch.
    let lines = decision(0) + "{\"kind\":\"hold\",\"context\":{}}\n" + "{\"kind\":\"hold\",\"context\":{}}\n";
    assert_eq!(up.append("default", &writer, lines).await.status(), 200);
    // Part of one that is too long, and so not taken at all.
    let lines: String = (1..4).map(decision).collect();
    let lines = "{\"kind\":\"config\",\"context\":{}}\n".to_owned() + &lines;
    assert_eq!(up.append("default", &writer, lines).await.status(), 413);
    // By a handler. Figures of some models are no refusal.
    assert_eq!(up.get("/v1/trails/default/gaps", &of_one).await.status(), 403);
    let part = up.json("/v1/trails/default/stats", &of_one).await;
    assert!(part["bytes_a_decision"].is_null(), "{part}");
    up.down().await;
    let refused = refused(&place, "default");
    let find = |action: &str, words: &str| {
        let found = refused.iter().find(|(of, reason, ..)| of == action && reason.contains(words));
        found.map(|(_, _, role, count)| (role.as_deref(), *count))
    };
    assert_eq!(find("stats", "no token came"), Some((None, 1)), "{refused:?}");
    assert_eq!(find("stats", "not of the form"), Some((None, 1)), "{refused:?}");
    assert_eq!(find("stats", "there twice"), Some((None, 1)), "{refused:?}");
    assert_eq!(find("append", "kind hold"), Some((Some("writer"), 2)), "{refused:?}");
    assert_eq!(find("gaps", "holes that are not there"), Some((Some("auditor"), 1)), "{refused:?}");
    assert_eq!(find("append", "kind config"), Some((Some("writer"), 1)), "{refused:?}");
    assert_eq!(find("stats", "a part of the trail"), None, "{refused:?}");
    assert!(!format!("{refused:?}").contains("eDp5"), "a credential is on record");
}

/// While the journal has no room refusals wait, counted; each of them is told once there is room.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_a_full_journal_are_told_later() {
    let place = Place::with(&["default"]);
    let writer = place.token("writer", "default");
    let mut config = place.config();
    config.writer.backlog_bytes_max = Some(1 << 20);
    config.writer.settle_every_s = Some(3600);
    let up = place.up_with(config).await;
    let filler = decision(0).replace("0.85", &format!("\"{}\"", "x".repeat(4000)));
    let mut number = 0;
    while up.append("default", &writer, filler.replace(&id(0), &id(number))).await.status() == 200 {
        number += 1;
        assert!(number < 1000, "the journal has a limit");
    }
    while up.append("default", &writer, decision(number)).await.status() == 200 {
        number += 1;
    }
    // More of them than are told apart, each with a purpose of its own.
    for purpose in 0..200 {
        let request = up.ask(Method::GET, "/v1/trails/default/records", &writer);
        let request = request.header(server::PURPOSE, format!("purpose {}", purpose % 100));
        assert_eq!(request.send().await.unwrap().status(), 403);
    }
    up.down().await;
    let refused = refused(&place, "default");
    assert_eq!(refused.iter().map(|(.., count)| count).sum::<u64>(), 200, "{refused:?}");
    assert!(refused.len() <= 3 * 65, "{}", refused.len());
}
