//! What a power cut leaves: all that was durable, and of the rest any part.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use host::{EffectLog, Host, PowerCut};

const STEP: &str = "test";

fn recorded(folder: &Path) -> (Host, Arc<EffectLog>) {
    let log = Arc::new(EffectLog::under(folder).unwrap());
    (Host::builder().effects(Arc::clone(&log)).build(), log)
}

/// Every file under `folder` and what it holds; a folder ends in a slash.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut tree = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            tree.extend(self::tree(&path).into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
            tree.insert(format!("{name}/"), Vec::new());
        } else {
            tree.insert(name, std::fs::read(&path).unwrap());
        }
    }
    tree
}

fn left(cut: &PowerCut, log: &EffectLog) -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    cut.leave(log, folder.path()).unwrap();
    tree(folder.path())
}

fn numbers(mut seed: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    }
}

/// Everything that a host does to files.
fn work(host: &Host, folder: &Path) {
    host.create_dir_all(folder.join("a/b"), STEP).unwrap();
    host.put_new(folder.join("a/new"), b"new", STEP).unwrap();
    host.replace(folder.join("a/new"), b"newer", STEP, None).unwrap();
    let file = host.create_new(folder.join("a/b/journal"), STEP).unwrap();
    file.allocate(0, 4096).unwrap();
    file.write_at(0, &[1; 1000]).unwrap();
    file.sync_data().unwrap();
    file.write_at(1000, &[2; 5000]).unwrap();
    file.set_len(5500).unwrap();
    host.rename(folder.join("a/b/journal"), folder.join("a/b/old"), STEP).unwrap();
    host.create_new(folder.join("a/b/journal"), STEP).unwrap().write_at(3, b"abc").unwrap();
    host.remove(folder.join("there"), STEP).unwrap();
}

fn prepared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    Host::system().put_new(folder.path().join("there"), b"there", STEP).unwrap();
    folder
}

#[test]
fn with_nothing_lost_the_log_makes_the_folder_as_it_stands() {
    let folder = prepared();
    let (host, log) = recorded(folder.path());
    assert!(log.is_empty());
    work(&host, folder.path());
    assert_eq!(left(&PowerCut::of_nothing(&log), &log), tree(folder.path()));
}

#[test]
fn what_was_durable_is_there_and_what_was_not_can_be_lost() {
    let folder = prepared();
    let (host, log) = recorded(folder.path());
    work(&host, folder.path());
    let left = left(&PowerCut::of_all(&log, log.len()), &log);
    // No fsync of `a/b` keeps the journal's name, and none of the root the removal.
    let there: Vec<&str> = left.keys().map(String::as_str).collect();
    assert_eq!(there, ["a/", "a/b/", "a/new", "there"]);
    assert_eq!(left["a/new"], b"newer");
}

#[test]
fn an_fsync_of_a_file_keeps_its_bytes_and_one_of_the_folder_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let (host, log) = recorded(folder.path());
    let file = host.create_new(folder.path().join("f"), STEP).unwrap();
    file.write_at(0, b"durable").unwrap();
    file.sync_all().unwrap();
    let bytes_alone = log.len();
    host.sync_dir(folder.path(), STEP).unwrap();
    let both = log.len();
    file.write_at(7, b" and not").unwrap();
    let all_lost = |at| left(&PowerCut::of_all(&log, at), &log);
    assert_eq!(all_lost(bytes_alone), BTreeMap::new());
    assert_eq!(all_lost(both)["f"], b"durable");
    assert_eq!(all_lost(log.len())["f"], b"durable");
}

#[test]
fn a_rename_is_there_whole_or_not_and_shows_bytes_only_if_they_were_synced() {
    let folder = tempfile::tempdir().unwrap();
    let (host, log) = recorded(folder.path());
    host.create_new(folder.path().join("tmp"), STEP).unwrap().write_at(0, b"unsynced").unwrap();
    host.rename(folder.path().join("tmp"), folder.path().join("final"), STEP).unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..600 {
        let left = left(&PowerCut::drawn(&log, log.len(), &mut numbers(seed)), &log);
        assert!(left.len() <= 1, "{left:?}");
        seen.insert(left.into_iter().next().map(|(name, bytes)| (name, bytes == b"unsynced", bytes.is_empty())));
    }
    let state = |name: &str, whole, empty| Some((name.to_owned(), whole, empty));
    for wanted in [
        None,
        state("tmp", true, false),
        state("tmp", false, true),
        state("tmp", false, false),
        state("final", true, false),
        // The classic: a name over nothing.
        state("final", false, true),
    ] {
        assert!(seen.contains(&wanted), "{wanted:?} is in none of {seen:?}");
    }
}

/// Every length, any middle, sectors, zeros, other bytes; and never a byte outside of what was written.
#[test]
fn a_write_tears_in_every_way_and_leaves_its_neighbours_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (host, log) = recorded(folder.path());
    let file = host.create_new(folder.path().join("f"), STEP).unwrap();
    file.write_at(0, &[7; 100]).unwrap();
    file.sync_all().unwrap();
    host.sync_dir(folder.path(), STEP).unwrap();
    file.write_at(100, &[9; 1500]).unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..600 {
        let bytes = left(&PowerCut::drawn(&log, log.len(), &mut numbers(seed)), &log).remove("f").unwrap();
        assert_eq!(bytes[..100], [7; 100]);
        let tail = &bytes[100..];
        let front = tail.iter().take_while(|&&byte| byte == 9).count();
        seen.insert(match tail {
            [] => "lost",
            tail if tail.iter().all(|&byte| byte == 0) => "length",
            _ if front == 1500 => "whole",
            tail if front == tail.len() => "front",
            tail if tail.iter().all(|&byte| byte == 9 || byte == 0) => "holes",
            _ => "garbage",
        });
    }
    assert_eq!(seen, BTreeSet::from(["lost", "length", "whole", "front", "holes", "garbage"]));
}

#[test]
fn an_fsync_covers_what_was_done_before_it_was_called() {
    let folder = tempfile::tempdir().unwrap();
    let (host, log) = recorded(folder.path());
    let file = host.create_new(folder.path().join("f"), STEP).unwrap();
    host.sync_dir(folder.path(), STEP).unwrap();
    for n in 0..5u8 {
        file.write_at(u64::from(n), &[n + 1]).unwrap();
        if n == 2 {
            file.sync_data().unwrap();
        }
    }
    let lengths: Vec<usize> = (2..=log.len()).map(|at| left(&PowerCut::of_all(&log, at), &log)["f"].len()).collect();
    assert_eq!(lengths, [0, 0, 0, 0, 3, 3, 3], "a link, its fsync, three writes, an fsync, two writes");
}

#[test]
fn a_cut_gets_simpler_until_it_loses_nothing() {
    let folder = prepared();
    let (host, log) = recorded(folder.path());
    work(&host, folder.path());
    let mut cut = PowerCut::of_all(&log, log.len());
    while let Some(simpler) = cut.simpler().pop() {
        assert_eq!((simpler.losses(), simpler.at()), (cut.losses() - 1, log.len()));
        assert!(cut.describe(&log).lines().count() == cut.losses() + 1);
        cut = simpler;
    }
    assert_eq!(cut, PowerCut::of_nothing(&log));
}

#[test]
fn what_a_name_has_shown_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (host, log) = recorded(folder.path());
    for text in ["one", "two", "three"] {
        host.replace(folder.path().join("checkpoint"), text.as_bytes(), STEP, None).unwrap();
    }
    let shown = log.shown(Path::new("checkpoint"), log.len());
    assert_eq!(shown, [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]);
    assert!(log.shown(Path::new("checkpoint"), 2).is_empty());
}
