//! Exports over HTTP: a tar that unpacks to what checks, put on record, and never more than a role sees.

use std::io::Read as _;

use access::{Assignment, Names, Role};
use export::{Expected, Outside, RowFormat, Summary};
use reqwest::{Method, Response};
use serde_json::Value;

use crate::place::{Place, Up, body, decision, until};

const CANARY: &str = "customer-3";

impl Up {
    async fn export(&self, question: &str, token: &str) -> Response {
        self.ask(Method::POST, &format!("/v1/trails/default/export?{question}"), token).send().await.unwrap()
    }
}

/// Unpacks what came to a folder of that name: where it is, what the head says of it, and the bytes.
async fn unpacked(place: &Place, response: Response, name: &str) -> (std::path::PathBuf, Summary, bytes::Bytes) {
    assert_eq!(response.status(), 200);
    let summary: Summary = serde_json::from_slice(response.headers()["onrecord-export"].as_bytes()).unwrap();
    let tar = response.bytes().await.unwrap();
    let target = place.dir().join(name);
    let encrypted = name == "sealed";
    let expected = Expected { manifest_sha256: &summary.manifest_sha256, files: summary.files, encrypted };
    export::unpack(&place.host, &*tar, &target, expected).unwrap();
    (target, summary, tar)
}

/// A trail of ten decisions of one model and five of another, sealed.
async fn filled(place: &Place) -> Up {
    let writer = place.token("writer", "default");
    let up = place.up().await;
    let lines: String = (0..15)
        .map(|number| if number < 10 { decision(number) } else { decision(number).replace("credit-risk", "pricing") })
        .collect();
    assert_eq!(up.append("default", &writer, lines).await.status(), 200);
    until("the seal", async || (place.snapshot("default").sealed() >= 15).then_some(())).await;
    up
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_checks_and_is_on_record() {
    let place = Place::with(&["default"]);
    let auditor = place.token("auditor", "default");
    let up = filled(&place).await;
    for (format, kind) in
        [("", RowFormat::Parquet), ("&format=csv", RowFormat::Csv), ("&format=ndjson", RowFormat::Ndjson)]
    {
        let response = up.export(&format!("kind=decision{format}"), &auditor).await;
        assert_eq!(response.headers()["content-type"], "application/x-tar");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let (target, summary, _) = unpacked(&place, response, &format!("out-{kind:?}")).await;
        let outside = Outside { digest: Some(summary.manifest_sha256.clone()), ..Outside::default() };
        let report = export::verify(&place.host, &target, &outside, &mut |_, _| {}).unwrap();
        assert!(report.findings.is_empty() && report.complete && report.told, "{:?}", report.findings);
        let manifest = report.manifest.unwrap();
        assert_eq!((manifest.rows, manifest.format, summary.rows, summary.complete), (15, kind, 15, true));
    }
    // Parts of it, as a search has them.
    let response =
        up.export("where=inputs.income%20%3E%3D%2042012&columns=index,output&format=csv&limit=2", &auditor).await;
    let (target, ..) = unpacked(&place, response, "part").await;
    let rows = std::fs::read_to_string(target.join("rows-0001.csv")).unwrap();
    assert_eq!(rows.replace("\r\n", "\n"), "index,output\n13,0.85\n14,0.85\n");
    for (question, status, field) in [
        ("format=pdf", 400, "format"),
        ("limit=0", 400, "limit"),
        ("recipients=age1", 400, "recipients"),
        ("columns=nothing.at.all", 422, ""),
        ("where=true%3B%20DROP%20TABLE%20events", 422, ""),
        ("output=/etc", 400, "output"),
    ] {
        let (got, told) = body(up.export(question, &auditor).await).await;
        assert_eq!((got, told["field"].as_str().unwrap_or_default()), (status, field), "{question}: {told}");
    }
    up.down().await;
    let records = place.access_records("default");
    let ends: Vec<&Value> =
        records.iter().map(|(_, record)| &record["context"]).filter(|context| context["event"] == "end").collect();
    let told: Vec<(&Value, &Value)> = ends.iter().map(|end| (&end["rows"], &end["result"])).take(4).collect();
    let done = || Value::from("done");
    let expected = [(15.into(), done()), (15.into(), done()), (15.into(), done()), (2.into(), done())];
    assert_eq!(told, expected.iter().map(|(rows, result)| (rows, result)).collect::<Vec<_>>());
    assert!(ends.iter().all(|end| end["action"] == "export"), "{ends:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_recipients_is_for_nobody_else() {
    let place = Place::with(&["default"]);
    let auditor = place.token("auditor", "default");
    let up = filled(&place).await;
    let (one, two) = (age::x25519::Identity::generate(), age::x25519::Identity::generate());
    let question = format!("format=ndjson&recipients={},{}", one.to_public(), two.to_public());
    let (target, _, tar) = unpacked(&place, up.export(&question, &auditor).await, "sealed").await;
    assert!(!tar.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
    for identity in [&one, &two] {
        let clear = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(&target).unwrap().map(|entry| entry.unwrap().path()) {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            let decryptor = age::Decryptor::new(std::fs::File::open(&file).unwrap()).unwrap();
            let mut bytes = Vec::new();
            let mut reader = decryptor.decrypt(std::iter::once(identity as &dyn age::Identity)).unwrap();
            reader.read_to_end(&mut bytes).unwrap();
            std::fs::write(clear.path().join(name.strip_suffix(".age").unwrap()), bytes).unwrap();
        }
        let report = export::verify(&place.host, clear.path(), &Outside::default(), &mut |_, _| {}).unwrap();
        assert!(report.findings.is_empty() && report.rows == 15, "{:?}", report.findings);
    }
    up.down().await;
}

/// A site may let roles export that see a part, or see it masked: then that is what leaves, and it says so.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_that_a_role_does_not_see() {
    let place = Place::with(&["default"]);
    place.write(
        "access/policies/analysts.cedar",
        "@id(\"analysts-export\")\npermit (principal in OnRecord::Role::\"analyst\", \
         action == OnRecord::Action::\"export\", resource);\n",
    );
    let analyst = place.token("analyst", "default");
    let mut of_one = Assignment::new(Role::new("auditor").unwrap(), Names::of(["default"]).unwrap());
    of_one.models = Names::of(["pricing"]).unwrap();
    let of_one = place.token_of("pricing", of_one);
    let up = filled(&place).await;
    // Who a decision is about is masked for analysts.
    for question in
        ["", "columns=index,subject", "subject=customer-3&columns=index", "where=subject.id%20IS%20NULL&columns=index"]
    {
        let (status, told) = body(up.export(question, &analyst).await).await;
        assert_eq!((status, &told["type"]), (403, &"urn:onrecord:problem:forbidden".into()), "{question}: {told}");
        assert!(told["detail"].as_str().unwrap().contains("masked for your role"), "{question}: {told}");
    }
    let response = up.export("columns=index,inputs.income,output&format=ndjson", &analyst).await;
    let (_, _, tar) = unpacked(&place, response, "without-subjects").await;
    assert!(!tar.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
    // Nor does it see who read what: so its export proves what is in it, and not that nothing is missing.
    let response = up.export("kind=all&format=ndjson", &of_one).await;
    let (target, summary, tar) = unpacked(&place, response, "of-one-model").await;
    assert!((summary.rows, summary.complete) == (5, false) && summary.counts.hidden >= 10, "{summary:?}");
    assert!(!tar.windows(11).any(|window| window == b"credit-risk"));
    let mut report = export::verify(&place.host, &target, &Outside::default(), &mut |_, _| {}).unwrap();
    up.down().await;
    let report = place.seeing_all("default", move |view| {
        export::again(&target, &view, &mut report).unwrap();
        report
    });
    let report = report.await;
    assert!(report.findings.is_empty() && report.again.is_some(), "{:?}", report.findings);
}

/// Whoever goes away in the middle has had what was handed over until then, and that is on record.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_broke_off_is_told() {
    let place = Place::with(&["default"]);
    let (writer, auditor) = (place.token("writer", "default"), place.token("auditor", "default"));
    let up = place.up().await;
    let long = |number: u32| decision(number).replace("0.85", &format!("\"{:x<8000}\"", number));
    for batch in 0..4 {
        let lines: String = (0..1000).map(|number| long(batch * 1000 + number)).collect();
        assert_eq!(up.append("default", &writer, lines).await.status(), 200);
    }
    until("the seal", async || (place.snapshot("default").sealed() >= 4000).then_some(())).await;
    let mut response = up.export("format=ndjson&columns=index,output", &auditor).await;
    assert!(response.chunk().await.unwrap().is_some());
    drop(response);
    let end = until("the end of the export", async || {
        let records = place.access_records("default");
        let mut contexts = records.iter().map(|(_, record)| record["context"].clone());
        contexts.find(|context| context["event"] == "end")
    });
    let end = end.await;
    assert_eq!((&end["result"], &end["action"]), (&"broken-off".into(), &"export".into()), "{end}");
    up.down().await;
}
