//! `onrecord restore`: a trail from its backup, checked before anybody opens it.

use std::path::PathBuf;

use trail::{GoesOnFrom, KeyFolder, Restore, RestoreError, Restored};

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::number;
use crate::object::Object;
use crate::progress;
use crate::session::Session;
use crate::style::{BAD, GOOD, WARN, paint};
use crate::text::plain;
use crate::verify;

/// Restore a trail from a backup, and check it
///
/// The log goes on if the backup holds all that its key is known to have signed: a checkpoint that somebody kept (--pin), the
/// folder of keys that the trail was used with, or you (--newest) have to say so. Otherwise a new log begins from the backup,
/// under another name and key, and its first record says which records are lost.
#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// The backup's folder
    pub backup: PathBuf,
    /// The folder of the restored trail: a new or an empty one
    #[arg(short, long, value_name = "TRAIL")]
    pub output: PathBuf,
    /// The backup of the trail's keys; without it, those in the folder of keys are used
    #[arg(long, value_name = "FOLDER")]
    pub keys: Option<PathBuf>,
    /// A checkpoint of this log that somebody kept, the newest that can be found; may be given more than once
    #[arg(long = "pin", value_name = "CHECKPOINT")]
    pub pins: Vec<PathBuf>,
    /// This backup is the newest there is, and nothing was signed after it: if that is wrong, the log gets a second history
    #[arg(long)]
    pub newest: bool,
}

const AFTER: &str = "\
  onrecord restore /mnt/backup/trail --keys /mnt/vault/trail-keys --pin last.checkpoint -o ./trail

To try a backup out, give the restored trail keys of its own: ONRECORD_KEYS=drill-keys onrecord restore ...";

pub fn run(session: &Session, args: &Args) -> Outcome {
    let (backup_keys, pins) = (args.keys.clone().map(KeyFolder), verify::read_pins(&args.pins)?);
    let restore = Restore {
        host: &session.host,
        backup: &args.backup,
        backup_keys: backup_keys.as_ref(),
        to: &args.output,
        keys: session.keys()?,
        pins: &pins,
        newest: args.newest,
    };
    let mut bar = progress::bar(session, "hashing");
    let restored = restore.run(&mut |progress| bar.of(progress.done, progress.total));
    drop(bar);
    let restored = restored.map_err(refused)?;
    if session.json {
        json(session, args, &restored)?
    } else {
        text(session, args, &restored)?
    }
    if restored.report.verdict.is_good() {
        return Ok(Exit::Done);
    }
    session.error(&format!(
        "{} is not whole, and nobody opens it: take another backup, for another folder",
        args.output.display()
    ));
    Ok(Exit::Negative)
}

fn json(session: &Session, args: &Args, restored: &Restored) -> Result<(), Failure> {
    let from = restored.goes_on_from.as_ref();
    let object = Object::default()
        .field("trail", &args.output)
        .field("origin", &restored.origin)
        .field("log_key", &restored.log_key)
        .field("goes_on_from", from.map(|from| &from.origin))
        .field("lost", from.and_then(GoesOnFrom::lost).map(|lost| [lost.start, lost.end]))
        .field("verify", &restored.report);
    session.print(&object.line())
}

fn text(session: &Session, args: &Args, restored: &Restored) -> Result<(), Failure> {
    session.print(&format!("{} {}\n", paint(GOOD, "restored to"), plain(&args.output.display().to_string())))?;
    if let Some(from) = &restored.goes_on_from {
        let lost = match from.lost() {
            Some(lost) => format!(
                "{} {} to {} of it are lost",
                paint(BAD, "records"),
                number::count(lost.start),
                number::count(lost.end - 1)
            ),
            None => "none of its records is known to be lost".to_owned(),
        };
        session.print(&format!(
            "{} {}, which goes on from {} with its first {}: {lost}\n\
             verifier key {}\n\
             Give it to whoever checks you: what they know of the old log holds for that alone.\n",
            paint(WARN, "a new log"),
            plain(&restored.origin),
            plain(&from.origin),
            number::of(from.records, "record", "records"),
            plain(&restored.log_key),
        ))?;
        if let (Some(name), Some(keys)) = (&from.old_keys, &session.keys) {
            let keys = keys.path_of_folder().join(format!("{name}.*"));
            session.note(&format!(
                "the old log's keys open its backups, whatever is erased from now on: {} stay where they are, for the old \
                 trail may still be in use; docs/runbook.md says when they may go",
                keys.display()
            ));
        }
        if from.unproven {
            session.note(
                "nothing said that this backup is the newest: with a checkpoint that somebody kept (--pin), or if you know it \
                 to be so (--newest), the old log goes on",
            );
        }
    } else if args.pins.is_empty() {
        session.note(
            "no checkpoint was given (--pin): if the lost trail had signed more than this backup, nobody has noticed",
        );
    }
    session.print(&format!("\n{}", verify::text(session, &args.output, &restored.report)))
}

fn refused(error: RestoreError) -> Failure {
    match error {
        RestoreError::Settings(error) => error.into(),
        RestoreError::NeedsKeys { .. }
        | RestoreError::KeyMissing(_)
        | RestoreError::NotEmpty(_)
        | RestoreError::Pin { .. } => Failure::of(Exit::WrongUse, &error),
        RestoreError::Backup(error @ trail::BackupError::NotApart { .. }) => Failure::of(Exit::WrongUse, &error),
        RestoreError::NotThatPast { .. } => Failure::of(Exit::Negative, &error),
        error => Failure::of(Exit::CouldNot, &error),
    }
}
