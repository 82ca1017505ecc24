//! `onrecord serve`: trails over HTTP.

use std::net::SocketAddr;
use std::path::PathBuf;

use server::config::LogFormat;
use server::{Config, StartError, Started};
use trail::KeyFolder;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::number;
use crate::session::Session;
use crate::style::{GOOD, paint};
use crate::text::plain;

/// Serve the trails of a folder over HTTP
///
/// Every folder in DIR that is a trail is served under its name; where there is none, one called "default" is made. What
/// is asked takes a token. At the first start one for an admin is printed, once.
#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// The configuration, TOML
    #[arg(long, value_name = "FILE", env = "ONRECORD_CONFIG")]
    pub config: Option<PathBuf>,
    /// The folder of trails
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// The address to listen on [default: 127.0.0.1:7411]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Listen without TLS on an address that others can reach
    #[arg(long)]
    pub insecure: bool,
    /// Check the configuration, certificates and access policies, and end
    #[arg(long)]
    pub check: bool,
}

const AFTER: &str = "\
  onrecord serve --dir ./trails
  ONRECORD_TOKEN=onr_... onrecord stats http://localhost:7411

docs/server.md has the configuration, the routes, and how to run it for good.";

pub fn run(session: &Session, args: &Args) -> Outcome {
    let config = config(session, args)?;
    let keys = match &config.keys {
        Some(folder) => KeyFolder(folder.clone()),
        None => session.keys()?.clone(),
    };
    if args.check {
        let trails = server::check(&session.host, &config).map_err(refused)?;
        let trails = number::of(trails.len() as u64, "trail", "trails");
        session.print(&format!("{} the configuration is good; {trails}\n", paint(GOOD, "checked")))?;
        return Ok(Exit::Done);
    }
    server::logging::begin(&config.log);
    let failed = server::run(&session.host, config, &keys, |started| tell(session, started)).map_err(refused)?;
    for failed in &failed {
        session.error(&plain(failed));
    }
    Ok(if failed.is_empty() { Exit::Done } else { Exit::CouldNot })
}

fn config(session: &Session, args: &Args) -> Result<Config, Failure> {
    // What is no Unicode is no value of a field.
    let env =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut config = Config::read(&session.host, args.config.as_deref(), env).map_err(|error| refused(error.into()))?;
    if let Some(dir) = &args.dir {
        config.dir = Some(dir.clone());
    }
    if let Some(listen) = args.listen {
        config.listen = listen;
    }
    config.insecure |= args.insecure;
    // A person at a terminal reads no JSON.
    if args.config.is_none() && std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        config.log.format = LogFormat::Text;
    }
    config.check().map_err(|error| refused(error.into()))?;
    Ok(config)
}

/// What is wrong with what was asked for is wrong use; what stands in the way is not.
fn refused(error: StartError) -> Failure {
    let exit = match &error {
        StartError::Config(_) | StartError::Tls(_) => Exit::WrongUse,
        _ => Exit::CouldNot,
    };
    Failure::of(exit, &error)
}

fn tell(session: &Session, started: &Started) {
    let scheme = if started.tls { "https" } else { "http" };
    let mut said = String::new();
    if let Some(token) = &started.first_token {
        said +=
            "This server has no tokens yet. This one is an admin's: it gives others theirs, and reads no records.\n";
        said += &format!("It is shown this once:\n\n  {}\n\n", token.reveal());
        said += "onrecord token create --dir DIR makes others, with DIR this server's.\n";
    }
    said += &format!("{} {scheme}://{}\n", paint(GOOD, "listening on"), started.address);
    for trail in &started.trails {
        said += &format!("  {scheme}://{}/v1/trails/{}\n", started.address, plain(trail));
    }
    // Nobody is left to tell if that fails; the server serves all the same.
    let _ = session.write(&said);
}
