//! Rows of an answer, written as they come, in the format that was asked for. Values come from outside and are made
//! harmless in each format by its own rules (T24).

mod binary;
mod cell;
mod csv;
mod json;
mod screen;

use std::io::{self, BufWriter, IsTerminal as _, Write};

use query::{Answer, QueryError};

use crate::exit::Exit;
use crate::failure::{Failure, Outcome, reason};
use crate::number;
use crate::session::Session;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned for a person to read
    Table,
    /// One JSON array of objects
    Json,
    /// One JSON object a line
    Ndjson,
    /// RFC 4180, with a line of names; texts that a spreadsheet would take for formulas begin with '
    Csv,
    /// One Parquet file
    Parquet,
    /// One Arrow IPC stream
    Arrow,
}

impl Format {
    /// What was asked for; with `--json` and nothing said, a line for each row.
    pub fn of(session: &Session, asked: Option<Format>) -> Format {
        asked.unwrap_or(if session.json { Format::Ndjson } else { Format::Table })
    }

    fn is_binary(self) -> bool {
        matches!(self, Format::Parquet | Format::Arrow)
    }
}

/// Why rows could not be written.
enum Broken {
    /// Whoever reads has seen enough.
    Closed,
    Failed(Failure),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Broken::Closed,
            _ => Broken::Failed(Failure::could_not(format!("cannot write to stdout: {}", reason(&error)))),
        }
    }
}

impl From<QueryError> for Broken {
    fn from(error: QueryError) -> Self {
        Broken::Failed(error.into())
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        let exit = match error {
            QueryError::Read(_) | QueryError::Limit { .. } => Exit::CouldNot,
            _ => Exit::WrongUse,
        };
        let failure = Failure::of(exit, &error);
        // What was read badly is looked into; what took too much is asked otherwise.
        if matches!(error, QueryError::Read(_)) { failure.hint("run verify on the trail") } else { failure }
    }
}

/// Writes an answer to stdout, and says on stderr what its rows do not show.
pub fn write(session: &Session, format: Format, mut answer: Answer, one: &str, many: &str) -> Outcome {
    if format.is_binary() && io::stdout().is_terminal() {
        let what = "this format is not for a terminal";
        return Err(Failure::wrong_use(what).hint("send it to a file: … > rows.parquet"));
    }
    let started = session.host.monotonic();
    let mut out = BufWriter::new(io::stdout());
    let written = match format {
        Format::Table => screen::write(session, &mut answer),
        Format::Json => json::write(&mut out, &mut answer, true),
        Format::Ndjson => json::write(&mut out, &mut answer, false),
        Format::Csv => csv::write(&mut out, &mut answer, io::stdout().is_terminal()),
        Format::Parquet => binary::parquet(&mut out, &mut answer),
        Format::Arrow => binary::arrow(&mut out, &mut answer),
    };
    match written.and_then(|()| out.flush().map_err(Broken::from)) {
        Err(Broken::Failed(failure)) => return Err(failure),
        Err(Broken::Closed) => return Ok(Exit::Done),
        Ok(()) => {}
    }
    let took = crate::time::span(session.host.monotonic().saturating_sub(started));
    answer.notes().iter().for_each(|note| session.note(&crate::text::plain_line(note)));
    session.note(&format!("{} in {took}", number::of(answer.rows() as u64, one, many)));
    if answer.is_cut() {
        session.note("there are more: an answer has no more rows than this; ask for less, or for parts");
        return Ok(Exit::Partly);
    }
    Ok(Exit::Done)
}
