//! Rows of an answer, written as they come, in the format that was asked for. Values come from outside and are made
//! harmless in each format by its own rules (T24).

mod binary;
mod screen;
mod text;

use std::io::{self, BufWriter, IsTerminal as _, Write};

use export::Digesting;
use query::{Answer, QueryError, Written};

use crate::exit::Exit;
use crate::failure::{Failure, reason};
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

    /// Its name, unless it is for a person.
    fn name(self) -> Option<&'static str> {
        Some(match self {
            Format::Table => return None,
            Format::Json => "json",
            Format::Ndjson => "ndjson",
            Format::Csv => "csv",
            Format::Parquet => "parquet",
            Format::Arrow => "arrow",
        })
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

/// What an answer came to.
pub struct Told {
    pub exit: Exit,
    pub returned: u64,
    pub cut: bool,
    /// What was written; nothing for a table, which is for a person, and where nobody read to the end.
    pub written: Option<Written>,
}

/// Writes an answer to stdout, and says on stderr what its rows do not show.
pub fn write(session: &Session, format: Format, mut answer: Answer, one: &str, many: &str) -> Result<Told, Failure> {
    if format.is_binary() && io::stdout().is_terminal() {
        let what = "this format is not for a terminal";
        return Err(Failure::wrong_use(what).hint("send it to a file: … > rows.parquet"));
    }
    let started = session.host.monotonic();
    let mut out = Digesting::new(BufWriter::new(io::stdout()));
    let written = match format {
        Format::Table => screen::write(session, &mut answer),
        Format::Json => text::json(&mut out, &mut answer, true),
        Format::Ndjson => text::json(&mut out, &mut answer, false),
        Format::Csv => text::csv(&mut out, &mut answer, io::stdout().is_terminal()),
        Format::Parquet => binary::parquet(&mut out, &mut answer),
        Format::Arrow => binary::arrow(&mut out, &mut answer),
    };
    let mut told = Told { exit: Exit::Done, returned: 0, cut: false, written: None };
    match written.and_then(|()| out.flush().map_err(Broken::from)) {
        Err(Broken::Failed(failure)) => return Err(failure),
        Err(Broken::Closed) => return Ok(told),
        Ok(()) => {}
    }
    let took = crate::time::span(session.host.monotonic().saturating_sub(started));
    answer.notes().iter().for_each(|note| session.note(&crate::text::plain_line(note)));
    session.note(&format!("{} in {took}", number::of(answer.rows() as u64, one, many)));
    (told.returned, told.cut) = (answer.rows() as u64, answer.is_cut());
    told.written = format.name().map(|name| out.written(name));
    if answer.is_cut() {
        session.note("there are more: an answer has no more rows than this; ask for less, or for parts");
        told.exit = Exit::Partly;
    }
    Ok(told)
}
