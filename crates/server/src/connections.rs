//! The connections that are open, and which of them goes when there are too many: the one that has been silent for
//! longest. So whoever opens ten thousand and says nothing closes his own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use host::Host;
use parking_lot::Mutex;
use tokio::sync::Notify;

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
}

struct Open {
    /// Since when nothing is being answered on it.
    silent_since: Duration,
    /// Requests that are being answered.
    busy: usize,
    /// Requests so far.
    requests: u64,
    close: Arc<Notify>,
}

/// A connection, for as long as it is open.
pub struct Connection {
    all: Arc<Connections>,
    id: u64,
    close: Arc<Notify>,
}

/// A request that is being answered.
pub struct Busy {
    all: Arc<Connections>,
    id: u64,
}

impl Connections {
    /// None yet, and so many at most.
    pub fn new(host: &Host, max: usize, metrics: Arc<Metrics>) -> Arc<Connections> {
        Arc::new(Connections { host: host.clone(), max, metrics, inner: Mutex::default() })
    }

    /// One more; nothing if all that are open are being answered.
    pub fn open(self: &Arc<Self>) -> Option<Connection> {
        let now = self.host.monotonic();
        let mut inner = self.inner.lock();
        if inner.open.len() >= self.max {
            let silent = inner.open.iter().filter(|(_, open)| open.busy == 0);
            let Some((id, _)) = silent.min_by_key(|(_, open)| open.silent_since) else {
                self.metrics.connection_closed("too-many");
                return None;
            };
            let id = *id;
            if let Some(silent) = inner.open.remove(&id) {
                silent.close.notify_one();
            }
            self.metrics.connection_closed("silent-longest");
        }
        let (id, close) = (inner.next, Arc::new(Notify::new()));
        inner.next += 1;
        inner.open.insert(id, Open { silent_since: now, busy: 0, requests: 0, close: Arc::clone(&close) });
        self.metrics.connections(inner.open.len() as i64);
        Some(Connection { all: Arc::clone(self), id, close })
    }
}

impl Connection {
    /// A request has come.
    pub fn busy(&self) -> Busy {
        if let Some(open) = self.all.inner.lock().open.get_mut(&self.id) {
            open.busy += 1;
            open.requests += 1;
        }
        Busy { all: Arc::clone(&self.all), id: self.id }
    }

    /// Waits until the connection must close to make room for another one.
    pub async fn closed(&self) {
        self.close.notified().await;
    }

    /// Whether no request has come on it yet.
    pub fn is_new(&self) -> bool {
        self.all.inner.lock().open.get(&self.id).is_none_or(|open| open.requests == 0)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let now = self.all.host.monotonic();
        if let Some(open) = self.all.inner.lock().open.get_mut(&self.id) {
            open.busy -= 1;
            open.silent_since = now;
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut inner = self.all.inner.lock();
        inner.open.remove(&self.id);
        self.all.metrics.connections(inner.open.len() as i64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_is_silent_for_longest_makes_room() {
        let clock = host::ManualClock::at(0);
        let host = Host::builder().clock(clock.clone()).build();
        let all = Connections::new(&host, 2, Arc::default());
        let first = all.open().unwrap();
        clock.advance(Duration::from_secs(1));
        let second = all.open().unwrap();
        let busy = first.busy();
        let third = all.open().unwrap();
        // The second one was told; the first one is being answered.
        assert!(futures::FutureExt::now_or_never(second.closed()).is_some());
        assert!(futures::FutureExt::now_or_never(first.closed()).is_none());
        let also_busy = third.busy();
        assert!(all.open().is_none());
        assert!(!third.is_new());
        drop((busy, also_busy, second));
        assert!(all.open().is_some());
    }
}
