//! The direct way to records by id, subject, case or trace: no plan, no columns but the one, then whole records.
//!
//! Of each file the log's range of ids and the Bloom filters that are kept say whether it can hold the value, so that
//! mostly one file is looked into. A policy that hides anything has no direct way: records as stored show all.

use std::path::PathBuf;

use lake::Lookup;
use record::{Envelope, FieldRef, Part, Stored, Value};
use trail::Found;
use uuid::Uuid;

use crate::error::QueryError;
use crate::view::View;

impl View {
    /// The records with one of `values` in that column, in the order of their indices.
    ///
    /// Records in which the column could not hold the value, as a `subject.id` that is a number, are not found so.
    pub fn look_up(&self, column: Lookup, values: &[&str]) -> Result<Vec<Found>, QueryError> {
        if !self.policy.is_open() {
            return Err(QueryError::Policy("whole records would show what it hides; search instead".to_owned()));
        }
        let lake = self.snapshot.lake();
        let mut found = Vec::new();
        for file in lake.files() {
            let in_range = |value: &&str| column != Lookup::Id || lake::Snapshot::may_hold_id(file, value);
            let likely: Vec<&str> = values.iter().copied().filter(in_range).collect();
            let filtered = matches!(column, Lookup::Id | Lookup::Subject | Lookup::Case | Lookup::Trace);
            if likely.is_empty()
                || (filtered && !self.shared.files.get(lake, file)?.may_hold(column.column(), &likely)?)
            {
                continue;
            }
            let hits = lake.look_up_in(file, column, &likely).map_err(|error| QueryError::Read(error.to_string()))?;
            let path: PathBuf = lake.path(file);
            found.extend(hits.into_iter().map(|(_, hit)| {
                let lake::Placed { index, row, stored } = hit.placed;
                Found { index, digest: stored.digest(), stored, place: Some((path.clone(), row)) }
            }));
        }
        let hot = self.snapshot.hot().filter(|hot| holds(&hot.stored, column, values));
        found.extend(hot.map(|hot| Found {
            index: hot.index,
            digest: hot.digest,
            stored: hot.stored.clone(),
            place: None,
        }));
        found.sort_by_key(|found| found.index);
        found.dedup_by_key(|found| found.index);
        Ok(found)
    }

    /// The record of an id.
    pub fn find(&self, id: &Uuid) -> Result<Option<Found>, QueryError> {
        let text = id.hyphenated().to_string();
        Ok(self.look_up(Lookup::Id, &[&text])?.into_iter().next())
    }

    /// Records of which something was erased: no predicate over what is gone finds them.
    pub fn erased(&self) -> Result<u64, QueryError> {
        let lake = self.snapshot.lake();
        let mut erased = self.snapshot.hot().filter(|hot| hot.stored.erased().next().is_some()).count() as u64;
        for file in lake.files() {
            let open = self.shared.files.get(lake, file)?;
            erased += open.values_in("content").unwrap_or(0) + open.values_in("erased").unwrap_or(0);
        }
        Ok(erased)
    }
}

fn holds(stored: &Stored, column: Lookup, values: &[&str]) -> bool {
    let Some(parts) = stored.parts() else {
        return column == Lookup::Id && values.contains(&stored.stamp.id.hyphenated().to_string().as_str());
    };
    let envelope = || parts.get(Part::Envelope).and_then(|canonical| Envelope::read(canonical).ok());
    let subject = |key: &str| {
        let field = FieldRef { part: Part::Subject, keys: vec![key.to_owned()] };
        let value = field.find(parts).ok().flatten().and_then(|canonical| Value::from_canonical(canonical).ok());
        value.and_then(|value| value.as_text().map(str::to_owned))
    };
    let value = match column {
        Lookup::Id => Some(stored.stamp.id.hyphenated().to_string()),
        Lookup::Kind => Some(stored.stamp.kind.name().to_owned()),
        Lookup::Subject => subject("id"),
        Lookup::Case => subject("case"),
        Lookup::Model => envelope().and_then(|envelope| envelope.model).map(|model| model.name.to_owned()),
        Lookup::Version => envelope().and_then(|envelope| envelope.model).map(|model| model.version.to_owned()),
        Lookup::About => envelope().and_then(|envelope| envelope.about).map(|about| about.hyphenated().to_string()),
        Lookup::Trace => envelope().and_then(|envelope| envelope.trace).map(|trace| trace.trace_id.to_string()),
    };
    value.is_some_and(|value| values.contains(&value.as_str()))
}
