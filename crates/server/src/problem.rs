//! What a caller is told when something did not work: RFC 9457, `application/problem+json`. A `type` never changes its
//! meaning; the detail says what happened, to what; `hint` what to do next. No value of a record stands in any of them
//! that its sender did not just send.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value};

/// Kinds of problem. The name is the end of the `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A parameter, a header or a body that cannot be read.
    Malformed,
    /// Nobody is known to be asking.
    Unauthenticated,
    /// Whoever asks may not.
    Forbidden,
    /// There is nothing at this path.
    NotFound,
    /// There is something, and not for this method.
    MethodNotAllowed,
    /// No form of the answer is acceptable.
    NotAcceptable,
    /// The sender was too slow.
    Timeout,
    /// What was asked for is not there yet.
    NotYet,
    /// What is to be changed is in no state for that.
    Conflict,
    /// What the trail holds is not what the question says that it held.
    Contradicted,
    /// A limit on sizes was passed.
    TooLarge,
    /// The body's form is not one that is read.
    UnsupportedMediaType,
    /// No record of a batch was taken.
    NothingTaken,
    /// A query that has no answer.
    Query,
    /// A query that needs more than it may use.
    QueryLimit,
    /// Whoever asks has asked too often.
    TooMany,
    /// Too much is under way; the same request succeeds later.
    Busy,
    /// The journal has no room until records are settled.
    Backlog,
    /// The trail's writer has stopped.
    Stopped,
    /// What is on disk is not what was sealed.
    Damaged,
    /// A fault of the server.
    Internal,
}

/// Every kind: its name, status and title.
const KINDS: [(Kind, &str, StatusCode, &str); 21] = [
    (Kind::Malformed, "malformed", StatusCode::BAD_REQUEST, "The request cannot be read"),
    (Kind::Unauthenticated, "unauthenticated", StatusCode::UNAUTHORIZED, "Nobody is known to be asking"),
    (Kind::Forbidden, "forbidden", StatusCode::FORBIDDEN, "This is not granted"),
    (Kind::NotFound, "not-found", StatusCode::NOT_FOUND, "There is nothing here"),
    (Kind::MethodNotAllowed, "method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "Not with this method"),
    (Kind::NotAcceptable, "not-acceptable", StatusCode::NOT_ACCEPTABLE, "No such form of the answer"),
    (Kind::Timeout, "timeout", StatusCode::REQUEST_TIMEOUT, "The request came too slowly"),
    (Kind::NotYet, "not-yet", StatusCode::CONFLICT, "Not yet"),
    (Kind::Conflict, "conflict", StatusCode::CONFLICT, "It is in no state for this"),
    (Kind::Contradicted, "contradicted", StatusCode::CONFLICT, "The trail is not what it was"),
    (Kind::TooLarge, "too-large", StatusCode::PAYLOAD_TOO_LARGE, "The request is too large"),
    (
        Kind::UnsupportedMediaType,
        "unsupported-media-type",
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "The body's form is not one that is read",
    ),
    (Kind::NothingTaken, "nothing-taken", StatusCode::UNPROCESSABLE_ENTITY, "No record was taken"),
    (Kind::Query, "query", StatusCode::UNPROCESSABLE_ENTITY, "The query has no answer"),
    (Kind::QueryLimit, "query-limit", StatusCode::UNPROCESSABLE_ENTITY, "The query needs more than it may use"),
    (Kind::TooMany, "too-many-requests", StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
    (Kind::Busy, "busy", StatusCode::SERVICE_UNAVAILABLE, "The server is busy"),
    (Kind::Backlog, "backlog", StatusCode::SERVICE_UNAVAILABLE, "The journal is full"),
    (Kind::Stopped, "stopped", StatusCode::SERVICE_UNAVAILABLE, "The trail takes nothing now"),
    (Kind::Damaged, "damaged", StatusCode::INTERNAL_SERVER_ERROR, "The trail cannot be read"),
    (Kind::Internal, "internal", StatusCode::INTERNAL_SERVER_ERROR, "The server failed"),
];

/// What every `type` begins with.
pub const TYPE_PREFIX: &str = "urn:onrecord:problem:";

impl Kind {
    fn row(self) -> &'static (Kind, &'static str, StatusCode, &'static str) {
        &KINDS[self as usize]
    }

    /// Its name, the end of the `type`.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The status it is answered with.
    pub fn status(self) -> StatusCode {
        self.row().2
    }

    /// Every kind.
    pub fn all() -> impl Iterator<Item = Kind> {
        KINDS.iter().map(|row| row.0)
    }
}

/// One problem, as it is told.
#[derive(Clone, Debug)]
pub struct Problem {
    /// What kind.
    pub kind: Kind,
    /// When to try again, seconds.
    pub retry_after_s: Option<u32>,
    /// What is said of it.
    pub told: Box<Told>,
}

/// What is said of a problem.
#[derive(Clone, Debug)]
pub struct Told {
    /// What happened, to what.
    pub detail: String,
    /// The path of the field, or the name of the parameter, at fault.
    pub field: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Members of its own.
    pub more: Map<String, Value>,
}

impl Problem {
    /// A problem; an error of the crates below says "what happened; what to do", and the second half becomes the hint.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Problem {
        let detail = detail.into();
        let (detail, hint) = match detail.rsplit_once("; ") {
            Some((detail, hint)) => (detail.to_owned(), Some(hint.to_owned())),
            None => (detail, None),
        };
        let retry_after_s = match kind {
            Kind::Busy | Kind::Backlog | Kind::NotYet | Kind::TooMany => Some(1),
            Kind::Stopped => Some(30),
            _ => None,
        };
        Problem { kind, retry_after_s, told: Box::new(Told { detail, field: None, hint, more: Map::new() }) }
    }

    /// A parameter that cannot be read.
    pub fn parameter(name: &str, detail: impl Into<String>) -> Problem {
        Problem::new(Kind::Malformed, detail).field(name)
    }

    /// The fault lies in this field.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Problem {
        self.told.field = Some(field.into());
        self
    }

    /// What to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.told.hint = Some(hint.into());
        self
    }

    /// One more member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Problem {
        self.told.more.insert(name.to_owned(), value.into());
        self
    }

    /// The document.
    pub fn document(&self) -> Value {
        let mut document = Map::new();
        document.insert("type".to_owned(), format!("{TYPE_PREFIX}{}", self.kind.name()).into());
        document.insert("title".to_owned(), self.kind.row().3.into());
        document.insert("status".to_owned(), self.kind.status().as_u16().into());
        document.insert("detail".to_owned(), self.told.detail.clone().into());
        if let Some(field) = &self.told.field {
            document.insert("field".to_owned(), field.clone().into());
        }
        if let Some(hint) = &self.told.hint {
            document.insert("hint".to_owned(), hint.clone().into());
        }
        document.extend(self.told.more.clone());
        Value::Object(document)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.kind.status(), self.document().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.kind == Kind::Unauthenticated {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self.kind);
        response
    }
}

impl From<trail::AppendError> for Problem {
    fn from(error: trail::AppendError) -> Self {
        use trail::AppendError as E;
        let kind = match &error {
            E::Stopped(_) => Kind::Stopped,
            E::Backlog { .. } => Kind::Backlog,
            E::BatchTooLong { .. } | E::BatchTooLarge(_) => Kind::TooLarge,
            E::Lookup(_) => Kind::Damaged,
        };
        // What stopped it names files of the server, which are no business of who asks.
        match &error {
            E::Stopped(_) => stopped(),
            E::Lookup(_) => damaged(&error),
            _ => Problem::new(kind, error.to_string()),
        }
    }
}

impl From<query::QueryError> for Problem {
    fn from(error: query::QueryError) -> Self {
        use query::QueryError as E;
        match &error {
            E::Read(_) => damaged(&error),
            E::Policy(_) | E::Hidden(_) => Problem::new(Kind::Forbidden, error.to_string()),
            E::Limit { .. } => Problem::new(Kind::QueryLimit, error.to_string()),
            _ => Problem::new(Kind::Query, error.to_string()),
        }
    }
}

impl From<trail::Stopped> for Problem {
    fn from(_: trail::Stopped) -> Self {
        stopped()
    }
}

impl From<trail::SnapshotError> for Problem {
    fn from(error: trail::SnapshotError) -> Self {
        damaged(&error)
    }
}

/// The writer has stopped, or is closing.
pub fn stopped() -> Problem {
    Problem::new(Kind::Stopped, "the trail's writer has stopped; the server's log says why")
}

/// Something of the trail cannot be read. What exactly, with its path, goes to the log alone.
pub fn damaged(error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%error, "the trail cannot be read");
    Problem::new(Kind::Damaged, "a part of the trail cannot be read; its operator runs: onrecord verify")
}

/// The trail is not what someone holds that it was: a finding, and for whoever finds it.
pub fn contradicted(what: &str) -> Problem {
    tracing::error!(what, "the trail is not what it was");
    Problem::new(Kind::Contradicted, what).hint("run verify on the trail, with --pin")
}

/// A fault of ours.
pub fn internal(error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%error, "a request failed");
    Problem::new(Kind::Internal, "the server failed at this; its log says why")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_kinds_and_every_type_is_one() {
        let names: std::collections::BTreeSet<&str> = Kind::all().map(Kind::name).collect();
        assert_eq!(names.len(), KINDS.len());
        for (position, row) in KINDS.iter().enumerate() {
            assert_eq!(row.0 as usize, position, "{}", row.1);
        }
    }

    #[test]
    fn a_problem_says_what_and_what_to_do() {
        let problem = Problem::new(Kind::TooLarge, "a batch of 9 records is over the limit of 8; split it");
        let document = problem.field("records").with("max", 8).document();
        let expected = serde_json::json!({
            "type": "urn:onrecord:problem:too-large", "title": "The request is too large", "status": 413,
            "detail": "a batch of 9 records is over the limit of 8", "hint": "split it", "field": "records", "max": 8,
        });
        assert_eq!(document, expected);
    }
}
