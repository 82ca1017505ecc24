//! What is asked to log in, to log out, and of who one is.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use access::{ABSOLUTE, Credential, Person, PrincipalKind, Refused};
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, SET_COOKIE};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::Login;
use super::attempts::{Attempt, LIFE};
use super::next::Next;
use super::page::page;
use super::provider::ProviderError;
use crate::access_record::{self, Who};
use crate::asked::Asked;
use crate::problem::{self, Kind, Problem};
use crate::table::Answering;

/// What is written of a login in the place of a permission.
const LOGIN: &str = "login";
/// Bytes of what a provider sends back with a browser.
const WORD_BYTES_MAX: usize = 8 << 10;

/// Why somebody is not logged in. What goes on record and what they see are made of it.
#[derive(Debug, thiserror::Error)]
enum LoginError {
    #[error("the login was not begun in this browser, or is over; begin again")]
    NotBegun,
    #[error("the identity provider did not let you in; begin again, or ask who runs it")]
    Declined,
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(
        "{name} is in no group that may do anything here; ask who runs the server to give one of your groups a role"
    )]
    NoGroup { name: String },
    #[error("{}", .0.public())]
    TooMany(Refused),
    #[error("as many logins are under way as may be; begin again in a minute")]
    Busy,
    #[error("it could not be put on record, and without that nobody is let in; try again later")]
    Record(Problem),
}

impl LoginError {
    /// Whether whoever tries it often is told to wait. A provider that is down is nobody's failure; and any page can have
    /// the browsers of an office ask for what none of them began.
    fn counts(&self) -> bool {
        match self {
            LoginError::Declined | LoginError::NoGroup { .. } => true,
            LoginError::Provider(error) => !matches!(error, ProviderError::Unreachable(_)),
            LoginError::NotBegun | LoginError::TooMany(_) | LoginError::Busy | LoginError::Record(_) => false,
        }
    }

    fn problem(&self) -> Problem {
        let again = "begin again; if it stays so, tell who runs the server";
        match self {
            LoginError::NotBegun => Problem::new(Kind::Malformed, self.to_string()),
            LoginError::Declined | LoginError::NoGroup { .. } => Problem::new(Kind::Forbidden, self.to_string()),
            // What exactly is wrong with the provider is in the log.
            LoginError::Provider(ProviderError::Unreachable(_)) => {
                Problem::new(Kind::Busy, "the identity provider cannot be asked").hint("try again in a minute")
            }
            LoginError::Provider(ProviderError::Code) => {
                Problem::new(Kind::Malformed, "the identity provider does not take what it sent back").hint(again)
            }
            LoginError::Provider(ProviderError::IdToken(_)) => {
                Problem::new(Kind::Malformed, "what the identity provider says of you is not believed").hint(again)
            }
            LoginError::TooMany(refused) => {
                let mut problem = Problem::new(Kind::TooMany, self.to_string());
                problem.retry_after_s =
                    refused.retry_after().and_then(|after| u32::try_from(after.as_secs().max(1)).ok());
                problem
            }
            LoginError::Busy => Problem::new(Kind::Busy, self.to_string()),
            LoginError::Record(problem) => Problem::new(problem.kind, self.to_string()),
        }
    }
}

/// Sends a browser to the provider.
pub fn begin(asked: Asked) -> Answering {
    Box::pin(async move {
        let login = login(&asked)?;
        let source = source(&asked);
        let begun = async {
            asked.server.access.may_log_in(source).map_err(LoginError::TooMany)?;
            let begun = login.attempts.begin(source, Next::of(asked.query.get("next")));
            let address = login.provider.address_of(&begun).await?;
            Ok::<_, LoginError>((address, begun.cookie))
        };
        match begun.await {
            Ok((address, cookie)) => redirect(address.as_str(), [login.attempt.set(&cookie, LIFE.as_secs())]),
            Err(error) => {
                tracing::info!(request = asked.request_id, %error, "a login could not begin");
                Ok(page(&error.problem()))
            }
        }
    })
}

/// Takes a browser back from the provider.
pub fn callback(asked: Asked) -> Answering {
    Box::pin(async move {
        let login = Arc::clone(login(&asked)?);
        let asked = Arc::new(asked);
        // In a task of its own: whoever goes away meanwhile is counted and on record all the same.
        let finished = tokio::spawn(finish(Arc::clone(&asked), Arc::clone(&login))).await;
        match finished.map_err(|error| problem::internal(&error))? {
            Ok((person, next)) => {
                let session = asked.server.access.begin_session(person);
                let cookies = [login.session.set(&session.id, ABSOLUTE.as_secs()), login.attempt.clear()];
                redirect(next.path(), cookies)
            }
            Err(error) => {
                let mut response = page(&error.problem());
                // What was not begun here may be another tab's, and that goes on.
                if !matches!(error, LoginError::NotBegun) {
                    add_cookies(&mut response, [login.attempt.clear()])?;
                }
                Ok(response)
            }
        }
    })
}

/// Everything that must be so before a session begins; the login is on record then, and so is one that came to nothing.
async fn finish(asked: Arc<Asked>, login: Arc<Login>) -> Result<(Person, Next), LoginError> {
    let mut who = asked.who.clone();
    let mut turn = None;
    let finished = async {
        let (code, attempt) = come_back(&asked, &login)?;
        let wait = Duration::from_secs(asked.server.config.limits.turn_s_max);
        turn = Some(login.turn(wait).await.ok_or(LoginError::Busy)?);
        log_in(&asked, &login, code, attempt, &mut who).await
    }
    .await;
    if let Err(error) = &finished {
        if error.counts() {
            asked.server.access.login_failed(source(&asked));
        }
        tracing::info!(request = asked.request_id, %error, "a login came to nothing");
        asked.server.trails.home().clerk().refused(who, LOGIN, error.to_string(), 1);
    }
    // Not before a failure is counted: whoever waits for this turn finds it so.
    drop(turn);
    finished
}

/// The code that a browser brings back, and the attempt that it has begun. Nobody is asked for that.
fn come_back<'a>(asked: &'a Asked, login: &Login) -> Result<(&'a str, Attempt), LoginError> {
    let word = |name: &str| asked.query.get(name).filter(|word| word.len() <= WORD_BYTES_MAX);
    asked.server.access.may_log_in(source(asked)).map_err(LoginError::TooMany)?;
    let (Some(cookie), Some(state)) = (login.attempt.of(&asked.headers), word("state")) else {
        return Err(LoginError::NotBegun);
    };
    let attempt = login.attempts.take(cookie, state).ok_or(LoginError::NotBegun)?;
    // Which of several providers answered (RFC 9207): ours, or the code is not for us.
    if word("iss").is_some_and(|issuer| issuer != login.provider.issuer()) {
        return Err(LoginError::NotBegun);
    }
    if asked.query.get("error").is_some() {
        return Err(LoginError::Declined);
    }
    let code = word("code").ok_or(LoginError::NotBegun)?;
    Ok((code, attempt))
}

/// Has the provider say who it is, and puts the login on record.
async fn log_in(
    asked: &Asked,
    login: &Login,
    code: &str,
    attempt: Attempt,
    who: &mut Who,
) -> Result<(Person, Next), LoginError> {
    let server = &asked.server;
    // Once more: others from there may have failed while this one waited for its turn.
    server.access.may_log_in(source(asked)).map_err(LoginError::TooMany)?;
    let person = login.provider.person(code, &attempt).await?;
    let principal = server.access.person(&person.subject, &person.name, &person.groups);
    who.identify(&principal);
    if principal.assignments.is_empty() {
        return Err(LoginError::NoGroup { name: principal.name });
    }
    let roles: Vec<&str> = principal.assignments.iter().map(|assignment| assignment.role.name()).collect();
    let record = access_record::login(who, &asked.request_id, &roles);
    server.trails.home().append_own(record).await.map_err(LoginError::Record)?;
    // Whoever put a session into this browser before does not share this one.
    if let Some(session) = login.session.of(&asked.headers)
        && let Ok(before) = server.access.authenticate(&Credential::Session(session), server.host.now_ns())
    {
        let mut who = asked.who.clone();
        who.identify(&before);
        end(asked, session, &who).await.map_err(LoginError::Record)?;
    }
    Ok((person, attempt.next))
}

/// Ends the session that asks.
pub fn logout(asked: Asked) -> Answering {
    Box::pin(async move {
        let cleared = login(&asked)?.session.clear();
        let Some(session) = asked.session.clone() else {
            let what = "there is no session to end: a token or a certificate asks; revoke the token instead";
            return Err(Problem::new(Kind::Malformed, what));
        };
        // In a task of its own: whoever goes away meanwhile is logged out on record.
        let ended = tokio::spawn(async move { end(&asked, &session, &asked.who).await }).await;
        let mut response = match ended.unwrap_or_else(|error| Err(problem::internal(&error))) {
            Ok(()) => document(&json!({"logged_out": true})),
            Err(problem) => problem.into_response(),
        };
        add_cookies(&mut response, [cleared])?;
        Ok(response)
    })
}

/// Ends somebody's session, and puts that on record. It is over whatever comes of its record.
async fn end(asked: &Asked, session: &str, whose: &Who) -> Result<(), Problem> {
    asked.server.access.end_session(session);
    let record = access_record::logout(whose, &asked.request_id);
    asked.server.trails.home().append_own(record).await.map(|_| ())
}

/// Says who asks, what they may be where, and until when.
pub fn me(asked: Asked) -> Answering {
    Box::pin(async move {
        let principal = asked.principal()?;
        let roles = serde_json::to_value(&principal.assignments).map_err(|error| problem::internal(&error))?;
        let mut told = json!({
            "id": principal.id, "name": principal.name, "kind": principal.kind.name(), "roles": roles,
        });
        if let Some(session) = asked.session.as_ref().filter(|_| principal.kind == PrincipalKind::Person) {
            told["session"] = of_session(&asked, session);
        }
        Ok(document(&told))
    })
}

fn of_session(asked: &Asked, session: &str) -> Value {
    let server = &asked.server;
    let now = server.host.now_ns();
    let at = |after: Duration| {
        let ns = now.saturating_add(i64::try_from(after.as_nanos()).unwrap_or(i64::MAX));
        chrono::DateTime::from_timestamp_nanos(ns).to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    };
    let lasts = server.access.session_lasts(session);
    json!({
        "until": lasts.map(|(_, whole)| at(whole)),
        "until_unused": lasts.map(|(idle, _)| at(idle)),
        "csrf": server.access.csrf(session).as_deref(),
    })
}

fn login(asked: &Asked) -> Result<&Arc<Login>, Problem> {
    let what = "nobody logs in here: no identity provider is set up; send a token";
    asked.server.login.as_ref().ok_or_else(|| Problem::new(Kind::NotFound, what))
}

fn source(asked: &Asked) -> IpAddr {
    asked.who.from.parse().unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED))
}

fn document(told: &Value) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, told.to_string() + "\n").into_response()
}

fn redirect<const N: usize>(to: &str, cookies: [Option<HeaderValue>; N]) -> Result<Response, Problem> {
    let to = HeaderValue::from_str(to).map_err(|error| problem::internal(&error))?;
    let headers = [(LOCATION, to), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    let mut response = (StatusCode::SEE_OTHER, headers).into_response();
    add_cookies(&mut response, cookies)?;
    Ok(response)
}

fn add_cookies<const N: usize>(response: &mut Response, cookies: [Option<HeaderValue>; N]) -> Result<(), Problem> {
    for cookie in cookies {
        let cookie = cookie.ok_or_else(|| problem::internal(&"a cookie has bytes that none may have"))?;
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(())
}
