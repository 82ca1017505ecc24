//! `onrecord prove`: that a record is in the log, in one file that checks offline.

use std::path::PathBuf;

use trail::ProofError;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::find;
use crate::number;
use crate::object::Object;
use crate::session::Session;
use crate::style::{GOOD, paint};
use crate::text::plain;

/// Write the proof that a record is in the log
///
/// The proof is a C2SP tlog-proof. It holds index, hashes and the signed checkpoint, and nothing of the record's
/// content; whoever has the record's digest and the log's key checks it offline: onrecord verify FILE.
#[derive(clap::Args)]
pub struct Args {
    /// The trail's folder
    pub trail: String,
    /// The record: its id, at least 8 digits that its id begins with, or its index
    #[arg(value_name = "ID")]
    pub id: String,
    /// The file to write, usually with the ending .tlog-proof; stdout if there is none
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

pub fn run(session: &Session, args: &Args) -> Outcome {
    let snapshot = find::snapshot(session, &args.trail)?;
    let found = find::record(&snapshot, &args.id).map_err(|failure| failure.of_trail(&args.trail))?;
    let proof = snapshot.prove(&found).map_err(no_proof)?;
    let text = proof.proof.to_string();
    let (digest, size) = (found.digest.to_string(), proof.checkpoint.checkpoint().size());
    if let Some(output) = &args.output {
        session.host.replace(output, text.as_bytes(), "proof", None).map_err(|error| match &error {
            host::FileError::Io { cause, .. } => Failure::io("write the proof to", output, cause),
            _ => error.into(),
        })?;
    }
    if session.json {
        let object = Object::default().field("index", found.index).field("digest", digest).field("size", size);
        session.print(&object.field("tlog_proof", text).line())?;
    } else if let Some(output) = &args.output {
        let output = plain(&output.display().to_string());
        let indices = (number::count(found.index), number::count(size));
        session.print(&format!(
            "{} {output}: record {} under the checkpoint of {} records\n\n\
             To check it anywhere, without the trail:\n  \
             onrecord verify {output} --policy POLICY --digest {digest}\n\n\
             POLICY is the verifier's own file:\n  log {}\n  quorum none\n",
            paint(GOOD, "wrote"),
            indices.0,
            indices.1,
            plain(&snapshot.settings().log_key),
        ))?;
    } else {
        session.print(&text)?;
        session.note(&format!("the digest of record {} is {digest}", number::count(found.index)));
    }
    Ok(Exit::Done)
}

fn no_proof(error: ProofError) -> Failure {
    match error {
        ProofError::NotSealed { .. } | ProofError::Changed { .. } => Failure::of(Exit::Negative, &error),
        ProofError::Tiles(_) => Failure::of(Exit::CouldNot, &error).hint("run verify on the trail"),
    }
}
