//! `strace` around an append, counting its calls or failing them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use crate::place::{Place, Receipts, batches};
use crate::receipts;

/// Everything that changes a file, makes it durable, or reads what is there.
const CALLS: &str = "write,pwrite64,writev,pwritev,pwritev2,fsync,fdatasync,sync_file_range,rename,renameat,renameat2,\
                     link,linkat,openat,read,pread64,statx,getdents64,ftruncate,fallocate,unlink,unlinkat,mkdir,mkdirat";
/// A run that takes longer hangs, seconds.
const SECONDS_MAX: &str = "300";

/// One call, at one visit, and what it does instead.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    call: String,
    /// Only where it is about this file or folder, from the place on.
    path: Option<String>,
    /// Which visit in a thread, counted from 1.
    nth: usize,
    /// In strace's words: `error=EIO`, `retval=0`, `signal=KILL`.
    instead: &'static str,
}

impl Fault {
    pub fn kills(&self) -> bool {
        self.instead == "signal=KILL"
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:when={}", self.call, self.instead, self.nth)?;
        self.path.as_ref().map_or(Ok(()), |path| write!(f, " of {path}"))
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    Killed,
    Exit(i32),
}

/// A run that was struck.
pub struct Struck {
    pub ended: Ended,
    /// How many calls on files of the trail did something else.
    pub struck: usize,
    pub receipts: Receipts,
    pub err: String,
}

/// What a run without a fault did to the trail.
pub struct Strace {
    /// Each call and visit of a thread.
    visits: BTreeSet<(String, usize)>,
    /// Each call on a file whose name the next run gives it too, and the most visits of one thread.
    named: BTreeMap<(String, String), usize>,
}

pub fn works() -> bool {
    let output = Command::new("strace").args(["-f", "-y", "-e", "trace=openat", "true"]).output();
    output.is_ok_and(|output| output.status.success())
}

impl Strace {
    pub fn clean(place: &Place) -> Strace {
        let (ended, out, err) = append(place, &[]);
        assert_eq!(ended, Ended::Exit(0), "{err}");
        assert_eq!(receipts(&out).len(), batches().len() * 20);
        let log = std::fs::read_to_string(place.file("strace")).unwrap();
        let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
        let mut counts_of_named: BTreeMap<(String, String, String), usize> = BTreeMap::new();
        let (mut visits, mut named) = (BTreeSet::new(), BTreeMap::new());
        for (thread, call, rest) in calls(&log) {
            let nth = counts.entry((thread.to_owned(), call.to_owned())).or_default();
            *nth += 1;
            if !is_ours(rest) {
                continue;
            }
            visits.insert((call.to_owned(), *nth));
            if let Some(path) = path_of(place, rest) {
                let key = (thread.to_owned(), call.to_owned(), path.clone());
                let nth = counts_of_named.entry(key).or_default();
                *nth += 1;
                let most: &mut usize = named.entry((call.to_owned(), path)).or_default();
                *most = (*most).max(*nth);
            }
        }
        Strace { visits, named }
    }

    /// Every fault that this run had room for.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = BTreeSet::new();
        // A read is failed where it is one of ours for certain: the loader reads too, and no process begins without it.
        for (call, nth) in self.visits.iter().filter(|(call, _)| !reads(call)) {
            for instead in instead_of(call) {
                faults.insert(Fault { call: call.clone(), path: None, nth: *nth, instead });
            }
        }
        for ((call, path), most) in &self.named {
            for nth in 1..=*most {
                for instead in instead_of(call) {
                    faults.insert(Fault { call: call.clone(), path: Some(path.clone()), nth, instead });
                }
            }
        }
        faults.into_iter().collect()
    }

    pub fn struck(place: &Place, fault: &Fault) -> Struck {
        let inject = format!("inject={}:{}:when={}", fault.call, fault.instead, fault.nth);
        let mut args = vec!["-e".to_owned(), inject];
        if let Some(path) = &fault.path {
            // As it is called by its name, and as an open file is.
            args.extend(["-P".to_owned(), path.clone(), "-P".to_owned(), place.file(path).display().to_string()]);
        }
        let (ended, out, err) = append(place, &args);
        let log = std::fs::read_to_string(place.file("strace")).unwrap();
        let struck = injected(&log) + usize::from(ended == Ended::Killed);
        Struck { ended, struck, receipts: receipts(&out), err }
    }
}

fn reads(call: &str) -> bool {
    ["read", "pread64", "statx", "getdents64"].contains(&call)
}

/// What a call may do instead of its work. A call that is interrupted is made again, and nobody hears of it.
fn instead_of(call: &str) -> Vec<&'static str> {
    if reads(call) {
        return vec!["error=EIO"];
    }
    let mut instead = vec!["signal=KILL", "error=EIO", "error=ENOSPC"];
    match call {
        "pwrite64" | "write" => instead.extend(["retval=0", "error=EINTR", "error=EDQUOT"]),
        "fallocate" => instead.extend(["error=EOPNOTSUPP", "error=EINTR", "error=EDQUOT"]),
        "openat" => instead.extend(["error=EMFILE"]),
        "renameat2" => instead.extend(["error=EINVAL", "error=EROFS"]),
        "fsync" | "fdatasync" | "rename" | "unlink" => instead.push("error=EROFS"),
        _ => {}
    }
    instead
}

/// Appends batch after batch under strace (without `--seccomp-bpf`, which drops the signals it is to inject), each when the one before it was acknowledged.
fn append(place: &Place, args: &[String]) -> (Ended, String, String) {
    let mut command = Command::new("timeout");
    command.args([SECONDS_MAX, "strace", "-f", "-y", "-o", "strace", "-e"]);
    command.arg(format!("trace={CALLS}")).args(args).arg(env!("CARGO_BIN_EXE_onrecord"));
    command.args(["append", "trail", "--receipts", "--settle"]);
    let command = place.here(&mut command).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut err = child.stderr.take().unwrap();
    let listener = std::thread::spawn(move || std::io::read_to_string(&mut err).unwrap_or_default());
    let (mut output, mut out) = (BufReader::new(output), String::new());
    for batch in batches() {
        // Whoever was killed or has given up reads no more, and answers no more.
        if input.write_all(batch.as_bytes()).is_err() {
            break;
        }
        let wanted = out.lines().count() + batch.lines().count();
        while out.lines().count() < wanted && output.read_line(&mut out).is_ok_and(|bytes| bytes > 0) {}
    }
    drop(input);
    while output.read_line(&mut out).is_ok_and(|bytes| bytes > 0) {}
    let status = child.wait().unwrap();
    let err = listener.join().unwrap();
    let ended = match (status.code(), status.signal()) {
        (Some(137), _) | (None, Some(9)) => Ended::Killed,
        (Some(124), _) => panic!("{args:?}: the command hangs: {err}"),
        (code, _) => Ended::Exit(code.unwrap_or(-1)),
    };
    (ended, out, err)
}

/// Thread, call and the rest of each line at which a call begins.
fn calls(log: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    log.lines().filter_map(|line| {
        let (thread, line) = line.split_once(' ')?;
        let (call, rest) = line.trim_start().split_once('(')?;
        call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then_some((thread, call, rest))
    })
}

/// How many calls on the trail were failed. One that was interrupted names its file where it began.
fn injected(log: &str) -> usize {
    let mut begun: BTreeMap<&str, &str> = BTreeMap::new();
    let mut injected = 0;
    for line in log.lines() {
        let thread = line.split(' ').next().unwrap_or_default();
        if line.ends_with("<unfinished ...>") {
            begun.insert(thread, line);
        } else if line.contains("(INJECTED)") {
            let began = if line.contains(" resumed>") { begun.get(thread) } else { None };
            injected += usize::from(is_ours(began.unwrap_or(&line)));
        }
    }
    injected
}

/// Whether a call is about the trail or its keys.
fn is_ours(rest: &str) -> bool {
    ["/trail", "\"trail", "/keys", "\"keys"].iter().any(|name| rest.contains(name))
}

/// The file or folder that a call is about, from the place on, if its name is the same in each run.
fn path_of(place: &Place, rest: &str) -> Option<String> {
    let root = format!("{}/", place.path().display());
    // A name in quotes, the last if there are two; else the open file.
    let quoted = rest.split('"').skip(1).step_by(2).filter(|name| is_ours(&format!("\"{name}"))).last();
    let open = || rest.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(path, _)| path);
    let path = quoted.or_else(open)?;
    let path = path.strip_prefix(&root).unwrap_or(path);
    let is_random = path.contains(".onrecord-tmp") || path.contains("settle-");
    (!is_random && is_ours(&format!("\"{path}"))).then(|| path.to_owned())
}
