//! `POST records`: a batch onto a trail. What is no record is told by its position, and the others are taken; what was
//! taken is durable before anything is answered (I1).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use access::Grant;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use input::{Fault, Format, Records};
use record::{Envelope, Limits, Part, Record};
use serde_json::{Map, Value, json};
use trail::{Intake, Outcome, Receipt, Refusal, receipt_json};

use crate::access_record::Who;
use crate::acknowledger::Acknowledged;
use crate::asked::Asked;
use crate::body::{self, Packing};
use crate::off_the_loop;
use crate::problem::{self, Kind, Problem};
use crate::room::Held;
use crate::served::Served;
use crate::server::Server;
use crate::table::Answering;

/// Receipts of one answer that come with a proof; of a longer batch none do.
pub const PROOFS_MAX: usize = 1_000;

/// Receipts that are written where they are wanted.
const INLINE_MAX: usize = 16;

/// Media types of bodies, and the form that each means.
pub const MEDIA_TYPES: [(&str, Format); 7] = [
    ("application/json", Format::Json),
    ("application/x-ndjson", Format::Ndjson),
    ("application/ndjson", Format::Ndjson),
    ("application/jsonl", Format::Ndjson),
    ("application/cbor-seq", Format::Cbor),
    ("application/cbor", Format::Cbor),
    ("application/vnd.apache.arrow.stream", Format::Arrow),
];

/// Takes a batch.
pub fn records(asked: Asked) -> Answering {
    Box::pin(async move {
        let Asked { server, grant, served, query, headers, body, who, .. } = asked;
        let (Some(grant), Some(served)) = (grant, served) else {
            return Err(problem::internal(&"an append without a trail"));
        };
        let order = Order {
            format: format(&headers)?,
            packing: Packing::of(&headers)?,
            intake: if query.flag("import")? { Intake::Import } else { Intake::Live },
            grant,
            who,
        };
        let sealed = match query.get("wait") {
            None => false,
            Some("sealed") => true,
            Some(_) => return Err(Problem::parameter("wait", "wait can be sealed, or be left out")),
        };
        let (bytes, held) = body::collect(body.into_inner(), &headers, &server.config.limits, &server.room).await?;
        let taken = take(&server, &served, order, bytes, held).await?;
        answer(served, taken, sealed).await
    })
}

/// What is to be done with a body.
struct Order {
    format: Format,
    packing: Packing,
    intake: Intake,
    grant: Grant,
    who: Who,
}

fn format(headers: &HeaderMap) -> Result<Format, Problem> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let known = MEDIA_TYPES.iter().find(|(name, _)| *name == essence);
    known.map(|(_, format)| *format).ok_or_else(|| {
        let names: Vec<&str> = MEDIA_TYPES.iter().map(|(name, _)| *name).collect();
        let what = format!("the body is of a form that is not read; send one of {}", names.join(", "));
        Problem::new(Kind::UnsupportedMediaType, what).field("Content-Type")
    })
}

/// A record that was not taken.
struct Refused {
    position: usize,
    kind: &'static str,
    field: Option<String>,
    reason: String,
}

impl Refused {
    fn of_fault(position: usize, fault: Fault) -> Refused {
        Refused { position, kind: "record", field: fault.field, reason: fault.reason }
    }

    fn of_refusal(position: usize, refusal: &Refusal) -> Refused {
        let (kind, field) = match refusal {
            Refusal::Conflict { .. } => ("conflict", Some("id")),
            Refusal::TooOld { .. } => ("id-too-old", Some("id")),
            Refusal::TooNew { .. } => ("id-too-new", Some("id")),
            Refusal::TooLarge(_) => ("record-too-large", None),
        };
        Refused { position, kind, field: field.map(str::to_owned), reason: refusal.to_string() }
    }

    fn document(&self) -> Value {
        let mut error = Map::new();
        error.insert("type".to_owned(), format!("{}{}", problem::TYPE_PREFIX, self.kind).into());
        error.insert("detail".to_owned(), self.reason.clone().into());
        if let Some(field) = &self.field {
            error.insert("field".to_owned(), field.clone().into());
        }
        json!({"position": self.position, "error": error})
    }
}

/// What a batch came to.
struct Taken {
    receipts: Vec<Receipt>,
    refused: Vec<Refused>,
    /// Kept until the answer is written: it is about as large as the batch.
    _held: Held,
}

/// A batch that was read and has its place.
struct Staged {
    positions: Vec<usize>,
    refused: Vec<Refused>,
    acknowledged: Option<Acknowledged>,
    held: Held,
}

/// Reads, stages and waits. The reading is done where it holds up nobody, by so many at once as there are cores for.
async fn take(
    server: &Arc<Server>,
    served: &Arc<Served>,
    order: Order,
    bytes: Bytes,
    held: Held,
) -> Result<Taken, Problem> {
    let turns = if order.intake == Intake::Import { &server.imports } else { &server.appends };
    let wait = Duration::from_secs(server.config.limits.turn_s_max);
    let busy = || Problem::new(Kind::Busy, "as many appends are under way as may be; try again");
    let turn = tokio::time::timeout(wait, Arc::clone(turns).acquire_owned()).await.map_err(|_| busy())?;
    let turn = turn.map_err(|_| problem::stopped())?;
    let (limits, to) = (server.config.limits.clone(), Arc::clone(served));
    let staged = off_the_loop(move || {
        let _turn = turn;
        stage(&to, order, bytes, held, limits.unpacked_bytes_max, limits.batch_records_max)
    });
    let staged = staged.await?;
    let outcomes = match staged.acknowledged {
        Some(acknowledged) => acknowledged.outcomes().await?,
        None => Vec::new(),
    };
    let mut taken = Taken { receipts: Vec::with_capacity(outcomes.len()), refused: staged.refused, _held: staged.held };
    for (position, outcome) in staged.positions.into_iter().zip(outcomes) {
        match outcome {
            Outcome::Kept(receipt) => taken.receipts.push(*receipt),
            Outcome::Refused(refusal) => taken.refused.push(Refused::of_refusal(position, &refusal)),
        }
    }
    taken.refused.sort_by_key(|refused| refused.position);
    let again = taken.receipts.iter().filter(|receipt| receipt.again).count();
    let new = taken.receipts.len() - again;
    server.metrics.appended(served.name(), new as u64, again as u64, taken.refused.len() as u64);
    Ok(taken)
}

fn stage(
    served: &Served,
    order: Order,
    bytes: Bytes,
    mut held: Held,
    unpacked_max: u64,
    records_max: usize,
) -> Result<Staged, Problem> {
    let unreadable = |error: std::io::Error| {
        if body::is_over(&error) {
            let what = format!(
                "the body is longer than the limit unpacked_bytes_max of {unpacked_max} bytes; split the batch"
            );
            return Problem::new(Kind::TooLarge, what);
        }
        Problem::new(Kind::Malformed, "the body cannot be unpacked; pack it again").field("Content-Encoding")
    };
    let bytes = order.packing.unpacked(bytes, unpacked_max).map_err(unreadable)?;
    // Rows of Arrow are counted as the records that they say, as a few bytes can say many. What a batch of them takes
    // while it is read is bounded too, and no more are read at once than have a turn.
    let items = Records::read(bytes, order.format, Limits::DEFAULT).map_err(unreadable)?;
    let mut items = items.within(unpacked_max);
    let mut batch = Batch::default();
    let read = batch.read(&mut items, &order.grant, &mut held, records_max, unreadable);
    // What was not granted is on record also where the batch then ends in an error (I11).
    for (reason, times) in std::mem::take(&mut batch.not_granted) {
        served.clerk().refused(order.who.clone(), order.grant.permission.name(), reason, times);
    }
    read?;
    let Batch { records, positions, refused, .. } = batch;
    let acknowledged = if records.is_empty() { None } else { Some(served.stage(records, order.intake)?) };
    Ok(Staged { positions, refused, acknowledged, held })
}

/// A batch as far as it is read.
#[derive(Default)]
struct Batch {
    records: Vec<Record>,
    /// Where each of the records stood.
    positions: Vec<usize>,
    refused: Vec<Refused>,
    /// What was missing to take records, and how many of them it was missing for.
    not_granted: BTreeMap<String, u64>,
}

impl Batch {
    fn read(
        &mut self,
        items: &mut Records,
        grant: &Grant,
        held: &mut Held,
        records_max: usize,
        unreadable: impl Fn(std::io::Error) -> Problem,
    ) -> Result<(), Problem> {
        let mut position = 0;
        while let Some(item) = items.read_next().map_err(&unreadable)? {
            if position == records_max {
                let what =
                    format!("a batch of more than {records_max} records is over the limit batch_records_max; split it");
                return Err(Problem::new(Kind::TooLarge, what));
            }
            match item.record {
                Ok(record) => match grant.may_append(record.kind, model_of(&record)) {
                    Ok(()) => {
                        held.more(record.parts.total_bytes())?;
                        self.records.push(*record);
                        self.positions.push(position);
                    }
                    Err(missing) => {
                        *self.not_granted.entry(missing.to_string()).or_default() += 1;
                        let reason = missing.public();
                        self.refused.push(Refused { position, kind: "not-granted", field: None, reason });
                    }
                },
                Err(fault) => self.refused.push(Refused::of_fault(position, fault)),
            }
            position += 1;
        }
        Ok(())
    }
}

/// The model that a record names.
fn model_of(record: &Record) -> Option<&str> {
    let envelope = Envelope::read(record.parts.get(Part::Envelope)?).ok()?;
    envelope.model.map(|model| model.name)
}

async fn answer(served: Arc<Served>, taken: Taken, sealed: bool) -> Result<Response, Problem> {
    let errors: Vec<Value> = taken.refused.iter().map(Refused::document).collect();
    if taken.receipts.is_empty() && !errors.is_empty() {
        let count = errors.len();
        let what = match count {
            1 => "the record was not taken; errors says why".to_owned(),
            _ => format!("none of {count} records was taken; errors says why, by position"),
        };
        return Err(Problem::new(Kind::NothingTaken, what).with("errors", errors));
    }
    // A few receipts are written faster than another thread is asked.
    let inline = !sealed && taken.receipts.len() <= INLINE_MAX;
    let work = move || {
        let proofs = if sealed { proofs(&served, &taken.receipts)? } else { Vec::new() };
        let mut proofs = proofs.into_iter();
        let receipt = |receipt: &Receipt| {
            let mut json = receipt_json(served.origin(), receipt);
            if let Some(proof) = proofs.next() {
                json["proof"] = proof.into();
            }
            json
        };
        let receipts: Vec<Value> = taken.receipts.iter().map(receipt).collect();
        Ok::<_, Problem>(json!({"receipts": receipts, "errors": errors}).to_string())
    };
    let text = if inline { work()? } else { off_the_loop(work).await? };
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response())
}

/// Waits until everything is under a signed checkpoint. The proofs of a batch that is not too long.
fn proofs(served: &Served, receipts: &[Receipt]) -> Result<Vec<String>, Problem> {
    let writer = served.writer()?;
    writer.wait_sealed()?;
    if receipts.len() > PROOFS_MAX {
        return Ok(Vec::new());
    }
    let snapshot = writer.snapshot();
    let prove = |receipt: &Receipt| match snapshot.prove_at(receipt.index, &receipt.digest) {
        Ok(proof) => Ok(proof.proof.to_string()),
        Err(error) => Err(problem::damaged(&error)),
    };
    receipts.iter().map(prove).collect()
}
