//! Which process this is: a number alone is given again to another one.

#![allow(unsafe_code, reason = "whether this is a forked child, the C library alone tells")]

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

/// How many forks lie between this process and the one that first asked to be told of them.
static FORKS: AtomicU32 = AtomicU32::new(0);
static WATCHED: Mutex<bool> = Mutex::new(false);

extern "C" fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// Has forks counted from here on.
pub fn watch_forks() -> io::Result<()> {
    let mut watched = WATCHED.lock();
    if !*watched {
        // SAFETY: the handler does one atomic addition, which may be done in a child of many threads.
        match unsafe { libc::pthread_atfork(None, None, Some(forked)) } {
            0 => *watched = true,
            errno => return Err(io::Error::from_raw_os_error(errno)),
        }
    }
    Ok(())
}

/// Tells a process from its forked children, and these from each other. The number alone would not: a child may be given that
/// of a process it descends from. The forks alone would not for whoever makes a child past the C library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

impl Mark {
    /// Of no process.
    pub const NONE: Mark = Mark(0);

    /// Of this one.
    pub fn current() -> Mark {
        Mark(u64::from(std::process::id()) << 32 | u64::from(FORKS.load(Ordering::Relaxed)))
    }

    /// As a word.
    pub fn word(self) -> u64 {
        self.0
    }
}

/// One process of one start of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it was started, in ticks since the machine was.
    pub started: u64,
    /// Which start of the machine.
    pub boot: String,
}

impl Process {
    /// This one.
    pub fn current() -> io::Result<Process> {
        let stat = std::fs::read_to_string("/proc/self/stat")?;
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        let started = start_ticks(&stat).ok_or_else(|| io::Error::other("/proc/self/stat has no start time"))?;
        Ok(Process { pid: std::process::id(), started, boot })
    }

    /// What the folders of its instances begin with.
    pub fn prefix(&self) -> String {
        format!("{}-{}-", self.pid, self.started)
    }
}

/// Field 22; the name of the program, which is field 2, may hold anything, but the last parenthesis ends it.
fn start_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_whatever_the_program_is_called() {
        let stat =
            "42 (a) b (c)) S 1 42 42 0 -1 4194560 100 0 0 0 0 0 0 0 20 0 1 0 987654 1000 100 18446744073709551615";
        assert_eq!(start_ticks(stat), Some(987_654));
        assert_eq!(start_ticks("42 (a) S 1"), None);
        assert_eq!(Process::current().unwrap(), Process::current().unwrap());
    }
}
