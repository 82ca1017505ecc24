//! PostgreSQL 15 as a peer: a cluster of its own in a temporary folder, reached through its socket.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};

use host::Host;
use postgres::{Client, NoTls};
use serde_json::{Value, json};

use crate::data::{Generator, Lines, Templates};
use crate::machine::Watch;

/// What is not a default. Every commit is fsynced before it is answered, which is what a receipt stands for.
pub const SETTINGS: &[(&str, &str)] = &[
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
    ("shared_buffers", "1GB"),
    ("wal_buffers", "64MB"),
    ("max_wal_size", "32GB"),
    ("checkpoint_timeout", "30min"),
    ("max_connections", "100"),
    ("listen_addresses", "''"),
];

const TABLE: &str = "CREATE TABLE decision (id uuid PRIMARY KEY, body jsonb NOT NULL)";

/// A running cluster. Stopped and removed when dropped.
pub struct Cluster {
    folder: tempfile::TempDir,
    bin: PathBuf,
}

impl Cluster {
    /// Starts one on the disk that holds `on`.
    pub fn start(on: &Path) -> Cluster {
        let bin = std::env::var_os("PG_BIN").map_or_else(|| "/usr/lib/postgresql/15/bin".into(), PathBuf::from);
        let folder = tempfile::Builder::new().prefix("pg").tempdir_in(on).unwrap();
        let cluster = Cluster { folder, bin };
        let root = cluster.folder.path().to_str().unwrap().to_owned();
        if is_root() {
            run(Command::new("chown").args(["postgres", &root]));
        }
        let data = cluster.data();
        run(cluster.command("initdb").args(["-D", &data, "-A", "trust", "-U", "bench", "-E", "UTF8", "--locale=C"]));
        let options = SETTINGS.iter().fold(format!("-k {root}"), |mut options, (name, value)| {
            let _ = write!(options, " -c {name}={value}");
            options
        });
        let log = format!("{root}/log");
        run(cluster.command("pg_ctl").args(["-D", &data, "-l", &log, "-w", "-o", &options, "start"]));
        cluster
    }

    pub fn version(&self) -> String {
        self.client().query_one("SHOW server_version", &[]).unwrap().get(0)
    }

    pub fn client(&self) -> Client {
        let socket = self.folder.path().to_str().unwrap();
        Client::connect(&format!("host={socket} user=bench dbname=postgres"), NoTls).unwrap()
    }

    /// An empty table, and nothing left to do for the server.
    pub fn fresh_table(&self) {
        let mut client = self.client();
        client.batch_execute(&format!("DROP TABLE IF EXISTS decision; {TABLE}; CHECKPOINT")).unwrap();
    }

    /// Bytes of the table with its index and toast.
    pub fn bytes(&self) -> Value {
        let mut client = self.client();
        client.batch_execute("VACUUM ANALYZE decision").unwrap();
        let size = |client: &mut Client, function: &str| -> i64 {
            client.query_one(&format!("SELECT {function}('decision')"), &[]).unwrap().get(0)
        };
        json!({
            "total": size(&mut client, "pg_total_relation_size"),
            "table and toast": size(&mut client, "pg_table_size"),
            "index": size(&mut client, "pg_indexes_size"),
        })
    }

    /// Appends as fast as the connections are answered; records a second.
    pub fn flood(&self, templates: &Templates, connections: usize, batch: usize, seconds: f64) -> f64 {
        self.fresh_table();
        let (records, ready) = (AtomicU64::new(0), Barrier::new(connections + 1));
        let one = |connection: usize| {
            let mut sender = Sender::new(self.client(), batch);
            let mut generator = Generator::new(templates, connection as u64 + 1);
            let (mut lines, host) = (Lines::default(), Host::system());
            ready.wait();
            let watch = Watch::start();
            while watch.seconds() < seconds {
                let now = host.now_ns();
                lines.fill(&mut generator, batch, |_| now);
                sender.send(&lines);
                records.fetch_add(batch as u64, Ordering::Relaxed);
            }
        };
        let one = &one;
        let watch = std::thread::scope(|scope| {
            (0..connections).for_each(|connection| drop(scope.spawn(move || one(connection))));
            ready.wait();
            Watch::start()
        });
        records.load(Ordering::Relaxed) as f64 / watch.seconds()
    }

    fn data(&self) -> String {
        format!("{}/data", self.folder.path().display())
    }

    fn command(&self, program: &str) -> Command {
        let program = self.bin.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir("/").stdout(Stdio::null());
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.data();
        let _ = self.command("pg_ctl").args(["-D", &data, "-m", "immediate", "-w", "stop"]).status();
    }
}

/// One connection.
pub struct Sender {
    client: Client,
    insert: Option<postgres::Statement>,
    rows: Vec<u8>,
}

impl Sender {
    /// Batches go by COPY, single records by a prepared INSERT.
    pub fn new(mut client: Client, batch: usize) -> Sender {
        let statement = "INSERT INTO decision VALUES ($1::text::uuid, $2::text::jsonb)";
        let insert = (batch == 1).then(|| client.prepare(statement).unwrap());
        Sender { client, insert, rows: Vec::new() }
    }

    /// Returns when the records are durable.
    pub fn send(&mut self, lines: &Lines) {
        if let Some(insert) = &self.insert {
            let line = std::str::from_utf8(lines.iter().next().unwrap()).unwrap();
            self.client.execute(insert, &[&lines.ids[0].to_string(), &line]).unwrap();
            return;
        }
        self.rows.clear();
        for (id, line) in lines.ids.iter().zip(lines.iter()) {
            write!(self.rows, "{id}\t").unwrap();
            // The text form of COPY has one character that JSON has too.
            for piece in line.split_inclusive(|byte| *byte == b'\\') {
                self.rows.extend_from_slice(piece);
                if piece.ends_with(b"\\") {
                    self.rows.push(b'\\');
                }
            }
            self.rows.push(b'\n');
        }
        let mut copy = self.client.copy_in("COPY decision FROM STDIN").unwrap();
        copy.write_all(&self.rows).unwrap();
        assert_eq!(copy.finish().unwrap(), lines.ids.len() as u64);
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n")
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?} failed: {status}");
}
