//! A request that was granted, as its handler gets it.

use std::sync::Arc;
use std::time::Duration;

use access::{Grant, Names, Principal};
use axum::body::Body;
use http::HeaderMap;
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;
use zeroize::Zeroizing;

use crate::access_record::Who;
use crate::off_the_loop;
use crate::problem::{self, Problem};
use crate::served::Served;
use crate::server::Server;
use crate::table::OTHERS;

/// Bytes of a query string at most: as of a query's text, and what wraps it.
const QUERY_BYTES_MAX: usize = 96 << 10;

/// A request that was granted.
pub struct Asked {
    /// The server.
    pub server: Arc<Server>,
    /// Who asks; none on a route that anyone may ask.
    pub principal: Option<Principal>,
    /// The session whose cookie came, where that is how it is known who asks.
    pub session: Option<Zeroizing<String>>,
    /// What is granted; none on a route that needs no permission.
    pub grant: Option<Grant>,
    /// Who asks.
    pub who: Who,
    /// The request's id, in the answer, the log and access records.
    pub request_id: String,
    /// The trail; none on a route without one.
    pub served: Option<Arc<Served>>,
    /// What stands in the path where the route has a name.
    pub path: Vec<(String, String)>,
    /// What the query string says.
    pub query: Query,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body, not read yet. In a lock for nothing but that a body cannot be looked at by two.
    pub body: Mutex<Body>,
}

impl Asked {
    /// The trail.
    pub fn trail(&self) -> Result<&Arc<Served>, Problem> {
        self.served.as_ref().ok_or_else(|| problem::internal(&"a route without a trail asks for one"))
    }

    /// Who asks.
    pub fn principal(&self) -> Result<&Principal, Problem> {
        self.principal.as_ref().ok_or_else(|| problem::internal(&"an open route asks who asks"))
    }

    /// What is granted.
    pub fn grant(&self) -> Result<&Grant, Problem> {
        self.grant.as_ref().ok_or_else(|| problem::internal(&"an open route asks for a grant"))
    }

    /// A handler refuses what the guard could not know of; that is on record too (I11).
    pub fn refused(&self, reason: &str, times: u64) {
        if let Some(grant) = &self.grant {
            let served = self.served.as_ref().unwrap_or_else(|| self.server.trails.home());
            served.clerk().refused(self.who.clone(), grant.permission.name(), reason, times);
        }
    }

    /// Whether all decisions are seen, and not those of some models or tenants alone.
    pub fn sees_all(&self) -> Result<bool, Problem> {
        let grant = self.grant()?;
        Ok(grant.models == Names::All && grant.tenants == Names::All)
    }

    /// Refuses whoever sees a part of the decisions alone, where a part misleads: whoever took it for all `would` …
    pub fn sees_every_decision(&self, would: &str) -> Result<(), Problem> {
        if self.sees_all()? {
            return Ok(());
        }
        let what = format!("a role that sees a part of the trail {would}; ask with one that sees all");
        let problem = Problem::new(problem::Kind::Forbidden, what);
        self.refused(&problem.told.detail, 1);
        Err(problem)
    }

    /// One of the reads that may be answered at once, waited for until the limit.
    pub async fn turn(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let wait = Duration::from_secs(self.server.config.limits.turn_s_max);
        let busy = || Problem::new(problem::Kind::Busy, "as many reads are under way as may be; try again");
        let turn = tokio::time::timeout(wait, Arc::clone(&self.server.reads).acquire_owned()).await;
        turn.map_err(|_| busy())?.map_err(|_| problem::stopped())
    }

    /// Does `work` as one of the reads that may be answered at once. It keeps its turn to its end, also if whoever asked
    /// goes away.
    pub async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = self.turn().await?;
        off_the_loop(move || {
            let _turn = turn;
            work()
        })
        .await
    }

    /// What stands in the path under a name.
    pub fn in_path(&self, name: &str) -> Result<&str, Problem> {
        let found = self.path.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).ok_or_else(|| problem::internal(&"a path lacks a name of its route"))
    }
}

/// A query string, taken apart: each name once, and only names that the route knows.
#[derive(Debug, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Reads one. `known` are the names that it may have.
    pub fn read(text: Option<&str>, known: &[&str]) -> Result<Query, Problem> {
        let text = text.unwrap_or_default();
        if text.len() > QUERY_BYTES_MAX {
            let what =
                format!("the query string is longer than the limit of {QUERY_BYTES_MAX} bytes; POST sql instead");
            return Err(Problem::new(problem::Kind::TooLarge, what));
        }
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            if pairs.iter().any(|(given, _)| *given == name) {
                return Err(Problem::parameter(&name, format!("the parameter {name:?} is there twice; give it once")));
            }
            if !known.contains(&&*name) {
                if known.contains(&OTHERS) {
                    continue;
                }
                let names = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let shown: String = name.chars().take(64).collect();
                let what = format!("there is no parameter {shown:?} here; the parameters are {names}");
                return Err(Problem::parameter(&shown, what));
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok(Query { pairs })
    }

    /// The value of a name that has one; an empty value is none.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(given, _)| given == name)?;
        Some(found.1.as_str()).filter(|value| !value.is_empty())
    }

    /// The value of a name that must have one.
    pub fn needed(&self, name: &str, says: &str) -> Result<&str, Problem> {
        self.get(name).ok_or_else(|| Problem::parameter(name, format!("{name} is missing; it is {says}")))
    }

    /// Whether a name is there, with nothing or `true`; not if it says `false`.
    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.pairs.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str()) {
            None | Some("false" | "0") => Ok(false),
            Some("" | "true" | "1") => Ok(true),
            Some(_) => {
                Err(Problem::parameter(name, format!("{name} is neither true nor false; leave it out or say true")))
            }
        }
    }

    /// A number, within its limits.
    pub fn number(&self, name: &str, default: usize, max: usize) -> Result<usize, Problem> {
        let Some(text) = self.get(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| (1..=max).contains(number));
        number.ok_or_else(|| Problem::parameter(name, format!("{name} is no number from 1 to {max}")))
    }

    /// The pairs as they were given, for the record.
    pub fn told(&self) -> String {
        let mut told = url::form_urlencoded::Serializer::new(String::new());
        told.extend_pairs(&self.pairs);
        told.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_string_has_known_names_once_each() {
        let query = Query::read(Some("where=a%20%3C%201&limit=3&wait="), &["where", "limit", "wait"]).unwrap();
        assert_eq!((query.get("where"), query.number("limit", 1, 9).unwrap()), (Some("a < 1"), 3));
        assert_eq!((query.get("wait"), query.flag("wait").unwrap(), query.flag("x").unwrap()), (None, true, false));
        assert_eq!(query.number("limit", 1, 2).unwrap_err().told.field.as_deref(), Some("limit"));
        assert!(Query::read(Some("a=1&a=2"), &["a"]).is_err());
        assert_eq!(Query::read(Some("a=1&b=2&b=3"), &["a", OTHERS]).unwrap().pairs.len(), 1, "others are passed over");
        let unknown = Query::read(Some("limits=1"), &["limit"]).unwrap_err();
        assert_eq!(unknown.told.hint.as_deref(), Some("the parameters are limit"));
        assert!(Query::read(Some(&"a".repeat(QUERY_BYTES_MAX + 1)), &["a"]).is_err());
    }
}
