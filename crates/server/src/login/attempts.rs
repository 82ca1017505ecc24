//! Logins that have begun: what is needed to finish one, bound to the browser that began it by a cookie.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use access::network;
use host::Host;
use parking_lot::Mutex;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::next::Next;

/// How long somebody may take at the provider.
pub const LIFE: Duration = Duration::from_secs(600);
/// Logins under way, and from one source (I12). Where there are more, the oldest is forgotten: of that source, so that it
/// takes fifty networks to push out somebody else's.
const ATTEMPTS_MAX: usize = 10_000;
const PER_SOURCE_MAX: usize = 200;

/// What one login needs. All of it is ours, and only `state` and `nonce` are seen by the provider.
pub struct Attempt {
    /// Comes back with the browser: another site cannot have its own login finished here.
    pub state: Zeroizing<String>,
    /// Comes back in the id token: it was made for this login.
    pub nonce: Zeroizing<String>,
    /// Of PKCE: whoever finds the code cannot use it.
    pub verifier: Zeroizing<String>,
    /// Where to go then.
    pub next: Next,
    source: IpAddr,
    begun: Duration,
}

/// All that are under way, by what the browser's cookie holds.
pub struct Attempts {
    host: Host,
    begun: Mutex<HashMap<String, Attempt>>,
}

/// What a login begins with.
pub struct Begun {
    /// For the cookie.
    pub cookie: Zeroizing<String>,
    /// As in the [`Attempt`].
    pub state: Zeroizing<String>,
    /// As in the [`Attempt`].
    pub nonce: Zeroizing<String>,
    /// As in the [`Attempt`].
    pub verifier: Zeroizing<String>,
}

impl Attempts {
    pub fn new(host: &Host) -> Attempts {
        Attempts { host: host.clone(), begun: Mutex::default() }
    }

    /// Begins one.
    pub fn begin(&self, source: IpAddr, next: Next) -> Begun {
        let word = || Zeroizing::new(hex(&self.host.random::<32>()));
        let (source, now) = (network(source), self.host.monotonic());
        let begun = Begun { cookie: word(), state: word(), nonce: word(), verifier: word() };
        let attempt = Attempt {
            state: begun.state.clone(),
            nonce: begun.nonce.clone(),
            verifier: begun.verifier.clone(),
            next,
            source,
            begun: now,
        };
        let mut all = self.begun.lock();
        all.retain(|_, attempt| now < attempt.begun + LIFE);
        if all.values().filter(|attempt| attempt.source == source).count() >= PER_SOURCE_MAX {
            forget_oldest(&mut all, |attempt| attempt.source == source);
        } else if all.len() >= ATTEMPTS_MAX {
            forget_oldest(&mut all, |_| true);
        }
        all.insert(String::clone(&begun.cookie), attempt);
        begun
    }

    /// The attempt that a browser has begun, if `state` is what it was sent away with; it is over by that. With another
    /// state it goes on: that is of a tab that began before, or of a page that means ill, and nobody guesses 256 bits.
    pub fn take(&self, cookie: &str, state: &str) -> Option<Attempt> {
        let mut all = self.begun.lock();
        let attempt = all.get(cookie)?;
        if !bool::from(attempt.state.as_bytes().ct_eq(state.as_bytes())) {
            return None;
        }
        all.remove(cookie).filter(|attempt| self.host.monotonic() < attempt.begun + LIFE)
    }
}

fn forget_oldest(all: &mut HashMap<String, Attempt>, of: impl Fn(&Attempt) -> bool) {
    let oldest = all.iter().filter(|(_, attempt)| of(attempt)).min_by_key(|(_, attempt)| attempt.begun);
    if let Some(cookie) = oldest.map(|(cookie, _)| cookie.clone()) {
        all.remove(&cookie);
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_login_is_finished_once_by_who_began_it_and_in_time() {
        let clock = host::ManualClock::at(0);
        let attempts = Attempts::new(&Host::builder().clock(clock.clone()).build());
        let begin = || attempts.begin(HERE, Next::of(Some("/x")));
        let (mine, other) = (begin(), begin());
        assert!(attempts.take(&other.cookie, &mine.state).is_none(), "another's state");
        assert!(attempts.take(&other.cookie, &other.state).is_some(), "a wrong try ends nothing");
        let done = attempts.take(&mine.cookie, &mine.state).unwrap();
        assert_eq!((done.next.path(), &*done.nonce, &*done.verifier), ("/x", &*mine.nonce, &*mine.verifier));
        assert!(attempts.take(&mine.cookie, &mine.state).is_none(), "once");
        let late = begin();
        clock.advance(LIFE);
        assert!(attempts.take(&late.cookie, &late.state).is_none(), "in time");
        assert!(attempts.take("", "").is_none());
    }

    #[test]
    fn a_flood_of_logins_pushes_out_its_own() {
        let attempts = Attempts::new(&Host::system());
        let there = attempts.begin(IpAddr::from([192, 0, 2, 1]), Next::of(None));
        for _ in 0..2 * PER_SOURCE_MAX {
            attempts.begin(HERE, Next::of(None));
        }
        assert_eq!(attempts.begun.lock().len(), PER_SOURCE_MAX + 1);
        assert!(attempts.take(&there.cookie, &there.state).is_some());
    }

    #[test]
    fn the_addresses_of_one_network_are_one_source() {
        let attempts = Attempts::new(&Host::system());
        for n in 0..2 * PER_SOURCE_MAX {
            attempts.begin(format!("2001:db8:1:2::{n:x}").parse().unwrap(), Next::of(None));
        }
        assert_eq!(attempts.begun.lock().len(), PER_SOURCE_MAX);
    }
}
