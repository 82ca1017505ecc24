//! The case file for programs. Its shape is in docs/case-file.md and only grows.

use record::{Kind, Part};
use tlog::Verifier as _;
use trail::{Declared, Found};

use crate::case_file::{CaseFile, Decision, Few, Sealed, clock, late, model};
use crate::failure::Failure;
use crate::fields;
use crate::find::TakenFor;
use crate::object::{self, Object};
use crate::text::plain_json;
use crate::time;

/// The version of the shape.
const VERSION: u32 = 1;

/// One document: the record without loss, and everything about it.
pub fn document(case: &CaseFile, taken_for: TakenFor) -> Result<String, Failure> {
    let mut object = head("case-file", &case.snapshot, taken_for);
    object = with_record(object, &case.found)?;
    if case.found.stored.erased().next().is_some() {
        object = object.raw("erased_by", &object::list(case.declared.iter().map(declared)));
        object = object.field("verdict", if case.undeclared() { "INVALID" } else { "ERASED" });
    }
    let sequence =
        case.sequence.iter().map(|(seq, index)| Object::default().field("seq", seq).field("index", index).end());
    let model_state = few(&case.model)?.field("digest", model::Agreement::of(&case.found, &case.model).name());
    let then_what = late::then_what(&case.late)?.filter(|_| case.found.stored.stamp.kind == Kind::Decision);
    object = object
        .raw("time", &when(&case.found))
        .raw("decision", &decision(case)?)
        .raw("sequence", &object::list(sequence))
        .raw("case", &steps(case.case.as_ref())?)
        .raw("trace", &steps(case.trace.as_ref())?)
        .raw("model", &model_state.end())
        .raw("about", &records(&case.late.records)?)
        .field("about_more", case.late.more)
        .field("then_what", then_what)
        .raw("accesses", &few(&case.accesses)?.end())
        .raw("holds", &few(&case.holds)?.end())
        .raw("proof", &proof(&case.sealed, case.with_proof));
    Ok(plain_json(&object.line()))
}

/// What stands first in every document of `show`.
pub fn head(document: &str, snapshot: &trail::Snapshot, taken_for: TakenFor) -> Object {
    let trail = Object::default()
        .field("origin", &snapshot.settings().origin)
        .field("records", snapshot.end())
        .field("sealed", snapshot.sealed());
    Object::default()
        .field("document", document)
        .field("version", VERSION)
        .raw("trail", &trail.end())
        .field("taken_for", taken_for.name())
}

/// A record without loss.
pub fn record(found: &Found) -> Result<String, Failure> {
    Ok(with_record(Object::default(), found)?.end())
}

/// The record alone, for people who look at JSON.
pub fn pretty_record(found: &Found) -> Result<String, Failure> {
    let json = record(found)?;
    // Re-read only to be indented: its numbers are kept to the bit, and a record is small.
    let value: serde_json::Value =
        serde_json::from_str(&json).map_err(|error| Failure::could_not(error.to_string()))?;
    let pretty = serde_json::to_string_pretty(&value).map_err(|error| Failure::could_not(error.to_string()))?;
    Ok(plain_json(&pretty))
}

/// Records without loss, in a list.
pub fn records(found: &[Found]) -> Result<String, Failure> {
    Ok(object::list(found.iter().map(record).collect::<Result<Vec<_>, _>>()?))
}

fn with_record(object: Object, found: &Found) -> Result<Object, Failure> {
    let mut stamp = String::new();
    let canonical = found.stored.stamp.to_canonical();
    record::write_json_value(&mut stamp, &mut record::cbor::Reader::new(&canonical))?;
    let place = match &found.place {
        Some((file, row)) => Object::default().field("file", file).field("row", row).end(),
        None => "\"journal\"".to_owned(),
    };
    let erased: Vec<&str> = found.stored.erased().map(Part::name).collect();
    let object = object
        .field("index", found.index)
        .raw("record", &record::to_json(&found.stored)?)
        .raw("stamp", &stamp)
        .field("content", found.stored.content().to_string())
        .field("digest", found.digest.to_string())
        .raw("place", &place);
    Ok(if erased.is_empty() { object } else { object.field("erased", erased) })
}

fn declared(Declared { index, erasure }: &Declared) -> String {
    let object = Object::default().field("index", index).field("id", erasure.id).field("parts", &erasure.parts);
    object.field("basis", &erasure.basis).field("by", &erasure.by).end()
}

fn when(found: &Found) -> String {
    let stamp = &found.stored.stamp;
    let object = Object::default()
        .field("utc", time::utc(found.when()))
        .field("ns", found.when())
        .field("by", if stamp.time_by_server { "server" } else { "sender" })
        .field("received_ns", stamp.received);
    let Some(envelope) = found.envelope() else { return object.end() };
    let clock = envelope.clock.unwrap_or_default();
    object
        .field("max_error_ns", clock.max_error_ns)
        .field("clock_source", clock.source)
        .field("synced", clock.synced)
        .field("ahead_ns", clock::ahead_ns(&envelope, stamp))
        .end()
}

fn decision(case: &CaseFile) -> Result<String, Failure> {
    Ok(match &case.decision {
        None => "null".to_owned(),
        Some(Decision::Dangling(id)) => Object::default().field("id", id).field("on_record", false).end(),
        Some(Decision::Here(decision)) => {
            let digest = case.found.stored.stamp.about_digest;
            let object = Object::default().field("id", decision.stored.stamp.id).field("on_record", true);
            let object = object.field("digest_agrees", digest.map(|digest| digest == decision.digest.0));
            with_record(object, decision)?.end()
        }
    })
}

fn few(few: &Few) -> Result<Object, Failure> {
    Ok(Object::default().raw("records", &records(&few.records)?).field("more", few.more))
}

fn steps(steps: Option<&(String, Few)>) -> Result<String, Failure> {
    let Some((id, steps)) = steps else { return Ok("null".to_owned()) };
    Ok(few(steps)?.field("id", id).end())
}

fn proof(sealed: &Sealed, with_proof: bool) -> String {
    match sealed {
        Sealed::Yes(proof) => {
            let checkpoint = proof.checkpoint.checkpoint();
            let object = Object::default()
                .field("sealed", true)
                .field("included", true)
                .field("size", checkpoint.size())
                .field("root", fields::hex(checkpoint.root().as_bytes()))
                .field("log_key", proof.checkpoint.log_key().name().to_string());
            if with_proof { object.field("tlog_proof", proof.proof.to_string()).end() } else { object.end() }
        }
        Sealed::NotYet(size) => Object::default().field("sealed", false).field("size", size).end(),
        Sealed::No(reason) => Object::default().field("included", false).field("reason", reason).end(),
    }
}
