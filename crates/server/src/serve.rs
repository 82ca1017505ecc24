//! A server from its start to its end.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use access::{Access, Assignment, Names, Role, TokenSpec, TokenText};
use host::Host;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use trail::KeyFolder;

use crate::config::{Config, ConfigError};
use crate::connections::Connections;
use crate::listen::{self, Listening};
use crate::login::Login;
use crate::metrics::Metrics;
use crate::router::router;
use crate::server::Server;
use crate::tls::{self, TlsError};
use crate::trails::{Trails, TrailsError, folders};

/// Descriptors that are left for files, beside those of connections.
const FILES: u64 = 512;
/// How often it is written when tokens were used last.
const LAST_USED_EVERY: Duration = Duration::from_secs(30);

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// How it is set up.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its trails.
    #[error(transparent)]
    Trails(#[from] TrailsError),
    /// Tokens and access policies.
    #[error(transparent)]
    Access(#[from] access::AccessError),
    /// The first token.
    #[error("the first token cannot be made: {0}")]
    Token(String),
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address.
    #[error("cannot listen on {address}: {cause}; is another server running?")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        cause: std::io::Error,
    },
    /// Threads.
    #[error("threads cannot be started: {0}")]
    Runtime(std::io::Error),
    /// Signals.
    #[error("cannot prepare for being ended: {0}")]
    Signals(std::io::Error),
}

/// What whoever started a server is told, once it listens.
pub struct Started {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether by TLS.
    pub tls: bool,
    /// The names of its trails.
    pub trails: Vec<String>,
    /// The first token there ever was, shown now and never again.
    pub first_token: Option<TokenText>,
}

/// A server that runs.
pub struct Running {
    server: Arc<Server>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// What can be checked without listening or opening a trail for writing: the configuration, the certificates, tokens and
/// access policies, and that each trail is one.
pub fn check(host: &Host, config: &Config) -> Result<Vec<String>, StartError> {
    config.check()?;
    if let Some(tls) = &config.tls {
        tls::acceptor(host, tls)?;
    }
    if let Some(login) = &config.login {
        Login::new(host, login)?;
    }
    let dir = config.dir.clone().unwrap_or_default();
    let found = folders(&dir)?;
    if dir.exists() {
        Access::check(host, &dir)?;
    }
    Ok(found.into_keys().collect())
}

/// Opens everything and listens. Called on a runtime; opening blocks for as long as recovery takes.
pub async fn start(host: &Host, config: Config, keys: &KeyFolder) -> Result<(Running, Started), StartError> {
    config.check()?;
    let acceptor = config.tls.as_ref().map(|tls| tls::acceptor(host, tls)).transpose()?;
    let login = config.login.as_ref().map(|login| Login::new(host, login)).transpose()?;
    let address = config.listen;
    // Before the trails: a second server is told so, and not that a trail is held.
    let refused = |cause| StartError::Listen { address, cause };
    let listener = listen::bind(address).map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let (dir, metrics) = (config.dir.clone().unwrap_or_default(), Arc::new(Metrics::new()));
    let trails = Trails::open(host, &dir, &config, keys, &metrics)?;
    let access = Arc::new(Access::open(host, &dir)?);
    let first_token = first_token(host, &access)?;
    let names = trails.iter().map(|served| served.name().to_owned()).collect();
    let limits = config.limits.clone();
    let connections = Connections::new(host, connections_max(&limits), Arc::clone(&metrics));
    let tls = acceptor.is_some();
    let server = Arc::new(Server::new(host.clone(), config, trails, access, login, metrics));
    let (stop, stopped) = watch::channel(false);
    let listening = Listening { listener, tls: acceptor, router: router(&server), limits, connections, stop: stopped };
    let task = tokio::spawn(listen::serve(listening));
    tokio::spawn(write_last_used(Arc::clone(&server), stop.subscribe()));
    tracing::info!(%address, tls, "listening");
    Ok((Running { server, stop, task }, Started { address, tls, trails: names, first_token }))
}

impl Running {
    /// Takes nothing new, ends what is under way within its time, and closes every trail. What could not be closed well
    /// is told; nothing that was acknowledged is lost by it.
    pub async fn stop(self) -> Vec<String> {
        let Running { server, stop, task } = self;
        tracing::info!("ending");
        let _ = stop.send(true);
        let _ = task.await;
        let closing = tokio::task::spawn_blocking(move || {
            let _ = server.access.tokens().write_last_used(true);
            server.trails.close(&server.host)
        });
        let failed = closing.await.unwrap_or_else(|error| vec![error.to_string()]);
        failed.iter().for_each(|failed| tracing::error!(failed, "could not be closed well"));
        tracing::info!("ended");
        failed
    }
}

/// Now and then, when tokens were used last is written. It is for people, and no request waits for it.
async fn write_last_used(server: Arc<Server>, mut stop: watch::Receiver<bool>) {
    while tokio::time::timeout(LAST_USED_EVERY, stop.wait_for(|stop| *stop)).await.is_err() {
        let server = Arc::clone(&server);
        let written = tokio::task::spawn_blocking(move || server.access.tokens().write_last_used(false)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "when tokens were used last could not be written");
        }
    }
}

/// Runs a server until it is told to end by SIGTERM or SIGINT. `started` is called once it listens.
pub fn run(
    host: &Host,
    config: Config,
    keys: &KeyFolder,
    started: impl FnOnce(&Started),
) -> Result<Vec<String>, StartError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("serve").build();
    runtime.map_err(StartError::Runtime)?.block_on(async {
        let asked = asked_to_end()?;
        let (running, told) = start(host, config, keys).await?;
        started(&told);
        drop(told);
        asked.await;
        Ok(running.stop().await)
    })
}

fn asked_to_end() -> Result<impl Future<Output = ()>, StartError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate()).map_err(StartError::Signals)?;
    let mut int = signal(SignalKind::interrupt()).map_err(StartError::Signals)?;
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}

/// Where there was never a token, nobody could ask anything: one for an admin is made, who reads no records and gives
/// others theirs. There is no server without tokens, on loopback neither.
fn first_token(host: &Host, access: &Access) -> Result<Option<TokenText>, StartError> {
    let failed = |error: &dyn std::fmt::Display| StartError::Token(error.to_string());
    if !access.tokens().list().map_err(|error| failed(&error))?.is_empty() {
        return Ok(None);
    }
    let role = Role::new("admin").map_err(|error| failed(&error))?;
    let spec = TokenSpec { name: "first admin".to_owned(), assignment: Assignment::new(role, Names::All) };
    let (_, text) = access.tokens().create(spec, "first start", host.now_ns()).map_err(|error| failed(&error))?;
    Ok(Some(text))
}

/// As many connections as the system has descriptors for, its own limit raised as far as it goes.
fn connections_max(limits: &crate::config::Limits) -> usize {
    let now = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: now.maximum, maximum: now.maximum };
    let descriptors = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => now.maximum,
        Err(_) => now.current,
    };
    let room = descriptors.unwrap_or(u64::MAX).saturating_sub(FILES).max(16);
    let max = usize::try_from(room).unwrap_or(usize::MAX).min(limits.connections_max);
    if max < limits.connections_max {
        tracing::warn!(max, "the system has no descriptors for more connections");
    }
    max
}
