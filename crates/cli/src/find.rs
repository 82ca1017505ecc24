//! The record that a person means: by its id, by the beginning of its id, or by its index.

use trail::{Found, Reader, Snapshot};
use uuid::Uuid;

use crate::failure::Failure;
use crate::scan;
use crate::session::Session;
use crate::text::plain;

/// Digits of a beginning at least: fewer are the same for every record of some days.
const PREFIX_DIGITS_MIN: usize = 8;

/// Candidates that are listed.
const LISTED: usize = 5;

/// A trail as it stands.
pub fn snapshot(session: &Session, trail: &str) -> Result<Snapshot, Failure> {
    Ok(Reader::new(&session.host, &session.folder(trail)?).snapshot()?)
}

/// The record that `named` names.
pub fn record(snapshot: &Snapshot, named: &str) -> Result<Found, Failure> {
    if let Some(index) = as_index(named) {
        let end = snapshot.end();
        let missing =
            || Failure::not_found(format!("there is no record {index}: the trail has {end}, numbered from 0"));
        return snapshot.get(index)?.ok_or_else(missing);
    }
    if let Ok(id) = Uuid::try_parse(named) {
        let missing = || {
            let failure = Failure::not_found(format!("no record has the id {id}"));
            failure.hint("an id that was sent may be refused or not have arrived: look at its receipt")
        };
        return snapshot.find(&id)?.ok_or_else(missing);
    }
    by_prefix(snapshot, named)
}

/// Ids of our time begin with 0, so a number without leading zeros is an index.
fn as_index(named: &str) -> Option<u64> {
    let index = named.parse().ok()?;
    (named == "0" || !named.starts_with(['0', '+'])).then_some(index)
}

fn by_prefix(snapshot: &Snapshot, named: &str) -> Result<Found, Failure> {
    let digits: String = named.chars().filter(|c| *c != '-').collect::<String>().to_ascii_lowercase();
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) || digits.len() > 32 || digits.is_empty() {
        let what = format!("{:?} is neither an id nor an index", plain(named));
        return Err(Failure::wrong_use(what).hint("an id is a UUID or its beginning, an index a number from 0"));
    }
    if digits.len() < PREFIX_DIGITS_MIN {
        let what = format!("{digits} is too short a beginning of an id");
        return Err(Failure::wrong_use(what).hint(format!("give at least {PREFIX_DIGITS_MIN} digits")));
    }
    let candidates = scan::ids_beginning(snapshot, &hyphenated(&digits))?;
    match candidates.as_slice() {
        [] => Err(Failure::not_found(format!("no record has an id that begins with {}", hyphenated(&digits)))),
        [(_, index)] => {
            let gone = || Failure::could_not(format!("record {index} cannot be read")).hint("run verify on the trail");
            snapshot.get(*index)?.ok_or_else(gone)
        }
        several => {
            let listed = several.iter().take(LISTED).map(|(id, index)| format!("{id} (index {index})"));
            let listed: Vec<String> = listed.chain((several.len() > LISTED).then(|| "…".to_owned())).collect();
            let what = format!("{} begins the ids of several records", hyphenated(&digits));
            Err(Failure::wrong_use(what).hint(format!("say which: {}", listed.join(", "))))
        }
    }
}

/// Digits as they stand in a UUID.
fn hyphenated(digits: &str) -> String {
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if matches!(position, 8 | 12 | 16 | 20) {
            out.push('-');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_an_index_only_without_leading_zeros() {
        assert_eq!([as_index("0"), as_index("42"), as_index("12345678")], [Some(0), Some(42), Some(12_345_678)]);
        assert_eq!([as_index("01234567"), as_index("+4"), as_index("019c"), as_index("-1")], [None; 4]);
        assert_eq!(hyphenated("019cad94bd56705"), "019cad94-bd56-705");
    }
}
