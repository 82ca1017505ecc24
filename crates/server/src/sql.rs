//! `POST sql`: a question in SQL, which can only read.

use axum::response::Response;
use query::{Answer, QueryError, View};
use serde::Deserialize;

use crate::asked::Asked;
use crate::body;
use crate::problem::{Kind, Problem};
use crate::reading::Reading;
use crate::rows::{self, Form, Rows};
use crate::table::Answering;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    query: String,
}

struct Sql(String);

impl Rows for Sql {
    fn ask(&mut self, view: &View) -> Result<Answer, QueryError> {
        view.sql(&self.0)
    }
}

/// Answers it.
pub fn sql(mut asked: Asked) -> Answering {
    Box::pin(async move {
        let form = Form::accepted(&asked.headers)?;
        let question = question(&mut asked).await?;
        let reading = Reading::begin(&asked, &question, None).await?;
        let answer: Response = rows::answer(reading, form, Sql(question), asked.server.config.limits.stall()).await;
        Ok(answer)
    })
}

async fn question(asked: &mut Asked) -> Result<String, Problem> {
    body::is_json(&asked.headers)?;
    let body = std::mem::take(asked.body.get_mut());
    let (bytes, _held) = body::collect(body, &asked.headers, &asked.server.config.limits, &asked.server.room).await?;
    let max = asked.server.config.limits.of_queries().text_bytes;
    // A text may be twice as long where everything in it is escaped, and more.
    if bytes.len() > 8 * max {
        return Err(Problem::new(
            Kind::TooLarge,
            format!("the query is longer than the limit of {max} bytes; shorten it"),
        ));
    }
    let question: Result<Question, _> = serde_json::from_slice(&bytes);
    let question = question.map_err(|error| {
        let what = format!("the body is not {{\"query\": \"SELECT …\"}}: {error}");
        Problem::new(Kind::Malformed, what).field("query")
    })?;
    if question.query.len() > max {
        return Err(Problem::new(
            Kind::TooLarge,
            format!("the query is longer than the limit of {max} bytes; shorten it"),
        )
        .field("query"));
    }
    Ok(question.query)
}
