//! How a server is set up: one TOML file, and the environment over it. Everything has a default but the folder; what is
//! wrong is told by the name of its field.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;

mod limits;
mod log;
mod sources;
mod writer;

pub use limits::Limits;
pub use log::{Log, LogFormat, LogLevel};
use sources::{config_of, of_file, set};
pub use writer::WriterConfig;

use crate::login::LoginSettings;

/// Environment variables that set a field begin so; `__` stands between a table and a field.
pub const ENV_PREFIX: &str = "ONRECORD_SERVE_";
/// The port unless another is named.
pub const PORT: u16 = 7411;

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
    /// By which identity provider people log in; nobody does without.
    pub login: Option<LoginSettings>,
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

impl Default for Config {
    fn default() -> Self {
        Config {
            dir: None,
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT),
            insecure: false,
            default_trail: None,
            keys: None,
            tls: None,
            login: None,
            limits: Limits::default(),
            writer: WriterConfig::default(),
            log: Log::default(),
        }
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
        let read = config_of(table);
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
        if let Some((field, what)) = self.login.as_ref().and_then(|login| login.check().err()) {
            return wrong(field, what);
        }
        self.limits.check()?;
        self.writer.check()
    }
}

fn within(field: &'static str, value: u64, min: u64, max: u64) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::Field { field, what: format!("it is {value}; it must be from {min} to {max}") })
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
            ("dir = 'x'\n[login]\nissuer = 'https://id.example'", "login: missing field `client_id`"),
            ("dir = 'x'\n[login]\nscopes = 'groups'", "login.scopes: invalid type: string"),
            (
                "dir = 'x'\n[login]\nissuer = 'http://id.example'\nclient_id = 'x'\nredirect_url = 'x'",
                "login.issuer: the address is not https://",
            ),
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
