//! `onrecord show`: the case file of one record.

use record::Part;
use tlog::Verifier as _;
use trail::{Declared, Found, Proof, ProofError, Snapshot};

use crate::case_file;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::fields;
use crate::find;
use crate::object::{self, Object};
use crate::session::Session;

/// Show one record with everything that is known about it
#[derive(clap::Args)]
pub struct Args {
    /// The trail's folder
    pub trail: String,
    /// The record: its id, at least 8 digits that its id begins with, or its index
    #[arg(value_name = "ID")]
    pub id: String,
    /// Show the proof too that the record is in the log
    #[arg(long)]
    pub proof: bool,
}

/// What the log says of a record.
pub enum Sealed {
    /// It is under the last checkpoint, and its inclusion was checked.
    Yes(Box<Proof>),
    /// It is newer than the last checkpoint, which covers so many.
    NotYet(u64),
    /// It is not what was sealed, or that could not be found out.
    No(String),
}

pub fn run(session: &Session, args: &Args) -> Outcome {
    let snapshot = find::snapshot(session, &args.trail)?;
    let found = find::record(&snapshot, &args.id).map_err(|failure| failure.of_trail(&args.trail))?;
    say_unrecorded(session, &snapshot);
    let sealed = sealed(&snapshot, &found);
    let about = snapshot.about(&found.stored.stamp.id).map_err(|error| Failure::from(error).of_trail(&args.trail))?;
    let erased = found.stored.erased().next().is_some();
    let declared = if erased { snapshot.erasures_of(found.index) } else { Ok(Vec::new()) };
    let declared = declared.map_err(|error| Failure::from(error).of_trail(&args.trail))?;
    let text = if session.json {
        json(&found, &declared, &about, &sealed, args.proof)?
    } else {
        case_file::render(session, &snapshot, &found, &declared, &about, &sealed, args.proof)?
    };
    session.print(&text)?;
    let undeclared = erased && declared.is_empty();
    Ok(if undeclared || matches!(sealed, Sealed::No(_)) { Exit::Negative } else { Exit::Done })
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

/// Recomputes the digest up to the signed root.
pub fn sealed(snapshot: &Snapshot, found: &Found) -> Sealed {
    match snapshot.prove(found) {
        Ok(proof) => Sealed::Yes(Box::new(proof)),
        Err(ProofError::NotSealed { sealed, .. }) => Sealed::NotYet(sealed),
        Err(error) => Sealed::No(error.to_string()),
    }
}

fn json(
    found: &Found,
    declared: &[Declared],
    about: &[Found],
    sealed: &Sealed,
    with_proof: bool,
) -> Result<String, Failure> {
    let mut object = record_json(found)?;
    if found.stored.erased().next().is_some() {
        let each = declared.iter().map(|Declared { index, erasure }| {
            let object = Object::default().field("index", index).field("id", erasure.id).field("parts", &erasure.parts);
            object.field("basis", &erasure.basis).field("by", &erasure.by).end()
        });
        object = object.raw("erased_by", &object::list(each));
        object = object.field("verdict", if declared.is_empty() { "INVALID" } else { "ERASED" });
    }
    let late: Result<Vec<String>, Failure> = about.iter().map(|late| Ok(record_json(late)?.end())).collect();
    object = object.raw("about", &object::list(late?));
    Ok(object.raw("proof", &sealed_json(sealed, with_proof)).line())
}

fn record_json(found: &Found) -> Result<Object, Failure> {
    let mut stamp = String::new();
    let canonical = found.stored.stamp.to_canonical();
    record::write_json_value(&mut stamp, &mut record::cbor::Reader::new(&canonical))?;
    let place = match &found.place {
        Some((file, row)) => Object::default().field("file", file).field("row", row).end(),
        None => "\"journal\"".to_owned(),
    };
    let erased: Vec<&str> = found.stored.erased().map(Part::name).collect();
    let object = Object::default()
        .field("index", found.index)
        .raw("record", &record::to_json(&found.stored)?)
        .raw("stamp", &stamp)
        .field("content", found.stored.content().to_string())
        .field("digest", found.digest.to_string())
        .raw("place", &place);
    Ok(if erased.is_empty() { object } else { object.field("erased", erased) })
}

fn sealed_json(sealed: &Sealed, with_proof: bool) -> String {
    match sealed {
        Sealed::Yes(proof) => {
            let checkpoint = proof.checkpoint.checkpoint();
            let object = Object::default()
                .field("sealed", true)
                .field("included", true)
                .field("size", checkpoint.size())
                .field("root", fields::hex(checkpoint.root().as_bytes()))
                .field("log_key", proof.checkpoint.log_key().name().to_string());
            if with_proof { object.field("tlog_proof", proof.proof.to_string()).end() } else { object.end() }
        }
        Sealed::NotYet(size) => Object::default().field("sealed", false).field("size", size).end(),
        Sealed::No(reason) => Object::default().field("included", false).field("reason", reason).end(),
    }
}
