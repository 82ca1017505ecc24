//! What is of the server itself: whether it lives, what it counts, and how it is asked.

use axum::response::IntoResponse as _;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde_json::json;

use crate::asked::Asked;
use crate::openapi;
use crate::problem;
use crate::table::Answering;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// The process answers.
pub fn live(_: Asked) -> Answering {
    Box::pin(async {
        Ok(([(CONTENT_TYPE, JSON), (CACHE_CONTROL, NO_STORE)], "{\"status\":\"live\"}\n").into_response())
    })
}

/// Every trail takes records. How many do not is told, and not which: anyone may ask.
pub fn ready(asked: Asked) -> Answering {
    Box::pin(async move {
        let stopped = asked.server.trails.iter().filter(|served| !served.is_running()).count();
        let (status, word) = match stopped {
            0 => (StatusCode::OK, "ready"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "stopped"),
        };
        let text = json!({"status": word, "trails_stopped": stopped}).to_string() + "\n";
        Ok((status, [(CONTENT_TYPE, JSON), (CACHE_CONTROL, NO_STORE)], text).into_response())
    })
}

/// What is counted.
pub fn metrics(asked: Asked) -> Answering {
    Box::pin(async move {
        let server = &asked.server;
        let text = server.metrics.text(&server.trails, &server.room, &server.answers);
        let text = text.map_err(|error| problem::internal(&error))?;
        let form = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        Ok(([(CONTENT_TYPE, form), (CACHE_CONTROL, NO_STORE)], text).into_response())
    })
}

/// The description of everything that can be asked.
pub fn description(_: Asked) -> Answering {
    Box::pin(async {
        let text = openapi::text().map_err(|error| problem::internal(error))?;
        Ok(([(CONTENT_TYPE, JSON)], text).into_response())
    })
}

/// The same as a page, without a script and without anything from elsewhere.
pub fn page(_: Asked) -> Answering {
    Box::pin(async {
        let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
        ];
        Ok((headers, openapi::page()).into_response())
    })
}
