//! What is under way on one connection, and whether its peer takes what it asked for (I12). A peer that asks and then
//! takes nothing would hold its connection, and the answer's memory, for as long as it likes: by reading nothing off the
//! socket, or, in HTTP/2, by giving a stream no window. So every byte that is handed over is counted until it is taken.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use host::Host;
use parking_lot::Mutex;

/// A peer that takes less than so many bytes a second stands still.
const TAKEN_PER_S_MIN: u64 = 1 << 10;
/// A peer that has taken nothing for so long may be closed when there are too many connections.
const PATIENCE: Duration = Duration::from_secs(1);

/// One connection's requests.
pub struct Exchange {
    host: Host,
    state: Mutex<State>,
}

struct State {
    /// Requests so far.
    requests: u64,
    /// Requests that are being answered, or whose answers are not taken yet.
    under_way: usize,
    /// When the last of them ended.
    silent_since: Duration,
    /// Answers of which bytes were handed over that are not taken, by the number of their request.
    owed: HashMap<u64, Owed>,
    /// Since when the socket takes nothing.
    blocked_since: Option<Duration>,
}

/// Bytes that a peer has not taken yet.
struct Owed {
    bytes: usize,
    /// Since when they are watched, and what was taken in that time.
    since: Duration,
    taken: u64,
    /// When something was taken last.
    moved: Duration,
}

/// A request under way, for as long as anything of its answer is there.
pub struct Request {
    exchange: Arc<Exchange>,
    number: u64,
}

impl Exchange {
    /// Nothing yet.
    pub fn new(host: &Host) -> Arc<Exchange> {
        let silent_since = host.monotonic();
        let owed = HashMap::new();
        let state = State { requests: 0, under_way: 0, silent_since, owed, blocked_since: None };
        Arc::new(Exchange { host: host.clone(), state: Mutex::new(state) })
    }

    /// A request has come.
    pub fn request(self: &Arc<Self>) -> Arc<Request> {
        let mut state = self.state.lock();
        state.requests += 1;
        state.under_way += 1;
        Arc::new(Request { exchange: Arc::clone(self), number: state.requests })
    }

    /// Whether no request has come yet.
    pub fn is_new(&self) -> bool {
        self.state.lock().requests == 0
    }

    /// The socket takes bytes, or takes none.
    pub fn blocked(&self, is: bool) {
        let now = self.host.monotonic();
        let mut state = self.state.lock();
        state.blocked_since = if is { state.blocked_since.or(Some(now)) } else { None };
    }

    /// Whether the peer has stood still for so long that the connection must end.
    pub fn is_stalled(&self, stall: Duration) -> bool {
        let now = self.host.monotonic();
        let mut state = self.state.lock();
        let blocked = state.blocked_since.is_some_and(|since| now.saturating_sub(since) >= stall);
        blocked || state.owed.values_mut().any(|owed| owed.is_stalled(now, stall))
    }

    /// Since when nothing is done here: nothing is asked, or nothing of the answers is taken. None while there is work.
    pub fn silent_since(&self) -> Option<Duration> {
        let state = self.state.lock();
        if state.under_way == 0 {
            return Some(state.silent_since);
        }
        let untaken = state.owed.values().map(|owed| owed.moved).max().filter(|_| state.owed.len() == state.under_way);
        let since = state.blocked_since.or(untaken)?;
        (self.host.monotonic().saturating_sub(since) >= PATIENCE).then_some(since)
    }
}

impl Owed {
    fn is_stalled(&mut self, now: Duration, stall: Duration) -> bool {
        if now.saturating_sub(self.since) < stall {
            return false;
        }
        if self.taken < TAKEN_PER_S_MIN.saturating_mul(stall.as_secs()) {
            return true;
        }
        (self.since, self.taken) = (now, 0);
        false
    }
}

impl Request {
    /// Bytes of its answer were handed over.
    pub fn owes(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let now = self.exchange.host.monotonic();
        let mut state = self.exchange.state.lock();
        let owed = state.owed.entry(self.number);
        owed.or_insert(Owed { bytes: 0, since: now, taken: 0, moved: now }).bytes += bytes;
    }

    /// Bytes of them were taken, or are no longer wanted.
    pub fn took(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let now = self.exchange.host.monotonic();
        let mut state = self.exchange.state.lock();
        let Some(owed) = state.owed.get_mut(&self.number) else { return };
        owed.bytes = owed.bytes.saturating_sub(bytes);
        owed.taken += bytes as u64;
        owed.moved = now;
        if owed.bytes == 0 {
            state.owed.remove(&self.number);
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let now = self.exchange.host.monotonic();
        let mut state = self.exchange.state.lock();
        state.owed.remove(&self.number);
        state.under_way -= 1;
        state.silent_since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(15);

    fn exchange() -> (Arc<Exchange>, host::ManualClock) {
        let clock = host::ManualClock::at(0);
        let exchange = Exchange::new(&Host::builder().clock(clock.clone()).build());
        (exchange, clock)
    }

    /// I12: who takes nothing is told from who is waited for, and from who takes little by little.
    #[test]
    fn a_peer_stands_still_when_it_takes_less_than_it_must() {
        let (exchange, clock) = exchange();
        let request = exchange.request();
        clock.advance(10 * STALL);
        assert!(!exchange.is_stalled(STALL), "the work is ours");
        request.owes(1 << 20);
        for _ in 0..10 {
            clock.advance(Duration::from_secs(1));
            assert!(!exchange.is_stalled(STALL));
            request.took(2 << 10);
        }
        clock.advance(Duration::from_secs(5));
        assert!(!exchange.is_stalled(STALL), "20 KiB in 15 s are enough");
        for _ in 0..15 {
            clock.advance(Duration::from_secs(1));
            request.took(1);
        }
        assert!(exchange.is_stalled(STALL), "15 bytes in 15 s are not");
        request.took(1 << 20);
        assert!(!exchange.is_stalled(STALL), "all is taken");
    }

    /// One answer that is taken does not cover another one that is not.
    #[test]
    fn each_answer_counts_for_itself() {
        let (exchange, clock) = exchange();
        let (taken, left) = (exchange.request(), exchange.request());
        taken.owes(1 << 20);
        left.owes(10);
        clock.advance(STALL);
        taken.took(1 << 19);
        assert!(exchange.is_stalled(STALL));
        drop(left);
        assert!(!exchange.is_stalled(STALL));
    }

    #[test]
    fn a_socket_that_takes_nothing_stands_still_whatever_was_asked() {
        let (exchange, clock) = exchange();
        exchange.blocked(true);
        clock.advance(STALL / 2);
        exchange.blocked(true);
        clock.advance(STALL / 2);
        assert!(exchange.is_stalled(STALL));
        exchange.blocked(false);
        assert!(!exchange.is_stalled(STALL));
    }

    #[test]
    fn who_takes_nothing_is_as_good_as_silent() {
        let (exchange, clock) = exchange();
        assert_eq!(exchange.silent_since(), Some(Duration::ZERO));
        let (one, other) = (exchange.request(), exchange.request());
        one.owes(10);
        clock.advance(2 * PATIENCE);
        assert_eq!(exchange.silent_since(), None, "the other one is being answered");
        drop(other);
        assert_eq!(exchange.silent_since(), Some(Duration::ZERO));
        one.took(1);
        assert_eq!(exchange.silent_since(), None);
        drop(one);
        assert_eq!(exchange.silent_since(), Some(2 * PATIENCE));
    }
}
