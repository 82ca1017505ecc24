//! `onrecord prove`: that a record is in the log, in one file that checks offline.

use std::path::{Path, PathBuf};

use tlog::{SignedCheckpoint, TlogProof, VerifierKey};
use trail::ProofError;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::find;
use crate::number;
use crate::object::Object;
use crate::remote::Remote;
use crate::session::Session;
use crate::style::{GOOD, paint};
use crate::text::plain;

/// Write the proof that a record is in the log
///
/// The proof is a C2SP tlog-proof. It holds index, hashes and the signed checkpoint, and nothing of the record's
/// content; whoever has the record's digest and the log's key checks it offline: onrecord verify FILE.
#[derive(clap::Args)]
pub struct Args {
    /// The trail: a folder or a server's
    pub trail: String,
    /// The record: its id, at least 8 digits that its id begins with, or its index
    #[arg(value_name = "ID")]
    pub id: String,
    /// The file to write, usually with the ending .tlog-proof; stdout if there is none
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// A proof, and what goes with it.
struct Proved {
    text: String,
    index: u64,
    /// Records under the checkpoint.
    size: u64,
    digest: String,
    log_key: String,
}

pub fn run(session: &Session, args: &Args) -> Outcome {
    let proved = match Remote::of(&args.trail) {
        Some(remote) => of_server(&remote?, &args.id)?,
        None => of_folder(session, args)?,
    };
    if let Some(output) = &args.output {
        session.host.replace(output, proved.text.as_bytes(), "proof", None).map_err(|error| match &error {
            host::FileError::Io { cause, .. } => Failure::io("write the proof to", output, cause),
            _ => error.into(),
        })?;
    }
    tell(session, args.output.as_deref(), &proved)?;
    Ok(Exit::Done)
}

fn of_folder(session: &Session, args: &Args) -> Result<Proved, Failure> {
    let snapshot = find::snapshot(session, &args.trail)?;
    let found = find::record(&snapshot, &args.id).map_err(|failure| failure.of_trail(&args.trail))?;
    let proof = snapshot.prove(&found).map_err(no_proof)?;
    Ok(Proved {
        text: proof.proof.to_string(),
        index: found.index,
        size: proof.checkpoint.checkpoint().size(),
        digest: found.digest.to_string(),
        log_key: snapshot.settings().log_key.clone(),
    })
}

/// What a server proves is looked at as far as that goes without a policy: whether it is a proof of some record, under a
/// checkpoint that the key signed which the server names.
fn of_server(remote: &Remote, id: &str) -> Result<Proved, Failure> {
    let (text, digest, log_key) = remote.proof(id)?;
    let no_proof = |error: &dyn std::fmt::Display| {
        Failure::could_not(format!("what {} sent is no proof: {error}", remote.server()))
    };
    let proof = TlogProof::parse(text.as_bytes()).map_err(|error| no_proof(&error))?;
    let key: VerifierKey = log_key.parse().map_err(|error| no_proof(&error))?;
    let signed = SignedCheckpoint::open_note(proof.checkpoint, &[key]).map_err(|error| no_proof(&error))?;
    Ok(Proved { index: proof.index, size: signed.checkpoint().size(), text, digest, log_key })
}

fn tell(session: &Session, output: Option<&Path>, proved: &Proved) -> Result<(), Failure> {
    let Proved { text, index, size, digest, log_key } = proved;
    if session.json {
        let object = Object::default().field("index", index).field("digest", digest).field("size", size);
        session.print(&object.field("tlog_proof", text).line())
    } else if let Some(output) = output {
        let output = plain(&output.display().to_string());
        session.print(&format!(
            "{} {output}: record {} under the checkpoint of {} records\n\n\
             To check it anywhere, without the trail:\n  \
             onrecord verify {output} --policy POLICY --digest {digest}\n\n\
             POLICY is the verifier's own file:\n  log {}\n  quorum none\n",
            paint(GOOD, "wrote"),
            number::count(*index),
            number::count(*size),
            plain(log_key),
        ))
    } else {
        session.print(text)?;
        session.note(&format!("the digest of record {} is {digest}", number::count(*index)));
        Ok(())
    }
}

fn no_proof(error: ProofError) -> Failure {
    match error {
        ProofError::NotSealed { .. } | ProofError::Changed { .. } => Failure::of(Exit::Negative, &error),
        ProofError::Tiles(_) => Failure::of(Exit::CouldNot, &error).hint("run verify on the trail"),
    }
}
