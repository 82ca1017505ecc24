//! A search: the conditions people look for decisions by, as one query.

use chrono::{DateTime, SecondsFormat};
use record::Kind;

use crate::answer::Answer;
use crate::error::QueryError;
use crate::statement::{self, identifier, literal};
use crate::times::Span;
use crate::view::View;

/// What is looked for. All of it must hold; what is found comes newest first.
#[derive(Clone, Debug)]
pub struct Search {
    /// The kind of record; none for every kind.
    pub kind: Option<Kind>,
    /// The model's name.
    pub model: Option<String>,
    /// The model's version.
    pub version: Option<String>,
    /// Whom it is about: `subject.id`.
    pub subject: Option<String>,
    /// The case: `subject.case`.
    pub case: Option<String>,
    /// The trace: `trace.trace_id`.
    pub trace: Option<String>,
    /// From when.
    pub since: Option<Span>,
    /// Until when.
    pub until: Option<Span>,
    /// Only records below this index.
    pub below: Option<u64>,
    /// Only records that come behind this one, in the order in which they are found.
    pub after: Option<After>,
    /// A predicate in SQL.
    pub matches: Option<String>,
    /// Fields to show. Each may have a shape (`output:json`), and is then shown under its name without it.
    pub columns: Vec<String>,
    /// Records at most; [`Search::EVERY`] for all that match.
    pub limit: usize,
}

/// A record's place in the order of a search: newest first, and of one microsecond the highest index first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct After {
    /// Its time in microseconds since 1970, rounded down; none if that was erased.
    pub time_us: Option<i64>,
    /// Its index.
    pub index: u64,
}

impl After {
    /// What holds of every record behind it.
    fn condition(self) -> String {
        let index = self.index;
        let Some(time_us) = self.time_us else { return format!("(time_ns IS NULL AND \"index\" < {index})") };
        // The order knows microseconds, and a record has nanoseconds.
        let (from, until) = (time_us.saturating_mul(1_000), time_us.saturating_add(1).saturating_mul(1_000));
        format!("(time_ns < {from} OR (time_ns < {until} AND \"index\" < {index}) OR time_ns IS NULL)")
    }
}

impl Search {
    /// The columns of all of a record, for programs.
    pub const IN_FULL: [&str; 16] = [
        "index",
        "id",
        "kind",
        "time",
        "about",
        "model:json",
        "result:json",
        "producer:json",
        "trace:json",
        "error",
        "subject:json",
        "inputs:json",
        "parameters:json",
        "output:json",
        "explanation:json",
        "context:json",
    ];

    /// The limit that leaves nothing off.
    pub const EVERY: usize = usize::MAX;

    /// Every decision.
    pub fn new(columns: impl IntoIterator<Item = impl Into<String>>, limit: usize) -> Self {
        Search {
            kind: Some(Kind::Decision),
            below: None,
            after: None,
            model: None,
            version: None,
            subject: None,
            case: None,
            trace: None,
            since: None,
            until: None,
            matches: None,
            columns: columns.into_iter().map(Into::into).collect(),
            limit,
        }
    }

    /// Whether anything but the kind must hold.
    pub fn is_narrowed(&self) -> bool {
        let texts = [&self.model, &self.version, &self.subject, &self.case, &self.trace, &self.matches];
        texts.into_iter().any(Option::is_some) || self.since.is_some() || self.until.is_some()
    }

    /// All that must hold, as one predicate in SQL.
    pub fn condition(&self) -> Result<String, QueryError> {
        let conditions = self.conditions()?;
        Ok(if conditions.is_empty() { "true".to_owned() } else { conditions.join(" AND ") })
    }

    /// What must hold of a record, all of it.
    pub(crate) fn conditions(&self) -> Result<Vec<String>, QueryError> {
        let mut wheres = self.outline();
        let mut equal = |field: &str, value: &Option<String>| {
            wheres.extend(value.iter().map(|value| format!("{} = {}", identifier(field), literal(value))));
        };
        equal("model.name", &self.model);
        equal("model.version", &self.version);
        equal("subject.id", &self.subject);
        equal("subject.case", &self.case);
        equal("trace.trace_id", &self.trace);
        wheres.extend(self.since.map(|span| format!("time >= {}", moment(span.from))));
        // A day is meant whole, and a moment is the first one left out.
        let until = self.until.map(|span| if span.is_moment() { span.from } else { span.until });
        wheres.extend(until.filter(|until| *until != i64::MAX).map(|until| format!("time < {}", moment(until))));
        wheres.extend(self.after.map(After::condition));
        if let Some(predicate) = &self.matches {
            wheres.push(format!("({})", statement::predicate(predicate)?));
        }
        Ok(wheres)
    }

    /// What can be told of every record, whatever was erased of it.
    pub(crate) fn outline(&self) -> Vec<String> {
        let kind = self.kind.map(|kind| format!("kind = {}", literal(kind.name())));
        let below = self.below.map(|below| format!("\"index\" < {below}"));
        kind.into_iter().chain(below).collect()
    }

    /// The query that it is.
    pub fn to_sql(&self) -> Result<String, QueryError> {
        let shown = |column: &String| match column.rsplit_once(':') {
            Some((name, _)) => format!("{} AS {}", identifier(column), identifier(name)),
            None => identifier(column),
        };
        let columns: Vec<String> = self.columns.iter().map(shown).collect();
        let limit = if self.limit == Self::EVERY { String::new() } else { format!(" LIMIT {}", self.limit) };
        Ok(format!(
            "SELECT {} FROM events{} ORDER BY time DESC NULLS LAST, \"index\" DESC{limit}",
            columns.join(", "),
            where_all(&self.conditions()?),
        ))
    }
}

/// The clause in which all of `conditions` hold.
pub(crate) fn where_all(conditions: &[String]) -> String {
    if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) }
}

fn moment(ns: i64) -> String {
    literal(&DateTime::from_timestamp_nanos(ns).to_rfc3339_opts(SecondsFormat::Nanos, true))
}

impl View {
    /// Finds records.
    pub fn search(&self, search: &Search) -> Result<Answer, QueryError> {
        self.sql(&search.to_sql()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_gets_out_of_its_quotes_and_no_predicate_out_of_its_brackets() {
        let mut search = Search::new(["x\" FROM events; --"], 3);
        search.subject = Some("' OR 1=1 --".to_owned());
        search.matches = Some("inputs.a < 1 OR true".to_owned());
        let sql = search.to_sql().unwrap();
        assert_eq!(
            sql,
            "SELECT \"x\"\" FROM events; --\" FROM events WHERE kind = 'decision' AND \"subject.id\" = ''' OR 1=1 --' \
             AND (inputs.a < 1 OR true) ORDER BY time DESC NULLS LAST, \"index\" DESC LIMIT 3"
        );
        for broken in [
            "1=1) OR (1=1",
            "true ORDER BY 1",
            "true; DROP TABLE events",
            "true LIMIT 1",
            "true --",
            "",
            "1=1 UNION SELECT 1",
        ] {
            search.matches = Some(broken.to_owned());
            let done = search.to_sql();
            // A comment behind a predicate is no part of it.
            assert!(done.is_err() || (broken == "true --" && done.unwrap().contains("(true)")), "{broken}");
        }
    }
}
