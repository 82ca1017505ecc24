//! The trails of a server, by their names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::Host;
use query::Engine;
use trail::{Folder, KeyFolder, Protection, Settings, Source};

use crate::config::Config;
use crate::metrics::Metrics;
use crate::served::Served;

/// Trails that a server holds at most (I12).
const TRAILS_MAX: usize = 1_000;
/// The name by which a caller means the default trail.
pub const DEFAULT_ALIAS: &str = "-";
/// The trail that is made where there is none.
const FIRST: &str = "default";

/// Why the trails of a folder cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TrailsError {
    /// The folder cannot be read or made.
    #[error(transparent)]
    File(#[from] host::FileError),
    /// The folder's entries cannot be read.
    #[error("cannot list {}: {cause}", path.display())]
    List {
        /// The folder.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// A folder with a trail in it has a name that no path of the server could have.
    #[error(
        "{} is a trail, and its name cannot be one of a server's; rename it to letters, digits, '.', '_' and '-', \
         64 at most",
        .0.display()
    )]
    Name(PathBuf),
    /// The folder is a trail, and not one of trails: what a server keeps beside its trails has no place in one.
    #[error("dir: {} is a trail itself; give the folder that it is in", .0.display())]
    IsTrail(PathBuf),
    /// There is no trail, though one was made: somebody took it away.
    #[error("{} holds no trail; make one with onrecord init", .0.display())]
    None(PathBuf),
    /// Too many.
    #[error("{} holds more than {TRAILS_MAX} trails; serve a part of them", .0.display())]
    TooMany(PathBuf),
    /// Two of them are one log: each would do away with keys of the other's files.
    #[error("{first} and {second} are both {origin}: one is a copy of the other; keep it elsewhere")]
    Twice {
        /// The log.
        origin: String,
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// A trail's own file cannot be read.
    #[error(transparent)]
    Settings(#[from] trail::SettingsError),
    /// The default trail is not there.
    #[error("default_trail: there is no trail {name:?} in {}", path.display())]
    NoDefault {
        /// Its name.
        name: String,
        /// The folder.
        path: PathBuf,
    },
    /// The first trail could not be made.
    #[error(transparent)]
    Init(#[from] trail::InitError),
    /// A trail could not be opened.
    #[error("trail {name}: {cause}")]
    Open {
        /// Its name.
        name: String,
        /// Why.
        cause: Box<trail::OpenError>,
    },
    /// Queries have no threads or folder.
    #[error(transparent)]
    Engine(#[from] query::QueryError),
    /// The socket beside a trail cannot be had.
    #[error("trail {name}: {cause}")]
    Socket {
        /// Its name.
        name: String,
        /// Why.
        cause: trail::SocketError,
    },
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// The folder beside the trails that is none: of tokens and access policies.
const ACCESS: &str = "access";

/// Whether a text can be the name of a trail in a path: nothing that leads anywhere else (T24).
pub fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let begins = name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    begins && name.len() <= 64 && name.bytes().all(plain) && name != ACCESS
}

/// The trails of a server, all open.
pub struct Trails {
    by_name: BTreeMap<String, Arc<Served>>,
    home: Arc<Served>,
    default: Option<String>,
}

/// The folders in `dir` that are trails.
pub fn folders(dir: &Path) -> Result<BTreeMap<String, PathBuf>, TrailsError> {
    if dir.join("trail.json").exists() {
        return Err(TrailsError::IsTrail(dir.to_owned()));
    }
    let list = |cause| TrailsError::List { path: dir.to_owned(), cause };
    let mut found = BTreeMap::new();
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        entries => entries.map_err(list)?,
    };
    for entry in entries {
        let path = entry.map_err(list)?.path();
        if !path.join("trail.json").exists() {
            continue;
        }
        let name = path.file_name().and_then(|name| name.to_str()).filter(|name| is_name(name));
        let name = name.ok_or_else(|| TrailsError::Name(path.clone()))?;
        found.insert(name.to_owned(), path.clone());
        if found.len() > TRAILS_MAX {
            return Err(TrailsError::TooMany(dir.to_owned()));
        }
    }
    Ok(found)
}

impl Trails {
    /// Opens all of them for writing. Where there is none, one is made.
    pub fn open(
        host: &Host,
        dir: &Path,
        config: &Config,
        keys: &KeyFolder,
        metrics: &Arc<Metrics>,
    ) -> Result<Trails, TrailsError> {
        let mut found = folders(dir)?;
        if found.is_empty() {
            let (name, path) = (config.default_trail.as_deref().unwrap_or(FIRST), dir);
            let path = path.join(name);
            let protection = Protection::Encrypted { master: &Source::default() };
            trail::init_protected(host, &Folder::new(&path).with_keys(keys), None, keys, protection)?;
            tracing::info!(trail = name, "made the first trail");
            found.insert(name.to_owned(), path);
        }
        let default = match &config.default_trail {
            Some(name) if !found.contains_key(name) => {
                return Err(TrailsError::NoDefault { name: name.clone(), path: dir.to_owned() });
            }
            Some(name) => Some(name.clone()),
            None if found.len() == 1 => found.keys().next().cloned(),
            None => found.contains_key(FIRST).then(|| FIRST.to_owned()),
        };
        let mut origins = BTreeMap::new();
        for (name, path) in &found {
            let origin = Settings::read(host, &Folder::new(path))?.origin;
            if let Some(first) = origins.insert(origin.clone(), name) {
                return Err(TrailsError::Twice { origin, first: first.clone(), second: name.clone() });
            }
        }
        let engine = Engine::new(host, config.limits.of_queries())?;
        let mut by_name = BTreeMap::new();
        for (name, path) in found {
            let options = config.writer.options(&config.limits);
            let served =
                Served::open(host, &name, &Folder::new(path).with_keys(keys), keys, options, engine.clone(), metrics)?;
            by_name.insert(name, Arc::new(served));
        }
        let home = default.as_ref().and_then(|name| by_name.get(name)).or_else(|| by_name.values().next());
        let home = Arc::clone(home.ok_or_else(|| TrailsError::None(dir.to_owned()))?);
        Ok(Trails { by_name, home, default })
    }

    /// The name that a caller means.
    pub fn meant<'n>(&'n self, name: &'n str) -> &'n str {
        match &self.default {
            Some(default) if name == DEFAULT_ALIAS => default,
            _ => name,
        }
    }

    /// The trail of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<Served>> {
        self.by_name.get(name)
    }

    /// The trail on which the server's own acts go on record that are no trail's, such as logins: the default one, or the
    /// first by name where there is none.
    pub fn home(&self) -> &Arc<Served> {
        &self.home
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.by_name.values()
    }

    /// Closes all of them, each as well as it can be; what could not be done is told.
    pub fn close(&self, host: &Host) -> Vec<String> {
        let closed =
            self.iter().map(|served| served.close(host).map_err(|why| format!("trail {}: {why}", served.name())));
        closed.filter_map(Result::err).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::is_name;

    /// T24, T28: no name leads out of the folder of trails.
    #[test]
    fn names_lead_nowhere_else() {
        for good in ["default", "credit-risk", "eu.credit_2", "7"] {
            assert!(is_name(good), "{good}");
        }
        for bad in [
            "",
            "-",
            ".",
            "..",
            "../x",
            "a/b",
            "a\\b",
            ".hidden",
            "a\0",
            "a b",
            "é",
            "%2e%2e",
            "access",
            &"a".repeat(65),
        ] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
