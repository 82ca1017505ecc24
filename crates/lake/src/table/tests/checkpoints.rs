//! Checkpoints of the log: what they say, what they cost nothing to lose, and what is done to them.

use std::collections::BTreeSet;

use deltalake_core::table::state::DeltaTableState;
use proptest::prelude::*;

use super::*;
use crate::Reason;

/// A table whose every random number and time is the same each time it is made.
fn table(folder: &Path) -> Table {
    let clock = host::ManualClock::at(1_717_243_200_123_456_789);
    Table::at(Host::builder().random_seed(1).clock(clock).build(), folder).unwrap()
}

fn name(n: u64) -> String {
    crate::manifest::settle_name(2 * n, n)
}

fn of(n: u64) -> Manifest {
    file(&name(n), 2 * n, 2 * n + 1)
}

/// Commits file `n`, and with every third the removal of the one before.
fn commit(table: &Table, base: &Version) -> Version {
    let n = base.version;
    let removed = if n % 3 == 2 { vec![of(n - 1)] } else { Vec::new() };
    let reason = (n % 3 == 2).then_some(Reason::Compaction);
    let mut columns = (*base.columns).clone();
    columns.add_path(&format!("inputs.c{n}"), ColumnType::Num).unwrap();
    let change = Change { columns: Some(columns), files: vec![of(n)], removed, reason, watermark: 2 * n + 2 };
    table.commit(base, change).unwrap()
}

/// A table of `versions` commits, with checkpoints of those of `checkpoints`.
fn made(folder: &Path, versions: u64, checkpoints: &[u64]) -> Version {
    let table = table(folder);
    let mut version = table.create_or_recover().unwrap();
    while version.version < versions {
        version = commit(&table, &version);
        if checkpoints.contains(&version.version) {
            version = table.checkpoint(&version).unwrap();
        }
    }
    version
}

fn same(one: &Version, two: &Version) {
    assert_eq!((one.version, one.watermark), (two.version, two.watermark));
    assert_eq!(one.columns.list(), two.columns.list());
    assert_eq!(one.files, two.files);
    assert_eq!(one.state.metadata(), two.state.metadata());
}

fn log(folder: &Path) -> BTreeSet<String> {
    let paths = Host::system().list(folder.join("_delta_log"), "test").unwrap();
    paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    Host::system().create_dir_all(to.path().join("_delta_log"), "test").unwrap();
    for name in log(from) {
        std::fs::copy(from.join("_delta_log").join(&name), to.path().join("_delta_log").join(&name)).unwrap();
    }
    to
}

fn remove(folder: &Path, name: &str) {
    Host::system().remove(folder.join("_delta_log").join(name), "test").unwrap();
}

fn replace(folder: &Path, name: &str, bytes: &[u8]) {
    Host::system().replace(folder.join("_delta_log").join(name), bytes, "test", None).unwrap();
}

/// What opening and a full check say of the log.
fn checked(folder: &Path) -> Result<Version, TableError> {
    let table = table(folder);
    let version = table.load()?;
    table.prove_all()?;
    Ok(version)
}

/// What the library writes today, as other engines will find it.
#[test]
fn a_checkpoint_says_this() {
    let folder = tempfile::tempdir().unwrap();
    made(folder.path(), 3, &[3]);
    let table = table(folder.path());
    let last = std::fs::read_to_string(table.file(Named::LastCheckpoint)).unwrap();
    let last: LastCheckpoint = serde_json::from_str(&last).unwrap();
    assert_eq!((last.version, last.size, last.num_of_add_files), (3, 3 + 2, 2));
    let contents = table.look_at(3, &table.listing().unwrap()).unwrap();
    assert_eq!(contents.watermark, Some(6));
    assert_eq!(contents.adds.keys().cloned().collect::<Vec<_>>(), [name(0), name(2)]);
    let add = &contents.adds[&name(2)];
    assert_eq!((&add["stats"], &add["tags"]["onrecord.first_index"]), (&of(2).stats.into(), &"4".into()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// A table with checkpoints and a cleaned log is the one without.
    #[test]
    fn a_checkpoint_changes_nothing(versions in 1u64..14, every in 1u64..6, again in 1u64..4) {
        let (with, without) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let checkpoints: Vec<u64> = (1..=versions).filter(|version| version % every == 0).collect();
        let one = made(with.path(), versions, &checkpoints);
        let two = made(without.path(), versions, &[]);
        same(&one, &two);
        let (left, right) = (table(with.path()), table(without.path()));
        left.remove_surplus().unwrap();
        let kept = checkpoints.iter().rev().nth(1).copied().unwrap_or(0);
        prop_assert_eq!(left.listing().unwrap().entries, (kept..=versions).collect::<BTreeSet<_>>());
        prop_assert!(left.listing().unwrap().checkpoints.len() <= 2);
        let (mut one, mut two) = (checked(with.path()).unwrap(), checked(without.path()).unwrap());
        prop_assert_eq!(one.checkpoint, checkpoints.last().copied());
        same(&one, &two);
        for _ in 0..again {
            (one, two) = (commit(&left, &one), commit(&right, &two));
            same(&one, &two);
        }
        same(&checked(with.path()).unwrap(), &checked(without.path()).unwrap());
        // The clock of these tables stands years ago, so that checkpoints leave out what was removed.
        let paths = |dead: Vec<Dead>| dead.into_iter().map(|dead| dead.path).collect::<BTreeSet<_>>();
        prop_assert!(paths(left.dead(&one).unwrap()).is_subset(&paths(right.dead(&two).unwrap())));
    }
}

#[test]
fn a_checkpoint_keeps_why_and_when_files_were_removed() {
    let folder = tempfile::tempdir().unwrap();
    let table = Table::at(Host::system(), folder.path()).unwrap();
    let mut version = table.create_or_recover().unwrap();
    for n in 0..4 {
        version =
            table.commit(&version, Change { files: vec![of(n)], watermark: 2 * n + 2, ..Change::default() }).unwrap();
    }
    for (n, reason) in [(0, Reason::Compaction), (1, Reason::Erasure)] {
        let change = Change { removed: vec![of(n)], reason: Some(reason), watermark: 8, ..Change::default() };
        version = table.commit(&version, change).unwrap();
    }
    let sorted = |mut dead: Vec<Dead>| {
        dead.sort_by(|a, b| a.path.cmp(&b.path));
        dead
    };
    let before = sorted(table.dead(&version).unwrap());
    version = table.checkpoint(&version).unwrap();
    assert_eq!(sorted(table.dead(&version).unwrap()), before);
    let erased: Vec<(String, bool)> = before.into_iter().map(|dead| (dead.path, dead.is_erased)).collect();
    assert_eq!(erased, [(name(0), false), (name(1), true)]);
}

#[test]
fn nothing_else_stands_in_a_log() {
    for name in [
        "00000000000000000000.checkpoint.0000000001.0000000002.parquet",
        "00000000000000000000.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.parquet",
        "00000000000000000000.00000000000000000001.compacted.json",
        "00000000000000000000.crc",
        "_sidecars",
        "99999999999999999999.json",
        "0000000000000000000é.json",
    ] {
        let folder = tempfile::tempdir().unwrap();
        made(folder.path(), 1, &[]);
        replace(folder.path(), name, b"{}");
        let error = checked(folder.path()).map(|v| v.version).unwrap_err();
        assert!(matches!(&error, TableError::Foreign { found, .. } if found == name), "{error}");
    }
}

/// T26, T1: no byte of a checkpoint can be changed so that another table is read, and no cut either.
#[test]
fn a_changed_byte_of_a_checkpoint_is_noticed_or_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let truth = made(folder.path(), 4, &[2, 4]);
    let name = Named::Checkpoint(4).name();
    let good = std::fs::read(folder.path().join("_delta_log").join(&name)).unwrap();
    let mut noticed = 0;
    let mut holds = |bytes: &[u8], what: &str| {
        let copy = copy(folder.path());
        replace(copy.path(), &name, bytes);
        match checked(copy.path()) {
            Err(error) => {
                assert!(!error.to_string().is_empty());
                noticed += 1;
            }
            Ok(found) => {
                println!("{what} changes nothing");
                same(&found, &truth);
            }
        }
    };
    let step = if std::env::var_os("ONRECORD_TEST_LONG").is_some() { 7 } else { 211 };
    for at in (0..good.len()).step_by(step).chain(good.len() - 24..good.len()) {
        let mut bad = good.clone();
        bad[at] ^= 0x15;
        holds(&bad, &format!("byte {at} of {}", good.len()));
    }
    for cut in [0, 1, 4, good.len() / 2, good.len() - 8, good.len() - 1] {
        holds(&good[..cut], &format!("a cut at {cut}"));
    }
    assert!(noticed > 40, "{noticed}");
}

/// T26: a checkpoint that is whole and sound and says of the table what the entries do not say.
#[test]
fn a_checkpoint_that_lies_is_caught() {
    let folder = tempfile::tempdir().unwrap();
    made(folder.path(), 5, &[2, 4]);
    type Lie<'a> = (&'a str, &'a dyn Fn(&Table, &Version) -> Version);
    let last = |table: &Table, version: &Version, files: Vec<Manifest>, watermark: u64| {
        table
            .commit(
                version,
                Change { columns: Some((*version.columns).clone()), files, watermark, ..Change::default() },
            )
            .unwrap()
    };
    let lies: &[Lie<'_>] = &[
        ("does not name file", &|table, version| last(table, version, Vec::new(), 8)),
        ("names file", &|table, version| last(table, version, vec![of(3), of(9)], 8)),
        ("of a file", &|table, version| last(table, version, vec![Manifest { rows: 7, ..of(3) }], 8)),
        ("of a file", &|table, version| {
            last(
                table,
                version,
                vec![Manifest { stats: of(3).stats.replacen("\"index\":1", "\"index\":0", 1), ..of(3) }],
                8,
            )
        }),
        ("says watermark 6", &|table, version| last(table, version, vec![of(3)], 6)),
        ("says metadata", &|table, version| last(table, version, vec![of(3)], 8)),
    ];
    for (said, lie) in lies {
        let liar = tempfile::tempdir().unwrap();
        let three = made(liar.path(), 3, &[2]);
        let liars = table(liar.path());
        let columns = *said != "says metadata";
        let base = if columns { with_column(&three, 3) } else { three };
        let four = lie(&liars, &base);
        liars.checkpoint(&four).unwrap();
        let copy = copy(folder.path());
        for name in [Named::Checkpoint(4).name(), Named::LastCheckpoint.name()] {
            std::fs::copy(liar.path().join("_delta_log").join(&name), copy.path().join("_delta_log").join(&name))
                .unwrap();
        }
        assert!(table(copy.path()).load().is_ok(), "{said}: nothing is wrong with it by itself");
        let error = checked(copy.path()).map(|version| version.files).unwrap_err();
        assert!(matches!(error, TableError::Checkpoint { version: 4, .. }), "{error}");
        assert!(error.to_string().contains(said), "{said}: {error}");
        // The writer removes nothing in the name of it either.
        let before = log(copy.path());
        assert!(table(copy.path()).remove_surplus().is_err());
        assert_eq!(log(copy.path()), before);
    }
}

/// The version with the column that commit `n` adds, so that a lie about it is one about nothing else.
fn with_column(version: &Version, n: u64) -> Version {
    let mut columns = (*version.columns).clone();
    columns.add_path(&format!("inputs.c{n}"), ColumnType::Num).unwrap();
    Version { columns: Arc::new(columns), ..version.clone() }
}

#[test]
fn what_names_the_newest_checkpoint_names_one_that_is_there_and_says_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let truth = made(folder.path(), 5, &[2, 4]);
    let good = std::fs::read_to_string(folder.path().join("_delta_log/_last_checkpoint")).unwrap();
    let long = format!("{}{good}", " ".repeat(5_000));
    let forged = |field: &str, value: Value| {
        let mut last: Value = serde_json::from_str(&good).unwrap();
        last[field] = value;
        last.to_string()
    };
    for bad in [
        "",
        "{}",
        "[]",
        "null",
        "nonsense",
        "{\"version\":4}",
        &long,
        &good[..good.len() / 2],
        &forged("version", 3.into()),
        &forged("version", 99.into()),
        &forged("version", (-4).into()),
        &forged("version", u64::MAX.into()),
        &forged("size", 1.into()),
        &forged("sizeInBytes", 1.into()),
        &forged("numOfAddFiles", 0.into()),
        &forged("parts", 2.into()),
        &forged("checkpointSchema", serde_json::json!({"type": "struct", "fields": []})),
        &forged("v2Checkpoint", serde_json::json!({"path": "x.parquet"})),
    ] {
        let copy = copy(folder.path());
        replace(copy.path(), "_last_checkpoint", bad.as_bytes());
        let error = checked(copy.path()).map(|version| version.version).unwrap_err();
        assert!(matches!(error, TableError::Foreign { .. } | TableError::Checkpoint { .. }), "{bad}: {error}");
    }
    // A crash before it was replaced, or before it was first written, loses nothing.
    let older = {
        let table = table(folder.path());
        let contents = table.look_at(2, &table.listing().unwrap()).unwrap();
        let bytes = std::fs::metadata(table.file(Named::Checkpoint(2))).unwrap().len();
        serde_json::to_vec(&LastCheckpoint::of(2, &contents, bytes)).unwrap()
    };
    for before in [Some(older), None] {
        let copy = copy(folder.path());
        match before {
            Some(before) => replace(copy.path(), "_last_checkpoint", &before),
            None => remove(copy.path(), "_last_checkpoint"),
        }
        let found = checked(copy.path()).unwrap();
        same(&found, &truth);
        let table = table(copy.path());
        assert_eq!(table.surplus().unwrap(), 0, "nothing goes until the newest is named");
        assert!(table.is_checkpoint_due(&found, 64).unwrap());
        table.checkpoint(&found).unwrap();
        assert!(table.surplus().unwrap() > 0);
        assert!(!table.is_checkpoint_due(&found, 64).unwrap());
    }
}

#[test]
fn an_entry_that_is_needed_and_not_there_is_missed() {
    let folder = tempfile::tempdir().unwrap();
    let truth = made(folder.path(), 7, &[2, 5]);
    table(folder.path()).remove_surplus().unwrap();
    let without = |name: &Named| {
        let copy = copy(folder.path());
        remove(copy.path(), &name.name());
        copy
    };
    for gap in [5, 6] {
        let error = checked(without(&Named::Entry(gap)).path()).map(|v| v.version).unwrap_err();
        assert!(matches!(error, TableError::Gap { version, .. } if version == gap), "{error}");
    }
    // Not needed to read the table, and needed to prove what it is read from.
    for needed in [Named::Entry(2), Named::Entry(3), Named::Entry(4), Named::Checkpoint(2)] {
        let copy = without(&needed);
        same(&table(copy.path()).load().unwrap(), &truth);
        let error = checked(copy.path()).map(|v| v.version).unwrap_err();
        assert!(matches!(error, TableError::Checkpoint { version: 5, .. }), "{needed:?}: {error}");
    }
    // The last entry is what any log may lack: whether it does is for those who know the watermark.
    assert_eq!(checked(without(&Named::Entry(7)).path()).unwrap().version, 6);
    // Without its newest checkpoint the table is the same; without both there is no table.
    let copy = without(&Named::Checkpoint(5));
    assert!(
        matches!(checked(copy.path()), Err(TableError::Checkpoint { version: 5, .. })),
        "it is named and not there"
    );
    remove(copy.path(), "_last_checkpoint");
    same(&table(copy.path()).load().unwrap(), &truth);
    let error = checked(copy.path()).map(|v| v.version).unwrap_err();
    assert!(matches!(error, TableError::Checkpoint { version: 2, .. }), "nothing is left to prove it by: {error}");
    remove(copy.path(), &Named::Checkpoint(2).name());
    assert!(matches!(checked(copy.path()), Err(TableError::Missing { .. })));
}

/// T25: whatever part of the surplus is gone, the table is the same; and while it goes in its order, an engine that reads
/// an old version finds that version or none.
#[test]
fn a_clean_up_that_ends_anywhere_leaves_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let truth = made(folder.path(), 9, &[2, 4, 6, 8]);
    let surplus = table(folder.path()).listing().unwrap().surplus();
    let names: Vec<String> = surplus.iter().map(|named| named.name()).collect();
    assert_eq!(names.first().unwrap(), &Named::Entry(5).name());
    assert_eq!(names.last().unwrap(), &Named::Entry(0).name());
    let at = |folder: &Path, version: u64| {
        let table = table(folder);
        let log = table.log.clone();
        let state = table.block(async move { DeltaTableState::try_new(&log, Some(version)).await })?;
        table.read(state)
    };
    let old: Vec<Version> = (0..=9).map(|version| at(folder.path(), version).unwrap()).collect();
    let mut found = 0;
    for gone in 0..=names.len() {
        let copy = copy(folder.path());
        names[..gone].iter().for_each(|name| remove(copy.path(), name));
        same(&checked(copy.path()).unwrap(), &truth);
        for old in &old {
            if let Ok(version) = at(copy.path(), old.version) {
                same(&version, old);
                found += 1;
            }
        }
        table(copy.path()).remove_surplus().unwrap();
        same(&checked(copy.path()).unwrap(), &truth);
        assert_eq!(log(copy.path()).len(), 2 + 4 + 1);
    }
    assert!(found > 50, "{found}");
    for any in 1..names.len() {
        let copy = copy(folder.path());
        names
            .iter()
            .enumerate()
            .filter(|(n, _)| n * 7 % names.len() < any)
            .for_each(|(_, name)| remove(copy.path(), name));
        same(&checked(copy.path()).unwrap(), &truth);
    }
}

/// What opening holds on to is the table and the entries since its checkpoint, and not its history.
#[test]
fn a_long_log_is_not_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut version = made(folder.path(), 0, &[]);
    let table = table(folder.path());
    for _ in 0..3 {
        for _ in 0..20 {
            let watermark = version.watermark + 1;
            version = table.commit(&version, Change { watermark, ..Change::default() }).unwrap();
        }
        version = table.checkpoint(&version).unwrap();
        table.remove_surplus().unwrap();
    }
    assert_eq!((version.version, version.checkpoint), (60, Some(60)));
    assert_eq!(table.listing().unwrap().entries, (40..=60).collect::<BTreeSet<u64>>());
    assert_eq!(checked(folder.path()).unwrap().watermark, 60);
}
