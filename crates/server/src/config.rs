//! How a server is set up: one TOML file, and the environment over it. Everything has a default but the folder; what is
//! wrong is told by the name of its field.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// Environment variables that set a field begin so; `__` stands between a table and a field.
pub const ENV_PREFIX: &str = "ONRECORD_SERVE_";
/// The port unless another is named.
pub const PORT: u16 = 7411;
/// Bytes of a configuration file at most.
const FILE_BYTES_MAX: usize = 1 << 20;

/// How a server is set up.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The folder whose folders are trails; or a trail's own.
    pub dir: Option<PathBuf>,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Listen without TLS on an address that others can reach.
    pub insecure: bool,
    /// The trail that is meant where none is named.
    pub default_trail: Option<String>,
    /// The folder of signing keys; that of the command otherwise.
    pub keys: Option<PathBuf>,
    /// The server's certificate.
    pub tls: Option<Tls>,
    /// What may be used.
    pub limits: Limits,
    /// How trails are written.
    pub writer: WriterConfig,
    /// What goes to the log.
    pub log: Log,
}

/// The server's certificate, and whose certificates it takes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate and those that vouch for it, PEM.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// Authorities whose certificates clients may show, PEM.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
    /// Whether a client must show one.
    #[serde(default)]
    pub client_required: bool,
}

/// What requests, connections and queries may use (I12).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of a body as it comes.
    pub body_bytes_max: usize,
    /// Bytes of a body once it is unpacked.
    pub unpacked_bytes_max: u64,
    /// Bytes of all bodies and records under way.
    pub bytes_in_flight_max: usize,
    /// Records of one request.
    pub batch_records_max: usize,
    /// Connections at once.
    pub connections_max: usize,
    /// Header fields of a request.
    pub headers_max: usize,
    /// Bytes of a request's head.
    pub header_bytes_max: usize,
    /// Seconds for a TLS handshake, and for a request's head.
    pub header_s_max: u64,
    /// Seconds for a whole body.
    pub body_s_max: u64,
    /// Seconds for which a body may stand still, or who reads an answer.
    pub idle_s_max: u64,
    /// Appends that are read at once.
    pub appends_max: usize,
    /// Reads that are answered at once.
    pub reads_max: usize,
    /// Seconds that a request waits for its turn.
    pub turn_s_max: u64,
    /// Seconds of a query.
    pub query_s_max: u64,
    /// Bytes of memory of a query.
    pub query_bytes_max: usize,
    /// Rows of an answer.
    pub query_rows_max: usize,
    /// Bytes of an export's records, and of its rows.
    pub export_bytes_max: u64,
    /// Seconds that requests under way have when the server ends.
    pub drain_s_max: u64,
}

/// How trails are written. What is not said is as the trail's own default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WriterConfig {
    /// The longest that a record waits for its seal, milliseconds.
    pub seal_every_ms: Option<u64>,
    /// The longest that a sealed record waits in the journal, seconds.
    pub settle_every_s: Option<u64>,
    /// Bytes in a trail's journal at most.
    pub backlog_bytes_max: Option<u64>,
}

/// What goes to the log.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `json`, or `text` for people.
    pub format: LogFormat,
    /// How much: `error`, `warn`, `info`, `debug`.
    pub level: LogLevel,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// A line for people.
    Text,
}

/// How much is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What failed.
    Error,
    /// And what should be looked at.
    Warn,
    /// And a line a request.
    Info,
    /// And what helps to find a fault.
    Debug,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            dir: None,
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT),
            insecure: false,
            default_trail: None,
            keys: None,
            tls: None,
            limits: Limits::default(),
            writer: WriterConfig::default(),
            log: Log::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            body_bytes_max: 32 << 20,
            unpacked_bytes_max: 32 << 20,
            bytes_in_flight_max: 256 << 20,
            batch_records_max: 10_000,
            connections_max: 4096,
            headers_max: 64,
            header_bytes_max: 32 << 10,
            header_s_max: 10,
            body_s_max: 60,
            idle_s_max: 15,
            appends_max: 2 * std::thread::available_parallelism().map_or(2, usize::from),
            reads_max: 16,
            turn_s_max: 5,
            query_s_max: 60,
            query_bytes_max: 256 << 20,
            query_rows_max: 1_000_000,
            export_bytes_max: 4 << 30,
            drain_s_max: 30,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Log { format: LogFormat::Json, level: LogLevel::Info }
    }
}

/// Why a server cannot be set up so.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// The file, or what the environment adds, is no configuration.
    #[error("{from}: {cause}")]
    Syntax {
        /// Where it stands.
        from: String,
        /// What the parser says, with the name of the field.
        cause: String,
    },
    /// A field has a value that it may not have.
    #[error("{field}: {what}")]
    Field {
        /// The field, with its table.
        field: &'static str,
        /// What is wrong, and what to do.
        what: String,
    },
}

impl Config {
    /// Reads a file, if there is one, and the environment over it.
    pub fn read(
        host: &host::Host,
        file: Option<&std::path::Path>,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Config, ConfigError> {
        let mut table = match file {
            Some(path) => of_file(host, path)?,
            None => toml::Table::new(),
        };
        let mut of_env: Vec<(String, String)> =
            env.into_iter().filter(|(name, _)| name.starts_with(ENV_PREFIX)).collect();
        of_env.sort();
        for (name, value) in of_env {
            set(&mut table, &name, &value)?;
        }
        let from = file.map_or_else(|| "the environment".to_owned(), |path| path.display().to_string());
        let read = serde_path(table);
        read.map_err(|cause| ConfigError::Syntax { from, cause })
    }

    /// What is wrong with it, as far as that can be told without opening anything.
    pub fn check(&self) -> Result<(), ConfigError> {
        let wrong = |field, what: String| Err(ConfigError::Field { field, what });
        if self.dir.is_none() {
            return wrong("dir", "no folder of trails is named; set it, or give --dir".to_owned());
        }
        if !self.listen.ip().is_loopback() && self.tls.is_none() && !self.insecure {
            let what = format!(
                "{} can be reached by others, and there is no TLS; set tls.cert and tls.key, or say --insecure",
                self.listen
            );
            return wrong("listen", what);
        }
        if let Some(tls) = self.tls.as_ref().filter(|tls| tls.client_required && tls.client_ca.is_none()) {
            let what = format!("it is set, and {} names no authority; set tls.client_ca", tls.cert.display());
            return wrong("tls.client_required", what);
        }
        if let Some(name) = self.default_trail.as_deref().filter(|name| !crate::trails::is_name(name)) {
            return wrong("default_trail", format!("{name:?} is no name of a trail"));
        }
        self.limits.check()?;
        self.writer.check()
    }
}

impl Limits {
    fn check(&self) -> Result<(), ConfigError> {
        within("limits.body_bytes_max", self.body_bytes_max as u64, 1 << 10, 1 << 30)?;
        within("limits.unpacked_bytes_max", self.unpacked_bytes_max, 1 << 10, 1 << 30)?;
        let least = (self.body_bytes_max as u64).saturating_add(self.unpacked_bytes_max);
        within("limits.bytes_in_flight_max", self.bytes_in_flight_max as u64, least, 64 << 30)?;
        within("limits.batch_records_max", self.batch_records_max as u64, 1, 10_000)?;
        within("limits.connections_max", self.connections_max as u64, 1, 1 << 20)?;
        within("limits.headers_max", self.headers_max as u64, 16, 1024)?;
        within("limits.header_bytes_max", self.header_bytes_max as u64, 8 << 10, 1 << 20)?;
        within("limits.header_s_max", self.header_s_max, 1, 300)?;
        within("limits.body_s_max", self.body_s_max, 1, 3600)?;
        within("limits.idle_s_max", self.idle_s_max, 1, 3600)?;
        within("limits.appends_max", self.appends_max as u64, 1, 256)?;
        within("limits.reads_max", self.reads_max as u64, 1, 256)?;
        within("limits.turn_s_max", self.turn_s_max, 1, 300)?;
        within("limits.query_s_max", self.query_s_max, 1, 3600)?;
        within("limits.query_bytes_max", self.query_bytes_max as u64, 16 << 20, 64 << 30)?;
        within("limits.query_rows_max", self.query_rows_max as u64, 1, 100_000_000)?;
        within("limits.export_bytes_max", self.export_bytes_max, 1 << 20, 1 << 40)?;
        within("limits.drain_s_max", self.drain_s_max, 1, 3600)
    }

    /// For how long who reads an answer may stand still.
    pub fn stall(&self) -> Duration {
        Duration::from_secs(self.idle_s_max)
    }

    /// What a query may use.
    pub fn of_queries(&self) -> query::Limits {
        query::Limits {
            time: Duration::from_secs(self.query_s_max),
            memory_bytes: self.query_bytes_max,
            rows: self.query_rows_max,
            ..query::Limits::default()
        }
    }
}

impl WriterConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let set = |field, value: Option<u64>, min, max| value.map_or(Ok(()), |value| within(field, value, min, max));
        set("writer.seal_every_ms", self.seal_every_ms, 1, 60_000)?;
        set("writer.settle_every_s", self.settle_every_s, 1, 24 * 3600)?;
        set("writer.backlog_bytes_max", self.backlog_bytes_max, 1 << 20, 1 << 40)
    }

    /// How a trail's writer works.
    pub fn options(&self, limits: &Limits) -> trail::Options {
        let default = trail::Options::default();
        trail::Options {
            seal_every: self.seal_every_ms.map_or(default.seal_every, Duration::from_millis),
            settle_every: self.settle_every_s.map_or(default.settle_every, Duration::from_secs),
            backlog_bytes_max: self.backlog_bytes_max.unwrap_or(default.backlog_bytes_max),
            batch_records_max: limits.batch_records_max,
            ..default
        }
    }
}

fn within(field: &'static str, value: u64, min: u64, max: u64) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::Field { field, what: format!("it is {value}; it must be from {min} to {max}") })
}

fn of_file(host: &host::Host, path: &std::path::Path) -> Result<toml::Table, ConfigError> {
    let file = |cause: String| ConfigError::File { path: path.to_owned(), cause };
    let bytes = host.read_if_there(path, "config").map_err(|error| file(error.to_string()))?;
    let bytes = bytes.ok_or_else(|| file("it is not there".to_owned()))?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(file(format!("it has {} bytes, over the limit of {FILE_BYTES_MAX}", bytes.len())));
    }
    let text = String::from_utf8(bytes).map_err(|_| file("it is not text".to_owned()))?;
    let table: Result<toml::Table, _> = text.parse();
    let syntax = |error: toml::de::Error| ConfigError::Syntax {
        from: path.display().to_string(),
        cause: error.to_string().trim_end().to_owned(),
    };
    table.map_err(syntax)
}

/// Sets the field that a variable names: `ONRECORD_SERVE_LIMITS__READS_MAX=4`.
fn set(table: &mut toml::Table, name: &str, value: &str) -> Result<(), ConfigError> {
    let steps: Vec<String> = name[ENV_PREFIX.len()..].split("__").map(str::to_ascii_lowercase).collect();
    let Some((field, tables)) = steps.split_last() else { return Ok(()) };
    let mut table = table;
    for step in tables {
        let entry = table.entry(step.as_str()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        let toml::Value::Table(inner) = entry else {
            return Err(ConfigError::Syntax { from: name.to_owned(), cause: format!("{step} is no table") });
        };
        table = inner;
    }
    // A number, `true`, a list: what TOML reads it as. Anything else is a text.
    let read = format!("v = {value}").parse::<toml::Table>().ok().and_then(|mut read| read.remove("v"));
    let value = read.filter(|read| !read.is_table()).unwrap_or_else(|| toml::Value::String(value.to_owned()));
    table.insert(field.clone(), value);
    Ok(())
}

/// The configuration in a table; a fault names its field, with the tables that it is in.
fn serde_path(table: toml::Table) -> Result<Config, String> {
    let whole = |table: &toml::Table| table.clone().try_into::<Config>();
    let Err(error) = whole(&table) else { return whole(&table).map_err(|error| error.to_string()) };
    // The parser tells the field of a text, not of values: each is tried alone.
    for (name, value) in &table {
        let alone = toml::Table::from_iter([(name.clone(), value.clone())]);
        let Err(error) = whole(&alone) else { continue };
        let inner = value.as_table().into_iter().flatten().find_map(|(field, value)| {
            let mut fields = match name.as_str() {
                "tls" => toml::Table::from_iter(["cert", "key"].map(|k| (k.to_owned(), "x".into()))),
                _ => toml::Table::new(),
            };
            fields.insert(field.clone(), value.clone());
            let alone = toml::Table::from_iter([(name.clone(), toml::Value::Table(fields))]);
            whole(&alone).err().map(|error| format!("{name}.{field}: {}", error.message()))
        });
        return Err(inner.unwrap_or_else(|| format!("{name}: {}", error.message())));
    }
    Err(error.message().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, env: &[(&str, &str)]) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let host = host::Host::system();
        let path = folder.path().join("onrecord.toml");
        host.put_new(&path, text.as_bytes(), "config").unwrap();
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = Config::read(&host, Some(&path), env).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn the_environment_stands_over_the_file() {
        let text = "dir = '/srv/trails'\nlisten = '127.0.0.1:80'\n[limits]\nreads_max = 3\n";
        let env = [("ONRECORD_SERVE_LISTEN", "127.0.0.1:81"), ("ONRECORD_SERVE_LIMITS__READS_MAX", "4"), ("PATH", "x")];
        let config = read(text, &env).unwrap();
        assert_eq!((config.listen.port(), config.limits.reads_max), (81, 4));
        assert_eq!(config.limits.body_bytes_max, 32 << 20);
        assert_eq!(read(text, &[]).unwrap().listen.port(), 80);
    }

    #[test]
    fn what_is_wrong_is_told_by_its_field() {
        for (text, told) in [
            ("", "dir: no folder of trails is named"),
            (
                "dir = 'x'\nlisten = '0.0.0.0:7411'",
                "listen: 0.0.0.0:7411 can be reached by others, and there is no TLS",
            ),
            ("dir = 'x'\n[limits]\nreads_max = 0", "limits.reads_max: it is 0; it must be from 1 to 256"),
            ("dir = 'x'\n[limits]\nreads_max = 'many'", "limits.reads_max: invalid type: string \"many\""),
            ("dir = 'x'\n[limits]\nread_max = 1", "limits.read_max: unknown field `read_max`"),
            ("dir = 'x'\nlimit = 1", "limit: unknown field `limit`"),
            ("dir = 'x'\nlisten = 'here'", "listen: invalid socket address syntax"),
            ("dir = 'x'\n[tls]\ncert = 'c'", "tls: missing field `key`"),
            ("dir = 'x'\n[log]\nlevel = 'loud'", "log.level: unknown variant `loud`"),
            ("dir = 'x'\ndefault_trail = '../x'", "default_trail: \"../x\" is no name of a trail"),
            ("dir = ", "TOML parse error at line 1"),
        ] {
            let error = read(text, &[]).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
        assert!(read("dir = 'x'\nlisten = '0.0.0.0:7411'\ninsecure = true", &[]).is_ok());
        let error = read("dir = 'x'", &[("ONRECORD_SERVE_LIMITS__READS_MAX", "x")]).unwrap_err();
        assert!(error.contains("limits.reads_max"), "{error}");
    }
}
