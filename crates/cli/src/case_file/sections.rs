//! The case file for people: who, what, when, which, why, then what.

use record::{Body, Envelope, Kind, Part};
use trail::Found;

use crate::case_file::{CaseFile, Decision, Few, clock, explanation, json, late, model, proof, summary};
use crate::failure::Failure;
use crate::fields::{rows, section};
use crate::number;
use crate::sheet::{Block, Cell, Row, Section, Sheet, Tone, row};
use crate::text::plain;
use crate::time;

type Blocks = Result<Vec<Block>, Failure>;

pub fn sheet(case: &CaseFile) -> Result<Sheet, Failure> {
    let stamp = &case.found.stored.stamp;
    let all = [
        ("decision", "What it is about", about_decision(case)?),
        ("time", "When", when(case)),
        ("subject", "Subject", part(case, Part::Subject)?),
        ("inputs", "Inputs", part(case, Part::Inputs)?),
        ("parameters", "Parameters", part(case, Part::Parameters)?),
        ("output", "Output", part(case, Part::Output)?),
        ("explanation", "Explanation", explained(case)?),
        ("model", "Model", model::blocks(case)?),
        ("origin", "Where it came from", origin(case)),
        ("context", "Context", part(case, Part::Context)?),
        ("case", "The same case", steps("case", case.case.as_ref())?),
        ("trace", "The same trace", steps("trace", case.trace.as_ref())?),
        ("later", "What became known later", later(case)?),
        ("reads", "Who read it", reads(case)?),
        ("holds", "Holds", holds(case)?),
        ("erased", "Erased", erased(case)),
        ("proof", "Proof", proof::blocks(case)),
    ];
    let sections = all.into_iter().filter(|(.., blocks)| !blocks.is_empty());
    let kind = stamp.kind.name();
    Ok(Sheet {
        title: format!("{}{} {}", kind[..1].to_uppercase(), &kind[1..], stamp.id),
        source: format!(
            "Record {} of {} in the trail {}",
            number::count(case.found.index),
            number::count(case.snapshot.end()),
            plain(&case.snapshot.settings().origin)
        ),
        answers: answers(case)?,
        sections: sections.map(|(anchor, heading, blocks)| Section::new(anchor, heading, blocks)).collect(),
        json: Some(json::pretty_record(&case.found)?),
    })
}

/// The short answers.
fn answers(case: &CaseFile) -> Result<Vec<Row>, Failure> {
    let CaseFile { found, .. } = case;
    let envelope = found.envelope();
    let indices = (number::count(found.index), number::count(case.snapshot.end()));
    let mut out = vec![row("index", format!("{} of {}", indices.0, indices.1))];
    out.extend(who(found)?.map(|who| row("who", who)));
    let what = summary::says(found)?;
    out.extend((!what.is_empty()).then(|| row("what", what)));
    out.push(row("when", time::utc(found.when())));
    if let Some(model) = envelope.as_ref().and_then(|e| e.model) {
        out.push(row("which", format!("{} {}", plain(model.name), plain(model.version))));
    }
    out.extend(explanation::in_short(case)?.map(|why| row("why", why)));
    if let Some(error) = envelope.as_ref().and_then(|e| e.inputs_withheld) {
        out.push(row("inputs", format!("withheld: {}", plain(error))));
    }
    if found.stored.stamp.kind == Kind::Decision {
        let then = late::then_what(&case.late)?;
        out.push(row("then what", then.unwrap_or_else(|| "nothing more is on record".to_owned())));
    }
    if found.stored.erased().next().is_some() {
        out.push(row("erased", proof::verdict(case)));
    }
    out.push(row("proof", case.sealed.cell()));
    Ok(out)
}

fn who(found: &Found) -> Result<Option<String>, Failure> {
    let subject = section(&found.stored, Part::Subject)?;
    let word = |key| subject.as_ref().and_then(|s| s.get(key)).map(crate::fields::text);
    let words = [word("id"), word("case").map(|case| format!("case {case}"))];
    let words: Vec<String> = words.into_iter().flatten().collect();
    Ok((!words.is_empty()).then(|| words.join(", ")))
}

/// A late fact leads to its decision.
fn about_decision(case: &CaseFile) -> Blocks {
    let Some(decision) = &case.decision else { return Ok(Vec::new()) };
    let rows = match decision {
        Decision::Dangling(id) => {
            let missing = Cell::verdict(Tone::Warn, "not on record", ", or not yet: this is kept until it comes");
            vec![row("record", id.to_string()), row("state", missing)]
        }
        Decision::Here(decision) => {
            let mut rows = vec![
                row(decision.stored.stamp.kind.name(), decision.stored.stamp.id.to_string()),
                row("index", number::count(decision.index)),
                row("time", time::utc(decision.when())),
                row("says", summary::says(decision)?),
            ];
            rows.extend(who(decision)?.map(|who| row("who", who)));
            rows.push(row(
                "digest",
                match case.found.stored.stamp.about_digest {
                    Some(digest) if digest == decision.digest.0 => {
                        Cell::verdict(Tone::Good, "the same", "as when this was received")
                    }
                    Some(_) => Cell::verdict(Tone::Bad, "ANOTHER", "than when this was received; run verify"),
                    None => "the decision came after this".into(),
                },
            ));
            rows
        }
    };
    Ok(vec![Block::Rows(rows)])
}

fn when(case: &CaseFile) -> Vec<Block> {
    let stamp = &case.found.stored.stamp;
    let mut rows = Vec::new();
    if let Some(envelope) = case.found.envelope() {
        rows.extend(envelope.time_ns.map(|ns| row("time", time::utc(ns))));
        rows.push(row("clock", clock::quality(&envelope)));
        rows.extend(clock::ahead_ns(&envelope, stamp).map(|ns| {
            let ahead = format!(": {} later than it was received", time::span_ns(ns));
            row("stamp", Cell::verdict(Tone::Warn, "ahead of its time", ahead))
        }));
    }
    rows.push(row("received", time::utc(stamp.received)));
    vec![Block::Rows(rows)]
}

/// A section of the record by name and value.
fn part(case: &CaseFile, part: Part) -> Blocks {
    let stored = &case.found.stored;
    if stored.erased().any(|gone| gone == part) && !matches!(stored.body, Body::Erased { .. }) {
        let word = if case.undeclared() {
            Cell::verdict(Tone::Bad, "GONE", ": no record declares it")
        } else {
            Cell::verdict(Tone::Warn, "ERASED", "(declared)")
        };
        return Ok(vec![Block::Note(word)]);
    }
    let Some(value) = section(stored, part)? else { return Ok(Vec::new()) };
    Ok(vec![Block::Rows(rows(&value).into_iter().map(|(name, value)| row(name, value)).collect())])
}

fn explained(case: &CaseFile) -> Blocks {
    let blocks = explanation::blocks(case)?;
    if blocks.is_empty() { part(case, Part::Explanation) } else { Ok(blocks) }
}

/// The producer, its sequence, the trace, and how the record was chosen to be kept.
fn origin(case: &CaseFile) -> Vec<Block> {
    let Some(envelope) = case.found.envelope() else { return Vec::new() };
    let mut rows = Vec::new();
    if let Some(producer) = envelope.producer {
        rows.push(row("producer", plain(producer.name)));
        rows.extend(producer.instance.map(|instance| row("instance", plain(instance))));
        rows.extend(producer.seq.map(|seq| row("sequence", sequence(case, seq))));
    }
    rows.extend(traced(&envelope));
    if let Some(sampling) = envelope.sampling {
        let words = [sampling.reason.map(plain), sampling.rules.map(|rules| format!("rules {}", plain(rules)))];
        let words: String = words.into_iter().flatten().map(|word| format!(", {word}")).collect();
        rows.push(row("sampling", format!("kept with probability {}{words}", sampling.probability)));
    }
    if !envelope.profile.is_empty() {
        rows.push(row("profile", plain(&envelope.profile.join(", "))));
    }
    if rows.is_empty() { Vec::new() } else { vec![Block::Rows(rows)] }
}

fn traced(envelope: &Envelope<'_>) -> Vec<Row> {
    let Some(trace) = envelope.trace else { return Vec::new() };
    let span = trace.span_id.map(|span| row("span", span.to_string()));
    std::iter::once(row("trace", trace.trace_id.to_string())).chain(span).collect()
}

/// Its number, and which records have the numbers beside it.
fn sequence(case: &CaseFile, seq: i64) -> String {
    let of = |number: i64| case.sequence.iter().filter(move |(found, _)| *found == number);
    let beside = |number: i64| {
        let records: Vec<String> = of(number).map(|(_, index)| format!("record {}", number::count(*index))).collect();
        if records.is_empty() { format!("{number} not near it") } else { format!("{number} is {}", records.join(", ")) }
    };
    // A sequence begins with 1.
    let before = (seq > 1).then(|| beside(seq - 1));
    let beside: Vec<String> = before.into_iter().chain(seq.checked_add(1).map(beside)).collect();
    format!("{seq} ({})", beside.join("; "))
}

fn steps(of: &'static str, steps: Option<&(String, Few)>) -> Blocks {
    let Some((id, few)) = steps else { return Ok(Vec::new()) };
    if few.records.is_empty() && few.more == 0 {
        return Ok(Vec::new());
    }
    let caption = format!("The other records of the {of} {}, oldest first", plain(id));
    let mut blocks = vec![Block::Table(summary::table(caption, &few.records)?)];
    if few.more > 0 {
        let more = number::count(few.more);
        blocks.push(Block::Note(
            format!("{more} more, older; to list them: onrecord show TRAIL --{of} {}", plain(id)).into(),
        ));
    }
    Ok(blocks)
}

fn later(case: &CaseFile) -> Blocks {
    if case.late.records.is_empty() && case.late.more == 0 {
        return Ok(Vec::new());
    }
    late::blocks("What became known later, oldest first", &case.late)
}

fn reads(case: &CaseFile) -> Blocks {
    if case.accesses.records.is_empty() {
        return Ok(vec![Block::Note("no read is on record; reads of a trail's folder are not recorded".into())]);
    }
    let mut blocks = late::blocks("Reads that are on record, oldest first", &case.accesses)?;
    blocks.push(Block::Note("reads of a trail's folder are not recorded".into()));
    Ok(blocks)
}

fn holds(case: &CaseFile) -> Blocks {
    if case.holds.records.is_empty() {
        return Ok(Vec::new());
    }
    late::blocks("Holds on this record, its subject or its case, oldest first", &case.holds)
}

fn erased(case: &CaseFile) -> Vec<Block> {
    let rows = proof::erasures(case);
    if rows.is_empty() { Vec::new() } else { vec![Block::Rows(rows)] }
}
