//! The trail's counts beside counts from elsewhere (T11).

use query::{Agreement, By, Labels, LeftOut, Reconciled, Theirs};
use serde_json::{Value, json};

use crate::trail_of::{Trail, id};

const DAY: &str = "2026-11-01";

fn made(n: u64, hour: u64, model: &str, version: &str) -> Value {
    json!({
        "id": id(n), "kind": "decision", "time": format!("{DAY}T{hour:02}:30:00Z"),
        "model": {"name": model, "version": version}, "inputs": {}, "output": 1,
    })
}

fn reconcile(trail: &Trail, csv: &str, by: By) -> Reconciled {
    let theirs = Theirs::read(csv.as_bytes(), by, &Labels::default()).unwrap();
    trail.view().reconcile(&theirs).unwrap()
}

/// From, model, version, theirs, ours and the verdict of each row.
fn shown(report: &Reconciled) -> Vec<String> {
    let row = |row: &query::Row| {
        let version = row.version.as_deref().unwrap_or("any");
        let hour = row.from_ns / 3_600_000_000_000 % 24;
        format!("{hour:02} {} {version} {} {} {:?}", row.model, row.theirs, row.ours, row.verdict)
    };
    report.rows.iter().map(row).collect()
}

/// At 10: three of a/1 and one of a/2; at 11: two of a/1, one of b.
fn trail() -> Trail {
    let settled: Vec<Value> = (0..3).map(|n| made(n, 10, "a", "1")).chain([made(3, 10, "a", "2")]).collect();
    Trail::holding(&settled, &[made(4, 11, "a", "1"), made(5, 11, "a", "1"), made(6, 11, "b", "1")])
}

#[test]
fn counts_are_held_against_each_other_by_interval_model_and_version() {
    let trail = trail();
    let csv =
        format!("time,model,version,count\n{DAY}T10:00:00Z,a,1,3\n{DAY}T10:00:00Z,a,2,2\n{DAY}T11:00:00Z,a,1,1\n");
    let report = reconcile(&trail, &csv, By::Hour);
    assert_eq!(shown(&report), ["10 a 1 3 3 Agree", "10 a 2 2 1 OursFewer", "11 a 1 1 2 OursMore"]);
    assert_eq!((report.verdict, report.unnamed, report.verdict.is_good()), (Agreement::Differ, 1, false));
    let day = reconcile(&trail, &format!("day,model,n\n{DAY},a,6\n{DAY},b,1\n"), By::Day);
    assert_eq!(
        (shown(&day), day.verdict),
        (vec!["00 a any 6 6 Agree".into(), "00 b any 1 1 Agree".into()], Agreement::Agree)
    );
    let more = reconcile(
        &trail,
        &format!("time,model,version,count\n{DAY}T10:00:00Z,a,2,1\n{DAY}T11:00:00Z,b,1,1\n"),
        By::Hour,
    );
    // What the file has no row for was counted nowhere but here.
    assert_eq!(shown(&more), ["10 a 1 0 3 OursMore", "10 a 2 1 1 Agree", "11 a 1 0 2 OursMore", "11 b 1 1 1 Agree"]);
}

#[test]
fn what_was_declared_as_lost_explains_what_is_missing_once() {
    let lost = |n: u64, model: Option<&str>, context: Value| {
        let mut gap = json!({
            "id": id(n), "kind": "gap", "time": format!("{DAY}T10:59:00Z"), "producer": {"name": "p"}, "context": context,
        });
        if let Some(model) = model {
            gap["model"] = json!({"name": model, "version": "1"});
        }
        gap
    };
    let settled = [
        made(0, 10, "a", "1"),
        made(1, 10, "b", "1"),
        made(2, 10, "c", "1"),
        lost(3, Some("a"), json!({"first": 1, "count": 4})),
        lost(4, None, json!({"count": 3, "reason": "spool full"})),
    ];
    let trail = Trail::holding(&settled, &[]);
    let csv = |a: u64, b: u64, c: u64| {
        format!("time,model,count\n{DAY}T10:00Z,a,{a}\n{DAY} 10:00,b,{b}\n{DAY} 10:10,c,{c}\n", a = a, b = b, c = c)
            .replace("T10:00Z", "T10:00:00Z")
    };
    let enough = reconcile(&trail, &csv(5, 3, 2), By::Hour);
    assert_eq!(shown(&enough), ["10 a any 5 1 Declared", "10 b any 3 1 Declared", "10 c any 2 1 Declared"]);
    assert_eq!((enough.verdict, enough.verdict.is_good()), (Agreement::Declared, true));
    let short = reconcile(&trail, &csv(5, 3, 3), By::Hour);
    assert_eq!(short.rows[2].verdict, Agreement::OursFewer);
    assert_eq!(short.verdict, Agreement::OursFewer);
}

#[test]
fn what_sampling_left_out_is_counted_or_estimated_and_never_both() {
    let kept = |n: u64, hour: u64| {
        let mut record = made(n, hour, "a", "1");
        record["sampling"] = json!({"probability": 0.1});
        record
    };
    let mut records: Vec<Value> = (0..20).map(|n| kept(n, 10)).chain((20..30).map(|n| kept(n, 11))).collect();
    records.push(json!({
        "id": id(100), "kind": "summary", "time": format!("{DAY}T11:59:59Z"), "model": {"name": "a", "version": "1"},
        "output": {"count": 93},
    }));
    let trail = Trail::holding(&records, &[]);
    let report =
        reconcile(&trail, &format!("time,model,count\n{DAY}T10:00:00Z,a,180\n{DAY}T11:00:00Z,a,103\n"), By::Hour);
    let [ten, eleven] = &report.rows[..] else { panic!("{report:?}") };
    assert_eq!((ten.recorded, ten.left_out_by, ten.verdict), (20, LeftOut::Estimated, Agreement::Agree));
    assert!((ten.ours - 200.0).abs() < 1e-9);
    // z(0.999) · √(Σ (1-p)/p²), 20 · 90.
    assert!((ten.margin - 3.290_526_731_491_926 * 1_800f64.sqrt()).abs() < 1e-9, "{}", ten.margin);
    assert_eq!((eleven.left_out_by, eleven.ours, eleven.verdict), (LeftOut::Counted, 103.0, Agreement::Agree));
    let far = reconcile(&trail, &format!("time,model,count\n{DAY}T10:00:00Z,a,1000\n"), By::Hour);
    assert_eq!(far.verdict, Agreement::OursFewer);
}
