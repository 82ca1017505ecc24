//! Connections: accepted, encrypted if that is set up, and served within limits of time and size (I12).

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::config::Limits;
use crate::connections::{Busy, Connection, Connections};
use crate::guard::Peer;

/// How long to wait when a connection could not be accepted: no descriptor is free, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Requests at once on one connection.
const STREAMS_MAX: u32 = 64;
/// How often a silent HTTP/2 connection is asked whether it lives.
const PING: Duration = Duration::from_secs(20);

/// What serving needs.
pub struct Listening {
    /// Where connections come in.
    pub listener: TcpListener,
    /// How they are encrypted.
    pub tls: Option<TlsAcceptor>,
    /// What answers.
    pub router: Router,
    /// What may be used.
    pub limits: Limits,
    /// Those that are open.
    pub connections: Arc<Connections>,
    /// True once it is time to end.
    pub stop: watch::Receiver<bool>,
}

/// What each connection needs.
#[derive(Clone)]
struct Serving {
    tls: Option<TlsAcceptor>,
    router: Router,
    builder: Builder<TokioExecutor>,
    header: Duration,
    stop: watch::Receiver<bool>,
}

/// Serves until it is told to stop; then what is under way has a time to end.
pub async fn serve(listening: Listening) {
    let Listening { listener, tls, router, limits, connections, mut stop } = listening;
    let header = Duration::from_secs(limits.header_s_max);
    let serving = Serving { tls, router, builder: builder(&limits), header, stop: stop.clone() };
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(connection) = connections.open() else { continue };
                tasks.spawn(begin(serving.clone(), stream, peer, connection));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let drained =
        timeout(Duration::from_secs(limits.drain_s_max), async { while tasks.join_next().await.is_some() {} });
    if drained.await.is_err() {
        tracing::warn!(connections = tasks.len(), "closed connections whose requests did not end in time");
        tasks.shutdown().await;
    }
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    let header = Duration::from_secs(limits.header_s_max);
    let mut http1 = builder.http1();
    http1.timer(TokioTimer::new()).header_read_timeout(header).max_headers(limits.headers_max);
    http1.max_buf_size(limits.header_bytes_max);
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(header);
    http2.max_concurrent_streams(STREAMS_MAX);
    http2.max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX));
    builder
}

async fn begin(serving: Serving, stream: TcpStream, peer: SocketAddr, connection: Connection) {
    let _ = stream.set_nodelay(true);
    let address = match peer.ip() {
        IpAddr::V6(v6) => v6.to_canonical(),
        v4 => v4,
    };
    let Some(tls) = serving.tls.clone() else {
        return run(&serving, stream, Peer { address, certificate: None }, connection).await;
    };
    // A handshake that fails or takes too long is nobody's business but the peer's.
    let Ok(Ok(stream)) = timeout(serving.header, tls.accept(stream)).await else { return };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let certificate = certificate.map(|der| Arc::from(der.as_ref()));
    run(&serving, stream, Peer { address, certificate }, connection).await;
}

async fn run(
    serving: &Serving,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    connection: Connection,
) {
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        let (busy, router) = (connection.busy(), serving.router.clone());
        async move {
            let Ok(response) = router.oneshot(request.map(Body::new)).await;
            Ok::<Response<Answered>, Infallible>(response.map(|body| Answered { body, _busy: busy }))
        }
    });
    let mut stop = serving.stop.clone();
    let mut served = pin!(serving.builder.serve_connection(TokioIo::new(stream), service));
    let first = sleep(serving.header);
    let mut first = pin!(first);
    let mut waited = false;
    let mut stopping = false;
    loop {
        tokio::select! {
            // A connection that ends in an error has an end all the same.
            _ = served.as_mut() => return,
            () = connection.closed() => return,
            // Nobody has said what is wanted in the time that there is for it.
            () = first.as_mut(), if !waited => {
                waited = true;
                if connection.is_new() {
                    return;
                }
            }
            _ = stop.wait_for(|stop| *stop), if !stopping => {
                stopping = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

/// An answer's body; while there is more of it, the connection is not silent.
struct Answered {
    body: Body,
    _busy: Busy,
}

impl hyper::body::Body for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
