//! An answer's body on its way: every byte of it is counted until the connection has taken it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::{Buf, Bytes};
use hyper::body::{Frame, SizeHint};

use crate::exchange::Request;

/// An answer's body.
pub struct Answered {
    body: Body,
    request: Arc<Request>,
}

impl Answered {
    /// The body of a request's answer.
    pub fn new(body: Body, request: Arc<Request>) -> Answered {
        Answered { body, request }
    }
}

impl hyper::body::Body for Answered {
    type Data = Handed;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Handed>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let request = &self.request;
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(|bytes| Handed::new(bytes, request)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes of an answer that the connection has, and writes as fast as its peer takes them.
pub struct Handed {
    bytes: Bytes,
    request: Arc<Request>,
}

impl Handed {
    fn new(bytes: Bytes, request: &Arc<Request>) -> Handed {
        request.owes(bytes.len());
        Handed { bytes, request: Arc::clone(request) }
    }
}

impl Buf for Handed {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.request.took(count);
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        self.request.took(self.bytes.len());
    }
}
