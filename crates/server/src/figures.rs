//! `GET stats` and `GET gaps`: figures, which tell nothing of what single records hold.

use access::Names;
use axum::response::{IntoResponse as _, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use query::{GapsAsked, Sizes, Span, WriterStats};
use trail::ScrubState;

use crate::asked::Asked;
use crate::problem::{self, Kind, Problem};
use crate::table::Answering;

fn json(text: String) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, text + "\n").into_response()
}

/// What a trail holds.
pub fn stats(asked: Asked) -> Answering {
    Box::pin(async move {
        let (served, policy) = (asked.trail()?.clone(), asked.grant()?.policy.clone());
        let host = asked.server.host.clone();
        let stats = asked.in_turn(move || {
            let sizes = Sizes::of(served.folder()).map_err(|error| problem::damaged(&error))?;
            let scrub = ScrubState::read(&host, served.folder()).map_err(|error| problem::damaged(&error))?;
            // What failed is in the log; its words may name files of the server.
            let writer = served.status().map(|mut status| {
                let told = "the server's log says why".to_owned();
                for error in [&mut status.settle_error, &mut status.compact_error, &mut status.erase_error] {
                    *error = error.take().map(|_| told.clone());
                }
                status.scrub_error = status.scrub_error.take().map(|_| told);
                WriterStats::Running(Box::new(status))
            });
            Ok(served.view(policy)?.stats(sizes, &scrub, writer)?)
        });
        Ok(json(serde_json::to_string(&stats.await?).map_err(|error| problem::internal(&error))?))
    })
}

/// What is missing of the producers' sequences.
pub fn gaps(asked: Asked) -> Answering {
    Box::pin(async move {
        let (served, policy) = (asked.trail()?.clone(), asked.grant()?.policy.clone());
        if asked.grant()?.models != Names::All || asked.grant()?.tenants != Names::All {
            let what =
                "a role that sees a part of the trail would see holes that are not there; ask with one that sees all";
            let problem = Problem::new(Kind::Forbidden, what);
            asked.refused(&problem.told.detail, 1);
            return Err(problem);
        }
        let now = asked.server.host.now_ns();
        let span = |name: &str| {
            let read = asked.query.get(name).map(|text| Span::read(text, now)).transpose();
            read.map_err(|error| Problem::parameter(name, error.to_string()))
        };
        let (since, until) = (span("since")?, span("until")?);
        let until_ns = until.map(|span| if span.is_moment() { span.from } else { span.until });
        let producer = asked.query.get("producer").map(str::to_owned);
        let question = GapsAsked { since_ns: since.map(|span| span.from), until_ns, producer };
        let gaps = asked.in_turn(move || Ok(served.view(policy)?.gaps(&question)?)).await?;
        Ok(json(gaps.document().map_err(|error| problem::internal(&error))?.to_string()))
    })
}
