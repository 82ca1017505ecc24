//! `onrecord show`: the case file of one record, or the list of those that have a subject, a case or a trace.

use std::path::{Path, PathBuf};

use trail::{Found, Snapshot};

use crate::case_file::{CaseFile, Sealed, json};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::find::{self, Meant, TakenFor};
use crate::listing::Listing;
use crate::remote::Remote;
use crate::session::Session;
use crate::sheet::{Sheet, page, terminal};
use crate::style::{GOOD, paint};
use crate::text::{plain, plain_json};

/// Show one record with everything that is known about it
///
/// Who, what, when, which model, why, and then what: the record itself, the records about it, the other steps of its
/// case and trace, what is on record about the version of its model, and whether it is the one that was sealed. Where
/// several records match, they are listed.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub struct Args {
    /// The trail: a folder or a server's
    pub trail: String,
    /// The record: its id, at least 8 digits that its id begins with, or its index; else a subject, a case or a trace
    #[arg(value_name = "ID", group = "which")]
    pub id: Option<String>,
    /// The records of this subject (subject.id)
    #[arg(long, value_name = "S", group = "which")]
    pub subject: Option<String>,
    /// The records of this case (subject.case)
    #[arg(long, value_name = "C", group = "which")]
    pub case: Option<String>,
    /// The records of this trace (trace.trace_id)
    #[arg(long, value_name = "T", group = "which")]
    pub trace: Option<String>,
    /// Show the proof too that the record is in the log
    #[arg(long)]
    pub proof: bool,
    /// Write one self-contained page to FILE, or to stdout if none is given
    #[arg(long, value_name = "FILE", num_args = 0..=1, conflicts_with = "json")]
    pub html: Option<Option<PathBuf>>,
}

impl Args {
    /// One record for a terminal.
    pub fn of(trail: &str, id: &str) -> Args {
        let (trail, id) = (trail.to_owned(), Some(id.to_owned()));
        Args { trail, id, subject: None, case: None, trace: None, proof: false, html: None }
    }
}

pub fn run(session: &Session, args: &Args) -> Outcome {
    if let Some(remote) = Remote::of(&args.trail) {
        return on_server(session, args, &remote?);
    }
    let snapshot = find::snapshot(session, &args.trail)?;
    let done = meant(&snapshot, args).and_then(|meant| match meant {
        Meant::One(found, taken_for) => one(session, args, &snapshot, *found, taken_for),
        Meant::Several(listing) => several(session, args, &snapshot, listing),
    });
    done.map_err(|failure| failure.of_trail(&args.trail))
}

/// A server gives documents: one record, by its id or its index, and the records about it.
fn on_server(session: &Session, args: &Args, remote: &Remote) -> Outcome {
    let Some(id) = args.id.as_ref().filter(|_| args.html.is_none() && !args.proof) else {
        let failure = Failure::wrong_use("a server shows one record, by its id or its index, as a document");
        return Err(
            failure.hint("onrecord search finds those of a subject, a case or a trace; onrecord prove proves one")
        );
    };
    let document = remote.record(id)?;
    if session.json {
        session.print(&document)?;
        return Ok(Exit::Done);
    }
    let unreadable = |error: serde_json::Error| Failure::could_not(format!("the document cannot be read: {error}"));
    let value: serde_json::Value = serde_json::from_str(&document).map_err(unreadable)?;
    let pretty = serde_json::to_string_pretty(&value).map_err(unreadable)?;
    session.print(&(plain_json(&pretty) + "\n"))?;
    Ok(Exit::Done)
}

fn meant(snapshot: &Snapshot, args: &Args) -> Result<Meant, Failure> {
    if let Some(id) = &args.id {
        return find::meant(snapshot, id);
    }
    let of = [(TakenFor::Subject, &args.subject), (TakenFor::Case, &args.case), (TakenFor::Trace, &args.trace)];
    let wanted = of.into_iter().find_map(|(taken_for, value)| Some((taken_for, value.as_ref()?)));
    let (taken_for, value) = wanted.ok_or_else(|| Failure::wrong_use("no record is named"))?;
    find::of(snapshot, taken_for, value).map(Meant::Several)
}

fn one(session: &Session, args: &Args, snapshot: &Snapshot, found: Found, taken_for: TakenFor) -> Outcome {
    say_unrecorded(session, snapshot);
    let case = CaseFile::gather(snapshot, found, args.proof)?;
    if session.json {
        session.print(&json::document(&case, taken_for)?)?;
    } else {
        draw(session, args, &case.sheet()?)?;
    }
    Ok(if case.undeclared() || matches!(case.sealed, Sealed::No(_)) { Exit::Negative } else { Exit::Done })
}

/// A list, or its one record. For programs it is always a list, so that its shape does not hang on the trail.
fn several(session: &Session, args: &Args, snapshot: &Snapshot, listing: Listing) -> Outcome {
    if args.id.is_some() && listing.taken_for != TakenFor::Beginning {
        session.note(&format!("{:?} was taken for a {}", plain(&listing.named), listing.taken_for.name()));
    }
    if session.json {
        say_unrecorded(session, snapshot);
        session.print(&listing.document(snapshot)?)?;
    } else if let [found] = listing.latest.found.as_slice() {
        return one(session, args, snapshot, found.clone(), listing.taken_for);
    } else {
        say_unrecorded(session, snapshot);
        draw(session, args, &listing.sheet(snapshot)?)?;
    }
    if listing.taken_for == TakenFor::Beginning {
        session.error(&format!("{} begins the ids of several records: say which", listing.named));
        return Ok(Exit::Negative);
    }
    Ok(Exit::Done)
}

/// On the terminal, or as a page where one is wanted.
fn draw(session: &Session, args: &Args, sheet: &Sheet) -> Result<(), Failure> {
    match &args.html {
        None => session.print(&terminal::render(session, sheet)),
        Some(Some(file)) if file != Path::new("-") => {
            let page = page::render(sheet)?;
            session.host.replace(file, page.as_bytes(), "page", None).map_err(|error| match &error {
                host::FileError::Io { cause, .. } => Failure::io("write the page to", file, cause),
                _ => error.into(),
            })?;
            session.print(&format!("{} {}\n", paint(GOOD, "wrote"), plain(&file.display().to_string())))
        }
        Some(_) => session.print(&page::render(sheet)?),
    }
}

/// Nothing puts a read on record yet, and a reader should know who could not be asked later.
pub fn say_unrecorded(session: &Session, snapshot: &Snapshot) {
    let key = snapshot.settings().verifier_key().ok();
    let held = key.zip(session.keys.as_ref()).is_some_and(|(key, keys)| keys.load(&session.host, &key).is_ok());
    session.note(if held {
        "reads of a folder are not put on record"
    } else {
        "this read is not put on record: the trail's signing key is not here"
    });
}
