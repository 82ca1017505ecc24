//! The record that a person means: by its id, by the beginning of its id, by its index; or the records of a subject, a
//! case or a trace.

use lake::Lookup;
use trail::{Found, Latest, Reader, Snapshot};
use uuid::Uuid;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::listing::Listing;
use crate::session::Session;
use crate::text::plain;

/// Digits of a beginning at least: fewer are the same for every record of some days.
const PREFIX_DIGITS_MIN: usize = 8;

/// Records whose ids begin alike that are counted at most.
const CANDIDATES_MAX: usize = 100;

/// Records of a list.
const LISTED_MAX: usize = 50;

const WHAT_IS_AN_ID: &str = "an id is a UUID or its beginning, an index a number from 0";

/// What something that was typed was taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakenFor {
    Index,
    Id,
    Beginning,
    Subject,
    Case,
    Trace,
}

impl TakenFor {
    pub fn name(self) -> &'static str {
        match self {
            TakenFor::Index => "index",
            TakenFor::Id => "id",
            TakenFor::Beginning => "beginning of an id",
            TakenFor::Subject => "subject",
            TakenFor::Case => "case",
            TakenFor::Trace => "trace",
        }
    }

    /// The records that it is, in words.
    pub fn of(self, named: &str) -> String {
        match self {
            TakenFor::Subject | TakenFor::Case | TakenFor::Trace => format!("of the {} {named}", self.name()),
            TakenFor::Index | TakenFor::Id => format!("with the {} {named}", self.name()),
            TakenFor::Beginning => format!("whose id begins with {named}"),
        }
    }

    fn column(self) -> Option<Lookup> {
        match self {
            TakenFor::Subject => Some(Lookup::Subject),
            TakenFor::Case => Some(Lookup::Case),
            TakenFor::Trace => Some(Lookup::Trace),
            TakenFor::Index | TakenFor::Id | TakenFor::Beginning => None,
        }
    }
}

/// What was found for what was typed.
pub enum Meant {
    One(Box<Found>, TakenFor),
    Several(Listing),
}

/// A trail as it stands.
pub fn snapshot(session: &Session, trail: &str) -> Result<Snapshot, Failure> {
    Ok(Reader::new(&session.host, &session.folder(trail)?).snapshot()?)
}

/// The one record that `named` names.
pub fn record(snapshot: &Snapshot, named: &str) -> Result<Found, Failure> {
    match by_id(snapshot, named)? {
        Named::One(found, _) => Ok(*found),
        Named::Several(listing) => Err(ambiguous(&listing)),
        Named::None(failure) => Err(failure),
        Named::NoId => {
            let what = format!("{:?} is neither an id nor an index", plain(named));
            Err(Failure::wrong_use(what).hint(WHAT_IS_AN_ID))
        }
    }
}

/// What `named` names: a record by index or id if there is one, else the records of a subject, a case or a trace.
pub fn meant(snapshot: &Snapshot, named: &str) -> Result<Meant, Failure> {
    let failure = match by_id(snapshot, named)? {
        Named::One(found, taken_for) => return Ok(Meant::One(found, taken_for)),
        Named::Several(listing) => return Ok(Meant::Several(listing)),
        Named::None(failure) => failure,
        Named::NoId => {
            let what =
                format!("{:?} is no id and no index, and no record has it as subject, case or trace", plain(named));
            Failure::not_found(what).hint(WHAT_IS_AN_ID)
        }
    };
    for taken_for in [TakenFor::Subject, TakenFor::Case, TakenFor::Trace] {
        match of(snapshot, taken_for, named) {
            Ok(listing) => return Ok(Meant::Several(listing)),
            Err(failure) if failure.exit == Exit::Negative => {}
            Err(failure) => return Err(failure),
        }
    }
    Err(failure)
}

/// The records of a subject, a case or a trace.
pub fn of(snapshot: &Snapshot, taken_for: TakenFor, named: &str) -> Result<Listing, Failure> {
    // Trace ids stand in lower case on the record.
    let value = if taken_for == TakenFor::Trace { named.to_ascii_lowercase() } else { named.to_owned() };
    let latest = match taken_for.column() {
        Some(column) => snapshot.latest(&[(column, &value)], LISTED_MAX)?,
        None => Latest::default(),
    };
    if latest.total == 0 {
        return Err(Failure::not_found(format!("no record has the {} {:?}", taken_for.name(), plain(named))));
    }
    Ok(Listing { taken_for, named: value, latest, at_least: false })
}

/// What an index, an id or the beginning of one comes to.
enum Named {
    One(Box<Found>, TakenFor),
    Several(Listing),
    /// Nothing, and why.
    None(Failure),
    /// It can be none of these.
    NoId,
}

fn by_id(snapshot: &Snapshot, named: &str) -> Result<Named, Failure> {
    let one = |found: Option<Found>, taken_for, missing: Failure| match found {
        Some(found) => Named::One(Box::new(found), taken_for),
        None => Named::None(missing),
    };
    if let Some(index) = as_index(named) {
        let end = snapshot.end();
        let missing = Failure::not_found(format!("there is no record {index}: the trail has {end}, numbered from 0"));
        return Ok(one(snapshot.get(index)?, TakenFor::Index, missing));
    }
    if let Ok(id) = Uuid::try_parse(named) {
        let missing = Failure::not_found(format!("no record has the id {id}"))
            .hint("an id that was sent may be refused or not have arrived: look at its receipt");
        return Ok(one(snapshot.find(&id)?, TakenFor::Id, missing));
    }
    by_prefix(snapshot, named)
}

/// Ids of our time begin with 0, so a number without leading zeros is an index.
fn as_index(named: &str) -> Option<u64> {
    let index = named.parse().ok()?;
    (named == "0" || !named.starts_with(['0', '+'])).then_some(index)
}

fn by_prefix(snapshot: &Snapshot, named: &str) -> Result<Named, Failure> {
    let digits: String = named.chars().filter(|c| *c != '-').collect::<String>().to_ascii_lowercase();
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) || digits.len() > 32 || digits.is_empty() {
        return Ok(Named::NoId);
    }
    if digits.len() < PREFIX_DIGITS_MIN {
        let what = format!("{digits} is too short a beginning of an id");
        return Ok(Named::None(Failure::wrong_use(what).hint(format!("give at least {PREFIX_DIGITS_MIN} digits"))));
    }
    let prefix = hyphenated(&digits);
    let mut candidates = snapshot.ids_beginning(&prefix, CANDIDATES_MAX)?;
    let get = |index: u64| {
        let gone = || Failure::could_not(format!("record {index} cannot be read")).hint("run verify on the trail");
        snapshot.get(index)?.ok_or_else(gone)
    };
    match candidates.as_slice() {
        [] => Ok(Named::None(Failure::not_found(format!("no record has an id that begins with {prefix}")))),
        [(_, index)] => Ok(Named::One(Box::new(get(*index)?), TakenFor::Beginning)),
        several => {
            let total = several.len() as u64;
            candidates.sort_by_key(|(id, _)| std::cmp::Reverse(*id));
            let newest = candidates.iter().take(LISTED_MAX).map(|(_, index)| get(*index));
            let mut found = newest.collect::<Result<Vec<_>, Failure>>()?;
            found.sort_by_cached_key(|found| std::cmp::Reverse((found.when(), found.index)));
            let (latest, at_least) = (Latest { total, found }, candidates.len() >= CANDIDATES_MAX);
            Ok(Named::Several(Listing { taken_for: TakenFor::Beginning, named: prefix, latest, at_least }))
        }
    }
}

/// Several records where one is wanted.
fn ambiguous(listing: &Listing) -> Failure {
    const LISTED: usize = 5;
    let found = &listing.latest.found;
    let listed = found.iter().take(LISTED).map(|found| format!("{} (index {})", found.stored.stamp.id, found.index));
    let listed: Vec<String> = listed.chain((found.len() > LISTED).then(|| "…".to_owned())).collect();
    let what = format!("{} begins the ids of several records", listing.named);
    Failure::wrong_use(what).hint(format!("say which: {}", listed.join(", ")))
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
