//! The machine: what it is, what a process uses of it, what files take on it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use host::Host;
use serde_json::{Value, json};

/// A clock of this process.
pub struct Watch {
    host: Host,
}

impl Watch {
    pub fn start() -> Watch {
        Watch { host: Host::system() }
    }

    pub fn elapsed(&self) -> Duration {
        self.host.monotonic()
    }

    pub fn seconds(&self) -> f64 {
        self.elapsed().as_secs_f64()
    }
}

/// What a figure depends on.
pub fn describe() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let line = |path: &str, key: &str| {
        let text = read(path);
        let found = text.lines().find(|line| line.starts_with(key)).and_then(|line| line.split(':').nth(1));
        found.unwrap_or("").trim().to_owned()
    };
    let commit = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    json!({
        "processor": line("/proc/cpuinfo", "model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": line("/proc/meminfo", "MemTotal"),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load": read("/proc/loadavg").trim(),
        "optimised": !cfg!(debug_assertions),
        "commit": commit.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_default(),
    })
}

/// A figure of this process's memory, MiB: `VmRSS:` now, or `VmHWM:`, the most there ever was.
pub fn memory_mib(key: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let kib = status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().trim_end_matches(" kB");
    kib.parse::<f64>().unwrap() / 1024.0
}

/// Empties the page cache, so that what follows reads the disk; false if this process may not.
pub fn drop_caches() -> bool {
    let _ = Command::new("sync").status();
    #[allow(clippy::disallowed_methods, reason = "a switch of the kernel, no file of record")]
    std::fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}

/// Bytes of all files under a folder.
pub fn bytes_under(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.unwrap();
        let found = entry.metadata().unwrap();
        if found.is_dir() { bytes_under(&entry.path()) } else { found.len() }
    };
    entries.map(size).sum()
}
