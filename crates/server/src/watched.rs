//! A connection's bytes, watched for whether its peer takes any.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::exchange::Exchange;

/// A stream whose writing is watched.
pub struct Watched<S> {
    stream: S,
    exchange: Arc<Exchange>,
    blocked: bool,
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    /// Watches a stream.
    pub fn new(stream: S, exchange: Arc<Exchange>) -> Watched<S> {
        Watched { stream, exchange, blocked: false }
    }

    /// Does something that waits while the peer takes nothing.
    fn watch<T>(&mut self, write: impl FnOnce(Pin<&mut S>) -> Poll<Result<T>>) -> Poll<Result<T>> {
        let written = write(Pin::new(&mut self.stream));
        // Told when it changes alone: most writes wait for nobody.
        if self.blocked != written.is_pending() {
            self.blocked = written.is_pending();
            self.exchange.blocked(self.blocked);
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.watch(|stream| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.watch(|stream| stream.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.watch(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.watch(|stream| stream.poll_shutdown(cx))
    }
}
