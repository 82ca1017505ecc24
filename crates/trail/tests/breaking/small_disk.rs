//! I1, T25: a disk of a few MiB gets full for real. Everyone who waits hears of it, nobody of a record that is not kept;
//! with space again the trail opens, holds what was acknowledged, and goes on.

use std::path::Path;
use std::process::Command;

use host::Host;
use parking_lot::Mutex;
use trail::{AppendError, Intake, Options, Writer};

use crate::support::*;

/// A file system in memory, of its own.
struct SmallDisk {
    at: tempfile::TempDir,
}

impl SmallDisk {
    /// Nothing where this user may not mount.
    fn of(mib: u32) -> Option<SmallDisk> {
        let at = tempfile::tempdir().unwrap();
        mount(&["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"], at.path()).then_some(SmallDisk { at })
    }

    fn grow(&self, mib: u32) {
        assert!(mount(&["-o", &format!("remount,size={mib}m")], self.at.path()));
    }

    fn trail(&self) -> Fixture {
        let fixture = Fixture::at(self.at.path());
        fixture.init(&Host::system(), "example.com/small").unwrap();
        fixture
    }

    fn ballast(&self) -> std::path::PathBuf {
        self.at.path().join("ballast")
    }

    /// Leaves not a byte.
    fn fill(&self) {
        use std::io::Write as _;
        #[allow(clippy::disallowed_methods, reason = "this is no file of record")]
        let mut file = std::fs::File::create(self.ballast()).unwrap();
        for bytes in [vec![0; 64 << 10], vec![0; 4 << 10], vec![0; 1]] {
            while file.write_all(&bytes).is_ok() {}
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.at.path()).status();
    }
}

fn mount(args: &[&str], at: &Path) -> bool {
    Command::new("mount").args(args).arg(at).output().is_ok_and(|output| output.status.success())
}

/// Does `test` on a disk of `mib` MiB: as root, or as one in a namespace of our own; else it says so aloud.
fn on_small_disk(name: &str, mib: u32, test: impl FnOnce(&SmallDisk)) {
    if let Some(disk) = SmallDisk::of(mib) {
        return test(&disk);
    }
    let may = Command::new("unshare").args(["-rm", "true"]).output().is_ok_and(|output| output.status.success());
    if role().is_some() || !may {
        println!("SKIPPED {name}: this user may not mount a tmpfs, nor with unshare -rm; run it as root");
        return;
    }
    let mut again = Command::new("unshare");
    again.arg("-rm").arg(std::env::current_exe().unwrap()).args(["--exact", name, "--nocapture"]);
    assert!(again.env("ONRECORD_TEST_CHILD", "unshared").status().unwrap().success(), "{name} in a namespace");
}

fn options() -> Options {
    let journal = journal::Options { segment_bytes: 1 << 20, allocate_bytes: 256 << 10, ..Default::default() };
    Options { journal, ..by_hand() }
}

/// With space again: opens, holds all that was told, goes on.
fn goes_on(fixture: &Fixture, told: &mut Told, after: &str) {
    let writer = fixture.open_as(&Host::system(), options()).unwrap();
    assert!(writer.recovered().records >= told.receipts.len() as u64, "after {after}");
    told.outcomes(&writer.append(records(900_000..900_020), Intake::Import).unwrap());
    writer.settle().unwrap();
    told.checkpoint(&fixture.pin());
    writer.close().unwrap();
    holds(&fixture.folder, told, after);
}

#[test]
fn sixty_four_appenders_fill_the_disk() {
    on_small_disk("small_disk::sixty_four_appenders_fill_the_disk", 6, |disk| {
        let fixture = disk.trail();
        let writer = fixture.open_as(&Host::system(), options()).unwrap();
        let (told, errors) = (Mutex::new(Told::default()), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for thread in 0..64 {
                let (writer, told, errors) = (&writer, &told, &errors);
                scope.spawn(move || {
                    for at in (0..).step_by(20) {
                        let first = thread * 10_000 + at;
                        match writer.append(records(first..first + 20), Intake::Import) {
                            Ok(outcomes) => told.lock().outcomes(&outcomes),
                            Err(error) => return errors.lock().push(error),
                        }
                    }
                });
            }
        });
        let (mut told, errors) = (told.into_inner(), errors.into_inner());
        assert_eq!(errors.len(), 64);
        for error in errors {
            let text = error.to_string();
            assert!(matches!(error, AppendError::Stopped(_)) && text.contains("free space on that disk"), "{text}");
        }
        drop(writer);
        assert!(told.receipts.len() > 1_000, "{}", told.receipts.len());
        // It can be read and verified on the full disk as it is.
        holds(&fixture.folder, &told, "a full disk");
        disk.grow(64);
        goes_on(&fixture, &mut told, "a full disk that grew");
        let mut count = Count::default();
        count.faults(1, told.receipts.len());
        count.print("a disk filled by 64 appenders");
    });
}

#[test]
fn a_full_disk_under_the_lake_holds_a_settle_up_and_no_more() {
    on_small_disk("small_disk::a_full_disk_under_the_lake_holds_a_settle_up_and_no_more", 6, |disk| {
        let (fixture, mut told) = (disk.trail(), Told::default());
        let writer = fixture.open_as(&Host::system(), options()).unwrap();
        told.outcomes(&writer.append(records(0..200), Intake::Import).unwrap());
        writer.wait_sealed().unwrap();
        told.checkpoint(&fixture.pin());
        disk.fill();
        let error = writer.settle().unwrap_err().to_string();
        assert!(error.contains("free space on that disk"), "{error}");
        assert!(writer.stopped().is_none(), "{error}");
        holds(&fixture.folder, &told, "a full lake");
        remove(&disk.ballast());
        writer.settle().unwrap();
        told.outcomes(&writer.append(records(200..220), Intake::Import).unwrap());
        writer.close().unwrap();
        goes_on(&fixture, &mut told, "a lake with space again");
    });
}

/// The journal has space in reserve and the checkpoint has none: records are kept, and nothing is signed (I4).
#[test]
fn a_full_disk_under_the_checkpoint_stops_the_writer_and_loses_nothing() {
    on_small_disk("small_disk::a_full_disk_under_the_checkpoint_stops_the_writer_and_loses_nothing", 6, |disk| {
        let (fixture, mut told) = (disk.trail(), Told::default());
        let writer: Writer = fixture.open_as(&Host::system(), options()).unwrap();
        told.outcomes(&writer.append(records(0..20), Intake::Import).unwrap());
        writer.wait_sealed().unwrap();
        told.checkpoint(&fixture.pin());
        disk.fill();
        told.outcomes(&writer.append(records(20..40), Intake::Import).unwrap());
        let stopped = writer.wait_sealed().unwrap_err().to_string();
        assert!(stopped.contains("free space on that disk"), "{stopped}");
        drop(writer);
        holds(&fixture.folder, &told, "a full disk under the checkpoint");
        remove(&disk.ballast());
        goes_on(&fixture, &mut told, "a checkpoint with space again");
    });
}
