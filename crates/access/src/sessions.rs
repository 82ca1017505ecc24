//! Sessions of people who have logged in.
//!
//! They live in memory alone, under hashes of their ids: nothing on disk lets anybody in, and a restart logs everyone out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use host::Host;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::person::Person;
use crate::refused::Reason;
use crate::token::{from_hex, hex};

/// A session ends when nobody used it for this long.
pub const IDLE: Duration = Duration::from_secs(30 * 60);
/// A session ends after this long, used or not.
pub const ABSOLUTE: Duration = Duration::from_secs(12 * 3600);
/// Sessions at once, and of one principal (I12).
const SESSIONS_MAX: usize = 10_000;
const PER_PRINCIPAL_MAX: usize = 16;

/// All sessions.
pub(crate) struct Sessions {
    host: Host,
    known: Mutex<HashMap<[u8; 32], Session>>,
}

struct Session {
    /// Shared, so that a request does not copy its groups while others wait.
    person: Arc<Person>,
    csrf: [u8; 32],
    made: Duration,
    used: Duration,
}

/// A new session, for a cookie and for pages.
#[derive(Clone)]
pub struct NewSession {
    /// What the cookie holds; whoever has it is that person.
    pub id: Zeroizing<String>,
    /// What every form and script sends back, since a cookie is sent by any site's pages too.
    pub csrf: Zeroizing<String>,
}

impl std::fmt::Debug for NewSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewSession")
    }
}

impl Session {
    fn is_over(&self, now: Duration) -> bool {
        now >= self.used + IDLE || now >= self.made + ABSOLUTE
    }
}

impl Sessions {
    pub fn new(host: &Host) -> Sessions {
        Sessions { host: host.clone(), known: Mutex::default() }
    }

    /// Begins one. Where there are too many, the one that was used longest ago ends.
    pub fn begin(&self, person: Person) -> NewSession {
        let now = self.host.monotonic();
        let (id, csrf) = (Zeroizing::new(self.host.random::<32>()), Zeroizing::new(self.host.random::<32>()));
        let mut known = self.known.lock();
        known.retain(|_, session| !session.is_over(now));
        let of_same = known.values().filter(|session| session.person.subject == person.subject).count();
        if of_same >= PER_PRINCIPAL_MAX {
            end_oldest(&mut known, |session| session.person.subject == person.subject);
        } else if known.len() >= SESSIONS_MAX {
            end_oldest(&mut known, |_| true);
        }
        known.insert(hash(&id), Session { person: Arc::new(person), csrf: *csrf, made: now, used: now });
        NewSession { id: Zeroizing::new(hex(&*id)), csrf: Zeroizing::new(hex(&*csrf)) }
    }

    /// Whose it is. It goes on from here.
    pub fn find(&self, id: &str) -> Result<Arc<Person>, Reason> {
        let id = Zeroizing::new(from_hex::<32>(id).ok_or(Reason::Malformed)?);
        let now = self.host.monotonic();
        let mut known = self.known.lock();
        let session = known.get_mut(&hash(&id)).ok_or(Reason::Unknown)?;
        if session.is_over(now) {
            known.remove(&hash(&id));
            return Err(Reason::Expired);
        }
        session.used = now;
        Ok(Arc::clone(&session.person))
    }

    /// Whether what a form sent is the session's own CSRF token.
    pub fn is_csrf(&self, id: &str, csrf: &str) -> bool {
        let (Some(id), Some(csrf)) = (from_hex::<32>(id), from_hex::<32>(csrf)) else { return false };
        let known = self.known.lock();
        known.get(&hash(&id)).is_some_and(|session| session.csrf.ct_eq(&csrf).into())
    }

    /// The session's CSRF token, for its pages.
    pub fn csrf(&self, id: &str) -> Option<Zeroizing<String>> {
        let id = from_hex::<32>(id)?;
        self.known.lock().get(&hash(&id)).map(|session| Zeroizing::new(hex(&session.csrf)))
    }

    /// How long it lasts from here if nobody uses it, and in any case.
    pub fn lasts(&self, id: &str) -> Option<(Duration, Duration)> {
        let id = from_hex::<32>(id)?;
        let now = self.host.monotonic();
        let known = self.known.lock();
        let session = known.get(&hash(&id)).filter(|session| !session.is_over(now))?;
        let whole = (session.made + ABSOLUTE).saturating_sub(now);
        Some(((session.used + IDLE).saturating_sub(now).min(whole), whole))
    }

    /// Ends it.
    pub fn end(&self, id: &str) {
        if let Some(id) = from_hex::<32>(id) {
            self.known.lock().remove(&hash(&id));
        }
    }
}

fn hash(id: &[u8; 32]) -> [u8; 32] {
    Sha256::digest(id).into()
}

fn end_oldest(known: &mut HashMap<[u8; 32], Session>, of: impl Fn(&Session) -> bool) {
    let oldest = known.iter().filter(|(_, session)| of(session)).min_by_key(|(_, session)| session.used);
    if let Some(id) = oldest.map(|(id, _)| *id) {
        known.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(name: &str) -> Person {
        Person { subject: name.to_owned(), name: name.to_owned(), groups: Vec::new() }
    }

    #[test]
    fn a_session_ends_when_idle_and_in_any_case_after_half_a_day() {
        let clock = host::ManualClock::at(0);
        let sessions = Sessions::new(&Host::builder().clock(clock.clone()).build());
        let idle = sessions.begin(person("alice"));
        clock.advance(IDLE - Duration::from_secs(1));
        let left = (Duration::from_secs(1), ABSOLUTE - IDLE + Duration::from_secs(1));
        assert_eq!(sessions.lasts(&idle.id), Some(left));
        assert_eq!(sessions.find(&idle.id), Ok(Arc::new(person("alice"))));
        clock.advance(IDLE);
        assert_eq!(sessions.lasts(&idle.id), None);
        assert_eq!(sessions.find(&idle.id), Err(Reason::Expired));
        assert_eq!(sessions.find(&idle.id), Err(Reason::Unknown));
        let busy = sessions.begin(person("alice"));
        let uses = (ABSOLUTE.as_secs() / 60) as u32;
        for _ in 1..uses {
            clock.advance(Duration::from_secs(60));
            assert_eq!(sessions.find(&busy.id), Ok(Arc::new(person("alice"))));
        }
        clock.advance(Duration::from_secs(60));
        assert_eq!(sessions.find(&busy.id), Err(Reason::Expired));
    }

    #[test]
    fn a_form_must_bring_the_token_of_its_own_session() {
        let sessions = Sessions::new(&Host::system());
        let (alice, bob) = (sessions.begin(person("alice")), sessions.begin(person("bob")));
        assert!(sessions.is_csrf(&alice.id, &alice.csrf));
        assert_eq!(sessions.csrf(&alice.id).as_deref(), Some(&*alice.csrf));
        for csrf in [&*bob.csrf, &*alice.id, "", "zz"] {
            assert!(!sessions.is_csrf(&alice.id, csrf));
        }
        sessions.end(&alice.id);
        assert!(!sessions.is_csrf(&alice.id, &alice.csrf));
        assert_eq!(sessions.find(&alice.id), Err(Reason::Unknown));
        assert_eq!(sessions.find("nonsense"), Err(Reason::Malformed));
    }

    #[test]
    fn one_person_has_so_many_sessions_and_no_more() {
        let sessions = Sessions::new(&Host::system());
        let bob = sessions.begin(person("bob"));
        for _ in 0..3 * PER_PRINCIPAL_MAX {
            sessions.begin(person("alice"));
        }
        assert_eq!(sessions.known.lock().len(), PER_PRINCIPAL_MAX + 1);
        assert!(sessions.find(&bob.id).is_ok());
    }
}
