//! How good a record's time is, in words (MiFID RTS 25, FINRA 4590).

use record::{Clock, Envelope, Stamp};

use crate::sheet::{Cell, Tone};
use crate::text::plain;

/// What is known of the clock that gave the time.
pub fn quality(envelope: &Envelope<'_>) -> Cell {
    if envelope.time_ns.is_none() {
        return "the sender gave no time: it is the server's, of when it received the record".into();
    }
    let Some(Clock { max_error_ns, source, synced }) = envelope.clock else {
        return "the sender's; how good its clock was is not on record".into();
    };
    let mut words = Vec::new();
    words.extend(max_error_ns.map(|ns| format!("within {} of UTC", bound(ns))));
    words.extend(source.map(|source| format!("source {}", plain(source))));
    let words = words.join(", ");
    match synced {
        Some(true) => Cell::verdict(Tone::Good, "synchronised", joined(&words)),
        Some(false) => Cell::verdict(Tone::Warn, "NOT synchronised", joined(&words)),
        None if words.is_empty() => "the sender's; how good its clock was is not on record".into(),
        None => format!("{words}; whether it was synchronised is not on record").into(),
    }
}

/// A bound to its last digit: one that is rounded down is none.
fn bound(ns: i64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{} µs", ns as f64 / 1e3),
        _ => format!("{} ms", ns as f64 / 1e6),
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

#[cfg(test)]
mod tests {
    use record::{Clock, Kind};
    use uuid::Uuid;

    use super::*;

    fn stamp(received: i64) -> Stamp {
        Stamp {
            kind: Kind::Decision,
            received,
            id: Uuid::nil(),
            id_by_server: false,
            time_by_server: false,
            salt_by_server: true,
            about_digest: None,
        }
    }

    #[test]
    fn a_clock_is_told_in_words() {
        let told = |time_ns, clock| {
            let cell = quality(&Envelope { time_ns, clock, ..Envelope::of_kind(Kind::Decision) });
            format!("{}{}", cell.verdict.map(|(_, word)| word).unwrap_or_default(), cell.text)
        };
        let clock = |max_error_ns, synced| Some(Clock { max_error_ns, source: Some("kernel"), synced });
        assert!(told(None, None).contains("server's"));
        assert!(told(Some(1), None).contains("not on record"));
        let best = "synchronised, within 180.25 µs of UTC, source kernel";
        assert_eq!(told(Some(1), clock(Some(180_250), Some(true))), best);
        assert_eq!(told(Some(1), clock(None, Some(false))), "NOT synchronised, source kernel");
        assert!(told(Some(1), clock(Some(7), None)).starts_with("within 7 ns of UTC, source kernel; whether"));
        assert_eq!(bound(1_500_001), "1.500001 ms");
    }

    /// T7: nothing is received before it happened, but for what the clock may be wrong by.
    #[test]
    fn a_stamp_of_the_future_is_flagged() {
        let ahead = |time, error| {
            let clock = Some(Clock { max_error_ns: Some(error), ..Clock::default() });
            ahead_ns(&Envelope { time_ns: Some(time), clock, ..Envelope::of_kind(Kind::Decision) }, &stamp(100))
        };
        assert_eq!(
            [ahead(100, 0), ahead(105, 5), ahead(106, 5), ahead(i64::MAX, i64::MAX)],
            [None, None, Some(6), None]
        );
    }
}
