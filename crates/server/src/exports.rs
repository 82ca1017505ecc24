//! `POST export`: records in a folder that checks offline, as one tar. It is made before its first byte leaves, since its
//! manifest is of all of it, in a temporary folder where nothing of it stands in clear.

use std::cell::Cell;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use export::{ExportError, Order, Recipient, RowFormat, Staged};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use query::Search;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::asked::{Asked, Query};
use crate::filters;
use crate::outlet::{AHEAD, Outlet, PIECE_BYTES};
use crate::problem::{self, Kind, Problem};
use crate::reading::{Broken, Piece, Reading};
use crate::table::Answering;

/// Records of an export at most, if a limit is said.
pub const LIMIT_MAX: usize = 100_000_000;

/// Recipients of an export at most.
const RECIPIENTS_MAX: usize = 64;

/// What an export comes to, in JSON: whoever asked may not be who can look into it.
pub const SUMMARY: HeaderName = HeaderName::from_static("onrecord-export");

/// Answers with the files.
pub fn export(asked: Asked) -> Answering {
    Box::pin(async move {
        let order = order(&asked)?;
        let turn = turn(&asked).await?;
        let question = order.asked.clone();
        let reading = Reading::begin(&asked, &question, None).await?;
        Ok(answer(reading, order, turn, &asked).await)
    })
}

fn order(asked: &Asked) -> Result<Order, Problem> {
    let query = &asked.query;
    let limit = match query.get("limit") {
        Some(_) => query.number("limit", LIMIT_MAX, LIMIT_MAX)?,
        None => Search::EVERY,
    };
    let everything = || Order::EVERYTHING.map(str::to_owned).to_vec();
    Ok(Order {
        search: Search { limit, ..filters::read(query, asked.server.host.now_ns())? },
        asked: format!("POST export?{}", query.told()),
        columns: filters::columns(query).unwrap_or_else(everything),
        format: format(query)?,
        file_rows: Order::FILE_ROWS,
        recipients: recipients(query)?,
        bytes_max: asked.server.config.limits.export_bytes_max,
    })
}

fn format(query: &Query) -> Result<RowFormat, Problem> {
    match query.get("format") {
        None | Some("parquet") => Ok(RowFormat::Parquet),
        Some("csv") => Ok(RowFormat::Csv),
        Some("ndjson") => Ok(RowFormat::Ndjson),
        Some(_) => Err(Problem::parameter("format", "format is none of parquet, csv, ndjson")),
    }
}

fn recipients(query: &Query) -> Result<Vec<Recipient>, Problem> {
    let given = query.get("recipients").into_iter().flat_map(|text| text.split(','));
    let recipients: Result<Vec<Recipient>, String> = given.map(|one| one.trim().parse()).collect();
    let recipients = recipients.map_err(|error| Problem::parameter("recipients", error))?;
    if recipients.len() > RECIPIENTS_MAX {
        let what = format!("there are more than {RECIPIENTS_MAX} recipients; name fewer");
        return Err(Problem::parameter("recipients", what));
    }
    Ok(recipients)
}

/// One of the few exports that may be made at once: each takes a disk's room.
async fn turn(asked: &Asked) -> Result<OwnedSemaphorePermit, Problem> {
    let wait = Duration::from_secs(asked.server.config.limits.turn_s_max);
    let busy = || Problem::new(Kind::Busy, "as many exports are under way as may be; try again");
    let turn = tokio::time::timeout(wait, Arc::clone(&asked.server.exports).acquire_owned()).await;
    turn.map_err(|_| busy())?.map_err(|_| problem::stopped())
}

async fn answer(mut reading: Reading, order: Order, turn: OwnedSemaphorePermit, asked: &Asked) -> Response {
    let view = match reading.view() {
        Ok(view) => view,
        Err(problem) => return reading.fail(problem),
    };
    let (sender, pieces) = mpsc::channel(AHEAD);
    let (begun, beginning) = oneshot::channel();
    let outlet = Outlet::new(sender, asked.server.config.limits.stall());
    let turns = (turn, reading.take_turn());
    let host = asked.server.host.clone();
    tokio::task::spawn_blocking(move || {
        let _turns = turns;
        // A disk's room and one of few turns are not for who has gone away.
        let mut wanted = |_, _| if outlet.is_closed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let staged = export::stage(&host, &view, order, &mut wanted);
        drop(view);
        if matches!(staged, Err(ExportError::Unwanted)) {
            return;
        }
        let staged = staged.map_err(Problem::from).and_then(|staged| Ok((summary(&staged)?, staged)));
        // Whoever asked may have gone away.
        match staged {
            Ok((summary, staged)) => {
                if begun.send(Ok(summary)).is_ok() {
                    hand_over(&staged, &outlet);
                }
            }
            Err(problem) => drop(begun.send(Err(problem))),
        }
    });
    match beginning.await {
        Ok(Ok(summary)) => {
            let tar = HeaderValue::from_static("application/x-tar");
            reading.stream(HeaderMap::from_iter([(CONTENT_TYPE, tar), (SUMMARY, summary)]), pieces)
        }
        Ok(Err(problem)) => reading.fail(problem),
        Err(_) => reading.fail(problem::internal(&"a thread that exports ended")),
    }
}

fn summary(staged: &Staged) -> Result<HeaderValue, Problem> {
    let summary = serde_json::to_string(&staged.exported().summary()).map_err(|error| problem::internal(&error))?;
    HeaderValue::from_str(&summary).map_err(|error| problem::internal(&error))
}

fn hand_over(staged: &Staged, outlet: &Outlet) {
    let rows = Cell::new(0);
    let mut pieces = Pieces { outlet, buffer: Vec::with_capacity(PIECE_BYTES), rows: &rows, gone: false };
    // Whoever has a part of a file counts as having had all of its rows.
    let packed = staged.pack(&mut pieces, &mut |begun| rows.set(rows.get() + begun));
    let packed = packed.and_then(|()| pieces.flush());
    let gone = pieces.gone;
    let _ = match packed {
        Ok(()) => outlet.send(Ok(None)),
        Err(_) if gone => return,
        Err(error) => {
            tracing::warn!(error = error.to_string(), "an export broke off");
            outlet.send(Err(Broken))
        }
    };
}

/// What is written, piece by piece.
struct Pieces<'a> {
    outlet: &'a Outlet,
    buffer: Vec<u8>,
    /// Rows of the files that were begun since the last piece.
    rows: &'a Cell<u64>,
    gone: bool,
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.gone {
            return Err(io::Error::from(io::ErrorKind::BrokenPipe));
        }
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = Piece { bytes: std::mem::take(&mut self.buffer).into(), rows: self.rows.take() };
        self.outlet.send(Ok(Some(piece))).map_err(|_| {
            self.gone = true;
            io::Error::from(io::ErrorKind::BrokenPipe)
        })
    }
}

impl From<ExportError> for Problem {
    fn from(error: ExportError) -> Self {
        use ExportError as E;
        match error {
            E::Query(error) => error.into(),
            E::NotSealed => Problem::new(Kind::Query, error.to_string()),
            E::TooMany { .. } | E::TooLarge { .. } => Problem::new(Kind::QueryLimit, error.to_string()),
            E::Changed { .. } | E::Unsound(_) | E::Trail(_) | E::Entries(_) | E::Lake(_) => problem::damaged(&error),
            // Nobody is told.
            E::Unwanted | E::Taken(_) | E::File(_) | E::Write { .. } => problem::internal(&error),
        }
    }
}
