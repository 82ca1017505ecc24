//! From a path to its route. All that a route's handler hears has gone through [`guard::answer`].

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::RawPathParams;
use axum::extract::rejection::RawPathParamsRejection;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, on};
use http::{HeaderName, HeaderValue, Method, Request};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::guard;
use crate::problem::{self, Kind, Problem};
use crate::routes::ROUTES;
use crate::server::Server;

/// The router of a server.
pub fn router(server: &Arc<Server>) -> Router {
    let mut router = Router::new();
    for route in ROUTES.iter() {
        let server = Arc::clone(server);
        let answer = move |path: Result<RawPathParams, RawPathParamsRejection>, request: Request<Body>| {
            let server = Arc::clone(&server);
            async move {
                let Ok(path) = path else { return no_text().into_response() };
                let path = path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                guard::answer(server, route, path, request).await
            }
        };
        let filter = match route.method {
            Method::POST => MethodFilter::POST,
            Method::DELETE => MethodFilter::DELETE,
            _ => MethodFilter::GET,
        };
        router = router.route(route.path, on(filter, answer));
    }
    let header = |name, value| {
        SetResponseHeaderLayer::if_not_present(HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    router
        .fallback(|| async {
            Problem::new(Kind::NotFound, "there is nothing at this path; /v1/docs lists what there is")
        })
        .method_not_allowed_fallback(|| async {
            Problem::new(Kind::MethodNotAllowed, "this path is not asked with this method; /v1/docs says with which")
        })
        .layer(CatchPanicLayer::custom(panicked))
        .layer(header("x-content-type-options", "nosniff"))
        .layer(header("referrer-policy", "no-referrer"))
}

fn no_text() -> Problem {
    Problem::new(Kind::Malformed, "the path is not UTF-8 text once its percent signs are read")
}

/// A bug of ours ends one answer, and not the server.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    problem::internal(&"a handler panicked, which is a bug").into_response()
}
