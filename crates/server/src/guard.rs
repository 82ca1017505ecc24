//! What stands before every handler: who asks, whether they may, and that a refusal is on record (I11, T28). There is
//! no other way to a handler.

use std::net::IpAddr;
use std::sync::Arc;

use access::{Credential, Grant, Permission, Principal, Refused, Resource};
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::header::{AUTHORIZATION, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use zeroize::Zeroizing;

use crate::access_record::Who;
use crate::asked::{Asked, Query};
use crate::cross_site;
use crate::problem::{Kind, Problem};
use crate::served::Served;
use crate::server::Server;
use crate::table::{Need, Route};

/// Why, in the caller's own words.
pub const PURPOSE: HeaderName = HeaderName::from_static("onrecord-purpose");
/// The request's id, in the answer.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("onrecord-request");

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// The certificate that it showed, which TLS has checked: DER.
    pub certificate: Option<Arc<[u8]>>,
}

/// Answers a request by its route.
pub async fn answer(
    server: Arc<Server>,
    route: &'static Route,
    path: Vec<(String, String)>,
    request: Request<Body>,
) -> Response {
    let started = server.host.monotonic();
    let id = server.host.uuid_v7().simple().to_string();
    let (parts, body) = request.into_parts();
    let peer = parts.extensions.get::<Peer>().cloned();
    let peer = peer.unwrap_or(Peer { address: IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), certificate: None });
    let mut who = Who { from: peer.address.to_string(), ..Who::default() };
    let admitted = admit(&server, route, &parts, &peer, &path, &mut who);
    let answered = match admitted {
        Ok(Admitted { principal, session, grant, served, query }) => {
            let headers = parts.headers;
            let asked = Asked {
                server: Arc::clone(&server),
                principal,
                session,
                grant,
                who: who.clone(),
                request_id: id.clone(),
                served,
                path,
                query,
                headers,
                body: body.into(),
            };
            (route.handler)(asked).await
        }
        Err(problem) => Ok(refusal(&server, &parts.headers, problem)),
    };
    let mut response = answered.unwrap_or_else(Problem::into_response);
    let problem = response.extensions().get::<Kind>().copied();
    if let Some(problem) = problem {
        server.metrics.refused(problem.name());
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let took = server.host.monotonic().saturating_sub(started);
    let status = response.status().as_u16();
    let method = method_name(&route.method);
    server.metrics.answered(route.path, method, status, took.as_secs_f64());
    tracing::info!(
        request = id,
        method,
        route = route.path,
        status,
        problem = problem.map(Kind::name),
        principal = who.id,
        from = who.from,
        took_us = took.as_micros() as u64,
        "answered"
    );
    response
}

/// A refusal as it is answered. Where nobody has the session whose cookie came, the cookie goes: the browser would show it
/// with each request.
fn refusal(server: &Server, headers: &HeaderMap, problem: Problem) -> Response {
    let over = problem.kind == Kind::Unauthenticated && session(server, headers).is_some();
    let cleared = server.login.as_ref().filter(|_| over).and_then(|login| login.session.clear());
    let mut response = problem.into_response();
    if let Some(cookie) = cleared {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// The name of a method that a route has.
pub fn method_name(method: &http::Method) -> &'static str {
    match *method {
        http::Method::POST => "POST",
        http::Method::DELETE => "DELETE",
        _ => "GET",
    }
}

/// A request that may be answered.
#[derive(Default)]
struct Admitted {
    principal: Option<Principal>,
    session: Option<Zeroizing<String>>,
    grant: Option<Grant>,
    served: Option<Arc<Served>>,
    query: Query,
}

fn admit(
    server: &Server,
    route: &Route,
    parts: &Parts,
    peer: &Peer,
    path: &[(String, String)],
    who: &mut Who,
) -> Result<Admitted, Problem> {
    let names: Vec<&str> = route.about.parameters.iter().map(|parameter| parameter.name).collect();
    if matches!(route.need, Need::Nothing(_)) {
        return Ok(Admitted { query: Query::read(parts.uri.query(), &names)?, ..Admitted::default() });
    }
    let named = path.iter().find(|(name, _)| name == "trail").map(|(_, value)| server.trails.meant(value));
    let now = server.host.now_ns();
    let on_record = |who: &Who, reason: String| {
        let Need::Permission(permission) = route.need else { return };
        // A refusal is a record of the trail that was asked for, if it is there.
        let served = match named {
            Some(name) => server.trails.get(name),
            // What counts, and has a wrong token, asks again every few seconds: that is told to the log alone.
            None => (permission != Permission::Metrics).then(|| server.trails.home()),
        };
        if let Some(served) = served {
            served.clerk().refused(who.clone(), permission.name(), reason, 1);
        }
    };
    let refuse = |who: &Who, refused: &Refused| {
        on_record(who, refused.to_string());
        told(refused, route)
    };
    let mut session = session(server, &parts.headers);
    let credential = credential(&parts.headers, session, peer);
    let credential = credential.inspect_err(|problem| on_record(who, problem.told.detail.clone()))?;
    let mut principal = server.access.authenticate_from(peer.address, &credential, now);
    // A cookie that was left over hides no certificate.
    if let (Err(_), Some(_), Some(der)) = (&principal, session, &peer.certificate) {
        session = None;
        principal = server.access.authenticate_from(peer.address, &Credential::Certificate { der }, now);
    }
    let principal = principal.map_err(|refused| refuse(who, &refused))?;
    who.identify(&principal);
    if let Some(session) = session {
        let is_csrf = |csrf: &str| server.access.is_csrf(session, csrf);
        let own = server.login.as_ref().map_or("", |login| &login.origin);
        cross_site::check(&parts.method, &parts.headers, own, is_csrf).map_err(|why| {
            match route.of_trail() {
                true => on_record(who, why.to_string()),
                // Logging out is no trail's.
                false => server.trails.home().clerk().refused(who.clone(), action(route), why.to_string(), 1),
            }
            Problem::new(Kind::Forbidden, why.to_string())
        })?;
    }
    let session = session.map(|session| Zeroizing::new(session.to_owned()));
    let Need::Permission(permission) = route.need else {
        let query = Query::read(parts.uri.query(), &names)?;
        return Ok(Admitted { principal: Some(principal), session, query, ..Admitted::default() });
    };
    let why = purpose(&parts.headers)?;
    // One that is too long is refused, and does not go on record with the refusal.
    who.purpose = why.clone().filter(|why| why.len() <= access::PURPOSE_BYTES_MAX);
    let resource = match named {
        Some(name) => Resource::trail(name),
        None => Resource::server(),
    };
    let grant = server.access.authorize(&principal, permission, &resource, why.as_deref(), now);
    let grant = grant.map_err(|refused| refuse(who, &refused))?;
    who.role = Some(grant.role.clone());
    let served = match named {
        None => None,
        Some(name) => Some(Arc::clone(server.trails.get(name).ok_or_else(no_trail)?)),
    };
    let query = Query::read(parts.uri.query(), &names)?;
    Ok(Admitted { principal: Some(principal), session, grant: Some(grant), served, query })
}

/// What a route is called on record: by its permission, or where it needs none by its path, as in `logout`.
fn action(route: &Route) -> &'static str {
    match route.need {
        Need::Permission(permission) => permission.name(),
        Need::Known(_) | Need::Nothing(_) => route.path.trim_start_matches('/'),
    }
}

/// The session whose cookie came, where nothing else says who asks.
fn session<'h>(server: &Server, headers: &'h HeaderMap) -> Option<&'h str> {
    let login = server.login.as_ref().filter(|_| !headers.contains_key(AUTHORIZATION))?;
    login.session.of(headers)
}

/// What a request shows of who asks: a token, else its session, else the certificate of its connection.
fn credential<'r>(headers: &'r HeaderMap, session: Option<&'r str>, peer: &'r Peer) -> Result<Credential<'r>, Problem> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    match (given.next(), given.next(), &peer.certificate) {
        (Some(value), None, _) => {
            let text = value.to_str().ok().and_then(|text| text.split_once(' '));
            let token = text.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
            Ok(Credential::Bearer(token.ok_or_else(|| nobody("Authorization is not of the form: Bearer onr_…"))?))
        }
        (Some(_), Some(_), _) => Err(nobody("Authorization is there twice; send it once")),
        (None, _, certificate) => match (session, certificate) {
            (Some(id), _) => Ok(Credential::Session(id)),
            (None, Some(der)) => Ok(Credential::Certificate { der }),
            (None, None) => Err(nobody("no token came with the request; send Authorization: Bearer onr_…")),
        },
    }
}

fn nobody(what: &str) -> Problem {
    Problem::new(Kind::Unauthenticated, what)
}

fn no_trail() -> Problem {
    Problem::new(Kind::NotFound, "there is no such trail, or it is not yours to see")
}

/// What is said to who was refused. It tells nobody what exists.
fn told(refused: &Refused, route: &Route) -> Problem {
    let kind = match refused {
        refused if refused.retry_after().is_some() => Kind::TooMany,
        refused if refused.is_unauthenticated() => Kind::Unauthenticated,
        refused if refused.hides() && route.of_trail() => return no_trail(),
        _ => Kind::Forbidden,
    };
    let mut problem = Problem::new(kind, refused.public());
    if let Some(after) = refused.retry_after() {
        problem.retry_after_s = u32::try_from(after.as_secs().max(1)).ok();
    }
    if refused.reason == access::Reason::Purpose {
        problem = problem.field(PURPOSE.as_str());
    }
    problem
}

fn purpose(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(PURPOSE) else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes());
    let text = text.map_err(|_| Problem::parameter(PURPOSE.as_str(), "the purpose is not UTF-8 text"))?;
    Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
}
