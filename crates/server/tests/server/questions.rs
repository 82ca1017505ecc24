//! Figures for auditors: groups, samples, counts held against counts. Each is a read on record, and what a role does not
//! see is in none of them.

use access::{Assignment, Names, Role};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::place::{Place, Up, body, decision, id, until};

impl Up {
    async fn sample(&self, question: &str, token: &str, checkpoint: &str) -> Response {
        let request = self.ask(Method::POST, &format!("/v1/trails/default/sample?{question}"), token);
        request.body(checkpoint.to_owned()).send().await.unwrap()
    }

    async fn reconcile(&self, question: &str, token: &str, counts: impl Into<reqwest::Body>) -> (u16, Value) {
        let request = self.ask(Method::POST, &format!("/v1/trails/default/reconcile?{question}"), token);
        body(request.header("content-type", "text/csv").body(counts).send().await.unwrap()).await
    }

    async fn groups(&self, question: &str, token: &str) -> (u16, Value) {
        body(self.get(&format!("/v1/trails/default/groups?{question}"), token).await).await
    }
}

fn of_pricing(place: &Place, role: &str) -> String {
    let mut of_one = Assignment::new(Role::new(role).unwrap(), Names::of(["default"]).unwrap());
    of_one.models = Names::of(["pricing"]).unwrap();
    place.token_of("pricing", of_one)
}

/// Two of three decisions are of `credit-risk`, the others of `pricing`.
fn lines(count: u32) -> String {
    let model = |number: u32| if number.is_multiple_of(3) { "pricing" } else { "credit-risk" };
    (0..count).map(|number| decision(number).replace("credit-risk", model(number))).collect()
}

async fn sealed(place: &Place, count: u64) -> String {
    until("the seal", async || (place.snapshot("default").sealed() >= count).then_some(())).await;
    place.checkpoint("default")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_a_read_on_record_with_what_it_came_to() {
    let place = Place::with(&["default"]);
    let (writer, auditor) = (place.token("writer", "default"), place.token("auditor", "default"));
    let up = place.up().await;
    assert_eq!(up.append("default", &writer, lines(30)).await.status(), 200);
    let checkpoint = sealed(&place, 30).await;
    let (status, groups) = up.groups("by=model.name&outcome=inputs.income%20%3C%2042010&favourable", &auditor).await;
    assert_eq!((status, &groups["records"], &groups["favourable"]), (200, &30.into(), &true.into()), "{groups}");
    assert_eq!((&groups["groups"][0]["values"], &groups["groups"][0]["n"]), (&json!(["credit-risk"]), &20.into()));
    assert!(groups["groups"][1]["compared"]["ratio"].is_number(), "{groups}");
    let (status, sample) =
        body(up.sample("n=5&nonce=4%202%206&where=inputs.income%20%3C%2042020", &auditor, &checkpoint).await).await;
    assert_eq!((status, &sample["population"], &sample["excluded"]), (200, &20.into(), &10.into()), "{sample}");
    assert_eq!(sample["checkpoint"], checkpoint);
    let counts = "model,time,count\ncredit-risk,2026-11-01,20\npricing,2026-11-01,11\nnonsense\n";
    let (status, report) = up.reconcile("by=day", &auditor, counts).await;
    assert_eq!(
        (status, &report["verdict"], &report["bad_rows"][0]["line"]),
        (200, &"ours_fewer".into(), &4.into()),
        "{report}"
    );
    up.down().await;
    // The certificate is what the same question over the folder comes to.
    let certificate = query::Certificate::read(sample.to_string().as_bytes()).unwrap();
    let report = place.seeing_all("default", move |view| view.check_sample(&certificate).unwrap()).await;
    assert!(report.verdict.is_good());
    let records = place.access_records("default");
    let contexts = |event: &str| -> Vec<Value> {
        records
            .iter()
            .map(|(_, record)| record["context"].clone())
            .filter(|context| context["event"] == event)
            .collect()
    };
    let (begins, ends) = (contexts("begin"), contexts("end"));
    let told: Vec<(&Value, &Value)> =
        begins.iter().zip(&ends).map(|(begin, end)| (&begin["action"], &end["rows"])).collect();
    let expected: [(Value, Value); 3] =
        [("groups".into(), 2.into()), ("sample".into(), 5.into()), ("reconcile".into(), 2.into())];
    assert_eq!(told, expected.iter().map(|(action, rows)| (action, rows)).collect::<Vec<_>>(), "{ends:?}");
    assert_eq!(begins[0]["asked"], "GET groups?by=model.name&outcome=inputs.income+%3C+42010&favourable=");
    // The checkpoint that was brought is a part of the question.
    assert!(begins[1]["asked"].as_str().unwrap().ends_with(&checkpoint));
}

/// A role that sees one model gets figures of that model, told as such, or is told why it gets none.
#[tokio::test(flavor = "multi_thread")]
async fn who_sees_a_part_gets_figures_of_that_part_or_the_reason_why_not() {
    let place = Place::with(&["default"]);
    let (writer, auditor) = (place.token("writer", "default"), place.token("auditor", "default"));
    let of_one = of_pricing(&place, "auditor");
    let up = place.up().await;
    assert_eq!(up.append("default", &writer, lines(30)).await.status(), 200);
    let checkpoint = sealed(&place, 30).await;
    let (status, groups) = up.groups("by=model.name&outcome=true", &of_one).await;
    assert_eq!((status, &groups["groups"][0]["values"]), (200, &json!(["pricing"])), "{groups}");
    assert_eq!((&groups["records"], groups["groups"].as_array().unwrap().len()), (&10.into(), 1));
    let (status, sample) = body(up.sample("n=20&nonce=x", &of_one, &checkpoint).await).await;
    assert_eq!((status, &sample["population"]), (200, &10.into()), "{sample}");
    assert!(sample["filter"].as_str().unwrap().contains("model.name IN ('pricing')"), "{sample}");
    assert!(sample["chosen"].as_array().unwrap().iter().all(|chosen| chosen["index"].as_u64().unwrap() % 3 == 0));
    let query = "n=20&nonce=x&where=id%20IN%20(SELECT%20id%20FROM%20events)";
    let (status, told) = body(up.sample(query, &of_one, &checkpoint).await).await;
    assert_eq!((status, &told["type"]), (403, &"urn:onrecord:problem:forbidden".into()), "{told}");
    let counts = "model,time,count\npricing,2026-11-01,10\n";
    let (status, told) = up.reconcile("", &of_one, counts).await;
    assert_eq!(status, 403, "{told}");
    assert!(told["detail"].as_str().unwrap().contains("sees a part of the trail"), "{told}");
    assert_eq!(up.reconcile("", &auditor, counts).await.1["verdict"], "agree");
    // By id or index it finds what it sees, and is told the same of all else.
    let one = |number: u32| format!("/v1/trails/default/records/{}", id(number));
    let seen = up.json(&one(3), &of_one).await;
    assert_eq!((&seen["index"], &seen["record"]["model"]["name"]), (&3.into(), &"pricing".into()));
    assert_eq!(up.json("/v1/trails/default/records/3", &of_one).await["digest"], seen["digest"]);
    let not_there = body(up.get(&one(9_999), &of_one).await).await;
    assert_eq!(not_there.0, 404);
    for path in [
        one(4),
        "/v1/trails/default/records/4".to_owned(),
        format!("{}/proof", one(4)),
        format!("{}/proof", one(9_999)),
    ] {
        assert_eq!(body(up.get(&path, &of_one).await).await, not_there, "{path}");
    }
    up.down().await;
    let certificate = query::Certificate::read(sample.to_string().as_bytes()).unwrap();
    let report = place.seeing_all("default", move |view| view.check_sample(&certificate).unwrap()).await;
    assert!(report.verdict.is_good(), "whoever sees all draws the same");
}

/// What is masked makes no groups and no population.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_made_of_masks() {
    let place = Place::with(&["default"]);
    place.write(
        "access/access.toml",
        "[[mask]]\nfield = \"subject\"\nas = \"hash\"\n[[mask]]\nfield = \"inputs.income\"\nas = \"bucket\"\nwidth = 10\n",
    );
    let (writer, analyst) = (place.token("writer", "default"), place.token("analyst", "default"));
    let auditor = place.token("auditor", "default");
    let up = place.up().await;
    assert_eq!(up.append("default", &writer, lines(30)).await.status(), 200);
    let checkpoint = sealed(&place, 30).await;
    for by in ["subject.id", "inputs.income", "inputs", "length(subject.id)", "rest"] {
        let question = format!("by={by}&outcome=true");
        let (status, told) = up.groups(&question, &analyst).await;
        assert_eq!((status, &told["type"]), (403, &"urn:onrecord:problem:forbidden".into()), "{by}: {told}");
        assert!(told["detail"].as_str().unwrap().contains("masked for your role"), "{by}: {told}");
        assert!(!told.to_string().contains("customer"), "{told}");
    }
    assert_eq!(up.groups("by=model.name&outcome=inputs.income%20%3E%205", &analyst).await.0, 403);
    assert_eq!(up.groups("by=model.name&outcome=true", &analyst).await.0, 200);
    assert_eq!(up.groups("by=subject.id&outcome=true", &auditor).await.1["groups"].as_array().unwrap().len(), 7);
    for (question, status) in
        [("nonce=x&subject=customer-3", 403), ("nonce=x&where=inputs.income%20%3E%205", 403), ("nonce=x", 200)]
    {
        let (got, told) = body(up.sample(question, &analyst, &checkpoint).await).await;
        assert_eq!(got, status, "{question}: {told}");
    }
    up.down().await;
}

/// Whatever is sent, there is an answer that says what is wrong with it.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_answered_is_told() {
    let place = Place::with(&["default", "other"]);
    let (writer, auditor) = (place.token("writer", "*"), place.token("auditor", "*"));
    let up = place.up().await;
    for trail in ["default", "other"] {
        assert_eq!(up.append(trail, &writer, lines(5)).await.status(), 200);
        until("the seal", async || (place.snapshot(trail).sealed() >= 5).then_some(())).await;
    }
    let (mine, others) = (place.checkpoint("default"), place.checkpoint("other"));
    for (question, checkpoint, status, field) in [
        ("", &*mine, 400, "nonce"),
        ("nonce=x&n=0", &mine, 400, "n"),
        ("nonce=%07", &mine, 400, "nonce"),
        ("nonce=x&kind=decisions", &mine, 400, "kind"),
        ("nonce=x&since=7d..&until=now", &mine, 400, "until"),
        ("nonce=x", &others, 400, ""),
        ("nonce=x", "", 400, ""),
        ("nonce=x", &"x".repeat(70_000), 413, ""),
        ("nonce=x&where=nothing%20%3C", &mine, 422, ""),
    ] {
        let (got, told) = body(up.sample(question, &auditor, checkpoint).await).await;
        assert_eq!((got, told["field"].as_str().unwrap_or_default()), (status, field), "{question}: {told}");
    }
    for (question, field) in [
        ("by=model.name", "outcome"),
        ("outcome=true", "by"),
        ("by=model.name&outcome=true&favourable=x", "favourable"),
    ] {
        let (status, told) = up.groups(question, &auditor).await;
        assert_eq!((status, &told["field"]), (400, &field.into()), "{question}: {told}");
    }
    let bomb = zstd::encode_all(&vec![b'x'; 20 << 20][..], 1).unwrap();
    let request = up.ask(Method::POST, "/v1/trails/default/reconcile", &auditor).header("content-encoding", "zstd");
    assert_eq!(request.body(bomb).send().await.unwrap().status(), 413);
    for (question, counts, status) in [
        ("by=year", "model,time,count\n", 400),
        ("", "", 400),
        ("", "model,time,count\n", 400),
        ("", "model,count\na,1\n", 400),
        ("", "{\"status\":", 400),
        ("by=minute", "model,time,count\npricing,2026-11-01T12:00:00Z,2\n", 200),
    ] {
        let (got, told) = up.reconcile(question, &auditor, counts).await;
        assert_eq!(got, status, "{question} {counts}: {told}");
    }
    up.down().await;
}
