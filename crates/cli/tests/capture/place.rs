//! A folder with a server that can go away and come back, and recorders that send to it.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use access::{Access, Assignment, Names, Role, TokenSpec};
use client::{Config, Event, Recorder, Token, Trouble};
use host::Host;
use record::{Part, Value};
use serde_json::Value as Json;

pub const LONG: Duration = Duration::from_secs(60);

pub struct Place {
    folder: tempfile::TempDir,
    port: u16,
}

/// A server that runs.
pub struct Up(Child);

impl Place {
    /// With a trail, a writer's token in a file, and an address that is free.
    pub fn new() -> Place {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let place = Place { folder: tempfile::tempdir().unwrap(), port };
        let init = place.command(&["init", "served/credit", "--origin", "example.com/credit"]).output().unwrap();
        assert!(init.status.success(), "{init:?}");
        std::fs::write(place.path("token"), place.token("writer")).unwrap();
        std::fs::write(place.path("auditor"), place.token("auditor")).unwrap();
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn token(&self, role: &str) -> String {
        let host = Host::system();
        let access = Access::open(&host, self.path("served")).unwrap();
        let assignment = Assignment::new(Role::new(role).unwrap(), Names::All);
        let spec = TokenSpec { name: role.to_owned(), assignment };
        access.tokens().create(spec, "test", host.now_ns()).unwrap().1.reveal().to_owned()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onrecord"));
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env_clear().env("ONRECORD_KEYS", self.path("keys"));
        command
    }

    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn up(&self) -> Up {
        let listen = format!("127.0.0.1:{}", self.port);
        let mut command = self.command(&["serve", "--dir", "served", "--listen", &listen]);
        let mut up = Up(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
        let mut out = BufReader::new(up.0.stdout.take().unwrap());
        loop {
            let mut line = String::new();
            assert_ne!(out.read_line(&mut line).unwrap(), 0, "the server does not start");
            if line.starts_with("listening on ") {
                return up;
            }
        }
    }

    pub fn config(&self) -> Config {
        Config {
            token: Token::File(self.path("token")),
            heartbeat_every: Duration::from_millis(100),
            linger: Duration::from_millis(5),
            ..Config::new(self.base(), "credit-api", self.path("spool"))
        }
    }

    /// A recorder, and what it says goes wrong.
    pub fn recorder(&self, config: Config) -> (Recorder, Arc<Mutex<Vec<Trouble>>>) {
        let troubles = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&troubles);
        let watch = Arc::new(move |trouble: &Trouble| told.lock().unwrap().push(trouble.clone()));
        (Recorder::open_with(&Host::system(), config, watch).unwrap(), troubles)
    }

    /// What `onrecord gaps` says of the server's trail, and how it ends.
    pub fn gaps(&self) -> (i32, Json) {
        let mut command = self.command(&["-q", "gaps", &self.base(), "--json"]);
        let output =
            command.env("ONRECORD_TOKEN", std::fs::read_to_string(self.path("auditor")).unwrap()).output().unwrap();
        let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        (output.status.code().unwrap(), json)
    }

    /// Folders of instances that are left in the spool.
    pub fn instances(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path("spool")).unwrap();
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
    }
}

impl Up {
    pub fn down(mut self) {
        let kill = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap();
        assert!(kill.success());
        self.0.wait().unwrap();
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn decision(number: u64) -> Event {
    let inputs =
        [("income".to_owned(), Value::float(number as f64)), ("state".to_owned(), Value::Text("CA".to_owned()))];
    Event::decision("credit-risk", "1.2.0")
        .with(Part::Inputs, Value::map(inputs))
        .with(Part::Output, Value::float(0.37))
        .with(Part::Context, Value::map([("padding".to_owned(), Value::Text("x".repeat(300)))]))
}

pub fn until(what: &str, mut is: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < LONG, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
