//! A folder of trails, a server over it, and a client.

use std::time::{Duration, Instant};

use access::{Access, Assignment, Names, Role, TokenSpec};
use host::Host;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use server::{Config, Running};
use trail::{Folder, KeyFolder, Reader, Snapshot};

/// A folder with trails and keys.
pub struct Place {
    folder: tempfile::TempDir,
    pub host: Host,
}

/// A server that runs.
pub struct Up {
    pub running: Running,
    pub base: String,
    pub client: Client,
    pub first_token: Option<String>,
}

impl Place {
    /// With a trail of each name.
    pub fn with(trails: &[&str]) -> Place {
        let place = Place { folder: tempfile::tempdir().unwrap(), host: Host::system() };
        for name in trails {
            let origin = format!("example.com/{name}");
            trail::init(&place.host, &place.trail(name), Some(&origin), &place.keys()).unwrap();
        }
        place
    }

    pub fn dir(&self) -> std::path::PathBuf {
        self.folder.path().join("trails")
    }

    pub fn trail(&self, name: &str) -> Folder {
        Folder::new(self.dir().join(name))
    }

    pub fn keys(&self) -> KeyFolder {
        KeyFolder(self.folder.path().join("keys"))
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.dir().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn config(&self) -> Config {
        Config { dir: Some(self.dir()), listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() }
    }

    /// A token of a role on a trail.
    pub fn token(&self, role: &str, trail: &str) -> String {
        let mut assignment = Assignment::new(Role::new(role).unwrap(), Names::of([trail]).unwrap());
        if role == "regulator" {
            let now = self.host.now_ns();
            (assignment.from, assignment.until) = (Some(now - 1_000_000_000), Some(now + 3_600_000_000_000));
        }
        self.token_of(role, assignment)
    }

    pub fn token_of(&self, name: &str, assignment: Assignment) -> String {
        let access = Access::open(&self.host, self.dir()).unwrap();
        let spec = TokenSpec { name: name.to_owned(), assignment };
        access.tokens().create(spec, "test", self.host.now_ns()).unwrap().1.reveal().to_owned()
    }

    pub async fn up(&self) -> Up {
        self.up_with(self.config()).await
    }

    pub async fn up_with(&self, config: Config) -> Up {
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        let (running, started) = server::start(&self.host, config, &self.keys()).await.unwrap();
        let base = format!("{scheme}://{}", started.address);
        let first_token = started.first_token.as_ref().map(|token| token.reveal().to_owned());
        Up { running, base, client: Client::new(), first_token }
    }

    /// A trail as its folder has it.
    pub fn snapshot(&self, name: &str) -> Snapshot {
        Reader::new(&self.host, &self.trail(name)).snapshot().unwrap()
    }

    /// The checkpoint of a trail, as an auditor takes it.
    pub fn checkpoint(&self, name: &str) -> String {
        self.snapshot(name).checkpoint().unwrap().note().to_string()
    }

    /// Asks a trail's folder as who sees all of it.
    pub async fn seeing_all<T: Send + 'static>(
        &self,
        name: &str,
        ask: impl FnOnce(query::View) -> T + Send + 'static,
    ) -> T {
        let (host, snapshot) = (self.host.clone(), self.snapshot(name));
        let asked = move || {
            let engine = query::Engine::new(&host, query::Limits::default()).unwrap();
            ask(engine.view(snapshot, query::Policy::default()).unwrap())
        };
        tokio::task::spawn_blocking(asked).await.unwrap()
    }

    /// The contexts of all access records of a trail, in order, each with its index and what it is about.
    pub fn access_records(&self, name: &str) -> Vec<(u64, Value)> {
        let snapshot = self.snapshot(name);
        let all = (0..snapshot.end()).map(|index| snapshot.get(index).unwrap().unwrap());
        let access = all.filter(|found| found.stored.stamp.kind == record::Kind::Access);
        access
            .map(|found| (found.index, serde_json::from_str(&record::to_json(&found.stored).unwrap()).unwrap()))
            .collect()
    }
}

impl Up {
    pub fn ask(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(token)
    }

    pub async fn get(&self, path: &str, token: &str) -> Response {
        self.ask(Method::GET, path, token).send().await.unwrap()
    }

    pub async fn json(&self, path: &str, token: &str) -> Value {
        let response = self.get(path, token).await;
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    pub async fn append(&self, trail: &str, token: &str, body: impl Into<reqwest::Body>) -> Response {
        let request = self.ask(Method::POST, &format!("/v1/trails/{trail}/records"), token);
        request.header("content-type", "application/x-ndjson").body(body).send().await.unwrap()
    }

    pub async fn sql(&self, trail: &str, token: &str, query: &str) -> Response {
        let request = self.ask(Method::POST, &format!("/v1/trails/{trail}/sql"), token);
        request.json(&json!({ "query": query })).send().await.unwrap()
    }

    pub async fn down(self) {
        let failed = self.running.stop().await;
        assert!(failed.is_empty(), "{failed:?}");
    }
}

pub async fn body(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// A decision in one line of JSON.
pub fn decision(number: u32) -> String {
    let id = id(number);
    json!({
        "id": id, "time": format!("2026-11-01T12:{:02}:{:02}.5Z", number / 60 % 60, number % 60),
        "model": {"name": "credit-risk", "version": "1"}, "inputs": {"income": 42_000 + number}, "output": 0.85,
        "subject": {"id": format!("customer-{}", number % 7)},
    })
    .to_string()
        + "\n"
}

/// An id of today: the idempotency window looks at its time.
pub fn id(number: u32) -> String {
    let ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    // Of the same day for a whole run, and the same for the same number.
    let day = ms / 86_400_000 * 86_400_000;
    let hex = format!("{day:012x}");
    format!("{}-{}-7c3a-9d55-{number:012x}", &hex[..8], &hex[8..])
}

/// Waits until something is so.
pub async fn until<T>(what: &str, mut is: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(done) = is().await {
            return done;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
