use std::collections::BTreeMap;

use host::Host;
use proptest::prelude::*;
use record::{Digest, Stored};

use super::*;
use crate::arbitrary;
use crate::manifest::{FORMAT, NO_KEY, rewrite_name};
use crate::plan::plan_settle;
use crate::settle::Lake;

/// A file of that many rows of 100 bytes each.
fn file(number: u64, rows: u64, model: Option<&str>) -> Manifest {
    let of_model = serde_json::json!({
        "minValues": {"model.name": model}, "maxValues": {"model.name": model},
        "nullCount": {"model.name": if model.is_some() { 0 } else { 1 }},
    });
    Manifest {
        path: rewrite_name(number, number),
        bytes: rows * 100,
        format: FORMAT,
        key_id: NO_KEY.to_owned(),
        first_index: number,
        last_index: number,
        rows,
        sha256: [0; 32],
        min_id: String::new(),
        max_id: String::new(),
        stats: of_model.to_string(),
    }
}

/// The write amplification: as files keep coming, each record is rewritten once a tier at most, and files stay few.
#[test]
fn each_record_is_rewritten_a_logarithm_of_times() {
    const ROWS: u64 = 200;
    const SETTLES: u64 = 10_000;
    let mut files: Vec<Manifest> = Vec::new();
    let (mut rewritten, mut most) = (0, 0);
    for settle in 0..SETTLES {
        files.push(file(settle, ROWS, Some("risk")));
        while let Some(merged) = choose_compaction(&files, Effort::Tiers) {
            let rows = merged.iter().map(|file| file.rows).sum();
            rewritten += rows;
            files.retain(|file| !merged.contains(file));
            files
                .push(Manifest { first_index: merged[0].first_index, ..file(SETTLES + rewritten, rows, Some("risk")) });
        }
        most = most.max(files.len());
    }
    let tiers = u64::from(tier(&file(0, ROWS, None))) + 1;
    assert_eq!(tiers, 5);
    let amplification = rewritten as f64 / (ROWS * SETTLES) as f64;
    assert!(amplification <= tiers as f64, "{amplification}");
    assert!(most <= tiers as usize * TIER_FILES + 2, "{most} files");
}

#[test]
fn only_what_is_small_and_alike_is_merged() {
    let choose = |files: &[Manifest], effort| choose_compaction(files, effort).map_or(0, |chosen| chosen.len());
    let eight = |model| (0..8).map(|n| file(n, 500, model)).collect::<Vec<_>>();
    assert_eq!(choose(&eight(None), Effort::Tiers), 8);
    assert_eq!(choose(&eight(None)[1..], Effort::Tiers), 0);
    assert_eq!(choose(&eight(None)[1..], Effort::All), 7);
    let mixed: Vec<Manifest> =
        eight(Some("a")).into_iter().take(7).chain(eight(Some("b")).into_iter().take(7)).collect();
    assert_eq!(choose(&mixed, Effort::Tiers), 0);
    let sizes: Vec<Manifest> = (0..8).map(|n| file(n, if n % 2 == 0 { 50 } else { 5_000 }, None)).collect();
    assert_eq!(choose(&sizes, Effort::Tiers), 0);
    let large: Vec<Manifest> = (0..8).map(|n| file(n, TARGET_ROWS, None)).collect();
    assert_eq!(choose(&large, Effort::All), 0);
    let halves: Vec<Manifest> = (0..3).map(|n| file(n, TARGET_ROWS / 2, None)).collect();
    assert_eq!(choose(&halves, Effort::Tiers), 2, "two that fill the target need no six more");
}

fn compact_all(lake: &mut Lake, expected: &dyn Fn(u64) -> Option<Digest>, effort: Effort) {
    while let Some(files) = choose_compaction(lake.snapshot().files(), effort) {
        let plan = plan_compaction(lake.snapshot(), &files, &Interrupt::default()).unwrap();
        let rewritten = plan.carry_out(&|_, _| None, expected).unwrap();
        lake.replace(rewritten).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// I3, I7: whatever is merged with whatever, the same records, and `check` finds the files as they should be.
    #[test]
    fn what_was_compacted_is_there_byte_for_byte(records in arbitrary::run(0, 9..60), each in 1usize..6) {
        let folder = tempfile::tempdir().unwrap();
        let mut lake = Lake::create(Host::system(), folder.path()).unwrap();
        let digest = |index: u64| records.get(index as usize).map(|(_, stored)| stored.digest());
        for part in records.chunks(each) {
            let plan = plan_settle(lake.snapshot(), part).unwrap();
            lake.settle(&plan, &digest).unwrap();
        }
        compact_all(&mut lake, &digest, Effort::Tiers);
        prop_assert!(lake.snapshot().files().len() < 3 * TIER_FILES, "of each of three kinds fewer than a tier");
        compact_all(&mut lake, &digest, Effort::All);
        let kinds: BTreeSet<_> = lake.snapshot().files().iter().map(model_of).collect();
        prop_assert_eq!(lake.snapshot().files().len(), kinds.len());
        let snapshot = Snapshot::open(Host::system(), folder.path()).unwrap();
        let mut found = BTreeMap::new();
        for file in snapshot.files() {
            snapshot.check(file, &mut |index, _| digest(index)).unwrap();
            for placed in snapshot.rows(file).unwrap() {
                let placed = placed.unwrap();
                prop_assert!(found.insert(placed.index, placed.stored).is_none());
            }
        }
        prop_assert_eq!(found, records.iter().cloned().collect::<BTreeMap<u64, Stored>>());
    }
}

/// Decisions of one model among others.
fn decision(index: u64, model: &str, field: &str) -> Stored {
    let json = format!(
        r#"{{"kind":"decision","model":{{"name":"{model}","version":"1"}},"inputs":{{"{field}":{index},"common":1}},"output":0.5}}"#
    );
    let record = record::JsonParser::new(record::Limits::default()).parse(json.as_bytes()).unwrap();
    let id = uuid::Builder::from_unix_timestamp_millis(index, &[1; 10]).into_uuid();
    let stamp = record::Stamp {
        kind: record::Kind::Decision,
        received: index as i64,
        id,
        id_by_server: true,
        time_by_server: true,
        salt_by_server: true,
        about_digest: None,
    };
    Stored { stamp, body: record::Body::Whole { salt: record::Salt([7; 16]), parts: record.parts } }
}

/// What was too rare in each settle for a column or a file of its own gets one once there is enough of it.
#[test]
fn a_path_that_became_dense_is_a_column_and_a_model_gets_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::create(Host::system(), folder.path()).unwrap();
    let models = ["large", "small", "large", "large"];
    let field = |n: u64| if n % 4 == 1 && n % 100 < 16 { "rare" } else { "often" };
    let records: Vec<(u64, Stored)> = (0..1_600).map(|n| (n, decision(n, models[n as usize % 4], field(n)))).collect();
    let digest = |index: u64| records.get(index as usize).map(|(_, stored)| stored.digest());
    for part in records.chunks(100) {
        lake.settle(&plan_settle(lake.snapshot(), part).unwrap(), &digest).unwrap();
    }
    assert!(lake.snapshot().columns().get("inputs.rare").is_none(), "4 of 100 are too few");
    assert_eq!(lake.snapshot().files().len(), 16);
    let files = lake.snapshot().files().to_vec();
    let plan = plan_compaction(lake.snapshot(), &files, &Interrupt::default()).unwrap();
    lake.replace(plan.carry_out(&|_, _| None, &digest).unwrap()).unwrap();
    assert!(lake.snapshot().columns().get("inputs.rare").is_some(), "4 of the 25 that are of the small model are not");
    let kinds: Vec<_> = lake.snapshot().files().iter().map(|file| (model_of(file), file.rows)).collect();
    assert_eq!(kinds.len(), 2);
    assert!(kinds.contains(&(Some("large".to_owned()), 1_200)) && kinds.contains(&(Some("small".to_owned()), 400)));
}

#[test]
fn an_interrupted_compaction_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let records: Vec<(u64, Stored)> = (0..20).map(|n| (n, decision(n, "risk", "a"))).collect();
    let digest = |index: u64| records.get(index as usize).map(|(_, stored)| stored.digest());
    let mut lake = Lake::create(Host::system(), folder.path()).unwrap();
    for part in records.chunks(10) {
        lake.settle(&plan_settle(lake.snapshot(), part).unwrap(), &digest).unwrap();
    }
    let interrupt = Interrupt::default();
    let plan = plan_compaction(lake.snapshot(), lake.snapshot().files(), &interrupt).unwrap();
    interrupt.interrupt();
    assert!(matches!(plan.carry_out(&|_, _| None, &digest), Err(RewriteError::Interrupted)));
    assert_eq!(lake.clean(std::time::Duration::ZERO).unwrap().removed, 0);
    assert_eq!(lake.snapshot().files().len(), 2);
}
