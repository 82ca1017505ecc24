//! `onrecord backup`: a trail and its keys, copied apart while it runs, and checked.

use std::path::PathBuf;

use trail::{BackupError, CopiedKeys, Folder, KeyFolder, RemoteWriter};

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::number;
use crate::object::Object;
use crate::session::Session;
use crate::style::{GOOD, paint};
use crate::text::plain;
use crate::verify;

/// Back a trail up, also while it is written to, and check the backup
///
/// The backup is a trail's folder: verify, search and show read it. Made into the same folder again, it copies what is new
/// alone. The keys of an encrypted trail go to a folder of their own, which should lie somewhere else.
#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// The trail's folder
    pub trail: String,
    /// The folder of the backup: a new or an empty one, or that of an older backup of the same trail
    #[arg(short, long, value_name = "DEST")]
    pub output: PathBuf,
    /// The folder for a backup of the trail's keys: how long one lives is how long erased data can come back
    #[arg(long, value_name = "DEST")]
    pub keys: Option<PathBuf>,
}

const AFTER: &str = "\
  onrecord backup ./trail -o /mnt/backup/trail --keys /mnt/vault/trail-keys
  ONRECORD_KEYS=/mnt/vault/trail-keys onrecord verify /mnt/backup/trail";

pub fn run(session: &Session, args: &Args) -> Outcome {
    let folder = session.folder(&args.trail)?;
    settle(session, &folder);
    let (to, keys_to) = (Folder::new(&args.output), args.keys.clone().map(KeyFolder));
    let done = trail::backup(&session.host, &folder, session.keys.as_ref(), &to, keys_to.as_ref());
    let done = done.map_err(refused)?;
    // As whoever restores it will read it: with the keys that were backed up, and no others.
    let to = keys_to.iter().chain(session.keys.as_ref()).take(1).fold(to, |to, keys| to.with_keys(keys));
    let report = verify::check(session, &to, None, &[])?;
    if session.json {
        let keys = done.keys.as_ref().map(|keys| keys.keys as u64);
        let object = Object::default()
            .field("backup", to.root())
            .field("origin", &done.origin)
            .field("records", done.records)
            .field("copied", done.copied)
            .field("bytes", done.bytes)
            .field("kept", done.kept)
            .field("keys", keys)
            .field("verify", &report);
        session.print(&object.line())?;
    } else {
        let copied = number::of(done.copied, "file", "files");
        session.print(&format!(
            "{} {}: {} under its checkpoint; {copied} copied ({}), {} there already\n",
            paint(GOOD, "backed up"),
            plain(&done.origin),
            number::of(done.records, "record", "records"),
            number::bytes(done.bytes),
            number::count(done.kept),
        ))?;
        if let Some((keys, folder)) = done.keys.as_ref().zip(args.keys.as_ref()) {
            session.print(&format!("{}\n", said_of_keys(keys, &folder.display().to_string())))?;
        }
        session.print(&format!("\n{}", verify::text(session, to.root(), &report)))?;
    }
    Ok(if report.verdict.is_good() { Exit::Done } else { Exit::Negative })
}

/// A running writer settles first, so that there is little in the journal. What it cannot settle is copied as it stands.
fn settle(session: &Session, folder: &Folder) {
    let settled = RemoteWriter::connect(folder).and_then(|writer| writer.map(|mut writer| writer.settle()).transpose());
    if let Err(error) = settled {
        session.note(&format!("the running writer did not settle, and its journal is backed up as it stands: {error}"));
    }
}

fn said_of_keys(keys: &CopiedKeys, folder: &str) -> String {
    let destroyed = match keys.destroyed {
        0 => String::new(),
        destroyed => format!(", {} destroyed that the trail has destroyed", number::count(destroyed as u64)),
    };
    let master = match keys.master_is_here {
        true => "the master key is among them: whoever has both folders can read everything".to_owned(),
        false => format!("the master key at {} is not among them: keep it too, in a third place", keys.master),
    };
    let count = number::of(keys.keys as u64, "key", "keys");
    format!("{} {count} in {}{destroyed}; {master}", paint(GOOD, "keys"), plain(folder))
}

fn refused(error: BackupError) -> Failure {
    match error {
        BackupError::Settings(error) => error.into(),
        BackupError::NeedsKeys | BackupError::NotApart { .. } | BackupError::Another { .. } => {
            Failure::of(Exit::WrongUse, &error)
        }
        BackupError::NotOurPast { .. } | BackupError::OlderCopy { .. } => Failure::of(Exit::Negative, &error),
        error => Failure::of(Exit::CouldNot, &error),
    }
}
