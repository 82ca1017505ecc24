//! The real server as a process, over the folder `served` of a place.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use access::{Access, Assignment, Names, Role, TokenSpec};
use host::Host;
use reqwest::blocking::{Client, RequestBuilder};
use trail::{Folder, KeyFolder, Reader, Snapshot};

use crate::place::{Place, Run, decision, signal};

/// The file that the server's log goes to, in the place.
pub const LOG: &str = "server.log";

/// A server that runs.
pub struct Up<'p> {
    place: &'p Place,
    pub child: Child,
    pub base: String,
    pub said: String,
    pub client: Client,
}

impl<'p> Up<'p> {
    pub fn start(place: &'p Place) -> Up<'p> {
        Up::with(place, &[])
    }

    /// With variables such as `("LIMITS__READS_MAX", "4")`.
    pub fn with(place: &'p Place, set: &[(&str, &str)]) -> Up<'p> {
        let mut command = place.command(&["serve", "--dir", "served", "--listen", "127.0.0.1:0"]);
        std::fs::create_dir_all(place.path("tmp")).unwrap();
        command.env("TMPDIR", place.path("tmp"));
        command.envs(set.iter().map(|(name, value)| (format!("ONRECORD_SERVE_{name}"), value)));
        // A file: the server never waits for who reads it.
        let log = std::fs::OpenOptions::new().create(true).append(true).open(place.path(LOG)).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::from(log)).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        let base = loop {
            let mut line = String::new();
            if out.read_line(&mut line).unwrap() == 0 {
                panic!("it does not start: {said}{}", place.read(LOG));
            }
            said += &line;
            if let Some(base) = line.strip_prefix("listening on ") {
                break base.trim().to_owned();
            }
        };
        // A connection for each request: one that is kept may be closed by the server just as it is used again.
        let client = Client::builder().pool_max_idle_per_host(0).build().unwrap();
        Up { place, child, base, said, client }
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        self.base.strip_prefix("http://").unwrap()
    }

    pub fn get(&self, path: &str, token: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.base)).bearer_auth(token)
    }

    pub fn append(&self, token: &str, lines: String) -> RequestBuilder {
        append(&self.client, &self.base, token, lines)
    }

    /// The most memory that it ever had, in MiB.
    pub fn memory_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
    }

    pub fn run(&self, token: &str, args: &[&str]) -> Run {
        let output = self.place.command(args).env("ONRECORD_TOKEN", token).output().unwrap();
        self.place.of(output)
    }

    pub fn run_on(&self, token: &str, args: &[&str], stdin: &str) -> Run {
        self.place.write("stdin", stdin);
        let file = std::fs::File::open(self.place.path("stdin")).unwrap();
        let output = self.place.command(args).env("ONRECORD_TOKEN", token).stdin(file).output().unwrap();
        self.place.of(output)
    }

    pub fn end(mut self) -> i32 {
        signal(&self.child, "TERM");
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A token of a role on every trail.
pub fn token(place: &Place, role: &str) -> String {
    let host = Host::system();
    let access = Access::open(&host, place.path("served")).unwrap();
    let assignment = Assignment::new(Role::new(role).unwrap(), Names::All);
    let spec = TokenSpec { name: role.to_owned(), assignment };
    access.tokens().create(spec, "test", host.now_ns()).unwrap().1.reveal().to_owned()
}

/// A batch for the default trail.
pub fn append(client: &Client, base: &str, token: &str, lines: String) -> RequestBuilder {
    let request = client.post(format!("{base}/v1/trails/-/records")).bearer_auth(token);
    request.header("content-type", "application/x-ndjson").body(lines)
}

/// The trail `default` as its folder has it.
pub fn snapshot(place: &Place) -> Snapshot {
    let folder = Folder::new(place.path("served/default")).with_keys(&KeyFolder(place.path("keys")));
    Reader::new(&Host::system(), &folder).snapshot().unwrap()
}

/// A decision whose id is of these days, as those of live services are.
pub fn of_today(number: u32) -> String {
    let day = Host::system().now_ns() / 86_400_000_000_000 * 86_400_000;
    let hex = format!("{day:012x}");
    decision(number).replace("0190a5c2-7b1e", &format!("{}-{}", &hex[..8], &hex[8..]))
}

/// The ids and indices of an answer's receipts.
pub fn receipts(told: &str) -> Vec<(String, u64)> {
    let told: serde_json::Value = serde_json::from_str(told).unwrap();
    let of =
        |receipt: &serde_json::Value| (receipt["id"].as_str().unwrap().to_owned(), receipt["index"].as_u64().unwrap());
    told["receipts"].as_array().unwrap().iter().map(of).collect()
}

/// Each record that was acknowledged is at its index, and no other index has it (I1, T8, T25).
pub fn all_are_there(snapshot: &Snapshot, acknowledged: &[(String, u64)]) {
    let mut at = std::collections::BTreeMap::new();
    for index in 0..snapshot.end() {
        let found = snapshot.get(index).unwrap().unwrap();
        let twice = at.insert(found.stored.stamp.id.to_string(), index);
        assert_eq!(twice, None, "record {index} is there twice");
    }
    for (id, index) in acknowledged {
        assert_eq!(at.get(id), Some(index), "{id} was acknowledged at {index}");
    }
}

/// Waits until something is so.
pub fn until<T>(what: &str, mut is: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(done) = is() {
            return done;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
