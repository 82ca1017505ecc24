//! `GET records/{id}`: one record, and what is about it; and its proof.

use arrow_array::RecordBatch;
use axum::response::{IntoResponse as _, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use lake::Lookup;
use query::{Search, View};
use record::Part;
use trail::{Found, ProofError, Snapshot};
use uuid::Uuid;

use crate::asked::Asked;
use crate::off_the_loop;
use crate::problem::{self, Kind, Problem};
use crate::reading::Reading;
use crate::table::Answering;

/// Late facts of an answer; the newest.
const ABOUT_MAX: usize = 200;

/// A record as a path names it.
#[derive(Clone, Copy)]
enum Named {
    Id(Uuid),
    Index(u64),
}

impl Named {
    fn read(text: &str) -> Result<Named, Problem> {
        // Ids of our time begin with 0, so a number without leading zeros is an index.
        let is_number = text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
        if let Some(index) = text.parse().ok().filter(|index| is_number && *index <= i64::MAX as u64) {
            return Ok(Named::Index(index));
        }
        let id = Uuid::try_parse(text).map_err(|_| {
            Problem::parameter("id", "this is neither an id nor an index; an id is a UUID, an index a number from 0")
        })?;
        Ok(Named::Id(id))
    }

    /// Where the record is, if this reader may see it. Whoever may not is told the same as of one that is not there.
    fn place(self, view: &View) -> Result<u64, Problem> {
        let index = match self {
            Named::Id(id) => view.index_of(&id)?,
            Named::Index(index) => view.sees(index)?.then_some(index),
        };
        index.ok_or_else(not_found)
    }

    /// The record, if this reader may see it.
    fn find(self, view: &View) -> Result<Found, Problem> {
        view.snapshot().get(self.place(view)?)?.ok_or_else(not_found)
    }
}

fn not_found() -> Problem {
    let what = "no such record is on this trail, or it is not yours to see";
    Problem::new(Kind::NotFound, what).hint("an id that was sent may have been refused: look at its receipt")
}

/// Answers with one record.
pub fn record(asked: Asked) -> Answering {
    Box::pin(async move {
        let named = Named::read(asked.in_path("id")?)?;
        let with_about = asked.query.flag("about")?;
        let served = asked.trail()?.clone();
        // The access record is about the record that is read, so that it is found with it. Nothing is told of it yet.
        let id = match named {
            Named::Id(id) => Some(id),
            Named::Index(index) => {
                off_the_loop(move || Ok(served.snapshot()?.get(index)?.map(|found| found.stored.stamp.id))).await?
            }
        };
        let about = id.filter(|id| id.get_version_num() == 7 && id.get_variant() == uuid::Variant::RFC4122);
        let question = format!("GET records/{}?{}", asked.in_path("id")?, asked.query.told());
        let reading = Reading::begin(&asked, &question, about).await?;
        let (as_it_is, filtered) = (reading.policy().masks.is_empty(), reading.policy().rows.is_some());
        let answer = reading.document(move |view| match as_it_is {
            true => whole(view, named, with_about, filtered),
            false => masked(view, named, with_about),
        });
        Ok(answer.await)
    })
}

/// The record without loss, for whom no field is masked.
fn whole(view: &View, named: Named, with_about: bool, filtered: bool) -> Result<(String, u64), Problem> {
    let snapshot = view.snapshot();
    let found = match named {
        Named::Id(id) => view.find(&id)?.ok_or_else(not_found)?,
        Named::Index(_) => named.find(view)?,
    };
    let mut fields = document(snapshot);
    fields.extend(object(&found)?);
    let mut records = 1;
    if with_about {
        let id = found.stored.stamp.id.to_string();
        let (late, more) = if filtered {
            // Those that are seen first, and then the newest of them: others may be newer, and many.
            let (visible, all) = visible_about(view, &id)?;
            let late = visible.into_iter().filter_map(|index| snapshot.get(index).transpose());
            let late = late.collect::<Result<Vec<Found>, _>>()?;
            let more = all.saturating_sub(late.len() as u64);
            (late, more)
        } else {
            let latest = snapshot.latest(&[(Lookup::About, &id)], ABOUT_MAX)?;
            let more = latest.more();
            (latest.found, more)
        };
        let about = late.iter().map(|found| Ok(braced(&object(found)?)));
        let about: Vec<String> = about.collect::<Result<_, Problem>>()?;
        records += about.len() as u64;
        fields.extend([("about", list(&about)), ("about_more", more.to_string())]);
    }
    Ok((braced(&fields) + "\n", records))
}

/// The indices of the records about one that can be found, the newest first, and how many there are of them.
fn visible_about(view: &View, id: &str) -> Result<(Vec<u64>, u64), Problem> {
    let of = format!("about = '{id}'");
    let newest = rows(view, &["index"], of.clone(), ABOUT_MAX)?;
    let number = |text: &String, name: &str| {
        let row: serde_json::Value = serde_json::from_str(text).map_err(|error| problem::internal(&error))?;
        row[name].as_u64().ok_or_else(|| problem::internal(&"a number is missing"))
    };
    let visible = newest.iter().map(|row| number(row, "index")).collect::<Result<_, Problem>>()?;
    let mut all = 0;
    for batch in view.sql(&format!("SELECT count(*) AS n FROM events WHERE {of}"))? {
        let batch = batch?;
        all += (0..batch.num_rows())
            .map(|row| objects_of(&batch, row))
            .map(|text| number(&text, "n"))
            .sum::<Result<u64, Problem>>()?;
    }
    Ok((visible, all))
}

fn objects_of(batch: &RecordBatch, row: usize) -> String {
    export::json::Objects::new(batch.schema_ref()).object(batch, row)
}

/// A JSON object whose fields keep their order, and hold JSON as it is.
type Fields = Vec<(&'static str, String)>;

fn braced(fields: &Fields) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

fn list(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}

/// What stands first in the document.
fn document(snapshot: &Snapshot) -> Fields {
    let trail = serde_json::json!({
        "origin": snapshot.settings().origin, "records": snapshot.end(), "sealed": snapshot.sealed(),
    });
    vec![("document", "\"record\"".to_owned()), ("version", "1".to_owned()), ("trail", trail.to_string())]
}

/// A record as docs/case-file.md has it, without where it stands.
fn object(found: &Found) -> Result<Fields, Problem> {
    let unreadable = |error: &dyn std::fmt::Display| problem::damaged(error);
    let mut stamp = String::new();
    let canonical = found.stored.stamp.to_canonical();
    record::write_json_value(&mut stamp, &mut record::cbor::Reader::new(&canonical))
        .map_err(|error| unreadable(&error))?;
    let record = record::to_json(&found.stored).map_err(|error| unreadable(&error))?;
    let mut fields = vec![
        ("index", found.index.to_string()),
        ("record", record),
        ("stamp", stamp),
        ("content", format!("\"{}\"", found.stored.content())),
        ("digest", format!("\"{}\"", found.digest)),
    ];
    let erased: Vec<&str> = found.stored.erased().map(Part::name).collect();
    if !erased.is_empty() {
        fields.push(("erased", serde_json::json!(erased).to_string()));
    }
    Ok(fields)
}

/// What a reader may see of it, where that is not all: made by a search, as that is where masks are.
fn masked(view: &View, named: Named, with_about: bool) -> Result<(String, u64), Problem> {
    let found = rows(view, &Search::IN_FULL, format!("\"index\" = {}", named.place(view)?), 1)?;
    let Some(record) = found.first() else { return Err(not_found()) };
    let mut fields = document(view.snapshot());
    fields.extend([("masked", "true".to_owned()), ("record", record.clone())]);
    let mut records = 1;
    if with_about {
        let id: serde_json::Value = serde_json::from_str(record).map_err(|error| problem::internal(&error))?;
        let id = id["id"].as_str().unwrap_or_default().to_owned();
        let condition = format!("about = '{}'", id.replace('\'', "''"));
        let mut about = rows(view, &Search::IN_FULL, condition, ABOUT_MAX + 1)?;
        let more = about.len() > ABOUT_MAX;
        about.truncate(ABOUT_MAX);
        records += about.len() as u64;
        fields.extend([("about", list(&about)), ("about_are_all", (!more).to_string())]);
    }
    Ok((braced(&fields) + "\n", records))
}

/// What a search finds, each row as JSON.
fn rows(view: &View, columns: &[&str], condition: String, limit: usize) -> Result<Vec<String>, Problem> {
    let search = Search { kind: None, matches: Some(condition), ..Search::new(columns.iter().copied(), limit) };
    let mut found = Vec::new();
    for batch in view.search(&search)? {
        let batch = batch?;
        found.extend((0..batch.num_rows()).map(|row| objects_of(&batch, row)));
    }
    Ok(found)
}

/// Answers with the proof that a record is in the log: hashes, and nothing of what it holds.
pub fn proof(asked: Asked) -> Answering {
    Box::pin(async move {
        let named = Named::read(asked.in_path("id")?)?;
        let (served, policy) = (asked.trail()?.clone(), asked.grant()?.policy.clone());
        let text = asked.in_turn(move || {
            let view = served.view(policy)?;
            // Whether there is such a record is told to nobody who could not find it.
            let found = named.find(&view)?;
            let proof = view.snapshot().prove(&found).map_err(|error| match error {
                ProofError::NotSealed { .. } => Problem::new(Kind::NotYet, error.to_string()),
                error => problem::damaged(&error),
            })?;
            let key = view.snapshot().settings().log_key.clone();
            Ok((proof.proof.to_string(), [("onrecord-digest", found.digest.to_string()), ("onrecord-log-key", key)]))
        });
        let (text, told) = text.await?;
        let mut response: Response = text.into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        for (name, value) in told {
            let value = HeaderValue::from_str(&value).map_err(|error| problem::internal(&error))?;
            response.headers_mut().insert(name, value);
        }
        Ok(response)
    })
}
