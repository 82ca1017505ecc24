//! How a recorder is set up.

use std::path::PathBuf;
use std::time::Duration;

use record::NAME_BYTES_MAX;

/// What a record survives once `record` has returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: it is in the process's memory. What is lost is known by its number, and declared.
    Memory,
    /// The end of the process, however it ends: it is in the spool's files, in the kernel's memory.
    #[default]
    Process,
    /// The end of the machine: the spool's file was fsynced, once for all threads that wait. `record` waits for it.
    Disk,
}

/// What is done when the bound of queue and spool is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The record that does not fit is lost, and declared.
    #[default]
    DropNewest,
    /// The oldest records that are not on their way yet are lost, and declared.
    DropOldest,
    /// `record` waits for room, for so long at most; then as [`Overflow::DropNewest`].
    Block(Duration),
}

/// What happens to a decision that cannot be kept (T29).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fail {
    /// The model goes on: `record` succeeds, and the loss is declared (I9).
    #[default]
    Open,
    /// `record` is an error, and the caller must not act on the decision. The number is declared all the same.
    Closed,
}

/// Where the bearer token is. It is read again for each request, so that one that changes is taken up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// In a variable of the environment.
    Env(String),
    /// In a file, alone.
    File(PathBuf),
}

/// A recorder's settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// `http(s)://HOST:7411`, or `http(s)://HOST:7411/v1/trails/NAME`.
    pub target: String,
    /// The service's name, as it stands in each record's `producer`.
    pub producer: String,
    /// Where spools, keys of instances and what was refused are kept. Services of one machine may share it.
    pub spool: PathBuf,
    /// Where the token is.
    pub token: Token,
    /// What a record survives.
    pub durability: Durability,
    /// What is done when there is no room.
    pub overflow: Overflow,
    /// What happens to a decision that cannot be kept.
    pub fail: Fail,
    /// Bytes of queue or spool: at least 16 MiB, in pieces of 4 MiB.
    pub bytes_max: u64,
    /// Records of a batch.
    pub batch_records_max: usize,
    /// Bytes of a batch, before it is packed.
    pub batch_bytes_max: usize,
    /// How long a record may wait for others to go with it.
    pub linger: Duration,
    /// How often the instance says that it is there.
    pub heartbeat_every: Duration,
    /// How long a request may take.
    pub request_timeout: Duration,
}

/// Why a recorder cannot be set up so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The target is no server's trail.
    #[error(
        "target: {target:?} is no server's trail: {why}; write http(s)://HOST:7411, or http(s)://HOST:7411/v1/trails/NAME"
    )]
    Target {
        /// What was given.
        target: String,
        /// What is wrong with it.
        why: String,
    },
    /// The name cannot stand in an envelope.
    #[error("producer: a name is 1 to {max} bytes on one line, without control characters")]
    Producer {
        /// Bytes at most.
        max: usize,
    },
    /// A number that is out of its range.
    #[error("{field}: {value} is not from {min} to {max}")]
    Range {
        /// The field.
        field: &'static str,
        /// What was given.
        value: u64,
        /// At least.
        min: u64,
        /// At most.
        max: u64,
    },
}

impl Config {
    /// With what holds unless it is set otherwise; the token is in `ONRECORD_TOKEN`.
    pub fn new(target: impl Into<String>, producer: impl Into<String>, spool: impl Into<PathBuf>) -> Config {
        Config {
            target: target.into(),
            producer: producer.into(),
            spool: spool.into(),
            token: Token::Env("ONRECORD_TOKEN".to_owned()),
            durability: Durability::default(),
            overflow: Overflow::default(),
            fail: Fail::default(),
            bytes_max: 256 << 20,
            batch_records_max: 1_000,
            batch_bytes_max: 4 << 20,
            linger: Duration::from_millis(20),
            heartbeat_every: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
        }
    }

    /// The address that the trail's routes are below; ends in a slash.
    pub(crate) fn base(&self) -> Result<reqwest::Url, ConfigError> {
        let wrong = |why: &str| ConfigError::Target { target: self.target.clone(), why: why.to_owned() };
        let mut base = reqwest::Url::parse(&self.target).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(wrong("its scheme is neither http nor https"));
        }
        if base.query().is_some()
            || base.fragment().is_some()
            || base.password().is_some()
            || !base.username().is_empty()
        {
            return Err(wrong("it has more than host and path"));
        }
        let path = base.path().trim_matches('/').to_owned();
        let name = match path.strip_prefix("v1/trails/") {
            None if path.is_empty() => "-",
            Some(name) if !name.is_empty() && !name.contains('/') => name,
            _ => return Err(wrong("its path is neither empty nor /v1/trails/NAME")),
        };
        base.set_path(&format!("/v1/trails/{name}/"));
        Ok(base)
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let name = &self.producer;
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(ConfigError::Producer { max: NAME_BYTES_MAX });
        }
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        for (field, value, min, max) in [
            ("bytes_max", self.bytes_max, 16 << 20, 1 << 40),
            ("batch_records_max", self.batch_records_max as u64, 1, 10_000),
            ("batch_bytes_max", self.batch_bytes_max as u64, 4 << 10, 16 << 20),
            ("linger in ms", millis(self.linger), 0, 60_000),
            ("heartbeat_every in ms", millis(self.heartbeat_every), 50, 86_400_000),
            ("request_timeout in ms", millis(self.request_timeout), 100, 600_000),
        ] {
            if !(min..=max).contains(&value) {
                return Err(ConfigError::Range { field, value, min, max });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_server_or_one_of_its_trails() {
        let base = |target: &str| Config::new(target, "p", "s").base().map(String::from);
        assert_eq!(base("http://localhost:7411").unwrap(), "http://localhost:7411/v1/trails/-/");
        assert_eq!(base("https://h/v1/trails/credit").unwrap(), "https://h/v1/trails/credit/");
        for wrong in
            ["./trail", "ftp://h", "http://user:x@h", "http://h/elsewhere", "http://h/?x=1", "http://h/v1/trails/a/b"]
        {
            assert!(base(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_setting_out_of_its_range_is_named() {
        let config = Config { bytes_max: 1, ..Config::new("http://h", "p", "s") };
        assert_eq!(config.check().unwrap_err().to_string(), "bytes_max: 1 is not from 16777216 to 1099511627776");
        assert!(Config::new("http://h", "a\nb", "s").check().is_err());
        assert_eq!(Config::new("http://h", "p", "s").check(), Ok(()));
    }
}
