//! `GET groups`: how an outcome falls on groups of people.

use query::GroupsAsked;

use crate::asked::Asked;
use crate::filters;
use crate::problem::{self, Problem};
use crate::reading::Reading;
use crate::table::Answering;

/// Answers it.
pub fn groups(asked: Asked) -> Answering {
    Box::pin(async move {
        let query = &asked.query;
        let groups = GroupsAsked {
            filter: filters::read(query, asked.server.host.now_ns())?,
            by: query.needed("by", "the attribute that makes the groups, such as subject.demographics.sex")?.to_owned(),
            outcome: query.needed("outcome", "what is counted, such as result.adverse")?.to_owned(),
            reference: query.get("reference").map(str::to_owned),
            favourable: query.flag("favourable")?,
        };
        let question = format!("GET groups?{}", query.told());
        let reading = Reading::begin(&asked, &question, None).await?;
        let answer = reading.document(move |view| {
            let groups = view.groups(&groups)?;
            let text = serde_json::to_string(&groups).map_err(|error| problem::internal(&error))?;
            Ok::<_, Problem>((text + "\n", groups.groups.len() as u64))
        });
        Ok(answer.await)
    })
}
