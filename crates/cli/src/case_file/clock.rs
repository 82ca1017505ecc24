//! How good a record's time is, in words (MiFID RTS 25, FINRA 4590).

use record::{Clock, Envelope, Stamp};

use crate::sheet::{Cell, Tone};
use crate::text::plain;
use crate::time;

/// What is known of the clock that gave the time.
pub fn quality(envelope: &Envelope<'_>) -> Cell {
    if envelope.time_ns.is_none() {
        return "the sender gave no time: it is the server's, of when it received the record".into();
    }
    let Some(Clock { max_error_ns, source, synced }) = envelope.clock else {
        return "the sender's; how good its clock was is not on record".into();
    };
    let mut words = Vec::new();
    words.extend(max_error_ns.map(|ns| format!("within {} of UTC", time::span_ns(ns))));
    words.extend(source.map(|source| format!("as {} said", plain(source))));
    let words = words.join(", ");
    match synced {
        Some(true) => Cell::verdict(Tone::Good, "synchronised", joined(&words)),
        Some(false) => Cell::verdict(Tone::Warn, "NOT synchronised", joined(&words)),
        None if words.is_empty() => "the sender's; how good its clock was is not on record".into(),
        None => format!("{words}; whether it was synchronised is not on record").into(),
    }
}

fn joined(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(", {words}") }
}

/// T7: the server cannot have received what happened later, so the sender's clock was ahead by at least so much.
pub fn ahead_ns(envelope: &Envelope<'_>, stamp: &Stamp) -> Option<i64> {
    let error = envelope.clock.and_then(|clock| clock.max_error_ns).unwrap_or(0);
    let latest = stamp.received.saturating_add(error);
    envelope.time_ns.filter(|time| *time > latest).map(|time| time.saturating_sub(stamp.received))
}
