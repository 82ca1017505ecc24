//! Connections: accepted, encrypted if that is set up, and served within limits of time and size (I12).

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::answered::Answered;
use crate::config::Limits;
use crate::connections::{Connection, Connections};
use crate::guard::Peer;
use crate::watched::Watched;

/// How long to wait when a connection could not be accepted: no descriptor is free, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Requests at once on one connection.
const STREAMS_MAX: u32 = 64;
/// How often a silent HTTP/2 connection is asked whether it lives.
const PING: Duration = Duration::from_secs(20);
/// Bytes of answers that the system holds of one connection; twice as much with what it keeps beside them. Little enough
/// that a slow peer is seen to take something in the time that it may stand still.
const SEND_BUFFER: u32 = 256 << 10;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;
/// Requests of an HTTP/2 connection that its peer has taken back before they were looked at: who asks and takes back, and
/// asks again (CVE-2023-44487), wants no answer, and is closed.
const RESETS_MAX: usize = 20;
/// Requests of an HTTP/2 connection that broke the protocol's rules, in all its time.
const ERRORS_MAX: usize = 1024;
/// Bytes of a stream's answer that an HTTP/2 connection takes ahead of its peer.
const STREAM_BUFFER: usize = 128 << 10;
/// How often it is looked at whether a peer stands still.
const LOOK_EVERY: Duration = Duration::from_millis(500);

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
    stall: Duration,
    stop: watch::Receiver<bool>,
}

/// Listens at an address.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A server that is started again at once finds its address free.
    socket.set_reuseaddr(true)?;
    // Connections have what the socket has that they come in by.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until it is told to stop; then what is under way has a time to end.
pub async fn serve(listening: Listening) {
    let Listening { listener, tls, router, limits, connections, mut stop } = listening;
    let header = Duration::from_secs(limits.header_s_max);
    let serving = Serving { tls, router, builder: builder(&limits), header, stall: limits.stall(), stop: stop.clone() };
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let address = peer.ip().to_canonical();
                let Some(connection) = connections.open(address) else { continue };
                tasks.spawn(begin(serving.clone(), stream, address, connection));
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
    http2.max_concurrent_streams(STREAMS_MAX).max_send_buf_size(STREAM_BUFFER);
    http2.max_pending_accept_reset_streams(RESETS_MAX).max_local_error_reset_streams(ERRORS_MAX);
    http2.max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX));
    builder
}

async fn begin(serving: Serving, stream: TcpStream, address: IpAddr, connection: Connection) {
    let _ = stream.set_nodelay(true);
    let Some(tls) = serving.tls.clone() else {
        return run(&serving, stream, Peer { address, certificate: None }, connection).await;
    };
    // A handshake that fails or takes too long is nobody's business but the peer's.
    let accepted = tokio::select! {
        accepted = timeout(serving.header, tls.accept(stream)) => accepted,
        () = connection.closed() => return,
    };
    let stream = match accepted {
        Ok(Ok(stream)) => stream,
        Ok(Err(_)) => return,
        Err(_) => return connection.close_early("slow-handshake"),
    };
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
    let exchange = Arc::clone(connection.exchange());
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        let (under_way, router) = (exchange.request(), serving.router.clone());
        async move {
            let Ok(response) = router.oneshot(request.map(Body::new)).await;
            Ok::<Response<Answered>, Infallible>(response.map(|body| Answered::new(body, under_way)))
        }
    });
    let stream = TokioIo::new(Watched::new(stream, Arc::clone(&exchange)));
    let mut stop = serving.stop.clone();
    let mut served = pin!(serving.builder.serve_connection(stream, service));
    let first = sleep(serving.header);
    let mut first = pin!(first);
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
                if exchange.is_new() {
                    return connection.close_early("slow-head");
                }
            }
            _ = look.tick() => {
                if exchange.is_stalled(serving.stall) {
                    return connection.close_early("stalled");
                }
            }
            _ = stop.wait_for(|stop| *stop), if !stopping => {
                stopping = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}
