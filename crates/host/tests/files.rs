//! Files of record: what is in place after each call, after each fault, and after a kill at each step.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use host::{Fault, FaultLog, FaultTable, FileError, Host, is_temporary};
use proptest::prelude::*;

const STEP: &str = "checkpoint";

fn struck_by(table: FaultTable) -> Host {
    Host::builder().faults(table).build()
}

fn holds(path: &Path) -> Option<Vec<u8>> {
    std::fs::read(path).ok()
}

#[test]
fn a_new_file_is_put_once_and_the_second_put_leaves_it_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("00000000000000000000.json");
    let host = Host::system();
    host.put_new(&path, b"one", STEP).unwrap();
    assert!(matches!(host.put_new(&path, b"two", STEP), Err(FileError::AlreadyExists { path: at }) if at == path));
    assert_eq!(holds(&path).unwrap(), b"one");
    assert_eq!(host.list(folder.path(), STEP).unwrap(), [path]);
}

#[test]
fn of_many_threads_that_put_one_name_exactly_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fence");
    let host = Host::system();
    let wins = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16u8)
            .map(|n| {
                scope.spawn({
                    let (host, path) = (&host, &path);
                    move || host.put_new(path, &[n; 64], STEP).is_ok().then_some(n)
                })
            })
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(wins.len(), 1);
    assert_eq!(holds(&path).unwrap(), [wins[0]; 64]);
    assert_eq!(host.list(folder.path(), STEP).unwrap().len(), 1, "the losers left no litter");
}

#[test]
fn compare_and_replace_refuses_what_it_did_not_expect() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let host = Host::system();
    host.compare_and_replace(&path, None, b"size 1", STEP).unwrap();
    host.compare_and_replace(&path, Some(b"size 1"), b"size 2", STEP).unwrap();
    for expected in [None, Some(b"size 1".as_slice()), Some(b"size 12")] {
        let error = host.compare_and_replace(&path, expected, b"size 9", STEP).unwrap_err();
        assert!(matches!(&error, FileError::Changed { found: Some(found), .. } if found == b"size 2"), "{error}");
    }
    assert_eq!(holds(&path).unwrap(), b"size 2");
    let gone = host.compare_and_replace(folder.path().join("x"), Some(b"size 1"), b"size 9", STEP).unwrap_err();
    assert!(matches!(gone, FileError::Changed { found: None, .. }));
}

#[test]
fn a_private_file_stays_private_when_it_is_replaced() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    let host = Host::system();
    host.put_new_with_mode(&path, b"secret", STEP, 0o600).unwrap();
    assert_eq!(mode(), 0o600);
    host.replace(&path, b"other secret", STEP, None).unwrap();
    assert_eq!(mode(), 0o600);
    host.replace(&path, b"public", STEP, Some(0o644)).unwrap();
    assert_eq!(mode(), 0o644);
}

#[test]
fn folders_are_made_to_any_depth_and_each_parent_is_synced() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(FaultLog::new());
    let host = Host::builder().faults(Arc::clone(&log)).build();
    let deep = folder.path().join("a/b/c");
    host.create_dir_all(&deep, STEP).unwrap();
    assert!(deep.is_dir());
    assert_eq!(log.visits("checkpoint.mkdir"), 3);
    assert_eq!(log.visits("checkpoint.fsync-folder"), 4, "three new ones, and the one above them");
    host.create_dir_all(&deep, STEP).unwrap();
    assert_eq!(log.visits("checkpoint.mkdir"), 3);
}

#[test]
fn a_file_is_locked_once_and_free_again_when_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::system();
    let first = host.create_new(folder.path().join("lock"), STEP).unwrap();
    first.try_lock_exclusive().unwrap();
    let second = host.open_rw(folder.path().join("lock"), STEP).unwrap();
    assert!(matches!(second.try_lock_exclusive(), Err(FileError::Locked { .. })));
    drop(first);
    second.try_lock_exclusive().unwrap();
}

#[test]
fn space_is_reserved_or_it_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let file = Host::system().create_new(&path, STEP).unwrap();
    file.reserve(0, 8192).unwrap();
    assert_eq!(file.len().unwrap(), 8192);
    let host = struck_by(FaultTable::one("checkpoint.allocate", 1, Fault::FailBefore(28)));
    let error = host.open_rw(&path, STEP).unwrap().reserve(8192, 8192).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(28));
}

/// The lock of a process is not one of a handle: another process finds it taken, until this one closes the file.
#[test]
fn a_lock_for_the_process_keeps_other_processes_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    let file = Host::system().create_new(&path, STEP).unwrap();
    file.try_lock_for_process().unwrap();
    let other = |code: &str| {
        let script = "import fcntl,sys\nf=open(sys.argv[1],'r+')\n\ntry: fcntl.lockf(f,fcntl.LOCK_EX|fcntl.LOCK_NB)\n\
                      except OSError: sys.exit(7)";
        let status = Command::new("python3").args(["-c", script]).arg(&path).status().unwrap();
        assert_eq!(status.code().unwrap().to_string(), code);
    };
    other("7");
    drop(file);
    other("0");
}

#[test]
fn a_folder_goes_when_it_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let (host, inner) = (Host::system(), folder.path().join("inner"));
    host.create_dir_all(&inner, STEP).unwrap();
    host.put_new(inner.join("file"), b"", STEP).unwrap();
    assert!(host.remove_dir(&inner, STEP).is_err());
    host.remove(inner.join("file"), STEP).unwrap();
    host.remove_dir(&inner, STEP).unwrap();
    assert!(!inner.exists());
}

#[test]
fn allocated_space_reads_as_zeros_and_an_appender_writes_front_to_back() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::system();
    let file = host.create_new(folder.path().join("f"), STEP).unwrap();
    file.allocate(0, 8192).unwrap();
    assert_eq!(file.len().unwrap(), 8192);
    let mut appender = file.into_appender(4);
    appender.write_all(b"hello ").unwrap();
    appender.write_all(b"world").unwrap();
    assert_eq!(appender.position(), 15);
    let file = appender.finish().unwrap();
    let mut read = [9; 20];
    assert_eq!(file.read_at(0, &mut read).unwrap(), 20);
    assert_eq!(&read, b"\0\0\0\0hello world\0\0\0\0\0");
    assert_eq!(file.read_at(8190, &mut read).unwrap(), 2);
}

#[test]
fn an_error_names_operation_path_cause_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let host = struck_by("checkpoint.fdatasync=fail-after:ENOSPC".parse().unwrap());
    let error = host.create_new(&path, STEP).unwrap().sync_data().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(28));
    assert_eq!(
        error.to_string(),
        format!(
            "cannot fsync {}: No space left on device (os error 28); free space on that disk, then start again",
            path.display()
        )
    );
    let inner = std::io::Error::from(error);
    let inner = inner.get_ref().and_then(|inner| inner.downcast_ref::<FileError>()).unwrap();
    assert_eq!(inner.raw_os_error(), Some(28));
}

#[test]
fn a_short_write_lands_half_of_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let host = struck_by(FaultTable::one("checkpoint.write", 2, Fault::ShortWrite(28)));
    let file = host.create_new(&path, STEP).unwrap();
    file.write_at(0, b"abcd").unwrap();
    assert_eq!(file.write_at(4, b"efgh").unwrap_err().raw_os_error(), Some(28));
    assert_eq!(holds(&path).unwrap(), b"abcdef");
}

/// Everything that puts a whole file, over a folder that holds `old` = "old".
fn put_all(host: &Host, folder: &Path) -> Result<(), FileError> {
    host.create_dir_all(folder.join("deep/er"), STEP)?;
    host.put_new(folder.join("new"), b"new", STEP)?;
    host.replace(folder.join("old"), b"replaced", STEP, None)?;
    host.compare_and_replace(folder.join("old"), Some(b"replaced"), b"swapped", STEP)
}

fn points_of_put_all() -> BTreeMap<String, u64> {
    let log = Arc::new(FaultLog::new());
    let folder = prepared_folder();
    put_all(&Host::builder().faults(Arc::clone(&log)).build(), folder.path()).unwrap();
    log.points()
}

fn prepared_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    Host::system().put_new(folder.path().join("old"), b"old", STEP).unwrap();
    folder
}

/// No file has half of anything, and the same work, done again, comes to the same end.
fn whole_and_repeatable(folder: &Path, after: &str) {
    let new = holds(&folder.join("new"));
    assert!(new.is_none() || new.as_deref() == Some(b"new"), "{after}: {new:?}");
    let old = holds(&folder.join("old")).unwrap();
    assert!([b"old".as_slice(), b"replaced", b"swapped"].contains(&old.as_slice()), "{after}: {old:?}");

    let host = Host::system();
    host.sweep_temporaries(folder, STEP).unwrap();
    assert!(host.list(folder, STEP).unwrap().iter().all(|path| !is_temporary(path)));
    match host.put_new(folder.join("new"), b"new", STEP) {
        Ok(()) | Err(FileError::AlreadyExists { .. }) => {}
        Err(error) => panic!("{after}: {error}"),
    }
    host.create_dir_all(folder.join("deep/er"), STEP).unwrap();
}

#[test]
fn a_fault_at_any_step_leaves_every_file_whole() {
    for (point, visits) in points_of_put_all() {
        for nth in 1..=visits {
            for fault in [Fault::FailBefore(28), Fault::FailAfter(5), Fault::ShortWrite(28)] {
                let after = format!("{point} {nth} {fault:?}");
                let folder = prepared_folder();
                let error = put_all(&struck_by(FaultTable::one(&point, nth, fault)), folder.path()).unwrap_err();
                assert!(matches!(error.raw_os_error(), Some(28 | 5)), "{after}: {error}");
                let litter = Host::system().sweep_temporaries(folder.path(), STEP).unwrap();
                assert!(litter == 0, "{after}: a failed put sweeps up behind itself");
                whole_and_repeatable(folder.path(), &after);
            }
        }
    }
}

#[test]
fn a_kill_at_any_step_leaves_every_file_whole() {
    if let (Ok(folder), Ok(faults)) = (std::env::var("HOST_TEST_FOLDER"), std::env::var("HOST_TEST_FAULTS")) {
        put_all(&struck_by(faults.parse().unwrap()), Path::new(&folder)).unwrap();
        return;
    }
    for (point, visits) in points_of_put_all() {
        for nth in 1..=visits {
            for fault in ["kill-before", "kill-after"] {
                let row = format!("{point}={fault}@{nth}");
                let folder = prepared_folder();
                let child = Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "a_kill_at_any_step_leaves_every_file_whole"])
                    .env("HOST_TEST_FOLDER", folder.path())
                    .env("HOST_TEST_FAULTS", &row)
                    .output()
                    .unwrap();
                let signal = std::os::unix::process::ExitStatusExt::signal(&child.status);
                assert_eq!(signal, Some(9), "{row}: {child:?}");
                whole_and_repeatable(folder.path(), &row);
            }
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_fault_table_panic(text in "\\PC{0,60}|[a-z.=@:,0-9-]{0,60}") {
        let _ = text.parse::<FaultTable>();
    }
}
