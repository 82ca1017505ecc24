//! What somebody sees whose login came to nothing.

use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};

use crate::problem::{Kind, Problem};

const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// A problem as a page, without a script and without anything from elsewhere.
pub fn page(problem: &Problem) -> Response {
    let (detail, hint) = (escaped(&problem.told.detail), escaped(problem.told.hint.as_deref().unwrap_or_default()));
    let again = if problem.kind == Kind::Forbidden { "" } else { "<p><a href=\"/login\">Log in</a></p>" };
    let text = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>OnRecord: not logged in</title>\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><style>\
body{{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:40rem;padding:1rem;color:#1a1a1a;background:#fff}}\
</style></head><body><main><h1>You are not logged in</h1><p>{detail}.</p><p>{hint}</p>{again}</main></body></html>\n"
    );
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let status: StatusCode = problem.kind.status();
    let mut response = (status, headers, text).into_response();
    if let Some(seconds) = problem.retry_after_s {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response.extensions_mut().insert(problem.kind);
    response
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
