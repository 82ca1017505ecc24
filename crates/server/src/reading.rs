//! A read that is on record (I11, T27). To look at what records hold takes a [`Reading`], and a reading is had only once
//! the record that it began is durable; what it came to goes on record when its answer has been handed over, or when
//! whoever asked has gone away.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::body::{Frame, SizeHint};
use query::{Policy, View};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use trail::Outcome as Appended;
use uuid::Uuid;

use crate::access_record::{self, Counts, Outcome, Who};
use crate::asked::Asked;
use crate::clerk::ToClerk;
use crate::off_the_loop;
use crate::problem::{self, Problem};
use crate::room::{Held, Room};
use crate::served::Served;

/// Bytes of a whole answer that are handed over at once, so that it is seen how much of it was taken.
const SLICE_BYTES: usize = 64 << 10;

/// The right to look at what records hold, once, for one answer.
pub struct Reading {
    served: Arc<Served>,
    policy: Policy,
    ending: Ending,
    /// One of the reads that may be answered at once; the work takes it along, so that it is not free while the work of
    /// someone who went away goes on.
    turn: Option<OwnedSemaphorePermit>,
    answers: Room,
}

impl Reading {
    /// Puts on record that a read begins; durable when it returns. `asked` is the question in the caller's words.
    pub async fn begin(asked: &Asked, question: &str, about: Option<Uuid>) -> Result<Reading, Problem> {
        let turn = asked.turn().await?;
        let served = Arc::clone(asked.trail()?);
        let (who, grant) = (asked.who.clone(), asked.grant()?);
        let action = grant.permission.name();
        let record = access_record::begin(&who, action, &asked.request_id, question, about);
        let (by, metrics) = (Arc::clone(&served), Arc::clone(&asked.server.metrics));
        // A task of its own: whoever asked may go away meanwhile, and what is begun is ended.
        let ending = tokio::spawn(async move {
            let begin = match by.append_own(record).await? {
                Appended::Kept(receipt) => receipt.id,
                Appended::Refused(refusal) => return Err(problem::internal(&refusal)),
            };
            metrics.access_records(by.name(), 1);
            let counts = Counts { outcome: Outcome::BrokenOff, status: 0, rows: 0, bytes: 0, until: None };
            Ok(Ending { clerk: by.clerk(), who, action, begin, counts })
        });
        let ending = ending.await.map_err(|error| problem::internal(&error))??;
        let answers = asked.server.answers.clone();
        Ok(Reading { served, policy: grant.policy.clone(), ending, turn: Some(turn), answers })
    }

    /// The trail as it stands, as this reader may see it.
    pub fn view(&mut self) -> Result<View, Problem> {
        let view = self.served.view(self.policy.clone())?;
        self.ending.counts.until = Some(view.snapshot().end());
        Ok(view)
    }

    /// What the work of the answer holds until it is done.
    pub fn take_turn(&mut self) -> Option<OwnedSemaphorePermit> {
        self.turn.take()
    }

    /// What this reader may see.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// There is no answer.
    pub fn fail(mut self, problem: Problem) -> Response {
        let status = problem.kind.status();
        (self.ending.counts.outcome, self.ending.counts.status) = (Outcome::Failed, status.as_u16());
        problem.into_response()
    }

    /// An answer that is there whole. It has its share of the memory of answers until the last of it is
    /// handed over (I12).
    pub fn reply(mut self, headers: HeaderMap, bytes: Bytes, rows: u64) -> Response {
        let mut held = self.answers.hold();
        if let Err(full) = held.more(bytes.len()) {
            return self.fail(full);
        }
        self.ending.counts.status = StatusCode::OK.as_u16();
        let inner = Inner::Whole { bytes, rows, _held: held };
        told(headers, Telling { inner, ending: self.ending })
    }

    /// Answers with one document in JSON that `work` makes of the trail as this reader may see it, and says of how many
    /// rows it tells.
    pub async fn document(
        mut self,
        work: impl FnOnce(&View) -> Result<(String, u64), Problem> + Send + 'static,
    ) -> Response {
        let view = match self.view() {
            Ok(view) => view,
            Err(problem) => return self.fail(problem),
        };
        let turn = self.take_turn();
        let done = off_the_loop(move || {
            let _turn = turn;
            work(&view)
        });
        match done.await {
            Ok((text, rows)) => {
                let json = HeaderValue::from_static("application/json");
                self.reply(HeaderMap::from_iter([(CONTENT_TYPE, json)]), Bytes::from(text), rows)
            }
            Err(problem) => self.fail(problem),
        }
    }

    /// An answer that comes piece by piece.
    pub fn stream(mut self, headers: HeaderMap, pieces: mpsc::Receiver<Said>) -> Response {
        self.ending.counts.status = StatusCode::OK.as_u16();
        told(headers, Telling { inner: Inner::Pieces(pieces), ending: self.ending })
    }
}

fn told(headers: HeaderMap, body: Telling) -> Response {
    let mut response = Response::new(Body::new(body));
    *response.headers_mut() = headers;
    // What a reader may see is nobody else's.
    response.headers_mut().insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A part of an answer.
pub struct Piece {
    /// Its bytes.
    pub bytes: Bytes,
    /// The rows in it.
    pub rows: u64,
}

/// What is said piece by piece; nothing is its end. Who says no more without it has broken off.
pub type Said = Result<Option<Piece>, Broken>;

/// An answer broke off: whoever reads it sees that it is not whole.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the answer broke off")]
pub struct Broken;

enum Inner {
    Whole { bytes: Bytes, rows: u64, _held: Held },
    Pieces(mpsc::Receiver<Said>),
    Ended,
}

/// An answer's body, which tells the record how it ended.
struct Telling {
    inner: Inner,
    ending: Ending,
}

impl hyper::body::Body for Telling {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        let counts = &mut this.ending.counts;
        let (bytes, rows) = match &mut this.inner {
            Inner::Ended => return Poll::Ready(None),
            Inner::Whole { bytes, .. } if bytes.len() > SLICE_BYTES => {
                // What is counted is what was taken: the rows with the last of it.
                (bytes.split_to(SLICE_BYTES), 0)
            }
            Inner::Whole { bytes, rows, .. } => {
                let handed = (std::mem::take(bytes), *rows);
                this.inner = Inner::Ended;
                counts.outcome = Outcome::Done;
                handed
            }
            Inner::Pieces(pieces) => match std::task::ready!(pieces.poll_recv(cx)) {
                Some(Ok(Some(piece))) => (piece.bytes, piece.rows),
                Some(Ok(None)) => {
                    this.inner = Inner::Ended;
                    counts.outcome = Outcome::Done;
                    return Poll::Ready(None);
                }
                Some(Err(broken)) => {
                    this.inner = Inner::Ended;
                    counts.outcome = Outcome::Failed;
                    return Poll::Ready(Some(Err(broken)));
                }
                // It waited too long for whoever reads, or its thread ended: what was handed over is not all.
                None => {
                    this.inner = Inner::Ended;
                    return Poll::Ready(Some(Err(Broken)));
                }
            },
        };
        counts.rows += rows;
        counts.bytes += bytes.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.inner, Inner::Ended)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Whole { bytes, .. } => SizeHint::with_exact(bytes.len() as u64),
            Inner::Ended => SizeHint::with_exact(0),
            Inner::Pieces(_) => SizeHint::default(),
        }
    }
}

/// What goes on record when this is dropped, whatever became of the answer.
struct Ending {
    clerk: ToClerk,
    who: Who,
    action: &'static str,
    begin: Uuid,
    counts: Counts,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.clerk.end(access_record::end(&self.who, self.action, self.begin, &self.counts));
    }
}
