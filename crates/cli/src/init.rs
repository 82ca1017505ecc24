//! `onrecord init`: a new trail and its signing key.

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::object::Object;
use crate::session::Session;
use crate::style::{GOOD, HEAD, paint};
use crate::text::plain;

/// Make a trail and its signing key
#[derive(clap::Args)]
pub struct Args {
    /// The folder of the new trail: a new or an empty one
    pub trail: String,
    /// The name of the log in every checkpoint, under a name you own, such as example.com/credit
    #[arg(long, value_name = "NAME")]
    pub origin: Option<String>,
}

pub fn run(session: &Session, args: &Args) -> Outcome {
    let folder = session.folder(&args.trail)?;
    if folder.root().exists() && !folder.root().is_dir() {
        let what = format!("{} is a file, and a trail is a folder; nothing was changed", folder.root().display());
        return Err(Failure::wrong_use(what).hint("give the name of a new or an empty folder"));
    }
    let keys = session.keys()?;
    let settings = trail::init(&session.host, &folder, args.origin.as_deref(), keys).map_err(refused)?;
    let keys = keys.path_of_folder().display().to_string();
    if session.json {
        let object = Object::default()
            .field("folder", folder.root())
            .field("origin", &settings.origin)
            .field("log_key", &settings.log_key)
            .field("keys", &keys);
        session.print(&object.line())?;
        return Ok(Exit::Done);
    }
    let lines = format!(
        "{} {}\n\n\
         {}        {}\n\
         {}  {}\n\
         {}   in {}\n\n\
         Back up the signing key: without it this trail can be verified for ever, and continued no more.\n\
         Give the verifier key to whoever will check you, now: only their own copy of it means anything.\n\n\
         Next: onrecord append {} decisions.ndjson\n",
        paint(GOOD, "made the trail"),
        plain(&args.trail),
        paint(HEAD, "origin"),
        plain(&settings.origin),
        paint(HEAD, "verifier key"),
        plain(&settings.log_key),
        paint(HEAD, "signing key"),
        plain(&keys),
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
