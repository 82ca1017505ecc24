//! Holes in the producers' sequences (T11, T12).

use query::{End, Gaps, GapsAsked};
use serde_json::{Value, json};

use crate::trail_of::{Trail, id};

/// A decision with a number, a second after the one before.
pub fn numbered(n: u64, producer: &str, instance: Option<&str>, seq: u64) -> Value {
    json!({
        "id": id(n), "kind": "decision", "time": time(n), "model": {"name": "credit", "version": "1"},
        "inputs": {}, "output": 1, "producer": producer_of(producer, instance, Some(seq)),
    })
}

fn producer_of(name: &str, instance: Option<&str>, seq: Option<u64>) -> Value {
    let mut producer = json!({"name": name});
    if let Some(instance) = instance {
        producer["instance"] = instance.into();
    }
    if let Some(seq) = seq {
        producer["seq"] = seq.into();
    }
    producer
}

fn time(n: u64) -> i64 {
    1_793_534_400_000_000_000 + n as i64 * 1_000_000_000
}

fn event(n: u64, seq: u64, event: &str) -> Value {
    json!({
        "id": id(n), "kind": "producer", "time": time(n), "producer": producer_of("api", Some("i"), Some(seq)),
        "context": {"event": event},
    })
}

fn gap(n: u64, seq: Option<u64>, context: Value) -> Value {
    let producer = producer_of("api", Some("i"), seq);
    json!({"id": id(n), "kind": "gap", "time": time(n), "producer": producer, "context": context})
}

fn gaps(trail: &Trail) -> Gaps {
    trail.view().gaps(&GapsAsked::default()).unwrap()
}

/// Holes as (first, last, declared).
fn holes(gaps: &Gaps, instance: usize) -> Vec<(i64, i64, bool)> {
    let holes = gaps.instances[instance].holes.iter();
    holes.map(|hole| (hole.first, hole.last, hole.declared_by.is_some())).collect()
}

#[test]
fn holes_are_found_from_the_first_number_on_and_told_apart_from_declared_ones() {
    // 1, 2 and 6 to 8 are not here; 6 and 7 are declared, in lake and journal alike.
    let settled = [
        numbered(1, "api", Some("i"), 3),
        numbered(2, "api", Some("i"), 4),
        numbered(3, "api", Some("i"), 5),
        gap(4, Some(9), json!({"first": 6, "count": 2, "reason": "spool full"})),
    ];
    let hot = [numbered(5, "api", Some("i"), 10), numbered(6, "api", Some("j"), 1), numbered(7, "batch", None, 1)];
    let trail = Trail::holding(&settled, &hot);
    let gaps = gaps(&trail);
    assert_eq!(holes(&gaps, 0), [(1, 2, false), (6, 7, true), (8, 8, false)]);
    let hole = &gaps.instances[0].holes[1];
    assert_eq!((hole.declared_by, hole.reason.as_deref()), (Some(3), Some("spool full")));
    assert_eq!((hole.after_ns, hole.before_ns), (Some(time(3)), Some(time(4))));
    let all = &gaps.instances;
    assert_eq!((gaps.undeclared, gaps.declared, gaps.is_good(), all.len()), (3, 2, false, 3));
    assert_eq!((all[0].first, all[0].last, all[0].records), (Some(3), Some(10), 5));
    assert_eq!((all[1].instance.as_deref(), all[2].producer.as_str(), &all[2].instance), (Some("j"), "batch", &None));
    assert!(matches!(all[1].end, End::Unknown { .. }));
}

#[test]
fn what_is_declared_is_good_and_what_declares_nothing_is_named() {
    let trail = Trail::holding(
        &[
            numbered(1, "api", Some("i"), 1),
            numbered(2, "api", Some("i"), 5),
            gap(3, None, json!({"first": 1, "last": 3})),
            gap(4, None, json!({"first": 3, "last": 4})),
            gap(5, None, json!({"first": 8, "count": 3})),
            gap(6, None, json!({"count": 4})),
        ],
        &[],
    );
    let gaps = gaps(&trail);
    // Behind the last number that is here, 6 and 7 are missing too if 8 to 10 were lost.
    assert_eq!(holes(&gaps, 0), [(2, 3, true), (4, 4, true), (6, 7, false), (8, 10, true)]);
    assert_eq!((gaps.without_seq, gaps.declares_nothing.as_slice()), (4, [5].as_slice()));
}

#[test]
fn duplicates_and_records_without_a_number_are_counted() {
    let mut bare = numbered(4, "api", Some("i"), 4);
    bare["producer"] = json!({"name": "api"});
    let mut nobody = numbered(5, "api", Some("i"), 4);
    nobody.as_object_mut().unwrap().remove("producer");
    let records = [1, 2, 2].iter().zip(1..).map(|(seq, n)| numbered(n, "api", Some("i"), *seq)).chain([bare, nobody]);
    let trail = Trail::holding(&records.collect::<Vec<_>>(), &[]);
    let gaps = gaps(&trail);
    assert_eq!((gaps.instances[0].duplicates, gaps.without_seq, gaps.without_producer), (1, 1, 1));
    assert!(gaps.is_good());
}

#[test]
fn a_producer_that_fell_silent_is_told_from_one_that_stopped_and_one_that_nobody_knows_of() {
    let beats = |from: u64| {
        (0..5u64).map(move |beat| event(from + beat * 10, from + beat, if beat == 0 { "start" } else { "heartbeat" }))
    };
    // Beats every 10 s, a minute without any, then one more; long ago by now.
    let mut records: Vec<Value> = beats(1).collect();
    records.push(event(101, 6, "heartbeat"));
    let trail = Trail::holding(&records, &[]);
    let gaps = gaps(&trail);
    let each = &gaps.instances[0];
    assert_eq!((each.beats, each.every_ns), (6, Some(10_000_000_000)));
    assert_eq!(
        each.silences.iter().map(|s| (s.from_ns, s.until_ns, s.missing)).collect::<Vec<_>>(),
        [(time(41), time(101), 5)]
    );
    let ended = matches!(each.end, End::Silent { since_ns } if since_ns == time(101));
    let now = trail.host.now_ns();
    assert!(ended || now < time(131), "{:?}", each.end);

    records.push(event(102, 7, "stop"));
    let stopped = Trail::holding(&records, &[numbered(103, "api", Some("i"), 8)]);
    let gaps = stopped.view().gaps(&GapsAsked::default()).unwrap();
    assert_eq!((gaps.instances[0].end, gaps.instances[0].after_stop), (End::Stopped { at_ns: time(102) }, 1));
}

#[test]
fn a_time_says_which_holes_are_shown_and_not_which_records_are_read() {
    let trail = Trail::holding(
        &[
            numbered(10, "api", Some("i"), 1),
            numbered(20, "api", Some("i"), 3),
            numbered(30, "api", Some("i"), 4),
            numbered(40, "api", Some("i"), 6),
            numbered(5, "old", Some("i"), 2),
        ],
        &[],
    );
    let ask = |since: u64, until: u64, producer: Option<&str>| {
        let producer = producer.map(str::to_owned);
        let asked = GapsAsked { since_ns: Some(time(since)), until_ns: Some(time(until)), producer };
        trail.view().gaps(&asked).unwrap()
    };
    // The record of 3 is before the time asked for, so that 1 to 3 is no hole.
    let late = ask(25, 60, None);
    assert_eq!((holes(&late, 0), late.undeclared, late.instances.len()), (vec![(5, 5, false)], 1, 1));
    let early = ask(0, 15, None);
    assert_eq!((holes(&early, 0), early.instances.len()), (vec![(2, 2, false)], 2));
    assert_eq!(ask(0, 60, Some("old")).instances.len(), 1);
}

#[test]
fn a_trail_without_sequences_has_nothing_to_tell() {
    let gaps = gaps(&Trail::holding(&[], &[]));
    assert!(gaps.instances.is_empty() && gaps.is_good());
}
