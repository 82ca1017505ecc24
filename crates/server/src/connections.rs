//! The connections that are open, and which of them goes when there are too many: of the address that has most, the one
//! that has been silent for longest. So whoever opens ten thousand and says nothing closes his own.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use host::Host;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::exchange::Exchange;
use crate::metrics::Metrics;

/// All connections.
pub struct Connections {
    host: Host,
    max: usize,
    metrics: Arc<Metrics>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    open: HashMap<u64, Open>,
    /// How many of them each address has.
    of: HashMap<IpAddr, usize>,
}

struct Open {
    from: IpAddr,
    exchange: Arc<Exchange>,
    close: Arc<Notify>,
}

/// A connection, for as long as it is open.
pub struct Connection {
    all: Arc<Connections>,
    id: u64,
    exchange: Arc<Exchange>,
    close: Arc<Notify>,
}

impl Connections {
    /// None yet, and so many at most.
    pub fn new(host: &Host, max: usize, metrics: Arc<Metrics>) -> Arc<Connections> {
        Arc::new(Connections { host: host.clone(), max, metrics, inner: Mutex::default() })
    }

    /// One more, from that address; nothing if all that are open are being answered.
    pub fn open(self: &Arc<Self>, from: IpAddr) -> Option<Connection> {
        let mut inner = self.inner.lock();
        if inner.open.len() >= self.max {
            let Some(id) = inner.least_wanted() else {
                self.metrics.connection_closed("too-many");
                return None;
            };
            if let Some(silent) = inner.remove(id) {
                silent.close.notify_one();
            }
            self.metrics.connection_closed("silent-longest");
        }
        let (id, close, exchange) = (inner.next, Arc::new(Notify::new()), Exchange::new(&self.host));
        inner.next += 1;
        inner.open.insert(id, Open { from, exchange: Arc::clone(&exchange), close: Arc::clone(&close) });
        *inner.of.entry(from).or_default() += 1;
        self.metrics.connections(inner.open.len() as i64);
        Some(Connection { all: Arc::clone(self), id, exchange, close })
    }
}

impl Inner {
    /// Which one makes room.
    fn least_wanted(&self) -> Option<u64> {
        let silent = self.open.iter().filter_map(|(id, open)| Some((id, open.from, open.exchange.silent_since()?)));
        let of = |from: &IpAddr| self.of.get(from).copied().unwrap_or_default();
        silent.min_by_key(|(_, from, since)| (Reverse(of(from)), *since)).map(|(id, ..)| *id)
    }

    fn remove(&mut self, id: u64) -> Option<Open> {
        let open = self.open.remove(&id)?;
        if let Some(count) = self.of.get_mut(&open.from) {
            *count -= 1;
            if *count == 0 {
                self.of.remove(&open.from);
            }
        }
        Some(open)
    }
}

impl Connection {
    /// What is under way on it.
    pub fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }

    /// Waits until the connection must close to make room for another one.
    pub async fn closed(&self) {
        self.close.notified().await;
    }

    /// It is closed, by a limit of that name.
    pub fn close_early(self, reason: &'static str) {
        self.all.metrics.connection_closed(reason);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut inner = self.all.inner.lock();
        inner.remove(self.id);
        self.all.metrics.connections(inner.open.len() as i64);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt as _;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn two_at_most() -> (Arc<Connections>, host::ManualClock) {
        let clock = host::ManualClock::at(0);
        (Connections::new(&Host::builder().clock(clock.clone()).build(), 2, Arc::default()), clock)
    }

    #[test]
    fn the_one_that_is_silent_for_longest_makes_room() {
        let (all, clock) = two_at_most();
        let first = all.open(HERE).unwrap();
        clock.advance(Duration::from_secs(1));
        let second = all.open(HERE).unwrap();
        let busy = first.exchange().request();
        let third = all.open(HERE).unwrap();
        // The second one was told; the first one is being answered.
        assert!(second.closed().now_or_never().is_some());
        assert!(first.closed().now_or_never().is_none());
        let also_busy = third.exchange().request();
        assert!(all.open(HERE).is_none());
        assert!(!third.exchange().is_new());
        // One that does not take its answer is no better than a silent one.
        also_busy.owes(100);
        clock.advance(Duration::from_secs(2));
        let fourth = all.open(HERE).unwrap();
        assert!(third.closed().now_or_never().is_some());
        drop((busy, also_busy, second, fourth));
        assert!(all.open(HERE).is_some());
    }

    /// Who opens many closes his own, also where another one has been silent for longer.
    #[test]
    fn the_address_that_has_most_makes_room() {
        let clock = host::ManualClock::at(0);
        let all = Connections::new(&Host::builder().clock(clock.clone()).build(), 3, Arc::default());
        let quiet = all.open(HERE).unwrap();
        let mut greedy = Vec::new();
        for _ in 0..10 {
            clock.advance(Duration::from_secs(1));
            greedy.push(all.open(IpAddr::from([192, 0, 2, 7])).unwrap());
        }
        assert!(quiet.closed().now_or_never().is_none());
        assert_eq!(all.inner.lock().open.len(), 3);
        drop((quiet, greedy));
        assert!(all.inner.lock().of.is_empty());
    }
}
