//! Rows of an answer, handed over as they come, in the form that the caller accepts. Values come from outside and are
//! made harmless in each form by its own rules (T24). An answer that is not whole is broken off, so that nobody takes it
//! for one that is.

use std::io::Write as _;
use std::time::Duration;

use arrow::ipc::writer::StreamWriter;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use axum::response::Response;
use export::json::Objects;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use query::{Answer, QueryError, View};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::outlet::{AHEAD, Gone, Outlet, PIECE_BYTES};
use crate::problem::{self, Kind, Problem};
use crate::reading::{Broken, Piece, Reading};

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One object, with the rows in it.
    Json,
    /// One object a line.
    Ndjson,
    /// RFC 4180.
    Csv,
    /// An Arrow IPC stream.
    Arrow,
}

/// Media types, and the form that each means; the first is given where the caller does not mind.
const FORMS: [(&str, Form); 5] = [
    ("application/json", Form::Json),
    ("application/x-ndjson", Form::Ndjson),
    ("text/csv", Form::Csv),
    ("application/vnd.apache.arrow.stream", Form::Arrow),
    ("application/jsonl", Form::Ndjson),
];

impl Form {
    /// The form that a caller likes best of those that there are (RFC 9110, section 12.5.1).
    pub fn accepted(headers: &HeaderMap) -> Result<Form, Problem> {
        let mut best: Option<(f32, Form)> = None;
        let mut said = false;
        for value in headers.get_all(ACCEPT) {
            let text = value.to_str().unwrap_or_default();
            for range in text.split(',').filter(|range| !range.trim().is_empty()) {
                said = true;
                let mut parts = range.split(';').map(str::trim);
                let media = parts.next().unwrap_or_default().to_ascii_lowercase();
                let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
                let form = match media.as_str() {
                    "*/*" | "application/*" => Some(Form::Json),
                    "text/*" => Some(Form::Csv),
                    media => FORMS.iter().find(|(known, _)| *known == media).map(|(_, form)| *form),
                };
                if let Some(form) = form.filter(|_| weight > best.map_or(0.0, |(best, _)| best)) {
                    best = Some((weight, form));
                }
            }
        }
        match best {
            Some((_, form)) => Ok(form),
            None if !said => Ok(Form::Json),
            None => {
                let known: Vec<&str> = FORMS.iter().map(|(name, _)| *name).collect();
                let what = format!("no form that Accept names is one of the answer's; accept {}", known.join(", "));
                Err(Problem::new(Kind::NotAcceptable, what).field("Accept"))
            }
        }
    }

    fn media_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Form::Json => "application/json",
            Form::Ndjson => "application/x-ndjson",
            Form::Csv => "text/csv; charset=utf-8",
            Form::Arrow => "application/vnd.apache.arrow.stream",
        })
    }
}

/// What a query is made of, and what is said around its rows.
pub trait Rows: Send + 'static {
    /// Asks.
    fn ask(&mut self, view: &View) -> Result<Answer, QueryError>;
    /// The columns of a batch that are shown, after whatever else it is good for was taken from it.
    fn shown(&mut self, batch: RecordBatch) -> RecordBatch {
        batch
    }
    /// The columns of the answer that are shown.
    fn shown_of(&self, schema: &SchemaRef) -> SchemaRef {
        schema.clone()
    }
    /// What the rows are called in a JSON object.
    fn name(&self) -> &'static str {
        "rows"
    }
    /// What stands behind them in a JSON object.
    fn after(&self) -> Vec<(&'static str, Value)> {
        Vec::new()
    }
}

/// Answers with rows. Errors up to the first of them are told as such.
pub async fn answer(mut reading: Reading, form: Form, rows: impl Rows, stall: Duration) -> Response {
    let view = match reading.view() {
        Ok(view) => view,
        Err(problem) => return reading.fail(problem),
    };
    let (sender, pieces) = mpsc::channel(AHEAD);
    let (begun, beginning) = oneshot::channel();
    let outlet = Outlet::new(sender, stall);
    let turn = reading.take_turn();
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        write(&view, form, rows, begun, &outlet);
    });
    match beginning.await {
        Ok(Ok(())) => {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, form.media_type());
            reading.stream(headers, pieces)
        }
        Ok(Err(problem)) => reading.fail(problem),
        Err(_) => reading.fail(problem::internal(&"a thread that answers ended")),
    }
}

fn write(view: &View, form: Form, mut rows: impl Rows, begun: oneshot::Sender<Result<(), Problem>>, outlet: &Outlet) {
    // The first rows are waited for, as most of what can be wrong with a query shows by then.
    let asked = rows.ask(view).and_then(|mut answer| {
        let first = answer.next().transpose()?;
        Ok((answer, first))
    });
    let (answer, first) = match asked {
        Ok(asked) => asked,
        // Whoever asked may have gone away.
        Err(error) => return drop(begun.send(Err(error.into()))),
    };
    if begun.send(Ok(())).is_err() {
        return;
    }
    let _ = match pieces(view, form, &mut rows, answer, first, outlet) {
        Ok(()) => outlet.send(Ok(None)),
        Err(Stop::Broken) => outlet.send(Err(Broken)),
        Err(Stop::Gone) => return,
    };
}

/// Why writing ended before its end.
enum Stop {
    Gone,
    Broken,
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Stop::Gone
    }
}

fn pieces(
    view: &View,
    form: Form,
    rows: &mut impl Rows,
    mut answer: Answer,
    first: Option<RecordBatch>,
    outlet: &Outlet,
) -> Result<(), Stop> {
    let shown = rows.shown_of(answer.schema());
    let mut page = Page::begin(form, rows.name(), &shown, view)?;
    let mut next = first;
    while let Some(batch) = next {
        page.batch(&rows.shown(batch), outlet)?;
        next = answer.next().transpose().map_err(|error| {
            // What kind of error, and not its words: these may hold a value of a record.
            let problem = Problem::from(error).kind.name();
            tracing::warn!(problem, "an answer broke off");
            Stop::Broken
        })?;
    }
    // Only JSON has a place to say that there are more.
    if answer.is_cut() && form != Form::Json {
        return Err(Stop::Broken);
    }
    let mut after = rows.after();
    after.push(("cut", answer.is_cut().into()));
    after.push(("notes", answer.notes().into()));
    page.end(&after, outlet)
}

/// An answer that is being written.
struct Page {
    form: Form,
    buffer: Vec<u8>,
    /// Rows in the buffer.
    waiting: u64,
    any: bool,
    objects: Objects,
    arrow: Option<StreamWriter<Vec<u8>>>,
}

impl Page {
    fn begin(form: Form, name: &str, schema: &SchemaRef, view: &View) -> Result<Page, Stop> {
        let mut page =
            Page { form, buffer: Vec::new(), waiting: 0, any: false, objects: Objects::new(schema), arrow: None };
        match form {
            Form::Json => {
                let snapshot = view.snapshot();
                let (until, sealed) = (snapshot.end(), snapshot.sealed());
                let covers = serde_json::json!({"from": 0, "until": until, "sealed": sealed});
                let _ = write!(page.buffer, "{{\"covers\":{covers},\"{name}\":[");
            }
            Form::Ndjson => {}
            Form::Csv => page.buffer.extend_from_slice(export::csv::head(schema).as_bytes()),
            Form::Arrow => {
                page.arrow = Some(StreamWriter::try_new(Vec::new(), schema).map_err(|_| Stop::Broken)?);
            }
        }
        Ok(page)
    }

    fn batch(&mut self, batch: &RecordBatch, outlet: &Outlet) -> Result<(), Stop> {
        if let Some(arrow) = &mut self.arrow {
            arrow.write(batch).map_err(|_| Stop::Broken)?;
            self.waiting += batch.num_rows() as u64;
            self.buffer.append(arrow.get_mut());
            return self.flush(outlet);
        }
        for row in 0..batch.num_rows() {
            match self.form {
                Form::Json => {
                    self.buffer.extend_from_slice(if self.any { b",\n" } else { b"\n" });
                    self.buffer.extend_from_slice(self.objects.object(batch, row).as_bytes());
                }
                Form::Csv => self.buffer.extend_from_slice(export::csv::line(batch, row).as_bytes()),
                Form::Ndjson | Form::Arrow => {
                    self.buffer.extend_from_slice(self.objects.object(batch, row).as_bytes());
                    self.buffer.push(b'\n');
                }
            }
            self.any = true;
            self.waiting += 1;
            if self.buffer.len() >= PIECE_BYTES {
                self.flush(outlet)?;
            }
        }
        Ok(())
    }

    fn end(mut self, after: &[(&'static str, Value)], outlet: &Outlet) -> Result<(), Stop> {
        if self.form == Form::Json {
            self.buffer.extend_from_slice(b"\n]");
            for (name, value) in after {
                let _ = write!(self.buffer, ",\"{name}\":{value}");
            }
            self.buffer.extend_from_slice(b"}\n");
        }
        if let Some(mut arrow) = self.arrow.take() {
            arrow.finish().map_err(|_| Stop::Broken)?;
            self.buffer.append(arrow.get_mut());
        }
        self.flush(outlet)
    }

    fn flush(&mut self, outlet: &Outlet) -> Result<(), Stop> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = Piece { bytes: std::mem::take(&mut self.buffer).into(), rows: std::mem::take(&mut self.waiting) };
        Ok(outlet.send(Ok(Some(piece)))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_the_one_that_is_liked_best() {
        let accept = |text: &'static str| {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(text))]);
            Form::accepted(&headers).ok()
        };
        assert_eq!(Form::accepted(&HeaderMap::new()).ok(), Some(Form::Json));
        assert_eq!([accept("*/*"), accept("text/csv")], [Some(Form::Json), Some(Form::Csv)]);
        assert_eq!(accept("application/json;q=0.1, application/vnd.apache.arrow.stream"), Some(Form::Arrow));
        assert_eq!(accept("text/html, application/x-ndjson;q=0.9"), Some(Form::Ndjson));
        assert_eq!([accept("image/png"), accept("text/csv;q=0")], [None, None]);
    }
}
