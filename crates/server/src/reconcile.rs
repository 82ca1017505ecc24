//! `POST reconcile`: the trail's counts held against counts from elsewhere, which are the body.

use query::{By, Labels, QueryError, Theirs, TheirsError};

use crate::asked::Asked;
use crate::body::{self, Packing};
use crate::problem::{self, Kind, Problem};
use crate::reading::Reading;
use crate::table::Answering;

/// Bytes of counts, unpacked: some 200,000 rows, which are ten years of hours of two models.
const COUNTS_BYTES_MAX: u64 = 8 << 20;

/// What a count takes in memory for each byte that it is sent as, at most.
const GROWTH: usize = 8;

/// Intervals that an answer has.
const INTERVALS_MAX: usize = 200_000;

/// Answers with the report.
pub fn reconcile(mut asked: Asked) -> Answering {
    Box::pin(async move {
        asked.sees_every_decision("would be short of decisions that are there")?;
        let by = by(asked.query.get("by"))?;
        let label = |name: &str| asked.query.get(name).map(str::to_owned);
        let labels = Labels { model: label("model_label"), version: label("version_label") };
        let packing = Packing::of(&asked.headers)?;
        let body = std::mem::take(asked.body.get_mut());
        let (limits, room) = (&asked.server.config.limits, &asked.server.room);
        let (counts, mut held) = body::collect(body, &asked.headers, limits, room).await?;
        let max = limits.unpacked_bytes_max.min(COUNTS_BYTES_MAX);
        let question = format!("POST reconcile?{} with {} bytes of counts", asked.query.told(), counts.len());
        let reading = Reading::begin(&asked, &question, None).await?;
        let answer = reading.document(move |view| {
            let unreadable = |error| unreadable(&error, max);
            // Unpacked once for its length, so that memory is asked for before it is taken.
            let length =
                std::io::copy(&mut packing.unpacked(counts.clone(), max).map_err(unreadable)?, &mut std::io::sink());
            held.more(GROWTH * usize::try_from(length.map_err(unreadable)?).unwrap_or(usize::MAX))?;
            let counts = packing.unpacked(counts, max).map_err(unreadable)?;
            let theirs = Theirs::read(counts, by, &labels).map_err(|error| unread(&error))?;
            if theirs.is_empty() {
                return Err(empty(&theirs));
            }
            let report = view.reconcile(&theirs)?;
            if report.rows.len() > INTERVALS_MAX {
                let max = INTERVALS_MAX.to_string();
                return Err(QueryError::Limit { what: "intervals times models", max }.into());
            }
            let text = serde_json::to_string(&report).map_err(|error| problem::internal(&error))?;
            Ok((text + "\n", report.rows.len() as u64))
        });
        Ok(answer.await)
    })
}

fn by(name: Option<&str>) -> Result<By, Problem> {
    match name {
        None | Some("day") => Ok(By::Day),
        Some("minute") => Ok(By::Minute),
        Some("hour") => Ok(By::Hour),
        Some("week") => Ok(By::Week),
        Some(_) => Err(Problem::parameter("by", "by is none of minute, hour, day, week")),
    }
}

fn unreadable(error: &std::io::Error, max: u64) -> Problem {
    if body::is_over(error) {
        return Problem::new(Kind::TooLarge, format!("the counts are longer than {max} bytes; give a shorter time"));
    }
    Problem::new(Kind::Malformed, "the body cannot be unpacked; pack it again").field("Content-Encoding")
}

fn unread(error: &TheirsError) -> Problem {
    match error {
        TheirsError::Limit { .. } => Problem::new(Kind::TooLarge, error.to_string()),
        _ => Problem::new(Kind::Malformed, format!("the counts: {error}")),
    }
}

fn empty(theirs: &Theirs) -> Problem {
    Problem::new(
        Kind::Malformed,
        match theirs.bad_rows().first() {
            Some(bad) => format!("the counts: line {}: {}; no row is better", bad.line, bad.reason),
            None => "the body holds no counts".to_owned(),
        },
    )
}
