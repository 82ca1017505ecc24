//! The records that say who asked (I11, T27). docs/formats.md, section 2, has their fields; this is the one place that
//! writes them.
//!
//! A read is two: `begin`, durable before the first byte of its answer leaves, and `end`, which closes it with what it
//! came to. One pair a query, however many records it reads: so reading these records makes two more, and no chain.

use access::Principal;
use record::cbor::Number;
use record::{Envelope, Kind, Part, Parts, Record, Value};
use uuid::Uuid;

/// Bytes of a text of the caller's that go on record, such as a query; the limits of each are lower.
const TEXT_BYTES_MAX: usize = 128 << 10;

/// Who asks, for what, from where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Who {
    /// The principal's id; none if nobody is known to be asking.
    pub id: Option<String>,
    /// As people call it.
    pub name: Option<String>,
    /// How it was known: `token`, `person`, `service`.
    pub kind: Option<&'static str>,
    /// The role by which it was granted.
    pub role: Option<String>,
    /// The address that it asks from.
    pub from: String,
    /// Why, in its own words.
    pub purpose: Option<String>,
}

impl Who {
    /// It is known who asks.
    pub fn identify(&mut self, principal: &Principal) {
        self.id = Some(principal.id.clone());
        self.name = Some(principal.name.clone());
        self.kind = Some(principal.kind.name());
    }
}

/// What a read came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The whole answer was handed over.
    Done,
    /// Whoever asked went away, or was too slow; the counts are of what was handed over until then.
    BrokenOff,
    /// There was no answer, or it ended in an error.
    Failed,
}

impl Outcome {
    /// Its name on the record.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::BrokenOff => "broken-off",
            Outcome::Failed => "failed",
        }
    }
}

/// The counts by which a read is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// What it came to.
    pub outcome: Outcome,
    /// The status of the answer.
    pub status: u16,
    /// Rows or records that were handed over.
    pub rows: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Records below this index could be read; none if it did not come to that.
    pub until: Option<u64>,
}

/// A read begins.
pub fn begin(who: &Who, action: &str, request: &str, asked: &str, about: Option<Uuid>) -> Record {
    let mut context = context("begin", who);
    context.extend([text("action", action), text("request", request), text("asked", asked)]);
    record(who, context, about)
}

/// The read that began with the record `begin` is over.
pub fn end(who: &Who, action: &str, begin: Uuid, counts: &Counts) -> Record {
    let number = |name: &str, n: u64| (name.to_owned(), Value::Number(Number::from_u64(n)));
    let mut context = vec![text("event", "end"), text("action", action), text("begin", &begin.to_string())];
    context.push(text("result", counts.outcome.name()));
    context.extend([
        number("status", u64::from(counts.status)),
        number("rows", counts.rows),
        number("bytes", counts.bytes),
    ]);
    if let Some(until) = counts.until {
        context.push(("covers".to_owned(), Value::map([number("from", 0), number("until", until)])));
    }
    record(who, context, None)
}

/// Something of the server itself is about to be changed.
pub fn change(who: &Who, action: &str, request: &str, asked: &str) -> Record {
    let mut context = context("change", who);
    context.extend([text("action", action), text("request", request), text("asked", asked)]);
    record(who, context, None)
}

/// The change that began with the record `begin` was made, of what has that id, or was not.
pub fn changed(who: &Who, action: &str, begin: Uuid, outcome: Outcome, id: Option<&str>) -> Record {
    let mut context = vec![text("event", "changed"), text("action", action), text("begin", &begin.to_string())];
    context.push(text("result", outcome.name()));
    context.extend(id.map(|id| text("changed", id)));
    record(who, context, None)
}

/// Somebody logged in, and may be what these roles say.
pub fn login(who: &Who, request: &str, roles: &[&str]) -> Record {
    let mut context = context("login", who);
    let roles = roles.iter().map(|role| Value::Text((*role).to_owned())).collect();
    context.extend([text("action", "login"), text("request", request), ("roles".to_owned(), Value::Array(roles))]);
    record(who, context, None)
}

/// Somebody logged out.
pub fn logout(who: &Who, request: &str) -> Record {
    let mut context = context("logout", who);
    context.extend([text("action", "logout"), text("request", request)]);
    record(who, context, None)
}

/// Something was refused, `count` times within about a second.
pub fn refused(who: &Who, action: &str, reason: &str, count: u64) -> Record {
    let mut context = context("refused", who);
    let count = ("count".to_owned(), Value::Number(Number::from_u64(count)));
    context.extend([text("action", action), text("reason", reason), count]);
    record(who, context, None)
}

fn context(event: &str, who: &Who) -> Vec<(String, Value)> {
    let mut context = vec![text("event", event), text("from", &who.from)];
    context.extend(who.role.as_ref().map(|role| text("role", role)));
    context.extend(who.purpose.as_ref().map(|purpose| text("purpose", purpose)));
    context
}

fn record(who: &Who, context: Vec<(String, Value)>, about: Option<Uuid>) -> Record {
    let mut parts = Parts::default();
    let envelope = Envelope { about, ..Envelope::of_kind(Kind::Access) };
    parts.set_with(Part::Envelope, |out| envelope.write(out));
    if let Some(id) = &who.id {
        let mut subject = vec![text("id", id)];
        subject.extend(who.name.as_ref().map(|name| text("name", name)));
        subject.extend(who.kind.map(|kind| text("kind", kind)));
        parts.set(Part::Subject, &Value::map(subject).to_canonical());
    }
    parts.set(Part::Context, &Value::map(context).to_canonical());
    Record { salt: None, parts, id: None, kind: Kind::Access, time_ns: None, about }
}

fn text(name: &str, value: &str) -> (String, Value) {
    let mut end = value.len().min(TEXT_BYTES_MAX);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    (name.to_owned(), Value::Text(value[..end].to_owned()))
}

#[cfg(test)]
mod tests {
    use record::{JsonParser, Limits};

    use super::*;

    /// What is written here is what a sender of the same JSON would have sent: the fields that docs/formats.md names.
    #[test]
    fn the_fields_are_those_of_the_format() {
        let who = Who {
            id: Some("token:3f9a".to_owned()),
            name: Some("night shift".to_owned()),
            kind: Some("token"),
            role: Some("investigator".to_owned()),
            from: "192.0.2.7".to_owned(),
            purpose: Some("complaint 17".to_owned()),
        };
        let id: Uuid = "0190a5c2-7b1e-7c3a-9d55-1f0f5a6b7c8d".parse().unwrap();
        let counts = Counts { outcome: Outcome::Done, status: 200, rows: 3, bytes: 512, until: Some(1042) };
        let subject = r#""kind":"access","subject":{"id":"token:3f9a","kind":"token","name":"night shift"}"#;
        let cases = [
            (
                begin(&who, "read-record", "req-1", "GET records/7", Some(id)),
                format!(
                    r#"{{{subject},"about":"{id}","context":{{"event":"begin","action":"read-record","asked":"GET records/7",
                       "from":"192.0.2.7","purpose":"complaint 17","request":"req-1","role":"investigator"}}}}"#
                ),
            ),
            (
                end(&who, "search", id, &counts),
                format!(
                    r#"{{{subject},"context":{{"event":"end","action":"search","begin":"{id}","bytes":512,"rows":3,
                       "covers":{{"from":0,"until":1042}},"result":"done","status":200}}}}"#
                ),
            ),
            (
                refused(&Who { from: "192.0.2.7".to_owned(), ..Who::default() }, "sql", "unknown", 4),
                r#"{"kind":"access","context":{"event":"refused","action":"sql","count":4,"from":"192.0.2.7",
                   "reason":"unknown"}}"#
                    .to_owned(),
            ),
        ];
        let of_changes = [
            (
                change(&who, "manage-tokens", "req-4", "DELETE tokens/7c1e"),
                format!(
                    r#"{{{subject},"context":{{"event":"change","action":"manage-tokens","asked":"DELETE tokens/7c1e",
                       "from":"192.0.2.7","purpose":"complaint 17","request":"req-4","role":"investigator"}}}}"#
                ),
            ),
            (
                changed(&who, "manage-tokens", id, Outcome::Done, Some("7c1e")),
                format!(
                    r#"{{{subject},"context":{{"event":"changed","action":"manage-tokens","begin":"{id}",
                       "changed":"7c1e","result":"done"}}}}"#
                ),
            ),
        ];
        let person = Who { kind: Some("person"), role: None, purpose: None, ..who.clone() };
        let subject = subject.replace(r#""kind":"token""#, r#""kind":"person""#);
        let of_sessions = [
            (
                login(&person, "req-2", &["reader", "analyst"]),
                format!(
                    r#"{{{subject},"context":{{"event":"login","action":"login","from":"192.0.2.7","request":"req-2",
                       "roles":["reader","analyst"]}}}}"#
                ),
            ),
            (
                logout(&person, "req-3"),
                format!(
                    r#"{{{subject},"context":{{"event":"logout","action":"logout","from":"192.0.2.7",
                       "request":"req-3"}}}}"#
                ),
            ),
        ];
        for (written, json) in cases.into_iter().chain(of_changes).chain(of_sessions) {
            let sent = JsonParser::new(Limits::DEFAULT).parse(json.as_bytes()).unwrap();
            assert_eq!(written, sent, "{json}");
        }
    }
}
