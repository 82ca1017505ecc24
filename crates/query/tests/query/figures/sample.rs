//! Samples that nobody could steer, and what is caught when somebody tries.

use query::{Certificate, SampleAsked, SampleError};
use serde_json::{Value, json};
use trail::Verdict;

use crate::trail_of::{Trail, append, decision};

fn decisions(from: u64, until: u64) -> Vec<Value> {
    (from..until).map(|n| decision(n, json!({"income": n}))).collect()
}

/// 300 decisions in three files, sealed.
fn long() -> Trail {
    let trail = Trail::new();
    let writer = trail.open();
    for file in 0..3 {
        append(&writer, &decisions(file * 100, file * 100 + 100));
        writer.wait_sealed().unwrap();
        writer.settle().unwrap();
    }
    writer.close().unwrap();
    trail
}

fn pin(trail: &Trail) -> Vec<u8> {
    std::fs::read(trail.folder.root().join("checkpoint")).unwrap()
}

fn asked(trail: &Trail, filter: &str, n: usize, nonce: &str) -> SampleAsked {
    SampleAsked { filter: filter.to_owned(), n, nonce: nonce.to_owned(), checkpoint: pin(trail) }
}

fn verdict(trail: &Trail, certificate: &Certificate) -> (Verdict, String) {
    let report = trail.view().check_sample(certificate).unwrap();
    (report.verdict, report.difference.unwrap_or_default())
}

#[test]
fn a_sample_is_the_same_from_any_layout_and_whatever_comes_later() {
    let trail = long();
    let asked = asked(&trail, "kind = 'decision' AND inputs.income >= 50", 20, "dice 4 2 6 1");
    let drawn = trail.view().sample(&asked).unwrap();
    assert_eq!((drawn.population, drawn.excluded, drawn.erased, drawn.chosen.len()), (250, 50, 0, 20));
    assert!(drawn.chosen.iter().all(|chosen| (50..300).contains(&chosen.index)));
    let writer = trail.open();
    append(&writer, &decisions(300, 400));
    writer.wait_sealed().unwrap();
    let with_hot = trail.view().sample(&asked).unwrap();
    writer.settle().unwrap();
    writer.compact().unwrap();
    writer.close().unwrap();
    let compacted = trail.view().sample(&asked).unwrap();
    let same = |other: &Certificate| Certificate { time: drawn.time.clone(), ..other.clone() } == drawn;
    assert!(same(&with_hot) && same(&compacted), "{drawn:?}\n{compacted:?}");
    assert_eq!(verdict(&trail, &drawn), (Verdict::Consistent, String::new()));
    // What the nonce says is what is drawn.
    let other = trail.view().sample(&SampleAsked { nonce: "dice 4 2 6 2".to_owned(), ..asked.clone() }).unwrap();
    assert_ne!(other.chosen, drawn.chosen);
    // A certificate survives being written and read.
    assert_eq!(Certificate::read(drawn.to_json().as_bytes()).unwrap(), drawn);
    // All of a small population is its sample.
    let few = trail.view().sample(&SampleAsked { filter: "inputs.income < 5".to_owned(), ..asked }).unwrap();
    assert_eq!((few.chosen.len(), few.population), (5, 5));
    assert_eq!(verdict(&trail, &few).0, Verdict::Consistent);
}

#[test]
fn a_steered_sample_is_caught() {
    let trail = long();
    let asked = asked(&trail, "kind = 'decision'", 5, "dice 4 2 6 1");
    let honest = trail.view().sample(&asked).unwrap();
    let longer = trail.view().sample(&SampleAsked { n: 6, ..asked }).unwrap();
    let steer = |change: &dyn Fn(&mut Certificate)| {
        let mut certificate = honest.clone();
        change(&mut certificate);
        let (verdict, difference) = verdict(&trail, &certificate);
        assert_eq!(verdict, Verdict::Invalid, "{difference}");
        difference
    };
    let first = &honest.chosen[0];
    // One that somebody would rather not show is left out, and the next one taken.
    let left_out = steer(&|certificate| {
        certificate.chosen.remove(0);
        certificate.chosen.push(longer.chosen[5].clone());
        certificate.threshold = Some(longer.chosen[5].hash.clone());
    });
    assert_eq!(left_out, format!("record {} ({}) belongs into the sample and is not in it", first.index, first.id));
    // Or left out of the population too.
    let narrowed = steer(&|certificate| {
        certificate.chosen.remove(0);
        certificate.chosen.push(longer.chosen[5].clone());
        certificate.threshold = Some(longer.chosen[5].hash.clone());
        certificate.population -= 1;
        certificate.excluded += 1;
    });
    assert!(narrowed.contains("belongs into the sample"), "{narrowed}");
    let counted = steer(&|certificate| (certificate.population, certificate.excluded) = (299, 1));
    assert_eq!(counted, "the population is of 300 records, not of 299");
    assert!(steer(&|certificate| certificate.n = u64::MAX).contains("1 to 10000 records"));
    assert!(steer(&|certificate| certificate.population = 301).contains("are not as many"));
    assert!(steer(&|certificate| certificate.nonce.push('x')).contains("the hash of"));
    assert!(steer(&|certificate| certificate.chosen[0].hash = longer.chosen[5].hash.clone()).contains("the hash of"));
    assert!(steer(&|certificate| certificate.chosen[0].index = 3).contains("is said to be 3"));
    assert!(steer(&|certificate| certificate.chosen[0].digest = "00".repeat(32)).contains("the digest of record"));
    assert!(steer(&|certificate| certificate.chosen.swap(0, 1)).contains("in the order of hashes"));
    assert!(steer(&|certificate| certificate.threshold = None).contains("the threshold"));
    assert!(steer(&|certificate| certificate.erased = 3).contains("were erased"));
    assert!(steer(&|certificate| certificate.time = "soon".to_owned()).contains("its time"));
    assert!(
        steer(&|certificate| certificate.filter = "inputs.income < 0".to_owned()).contains("is not of the population")
    );
    // A checkpoint that the log has not signed, and one of another log.
    let forged =
        steer(&|certificate| certificate.checkpoint = certificate.checkpoint.replacen("\n300\n", "\n299\n", 1));
    assert!(forged.starts_with("the pinned checkpoint is not one that this trail's log signed"), "{forged}");
    let other = long();
    assert!(
        steer(&|certificate| certificate.checkpoint = String::from_utf8(pin(&other)).unwrap()).contains("not one that")
    );
}

#[test]
fn what_cannot_be_drawn_is_told() {
    let trail = long();
    let view = trail.view();
    let asked = asked(&trail, "kind = 'decision'", 5, "nonce");
    let error = |asked: SampleAsked| view.sample(&asked).unwrap_err();
    assert!(matches!(error(SampleAsked { n: 0, ..asked.clone() }), SampleError::Size(0)));
    assert!(matches!(error(SampleAsked { n: 10_001, ..asked.clone() }), SampleError::Size(_)));
    for nonce in ["", "a\nb", &"x".repeat(257)] {
        assert!(matches!(error(SampleAsked { nonce: nonce.to_owned(), ..asked.clone() }), SampleError::Nonce));
    }
    assert!(matches!(error(SampleAsked { checkpoint: b"no".to_vec(), ..asked.clone() }), SampleError::Checkpoint(_)));
    assert!(matches!(error(SampleAsked { filter: "1) OR (1".to_owned(), ..asked.clone() }), SampleError::Query(_)));
    // An old copy of the trail has not what the checkpoint covers (T3).
    let old = Trail::new();
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        let status = std::process::Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap();
        assert!(status.success());
    };
    let before = old.temp.path().join("before");
    copy(trail.folder.root(), &before);
    let writer = trail.open();
    append(&writer, &decisions(300, 310));
    writer.close().unwrap();
    let snapshot = trail::Reader::new(&trail.host, &trail::Folder::new(&before)).snapshot().unwrap();
    let view = trail.engine.view(snapshot, query::Policy::default()).unwrap();
    let cut = view.sample(&SampleAsked { checkpoint: pin(&trail), ..asked });
    assert!(matches!(cut, Err(SampleError::Cut { pinned: 310, here: 300 })), "{cut:?}");
}

/// T20: what was erased since cannot be drawn again; a certificate that leaves out something else is still caught.
#[test]
fn an_erasure_makes_a_check_incomplete_and_hides_no_steering() {
    let trail = long();
    let asked = asked(&trail, "inputs.income >= 0", 5, "dice 4 2 6 1");
    let drawn = trail.view().sample(&asked).unwrap();
    let longer = trail.view().sample(&SampleAsked { n: 6, ..asked.clone() }).unwrap();
    let mut steered = drawn.clone();
    steered.chosen[1] = longer.chosen[5].clone();
    steered.chosen.sort_by(|a, b| a.hash.cmp(&b.hash));
    steered.threshold = steered.chosen.last().map(|last| last.hash.clone());
    let writer = trail.open();
    let erasure = trail::Erasure {
        id: "019cae4d-9bfd-764b-92e6-0efa0885ffff".parse().unwrap(),
        indices: vec![drawn.chosen[0].index],
        parts: vec!["inputs".to_owned()],
        basis: "GDPR 17(1)(b)".to_owned(),
        by: "dpo@example.com".to_owned(),
    };
    writer.erase(&erasure).unwrap();
    writer.close().unwrap();
    let report = trail.view().check_sample(&drawn).unwrap();
    assert_eq!((report.verdict, report.erased_since), (Verdict::Incomplete, 1), "{report:?}");
    assert_eq!(report.difference.unwrap(), "1 of the population were erased since, and cannot be drawn again");
    let (verdict, difference) = verdict(&trail, &steered);
    let left_out = &drawn.chosen[1];
    let wanted = format!("record {} ({}) belongs into the sample and is not in it", left_out.index, left_out.id);
    assert_eq!((verdict, difference), (Verdict::Invalid, wanted));
    // Drawn anew, the erased record is counted as one that the filter could not see.
    let anew = trail.view().sample(&asked).unwrap();
    assert_eq!((anew.population, anew.excluded, anew.erased), (299, 1, 1));
}
