//! `onrecord init`: a new trail and its keys.

use keys::Source;
use trail::Protection;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::object::Object;
use crate::session::Session;
use crate::style::{GOOD, HEAD, paint};
use crate::text::plain;

/// Make a trail and its keys
///
/// Every record is encrypted at rest, under keys that stand in the folder of keys (ONRECORD_KEYS) and not in the trail.
#[derive(clap::Args)]
pub struct Args {
    /// The folder of the new trail: a new or an empty one
    pub trail: String,
    /// The name of the log in every checkpoint, under a name you own, such as example.com/credit
    #[arg(long, value_name = "NAME")]
    pub origin: Option<String>,
    /// Encrypt nothing: whoever has the trail's files can read every record, and any engine that reads Delta or Parquet
    #[arg(long)]
    pub no_encryption: bool,
    /// Where the master key is that wraps the trail's keys: file:PATH, passphrase:PATH, env:NAME or credential:NAME
    /// [default: file:master.key in the folder of keys, made if it is not there]
    #[arg(long, value_name = "SOURCE", env = "ONRECORD_MASTER_KEY", hide_env = true)]
    pub master_key: Option<Source>,
}

pub fn run(session: &Session, args: &Args) -> Outcome {
    let folder = session.folder(&args.trail)?;
    if folder.root().exists() && !folder.root().is_dir() {
        let what = format!("{} is a file, and a trail is a folder; nothing was changed", folder.root().display());
        return Err(Failure::wrong_use(what).hint("give the name of a new or an empty folder"));
    }
    let keys = session.keys()?;
    let at = args.master_key.clone().unwrap_or_default();
    let protection = match args.no_encryption {
        true => Protection::Open { master: args.master_key.as_ref() },
        false => Protection::Encrypted { master: &at },
    };
    let made = trail::init_protected(&session.host, &folder, args.origin.as_deref(), keys, protection);
    let settings = made.map_err(refused)?;
    let keys = keys.path_of_folder().display().to_string();
    if session.json {
        let object = Object::default()
            .field("folder", folder.root())
            .field("origin", &settings.origin)
            .field("log_key", &settings.log_key)
            .field("keys", &keys)
            .field("encryption", &settings.encryption);
        session.print(&object.line())?;
        return Ok(Exit::Done);
    }
    let (encryption, back_up) = if args.no_encryption {
        let off = "NONE: whoever has the trail's files can read every record";
        (
            off.to_owned(),
            "Back up the signing key: without it this trail can be verified for ever, and continued no more.",
        )
    } else {
        let both = "Back up the folder of keys, apart from the trail: without it not one record can be read.";
        (format!("AES-256-GCM; master key at {at}"), both)
    };
    let lines = format!(
        "{} {}\n\n\
         {}        {}\n\
         {}  {}\n\
         {}          in {}\n\
         {}    {}\n\n\
         {back_up}\n\
         Give the verifier key to whoever will check you, now: only their own copy of it means anything.\n\n\
         Next: onrecord append {} decisions.ndjson\n",
        paint(GOOD, "made the trail"),
        plain(&args.trail),
        paint(HEAD, "origin"),
        plain(&settings.origin),
        paint(HEAD, "verifier key"),
        plain(&settings.log_key),
        paint(HEAD, "keys"),
        plain(&keys),
        paint(HEAD, "encryption"),
        plain(&encryption),
        plain(&args.trail),
    );
    session.print(&lines)?;
    Ok(Exit::Done)
}

fn refused(error: trail::InitError) -> Failure {
    if let trail::InitError::Exists(folder) = &error {
        return Failure::wrong_use(format!("{} is a trail already, and nothing was changed", folder.display()));
    }
    let exit = match error {
        trail::InitError::NotEmpty(_) | trail::InitError::Origin { .. } => Exit::WrongUse,
        _ => Exit::CouldNot,
    };
    Failure::of(exit, &error)
}
