//! The header by which a result stands as evidence, in a file of its own: a result has six forms, and only some of them
//! have room for more than rows. The header names the result's digest, so that the two stay together.

use std::path::Path;
use std::time::Duration;

use query::{Search, View};

use crate::failure::Failure;
use crate::rows::Told;
use crate::session::Session;
use crate::text::plain;

/// A query that is being asked.
pub struct Asking {
    pub asked: String,
    pub run: String,
    pub started_ns: i64,
    started: Duration,
}

impl Asking {
    pub fn new(session: &Session, asked: String, run: String) -> Asking {
        Asking { asked, run, started_ns: session.host.now_ns(), started: session.host.monotonic() }
    }
}

/// Writes the header of what was told.
pub fn write(
    session: &Session,
    view: &View,
    asking: Asking,
    search: Option<&Search>,
    told: &Told,
    file: &Path,
) -> Result<(), Failure> {
    let took = session.host.monotonic().saturating_sub(asking.started);
    let Asking { asked, run, started_ns, .. } = asking;
    let (returned, cut) = (told.returned, told.cut);
    let view = view.clone().at(started_ns);
    let mut evidence = view.evidence(query::Asking { asked, run, search, started_ns, took, returned, cut })?;
    evidence.result = told.written.clone();
    let json = serde_json::to_string_pretty(&evidence);
    let json = json.map_err(|error| Failure::could_not(format!("cannot write the evidence header: {error}")))?;
    session.host.replace(file, (json + "\n").as_bytes(), "evidence", None)?;
    let file = plain(&file.display().to_string());
    session.note(&match &evidence.checkpoint {
        Some(checkpoint) => format!("evidence in {file}, under the checkpoint of {} records", checkpoint.size),
        None => format!("evidence in {file}; nothing is sealed yet, so nothing in it is signed"),
    });
    Ok(())
}

/// Why there is none from a server.
pub fn of_folders_alone() -> Failure {
    let failure = Failure::wrong_use("an evidence header is made from a trail's folder alone");
    failure.hint("leave --evidence out: the server puts the query and its counts on record")
}
