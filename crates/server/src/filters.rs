//! Which records are meant: the parameters that several routes take.

use query::{Search, Span};
use record::Kind;

use crate::asked::Query;
use crate::problem::Problem;

/// The records that the parameters mean, with times meant at `now_ns`. Decisions, where no kind is said.
pub fn read(query: &Query, now_ns: i64) -> Result<Search, Problem> {
    let span = |name: &str| -> Result<Option<Span>, Problem> {
        let read = query.get(name).map(|text| Span::read(text, now_ns)).transpose();
        read.map_err(|error| Problem::parameter(name, error.to_string()))
    };
    let text = |name: &str| query.get(name).map(str::to_owned);
    let (since, until) = (span("since")?, span("until")?);
    let range = since.filter(|_| query.get("since").is_some_and(|text| text.contains("..")));
    if range.is_some() && until.is_some() {
        return Err(Problem::parameter("until", "since is a range, and until is given too; give one of the two"));
    }
    Ok(Search {
        kind: kind(query)?,
        model: text("model"),
        version: text("version"),
        subject: text("subject"),
        case: text("case"),
        trace: text("trace"),
        since,
        until: until.or(range),
        matches: text("where"),
        ..Search::new([""; 0], 0)
    })
}

fn kind(query: &Query) -> Result<Option<Kind>, Problem> {
    match query.get("kind").unwrap_or("decision") {
        "all" => Ok(None),
        name => Kind::from_name(name).map(Some).ok_or_else(|| {
            let kinds: Vec<&str> = Kind::all().map(Kind::name).collect();
            Problem::parameter("kind", format!("there is no kind {name:?}; kinds are {}, or all", kinds.join(", ")))
        }),
    }
}

/// The names of columns in a parameter, with commas between.
pub fn columns(query: &Query) -> Option<Vec<String>> {
    Some(query.get("columns")?.split(',').map(|column| column.trim().to_owned()).collect())
}
