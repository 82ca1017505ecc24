//! The case file of one record, drawn for a terminal.

use record::{Body, Envelope, Kind, Part, Stored, Value};
use trail::{Declared, Found, Snapshot};

use crate::chart::{self, Bar};
use crate::failure::Failure;
use crate::fields::{hex, leaves, section, text};
use crate::number;
use crate::session::Session;
use crate::show::Sealed;
use crate::style::{BAD, GOOD, HEAD, WARN, paint};
use crate::table::{heading, pairs};
use crate::text::plain;
use crate::time;

type Pairs = Vec<(String, String)>;

/// The whole case file.
pub fn render(
    session: &Session,
    snapshot: &Snapshot,
    found: &Found,
    declared: &[Declared],
    about: &[Found],
    sealed: &Sealed,
    with_proof: bool,
) -> Result<String, Failure> {
    let stored = &found.stored;
    let stamp = &stored.stamp;
    let canonical = stored.parts().and_then(|parts| parts.get(Part::Envelope));
    let envelope = canonical.map(Envelope::read).transpose()?;
    let mut out = format!("{} {}\n", paint(HEAD, stamp.kind.name()), stamp.id);
    out += &pairs(session, &header(found, snapshot.end(), envelope.as_ref()));
    for part in [Part::Subject, Part::Inputs, Part::Parameters, Part::Output] {
        out += &section_table(session, stored, part)?;
    }
    out += &explanation(session, stored)?;
    out += &section_table(session, stored, Part::Context)?;
    if !about.is_empty() {
        out += &heading("what became known later");
        let late: Result<Pairs, Failure> = about.iter().map(late_fact).collect();
        out += &pairs(session, &late?);
    }
    if stored.erased().next().is_some() {
        out += &heading("erased");
        out += &pairs(session, &erasures(stored, declared));
    }
    out += &heading("proof");
    out += &pairs(session, &proof(snapshot, found, sealed));
    if let (true, Sealed::Yes(proof)) = (with_proof, sealed) {
        out += &format!("\n{}", proof.proof);
    }
    Ok(out)
}

fn pair(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

fn header(found: &Found, end: u64, envelope: Option<&Envelope<'_>>) -> Pairs {
    let stamp = &found.stored.stamp;
    let mut out = vec![pair("index", format!("{} of {}", number::count(found.index), number::count(end)))];
    match envelope {
        Some(envelope) => out.extend(sender_says(envelope)),
        None => out.push(pair("record", paint(WARN, "ERASED (declared)"))),
    }
    let received = time::utc(stamp.received);
    out.push(pair("received", if stamp.time_by_server { received + ", which stands for its time" } else { received }));
    out
}

fn sender_says(envelope: &Envelope<'_>) -> Pairs {
    let mut out = Pairs::new();
    if let Some(ns) = envelope.time_ns {
        out.push(pair("time", format!("{}{}", time::utc(ns), clock(envelope))));
    }
    if let Some(about) = envelope.about {
        out.push(pair("about", about.to_string()));
    }
    if let Some(model) = &envelope.model {
        out.push(pair("model", format!("{} {}", plain(model.name), plain(model.version))));
        out.extend(model.digest.map(|digest| pair("model digest", format!("sha256:{}", hex(&digest)))));
    }
    if let Some(result) = &envelope.result {
        let adverse = match result.adverse {
            Some(true) => "adverse",
            Some(false) => "not adverse",
            None => "",
        };
        let words: Vec<String> = result.class.map(plain).into_iter().chain([adverse.to_owned()]).collect();
        out.push(pair("result", words.join(", ").trim_matches([',', ' ']).to_owned()));
    }
    out.extend(envelope.error.map(|error| pair("error", plain(error))));
    out.extend(envelope.inputs_withheld.map(|why| pair("inputs", format!("withheld: {}", plain(why)))));
    if let Some(producer) = &envelope.producer {
        let seq = producer.seq.map(|seq| format!(" #{seq}")).unwrap_or_default();
        let instance = producer.instance.map(|instance| format!(", instance {}", plain(instance))).unwrap_or_default();
        out.push(pair("producer", format!("{}{seq}{instance}", plain(producer.name))));
    }
    if let Some(trace) = &envelope.trace {
        let span = trace.span_id.map(|span| format!(", span {}", hex(&span.0))).unwrap_or_default();
        out.push(pair("trace", format!("{}{span}", hex(&trace.trace_id.0))));
    }
    if let Some(sampling) = &envelope.sampling {
        let reason = sampling.reason.map(|reason| format!(", {}", plain(reason))).unwrap_or_default();
        out.push(pair("sampling", format!("kept with probability {}{reason}", sampling.probability)));
    }
    if !envelope.profile.is_empty() {
        out.push(pair("profile", plain(&envelope.profile.join(", "))));
    }
    out
}

/// How good the time is, in brackets.
fn clock(envelope: &Envelope<'_>) -> String {
    let Some(clock) = &envelope.clock else { return String::new() };
    let mut words = Vec::new();
    words.extend(clock.max_error_ns.map(|ns| format!("±{}", time::span_ns(ns))));
    words.extend(clock.synced.map(|synced| if synced { "synchronised" } else { "NOT synchronised" }.to_owned()));
    words.extend(clock.source.map(|source| format!("source {}", plain(source))));
    format!(" ({})", words.join(", "))
}

fn section_table(session: &Session, stored: &Stored, part: Part) -> Result<String, Failure> {
    if stored.erased().any(|gone| gone == part) && !matches!(stored.body, Body::Erased { .. }) {
        return Ok(heading(part.name()) + &format!("  {}\n", paint(WARN, "ERASED (declared)")));
    }
    let Some(value) = section(stored, part)? else { return Ok(String::new()) };
    Ok(heading(part.name()) + &pairs(session, &rows(&value)))
}

/// By name: the canonical order goes by the length of the names first, which nobody can search.
fn rows(value: &Value) -> Pairs {
    let mut rows: Pairs = leaves(value).into_iter().map(|(path, value)| (path, text(value))).collect();
    rows.sort();
    rows
}

// ---- explanation ---------------------------------------------------------------------------------------------------

fn explanation(session: &Session, stored: &Stored) -> Result<String, Failure> {
    let Some(explanation) = section(stored, Part::Explanation)? else {
        return section_table(session, stored, Part::Explanation);
    };
    let values = explanation.get("values").map(attributions).unwrap_or_default();
    if values.is_empty() {
        return section_table(session, stored, Part::Explanation);
    }
    let word = |key: &str| explanation.get(key).and_then(Value::as_text).map(plain);
    let method = word("method").unwrap_or_else(|| "attributions".to_owned());
    let variant = word("variant").map(|variant| format!(" ({variant})")).unwrap_or_default();
    let space = word("space").map(|space| format!(", in {space}")).unwrap_or_default();
    let by = word("computed_by").map(|by| format!(", computed by {by}")).unwrap_or_default();
    let mut out = heading("explanation") + &format!("  {method}{variant}{space}{by}\n\n");
    let inputs = section(stored, Part::Inputs)?;
    let given = |name: &str| inputs.as_ref().and_then(|inputs| inputs.get(name)).map(text);
    let sum: f64 = values.iter().map(|(_, value)| value).sum();
    let bars = values.iter().map(|(name, value)| Bar { name: plain(name), value: *value, given: given(name) });
    out += &chart::chart(session, bars.collect());
    if let Some(base) = explanation.get("base").and_then(Value::as_f64) {
        let output = section(stored, Part::Output)?;
        out += &format!("\n  {}\n", additive(base, sum, values.len(), output.as_ref()));
    }
    Ok(out)
}

/// The numbers of a map of attributions, if it is one.
fn attributions(values: &Value) -> Vec<(String, f64)> {
    let Value::Map(entries) = values else { return Vec::new() };
    let numbers: Option<Vec<_>> = entries.iter().map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect();
    numbers.unwrap_or_default()
}

/// Base and attributions added up, and the output that they come to.
fn additive(base: f64, sum: f64, count: usize, output: Option<&Value>) -> String {
    let total = base + sum;
    let near = |value: f64, wanted: f64| (value - wanted).abs() <= 1e-4 * (1.0 + wanted.abs());
    let outputs = output.map(leaves).unwrap_or_default();
    let numbers = || outputs.iter().filter_map(|(path, value)| Some((path, value.as_f64()?)));
    let logistic = 1.0 / (1.0 + (-total).exp());
    let comes_to = match (numbers().find(|(_, n)| near(*n, total)), numbers().find(|(_, n)| near(*n, logistic))) {
        (Some((path, _)), _) => format!(": the output's {path}"),
        (None, Some((path, n))) => format!(", whose logistic is {n:.4}: the output's {path}"),
        (None, None) => ", which is no number of the output".to_owned(),
    };
    format!(
        "base {} and {count} attributions {} make {}{comes_to}",
        number::signed(base),
        number::signed(sum),
        number::signed(total)
    )
}

// ---- the rest ------------------------------------------------------------------------------------------------------

fn late_fact(late: &Found) -> Result<(String, String), Failure> {
    let kind = late.stored.stamp.kind;
    let part = match kind {
        Kind::Explanation => Part::Explanation,
        _ => Part::Output,
    };
    let values = section(&late.stored, part)?.map(|value| rows(&value)).unwrap_or_default();
    let values: Vec<String> = values.into_iter().map(|(path, value)| format!("{path} {value}")).collect();
    let canonical = late.stored.parts().and_then(|parts| parts.get(Part::Envelope));
    let time = canonical.map(Envelope::read).transpose()?.and_then(|envelope| envelope.time_ns);
    let when = time::utc(time.unwrap_or(late.stored.stamp.received));
    let when = when.split_once('T').map_or(when.as_str(), |(day, _)| day);
    let words = if values.is_empty() { "ERASED (declared)".to_owned() } else { values.join(", ") };
    Ok((kind.name().to_owned(), format!("{words} ({when}, index {})", number::count(late.index))))
}

/// What was erased, by which records, on whose word.
fn erasures(stored: &Stored, declared: &[Declared]) -> Pairs {
    let gone: Vec<&str> = stored.erased().map(Part::name).collect();
    let mut out = vec![pair("parts", gone.join(", "))];
    for Declared { index, erasure } in declared {
        let says = format!("{}, by {}: {}", plain(&erasure.basis), plain(&erasure.by), erasure.parts.join(", "));
        out.push(pair(&format!("record {}", number::count(*index)), says));
    }
    out.push(match declared {
        [] => pair("verdict", format!("{}: no record declares it (T20); run verify", paint(BAD, "INVALID"))),
        _ => pair("verdict", format!("{}, as declared; its approvals were not checked", paint(WARN, "ERASED"))),
    });
    out
}

fn proof(snapshot: &Snapshot, found: &Found, sealed: &Sealed) -> Pairs {
    let mut out = Pairs::new();
    match sealed {
        Sealed::Yes(proof) => {
            let checkpoint = proof.checkpoint.checkpoint();
            let size = number::count(checkpoint.size());
            let seal = format!("{} under the checkpoint of {size} records", paint(GOOD, "sealed"));
            out.push(pair("state", seal));
            let path = proof.proof.path.len();
            out.push(pair("checked", format!("digest recomputed; inclusion ({path} hashes) up to the signed root")));
            out.push(pair("root", hex(checkpoint.root().as_bytes())));
        }
        Sealed::NotYet(size) => {
            let seal = format!(
                "{}: the last checkpoint covers {} records",
                paint(WARN, "not sealed yet"),
                number::count(*size)
            );
            out.push(pair("state", seal));
        }
        Sealed::No(reason) => out.push(pair("state", format!("{}: {reason}", paint(BAD, "INVALID")))),
    }
    out.push(pair("digest", found.digest.to_string()));
    out.push(pair("log", plain(&snapshot.settings().origin)));
    out.push(pair(
        "place",
        match &found.place {
            Some((file, row)) => {
                let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                format!("row {} of lake/{}", number::count(*row), plain(&name))
            }
            None => "journal".to_owned(),
        },
    ));
    out
}
