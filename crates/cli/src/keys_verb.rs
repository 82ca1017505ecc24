//! `onrecord keys`: what an encrypted trail is read with, wrapped anew or handed to another engine.

use keys::Source;
use trail::{KeyringError, KeysError, Rewrapped, RotateError, Settings};

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::number;
use crate::object::Object;
use crate::session::Session;
use crate::style::{GOOD, paint};

/// Keys of an encrypted trail: rotate them, or show that of one file
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(clap::Subcommand)]
pub enum Verb {
    /// Give a trail another key of its own, or another master key; no record is written anew
    Rotate(Rotate),
    /// Print the key of one data file, for an engine that reads encrypted Parquet
    Show(Show),
}

#[derive(clap::Args)]
pub struct Rotate {
    /// The trail's folder
    pub trail: String,
    /// Wrap the trail's keys by the master key at this place instead, and leave the trail's own key as it is:
    /// file:PATH, passphrase:PATH, env:NAME or credential:NAME
    #[arg(long, value_name = "SOURCE")]
    pub master_key: Option<Source>,
}

#[derive(clap::Args)]
pub struct Show {
    /// The trail's folder
    pub trail: String,
    /// The data file, by its name in the lake
    pub file: String,
}

pub fn run(session: &Session, args: &Args) -> Outcome {
    match &args.verb {
        Verb::Rotate(args) => rotate(session, args),
        Verb::Show(args) => show(session, args),
    }
}

fn rotate(session: &Session, args: &Rotate) -> Outcome {
    let (folder, keys) = (session.folder(&args.trail)?, session.keys()?);
    let settings = Settings::read(&session.host, &folder)?;
    if let Some(source) = &args.master_key {
        let key = settings.verifier_key().map_err(|error| Failure::of(Exit::CouldNot, &error))?;
        let rewrapped = keys.rotate_master(&session.host, &key, source).map_err(refused)?;
        return rotated_master(session, source, rewrapped);
    }
    let count = trail::rotate_trail_key(&session.host, &folder, keys).map_err(|error| match error {
        RotateError::Settings(error) => error.into(),
        error => Failure::of(Exit::CouldNot, &error),
    })?;
    if session.json {
        session.print(&Object::default().field("keys", count).line())?;
    } else {
        let wrapped = number::of(count as u64, "key of a file is", "keys of files are");
        session.print(&format!("{}: {wrapped} wrapped by it\n", paint(GOOD, "the trail has another key")))?;
    }
    Ok(Exit::Done)
}

fn rotated_master(session: &Session, source: &Source, rewrapped: Rewrapped) -> Outcome {
    if session.json {
        let moved = rewrapped == Rewrapped::Moved;
        session.print(&Object::default().field("master_key", source.to_string()).field("moved", moved).line())?;
        return Ok(Exit::Done);
    }
    let (done, note) = match rewrapped {
        Rewrapped::Anew => (
            "the trail's keys are wrapped by",
            "the old master key opens backups of the folder of keys that are older than this: destroy both",
        ),
        Rewrapped::Moved => (
            "the trail's keys are looked for with",
            "it is the master key that wraps them already, at another place: to have done with it, rotate to another key",
        ),
    };
    session.print(&format!("{} the master key at {source}\n", paint(GOOD, done)))?;
    session.note(note);
    Ok(Exit::Done)
}

fn refused(error: KeyringError) -> Failure {
    let exit = if matches!(error, KeyringError::SameMaster { .. }) { Exit::WrongUse } else { Exit::CouldNot };
    Failure::of(exit, &error)
}

fn show(session: &Session, args: &Show) -> Outcome {
    let folder = session.folder(&args.trail)?;
    let key = folder.key_of_file(&session.host, &args.file).map_err(|error| match error {
        KeysError::Settings(error) => error.into(),
        error => Failure::of(Exit::CouldNot, &error),
    })?;
    let hex: String = key.secret().bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    if session.json {
        session.print(&Object::default().field("key_id", key.id().to_string()).field("key", hex).line())?;
    } else {
        session.print(&format!("{hex}\n"))?;
    }
    Ok(Exit::Done)
}
