//! I14: each record once, at any moment, while others append, settle and compact.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::json;
use trail::{Options, Writer};

use crate::trail_of::{Trail, append, decision, rows};

#[test]
fn nothing_is_missed_or_seen_twice_while_the_trail_changes() {
    let trail = Trail::new();
    let options = Options { compact: false, settle_bytes: u64::MAX, ..Options::default() };
    let writer = Writer::open(&trail.host, &trail.folder, &trail.keys, options).unwrap();
    append(&writer, &(0..25).map(|n| decision(n, json!({"income": n}))).collect::<Vec<_>>());
    let (acknowledged, stop) = (AtomicU64::new(25), AtomicBool::new(false));
    let long = std::env::var_os("ONRECORD_TEST_LONG").is_some();
    let batches = if long { 400 } else { 60 };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for batch in 1..batches {
                let records: Vec<_> =
                    (batch * 25..batch * 25 + 25).map(|n| decision(n, json!({"income": n}))).collect();
                append(&writer, &records);
                acknowledged.fetch_add(25, Ordering::SeqCst);
            }
            stop.store(true, Ordering::SeqCst);
        });
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                writer.wait_sealed().unwrap();
                writer.settle().unwrap();
                writer.compact().unwrap();
            }
        });
        // From another process's side, and from the writer's own.
        for own in [false, true] {
            let (trail, writer, acknowledged, stop) = (&trail, &writer, &acknowledged, &stop);
            scope.spawn(move || {
                let mut looks = 0;
                while !stop.load(Ordering::SeqCst) || looks == 0 {
                    let before = acknowledged.load(Ordering::SeqCst);
                    let view = if own {
                        let snapshot = (*writer.snapshot()).clone();
                        trail.engine.view(snapshot, query::Policy::default()).unwrap()
                    } else {
                        trail.view()
                    };
                    let sql = "SELECT count(*), count(DISTINCT index), min(index), max(index), sum(inputs.income) FROM decisions";
                    let row = rows(&view, sql).unwrap().remove(0);
                    let count = row[0].as_u64().unwrap();
                    let wanted = view.snapshot().end();
                    assert!(count >= before && count == wanted, "{count} of {wanted}, {before} acknowledged");
                    assert_eq!(row[1], count, "some twice");
                    if count > 0 {
                        assert_eq!((&row[2], &row[3]), (&json!(0), &json!(count - 1)));
                        assert_eq!(row[4].as_f64().unwrap(), (count * (count - 1) / 2) as f64);
                    }
                    looks += 1;
                }
            });
        }
    });
    assert_eq!(trail.rows("SELECT count(*) FROM decisions"), [json!([batches * 25])]);
    writer.close().unwrap();
}
