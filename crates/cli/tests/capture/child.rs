//! A process that records and is killed: this test's own binary, run again.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use client::{Config, Durability, Recorder, Token};

use crate::place::{Place, decision};

/// What the child is told, in the environment.
const TOLD: &str = "ONRECORD_TEST_CHILD";

/// A service that records from two threads for as long as it lives, and writes each number once it was accepted.
pub fn start(place: &Place, durability: &str, from: u64) -> Child {
    let exe = std::env::current_exe().unwrap();
    let told = format!(
        "{} {} {} {durability} {from}",
        place.base(),
        place.path("spool").display(),
        place.path("token").display()
    );
    let mut command = Command::new(exe);
    command.args(["--ignored", "--exact", "child::a_service_that_is_killed", "--nocapture"]).env(TOLD, told);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// The numbers that a killed child had accepted before it was killed, once `count` of them were seen.
pub fn kill_after(mut child: Child, count: usize) -> Vec<u64> {
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut accepted = Vec::new();
    let mut line = String::new();
    while out.read_line(&mut line).unwrap() > 0 {
        // A line that was cut off by the kill is none.
        accepted.extend(line.strip_prefix("accepted ").and_then(|rest| rest.strip_suffix('\n')?.parse::<u64>().ok()));
        line.clear();
        if accepted.len() == count {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    accepted
}

#[test]
#[ignore = "is run by other tests, as a process of its own"]
fn a_service_that_is_killed() {
    let Ok(told) = std::env::var(TOLD) else { return };
    let told: Vec<&str> = told.split(' ').collect();
    let durability = match told[3] {
        "memory" => Durability::Memory,
        "process" => Durability::Process,
        _ => Durability::Disk,
    };
    let config = Config {
        token: Token::File(told[2].into()),
        durability,
        heartbeat_every: Duration::from_millis(100),
        ..Config::new(told[0], "credit-api", told[1])
    };
    let recorder = Recorder::open(config).unwrap();
    let from: u64 = told[4].parse().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..2u64 {
            let recorder = recorder.clone();
            scope.spawn(move || {
                for number in (from + thread..from + 1_000_000).step_by(2) {
                    recorder.record(&decision(number)).unwrap();
                    let line = format!("accepted {number}\n");
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
}

/// A service with workers: each records and closes. How it ended.
pub fn run_workers(place: &Place, test: &str) -> std::process::ExitStatus {
    let told =
        format!("{} {} {} process 0", place.base(), place.path("spool").display(), place.path("token").display());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", &format!("child::{test}"), "--nocapture"]).env(TOLD, told);
    command.stdout(Stdio::null()).stderr(Stdio::inherit()).status().unwrap()
}

fn config(told: &str) -> Config {
    let told: Vec<&str> = told.split(' ').collect();
    Config { token: Token::File(told[2].into()), ..Config::new(told[0], "credit-api", told[1]) }
}

#[test]
#[ignore = "is run by other tests, as a process of its own"]
fn a_worker() {
    let Ok(told) = std::env::var(TOLD) else { return };
    let recorder = Recorder::open(config(&told)).unwrap();
    (0..20).for_each(|number| {
        recorder.record(&decision(number)).unwrap();
    });
    assert!(recorder.close(crate::place::LONG));
}

/// The children that are forked, each of which records with what it has from its parent.
pub const FORKED: u64 = 8;

#[test]
#[ignore = "is run by other tests, as a process of its own"]
#[allow(unsafe_code, reason = "there is no safe way to fork")]
fn a_service_that_forks() {
    let Ok(told) = std::env::var(TOLD) else { return };
    let recorder = Recorder::open(config(&told)).unwrap();
    (0..10).for_each(|number| {
        recorder.record(&decision(number)).unwrap();
    });
    let mut children = Vec::new();
    for child in 1..=FORKED {
        // SAFETY: the child calls nothing but the recorder and then ends, without anything that runs at exit.
        match unsafe { libc::fork() } {
            0 => {
                let recorded = (0..10).all(|number| recorder.record(&decision(child * 100 + number)).is_ok());
                let done = recorded && recorder.close(crate::place::LONG);
                // SAFETY: as above.
                unsafe { libc::_exit(i32::from(!done)) }
            }
            pid => children.push(pid),
        }
        recorder.record(&decision(child * 100 + 50)).unwrap();
    }
    for pid in children {
        let mut status = 0;
        // SAFETY: a valid pointer to a number.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        assert_eq!(status, 0, "a child could not record");
    }
    assert!(recorder.close(crate::place::LONG));
}
