//! `GET stats` and `GET gaps`: figures, which tell nothing of what single records hold.

use axum::response::{IntoResponse as _, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use query::{GapsAsked, Sizes, Span, Stats, WriterStats};
use trail::ScrubState;

use crate::asked::Asked;
use crate::problem::{self, Problem};
use crate::table::Answering;

/// One document, which nobody between keeps.
pub fn json(text: String) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, text + "\n").into_response()
}

/// What a trail holds. Kinds and models are counted of the records that the role reaches; how many records there are in
/// all is no secret of whoever may see the log.
pub fn stats(asked: Asked) -> Answering {
    Box::pin(async move {
        let (served, policy) = (asked.trail()?.clone(), asked.grant()?.policy.clone());
        let host = asked.server.host.clone();
        let of_all = asked.sees_all()?;
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
            let stats = served.view(policy)?.stats(sizes, &scrub, writer)?;
            // All bytes over some of the decisions would be no figure of anything.
            let bytes_a_decision = stats.bytes_a_decision.filter(|_| of_all);
            Ok(Stats { bytes_a_decision, ..stats })
        });
        Ok(json(serde_json::to_string(&stats.await?).map_err(|error| problem::internal(&error))?))
    })
}

/// What is missing of the producers' sequences.
pub fn gaps(asked: Asked) -> Answering {
    Box::pin(async move {
        let (served, policy) = (asked.trail()?.clone(), asked.grant()?.policy.clone());
        asked.sees_every_decision("would see holes that are not there")?;
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
