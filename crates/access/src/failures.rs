//! Failed attempts, counted, so that nobody can try for long.
//!
//! Counted are attempts of one source, of one source at one principal, and, apart from these, logins of one source. Not
//! counted are attempts at a principal from anywhere: by those anybody could lock anybody else out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;

/// Failures of one source within [`WINDOW`] that are let through, be it with credentials or at logging in, and of one
/// source at one principal.
const SOURCE_MAX: u32 = 30;
const PRINCIPAL_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(300);
/// What is remembered at once (I12). Where it is full, what is forgotten soonest goes first.
const REMEMBERED_MAX: usize = 10_000;

/// What failed lately. Times are monotonic.
#[derive(Default)]
pub(crate) struct Failures {
    counted: Mutex<HashMap<Key, Count>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    source: IpAddr,
    of: Of,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Of {
    Credentials,
    Principal(String),
    Logins,
}

/// What is attempted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Attempt<'a> {
    /// Showing a credential, of a principal if it names one.
    Credential(Option<&'a str>),
    /// Logging in. What a service does wrong locks no person out, and the other way about.
    Login,
}

struct Count {
    failures: u32,
    until: Duration,
}

impl Failures {
    /// Whether a source may try; else how long it must wait.
    pub fn may_try(&self, source: IpAddr, attempt: Attempt<'_>, now: Duration) -> Result<(), Duration> {
        let counted = self.counted.lock();
        for (key, max) in keys(source, attempt) {
            if let Some(count) = counted.get(&key)
                && now < count.until
                && count.failures >= max
            {
                return Err(count.until - now);
            }
        }
        Ok(())
    }

    /// An attempt failed.
    pub fn failed(&self, source: IpAddr, attempt: Attempt<'_>, now: Duration) {
        let mut counted = self.counted.lock();
        for (key, _) in keys(source, attempt) {
            if counted.len() >= REMEMBERED_MAX && !counted.contains_key(&key) {
                make_room(&mut counted, now);
            }
            let count = counted.entry(key).or_insert(Count { failures: 0, until: now + WINDOW });
            if count.until <= now {
                *count = Count { failures: 0, until: now + WINDOW };
            }
            count.failures = count.failures.saturating_add(1);
        }
    }
}

fn keys(source: IpAddr, attempt: Attempt<'_>) -> impl Iterator<Item = (Key, u32)> {
    let source = network(source);
    let (of, principal) = match attempt {
        Attempt::Credential(principal) => (Of::Credentials, principal),
        Attempt::Login => (Of::Logins, None),
    };
    let both = principal.map(|principal| {
        let principal = principal.chars().take(64).collect();
        (Key { source, of: Of::Principal(principal) }, PRINCIPAL_MAX)
    });
    [(Key { source, of }, SOURCE_MAX)].into_iter().chain(both)
}

/// What counts as one source: an IPv4 address, or the /64 of an IPv6 address. Who has one of these has 2⁶⁴ of them.
pub fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    }
}

/// Forgets what is over, and else the tenth that is over soonest: once in a thousand failures, so that it costs little.
fn make_room(counted: &mut HashMap<Key, Count>, now: Duration) {
    counted.retain(|_, count| now < count.until);
    if counted.len() >= REMEMBERED_MAX {
        let mut ends: Vec<Duration> = counted.values().map(|count| count.until).collect();
        let at = ends.len() / 10;
        let (_, end, _) = ends.select_nth_unstable(at);
        let end = *end;
        let mut room = at + 1;
        counted.retain(|_, count| {
            let goes = count.until <= end && room > 0;
            room -= usize::from(goes);
            !goes
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    const SOMEBODY: Attempt<'static> = Attempt::Credential(None);

    fn at(principal: &str) -> Attempt<'_> {
        Attempt::Credential(Some(principal))
    }

    fn source(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn who_fails_often_waits_and_nobody_else_does() {
        let failures = Failures::default();
        let (here, there) = (source("192.0.2.1"), source("192.0.2.2"));
        for _ in 0..PRINCIPAL_MAX {
            assert_eq!(failures.may_try(here, at("alice"), NOW), Ok(()));
            failures.failed(here, at("alice"), NOW);
        }
        assert_eq!(failures.may_try(here, at("alice"), NOW), Err(WINDOW));
        assert_eq!(failures.may_try(here, at("bob"), NOW), Ok(()));
        assert_eq!(failures.may_try(there, at("alice"), NOW), Ok(()));
        for n in 0..SOURCE_MAX {
            failures.failed(here, at(&n.to_string()), NOW);
        }
        assert!(failures.may_try(here, at("bob"), NOW).is_err() && failures.may_try(here, SOMEBODY, NOW).is_err());
        assert_eq!(failures.may_try(here, at("alice"), NOW + WINDOW), Ok(()));
    }

    #[test]
    fn logins_and_credentials_are_counted_apart() {
        for (failing, other) in [(Attempt::Login, SOMEBODY), (SOMEBODY, Attempt::Login)] {
            let failures = Failures::default();
            let here = source("192.0.2.1");
            for _ in 0..SOURCE_MAX {
                failures.failed(here, failing, NOW);
            }
            assert!(failures.may_try(here, failing, NOW).is_err(), "{failing:?}");
            assert!(failures.may_try(here, other, NOW).is_ok(), "{failing:?}");
        }
    }

    #[test]
    fn the_addresses_of_one_network_are_one_source() {
        let failures = Failures::default();
        for n in 0..SOURCE_MAX {
            failures.failed(source(&format!("2001:db8:1:2::{n}")), SOMEBODY, NOW);
        }
        assert!(failures.may_try(source("2001:db8:1:2:ffff::"), SOMEBODY, NOW).is_err());
        assert!(failures.may_try(source("2001:db8:1:3::"), SOMEBODY, NOW).is_ok());
        for _ in 0..SOURCE_MAX {
            failures.failed(source("::ffff:192.0.2.9"), SOMEBODY, NOW);
        }
        assert!(failures.may_try(source("192.0.2.9"), SOMEBODY, NOW).is_err(), "an IPv4 address in IPv6's clothes");
    }

    #[test]
    fn a_flood_of_sources_is_remembered_within_bounds() {
        let failures = Failures::default();
        for n in 0..3 * REMEMBERED_MAX as u32 {
            failures.failed(IpAddr::from(n.to_be_bytes()), SOMEBODY, NOW);
            assert!(failures.counted.lock().len() <= REMEMBERED_MAX);
        }
    }
}
