//! What a service goes through, and what must be on the trail after it.

use std::collections::BTreeSet;
use std::time::Duration;

use client::{Config, Durability, Event, Fail, Overflow, RecordFailed, Trouble};
use record::{Kind, Part, Value};

use crate::child;
use crate::place::{LONG, Place, decision, until};
use crate::trail_of::instances;

/// I9, T11, T12, T31: everything arrives once, in numbers without holes, under tips that hold, and ends with a stop.
#[test]
fn what_is_recorded_is_on_the_trail_once_and_signed_for() {
    for durability in [Durability::Memory, Durability::Process, Durability::Disk] {
        let place = Place::new();
        let up = place.up();
        let (recorder, troubles) = place.recorder(Config { durability, ..place.config() });
        let name = recorder.instance_name().unwrap();
        let threads: Vec<_> = (0..4u64)
            .map(|thread| {
                let recorder = recorder.clone();
                std::thread::spawn(move || {
                    (0..200).map(|n| recorder.record(&decision(thread * 200 + n)).unwrap()).collect::<Vec<_>>()
                })
            })
            .collect();
        let ids: BTreeSet<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(ids.len(), 800);
        assert!(recorder.flush(LONG));
        let about = *ids.first().unwrap();
        let outcome = Event::outcome(about).with(Part::Output, Value::Bool(true));
        recorder.record(&outcome.clone()).unwrap_or_else(|error| panic!("{error}"));
        assert!(recorder.close(LONG), "{durability:?}: {:?}", troubles.lock().unwrap());
        assert!(matches!(recorder.record(&decision(1)), Err(RecordFailed::Closed)));
        assert_eq!(*troubles.lock().unwrap(), Vec::<Trouble>::new());
        let stats = recorder.stats();
        assert_eq!((stats.queued, stats.dropped, stats.rejected, stats.breaches), (0, 0, 0, 0), "{stats:?}");
        assert_eq!(place.instances(), Vec::<std::path::PathBuf>::new(), "{durability:?}");
        let (code, gaps) = place.gaps();
        assert_eq!((code, &gaps["verdict"]), (0, &"NO HOLES".into()), "{gaps}");
        assert_eq!(gaps["instances"][0]["end"]["state"], "stopped", "{gaps}");
        assert_eq!(gaps["instances"][0]["after_stop"], 0, "{gaps}");
        up.down();
        let sent = instances(&place).remove(&name).unwrap();
        assert_eq!(sent.events().first(), Some(&"start"));
        assert_eq!(sent.events().last(), Some(&"stop"));
        // The stop is the last number, and its tip is over all the others.
        assert_eq!(sent.check_tips(&name), *sent.contents.keys().next_back().unwrap() - 1);
    }
}

/// T25, T29: a process that is killed loses nothing that it had accepted; the next one sends it, and closes the sequence.
#[test]
fn a_killed_process_loses_nothing_that_it_accepted() {
    let place = Place::new();
    let up = place.up();
    let first = child::kill_after(child::start(&place, "process", 0), 3_000);
    // Nothing listens while the second one lives.
    up.down();
    let second = child::kill_after(child::start(&place, "disk", 5_000_000), 50);
    let up = place.up();
    let (recorder, _) = place.recorder(place.config());
    until("what was left to be taken up", || place.instances().len() == 1);
    assert!(recorder.close(LONG));
    let (code, gaps) = place.gaps();
    assert_eq!(code, 0, "{gaps}");
    for instance in gaps["instances"].as_array().unwrap() {
        assert_eq!((&instance["end"]["state"], &instance["undeclared"]), (&"stopped".into(), &0.into()), "{gaps}");
        assert_eq!(instance["duplicates"], 0, "{gaps}");
    }
    up.down();
    let all = instances(&place);
    assert_eq!(all.len(), 3);
    let incomes: Vec<u64> = all.values().flat_map(|sent| sent.incomes.iter().copied()).collect();
    let once: BTreeSet<u64> = incomes.iter().copied().collect();
    assert_eq!(once.len(), incomes.len(), "something arrived twice");
    assert!(first.iter().chain(&second).all(|number| once.contains(number)), "something that was accepted is lost");
    for (name, sent) in &all {
        assert_eq!(sent.check_tips(name), *sent.contents.keys().next_back().unwrap() - 1);
    }
}

/// T11: what a killed process held in memory alone is lost, and declared by the next one to the number.
#[test]
fn what_was_in_memory_alone_is_declared_by_the_next_process() {
    let place = Place::new();
    let accepted = child::kill_after(child::start(&place, "memory", 0), 500);
    let up = place.up();
    let (recorder, _) = place.recorder(place.config());
    until("what was left to be declared", || place.instances().len() == 1);
    assert!(recorder.close(LONG));
    let (code, gaps) = place.gaps();
    assert_eq!((code, &gaps["verdict"]), (0, &"DECLARED".into()), "{gaps}");
    let instances = gaps["instances"].as_array().unwrap();
    let killed = instances.iter().find(|instance| instance["declared"] != 0).unwrap();
    assert!(killed["declared"].as_u64().unwrap() >= accepted.len() as u64, "{gaps}");
    let reason = killed["holes"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("tail unknown"), "{reason}");
    up.down();
}

/// T25: after the machine itself went down nobody knows how far the numbers went: what is there is sent, and nothing new is
/// numbered.
#[test]
fn after_the_machine_went_down_the_tail_is_unknown() {
    let place = Place::new();
    let accepted = child::kill_after(child::start(&place, "process", 0), 100);
    let [folder] = &place.instances()[..] else { panic!("one instance") };
    let card = std::fs::read_to_string(folder.join("instance.json")).unwrap();
    let mut card: serde_json::Value = serde_json::from_str(&card).unwrap();
    card["boot"] = "another".into();
    std::fs::write(folder.join("instance.json"), card.to_string()).unwrap();
    let up = place.up();
    let (recorder, _) = place.recorder(place.config());
    until("what was left to be taken up", || place.instances().len() == 1);
    assert!(recorder.close(LONG));
    let (code, gaps) = place.gaps();
    assert_eq!(code, 0, "{gaps}");
    let name = folder.file_name().unwrap().to_str().unwrap();
    let found = gaps["instances"].as_array().unwrap().iter().find(|instance| instance["instance"] == *name).unwrap();
    assert_ne!(found["end"]["state"], "stopped", "{gaps}");
    up.down();
    let sent = instances(&place).remove(name).unwrap();
    // It may have been killed before its sender had said that it was there.
    assert_eq!(sent.events().last(), Some(&"adopted"));
    assert!(!sent.events().contains(&"stop"));
    assert!(accepted.iter().all(|number| sent.incomes.contains(number)));
    sent.check_tips(name);
}

/// The server goes away and comes back: nothing is lost, and what goes wrong is said.
#[test]
fn a_server_that_is_away_gets_everything_later() {
    let place = Place::new();
    let (recorder, troubles) = place.recorder(place.config());
    (0..500).for_each(|n| {
        recorder.record(&decision(n)).unwrap();
    });
    until("a failure to be told", || {
        troubles.lock().unwrap().iter().any(|trouble| matches!(trouble, Trouble::NotTaken { .. }))
    });
    assert!(!recorder.flush(Duration::from_millis(1)));
    let up = place.up();
    assert!(recorder.flush(LONG));
    up.down();
    (500..600).for_each(|n| {
        recorder.record(&decision(n)).unwrap();
    });
    let up = place.up();
    assert!(recorder.close(LONG));
    let (code, gaps) = place.gaps();
    assert_eq!((code, &gaps["verdict"]), (0, &"NO HOLES".into()), "{gaps}");
    up.down();
    assert_eq!(instances(&place).into_values().next().unwrap().incomes.len(), 600);
}

/// I9: what finds no room is counted, declared by its numbers, and `fail = closed` is told.
#[test]
fn what_finds_no_room_is_declared() {
    for (overflow, fail) in [
        (Overflow::DropNewest, Fail::Open),
        (Overflow::DropNewest, Fail::Closed),
        (Overflow::DropOldest, Fail::Open),
        (Overflow::Block(Duration::from_millis(1)), Fail::Open),
    ] {
        let place = Place::new();
        let config = Config { overflow, fail, bytes_max: 16 << 20, ..place.config() };
        let (recorder, _) = place.recorder(config);
        let large =
            decision(7).with(Part::Parameters, Value::map([("x".to_owned(), Value::Text("y".repeat(200_000)))]));
        let results: Vec<_> = (0..100).map(|_| recorder.record(&large)).collect();
        let refused = results.iter().filter(|result| matches!(result, Err(RecordFailed::NotKept(_)))).count() as u64;
        let stats = recorder.stats();
        assert!(stats.dropped > 0 && stats.spool_bytes <= 20 << 20, "{overflow:?}: {stats:?}");
        assert_eq!(refused, if fail == Fail::Closed { stats.dropped } else { 0 });
        let up = place.up();
        assert!(recorder.close(LONG));
        let (code, gaps) = place.gaps();
        assert_eq!((code, &gaps["declared"]), (0, &stats.dropped.into()), "{overflow:?}: {gaps}");
        up.down();
        let name = recorder.instance_name().unwrap();
        let sent = instances(&place).remove(&name).unwrap();
        assert_eq!(sent.incomes.len() as u64, 100 - stats.dropped);
        sent.check_tips(&name);
    }
}

/// A record that the server refuses is put aside and declared, and the others of its batch go on.
#[test]
fn what_is_refused_is_put_aside_and_declared() {
    let place = Place::new();
    let up = place.up();
    let (recorder, troubles) = place.recorder(place.config());
    recorder.record(&decision(1)).unwrap();
    // A role of its own would have to be allowed to say this.
    let mut model = Event::of_kind(Kind::Model);
    model.model = decision(1).model;
    recorder.record(&model).unwrap();
    recorder.record(&decision(2)).unwrap();
    assert!(recorder.close(LONG));
    assert_eq!(recorder.stats().rejected, 1);
    let said = troubles.lock().unwrap().clone();
    let [Trouble::Refused { kept_in, .. }] = &said[..] else { panic!("{said:?}") };
    let aside = std::fs::read_to_string(kept_in).unwrap();
    assert!(aside.contains("credit-risk") && aside.lines().count() == 1, "{aside}");
    let (code, gaps) = place.gaps();
    assert_eq!((code, &gaps["declared"]), (0, &1.into()), "{gaps}");
    assert!(gaps["instances"][0]["holes"][0]["reason"].as_str().unwrap().starts_with("refused"), "{gaps}");
    up.down();
}

/// What is no record is an error where it is made, and takes no number.
#[test]
fn what_is_no_record_is_refused_at_once() {
    let place = Place::new();
    let (recorder, _) = place.recorder(place.config());
    let without = Event::decision("credit-risk", "1").with(Part::Output, Value::Null);
    let error = recorder.record(&without).unwrap_err().to_string();
    assert!(error.contains("inputs"), "{error}");
    let queued = recorder.stats().queued;
    let outcome = Event::of_kind(Kind::Outcome);
    assert!(recorder.record(&outcome).unwrap_err().to_string().contains("about"));
    assert_eq!(recorder.stats().queued, queued);
    assert!(Event::from_json(br#"{"producer":{"name":"x"},"model":{"name":"m","version":"1"}}"#).is_err());
}

/// Each child that is forked is an instance of its own, and what its parent had is the parent's to send.
#[test]
fn a_forked_child_has_numbers_of_its_own() {
    let place = Place::new();
    let up = place.up();
    assert!(child::run_workers(&place, "a_service_that_forks").success());
    let (code, gaps) = place.gaps();
    assert_eq!((code, &gaps["verdict"]), (0, &"NO HOLES".into()), "{gaps}");
    assert_eq!(place.instances(), Vec::<std::path::PathBuf>::new());
    up.down();
    let all = instances(&place);
    assert_eq!(all.len() as u64, 1 + child::FORKED);
    let mut counts: Vec<usize> = all.values().map(|sent| sent.incomes.len()).collect();
    counts.sort_unstable();
    assert_eq!(counts, [vec![10; 8], vec![18]].concat());
    all.iter().for_each(|(name, sent)| {
        sent.check_tips(name);
    });
}

/// Many workers of one service share a spool, and none is in the way of another.
#[test]
fn many_workers_share_a_spool() {
    let place = Place::new();
    let up = place.up();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..64).map(|_| scope.spawn(|| child::run_workers(&place, "a_worker"))).collect();
        workers.into_iter().for_each(|worker| assert!(worker.join().unwrap().success()));
    });
    let (code, gaps) = place.gaps();
    assert_eq!((code, &gaps["verdict"]), (0, &"NO HOLES".into()), "{gaps}");
    up.down();
    let all = instances(&place);
    assert_eq!(all.len(), 64);
    assert!(all.values().all(|sent| sent.incomes.len() == 20));
}

/// T25: a disk that gets full is counted and declared, and never ends the process.
#[test]
fn a_full_disk_is_declared() {
    let place = Place::new();
    let spool = place.path("spool");
    std::fs::create_dir(&spool).unwrap();
    let mount =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=13m", "none"]).arg(&spool).output();
    if !mount.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: a small disk takes the right to mount one");
        return;
    }
    let unmount = Unmount(&spool);
    let (recorder, troubles) = place.recorder(Config { bytes_max: 1 << 30, ..place.config() });
    let large = decision(7).with(Part::Parameters, Value::map([("x".to_owned(), Value::Text("y".repeat(200_000)))]));
    (0..150).for_each(|_| {
        recorder.record(&large).unwrap();
    });
    let dropped = recorder.stats().dropped;
    assert!(dropped > 50, "{dropped}");
    assert!(
        troubles.lock().unwrap().iter().any(|trouble| matches!(trouble, Trouble::Lost { .. } | Trouble::Spool { .. }))
    );
    let up = place.up();
    assert!(recorder.close(LONG), "{:?}", troubles.lock().unwrap());
    let (code, gaps) = place.gaps();
    assert_eq!((code, &gaps["verdict"]), (0, &"DECLARED".into()), "{gaps}");
    assert!(gaps["declared"].as_u64().unwrap() >= dropped, "{gaps}");
    up.down();
    drop(recorder);
    drop(unmount);
}

struct Unmount<'p>(&'p std::path::Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0).status();
    }
}
